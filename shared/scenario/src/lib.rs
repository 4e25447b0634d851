//! caerus-scenario
