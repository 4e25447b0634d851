//! The enforcer: holds the stream's decisions in memory and answers the proxy that asks about each request.
//!
//! Knows no broker, no database, no score and no policy: only decisions, identities and routes.

pub mod answer;
pub mod authzen;
pub mod enforcer;
pub mod forward;
pub mod gate;
pub mod holding;
pub mod identity;
pub mod intake;
pub mod judge;
pub mod keys;
pub mod limit;
pub mod net;
pub mod picture;
pub mod report;
pub mod route;
pub mod saved;
pub mod serve;
pub mod settings;
pub mod subscriber;
pub mod surface;
pub mod token;

#[cfg(test)]
mod sample;
