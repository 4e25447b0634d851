//! How a server starts, runs and stops, whichever roles it has: configuration, ports, tokens, listener, roles.

mod demo;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use caerus_runtime::auth::TokenTable;
use caerus_runtime::auth::first::{FirstToken, first_tokens};
use caerus_runtime::config::{Environment, Flag, Settings, Sources};
use caerus_runtime::data_dir::DataDir;
use caerus_runtime::health::Health;
use caerus_runtime::http::{ServeError, Server, Shell};
use caerus_runtime::metric::Metrics;
use caerus_runtime::secret::Secret;
use caerus_runtime::shutdown::{Shutdown, Signals};
use caerus_runtime::tasks::TaskGroup;
use caerus_runtime::telemetry;

use crate::exit::{Ended, Failure, tell};
use crate::policies;
use crate::ports::{self, Opener, Ports};
use crate::roles::{Bench, Parts, Role, Roles};

/// How long loops may take to end before they are given up.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// What a server is to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) has_demo: bool,
}

/// Runs a server to its end.
///
/// *Shape*: `plan` says what it is to be, once the configuration is known.
pub(crate) fn run(
    file: Option<&Path>,
    environment: &Environment,
    flags: &[Flag],
    plan: impl FnOnce(&Settings) -> Result<Plan, Failure>,
) -> Ended {
    let sources = Sources {
        file,
        environment,
        flags,
    };
    let settings = Settings::load(&sources).map_err(|error| Failure::BadConfig(anyhow!(error)))?;
    let plan = plan(&settings)?;
    let metrics = Metrics::new();
    let dropped = metrics.runtime.spans_dropped.clone();
    let runtime = tokio::runtime::Runtime::new().context("could not start the runtime")?;
    runtime.block_on(async {
        let guard = telemetry::init("caerus", &settings.telemetry, environment, &dropped)
            .map_err(|error| Failure::BadConfig(anyhow!(error)))?;
        let ended = serve(&plan, &settings, metrics).await;
        drop(guard);
        ended
    })
}

async fn serve(plan: &Plan, settings: &Settings, metrics: Metrics) -> Ended {
    let mut signals = Signals::catch().context("could not listen for signals")?;
    let shutdown = Shutdown::new();
    // On the heap: with every adapter in it, it is deep and large.
    let starting = Box::pin(start(plan, settings, &metrics, &shutdown));
    let started = tokio::select! {
        started = starting => started?,
        // Nothing is in hand yet that would have to be finished.
        _ = signals.next() => return Ok(()),
    };
    let Started { tasks, dir } = started;
    let insisting = tokio::select! {
        ended = tasks.join(STOP_GRACE) => {
            drop(dir);
            ended.map_err(anyhow::Error::from)?;
            return Ok(());
        }
        signal = signals.begin_then_insist(shutdown) => signal,
    };
    Err(Failure::Told(
        u8::try_from(insisting.exit_code()).unwrap_or(1),
    ))
}

/// Everything that runs.
struct Started {
    tasks: TaskGroup,
    /// This process's until everything has ended.
    dir: Option<DataDir>,
}

async fn start(
    plan: &Plan,
    settings: &Settings,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Result<Started, Failure> {
    let has_console = plan.roles.contains(&Role::Console);
    // The console's first tokens lie in it, and all that is embedded.
    let dir = match has_console {
        true => Some(DataDir::open(&settings.data.dir).map_err(anyhow::Error::from)?),
        false => None,
    };
    let at = dir.as_ref().map_or(Path::new("."), DataDir::path);
    let mut opener = Opener::new(settings, at, metrics, shutdown);
    let ports = opener.ports().await?;
    let tokens = TokenTable::new(Arc::clone(&ports.clock));
    let firsts = match &dir {
        Some(dir) => first_tokens(dir.path(), ports.ledger.as_ref(), ports.clock.as_ref())
            .await
            .context("could not make the first tokens")?,
        None => Vec::new(),
    };
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
    let mut tasks = TaskGroup::new(shutdown);
    let mut parts = Parts {
        has_gateway: plan.roles.contains(&Role::Gateway),
        ..Parts::default()
    };
    if has_console {
        let in_force = health.condition("policies");
        let shelf = policies::start(&mut tasks, settings.policies_dir.clone(), &ports.bus).await?;
        in_force.ready();
        parts.console = Some(shelf);
    }
    if plan.roles.contains(&Role::Ingest) {
        parts.ingest = Some(ports::geo(settings)?);
    }
    if plan.roles.contains(&Role::Evaluator) {
        parts.evaluator = Some(Bench {
            store: opener.record_store().await?,
            assigned: ports::assigned(&ports).await?,
        });
    }
    let demo = match plan.has_demo {
        true => Some(demo::token(ports.ledger.as_ref(), ports.clock.as_ref()).await?),
        false => None,
    };
    tokens
        .refresh(ports.ledger.as_ref())
        .await
        .context("could not read the tokens")?;
    let roles = Roles {
        settings,
        ports: &ports,
        tokens: &tokens,
        metrics,
        health: &health,
    };
    let routes = roles.spawn(&mut tasks, parts);
    tasks.spawn("listener", server.serve(routes, shutdown.clone()));
    greet(&plan.roles, &url, dir.as_ref().map(DataDir::path), &firsts);
    if let (Some(token), Some(dir)) = (demo, &dir) {
        play(&mut tasks, &ports, dir, url, token)?;
    }
    Ok(Started { tasks, dir })
}

fn play(
    tasks: &mut TaskGroup,
    ports: &Ports,
    dir: &DataDir,
    url: String,
    token: Secret,
) -> anyhow::Result<()> {
    let stage = demo::Stage { url, token };
    demo::start(tasks, dir.path(), Arc::clone(&ports.clock), stage)
}

fn bind_failure(error: ServeError) -> Failure {
    let is_configuration = error.is_configuration();
    let error = anyhow::Error::from(error);
    if is_configuration {
        Failure::BadConfig(error)
    } else {
        Failure::Failed(error)
    }
}

/// Says where everything is.
fn greet(roles: &BTreeSet<Role>, url: &str, dir: Option<&Path>, tokens: &[FirstToken]) {
    if roles.len() == Role::ALL.len() {
        tell(&format!("caerus is up at {url}"));
    } else {
        let names: Vec<_> = roles.iter().map(|role| role.name()).collect();
        tell(&format!("caerus serves {} at {url}", names.join(", ")));
    }
    let stream = url.replacen("http", "ws", 1);
    for role in roles {
        match role {
            Role::Console => tell(&format!(
                "  page and API        {url}/            (token: admin)"
            )),
            Role::Ingest => tell(&format!(
                "  events in           {url}/v1/events   (token: producer)"
            )),
            Role::Gateway => tell(&format!(
                "  revocation stream   {stream}/v1/stream  (token: enforcement-point)"
            )),
            Role::Evaluator => {}
        }
    }
    if let Some(dir) = dir {
        tell(&format!("  data                {}", dir.display()));
    }
    for token in tokens {
        let news = match token.is_new {
            true => "made just now",
            false => "kept",
        };
        let path = token.path.display();
        tell(&format!("  token {:<18} {path}  ({news})", token.name));
    }
}
