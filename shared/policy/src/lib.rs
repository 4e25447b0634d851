//! caerus-policy
