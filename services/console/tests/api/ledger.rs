//! A ledger in memory, with the conflict rules of the port: the first receipt stands, the latest standing stands.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{
    AuditEntry, DecisionQuery, EnforcementPoint, Ledger, LedgerDecision, Page, PortError,
    PortErrorKind, PortResult, Receipt, StoredToken, SubjectStanding, Topic,
};
use tokio::sync::watch;

#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) decisions: BTreeMap<String, LedgerDecision>,
    pub(crate) receipts: BTreeMap<(String, String, String), Receipt>,
    pub(crate) standings: BTreeMap<(TenantId, String, String, Option<String>), SubjectStanding>,
    pub(crate) points: BTreeMap<(String, String), EnforcementPoint>,
    pub(crate) audit: Vec<AuditEntry>,
    pub(crate) positions: BTreeMap<(Topic, u32), u64>,
    pub(crate) tokens: BTreeMap<String, StoredToken>,
}

#[derive(Debug, Default)]
pub(crate) struct MemoryLedger {
    tables: Mutex<Tables>,
    /// Writes of rows that fail before one succeeds.
    pub(crate) failures: AtomicU32,
    /// Rises with every position that is set.
    pub(crate) moved: watch::Sender<u64>,
    /// Whether rows are refused for good.
    pub(crate) refuses: AtomicBool,
}

impl MemoryLedger {
    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self) -> PortResult<()> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(PortError::new(PortErrorKind::Refused, "write"));
        }
        let left = self.failures.load(Ordering::SeqCst);
        if left == 0 {
            return Ok(());
        }
        self.failures.store(left - 1, Ordering::SeqCst);
        Err(PortError::new(PortErrorKind::Unavailable, "write"))
    }
}

fn page<T>(entries: Vec<T>, after: Option<&str>, limit: usize) -> PortResult<Page<T>> {
    let refused = |_| PortError::new(PortErrorKind::Refused, "continue the list");
    let from: usize = after.unwrap_or("0").parse().map_err(refused)?;
    let len = entries.len();
    let entries = entries.into_iter().skip(from).take(limit).collect();
    let next = (from + limit < len).then(|| (from + limit).to_string());
    Ok(Page { entries, next })
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn record_decisions(&self, decisions: &[LedgerDecision]) -> PortResult<()> {
        self.fail()?;
        let mut tables = self.tables();
        for one in decisions {
            tables
                .decisions
                .entry(one.id.clone())
                .or_insert_with(|| one.clone());
        }
        Ok(())
    }

    async fn record_receipts(&self, receipts: &[Receipt]) -> PortResult<()> {
        let mut tables = self.tables();
        for one in receipts {
            let key = (
                one.decision.clone(),
                one.enforcement_point.clone(),
                one.client.clone(),
            );
            tables.receipts.entry(key).or_insert_with(|| one.clone());
        }
        Ok(())
    }

    async fn record_standings(&self, standings: &[SubjectStanding]) -> PortResult<()> {
        let mut tables = self.tables();
        for one in standings {
            let key = (
                one.tenant.clone(),
                one.kind.clone(),
                one.name.clone(),
                one.session.clone(),
            );
            let held = tables.standings.entry(key).or_insert_with(|| one.clone());
            if held.at <= one.at {
                *held = one.clone();
            }
        }
        Ok(())
    }

    async fn record_enforcement_point(&self, point: &EnforcementPoint) -> PortResult<()> {
        let key = (point.name.clone(), point.client.clone());
        self.tables().points.insert(key, point.clone());
        Ok(())
    }

    async fn record_audit(&self, entry: &AuditEntry) -> PortResult<()> {
        self.fail()?;
        self.tables().audit.push(entry.clone());
        Ok(())
    }

    async fn position(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        Ok(self
            .tables()
            .positions
            .get(&(topic, partition))
            .copied()
            .unwrap_or(0))
    }

    async fn set_position(&self, topic: Topic, partition: u32, position: u64) -> PortResult<()> {
        self.tables().positions.insert((topic, partition), position);
        self.moved.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn decision(&self, id: &str) -> PortResult<Option<LedgerDecision>> {
        Ok(self.tables().decisions.get(id).cloned())
    }

    async fn decisions(&self, query: &DecisionQuery) -> PortResult<Page<LedgerDecision>> {
        let fits =
            |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        let mut found: Vec<LedgerDecision> = self
            .tables()
            .decisions
            .values()
            .filter(|one| {
                query
                    .tenant
                    .as_ref()
                    .is_none_or(|tenant| *tenant == one.tenant)
            })
            .filter(|one| fits(&query.user, &one.user) && fits(&query.session, &one.session))
            .cloned()
            .collect();
        found.sort_by_key(|one| std::cmp::Reverse((one.issued_at, one.id.clone())));
        page(
            found,
            query.after.as_deref(),
            usize::try_from(query.limit).unwrap(),
        )
    }

    async fn receipts(&self, decision: &str) -> PortResult<Vec<Receipt>> {
        let tables = self.tables();
        let of_it = tables
            .receipts
            .values()
            .filter(|one| one.decision == decision);
        Ok(of_it.cloned().collect())
    }

    async fn standings(
        &self,
        tenant: &TenantId,
        kind: &str,
        name: Option<&str>,
        after: Option<&str>,
    ) -> PortResult<Page<SubjectStanding>> {
        let found: Vec<SubjectStanding> = self
            .tables()
            .standings
            .values()
            .filter(|one| one.tenant == *tenant && one.kind == kind)
            .filter(|one| name.is_none_or(|name| name == one.name))
            .cloned()
            .collect();
        page(found, after, 100)
    }

    async fn riskiest(
        &self,
        tenant: &TenantId,
        kind: &str,
        limit: u32,
    ) -> PortResult<Vec<SubjectStanding>> {
        let mut found = self.standings(tenant, kind, None, None).await?.entries;
        found.sort_by_key(|one| std::cmp::Reverse((one.score, one.at)));
        found.truncate(usize::try_from(limit).unwrap());
        Ok(found)
    }

    async fn enforcement_points(&self) -> PortResult<Vec<EnforcementPoint>> {
        Ok(self.tables().points.values().cloned().collect())
    }

    async fn audit(&self, after: Option<&str>, limit: u32) -> PortResult<Page<AuditEntry>> {
        let newest: Vec<AuditEntry> = self.tables().audit.iter().rev().cloned().collect();
        page(newest, after, usize::try_from(limit).unwrap())
    }

    async fn put_token(&self, token: &StoredToken) -> PortResult<()> {
        self.tables().tokens.insert(token.id.clone(), token.clone());
        Ok(())
    }

    async fn tokens(&self) -> PortResult<Vec<StoredToken>> {
        Ok(self.tables().tokens.values().cloned().collect())
    }

    async fn revoke_token(&self, id: &str, at: Timestamp) -> PortResult<bool> {
        let mut tables = self.tables();
        let found = tables.tokens.get_mut(id);
        Ok(found.map(|token| token.revoked_at = Some(at)).is_some())
    }
}
