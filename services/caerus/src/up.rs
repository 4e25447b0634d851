//! `caerus up`: every role in one process, durable in one directory, no server needed.

mod demo;
mod policies;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use axum::Router;
use caerus_adapters::geo::GeoDatabases;
use caerus_adapters::sqlite::{SqliteBus, SqliteLedger, SqliteRecordStore};
use caerus_console::{Console, ConsoleParts, DECISION_WAIT, PolicyShelf, RecorderParts};
use caerus_evaluator::fold::policies::Policies;
use caerus_evaluator::live::{self, Evaluator, EvaluatorConfig};
use caerus_gateway::limits::Limits;
use caerus_gateway::{Gateway, GatewayParts};
use caerus_ingest::{Kept, dead_letter};
use caerus_runtime::auth::TokenTable;
use caerus_runtime::auth::first::{FirstToken, first_tokens};
use caerus_runtime::clock::SystemClock;
use caerus_runtime::config::{Environment, Flag, Settings, Sources};
use caerus_runtime::data_dir::DataDir;
use caerus_runtime::health::Health;
use caerus_runtime::http::{Server, Shell};
use caerus_runtime::metric::Metrics;
use caerus_runtime::port::{Bus, Clock, Geo, Ledger, PortErrorKind, PortResult, RecordStore};
use caerus_runtime::shutdown::{Shutdown, Signals};
use caerus_runtime::tasks::TaskGroup;
use caerus_runtime::telemetry;
use clap::Parser;
use tokio::sync::{mpsc, watch};

use crate::exit::{Ended, Failure, tell};

/// How long loops may take to end before they are given up.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How often the table of credentials is read anew.
const TOKENS_EVERY: Duration = Duration::from_secs(5);
/// Batches of assessments that may wait for the ledger.
const STANDINGS_LEN: usize = 64;

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
    let environment = Environment::of_process();
    let flags = args.flags();
    let sources = Sources {
        file: args.config.as_deref(),
        environment: &environment,
        flags: &flags,
    };
    let settings = Settings::load(&sources).map_err(|error| Failure::BadConfig(anyhow!(error)))?;
    let metrics = Metrics::new();
    let dropped = metrics.runtime.spans_dropped.clone();
    let runtime = tokio::runtime::Runtime::new().context("could not start the runtime")?;
    runtime.block_on(async {
        let guard = telemetry::init("caerus", &settings.telemetry, &environment, &dropped)
            .map_err(|error| Failure::BadConfig(anyhow!(error)))?;
        let ended = up(args, &settings, metrics).await;
        drop(guard);
        ended
    })
}

/// The ports, opened.
struct Ports {
    bus: Arc<dyn Bus>,
    store: Arc<dyn RecordStore>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    geo: Option<Arc<dyn Geo>>,
}

async fn open(settings: &Settings, dir: &Path) -> Result<Ports, Failure> {
    let bus = SqliteBus::open(dir.join("log.db"), settings.partitions).await;
    let store = SqliteRecordStore::open(dir.join("state.db")).await;
    let ledger = SqliteLedger::open(dir.join("ledger.db")).await;
    let geo: Option<Arc<dyn Geo>> = if settings.geo.databases.is_empty() {
        None
    } else {
        let opened = GeoDatabases::open(&settings.geo.databases)
            .context("could not use the geo databases")
            .map_err(Failure::BadConfig)?;
        Some(Arc::new(opened))
    };
    Ok(Ports {
        bus: opened(bus, dir)?,
        store: opened(store, dir)?,
        ledger: opened(ledger, dir)?,
        clock: Arc::new(SystemClock::new()),
        geo,
    })
}

/// Files of another number of partitions, of a newer release or of another kind are not what is configured: another try
/// with the same configuration would end the same way.
fn opened<T>(opened: PortResult<T>, dir: &Path) -> Result<T, Failure> {
    opened.map_err(|error| {
        let is_configuration = error.kind == PortErrorKind::Refused;
        let context = format!("could not open the data in `{}`", dir.display());
        let error = anyhow::Error::from(error).context(context);
        if is_configuration {
            Failure::BadConfig(error)
        } else {
            Failure::Failed(error)
        }
    })
}

async fn up(args: &Args, settings: &Settings, metrics: Metrics) -> Ended {
    let dir = DataDir::open(&settings.data.dir).map_err(anyhow::Error::from)?;
    let ports = open(settings, dir.path()).await?;
    let tokens = TokenTable::new(Arc::clone(&ports.clock));
    let firsts = first_tokens(dir.path(), ports.ledger.as_ref(), ports.clock.as_ref())
        .await
        .context("could not make the first tokens")?;
    let health = Health::new();
    let shell = Shell {
        metrics: metrics.clone(),
        health: health.clone(),
        tokens: Some(tokens.clone()),
    };
    let server = Server::bind(settings.listen.server_settings(), shell)
        .await
        .map_err(bind_failure)?;
    let url = server.url();
    let signals = Signals::catch().context("could not listen for signals")?;
    let shutdown = Shutdown::new();
    let mut tasks = TaskGroup::new(&shutdown);
    let dir_of_policies = settings.policies_dir.clone();
    let in_force = health.condition("policies");
    let shelf = policies::start(&mut tasks, dir_of_policies, &ports.bus).await?;
    in_force.ready();
    let demo = if args.demo {
        Some(demo::token(ports.ledger.as_ref(), ports.clock.as_ref()).await?)
    } else {
        None
    };
    tokens
        .refresh(ports.ledger.as_ref())
        .await
        .context("could not read the tokens")?;
    let roles = Roles {
        settings,
        ports: &ports,
        tokens: &tokens,
        metrics: &metrics,
    };
    let routes = roles.spawn(&mut tasks, shelf);
    tasks.spawn("listener", server.serve(routes, shutdown.clone()));
    greet(&url, dir.path(), &firsts);
    if let Some(token) = demo {
        let stage = demo::Stage { url, token };
        demo::start(&mut tasks, dir.path(), Arc::clone(&ports.clock), stage)?;
    }
    let insisting = tokio::select! {
        ended = tasks.join(STOP_GRACE) => {
            ended.map_err(anyhow::Error::from)?;
            return Ok(());
        }
        signal = signals.begin_then_insist(shutdown) => signal,
    };
    Err(Failure::Told(
        u8::try_from(insisting.exit_code()).unwrap_or(1),
    ))
}

/// The roles, and what all of them stand on.
struct Roles<'a> {
    settings: &'a Settings,
    ports: &'a Ports,
    tokens: &'a TokenTable,
    metrics: &'a Metrics,
}

impl Roles<'_> {
    /// Starts every role's loops. *Returns*: their routes, merged.
    fn spawn(&self, tasks: &mut TaskGroup, shelf: watch::Receiver<PolicyShelf>) -> Router {
        let (ports, metrics) = (self.ports, self.metrics);
        let shutdown = tasks.shutdown().clone();
        let parts = gateway_parts(self.settings, ports, self.tokens, metrics);
        let (gateway, loops) = Gateway::new(parts, shutdown.clone());
        let console = Console::new(
            ConsoleParts {
                bus: Arc::clone(&ports.bus),
                ledger: Arc::clone(&ports.ledger),
                clock: Arc::clone(&ports.clock),
                tokens: self.tokens.clone(),
                policies: shelf,
                decision_wait: DECISION_WAIT,
            },
            Some(caerus_gateway::active_decisions(gateway.clone())),
            shutdown.clone(),
        );
        let ingest = caerus_ingest::Ports {
            bus: Arc::clone(&ports.bus),
            clock: Arc::clone(&ports.clock),
            geo: ports.geo.clone(),
            metrics: metrics.clone(),
        };
        let routes = caerus_ingest::routes(ingest.clone())
            .merge(caerus_gateway::stream_routes(gateway))
            .merge(caerus_console::routes(console));
        spawn_evaluator(tasks, self.settings, ports, metrics);
        let data = &self.settings.data;
        let kept = Kept {
            log: data.log_kept,
            dead_letters: dead_letter::Limits {
                age: data.dead_letters_kept,
                bytes: data.dead_letters_bytes_max,
            },
        };
        let taking_in = caerus_ingest::run(ingest, kept, shutdown.clone());
        tasks.spawn("ingest", unfailing(taking_in));
        tasks.spawn("gateway", caerus_gateway::run(loops, shutdown.clone()));
        let recorder = RecorderParts {
            bus: Arc::clone(&ports.bus),
            ledger: Arc::clone(&ports.ledger),
            metrics: metrics.clone(),
        };
        tasks.spawn("recorder", caerus_console::run(recorder, shutdown.clone()));
        let ledger = Arc::clone(&ports.ledger);
        let fresh = self
            .tokens
            .clone()
            .keep_fresh(ledger, TOKENS_EVERY, shutdown);
        tasks.spawn("tokens", unfailing(fresh));
        routes
    }
}

/// A loop that ends with the shutdown alone.
async fn unfailing(task: impl Future<Output = ()>) -> Result<(), Infallible> {
    task.await;
    Ok(())
}

fn bind_failure(error: caerus_runtime::http::ServeError) -> Failure {
    let is_configuration = error.is_configuration();
    let error = anyhow::Error::from(error);
    if is_configuration {
        Failure::BadConfig(error)
    } else {
        Failure::Failed(error)
    }
}

fn gateway_parts(
    settings: &Settings,
    ports: &Ports,
    tokens: &TokenTable,
    metrics: &Metrics,
) -> GatewayParts {
    GatewayParts {
        bus: Arc::clone(&ports.bus),
        clock: Arc::clone(&ports.clock),
        tokens: tokens.clone(),
        metrics: metrics.clone(),
        limits: Limits {
            heartbeat: settings.stream.heartbeat,
            acknowledge: settings.stream.acknowledge,
            unacked_max: settings.stream.max_unacked,
            queued_bytes_max: settings.stream.queued_bytes_max,
            subscribers_max: settings.stream.subscribers_max,
            ..Limits::default()
        },
    }
}

fn spawn_evaluator(tasks: &mut TaskGroup, settings: &Settings, ports: &Ports, metrics: &Metrics) {
    let (sender, receiver) = mpsc::channel(STANDINGS_LEN);
    let evaluator = Evaluator {
        config: EvaluatorConfig {
            cache_bytes_max: settings.cache_bytes_max,
            ..EvaluatorConfig::default()
        },
        ports: live::Ports {
            bus: Arc::clone(&ports.bus),
            store: Arc::clone(&ports.store),
            clock: Arc::clone(&ports.clock),
            metrics: metrics.clone(),
            standings: Some(sender),
        },
        model: Arc::new(settings.model.clone()),
        policies: Policies::cedar(),
    };
    let shutdown = tasks.shutdown().clone();
    let assigned = live::all_partitions(ports.bus.as_ref());
    tasks.spawn(
        "evaluator",
        live::run(evaluator, assigned, shutdown.clone()),
    );
    let telling = live::tell_standings(receiver, Arc::clone(&ports.bus), shutdown);
    tasks.spawn("standings", unfailing(telling));
}

/// Says where everything is.
fn greet(url: &str, dir: &Path, tokens: &[FirstToken]) {
    tell(&format!("caerus is up at {url}"));
    tell(&format!(
        "  page and API        {url}/            (token: admin)"
    ));
    tell(&format!(
        "  events in           {url}/v1/events   (token: producer)"
    ));
    let stream = url.replacen("http", "ws", 1);
    tell(&format!(
        "  revocation stream   {stream}/v1/stream  (token: enforcement-point)"
    ));
    tell(&format!("  data                {}", dir.display()));
    for token in tokens {
        let news = if token.is_new {
            "made just now"
        } else {
            "kept"
        };
        tell(&format!(
            "  token {:<18} {}  ({news})",
            token.name,
            token.path.display()
        ));
    }
}
