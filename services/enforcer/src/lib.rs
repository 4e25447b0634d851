//! The enforcer: holds the stream's decisions in memory and answers the proxy that asks about each request.
//!
//! Knows no broker, no database, no score and no policy: only decisions, identities and routes.

pub mod forward;
pub mod identity;
pub mod judge;
pub mod keys;
pub mod limit;
pub mod net;
pub mod picture;
pub mod route;
pub mod token;

#[cfg(test)]
mod sample;
