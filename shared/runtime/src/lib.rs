//! What every service stands on: ports, configuration, telemetry, HTTP and TLS shell, authentication, shutdown. Knows no broker and no database.

pub mod clock;
pub mod data_dir;
pub mod health;
pub mod metric;
pub mod port;
pub mod retry;
pub mod shutdown;
pub mod tasks;
