//! One transaction of one producer: all of it or nothing. Knows no claim and no seat.

use std::time::{Duration, Instant};

use caerus_runtime::port::{NewRecord, PortError, PortResult};
use rdkafka::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryFuture, FutureProducer, Producer};
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::runtime::Handle;

use super::appender;
use super::client::{Context, create};
use super::fault::{code_of, fault};
use super::reader::ANSWER_MAX;

/// A transaction whose owner stopped holds every reader back that long at most.
pub(super) const TRANSACTION_MAX: Duration = Duration::from_secs(10);
/// Fencing waits until the former producer's transaction has ended.
const INIT_MAX: Duration = Duration::from_secs(15);
/// The commit's answer; without one its outcome is unknown.
const COMMIT_MAX: Duration = Duration::from_secs(10);
const ABORT_MAX: Duration = Duration::from_secs(5);
/// A record is counted as under way for a moment after its delivery was told; a commit that finds one waits 100 ms.
const COUNT_EVERY: Duration = Duration::from_micros(100);
const COUNTS_MAX: u32 = 50;
const ROOM_LOOK_EVERY: Duration = Duration::from_millis(2);

/// A new producer of a `transactional.id`, which fences those before it and ends what they had open. Blocks.
pub(super) fn initialised(
    config: &ClientConfig,
    topic: &str,
    operation: &str,
) -> PortResult<FutureProducer<Context>> {
    let failed = |error| fault(operation, error);
    let producer: FutureProducer<Context> = create(config, Context::default())?;
    // Without a connection librdkafka looks for the transactions' coordinator again only after half a second.
    producer
        .client()
        .fetch_metadata(Some(topic), ANSWER_MAX)
        .map_err(failed)?;
    producer.init_transactions(INIT_MAX).map_err(failed)?;
    Ok(producer)
}

/// Why a transaction did not come about.
#[derive(Debug)]
pub(super) enum Failure {
    /// Before its commit, or refused by it: nothing of it will be seen.
    Before(KafkaError),
    /// Of the same kind, and says already what failed.
    Told(PortError),
    /// Whether it was committed is not known.
    Unknown(KafkaError),
}

impl Failure {
    pub(super) fn told(self, operation: impl Into<String>) -> PortError {
        match self {
            Self::Before(error) | Self::Unknown(error) => fault(operation, error),
            Self::Told(error) => error,
        }
    }
}

/// Begun and not yet committed. All that waits in here blocks.
pub(super) struct Transaction<'a> {
    producer: &'a FutureProducer<Context>,
    runtime: &'a Handle,
    deliveries: Vec<DeliveryFuture>,
}

impl<'a> Transaction<'a> {
    pub(super) fn begin(
        producer: &'a FutureProducer<Context>,
        runtime: &'a Handle,
    ) -> Result<Self, Failure> {
        producer.begin_transaction().map_err(Failure::Before)?;
        Ok(Self {
            producer,
            runtime,
            deliveries: Vec::new(),
        })
    }

    pub(super) fn append(&mut self, record: &NewRecord, name: &str) -> Result<(), Failure> {
        let delivery = enqueue(self.producer, record, name).map_err(Failure::Told)?;
        self.deliveries.push(delivery);
        Ok(())
    }

    /// The group's offset `place` is committed with the records.
    pub(super) fn carry(
        &self,
        place: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), Failure> {
        self.producer
            .send_offsets_to_transaction(place, group, COMMIT_MAX)
            .map_err(Failure::Before)
    }

    /// Waits until the brokers have what was appended. *Returns*: the records' offsets, in order.
    pub(super) fn delivered(&mut self) -> Result<Vec<u64>, Failure> {
        let mut offsets = Vec::with_capacity(self.deliveries.len());
        for delivery in self.deliveries.drain(..) {
            let outcome = appender::outcome(self.runtime.block_on(delivery));
            let offset = outcome.map_err(|error| Failure::Before(cause(self.producer, error)))?;
            offsets.push(offset);
        }
        Ok(offsets)
    }

    /// Call it when everything is delivered: it would wait for that as well, but looks only every 100 ms.
    pub(super) fn commit(self) -> Result<(), Failure> {
        commit(self.producer).map_err(|error| match &error {
            KafkaError::Transaction(cause) if cause.txn_requires_abort() => Failure::Before(error),
            _ => Failure::Unknown(error),
        })
    }
}

/// A producer that is fenced lets go of its records, and says so of each rather than why.
fn cause(producer: &FutureProducer<Context>, error: KafkaError) -> KafkaError {
    match producer.client().fatal_error() {
        Some((code, _)) => KafkaError::MessageProduction(code),
        None => error,
    }
}

/// As `commit_transaction`; tried again while librdkafka says that it may be.
fn commit(producer: &FutureProducer<Context>) -> Result<(), KafkaError> {
    for _ in 0..COUNTS_MAX {
        if producer.in_flight_count() == 0 {
            break;
        }
        std::thread::sleep(COUNT_EVERY);
    }
    let deadline = Instant::now() + COMMIT_MAX;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match producer.commit_transaction(left) {
            Err(KafkaError::Transaction(cause)) if cause.is_retriable() && !left.is_zero() => {}
            done => return done,
        }
    }
}

fn enqueue(
    producer: &FutureProducer<Context>,
    record: &NewRecord,
    name: &str,
) -> PortResult<DeliveryFuture> {
    let deadline = Instant::now() + TRANSACTION_MAX;
    loop {
        match appender::enqueue(producer, record, name)? {
            Some(delivery) => return Ok(delivery),
            None if Instant::now() > deadline => {
                let code = RDKafkaErrorCode::QueueFull;
                let error = KafkaError::MessageProduction(code);
                return Err(fault(format!("append to `{name}`"), error));
            }
            None => std::thread::sleep(ROOM_LOOK_EVERY),
        }
    }
}

/// *Returns*: whether the producer may begin another transaction. One that was fenced, or whose commit has no known
/// outcome, may not: whoever goes on makes a new one, which settles the old one's transaction.
pub(super) fn abort(producer: &FutureProducer<Context>, partition: u32, failure: &Failure) -> bool {
    let is_lost = match failure {
        Failure::Unknown(_) => true,
        Failure::Before(KafkaError::Transaction(cause)) => cause.is_fatal(),
        Failure::Before(_) | Failure::Told(_) => false,
    };
    if is_lost {
        return false;
    }
    match producer.abort_transaction(ABORT_MAX) {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(partition, code = ?code_of(&error), "a transaction was left to its end");
            false
        }
    }
}
