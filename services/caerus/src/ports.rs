//! The ports of a server, opened: the embedded adapters, or those of the servers that are configured.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use caerus_adapters::distributed::{self, GroupBus};
use caerus_adapters::geo::GeoDatabases;
use caerus_adapters::sqlite::{SqliteBus, SqliteLedger, SqliteRecordStore};
use caerus_evaluator::live;
use caerus_runtime::clock::SystemClock;
use caerus_runtime::config::Settings;
use caerus_runtime::metric::{Metrics, label};
use caerus_runtime::port::{Bus, Clock, Geo, Ledger, PortErrorKind, PortResult, RecordStore};
use caerus_runtime::retry::{Jitter, Retry, RetryError, RetryPolicy};
use caerus_runtime::shutdown::Shutdown;
use tokio::sync::watch;

use crate::exit::Failure;

const LOG_FILE: &str = "log.db";
const STATE_FILE: &str = "state.db";
const LEDGER_FILE: &str = "ledger.db";

/// How patiently a server is waited for at the start: about a minute. Whoever supervises this process tries again.
const AT_START: RetryPolicy = RetryPolicy {
    delay_ms_first: 100,
    delay_ms_max: 3_000,
    attempts_max: 25,
};

/// What every role stands on. Clones share the ports.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where partitions are shared among processes.
    pub(crate) group: Option<Arc<dyn GroupBus>>,
}

/// Opens ports one by one, each as configured.
pub(crate) struct Opener<'a> {
    settings: &'a Settings,
    /// Where embedded files lie.
    dir: &'a Path,
    shutdown: &'a Shutdown,
    retry: Retry,
}

impl<'a> Opener<'a> {
    pub(crate) fn new(
        settings: &'a Settings,
        dir: &'a Path,
        metrics: &Metrics,
        shutdown: &'a Shutdown,
    ) -> Self {
        let retries = metrics.runtime.retries.of(&label::Room::Runtime);
        Self {
            settings,
            dir,
            shutdown,
            retry: Retry::new(AT_START, Jitter::random(), retries),
        }
    }

    pub(crate) async fn ports(&mut self) -> Result<Ports, Failure> {
        let (bus, group) = self.bus().await?;
        Ok(Ports {
            bus,
            group,
            ledger: self.ledger().await?,
            clock: Arc::new(SystemClock::new()),
        })
    }

    async fn bus(&mut self) -> Result<(Arc<dyn Bus>, Option<Arc<dyn GroupBus>>), Failure> {
        let partitions = self.settings.partitions;
        let Some(kafka) = &self.settings.servers.kafka else {
            let bus = SqliteBus::open(self.dir.join(LOG_FILE), partitions).await;
            let bus: Arc<dyn Bus> = embedded(bus, self.dir)?;
            return Ok((bus, None));
        };
        let connect = || Box::pin(distributed::kafka_bus(kafka, partitions));
        let group = self.retry.run(self.shutdown, connect).await;
        let group = connected(group, "Kafka")?;
        Ok((Arc::clone(&group) as Arc<dyn Bus>, Some(group)))
    }

    async fn ledger(&mut self) -> Result<Arc<dyn Ledger>, Failure> {
        let Some(postgres) = &self.settings.servers.postgres else {
            let ledger = SqliteLedger::open(self.dir.join(LEDGER_FILE)).await;
            return Ok(embedded(ledger, self.dir)?);
        };
        let connect = || Box::pin(distributed::postgres_ledger(postgres));
        let ledger = self.retry.run(self.shutdown, connect).await;
        connected(ledger, "PostgreSQL")
    }

    pub(crate) async fn record_store(&mut self) -> Result<Arc<dyn RecordStore>, Failure> {
        let Some(redis) = &self.settings.servers.redis else {
            let store = SqliteRecordStore::open(self.dir.join(STATE_FILE)).await;
            return Ok(embedded(store, self.dir)?);
        };
        let connect = || Box::pin(distributed::redis_record_store(redis));
        let store = self.retry.run(self.shutdown, connect).await;
        connected(store, "Redis")
    }
}

/// `None` where no databases are configured.
pub(crate) fn geo(settings: &Settings) -> Result<Option<Arc<dyn Geo>>, Failure> {
    if settings.geo.databases.is_empty() {
        return Ok(None);
    }
    let opened = GeoDatabases::open(&settings.geo.databases)
        .context("could not use the geo databases")
        .map_err(Failure::BadConfig)?;
    Ok(Some(Arc::new(opened)))
}

/// The partitions that this process evaluates: all of an embedded log, else what its group gives it.
pub(crate) async fn assigned(ports: &Ports) -> Result<watch::Receiver<BTreeSet<u32>>, Failure> {
    match &ports.group {
        None => Ok(live::all_partitions(ports.bus.as_ref())),
        Some(group) => {
            let joined = group.join().await;
            let joined = joined.context("could not join the evaluators' group");
            joined.map_err(Failure::Failed)
        }
    }
}

/// Files of another number of partitions, of a newer release or of another kind are not what is configured: another try
/// with the same configuration would end the same way.
fn embedded<T>(opened: PortResult<T>, dir: &Path) -> Result<T, Failure> {
    opened.map_err(|error| {
        let kind = error.kind;
        let context = format!("could not open the data in `{}`", dir.display());
        failure(kind, anyhow::Error::from(error).context(context))
    })
}

fn connected<T>(connected: Result<T, RetryError>, to: &str) -> Result<T, Failure> {
    connected.map_err(|error| {
        let kind = error.kind();
        let error = anyhow::Error::from(error).context(format!("could not connect to {to}"));
        failure(kind.unwrap_or(PortErrorKind::Unavailable), error)
    })
}

fn failure(kind: PortErrorKind, error: anyhow::Error) -> Failure {
    match kind {
        PortErrorKind::Refused => Failure::BadConfig(error),
        PortErrorKind::Unavailable | PortErrorKind::Conflict | PortErrorKind::Corrupt => {
            Failure::Failed(error)
        }
    }
}
