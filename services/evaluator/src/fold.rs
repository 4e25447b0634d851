//! The fold of one partition: what stands in its log, one entry after the other, makes its state. Pure: knows no clock,
//! no store and no broker, so that the live loop, `replay` and the simulator run the very same code.

pub mod agenda;
pub mod check;
pub mod policies;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caerus_engine::climate::Climate;
use caerus_engine::decide::Decision;
use caerus_engine::id::{RevisionId, SubjectHash, TenantId, stable_hash};
use caerus_engine::record::{Population, SubjectRecord};
use caerus_engine::score::{Model, ScoreLine};
use caerus_engine::signal::Handling;
use caerus_engine::step::{Derived, Input, Surroundings, Transition, WakeReason, WakeUp, Wakes};
use caerus_engine::time::{Span, Timestamp};
use caerus_wire::entry::{Entry, PolicyRevision};
use caerus_wire::record::SharedFold;

use agenda::{Agenda, Due};
use check::{Breach, GenerationWatch};
use policies::{InForce, Policies};

/// How far the event-time watermark stays behind the greatest event time.
pub const WATERMARK_LAG: Span = Span::minutes(5);
/// A wake that was answered by the very same wish is heard again no sooner than this. A step that does so is wrong, and
/// the subject's next signal is likelier to put it right than the same wake again.
const WAKE_AGAIN: Span = Span::hours(1);

/// What a fold is made with, beside its log.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Partitions of the log.
    pub partitions: u32,
    pub model: Arc<Model>,
    pub policies: Policies,
}

/// Where the fold takes records from and leaves them. They move in and out by value: a population is not small.
pub trait RecordAccess {
    fn take_record(&mut self, key: SubjectHash) -> Option<SubjectRecord>;
    /// *Shape*: `is_changed` is true when the record, its wakes or its concern differ from what was taken.
    fn put_record(&mut self, key: SubjectHash, record: Option<SubjectRecord>, is_changed: bool);
    fn take_population(&mut self, key: SubjectHash) -> Population;
    fn put_population(&mut self, key: SubjectHash, population: Population, is_changed: bool);
}

/// What one entry of the log gave.
#[derive(Debug, Default)]
pub struct Outcome {
    pub decisions: Vec<Decision>,
    pub derived: Vec<Derived>,
    pub score: Option<ScoreLine>,
    /// Whose it was, for what is told about `score`.
    pub tenant: Option<TenantId>,
    pub policy: Option<PolicyNews>,
    /// A source partition's clock passed.
    pub has_passed: bool,
    pub breaches: Vec<Breach>,
}

/// What became of a policy revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyNews {
    InForce {
        revision: RevisionId,
    },
    /// INVARIANT (INV-7): it could not be loaded; the former one stays in force.
    Refused {
        revision: RevisionId,
        kept: RevisionId,
        problem: String,
    },
}

/// The records that an entry needs before it can be applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub record: Option<SubjectHash>,
    /// `None` where only the record itself knows its tenant.
    pub population: Option<SubjectHash>,
}

/// The name under which a tenant's population of one partition is kept. No subject's: those hash one part, not two.
pub fn population_key(tenant: &TenantId) -> SubjectHash {
    SubjectHash(stable_hash(&[b"population", tenant.as_str().as_bytes()]))
}

/// Which records to have at hand for an entry.
pub fn needs(entry: &Entry) -> Needs {
    match entry {
        Entry::Input { input, .. } => Needs {
            record: Some(subject_of(input)),
            population: tenant_of(input).map(population_key),
        },
        Entry::Climate(_) | Entry::Policy(_) | Entry::Watermark { .. } | Entry::Claim { .. } => {
            Needs::default()
        }
    }
}

/// The subject whose record an input is for.
pub fn subject_of(input: &Input) -> SubjectHash {
    match input {
        Input::Signal(signal) => signal.subject.hash(),
        Input::Command(command) => command.target.owner(&command.tenant).hash(),
        Input::WakeUp(wake_up) => wake_up.subject,
    }
}

fn tenant_of(input: &Input) -> Option<&TenantId> {
    match input {
        Input::Signal(signal) => Some(signal.subject.tenant()),
        Input::Command(command) => Some(&command.tenant),
        Input::WakeUp(_) => None,
    }
}

/// Up to which moment of each clock wakes are due.
#[derive(Clone, Copy, Debug)]
pub struct DueUntil {
    pub watermark: Timestamp,
    pub clock: Timestamp,
}

/// One partition's state.
#[derive(Debug)]
pub struct Partition {
    settings: Settings,
    climate: Climate,
    policy: InForce,
    passed: BTreeMap<u32, Timestamp>,
    greatest_time: Timestamp,
    agenda: Agenda,
    /// Concerned by the policy in force, and not judged since it came.
    rejudging: BTreeSet<SubjectHash>,
    watch: GenerationWatch,
}

impl Partition {
    /// The state before the first entry, with `policy` in force.
    pub fn new(settings: Settings, policy: InForce) -> Self {
        Self {
            settings,
            climate: Climate::default(),
            policy,
            passed: BTreeMap::new(),
            greatest_time: Timestamp::ZERO,
            agenda: Agenda::default(),
            rejudging: BTreeSet::new(),
            watch: GenerationWatch::default(),
        }
    }

    /// The state that a store kept. Who has been judged by the policy in force, only the records know.
    ///
    /// *Errors*: why the policy kept does not load any more.
    pub fn restore(settings: Settings, shared: SharedFold, agenda: Agenda) -> Result<Self, String> {
        let policy = match &shared.policy {
            Some(revision) => settings.policies.load(revision)?,
            None => InForce::nothing(),
        };
        let rejudging = agenda.concerned().collect();
        Ok(Self {
            settings,
            climate: shared.climate,
            policy,
            passed: shared.watermarks,
            greatest_time: shared.latest_event,
            agenda,
            rejudging,
            watch: GenerationWatch::default(),
        })
    }

    /// The part that belongs to no subject, as a store keeps it. *Shape*: `derived` is left empty: where its signals went
    /// is no part of the fold.
    pub fn shared(&self) -> SharedFold {
        SharedFold {
            climate: self.climate.clone(),
            policy: self.policy.source.clone(),
            watermarks: self.passed.clone(),
            latest_event: self.greatest_time,
            derived: Vec::new(),
        }
    }

    pub fn partitions(&self) -> u32 {
        self.settings.partitions
    }

    pub fn agenda(&self) -> &Agenda {
        &self.agenda
    }

    pub fn passed(&self) -> &BTreeMap<u32, Timestamp> {
        &self.passed
    }

    pub fn climate(&self) -> &Climate {
        &self.climate
    }

    pub fn policy_revision(&self) -> &RevisionId {
        self.policy.policy.revision()
    }

    pub fn greatest_time(&self) -> Timestamp {
        self.greatest_time
    }

    /// The moment up to which events are taken to be complete. *Shape*: `idle_now` is the wall clock where the
    /// partition is idle, else `None`.
    pub fn watermark(&self, idle_now: Option<Timestamp>) -> Timestamp {
        let by_clock = idle_now.unwrap_or(Timestamp::ZERO);
        self.greatest_time.max(by_clock) - WATERMARK_LAG
    }

    /// Wake-ups that are due, at most `limit`, by (time, subject): those by the watermark dated when they were due,
    /// those by the owner's clock dated by it. Subjects in `waiting` have one under way.
    pub fn due(
        &self,
        until: DueUntil,
        waiting: &BTreeSet<SubjectHash>,
        limit: usize,
    ) -> Vec<WakeUp> {
        let is_free = |(_, subject): &Due| !waiting.contains(subject);
        let by_watermark = self.agenda.due_by_watermark(until.watermark);
        let by_clock = self.agenda.due_by_clock(until.clock);
        let by_watermark = by_watermark.filter(is_free).take(limit);
        let by_clock = by_clock.filter(is_free).take(limit);
        let by_clock = by_clock.map(|(_, subject)| (until.clock, subject));
        let mut due: Vec<_> = by_watermark.chain(by_clock).collect();
        due.sort_unstable();
        due.truncate(limit);
        let wake_up = |(at, subject)| WakeUp {
            subject,
            at,
            reason: WakeReason::Due,
        };
        due.into_iter().map(wake_up).collect()
    }

    /// Subjects that may still have to be judged by the policy in force, ascending.
    pub fn to_rejudge(&self) -> &BTreeSet<SubjectHash> {
        &self.rejudging
    }

    /// The subject's record says that it was judged by the policy in force.
    pub fn is_judged(&mut self, subject: SubjectHash) {
        self.rejudging.remove(&subject);
    }

    /// Takes one entry of the log.
    pub fn apply(&mut self, entry: &Entry, records: &mut dyn RecordAccess) -> Outcome {
        match entry {
            Entry::Input { input, .. } => self.judge(input, records),
            Entry::Climate(change) => {
                self.climate.apply(change);
                Outcome::default()
            }
            Entry::Policy(revision) => self.put_in_force(revision),
            Entry::Watermark {
                source_partition,
                at,
            } => {
                let passed = self.passed.entry(*source_partition).or_default();
                *passed = (*passed).max(*at);
                Outcome {
                    has_passed: true,
                    ..Outcome::default()
                }
            }
            Entry::Claim { .. } => Outcome::default(),
        }
    }

    /// INVARIANT (INV-7): a policy set that cannot be loaded never widens access; the last good one stays in force.
    fn put_in_force(&mut self, revision: &PolicyRevision) -> Outcome {
        let news = match self.settings.policies.load(revision) {
            Ok(policy) => {
                self.policy = policy;
                self.rejudging = self.agenda.concerned().collect();
                PolicyNews::InForce {
                    revision: self.policy_revision().clone(),
                }
            }
            Err(problem) => PolicyNews::Refused {
                revision: revision.revision.clone(),
                kept: self.policy_revision().clone(),
                problem,
            },
        };
        Outcome {
            policy: Some(news),
            ..Outcome::default()
        }
    }

    fn judge(&mut self, input: &Input, records: &mut dyn RecordAccess) -> Outcome {
        let subject = subject_of(input);
        let record = records.take_record(subject);
        let tenant = tenant_of(input)
            .or_else(|| record.as_ref().map(|record| record.core().key.tenant()))
            .cloned();
        let population_at = tenant.as_ref().map(population_key);
        let population = population_at.map(|key| records.take_population(key));
        let surroundings = Surroundings {
            model: &self.settings.model,
            climate: &self.climate,
            policy: &*self.policy.policy,
        };
        let mut transition =
            caerus_engine::step(&surroundings, record, population.unwrap_or_default(), input);
        if let Some(key) = population_at {
            let population = std::mem::take(&mut transition.population);
            records.put_population(key, population, transition.is_population_changed);
        }
        let is_wish_new = self.note_wish(subject, input, &transition);
        let is_changed = transition.is_changed || is_wish_new;
        records.put_record(subject, transition.record.take(), is_changed);
        self.note_time(input);
        self.rejudging.remove(&subject);
        self.outcome(subject, tenant, transition)
    }

    /// A step that changes nothing says nothing new of wakes either. A wake that is answered by the very same wish would
    /// be due again at once and for ever: it is put off.
    fn note_wish(&mut self, subject: SubjectHash, input: &Input, to: &Transition) -> bool {
        let before = self.agenda.wish(subject);
        let mut wish = before;
        if to.is_changed {
            wish.wakes = to.wakes;
            wish.is_concerned = to.is_concerned;
        }
        if let Input::WakeUp(wake_up) = input {
            put_off(&mut wish.wakes, before.wakes, wake_up.at);
        }
        self.agenda.set(subject, wish)
    }

    fn note_time(&mut self, input: &Input) {
        if let Input::Signal(signal) = input
            && signal.origin.handling == Handling::Live
        {
            self.greatest_time = self.greatest_time.max(signal.origin.time);
        }
    }

    fn outcome(
        &mut self,
        subject: SubjectHash,
        tenant: Option<TenantId>,
        transition: Transition,
    ) -> Outcome {
        let mut breaches = Vec::new();
        for decision in &transition.decisions {
            let home = tenant.as_ref().unwrap_or(&decision.tenant);
            breaches.extend(self.watch.check(subject, decision).err());
            breaches.extend(check::decision_adds_up(decision).err());
            breaches.extend(check::stays_at_home(home, subject, decision).err());
        }
        if let Some(line) = &transition.score {
            breaches.extend(check::score_adds_up(line).err());
        }
        Outcome {
            decisions: transition.decisions,
            derived: transition.derived,
            score: transition.score,
            tenant,
            policy: None,
            has_passed: false,
            breaches,
        }
    }
}

fn put_off(wakes: &mut Wakes, before: Wakes, at: Timestamp) {
    let is_stuck = |wish: Option<Timestamp>, former: Option<Timestamp>| {
        wish.is_some_and(|wish| wish <= at) && former.is_some_and(|former| former <= at)
    };
    if is_stuck(
        wakes.watermark,
        before.watermark.filter(|former| *former == at),
    ) {
        wakes.watermark = Some(at + WAKE_AGAIN);
    }
    if is_stuck(wakes.clock, before.clock) {
        wakes.clock = Some(at + WAKE_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use caerus_testkit::sim::policy;

    use super::*;
    use crate::replay::Memory;

    fn partition() -> Partition {
        let settings = Settings {
            partitions: 1,
            model: Arc::new(Model::default()),
            policies: Policies::by(policy::load),
        };
        Partition::new(settings, InForce::nothing())
    }

    fn tell(partition: &mut Partition, entry: &Entry) -> Outcome {
        partition.apply(entry, &mut Memory::default())
    }

    #[test]
    fn a_revision_that_does_not_load_says_so_and_changes_nothing() {
        let mut partition = partition();
        let good = policy::revision("good", "revoke 80 step-up 40");
        tell(&mut partition, &Entry::Policy(good.clone()));
        let broken = policy::revision("broken", "revoke 80");
        let outcome = tell(&mut partition, &Entry::Policy(broken));
        let Some(PolicyNews::Refused {
            revision,
            kept,
            problem,
        }) = outcome.policy
        else {
            panic!("{outcome:?}");
        };
        assert_eq!((revision.as_str(), kept.as_str()), ("broken", "good"));
        assert_eq!(problem, "`revoke 80` is not `revoke N step-up N`");
        assert_eq!(partition.shared().policy, Some(good));
    }

    #[test]
    fn a_source_partitions_clock_never_goes_back() {
        let mut partition = partition();
        for at in [5, 9, 7] {
            let watermark = Entry::Watermark {
                source_partition: 2,
                at: Timestamp(at),
            };
            assert!(tell(&mut partition, &watermark).has_passed);
        }
        assert_eq!(partition.passed(), &BTreeMap::from([(2, Timestamp(9))]));
    }

    /// As ingest tells of a source partition that nobody takes in yet, and of one that nobody will.
    #[test]
    fn a_source_partition_is_known_before_anything_of_it_is_and_retired_for_ever() {
        let mut partition = partition();
        let told = [
            Timestamp::ZERO,
            Timestamp(9),
            Timestamp::ZERO,
            Timestamp::MAX,
            Timestamp(10),
        ];
        let mut passed = Vec::new();
        for at in told {
            let watermark = Entry::Watermark {
                source_partition: 1 << 16,
                at,
            };
            tell(&mut partition, &watermark);
            passed.extend(partition.passed().values().copied());
        }
        let (nine, ever) = (Timestamp(9), Timestamp::MAX);
        assert_eq!(passed, [Timestamp::ZERO, nine, nine, ever, ever]);
    }

    #[test]
    fn the_watermark_stays_behind_events_and_an_idle_partitions_clock() {
        let mut partition = partition();
        partition.greatest_time = Timestamp::ZERO + Span::minutes(60);
        let minutes = |at: Timestamp| at.0 / 60_000;
        assert_eq!(minutes(partition.watermark(None)), 55);
        let hour_later = Timestamp::ZERO + Span::minutes(120);
        assert_eq!(minutes(partition.watermark(Some(hour_later))), 115);
        assert_eq!(minutes(partition.watermark(Some(Timestamp::ZERO))), 55);
    }

    #[test]
    fn a_wake_that_is_answered_by_itself_is_put_off() {
        let wakes = |watermark: i64, clock: i64| Wakes {
            watermark: Some(Timestamp(watermark)),
            clock: Some(Timestamp(clock)),
        };
        let later = 10 + WAKE_AGAIN.0;
        // Before, woken at, wished after, heard.
        for (before, at, after, heard) in [
            (wakes(10, 90), 10, wakes(10, 90), wakes(later, 90)),
            (wakes(90, 5), 10, wakes(90, 5), wakes(90, later)),
            (wakes(10, 90), 10, wakes(70, 90), wakes(70, 90)),
            // Not due by its own clock yet: woken by the other one.
            (wakes(8, 5), 10, wakes(8, 80), wakes(8, 80)),
        ] {
            let mut wished = after;
            put_off(&mut wished, before, Timestamp(at));
            assert_eq!(wished, heard, "{before:?} at {at} wishes {after:?}");
        }
    }

    #[test]
    fn nobody_is_woken_twice_at_once_and_never_more_than_asked() {
        let mut partition = partition();
        for subject in 1..=4 {
            let wish = agenda::Wish {
                wakes: Wakes {
                    watermark: Some(Timestamp(10)),
                    clock: Some(Timestamp(20)),
                },
                is_concerned: false,
            };
            partition.agenda.set(SubjectHash(subject), wish);
        }
        let until = |clock| DueUntil {
            watermark: Timestamp(10),
            clock: Timestamp(clock),
        };
        let of = |due: Vec<WakeUp>| -> Vec<(i64, u128)> {
            due.iter().map(|wake| (wake.at.0, wake.subject.0)).collect()
        };
        let under_way = BTreeSet::from([SubjectHash(2)]);
        assert_eq!(
            of(partition.due(until(15), &under_way, 9)),
            [(10, 1), (10, 3), (10, 4)]
        );
        assert_eq!(
            of(partition.due(until(30), &under_way, 2)),
            [(10, 1), (10, 3)]
        );
    }
}
