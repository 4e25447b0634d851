//! The record store on Redis. Knows no other adapter.
