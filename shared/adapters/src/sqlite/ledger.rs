//! What people ask afterwards, in one SQLite file. Every write may be repeated. Knows nothing of how a decision is made.

mod audit;
mod cursor;
mod decision;
mod list;
mod point;
mod position;
mod standing;
mod token;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{
    AuditEntry, DecisionQuery, EnforcementPoint, Ledger, LedgerDecision, Page, PortResult, Receipt,
    StoredToken, SubjectStanding, Topic,
};
use sqlx::sqlite::SqliteSynchronous;

use self::cursor::Cursor;
use self::decision::Decisions;
use super::database::{Database, Shape};
use super::fault::fault;
use super::migration::LEDGER;

/// Entries of one page at most, whatever is asked for.
const PAGE_LEN_MAX: u32 = 500;
/// Standings of one page.
const STANDINGS_PER_PAGE: u32 = 100;
/// Instances of one credential that are kept; the one silent longest leaves.
const CLIENTS_PER_CREDENTIAL: u32 = 256;

const SHAPE: Shape = Shape {
    set: LEDGER,
    // A credential that was shown, or a line of the audit, must not be gone after a power cut.
    synchronous: SqliteSynchronous::Full,
    page_size: 8_192,
    readers: 2,
};

/// Decisions, receipts, standings, enforcement points, audit and credentials in one SQLite file.
#[derive(Debug)]
pub struct SqliteLedger {
    database: Database,
    decisions: Decisions,
}

impl SqliteLedger {
    /// Opens the ledger in the file at `path`, or creates it.
    ///
    /// *Errors*: `Refused` when the file cannot be made or written, is of a newer version or of another kind;
    /// `Corrupt` when it is no database, or was changed.
    pub async fn open(path: impl AsRef<Path>) -> PortResult<Arc<Self>> {
        Ok(Arc::new(Self {
            database: Database::open(path.as_ref(), &SHAPE).await?,
            decisions: Decisions::new(),
        }))
    }

    /// Closes the file; whatever is asked afterwards is `Unavailable`.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn record_decisions(&self, decisions: &[LedgerDecision]) -> PortResult<()> {
        self.decisions
            .record(&self.database, decisions)
            .await
            .map_err(|error| fault("record decisions in the ledger", error))
    }

    async fn record_receipts(&self, receipts: &[Receipt]) -> PortResult<()> {
        decision::record_receipts(&self.database, receipts)
            .await
            .map_err(|error| fault("record receipts in the ledger", error))
    }

    async fn record_standings(&self, standings: &[SubjectStanding]) -> PortResult<()> {
        standing::record(&self.database, standings)
            .await
            .map_err(|error| fault("record standings in the ledger", error))
    }

    async fn record_enforcement_point(&self, point: &EnforcementPoint) -> PortResult<()> {
        point::record(&self.database, point)
            .await
            .map_err(|error| fault("record an enforcement point in the ledger", error))
    }

    async fn record_audit(&self, entry: &AuditEntry) -> PortResult<()> {
        audit::record(&self.database, entry)
            .await
            .map_err(|error| fault("record an audit entry in the ledger", error))
    }

    async fn position(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        position::read(&self.database, topic, partition)
            .await
            .map_err(|error| fault("read the recorder's position", error))
    }

    async fn set_position(&self, topic: Topic, partition: u32, position: u64) -> PortResult<()> {
        position::write(&self.database, (topic, partition), position)
            .await
            .map_err(|error| fault("write the recorder's position", error))
    }

    async fn decision(&self, id: &str) -> PortResult<Option<LedgerDecision>> {
        decision::one(&self.database, id)
            .await
            .map_err(|error| fault("read a decision from the ledger", error))
    }

    async fn decisions(&self, query: &DecisionQuery) -> PortResult<Page<LedgerDecision>> {
        let after = query.after.as_deref().map(Cursor::parse).transpose()?;
        decision::page(&self.database, query, after)
            .await
            .map_err(|error| fault("list decisions of the ledger", error))
    }

    async fn receipts(&self, decision: &str) -> PortResult<Vec<Receipt>> {
        decision::receipts(&self.database, decision)
            .await
            .map_err(|error| fault("list receipts of the ledger", error))
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
        standing::page(&self.database, &subjects, after)
            .await
            .map_err(|error| fault("list standings of the ledger", error))
    }

    async fn riskiest(
        &self,
        tenant: &TenantId,
        kind: &str,
        limit: u32,
    ) -> PortResult<Vec<SubjectStanding>> {
        standing::riskiest(&self.database, tenant, kind, limit)
            .await
            .map_err(|error| fault("list the riskiest in the ledger", error))
    }

    async fn enforcement_points(&self) -> PortResult<Vec<EnforcementPoint>> {
        point::all(&self.database)
            .await
            .map_err(|error| fault("list enforcement points of the ledger", error))
    }

    async fn audit(&self, after: Option<&str>, limit: u32) -> PortResult<Page<AuditEntry>> {
        let after = after.map(Cursor::parse).transpose()?;
        audit::page(&self.database, after, limit)
            .await
            .map_err(|error| fault("list the audit", error))
    }

    async fn put_token(&self, token: &StoredToken) -> PortResult<()> {
        token::put(&self.database, token)
            .await
            .map_err(|error| fault("keep a credential", error))
    }

    async fn tokens(&self) -> PortResult<Vec<StoredToken>> {
        token::all(&self.database)
            .await
            .map_err(|error| fault("list credentials", error))
    }

    async fn revoke_token(&self, id: &str, at: Timestamp) -> PortResult<bool> {
        token::revoke(&self.database, id, at)
            .await
            .map_err(|error| fault("revoke a credential", error))
    }
}
