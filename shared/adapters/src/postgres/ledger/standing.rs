//! Subjects' latest assessments in the ledger, by name and session, and their past risk.

use caerus_engine::id::TenantId;
use caerus_runtime::port::{Page, SESSION_STANDING_KEPT, SubjectStanding};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

use super::super::column::{Moment, score_of, text};
use super::super::database::Database;
use super::super::partition::Growing;
use super::STANDINGS_PER_PAGE;
use super::cursor::{Cursor, page as page_of, page_len, rows_wanted};

/// Whose standings to list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subjects<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) kind: &'a str,
    pub(super) name: Option<&'a str>,
}

/// Parts name and session in a cursor; no name holds it.
const SEPARATOR: char = '\u{1f}';

/// An older assessment, repeated, does not replace a newer one; of the same moment the last told stays.
const RECORD: &str = "\
    WITH told AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int2[],
                             $6::timestamptz[], $7::text[]) WITH ORDINALITY
            AS t (tenant, kind, name, session, score, assessed_at, json, number)
    ), past AS (
        INSERT INTO risk_history (tenant, kind, name, session, assessed_at, score)
        SELECT DISTINCT ON (tenant, kind, name, session, assessed_at)
               tenant, kind, name, session, assessed_at, score
        FROM told ORDER BY tenant, kind, name, session, assessed_at, number DESC
        ON CONFLICT (tenant, kind, name, session, assessed_at) DO UPDATE
        SET score = excluded.score WHERE excluded.score <> risk_history.score
    )
    INSERT INTO standings (tenant, kind, name, session, score, assessed_at, json)
    SELECT DISTINCT ON (tenant, kind, name, session)
           tenant, kind, name, session, score, assessed_at, json
    FROM told ORDER BY tenant, kind, name, session, assessed_at DESC, number DESC
    ON CONFLICT (tenant, kind, name, session) DO UPDATE
    SET score = excluded.score, assessed_at = excluded.assessed_at, json = excluded.json
    WHERE excluded.assessed_at >= standings.assessed_at";

pub(super) async fn record(
    database: &Database,
    standings: &[SubjectStanding],
) -> Result<(), sqlx::Error> {
    let Some(newest) = standings.iter().map(|standing| standing.at).max() else {
        return Ok(());
    };
    let pool = database.pool();
    let times = standings.iter().map(|standing| standing.at);
    let partitions = database.partitions();
    partitions
        .ensure(pool, &[Growing::RiskHistory], times)
        .await?;
    let texts = |of: fn(&SubjectStanding) -> &str| -> Vec<String> {
        standings.iter().map(|one| text(of(one))).collect()
    };
    let scores: Vec<i16> = standings.iter().map(|one| i16::from(one.score)).collect();
    let moments: Vec<Moment> = standings.iter().map(|one| Moment(one.at)).collect();
    let mut transaction = pool.begin().await?;
    sqlx::query(RECORD)
        .bind(texts(|one| one.tenant.as_str()))
        .bind(texts(|one| &one.kind))
        .bind(texts(|one| &one.name))
        .bind(texts(|one| one.session.as_deref().unwrap_or_default()))
        .bind(scores)
        .bind(moments)
        .bind(texts(|one| &one.json))
        .execute(&mut *transaction)
        .await?;
    sqlx::query("DELETE FROM standings WHERE session <> '' AND assessed_at < $1")
        .bind(Moment(newest - SESSION_STANDING_KEPT))
        .execute(&mut *transaction)
        .await?;
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
         WHERE tenant = $1 AND kind = $2
         ORDER BY score DESC, assessed_at DESC LIMIT $3",
    )
    .bind(text(tenant.as_str()))
    .bind(text(kind))
    .bind(i64::from(limit))
    .fetch_all(database.pool())
    .await?;
    rows.iter().map(standing).collect()
}

pub(super) async fn page(
    database: &Database,
    subjects: &Subjects<'_>,
    after: Option<Cursor>,
) -> Result<Page<SubjectStanding>, sqlx::Error> {
    let len = page_len(STANDINGS_PER_PAGE);
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT tenant, kind, name, session, score, assessed_at, json FROM standings",
    );
    query.push(" WHERE tenant = ");
    query.push_bind(text(subjects.tenant.as_str()));
    query.push(" AND kind = ").push_bind(text(subjects.kind));
    if let Some(name) = subjects.name {
        query.push(" AND name = ").push_bind(text(name));
    }
    if let Some((name, session)) = after
        .as_ref()
        .and_then(|cursor| cursor.text.split_once(SEPARATOR))
    {
        query.push(" AND (name, session) > (").push_bind(text(name));
        query.push(", ").push_bind(text(session)).push(")");
    }
    query.push(" ORDER BY name, session LIMIT ");
    query.push_bind(rows_wanted(len));
    let rows = query.build().fetch_all(database.pool()).await?;
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

fn standing(row: &PgRow) -> Result<SubjectStanding, sqlx::Error> {
    let tenant: String = row.try_get(0)?;
    let session: String = row.try_get(3)?;
    let Moment(at) = row.try_get(5)?;
    Ok(SubjectStanding {
        tenant: TenantId::new(tenant),
        kind: row.try_get(1)?,
        name: row.try_get(2)?,
        session: Some(session).filter(|session| !session.is_empty()),
        score: score_of(row.try_get(4)?)?,
        at,
        json: row.try_get(6)?,
    })
}
