//! What a failure of PostgreSQL means to a port's caller. Knows no tables.

use caerus_runtime::port::{PortError, PortErrorKind};

/// Whole codes, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
mod code {
    pub(super) const READ_ONLY: &str = "25006";
    pub(super) const DATABASE_MISSING: &str = "3D000";
    pub(super) const FORBIDDEN: &str = "42501";
    pub(super) const OBJECT_IN_USE: &str = "55006";
    pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";
    pub(super) const QUERY_CANCELED: &str = "57014";
    pub(super) const DATA_CORRUPTED: &str = "XX001";
    pub(super) const INDEX_CORRUPTED: &str = "XX002";
}

/// The first two characters of a code.
mod class {
    pub(super) const CONNECTION: &str = "08";
    pub(super) const AUTHORIZATION: &str = "28";
    pub(super) const ROLLBACK: &str = "40";
    pub(super) const RESOURCES: &str = "53";
    pub(super) const OPERATOR: &str = "57";
    pub(super) const SYSTEM: &str = "58";
}

/// The error of an operation on a ledger that was connected to.
pub(crate) fn fault(operation: impl Into<String>, error: sqlx::Error) -> PortError {
    PortError::new(kind_of(&error), operation).because(error)
}

/// The error of connecting, with what its reader can do about it. `place` is the address without the password.
pub(crate) fn fault_at_connect(place: &str, error: sqlx::Error) -> PortError {
    let because = match code_of(&error).as_deref() {
        Some(code) if code.starts_with(class::AUTHORIZATION) => {
            ", because the server does not admit the url's user with its password"
        }
        Some(code::DATABASE_MISSING) => ", because there is no such database: create it first",
        Some(code::FORBIDDEN) => {
            ", because its user may not create tables there: grant it CREATE on the schema"
        }
        _ => "",
    };
    PortError::new(
        kind_of(&error),
        format!("use `{place}` as the ledger{because}"),
    )
    .because(error)
}

/// Whether the server is there and said no to this one statement: asking again at once brings nothing.
pub(crate) fn is_answer(error: &sqlx::Error) -> bool {
    match code_of(error).as_deref() {
        Some(code::LOCK_NOT_AVAILABLE | code::QUERY_CANCELED) => true,
        Some(code) => kind_of_code(code) == PortErrorKind::Refused,
        None => false,
    }
}

pub(crate) fn kind_of(error: &sqlx::Error) -> PortErrorKind {
    match error {
        sqlx::Error::Database(_) => {
            code_of(error).map_or(PortErrorKind::Refused, |code| kind_of_code(&code))
        }
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

fn code_of(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

fn kind_of_code(code: &str) -> PortErrorKind {
    match code {
        // A primary that was just made a standby: the address will lead to the new one.
        code::READ_ONLY | code::OBJECT_IN_USE | code::LOCK_NOT_AVAILABLE => {
            return PortErrorKind::Unavailable;
        }
        code::DATA_CORRUPTED | code::INDEX_CORRUPTED => return PortErrorKind::Corrupt,
        _ => {}
    }
    match code.get(..2) {
        Some(
            class::CONNECTION
            | class::ROLLBACK
            | class::RESOURCES
            | class::OPERATOR
            | class::SYSTEM,
        ) => PortErrorKind::Unavailable,
        _ => PortErrorKind::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_retried_only_where_trying_again_may_help() {
        use PortErrorKind::{Corrupt, Refused, Unavailable};
        let cases = [
            ("08006", Unavailable),
            ("25006", Unavailable),
            ("40001", Unavailable),
            ("40P01", Unavailable),
            ("53100", Unavailable),
            ("53300", Unavailable),
            ("55P03", Unavailable),
            ("57014", Unavailable),
            ("57P01", Unavailable),
            ("57P03", Unavailable),
            ("58030", Unavailable),
            ("XX001", Corrupt),
            ("28P01", Refused),
            ("3D000", Refused),
            ("42501", Refused),
            ("23505", Refused),
            ("22021", Refused),
            ("", Refused),
        ];
        for (code, expected) in cases {
            assert_eq!(kind_of_code(code), expected, "{code}");
        }
        assert_eq!(kind_of(&sqlx::Error::PoolTimedOut), Unavailable);
        assert_eq!(kind_of(&sqlx::Error::RowNotFound), Corrupt);
    }
}
