//! The enforcer: holds the stream's decisions in memory and answers the proxy that asks about each request.
//!
//! Knows no broker, no database, no score and no policy: only decisions, identities and routes.

pub mod judge;
pub mod limit;
pub mod picture;

#[cfg(test)]
mod sample;
