//! Rows of a data directory's files, read beside the product. Knows no table.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

/// All rows of a query over a file that is there.
pub(crate) async fn rows(file: &Path, query: &str) -> Vec<SqliteRow> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false);
    let mut connection = options.connect().await.unwrap();
    let query = AssertSqlSafe(query.to_owned());
    let rows = sqlx::query(query).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows
}

/// Changes a file that no process has open.
pub(crate) async fn execute(file: &Path, statement: &str) {
    rows(file, statement).await;
}
