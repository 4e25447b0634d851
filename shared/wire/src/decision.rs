//! Decisions as they go out: the contract's object, §3, written and read back. Knows no stream and no policy.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use caerus_engine::decide::{Action, Decision, Mode, Requires, Restricts, Target};
use caerus_engine::id::{AcrValue, AppId, DecisionId, DeviceId, SessionId, UserId, WorkloadId};
use caerus_engine::number::Points;
use caerus_engine::score::{Contribution, Hypothesis, Level};
use caerus_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::explain;
use crate::text::cut;
use crate::word::{twins, words};

/// The version of the object that is written; no other is read.
pub const DECISION_VERSION: u32 = 1;

/// Separates tenant and members in [`target_key`]; no name holds a control character.
const KEY_SEPARATOR: char = '\u{1f}';

/// One decision, as enforcement points read it. Members it does not know are ignored when read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicDecision {
    pub v: u32,
    pub id: String,
    pub tenant: String,
    pub generation: u64,
    pub action: ActionName,
    pub mode: ModeName,
    pub target: PublicTarget,
    #[serde(with = "crate::moment::rfc3339_or_null", default)]
    pub issued_before: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub except_sessions: BTreeSet<String>,
    #[serde(with = "crate::moment::rfc3339")]
    pub issued_at: Timestamp,
    #[serde(with = "crate::moment::rfc3339")]
    pub expires_at: Timestamp,
    #[serde(default)]
    pub requires: Option<PublicRequires>,
    #[serde(default)]
    pub restricts: Option<PublicRestricts>,
    pub score: u8,
    pub level: LevelName,
    #[serde(default)]
    pub hypothesis: Option<HypothesisName>,
    #[serde(default)]
    pub contributions: Vec<PublicContribution>,
    pub policy: PublicPolicy,
    pub cause: String,
    #[serde(
        with = "crate::moment::rfc3339_or_null",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub received_at: Option<Timestamp>,
    #[serde(
        with = "crate::moment::rfc3339_or_null",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub decided_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

words! {
    /// What is asked of the enforcement points, without its particulars.
    pub enum ActionName {
        Clear = "clear",
        Restrict = "restrict",
        StepUp = "step_up",
        Revoke = "revoke",
    }
}

words! {
    pub enum ModeName {
        Enforce = "enforce",
        Shadow = "shadow",
    }
}
twins! { ModeName = Mode { Enforce, Shadow, } }

words! {
    /// CAEP's levels.
    pub enum LevelName {
        Low = "LOW",
        Medium = "MEDIUM",
        High = "HIGH",
    }
}
twins! { LevelName = Level { Low, Medium, High, } }

words! {
    pub enum HypothesisName {
        StolenCredential = "stolen_credential",
        HijackedSession = "hijacked_session",
        CompromisedDevice = "compromised_device",
        Misuse = "misuse",
    }
}
twins! { HypothesisName = Hypothesis {
    StolenCredential, HijackedSession, CompromisedDevice, Misuse,
}}

/// Whom it is about. *Shape*: at least one member; a session comes with its user.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublicTarget {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
}

/// What meets a step-up: any of the classes, reached not longer ago than the age.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicRequires {
    #[serde(default)]
    pub acr_values: BTreeSet<String>,
    #[serde(default)]
    pub max_age_s: Option<u32>,
}

/// What a restriction covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicRestricts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity_above: Option<u8>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub apps: BTreeSet<String>,
}

/// One line of the explanation; the lines add up to the raw score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicContribution {
    pub code: String,
    #[serde(with = "crate::decimal::points")]
    pub points: Points,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Map<String, Value>>,
}

/// Which rule of which revision decided; an operator's decision has no rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicPolicy {
    pub rule: Option<String>,
    pub revision: String,
}

/// Why something is no decision.
#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    #[error("could not read a decision")]
    Unreadable {
        #[source]
        source: serde_json::Error,
    },
    #[error("a decision of version {version} cannot be read; version {DECISION_VERSION} can")]
    UnknownVersion { version: u64 },
    #[error("the decision `{id}` names nobody: its target is empty")]
    EmptyTarget { id: String },
    #[error("the decision `{id}` names a session without its user")]
    SessionWithoutUser { id: String },
    #[error("the decision `{id}` is a {} without `{member}`", action.name())]
    Incomplete {
        id: String,
        action: ActionName,
        member: &'static str,
    },
}

impl PublicDecision {
    /// `decided_at` stands on live decisions only.
    pub fn from_engine(decision: &Decision, decided_at: Option<Timestamp>) -> Self {
        let (requires, restricts) = particulars(&decision.action);
        Self {
            v: DECISION_VERSION,
            id: decision.id.to_string(),
            tenant: decision.tenant.to_string(),
            generation: decision.generation,
            action: ActionName::of(&decision.action),
            mode: decision.mode.into(),
            target: PublicTarget::from_engine(&decision.target),
            issued_before: decision.issued_before,
            except_sessions: texts(&decision.except_sessions),
            issued_at: decision.issued_at,
            expires_at: decision.expires_at,
            requires: requires.map(PublicRequires::from_engine),
            restricts: restricts.map(PublicRestricts::from_engine),
            score: decision.score.0,
            level: decision.level().into(),
            hypothesis: decision.hypothesis.map(Into::into),
            contributions: contributions(&decision.contributions),
            policy: PublicPolicy {
                rule: decision.rule.as_ref().map(ToString::to_string),
                revision: decision.revision.to_string(),
            },
            cause: decision.cause.to_string(),
            received_at: decision.received_at,
            decided_at,
            trace: decision.trace.clone(),
        }
    }

    /// Reads the object. *Errors*: not the object, another version, or a target or action that is incomplete.
    pub fn parse(json: &[u8]) -> Result<Self, DecisionError> {
        /// Read first, so that another version is named rather than its strange members.
        #[derive(Deserialize)]
        struct Head {
            v: u64,
        }
        let unreadable = |source| DecisionError::Unreadable { source };
        let decision = match serde_json::from_slice::<Self>(json) {
            Ok(decision) if decision.v == DECISION_VERSION => decision,
            read => {
                let head: Head = serde_json::from_slice(json).map_err(unreadable)?;
                if head.v != u64::from(DECISION_VERSION) {
                    return Err(DecisionError::UnknownVersion { version: head.v });
                }
                read.map_err(unreadable)?
            }
        };
        decision.check()?;
        Ok(decision)
    }

    fn check(&self) -> Result<(), DecisionError> {
        let id = || cut(&self.id);
        if self.target == PublicTarget::default() {
            return Err(DecisionError::EmptyTarget { id: id() });
        }
        if self.target.session.is_some() && self.target.user.is_none() {
            return Err(DecisionError::SessionWithoutUser { id: id() });
        }
        let member = match self.action {
            ActionName::StepUp if self.requires.is_none() => "requires",
            ActionName::Restrict if self.restricts.is_none() => "restricts",
            _ => return Ok(()),
        };
        Err(DecisionError::Incomplete {
            id: id(),
            action: self.action,
            member,
        })
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        // Maps with text keys and finite numbers always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn target(&self) -> Target {
        self.target.to_engine()
    }

    /// The action with its particulars.
    pub fn action(&self) -> Action {
        let restricts = self.restricts.as_ref().map(PublicRestricts::to_engine);
        match self.action {
            ActionName::Clear => Action::Clear,
            ActionName::Revoke => Action::Revoke,
            ActionName::Restrict => Action::Restrict(restricts.unwrap_or_default()),
            ActionName::StepUp => {
                let requires = self.requires.as_ref().map(PublicRequires::to_engine);
                Action::StepUp {
                    requires: requires.unwrap_or(Requires {
                        acr_values: BTreeSet::new(),
                        max_age_s: None,
                    }),
                    restricts,
                }
            }
        }
    }

    /// The id taken apart; `None` when it is not of this engine's form.
    pub fn decision_id(&self) -> Option<DecisionId> {
        DecisionId::parse(&self.id)
    }

    /// The key under which the decision stands in its compacted topic.
    pub fn key(&self) -> String {
        target_key(&self.tenant, &self.target())
    }

    /// The sum of all lines: the raw score. INVARIANT (INV-3): rounded and clamped it is `score`.
    pub fn raw_points(&self) -> Points {
        self.contributions.iter().map(|line| line.points).sum()
    }

    /// The same without what stands on live decisions only: as a replay writes it.
    #[must_use]
    pub fn without_live_members(mut self) -> Self {
        self.received_at = None;
        self.decided_at = None;
        self.trace = None;
        self
    }
}

impl ActionName {
    pub fn of(action: &Action) -> Self {
        match action {
            Action::Clear => Self::Clear,
            Action::Restrict(_) => Self::Restrict,
            Action::StepUp { .. } => Self::StepUp,
            Action::Revoke => Self::Revoke,
        }
    }
}

impl PublicTarget {
    pub fn from_engine(target: &Target) -> Self {
        Self {
            user: target.user.as_ref().map(ToString::to_string),
            session: target.session.as_ref().map(ToString::to_string),
            device: target.device.as_ref().map(ToString::to_string),
            workload: target.workload.as_ref().map(ToString::to_string),
            app: target.app.as_ref().map(ToString::to_string),
        }
    }

    pub fn to_engine(&self) -> Target {
        Target {
            user: self.user.as_deref().map(UserId::new),
            session: self.session.as_deref().map(SessionId::new),
            device: self.device.as_deref().map(DeviceId::new),
            workload: self.workload.as_deref().map(WorkloadId::new),
            app: self.app.as_deref().map(AppId::new),
        }
    }
}

impl PublicRequires {
    pub fn from_engine(requires: &Requires) -> Self {
        Self {
            acr_values: texts(&requires.acr_values),
            max_age_s: requires.max_age_s,
        }
    }

    pub fn to_engine(&self) -> Requires {
        Requires {
            acr_values: self
                .acr_values
                .iter()
                .map(|acr| AcrValue::new(acr.as_str()))
                .collect(),
            max_age_s: self.max_age_s,
        }
    }
}

impl PublicRestricts {
    pub fn from_engine(restricts: &Restricts) -> Self {
        Self {
            sensitivity_above: restricts.sensitivity_above,
            apps: texts(&restricts.apps),
        }
    }

    pub fn to_engine(&self) -> Restricts {
        Restricts {
            sensitivity_above: self.sensitivity_above,
            apps: self
                .apps
                .iter()
                .map(|app| AppId::new(app.as_str()))
                .collect(),
        }
    }
}

/// The lines as they go out, in their order.
pub fn contributions(lines: &[Contribution]) -> Vec<PublicContribution> {
    let public = |line: &Contribution| PublicContribution {
        code: explain::code(&line.line).to_owned(),
        points: line.points,
        event: line.event.as_ref().map(ToString::to_string),
        text: Some(explain::text(&line.line)),
        evidence: explain::evidence(&line.line),
    };
    lines.iter().map(public).collect()
}

/// Tenant and target as one text, the same for the same target: the members given, in the contract's order, each as
/// `name=value`, separated by U+001F.
pub fn target_key(tenant: &str, target: &Target) -> String {
    let Target {
        user,
        session,
        device,
        workload,
        app,
    } = target;
    let members = [
        ("user", user.as_ref().map(UserId::as_str)),
        ("session", session.as_ref().map(SessionId::as_str)),
        ("device", device.as_ref().map(DeviceId::as_str)),
        ("workload", workload.as_ref().map(WorkloadId::as_str)),
        ("app", app.as_ref().map(AppId::as_str)),
    ];
    let mut key = tenant.to_owned();
    for (name, value) in members {
        if let Some(value) = value {
            key.push(KEY_SEPARATOR);
            key.push_str(name);
            key.push('=');
            key.push_str(value);
        }
    }
    key
}

fn particulars(action: &Action) -> (Option<&Requires>, Option<&Restricts>) {
    match action {
        Action::Clear | Action::Revoke => (None, None),
        Action::Restrict(restricts) => (None, Some(restricts)),
        Action::StepUp {
            requires,
            restricts,
        } => (Some(requires), restricts.as_ref()),
    }
}

fn texts<T: ToString>(ids: &BTreeSet<T>) -> BTreeSet<String> {
    ids.iter().map(ToString::to_string).collect()
}
