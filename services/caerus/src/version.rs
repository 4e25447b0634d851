//! `caerus version`.

use std::io::Write as _;

use anyhow::Context as _;

use crate::exit::Ended;

/// Adapters that this build holds.
const ADAPTERS: &str = "bus: sqlite; records: sqlite; ledger: sqlite; geo: mmdb";

pub(crate) fn run() -> Ended {
    let text = format!(
        "caerus {}\nadapters: {ADAPTERS}\n",
        env!("CARGO_PKG_VERSION")
    );
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("could not write to stdout")?;
    Ok(())
}
