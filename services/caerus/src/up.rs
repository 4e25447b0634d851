//! `caerus up`: every role in one process, durable in one directory, no server needed.

use std::path::PathBuf;

use caerus_runtime::config::{Environment, Flag, Settings};
use clap::Parser;

use crate::exit::{Ended, Failure};
use crate::roles::Role;
use crate::server::{self, Plan};

#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Where everything is kept [default: ./caerus-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:7400]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// A directory with `*.cedar` policies, read again when it changes, instead of the default set
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Partitions of the log, fixed when it is created [default: 4]
    #[arg(long, value_name = "N")]
    partitions: Option<u32>,
    /// Brokers of Apache Kafka instead of the embedded log, separated by commas
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Redis instead of embedded records
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// PostgreSQL instead of the embedded ledger; a password belongs into `CAERUS__POSTGRES__URL` or a file
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Plays a simulated organisation under attack
    #[arg(long)]
    demo: bool,
    /// A configuration file; flags win over the environment, that over the file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The form of the log on stderr [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    log_format: Option<String>,
}

impl Args {
    fn flags(&self) -> Vec<Flag> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let flags = [
            ("--data", "data.dir", path(&self.data)),
            ("--listen", "listen.address", self.listen.clone()),
            ("--policies", "policies.dir", path(&self.policies)),
            (
                "--partitions",
                "log.partitions",
                self.partitions.map(|n| n.to_string()),
            ),
            ("--kafka", "kafka.brokers", self.kafka.clone()),
            ("--redis", "redis.urls", self.redis.clone()),
            ("--postgres", "postgres.url", self.postgres.clone()),
            (
                "--log-format",
                "telemetry.log_format",
                self.log_format.clone(),
            ),
        ];
        let given = flags.into_iter();
        given
            .filter_map(|(name, key, value)| {
                Some(Flag {
                    name,
                    key,
                    value: value?,
                })
            })
            .collect()
    }
}

pub(crate) fn run(args: &Args) -> Ended {
    let plan = |_: &Settings| -> Result<Plan, Failure> {
        Ok(Plan {
            roles: Role::ALL.into(),
            has_demo: args.demo,
        })
    };
    let environment = Environment::of_process();
    server::run(args.config.as_deref(), &environment, &args.flags(), plan)
}
