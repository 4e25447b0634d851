//! Decisions and their receipts in the ledger. A decision's JSON is the truth; the columns find it.

use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{DecisionQuery, LedgerDecision, Page, Receipt};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite};

use super::super::bulk::Bulk;
use super::super::column::{from_column, key_bytes, key_of, to_column};
use super::super::database::Database;
use super::cursor::{Cursor, page as page_of, page_len};

const SELECT: &str = "SELECT id, tenant, owner, generation, mode, action, user, session, device, \
                      issued_at, expires_at, json FROM decisions";

/// The statement that records many.
#[derive(Debug)]
pub(super) struct Decisions {
    record: Bulk,
}

impl Decisions {
    pub(super) fn new() -> Self {
        Self {
            // A decision told again is the same decision.
            record: Bulk::new(
                "INSERT INTO decisions
                 (id, tenant, owner, generation, mode, action, user, session, device,
                  issued_at, expires_at, json) VALUES",
                "(?,?,?,?,?,?,?,?,?,?,?,?)",
                "ON CONFLICT (id) DO NOTHING",
            ),
        }
    }

    pub(super) async fn record(
        &self,
        database: &Database,
        decisions: &[LedgerDecision],
    ) -> Result<(), sqlx::Error> {
        if decisions.is_empty() {
            return Ok(());
        }
        let mut transaction = database.write().await?;
        let mut waiting = decisions.iter();
        while let Some((rows, text)) = self.record.filled_by(waiting.len()) {
            let mut query = sqlx::query(AssertSqlSafe(text));
            for decision in waiting.by_ref().take(rows) {
                query = query
                    .bind(decision.id.clone())
                    .bind(decision.tenant.to_string())
                    .bind(key_bytes(decision.owner))
                    .bind(to_column(decision.generation)?)
                    .bind(decision.mode.clone())
                    .bind(decision.action.clone())
                    .bind(decision.user.clone())
                    .bind(decision.session.clone())
                    .bind(decision.device.clone())
                    .bind(decision.issued_at.0)
                    .bind(decision.expires_at.0)
                    .bind(decision.json.clone());
            }
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }
}

pub(super) async fn one(
    database: &Database,
    id: &str,
) -> Result<Option<LedgerDecision>, sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new(SELECT);
    query.push(" WHERE id = ").push_bind(id.to_owned());
    let row = query.build().fetch_optional(database.readers()).await?;
    row.as_ref().map(decision).transpose()
}

/// The newest first; of one moment, the greater id first.
pub(super) async fn page(
    database: &Database,
    asked: &DecisionQuery,
    after: Option<Cursor>,
) -> Result<Page<LedgerDecision>, sqlx::Error> {
    let len = page_len(asked.limit);
    let mut query = QueryBuilder::<Sqlite>::new(SELECT);
    query.push(" WHERE 1 = 1");
    let tenant = asked.tenant.as_ref().map(TenantId::to_string);
    let narrowing = [
        (" AND tenant = ", tenant),
        (" AND user = ", asked.user.clone()),
        (" AND session = ", asked.session.clone()),
        (" AND device = ", asked.device.clone()),
    ];
    for (condition, value) in narrowing {
        if let Some(value) = value {
            query.push(condition).push_bind(value);
        }
    }
    if let Some(cursor) = after {
        query.push(" AND (issued_at, id) < (");
        query.push_bind(cursor.number);
        query.push(", ").push_bind(cursor.text).push(")");
    }
    query.push(" ORDER BY issued_at DESC, id DESC LIMIT ");
    query.push_bind(i64::try_from(len).unwrap_or(i64::MAX).saturating_add(1));
    let rows = query.build().fetch_all(database.readers()).await?;
    let entries = rows
        .iter()
        .map(decision)
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    Ok(page_of(entries, len, |last| {
        Cursor::new(last.issued_at.0, last.id.clone())
    }))
}

fn decision(row: &SqliteRow) -> Result<LedgerDecision, sqlx::Error> {
    let tenant: String = row.try_get(1)?;
    let owner: &[u8] = row.try_get(2)?;
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
        issued_at: Timestamp(row.try_get(9)?),
        expires_at: Timestamp(row.try_get(10)?),
        json: row.try_get(11)?,
    })
}

pub(super) async fn record_receipts(
    database: &Database,
    receipts: &[Receipt],
) -> Result<(), sqlx::Error> {
    if receipts.is_empty() {
        return Ok(());
    }
    let mut transaction = database.write().await?;
    for receipt in receipts {
        // In force since the first time that was said.
        sqlx::query(
            "INSERT INTO receipts (decision, enforcement_point, client, tenant, in_force_at)
             VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (decision, enforcement_point, client) DO UPDATE
             SET in_force_at = min(in_force_at, excluded.in_force_at)",
        )
        .bind(receipt.decision.clone())
        .bind(receipt.enforcement_point.clone())
        .bind(receipt.client.clone())
        .bind(receipt.tenant.to_string())
        .bind(receipt.in_force_at.0)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}

pub(super) async fn receipts(
    database: &Database,
    decision: &str,
) -> Result<Vec<Receipt>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT decision, enforcement_point, client, tenant, in_force_at FROM receipts
         WHERE decision = ? ORDER BY enforcement_point, client",
    )
    .bind(decision.to_owned())
    .fetch_all(database.readers())
    .await?;
    rows.iter().map(receipt).collect()
}

fn receipt(row: &SqliteRow) -> Result<Receipt, sqlx::Error> {
    let tenant: String = row.try_get(3)?;
    Ok(Receipt {
        decision: row.try_get(0)?,
        enforcement_point: row.try_get(1)?,
        client: row.try_get(2)?,
        tenant: TenantId::new(tenant),
        in_force_at: Timestamp(row.try_get(4)?),
    })
}
