//! The embedded bus: the log and the topics in one SQLite file. Accepted means on the disk. Knows no records of subjects.

mod plan;
mod read;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use caerus_runtime::port::{
    Bus, BusBatch, Epoch, LogId, NewRecord, PortError, PortErrorKind, PortResult, ReadLimit, Topic,
};
use sqlx::Row;
use sqlx::sqlite::SqliteSynchronous;
use tokio::sync::{mpsc, oneshot, watch};

use self::plan::Change;
use self::writer::{Request, Writer};
use super::column::{partition_of, to_column, topic_number};
use super::database::{Database, Shape};
use super::fault::fault;
use super::migration::LOG;

/// Partitions of a log at most.
const PARTITIONS_MAX: u32 = 1_024;
/// Callers whose changes wait for the writer; beyond it they wait to be let in.
const REQUESTS_WAITING_MAX: usize = 1_024;
/// Records let go in one transaction when trimming, so that appends are not held up.
const TRIM_STEP: u32 = 5_000;

/// How far behind the end a superseded record of a compacted topic may be read: the recorder and the gateways see every
/// decision, also one that was cleared in the same breath. *Units*: offsets.
const COMPACTION_LAG: u64 = 4_096;

const SHAPE: Shape = Shape {
    set: LOG,
    synchronous: SqliteSynchronous::Full,
    page_size: 8_192,
    readers: 4,
};

/// The log and the topics in one SQLite file.
///
/// Callers' changes go through one writer that commits those waiting together: one write to the disk for all of them.
/// Another process may read and append to the same file; only wake-ups stay within a process.
#[derive(Debug)]
pub struct SqliteBus {
    log: LogId,
    partitions: u32,
    database: Arc<Database>,
    requests: mpsc::Sender<Request>,
    announcer: Arc<Announcer>,
}

impl SqliteBus {
    /// Opens the log in the file at `path`, or creates it with that many partitions.
    ///
    /// *Errors*: `Refused` when the file cannot be made or written, is of a newer version, of another kind, or has
    /// another number of partitions; `Corrupt` when it is no database, or was changed.
    pub async fn open(path: impl AsRef<Path>, partitions: u32) -> PortResult<Arc<Self>> {
        Self::open_lagging(path, partitions, COMPACTION_LAG).await
    }

    /// As [`SqliteBus::open`]; superseded records of compacted topics leave when they are `lag` offsets behind the end.
    pub async fn open_lagging(
        path: impl AsRef<Path>,
        partitions: u32,
        lag: u64,
    ) -> PortResult<Arc<Self>> {
        let path = path.as_ref();
        if partitions == 0 || partitions > PARTITIONS_MAX {
            return Err(PortError::new(
                PortErrorKind::Refused,
                format!(
                    "create a log of {partitions} partitions; it has between 1 and {PARTITIONS_MAX}"
                ),
            ));
        }
        let database = Database::open(path, &SHAPE).await?;
        let head = match read_head(&database, path).await? {
            Some(head) => head,
            None => create_head(&database, path, partitions).await?,
        };
        if head.partitions != partitions {
            return Err(PortError::new(
                PortErrorKind::Refused,
                format!(
                    "open the log `{}` with {partitions} partitions, because it was created with {}",
                    path.display(),
                    head.partitions
                ),
            ));
        }
        Ok(Self::start(database, head, lag))
    }

    /// Opens a log that must be there, with as many partitions as it has.
    ///
    /// *Errors*: as [`SqliteBus::open`], and `Refused` when there is no file or no log in it.
    pub async fn open_existing(path: impl AsRef<Path>) -> PortResult<Arc<Self>> {
        let path = path.as_ref();
        let database = Database::open_existing(path, &SHAPE).await?;
        let head = read_head(&database, path).await?.ok_or_else(|| {
            PortError::new(
                PortErrorKind::Refused,
                format!(
                    "open the log `{}`, because none was created in it",
                    path.display()
                ),
            )
        })?;
        Ok(Self::start(database, head, COMPACTION_LAG))
    }

    fn start(database: Database, head: Head, lag: u64) -> Arc<Self> {
        let database = Arc::new(database);
        let announcer = Arc::new(Announcer::new());
        let (requests, waiting) = mpsc::channel(REQUESTS_WAITING_MAX);
        let writer = Writer::new(
            head.log,
            head.partitions,
            Arc::clone(&database),
            Arc::clone(&announcer),
            lag,
        );
        #[expect(
            clippy::disallowed_methods,
            reason = "the writer ends with the bus that owns its queue, and its end answers every caller: no loss is silent"
        )]
        tokio::spawn(writer.run(waiting));
        Arc::new(Self {
            log: head.log,
            partitions: head.partitions,
            database,
            requests,
            announcer,
        })
    }

    /// Closes the file; whatever is asked afterwards is `Unavailable`.
    pub async fn close(&self) {
        self.database.close().await;
    }

    async fn change(&self, change: Change, operation: &'static str) -> PortResult<Vec<u64>> {
        let ended = || PortError::new(PortErrorKind::Unavailable, operation);
        let (answer, answered) = oneshot::channel();
        self.requests
            .send(Request { change, answer })
            .await
            .map_err(|error| ended().because(error.to_string()))?;
        answered.await.map_err(|error| ended().because(error))?
    }

    fn check_place(&self, topic: Topic, partition: u32) -> PortResult<()> {
        plan::check_place(self.partitions, topic, partition)
    }
}

#[async_trait]
impl Bus for SqliteBus {
    fn log_id(&self) -> LogId {
        self.log
    }

    fn partitions(&self) -> u32 {
        self.partitions
    }

    async fn append(&self, records: Vec<NewRecord>) -> PortResult<Vec<u64>> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        self.change(Change::Append(records), "append to the log")
            .await
    }

    async fn claim(&self, partition: u32, claim: Arc<[u8]>) -> PortResult<Epoch> {
        let offsets = self
            .change(Change::Claim { partition, claim }, "claim a partition")
            .await?;
        let claim_offset = offsets.first().copied().ok_or_else(|| {
            PortError::new(PortErrorKind::Corrupt, "read where a claim was written")
        })?;
        Ok(Epoch {
            log: self.log,
            claim_offset,
        })
    }

    async fn publish(
        &self,
        partition: u32,
        epoch: Epoch,
        outputs: Vec<NewRecord>,
        completed: u64,
    ) -> PortResult<Vec<u64>> {
        let change = Change::Publish {
            partition,
            epoch,
            outputs,
            completed,
        };
        self.change(change, "publish a partition's outputs").await
    }

    async fn completed(&self, partition: u32) -> PortResult<u64> {
        self.check_place(Topic::Signals, partition)?;
        read::completed(&self.database, partition)
            .await
            .map_err(|error| {
                fault(
                    format!("read how far partition {partition} is complete"),
                    error,
                )
            })
    }

    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: u64,
        limit: ReadLimit,
    ) -> PortResult<BusBatch> {
        self.check_place(topic, partition)?;
        read::batch(&self.database, topic, partition, from, limit)
            .await
            .map_err(|error| {
                fault(
                    format!("read `{}` partition {partition}", topic.name()),
                    error,
                )
            })
    }

    async fn start(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        self.check_place(topic, partition)?;
        read::start(&self.database, topic, partition)
            .await
            .map_err(|error| fault(format!("find the start of `{}`", topic.name()), error))
    }

    async fn end(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        self.check_place(topic, partition)?;
        read::end(&self.database, topic, partition)
            .await
            .map_err(|error| fault(format!("find the end of `{}`", topic.name()), error))
    }

    fn appended(&self, topic: Topic) -> watch::Receiver<u64> {
        self.announcer.watch(topic)
    }

    async fn trim(&self, topic: Topic, partition: u32, before: u64) -> PortResult<()> {
        self.check_place(topic, partition)?;
        if topic.is_compacted() {
            return Err(PortError::new(
                PortErrorKind::Refused,
                format!("trim `{}`, because it is compacted by key", topic.name()),
            ));
        }
        while trim_step(&self.database, topic, partition, before)
            .await
            .map_err(|error| {
                fault(
                    format!("trim `{}` partition {partition}", topic.name()),
                    error,
                )
            })?
            > 0
        {}
        Ok(())
    }
}

/// Lets go of the oldest records below `before`. *Returns*: how many.
async fn trim_step(
    database: &Database,
    topic: Topic,
    partition: u32,
    before: u64,
) -> Result<u64, sqlx::Error> {
    // No offset reaches the sign of a column, so a greater bound means all.
    let before = to_column(before).unwrap_or(i64::MAX);
    let done = sqlx::query(
        "DELETE FROM records WHERE rowid IN (
            SELECT rowid FROM records
            WHERE topic = ?1 AND partition = ?2 AND position < ?3
            ORDER BY position LIMIT ?4)",
    )
    .bind(topic_number(topic))
    .bind(partition)
    .bind(before)
    .bind(TRIM_STEP)
    .execute(database.writer())
    .await?;
    Ok(done.rows_affected())
}

/// What was fixed when the log was created.
#[derive(Clone, Copy, Debug)]
struct Head {
    log: LogId,
    partitions: u32,
}

async fn read_head(database: &Database, path: &Path) -> PortResult<Option<Head>> {
    let operation = || format!("read the head of the log `{}`", path.display());
    let row = sqlx::query("SELECT log_id, partitions FROM head")
        .fetch_optional(database.readers())
        .await
        .map_err(|error| fault(operation(), error))?;
    row.map(|row| {
        let log: i64 = row.try_get(0)?;
        Ok(Head {
            log: LogId(log.cast_unsigned()),
            partitions: partition_of(row.try_get(1)?)?,
        })
    })
    .transpose()
    .map_err(|error| fault(operation(), error))
}

async fn create_head(database: &Database, path: &Path, partitions: u32) -> PortResult<Head> {
    let operation = || format!("create the log `{}`", path.display());
    let log = getrandom::u64().map_err(|error| {
        PortError::new(PortErrorKind::Unavailable, operation()).because(error.to_string())
    })?;
    sqlx::query(
        "INSERT INTO head (singleton, log_id, partitions) VALUES (1, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(log.cast_signed())
    .bind(partitions)
    .execute(database.writer())
    .await
    .map_err(|error| fault(operation(), error))?;
    // Read back: another process may have created it first.
    read_head(database, path)
        .await?
        .ok_or_else(|| PortError::new(PortErrorKind::Corrupt, operation()))
}

/// Tells readers of a topic that something was appended.
#[derive(Debug)]
struct Announcer {
    topics: Vec<(Topic, watch::Sender<u64>)>,
}

impl Announcer {
    fn new() -> Self {
        let sender = |topic| (topic, watch::Sender::new(0));
        Self {
            topics: Topic::ALL.into_iter().map(sender).collect(),
        }
    }

    fn watch(&self, topic: Topic) -> watch::Receiver<u64> {
        match self.of(topic) {
            Some(sender) => sender.subscribe(),
            None => watch::Sender::new(0).subscribe(),
        }
    }

    fn announce(&self, topic: Topic) {
        if let Some(sender) = self.of(topic) {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    fn of(&self, topic: Topic) -> Option<&watch::Sender<u64>> {
        self.topics
            .iter()
            .find(|(known, _)| *known == topic)
            .map(|(_, sender)| sender)
    }
}
