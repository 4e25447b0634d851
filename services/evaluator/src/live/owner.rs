//! One owner of one partition, from taking it up to giving it up. Keeps the order of effects: commit, then publish, then
//! clear; knows nothing of what is judged.

use std::time::Duration;

use caerus_engine::time::Timestamp;
use caerus_runtime::metric::{Gauge, label};
use caerus_runtime::port::{
    BusBatch, Commit, Epoch, NewRecord, OutboxEntry, PartitionState, PortError, PortErrorKind,
    PortResult, Topic,
};
use caerus_runtime::retry::{Retry, RetryError};
use caerus_runtime::shutdown::Shutdown;
use caerus_wire::record;
use tokio::sync::watch;
use tokio::time::Instant;

use super::batch::give_up;
use super::report::Reporter;
use super::sweep::Sweeper;
use super::wake::Waking;
use super::{Evaluator, Patience};
use crate::cache::Cache;
use crate::fold::Partition;
use crate::fold::agenda::Agenda;

/// Published entries that may wait in the outbox before they are cleared although there is work.
const UNCLEARED_MAX: u64 = 512;

/// A partition in hand.
pub(crate) struct Owner<'a> {
    pub(crate) evaluator: &'a Evaluator,
    pub(crate) number: u32,
    pub(crate) epoch: Epoch,
    pub(crate) partition: Partition,
    pub(crate) cache: Cache,
    /// Where to read on; everything below is committed.
    pub(crate) position: u64,
    /// Outputs of everything below are published.
    pub(crate) completed: u64,
    pub(crate) next_sequence: u64,
    /// Published and still in the store's outbox.
    uncleared: u64,
    /// Committed by a former owner, whose outputs may not be published yet.
    left_behind: Vec<NewRecord>,
    /// The shared part of the state differs from what the store has.
    pub(crate) is_shared_changed: bool,
    pub(crate) waking: Waking,
    pub(crate) reporter: Reporter,
    pub(crate) sweeper: Sweeper,
    /// When an input was last read. *Units*: of the steady clock.
    pub(crate) busy_ms: u64,
    pub(crate) retry: Retry,
    cached: Share,
    /// Reading on is given up when this begins.
    stop: Shutdown,
    /// Never begins: what a batch needs is tried to the end, a stop waits for it.
    pub(crate) insist: Shutdown,
}

impl<'a> Owner<'a> {
    /// Takes up what the store has. A store of another log, or an empty one, means folding the log from its start.
    pub(crate) async fn open(
        evaluator: &'a Evaluator,
        number: u32,
        epoch: Epoch,
        stop: &Shutdown,
    ) -> PortResult<Self> {
        let ports = &evaluator.ports;
        let insist = Shutdown::new();
        let retries = &ports.metrics.runtime.retries;
        let retries = retries.of(&label::Room::Evaluator);
        let mut retry = Retry::new(evaluator.config.retry, evaluator.jitter(number), retries);
        let state = retry.run(&insist, || ports.store.open(number, epoch)).await;
        let state = state.map_err(|error| give_up(error, number))?;
        let completed = retry.run(&insist, || ports.bus.completed(number)).await;
        let completed = completed.map_err(|error| give_up(error, number))?;
        let start = retry
            .run(&insist, || ports.bus.start(Topic::Signals, number))
            .await;
        let start = start.map_err(|error| give_up(error, number))?;
        if state.position < start {
            return Err(log_too_short(number, state.position, start));
        }
        let position = state.position;
        tracing::info!(
            partition = number,
            position,
            completed,
            claim = epoch.claim_offset,
            "partition taken up"
        );
        let (partition, left_behind, next_sequence) = restore(evaluator, number, state)?;
        Ok(Self {
            evaluator,
            number,
            epoch,
            partition,
            cache: Cache::new(evaluator.config.cache_bytes_max),
            position,
            completed,
            next_sequence,
            uncleared: 0,
            left_behind,
            is_shared_changed: false,
            waking: Waking::default(),
            reporter: Reporter::new(ports.bus.partitions()),
            sweeper: Sweeper::new(ports.clock.monotonic_ms()),
            busy_ms: ports.clock.monotonic_ms(),
            retry,
            cached: Share::of(ports.metrics.evaluator.cached_records.clone()),
            stop: stop.clone(),
            insist,
        })
    }

    /// Publishes what was committed and perhaps not published, and learns how far the outputs reach.
    pub(crate) async fn settle(&mut self) -> PortResult<()> {
        let left_behind = std::mem::take(&mut self.left_behind);
        self.uncleared = u64::try_from(left_behind.len()).unwrap_or(u64::MAX);
        // Outputs and `completed` are one transaction: where it has reached the position, all of them are out. They leave
        // the outbox now. A store that came back older may lack what followed them; were they to wait until the
        // position has passed `completed` again, a later owner would say them after what followed.
        if self.completed >= self.position {
            self.clear().await?;
        } else if !left_behind.is_empty() {
            self.publish(left_behind).await?;
        }
        self.reporter.decisions_offset = self.end(Topic::Decisions, self.number).await?;
        for partition in 0..self.partition.partitions() {
            let end = self.end(Topic::Signals, partition).await?;
            self.reporter.note_derived(partition, end.saturating_sub(1));
        }
        Ok(())
    }

    pub(crate) async fn end(&mut self, topic: Topic, partition: u32) -> PortResult<u64> {
        let bus = &self.evaluator.ports.bus;
        let end = self
            .retry
            .run(&self.insist, || bus.end(topic, partition))
            .await;
        end.map_err(|error| give_up(error, self.number))
    }

    /// Reads, judges, commits and publishes until `stop`, or until a port fails.
    pub(crate) async fn serve(
        &mut self,
        stop: &Shutdown,
        patience: &mut Patience,
    ) -> PortResult<()> {
        let mut appended = self.evaluator.ports.bus.appended(Topic::Signals);
        while !stop.is_begun() {
            appended.borrow_and_update();
            let Some(batch) = self.read().await? else {
                break;
            };
            let has_moved = batch.next > self.position;
            if has_moved {
                self.take(batch).await?;
                patience.renew();
            }
            self.tend(!has_moved).await?;
            if !has_moved {
                self.rest(stop, &mut appended).await;
            }
        }
        self.clear().await?;
        self.report().await
    }

    /// `None` when the stop came first.
    async fn read(&mut self) -> PortResult<Option<BusBatch>> {
        self.cached.set(self.cache.len());
        let (bus, limit) = (&self.evaluator.ports.bus, self.evaluator.config.batch);
        let (number, position) = (self.number, self.position);
        let read = || bus.read(Topic::Signals, number, position, limit);
        match self.retry.run(&self.stop, read).await {
            Ok(batch) => Ok(Some(batch)),
            Err(RetryError::Stopped) => Ok(None),
            Err(RetryError::GaveUp { source, .. }) => Err(source),
        }
    }

    /// What is due beside the log itself.
    async fn tend(&mut self, is_at_end: bool) -> PortResult<()> {
        // INVARIANT: an owner appends nothing but its claim until it has read past that claim; only then is it sure
        // of having seen everything its predecessors appended.
        if self.position <= self.epoch.claim_offset {
            return Ok(());
        }
        self.wake(is_at_end).await?;
        self.rejudge().await?;
        if is_at_end || self.uncleared >= UNCLEARED_MAX {
            self.clear().await?;
        }
        if is_at_end {
            self.sweep().await?;
        }
        self.report_where_due().await
    }

    /// The one transaction of a batch: records, outbox and position.
    pub(crate) async fn commit(&mut self, position: u64, outputs: &[NewRecord]) -> PortResult<()> {
        let sequences = self.next_sequence..;
        let outbox: Vec<_> = sequences
            .zip(outputs)
            .map(|(sequence, record)| OutboxEntry {
                sequence,
                record: record.clone(),
            })
            .collect();
        let shared = self.partition.shared();
        let commit = Commit {
            partition: self.number,
            epoch: self.epoch,
            follows: self.position,
            position,
            records: self.cache.drain_changed(self.partition.agenda()),
            outbox,
            shared: self
                .is_shared_changed
                .then(|| record::encode_shared_fold(&shared)),
        };
        let started = Instant::now();
        self.evaluator.ports.store.commit(commit).await?;
        let metrics = &self.evaluator.ports.metrics.evaluator;
        metrics
            .commit_seconds
            .observe(started.elapsed().as_secs_f64());
        metrics.batches.inc();
        let len = u64::try_from(outputs.len()).unwrap_or(u64::MAX);
        self.next_sequence = self.next_sequence.saturating_add(len);
        self.uncleared = self.uncleared.saturating_add(len);
        self.is_shared_changed = false;
        self.position = position;
        Ok(())
    }

    /// Publishes outputs in order, in one transaction that says up to where outputs are complete.
    pub(crate) async fn publish(&mut self, outputs: Vec<NewRecord>) -> PortResult<()> {
        let told: Vec<_> = outputs.iter().map(|o| (o.topic, o.partition)).collect();
        let evaluator = &self.evaluator.ports.metrics.evaluator;
        let (bus, completed) = (&self.evaluator.ports.bus, self.position.max(self.completed));
        let started = Instant::now();
        let waiting = evaluator.outbox.of(&label::Partition(self.number));
        waiting.set(u32::try_from(told.len()).map_or(f64::MAX, f64::from));
        let offsets = bus
            .publish(self.number, self.epoch, outputs, completed)
            .await?;
        waiting.set(0.0);
        evaluator
            .publish_seconds
            .observe(started.elapsed().as_secs_f64());
        self.completed = completed;
        for ((topic, partition), offset) in told.into_iter().zip(offsets) {
            match topic {
                Topic::Decisions => self.reporter.decisions_offset = offset + 1,
                Topic::Signals => self.reporter.note_derived(partition, offset),
                Topic::Shadow
                | Topic::DeadLetters
                | Topic::Progress
                | Topic::Receipts
                | Topic::Standings => {}
            }
        }
        Ok(())
    }

    /// Lets the store forget what is published.
    async fn clear(&mut self) -> PortResult<()> {
        if self.uncleared == 0 {
            return Ok(());
        }
        let store = &self.evaluator.ports.store;
        store
            .clear_outbox(self.number, self.epoch, self.next_sequence)
            .await?;
        self.uncleared = 0;
        Ok(())
    }

    /// Until there may be something to do.
    async fn rest(&mut self, stop: &Shutdown, appended: &mut watch::Receiver<u64>) {
        let wait = tokio::time::sleep(Duration::from_millis(self.rest_ms()));
        tokio::select! {
            biased;
            () = stop.begun() => {}
            Ok(()) = appended.changed() => {}
            () = wait => {}
        }
    }

    fn rest_ms(&self) -> u64 {
        let longest = self.evaluator.config.rest_ms_max;
        let now = self.now();
        let until_wake = self.partition.agenda().first_by_clock().map(|at| {
            let wait = at.since(now).0;
            u64::try_from(wait).unwrap_or(0).max(1)
        });
        [until_wake, self.report_in_ms(), self.rejudge_in_ms()]
            .into_iter()
            .flatten()
            .fold(longest, u64::min)
            .max(1)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.evaluator.ports.clock.now()
    }

    pub(crate) fn monotonic_ms(&self) -> u64 {
        self.evaluator.ports.clock.monotonic_ms()
    }
}

/// One owner's part of a level that all partitions share; taken back when the owner ends.
struct Share {
    whole: Gauge,
    part: f64,
}

impl Share {
    fn of(whole: Gauge) -> Self {
        Self { whole, part: 0.0 }
    }

    fn set(&mut self, len: usize) {
        let part = u32::try_from(len).map_or(f64::from(u32::MAX), f64::from);
        self.whole.inc_by(part - self.part);
        self.part = part;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.whole.dec_by(self.part);
    }
}

type Restored = (Partition, Vec<NewRecord>, u64);

fn restore(evaluator: &Evaluator, number: u32, state: PartitionState) -> PortResult<Restored> {
    let corrupt = |what: &str| {
        let operation = format!("take up {what} of partition {number}");
        PortError::new(PortErrorKind::Corrupt, operation)
    };
    let shared = match &state.shared {
        Some(bytes) => record::decode_shared_fold(bytes)
            .map_err(|error| corrupt("the shared state").because(error))?,
        None => record::SharedFold::default(),
    };
    let agenda = Agenda::restore(state.agenda);
    let partition = Partition::restore(evaluator.settings(), shared, agenda)
        .map_err(|problem| corrupt("the policy in force").because(problem))?;
    let left_behind = state.outbox.into_iter().map(|entry| entry.record).collect();
    Ok((partition, left_behind, state.next_sequence))
}

fn log_too_short(partition: u32, position: u64, start: u64) -> PortError {
    let operation = format!(
        "take up partition {partition}: its records end at {position}, but the log now begins at {start}"
    );
    PortError::new(PortErrorKind::Refused, operation)
}
