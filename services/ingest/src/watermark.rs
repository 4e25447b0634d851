//! Up to when everything taken in is in the log: told to every partition once a second, for `evaluated_until`. Knows one
//! source alone, what is posted to this process.

use std::sync::Arc;
use std::time::Duration;

use caerus_engine::time::Timestamp;
use caerus_runtime::port::{Bus, Clock, NewRecord, PortResult, Topic};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::chain;
use caerus_wire::entry::Entry;
use tokio::time::{MissedTickBehavior, interval};

/// The source partition of what is posted; a source topic's partitions have the numbers after it.
pub const POSTED: u32 = 0;
/// How often it is told.
pub const PERIOD: Duration = Duration::from_secs(1);

/// Tells the time once, unless the clock has fallen behind what was told before.
///
/// The clock is read first. An event answered before that time was appended before it, so it stands below the watermark
/// in its partition; what is in flight meanwhile was not answered before it. No request needs to be waited for.
///
/// *Returns*: what was told last.
pub async fn announce(bus: &dyn Bus, clock: &dyn Clock, last: Timestamp) -> PortResult<Timestamp> {
    let at = clock.now();
    if at <= last {
        // Set back: telling an earlier time would be useless, telling the last one again untrue.
        return Ok(last);
    }
    let entry = Entry::Watermark {
        source_partition: POSTED,
        at,
    };
    let value: Arc<[u8]> = entry.to_bytes().into();
    let records = (0..bus.partitions())
        .map(|partition| NewRecord {
            topic: Topic::Signals,
            partition,
            key: Vec::new(),
            value: Arc::clone(&value),
        })
        .collect();
    bus.append(records).await?;
    Ok(at)
}

/// Tells it until the shutdown. While the log takes nothing it stands still, and so does what depends on it.
pub async fn run(bus: Arc<dyn Bus>, clock: Arc<dyn Clock>, shutdown: Shutdown) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Timestamp(i64::MIN);
    let mut is_failing = false;
    while shutdown.unless_begun(ticks.tick()).await.is_some() {
        match announce(bus.as_ref(), clock.as_ref(), last).await {
            Ok(at) => {
                last = at;
                is_failing = false;
            }
            // Said once for each time it begins; the metric of the picture's age tells how long it lasts.
            Err(error) if !is_failing => {
                is_failing = true;
                tracing::warn!(
                    error = chain(&error),
                    "watermark not written; evaluated_until stands still"
                );
            }
            Err(_) => {}
        }
    }
}
