//! Records, outbox and position in one SQLite file, fenced by epoch. Knows nothing of what a record means.

mod read;
mod write;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use caerus_engine::id::SubjectHash;
use caerus_runtime::port::{
    Commit, Epoch, PartitionState, PortError, PortErrorKind, PortResult, RecordStore,
};
use sqlx::sqlite::SqliteSynchronous;
use sqlx::{Sqlite, Transaction};

use self::read::Held;
use self::write::Statements;
use super::database::{Database, Shape};
use super::fault::fault;
use super::migration::STATE;

const SHAPE: Shape = Shape {
    set: STATE,
    // A store that loses its last second replays it from the log.
    synchronous: SqliteSynchronous::Normal,
    page_size: 8_192,
    readers: 2,
};

/// Records, outbox and position in one SQLite file.
#[derive(Debug)]
pub struct SqliteRecordStore {
    database: Database,
    statements: Statements,
}

impl SqliteRecordStore {
    /// Opens the store in the file at `path`, or creates it.
    ///
    /// *Errors*: `Refused` when the file cannot be made or written, is of a newer version or of another kind;
    /// `Corrupt` when it is no database, or was changed.
    pub async fn open(path: impl AsRef<Path>) -> PortResult<Arc<Self>> {
        let database = Database::open(path.as_ref(), &SHAPE).await?;
        Ok(Arc::new(Self {
            database,
            statements: Statements::new(),
        }))
    }

    /// Closes the file; whatever is asked afterwards is `Unavailable`.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Begins a write of the partition's owner. *Errors*: `Conflict` when another epoch took it over.
    async fn begin(
        &self,
        partition: u32,
        epoch: Epoch,
        operation: &str,
    ) -> PortResult<(Transaction<'static, Sqlite>, Held)> {
        let failed = |error| fault(format!("{operation} partition {partition}"), error);
        let mut transaction = self.database.write().await.map_err(failed)?;
        let held = read::held(&mut transaction, partition)
            .await
            .map_err(failed)?;
        let refused = |kind, reason: &str| {
            Err(PortError::new(
                kind,
                format!("{operation} partition {partition}: {reason}"),
            ))
        };
        match held {
            Some(held) if held.epoch == epoch => Ok((transaction, held)),
            Some(held) if held.epoch.log != epoch.log => refused(
                PortErrorKind::Conflict,
                "the store holds records of another log",
            ),
            Some(held) if held.epoch > epoch => {
                refused(PortErrorKind::Conflict, "there is a later claim")
            }
            Some(_) | None => refused(
                PortErrorKind::Unavailable,
                "the claim did not open the partition first",
            ),
        }
    }
}

#[async_trait]
impl RecordStore for SqliteRecordStore {
    async fn open(&self, partition: u32, epoch: Epoch) -> PortResult<PartitionState> {
        let failed = |error| fault(format!("open the records of partition {partition}"), error);
        let mut transaction = self.database.write().await.map_err(failed)?;
        write::forget_other_logs(&mut transaction, epoch.log)
            .await
            .map_err(failed)?;
        let held = read::held(&mut transaction, partition)
            .await
            .map_err(failed)?;
        if held.is_some_and(|held| held.epoch > epoch) {
            return Err(PortError::new(
                PortErrorKind::Conflict,
                format!("open the records of partition {partition}: there is a later claim"),
            ));
        }
        write::take_over(&mut transaction, partition, epoch)
            .await
            .map_err(failed)?;
        let state = read::state(&mut transaction, partition)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(state)
    }

    async fn load(&self, partition: u32, keys: &[SubjectHash]) -> PortResult<Vec<Option<Vec<u8>>>> {
        read::records(&self.database, &self.statements, partition, keys)
            .await
            .map_err(|error| fault(format!("load records of partition {partition}"), error))
    }

    async fn commit(&self, commit: Commit) -> PortResult<()> {
        let partition = commit.partition;
        let (mut transaction, held) = self
            .begin(partition, commit.epoch, "commit a batch of")
            .await?;
        if commit.follows != held.position {
            return Err(PortError::new(
                PortErrorKind::Unavailable,
                format!(
                    "commit a batch of partition {partition} that follows {}: the store stands at {}",
                    commit.follows, held.position
                ),
            ));
        }
        let next_sequence = next_sequence(&commit, held.next_sequence)?;
        let failed = |error| fault(format!("commit a batch of partition {partition}"), error);
        self.statements
            .write(&mut transaction, commit, next_sequence)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    async fn clear_outbox(&self, partition: u32, epoch: Epoch, before: u64) -> PortResult<()> {
        let (mut transaction, _) = self.begin(partition, epoch, "clear the outbox of").await?;
        let failed = |error| fault(format!("clear the outbox of partition {partition}"), error);
        write::clear_outbox(&mut transaction, partition, before)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }
}

/// The sequence after the commit's outbox. *Errors*: `Refused` when its entries do not follow those before, one by one.
fn next_sequence(commit: &Commit, next: u64) -> PortResult<u64> {
    let mut expected = next;
    for entry in &commit.outbox {
        if entry.sequence != expected {
            return Err(PortError::new(
                PortErrorKind::Refused,
                format!(
                    "commit an outbox entry of sequence {} to partition {}, where {expected} follows",
                    entry.sequence, commit.partition
                ),
            ));
        }
        expected = expected.saturating_add(1);
    }
    Ok(expected)
}
