//! Takes events in: checked, normalised, and durable in the log before anybody hears "accepted". Knows neither scores nor
//! policies, nor which broker is in use.

pub mod age;
mod agent;
mod body;
pub mod dead_letter;
mod intake;
pub mod normalise;
pub mod retention;
mod routes;
pub mod sighting;
pub mod source;
mod teller;
pub mod watermark;

use std::sync::Arc;

use caerus_engine::time::Span;
use caerus_runtime::metric::Metrics;
use caerus_runtime::port::{Bus, Clock, Geo};
use caerus_runtime::shutdown::Shutdown;

pub use body::{BODY_BYTES_MAX, EVENTS_MAX, EXPANDED_BYTES_MAX};
pub use routes::{FORMATS, IN_FLIGHT_MIB_MAX, routes};

/// The ports this role stands on.
#[derive(Clone, Debug)]
pub struct Ports {
    pub bus: Arc<dyn Bus>,
    pub clock: Arc<dyn Clock>,
    /// `None` where no database is configured: addresses then lie nowhere unless the event says.
    pub geo: Option<Arc<dyn Geo>>,
    pub metrics: Metrics,
}

/// How long what was taken in is kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    pub log: Span,
    pub dead_letters: dead_letter::Limits,
}

/// The role's loops, until the shutdown: the watermark, and how long the log and dead letters are kept.
pub async fn run(ports: Ports, kept: Kept, shutdown: Shutdown) {
    let log = retention::keep(
        Arc::clone(&ports.bus),
        Arc::clone(&ports.clock),
        kept.log,
        shutdown.clone(),
    );
    let watermark = watermark::run(
        Arc::clone(&ports.bus),
        Arc::clone(&ports.clock),
        shutdown.clone(),
    );
    let letters = dead_letter::keep(
        ports.bus,
        ports.clock,
        ports.metrics.ingest,
        kept.dead_letters,
        shutdown,
    );
    tokio::join!(watermark, letters, log);
}
