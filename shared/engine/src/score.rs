//! From evidence to a score with its explanation: hypotheses, families, caps, points. Knows nothing of policies.

pub mod assess;
pub mod model;

use crate::evidence::{Code, Detail, Family};
use crate::id::{DeviceId, EventId, SessionId, UserId, WorkloadId};
use crate::number::{Nats, Points, Score};

pub use model::Model;

/// What may be going on. The order settles ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hypothesis {
    StolenCredential,
    HijackedSession,
    CompromisedDevice,
    Misuse,
}

impl Hypothesis {
    pub const ALL: [Self; 4] = [
        Self::StolenCredential,
        Self::HijackedSession,
        Self::CompromisedDevice,
        Self::Misuse,
    ];

    /// The name in decisions and policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::StolenCredential => "stolen_credential",
            Self::HijackedSession => "hijacked_session",
            Self::CompromisedDevice => "compromised_device",
            Self::Misuse => "misuse",
        }
    }
}

/// CAEP's three levels: LOW below 40, MEDIUM below 80, HIGH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Low,
    Medium,
    High,
}

impl Level {
    pub fn of(score: Score) -> Self {
        match score.0 {
            0..40 => Self::Low,
            40..80 => Self::Medium,
            _ => Self::High,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
        }
    }
}

/// One line of an explanation. The lines of one assessment add up exactly to its raw score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    pub line: Line,
    pub points: Points,
    /// The event that told the fact, where one did.
    pub event: Option<EventId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Prior,
    Evidence {
        code: Code,
        detail: Detail,
    },
    /// What a cap (of a family, of trust) took away or gave back.
    Cap {
        of: CapOf,
    },
    Criticality,
    /// An operator's own decision.
    Operator {
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CapOf {
    Family(Family),
    Trust,
}

/// What the evidence amounts to for one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    pub score: Score,
    /// Raw, unclamped: what the contributions add up to.
    pub raw: Points,
    pub log_odds: Nats,
    /// `None` where no hypothesis competes; then the score is 0 and there are no contributions.
    pub hypothesis: Option<Hypothesis>,
    /// Those that compete.
    pub hypotheses: Vec<(Hypothesis, Score)>,
    /// The prior first, then by size.
    pub contributions: Vec<Contribution>,
}

impl Assessment {
    /// No hypothesis competes.
    pub fn nothing() -> Self {
        Self {
            score: Score(0),
            raw: Points::ZERO,
            log_odds: Nats::ZERO,
            hypothesis: None,
            hypotheses: Vec::new(),
            contributions: Vec::new(),
        }
    }

    pub fn level(&self) -> Level {
        Level::of(self.score)
    }

    /// The score of one hypothesis; 0 where it does not compete.
    pub fn of(&self, hypothesis: Hypothesis) -> Score {
        self.hypotheses
            .iter()
            .find(|(h, _)| *h == hypothesis)
            .map_or(Score(0), |(_, s)| *s)
    }
}

/// What became of one signal: the contract's `score` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreLine {
    pub event: EventId,
    pub user: Option<UserId>,
    pub session: Option<SessionId>,
    pub device: Option<DeviceId>,
    pub workload: Option<WorkloadId>,
    pub outcome: Scored,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scored {
    Assessed(Assessment),
    Ignored(IgnoreReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IgnoreReason {
    /// The id was seen for this subject within the window.
    Repeat,
    /// The id was seen, with another body; the first wins.
    RepeatWithAnotherBody,
    /// Feedback about something that is not known.
    UnknownSubject,
    /// The named subject belongs to another tenant.
    OtherTenant,
    /// The fact does not fit the subject's kind.
    Misdirected,
    /// A wake-up with nothing due, or an older standing.
    Stale,
}

impl IgnoreReason {
    pub fn name(self) -> &'static str {
        match self {
            Self::Repeat => "repeat",
            Self::RepeatWithAnotherBody => "repeat_with_another_body",
            Self::UnknownSubject => "unknown_subject",
            Self::OtherTenant => "other_tenant",
            Self::Misdirected => "misdirected",
            Self::Stale => "stale",
        }
    }
}
