//! The log's head: which log this is. Written once, whoever comes first. Knows no records of the log.

use std::time::Duration;

use caerus_runtime::config::Kafka;
use caerus_runtime::port::{LogId, PortError, PortErrorKind, PortResult, ReadLimit};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::client::{Context, configure};
use super::fault::fault;
use super::reader::Reader;
use super::topics::head_name;
use super::{appender, blocking, transaction};

/// The form of the topics that this version reads and writes.
const VERSION: u32 = 1;
const KEY: &str = "head";
/// Others that write the head at the same moment fence each other; one of them comes through.
const TRIES_MAX: u32 = 20;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);
const TRANSACTION_MAX: Duration = Duration::from_secs(10);
const HEADS_READ: ReadLimit = ReadLimit {
    records: 16,
    bytes: 64 * 1024,
};

#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) log: LogId,
    pub(super) partitions: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Written {
    version: u32,
    /// *Shape*: 16 hex digits.
    log: String,
    partitions: u32,
}

/// The head as it stands in its topic, written now where there is none.
///
/// *Errors*: `Refused` when it is of a newer version or has another number of partitions; `Corrupt` when it is none.
pub(super) async fn settle(settings: &Kafka, reader: &Reader, partitions: u32) -> PortResult<Head> {
    let mut last = None;
    for _ in 0..TRIES_MAX {
        if let Some(head) = find(reader).await? {
            return check(settings, head, partitions);
        }
        // INVARIANT: nobody writes a head but in a transaction of this one id. To begin fences whoever began before and
        // ends what it had open; a topic still empty then stays empty for everyone who does not begin after us.
        let producer = begin(settings).await?;
        if find(reader).await?.is_none() {
            last = write(settings, producer, partitions).await.err();
        }
        if let Some(error) = last.take_if(|error| error.kind != PortErrorKind::Conflict) {
            return Err(error);
        }
        sleep(TRY_AGAIN_AFTER).await;
    }
    let operation = "write the log's head, because others write it too";
    Err(PortError::new(PortErrorKind::Unavailable, operation))
}

fn check(settings: &Kafka, head: Head, partitions: u32) -> PortResult<Head> {
    if head.partitions == partitions {
        return Ok(head);
    }
    Err(PortError::new(
        PortErrorKind::Refused,
        format!(
            "open the log `{}` with {partitions} partitions, because it was created with {}; set that number, or another `topic_prefix` for a new log",
            settings.topic_prefix, head.partitions
        ),
    ))
}

async fn find(reader: &Reader) -> PortResult<Option<Head>> {
    let shelf = reader.head();
    reader.end(shelf).await?;
    let batch = reader.read(shelf, 0, HEADS_READ).await?;
    batch
        .records
        .first()
        .map(|record| decode(&record.value))
        .transpose()
}

fn decode(bytes: &[u8]) -> PortResult<Head> {
    let corrupt = |what: String| {
        let operation = format!("read the log's head; {what}");
        PortError::new(PortErrorKind::Corrupt, operation)
    };
    let written: Written = serde_json::from_slice(bytes)
        .map_err(|error| corrupt("it is not of its form".into()).because(error))?;
    if written.version > VERSION {
        return Err(PortError::new(
            PortErrorKind::Refused,
            format!(
                "open a log of version {}, because this program knows version {VERSION}; run a newer one",
                written.version
            ),
        ));
    }
    let log = u64::from_str_radix(&written.log, 16)
        .map_err(|error| corrupt(format!("`{}` is no id", written.log)).because(error))?;
    Ok(Head {
        log: LogId(log),
        partitions: written.partitions,
    })
}

async fn begin(settings: &Kafka) -> PortResult<FutureProducer<Context>> {
    let mut config = configure(settings, &appender::ROLE)?;
    let id = format!("caerus-head-{}", settings.topic_prefix);
    config.set("transactional.id", id);
    config.set(
        "transaction.timeout.ms",
        TRANSACTION_MAX.as_millis().to_string(),
    );
    config.set(
        "message.timeout.ms",
        TRANSACTION_MAX.as_millis().to_string(),
    );
    let name = head_name(settings);
    blocking(move || transaction::initialised(&config, &name, "begin to write the log's head"))
        .await
}

/// *Errors*: `Conflict` when somebody else began after this producer.
async fn write(
    settings: &Kafka,
    producer: FutureProducer<Context>,
    partitions: u32,
) -> PortResult<()> {
    let written = Written {
        version: VERSION,
        log: format!("{:016x}", random_id()?),
        partitions,
    };
    let failed = |error| fault("write the log's head", error);
    let json = serde_json::to_vec(&written).map_err(|error| {
        PortError::new(PortErrorKind::Refused, "write the log's head").because(error)
    })?;
    let name = head_name(settings);
    blocking(move || {
        producer.begin_transaction().map_err(failed)?;
        let record = FutureRecord::to(&name).partition(0).key(KEY).payload(&json);
        // The commit waits for it, and fails with it.
        let delivery = producer
            .send_result(record)
            .map_err(|(error, _)| failed(error))?;
        producer
            .commit_transaction(TRANSACTION_MAX)
            .map_err(failed)?;
        drop(delivery);
        Ok(())
    })
    .await
}

/// Never 0.
fn random_id() -> PortResult<u64> {
    loop {
        let id = getrandom::u64().map_err(|error| {
            PortError::new(PortErrorKind::Unavailable, "draw a log's id").because(error)
        })?;
        if id != 0 {
            return Ok(id);
        }
    }
}
