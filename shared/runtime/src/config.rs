//! Configuration, read once and checked into types: compiled-in defaults, then a file, then the environment, then flags.
//! The only room that reads the environment. Knows no service: what one needs, it takes from [`Settings`].
//!
//! [`layout`] and [`layers`] are for any program of the house; [`Settings`] is the server's own.

pub mod environment;
mod fields;
pub mod layers;
pub mod layout;
pub mod problem;
mod servers;
mod settings;

pub use environment::Environment;
pub use layers::{Flag, Merged, Sources};
pub use layout::{Field, Kind, Layout};
pub use problem::{ConfigError, Origin, Problem};
pub use servers::{Kafka, Postgres, Redis, RedisArrangement, Servers, SourceTopic};
pub use settings::{Data, Geo, Listen, LogFormat, Otlp, Settings, Stream, Telemetry, tls_files};

/// The server's configuration as data: every key, and its default.
pub const LAYOUT: Layout = Layout {
    program: "caerus",
    prefix: "CAERUS__",
    fields: fields::FIELDS,
    defaults: include_str!("config/default.toml"),
};

/// What `caerus config default` prints.
pub fn default_toml() -> &'static str {
    LAYOUT.defaults
}

/// What `caerus config doc` prints: Markdown.
pub fn doc() -> String {
    LAYOUT.doc()
}

#[cfg(test)]
mod tests;
