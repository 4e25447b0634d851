//! Every form that enters or leaves: events, decisions, stream frames, API bodies, stored records with version tags.
//!
//! Pure: no network and no clock; what needs the time is told it.

pub mod agent;
pub mod api;
mod decimal;
pub mod decision;
pub mod entry;
pub mod event;
pub mod explain;
pub mod form;
pub mod json;
pub mod moment;
pub mod problem;
pub mod progress;
pub mod record;
pub mod score_line;
pub mod stream;
#[cfg(test)]
mod tests;
mod text;
pub mod told;
mod word;

pub use caerus_engine::time::{Span, Timestamp};
