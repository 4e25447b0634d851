//! What a failure of SQLite means to a port's caller. Knows no tables.

use caerus_runtime::port::{PortError, PortErrorKind};

/// Primary result codes, <https://www.sqlite.org/rescode.html>.
mod code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const NO_MEMORY: i32 = 7;
    pub(super) const INTERRUPTED: i32 = 9;
    pub(super) const IO_ERROR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANNOT_OPEN: i32 = 14;
    pub(super) const PROTOCOL: i32 = 15;
    pub(super) const SCHEMA_CHANGED: i32 = 17;
    pub(super) const FORMAT: i32 = 24;
    pub(super) const NOT_A_DATABASE: i32 = 26;
}

/// The low byte of an extended result code is the primary one.
const PRIMARY_MASK: i32 = 0xff;

/// The error of an operation on an open database.
pub(crate) fn fault(operation: impl Into<String>, error: sqlx::Error) -> PortError {
    PortError::new(kind_of(&error), operation).because(error)
}

/// The error of opening a database: here a file that cannot be opened stays so, however often it is tried.
pub(crate) fn fault_at_open(operation: impl Into<String>, error: sqlx::Error) -> PortError {
    let kind = match primary_code(&error) {
        Some(code::CANNOT_OPEN) => PortErrorKind::Refused,
        _ => kind_of(&error),
    };
    PortError::new(kind, operation).because(error)
}

pub(crate) fn kind_of(error: &sqlx::Error) -> PortErrorKind {
    match error {
        sqlx::Error::Database(_) => kind_of_code(primary_code(error)),
        sqlx::Error::RowNotFound
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_) => PortErrorKind::Corrupt,
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => PortErrorKind::Unavailable,
        _ => PortErrorKind::Refused,
    }
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & PRIMARY_MASK)
}

fn kind_of_code(primary: Option<i32>) -> PortErrorKind {
    match primary {
        Some(
            code::BUSY
            | code::LOCKED
            | code::NO_MEMORY
            | code::INTERRUPTED
            | code::IO_ERROR
            | code::FULL
            | code::CANNOT_OPEN
            | code::PROTOCOL
            | code::SCHEMA_CHANGED,
        ) => PortErrorKind::Unavailable,
        Some(code::CORRUPT | code::FORMAT | code::NOT_A_DATABASE) => PortErrorKind::Corrupt,
        _ => PortErrorKind::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_retried_only_where_trying_again_may_help() {
        let cases = [
            (5, PortErrorKind::Unavailable),
            (13, PortErrorKind::Unavailable),
            (11, PortErrorKind::Corrupt),
            (26, PortErrorKind::Corrupt),
            (8, PortErrorKind::Refused),
            (19, PortErrorKind::Refused),
            (1, PortErrorKind::Refused),
        ];
        for (primary, expected) in cases {
            assert_eq!(kind_of_code(Some(primary)), expected, "code {primary}");
        }
        assert_eq!(
            kind_of(&sqlx::Error::PoolTimedOut),
            PortErrorKind::Unavailable
        );
        assert_eq!(kind_of(&sqlx::Error::RowNotFound), PortErrorKind::Corrupt);
    }
}
