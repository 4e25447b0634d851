//! One batch: decode, load in one round trip, step each, then one commit, then one publication.

use std::collections::BTreeMap;

use caerus_engine::id::SubjectHash;
use caerus_engine::score::Scored;
use caerus_engine::step::{Derived, Input};
use caerus_engine::time::Timestamp;
use caerus_runtime::metric::label;
use caerus_runtime::port::{
    BusBatch, BusRecord, NewRecord, PortError, PortErrorKind, PortResult, SubjectStanding, Topic,
};
use caerus_runtime::retry::RetryError;
use caerus_wire::entry::Entry;
use tokio::time::Instant;

use super::owner::Owner;
use super::{count, output, standing};
use crate::cache::KeptAs;
use crate::fold::{Outcome, PolicyNews, needs, population_key};

/// What the entries of one batch gave.
#[derive(Debug, Default)]
struct Yield {
    outputs: Vec<NewRecord>,
    standings: Vec<SubjectStanding>,
    kinds: BTreeMap<label::SignalKind, u64>,
}

impl Owner<'_> {
    /// Takes one batch through the order of effects.
    pub(crate) async fn take(&mut self, batch: BusBatch) -> PortResult<()> {
        let next = batch.next;
        let entries: Vec<_> = batch.records.into_iter().map(decode).collect();
        self.load(&entries).await?;
        let decided_at = self.now();
        let mut given = Yield::default();
        for (offset, entry) in entries {
            match entry {
                Ok(entry) => self.step(offset, &entry, decided_at, &mut given),
                Err(unreadable) => {
                    let letter = self.bury(offset, unreadable, decided_at);
                    given.outputs.extend(letter);
                }
            }
        }
        self.commit(next, &given.outputs).await?;
        if !given.outputs.is_empty() {
            self.publish(given.outputs).await?;
        }
        self.cache.evict();
        self.tell(given.kinds, given.standings);
        Ok(())
    }

    /// Brings every record that the entries need into the cache. A wake-up does not say its tenant: its population is
    /// known only once its record is there, which takes a second trip where it is not at hand.
    async fn load(&mut self, entries: &[(u64, Result<Entry, Unreadable>)]) -> PortResult<()> {
        let readable = entries.iter().filter_map(|(_, entry)| entry.as_ref().ok());
        let needs: Vec<_> = readable.map(needs).collect();
        let records = needs.iter().filter_map(|need| need.record);
        let populations = needs.iter().filter_map(|need| need.population);
        let mut missing: BTreeMap<SubjectHash, KeptAs> = BTreeMap::new();
        missing.extend(records.map(|key| (key, KeptAs::Record)));
        missing.extend(populations.map(|key| (key, KeptAs::Population)));
        self.load_missing(missing).await?;

        let untold = needs.iter().filter(|need| need.population.is_none());
        let records = untold.filter_map(|need| self.cache.record(need.record?));
        let populations = records.map(|record| population_key(record.core().key.tenant()));
        let missing = populations.map(|key| (key, KeptAs::Population)).collect();
        self.load_missing(missing).await
    }

    pub(crate) async fn load_missing(
        &mut self,
        mut keys: BTreeMap<SubjectHash, KeptAs>,
    ) -> PortResult<()> {
        keys.retain(|key, _| !self.cache.holds(*key));
        if keys.is_empty() {
            return Ok(());
        }
        let wanted: Vec<_> = keys.keys().copied().collect();
        let (store, number) = (&self.evaluator.ports.store, self.number);
        let found = self
            .retry
            .run(&self.insist, || store.load(number, &wanted))
            .await;
        let found = found.map_err(|error| give_up(error, number))?;
        for ((key, kept_as), bytes) in keys.into_iter().zip(found) {
            self.cache
                .decode(key, kept_as, bytes.as_deref())
                .map_err(|error| {
                    let operation = format!("decode record {key} of partition {number}");
                    PortError::new(PortErrorKind::Corrupt, operation).because(error)
                })?;
        }
        Ok(())
    }

    fn step(&mut self, offset: u64, entry: &Entry, decided_at: Timestamp, given: &mut Yield) {
        let started = Instant::now();
        let outcome = self.partition.apply(entry, &mut self.cache);
        let metrics = &self.evaluator.ports.metrics.evaluator;
        metrics
            .step_seconds
            .observe(started.elapsed().as_secs_f64());
        *given.kinds.entry(count::kind(entry)).or_default() += 1;
        self.note_entry(entry, &outcome);
        self.count(&outcome);
        given.standings.extend(standing_of(entry, &outcome));
        // INVARIANT: what was caused below `completed` is published already; a fold of it anew says nothing twice.
        if offset >= self.completed {
            self.give(outcome, decided_at, given);
        }
    }

    fn note_entry(&mut self, entry: &Entry, outcome: &Outcome) {
        match entry {
            Entry::Input { input, .. } => {
                self.waking.note_read(input);
                if !matches!(input, Input::WakeUp(_)) {
                    self.busy_ms = self.monotonic_ms();
                }
            }
            Entry::Climate(_) | Entry::Watermark { .. } => self.is_shared_changed = true,
            Entry::Policy(_) => {
                self.is_shared_changed = true;
                self.waking.note_policy(self.partition.to_rejudge().len());
            }
            Entry::Claim { .. } => {}
        }
        if let Some(news) = &outcome.policy {
            self.tell_policy(news);
        }
    }

    fn tell_policy(&self, news: &PolicyNews) {
        let partition = self.number;
        match news {
            PolicyNews::InForce { revision } => {
                tracing::info!(partition, %revision, "policy in force");
            }
            PolicyNews::Refused {
                revision,
                kept,
                problem,
            } => {
                let metrics = &self.evaluator.ports.metrics.evaluator;
                metrics.failed_policy_revisions.inc();
                tracing::error!(partition, %revision, %kept, error = problem, "policy refused, the last good one stays");
            }
        }
    }

    fn count(&self, outcome: &Outcome) {
        let metrics = &self.evaluator.ports.metrics.evaluator;
        for decision in &outcome.decisions {
            let labels = (count::action(&decision.action), count::mode(decision.mode));
            metrics.decisions.of(&labels).inc();
        }
        if let Some(Scored::Ignored(reason)) = outcome.score.as_ref().map(|line| &line.outcome) {
            metrics.ignored_signals.of(&count::ignored(*reason)).inc();
        }
        for breach in &outcome.breaches {
            metrics
                .invariant_violations
                .of(&count::invariant(*breach))
                .inc();
            tracing::error!(
                partition = self.number,
                invariant = breach.name(),
                "an invariant does not hold"
            );
        }
    }

    fn give(&self, outcome: Outcome, decided_at: Timestamp, given: &mut Yield) {
        for decision in &outcome.decisions {
            let record = output::decision(self.number, decision, decided_at);
            given.outputs.push(record);
        }
        let metrics = &self.evaluator.ports.metrics.evaluator;
        for derived in outcome.derived {
            if matches!(derived, Derived::Signal(_)) {
                metrics.derived_signals.inc();
            }
            given
                .outputs
                .extend(output::derived(self.partition.partitions(), derived));
        }
    }

    /// INVARIANT (INV-9): what was accepted is evaluated or is in the dead letters.
    fn bury(&self, offset: u64, unreadable: Unreadable, now: Timestamp) -> Option<NewRecord> {
        let partition = self.number;
        let error = unreadable.problem.as_str();
        tracing::error!(
            partition,
            offset,
            error,
            "log entry unreadable, kept as a dead letter"
        );
        let place = output::Place {
            source: Topic::Signals.name(),
            partition,
            offset,
        };
        (offset >= self.completed).then(|| output::dead_letter(place, unreadable, now))
    }

    fn tell(&self, kinds: BTreeMap<label::SignalKind, u64>, standings: Vec<SubjectStanding>) {
        let metrics = &self.evaluator.ports.metrics.evaluator;
        for (kind, len) in kinds {
            metrics.signals.of(&kind).inc_by(len);
        }
        if let Some(told) = &self.evaluator.ports.standings
            && !standings.is_empty()
            && told.try_send(standings).is_err()
        {
            tracing::debug!(
                partition = self.number,
                "standings dropped, their reader is slow"
            );
        }
    }
}

/// A log entry that is none.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) bytes: std::sync::Arc<[u8]>,
    pub(crate) problem: String,
}

fn decode(record: BusRecord) -> (u64, Result<Entry, Unreadable>) {
    let entry = Entry::from_bytes(&record.value).map_err(|error| Unreadable {
        bytes: record.value,
        problem: error.to_string(),
    });
    (record.offset, entry)
}

pub(crate) fn give_up(error: RetryError, partition: u32) -> PortError {
    match error {
        RetryError::GaveUp { source, .. } => source,
        RetryError::Stopped => PortError::new(
            PortErrorKind::Unavailable,
            format!("go on with partition {partition} after the stop"),
        ),
    }
}

fn standing_of(entry: &Entry, outcome: &Outcome) -> Option<SubjectStanding> {
    let Entry::Input {
        input: Input::Signal(signal),
        ..
    } = entry
    else {
        return None;
    };
    let line = outcome.score.as_ref()?;
    standing::standing(signal.subject.tenant(), line, signal.origin.time)
}
