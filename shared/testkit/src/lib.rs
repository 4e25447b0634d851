//! caerus-testkit
