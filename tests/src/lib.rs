//! caerus-tests
