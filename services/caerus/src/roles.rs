//! The roles of a server: which loops and routes each one has. Chooses nothing beyond that, and judges nothing.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use caerus_console::{Console, ConsoleParts, DECISION_WAIT, PolicyShelf, RecorderParts};
use caerus_evaluator::fold::policies::Policies;
use caerus_evaluator::live::{self, Evaluator, EvaluatorConfig};
use caerus_gateway::limits::Limits;
use caerus_gateway::{Gateway, GatewayParts};
use caerus_ingest::{Kept, dead_letter};
use caerus_runtime::auth::TokenTable;
use caerus_runtime::config::Settings;
use caerus_runtime::health::Health;
use caerus_runtime::metric::Metrics;
use caerus_runtime::port::{Geo, RecordStore};
use caerus_runtime::tasks::TaskGroup;
use clap::ValueEnum;
use tokio::sync::{mpsc, watch};

use crate::ports::Ports;

/// How often the table of credentials is read anew.
const TOKENS_EVERY: Duration = Duration::from_secs(5);
/// Batches of assessments that may wait to be told.
const STANDINGS_LEN: usize = 64;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Role {
    /// Takes events in
    Ingest,
    /// Scores and decides
    Evaluator,
    /// Tells enforcement points
    Gateway,
    /// Records, and answers people
    Console,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [Self::Ingest, Self::Evaluator, Self::Gateway, Self::Console];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Evaluator => "evaluator",
            Self::Gateway => "gateway",
            Self::Console => "console",
        }
    }
}

/// What all roles of a process stand on.
pub(crate) struct Roles<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) ports: &'a Ports,
    pub(crate) tokens: &'a TokenTable,
    pub(crate) metrics: &'a Metrics,
    pub(crate) health: &'a Health,
}

/// What the evaluator alone needs.
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn RecordStore>,
    /// Its partitions, as they change.
    pub(crate) assigned: watch::Receiver<BTreeSet<u32>>,
}

/// The parts that some roles need, where they are played.
#[derive(Default)]
pub(crate) struct Parts {
    /// `Some` where ingest is played; within, the databases of places, where configured.
    pub(crate) ingest: Option<Option<Arc<dyn Geo>>>,
    pub(crate) evaluator: Option<Bench>,
    pub(crate) has_gateway: bool,
    /// `Some` where the console is played: the policies as they are told.
    pub(crate) console: Option<watch::Receiver<PolicyShelf>>,
}

impl Roles<'_> {
    /// Starts the loops of the roles that are played. *Returns*: their routes, merged.
    pub(crate) fn spawn(&self, tasks: &mut TaskGroup, parts: Parts) -> Router {
        let mut routes = Router::new();
        if let Some(geo) = parts.ingest {
            routes = routes.merge(self.ingest(tasks, geo));
        }
        if let Some(bench) = parts.evaluator {
            self.evaluator(tasks, bench);
        }
        let gateway = parts.has_gateway.then(|| self.gateway(tasks));
        routes = match (gateway, parts.console) {
            (Some(gateway), Some(shelf)) => {
                let active = caerus_gateway::active_decisions(gateway.clone());
                let console = self.console(tasks, shelf, Some(active));
                routes
                    .merge(caerus_gateway::stream_routes(gateway))
                    .merge(console)
            }
            (Some(gateway), None) => routes.merge(caerus_gateway::routes(gateway)),
            (None, Some(shelf)) => routes.merge(self.console(tasks, shelf, None)),
            (None, None) => routes,
        };
        let ledger = Arc::clone(&self.ports.ledger);
        let shutdown = tasks.shutdown().clone();
        let fresh = self
            .tokens
            .clone()
            .keep_fresh(ledger, TOKENS_EVERY, shutdown);
        tasks.spawn("tokens", unfailing(fresh));
        routes
    }

    fn ingest(&self, tasks: &mut TaskGroup, geo: Option<Arc<dyn Geo>>) -> Router {
        let ports = caerus_ingest::Ports {
            bus: Arc::clone(&self.ports.bus),
            clock: Arc::clone(&self.ports.clock),
            geo,
            metrics: self.metrics.clone(),
        };
        let data = &self.settings.data;
        let kept = Kept {
            log: data.log_kept,
            dead_letters: dead_letter::Limits {
                age: data.dead_letters_kept,
                bytes: data.dead_letters_bytes_max,
            },
        };
        let taking_in = caerus_ingest::run(ports.clone(), kept, tasks.shutdown().clone());
        tasks.spawn("ingest", unfailing(taking_in));
        caerus_ingest::routes(ports)
    }

    fn evaluator(&self, tasks: &mut TaskGroup, bench: Bench) {
        let (sender, receiver) = mpsc::channel(STANDINGS_LEN);
        let bus = Arc::clone(&self.ports.bus);
        let evaluator = Evaluator {
            config: EvaluatorConfig {
                cache_bytes_max: self.settings.cache_bytes_max,
                ..EvaluatorConfig::default()
            },
            ports: live::Ports {
                bus: Arc::clone(&bus),
                store: bench.store,
                clock: Arc::clone(&self.ports.clock),
                metrics: self.metrics.clone(),
                health: self.health.clone(),
                standings: Some(sender),
            },
            model: Arc::new(self.settings.model.clone()),
            policies: Policies::cedar(),
        };
        let shutdown = tasks.shutdown().clone();
        let group = self.ports.group.clone();
        let evaluating = live::run(evaluator, bench.assigned, shutdown.clone());
        tasks.spawn("evaluator", async move {
            let ended = evaluating.await;
            // Only when nothing is in hand any more: whoever takes over finds all of it done.
            if let Some(group) = group {
                group.leave().await;
            }
            ended
        });
        let telling = live::tell_standings(receiver, bus, shutdown);
        tasks.spawn("standings", unfailing(telling));
    }

    fn gateway(&self, tasks: &mut TaskGroup) -> Gateway {
        let stream = &self.settings.stream;
        let parts = GatewayParts {
            bus: Arc::clone(&self.ports.bus),
            clock: Arc::clone(&self.ports.clock),
            tokens: self.tokens.clone(),
            metrics: self.metrics.clone(),
            limits: Limits {
                heartbeat: stream.heartbeat,
                acknowledge: stream.acknowledge,
                unacked_max: stream.max_unacked,
                queued_bytes_max: stream.queued_bytes_max,
                subscribers_max: stream.subscribers_max,
                ..Limits::default()
            },
        };
        let shutdown = tasks.shutdown().clone();
        let (gateway, loops) = Gateway::new(parts, shutdown.clone());
        tasks.spawn("gateway", caerus_gateway::run(loops, shutdown));
        gateway
    }

    fn console(
        &self,
        tasks: &mut TaskGroup,
        policies: watch::Receiver<PolicyShelf>,
        active: Option<axum::routing::MethodRouter>,
    ) -> Router {
        let shutdown = tasks.shutdown().clone();
        let recorder = RecorderParts {
            bus: Arc::clone(&self.ports.bus),
            ledger: Arc::clone(&self.ports.ledger),
            metrics: self.metrics.clone(),
            health: self.health.clone(),
        };
        tasks.spawn("recorder", caerus_console::run(recorder, shutdown.clone()));
        let parts = ConsoleParts {
            bus: Arc::clone(&self.ports.bus),
            ledger: Arc::clone(&self.ports.ledger),
            clock: Arc::clone(&self.ports.clock),
            tokens: self.tokens.clone(),
            policies,
            decision_wait: DECISION_WAIT,
        };
        caerus_console::routes(Console::new(parts, active, shutdown))
    }
}

/// A loop that ends with the shutdown alone.
async fn unfailing(task: impl Future<Output = ()>) -> Result<(), Infallible> {
    task.await;
    Ok(())
}
