//! `caerus version`.

use std::io::Write as _;

use anyhow::Context as _;

use caerus_adapters::distributed::BUILT_IN;

use crate::exit::Ended;

/// Adapters that every build holds.
const EMBEDDED: &str = "sqlite (log, records, ledger), mmdb (places)";

pub(crate) fn run() -> Ended {
    let built_in = BUILT_IN.iter().filter(|(_, is_built_in)| *is_built_in);
    let distributed: Vec<_> = built_in.map(|(name, _)| *name).collect();
    let distributed = match distributed.is_empty() {
        true => "none (build with `--features distributed`)".to_owned(),
        false => distributed.join(", "),
    };
    let text = format!(
        "caerus {}\nembedded adapters: {EMBEDDED}\ndistributed adapters: {distributed}\n",
        env!("CARGO_PKG_VERSION")
    );
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("could not write to stdout")?;
    Ok(())
}
