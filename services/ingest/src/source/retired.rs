//! Source topics that are not read any more: found, told of, and let go when an operator says so. Knows no broker.
//!
//! A topic that leaves the configuration goes on being waited for: whether it was read to its end, and whether another
//! process still reads it, is known to people alone. They say so by [`retire`], which tells the log that nothing of it
//! will ever have to be waited for.

use std::collections::BTreeSet;

use caerus_engine::time::Timestamp;
use caerus_runtime::port::{Bus, PortError, PortErrorKind, PortResult, ReadLimit, Topic};
use caerus_wire::progress::Progress;

use super::number::{Topics, is_of_topic};
use super::passed::tell;
use crate::watermark::POSTED;

const PIECE: ReadLimit = ReadLimit {
    records: 1_024,
    bytes: 4 * 1024 * 1024,
};

/// Ends the waiting for a topic, for ever: events that come to it later are taken in where it is configured again, but
/// `evaluated_until` does not wait for them. A topic that comes back should have another name.
///
/// *Returns*: how many source partitions were let go; 0 where no evaluator knows any.
pub async fn retire(bus: &dyn Bus, topic: &str) -> PortResult<usize> {
    let mut retired: BTreeSet<u32> = waited_for(bus).await?;
    retired.retain(|number| is_of_topic(*number, topic));
    let passed: Vec<_> = retired.iter().map(|n| (*n, Timestamp::MAX)).collect();
    tell(bus, &passed).await?;
    Ok(passed.len())
}

/// Numbers of source partitions that evaluators wait for and this configuration does not have.
pub(super) async fn left_over(bus: &dyn Bus, topics: &Topics) -> PortResult<BTreeSet<u32>> {
    let mut numbers = waited_for(bus).await?;
    numbers.retain(|number| !topics.include(*number));
    Ok(numbers)
}

/// As evaluators last reported.
async fn waited_for(bus: &dyn Bus) -> PortResult<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    let mut from = bus.start(Topic::Progress, 0).await?;
    loop {
        let batch = bus.read(Topic::Progress, 0, from, PIECE).await?;
        for record in batch.records.iter().filter(|r| !r.value.is_empty()) {
            let report = Progress::from_bytes(&record.value).map_err(|source| {
                let what = format!("read report {} of an evaluator", record.offset);
                PortError::new(PortErrorKind::Corrupt, what).because(source)
            })?;
            let waits = |at: &Timestamp| *at < Timestamp::MAX;
            let passed = report.passed.iter().filter(|(_, at)| waits(at));
            numbers.extend(passed.map(|(number, _)| *number));
        }
        if batch.next <= from {
            numbers.remove(&POSTED);
            return Ok(numbers);
        }
        from = batch.next;
    }
}
