//! What tests of this crate stand on: a clock that is set, a ledger that keeps tokens. Knows no room beyond the ports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use tokio::sync::watch;

use crate::port::{
    AuditEntry, Clock, DecisionQuery, EnforcementPoint, Ledger, LedgerDecision, Page, PortError,
    PortErrorKind, PortResult, Receipt, StoredToken, SubjectStanding, Topic,
};

/// Stands still until it is set.
#[derive(Clone, Debug)]
pub(crate) struct SetClock {
    now: Arc<AtomicI64>,
}

impl SetClock {
    pub(crate) fn at(now: Timestamp) -> Self {
        Self {
            now: Arc::new(AtomicI64::new(now.0)),
        }
    }

    pub(crate) fn set(&self, now: Timestamp) {
        self.now.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.now().0).unwrap_or(0)
    }
}

/// Keeps tokens and refuses all else.
#[derive(Debug, Default)]
pub(crate) struct TokenLedger {
    tokens: watch::Sender<BTreeMap<String, StoredToken>>,
}

fn refuse<T>(operation: &str) -> PortResult<T> {
    Err(PortError::new(PortErrorKind::Refused, operation))
}

#[async_trait]
impl Ledger for TokenLedger {
    async fn record_decisions(&self, _: &[LedgerDecision]) -> PortResult<()> {
        refuse("record decisions")
    }
    async fn record_receipts(&self, _: &[Receipt]) -> PortResult<()> {
        refuse("record receipts")
    }
    async fn record_standings(&self, _: &[SubjectStanding]) -> PortResult<()> {
        refuse("record standings")
    }
    async fn record_enforcement_point(&self, _: &EnforcementPoint) -> PortResult<()> {
        refuse("record enforcement points")
    }
    async fn record_audit(&self, _: &AuditEntry) -> PortResult<()> {
        refuse("record the audit")
    }
    async fn position(&self, _: Topic, _: u32) -> PortResult<u64> {
        refuse("read the position")
    }
    async fn set_position(&self, _: Topic, _: u32, _: u64) -> PortResult<()> {
        refuse("set the position")
    }
    async fn decision(&self, _: &str) -> PortResult<Option<LedgerDecision>> {
        refuse("read a decision")
    }
    async fn decisions(&self, _: &DecisionQuery) -> PortResult<Page<LedgerDecision>> {
        refuse("list decisions")
    }
    async fn receipts(&self, _: &str) -> PortResult<Vec<Receipt>> {
        refuse("list receipts")
    }
    async fn standings(
        &self,
        _: &TenantId,
        _: &str,
        _: Option<&str>,
        _: Option<&str>,
    ) -> PortResult<Page<SubjectStanding>> {
        refuse("list standings")
    }
    async fn riskiest(&self, _: &TenantId, _: &str, _: u32) -> PortResult<Vec<SubjectStanding>> {
        refuse("list the riskiest")
    }
    async fn enforcement_points(&self) -> PortResult<Vec<EnforcementPoint>> {
        refuse("list enforcement points")
    }
    async fn audit(&self, _: Option<&str>, _: u32) -> PortResult<Page<AuditEntry>> {
        refuse("list the audit")
    }

    async fn put_token(&self, token: &StoredToken) -> PortResult<()> {
        let token = token.clone();
        self.tokens.send_modify(|tokens| {
            tokens.insert(token.id.clone(), token);
        });
        Ok(())
    }

    async fn tokens(&self) -> PortResult<Vec<StoredToken>> {
        Ok(self.tokens.borrow().values().cloned().collect())
    }

    async fn revoke_token(&self, id: &str, at: Timestamp) -> PortResult<bool> {
        Ok(self.tokens.send_if_modified(|tokens| {
            let found = tokens.get_mut(id);
            found.map(|token| token.revoked_at = Some(at)).is_some()
        }))
    }
}
