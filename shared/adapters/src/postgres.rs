//! The ledger on PostgreSQL. Knows no other adapter.
