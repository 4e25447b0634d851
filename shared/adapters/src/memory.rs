//! The ports in memory, for tests: full behaviour, nothing kept. Knows no other adapter.

mod bus;
mod ledger;
mod record_store;

pub use bus::MemoryBus;
pub use ledger::MemoryLedger;
pub use record_store::MemoryRecordStore;
