//! caerus-load-tests
