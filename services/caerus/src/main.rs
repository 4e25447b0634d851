//! `caerus`: reads the command line, hands over, and ends with the exit code the contract names.

mod ask;
mod cli;
mod client;
mod config_command;
mod duration;
mod exit;
mod explain;
mod export;
mod formats;
mod input;
mod migrate;
mod operate;
mod policies;
mod policy_command;
mod ports;
mod replay;
mod roles;
mod run;
mod send;
mod serve;
mod server;
mod show;
mod simulate;
mod subscribe;
mod terminal;
mod token_command;
mod up;
mod version;
mod who;

use std::process::ExitCode;

fn main() -> ExitCode {
    exit::code_of(cli::run())
}
