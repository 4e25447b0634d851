//! The ports in memory, for tests: full behaviour, nothing kept. Knows no other adapter.

mod bus;
mod ledger;
mod record_store;
mod sources;

pub use bus::MemoryBus;
pub use ledger::MemoryLedger;
pub use record_store::MemoryRecordStore;
pub use sources::{MemorySources, MemoryTopics};
