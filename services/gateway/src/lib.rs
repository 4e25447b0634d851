//! The revocation stream: decisions in force out to the enforcement points, their acknowledgements back in.
//!
//! Knows neither what a decision means nor who made it: it never looks past a decision's target and dates, and never
//! imports the engine's judgement, the policies or a store.
//!
//! ```text
//! decisions ─┐                ┌─ lane ─► one stream ═ws═► enforcement point
//! reports   ─┴─► hub (picture)┼─ lane ─► one stream ═ws═►      ⋮
//!                             └─ …          └─ acks ─► receipts ─► bus
//! ```

mod close;
mod connection;
pub mod delivery;
pub mod filter;
mod frame;
mod gateway;
mod hub;
pub mod lane;
pub mod limits;
pub mod picture;
pub mod progress;
mod receipts;
mod route;
mod speaker;

use caerus_runtime::metric::label::Room;
use caerus_runtime::retry::{Jitter, Retry, RetryError, RetryPolicy};
use caerus_runtime::shutdown::Shutdown;

pub use gateway::{Gateway, GatewayLoops, GatewayParts};
pub use route::{ROUTES, Route, active_decisions, routes, stream_routes};

/// Runs the gateway's loops until the shutdown: the picture, and the receipts.
///
/// *Errors*: when the bus refuses for good, or stays away for too long.
pub async fn run(loops: GatewayLoops, shutdown: Shutdown) -> Result<(), RetryError> {
    let GatewayLoops {
        parts,
        requests,
        reports,
    } = loops;
    let picture = async {
        let retries = parts.metrics.runtime.retries.of(&Room::Gateway);
        let mut retry = Retry::new(RetryPolicy::LOOP, Jitter::random(), retries);
        let hub = retry.run(&shutdown, || hub::Hub::open(&parts)).await?;
        hub.run(requests, shutdown.clone()).await;
        Ok(())
    };
    let receipts = receipts::run(parts.clone(), reports, shutdown.clone());
    match tokio::try_join!(picture, receipts) {
        Ok(((), ())) | Err(RetryError::Stopped) => Ok(()),
        Err(gave_up) => Err(gave_up),
    }
}
