//! Reads of the record store. Writes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use caerus_engine::id::SubjectHash;
use caerus_engine::step::Wakes;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{AgendaEntry, Epoch, LogId, NewRecord, OutboxEntry, PartitionState};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, Sqlite, Transaction};

use super::super::column::{from_column, key_bytes, key_of, partition_of, topic_of};
use super::super::database::Database;
use super::write::Statements;

/// Who has a partition, and where its outbox goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) epoch: Epoch,
    pub(super) position: u64,
    pub(super) next_sequence: u64,
}

pub(super) async fn held(
    transaction: &mut Transaction<'static, Sqlite>,
    partition: u32,
) -> Result<Option<Held>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT log_id, claim_position, position, next_sequence FROM partitions WHERE partition = ?",
    )
    .bind(partition)
    .fetch_optional(&mut **transaction)
    .await?;
    row.map(|row| {
        let log: i64 = row.try_get(0)?;
        Ok(Held {
            epoch: Epoch {
                log: LogId(log.cast_unsigned()),
                claim_offset: from_column(row.try_get(1)?)?,
            },
            position: from_column(row.try_get(2)?)?,
            next_sequence: from_column(row.try_get(3)?)?,
        })
    })
    .transpose()
}

pub(super) async fn state(
    transaction: &mut Transaction<'static, Sqlite>,
    partition: u32,
) -> Result<PartitionState, sqlx::Error> {
    let row =
        sqlx::query("SELECT position, next_sequence, shared FROM partitions WHERE partition = ?")
            .bind(partition)
            .fetch_one(&mut **transaction)
            .await?;
    Ok(PartitionState {
        position: from_column(row.try_get(0)?)?,
        next_sequence: from_column(row.try_get(1)?)?,
        shared: row.try_get(2)?,
        outbox: outbox(transaction, partition).await?,
        agenda: agenda(transaction, partition).await?,
    })
}

async fn outbox(
    transaction: &mut Transaction<'static, Sqlite>,
    partition: u32,
) -> Result<Vec<OutboxEntry>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT sequence, topic, target_partition, key, value FROM outbox
         WHERE partition = ? ORDER BY sequence",
    )
    .bind(partition)
    .fetch_all(&mut **transaction)
    .await?;
    rows.iter().map(outbox_entry).collect()
}

fn outbox_entry(row: &SqliteRow) -> Result<OutboxEntry, sqlx::Error> {
    let value: &[u8] = row.try_get(4)?;
    Ok(OutboxEntry {
        sequence: from_column(row.try_get(0)?)?,
        record: NewRecord {
            topic: topic_of(row.try_get(1)?)?,
            partition: partition_of(row.try_get(2)?)?,
            key: row.try_get(3)?,
            value: Arc::from(value),
        },
    })
}

async fn agenda(
    transaction: &mut Transaction<'static, Sqlite>,
    partition: u32,
) -> Result<Vec<AgendaEntry>, sqlx::Error> {
    let rows = sqlx::query(
        // Named, because the planner would rather read every record in the order of the keys.
        "SELECT key, wake_watermark, wake_clock, is_concerned FROM records INDEXED BY agenda
         WHERE partition = ?
           AND (wake_watermark IS NOT NULL OR wake_clock IS NOT NULL OR is_concerned = 1)
         ORDER BY key",
    )
    .bind(partition)
    .fetch_all(&mut **transaction)
    .await?;
    rows.iter().map(agenda_entry).collect()
}

fn agenda_entry(row: &SqliteRow) -> Result<AgendaEntry, sqlx::Error> {
    let key: &[u8] = row.try_get(0)?;
    let watermark: Option<i64> = row.try_get(1)?;
    let clock: Option<i64> = row.try_get(2)?;
    Ok(AgendaEntry {
        key: key_of(key)?,
        wakes: Wakes {
            watermark: watermark.map(Timestamp),
            clock: clock.map(Timestamp),
        },
        is_concerned: row.try_get(3)?,
    })
}

/// The records under `keys`, in their order.
pub(super) async fn records(
    database: &Database,
    statements: &Statements,
    partition: u32,
    keys: &[SubjectHash],
) -> Result<Vec<Option<Vec<u8>>>, sqlx::Error> {
    let mut found: BTreeMap<SubjectHash, Vec<u8>> = BTreeMap::new();
    let mut waiting = keys;
    while let Some((places, text)) = statements.load.holding(waiting.len()) {
        let (now, later) = waiting.split_at(places.min(waiting.len()));
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(partition);
        // The last key fills the places left: a repeated key is found once.
        let filling = now.last().copied();
        for key in now
            .iter()
            .copied()
            .chain(filling.into_iter().cycle())
            .take(places)
        {
            query = query.bind(key_bytes(key));
        }
        for row in query.fetch_all(database.readers()).await? {
            let key: &[u8] = row.try_get(0)?;
            found.insert(key_of(key)?, row.try_get(1)?);
        }
        waiting = later;
    }
    // A key asked for twice is answered twice.
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}
