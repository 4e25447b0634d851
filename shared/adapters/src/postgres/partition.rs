//! Months of the tables that grow: made before rows need them, dropped when their time is over. Knows no rows.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use caerus_engine::time::{Span, Timestamp};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgPool};
use tracing::warn;

use super::column::Moment;
use super::fault::is_answer;
use super::migration::LOCK;

/// How long making or dropping a month waits for others' locks.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '1s'";
/// Months that are made: those of the public dates, 2000 to 2099. Whatever else stays in the DEFAULT partition.
const MADE: std::ops::Range<i64> = 2_000 * 12..2_100 * 12;

/// A table partitioned by month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Growing {
    Decisions,
    Contributions,
    RiskHistory,
    Audit,
}

impl Growing {
    pub(crate) const ALL: [Self; 4] = [
        Self::Decisions,
        Self::Contributions,
        Self::RiskHistory,
        Self::Audit,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Decisions => "decisions",
            Self::Contributions => "contributions",
            Self::RiskHistory => "risk_history",
            Self::Audit => "audit",
        }
    }

    /// The column it is partitioned by.
    pub(crate) fn time(self) -> &'static str {
        match self {
            Self::Decisions | Self::Contributions => "issued_at",
            Self::RiskHistory => "assessed_at",
            Self::Audit => "at",
        }
    }

    fn partition(self, month: Month) -> String {
        format!("{}_{}{:02}", self.name(), month.year(), month.of_year())
    }

    /// The month of a partition by its name; `None` for the DEFAULT one, and for what others attached.
    fn month_of(self, partition: &str) -> Option<Month> {
        let digits = partition.strip_prefix(self.name())?.strip_prefix('_')?;
        let number: i64 = digits.parse().ok()?;
        let month = Month(number / 100 * 12 + number % 100 - 1);
        (self.partition(month) == partition).then_some(month)
    }
}

/// A month of the calendar, in UTC. *Units*: months since the year 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Month(i64);

impl Month {
    /// *Source*: Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
    fn of(moment: Timestamp) -> Self {
        let days = moment.0.div_euclid(Span::days(1).0) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Counted from March, so that the leap day is the last of its year.
        let months_from_march = (5 * day_of_year + 2) / 153;
        Self((era * 400 + year_of_era) * 12 + months_from_march + 2)
    }

    fn next(self) -> Self {
        Self(self.0 + 1)
    }

    fn year(self) -> i64 {
        self.0.div_euclid(12)
    }

    /// *Units*: from 1.
    fn of_year(self) -> i64 {
        self.0.rem_euclid(12) + 1
    }

    fn is_made(self) -> bool {
        MADE.contains(&self.0)
    }
}

/// The month's first moment, as PostgreSQL reads it.
impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-01 00:00:00+00", self.year(), self.of_year())
    }
}

/// The months known to be there, so that nobody asks twice.
#[derive(Debug, Default)]
pub(crate) struct Partitions {
    made: Mutex<BTreeSet<(Growing, Month)>>,
}

impl Partitions {
    /// Makes this month and the next, of every table, by the server's own clock.
    pub(crate) async fn ensure_near(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let Moment(now) = sqlx::query_scalar("SELECT now()").fetch_one(pool).await?;
        self.ensure(pool, &Growing::ALL, [now]).await
    }

    /// Makes the months that rows of these times go into, and the month after each: a month made before its first row
    /// has nothing to take over from the DEFAULT partition.
    ///
    /// Where the server will not make one, that is told, and the rows go into the DEFAULT partition: recording is worth
    /// more than cheap retention.
    pub(crate) async fn ensure(
        &self,
        pool: &PgPool,
        tables: &[Growing],
        times: impl IntoIterator<Item = Timestamp>,
    ) -> Result<(), sqlx::Error> {
        for (table, month) in self.missing(tables, times) {
            let partition = table.partition(month);
            match make(pool, table, month).await {
                Ok(()) => {}
                Err(failure) if is_answer(&failure) => warn!(
                    error = %failure,
                    partition,
                    "partition not made, its rows stay in the default one"
                ),
                Err(failure) => return Err(failure),
            }
            self.made().insert((table, month));
        }
        Ok(())
    }

    fn missing(
        &self,
        tables: &[Growing],
        times: impl IntoIterator<Item = Timestamp>,
    ) -> Vec<(Growing, Month)> {
        let months: BTreeSet<Month> = times
            .into_iter()
            .map(Month::of)
            .flat_map(|month| [month, month.next()])
            .filter(|month| month.is_made())
            .collect();
        let made = self.made();
        let wanted = tables
            .iter()
            .flat_map(|table| months.iter().map(|month| (*table, *month)));
        wanted.filter(|place| !made.contains(place)).collect()
    }

    /// Drops the months of a table that end at or before `since`. *Returns*: their names.
    pub(crate) async fn drop_before(
        &self,
        pool: &PgPool,
        table: Growing,
        since: Timestamp,
    ) -> Result<Vec<String>, sqlx::Error> {
        let held: Vec<String> = sqlx::query_scalar(
            "SELECT c.relname::text FROM pg_inherits i
             JOIN pg_class c ON c.oid = i.inhrelid
             JOIN pg_class p ON p.oid = i.inhparent
             JOIN pg_namespace n ON n.oid = p.relnamespace
             WHERE n.nspname = current_schema() AND p.relname = $1 ORDER BY c.relname",
        )
        .bind(table.name())
        .fetch_all(pool)
        .await?;
        let first_kept = Month::of(since);
        let mut dropped = Vec::new();
        for name in held {
            let Some(month) = table.month_of(&name).filter(|month| *month < first_kept) else {
                continue;
            };
            let mut transaction = pool.begin().await?;
            lock(&mut transaction).await?;
            sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE IF EXISTS {name}")))
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            self.made().remove(&(table, month));
            dropped.push(name);
        }
        Ok(dropped)
    }

    fn made(&self) -> std::sync::MutexGuard<'_, BTreeSet<(Growing, Month)>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One program at a time changes partitions, so that two never wait for each other's locks.
async fn lock(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(LOCK_TIMEOUT)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))")
        .bind(LOCK)
        .execute(transaction)
        .await?;
    Ok(())
}

async fn make(pool: &PgPool, table: Growing, month: Month) -> Result<(), sqlx::Error> {
    let partition = table.partition(month);
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    let is_there: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                        WHERE n.nspname = current_schema() AND c.relname = $1)",
    )
    .bind(partition.clone())
    .fetch_one(&mut *transaction)
    .await?;
    if is_there {
        return Ok(());
    }
    let (name, time, until) = (table.name(), table.time(), month.next());
    // Rows that came before their month move into it; the lock keeps others from adding to them meanwhile.
    let text = format!(
        "LOCK TABLE {name}_default IN ACCESS EXCLUSIVE MODE;
         CREATE TABLE {partition} (LIKE {name} INCLUDING ALL);
         WITH moved AS (
             DELETE FROM {name}_default WHERE {time} >= '{month}' AND {time} < '{until}' RETURNING *
         ) INSERT INTO {partition} SELECT * FROM moved;
         ALTER TABLE {name} ATTACH PARTITION {partition} FOR VALUES FROM ('{month}') TO ('{until}')"
    );
    sqlx::raw_sql(AssertSqlSafe(text))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_where_the_calendar_says() {
        let cases = [
            (0, "1970-01-01 00:00:00+00"),
            (-1, "1969-12-01 00:00:00+00"),
            (951_782_400_000, "2000-02-01 00:00:00+00"),
            (951_868_800_000, "2000-03-01 00:00:00+00"),
            (1_735_689_599_999, "2024-12-01 00:00:00+00"),
            (1_735_689_600_000, "2025-01-01 00:00:00+00"),
            (4_107_542_400_000, "2100-03-01 00:00:00+00"),
        ];
        for (ms, expected) in cases {
            assert_eq!(Month::of(Timestamp(ms)).to_string(), expected, "{ms}");
        }
        for extreme in [i64::MIN, i64::MAX] {
            assert!(!Month::of(Timestamp(extreme)).is_made());
        }
    }

    #[test]
    fn a_partition_is_named_by_its_month_and_nothing_else_is_taken_for_one() {
        let december = Month::of(Timestamp(1_735_689_599_999));
        assert_eq!(Growing::Audit.partition(december), "audit_202412");
        for table in Growing::ALL {
            let name = table.partition(december);
            assert_eq!(table.month_of(&name), Some(december));
        }
        let others = [
            "audit_default",
            "audit_20241",
            "audit_202413",
            "audit_202400",
            "audit_+202412",
            "decisions_202412",
            "audit",
        ];
        for other in others {
            assert_eq!(Growing::Audit.month_of(other), None, "{other}");
        }
    }
}
