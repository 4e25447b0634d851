//! What people ask afterwards, in one PostgreSQL database. Every write may be repeated. Knows nothing of how a decision is made.

mod audit;
mod cursor;
mod decision;
mod explained;
mod point;
mod position;
mod receipt;
mod retention;
mod standing;
mod token;

use std::sync::Arc;

use async_trait::async_trait;
use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_runtime::config::Postgres as Settings;
use caerus_runtime::port::{
    AuditEntry, DecisionQuery, EnforcementPoint, Ledger, LedgerDecision, Page, PortResult, Receipt,
    StoredToken, SubjectStanding, Topic,
};

use self::cursor::Cursor;
pub use self::retention::{Dropped, Retention};
use super::database::{Database, within};

/// Entries of one page at most, whatever is asked for.
const PAGE_LEN_MAX: u32 = 500;
/// Standings of one page.
const STANDINGS_PER_PAGE: u32 = 100;
/// Instances of one credential that are kept; the one silent longest leaves.
const CLIENTS_PER_CREDENTIAL: u32 = 256;
/// Rows of one statement at most.
const ROWS_MAX: usize = 1_024;

/// Decisions and their reasons, receipts, standings and past risk, enforcement points, audit and credentials.
#[derive(Debug)]
pub struct PostgresLedger {
    database: Database,
}

impl PostgresLedger {
    /// Connects, and brings the tables up to date; several programs may do so at once.
    ///
    /// *Errors*: `Refused` when the server does not admit us, is too old, holds tables that are not ours or of a newer
    /// version, or when url or `ca` make no sense; `Unavailable` when nobody answers.
    pub async fn connect(settings: &Settings) -> PortResult<Arc<Self>> {
        Ok(Arc::new(Self {
            database: Database::connect(settings).await?,
        }))
    }

    /// Ends all connections; whatever is asked afterwards is `Unavailable`.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Lets go of what is older than it has to be kept: whole months of the partitioned tables, single rows of the
    /// others. A month leaves once all of it is older, so that rows stay for up to a month longer than asked.
    ///
    /// *Errors*: `Unavailable` also when a long query holds a month's lock. What was let go until then is gone; asking
    /// again goes on from there.
    pub async fn keep(&self, retention: &Retention) -> PortResult<Dropped> {
        retention::keep(&self.database, retention).await
    }
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn record_decisions(&self, decisions: &[LedgerDecision]) -> PortResult<()> {
        for some in decisions.chunks(ROWS_MAX) {
            let recording = decision::record(&self.database, some);
            within("record decisions in the ledger", recording).await?;
        }
        Ok(())
    }

    async fn record_receipts(&self, receipts: &[Receipt]) -> PortResult<()> {
        for some in receipts.chunks(ROWS_MAX) {
            let recording = receipt::record(&self.database, some);
            within("record receipts in the ledger", recording).await?;
        }
        Ok(())
    }

    async fn record_standings(&self, standings: &[SubjectStanding]) -> PortResult<()> {
        for some in standings.chunks(ROWS_MAX) {
            let recording = standing::record(&self.database, some);
            within("record standings in the ledger", recording).await?;
        }
        Ok(())
    }

    async fn record_enforcement_point(&self, point: &EnforcementPoint) -> PortResult<()> {
        let recording = point::record(&self.database, point);
        within("record an enforcement point in the ledger", recording).await
    }

    async fn record_audit(&self, entry: &AuditEntry) -> PortResult<()> {
        let recording = audit::record(&self.database, entry);
        within("record an audit entry in the ledger", recording).await
    }

    async fn position(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        let reading = position::read(&self.database, topic, partition);
        within("read the recorder's position", reading).await
    }

    async fn set_position(&self, topic: Topic, partition: u32, position: u64) -> PortResult<()> {
        let writing = position::write(&self.database, (topic, partition), position);
        within("write the recorder's position", writing).await
    }

    async fn decision(&self, id: &str) -> PortResult<Option<LedgerDecision>> {
        let reading = decision::one(&self.database, id);
        within("read a decision from the ledger", reading).await
    }

    async fn decisions(&self, query: &DecisionQuery) -> PortResult<Page<LedgerDecision>> {
        let after = query.after.as_deref().map(Cursor::parse).transpose()?;
        let listing = decision::page(&self.database, query, after);
        within("list decisions of the ledger", listing).await
    }

    async fn receipts(&self, decision: &str) -> PortResult<Vec<Receipt>> {
        let listing = receipt::of_decision(&self.database, decision);
        within("list receipts of the ledger", listing).await
    }

    async fn standings(
        &self,
        tenant: &TenantId,
        kind: &str,
        name: Option<&str>,
        after: Option<&str>,
    ) -> PortResult<Page<SubjectStanding>> {
        let after = after.map(Cursor::parse).transpose()?;
        let subjects = standing::Subjects { tenant, kind, name };
        let listing = standing::page(&self.database, &subjects, after);
        within("list standings of the ledger", listing).await
    }

    async fn riskiest(
        &self,
        tenant: &TenantId,
        kind: &str,
        limit: u32,
    ) -> PortResult<Vec<SubjectStanding>> {
        let listing = standing::riskiest(&self.database, tenant, kind, limit);
        within("list the riskiest in the ledger", listing).await
    }

    async fn enforcement_points(&self) -> PortResult<Vec<EnforcementPoint>> {
        let listing = point::all(&self.database);
        within("list enforcement points of the ledger", listing).await
    }

    async fn audit(&self, after: Option<&str>, limit: u32) -> PortResult<Page<AuditEntry>> {
        let after = after.map(Cursor::parse).transpose()?;
        let listing = audit::page(&self.database, after, limit);
        within("list the audit", listing).await
    }

    async fn put_token(&self, token: &StoredToken) -> PortResult<()> {
        within("keep a credential", token::put(&self.database, token)).await
    }

    async fn tokens(&self) -> PortResult<Vec<StoredToken>> {
        within("list credentials", token::all(&self.database)).await
    }

    async fn revoke_token(&self, id: &str, at: Timestamp) -> PortResult<bool> {
        let revoking = token::revoke(&self.database, id, at);
        within("revoke a credential", revoking).await
    }
}
