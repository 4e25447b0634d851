//! Credentials in the ledger: hashed, never the secret.

use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::StoredToken;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::super::column::{Moment, text};
use super::super::database::Database;

pub(super) async fn put(database: &Database, token: &StoredToken) -> Result<(), sqlx::Error> {
    let tenants: Vec<String> = token
        .tenants
        .iter()
        .map(|tenant| text(tenant.as_str()))
        .collect();
    let rights: Vec<String> = token.rights.iter().map(|right| text(right)).collect();
    sqlx::query(
        "INSERT INTO tokens
         (id, hash, name, tenants, rights, created_at, expires_at, revoked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (id) DO UPDATE SET
         hash = excluded.hash, name = excluded.name, tenants = excluded.tenants,
         rights = excluded.rights, created_at = excluded.created_at,
         expires_at = excluded.expires_at, revoked_at = excluded.revoked_at",
    )
    .bind(text(&token.id))
    .bind(token.hash.to_vec())
    .bind(text(&token.name))
    .bind(tenants)
    .bind(rights)
    .bind(Moment(token.created_at))
    .bind(token.expires_at.map(Moment))
    .bind(token.revoked_at.map(Moment))
    .execute(database.pool())
    .await?;
    Ok(())
}

pub(super) async fn all(database: &Database) -> Result<Vec<StoredToken>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, hash, name, tenants, rights, created_at, expires_at, revoked_at
         FROM tokens ORDER BY id",
    )
    .fetch_all(database.pool())
    .await?;
    rows.iter().map(token).collect()
}

/// The first revocation stays. *Returns*: false when there is no token of that id.
pub(super) async fn revoke(
    database: &Database,
    id: &str,
    at: Timestamp,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("UPDATE tokens SET revoked_at = coalesce(revoked_at, $1) WHERE id = $2")
        .bind(Moment(at))
        .bind(text(id))
        .execute(database.pool())
        .await?;
    Ok(done.rows_affected() > 0)
}

fn token(row: &PgRow) -> Result<StoredToken, sqlx::Error> {
    let hash: &[u8] = row.try_get(1)?;
    let tenants: Vec<String> = row.try_get(3)?;
    let Moment(created_at) = row.try_get(5)?;
    let expires_at: Option<Moment> = row.try_get(6)?;
    let revoked_at: Option<Moment> = row.try_get(7)?;
    Ok(StoredToken {
        id: row.try_get(0)?,
        hash: <[u8; 32]>::try_from(hash).map_err(|error| sqlx::Error::Decode(error.into()))?,
        name: row.try_get(2)?,
        tenants: tenants.into_iter().map(TenantId::new).collect(),
        rights: row.try_get(4)?,
        created_at,
        expires_at: expires_at.map(|Moment(at)| at),
        revoked_at: revoked_at.map(|Moment(at)| at),
    })
}
