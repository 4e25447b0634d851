//! Reads of the bus. Everything below an end is committed, so no read needs a transaction. Knows no writer.

use std::sync::Arc;

use caerus_runtime::port::{BusBatch, BusRecord, ReadLimit, Topic};
use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::super::column::{from_column, to_column, topic_number};
use super::super::database::Database;

pub(super) async fn batch(
    database: &Database,
    topic: Topic,
    partition: u32,
    from: u64,
    limit: ReadLimit,
) -> Result<BusBatch, sqlx::Error> {
    let end = end(database, topic, partition).await?;
    let mut batch = BusBatch {
        records: Vec::new(),
        next: from.max(end),
    };
    if from >= end {
        batch.next = from;
        return Ok(batch);
    }
    let records_max = limit.records.max(1);
    let mut rows = sqlx::query(
        "SELECT position, key, value FROM records
         WHERE topic = ?1 AND partition = ?2 AND position >= ?3 AND position < ?4
         ORDER BY position LIMIT ?5",
    )
    .bind(topic_number(topic))
    .bind(partition)
    .bind(to_column(from)?)
    .bind(to_column(end)?)
    .bind(i64::try_from(records_max).unwrap_or(i64::MAX))
    .fetch(database.readers());
    let mut bytes = 0_usize;
    while let Some(row) = rows.try_next().await? {
        let record = record(&row)?;
        bytes = bytes.saturating_add(record.key.len().saturating_add(record.value.len()));
        if bytes > limit.bytes && !batch.records.is_empty() {
            batch.next = after_last(&batch.records, from);
            return Ok(batch);
        }
        batch.records.push(record);
    }
    if batch.records.len() == records_max {
        batch.next = after_last(&batch.records, from);
    }
    Ok(batch)
}

fn after_last(records: &[BusRecord], from: u64) -> u64 {
    records
        .last()
        .map_or(from, |record| record.offset.saturating_add(1))
}

fn record(row: &SqliteRow) -> Result<BusRecord, sqlx::Error> {
    let value: &[u8] = row.try_get(2)?;
    Ok(BusRecord {
        offset: from_column(row.try_get(0)?)?,
        key: row.try_get(1)?,
        value: Arc::from(value),
    })
}

pub(super) async fn end(
    database: &Database,
    topic: Topic,
    partition: u32,
) -> Result<u64, sqlx::Error> {
    let next: Option<i64> =
        sqlx::query_scalar("SELECT next FROM ends WHERE topic = ? AND partition = ?")
            .bind(topic_number(topic))
            .bind(partition)
            .fetch_optional(database.readers())
            .await?;
    next.map_or(Ok(0), from_column)
}

pub(super) async fn start(
    database: &Database,
    topic: Topic,
    partition: u32,
) -> Result<u64, sqlx::Error> {
    let end = end(database, topic, partition).await?;
    let first: Option<i64> =
        sqlx::query_scalar("SELECT min(position) FROM records WHERE topic = ? AND partition = ?")
            .bind(topic_number(topic))
            .bind(partition)
            .fetch_one(database.readers())
            .await?;
    first.map_or(Ok(end), from_column)
}

pub(super) async fn completed(database: &Database, partition: u32) -> Result<u64, sqlx::Error> {
    let completed: Option<i64> =
        sqlx::query_scalar("SELECT completed FROM owners WHERE partition = ?")
            .bind(partition)
            .fetch_optional(database.readers())
            .await?;
    completed.map_or(Ok(0), from_column)
}
