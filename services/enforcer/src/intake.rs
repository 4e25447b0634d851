//! What a decision of the stream becomes here. Knows no socket.

use caerus_engine::id::{RuleId, SessionId, TenantId};
use caerus_wire::decision::{ActionName, DECISION_VERSION, ModeName, PublicDecision};

use crate::picture::Decision;

/// Why a decision cannot be put in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    #[error("decision `{id}` is of version {version}, which is not understood")]
    Version { id: String, version: u32 },
    #[error("decision `{id}` names nobody: its target is empty")]
    EmptyTarget { id: String },
    #[error("decision `{id}` is a {action} without its particulars")]
    Incomplete { id: String, action: &'static str },
}

/// Takes what an enforcement point needs. *Returns*: `None` for a shadow decision, which is never put in force.
pub fn take(public: &PublicDecision) -> Result<Option<Decision>, IntakeError> {
    let id = || public.id.chars().take(80).collect();
    if public.v != DECISION_VERSION {
        return Err(IntakeError::Version {
            id: id(),
            version: public.v,
        });
    }
    if public.mode == ModeName::Shadow {
        return Ok(None);
    }
    let target = public.target();
    // An empty pattern would match every request there is.
    if target.is_empty() {
        return Err(IntakeError::EmptyTarget { id: id() });
    }
    let is_complete = match public.action {
        ActionName::StepUp => public.requires.is_some(),
        ActionName::Restrict => public.restricts.is_some(),
        ActionName::Clear | ActionName::Revoke => true,
    };
    if !is_complete {
        return Err(IntakeError::Incomplete {
            id: id(),
            action: public.action.name(),
        });
    }
    Ok(Some(Decision {
        id: public.id.as_str().into(),
        tenant: TenantId::new(public.tenant.as_str()),
        generation: public.generation,
        action: public.action(),
        target,
        issued_before: public.issued_before,
        except_sessions: public
            .except_sessions
            .iter()
            .map(|session| SessionId::new(session.as_str()))
            .collect(),
        issued_at: public.issued_at,
        expires_at: public.expires_at,
        rule: public.policy.rule.as_deref().map(RuleId::new),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_decision_is_taken_whole_and_a_shadow_not_at_all() {
        let public = sample::public(&sample::step_up(sample::session("alice", "s-1")));
        let taken = take(&public).unwrap().unwrap();
        assert_eq!(taken, sample::step_up(sample::session("alice", "s-1")));
        let shadow = PublicDecision {
            mode: ModeName::Shadow,
            ..public
        };
        assert_eq!(take(&shadow), Ok(None));
    }

    #[test]
    fn what_would_mean_everybody_or_nothing_is_refused() {
        let public = sample::public(&sample::step_up(sample::user("alice")));
        let id = public.id.clone();
        let cases = [
            (
                PublicDecision {
                    v: 2,
                    ..public.clone()
                },
                IntakeError::Version {
                    id: id.clone(),
                    version: 2,
                },
            ),
            (
                PublicDecision {
                    target: caerus_wire::decision::PublicTarget::default(),
                    ..public.clone()
                },
                IntakeError::EmptyTarget { id: id.clone() },
            ),
            (
                PublicDecision {
                    requires: None,
                    ..public
                },
                IntakeError::Incomplete {
                    id,
                    action: "step_up",
                },
            ),
        ];
        for (public, expected) in cases {
            assert_eq!(take(&public), Err(expected));
        }
    }
}
