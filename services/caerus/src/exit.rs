//! How a command ends: 0 done, 1 could not do it, 64 wrong flags, 65 wrong input, 78 wrong configuration.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

/// Why a command did not do what it was asked; each is one exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Could not do it.
    Failed(anyhow::Error),
    /// Wrong flags, beyond what the flags' reader sees.
    Usage(anyhow::Error),
    /// The input data is wrong.
    BadInput(anyhow::Error),
    /// The configuration is wrong.
    BadConfig(anyhow::Error),
    /// Told already, line by line; only the code is left.
    Told(u8),
}

pub(crate) type Ended = Result<(), Failure>;

const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 64;
pub(crate) const BAD_INPUT: u8 = 65;
pub(crate) const BAD_CONFIG: u8 = 78;

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => FAILED,
            Self::Usage(_) => USAGE,
            Self::BadInput(_) => BAD_INPUT,
            Self::BadConfig(_) => BAD_CONFIG,
            Self::Told(code) => *code,
        }
    }

    fn error(&self) -> Option<&anyhow::Error> {
        match self {
            Self::Failed(error)
            | Self::Usage(error)
            | Self::BadInput(error)
            | Self::BadConfig(error) => Some(error),
            Self::Told(_) => None,
        }
    }
}

/// Writes the whole chain once, to stderr.
pub(crate) fn code_of(ended: Ended) -> ExitCode {
    let Err(failure) = ended else {
        return ExitCode::SUCCESS;
    };
    if let Some(error) = failure.error() {
        let mut text = String::from("caerus");
        for cause in error.chain() {
            // Writing into a string cannot fail.
            if write!(text, ": {cause}").is_err() {
                break;
            }
        }
        tell(&text);
    }
    ExitCode::from(failure.code())
}

/// One line to stderr; a closed stderr is nobody's concern.
pub(crate) fn tell(text: &str) {
    if writeln!(std::io::stderr(), "{text}").is_err() {
        // There is nowhere left to say it.
    }
}
