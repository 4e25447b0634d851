//! caerus-adapters
