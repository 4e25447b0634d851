//! The same fold without a world around it: partitions in memory, fed event by event or from an exported log. Knows no
//! clock, no store and no broker, and reads no files: whoever calls brings the signals or the entries.

use std::collections::{BTreeMap, VecDeque};

use caerus_engine::decide::Decision;
use caerus_engine::id::{SubjectHash, TenantId};
use caerus_engine::record::{Population, SubjectRecord};
use caerus_engine::score::{ScoreLine, Scored};
use caerus_engine::signal::Signal;
use caerus_engine::step::{Derived, Input, WakeReason, WakeUp};
use caerus_engine::time::Timestamp;
use caerus_wire::entry::Entry;

use crate::fold::agenda::Due;
use crate::fold::policies::InForce;
use crate::fold::{Outcome, Partition, PolicyNews, RecordAccess, Settings};

/// Derived signals that one event may cause before the rest is dropped: a guard against subjects that answer each other.
const DERIVED_PER_EVENT_MAX: usize = 4_096;

/// What a replay says, in the contract's order: an event's score before the decisions it causes.
#[derive(Debug)]
pub enum Line<'a> {
    Score {
        tenant: &'a TenantId,
        line: &'a ScoreLine,
    },
    Decision(&'a Decision),
    Policy(&'a PolicyNews),
}

/// What a replay went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub entries: u64,
    pub scored: u64,
    pub ignored: u64,
    pub decisions: u64,
    pub derived: u64,
    pub wake_ups: u64,
    pub breaches: u64,
    /// Derived signals beyond the bound of one event.
    pub dropped: u64,
}

/// Records in memory, decoded: as many as there are subjects.
#[derive(Debug, Default)]
pub struct Memory {
    records: BTreeMap<SubjectHash, SubjectRecord>,
    populations: BTreeMap<SubjectHash, Population>,
}

impl Memory {
    pub fn records(&self) -> &BTreeMap<SubjectHash, SubjectRecord> {
        &self.records
    }

    pub fn populations(&self) -> &BTreeMap<SubjectHash, Population> {
        &self.populations
    }
}

impl RecordAccess for Memory {
    fn take_record(&mut self, key: SubjectHash) -> Option<SubjectRecord> {
        self.records.remove(&key)
    }

    fn put_record(&mut self, key: SubjectHash, record: Option<SubjectRecord>, _: bool) {
        if let Some(record) = record {
            self.records.insert(key, record);
        }
    }

    fn take_population(&mut self, key: SubjectHash) -> Population {
        self.populations.remove(&key).unwrap_or_default()
    }

    fn put_population(&mut self, key: SubjectHash, population: Population, _: bool) {
        self.populations.insert(key, population);
    }
}

#[derive(Debug)]
struct Shard {
    partition: Partition,
    memory: Memory,
}

impl Shard {
    fn new(settings: &Settings, policy: &InForce) -> Self {
        Self {
            partition: Partition::new(settings.clone(), policy.clone()),
            memory: Memory::default(),
        }
    }

    fn apply(&mut self, entry: &Entry) -> Outcome {
        self.partition.apply(entry, &mut self.memory)
    }
}

/// Raw events: what the live system would compute if every event came in the order of the file and at once.
#[derive(Debug)]
pub struct RawReplay {
    shards: Vec<Shard>,
    counts: Counts,
}

impl RawReplay {
    pub fn new(settings: &Settings, policy: &InForce) -> Self {
        let shards = 0..settings.partitions.max(1);
        Self {
            shards: shards.map(|_| Shard::new(settings, policy)).collect(),
            counts: Counts::default(),
        }
    }

    /// Takes one event: the signals it was normalised to, of one time. What is due at or before that time comes first,
    /// what the event causes in other subjects right after it.
    pub fn event(&mut self, signals: Vec<Signal>, out: &mut dyn FnMut(Line<'_>)) {
        if let Some(first) = signals.first() {
            self.wake_until(first.origin.time, out);
        }
        let entries = signals.into_iter().map(signal_entry).collect();
        self.drain(entries, out);
    }

    /// Lets time pass up to `until` without an event.
    pub fn wake_until(&mut self, until: Timestamp, out: &mut dyn FnMut(Line<'_>)) {
        while let Some((at, subject)) = self.first_due().filter(|(at, _)| *at <= until) {
            self.counts.wake_ups += 1;
            let wake_up = WakeUp {
                subject,
                at,
                reason: WakeReason::Due,
            };
            self.drain(VecDeque::from([input_entry(Input::WakeUp(wake_up))]), out);
        }
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What is held of every subject, partition by partition.
    pub fn memories(&self) -> impl Iterator<Item = &Memory> {
        self.shards.iter().map(|shard| &shard.memory)
    }

    fn first_due(&self) -> Option<Due> {
        let firsts = self.shards.iter();
        firsts
            .filter_map(|shard| shard.partition.agenda().first())
            .min()
    }

    /// Applies the entries and all they cause, first come, first served; then says what came of it.
    fn drain(&mut self, mut waiting: VecDeque<Entry>, out: &mut dyn FnMut(Line<'_>)) {
        let mut outcomes = Vec::new();
        let mut derived_len = 0_usize;
        while let Some(entry) = waiting.pop_front() {
            let mut outcome = self.apply(&entry);
            for derived in std::mem::take(&mut outcome.derived) {
                derived_len += 1;
                if derived_len > DERIVED_PER_EVENT_MAX {
                    self.counts.dropped += 1;
                    continue;
                }
                self.counts.derived += 1;
                waiting.push_back(match derived {
                    Derived::Signal(signal) => signal_entry(signal),
                    Derived::Climate(change) => Entry::Climate(change),
                });
            }
            outcomes.push(outcome);
        }
        say(&outcomes, &mut self.counts, out);
    }

    /// A change of climate reaches every partition, all else the subject's.
    fn apply(&mut self, entry: &Entry) -> Outcome {
        self.counts.entries += 1;
        let Entry::Input { input, .. } = entry else {
            for shard in &mut self.shards {
                shard.apply(entry);
            }
            return Outcome::default();
        };
        let partitions = u32::try_from(self.shards.len()).unwrap_or(u32::MAX);
        let number = crate::fold::subject_of(input).partition(partitions);
        let shard = usize::try_from(number).ok();
        let shard = shard.and_then(|index| self.shards.get_mut(index));
        shard.map_or_else(Outcome::default, |shard| shard.apply(entry))
    }
}

/// An exported log: wake-ups, derived signals, climate and policies are in it, so what is computed of them is dropped.
#[derive(Debug)]
pub struct ExportReplay {
    settings: Settings,
    policy: InForce,
    shards: BTreeMap<u32, Shard>,
    counts: Counts,
}

impl ExportReplay {
    /// *Shape*: `policy` is in force until the log says otherwise.
    pub fn new(settings: Settings, policy: InForce) -> Self {
        Self {
            settings,
            policy,
            shards: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// Takes one entry of a partition's log.
    pub fn entry(&mut self, partition: u32, entry: &Entry, out: &mut dyn FnMut(Line<'_>)) {
        self.counts.entries += 1;
        if let Entry::Input {
            input: Input::WakeUp(_),
            ..
        } = entry
        {
            self.counts.wake_ups += 1;
        }
        let new = || Shard::new(&self.settings, &self.policy);
        let shard = self.shards.entry(partition).or_insert_with(new);
        let outcome = shard.apply(entry);
        say(&[outcome], &mut self.counts, out);
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.shards.get(&number).map(|shard| &shard.partition)
    }

    /// What is held of every subject, partition by partition.
    pub fn memories(&self) -> impl Iterator<Item = (u32, &Memory)> {
        self.shards
            .iter()
            .map(|(number, shard)| (*number, &shard.memory))
    }
}

fn signal_entry(signal: Signal) -> Entry {
    input_entry(Input::Signal(signal))
}

fn input_entry(input: Input) -> Entry {
    Entry::Input { input, extra: None }
}

/// All score lines first, then the decisions, each in the order in which they came about.
fn say(outcomes: &[Outcome], counts: &mut Counts, out: &mut dyn FnMut(Line<'_>)) {
    for outcome in outcomes {
        counts.breaches += u64::try_from(outcome.breaches.len()).unwrap_or(0);
        if let Some(news) = &outcome.policy {
            out(Line::Policy(news));
        }
        if let (Some(tenant), Some(line)) = (&outcome.tenant, &outcome.score) {
            match line.outcome {
                Scored::Assessed(_) => counts.scored += 1,
                Scored::Ignored(_) => counts.ignored += 1,
            }
            out(Line::Score { tenant, line });
        }
    }
    for decision in outcomes.iter().flat_map(|outcome| &outcome.decisions) {
        counts.decisions += 1;
        out(Line::Decision(decision));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use caerus_engine::score::Model;
    use caerus_engine::time::Span;
    use caerus_testkit::sim::clock::STARTS_AT;
    use caerus_testkit::sim::policy;
    use caerus_testkit::sim::trouble::Dice;
    use caerus_testkit::sim::workload::Workload;

    use super::*;
    use crate::fold::policies::Policies;

    fn settings() -> Settings {
        Settings {
            partitions: 4,
            model: Arc::new(Model::default()),
            policies: Policies::by(policy::load),
        }
    }

    fn in_force() -> InForce {
        let revision = policy::revision("p-1", "revoke 80 step-up 40");
        settings().policies.load(&revision).unwrap()
    }

    /// Two weeks of a few people's life, an event each hour, as text.
    fn fortnight() -> (Vec<String>, Counts) {
        let mut replay = RawReplay::new(&settings(), &in_force());
        let (dice, mut workload) = (Dice::seeded(5), Workload::default());
        let mut lines = Vec::new();
        for hour in 0..24 * 14 {
            let happening = workload.next(&dice, STARTS_AT + Span::hours(hour));
            replay.event(happening.signals, &mut |line| {
                lines.push(format!("{line:?}"))
            });
        }
        (lines, replay.counts())
    }

    #[test]
    fn equal_events_give_equal_lines() {
        let (first, counts) = fortnight();
        let (second, _) = fortnight();
        assert_eq!(first, second);
        assert_eq!(
            counts.scored + counts.ignored,
            24 * 14,
            "one score line each: {counts:?}"
        );
        assert!(
            counts.decisions > 0 && counts.derived > 0 && counts.wake_ups > 0,
            "{counts:?}"
        );
        assert_eq!((counts.breaches, counts.dropped), (0, 0));
    }

    #[test]
    fn an_events_score_comes_before_the_decisions_it_causes() {
        let mut replay = RawReplay::new(&settings(), &in_force());
        let (dice, mut workload) = (Dice::seeded(6), Workload::default());
        let mut decided = 0;
        for minute in 0..200 {
            let happening = workload.next(&dice, STARTS_AT + Span::minutes(minute));
            let event = happening.signals[0].origin.event.clone();
            let mut scored = false;
            replay.event(happening.signals, &mut |line| match line {
                Line::Score { line, .. } => scored = line.event == event,
                Line::Decision(decision) if decision.cause == event => {
                    decided += 1;
                    assert!(scored, "{decision:?}");
                }
                Line::Decision(_) | Line::Policy(_) => {}
            });
        }
        assert!(decided > 0);
    }

    #[test]
    fn what_is_due_comes_before_the_event_at_that_time_and_not_sooner() {
        let mut replay = RawReplay::new(&settings(), &in_force());
        let (dice, mut workload) = (Dice::seeded(5), Workload::default());
        let mut hour = 0;
        while replay.first_due().is_none() {
            let happening = workload.next(&dice, STARTS_AT + Span::hours(hour));
            replay.event(happening.signals, &mut |_| {});
            hour += 1;
        }
        let (due, _) = replay.first_due().unwrap();
        let before = replay.counts().wake_ups;
        replay.wake_until(due - Span::millis(1), &mut |_| {});
        assert_eq!(replay.counts().wake_ups, before);
        replay.wake_until(due, &mut |_| {});
        assert!(replay.counts().wake_ups > before);
        assert!(replay.first_due().is_none_or(|(next, _)| next > due));
    }

    /// Users who have been told something of their devices.
    fn told<'a>(memories: impl Iterator<Item = &'a Memory>) -> usize {
        let records = memories.flat_map(|memory| memory.records().values());
        let is_told = |record: &&SubjectRecord| match record {
            SubjectRecord::User(user) => !user.standings.is_empty(),
            _ => false,
        };
        records.filter(is_told).count()
    }

    #[test]
    fn a_raw_replay_passes_on_what_it_derives_and_an_export_has_it_or_not() {
        let mut raw = RawReplay::new(&settings(), &in_force());
        let mut export = ExportReplay::new(settings(), in_force());
        let (dice, mut workload) = (Dice::seeded(5), Workload::default());
        for minute in 0..200 {
            let happening = workload.next(&dice, STARTS_AT + Span::minutes(minute));
            for signal in &happening.signals {
                let partition = signal.subject.hash().partition(4);
                export.entry(partition, &signal_entry(signal.clone()), &mut |_| {});
            }
            raw.event(happening.signals, &mut |_| {});
        }
        assert!(told(raw.memories()) > 0);
        assert_eq!(told(export.memories().map(|(_, memory)| memory)), 0);
    }
}
