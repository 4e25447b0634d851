//! The audit in the ledger: who did what, the newest first.

use caerus_engine::id::TenantId;
use caerus_runtime::port::{AuditEntry, Page};
use sha2::{Digest, Sha256};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::super::column::{Moment, text, text_or_null};
use super::super::database::Database;
use super::super::partition::Growing;
use super::cursor::{Cursor, page as page_of, page_len, rows_wanted};

pub(super) async fn record(database: &Database, entry: &AuditEntry) -> Result<(), sqlx::Error> {
    let pool = database.pool();
    let partitions = database.partitions();
    partitions
        .ensure(pool, &[Growing::Audit], [entry.at])
        .await?;
    sqlx::query(
        "INSERT INTO audit (at, tenant, principal, action, object, detail, fingerprint)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (fingerprint, at) DO NOTHING",
    )
    .bind(Moment(entry.at))
    .bind(text_or_null(entry.tenant.as_ref().map(TenantId::as_str)))
    .bind(text(&entry.principal))
    .bind(text(&entry.action))
    .bind(text(&entry.object))
    .bind(text(&entry.detail))
    .bind(fingerprint(entry))
    .execute(pool)
    .await?;
    Ok(())
}

/// Tells entries apart. Each text goes in behind its length, so that no two entries run together into the same bytes;
/// no tenant is not the tenant without a name.
fn fingerprint(entry: &AuditEntry) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(entry.at.0.to_be_bytes());
    digest.update([u8::from(entry.tenant.is_some())]);
    let texts = [
        entry.tenant.as_ref().map_or("", TenantId::as_str),
        &entry.principal,
        &entry.action,
        &entry.object,
        &entry.detail,
    ];
    for part in texts {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finalize().to_vec()
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
         WHERE sequence < $1 ORDER BY sequence DESC LIMIT $2",
    )
    .bind(before)
    .bind(rows_wanted(len))
    .fetch_all(database.pool())
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

fn entry(row: &PgRow) -> Result<(i64, AuditEntry), sqlx::Error> {
    let Moment(at) = row.try_get(1)?;
    let tenant: Option<String> = row.try_get(2)?;
    let entry = AuditEntry {
        at,
        tenant: tenant.map(TenantId::new),
        principal: row.try_get(3)?,
        action: row.try_get(4)?,
        object: row.try_get(5)?,
        detail: row.try_get(6)?,
    };
    Ok((row.try_get(0)?, entry))
}

#[cfg(test)]
mod tests {
    use caerus_engine::time::Timestamp;

    use super::*;

    #[test]
    fn entries_that_differ_anywhere_have_fingerprints_of_their_own() {
        let entry = |tenant: Option<&str>, principal: &str, action: &str| AuditEntry {
            at: Timestamp(1),
            tenant: tenant.map(TenantId::new),
            principal: principal.into(),
            action: action.into(),
            object: String::new(),
            detail: String::new(),
        };
        let entries = [
            entry(None, "ab", "c"),
            entry(None, "a", "bc"),
            entry(Some(""), "ab", "c"),
            entry(Some("a"), "b", "c"),
        ];
        let fingerprints: std::collections::BTreeSet<Vec<u8>> =
            entries.iter().map(fingerprint).collect();
        assert_eq!(fingerprints.len(), entries.len());
    }
}
