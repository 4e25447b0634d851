//! How far back the log reaches. Lets go of what is older than it is kept and has been evaluated; knows no subject.

use std::sync::Arc;
use std::time::Duration;

use caerus_engine::time::{Span, Timestamp};
use caerus_runtime::port::{Bus, Clock, PortError, PortErrorKind, ReadLimit, Topic};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::chain;
use caerus_wire::entry::Entry;

use crate::watermark::POSTED;

/// How often the log is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);
/// How much is read at once to find where to cut.
const PIECE: ReadLimit = ReadLimit {
    records: 1_024,
    bytes: 4 * 1024 * 1024,
};

/// Trims the log until the shutdown. A log that cannot be trimmed now is trimmed at the next look.
pub async fn keep(bus: Arc<dyn Bus>, clock: Arc<dyn Clock>, kept: Span, shutdown: Shutdown) {
    loop {
        for partition in 0..bus.partitions() {
            let cut = trim(bus.as_ref(), partition, clock.now() - kept);
            match shutdown.unless_begun(cut).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    tracing::warn!(partition, error = chain(&error), "log not trimmed");
                }
            }
        }
        if shutdown
            .unless_begun(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_none()
        {
            return;
        }
    }
}

/// Lets go of everything before the last watermark of what is posted that is older than `before`, and never of what is not evaluated.
pub async fn trim(bus: &dyn Bus, partition: u32, before: Timestamp) -> Result<(), PortError> {
    let start = bus.start(Topic::Signals, partition).await?;
    let evaluated = bus.completed(partition).await?;
    let mut from = start;
    let mut cut = start;
    'reading: while from < evaluated {
        let batch = bus.read(Topic::Signals, partition, from, PIECE).await?;
        if batch.next <= from {
            break;
        }
        for record in &batch.records {
            let entry = Entry::from_bytes(&record.value).map_err(|source| {
                let what = format!("read offset {} of partition {partition}", record.offset);
                PortError::new(PortErrorKind::Corrupt, what).because(source)
            })?;
            // Those of source topics may be older than their place: they wait for what is behind.
            let Entry::Watermark {
                source_partition: POSTED,
                at,
            } = entry
            else {
                continue;
            };
            if at >= before || record.offset >= evaluated {
                break 'reading;
            }
            cut = record.offset;
        }
        from = batch.next;
    }
    if cut > start {
        bus.trim(Topic::Signals, partition, cut).await?;
    }
    Ok(())
}
