//! Up to when everything in the source topics is in the log: told to every partition of the log, for `evaluated_until`.
//! Knows no message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caerus_engine::time::Timestamp;
use caerus_runtime::metric::label;
use caerus_runtime::port::sources::SourcePartition;
use caerus_runtime::port::{Bus, NewRecord, PortResult, Topic};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::chain;
use caerus_wire::entry::Entry;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::watermark::PERIOD;

use super::Taker;
use super::number::Source;

/// Ticks between two looks for partitions that are new.
const LOOK_EVERY: u32 = 10;
/// What is told of a source partition before anything of it is known to be in the log: it is waited for.
pub(super) const NOTHING: Timestamp = Timestamp::ZERO;

/// A partition that this process takes in, and up to where all of it is in the log.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) source: Source,
    pub(super) done: watch::Receiver<Option<u64>>,
}

/// What this process takes in at present.
pub(super) type ServedNow = watch::Receiver<Vec<Served>>;

/// A moment that waits until everything below the end that was read after it is in the log.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    at: Timestamp,
    end: u64,
}

/// Tells it, and remembers what it told.
#[derive(Debug)]
pub(super) struct Announcer {
    taker: Taker,
    known: BTreeSet<SourcePartition>,
    waiting: BTreeMap<u32, Waiting>,
    told: BTreeMap<u32, Timestamp>,
}

/// Lets the log know of every source partition that there is, also of those that nobody takes in yet: without it nobody
/// would wait for them. Evaluators keep the greatest moment, so telling it again lowers nothing.
///
/// *Returns*: all that are known then.
pub(super) async fn introduce(
    taker: &Taker,
    known: &BTreeSet<SourcePartition>,
) -> PortResult<BTreeSet<SourcePartition>> {
    let all = taker.sources.partitions().await?;
    let mut new = Vec::new();
    for place in all.difference(known) {
        match taker.topics.source(place) {
            Some(source) => new.push((source.number, NOTHING)),
            None => {
                tracing::error!(source = %place, "source partition without a number; it is not taken in");
            }
        }
    }
    tell(taker.ports.bus.as_ref(), &new).await?;
    Ok(known.union(&all).cloned().collect())
}

impl Announcer {
    /// `known` are those that were introduced.
    pub(super) fn new(taker: Taker, known: BTreeSet<SourcePartition>) -> Self {
        Self {
            taker,
            known,
            waiting: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// Reads the clock, then the ends, and tells for each partition served the latest moment that has passed.
    ///
    /// The clock is read first: what was acknowledged to its writer before that moment stands below the end read after.
    pub(super) async fn announce(&mut self, served: &[Served]) -> PortResult<()> {
        let at = self.taker.ports.clock.now();
        let sources = &self.taker.sources;
        let ends = join_all(served.iter().map(|one| sources.end(&one.source.place))).await;
        let numbers: BTreeSet<u32> = served.iter().map(|one| one.source.number).collect();
        self.waiting.retain(|number, _| numbers.contains(number));
        let mut passed = Vec::new();
        let mut lags: BTreeMap<label::SourceTopic, u64> =
            self.taker.topics.labels().map(|label| (label, 0)).collect();
        let mut failure = None;
        for (one, end) in served.iter().zip(ends) {
            let end = match end {
                Ok(end) => end,
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            let done = one.done.borrow().unwrap_or(0);
            let lag = lags.entry(one.source.label).or_default();
            *lag = lag.saturating_add(end.saturating_sub(done));
            passed.extend(self.pass(one, Waiting { at, end }));
        }
        self.expose(lags);
        tell(self.taker.ports.bus.as_ref(), &passed).await?;
        self.told.extend(passed);
        failure.map_or(Ok(()), Err)
    }

    /// The moment that has passed for a partition, where it is later than what was told. One moment waits at a time, so
    /// that a stream of newer ones cannot starve it.
    fn pass(&mut self, one: &Served, now: Waiting) -> Option<(u32, Timestamp)> {
        let number = one.source.number;
        let done = (*one.done.borrow())?;
        let passed = if done >= now.end {
            self.waiting.remove(&number);
            now.at
        } else {
            let waiting = *self.waiting.entry(number).or_insert(now);
            if done < waiting.end {
                return None;
            }
            self.waiting.insert(number, now);
            waiting.at
        };
        let is_later = self.told.get(&number).is_none_or(|told| passed > *told);
        is_later.then_some((number, passed))
    }

    fn expose(&self, lags: BTreeMap<label::SourceTopic, u64>) {
        let metrics = &self.taker.ports.metrics.ingest;
        for (topic, lag) in lags {
            // Beyond four thousand million messages the number does not matter.
            let lag = f64::from(u32::try_from(lag).unwrap_or(u32::MAX));
            metrics.source_lag.of(&topic).set(lag);
        }
    }

    /// Tells it until the shutdown. While the log takes nothing it stands still, and so does what depends on it.
    pub(super) async fn run(mut self, served: ServedNow, shutdown: Shutdown) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut until_look = LOOK_EVERY;
        let mut is_failing = false;
        while shutdown.unless_begun(ticks.tick()).await.is_some() {
            let now = served.borrow().clone();
            let has_new = now
                .iter()
                .any(|one| !self.known.contains(&one.source.place));
            until_look -= 1;
            let round = async {
                if until_look == 0 || has_new {
                    until_look = LOOK_EVERY;
                    self.known = introduce(&self.taker, &self.known).await?;
                }
                self.announce(&now).await
            };
            match shutdown.unless_begun(round).await {
                None => return,
                Some(Ok(())) => is_failing = false,
                // Said once for each time it begins; the metric of the picture's age tells how long it lasts.
                Some(Err(error)) if !is_failing => {
                    is_failing = true;
                    let error = chain(&error);
                    tracing::warn!(
                        error,
                        "source topics' watermarks not written; evaluated_until stands still"
                    );
                }
                Some(Err(_)) => {}
            }
        }
    }
}

/// Writes these moments of these source partitions into every partition of the log, at once.
pub(super) async fn tell(bus: &dyn Bus, passed: &[(u32, Timestamp)]) -> PortResult<()> {
    if passed.is_empty() {
        return Ok(());
    }
    let mut records = Vec::new();
    for (source_partition, at) in passed.iter().copied() {
        let entry = Entry::Watermark {
            source_partition,
            at,
        };
        let value: Arc<[u8]> = entry.to_bytes().into();
        records.extend((0..bus.partitions()).map(|partition| NewRecord {
            topic: Topic::Signals,
            partition,
            key: Vec::new(),
            value: Arc::clone(&value),
        }));
    }
    bus.append(records).await?;
    Ok(())
}
