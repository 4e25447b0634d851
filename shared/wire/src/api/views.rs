//! What the API answers with: subjects, receipts, enforcement points, audit, policies, and lists of them.

use std::collections::BTreeMap;

use caerus_engine::number::Score;
use caerus_engine::score::{Level, ScoreLine, Scored};
use caerus_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::{HypothesisName, LevelName, PublicContribution, contributions};

/// One page of a list; `next` is the cursor that continues it, `null` at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing<T> {
    pub entries: Vec<T>,
    pub next: Option<String>,
}

/// A subject's latest assessment: a user, one of a user's sessions, a device or a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectView {
    pub tenant: String,
    /// `user`, `device` or `workload`.
    pub kind: String,
    pub name: String,
    /// The session, where the assessment is a session's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The device the session was seen on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    pub score: u8,
    pub level: LevelName,
    pub hypothesis: Option<HypothesisName>,
    pub hypotheses: BTreeMap<String, u8>,
    pub contributions: Vec<PublicContribution>,
    /// The event it was assessed at, and its time.
    pub event: String,
    #[serde(with = "crate::moment::rfc3339")]
    pub at: Timestamp,
}

impl SubjectView {
    /// What an event's assessment says of its subject; `None` when the event was ignored or is about nobody.
    pub fn from_line(tenant: &str, line: &ScoreLine, at: Timestamp) -> Option<Self> {
        let Scored::Assessed(assessment) = &line.outcome else {
            return None;
        };
        let text = |id: &dyn ToString| id.to_string();
        let user = line.user.as_ref().map(|user| ("user", text(user)));
        let device = line.device.as_ref().map(|device| ("device", text(device)));
        let workload = line
            .workload
            .as_ref()
            .map(|workload| ("workload", text(workload)));
        let is_user = user.is_some();
        let (kind, name) = user.or(workload).or(device)?;
        let hypotheses = assessment.hypotheses.iter();
        Some(Self {
            tenant: tenant.to_owned(),
            kind: kind.to_owned(),
            name,
            session: line.session.as_ref().map(ToString::to_string),
            device: line
                .device
                .as_ref()
                .filter(|_| is_user)
                .map(ToString::to_string),
            score: assessment.score.0,
            level: assessment.level().into(),
            hypothesis: assessment.hypothesis.map(Into::into),
            hypotheses: hypotheses
                .map(|(name, score)| (name.name().to_owned(), score.0))
                .collect(),
            contributions: contributions(&assessment.contributions),
            event: line.event.to_string(),
            at,
        })
    }

    /// The level that fits the score, also where the view came from elsewhere.
    pub fn level_of(score: u8) -> LevelName {
        Level::of(Score(score)).into()
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// One enforcement point has a decision in force since then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptView {
    /// Its credential.
    pub enforcement_point: String,
    /// The instance's own label.
    pub client: String,
    #[serde(with = "crate::moment::rfc3339")]
    pub in_force_at: Timestamp,
}

/// What an enforcement point last said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnforcementPointView {
    pub name: String,
    pub client: String,
    /// Empty: every tenant.
    pub tenants: Vec<String>,
    #[serde(with = "crate::moment::rfc3339")]
    pub last_seen: Timestamp,
    pub acknowledged: Option<String>,
    pub connected: bool,
}

/// Who did what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditView {
    #[serde(with = "crate::moment::rfc3339")]
    pub at: Timestamp,
    pub tenant: Option<String>,
    pub principal: String,
    pub action: String,
    pub object: String,
    pub detail: String,
}

/// The policy set in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyView {
    pub revision: String,
    pub files: Vec<PolicyFileView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyFileView {
    pub name: String,
    pub text: String,
}

#[cfg(test)]
mod tests {
    use caerus_engine::id::{DeviceId, EventId, UserId};
    use caerus_engine::score::{Assessment, IgnoreReason};

    use super::*;

    fn line(user: Option<&str>, outcome: Scored) -> ScoreLine {
        ScoreLine {
            event: EventId::new("e-1"),
            user: user.map(UserId::new),
            session: None,
            device: Some(DeviceId::new("laptop")),
            workload: None,
            outcome,
        }
    }

    #[test]
    fn an_assessment_belongs_to_the_user_before_the_device() {
        let of = |user| {
            let line = line(user, Scored::Assessed(Assessment::nothing()));
            let view = SubjectView::from_line("acme", &line, Timestamp(0)).unwrap();
            (view.kind, view.name, view.device)
        };
        assert_eq!(
            of(Some("alice")),
            (
                "user".to_owned(),
                "alice".to_owned(),
                Some("laptop".to_owned())
            )
        );
        assert_eq!(of(None), ("device".to_owned(), "laptop".to_owned(), None));
    }

    #[test]
    fn an_ignored_event_says_nothing_of_its_subject() {
        let line = line(Some("alice"), Scored::Ignored(IgnoreReason::Repeat));
        assert_eq!(SubjectView::from_line("acme", &line, Timestamp(0)), None);
    }
}
