//! The ledger on a real PostgreSQL, beyond what every ledger keeps to.
