//! `caerus`: reads the command line, hands over, and ends with the exit code the contract names.

mod cli;
mod client;
mod config_command;
mod duration;
mod exit;
mod export;
mod formats;
mod input;
mod migrate;
mod policy_command;
mod replay;
mod run;
mod simulate;
mod terminal;
mod up;
mod version;

use std::process::ExitCode;

fn main() -> ExitCode {
    exit::code_of(cli::run())
}
