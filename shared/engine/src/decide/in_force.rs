//! What is in force for a subject, as its owner remembers it. Every subject's record begins with this.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Mode, Target};
use crate::evidence::Code;
use crate::id::{DecisionId, EventId, RevisionId, RuleId, SessionId, SubjectKey, short_hash};
use crate::number::Score;
use crate::profile::seen::SeenWindow;
use crate::score::{Contribution, Hypothesis};
use crate::time::{Span, Timestamp};

/// What every subject's record has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    pub key: SubjectKey,
    /// The latest judgement time.
    pub latest: Timestamp,
    pub seen: SeenWindow,
    /// Per source partition, the highest offset counted; for statistics over many.
    pub counted: BTreeMap<u32, u64>,
    /// INVARIANT (INV-1): only ever rises; one counter for each mode.
    pub generation: u64,
    pub shadow_generation: u64,
    pub in_force: Vec<InForce>,
    /// The policy revision it was last judged by.
    pub revision: Option<RevisionId>,
}

/// A decision in force, as its owner remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    pub target: Target,
    pub mode: Mode,
    pub generation: u64,
    pub action: Action,
    pub issued_before: Option<Timestamp>,
    pub except_sessions: BTreeSet<SessionId>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub life: Span,
    pub score: Score,
    pub hypothesis: Option<Hypothesis>,
    pub contributions: Vec<Contribution>,
    /// The evidence it rests on, by code and key: what feedback on it is about.
    pub basis: Vec<(Code, u64)>,
    /// `None`: an operator's own.
    pub rule: Option<RuleId>,
    pub cause: EventId,
    /// A lowering that waits for the minute's end.
    pub held_until: Option<Timestamp>,
}

impl Core {
    pub fn new(key: SubjectKey) -> Self {
        Self {
            key,
            latest: Timestamp::ZERO,
            seen: SeenWindow::default(),
            counted: BTreeMap::new(),
            generation: 0,
            shadow_generation: 0,
            in_force: Vec::new(),
            revision: None,
        }
    }

    pub fn find(&self, target: &Target, mode: Mode) -> Option<&InForce> {
        self.in_force
            .iter()
            .find(|held| held.target == *target && held.mode == mode)
    }

    pub fn find_mut(&mut self, target: &Target, mode: Mode) -> Option<&mut InForce> {
        self.in_force
            .iter_mut()
            .find(|held| held.target == *target && held.mode == mode)
    }
}

impl InForce {
    pub fn is_operators(&self) -> bool {
        self.rule.is_none()
    }

    pub fn id(&self, owner: &SubjectKey) -> DecisionId {
        decision_id(owner, &self.target, self.mode, self.generation, &self.cause)
    }
}

/// The id of a decision: derived, so that a replay names it alike.
pub fn decision_id(
    owner: &SubjectKey,
    target: &Target,
    mode: Mode,
    generation: u64,
    cause: &EventId,
) -> DecisionId {
    let suffix = short_hash(&[
        owner.tenant().as_str().as_bytes(),
        target.canonical().as_bytes(),
        &generation.to_le_bytes(),
        mode.name().as_bytes(),
        cause.as_str().as_bytes(),
    ]);
    DecisionId {
        owner: owner.hash(),
        suffix,
    }
}
