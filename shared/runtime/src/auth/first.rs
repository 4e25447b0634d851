//! The tokens of the first start, in files that only their owner reads. Knows no database: the ledger comes as a port.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Grant, NoRandomness, Right, Tenants, Token};
use crate::port::{Clock, Ledger, PortError, StoredToken};

pub const ADMIN_FILE: &str = "admin.token";
pub const PRODUCER_FILE: &str = "producer.token";
pub const ENFORCEMENT_POINT_FILE: &str = "enforcement-point.token";

const FILE_MODE: u32 = 0o600;
const OTHERS: u32 = 0o077;

/// Name, file and rights. Each has what its work needs and no more: whoever steals a producer's token reads nothing.
const FIRST: [(&str, &str, &[Right]); 3] = [
    (
        "admin",
        ADMIN_FILE,
        &[Right::Feedback, Right::Read, Right::Operate, Right::Admin],
    ),
    ("producer", PRODUCER_FILE, &[Right::Events]),
    (
        "enforcement-point",
        ENFORCEMENT_POINT_FILE,
        &[Right::Stream],
    ),
];

/// Why there are no first tokens.
#[derive(Debug, thiserror::Error)]
pub enum FirstTokenError {
    #[error("could not read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not write `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "`{}` holds no token (expected `caerus_`, 16 hex digits, `_`, 64 hex digits); remove it to have a new one made",
        path.display()
    )]
    NotAToken { path: PathBuf },
    #[error(transparent)]
    Draw(#[from] NoRandomness),
    #[error(transparent)]
    Ledger(#[from] PortError),
}

/// Where the tokens lie, and which of them were made just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstToken {
    pub name: &'static str,
    pub path: PathBuf,
    pub is_new: bool,
}

/// Makes the three tokens where their files are missing, and registers those that the ledger does not hold. A file is
/// never overwritten; a token that was revoked stays revoked.
pub async fn first_tokens(
    dir: &Path,
    ledger: &dyn Ledger,
    clock: &dyn Clock,
) -> Result<Vec<FirstToken>, FirstTokenError> {
    let held: BTreeMap<String, StoredToken> = ledger
        .tokens()
        .await?
        .into_iter()
        .map(|token| (token.id.clone(), token))
        .collect();
    let mut made = Vec::with_capacity(FIRST.len());
    for (name, file, rights) in FIRST {
        let path = dir.join(file);
        let found = read(&path)?;
        let is_new = found.is_none();
        let token = match found {
            Some(token) => token,
            None => create(&path)?,
        };
        // The file comes first: a crash in between leaves a token that the next start registers.
        if !held.contains_key(token.id()) {
            let grant = Grant {
                name: name.to_owned(),
                tenants: Tenants::All,
                rights: rights.iter().copied().collect::<BTreeSet<_>>(),
                expires_at: None,
            };
            ledger.put_token(&token.stored(&grant, clock.now())).await?;
        }
        made.push(FirstToken { name, path, is_new });
    }
    Ok(made)
}

/// *Returns*: `None` when there is no such file.
fn read(path: &Path) -> Result<Option<Token>, FirstTokenError> {
    let failed = |source| FirstTokenError::Read {
        path: path.to_owned(),
        source,
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & OTHERS != 0 {
        tracing::warn!(path = %path.display(), "token file can be read by others; set its mode to 0600");
    }
    let token = Token::parse(text.trim());
    token.map(Some).ok_or_else(|| FirstTokenError::NotAToken {
        path: path.to_owned(),
    })
}

fn create(path: &Path) -> Result<Token, FirstTokenError> {
    let token = Token::draw()?;
    // Written aside and linked whole: a crash leaves no half token, and a file that came meanwhile is not overwritten.
    let aside = path.with_extension(format!("token.{}", token.id()));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&aside)?;
        writeln!(file, "{}", token.reveal().expose())?;
        file.sync_all()?;
        fs::hard_link(&aside, path)?;
        fs::remove_file(&aside)
    };
    write().map_err(|source| FirstTokenError::Write {
        path: path.to_owned(),
        source,
    })?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use caerus_engine::time::Timestamp;

    use super::*;
    use crate::auth::TokenTable;
    use crate::metric::label::AuthFailure;
    use crate::sample::{SetClock, TokenLedger};
    use crate::tasks::chain;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    struct Start {
        dir: tempfile::TempDir,
        ledger: TokenLedger,
        clock: SetClock,
    }

    impl Start {
        fn new() -> Self {
            Self {
                dir: tempfile::tempdir().unwrap(),
                ledger: TokenLedger::default(),
                clock: SetClock::at(NOW),
            }
        }

        async fn run(&self) -> Result<Vec<FirstToken>, FirstTokenError> {
            first_tokens(self.dir.path(), &self.ledger, &self.clock).await
        }

        fn text(&self, file: &str) -> String {
            fs::read_to_string(self.dir.path().join(file)).unwrap()
        }

        async fn rights(&self, file: &str) -> Result<Vec<Right>, AuthFailure> {
            let table = TokenTable::new(Arc::new(self.clock.clone()));
            table.refresh(&self.ledger).await.unwrap();
            let principal = table.authenticate(self.text(file).trim())?;
            Ok(principal.rights.into_iter().collect())
        }
    }

    #[tokio::test]
    async fn the_first_start_makes_three_tokens_of_different_rights() {
        let start = Start::new();
        let made = start.run().await.unwrap();
        assert!(made.iter().all(|token| token.is_new));
        for (_, file, rights) in FIRST {
            let mode = fs::metadata(start.dir.path().join(file)).unwrap();
            assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{file}");
            assert_eq!(start.rights(file).await.unwrap(), rights, "{file}");
        }
        let left = fs::read_dir(start.dir.path()).unwrap().count();
        assert_eq!(left, FIRST.len());
    }

    #[tokio::test]
    async fn a_second_start_keeps_files_and_registers_what_the_ledger_lost() {
        let mut start = Start::new();
        start.run().await.unwrap();
        let before = FIRST.map(|(_, file, _)| start.text(file));
        start.ledger = TokenLedger::default();
        let again = start.run().await.unwrap();
        assert!(again.iter().all(|token| !token.is_new));
        assert_eq!(FIRST.map(|(_, file, _)| start.text(file)), before);
        assert_eq!(start.rights(PRODUCER_FILE).await.unwrap(), [Right::Events]);
    }

    #[tokio::test]
    async fn a_revoked_token_stays_revoked() {
        let start = Start::new();
        start.run().await.unwrap();
        let token = Token::parse(start.text(PRODUCER_FILE).trim()).unwrap();
        assert!(start.ledger.revoke_token(token.id(), NOW).await.unwrap());
        start.run().await.unwrap();
        assert_eq!(start.rights(PRODUCER_FILE).await, Err(AuthFailure::Revoked));
    }

    #[tokio::test]
    async fn a_file_without_a_token_is_named_and_left_alone() {
        let start = Start::new();
        let path = start.dir.path().join(ADMIN_FILE);
        fs::write(&path, "hunter2\n").unwrap();
        let refused = start.run().await.unwrap_err();
        assert_eq!(
            chain(&refused),
            format!(
                "`{}` holds no token (expected `caerus_`, 16 hex digits, `_`, 64 hex digits); \
                 remove it to have a new one made",
                path.display()
            )
        );
        assert_eq!(start.text(ADMIN_FILE), "hunter2\n");
    }
}
