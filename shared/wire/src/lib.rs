//! caerus-wire
