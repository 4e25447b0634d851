//! Brings a database to the version this program knows, and refuses what it does not know. Knows no tables but `caerus_migrations`.
//!
//! Numbers and names are those of `migrations/sqlite/ledger`: one ledger, told in two dialects.

use caerus_runtime::port::{PortError, PortErrorKind, PortResult};
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};

use super::fault::{fault, fault_at_connect};

/// The first of the two numbers of Caerus's advisory locks; the second is the schema's hash.
pub(super) const LOCK: i32 = 0x4352_5303;

/// One numbered step; its text is in `migrations/postgres/` and never changes once released.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    /// Rises by one, from 1.
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// All steps of the ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MigrationSet {
    pub(crate) migrations: &'static [Migration],
}

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../../../migrations/postgres/", $name, ".sql")),
        }
    };
}

pub(crate) const LEDGER: MigrationSet = MigrationSet {
    migrations: &[
        migration!(1, "0001_ledger"),
        migration!(2, "0002_standings_by_risk"),
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

    /// Applies the steps still missing, in one transaction, one program at a time. `place` names the database in
    /// messages.
    pub(crate) async fn apply(&self, connection: &mut PgConnection, place: &str) -> PortResult<()> {
        let operation = || format!("bring the ledger in `{place}` up to date");
        let mut transaction = connection
            .begin()
            .await
            .map_err(|error| fault_at_connect(place, error))?;
        lock(&mut transaction)
            .await
            .map_err(|error| fault(operation(), error))?;
        if !recognise(&mut transaction, place).await? {
            create(&mut transaction)
                .await
                .map_err(|error| fault_at_connect(place, error))?;
        }
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

    fn check(&self, applied: &[Applied], place: &str) -> PortResult<()> {
        let held = applied.last().map_or(0, |last| last.version);
        if held > self.version() {
            return Err(refused(format!(
                "use the ledger in `{place}`, because it is of version {held}, from a newer release; \
                 this release knows version {}",
                self.version()
            )));
        }
        for (known, found) in self.migrations.iter().zip(applied) {
            if found.version != known.version || found.checksum != checksum(known) {
                return Err(refused(format!(
                    "trust the ledger in `{place}`: its migration {} `{}` is not the `{}` of this release",
                    found.version, found.name, known.name
                )));
            }
        }
        Ok(())
    }
}

fn refused(operation: String) -> PortError {
    PortError::new(PortErrorKind::Refused, operation)
}

/// Until the transaction ends. A migration may take longer than other statements.
async fn lock(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("SET LOCAL statement_timeout = 0")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))")
        .bind(LOCK)
        .execute(transaction)
        .await?;
    Ok(())
}

/// *Returns*: whether the schema is ours already; false for an empty one. Another program's is left alone.
async fn recognise(transaction: &mut PgConnection, place: &str) -> PortResult<bool> {
    let failed = |error| fault_at_connect(place, error);
    let schema: Option<String> = sqlx::query_scalar("SELECT current_schema()::text")
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    let Some(schema) = schema else {
        return Err(refused(format!(
            "use `{place}` as the ledger, because its search path names no schema that exists"
        )));
    };
    let held = relations(transaction, &schema).await.map_err(failed)?;
    if held.iter().any(|name| name == "caerus_migrations") {
        return Ok(true);
    }
    match held.first() {
        None => Ok(false),
        Some(theirs) => Err(refused(format!(
            "use `{place}` as the ledger, because its schema `{schema}` holds what is not Caerus's, such as `{theirs}`; \
             give Caerus a database or a schema of its own"
        ))),
    }
}

/// Tables, views and sequences of the schema, but for those that extensions brought.
async fn relations(
    transaction: &mut PgConnection,
    schema: &str,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
         AND NOT EXISTS (SELECT 1 FROM pg_depend d
                         WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
         ORDER BY c.relname",
    )
    .bind(schema.to_owned())
    .fetch_all(transaction)
    .await
}

async fn create(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(
        "CREATE TABLE caerus_migrations (
            version bigint PRIMARY KEY,
            name text NOT NULL,
            checksum bytea NOT NULL
        );
        COMMENT ON TABLE caerus_migrations IS 'Which steps made these tables; the checksum is SHA-256 of the step''s text.'",
    )
    .execute(transaction)
    .await?;
    Ok(())
}

async fn applied(transaction: &mut PgConnection) -> Result<Vec<Applied>, sqlx::Error> {
    let rows =
        sqlx::query("SELECT version, name, checksum FROM caerus_migrations ORDER BY version")
            .fetch_all(transaction)
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

async fn run(transaction: &mut PgConnection, migration: &Migration) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(migration.sql)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO caerus_migrations (version, name, checksum) VALUES ($1, $2, $3)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(checksum(migration))
        .execute(transaction)
        .await?;
    Ok(())
}

fn checksum(migration: &Migration) -> Vec<u8> {
    Sha256::digest(migration.sql.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests;
