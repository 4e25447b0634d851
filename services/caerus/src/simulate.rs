//! `caerus simulate`: labelled events of an organisation that does not exist, on stdout.

use std::io::{BufWriter, Write as _};

use anyhow::Context as _;
use caerus_engine::time::Timestamp;
use caerus_scenario::{Attack, Config, Organisation};
use clap::Parser;

use crate::exit::Ended;

#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// The same seed gives the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// People in the organisation
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    users: u32,
    /// Days to simulate
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_660))]
    days: u32,
    /// Attacks to play, `all` for every one; may be given again
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = parse_attack)]
    attack: Vec<Attacks>,
    /// When the first day begins (RFC 3339)
    #[arg(long, value_name = "T", default_value = "2026-01-05T00:00:00Z", value_parser = crate::cli::parse_time)]
    start: Timestamp,
    /// The tenant of every event
    #[arg(long, default_value = "default")]
    tenant: String,
}

#[derive(Clone, Copy, Debug)]
enum Attacks {
    All,
    One(Attack),
}

fn parse_attack(text: &str) -> Result<Attacks, String> {
    if text == "all" {
        return Ok(Attacks::All);
    }
    Attack::parse(text)
        .map(Attacks::One)
        .map_err(|error| error.to_string())
}

pub(crate) fn run(args: &Args) -> Ended {
    let mut attacks: Vec<Attack> = Vec::new();
    for attack in &args.attack {
        match attack {
            Attacks::All => attacks.extend(Attack::ALL),
            Attacks::One(attack) => attacks.push(*attack),
        }
    }
    attacks.sort();
    attacks.dedup();
    let organisation = Organisation::new(Config {
        seed: args.seed,
        users: args.users,
        days: args.days,
        start: args.start,
        tenant: args.tenant.clone(),
        attacks,
    });
    let mut out = BufWriter::new(std::io::stdout().lock());
    for event in organisation.events() {
        match writeln!(out, "{}", event.to_json()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("could not write to stdout")?,
        }
    }
    out.flush().context("could not write to stdout")?;
    Ok(())
}
