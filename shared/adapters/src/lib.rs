//! The outside world behind the ports: Kafka, Redis, PostgreSQL, SQLite, memory, geo databases. Knows no thresholds, rules or scores; no adapter knows another.

pub mod distributed;
#[cfg(feature = "geo")]
pub mod geo;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(test)]
mod conformance;
