//! What every service stands on: ports, configuration, telemetry, HTTP and TLS shell, authentication, shutdown. Knows no broker and no database.

pub mod auth;
pub mod clock;
pub mod config;
pub mod data_dir;
pub mod health;
pub mod http;
pub mod metric;
pub mod port;
pub mod refusal;
pub mod retry;
#[cfg(test)]
mod sample;
pub mod secret;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod trace;
