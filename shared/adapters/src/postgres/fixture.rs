//! A schema of its own for each test, in the PostgreSQL that the tests are given. Knows no tables.

use caerus_runtime::config::Postgres as Settings;
use caerus_runtime::secret::Secret;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection};

/// Where the tests' server is, e.g. `postgres://caerus@127.0.0.1:15432/caerus`.
const VARIABLE: &str = "CAERUS_POSTGRES";

/// An empty schema; dropped, with all that came into it, when this is.
#[derive(Debug)]
pub(crate) struct Schema {
    server: String,
    name: String,
}

impl Schema {
    pub(crate) async fn new() -> Self {
        let schema = Self {
            server: server(),
            name: format!("test_{}", random()),
        };
        let mut connection = PgConnection::connect(&schema.server).await.unwrap();
        let text = format!("CREATE SCHEMA {}", schema.name);
        execute(&mut connection, text).await.unwrap();
        connection.close().await.unwrap();
        schema
    }

    /// Also what the connections to [`Self::url`] call themselves.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> String {
        let joint = if self.server.contains('?') { '&' } else { '?' };
        format!(
            "{}{joint}options[search_path]={name}&application_name={name}",
            self.server,
            name = self.name
        )
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            url: Secret::new(self.url()),
            connections_max: 4,
            ca: None,
        }
    }

    /// Connections of a stranger to the adapter.
    pub(crate) async fn stranger(&self) -> PgPool {
        let options: PgConnectOptions = self.url().parse().unwrap();
        let name = format!("{}_stranger", self.name);
        PgPoolOptions::new()
            .max_connections(2)
            .connect_with(options.application_name(&name))
            .await
            .unwrap()
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A test's own runtime ends with the test, and nothing can be awaited here.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime?.block_on(async {
                let mut connection = PgConnection::connect(&server).await?;
                // The test's connections end first: one of them may hold a lock that its runtime would let go of later.
                sqlx::query(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                     WHERE application_name LIKE $1 || '%'",
                )
                .bind(&name)
                .execute(&mut connection)
                .await?;
                execute(&mut connection, format!("DROP SCHEMA {name} CASCADE")).await
            })
        });
        if let Ok(Err(failure)) = dropping.join() {
            println!("schema {} stays: {failure}", self.name);
        }
    }
}

async fn execute(connection: &mut PgConnection, text: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(text))
        .execute(connection)
        .await?;
    Ok(())
}

fn server() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no configuration; the address of its server comes from who started it"
    )]
    let server = std::env::var(VARIABLE);
    server.unwrap_or_else(|_| {
        panic!("{VARIABLE} does not say where PostgreSQL is: `make test` starts the servers and says so")
    })
}

fn random() -> String {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    hex::encode(bytes)
}
