//! What every route of the console shares: the ports it asks, and the policies as they were told. Knows no route.

use std::sync::Arc;
use std::time::Duration;

use axum::routing::MethodRouter;
use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_runtime::auth::{Principal, TokenTable};
use caerus_runtime::port::{AuditEntry, Bus, Clock, Ledger, PortResult};
use caerus_runtime::shutdown::Shutdown;
use serde::Serialize;
use tokio::sync::watch;

/// How long an operator's decision is waited for before the answer goes out without it.
pub const DECISION_WAIT: Duration = Duration::from_secs(2);

/// What a console stands on.
#[derive(Clone, Debug)]
pub struct ConsoleParts {
    pub bus: Arc<dyn Bus>,
    pub ledger: Arc<dyn Ledger>,
    pub clock: Arc<dyn Clock>,
    pub tokens: TokenTable,
    pub policies: watch::Receiver<PolicyShelf>,
    pub decision_wait: Duration,
}

/// The policies in force, as whoever loads them tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PolicyShelf {
    pub revision: String,
    /// Where they come from, in words: a directory, or what is built in.
    pub source: String,
    pub files: Vec<ShelvedFile>,
    /// Why what was read last is not in force; empty where it is.
    pub problems: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShelvedFile {
    pub name: String,
    pub text: String,
}

/// The console as its routes see it. Clones are one console.
#[derive(Clone, Debug)]
pub struct Console {
    pub(crate) parts: Arc<ConsoleParts>,
    /// Answers `GET /v1/decisions?active=true` where a gateway lives in the same process.
    pub(crate) active: Option<MethodRouter>,
    pub(crate) shutdown: Shutdown,
}

/// Who changes what, for the audit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act<'a> {
    pub(crate) by: &'a Principal,
    /// `None` for what concerns no one tenant.
    pub(crate) tenant: Option<&'a TenantId>,
    pub(crate) action: &'static str,
    pub(crate) object: &'a str,
    pub(crate) detail: &'a str,
}

impl Console {
    /// `active` is the gateway's own `GET /v1/decisions`, where one lives in the same process.
    pub fn new(parts: ConsoleParts, active: Option<MethodRouter>, shutdown: Shutdown) -> Self {
        Self {
            parts: Arc::new(parts),
            active,
            shutdown,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Before the change itself: a change that cannot be recorded is not made.
    pub(crate) async fn audit(&self, act: Act<'_>) -> PortResult<()> {
        let entry = AuditEntry {
            at: self.now(),
            tenant: act.tenant.cloned(),
            principal: act.by.name.to_string(),
            action: act.action.to_owned(),
            object: act.object.to_owned(),
            detail: act.detail.to_owned(),
        };
        self.parts.ledger.record_audit(&entry).await
    }
}
