//! One PostgreSQL database: bounded connections, at the version this program knows. Knows no tables.

use std::path::Path;
use std::time::Duration;

use caerus_runtime::config::Postgres as Settings;
use caerus_runtime::port::{PortError, PortErrorKind, PortResult};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection};

use super::fault::{fault, fault_at_connect};
use super::migration::LEDGER;
use super::partition::Partitions;

/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);
/// How long one operation takes at most, the wait for a connection included: a server that fell silent (stopped, or
/// behind a cut wire) is told as unavailable, rather than waited for.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the migrations take at most, another program's included.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(60);
/// After which the server gives a statement up, because nobody waits for it any more. *Units*: milliseconds.
const STATEMENT_TIMEOUT_MS: &str = "10000";
/// Prepared statements kept by a connection.
const STATEMENTS_CACHED: usize = 128;
/// The oldest server whose partitions do all that is asked of them. *Shape*: as `server_version_num`.
const VERSION_MIN: i32 = 130_000;

#[derive(Debug)]
pub(crate) struct Database {
    pool: PgPool,
    partitions: Partitions,
}

impl Database {
    /// Connects, applies the migrations still missing, and makes the months that are near.
    pub(crate) async fn connect(settings: &Settings) -> PortResult<Self> {
        let (options, place) = options(settings).await?;
        let mut connection = reach(&options, &place).await?;
        let migrating = LEDGER.apply(&mut connection, &place);
        bounded(MIGRATION_TIMEOUT, &place, migrating).await?;
        let closed = connection.close().await;
        closed.map_err(|error| fault_at_connect(&place, error))?;
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections_max.max(1))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        let database = Self {
            pool,
            partitions: Partitions::default(),
        };
        let near = database.partitions.ensure_near(&database.pool);
        within("make the ledger's partitions", near).await?;
        Ok(database)
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Bounds one operation, and tells what its failure means.
pub(crate) async fn within<T>(
    operation: &str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> PortResult<T> {
    match tokio::time::timeout(OPERATION_TIMEOUT, work).await {
        Ok(done) => done.map_err(|error| fault(operation, error)),
        Err(elapsed) => Err(PortError::new(PortErrorKind::Unavailable, operation).because(elapsed)),
    }
}

/// A connection outside the pool, which would try on where the server says no.
async fn reach(options: &PgConnectOptions, place: &str) -> PortResult<PgConnection> {
    let reaching = async {
        let mut connection = PgConnection::connect_with(options)
            .await
            .map_err(|error| fault_at_connect(place, error))?;
        check_server(&mut connection, place).await?;
        Ok(connection)
    };
    bounded(OPERATION_TIMEOUT, place, reaching).await
}

/// Bounds a part of connecting to `place`.
async fn bounded<T>(
    limit: Duration,
    place: &str,
    work: impl Future<Output = PortResult<T>>,
) -> PortResult<T> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|elapsed| {
            let operation = format!("use `{place}` as the ledger");
            Err(PortError::new(PortErrorKind::Unavailable, operation).because(elapsed))
        })
}

/// *Returns*: how to connect, and the address for messages, without user and password.
async fn options(settings: &Settings) -> PortResult<(PgConnectOptions, String)> {
    let parsed: PgConnectOptions =
        settings
            .url
            .expose()
            .parse()
            .map_err(|error: sqlx::Error| {
                PortError::new(
                    PortErrorKind::Refused,
                    "read the url of the ledger's PostgreSQL",
                )
                .because(error)
            })?;
    let place = place(&parsed);
    let mut options = parsed
        .statement_cache_capacity(STATEMENTS_CACHED)
        .options([("statement_timeout", STATEMENT_TIMEOUT_MS)])
        .disable_statement_logging();
    if options.get_application_name().is_none() {
        options = options.application_name("caerus");
    }
    if let Some(ca) = &settings.ca {
        options = trust(options, ca, &place).await?;
    }
    Ok((options, place))
}

fn place(options: &PgConnectOptions) -> String {
    let database = options
        .get_database()
        .unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{}:{}/{database}", socket.display(), options.get_port()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

/// Whoever names an authority wants the server's certificate checked against it, which the url's weaker modes would not.
async fn trust(options: PgConnectOptions, ca: &Path, place: &str) -> PortResult<PgConnectOptions> {
    let refusal = |because: String| {
        PortError::new(
            PortErrorKind::Refused,
            format!("use `{place}` as the ledger, because {because}"),
        )
    };
    let mode = match options.get_ssl_mode() {
        PgSslMode::Disable => {
            let because = "its url asks for no TLS (`sslmode=disable`), and its `ca` for TLS";
            return Err(refusal(because.to_owned()));
        }
        PgSslMode::VerifyCa => PgSslMode::VerifyCa,
        PgSslMode::Allow | PgSslMode::Prefer | PgSslMode::Require | PgSslMode::VerifyFull => {
            PgSslMode::VerifyFull
        }
    };
    let pem = tokio::fs::read(ca).await.map_err(|error| {
        refusal(format!("its `ca` `{}` cannot be read", ca.display())).because(error)
    })?;
    Ok(options.ssl_mode(mode).ssl_root_cert_from_pem(pem))
}

/// *Errors*: `Refused` for a server that is too old, `Unavailable` for a standby.
async fn check_server(connection: &mut PgConnection, place: &str) -> PortResult<()> {
    let (version, is_standby): (i32, bool) =
        sqlx::query_as("SELECT current_setting('server_version_num')::int4, pg_is_in_recovery()")
            .fetch_one(connection)
            .await
            .map_err(|error| fault_at_connect(place, error))?;
    check_version(version, place)?;
    if is_standby {
        return Err(PortError::new(
            PortErrorKind::Unavailable,
            format!(
                "use `{place}` as the ledger, because that server is a standby, which only reads"
            ),
        ));
    }
    Ok(())
}

fn check_version(version: i32, place: &str) -> PortResult<()> {
    if version >= VERSION_MIN {
        return Ok(());
    }
    // Before 10 a major version had two numbers.
    let major = match version {
        100_000.. => (version / 10_000).to_string(),
        _ => format!("{}.{}", version / 10_000, version / 100 % 100),
    };
    Err(PortError::new(
        PortErrorKind::Refused,
        format!(
            "use `{place}` as the ledger, because PostgreSQL {major} is too old; {} or newer",
            VERSION_MIN / 10_000
        ),
    ))
}

#[cfg(test)]
mod tests {
    use caerus_runtime::secret::Secret;

    use super::*;

    fn settings(url: &str, ca: Option<&Path>) -> Settings {
        Settings {
            url: Secret::new(url),
            connections_max: 4,
            ca: ca.map(Path::to_path_buf),
        }
    }

    #[test]
    fn a_server_that_is_too_old_is_refused_and_both_versions_named() {
        for (version, name) in [(90_624, "9.6"), (100_023, "10"), (129_999, "12")] {
            let error = check_version(version, "db:5432/caerus").unwrap_err();
            assert_eq!(error.kind, PortErrorKind::Refused);
            let said = format!("PostgreSQL {name} is too old; 13 or newer");
            assert!(error.to_string().contains(&said), "{error}");
        }
        check_version(130_000, "db").unwrap();
        check_version(170_002, "db").unwrap();
    }

    #[tokio::test]
    async fn no_message_about_an_address_holds_its_password() {
        let file = Path::new("/nowhere/ca.pem");
        let cases = [
            settings("postgres://caerus:hunter2@db:99999/caerus", None),
            settings("postgres://caerus:hunter2@db/caerus?sslmode=hunter", None),
            settings("postgres://caerus:hunter2@db/caerus", Some(file)),
            settings(
                "postgres://caerus:hunter2@db/caerus?sslmode=disable",
                Some(file),
            ),
            settings("postgres:// hunter2", None),
        ];
        for case in cases {
            let error = options(&case).await.unwrap_err();
            assert_eq!(error.kind, PortErrorKind::Refused);
            let said = format!("{error} {error:?}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[tokio::test]
    async fn an_authority_makes_the_certificate_checked() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, "").unwrap();
        for (mode, expected) in [
            ("", "VerifyFull"),
            ("?sslmode=require", "VerifyFull"),
            ("?sslmode=verify-ca", "VerifyCa"),
            ("?sslmode=verify-full", "VerifyFull"),
        ] {
            let asked = settings(&format!("postgres://db/caerus{mode}"), Some(&ca));
            let (options, place) = options(&asked).await.unwrap();
            assert_eq!(format!("{:?}", options.get_ssl_mode()), expected, "{mode}");
            assert_eq!(place, "db:5432/caerus");
        }
    }
}
