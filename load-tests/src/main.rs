//! Flags in, a report out. What is measured, and how, is the library's.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use caerus_load_tests::bench::Bench;
use caerus_load_tests::corpus::Size;
use clap::Parser;

/// The exit code for wrong flags, as everywhere in Caerus.
const WRONG_FLAGS: u8 = 64;

/// How fast `caerus replay` goes beside merely parsing the same events, and what it holds for each user.
#[derive(Debug, Parser)]
struct Flags {
    /// The binary to measure; by default the one beside this program.
    #[arg(long)]
    caerus: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// People simulated.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    users: u32,
    /// Days simulated; a person has about ten events a day.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    days: u32,
}

fn main() -> ExitCode {
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(error) => {
            let is_asked_for = !error.use_stderr();
            return match error.print() {
                Ok(()) if is_asked_for => ExitCode::SUCCESS,
                _ => ExitCode::from(WRONG_FLAGS),
            };
        }
    };
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let told = writeln!(std::io::stderr(), "error: {error:#}");
            drop(told);
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags) -> anyhow::Result<()> {
    let caerus = match flags.caerus {
        Some(path) => path,
        None => std::env::current_exe()
            .context("could not tell where this program lies; name the binary with --caerus")?
            .with_file_name("caerus"),
    };
    let Flags {
        seed, users, days, ..
    } = flags;
    let folder = tempfile::tempdir().context("could not make a folder for the events")?;
    let report = Bench {
        caerus,
        size: Size { seed, users, days },
    }
    .run(folder.path())?;
    write!(std::io::stdout(), "{report}").context("could not write the report")
}
