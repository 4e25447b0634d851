//! caerus-testkit

pub mod conformance;
