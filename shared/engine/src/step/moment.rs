//! When and by whom something is told, and where the answer is gathered.

use super::{Derived, Surroundings};
use crate::decide::Decision;
use crate::decide::desk::Occasion;
use crate::decide::in_force::Core;
use crate::evidence::{Detail, Told};
use crate::id::EventId;
use crate::limits::SEEN_LEN;
use crate::profile::seen::{Novel, Seen};
use crate::score::IgnoreReason;
use crate::signal::{Handling, Origin};
use crate::time::Timestamp;

/// One input's circumstances.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// Judgement time: the later of the input's time and the record's latest.
    pub now: Timestamp,
    /// When it happened.
    pub time: Timestamp,
    pub event: EventId,
    pub received_at: Option<Timestamp>,
    pub trace: Option<String>,
    pub handling: Handling,
}

impl Moment {
    pub(super) fn of(origin: &Origin, latest: Timestamp) -> Self {
        Self {
            now: origin.time.max(latest),
            time: origin.time,
            event: origin.event.clone(),
            received_at: Some(origin.received_at),
            trace: origin.trace.clone(),
            handling: origin.handling,
        }
    }

    pub(super) fn told(&self, detail: Detail) -> Told {
        Told {
            event: self.event.clone(),
            at: self.now,
            detail,
        }
    }

    pub(super) fn occasion(&self, surroundings: &Surroundings<'_>) -> Occasion {
        Occasion {
            now: self.now,
            cause: self.event.clone(),
            received_at: self.received_at,
            trace: self.trace.clone(),
            revision: surroundings.policy.revision().clone(),
        }
    }

    /// Only live facts decide anything.
    pub(super) fn decides(&self) -> bool {
        self.handling == Handling::Live
    }

    pub(super) fn learns(&self) -> bool {
        self.handling != Handling::Late
    }
}

/// What one input brings forth beside the changed record.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub decisions: Vec<Decision>,
    pub derived: Vec<Derived>,
}

/// Remembers the id; `Some` when the signal is to be ignored.
pub(super) fn admit(core: &mut Core, origin: &Origin, limit: usize) -> Option<IgnoreReason> {
    let id = crate::id::short_hash(&[
        origin.source.as_str().as_bytes(),
        origin.event.as_str().as_bytes(),
    ]);
    let body = u32::try_from(origin.body & u64::from(u32::MAX)).unwrap_or(0);
    let now = origin.time.max(core.latest);
    // A history goes over weeks and is told in one go: it does not age what it has told already, so that telling it again
    // after a lost answer changes nothing.
    let at = match (origin.handling, core.seen.entries.front()) {
        (Handling::Backfill, Some(first)) => first.at.min(now),
        (Handling::Backfill | Handling::Live | Handling::Late, _) => now,
    };
    match core.seen.admit(Seen { id, body, at }, limit.min(SEEN_LEN)) {
        Novel::New => None,
        Novel::Repeat => Some(IgnoreReason::Repeat),
        Novel::RepeatWithAnotherBody => Some(IgnoreReason::RepeatWithAnotherBody),
    }
}

/// For statistics over many: a repeat is told by its place in the source topic where there is one, else by its id.
pub(super) fn admit_counted(
    core: &mut Core,
    origin: &Origin,
    limit: usize,
) -> Option<IgnoreReason> {
    let Some(position) = origin.position else {
        return admit(core, origin, limit);
    };
    match core.counted.get(&position.partition) {
        Some(highest) if *highest >= position.offset => Some(IgnoreReason::Repeat),
        _ => {
            core.counted.insert(position.partition, position.offset);
            None
        }
    }
}
