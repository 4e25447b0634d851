//! The ledger in memory: the plain form of its rules. Knows no disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{
    AuditEntry, DecisionQuery, EnforcementPoint, Ledger, LedgerDecision, Page, PortError,
    PortErrorKind, PortResult, Receipt, SESSION_STANDING_KEPT, StoredToken, SubjectStanding, Topic,
};

/// Entries of one page at most, whatever is asked for.
const PAGE_LEN_MAX: u32 = 500;
/// Standings of one page.
const STANDINGS_PER_PAGE: usize = 100;
/// Instances of one credential that are kept; the one silent longest leaves.
const CLIENTS_PER_CREDENTIAL: usize = 256;

/// Decisions, receipts, standings, enforcement points, audit and credentials, in memory.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    decisions: BTreeMap<String, LedgerDecision>,
    /// By decision, enforcement point and client.
    receipts: BTreeMap<(String, String, String), Receipt>,
    /// By tenant, kind, name and session.
    standings: BTreeMap<(TenantId, String, String, Option<String>), SubjectStanding>,
    /// By name and client.
    points: BTreeMap<(String, String), EnforcementPoint>,
    audit: Vec<AuditEntry>,
    positions: BTreeMap<(Topic, u32), u64>,
    tokens: BTreeMap<String, StoredToken>,
}

impl MemoryLedger {
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put_point(&mut self, point: &EnforcementPoint) {
        let place = (point.name.clone(), point.client.clone());
        if self
            .points
            .get(&place)
            .is_some_and(|held| held.last_seen > point.last_seen)
        {
            return;
        }
        self.points.insert(place, point.clone());
        let mut clients: Vec<(Timestamp, String)> = self
            .points
            .values()
            .filter(|held| held.name == point.name)
            .map(|held| (held.last_seen, held.client.clone()))
            .collect();
        clients.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        for (_, client) in clients.into_iter().skip(CLIENTS_PER_CREDENTIAL) {
            self.points.remove(&(point.name.clone(), client));
        }
    }
}

fn matches(query: &DecisionQuery, decision: &LedgerDecision) -> bool {
    let narrows = |asked: &Option<String>, held: &Option<String>| asked.is_none() || asked == held;
    query
        .tenant
        .as_ref()
        .is_none_or(|tenant| *tenant == decision.tenant)
        && narrows(&query.user, &decision.user)
        && narrows(&query.session, &decision.session)
        && narrows(&query.device, &decision.device)
}

/// A page of `sorted` that follows the entry whose name, in hex, is `after`.
fn page<T>(
    sorted: Vec<T>,
    after: Option<&str>,
    len: usize,
    name_of: impl Fn(&T) -> String,
) -> PortResult<Page<T>> {
    let cursor_of = |entry: &T| hex::encode(name_of(entry));
    let from = match after {
        None => 0,
        Some(cursor) => {
            let last = sorted.iter().position(|entry| cursor_of(entry) == cursor);
            last.ok_or_else(|| no_such_page(cursor))?.saturating_add(1)
        }
    };
    let goes_on = sorted.len() > from.saturating_add(len);
    let entries: Vec<T> = sorted.into_iter().skip(from).take(len).collect();
    let next = entries.last().filter(|_| goes_on).map(cursor_of);
    Ok(Page { entries, next })
}

fn no_such_page(cursor: &str) -> PortError {
    let shown: String = cursor.chars().take(64).collect();
    PortError::new(
        PortErrorKind::Refused,
        format!("continue a list at `{shown}`, because no page ended with that"),
    )
}

fn page_len(asked: u32) -> usize {
    usize::try_from(asked.clamp(1, PAGE_LEN_MAX)).unwrap_or(1)
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn record_decisions(&self, decisions: &[LedgerDecision]) -> PortResult<()> {
        let mut state = self.state();
        for decision in decisions {
            state
                .decisions
                .entry(decision.id.clone())
                .or_insert_with(|| decision.clone());
        }
        Ok(())
    }

    async fn record_receipts(&self, receipts: &[Receipt]) -> PortResult<()> {
        let mut state = self.state();
        for receipt in receipts {
            let place = (
                receipt.decision.clone(),
                receipt.enforcement_point.clone(),
                receipt.client.clone(),
            );
            let held = state
                .receipts
                .entry(place)
                .or_insert_with(|| receipt.clone());
            held.in_force_at = held.in_force_at.min(receipt.in_force_at);
        }
        Ok(())
    }

    async fn record_standings(&self, standings: &[SubjectStanding]) -> PortResult<()> {
        let mut state = self.state();
        for standing in standings {
            let place = (
                standing.tenant.clone(),
                standing.kind.clone(),
                standing.name.clone(),
                standing.session.clone(),
            );
            let held = state
                .standings
                .entry(place)
                .or_insert_with(|| standing.clone());
            if standing.at >= held.at {
                *held = standing.clone();
            }
        }
        if let Some(newest) = standings.iter().map(|standing| standing.at).max() {
            let oldest = newest - SESSION_STANDING_KEPT;
            state
                .standings
                .retain(|_, held| held.session.is_none() || held.at >= oldest);
        }
        Ok(())
    }

    async fn record_enforcement_point(&self, point: &EnforcementPoint) -> PortResult<()> {
        self.state().put_point(point);
        Ok(())
    }

    async fn record_audit(&self, entry: &AuditEntry) -> PortResult<()> {
        let mut state = self.state();
        if !state.audit.contains(entry) {
            state.audit.push(entry.clone());
        }
        Ok(())
    }

    async fn position(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        let state = self.state();
        Ok(state
            .positions
            .get(&(topic, partition))
            .copied()
            .unwrap_or(0))
    }

    async fn set_position(&self, topic: Topic, partition: u32, position: u64) -> PortResult<()> {
        self.state().positions.insert((topic, partition), position);
        Ok(())
    }

    async fn decision(&self, id: &str) -> PortResult<Option<LedgerDecision>> {
        Ok(self.state().decisions.get(id).cloned())
    }

    async fn decisions(&self, query: &DecisionQuery) -> PortResult<Page<LedgerDecision>> {
        let mut found: Vec<LedgerDecision> = {
            let state = self.state();
            let matching = state.decisions.values().filter(|held| matches(query, held));
            matching.cloned().collect()
        };
        found.sort_by(|a, b| (b.issued_at, &b.id).cmp(&(a.issued_at, &a.id)));
        page(
            found,
            query.after.as_deref(),
            page_len(query.limit),
            |held| held.id.clone(),
        )
    }

    async fn receipts(&self, decision: &str) -> PortResult<Vec<Receipt>> {
        let state = self.state();
        let of_decision = state.receipts.values().filter(|r| r.decision == decision);
        Ok(of_decision.cloned().collect())
    }

    async fn standings(
        &self,
        tenant: &TenantId,
        kind: &str,
        name: Option<&str>,
        after: Option<&str>,
    ) -> PortResult<Page<SubjectStanding>> {
        let found: Vec<SubjectStanding> = {
            let state = self.state();
            let matching = state.standings.values().filter(|held| {
                held.tenant == *tenant
                    && held.kind == kind
                    && name.is_none_or(|name| held.name == name)
            });
            matching.cloned().collect()
        };
        page(found, after, STANDINGS_PER_PAGE, |held| {
            let session = held.session.as_deref().unwrap_or_default();
            format!("{}\u{1f}{session}", held.name)
        })
    }

    async fn riskiest(
        &self,
        tenant: &TenantId,
        kind: &str,
        limit: u32,
    ) -> PortResult<Vec<SubjectStanding>> {
        let mut found: Vec<SubjectStanding> = {
            let state = self.state();
            let matching = state.standings.values();
            let matching = matching.filter(|held| held.tenant == *tenant && held.kind == kind);
            matching.cloned().collect()
        };
        found.sort_by_key(|held| std::cmp::Reverse((held.score, held.at)));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    async fn enforcement_points(&self) -> PortResult<Vec<EnforcementPoint>> {
        Ok(self.state().points.values().cloned().collect())
    }

    async fn audit(&self, after: Option<&str>, limit: u32) -> PortResult<Page<AuditEntry>> {
        let newest_first: Vec<(usize, AuditEntry)> = {
            let state = self.state();
            state.audit.iter().cloned().enumerate().rev().collect()
        };
        let numbered = page(newest_first, after, page_len(limit), |(number, _)| {
            number.to_string()
        })?;
        Ok(Page {
            entries: numbered
                .entries
                .into_iter()
                .map(|(_, entry)| entry)
                .collect(),
            next: numbered.next,
        })
    }

    async fn put_token(&self, token: &StoredToken) -> PortResult<()> {
        self.state().tokens.insert(token.id.clone(), token.clone());
        Ok(())
    }

    async fn tokens(&self) -> PortResult<Vec<StoredToken>> {
        Ok(self.state().tokens.values().cloned().collect())
    }

    async fn revoke_token(&self, id: &str, at: Timestamp) -> PortResult<bool> {
        let mut state = self.state();
        let Some(token) = state.tokens.get_mut(id) else {
            return Ok(false);
        };
        token.revoked_at.get_or_insert(at);
        Ok(true)
    }
}
