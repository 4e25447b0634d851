//! Subjects' latest assessments in the ledger, by name and session.

use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{Page, SESSION_STANDING_KEPT, SubjectStanding};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::super::database::Database;
use super::STANDINGS_PER_PAGE;
use super::cursor::{Cursor, page as page_of, page_len};

/// Whose standings to list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subjects<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) kind: &'a str,
    pub(super) name: Option<&'a str>,
}

/// Parts name and session in a cursor; no name holds it.
const SEPARATOR: char = '\u{1f}';

pub(super) async fn record(
    database: &Database,
    standings: &[SubjectStanding],
) -> Result<(), sqlx::Error> {
    if standings.is_empty() {
        return Ok(());
    }
    let mut transaction = database.write().await?;
    for standing in standings {
        // An older assessment, repeated, does not replace a newer one.
        sqlx::query(
            "INSERT INTO standings (tenant, kind, name, session, score, assessed_at, json)
             VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (tenant, kind, name, session) DO UPDATE SET
             score = excluded.score, assessed_at = excluded.assessed_at, json = excluded.json
             WHERE excluded.assessed_at >= standings.assessed_at",
        )
        .bind(standing.tenant.to_string())
        .bind(standing.kind.clone())
        .bind(standing.name.clone())
        .bind(standing.session.clone().unwrap_or_default())
        .bind(standing.score)
        .bind(standing.at.0)
        .bind(standing.json.clone())
        .execute(&mut *transaction)
        .await?;
    }
    if let Some(newest) = standings.iter().map(|standing| standing.at).max() {
        sqlx::query("DELETE FROM standings WHERE session <> '' AND assessed_at < ?")
            .bind((newest - SESSION_STANDING_KEPT).0)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

pub(super) async fn riskiest(
    database: &Database,
    tenant: &TenantId,
    kind: &str,
    limit: u32,
) -> Result<Vec<SubjectStanding>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT tenant, kind, name, session, score, assessed_at, json FROM standings
         WHERE tenant = ? AND kind = ?
         ORDER BY score DESC, assessed_at DESC LIMIT ?",
    )
    .bind(tenant.to_string())
    .bind(kind.to_owned())
    .bind(limit)
    .fetch_all(database.readers())
    .await?;
    rows.iter().map(standing).collect()
}

pub(super) async fn page(
    database: &Database,
    subjects: &Subjects<'_>,
    after: Option<Cursor>,
) -> Result<Page<SubjectStanding>, sqlx::Error> {
    let len = page_len(STANDINGS_PER_PAGE);
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT tenant, kind, name, session, score, assessed_at, json FROM standings",
    );
    query.push(" WHERE tenant = ");
    query.push_bind(subjects.tenant.to_string());
    query.push(" AND kind = ");
    query.push_bind(subjects.kind.to_owned());
    if let Some(name) = subjects.name {
        query.push(" AND name = ").push_bind(name.to_owned());
    }
    if let Some((name, session)) = after
        .as_ref()
        .and_then(|cursor| cursor.text.split_once(SEPARATOR))
    {
        query.push(" AND (name, session) > (");
        query.push_bind(name.to_owned()).push(", ");
        query.push_bind(session.to_owned()).push(")");
    }
    query.push(" ORDER BY name, session LIMIT ");
    query.push_bind(i64::try_from(len).unwrap_or(i64::MAX).saturating_add(1));
    let rows = query.build().fetch_all(database.readers()).await?;
    let entries = rows
        .iter()
        .map(standing)
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    Ok(page_of(entries, len, cursor_of))
}

fn cursor_of(standing: &SubjectStanding) -> Cursor {
    let session = standing.session.as_deref().unwrap_or_default();
    Cursor::new(0, format!("{}{SEPARATOR}{session}", standing.name))
}

fn standing(row: &SqliteRow) -> Result<SubjectStanding, sqlx::Error> {
    let tenant: String = row.try_get(0)?;
    let session: String = row.try_get(3)?;
    Ok(SubjectStanding {
        tenant: TenantId::new(tenant),
        kind: row.try_get(1)?,
        name: row.try_get(2)?,
        session: Some(session).filter(|session| !session.is_empty()),
        score: row.try_get(4)?,
        at: Timestamp(row.try_get(5)?),
        json: row.try_get(6)?,
    })
}
