//! What leaves the ledger when its time is over. Knows not for how long anything has to be kept.

use caerus_engine::time::Timestamp;
use caerus_runtime::port::PortResult;
use sqlx::AssertSqlSafe;

use super::super::column::Moment;
use super::super::database::{Database, within};
use super::super::partition::Growing;

/// Rows deleted by one statement at most: short transactions, and a bound on what one of them locks.
const ROWS_PER_DELETE: i64 = 5_000;

/// Since when each kind of rows is kept; [`Timestamp`]'s least keeps all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Decisions, their contributions and their receipts.
    pub decisions_since: Timestamp,
    /// Subjects' past risk; their latest standing is not touched.
    pub risk_since: Timestamp,
    /// What has to be there for auditors is often kept longer than what is known of people.
    pub audit_since: Timestamp,
}

/// What left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Months, by the names of their tables.
    pub partitions: Vec<String>,
    /// Single rows: receipts, and what lay in no month.
    pub rows: u64,
}

pub(super) async fn keep(database: &Database, retention: &Retention) -> PortResult<Dropped> {
    let since = |table| match table {
        Growing::Decisions | Growing::Contributions => retention.decisions_since,
        Growing::RiskHistory => retention.risk_since,
        Growing::Audit => retention.audit_since,
    };
    let mut dropped = Dropped::default();
    for table in Growing::ALL {
        let partitions = database.partitions();
        let dropping = partitions.drop_before(database.pool(), table, since(table));
        dropped
            .partitions
            .extend(within("drop old months of the ledger", dropping).await?);
        let default = format!("{}_default", table.name());
        dropped.rows += delete_before(database, (&default, table.time()), since(table)).await?;
    }
    let receipts = ("receipts", "in_force_at");
    dropped.rows += delete_before(database, receipts, retention.decisions_since).await?;
    Ok(dropped)
}

/// In portions, each bounded as every other operation. *Returns*: how many rows left.
async fn delete_before(
    database: &Database,
    (table, time): (&str, &str),
    since: Timestamp,
) -> PortResult<u64> {
    let text = format!(
        "DELETE FROM {table} WHERE ctid = ANY (ARRAY (
            SELECT ctid FROM {table} WHERE {time} < $1 LIMIT {ROWS_PER_DELETE}))"
    );
    let mut deleted = 0_u64;
    loop {
        let portion = async {
            sqlx::query(AssertSqlSafe(text.clone()))
                .bind(Moment(since))
                .execute(database.pool())
                .await
        };
        let portion = within("delete old rows of the ledger", portion).await?;
        deleted = deleted.saturating_add(portion.rows_affected());
        if portion.rows_affected() == 0 {
            return Ok(deleted);
        }
    }
}
