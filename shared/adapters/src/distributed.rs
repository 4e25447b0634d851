//! The adapters of several machines as the composition root asks for them, whether they are built in or not. Knows the
//! others by their doors alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use caerus_runtime::config::{Kafka, Postgres, Redis};
use caerus_runtime::port::{Bus, Ledger, PortResult, RecordStore};
use tokio::sync::watch;

/// What this build holds beside the embedded ones, for people.
pub const BUILT_IN: &[(&str, bool)] = &[
    ("kafka", cfg!(feature = "kafka")),
    ("redis", cfg!(feature = "redis")),
    ("postgres", cfg!(feature = "postgres")),
];

/// A bus whose partitions are shared among the processes of a group.
#[async_trait]
pub trait GroupBus: Bus {
    /// Joins the group. *Returns*: the partitions that are this process's, as they change.
    async fn join(&self) -> PortResult<watch::Receiver<BTreeSet<u32>>>;

    /// Leaves the group, so that others take over at once.
    async fn leave(&self);
}

/// *Errors*: `Refused` where the adapter is not built in, beside its own.
pub async fn kafka_bus(settings: &Kafka, partitions: u32) -> PortResult<Arc<dyn GroupBus>> {
    #[cfg(feature = "kafka")]
    return Ok(crate::kafka::KafkaBus::connect(settings, partitions).await?);
    #[cfg(not(feature = "kafka"))]
    {
        let (_, _) = (settings, partitions);
        Err(not_built_in("Kafka"))
    }
}

/// *Errors*: `Refused` where the adapter is not built in, beside its own.
pub async fn redis_record_store(settings: &Redis) -> PortResult<Arc<dyn RecordStore>> {
    #[cfg(feature = "redis")]
    return Ok(crate::redis::RedisRecordStore::connect(settings).await?);
    #[cfg(not(feature = "redis"))]
    {
        let _ = settings;
        Err(not_built_in("Redis"))
    }
}

/// *Errors*: `Refused` where the adapter is not built in, beside its own.
pub async fn postgres_ledger(settings: &Postgres) -> PortResult<Arc<dyn Ledger>> {
    #[cfg(feature = "postgres")]
    return Ok(crate::postgres::PostgresLedger::connect(settings).await?);
    #[cfg(not(feature = "postgres"))]
    {
        let _ = settings;
        Err(not_built_in("PostgreSQL"))
    }
}

#[cfg(not(all(feature = "kafka", feature = "redis", feature = "postgres")))]
fn not_built_in(what: &str) -> caerus_runtime::port::PortError {
    use caerus_runtime::port::{PortError, PortErrorKind};
    let operation = format!(
        "use {what}: this build holds no adapter for it (build with `--features distributed`)"
    );
    PortError::new(PortErrorKind::Refused, operation)
}
