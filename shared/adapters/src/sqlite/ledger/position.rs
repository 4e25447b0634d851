//! The recorder's positions in the ledger.

use caerus_runtime::port::Topic;

use super::super::column::{from_column, to_column, topic_number};
use super::super::database::Database;

pub(super) async fn read(
    database: &Database,
    topic: Topic,
    partition: u32,
) -> Result<u64, sqlx::Error> {
    let position: Option<i64> =
        sqlx::query_scalar("SELECT position FROM positions WHERE topic = ? AND partition = ?")
            .bind(topic_number(topic))
            .bind(partition)
            .fetch_optional(database.readers())
            .await?;
    position.map_or(Ok(0), from_column)
}

pub(super) async fn write(
    database: &Database,
    (topic, partition): (Topic, u32),
    position: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO positions (topic, partition, position) VALUES (?, ?, ?)
         ON CONFLICT (topic, partition) DO UPDATE SET position = excluded.position",
    )
    .bind(topic_number(topic))
    .bind(partition)
    .bind(to_column(position)?)
    .execute(database.writer())
    .await?;
    Ok(())
}
