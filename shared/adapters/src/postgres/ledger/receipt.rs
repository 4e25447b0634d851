//! Receipts in the ledger: since when each instance has a decision in force.

use std::collections::BTreeMap;

use caerus_engine::id::TenantId;
use caerus_runtime::port::Receipt;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::super::column::{Moment, text};
use super::super::database::Database;

/// In one round trip. In force since the first time that was said.
pub(super) async fn record(database: &Database, receipts: &[Receipt]) -> Result<(), sqlx::Error> {
    let mut earliest: BTreeMap<[String; 3], &Receipt> = BTreeMap::new();
    for receipt in receipts {
        let key = [
            text(&receipt.decision),
            text(&receipt.enforcement_point),
            text(&receipt.client),
        ];
        let held = earliest.entry(key).or_insert(receipt);
        if receipt.in_force_at < held.in_force_at {
            *held = receipt;
        }
    }
    let tenants: Vec<String> = earliest
        .values()
        .map(|receipt| text(receipt.tenant.as_str()))
        .collect();
    let times: Vec<Moment> = earliest
        .values()
        .map(|receipt| Moment(receipt.in_force_at))
        .collect();
    let mut names: [Vec<String>; 3] = Default::default();
    for key in earliest.into_keys() {
        for (column, name) in names.iter_mut().zip(key) {
            column.push(name);
        }
    }
    let [decisions, points, clients] = names;
    sqlx::query(
        "INSERT INTO receipts (decision, enforcement_point, client, tenant, in_force_at)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
         ON CONFLICT (decision, enforcement_point, client) DO UPDATE
         SET in_force_at = excluded.in_force_at
         WHERE excluded.in_force_at < receipts.in_force_at",
    )
    .bind(decisions)
    .bind(points)
    .bind(clients)
    .bind(tenants)
    .bind(times)
    .execute(database.pool())
    .await?;
    Ok(())
}

pub(super) async fn of_decision(
    database: &Database,
    decision: &str,
) -> Result<Vec<Receipt>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT decision, enforcement_point, client, tenant, in_force_at FROM receipts
         WHERE decision = $1 ORDER BY enforcement_point, client",
    )
    .bind(text(decision))
    .fetch_all(database.pool())
    .await?;
    rows.iter().map(receipt).collect()
}

fn receipt(row: &PgRow) -> Result<Receipt, sqlx::Error> {
    let tenant: String = row.try_get(3)?;
    let Moment(in_force_at) = row.try_get(4)?;
    Ok(Receipt {
        decision: row.try_get(0)?,
        enforcement_point: row.try_get(1)?,
        client: row.try_get(2)?,
        tenant: TenantId::new(tenant),
        in_force_at,
    })
}
