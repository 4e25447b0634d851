//! One partition, folded the plainest way: no cache, no batch, no store. Every record passes through its stored form.

use std::collections::BTreeMap;
use std::sync::Arc;

use caerus_engine::climate::Climate;
use caerus_engine::decide::{Decision, Mode, Policy};
use caerus_engine::id::{RevisionId, SubjectHash, TenantId, stable_hash};
use caerus_engine::number::Points;
use caerus_engine::record::{Population, SubjectRecord};
use caerus_engine::score::{IgnoreReason, Scored};
use caerus_engine::step::{Derived, Input, Surroundings, Transition};
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{BusRecord, Topic};
use caerus_wire::decision::{PublicDecision, target_key};
use caerus_wire::entry::Entry;
use caerus_wire::record;

use super::{Tellings, Told};
use crate::sim::policy;

/// An output that must have come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The offset of the entry that caused it.
    pub(crate) cause: u64,
    pub(crate) topic: Topic,
    pub(crate) partition: u32,
    pub(crate) key: Vec<u8>,
    /// Without live members.
    pub(crate) value: Vec<u8>,
}

/// The model of one partition.
pub(crate) struct Model {
    pub(crate) number: u32,
    partitions: u32,
    model: caerus_engine::score::Model,
    climate: Climate,
    policy: Option<Arc<dyn Policy + Send + Sync>>,
    records: BTreeMap<SubjectHash, Vec<u8>>,
    populations: BTreeMap<SubjectHash, Vec<u8>>,
    generations: BTreeMap<(SubjectHash, Mode), u64>,
    pub(crate) expected: Vec<Expected>,
    /// When each source partition's moments were read.
    pub(crate) passed: Vec<(u64, u32, Timestamp)>,
    pub(crate) told: Tellings,
    pub(crate) evaluated: Tellings,
    pub(crate) assessed: BTreeMap<Told, u32>,
    pub(crate) wake_ups: usize,
    pub(crate) claims: usize,
    pub(crate) repeats: usize,
    /// Wake-ups after which a wake is still due.
    pub(crate) unanswered: usize,
    pub(crate) complaints: Vec<String>,
}

impl Model {
    pub(crate) fn new(number: u32, partitions: u32) -> Self {
        Self {
            number,
            partitions,
            model: caerus_engine::score::Model::default(),
            climate: Climate::default(),
            policy: None,
            records: BTreeMap::new(),
            populations: BTreeMap::new(),
            generations: BTreeMap::new(),
            expected: Vec::new(),
            passed: Vec::new(),
            told: Tellings::new(),
            evaluated: Tellings::new(),
            assessed: BTreeMap::new(),
            wake_ups: 0,
            claims: 0,
            repeats: 0,
            unanswered: 0,
            complaints: Vec::new(),
        }
    }

    pub(crate) fn take(&mut self, log: &BusRecord) {
        let entry = match Entry::from_bytes(&log.value) {
            Ok(entry) => entry,
            Err(error) => {
                let (number, offset) = (self.number, log.offset);
                let complaint = format!("partition {number} offset {offset}: {error}");
                self.complaints.push(complaint);
                return;
            }
        };
        match &entry {
            Entry::Input { input, .. } => self.judge(log.offset, input),
            Entry::Climate(change) => self.climate.apply(change),
            Entry::Policy(revision) => {
                // INV-7: one that does not load changes nothing.
                if let Ok(policy) = policy::load(revision) {
                    self.policy = Some(policy);
                }
            }
            Entry::Watermark {
                source_partition,
                at,
            } => self.passed.push((log.offset, *source_partition, *at)),
            Entry::Claim { .. } => self.claims += 1,
        }
    }

    fn judge(&mut self, offset: u64, input: &Input) {
        let subject = match input {
            Input::Signal(signal) => signal.subject.hash(),
            Input::Command(command) => command.target.owner(&command.tenant).hash(),
            Input::WakeUp(wake_up) => {
                self.wake_ups += 1;
                wake_up.subject
            }
        };
        if subject.partition(self.partitions) != self.number {
            let complaint = format!("{subject} stands in the log of partition {}", self.number);
            self.complaints.push(complaint);
        }
        let before = self.record(subject);
        let tenant = match input {
            Input::Signal(signal) => Some(signal.subject.tenant().clone()),
            Input::Command(command) => Some(command.tenant.clone()),
            Input::WakeUp(_) => before.as_ref().map(|r| r.core().key.tenant().clone()),
        };
        let population = tenant.as_ref().map(|tenant| self.population(tenant));
        let nothing: Arc<dyn Policy + Send + Sync> = Arc::new(Silent::new());
        let policy = self.policy.clone().unwrap_or(nothing);
        let surroundings = Surroundings {
            model: &self.model,
            climate: &self.climate,
            policy: &*policy,
        };
        let after = caerus_engine::step(
            &surroundings,
            before.clone(),
            population.clone().unwrap_or_default(),
            input,
        );
        if !after.is_changed && after.record != before {
            self.complain(offset, "a record changed and was not called changed");
        }
        self.note_told(input, subject, &after);
        self.note_answer(input, &after);
        for decision in &after.decisions {
            self.check_decision(offset, subject, tenant.as_ref(), decision);
        }
        self.expect(offset, &after);
        self.keep(subject, tenant.as_ref(), after);
    }

    fn record(&mut self, subject: SubjectHash) -> Option<SubjectRecord> {
        let bytes = self.records.get(&subject)?;
        match record::decode_record(bytes) {
            Ok(record) => Some(record),
            Err(error) => {
                self.complaints.push(format!("record {subject}: {error}"));
                None
            }
        }
    }

    fn population(&mut self, tenant: &TenantId) -> Population {
        let Some(bytes) = self.populations.get(&population_name(tenant)) else {
            return Population::default();
        };
        record::decode_population(bytes).unwrap_or_else(|error| {
            self.complaints
                .push(format!("population of {tenant}: {error}"));
            Population::default()
        })
    }

    fn keep(&mut self, subject: SubjectHash, tenant: Option<&TenantId>, after: Transition) {
        match after.record {
            Some(record) => {
                let bytes = record::encode_record(&record);
                self.records.insert(subject, bytes);
            }
            None => {
                self.records.remove(&subject);
            }
        }
        if let Some(tenant) = tenant {
            let bytes = record::encode_population(&after.population);
            self.populations.insert(population_name(tenant), bytes);
        }
    }

    fn note_told(&mut self, input: &Input, subject: SubjectHash, after: &Transition) {
        let Input::Signal(signal) = input else {
            return;
        };
        let tenant = signal.subject.tenant().clone();
        let told = (tenant, signal.origin.event.clone(), subject);
        self.told.insert(told.clone());
        match after.score.as_ref().map(|line| &line.outcome) {
            Some(Scored::Assessed(_)) => {
                // Of a subject that is not kept nobody remembers what was told.
                if after.record.is_some() {
                    *self.assessed.entry(told.clone()).or_default() += 1;
                }
                self.evaluated.insert(told);
            }
            Some(Scored::Ignored(IgnoreReason::Repeat)) => self.repeats += 1,
            Some(Scored::Ignored(_)) | None => {
                self.evaluated.insert(told);
            }
        }
    }

    /// A wake-up answers every wake that was due by then, or it would be due again at once and for ever.
    fn note_answer(&mut self, input: &Input, after: &Transition) {
        let Input::WakeUp(wake_up) = input else {
            return;
        };
        let is_due = |wake: Option<Timestamp>| wake.is_some_and(|at| at <= wake_up.at);
        let is_answered = !is_due(after.wakes.watermark) && !is_due(after.wakes.clock);
        if after.is_changed && !is_answered {
            self.unanswered += 1;
        }
    }

    fn check_decision(
        &mut self,
        offset: u64,
        subject: SubjectHash,
        tenant: Option<&TenantId>,
        decision: &Decision,
    ) {
        let last = self
            .generations
            .insert((subject, decision.mode), decision.generation);
        if last.is_some_and(|last| last >= decision.generation) {
            self.complain(offset, "INV-1: a generation did not rise");
        }
        let total: Points = decision.contributions.iter().map(|line| line.points).sum();
        if total.to_score() != decision.score {
            self.complain(offset, "INV-3: contributions do not add up to the score");
        }
        if decision.action.severity() > 0 && decision.contributions.is_empty() {
            self.complain(offset, "INV-3: a decision without a reason");
        }
        let owner = decision.target.owner(&decision.tenant).hash();
        if tenant != Some(&decision.tenant) || owner != subject {
            self.complain(offset, "INV-10: a decision about someone else's subject");
        }
        let in_force = self.policy.as_ref().map(|policy| policy.revision().clone());
        if decision.rule.is_some() && Some(&decision.revision) != in_force.as_ref() {
            self.complain(offset, "INV-7: decided by a policy that is not in force");
        }
    }

    fn expect(&mut self, cause: u64, after: &Transition) {
        for decision in &after.decisions {
            let public = PublicDecision::from_engine(decision, None).without_live_members();
            self.expected.push(Expected {
                cause,
                topic: match decision.mode {
                    Mode::Enforce => Topic::Decisions,
                    Mode::Shadow => Topic::Shadow,
                },
                partition: self.number,
                key: target_key(decision.tenant.as_str(), &decision.target).into_bytes(),
                value: public.to_json().into_bytes(),
            });
        }
        for derived in &after.derived {
            let (places, entry) = match derived {
                Derived::Signal(signal) => {
                    let place = signal.subject.hash().partition(self.partitions);
                    let input = Input::Signal(signal.clone());
                    (place..place + 1, Entry::Input { input, extra: None })
                }
                Derived::Climate(change) => (0..self.partitions, Entry::Climate(change.clone())),
            };
            let value = entry.to_bytes();
            self.expected.extend(places.map(|partition| Expected {
                cause,
                topic: Topic::Signals,
                partition,
                key: Vec::new(),
                value: value.clone(),
            }));
        }
    }

    fn complain(&mut self, offset: u64, what: &str) {
        let complaint = format!("partition {} offset {offset}: {what}", self.number);
        self.complaints.push(complaint);
    }
}

fn population_name(tenant: &TenantId) -> SubjectHash {
    SubjectHash(stable_hash(&[tenant.as_str().as_bytes()]))
}

/// Before the first revision nothing is asked of anybody.
struct Silent {
    revision: RevisionId,
    classes: BTreeMap<caerus_engine::id::AcrValue, Vec<std::collections::BTreeSet<String>>>,
}

impl Silent {
    fn new() -> Self {
        Self {
            revision: RevisionId::new("none"),
            classes: BTreeMap::new(),
        }
    }
}

impl Policy for Silent {
    fn revision(&self) -> &RevisionId {
        &self.revision
    }

    fn judge(
        &self,
        _facts: &caerus_engine::decide::Facts,
    ) -> Vec<caerus_engine::decide::Obligation> {
        Vec::new()
    }

    fn classes(
        &self,
    ) -> &BTreeMap<caerus_engine::id::AcrValue, Vec<std::collections::BTreeSet<String>>> {
        &self.classes
    }
}
