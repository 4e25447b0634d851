//! The parts put together: settings in, routes and tasks out. Knows no flag and no exit code.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use caerus_runtime::auth::{Grant, Right, Tenants, Token, TokenTable};
use caerus_runtime::data_dir::{DataDir, DataDirError};
use caerus_runtime::health::Health;
use caerus_runtime::http::Shell;
use caerus_runtime::metric::Metrics;
use caerus_runtime::metric::label::Room;
use caerus_runtime::port::Clock;
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::{TaskGroup, chain};
use http::HeaderValue;

use crate::gate::{Gate, GateParts, Rules};
use crate::holding::{Reader, hold};
use crate::identity::IdentityRules;
use crate::keys::{KeeperParts, KeyKeeper};
use crate::net::Dialer;
use crate::picture::Picture;
use crate::report::{Courier, CourierParts};
use crate::saved::{Journal, load_from};
use crate::serve::{Listener, ServeError};
use crate::settings::{Settings, Tokens};
use crate::subscriber::{Subscriber, SubscriberParts};
use crate::surface::{Callers, StatusParts, routes};
use crate::token::Trust;

/// Between two looks at the picture's age and size for the metrics.
const GAUGE_EVERY: Duration = Duration::from_secs(1);

/// Why there is no enforcer.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("could not read the token from `{}`", path.display())]
    TokenFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` holds no token (expected `caerus_`, 16 hex digits, `_`, 64 hex digits)", path.display())]
    NotAToken { path: PathBuf },
    #[error("`{url}` needs TLS, which is not possible: {reason}")]
    NoTls { url: String, reason: String },
    #[error(transparent)]
    State(#[from] DataDirError),
    #[error(transparent)]
    Serve(#[from] ServeError),
}

impl OpenError {
    /// Whether another configuration would help: the program then exits with 78, else with 1.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::TokenFile { .. } | Self::NotAToken { .. } | Self::NoTls { .. } => true,
            Self::State(DataDirError::InUse { .. }) => false,
            Self::State(_) => true,
            Self::Serve(error) => error.is_configuration(),
        }
    }
}

/// An enforcer, bound and not yet running.
#[derive(Debug)]
pub struct Enforcer {
    listener: Listener,
    routes: Router,
    subscriber: Subscriber,
    keeper: Option<KeyKeeper>,
    courier: Option<Courier>,
    gauges: Gauges,
}

#[derive(Debug)]
struct Gauges {
    reader: Reader,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl Enforcer {
    /// Reads the token and the saved picture, and binds the listener.
    pub async fn open(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let metrics = Metrics::new();
        let health = Health::new();
        let token = read_token(&settings.token_file)?;
        let authorization = bearer(&token, &settings.token_file)?;
        let dialer = dialer(settings)?;
        let tokens = operators(settings, &clock)?;
        let callers = match &tokens {
            Some(_) => Callers::Authenticated,
            None => Callers::Anyone,
        };
        let shell = Shell {
            metrics: metrics.clone(),
            health: health.clone(),
            tokens,
        };
        let listener = Listener::bind(settings.listen.server_settings(), shell).await?;
        let (writer, reader) = hold();
        let (keeper, identity) = identity(settings, &dialer, &health, &clock);
        let (courier, reporter) = settings
            .reports
            .then(|| {
                Courier::new(CourierParts {
                    address: settings.events.clone(),
                    authorization: authorization.clone(),
                    dialer: dialer.clone(),
                    clock: Arc::clone(&clock),
                    retries: metrics.runtime.retries.of(&Room::Enforcer),
                })
            })
            .unzip();
        let parts = SubscriberParts {
            address: settings.stream.clone(),
            authorization,
            client: settings.client.clone().unwrap_or_else(host_name),
            filter: settings.filter.clone(),
            dialer,
            writer,
            journal: None,
            clock: Arc::clone(&clock),
            condition: health.condition("picture"),
            metrics: metrics.enforcer.clone(),
        };
        let (subscriber, status) = subscriber(settings, parts)?;
        let gate = Arc::new(Gate::new(GateParts {
            rules: rules(settings, identity),
            picture: reader.clone(),
            clock: Arc::clone(&clock),
            reporter,
            metrics: metrics.enforcer.clone(),
        }));
        Ok(Self {
            listener,
            routes: routes(gate, status, callers),
            subscriber,
            keeper,
            courier,
            gauges: Gauges {
                reader,
                clock,
                metrics,
            },
        })
    }

    /// Where it listens, as a person types it.
    pub fn url(&self) -> String {
        self.listener.url()
    }

    /// Spawns everything; the tasks end with the group's shutdown.
    pub fn start(self, tasks: &mut TaskGroup) {
        let shutdown = || tasks.shutdown().clone();
        let (a, b, c, d, e) = (shutdown(), shutdown(), shutdown(), shutdown(), shutdown());
        tasks.spawn("listener", well(self.listener.serve(self.routes, a)));
        tasks.spawn("subscriber", well(self.subscriber.run(b)));
        tasks.spawn("gauges", well(self.gauges.run(c)));
        if let Some(keeper) = self.keeper {
            tasks.spawn("keys", well(keeper.run(d)));
        }
        if let Some(courier) = self.courier {
            tasks.spawn("courier", well(courier.run(e)));
        }
    }
}

/// A task that does not fail.
async fn well(task: impl Future<Output = ()>) -> Result<(), std::convert::Infallible> {
    task.await;
    Ok(())
}

impl Gauges {
    async fn run(self, shutdown: Shutdown) {
        loop {
            let metrics = &self.metrics.enforcer;
            let held = i64::try_from(self.reader.look(Picture::len)).unwrap_or(i64::MAX);
            metrics
                .held_decisions
                .set(caerus_engine::number::float(held));
            // A picture that never was complete is as old as this process.
            let monotonic_ms = self.clock.monotonic_ms();
            let age_ms = self.reader.age(monotonic_ms).map_or_else(
                || i64::try_from(monotonic_ms).unwrap_or(i64::MAX),
                |age| age.0,
            );
            metrics
                .picture_age_seconds
                .set(caerus_engine::number::float(age_ms) / 1_000.0);
            let pause = tokio::time::sleep(GAUGE_EVERY);
            if shutdown.unless_begun(pause).await.is_none() {
                return;
            }
        }
    }
}

fn rules(settings: &Settings, identity: IdentityRules) -> Rules {
    Rules {
        proxy: settings.proxy,
        trusted: settings.trusted.clone(),
        identity,
        routes: settings.routes.clone(),
        classes: settings.classes.clone(),
        microsoft: settings.microsoft.clone(),
    }
}

fn identity(
    settings: &Settings,
    dialer: &Dialer,
    health: &Health,
    clock: &Arc<dyn Clock>,
) -> (Option<KeyKeeper>, IdentityRules) {
    let mut rules = IdentityRules {
        headers: settings.headers.clone(),
        cookie: settings.cookie.clone(),
        token: None,
    };
    match &settings.tokens {
        Tokens::Ignored => (None, rules),
        Tokens::Unverified(token) => {
            tracing::warn!("bearer tokens are believed without being verified here");
            rules.token = Some((token.clone(), Trust::Unverified));
            (None, rules)
        }
        Tokens::Verified {
            rules: token,
            source,
            refresh_every,
        } => {
            let (keeper, keys) = KeyKeeper::new(KeeperParts {
                source: source.clone(),
                refresh_every: *refresh_every,
                dialer: dialer.clone(),
                condition: health.condition("keys"),
                clock: Arc::clone(clock),
            });
            rules.token = Some((token.clone(), Trust::Keys(keys)));
            (Some(keeper), rules)
        }
    }
}

fn dialer(settings: &Settings) -> Result<Dialer, OpenError> {
    let dialer = Dialer::new(settings.ca_file.as_deref());
    match dialer.tls_obstacle() {
        Some(reason) if settings.stream.is_tls() => Err(OpenError::NoTls {
            url: settings.url.clone(),
            reason: reason.to_owned(),
        }),
        _ => Ok(dialer),
    }
}

/// The subscriber, begun from its saved picture. One that cannot be read is reported, and the enforcer begins empty: its
/// routes' staleness rules answer until the stream is there.
fn subscriber(
    settings: &Settings,
    parts: SubscriberParts,
) -> Result<(Subscriber, StatusParts), OpenError> {
    let dir = settings
        .state_dir
        .as_deref()
        .map(DataDir::open)
        .transpose()?;
    let saved = dir.as_ref().and_then(|dir| {
        load_from(dir).unwrap_or_else(|error| {
            tracing::error!(error = chain(&error), "saved picture not used");
            None
        })
    });
    let client = parts.client.clone();
    let clock = Arc::clone(&parts.clock);
    let (mut subscriber, stream) = Subscriber::new(SubscriberParts {
        journal: dir.map(Journal::new),
        ..parts
    });
    if let Some(saved) = saved {
        subscriber.restore(saved);
    }
    let status = StatusParts {
        client,
        url: settings.url.clone(),
        is_saved: settings.state_dir.is_some(),
        stream,
        clock,
    };
    Ok((subscriber, status))
}

fn read_token(path: &Path) -> Result<Token, OpenError> {
    let text = std::fs::read_to_string(path).map_err(|source| OpenError::TokenFile {
        path: path.to_owned(),
        source,
    })?;
    Token::parse(text.trim()).ok_or_else(|| OpenError::NotAToken {
        path: path.to_owned(),
    })
}

fn bearer(token: &Token, path: &Path) -> Result<HeaderValue, OpenError> {
    let text = format!("Bearer {}", token.reveal().expose());
    let mut value = HeaderValue::from_str(&text).map_err(|_never| OpenError::NotAToken {
        path: path.to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The one credential that operators and their scrapers have, where one is configured.
fn operators(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Option<TokenTable>, OpenError> {
    let Some(path) = &settings.listen.operator_token_file else {
        return Ok(None);
    };
    let grant = Grant {
        name: "operator".to_owned(),
        tenants: Tenants::All,
        rights: [Right::Read].into(),
        expires_at: None,
    };
    let table = TokenTable::new(Arc::clone(clock));
    table.publish(vec![read_token(path)?.stored(&grant, clock.now())]);
    Ok(Some(table))
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "caerus-enforcer".to_owned())
}
