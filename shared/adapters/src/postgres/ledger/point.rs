//! Enforcement points in the ledger: what each instance last said.

use caerus_engine::id::TenantId;
use caerus_runtime::port::EnforcementPoint;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::super::column::{Moment, text, text_or_null};
use super::super::database::Database;
use super::CLIENTS_PER_CREDENTIAL;

pub(super) async fn record(
    database: &Database,
    point: &EnforcementPoint,
) -> Result<(), sqlx::Error> {
    let tenants: Vec<String> = point
        .tenants
        .iter()
        .map(|tenant| text(tenant.as_str()))
        .collect();
    let mut transaction = database.pool().begin().await?;
    // An older word, repeated, does not replace a newer one.
    sqlx::query(
        "INSERT INTO enforcement_points
         (name, client, tenants, last_seen, acknowledged, is_connected)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (name, client) DO UPDATE SET
         tenants = excluded.tenants, last_seen = excluded.last_seen,
         acknowledged = excluded.acknowledged, is_connected = excluded.is_connected
         WHERE excluded.last_seen >= enforcement_points.last_seen",
    )
    .bind(text(&point.name))
    .bind(text(&point.client))
    .bind(tenants)
    .bind(Moment(point.last_seen))
    .bind(text_or_null(point.acknowledged.as_deref()))
    .bind(point.is_connected)
    .execute(&mut *transaction)
    .await?;
    // A client names itself: without a bound, one credential could fill the table.
    sqlx::query(
        "DELETE FROM enforcement_points WHERE name = $1 AND client IN (
            SELECT client FROM enforcement_points WHERE name = $1
            ORDER BY last_seen DESC, client OFFSET $2)",
    )
    .bind(text(&point.name))
    .bind(i64::from(CLIENTS_PER_CREDENTIAL))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

pub(super) async fn all(database: &Database) -> Result<Vec<EnforcementPoint>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT name, client, tenants, last_seen, acknowledged, is_connected
         FROM enforcement_points ORDER BY name, client",
    )
    .fetch_all(database.pool())
    .await?;
    rows.iter().map(point).collect()
}

fn point(row: &PgRow) -> Result<EnforcementPoint, sqlx::Error> {
    let tenants: Vec<String> = row.try_get(2)?;
    let Moment(last_seen) = row.try_get(3)?;
    Ok(EnforcementPoint {
        name: row.try_get(0)?,
        client: row.try_get(1)?,
        tenants: tenants.into_iter().map(TenantId::new).collect(),
        last_seen,
        acknowledged: row.try_get(4)?,
        is_connected: row.try_get(5)?,
    })
}
