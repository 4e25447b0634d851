//! How a command that waits for others is run: one thread, to its end. Knows no command.

use std::future::Future;

use anyhow::Context as _;

use crate::exit::Ended;

/// Runs the command. What it left behind, e.g. a read of stdin that never ends, is left alone.
pub(crate) fn to_end(command: impl Future<Output = Ended>) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    let ended = runtime.block_on(command);
    runtime.shutdown_background();
    ended
}
