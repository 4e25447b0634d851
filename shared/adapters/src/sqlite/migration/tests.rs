//! Migrations from scratch and step by step, and databases that are not ours to touch.

use std::collections::BTreeSet;
use std::path::Path;

use caerus_runtime::port::PortErrorKind;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use super::{LEDGER, LOG, Migration, MigrationSet, STATE};

const SETS: [MigrationSet; 3] = [LOG, STATE, LEDGER];

async fn empty() -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(SqliteConnectOptions::new().filename(":memory:"))
        .await
        .unwrap()
}

async fn schema(pool: &SqlitePool) -> Vec<(String, String)> {
    sqlx::query_as("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")
        .fetch_all(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_database_made_at_once_is_the_one_made_step_by_step() {
    for set in SETS {
        let at_once = empty().await;
        set.apply(&at_once, "at-once").await.unwrap();
        let by_steps = empty().await;
        for steps in 1..=set.migrations.len() {
            let partial = MigrationSet {
                migrations: &set.migrations[..steps],
                ..set
            };
            partial.apply(&by_steps, "by-steps").await.unwrap();
        }
        assert_eq!(
            schema(&at_once).await,
            schema(&by_steps).await,
            "{}",
            set.name
        );
        assert!(schema(&at_once).await.len() > 1, "{}", set.name);
    }
}

#[tokio::test]
async fn applying_twice_changes_nothing() {
    for set in SETS {
        let pool = empty().await;
        set.apply(&pool, "twice").await.unwrap();
        let before = schema(&pool).await;
        set.apply(&pool, "twice").await.unwrap();
        assert_eq!(schema(&pool).await, before);
    }
}

#[test]
fn the_folders_and_the_embedded_lists_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/sqlite");
    let folders: BTreeSet<String> = names(&root);
    assert_eq!(folders, SETS.map(|set| set.name.to_owned()).into());
    for set in SETS {
        let embedded: BTreeSet<String> = set
            .migrations
            .iter()
            .map(|migration| format!("{}.sql", migration.name))
            .collect();
        assert_eq!(names(&root.join(set.name)), embedded, "{}", set.name);
        for (index, migration) in set.migrations.iter().enumerate() {
            let number = format!("{:04}_", index + 1);
            assert!(migration.name.starts_with(&number), "{}", migration.name);
            assert_eq!(migration.version, i64::try_from(index + 1).unwrap());
        }
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_both_versions_named() {
    let pool = empty().await;
    LOG.apply(&pool, "log.db").await.unwrap();
    sqlx::query("INSERT INTO migrations (version, name, checksum) VALUES (9, '0009_later', x'00')")
        .execute(&pool)
        .await
        .unwrap();
    let error = LOG.apply(&pool, "log.db").await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Refused);
    let known = format!("version {}", LOG.migrations.len());
    for part in ["`log.db`", "version 9", known.as_str()] {
        assert!(error.operation.contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_migration_other_than_the_one_applied_is_corrupt_and_named() {
    let pool = empty().await;
    let first = MigrationSet {
        migrations: &LOG.migrations[..1],
        ..LOG
    };
    first.apply(&pool, "log.db").await.unwrap();
    let edited = MigrationSet {
        migrations: &[Migration {
            version: 1,
            name: "0001_log",
            sql: "SELECT 1",
        }],
        ..LOG
    };
    let error = edited.apply(&pool, "log.db").await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Corrupt);
    assert!(error.operation.contains("`0001_log`"), "{error}");
}

#[tokio::test]
async fn a_database_of_another_kind_is_left_alone() {
    let state = empty().await;
    STATE.apply(&state, "state.db").await.unwrap();
    let foreign = empty().await;
    sqlx::query("CREATE TABLE theirs (x)")
        .execute(&foreign)
        .await
        .unwrap();
    for pool in [state, foreign] {
        let before = schema(&pool).await;
        let error = LOG.apply(&pool, "other.db").await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Refused);
        assert!(error.operation.contains("`other.db`"), "{error}");
        assert_eq!(schema(&pool).await, before);
    }
}

#[tokio::test]
async fn a_step_that_fails_leaves_no_half_of_it() {
    let pool = empty().await;
    let broken = MigrationSet {
        migrations: &[Migration {
            version: 1,
            name: "0001_broken",
            sql: "CREATE TABLE half (x); CREATE TABLE half (x);",
        }],
        ..LOG
    };
    let error = broken.apply(&pool, "log.db").await.unwrap_err();
    assert!(error.operation.contains("`0001_broken`"), "{error}");
    assert_eq!(schema(&pool).await, []);
}
