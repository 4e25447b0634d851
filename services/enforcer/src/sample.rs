//! Builders for tests: only what matters to a test appears in it.

pub(crate) mod gateway;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use caerus_engine::decide::{Action, Requires, Target};
use caerus_engine::id::{AcrValue, RuleId, SessionId, TenantId, UserId};
use caerus_engine::time::{Span, Timestamp};

use caerus_runtime::port::Clock;
use caerus_wire::decision::{
    ActionName, HypothesisName, LevelName, ModeName, PublicDecision, PublicPolicy, PublicRequires,
    PublicRestricts, PublicTarget,
};

use crate::picture::Decision;

/// 2026-11-21T10:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp(1_795_255_200_000);
pub(crate) const HOUR: Span = Span::hours(1);
pub(crate) const MFA: &str = "urn:caerus:acr:mfa";

pub(crate) fn user(user: &str) -> Target {
    Target {
        user: Some(UserId::new(user)),
        ..Target::default()
    }
}

pub(crate) fn session(of: &str, session: &str) -> Target {
    Target {
        session: Some(SessionId::new(session)),
        ..user(of)
    }
}

/// Generation 1 of tenant `acme`, issued now, an hour in force, no cut-off.
pub(crate) fn revoke(target: Target) -> Decision {
    Decision {
        id: "d-0123456789abcdef0123456789abcdef0123456789abcdef".into(),
        tenant: TenantId::new("acme"),
        generation: 1,
        action: Action::Revoke,
        target,
        issued_before: None,
        except_sessions: BTreeSet::new(),
        issued_at: NOW,
        expires_at: NOW + HOUR,
        rule: Some(RuleId::new("revoke-on-critical")),
    }
}

/// Asks for [`MFA`], at most 300 s ago.
pub(crate) fn step_up(target: Target) -> Decision {
    Decision {
        action: Action::StepUp {
            requires: requires(&[MFA], Some(300)),
            restricts: None,
        },
        ..revoke(target)
    }
}

pub(crate) fn requires(classes: &[&str], max_age_s: Option<u32>) -> Requires {
    Requires {
        acr_values: classes.iter().map(|class| AcrValue::new(*class)).collect(),
        max_age_s,
    }
}

/// One key of each usable kind, and several that are not.
pub(crate) const KEY_SET: &[u8] = include_bytes!("sample/jwks.json");

/// A clock that moves when told; both its hands together.
#[derive(Clone, Debug, Default)]
pub(crate) struct ManualClock {
    passed_ms: Arc<AtomicU64>,
}

impl ManualClock {
    pub(crate) fn advance(&self, ms: u64) {
        self.passed_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        NOW + Span::millis(i64::try_from(self.monotonic_ms()).unwrap())
    }

    fn monotonic_ms(&self) -> u64 {
        self.passed_ms.load(Ordering::SeqCst)
    }
}

/// The decision as the stream tells it.
pub(crate) fn public(decision: &Decision) -> PublicDecision {
    let (requires, restricts) = match &decision.action {
        Action::Clear | Action::Revoke => (None, None),
        Action::Restrict(restricts) => (None, Some(restricts)),
        Action::StepUp {
            requires,
            restricts,
        } => (Some(requires), restricts.as_ref()),
    };
    PublicDecision {
        v: 1,
        id: decision.id.to_string(),
        tenant: decision.tenant.to_string(),
        generation: decision.generation,
        action: ActionName::of(&decision.action),
        mode: ModeName::Enforce,
        target: PublicTarget::from_engine(&decision.target),
        issued_before: decision.issued_before,
        except_sessions: decision
            .except_sessions
            .iter()
            .map(ToString::to_string)
            .collect(),
        issued_at: decision.issued_at,
        expires_at: decision.expires_at,
        requires: requires.map(PublicRequires::from_engine),
        restricts: restricts.map(PublicRestricts::from_engine),
        score: 87,
        level: LevelName::High,
        hypothesis: Some(HypothesisName::StolenCredential),
        contributions: Vec::new(),
        policy: PublicPolicy {
            rule: decision.rule.as_ref().map(ToString::to_string),
            revision: "sha256:0".to_owned(),
        },
        cause: "e-17".to_owned(),
        received_at: None,
        decided_at: None,
        trace: None,
    }
}
