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

#[cfg(test)]
mod tests {
    use caerus_runtime::config::Sources;
    use clap::ValueEnum as _;

    use super::*;

    fn plan_of(role: Role, file: &std::path::Path) -> Result<Plan, Failure> {
        let settings = Settings::load(&Sources {
            file: Some(file),
            environment: &Environment::default(),
            flags: &[],
        });
        let args = Args {
            roles: vec![role],
            config: Some(file.to_owned()),
            listen: None,
            log_format: None,
        };
        plan(&args, &settings.unwrap())
    }

    #[test]
    fn every_role_has_an_example_that_would_start() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/config");
        let examples = std::fs::read_dir(folder).unwrap();
        let mut found: Vec<String> = examples
            .filter_map(|entry| {
                let path = entry.unwrap().path();
                let is_example = path.extension().is_some_and(|kind| kind == "toml");
                is_example.then(|| path.file_stem().unwrap().to_str().unwrap().to_owned())
            })
            .collect();
        found.sort_unstable();
        let roles = Role::value_variants().iter();
        let mut names: Vec<_> = roles.clone().map(|role| role.name().to_owned()).collect();
        names.sort_unstable();
        assert_eq!(found, names);
        for role in roles {
            let file = format!("{folder}/{}.toml", role.name());
            let planned = plan_of(*role, std::path::Path::new(&file)).unwrap();
            assert_eq!(planned.roles, BTreeSet::from([*role]));
        }
    }

    #[test]
    fn what_is_not_shared_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("caerus.toml");
        std::fs::write(&file, "[kafka]\nbrokers = [\"127.0.0.1:9092\"]\n").unwrap();
        for (role, missing) in [
            (Role::Gateway, "lacks postgres.url:"),
            (Role::Evaluator, "lacks redis.urls, postgres.url:"),
        ] {
            let Err(Failure::BadConfig(error)) = plan_of(role, &file) else {
                panic!("{role:?}");
            };
            let text = error.to_string();
            assert!(text.contains(missing), "{text}");
        }
    }
}
