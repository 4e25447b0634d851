//! Credentials in the ledger: hashed, never the secret.

use caerus_engine::time::Timestamp;
use caerus_runtime::port::StoredToken;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::super::column::undecodable;
use super::super::database::Database;
use super::list::{join, join_tenants, split, split_tenants};

pub(super) async fn put(database: &Database, token: &StoredToken) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO tokens
         (id, hash, name, tenants, rights, created_at, expires_at, revoked_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET
         hash = excluded.hash, name = excluded.name, tenants = excluded.tenants,
         rights = excluded.rights, created_at = excluded.created_at,
         expires_at = excluded.expires_at, revoked_at = excluded.revoked_at",
    )
    .bind(token.id.clone())
    .bind(token.hash.to_vec())
    .bind(token.name.clone())
    .bind(join_tenants(&token.tenants))
    .bind(join(token.rights.iter().map(String::as_str)))
    .bind(token.created_at.0)
    .bind(token.expires_at.map(|at| at.0))
    .bind(token.revoked_at.map(|at| at.0))
    .execute(database.writer())
    .await?;
    Ok(())
}

pub(super) async fn all(database: &Database) -> Result<Vec<StoredToken>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, hash, name, tenants, rights, created_at, expires_at, revoked_at
         FROM tokens ORDER BY id",
    )
    .fetch_all(database.readers())
    .await?;
    rows.iter().map(token).collect()
}

/// The first revocation stays. *Returns*: false when there is no token of that id.
pub(super) async fn revoke(
    database: &Database,
    id: &str,
    at: Timestamp,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?")
        .bind(at.0)
        .bind(id.to_owned())
        .execute(database.writer())
        .await?;
    Ok(done.rows_affected() > 0)
}

fn token(row: &SqliteRow) -> Result<StoredToken, sqlx::Error> {
    let hash: &[u8] = row.try_get(1)?;
    let tenants: &str = row.try_get(3)?;
    let rights: &str = row.try_get(4)?;
    let expires_at: Option<i64> = row.try_get(6)?;
    let revoked_at: Option<i64> = row.try_get(7)?;
    Ok(StoredToken {
        id: row.try_get(0)?,
        hash: <[u8; 32]>::try_from(hash).map_err(undecodable)?,
        name: row.try_get(2)?,
        tenants: split_tenants(tenants),
        rights: split(rights),
        created_at: Timestamp(row.try_get(5)?),
        expires_at: expires_at.map(Timestamp),
        revoked_at: revoked_at.map(Timestamp),
    })
}
