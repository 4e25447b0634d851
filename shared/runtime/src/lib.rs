//! What every service stands on: ports, configuration, telemetry, HTTP and TLS shell, authentication, shutdown. Knows no broker and no database.

pub mod port;
