//! `POST /v1/events`, events from topics, the watermarks and the dead letters, against a bus in memory.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers: what fails here is a failed test"
)]

#[path = "ingest/bus.rs"]
mod bus;
#[path = "ingest/letters.rs"]
mod letters;
#[path = "ingest/posts.rs"]
mod posts;
#[path = "ingest/refusals.rs"]
mod refusals;
#[path = "ingest/retention.rs"]
mod retention;
#[path = "ingest/sources.rs"]
mod sources;
#[path = "ingest/stage.rs"]
mod stage;
#[path = "ingest/watermarks.rs"]
mod watermarks;
