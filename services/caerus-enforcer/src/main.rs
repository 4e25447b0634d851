//! The sidecar's composition root: flags, configuration, start, stop. No logic.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
