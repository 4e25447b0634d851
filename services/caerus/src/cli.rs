//! The command line: flags, help, and which module does what.

use caerus_engine::time::Timestamp;
use caerus_wire::moment;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::exit::{Ended, Failure, USAGE, tell};
use crate::{
    config_command, explain, export, formats, migrate, operate, policy_command, replay, send,
    serve, simulate, subscribe, token_command, up, version, who,
};

/// Continuous access evaluation: events in, risk scored and explained, policy decided, every proxy told.
#[derive(Debug, Parser)]
#[command(
    name = "caerus",
    version,
    disable_version_flag = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs everything in one process, durable in one directory, no server needed
    Up(up::Args),
    /// Plays some of the roles, against the servers that all processes share
    Serve(serve::Args),
    /// Evaluates events from files, offline and deterministic: decisions on stdout, a summary on stderr
    Replay(replay::Args),
    /// Sends events from files to a running Caerus
    Send(send::Args),
    /// Shows decisions as they are made: an enforcement point on the terminal
    Subscribe(subscribe::Args),
    /// Refuses a user, a session, a device or a workload from now on
    Revoke(operate::Args),
    /// Demands a stronger sign-in
    StepUp(operate::StepUpArgs),
    /// Keeps somebody from what is sensitive, or from some apps
    Restrict(operate::RestrictArgs),
    /// Lifts what is in force
    Clear(operate::Args),
    /// Says why a decision was made, and where it is in force
    Explain(explain::Args),
    /// Says how a user and their sessions stand, and what is in force against them
    Who(who::Args),
    /// Makes, lists and revokes credentials
    #[command(subcommand)]
    Token(token_command::Command),
    /// Writes the log as it was evaluated, for `replay`
    Export(export::Args),
    /// Lists the forms of events that are read
    Formats,
    /// Writes events as native ones, to see what is read from them
    Normalize(formats::NormalizeArgs),
    /// Writes labelled events of a simulated organisation under attack to stdout
    Simulate(simulate::Args),
    /// Works on policies
    #[command(subcommand)]
    Policy(policy_command::Command),
    /// Works on the configuration
    #[command(subcommand)]
    Config(config_command::Command),
    /// Brings the files of a data directory to what this release reads
    Migrate(migrate::Args),
    /// Says which version this is and which adapters are built in
    Version,
}

/// Reads the command line and does what it says.
pub(crate) fn run() -> Ended {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match cli.command {
        Command::Up(args) => up::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Subscribe(args) => subscribe::run(&args),
        Command::Revoke(args) => operate::revoke(&args),
        Command::StepUp(args) => operate::step_up(&args),
        Command::Restrict(args) => operate::restrict(&args),
        Command::Clear(args) => operate::clear(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Who(args) => who::run(&args),
        Command::Token(command) => token_command::run(&command),
        Command::Export(args) => export::run(&args),
        Command::Formats => formats::list(),
        Command::Normalize(args) => formats::normalize(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Policy(command) => policy_command::run(&command),
        Command::Config(command) => config_command::run(&command),
        Command::Migrate(args) => migrate::run(&args),
        Command::Version => version::run(),
    }
}

/// Help is no error; all else the reader of flags says is exit 64.
fn refuse(error: &clap::Error) -> Ended {
    let is_asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if let Err(source) = error.print() {
        tell(&format!("caerus: could not write the help: {source}"));
    }
    if is_asked {
        Ok(())
    } else {
        Err(Failure::Told(USAGE))
    }
}

/// A moment on the command line.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    moment::parse(text)
        .ok_or_else(|| "expected an RFC 3339 time such as 2026-11-21T10:00:00Z".to_owned())
}
