//! `caerus migrate`: the files of a data directory brought to what this release reads, without starting anything.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use caerus_adapters::sqlite::{SqliteBus, SqliteLedger, SqliteRecordStore};
use caerus_runtime::config::{Environment, Flag, Settings, Sources};
use caerus_runtime::data_dir::DataDir;
use caerus_runtime::port::{Bus as _, LogId};
use clap::Parser;

use crate::exit::{Ended, Failure, tell};
use crate::{run, terminal};

const LOG_FILE: &str = "log.db";
const STATE_FILE: &str = "state.db";
const LEDGER_FILE: &str = "ledger.db";

const AFTER_HELP: &str = "\
`caerus up` does the same at its start; this does it apart from it, e.g. before a service is restarted. Nothing is made \
that is not there. Refused are a directory in use by a running Caerus, and files of a newer release.";

#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The data directory [default: ./caerus-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A configuration file; flags win over the environment, that over the file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Ended {
    let environment = Environment::of_process();
    let flags: Vec<Flag> = args
        .data
        .iter()
        .map(|dir| Flag {
            name: "--data",
            key: "data.dir",
            value: dir.display().to_string(),
        })
        .collect();
    let sources = Sources {
        file: args.config.as_deref(),
        environment: &environment,
        flags: &flags,
    };
    let settings = Settings::load(&sources).map_err(|error| Failure::BadConfig(anyhow!(error)))?;
    run::to_end(migrate(&settings.data.dir))
}

async fn migrate(path: &Path) -> Ended {
    if !path.is_dir() {
        let missing = anyhow!("there is no data directory `{}`", path.display());
        return Err(Failure::Failed(missing));
    }
    // Held to the end: nobody else may open the files meanwhile.
    let dir = DataDir::open(path).map_err(anyhow::Error::from)?;
    for file in File::ALL {
        let line = bring_up(&dir, file).await?;
        terminal::print(&format!("{:<10} {line}\n", file.name()))?;
    }
    tell(&format!("`{}` is ready for this release", path.display()));
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum File {
    Log,
    State,
    Ledger,
}

impl File {
    const ALL: [Self; 3] = [Self::Log, Self::State, Self::Ledger];

    fn name(self) -> &'static str {
        match self {
            Self::Log => LOG_FILE,
            Self::State => STATE_FILE,
            Self::Ledger => LEDGER_FILE,
        }
    }
}

/// Opening a file is what applies the steps it misses. *Returns*: what to say of it.
async fn bring_up(dir: &DataDir, file: File) -> anyhow::Result<String> {
    let path = dir.join(file.name());
    if !path.exists() {
        return Ok("not there; `caerus up` makes it".to_owned());
    }
    let context = || format!("could not migrate `{}`", path.display());
    let said = match file {
        File::Log => {
            let bus = SqliteBus::open_existing(&path).await;
            let bus = bus.with_context(context)?;
            let (LogId(log), partitions) = (bus.log_id(), bus.partitions());
            bus.close().await;
            format!("up to date; log {log:016x}, {partitions} partitions")
        }
        File::State => {
            let store = SqliteRecordStore::open(&path).await;
            store.with_context(context)?.close().await;
            "up to date".to_owned()
        }
        File::Ledger => {
            let ledger = SqliteLedger::open(&path).await;
            ledger.with_context(context)?.close().await;
            "up to date".to_owned()
        }
    };
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(ended: Ended) -> String {
        match ended {
            Err(Failure::Failed(error)) => format!("{error:#}"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_directory_in_use_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let _held = DataDir::open(dir.path()).unwrap();
        let refusal = refusal(migrate(dir.path()).await);
        assert!(refusal.contains("is in use by process"), "{refusal}");
    }

    #[tokio::test]
    async fn nothing_is_made_that_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none");
        let refusal = refusal(migrate(&missing).await);
        assert!(
            refusal.starts_with("there is no data directory"),
            "{refusal}"
        );
        assert!(!missing.exists());

        let held = DataDir::open(dir.path()).unwrap();
        for file in File::ALL {
            let line = bring_up(&held, file).await.unwrap();
            assert_eq!(line, "not there; `caerus up` makes it");
            assert!(!dir.path().join(file.name()).exists());
        }
    }

    #[tokio::test]
    async fn each_file_is_told_and_one_of_another_kind_refused() {
        let dir = tempfile::tempdir().unwrap();
        let bus = SqliteBus::open(dir.path().join(LOG_FILE), 3).await.unwrap();
        let log = bus.log_id().0;
        bus.close().await;
        std::fs::copy(dir.path().join(LOG_FILE), dir.path().join(LEDGER_FILE)).unwrap();
        let held = DataDir::open(dir.path()).unwrap();
        assert_eq!(
            bring_up(&held, File::Log).await.unwrap(),
            format!("up to date; log {log:016x}, 3 partitions")
        );
        let refusal = bring_up(&held, File::Ledger).await.unwrap_err();
        let refusal = format!("{refusal:#}");
        assert!(refusal.contains("a database of another kind"), "{refusal}");
    }
}
