//! `caerus config …`: the configuration's defaults, their meaning, and whether a file is right.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use caerus_runtime::config::{self, Settings};
use clap::Subcommand;

use crate::exit::{BAD_CONFIG, Ended, Failure, tell};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Writes the default configuration, with what each key means
    Default,
    /// Says whether a configuration file is right, and what is wrong with it
    Check {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Writes the meaning, unit, range and default of every key, as Markdown
    Doc,
}

pub(crate) fn run(command: &Command) -> Ended {
    match command {
        Command::Default => print(config::default_toml()),
        Command::Doc => print(&config::doc()),
        Command::Check { file } => check(file),
    }
}

fn print(text: &str) -> Ended {
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("could not write to stdout")?;
    Ok(())
}

fn check(path: &Path) -> Ended {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read `{}`", path.display()))
        .map_err(Failure::BadConfig)?;
    let problems = Settings::check(&text, path);
    for problem in &problems {
        tell(&problem.to_string());
    }
    if problems.is_empty() {
        tell(&format!("`{}` is right", path.display()));
        return Ok(());
    }
    Err(Failure::Told(BAD_CONFIG))
}
