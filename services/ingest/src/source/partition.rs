//! One partition of a source topic: read a batch, append all of it, only then mark it done. Knows no broker; what a message
//! says is read beside.

use std::net::IpAddr;
use std::time::Duration;

use caerus_engine::signal::Place;
use caerus_engine::time::Timestamp;
use caerus_runtime::metric::label::{Entrance, Room};
use caerus_runtime::port::sources::{SourceMessage, SourcePartition};
use caerus_runtime::port::{PortError, PortErrorKind, ReadLimit};
use caerus_runtime::retry::{Jitter, Retry, RetryError, RetryPolicy};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::chain;
use tokio::sync::watch;

use crate::dead_letter::Whole;
use crate::intake::{counted, pieces};

use super::Taker;
use super::message::{Surroundings, Taken, take};
use super::number::Source;

/// What one batch holds at most; a single message may be larger.
const BATCH: ReadLimit = ReadLimit {
    records: 1_000,
    bytes: 4 * 1024 * 1024,
};
/// *Units*: bytes of messages that are read where they are; more of them leave the async threads alone.
const INLINE_BYTES_MAX: usize = 16 * 1024;
/// What a batch in hand has to be finished after the stop began.
const GRACE: Duration = Duration::from_secs(4);
/// Before a partition is taken up again that was another member's, or whose retention overtook it.
const REST: Duration = Duration::from_secs(1);

/// Why a partition is not taken in any more.
#[derive(Debug, thiserror::Error)]
#[error("could not take in {partition}")]
pub struct SourceError {
    pub partition: SourcePartition,
    #[source]
    source: RetryError,
}

/// One partition's work.
pub(super) struct Work {
    pub(super) taker: Taker,
    pub(super) source: Source,
    /// Everything below is in the log; `None` before it is known.
    pub(super) done: watch::Sender<Option<u64>>,
    pub(super) stop: Shutdown,
}

impl Work {
    /// Until the stop. *Errors*: what trying again does not help, or has not helped.
    pub(super) async fn run(self) -> Result<(), SourceError> {
        let retries = self.taker.ports.metrics.runtime.retries.of(&Room::Ingest);
        let mut retry = Retry::new(RetryPolicy::LOOP, Jitter::random(), retries);
        loop {
            let source = match self.serve(&mut retry).await {
                RetryError::Stopped => return Ok(()),
                error @ RetryError::GaveUp { .. } => error,
            };
            if source.kind() != Some(PortErrorKind::Conflict) {
                let partition = self.source.place.clone();
                return Err(SourceError { partition, source });
            }
            tracing::info!(source = %self.source.place, error = chain(&source), "source partition given up");
            if self
                .stop
                .unless_begun(tokio::time::sleep(REST))
                .await
                .is_none()
            {
                return Ok(());
            }
        }
    }

    /// One stretch of having the partition. *Returns*: why it ended.
    async fn serve(&self, retry: &mut Retry) -> RetryError {
        match self.read_on(retry).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn read_on(&self, retry: &mut Retry) -> Result<core::convert::Infallible, RetryError> {
        let (sources, place) = (self.taker.sources.as_ref(), &self.source.place);
        let mut position = self.begin(retry).await?;
        let mut marked = position;
        loop {
            self.done.send_replace(Some(position));
            if marked < position && self.mark_done(position).await? {
                marked = position;
            }
            let read = || sources.read(place, position, BATCH);
            let batch = retry.run(&self.stop, read).await?;
            if !batch.messages.is_empty() {
                self.within_grace(self.take_in(retry, batch.messages))
                    .await?;
            }
            position = batch.next;
        }
    }

    /// Where the group left off, or where the topic now begins.
    async fn begin(&self, retry: &mut Retry) -> Result<u64, RetryError> {
        let (sources, place) = (self.taker.sources.as_ref(), &self.source.place);
        let standing = retry.run(&self.stop, || sources.standing(place)).await?;
        let done = standing.done.unwrap_or(standing.start);
        if done > standing.end {
            // What it held before is gone with it; what it holds now is new.
            tracing::error!(source = %place, done, end = standing.end, "the topic was made anew, it is read from its start");
            return Ok(standing.start);
        }
        if standing.start > done {
            let skipped = standing.start - done;
            let metrics = &self.taker.ports.metrics.ingest;
            metrics
                .skipped_messages
                .of(&self.source.label)
                .inc_by(skipped);
            tracing::error!(source = %place, skipped, "the topic let go of messages before they were read");
        }
        Ok(done.max(standing.start))
    }

    /// What was not marked is read again by whoever comes next, which is harmless; so this is tried once for each batch.
    ///
    /// *Returns*: whether it is marked.
    async fn mark_done(&self, position: u64) -> Result<bool, RetryError> {
        let place = &self.source.place;
        let marking = async { Ok(self.taker.sources.mark_done(place, position).await) };
        let Err(error) = self.within_grace(marking).await? else {
            return Ok(true);
        };
        tracing::debug!(source = %place, position, error = chain(&error), "not marked as done");
        if error.kind == PortErrorKind::Conflict {
            return Err(RetryError::GaveUp {
                attempts: 1,
                source: error,
            });
        }
        Ok(false)
    }

    /// Lets what is in hand be finished, but not for ever once the stop began.
    async fn within_grace<T>(
        &self,
        work: impl Future<Output = Result<T, RetryError>>,
    ) -> Result<T, RetryError> {
        let overdue = async {
            self.stop.begun().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            biased;
            outcome = work => outcome,
            () = overdue => Err(RetryError::Stopped),
        }
    }

    /// Durable when it returns, each message as an event or as a letter.
    async fn take_in(
        &self,
        retry: &mut Retry,
        messages: Vec<SourceMessage>,
    ) -> Result<(), RetryError> {
        let bytes: usize = messages.iter().map(|message| message.value.len()).sum();
        let now = self.taker.ports.clock.now();
        let taken = self.read(messages, bytes, now).await?;
        match self.append(retry, &taken, (now, Whole::KEPT)).await {
            // No signal is that long; a letter may be, where the broker takes less than others do.
            Err(error) if error.kind() == Some(PortErrorKind::Refused) && has_letter(&taken) => {
                self.append(retry, &taken, (now, Whole::SCANT)).await?;
            }
            outcome => outcome?,
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.taker.ports.metrics.ingest.received_bytes.inc_by(bytes);
        self.count(taken);
        Ok(())
    }

    async fn read(
        &self,
        messages: Vec<SourceMessage>,
        bytes: usize,
        now: Timestamp,
    ) -> Result<Vec<Taken>, RetryError> {
        let (taker, source) = (self.taker.clone(), self.source.clone());
        let work = move || read_all(messages, &taker, &source, now);
        if bytes <= INLINE_BYTES_MAX {
            return Ok(work());
        }
        let read = tokio::task::spawn_blocking(work).await;
        read.map_err(|error| RetryError::GaveUp {
            attempts: 1,
            source: PortError::new(PortErrorKind::Corrupt, "read a batch").because(error),
        })
    }

    /// In order, and piece by piece until each is durable. What was appended before a failure is then a repeat, which
    /// changes nothing.
    async fn append(
        &self,
        retry: &mut Retry,
        taken: &[Taken],
        (at, whole): (Timestamp, Whole),
    ) -> Result<(), RetryError> {
        let ports = &self.taker.ports;
        let records = taken.iter().map(|taken| taken.records(at, whole)).collect();
        // The stop does not end it: only its grace does.
        let never = Shutdown::new();
        for piece in pieces(records) {
            let began = ports.clock.monotonic_ms();
            retry
                .run(&never, || ports.bus.append(piece.clone()))
                .await?;
            let took = Duration::from_millis(ports.clock.monotonic_ms().saturating_sub(began));
            ports
                .metrics
                .ingest
                .append_seconds
                .observe(took.as_secs_f64());
        }
        Ok(())
    }

    fn count(&self, taken: Vec<Taken>) {
        let metrics = &self.taker.ports.metrics.ingest;
        for taken in taken {
            match taken {
                Taken::Event { kind, noted, .. } => {
                    noted.keep();
                    metrics.accepted_events.of(&counted(kind)).inc();
                    metrics.taken_events.of(&Entrance::Topic).inc();
                }
                Taken::Letter(letter) => {
                    metrics.dead_letters.of(&letter.reason).inc();
                }
            }
        }
    }
}

fn has_letter(taken: &[Taken]) -> bool {
    taken.iter().any(|taken| matches!(taken, Taken::Letter(_)))
}

fn read_all(
    messages: Vec<SourceMessage>,
    taker: &Taker,
    source: &Source,
    now: Timestamp,
) -> Vec<Taken> {
    let geo = taker.ports.geo.as_deref();
    let locate = |address: IpAddr| geo.map_or_else(Place::default, |geo| geo.locate(address));
    let around = Surroundings {
        source,
        received_at: now,
        partitions: taker.ports.bus.partitions(),
        locate: &locate,
        sightings: &taker.sightings,
    };
    messages
        .into_iter()
        .map(|message| take(message, &around))
        .collect()
}
