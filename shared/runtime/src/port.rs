//! The ports: what the services ask of the world outside. Knows no broker and no database.
//!
//! Every adapter of a port passes the same conformance suite (`testkit::conformance`).

pub mod sources;

use std::sync::Arc;

use async_trait::async_trait;
use caerus_engine::id::{SubjectHash, TenantId};
use caerus_engine::step::Wakes;
use caerus_engine::time::{Span, Timestamp};
use tokio::sync::watch;

/// Why a port could not do something; `kind` alone decides whether to try again.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation}: {}", kind.name())]
pub struct PortError {
    pub kind: PortErrorKind,
    /// What could not be done to what, e.g. "append to `signals`".
    pub operation: String,
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortErrorKind {
    /// Not now; trying again may help.
    Unavailable,
    /// Someone else owns it now (a higher epoch).
    Conflict,
    /// It will not do this, however often it is asked.
    Refused,
    /// What was read is not what was written.
    Corrupt,
}

impl PortErrorKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Corrupt => "corrupt",
        }
    }
}

impl PortError {
    pub fn new(kind: PortErrorKind, operation: impl Into<String>) -> Self {
        Self {
            kind,
            operation: operation.into(),
            source: None,
        }
    }

    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

pub type PortResult<T> = Result<T, PortError>;

/// The topics. Names on a broker are configuration; these are the roles they play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// The log: all that `step` ever sees, partitioned by subject.
    Signals,
    /// Decisions to enforce; compacted by key (tenant and target).
    Decisions,
    /// Decisions of shadow policies; compacted by key.
    Shadow,
    /// What could not be read, whole, with reason and origin.
    DeadLetters,
    /// Evaluators' reports for `evaluated_until`; compacted by key, one partition.
    Progress,
    /// Receipts of enforcement points (acknowledged cursors), for the recorder; one partition.
    Receipts,
    /// Latest assessments, for the recorder, best effort; one partition.
    Standings,
}

impl Topic {
    pub const ALL: [Self; 7] = [
        Self::Signals,
        Self::Decisions,
        Self::Shadow,
        Self::DeadLetters,
        Self::Progress,
        Self::Receipts,
        Self::Standings,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Signals => "signals",
            Self::Decisions => "decisions",
            Self::Shadow => "shadow",
            Self::DeadLetters => "dead-letters",
            Self::Progress => "progress",
            Self::Receipts => "receipts",
            Self::Standings => "standings",
        }
    }

    /// Of a key the newest record is kept, older ones for a while yet; an empty value removes the key.
    pub fn is_compacted(self) -> bool {
        matches!(self, Self::Decisions | Self::Shadow | Self::Progress)
    }

    /// As many partitions as the log, or one.
    pub fn is_partitioned_as_log(self) -> bool {
        matches!(self, Self::Signals | Self::Decisions | Self::Shadow)
    }
}

/// A record to append. *Shape*: an empty `value` in a compacted topic is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    pub topic: Topic,
    pub partition: u32,
    pub key: Vec<u8>,
    pub value: Arc<[u8]>,
}

/// A record as read. Offsets of a partition rise, not always by one (compaction leaves gaps).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusRecord {
    pub offset: u64,
    pub key: Vec<u8>,
    pub value: Arc<[u8]>,
}

/// Consecutive records of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusBatch {
    pub records: Vec<BusRecord>,
    /// Where to read on: greater than the last record's offset, and past compacted gaps.
    pub next: u64,
}

/// How much one read returns at most; it returns at least one record where there is one.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    pub records: usize,
    pub bytes: usize,
}

/// The proof of owning a partition: the place of the owner's claim in the log. A later claim is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    pub log: LogId,
    pub claim_offset: u64,
}

/// Names one log, from its creation or restoring on. A cursor or a store of another log is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub u64);

/// The log and the topics.
#[async_trait]
pub trait Bus: Send + Sync + std::fmt::Debug {
    fn log_id(&self) -> LogId;

    /// Partitions of the log; fixed when it was created.
    fn partitions(&self) -> u32;

    /// Appends, across topics and partitions; durable when it returns. For those who own no partition.
    ///
    /// All or nothing where it is `Refused`. Where it is `Unavailable` some records may be in, on a broker, and others not:
    /// the caller repeats the whole, and readers bear repeats. A transaction would be worse there, because one that its
    /// owner left open holds everybody's readers back.
    /// *Returns*: each record's offset, in order.
    async fn append(&self, records: Vec<NewRecord>) -> PortResult<Vec<u64>>;

    /// Makes the caller the partition's one writer: fences the former, and appends `claim` to the log's partition.
    async fn claim(&self, partition: u32, claim: Arc<[u8]>) -> PortResult<Epoch>;

    /// One transaction of the partition's owner: appends `outputs` in order and commits that outputs are complete up
    /// to `completed` of the log. *Errors*: `Conflict` when a later claim exists; then nothing was done.
    /// *Returns*: each record's offset, in order.
    async fn publish(
        &self,
        partition: u32,
        epoch: Epoch,
        outputs: Vec<NewRecord>,
        completed: u64,
    ) -> PortResult<Vec<u64>>;

    /// Up to which offset of the log (exclusive) the partition's outputs are complete.
    async fn completed(&self, partition: u32) -> PortResult<u64>;

    /// Reads committed records from `from` on; returns at once, also with nothing.
    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: u64,
        limit: ReadLimit,
    ) -> PortResult<BusBatch>;

    /// The first offset still held.
    async fn start(&self, topic: Topic, partition: u32) -> PortResult<u64>;

    /// The offset the next record will have.
    async fn end(&self, topic: Topic, partition: u32) -> PortResult<u64>;

    /// Changes whenever something was appended to the topic: wait on it, then read.
    fn appended(&self, topic: Topic) -> watch::Receiver<u64>;

    /// Lets go of records below `before` of a topic that is not compacted (retention).
    async fn trim(&self, topic: Topic, partition: u32, before: u64) -> PortResult<()>;
}

/// One subject's (or one population's) record as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub key: SubjectHash,
    /// `None` removes it.
    pub bytes: Option<Vec<u8>>,
    pub wakes: Wakes,
    pub is_concerned: bool,
}

/// An output that waits to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Rises by one for each entry of a partition, for ever.
    pub sequence: u64,
    pub record: NewRecord,
}

/// What one batch changes, in one transaction.
#[derive(Clone, Debug)]
pub struct Commit {
    pub partition: u32,
    pub epoch: Epoch,
    /// The position that the batch was read from: what the store has to hold.
    pub follows: u64,
    /// Where to read on in the log.
    pub position: u64,
    pub records: Vec<StoredRecord>,
    pub outbox: Vec<OutboxEntry>,
    /// The partition's own fold (climate, policy revision, watermarks), encoded; `None` leaves it.
    pub shared: Option<Vec<u8>>,
}

/// What a new owner finds.
#[derive(Clone, Debug, Default)]
pub struct PartitionState {
    /// 0 for a store that holds nothing of this log.
    pub position: u64,
    pub shared: Option<Vec<u8>>,
    /// Not yet cleared, in order.
    pub outbox: Vec<OutboxEntry>,
    /// The sequence the next entry takes.
    pub next_sequence: u64,
    /// Every record that wants to be woken, or is concerned by a change of policy.
    pub agenda: Vec<AgendaEntry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgendaEntry {
    pub key: SubjectHash,
    pub wakes: Wakes,
    pub is_concerned: bool,
}

/// Records, outbox and position, fenced by epoch.
#[async_trait]
pub trait RecordStore: Send + Sync + std::fmt::Debug {
    /// Takes the partition over: from now on lower epochs are refused. A store of another log is emptied first.
    /// *Errors*: `Conflict` when a higher epoch is known.
    async fn open(&self, partition: u32, epoch: Epoch) -> PortResult<PartitionState>;

    /// In the order of `keys`; `None` where there is none. One round trip.
    async fn load(&self, partition: u32, keys: &[SubjectHash]) -> PortResult<Vec<Option<Vec<u8>>>>;

    /// All or nothing. *Errors*: `Conflict` when a higher epoch is known, `Unavailable` when the store came back without
    /// this opening or at another position than the batch follows: then nothing was done, and whoever wants to go on has
    /// to take up what is there now.
    async fn commit(&self, commit: Commit) -> PortResult<()>;

    /// Forgets outbox entries with a sequence below `before`. *Errors*: as those of `commit`.
    async fn clear_outbox(&self, partition: u32, epoch: Epoch, before: u64) -> PortResult<()>;
}

/// The wall clock, and a steady one.
pub trait Clock: Send + Sync + std::fmt::Debug {
    fn now(&self) -> Timestamp;
    /// *Units*: milliseconds since an arbitrary start; never goes back.
    fn monotonic_ms(&self) -> u64;
}

/// Where an address lies, from configured databases; unknown where they do not say.
pub trait Geo: Send + Sync + std::fmt::Debug {
    fn locate(&self, address: std::net::IpAddr) -> caerus_engine::signal::Place;
}

/// A page of a list. `next` continues it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub entries: Vec<T>,
    pub next: Option<String>,
}

/// Which decisions to list; every member given narrows.
#[derive(Clone, Debug, Default)]
pub struct DecisionQuery {
    pub tenant: Option<TenantId>,
    pub user: Option<String>,
    pub session: Option<String>,
    pub device: Option<String>,
    pub after: Option<String>,
    pub limit: u32,
}

/// A decision as recorded: its public JSON is the truth, the columns are for finding it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerDecision {
    pub id: String,
    pub tenant: TenantId,
    pub owner: SubjectHash,
    pub generation: u64,
    pub mode: String,
    pub action: String,
    pub user: Option<String>,
    pub session: Option<String>,
    pub device: Option<String>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// The contract's decision object.
    pub json: String,
}

/// One enforcement point has a decision in force since then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub decision: String,
    pub tenant: TenantId,
    /// The credential.
    pub enforcement_point: String,
    /// The instance's own label.
    pub client: String,
    pub in_force_at: Timestamp,
}

/// What an enforcement point last said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnforcementPoint {
    pub name: String,
    pub client: String,
    pub tenants: Vec<TenantId>,
    pub last_seen: Timestamp,
    pub acknowledged: Option<String>,
    pub is_connected: bool,
}

/// Who did what; never facts about people's behaviour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub at: Timestamp,
    pub tenant: Option<TenantId>,
    pub principal: String,
    pub action: String,
    pub object: String,
    pub detail: String,
}

/// A subject's latest assessment, for `who` and the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectStanding {
    pub tenant: TenantId,
    /// `user`, `device`, `workload`.
    pub kind: String,
    pub name: String,
    /// The session, for a user's sessions.
    pub session: Option<String>,
    pub score: u8,
    pub at: Timestamp,
    /// The API's object.
    pub json: String,
}

/// How long a session's standing is kept after its last assessment.
pub const SESSION_STANDING_KEPT: Span = Span::days(8);

/// A credential as stored: hashed, never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    pub id: String,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// The principal's name.
    pub name: String,
    /// Empty means every tenant.
    pub tenants: Vec<TenantId>,
    pub rights: Vec<String>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// What people ask afterwards. Written at least once, idempotently.
#[async_trait]
pub trait Ledger: Send + Sync + std::fmt::Debug {
    async fn record_decisions(&self, decisions: &[LedgerDecision]) -> PortResult<()>;
    async fn record_receipts(&self, receipts: &[Receipt]) -> PortResult<()>;
    /// Of several of one subject and session the latest stays. Sessions not assessed for [`SESSION_STANDING_KEPT`] before the newest given are let go.
    async fn record_standings(&self, standings: &[SubjectStanding]) -> PortResult<()>;
    async fn record_enforcement_point(&self, point: &EnforcementPoint) -> PortResult<()>;
    async fn record_audit(&self, entry: &AuditEntry) -> PortResult<()>;
    /// The recorder's own position in a topic's partition.
    async fn position(&self, topic: Topic, partition: u32) -> PortResult<u64>;
    async fn set_position(&self, topic: Topic, partition: u32, position: u64) -> PortResult<()>;

    async fn decision(&self, id: &str) -> PortResult<Option<LedgerDecision>>;
    /// The newest first.
    async fn decisions(&self, query: &DecisionQuery) -> PortResult<Page<LedgerDecision>>;
    async fn receipts(&self, decision: &str) -> PortResult<Vec<Receipt>>;
    async fn standings(
        &self,
        tenant: &TenantId,
        kind: &str,
        name: Option<&str>,
        after: Option<&str>,
    ) -> PortResult<Page<SubjectStanding>>;
    /// The highest scores first, of equals the latest; at most `limit`.
    async fn riskiest(
        &self,
        tenant: &TenantId,
        kind: &str,
        limit: u32,
    ) -> PortResult<Vec<SubjectStanding>>;
    async fn enforcement_points(&self) -> PortResult<Vec<EnforcementPoint>>;
    async fn audit(&self, after: Option<&str>, limit: u32) -> PortResult<Page<AuditEntry>>;

    async fn put_token(&self, token: &StoredToken) -> PortResult<()>;
    async fn tokens(&self) -> PortResult<Vec<StoredToken>>;
    /// *Returns*: false when there is none of that id.
    async fn revoke_token(&self, id: &str, at: Timestamp) -> PortResult<bool>;
}
