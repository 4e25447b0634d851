//! The bus's one writer: commits the changes of all callers that wait, together. Knows no readers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caerus_runtime::port::{LogId, PortError, PortResult, Topic};
use sqlx::{AssertSqlSafe, Row, Sqlite, Transaction};
use tokio::sync::{mpsc, oneshot};

use super::super::bulk::Bulk;
use super::super::column::{from_column, partition_of, to_column, topic_number, topic_of};
use super::super::database::Database;
use super::super::fault::kind_of;
use super::Announcer;
use super::plan::{Change, Owner, Placed, Plan, Writes};

/// A group takes no further caller in beyond so many records.
const GROUP_RECORDS: usize = 8_192;
/// A group takes no further caller in beyond so many bytes.
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// Tombstones are kept until a partition's end is so many offsets further, for readers that are behind.
const TOMBSTONE_SPAN: u64 = 65_536;

/// Where each record stands, or why nothing was done.
pub(super) type Answer = oneshot::Sender<PortResult<Vec<u64>>>;

/// One caller's change, and where the answer goes.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) change: Change,
    pub(super) answer: Answer,
}

#[derive(Debug)]
pub(super) struct Writer {
    log: LogId,
    partitions: u32,
    database: Arc<Database>,
    announcer: Arc<Announcer>,
    insert: Bulk,
    compaction_lag: u64,
}

impl Writer {
    pub(super) fn new(
        log: LogId,
        partitions: u32,
        database: Arc<Database>,
        announcer: Arc<Announcer>,
        compaction_lag: u64,
    ) -> Self {
        let head = "INSERT INTO records (topic, partition, position, key, value) VALUES";
        Self {
            log,
            partitions,
            database,
            announcer,
            insert: Bulk::new(head, "(?,?,?,?,?)", ""),
            compaction_lag,
        }
    }

    /// Ends when the bus is dropped.
    pub(super) async fn run(self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.recv().await {
            let (changes, answers) = gather(first, &mut requests);
            match self.commit(changes).await {
                Ok(outcomes) => {
                    for (answer, outcome) in answers.into_iter().zip(outcomes) {
                        // A caller that went away does not need its answer.
                        answer.send(outcome).ok();
                    }
                }
                Err(error) => fail_all(answers, error),
            }
        }
    }

    /// One transaction for the whole group. A refused change leaves the others untouched.
    async fn commit(&self, changes: Vec<Change>) -> Result<Vec<PortResult<Vec<u64>>>, sqlx::Error> {
        let mut transaction = self.database.write().await?;
        let ends = ends(&mut transaction).await?;
        let owners = owners(&mut transaction).await?;
        let mut plan = Plan::new(self.log, self.partitions, ends, owners);
        let outcomes = changes
            .into_iter()
            .map(|change| plan.take(change))
            .collect();
        let writes = plan.into_writes();
        if writes.is_empty() {
            transaction.rollback().await?;
            return Ok(outcomes);
        }
        let topics: BTreeSet<Topic> = writes.ends.iter().map(|((topic, _), _)| *topic).collect();
        self.write(&mut transaction, writes).await?;
        transaction.commit().await?;
        for topic in topics {
            self.announcer.announce(topic);
        }
        Ok(outcomes)
    }

    async fn write(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        writes: Writes,
    ) -> Result<(), sqlx::Error> {
        let tombstoned: BTreeSet<(Topic, u32)> = writes
            .compacted
            .iter()
            .filter(|placed| placed.record.value.is_empty())
            .map(|placed| (placed.record.topic, placed.record.partition))
            .collect();
        let told: Vec<Told> = writes.compacted.iter().map(Told::of).collect();
        insert(transaction, &self.insert, writes.kept).await?;
        insert(transaction, &self.insert, writes.compacted).await?;
        for told in told {
            told.supersede(transaction, self.compaction_lag).await?;
        }
        for ((topic, partition), next) in &writes.ends {
            if topic.is_compacted() {
                compact(
                    transaction,
                    (*topic, *partition),
                    *next,
                    self.compaction_lag,
                )
                .await?;
            }
            set_end(transaction, *topic, *partition, *next).await?;
            if tombstoned.contains(&(*topic, *partition)) {
                bury(transaction, *topic, *partition, *next).await?;
            }
        }
        for (partition, owner) in writes.owners {
            set_owner(transaction, partition, owner).await?;
        }
        Ok(())
    }
}

/// The first caller and those that wait behind it, as far as a group goes.
fn gather(first: Request, requests: &mut mpsc::Receiver<Request>) -> (Vec<Change>, Vec<Answer>) {
    let mut records = first.change.records();
    let mut bytes = first.change.bytes();
    let mut changes = vec![first.change];
    let mut answers = vec![first.answer];
    while records < GROUP_RECORDS && bytes < GROUP_BYTES {
        let Ok(request) = requests.try_recv() else {
            break;
        };
        records = records.saturating_add(request.change.records());
        bytes = bytes.saturating_add(request.change.bytes());
        changes.push(request.change);
        answers.push(request.answer);
    }
    (changes, answers)
}

fn fail_all(answers: Vec<Answer>, error: sqlx::Error) {
    let kind = kind_of(&error);
    let cause = Arc::new(error);
    for answer in answers {
        let error = PortError::new(kind, "write to the log").because(Arc::clone(&cause));
        answer.send(Err(error)).ok();
    }
}

async fn ends(
    transaction: &mut Transaction<'static, Sqlite>,
) -> Result<BTreeMap<(Topic, u32), u64>, sqlx::Error> {
    let rows = sqlx::query("SELECT topic, partition, next FROM ends")
        .fetch_all(&mut **transaction)
        .await?;
    rows.iter()
        .map(|row| {
            let place = (topic_of(row.try_get(0)?)?, partition_of(row.try_get(1)?)?);
            Ok((place, from_column(row.try_get(2)?)?))
        })
        .collect()
}

async fn owners(
    transaction: &mut Transaction<'static, Sqlite>,
) -> Result<BTreeMap<u32, Owner>, sqlx::Error> {
    let rows = sqlx::query("SELECT partition, claim_position, completed FROM owners")
        .fetch_all(&mut **transaction)
        .await?;
    rows.iter()
        .map(|row| {
            let owner = Owner {
                claim_offset: from_column(row.try_get(1)?)?,
                completed: from_column(row.try_get(2)?)?,
            };
            Ok((partition_of(row.try_get(0)?)?, owner))
        })
        .collect()
}

async fn insert(
    transaction: &mut Transaction<'static, Sqlite>,
    bulk: &Bulk,
    placed: Vec<Placed>,
) -> Result<(), sqlx::Error> {
    let mut waiting = placed.into_iter();
    while let Some((rows, text)) = bulk.filled_by(waiting.len()) {
        let mut query = sqlx::query(AssertSqlSafe(text));
        for Placed { record, offset } in waiting.by_ref().take(rows) {
            query = query
                .bind(topic_number(record.topic))
                .bind(record.partition)
                .bind(to_column(offset)?)
                .bind(record.key)
                .bind(record.value);
        }
        query.execute(&mut **transaction).await?;
    }
    Ok(())
}

async fn set_end(
    transaction: &mut Transaction<'static, Sqlite>,
    topic: Topic,
    partition: u32,
    next: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO ends (topic, partition, next) VALUES (?, ?, ?)
         ON CONFLICT (topic, partition) DO UPDATE SET next = excluded.next",
    )
    .bind(topic_number(topic))
    .bind(partition)
    .bind(to_column(next)?)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn set_owner(
    transaction: &mut Transaction<'static, Sqlite>,
    partition: u32,
    owner: Owner,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO owners (partition, claim_position, completed) VALUES (?, ?, ?)
         ON CONFLICT (partition) DO UPDATE
         SET claim_position = excluded.claim_position, completed = excluded.completed",
    )
    .bind(partition)
    .bind(to_column(owner.claim_offset)?)
    .bind(to_column(owner.completed)?)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// A record of a compacted topic, as far as it supersedes others.
struct Told {
    topic: Topic,
    partition: u32,
    key: Vec<u8>,
    offset: u64,
}

impl Told {
    fn of(placed: &Placed) -> Self {
        Self {
            topic: placed.record.topic,
            partition: placed.record.partition,
            key: placed.record.key.clone(),
            offset: placed.offset,
        }
    }

    /// Lets older records of the key go that are behind already.
    async fn supersede(
        self,
        transaction: &mut Transaction<'static, Sqlite>,
        lag: u64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "DELETE FROM records WHERE topic = ? AND partition = ? AND key = ? AND position < ?
             AND topic IN (1, 2, 4)",
        )
        .bind(topic_number(self.topic))
        .bind(self.partition)
        .bind(self.key)
        .bind(to_column(self.offset.saturating_sub(lag))?)
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }
}

/// How many offsets are looked at for superseded records in one go: what just fell behind, and what a larger group or
/// an earlier lag left.
const COMPACTION_SPAN: u64 = 2 * GROUP_RECORDS as u64;

/// Lets superseded records go that have just fallen behind.
async fn compact(
    transaction: &mut Transaction<'static, Sqlite>,
    (topic, partition): (Topic, u32),
    end: u64,
    lag: u64,
) -> Result<(), sqlx::Error> {
    let behind = end.saturating_sub(lag);
    sqlx::query(
        "DELETE FROM records WHERE topic = ?1 AND partition = ?2 AND position >= ?3 AND position < ?4
         AND EXISTS (
            SELECT 1 FROM records AS newer
            WHERE newer.topic = ?1 AND newer.topic IN (1, 2, 4) AND newer.partition = ?2
            AND newer.key = records.key AND newer.position > records.position
         )",
    )
    .bind(topic_number(topic))
    .bind(partition)
    .bind(to_column(behind.saturating_sub(COMPACTION_SPAN))?)
    .bind(to_column(behind)?)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Lets old tombstones go.
async fn bury(
    transaction: &mut Transaction<'static, Sqlite>,
    topic: Topic,
    partition: u32,
    end: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM records
         WHERE value = x'' AND topic = ? AND partition = ? AND position < ?",
    )
    .bind(topic_number(topic))
    .bind(partition)
    .bind(to_column(end.saturating_sub(TOMBSTONE_SPAN))?)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use caerus_runtime::port::{Bus, NewRecord, ReadLimit};

    use super::super::SqliteBus;
    use super::{TOMBSTONE_SPAN, Topic, bury};

    #[tokio::test]
    async fn old_tombstones_leave_and_newer_ones_and_records_stay() {
        let folder = tempfile::tempdir().unwrap();
        let bus = SqliteBus::open(folder.path().join("log.db"), 1)
            .await
            .unwrap();
        let record = |key: &str, value: &[u8]| NewRecord {
            topic: Topic::Decisions,
            partition: 0,
            key: key.into(),
            value: value.into(),
        };
        let records = [
            record("a", b""),
            record("b", b"held"),
            record("c", b""),
            record("d", b""),
        ];
        bus.append(records.to_vec()).await.unwrap();
        let mut transaction = bus.database.write().await.unwrap();
        bury(&mut transaction, Topic::Decisions, 0, TOMBSTONE_SPAN + 3)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        let ample = ReadLimit {
            records: 10,
            bytes: usize::MAX,
        };
        let held = bus.read(Topic::Decisions, 0, 0, ample).await.unwrap();
        let keys: Vec<Vec<u8>> = held.records.into_iter().map(|held| held.key).collect();
        assert_eq!(keys, [b"b", b"d"]);
    }
}
