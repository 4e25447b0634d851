//! The one door's arguments and its answer.

mod accesses;
mod apps;
mod device;
pub(crate) mod door;
mod exhibits;
mod judge;
mod lessons;
mod logins;
mod moment;
mod network;
mod sessions;
mod step_ups;
mod tenant;
mod user;
mod verdicts;
mod workload;

use crate::climate::{Climate, ClimateChange};
use crate::decide::{Command, Decision, Policy};
use crate::id::SubjectHash;
use crate::record::{Population, SubjectRecord};
use crate::score::{Model, ScoreLine};
use crate::signal::Signal;
use crate::time::Timestamp;

/// What a step is judged by, beside the record itself.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    pub model: &'a Model,
    pub climate: &'a Climate,
    pub policy: &'a dyn Policy,
}

impl core::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Surroundings")
            .field("revision", self.policy.revision())
            .finish()
    }
}

/// All that can happen to a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Signal(Signal),
    Command(Command),
    WakeUp(WakeUp),
}

/// Time passing for one subject: appended to the log by the partition's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WakeUp {
    pub subject: SubjectHash,
    /// Judgement time: when it was due, or for the owner's own clock when it was written.
    pub at: Timestamp,
    pub reason: WakeReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WakeReason {
    /// Something in the record is due: an expiry, a renewal, a decay, a held lowering.
    Due,
    /// The policy set changed.
    Rejudge,
}

/// When a record wants to be woken, by which clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wakes {
    /// When the partition's event-time watermark passes it: renewals, expiry, decay.
    pub watermark: Option<Timestamp>,
    /// When the owner's own clock passes it: held lowerings.
    pub clock: Option<Timestamp>,
}

/// What follows from one input.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "three independent answers to three questions"
)]
pub struct Transition {
    /// `None` when the subject is not kept.
    pub record: Option<SubjectRecord>,
    /// False when the record is byte for byte what it was; then `wakes` and `is_concerned` say nothing new.
    pub is_changed: bool,
    pub population: Population,
    pub is_population_changed: bool,
    pub decisions: Vec<Decision>,
    pub derived: Vec<Derived>,
    /// One for each event's own signal; none for compact and derived ones, commands and wake-ups.
    pub score: Option<ScoreLine>,
    pub wakes: Wakes,
    /// Has something in force or 20 points and more: judged again when the policy changes.
    pub is_concerned: bool,
}

/// What one subject's step tells others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Derived {
    Signal(Signal),
    /// For every partition.
    Climate(ClimateChange),
}
