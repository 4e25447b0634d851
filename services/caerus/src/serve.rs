//! `caerus serve`: some of the roles, against the servers that all processes share.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::anyhow;
use caerus_runtime::config::{Environment, Flag, Settings};
use clap::Parser;

use crate::exit::{Ended, Failure};
use crate::roles::Role;
use crate::server::{self, Plan};

const AFTER_HELP: &str = "\
Kafka carries the log, Redis holds the evaluators' records, PostgreSQL the ledger; the configuration says where they are. \
Any number of processes may play any roles; partitions move to those evaluators that live. The first console makes the \
first tokens, in its data.dir. SIGTERM hands everything over and ends.";

#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// What this process does
    #[arg(
        long,
        value_name = "ROLE",
        value_enum,
        value_delimiter = ',',
        required = true
    )]
    roles: Vec<Role>,
    /// The configuration file; flags win over the environment, that over the file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:7400]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The form of the log on stderr [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    log_format: Option<String>,
}

impl Args {
    fn flags(&self) -> Vec<Flag> {
        let flags = [
            ("--listen", "listen.address", &self.listen),
            ("--log-format", "telemetry.log_format", &self.log_format),
        ];
        let given = flags.into_iter().filter_map(|(name, key, value)| {
            let value = value.clone()?;
            Some(Flag { name, key, value })
        });
        given.collect()
    }
}

pub(crate) fn run(args: &Args) -> Ended {
    let environment = Environment::of_process();
    server::run(
        args.config.as_deref(),
        &environment,
        &args.flags(),
        |settings| plan(args, settings),
    )
}

/// What is embedded is one process's own: roles apart from one another would each have a log to themselves.
fn plan(args: &Args, settings: &Settings) -> Result<Plan, Failure> {
    let roles: BTreeSet<Role> = args.roles.iter().copied().collect();
    let servers = &settings.servers;
    let needed = [
        ("kafka.brokers", servers.kafka.is_some(), true),
        (
            "redis.urls",
            servers.redis.is_some(),
            roles.contains(&Role::Evaluator),
        ),
        ("postgres.url", servers.postgres.is_some(), true),
    ];
    let missing: Vec<&str> = needed
        .into_iter()
        .filter(|(_, is_there, is_needed)| *is_needed && !is_there)
        .map(|(key, ..)| key)
        .collect();
    if !missing.is_empty() {
        return Err(Failure::BadConfig(anyhow!(
            "the configuration lacks {}: processes that share the work share the stores too (`caerus up` needs none)",
            missing.join(", ")
        )));
    }
    Ok(Plan {
        roles,
        has_demo: false,
    })
}
