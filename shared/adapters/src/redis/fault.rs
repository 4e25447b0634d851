//! What a failure of Redis means to a port's caller. Knows no keys.

use caerus_runtime::port::{PortError, PortErrorKind};
use redis::{ErrorKind, RedisError, ServerErrorKind};

const WRONG_PASSWORD: &str = "redis does not accept the user name or the password";

/// A failure, before it is known what it prevented. Those who wait for one connection share it.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    kind: PortErrorKind,
    /// What is wrong, in our words; empty where Redis's own say it.
    sentence: String,
    cause: Option<RedisError>,
}

impl Fault {
    pub(super) fn new(kind: PortErrorKind, sentence: impl Into<String>) -> Self {
        Self {
            kind,
            sentence: sentence.into(),
            cause: None,
        }
    }

    pub(super) fn undecodable(what: &str) -> Self {
        Self::new(
            PortErrorKind::Corrupt,
            format!("{what} is not what was written"),
        )
    }

    /// The server has not heard of a script that was called by its digest.
    pub(super) fn is_unknown_script(&self) -> bool {
        let kind = self.cause.as_ref().map(RedisError::kind);
        kind == Some(ErrorKind::Server(ServerErrorKind::NoScript))
    }

    pub(super) fn is_about_password(&self) -> bool {
        self.sentence == WRONG_PASSWORD
    }

    /// The port's error of what could not be done.
    pub(super) fn preventing(self, operation: &str) -> PortError {
        let text = match self.sentence.as_str() {
            "" => operation.to_owned(),
            sentence => format!("{operation}: {sentence}"),
        };
        let error = PortError::new(self.kind, text);
        match self.cause {
            Some(cause) => error.because(cause),
            None => error,
        }
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        let (kind, sentence) = meaning(&error);
        Self {
            kind,
            sentence: sentence.to_owned(),
            // What a server says to a password may repeat it.
            cause: (error.kind() != ErrorKind::AuthenticationFailed).then_some(error),
        }
    }
}

/// Whether the connection is of no more use: it broke, nothing came back, or its server is no longer the master.
pub(super) fn is_spent(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || signs(error).any(|sign| matches!(sign, "READONLY" | "MASTERDOWN" | "NOAUTH"))
}

fn meaning(error: &RedisError) -> (PortErrorKind, &'static str) {
    // The words come first: a script's failure has them in its text, whatever its own kind.
    if let Some(meaning) = signs(error).find_map(meaning_of_sign) {
        return meaning;
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => (PortErrorKind::Refused, WRONG_PASSWORD),
        // However often it is tried, the certificate is the same. What is wrong with it, the cause says.
        ErrorKind::Io if is_about_tls(error) => (PortErrorKind::Refused, "TLS is not agreed upon"),
        ErrorKind::MasterNameNotFoundBySentinel => (
            PortErrorKind::Unavailable,
            "no sentinel knows a reachable master of that name",
        ),
        ErrorKind::Io
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly,
        ) => (PortErrorKind::Unavailable, ""),
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => (
            PortErrorKind::Corrupt,
            "the answer is not of the form that was asked for",
        ),
        _ => (PortErrorKind::Refused, ""),
    }
}

/// rustls says it in the text of an I/O error.
fn is_about_tls(error: &RedisError) -> bool {
    let text = error.to_string();
    [
        "invalid peer certificate",
        "received corrupt message",
        "received fatal alert",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}

/// The words in capitals that Redis's errors begin with. A script of 6.2 has them inside the text.
fn signs(error: &RedisError) -> impl Iterator<Item = &str> {
    let within = error.detail().unwrap_or_default().split([' ', ':', '-']);
    error.code().into_iter().chain(within)
}

fn meaning_of_sign(sign: &str) -> Option<(PortErrorKind, &'static str)> {
    use PortErrorKind::{Corrupt, Refused, Unavailable};
    Some(match sign {
        "OOM" => (
            Unavailable,
            "redis is full: it has reached its maxmemory; raise it",
        ),
        "READONLY" => (Unavailable, "this redis is a replica now"),
        "LOADING" => (Unavailable, "redis is still reading its own files"),
        "MISCONF" => (Unavailable, "redis cannot write to its disk"),
        "NOREPLICAS" => (Unavailable, "redis has fewer replicas than it asks for"),
        "BUSY" | "UNKILLABLE" => (Unavailable, "redis is busy with another script"),
        "WRONGTYPE" => (
            Corrupt,
            "a key holds something else: does another program use this prefix",
        ),
        "WRONGPASS" | "NOAUTH" => (Refused, WRONG_PASSWORD),
        "NOPERM" => (
            Refused,
            "the user may not do this; grant it the command and the prefix",
        ),
        // Said in place of the answer to a password, too.
        "clients" => (Unavailable, "redis has as many clients as it takes"),
        _ => return None,
    })
}
