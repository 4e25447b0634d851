//! The recorder's positions in the ledger.

use caerus_runtime::port::Topic;

use super::super::column::{from_column, to_column};
use super::super::database::Database;

pub(super) async fn read(
    database: &Database,
    topic: Topic,
    partition: u32,
) -> Result<u64, sqlx::Error> {
    let position: Option<i64> =
        sqlx::query_scalar("SELECT position FROM positions WHERE topic = $1 AND partition = $2")
            .bind(topic.name())
            .bind(i64::from(partition))
            .fetch_optional(database.pool())
            .await?;
    position.map_or(Ok(0), from_column)
}

pub(super) async fn write(
    database: &Database,
    (topic, partition): (Topic, u32),
    position: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO positions (topic, partition, position) VALUES ($1, $2, $3)
         ON CONFLICT (topic, partition) DO UPDATE SET position = excluded.position",
    )
    .bind(topic.name())
    .bind(i64::from(partition))
    .bind(to_column(position)?)
    .execute(database.pool())
    .await?;
    Ok(())
}
