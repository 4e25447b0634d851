//! The outside world behind the ports: SQLite, memory, geo databases. Knows no thresholds, rules or scores; no adapter knows another.

#[cfg(feature = "geo")]
pub mod geo;
pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(test)]
mod conformance;
