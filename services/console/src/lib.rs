//! caerus-console
