//! The audit in the ledger: who did what, the newest first.

use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{AuditEntry, Page};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::super::database::Database;
use super::cursor::{Cursor, page as page_of, page_len};

pub(super) async fn record(database: &Database, entry: &AuditEntry) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO audit (at, tenant, principal, action, object, detail)
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(entry.at.0)
    .bind(entry.tenant.as_ref().map(TenantId::to_string))
    .bind(entry.principal.clone())
    .bind(entry.action.clone())
    .bind(entry.object.clone())
    .bind(entry.detail.clone())
    .execute(database.writer())
    .await?;
    Ok(())
}

pub(super) async fn page(
    database: &Database,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Page<AuditEntry>, sqlx::Error> {
    let len = page_len(limit);
    let before = after.map_or(i64::MAX, |cursor| cursor.number);
    let rows = sqlx::query(
        "SELECT sequence, at, tenant, principal, action, object, detail FROM audit
         WHERE sequence < ? ORDER BY sequence DESC LIMIT ?",
    )
    .bind(before)
    .bind(i64::try_from(len).unwrap_or(i64::MAX).saturating_add(1))
    .fetch_all(database.readers())
    .await?;
    let entries = rows
        .iter()
        .map(entry)
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    let numbered = page_of(entries, len, |(sequence, _)| Cursor::new(*sequence, ""));
    Ok(Page {
        entries: numbered
            .entries
            .into_iter()
            .map(|(_, entry)| entry)
            .collect(),
        next: numbered.next,
    })
}

fn entry(row: &SqliteRow) -> Result<(i64, AuditEntry), sqlx::Error> {
    let tenant: Option<String> = row.try_get(2)?;
    let entry = AuditEntry {
        at: Timestamp(row.try_get(1)?),
        tenant: tenant.map(TenantId::new),
        principal: row.try_get(3)?,
        action: row.try_get(4)?,
        object: row.try_get(5)?,
        detail: row.try_get(6)?,
    };
    Ok((row.try_get(0)?, entry))
}
