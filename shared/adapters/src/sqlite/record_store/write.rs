//! Writes of the record store, inside a transaction whose epoch was checked. Decides nothing.

use std::collections::BTreeMap;

use caerus_engine::id::SubjectHash;
use caerus_runtime::port::{Commit, Epoch, LogId, OutboxEntry, StoredRecord};
use sqlx::{AssertSqlSafe, Sqlite, Transaction};

use super::super::bulk::Bulk;
use super::super::column::{key_bytes, to_column, topic_number};

/// The statements over many rows.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) load: Bulk,
    put: Bulk,
    remove: Bulk,
    post: Bulk,
}

impl Statements {
    pub(super) fn new() -> Self {
        Self {
            load: Bulk::new(
                "SELECT key, bytes FROM records WHERE partition = ? AND key IN (",
                "?",
                ")",
            ),
            put: Bulk::new(
                "INSERT INTO records
                 (partition, key, bytes, wake_watermark, wake_clock, is_concerned) VALUES",
                "(?,?,?,?,?,?)",
                "ON CONFLICT (partition, key) DO UPDATE SET
                 bytes = excluded.bytes, wake_watermark = excluded.wake_watermark,
                 wake_clock = excluded.wake_clock, is_concerned = excluded.is_concerned",
            ),
            remove: Bulk::new(
                "DELETE FROM records WHERE partition = ? AND key IN (",
                "?",
                ")",
            ),
            post: Bulk::new(
                "INSERT INTO outbox
                 (partition, sequence, topic, target_partition, key, value) VALUES",
                "(?,?,?,?,?,?)",
                "",
            ),
        }
    }

    /// All of a commit. `next_sequence` follows its outbox.
    pub(super) async fn write(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        commit: Commit,
        next_sequence: u64,
    ) -> Result<(), sqlx::Error> {
        let partition = commit.partition;
        // The last word on a key counts.
        let latest: BTreeMap<SubjectHash, StoredRecord> = commit
            .records
            .into_iter()
            .map(|record| (record.key, record))
            .collect();
        let (kept, removed) = latest
            .into_values()
            .partition(|record: &StoredRecord| record.bytes.is_some());
        self.put(transaction, partition, kept).await?;
        self.remove(transaction, partition, removed).await?;
        self.post(transaction, partition, commit.outbox).await?;
        sqlx::query(
            "UPDATE partitions
             SET position = ?, next_sequence = ?, shared = coalesce(?, shared)
             WHERE partition = ?",
        )
        .bind(to_column(commit.position)?)
        .bind(to_column(next_sequence)?)
        .bind(commit.shared)
        .bind(partition)
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }

    async fn put(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        partition: u32,
        records: Vec<StoredRecord>,
    ) -> Result<(), sqlx::Error> {
        let mut waiting = records.into_iter();
        while let Some((rows, text)) = self.put.filled_by(waiting.len()) {
            let mut query = sqlx::query(AssertSqlSafe(text));
            for record in waiting.by_ref().take(rows) {
                query = query
                    .bind(partition)
                    .bind(key_bytes(record.key))
                    .bind(record.bytes)
                    .bind(record.wakes.watermark.map(|at| at.0))
                    .bind(record.wakes.clock.map(|at| at.0))
                    .bind(record.is_concerned);
            }
            query.execute(&mut **transaction).await?;
        }
        Ok(())
    }

    async fn remove(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        partition: u32,
        records: Vec<StoredRecord>,
    ) -> Result<(), sqlx::Error> {
        let mut waiting = records.into_iter();
        while let Some((rows, text)) = self.remove.filled_by(waiting.len()) {
            let mut query = sqlx::query(AssertSqlSafe(text)).bind(partition);
            for record in waiting.by_ref().take(rows) {
                query = query.bind(key_bytes(record.key));
            }
            query.execute(&mut **transaction).await?;
        }
        Ok(())
    }

    async fn post(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        partition: u32,
        outbox: Vec<OutboxEntry>,
    ) -> Result<(), sqlx::Error> {
        let mut waiting = outbox.into_iter();
        while let Some((rows, text)) = self.post.filled_by(waiting.len()) {
            let mut query = sqlx::query(AssertSqlSafe(text));
            for OutboxEntry { sequence, record } in waiting.by_ref().take(rows) {
                query = query
                    .bind(partition)
                    .bind(to_column(sequence)?)
                    .bind(topic_number(record.topic))
                    .bind(record.partition)
                    .bind(record.key)
                    .bind(record.value);
            }
            query.execute(&mut **transaction).await?;
        }
        Ok(())
    }
}

/// Empties the store of whatever belongs to another log.
pub(super) async fn forget_other_logs(
    transaction: &mut Transaction<'static, Sqlite>,
    log: LogId,
) -> Result<(), sqlx::Error> {
    const FORGET: [&str; 3] = [
        "DELETE FROM records WHERE partition IN (SELECT partition FROM partitions WHERE log_id <> ?)",
        "DELETE FROM outbox WHERE partition IN (SELECT partition FROM partitions WHERE log_id <> ?)",
        "DELETE FROM partitions WHERE log_id <> ?",
    ];
    for text in FORGET {
        sqlx::query(text)
            .bind(log.0.cast_signed())
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

pub(super) async fn take_over(
    transaction: &mut Transaction<'static, Sqlite>,
    partition: u32,
    epoch: Epoch,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO partitions
         (partition, log_id, claim_position, position, next_sequence) VALUES (?, ?, ?, 0, 0)
         ON CONFLICT (partition) DO UPDATE SET claim_position = excluded.claim_position",
    )
    .bind(partition)
    .bind(epoch.log.0.cast_signed())
    .bind(to_column(epoch.claim_offset)?)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

pub(super) async fn clear_outbox(
    transaction: &mut Transaction<'static, Sqlite>,
    partition: u32,
    before: u64,
) -> Result<(), sqlx::Error> {
    // No sequence reaches the sign of a column, so a greater bound means all.
    sqlx::query("DELETE FROM outbox WHERE partition = ? AND sequence < ?")
        .bind(partition)
        .bind(to_column(before).unwrap_or(i64::MAX))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
