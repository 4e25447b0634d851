//! The embedded ports, on SQLite: one machine, durable, no server. Knows no other adapter.

mod bulk;
mod bus;
mod column;
mod database;
mod fault;
mod ledger;
mod migration;
mod record_store;

pub use bus::SqliteBus;
pub use ledger::SqliteLedger;
pub use record_store::SqliteRecordStore;

#[cfg(test)]
mod tests;
