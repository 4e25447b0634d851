//! The ledger on PostgreSQL, 13 or newer. Knows no other adapter.

mod column;
mod database;
mod fault;
mod ledger;
mod migration;
mod partition;

pub use ledger::{Dropped, PostgresLedger, Retention};

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
