//! The files that are measured on: a simulated organisation's events, as JSON Lines. Knows no stopwatch.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use caerus_scenario::{Attack, Config, Organisation};
use caerus_wire::Timestamp;

/// 2026-01-05T00:00:00Z, a Monday.
const START: Timestamp = Timestamp(1_767_571_200_000);
const TENANT: &str = "bench";

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub seed: u64,
    pub users: u32,
    pub days: u32,
}

/// A file of events.
#[derive(Clone, Debug)]
pub struct Corpus {
    pub path: PathBuf,
    pub events: u64,
    pub bytes: u64,
}

/// The file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write the events to `{}`", path.display())]
pub struct CorpusError {
    path: PathBuf,
    source: io::Error,
}

/// Writes an organisation's events, every attack among them, into `folder`.
pub fn write(folder: &Path, size: Size) -> Result<Corpus, CorpusError> {
    let path = folder.join(format!("{}-users-{}-days.jsonl", size.users, size.days));
    write_to(&path, size).map_err(|source| CorpusError { path, source })
}

fn write_to(path: &Path, size: Size) -> io::Result<Corpus> {
    let config = Config {
        seed: size.seed,
        users: size.users,
        days: size.days,
        start: START,
        tenant: TENANT.to_owned(),
        attacks: Attack::ALL.to_vec(),
    };
    let mut file = BufWriter::new(File::create(path)?);
    let (mut events, mut bytes) = (0, 0);
    for event in Organisation::new(config).events() {
        let line = event.to_json();
        file.write_all(line.as_bytes())?;
        file.write_all(b"\n")?;
        events += 1;
        bytes += line.len() as u64 + 1;
    }
    file.flush()?;
    Ok(Corpus {
        path: path.to_owned(),
        events,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corpus_is_as_long_as_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = write(
            folder.path(),
            Size {
                seed: 1,
                users: 5,
                days: 3,
            },
        )
        .unwrap();
        let text = std::fs::read_to_string(&corpus.path).unwrap();
        assert_eq!(text.lines().count() as u64, corpus.events);
        assert_eq!(text.len() as u64, corpus.bytes);
        assert!(corpus.events > 50, "{}", corpus.events);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let size = Size {
            seed: 1,
            users: 1,
            days: 1,
        };
        let error = write(Path::new("/nowhere/at/all"), size).unwrap_err();
        let told = "could not write the events to `/nowhere/at/all/1-users-1-days.jsonl`";
        assert_eq!(error.to_string(), told);
    }
}
