//! The AuthZEN 1.0 forms: a question about a subject, an action and a resource, one or several at once. Knows no picture.
//!
//! Subject types: `user`, `session`, `workload`, `device`; its properties `user`, `session`, `device`, `workload` and
//! `tenant` add what is known besides. Resource types: `route` (its id is a path) and any other, whose id names the
//! app unless property `app` does; property `sensitivity` (0–4) overrides the route's. What the caller says of a subject
//! is taken as said, so a caller is one of `trusted_proxies`; it never proves a step-up.

use std::collections::BTreeSet;

use caerus_engine::id::{AcrValue, AppId, DeviceId, SessionId, TenantId, UserId, WorkloadId};
use serde::{Deserialize, Serialize};

use crate::answer::Ruling;
use crate::identity::Identity;
use crate::limit;

/// The most sensitive class of a resource.
const SENSITIVITY_MAX: u8 = 4;

/// One question, or the parts that a batch's questions share. Members it does not know are ignored.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Question {
    pub subject: Option<Entity>,
    pub action: Option<Action>,
    pub resource: Option<Entity>,
}

/// A batch of questions.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Questions {
    #[serde(flatten)]
    pub shared: Question,
    #[serde(default)]
    pub evaluations: Vec<Question>,
    #[serde(default)]
    pub options: Options,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Options {
    #[serde(default)]
    pub evaluations_semantic: Semantic,
}

/// When a batch stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Semantic {
    #[default]
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

/// A subject or a resource.
#[derive(Clone, Debug, Deserialize)]
pub struct Entity {
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
    #[serde(default)]
    pub properties: Properties,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Action {
    pub name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Properties {
    pub tenant: Option<String>,
    pub user: Option<String>,
    pub session: Option<String>,
    pub device: Option<String>,
    pub workload: Option<String>,
    pub app: Option<String>,
    pub sensitivity: Option<u8>,
}

/// What a question comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub identity: Identity,
    pub place: Place,
    pub sensitivity: Option<u8>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Path(String),
    App(AppId),
}

/// Why a question cannot be answered: a sentence for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    #[error("member `{member}` is missing")]
    Missing { member: &'static str },
    #[error("member `{member}` is empty, too long, or holds control characters")]
    BadName { member: &'static str },
    #[error("subject type `{kind}` is not known; there are user, session, workload, device")]
    SubjectType { kind: String },
    #[error("member `resource.properties.sensitivity` is a number from 0 to {SENSITIVITY_MAX}")]
    Sensitivity,
    #[error("subject and its properties name different {member}s")]
    Disagree { member: &'static str },
}

impl Question {
    /// The question with what it lacks taken from the batch's shared parts.
    #[must_use]
    pub fn or(&self, shared: &Self) -> Self {
        Self {
            subject: self.subject.clone().or_else(|| shared.subject.clone()),
            action: self.action.clone().or_else(|| shared.action.clone()),
            resource: self.resource.clone().or_else(|| shared.resource.clone()),
        }
    }

    /// Who asks for what.
    pub fn read(&self) -> Result<Asked, QuestionError> {
        let missing = |member| QuestionError::Missing { member };
        let subject = self.subject.as_ref().ok_or(missing("subject"))?;
        let action = self.action.as_ref().ok_or(missing("action"))?;
        let resource = self.resource.as_ref().ok_or(missing("resource"))?;
        for (member, text) in [
            ("subject.type", &subject.kind),
            ("subject.id", &subject.id),
            ("action.name", &action.name),
            ("resource.type", &resource.kind),
            ("resource.id", &resource.id),
        ] {
            check(member, text)?;
        }
        let sensitivity = resource.properties.sensitivity;
        if sensitivity.is_some_and(|sensitivity| sensitivity > SENSITIVITY_MAX) {
            return Err(QuestionError::Sensitivity);
        }
        let app = resource.properties.app.as_ref();
        let place = match (resource.kind.as_str(), app) {
            ("route", _) => Place::Path(resource.id.clone()),
            (_, Some(app)) => Place::App(AppId::new(app.as_str())),
            (_, None) => Place::App(AppId::new(resource.id.as_str())),
        };
        Ok(Asked {
            identity: identity(subject)?,
            place,
            sensitivity,
        })
    }
}

fn identity(subject: &Entity) -> Result<Identity, QuestionError> {
    let own = |kind: &str| (subject.kind == kind).then_some(&subject.id);
    if !["user", "session", "workload", "device"].contains(&subject.kind.as_str()) {
        return Err(QuestionError::SubjectType {
            kind: subject.kind.chars().take(64).collect(),
        });
    }
    let properties = &subject.properties;
    let member = |kind: &'static str, property: &Option<String>| match (own(kind), property) {
        (Some(id), Some(property)) if id != property => {
            Err(QuestionError::Disagree { member: kind })
        }
        (Some(text), _) => Ok(Some(text.clone())),
        (None, Some(text)) => check(kind, text).map(|()| Some(text.clone())),
        (None, None) => Ok(None),
    };
    let session = member("session", &properties.session)?;
    Ok(Identity {
        tenant: member("tenant", &properties.tenant)?.map(TenantId::new),
        user: member("user", &properties.user)?.map(UserId::new),
        device: member("device", &properties.device)?.map(DeviceId::new),
        workload: member("workload", &properties.workload)?.map(WorkloadId::new),
        sessions: session
            .into_iter()
            .map(SessionId::new)
            .collect::<BTreeSet<_>>(),
        token: None,
    })
}

fn check(member: &'static str, text: &str) -> Result<(), QuestionError> {
    let is_name = !text.is_empty()
        && text.len() <= limit::PATH_BYTES_MAX
        && !text.chars().any(char::is_control);
    is_name
        .then_some(())
        .ok_or(QuestionError::BadName { member })
}

/// One answer. A refusal is an answer too: its status is 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    pub decision: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
}

/// Why it was refused, and what would help.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Context {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The decision that answered, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub acr_values: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ItemError>,
}

/// What was wrong with one question of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItemError {
    pub status: u16,
    pub message: String,
}

/// A batch's answers, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answers {
    pub evaluations: Vec<Answer>,
}

impl Answer {
    pub fn of(ruling: &Ruling) -> Self {
        if ruling.is_allowed() {
            return Self {
                decision: true,
                context: None,
            };
        }
        let decision = ruling.decision();
        let mut context = Context {
            reason: Some(ruling.reason()),
            id: decision.map(|decision| decision.id.to_string()),
            rule: decision.and_then(|decision| decision.rule.as_ref().map(ToString::to_string)),
            ..Context::default()
        };
        if let Ruling::StepUp(demand) = ruling {
            context.acr_values = demand.acr_values.iter().map(AcrValue::to_string).collect();
            context.max_age = demand.max_age_s;
        }
        Self {
            decision: false,
            context: Some(context),
        }
    }

    pub fn of_error(status: u16, message: impl Into<String>) -> Self {
        Self {
            decision: false,
            context: Some(Context {
                error: Some(ItemError {
                    status,
                    message: message.into(),
                }),
                ..Context::default()
            }),
        }
    }
}

impl Semantic {
    /// True when a batch ends with this answer.
    pub fn ends_with(self, answer: &Answer) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !answer.decision,
            Self::PermitOnFirstPermit => answer.decision,
        }
    }
}
