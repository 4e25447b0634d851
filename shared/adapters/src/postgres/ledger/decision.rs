//! Decisions and their contributions in the ledger. A decision's JSON is the truth; the columns find and count it.

use std::collections::BTreeMap;

use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{DecisionQuery, LedgerDecision, Page};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

use super::super::column::{Moment, from_column, key_bytes, key_of, text, text_or_null, to_column};
use super::super::database::Database;
use super::super::partition::Growing;
use super::cursor::{Cursor, page as page_of, page_len, rows_wanted};
use super::explained::Explained;

const SELECT: &str = "SELECT id, tenant, owner, generation, mode, action, \
                      target_user, target_session, target_device, issued_at, expires_at, json FROM decisions";

/// A decision told again is the same decision; only those that are new bring their contributions.
const RECORD: &str = "\
    WITH recorded AS (
        INSERT INTO decisions
            (id, tenant, owner, generation, mode, action, target_user, target_session, target_device,
             issued_at, expires_at, json, score, level, hypothesis, rule, revision, cause,
             received_at, decided_at, target_workload, target_app)
        SELECT * FROM unnest(
            $1::text[], $2::text[], $3::bytea[], $4::int8[], $5::text[], $6::text[],
            $7::text[], $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[], $12::text[],
            $13::int2[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
            $19::timestamptz[], $20::timestamptz[], $21::text[], $22::text[])
        ON CONFLICT (id, issued_at) DO NOTHING
        RETURNING id, tenant, issued_at
    )
    INSERT INTO contributions
        (decision, position, issued_at, tenant, code, points, event, explanation)
    SELECT recorded.id, line.position, recorded.issued_at, recorded.tenant,
           line.code, line.hundredths * 0.01, line.event, line.explanation
    FROM recorded
    JOIN unnest($23::text[], $24::int4[], $25::text[], $26::int8[], $27::text[], $28::text[])
         AS line (decision, position, code, hundredths, event, explanation)
         ON line.decision = recorded.id
    ON CONFLICT (decision, position, issued_at) DO NOTHING";

/// Columns of many decisions.
#[derive(Debug, Default)]
struct Columns {
    ids: Vec<String>,
    tenants: Vec<String>,
    owners: Vec<Vec<u8>>,
    generations: Vec<i64>,
    modes: Vec<String>,
    actions: Vec<String>,
    users: Vec<Option<String>>,
    sessions: Vec<Option<String>>,
    devices: Vec<Option<String>>,
    issued_at: Vec<Moment>,
    expires_at: Vec<Moment>,
    jsons: Vec<String>,
    explained: Explained,
}

impl Columns {
    /// By id, each once and the first stays: in one order everywhere, so that two recorders of the same decisions do not
    /// wait for each other in a ring.
    fn of(decisions: &[LedgerDecision]) -> Result<Self, sqlx::Error> {
        let mut by_id: BTreeMap<&str, &LedgerDecision> = BTreeMap::new();
        for decision in decisions {
            by_id.entry(&decision.id).or_insert(decision);
        }
        let mut columns = Self::default();
        for decision in by_id.into_values() {
            columns.add(decision)?;
        }
        Ok(columns)
    }

    fn add(&mut self, decision: &LedgerDecision) -> Result<(), sqlx::Error> {
        self.ids.push(text(&decision.id));
        self.tenants.push(text(decision.tenant.as_str()));
        self.owners.push(key_bytes(decision.owner));
        self.generations.push(to_column(decision.generation)?);
        self.modes.push(text(&decision.mode));
        self.actions.push(text(&decision.action));
        self.users.push(text_or_null(decision.user.as_deref()));
        self.sessions
            .push(text_or_null(decision.session.as_deref()));
        self.devices.push(text_or_null(decision.device.as_deref()));
        self.issued_at.push(Moment(decision.issued_at));
        self.expires_at.push(Moment(decision.expires_at));
        self.jsons.push(text(&decision.json));
        self.explained.add(decision);
        Ok(())
    }
}

/// In one round trip.
pub(super) async fn record(
    database: &Database,
    decisions: &[LedgerDecision],
) -> Result<(), sqlx::Error> {
    let pool = database.pool();
    let times = decisions.iter().map(|decision| decision.issued_at);
    let tables = [Growing::Decisions, Growing::Contributions];
    database.partitions().ensure(pool, &tables, times).await?;
    let columns = Columns::of(decisions)?;
    let explained = columns.explained;
    let lines = explained.lines;
    sqlx::query(RECORD)
        .bind(columns.ids)
        .bind(columns.tenants)
        .bind(columns.owners)
        .bind(columns.generations)
        .bind(columns.modes)
        .bind(columns.actions)
        .bind(columns.users)
        .bind(columns.sessions)
        .bind(columns.devices)
        .bind(columns.issued_at)
        .bind(columns.expires_at)
        .bind(columns.jsons)
        .bind(explained.scores)
        .bind(explained.levels)
        .bind(explained.hypotheses)
        .bind(explained.rules)
        .bind(explained.revisions)
        .bind(explained.causes)
        .bind(explained.received_at)
        .bind(explained.decided_at)
        .bind(explained.workloads)
        .bind(explained.apps)
        .bind(lines.decisions)
        .bind(lines.positions)
        .bind(lines.codes)
        .bind(lines.points)
        .bind(lines.events)
        .bind(lines.texts)
        .execute(pool)
        .await?;
    Ok(())
}

pub(super) async fn one(
    database: &Database,
    id: &str,
) -> Result<Option<LedgerDecision>, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new(SELECT);
    query.push(" WHERE id = ").push_bind(text(id));
    query.push(" ORDER BY issued_at LIMIT 1");
    let row = query.build().fetch_optional(database.pool()).await?;
    row.as_ref().map(decision).transpose()
}

/// The newest first; of one moment, the greater id first.
pub(super) async fn page(
    database: &Database,
    asked: &DecisionQuery,
    after: Option<Cursor>,
) -> Result<Page<LedgerDecision>, sqlx::Error> {
    let len = page_len(asked.limit);
    let mut query = QueryBuilder::<Postgres>::new(SELECT);
    query.push(" WHERE true");
    let narrowing = [
        (
            " AND tenant = ",
            asked.tenant.as_ref().map(TenantId::as_str),
        ),
        (" AND target_user = ", asked.user.as_deref()),
        (" AND target_session = ", asked.session.as_deref()),
        (" AND target_device = ", asked.device.as_deref()),
    ];
    for (condition, value) in narrowing {
        if let Some(value) = value {
            query.push(condition).push_bind(text(value));
        }
    }
    if let Some(cursor) = after {
        let moment = Moment(Timestamp(cursor.number));
        // The pair says it all; the time alone lets the planner leave out later months.
        query.push(" AND issued_at <= ").push_bind(moment);
        query.push(" AND (issued_at, id) < (").push_bind(moment);
        query.push(", ").push_bind(text(&cursor.text)).push(")");
    }
    query.push(" ORDER BY issued_at DESC, id DESC LIMIT ");
    query.push_bind(rows_wanted(len));
    let rows = query.build().fetch_all(database.pool()).await?;
    let entries = rows
        .iter()
        .map(decision)
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    Ok(page_of(entries, len, |last| {
        Cursor::new(last.issued_at.0, last.id.clone())
    }))
}

fn decision(row: &PgRow) -> Result<LedgerDecision, sqlx::Error> {
    let tenant: String = row.try_get(1)?;
    let owner: &[u8] = row.try_get(2)?;
    let Moment(issued_at) = row.try_get(9)?;
    let Moment(expires_at) = row.try_get(10)?;
    Ok(LedgerDecision {
        id: row.try_get(0)?,
        tenant: TenantId::new(tenant),
        owner: key_of(owner)?,
        generation: from_column(row.try_get(3)?)?,
        mode: row.try_get(4)?,
        action: row.try_get(5)?,
        user: row.try_get(6)?,
        session: row.try_get(7)?,
        device: row.try_get(8)?,
        issued_at,
        expires_at,
        json: row.try_get(11)?,
    })
}
