//! The loops that write the ledger: decisions, receipts, standings. Knows no route and nobody who asks.
//!
//! Rows first, then the position: what was written twice is one row, what was not written is read again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use caerus_engine::number::float;
use caerus_runtime::health::{Condition, Health};
use caerus_runtime::metric::Metrics;
use caerus_runtime::metric::label::{LedgerTable, Room};
use caerus_runtime::port::{
    Bus, BusRecord, EnforcementPoint, Ledger, LedgerDecision, PortResult, ReadLimit, Receipt,
    SubjectStanding, Topic,
};
use caerus_runtime::retry::{Jitter, Retry, RetryError, RetryPolicy};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::chain;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, warn};

use crate::row::{self, Unreadable};

/// How much is recorded in one go.
const BATCH: ReadLimit = ReadLimit {
    records: 512,
    bytes: 2 * 1024 * 1024,
};
/// How long the topics go unread where nothing tells that something was appended.
const POLL: Duration = Duration::from_secs(1);
/// The condition's name in the process's health.
const RECORDING: &str = "recorder";
/// What is recorded.
const RECORDED: [Topic; 4] = [
    Topic::Decisions,
    Topic::Shadow,
    Topic::Receipts,
    Topic::Standings,
];

/// What the recorder stands on.
#[derive(Clone, Debug)]
pub struct RecorderParts {
    pub bus: Arc<dyn Bus>,
    pub ledger: Arc<dyn Ledger>,
    pub metrics: Metrics,
    pub health: Health,
}

/// The recorder's loop: everything decided and acknowledged goes into the ledger. Ends with the shutdown.
///
/// *Errors*: when the ledger or the bus refuses for good.
pub async fn run(parts: RecorderParts, shutdown: Shutdown) -> Result<(), RetryError> {
    let mut recorder = Recorder::new(parts, shutdown.clone());
    match recorder.run().await {
        Err(RetryError::Stopped) => Ok(()),
        ended => ended,
    }
}

#[derive(Debug)]
struct Recorder {
    parts: RecorderParts,
    shutdown: Shutdown,
    retry: Retry,
    recording: Condition,
    /// Where to read on.
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    topic: Topic,
    partition: u32,
    next: u64,
}

impl Recorder {
    fn new(parts: RecorderParts, shutdown: Shutdown) -> Self {
        let retries = parts.metrics.runtime.retries.of(&Room::Console);
        Self {
            retry: Retry::new(RetryPolicy::LOOP, Jitter::random(), retries),
            places: Vec::new(),
            recording: parts.health.condition(RECORDING),
            parts,
            shutdown,
        }
    }

    async fn run(&mut self) -> Result<(), RetryError> {
        let mut appended = RECORDED.map(|topic| self.parts.bus.appended(topic));
        self.places = self.find_places().await?;
        self.recording.ready();
        loop {
            let mut recorded = 0;
            for index in 0..self.places.len() {
                recorded += self.record_next(index).await?;
            }
            self.tell_lag().await?;
            if recorded == 0 {
                let [decisions, shadow, receipts, standings] = &mut appended;
                let something = async {
                    tokio::select! {
                        () = changed(decisions) => {}
                        () = changed(shadow) => {}
                        () = changed(receipts) => {}
                        () = changed(standings) => {}
                        () = tokio::time::sleep(POLL) => {}
                    }
                };
                if self.shutdown.unless_begun(something).await.is_none() {
                    return Ok(());
                }
            }
        }
    }

    /// Where the ledger stands in each topic; where retention has moved past it, the first that is still held.
    async fn find_places(&mut self) -> Result<Vec<Place>, RetryError> {
        let mut places = Vec::new();
        for topic in RECORDED {
            let partitions = match topic.is_partitioned_as_log() {
                true => self.parts.bus.partitions(),
                false => 1,
            };
            for partition in 0..partitions {
                let RecorderParts { bus, ledger, .. } = &self.parts;
                let next = self
                    .retry
                    .run(&self.shutdown, || async {
                        let position = ledger.position(topic, partition).await?;
                        let start = bus.start(topic, partition).await?;
                        Ok(position.max(start))
                    })
                    .await?;
                places.push(Place {
                    topic,
                    partition,
                    next,
                });
            }
        }
        Ok(places)
    }

    /// Records the next batch of one place. *Returns*: how many records it held.
    async fn record_next(&mut self, index: usize) -> Result<usize, RetryError> {
        let Some(place) = self.places.get(index).copied() else {
            return Ok(0);
        };
        let RecorderParts { bus, .. } = &self.parts;
        let batch = self
            .retry
            .run(&self.shutdown, || {
                bus.read(place.topic, place.partition, place.next, BATCH)
            })
            .await?;
        if batch.next <= place.next {
            return Ok(0);
        }
        let started = Instant::now();
        let rows = Rows::of(place, &batch.records);
        let parts = self.parts.clone();
        let recording = &self.recording;
        let write = || async {
            let written = write(&parts, &rows, place, batch.next).await;
            if let Err(failure) = &written {
                recording.failing(chain(failure));
            }
            written
        };
        self.retry.run(&self.shutdown, write).await?;
        recording.ready();
        let metrics = &self.parts.metrics;
        metrics
            .console
            .record_seconds
            .observe(started.elapsed().as_secs_f64());
        count(metrics, LedgerTable::Decisions, rows.decisions.len());
        count(metrics, LedgerTable::Receipts, rows.receipts.len());
        count(metrics, LedgerTable::Standings, rows.standings.len());
        count(metrics, LedgerTable::EnforcementPoints, rows.points.len());
        if let Some(place) = self.places.get_mut(index) {
            place.next = batch.next;
        }
        self.let_go(place, batch.next).await;
        Ok(batch.records.len())
    }

    /// Receipts and standings are for the recorder alone: what is in the ledger leaves the topic.
    async fn let_go(&self, place: Place, before: u64) {
        if place.topic.is_partitioned_as_log() {
            return;
        }
        let bus = &self.parts.bus;
        if let Err(failure) = bus.trim(place.topic, place.partition, before).await {
            warn!(
                error = chain(&failure),
                "what is recorded stays in its topic"
            );
        }
    }

    async fn tell_lag(&mut self) -> Result<(), RetryError> {
        let mut lag = 0_u64;
        for place in &self.places {
            let RecorderParts { bus, .. } = &self.parts;
            let end = self
                .retry
                .run(&self.shutdown, || bus.end(place.topic, place.partition))
                .await?;
            lag = lag.saturating_add(end.saturating_sub(place.next));
        }
        let lag = float(i64::try_from(lag).unwrap_or(i64::MAX));
        self.parts.metrics.console.record_lag.set(lag);
        Ok(())
    }
}

/// What a batch of one topic comes to.
#[derive(Debug, Default)]
struct Rows {
    decisions: Vec<LedgerDecision>,
    receipts: Vec<Receipt>,
    standings: Vec<SubjectStanding>,
    /// The latest word of each.
    points: BTreeMap<(String, String), EnforcementPoint>,
}

impl Rows {
    fn of(place: Place, records: &[BusRecord]) -> Self {
        let mut rows = Self::default();
        for record in records.iter().filter(|record| !record.value.is_empty()) {
            if let Err(failure) = rows.add(place.topic, record) {
                error!(
                    error = chain(&failure),
                    topic = place.topic.name(),
                    partition = place.partition,
                    offset = record.offset,
                    "record left out of the ledger"
                );
            }
        }
        rows
    }
}

impl Rows {
    fn add(&mut self, topic: Topic, record: &BusRecord) -> Result<(), Unreadable> {
        if topic == Topic::Standings {
            self.standings.extend(row::standings(&record.value)?);
        } else if topic == Topic::Receipts {
            let told = row::told(&record.value)?;
            self.receipts.extend(told.receipts);
            let key = (told.point.name.clone(), told.point.client.clone());
            let acknowledged = self
                .points
                .get(&key)
                .and_then(|earlier| earlier.acknowledged.clone());
            let mut point = told.point;
            point.acknowledged = point.acknowledged.or(acknowledged);
            self.points.insert(key, point);
        } else {
            self.decisions.push(row::decision(&record.value)?);
        }
        Ok(())
    }
}

/// Rows first, then the position.
async fn write(parts: &RecorderParts, rows: &Rows, place: Place, next: u64) -> PortResult<()> {
    let ledger = &parts.ledger;
    if !rows.decisions.is_empty() {
        ledger.record_decisions(&rows.decisions).await?;
    }
    if !rows.receipts.is_empty() {
        ledger.record_receipts(&rows.receipts).await?;
    }
    if !rows.standings.is_empty() {
        ledger.record_standings(&rows.standings).await?;
    }
    for point in rows.points.values() {
        ledger.record_enforcement_point(point).await?;
    }
    ledger
        .set_position(place.topic, place.partition, next)
        .await
}

fn count(metrics: &Metrics, table: LedgerTable, rows: usize) {
    let rows = u64::try_from(rows).unwrap_or(u64::MAX);
    metrics.console.recorded_rows.of(&table).inc_by(rows);
}

/// Ready when something was appended; never where the bus has gone (then the poll alone reads).
async fn changed(changes: &mut watch::Receiver<u64>) {
    if changes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
