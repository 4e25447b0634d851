//! What operators and analysts ask for: decisions and feedback. Knows neither who asks nor when.

use std::collections::BTreeSet;

use caerus_engine::decide::{Action, Requires, Target};
use caerus_engine::id::{AcrValue, DecisionId};
use caerus_engine::time::Span;
use serde::{Deserialize, Serialize};

use crate::decision::{ActionName, PublicRequires, PublicRestricts, PublicTarget};
use crate::event::{NAME_CHARS_MAX, SENSITIVITY_MAX, TEXT_CHARS_MAX, Verdict};
use crate::text::cut;

/// *Units*: characters of an operator's reason.
pub const REASON_CHARS_MAX: usize = 1_024;
/// *Units*: seconds; 31 days.
pub const EXPIRES_IN_S_MAX: u32 = 31 * 24 * 60 * 60;
/// What an operator's step-up asks for when it does not say: any second factor, or a key that cannot be phished.
pub const DEFAULT_ACR_VALUES: [&str; 2] = ["urn:caerus:acr:mfa", "urn:caerus:acr:phr"];
/// Classes or apps in one request.
const NAMES_MAX: usize = 64;

/// `POST /v1/decisions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// Default: the tenant `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    pub action: ActionName,
    pub target: PublicTarget,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires: Option<PublicRequires>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restricts: Option<PublicRestricts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u32>,
}

/// `POST /v1/feedback`: on a decision, or on a user, a session or a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedbackRequest {
    /// Default: the tenant `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    pub verdict: Verdict,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The answer 202: the name by which what was asked for is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub id: String,
}

/// Why a request is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("could not read the request: {reason}")]
    Unreadable {
        reason: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("member `{member}` is missing; {reason}")]
    Missing {
        member: &'static str,
        reason: &'static str,
    },
    #[error("member `{member}` does not fit; {reason}")]
    Unfitting {
        member: &'static str,
        reason: &'static str,
    },
    #[error("member `{member}` has {len} {of}; {min} to {max} are taken")]
    BadLength {
        member: &'static str,
        len: usize,
        /// What is counted: characters or entries.
        of: &'static str,
        min: usize,
        max: usize,
    },
    #[error("member `{member}` has a control character")]
    ControlCharacter { member: &'static str },
    #[error("member `{member}` is out of range; {expected}")]
    OutOfRange {
        member: &'static str,
        expected: &'static str,
    },
}

impl DecisionRequest {
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        let request: Self = serde_json::from_slice(body).map_err(unreadable)?;
        request.check()?;
        Ok(request)
    }

    pub fn target(&self) -> Target {
        self.target.to_engine()
    }

    /// The action with its particulars; a step-up that names no class takes [`DEFAULT_ACR_VALUES`].
    pub fn action(&self) -> Action {
        let restricts = self.restricts.as_ref().map(PublicRestricts::to_engine);
        match self.action {
            ActionName::Clear => Action::Clear,
            ActionName::Revoke => Action::Revoke,
            ActionName::Restrict => Action::Restrict(restricts.unwrap_or_default()),
            ActionName::StepUp => Action::StepUp {
                requires: self.required(),
                restricts,
            },
        }
    }

    pub fn life(&self) -> Option<Span> {
        self.expires_in_s
            .map(|seconds| Span::seconds(seconds.into()))
    }

    fn required(&self) -> Requires {
        let mut requires = self
            .requires
            .as_ref()
            .map(PublicRequires::to_engine)
            .unwrap_or(Requires {
                acr_values: BTreeSet::new(),
                max_age_s: None,
            });
        if requires.acr_values.is_empty() {
            requires.acr_values = DEFAULT_ACR_VALUES.map(AcrValue::new).into();
        }
        requires
    }

    fn check(&self) -> Result<(), RequestError> {
        check_name("tenant", self.tenant.as_deref())?;
        check_target(&self.target)?;
        check_chars("reason", &self.reason, 1, REASON_CHARS_MAX)?;
        self.check_requires()?;
        self.check_restricts()?;
        match self.expires_in_s {
            Some(seconds) if !(1..=EXPIRES_IN_S_MAX).contains(&seconds) => {
                Err(RequestError::OutOfRange {
                    member: "expires_in_s",
                    expected: "1 to 2678400",
                })
            }
            _ => Ok(()),
        }
    }

    fn check_requires(&self) -> Result<(), RequestError> {
        let Some(requires) = &self.requires else {
            return Ok(());
        };
        if self.action != ActionName::StepUp {
            return Err(RequestError::Unfitting {
                member: "requires",
                reason: "only a step_up requires something",
            });
        }
        check_names("requires.acr_values", &requires.acr_values)
    }

    fn check_restricts(&self) -> Result<(), RequestError> {
        let Some(restricts) = &self.restricts else {
            return match self.action {
                ActionName::Restrict => Err(RequestError::Missing {
                    member: "restricts",
                    reason: "a restrict says what it covers",
                }),
                _ => Ok(()),
            };
        };
        if matches!(self.action, ActionName::Clear | ActionName::Revoke) {
            return Err(RequestError::Unfitting {
                member: "restricts",
                reason: "only a restrict or a step_up restricts something",
            });
        }
        if *restricts == PublicRestricts::default() {
            return Err(RequestError::Missing {
                member: "restricts.sensitivity_above",
                reason: "it names a sensitivity, or apps",
            });
        }
        if restricts
            .sensitivity_above
            .is_some_and(|above| above >= SENSITIVITY_MAX)
        {
            return Err(RequestError::OutOfRange {
                member: "restricts.sensitivity_above",
                expected: "0 to 3",
            });
        }
        check_names("restricts.apps", &restricts.apps)
    }
}

impl FeedbackRequest {
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        let request: Self = serde_json::from_slice(body).map_err(unreadable)?;
        request.check()?;
        Ok(request)
    }

    pub fn decision_id(&self) -> Option<DecisionId> {
        self.decision.as_deref().and_then(DecisionId::parse)
    }

    fn check(&self) -> Result<(), RequestError> {
        check_name("tenant", self.tenant.as_deref())?;
        check_name("user", self.user.as_deref())?;
        check_name("session", self.session.as_deref())?;
        check_name("device", self.device.as_deref())?;
        if let Some(note) = &self.note {
            let note: String = note
                .chars()
                .filter(|c| !matches!(c, '\n' | '\r' | '\t'))
                .collect();
            check_chars("note", &note, 0, TEXT_CHARS_MAX)?;
        }
        if self.decision.is_some() && self.decision_id().is_none() {
            return Err(RequestError::Unfitting {
                member: "decision",
                reason: "it is not a decision's id",
            });
        }
        if self.session.is_some() && self.user.is_none() {
            return Err(RequestError::Missing {
                member: "user",
                reason: "feedback that names a session names its user",
            });
        }
        if self.decision.is_none() && self.user.is_none() && self.device.is_none() {
            return Err(RequestError::Missing {
                member: "decision",
                reason: "feedback names a decision, a user, a session or a device",
            });
        }
        Ok(())
    }
}

fn unreadable(source: serde_json::Error) -> RequestError {
    RequestError::Unreadable {
        reason: cut(&source.to_string()),
        source,
    }
}

fn check_target(target: &PublicTarget) -> Result<(), RequestError> {
    check_name("target.user", target.user.as_deref())?;
    check_name("target.session", target.session.as_deref())?;
    check_name("target.device", target.device.as_deref())?;
    check_name("target.workload", target.workload.as_deref())?;
    check_name("target.app", target.app.as_deref())?;
    if *target == PublicTarget::default() {
        return Err(RequestError::Missing {
            member: "target.user",
            reason: "a target names a user, a device, a workload or an app at least",
        });
    }
    if target.session.is_some() && target.user.is_none() {
        return Err(RequestError::Missing {
            member: "target.user",
            reason: "a session comes with its user",
        });
    }
    Ok(())
}

fn check_name(member: &'static str, name: Option<&str>) -> Result<(), RequestError> {
    match name {
        Some(name) => check_chars(member, name, 1, NAME_CHARS_MAX),
        None => Ok(()),
    }
}

fn check_names(member: &'static str, names: &BTreeSet<String>) -> Result<(), RequestError> {
    if names.len() > NAMES_MAX {
        return Err(RequestError::BadLength {
            member,
            len: names.len(),
            of: "entries",
            min: 0,
            max: NAMES_MAX,
        });
    }
    for name in names {
        check_chars(member, name, 1, NAME_CHARS_MAX)?;
    }
    Ok(())
}

fn check_chars(
    member: &'static str,
    text: &str,
    min: usize,
    max: usize,
) -> Result<(), RequestError> {
    let len = text.chars().count();
    if !(min..=max).contains(&len) {
        return Err(RequestError::BadLength {
            member,
            len,
            of: "characters",
            min,
            max,
        });
    }
    if text.chars().any(char::is_control) {
        return Err(RequestError::ControlCharacter { member });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_asked_for_with_little() {
        let body =
            br#"{"action":"step_up","target":{"user":"alice"},"reason":"odd","expires_in_s":60}"#;
        let request = DecisionRequest::parse(body).unwrap();
        assert_eq!(request.life(), Some(Span::minutes(1)));
        let Action::StepUp {
            requires,
            restricts,
        } = request.action()
        else {
            panic!("{:?}", request.action());
        };
        assert_eq!(
            requires.acr_values,
            DEFAULT_ACR_VALUES.map(AcrValue::new).into()
        );
        assert_eq!((requires.max_age_s, restricts), (None, None));
        assert_eq!(request.target().user.unwrap().as_str(), "alice");
    }

    #[test]
    fn a_decision_that_does_not_fit_is_refused_with_the_reason() {
        for (members, error) in [
            (
                r#""action":"revoke","target":{}"#,
                "member `target.user` is missing; a target names a user, a device, a workload or an app at least",
            ),
            (
                r#""action":"revoke","target":{"session":"s"}"#,
                "member `target.user` is missing; a session comes with its user",
            ),
            (
                r#""action":"revoke","target":{"user":""}"#,
                "member `target.user` has 0 characters; 1 to 512 are taken",
            ),
            (
                r#""action":"revoke","target":{"user":"a\u0007"}"#,
                "member `target.user` has a control character",
            ),
            (
                r#""action":"restrict","target":{"user":"a"}"#,
                "member `restricts` is missing; a restrict says what it covers",
            ),
            (
                r#""action":"restrict","target":{"user":"a"},"restricts":{}"#,
                "member `restricts.sensitivity_above` is missing; it names a sensitivity, or apps",
            ),
            (
                r#""action":"restrict","target":{"user":"a"},"restricts":{"sensitivity_above":4}"#,
                "member `restricts.sensitivity_above` is out of range; 0 to 3",
            ),
            (
                r#""action":"revoke","target":{"user":"a"},"requires":{"acr_values":["x"]}"#,
                "member `requires` does not fit; only a step_up requires something",
            ),
            (
                r#""action":"clear","target":{"user":"a"},"restricts":{"apps":["x"]}"#,
                "member `restricts` does not fit; only a restrict or a step_up restricts something",
            ),
            (
                r#""action":"clear","target":{"user":"a"},"expires_in_s":0"#,
                "member `expires_in_s` is out of range; 1 to 2678400",
            ),
            (
                r#""action":"burn","target":{"user":"a"}"#,
                "could not read the request: unknown variant `burn`, expected one of `clear`, `restrict`, `st…",
            ),
            (
                r#""action":"clear","target":{"user":"a"},"expires":1"#,
                "could not read the request: unknown field `expires`, expected one of `tenant`, `action`, `ta…",
            ),
        ] {
            let body = format!(r#"{{"reason":"r",{members}}}"#);
            let refusal = DecisionRequest::parse(body.as_bytes()).expect_err(&body);
            assert_eq!(refusal.to_string(), error, "{body}");
        }
    }

    #[test]
    fn feedback_names_what_it_is_about() {
        let id = format!("d-{}", "0a".repeat(24));
        for (members, error) in [
            (
                r#""note":"x""#.to_owned(),
                Some(
                    "member `decision` is missing; feedback names a decision, a user, a session or a device",
                ),
            ),
            (
                r#""session":"s""#.to_owned(),
                Some("member `user` is missing; feedback that names a session names its user"),
            ),
            (
                r#""decision":"d-1""#.to_owned(),
                Some("member `decision` does not fit; it is not a decision's id"),
            ),
            (format!(r#""decision":"{id}","note":"two\nlines""#), None),
            (r#""user":"a","session":"s""#.to_owned(), None),
        ] {
            let body = format!(r#"{{"verdict":"safe",{members}}}"#);
            let refusal = FeedbackRequest::parse(body.as_bytes())
                .err()
                .map(|error| error.to_string());
            assert_eq!(refusal.as_deref(), error, "{body}");
        }
    }
}
