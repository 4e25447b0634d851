//! Appends for those who own no partition: one producer for all, that repeats without doubling. Knows no transaction.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use caerus_runtime::config::Kafka;
use caerus_runtime::port::{NewRecord, PortError, PortErrorKind, PortResult};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};
use tokio::time::{Instant, sleep};

use super::client::{Context, configure, create};
use super::fault::fault;

/// Key and value of a record at most; librdkafka's and the brokers' own default, less what surrounds them.
const RECORD_BYTES_MAX: usize = 1_000_000 - 1_024;
/// How long a full queue of the producer's may take to have room again.
const ROOM_MAX: Duration = Duration::from_secs(5);
const ROOM_LOOK_EVERY: Duration = Duration::from_millis(2);

/// Acknowledged by every replica in sync; repeated by the client itself until the delivery's time is over.
pub(super) const ROLE: [(&str, &str); 6] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("linger.ms", "1"),
    ("compression.type", "lz4"),
    // Milliseconds; a transaction's own limit is lower and wins there.
    ("message.timeout.ms", "15000"),
    ("request.timeout.ms", "10000"),
];

pub(super) struct Appender {
    settings: Kafka,
    producer: Mutex<FutureProducer<Context>>,
}

impl Appender {
    pub(super) fn new(settings: &Kafka) -> PortResult<Self> {
        Ok(Self {
            settings: settings.clone(),
            producer: Mutex::new(make(settings)?),
        })
    }

    /// *Shape*: `names` are the records' topics on the broker.
    /// *Errors*: `Unavailable` when some were not acknowledged; others may have been.
    pub(super) async fn append(
        &self,
        records: &[NewRecord],
        names: &[&str],
    ) -> PortResult<Vec<u64>> {
        check_sizes(records)?;
        let producer = self.producer();
        let mut waiting = Vec::with_capacity(records.len());
        for (record, name) in records.iter().zip(names) {
            waiting.push(send(&producer, record, name).await?);
        }
        let mut offsets = Vec::with_capacity(waiting.len());
        let mut failed = None;
        for (delivery, name) in waiting.into_iter().zip(names) {
            match outcome(delivery.await) {
                Ok(offset) => offsets.push(offset),
                Err(error) => failed = failed.or(Some(fault(appending(name), error))),
            }
        }
        match failed {
            None => Ok(offsets),
            Some(error) => {
                self.renew_where_broken(&producer)?;
                // A record may be too large for one topic's configuration while others are in.
                let is_partial = !offsets.is_empty();
                let kind = if is_partial {
                    PortErrorKind::Unavailable
                } else {
                    error.kind
                };
                Err(PortError { kind, ..error })
            }
        }
    }

    fn producer(&self) -> FutureProducer<Context> {
        self.producer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A producer that lost count of its own sequence never sends again.
    fn renew_where_broken(&self, broken: &FutureProducer<Context>) -> PortResult<()> {
        let Some((code, reason)) = broken.client().fatal_error() else {
            return Ok(());
        };
        tracing::warn!(%code, reason, "the producer of appends is replaced");
        let fresh = make(&self.settings)?;
        *self.producer.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

fn make(settings: &Kafka) -> PortResult<FutureProducer<Context>> {
    create(&configure(settings, &ROLE)?, Context::default())
}

fn appending(name: &str) -> String {
    format!("append to `{name}`")
}

/// *Errors*: `Refused` for a record that no broker would take.
pub(super) fn check_sizes(records: &[NewRecord]) -> PortResult<()> {
    for record in records {
        let bytes = record.key.len().saturating_add(record.value.len());
        if bytes > RECORD_BYTES_MAX {
            let operation = format!(
                "append {bytes} bytes to `{}`; a record has at most {RECORD_BYTES_MAX}",
                record.topic.name()
            );
            return Err(PortError::new(PortErrorKind::Refused, operation));
        }
    }
    Ok(())
}

async fn send(
    producer: &FutureProducer<Context>,
    record: &NewRecord,
    name: &str,
) -> PortResult<DeliveryFuture> {
    let deadline = Instant::now() + ROOM_MAX;
    loop {
        match enqueue(producer, record, name)? {
            Some(delivery) => return Ok(delivery),
            None if Instant::now() > deadline => {
                let code = RDKafkaErrorCode::QueueFull;
                return Err(fault(appending(name), KafkaError::MessageProduction(code)));
            }
            None => sleep(ROOM_LOOK_EVERY).await,
        }
    }
}

/// `None` where the producer's queue is full.
pub(super) fn enqueue(
    producer: &FutureProducer<Context>,
    record: &NewRecord,
    name: &str,
) -> PortResult<Option<DeliveryFuture>> {
    let partition = i32::try_from(record.partition).unwrap_or(i32::MAX);
    let mut message = FutureRecord::to(name)
        .partition(partition)
        .key(record.key.as_slice());
    if !(record.value.is_empty() && record.topic.is_compacted()) {
        message = message.payload(&*record.value);
    }
    match producer.send_result(message) {
        Ok(delivery) => Ok(Some(delivery)),
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(None),
        Err((error, _)) => Err(fault(appending(name), error)),
    }
}

/// The offset that a delivered record has.
pub(super) fn outcome<E>(
    delivery: Result<rdkafka::producer::future_producer::OwnedDeliveryResult, E>,
) -> Result<u64, KafkaError> {
    match delivery {
        Ok(Ok(delivery)) => Ok(u64::try_from(delivery.offset).unwrap_or(0)),
        Ok(Err((error, _))) => Err(error),
        Err(_) => Err(KafkaError::Canceled),
    }
}
