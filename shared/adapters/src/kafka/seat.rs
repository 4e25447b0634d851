//! The one writer of each partition: its claim, its transactions. Knows no reader's place.
//!
//! Who the writer is stands in two places that change together. The broker knows the last producer that called
//! `init_transactions` under the partition's `transactional.id`, and fences every other. The group's committed offset
//! carries the offset of the last claim beside it, written by the claim's own transaction; so that a process that has
//! lost its producer, or never had one, can tell whether a claim is still the last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use caerus_runtime::config::Kafka;
use caerus_runtime::port::{Epoch, LogId, NewRecord, PortError, PortErrorKind, PortResult, Topic};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::client::{Context, configure, create};
use super::fault::{code_of, fault};
use super::reader::ANSWER_MAX;
use super::topics::name_of;
use super::{appender, blocking};

/// A transaction whose owner stopped holds every reader back that long at most.
const TRANSACTION_MAX: Duration = Duration::from_secs(10);
/// Fencing waits until the former producer's transaction has ended.
const INIT_MAX: Duration = Duration::from_secs(15);
/// The commit's answer; without one its outcome is unknown.
const COMMIT_MAX: Duration = Duration::from_secs(10);
const ABORT_MAX: Duration = Duration::from_secs(5);
const ROOM_LOOK_EVERY: Duration = Duration::from_millis(2);

/// The seats of all partitions.
pub(super) struct Seats {
    settings: Kafka,
    log: LogId,
    signals: String,
    seats: Vec<Arc<Mutex<Seat>>>,
    /// Asks what the group committed.
    consumer: Arc<BaseConsumer<Context>>,
}

/// A partition's owner, as far as this process knows.
#[derive(Default)]
struct Seat {
    /// Initialised, and not known to be fenced.
    producer: Option<FutureProducer<Context>>,
    /// The offset of the last claim known.
    claim: Option<u64>,
    completed: u64,
}

/// What the group has committed for a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) completed: u64,
    /// The offset of the last claim; `None` before the first.
    claim: Option<u64>,
}

/// What one transaction of an owner holds.
pub(super) struct Publication {
    pub(super) partition: u32,
    pub(super) epoch: Epoch,
    pub(super) outputs: Vec<NewRecord>,
    pub(super) completed: u64,
    pub(super) group: ConsumerGroupMetadata,
}

impl Seats {
    pub(super) fn new(
        settings: &Kafka,
        log: LogId,
        partitions: u32,
        consumer: &Arc<BaseConsumer<Context>>,
    ) -> Self {
        Self {
            settings: settings.clone(),
            log,
            signals: name_of(settings, Topic::Signals),
            seats: (0..partitions).map(|_| Arc::default()).collect(),
            consumer: Arc::clone(consumer),
        }
    }

    async fn take_seat(&self, partition: u32) -> PortResult<OwnedMutexGuard<Seat>> {
        let seat = usize::try_from(partition)
            .ok()
            .and_then(|index| self.seats.get(index));
        match seat {
            Some(seat) => Ok(Arc::clone(seat).lock_owned().await),
            None => Err(PortError::new(
                PortErrorKind::Refused,
                format!("own partition {partition}; there are {}", self.seats.len()),
            )),
        }
    }

    /// Fences whoever owned the partition, and puts the claim into its log. *Returns*: the claim's offset.
    pub(super) async fn claim(
        self: &Arc<Self>,
        partition: u32,
        claim: Arc<[u8]>,
        group: ConsumerGroupMetadata,
    ) -> PortResult<Epoch> {
        let mut seat = self.take_seat(partition).await?;
        let (seats, runtime) = (Arc::clone(self), Handle::current());
        blocking(move || {
            let claim = NewRecord {
                topic: Topic::Signals,
                partition,
                key: Vec::new(),
                value: claim,
            };
            let offset = seats.claim_seated(&mut seat, &claim, &group, &runtime)?;
            Ok(Epoch {
                log: seats.log,
                claim_offset: offset,
            })
        })
        .await
    }

    fn claim_seated(
        &self,
        seat: &mut Seat,
        claim: &NewRecord,
        group: &ConsumerGroupMetadata,
        runtime: &Handle,
    ) -> PortResult<u64> {
        // A producer of before would do, were it not fenced by now; a fresh one is sure of it.
        seat.producer = None;
        let partition = claim.partition;
        let producer = self.initialised(partition)?;
        let committed = self.committed(partition)?;
        let operation = || format!("claim partition {partition}");
        let failed = |error| fault(operation(), error);
        producer.begin_transaction().map_err(failed)?;
        let outcome = (|| {
            let delivery = enqueue(&producer, claim, &self.signals)?;
            let offset = appender::outcome(runtime.block_on(delivery)).map_err(failed)?;
            let place = self.place(partition, committed.completed, offset)?;
            producer
                .send_offsets_to_transaction(&place, group, COMMIT_MAX)
                .map_err(failed)?;
            commit(&producer).map_err(failed)?;
            Ok(offset)
        })();
        match outcome {
            Ok(offset) => {
                *seat = Seat {
                    producer: Some(producer),
                    claim: Some(offset),
                    completed: committed.completed,
                };
                Ok(offset)
            }
            Err(error) => {
                give_up(&producer, partition);
                Err(error)
            }
        }
    }

    /// *Errors*: `Conflict` when the claim is of another log.
    pub(super) fn check_log(&self, publication: &Publication) -> PortResult<()> {
        if publication.epoch.log == self.log {
            return Ok(());
        }
        let reason = "the claim is of another log";
        Err(refusal(
            PortErrorKind::Conflict,
            publication.partition,
            reason,
        ))
    }

    /// One transaction of the partition's owner. *Returns*: the records' offsets.
    pub(super) async fn publish(
        self: &Arc<Self>,
        publication: Publication,
    ) -> PortResult<Vec<u64>> {
        self.check_log(&publication)?;
        appender::check_sizes(&publication.outputs)?;
        let mut seat = self.take_seat(publication.partition).await?;
        let (seats, runtime) = (Arc::clone(self), Handle::current());
        blocking(move || seats.publish_seated(&mut seat, &publication, &runtime)).await
    }

    fn publish_seated(
        &self,
        seat: &mut Seat,
        publication: &Publication,
        runtime: &Handle,
    ) -> PortResult<Vec<u64>> {
        let (partition, epoch) = (publication.partition, publication.epoch);
        let producer = self.sit_down(seat, partition, epoch)?;
        let completed = publication.completed.max(seat.completed);
        let place = self.place(partition, completed, epoch.claim_offset)?;
        let names: Vec<_> = publication
            .outputs
            .iter()
            .map(|output| name_of(&self.settings, output.topic))
            .collect();
        match transact(&producer, publication, &names, &place, runtime) {
            Ok(offsets) => {
                seat.completed = completed;
                Ok(offsets)
            }
            Err(failure) => {
                if !abort(&producer, partition, &failure) {
                    seat.producer = None;
                }
                let operation = format!("publish the outputs of partition {partition}");
                Err(match failure {
                    Failure::Kafka(error) | Failure::Unknown(error) => fault(operation, error),
                    Failure::Port(error) => error,
                })
            }
        }
    }

    /// Makes sure that the epoch is the last claim's, and that its producer stands.
    fn sit_down(
        &self,
        seat: &mut Seat,
        partition: u32,
        epoch: Epoch,
    ) -> PortResult<FutureProducer<Context>> {
        if let Some(producer) = &seat.producer
            && seat.claim == Some(epoch.claim_offset)
        {
            return Ok(producer.clone());
        }
        if seat.claim.is_some_and(|claim| claim > epoch.claim_offset) {
            return Err(refusal(
                PortErrorKind::Conflict,
                partition,
                "there is a later claim",
            ));
        }
        check_claim(partition, epoch, self.committed(partition)?)?;
        // INVARIANT: the claim is looked at again after fencing. Whoever claimed between the two looks has either
        // committed its claim, which is then seen here, or can commit it no more.
        let producer = self.initialised(partition)?;
        let committed = self.committed(partition)?;
        check_claim(partition, epoch, committed)?;
        *seat = Seat {
            producer: Some(producer.clone()),
            claim: committed.claim,
            completed: committed.completed,
        };
        Ok(producer)
    }

    fn initialised(&self, partition: u32) -> PortResult<FutureProducer<Context>> {
        let mut config = configure(&self.settings, &appender::ROLE)?;
        let id = format!("caerus-{:016x}-{partition}", self.log.0);
        let timeout_ms = TRANSACTION_MAX.as_millis().to_string();
        config.set("transactional.id", id);
        config.set("transaction.timeout.ms", &timeout_ms);
        config.set("message.timeout.ms", &timeout_ms);
        let producer: FutureProducer<Context> = create(&config, Context::default())?;
        producer
            .init_transactions(INIT_MAX)
            .map_err(|error| fault(format!("fence the owner of partition {partition}"), error))?;
        Ok(producer)
    }

    /// Waits for offsets of a transaction that is being committed. Blocks.
    pub(super) fn committed(&self, partition: u32) -> PortResult<Committed> {
        let failed = |error| {
            fault(
                format!("ask what is complete of partition {partition}"),
                error,
            )
        };
        let id = i32::try_from(partition).unwrap_or(i32::MAX);
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.signals, id);
        let answer = self
            .consumer
            .committed_offsets(asked, ANSWER_MAX)
            .map_err(failed)?;
        let Some(one) = answer.find_partition(&self.signals, id) else {
            return Err(failed(KafkaError::NoMessageReceived));
        };
        one.error().map_err(failed)?;
        let Offset::Offset(offset) = one.offset() else {
            return Ok(Committed::default());
        };
        Ok(Committed {
            completed: u64::try_from(offset).unwrap_or(0),
            claim: read_claim(one.metadata()),
        })
    }

    /// The group's offset of the partition, with the claim it stands under.
    fn place(&self, partition: u32, completed: u64, claim: u64) -> PortResult<TopicPartitionList> {
        let operation = || format!("call partition {partition} complete up to {completed}");
        let refused = |error| PortError::new(PortErrorKind::Refused, operation()).because(error);
        let offset = i64::try_from(completed).map_err(|error| refused(error.to_string()))?;
        let id = i32::try_from(partition).unwrap_or(i32::MAX);
        let mut place = TopicPartitionList::new();
        let mut one = place.add_partition(&self.signals, id);
        one.set_offset(Offset::Offset(offset))
            .map_err(|error| refused(error.to_string()))?;
        one.set_metadata(write_claim(claim));
        drop(one);
        Ok(place)
    }
}

fn write_claim(claim: u64) -> String {
    format!("claim={claim}")
}

fn read_claim(metadata: &str) -> Option<u64> {
    metadata.strip_prefix("claim=")?.parse().ok()
}

fn check_claim(partition: u32, epoch: Epoch, committed: Committed) -> PortResult<()> {
    match committed.claim {
        Some(claim) if claim == epoch.claim_offset => Ok(()),
        Some(claim) if claim > epoch.claim_offset => Err(refusal(
            PortErrorKind::Conflict,
            partition,
            "there is a later claim",
        )),
        _ => Err(refusal(
            PortErrorKind::Refused,
            partition,
            "nobody made that claim",
        )),
    }
}

fn refusal(kind: PortErrorKind, partition: u32, reason: &str) -> PortError {
    let operation = format!("publish the outputs of partition {partition}: {reason}");
    PortError::new(kind, operation)
}

/// Why a transaction did not come about.
enum Failure {
    Kafka(KafkaError),
    Port(PortError),
    /// Whether it was committed is not known.
    Unknown(KafkaError),
}

fn transact(
    producer: &FutureProducer<Context>,
    publication: &Publication,
    names: &[String],
    place: &TopicPartitionList,
    runtime: &Handle,
) -> Result<Vec<u64>, Failure> {
    producer.begin_transaction().map_err(Failure::Kafka)?;
    let mut deliveries = Vec::with_capacity(names.len());
    for (record, name) in publication.outputs.iter().zip(names) {
        deliveries.push(enqueue(producer, record, name).map_err(Failure::Port)?);
    }
    producer
        .send_offsets_to_transaction(place, &publication.group, COMMIT_MAX)
        .map_err(Failure::Kafka)?;
    // Waits for the deliveries, and fails with the first that failed.
    commit(producer).map_err(|error| match &error {
        KafkaError::Transaction(cause) if cause.txn_requires_abort() => Failure::Kafka(error),
        _ => Failure::Unknown(error),
    })?;
    let offsets = deliveries
        .into_iter()
        .map(|delivery| appender::outcome(runtime.block_on(delivery)));
    offsets.collect::<Result<_, _>>().map_err(Failure::Unknown)
}

/// As `commit_transaction`, tried again while librdkafka says that it may be.
fn commit(producer: &FutureProducer<Context>) -> Result<(), KafkaError> {
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
) -> PortResult<rdkafka::producer::DeliveryFuture> {
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
fn abort(producer: &FutureProducer<Context>, partition: u32, failure: &Failure) -> bool {
    let is_lost = match failure {
        Failure::Unknown(_) => true,
        Failure::Kafka(KafkaError::Transaction(cause)) => cause.is_fatal(),
        Failure::Kafka(_) | Failure::Port(_) => false,
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

fn give_up(producer: &FutureProducer<Context>, partition: u32) {
    if let Err(error) = producer.abort_transaction(ABORT_MAX) {
        tracing::debug!(partition, code = ?code_of(&error), "a transaction was left to its end");
    }
}
