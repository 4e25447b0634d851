//! Enforcement points in the ledger: what each instance last said.

use caerus_engine::time::Timestamp;
use caerus_runtime::port::EnforcementPoint;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::super::database::Database;
use super::CLIENTS_PER_CREDENTIAL;
use super::list::{join_tenants, split_tenants};

pub(super) async fn record(
    database: &Database,
    point: &EnforcementPoint,
) -> Result<(), sqlx::Error> {
    let mut transaction = database.write().await?;
    // An older word, repeated, does not replace a newer one.
    sqlx::query(
        "INSERT INTO enforcement_points
         (name, client, tenants, last_seen, acknowledged, is_connected) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (name, client) DO UPDATE SET
         tenants = excluded.tenants, last_seen = excluded.last_seen,
         acknowledged = excluded.acknowledged, is_connected = excluded.is_connected
         WHERE excluded.last_seen >= enforcement_points.last_seen",
    )
    .bind(point.name.clone())
    .bind(point.client.clone())
    .bind(join_tenants(&point.tenants))
    .bind(point.last_seen.0)
    .bind(point.acknowledged.clone())
    .bind(point.is_connected)
    .execute(&mut *transaction)
    .await?;
    // A client names itself: without a bound, one credential could fill the table.
    sqlx::query(
        "DELETE FROM enforcement_points WHERE name = ?1 AND client IN (
            SELECT client FROM enforcement_points WHERE name = ?1
            ORDER BY last_seen DESC, client LIMIT -1 OFFSET ?2)",
    )
    .bind(point.name.clone())
    .bind(CLIENTS_PER_CREDENTIAL)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

pub(super) async fn all(database: &Database) -> Result<Vec<EnforcementPoint>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT name, client, tenants, last_seen, acknowledged, is_connected
         FROM enforcement_points ORDER BY name, client",
    )
    .fetch_all(database.readers())
    .await?;
    rows.iter().map(point).collect()
}

fn point(row: &SqliteRow) -> Result<EnforcementPoint, sqlx::Error> {
    let tenants: &str = row.try_get(2)?;
    Ok(EnforcementPoint {
        name: row.try_get(0)?,
        client: row.try_get(1)?,
        tenants: split_tenants(tenants),
        last_seen: Timestamp(row.try_get(3)?),
        acknowledged: row.try_get(4)?,
        is_connected: row.try_get(5)?,
    })
}
