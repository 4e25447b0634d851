//! The independent judge of a simulation: a plain fold of the final log, one entry at a time, by a model of its own, and
//! what must therefore have come out. Shares no code with the evaluator but the engine itself.

mod model;
mod outputs;

use std::collections::{BTreeMap, BTreeSet};

use caerus_engine::id::{EventId, SubjectHash, TenantId};
use caerus_runtime::port::{BusRecord, Topic};

use model::Model;

/// The final state of a bus: everything ever written, by topic and partition.
pub type History = BTreeMap<(Topic, u32), Vec<BusRecord>>;

/// What ingest said "accepted" to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub partition: u32,
    pub value: std::sync::Arc<[u8]>,
}

/// What the audit went over, so that an empty simulation is seen as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    pub entries: usize,
    pub decisions: usize,
    pub shadows: usize,
    pub derived: usize,
    pub wake_ups: usize,
    pub claims: usize,
    pub repeats: usize,
    /// Wake-ups after which a wake of the subject was still due.
    pub unanswered: usize,
}

impl Audited {
    pub fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.decisions += other.decisions;
        self.shadows += other.shadows;
        self.derived += other.derived;
        self.wake_ups += other.wake_ups;
        self.claims += other.claims;
        self.repeats += other.repeats;
        self.unanswered += other.unanswered;
    }
}

/// Goes over everything. *Errors*: what does not hold, each with its invariant's name.
pub fn audit(
    partitions: u32,
    history: &History,
    accepted: &[Accepted],
) -> Result<Audited, Vec<String>> {
    let mut complaints = Vec::new();
    let mut audited = Audited::default();
    check_accepted(history, accepted, &mut complaints);
    let mut models = Vec::new();
    for number in 0..partitions {
        let log = history.get(&(Topic::Signals, number));
        let mut model = Model::new(number, partitions);
        for record in log.into_iter().flatten() {
            model.take(record);
        }
        complaints.append(&mut model.complaints);
        audited.entries += log.map_or(0, Vec::len);
        audited.wake_ups += model.wake_ups;
        audited.claims += model.claims;
        audited.repeats += model.repeats;
        audited.unanswered += model.unanswered;
        models.push(model);
    }
    check_evaluated_once(&models, &mut complaints);
    outputs::check(&models, history, &mut audited, &mut complaints);
    if complaints.is_empty() {
        Ok(audited)
    } else {
        Err(complaints)
    }
}

/// INV-9: what was accepted is in the log.
fn check_accepted(history: &History, accepted: &[Accepted], complaints: &mut Vec<String>) {
    for (index, wanted) in accepted.iter().enumerate() {
        let log = history.get(&(Topic::Signals, wanted.partition));
        let mut log = log.into_iter().flatten();
        if !log.any(|record| record.value == wanted.value) {
            complaints.push(format!(
                "INV-9: accepted entry {index} is not in the log of partition {}",
                wanted.partition
            ));
        }
    }
}

/// Names an event for one subject.
pub(crate) type Told = (TenantId, EventId, SubjectHash);

/// Each event was evaluated once for each subject it is about; all else are repeats.
fn check_evaluated_once(models: &[Model], complaints: &mut Vec<String>) {
    for model in models {
        let never = model.told.difference(&model.evaluated);
        complaints.extend(never.map(|told| format!("INV-9: {told:?} was never evaluated")));
        for (told, times) in &model.assessed {
            if *times > 1 {
                complaints.push(format!("{told:?} was assessed {times} times"));
            }
        }
    }
}

pub(crate) type Tellings = BTreeSet<Told>;
