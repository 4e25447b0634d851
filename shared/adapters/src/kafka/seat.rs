//! The one writer of each partition: its claim, its transactions. Knows no reader's place.
//!
//! Who the writer is stands in two places that change together. The broker knows the last producer that called
//! `init_transactions` under the partition's `transactional.id`, and fences every other. The group's committed offset
//! carries the offset of the last claim beside it, written by the claim's own transaction; so that a process that has
//! lost its producer, or never had one, can tell whether a claim is still the last.

use std::sync::Arc;

use caerus_runtime::config::Kafka;
use caerus_runtime::port::{Epoch, LogId, NewRecord, PortError, PortErrorKind, PortResult, Topic};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::producer::FutureProducer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::client::{Context, configure};
use super::fault::fault;
use super::reader::ANSWER_MAX;
use super::topics::name_of;
use super::transaction::{Failure, TRANSACTION_MAX, Transaction, abort, initialised};
use super::{appender, blocking};

/// A transaction begun before the former one's markers are written is refused for the moment, and tried again after that.
const MARKERS_LOOK_EVERY_MS: &str = "2";

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

/// What a claim's transaction holds.
struct Claim {
    record: NewRecord,
    group: ConsumerGroupMetadata,
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
            let record = NewRecord {
                topic: Topic::Signals,
                partition,
                key: Vec::new(),
                value: claim,
            };
            let claim = Claim { record, group };
            let offset = seats.claim_seated(&mut seat, &claim, &runtime)?;
            Ok(Epoch {
                log: seats.log,
                claim_offset: offset,
            })
        })
        .await
    }

    /// Begins a transaction, writes into it, and goes: what a process does that is killed in its middle.
    #[cfg(test)]
    pub(super) async fn leave_open(
        self: &Arc<Self>,
        partition: u32,
        record: &NewRecord,
    ) -> PortResult<()> {
        let mut seat = self.take_seat(partition).await?;
        let (seats, record, runtime) = (Arc::clone(self), record.clone(), Handle::current());
        blocking(move || {
            seat.producer = None;
            let producer = seats.initialised(partition)?;
            let name = name_of(&seats.settings, record.topic);
            let left = Transaction::begin(&producer, &runtime).and_then(|mut open| {
                open.append(&record, &name)?;
                open.delivered()
            });
            left.map_err(|failure| failure.told("leave a transaction open"))?;
            Ok(())
        })
        .await
    }

    fn claim_seated(&self, seat: &mut Seat, claim: &Claim, runtime: &Handle) -> PortResult<u64> {
        // A producer of before would do, were it not fenced by now; a fresh one is sure of it.
        seat.producer = None;
        let partition = claim.record.partition;
        let producer = self.initialised(partition)?;
        let committed = self.committed(partition)?;
        let outcome = self.put_claim(&producer, claim, committed.completed, runtime);
        match outcome {
            Ok(offset) => {
                *seat = Seat {
                    producer: Some(producer),
                    claim: Some(offset),
                    completed: committed.completed,
                };
                Ok(offset)
            }
            Err(failure) => {
                // The seat's next producer settles what this one leaves.
                abort(&producer, partition, &failure);
                Err(failure.told(format!("claim partition {partition}")))
            }
        }
    }

    /// The claim, and beside it its own offset under the group's.
    fn put_claim(
        &self,
        producer: &FutureProducer<Context>,
        claim: &Claim,
        completed: u64,
        runtime: &Handle,
    ) -> Result<u64, Failure> {
        let mut transaction = Transaction::begin(producer, runtime)?;
        transaction.append(&claim.record, &self.signals)?;
        let offset = transaction.delivered()?.pop();
        let offset = offset.ok_or(Failure::Before(KafkaError::NoMessageReceived))?;
        let place = self.place(claim.record.partition, completed, offset);
        transaction.carry(&place.map_err(Failure::Told)?, &claim.group)?;
        transaction.commit()?;
        Ok(offset)
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
        match self.put_outputs(&producer, publication, completed, runtime) {
            Ok(offsets) => {
                seat.completed = completed;
                Ok(offsets)
            }
            Err(failure) => {
                if !abort(&producer, partition, &failure) {
                    seat.producer = None;
                }
                Err(failure.told(format!("publish the outputs of partition {partition}")))
            }
        }
    }

    fn put_outputs(
        &self,
        producer: &FutureProducer<Context>,
        publication: &Publication,
        completed: u64,
        runtime: &Handle,
    ) -> Result<Vec<u64>, Failure> {
        let claim = publication.epoch.claim_offset;
        let place = self
            .place(publication.partition, completed, claim)
            .map_err(Failure::Told)?;
        let mut transaction = Transaction::begin(producer, runtime)?;
        for output in &publication.outputs {
            transaction.append(output, &name_of(&self.settings, output.topic))?;
        }
        // While the records are under way.
        transaction.carry(&place, &publication.group)?;
        let offsets = transaction.delivered()?;
        transaction.commit()?;
        Ok(offsets)
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

    /// A producer after which no earlier one of the partition can commit anything.
    fn initialised(&self, partition: u32) -> PortResult<FutureProducer<Context>> {
        let mut config = configure(&self.settings, &appender::ROLE)?;
        let id = format!("caerus-{:016x}-{partition}", self.log.0);
        let timeout_ms = TRANSACTION_MAX.as_millis().to_string();
        config.set("transactional.id", id);
        config.set("transaction.timeout.ms", &timeout_ms);
        config.set("retry.backoff.ms", MARKERS_LOOK_EVERY_MS);
        config.set("message.timeout.ms", &timeout_ms);
        initialised(
            &config,
            &self.signals,
            &format!("fence the owner of partition {partition}"),
        )
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
