//! One SQLite file: one writing connection and a few reading ones, at the version this program knows. Knows no tables.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use caerus_runtime::port::{PortError, PortErrorKind, PortResult};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Sqlite, Transaction};

use super::fault::fault_at_open;
use super::migration::MigrationSet;

/// How long a connection waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// The write-ahead log is cut back to this after a checkpoint. *Units*: bytes.
const WAL_BYTES_KEPT: &str = "67108864";
/// Page cache of a connection. *Units*: negative means KiB.
const CACHE_KIB: &str = "-16384";
/// Prepared statements kept by a connection.
const STATEMENTS_CACHED: usize = 128;
/// Who may read the files: they hold what is known of people, and tokens' hashes.
const FILE_MODE: u32 = 0o600;

/// What a kind of file asks of SQLite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) set: MigrationSet,
    /// `Full`: a commit is on the disk when it returns. `Normal`: a power cut may lose the last ones, never their order.
    pub(crate) synchronous: SqliteSynchronous,
    /// *Units*: bytes.
    pub(crate) page_size: u32,
    pub(crate) readers: u32,
}

#[derive(Debug)]
pub(crate) struct Database {
    /// Holds one connection: SQLite has one writer, and waiting here is fair where its own lock is not.
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Database {
    /// Opens the file, makes it where there is none, and applies the migrations still missing.
    pub(crate) async fn open(path: &Path, shape: &Shape) -> PortResult<Self> {
        make_private(path, shape).await?;
        Self::open_existing(path, shape).await
    }

    /// Opens a file that must be there.
    pub(crate) async fn open_existing(path: &Path, shape: &Shape) -> PortResult<Self> {
        let place = path.display().to_string();
        let operation = || format!("open the {} database `{place}`", shape.set.name);
        require_file(path, operation).await?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .page_size(shape.page_size)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(shape.synchronous)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(STATEMENTS_CACHED)
            .pragma("journal_size_limit", WAL_BYTES_KEPT)
            .pragma("cache_size", CACHE_KIB)
            .pragma("temp_store", "MEMORY")
            .disable_statement_logging();
        let writer = pool(1)
            .connect_with(options.clone())
            .await
            .map_err(|error| fault_at_open(operation(), error))?;
        shape.set.apply(&writer, &place).await?;
        let readers = pool(shape.readers)
            .connect_with(options.pragma("query_only", "ON"))
            .await
            .map_err(|error| fault_at_open(operation(), error))?;
        Ok(Self { writer, readers })
    }

    /// Begins a transaction that holds the write lock from its start. Dropped without a commit, it is rolled back.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Ends all connections; the last one folds the write-ahead log into the file.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Makes the file before SQLite would, for its owner alone; SQLite gives its companions the same mode.
async fn make_private(path: &Path, shape: &Shape) -> PortResult<()> {
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(FILE_MODE);
    match options.open(path).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(PortError::new(
            PortErrorKind::Refused,
            format!("make the {} database `{}`", shape.set.name, path.display()),
        )
        .because(error)),
    }
}

async fn require_file(path: &Path, operation: impl Fn() -> String) -> PortResult<()> {
    let refusal = || PortError::new(PortErrorKind::Refused, operation());
    let metadata = tokio::fs::metadata(path)
        .await
        .map_err(|error| refusal().because(error))?;
    if metadata.is_file() {
        return Ok(());
    }
    Err(refusal().because("it is not a file"))
}
