//! Brings a database file to the version this program knows, and refuses what it does not know. Knows no tables but `migrations`.

use caerus_runtime::port::{PortError, PortErrorKind, PortResult};
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row, Sqlite, Transaction};

use super::fault::{fault, fault_at_open};

/// One numbered step; its text is in `migrations/sqlite/<set>/` and never changes once released.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    /// Rises by one, from 1.
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// All steps of one kind of file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MigrationSet {
    /// The folder, and the word for the file in messages.
    pub(crate) name: &'static str,
    /// SQLite's `application_id`: tells the kinds of file apart, and other programs' files from ours.
    pub(crate) application_id: i32,
    pub(crate) migrations: &'static [Migration],
}

macro_rules! migration {
    ($set:literal, $version:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!(
                "../../../../migrations/sqlite/",
                $set,
                "/",
                $name,
                ".sql"
            )),
        }
    };
}

/// `CRS` and the kind.
pub(crate) const LOG: MigrationSet = MigrationSet {
    name: "log",
    application_id: 0x4352_5301,
    migrations: &[
        migration!("log", 1, "0001_log"),
        migration!("log", 2, "0002_compaction_lags"),
    ],
};
pub(crate) const STATE: MigrationSet = MigrationSet {
    name: "state",
    application_id: 0x4352_5302,
    migrations: &[migration!("state", 1, "0001_state")],
};
pub(crate) const LEDGER: MigrationSet = MigrationSet {
    name: "ledger",
    application_id: 0x4352_5303,
    migrations: &[
        migration!("ledger", 1, "0001_ledger"),
        migration!("ledger", 2, "0002_standings_by_risk"),
    ],
};

struct Applied {
    version: i64,
    name: String,
    checksum: Vec<u8>,
}

impl MigrationSet {
    /// The version a database has after every step.
    pub(crate) fn version(&self) -> i64 {
        self.migrations.last().map_or(0, |last| last.version)
    }

    /// Applies the steps still missing, in one transaction. `place` names the file in messages.
    pub(crate) async fn apply(&self, pool: &SqlitePool, place: &str) -> PortResult<()> {
        let operation = || format!("bring the {} database `{place}` up to date", self.name);
        let mut transaction = pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(|error| fault_at_open(operation(), error))?;
        self.recognise(&mut transaction, place).await?;
        let applied = applied(&mut transaction)
            .await
            .map_err(|error| fault(operation(), error))?;
        self.check(&applied, place)?;
        for migration in self.migrations.iter().skip(applied.len()) {
            run(&mut transaction, migration)
                .await
                .map_err(|error| fault(format!("{}: `{}`", operation(), migration.name), error))?;
        }
        transaction
            .commit()
            .await
            .map_err(|error| fault(operation(), error))
    }

    /// A new file is marked as ours; another program's, or one of another kind, is left alone.
    async fn recognise(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        place: &str,
    ) -> PortResult<()> {
        let operation = || format!("recognise the {} database `{place}`", self.name);
        let (mark, tables) = marks(transaction)
            .await
            .map_err(|error| fault_at_open(operation(), error))?;
        if mark == i64::from(self.application_id) {
            return Ok(());
        }
        if mark != 0 || tables != 0 {
            return Err(PortError::new(
                PortErrorKind::Refused,
                format!(
                    "use `{place}` as the {} database, because it is a database of another kind",
                    self.name
                ),
            ));
        }
        let text = format!("PRAGMA application_id = {}", self.application_id);
        sqlx::raw_sql(AssertSqlSafe(text))
            .execute(&mut **transaction)
            .await
            .map_err(|error| fault_at_open(operation(), error))?;
        Ok(())
    }

    fn check(&self, applied: &[Applied], place: &str) -> PortResult<()> {
        let held = applied.last().map_or(0, |last| last.version);
        if held > self.version() {
            return Err(PortError::new(
                PortErrorKind::Refused,
                format!(
                    "open the {} database `{place}`, because it is of version {held}, from a newer release; \
                     this release knows version {}",
                    self.name,
                    self.version()
                ),
            ));
        }
        for (known, found) in self.migrations.iter().zip(applied) {
            if found.version != known.version || found.checksum != checksum(known) {
                return Err(PortError::new(
                    PortErrorKind::Corrupt,
                    format!(
                        "trust the {} database `{place}`: its migration {} `{}` is not the `{}` of this release",
                        self.name, found.version, found.name, known.name
                    ),
                ));
            }
        }
        Ok(())
    }
}

async fn marks(transaction: &mut Transaction<'_, Sqlite>) -> Result<(i64, i64), sqlx::Error> {
    let mark = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut **transaction)
        .await?;
    let tables = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut **transaction)
        .await?;
    Ok((mark, tables))
}

async fn applied(transaction: &mut Transaction<'_, Sqlite>) -> Result<Vec<Applied>, sqlx::Error> {
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS migrations (
            version INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            checksum BLOB NOT NULL
        ) STRICT",
    )
    .execute(&mut **transaction)
    .await?;
    let rows = sqlx::query("SELECT version, name, checksum FROM migrations ORDER BY version")
        .fetch_all(&mut **transaction)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Applied {
                version: row.try_get(0)?,
                name: row.try_get(1)?,
                checksum: row.try_get(2)?,
            })
        })
        .collect()
}

async fn run(
    transaction: &mut Transaction<'_, Sqlite>,
    migration: &Migration,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(migration.sql)
        .execute(&mut **transaction)
        .await?;
    sqlx::query("INSERT INTO migrations (version, name, checksum) VALUES (?, ?, ?)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(checksum(migration))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn checksum(migration: &Migration) -> Vec<u8> {
    Sha256::digest(migration.sql.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests;
