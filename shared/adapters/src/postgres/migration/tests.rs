//! Migrations from scratch and step by step, and databases that are not ours to touch.

use std::collections::BTreeSet;
use std::path::Path;

use caerus_runtime::port::PortErrorKind;
use sqlx::postgres::PgPool;

use super::{LEDGER, Migration, MigrationSet};
use crate::postgres::fixture::Schema;

/// Everything that the steps made, as text without the schema's name.
async fn catalogue(pool: &PgPool) -> BTreeSet<String> {
    let described: Vec<String> = sqlx::query_scalar(
        "WITH ours AS (
            SELECT c.oid, c.relname, c.relkind, c.relpartbound FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema())
         SELECT format('%s %s %s', relkind, relname, pg_get_expr(relpartbound, oid)) FROM ours
         UNION ALL SELECT format('column %s.%s %s %s %s %s', relname, attname,
                format_type(atttypid, atttypmod), attnotnull, attcollation::regcollation,
                pg_get_expr(adbin, adrelid))
            FROM ours JOIN pg_attribute ON attrelid = oid AND attnum > 0
            LEFT JOIN pg_attrdef d ON d.adrelid = attrelid AND d.adnum = attnum
         UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN ours ON ours.oid = indrelid
         UNION ALL SELECT format('%s %s %s', relname, conname, pg_get_constraintdef(c.oid))
            FROM pg_constraint c JOIN ours ON ours.oid = conrelid
         UNION ALL SELECT pg_get_viewdef(oid) FROM ours WHERE relkind = 'v'
         UNION ALL SELECT format('comment %s %s %s', relname, objsubid, description)
            FROM pg_description JOIN ours ON ours.oid = objoid",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let schema: String = sqlx::query_scalar("SELECT current_schema()::text")
        .fetch_one(pool)
        .await
        .unwrap();
    let nameless = described.iter().map(|text| text.replace(&schema, "schema"));
    nameless.collect()
}

async fn apply(set: MigrationSet, pool: &PgPool) -> Result<(), (PortErrorKind, String)> {
    let mut connection = pool.acquire().await.unwrap();
    let applied = set.apply(&mut connection, "db/caerus").await;
    applied.map_err(|error| (error.kind, error.operation))
}

#[tokio::test]
async fn a_ledger_made_at_once_is_the_one_made_step_by_step() {
    let (one, other) = (Schema::new().await, Schema::new().await);
    let (at_once, by_steps) = (one.stranger().await, other.stranger().await);
    apply(LEDGER, &at_once).await.unwrap();
    for steps in 1..=LEDGER.migrations.len() {
        let partial = MigrationSet {
            migrations: &LEDGER.migrations[..steps],
        };
        apply(partial, &by_steps).await.unwrap();
    }
    let made = catalogue(&at_once).await;
    assert_eq!(made, catalogue(&by_steps).await);
    for part in [
        "p decisions ",
        "v sessions ",
        "r audit_default DEFAULT",
        "column standings.name text t \"C\" ",
    ] {
        assert!(made.iter().any(|text| text.starts_with(part)), "{made:#?}");
    }
}

#[tokio::test]
async fn applying_twice_changes_nothing() {
    let schema = Schema::new().await;
    let pool = schema.stranger().await;
    apply(LEDGER, &pool).await.unwrap();
    let before = catalogue(&pool).await;
    apply(LEDGER, &pool).await.unwrap();
    assert_eq!(catalogue(&pool).await, before);
}

#[test]
fn the_steps_are_numbered_and_named_as_those_of_the_other_ledger() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let embedded: BTreeSet<String> = LEDGER
        .migrations
        .iter()
        .map(|migration| format!("{}.sql", migration.name))
        .collect();
    assert_eq!(names(&root.join("postgres")), embedded);
    assert_eq!(names(&root.join("sqlite/ledger")), embedded);
    for (index, migration) in LEDGER.migrations.iter().enumerate() {
        let number = format!("{:04}_", index + 1);
        assert!(migration.name.starts_with(&number), "{}", migration.name);
        assert_eq!(migration.version, i64::try_from(index + 1).unwrap());
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn a_ledger_of_a_newer_version_is_refused_and_both_versions_named() {
    let schema = Schema::new().await;
    let pool = schema.stranger().await;
    apply(LEDGER, &pool).await.unwrap();
    sqlx::query("INSERT INTO caerus_migrations VALUES (9, '0009_later', '\\x00')")
        .execute(&pool)
        .await
        .unwrap();
    let (kind, said) = apply(LEDGER, &pool).await.unwrap_err();
    assert_eq!(kind, PortErrorKind::Refused);
    let known = format!("version {}", LEDGER.migrations.len());
    for part in ["`db/caerus`", "version 9", "newer release", known.as_str()] {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test]
async fn a_migration_other_than_the_one_applied_is_refused_and_named() {
    let schema = Schema::new().await;
    let pool = schema.stranger().await;
    apply(LEDGER, &pool).await.unwrap();
    let edited = MigrationSet {
        migrations: &[
            Migration {
                version: 1,
                name: "0001_ledger",
                sql: "SELECT 1",
            },
            Migration {
                version: 2,
                name: "0002_standings_by_risk",
                sql: "SELECT 2",
            },
        ],
    };
    let (kind, said) = apply(edited, &pool).await.unwrap_err();
    assert_eq!(kind, PortErrorKind::Refused);
    assert!(said.contains("`0001_ledger`"), "{said}");
}

#[tokio::test]
async fn a_database_of_another_kind_is_left_alone() {
    let schema = Schema::new().await;
    let pool = schema.stranger().await;
    sqlx::query("CREATE TABLE theirs (x int)")
        .execute(&pool)
        .await
        .unwrap();
    let before = catalogue(&pool).await;
    let (kind, said) = apply(LEDGER, &pool).await.unwrap_err();
    assert_eq!(kind, PortErrorKind::Refused);
    assert!(said.contains("`theirs`"), "{said}");
    assert_eq!(catalogue(&pool).await, before);
}

#[tokio::test]
async fn a_search_path_that_leads_nowhere_is_refused() {
    let schema = Schema::new().await;
    let pool = schema.stranger().await;
    let mut connection = pool.acquire().await.unwrap();
    sqlx::query("SET search_path = 'nowhere'")
        .execute(&mut *connection)
        .await
        .unwrap();
    let error = LEDGER.apply(&mut connection, "db").await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Refused);
    assert!(error.operation.contains("no schema"), "{error}");
}

#[tokio::test]
async fn a_step_that_fails_leaves_no_half_of_it() {
    let schema = Schema::new().await;
    let pool = schema.stranger().await;
    let broken = MigrationSet {
        migrations: &[Migration {
            version: 1,
            name: "0001_broken",
            sql: "CREATE TABLE half (x int); CREATE TABLE half (x int);",
        }],
    };
    let (_, said) = apply(broken, &pool).await.unwrap_err();
    assert!(said.contains("`0001_broken`"), "{said}");
    assert_eq!(catalogue(&pool).await, BTreeSet::new());
}
