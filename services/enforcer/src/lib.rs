//! caerus-enforcer
