//! The bus on Apache Kafka, through librdkafka. Knows no other adapter.
//!
//! Records are topics' messages as they are; the log's head is a topic of its own. Reading goes through one consumer,
//! appending through one producer, and each partition's owner has a producer for its transactions. Transactions leave
//! markers in the partitions they touch, which take an offset each and are no records.

mod appender;
pub(crate) mod client;
pub(crate) mod fault;
mod head;
mod member;
mod reader;
mod seat;
mod shelf;
pub(crate) mod sources;
#[cfg(test)]
pub(crate) mod tests;
mod topics;
mod transaction;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use caerus_runtime::config::Kafka;
use caerus_runtime::port::{
    Bus, BusBatch, Epoch, LogId, NewRecord, PortError, PortErrorKind, PortResult, ReadLimit, Topic,
};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::consumer::{Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::appender::Appender;
use self::client::{Context, configure, create};
use self::fault::fault;
use self::head::Head;
use self::member::Member;
use self::reader::Reader;
use self::seat::Seats;
use crate::distributed::GroupBus;

pub use self::sources::KafkaSources;

/// Partitions of a log at most.
const PARTITIONS_MAX: u32 = 1_024;
/// How long a broker may take to let go of records.
const TRIM_MAX: Duration = Duration::from_secs(30);

/// The log and the topics on Kafka's brokers.
pub struct KafkaBus {
    settings: Kafka,
    head: Head,
    reader: Arc<Reader>,
    appender: Appender,
    seats: Arc<Seats>,
    member: Mutex<Option<Member>>,
    /// Serves the reader; ends with the bus.
    _pump: JoinSet<()>,
}

impl std::fmt::Debug for KafkaBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaBus")
            .field("brokers", &self.settings.brokers)
            .field("topic_prefix", &self.settings.topic_prefix)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl KafkaBus {
    /// Opens the log with that many partitions, and creates its topics where they are missing.
    ///
    /// *Errors*: `Refused` when the brokers refuse the credentials or a property, when a topic or the log's head has
    /// another number of partitions, or the head is of a newer version; `Unavailable` when no broker answers.
    pub async fn connect(settings: &Kafka, partitions: u32) -> PortResult<Arc<Self>> {
        if partitions == 0 || partitions > PARTITIONS_MAX {
            return Err(PortError::new(
                PortErrorKind::Refused,
                format!(
                    "create a log of {partitions} partitions; it has between 1 and {PARTITIONS_MAX}"
                ),
            ));
        }
        let consumer = reader::consumer(settings)?;
        topics::ensure(settings, &consumer, partitions).await?;
        let reader = Arc::new(Reader::new(settings, consumer, partitions));
        let mut pump = JoinSet::new();
        pump.spawn(reader::pump(Arc::downgrade(&reader)));
        let head = head::settle(settings, &reader, partitions).await?;
        let seats = Seats::new(settings, head.log, partitions, reader.consumer());
        Ok(Arc::new(Self {
            settings: settings.clone(),
            head,
            appender: Appender::new(settings)?,
            seats: Arc::new(seats),
            reader,
            member: Mutex::new(None),
            _pump: pump,
        }))
    }

    fn member(&self) -> MutexGuard<'_, Option<Member>> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the membership, or of a consumer that is no member where there is none.
    fn group(&self) -> PortResult<ConsumerGroupMetadata> {
        let member = self.member().as_ref().and_then(Member::metadata);
        member
            .or_else(|| self.reader.consumer().group_metadata())
            .ok_or_else(|| {
                let operation = format!("name the group `{}`", self.settings.group);
                PortError::new(PortErrorKind::Unavailable, operation)
            })
    }

    fn check_places(&self, records: &[NewRecord]) -> PortResult<()> {
        for record in records {
            self.reader.shelf(record.topic, record.partition)?;
        }
        Ok(())
    }

    /// What was just committed is read by whoever asks from now on, and wakes those who wait.
    fn note(&self, placed: impl Iterator<Item = (Topic, u32, u64)>) -> PortResult<()> {
        for (topic, partition, offset) in placed {
            let shelf = self.reader.shelf(topic, partition)?;
            let end = offset.saturating_add(1);
            shelf.note_end(end);
            shelf.announce(end);
        }
        Ok(())
    }

    /// The same, of a transaction.
    fn note_committed(
        &self,
        placed: impl Iterator<Item = (Topic, u32, u64)> + Clone,
    ) -> PortResult<()> {
        for (topic, partition, offset) in placed.clone() {
            self.reader.shelf(topic, partition)?.note_committed(offset);
        }
        self.note(placed)
    }

    async fn check_completed(&self, partition: u32, completed: u64) -> PortResult<()> {
        let shelf = self.reader.shelf(Topic::Signals, partition)?;
        if completed <= shelf.end() {
            return Ok(());
        }
        let end = self.reader.end(shelf).await?;
        if completed <= end {
            return Ok(());
        }
        Err(PortError::new(
            PortErrorKind::Refused,
            format!(
                "call the outputs of partition {partition} complete up to {completed}, because its log ends at {end}"
            ),
        ))
    }
}

/// Runs what waits for the brokers where it holds nobody up. *Errors*: `Unavailable` when the runtime stops.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => {
            Err(PortError::new(PortErrorKind::Unavailable, "wait for Kafka").because(error))
        }
    }
}

#[async_trait]
impl Bus for KafkaBus {
    fn log_id(&self) -> LogId {
        self.head.log
    }

    fn partitions(&self) -> u32 {
        self.head.partitions
    }

    async fn append(&self, records: Vec<NewRecord>) -> PortResult<Vec<u64>> {
        let mut names = Vec::with_capacity(records.len());
        for record in &records {
            let shelf = self.reader.shelf(record.topic, record.partition)?;
            names.push(shelf.topic.as_str());
        }
        let offsets = self.appender.append(&records, &names).await?;
        let placed = records.iter().zip(&offsets);
        self.note(placed.map(|(record, offset)| (record.topic, record.partition, *offset)))?;
        Ok(offsets)
    }

    async fn claim(&self, partition: u32, claim: Arc<[u8]>) -> PortResult<Epoch> {
        self.reader.shelf(Topic::Signals, partition)?;
        let epoch = self.seats.claim(partition, claim, self.group()?).await?;
        self.note_committed([(Topic::Signals, partition, epoch.claim_offset)].into_iter())?;
        Ok(epoch)
    }

    async fn publish(
        &self,
        partition: u32,
        epoch: Epoch,
        outputs: Vec<NewRecord>,
        completed: u64,
    ) -> PortResult<Vec<u64>> {
        self.reader.shelf(Topic::Signals, partition)?;
        self.check_places(&outputs)?;
        let places: Vec<_> = outputs.iter().map(|o| (o.topic, o.partition)).collect();
        let publication = seat::Publication {
            partition,
            epoch,
            outputs,
            completed,
            group: self.group()?,
        };
        self.seats.check_log(&publication)?;
        self.check_completed(partition, completed).await?;
        let offsets = self.seats.publish(publication).await?;
        let placed = places.into_iter().zip(&offsets);
        self.note_committed(
            placed.map(|((topic, partition), offset)| (topic, partition, *offset)),
        )?;
        Ok(offsets)
    }

    async fn completed(&self, partition: u32) -> PortResult<u64> {
        self.reader.shelf(Topic::Signals, partition)?;
        let seats = Arc::clone(&self.seats);
        let committed = blocking(move || seats.committed(partition)).await?;
        Ok(committed.completed)
    }

    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: u64,
        limit: ReadLimit,
    ) -> PortResult<BusBatch> {
        let shelf = self.reader.shelf(topic, partition)?;
        self.reader.read(shelf, from, limit).await
    }

    async fn start(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        let shelf = self.reader.shelf(topic, partition)?;
        Ok(self.reader.bounds(shelf).await?.0)
    }

    async fn end(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        let shelf = self.reader.shelf(topic, partition)?;
        self.reader.end(shelf).await
    }

    fn appended(&self, topic: Topic) -> watch::Receiver<u64> {
        self.reader.appended(topic)
    }

    async fn trim(&self, topic: Topic, partition: u32, before: u64) -> PortResult<()> {
        let shelf = self.reader.shelf(topic, partition)?;
        if topic.is_compacted() {
            return Err(PortError::new(
                PortErrorKind::Refused,
                format!("trim `{}`, because it is compacted by key", topic.name()),
            ));
        }
        let (start, end) = self.reader.bounds(shelf).await?;
        let before = before.min(end);
        if before <= start {
            return Ok(());
        }
        let operation = format!("trim {} below {before}", shelf.place());
        let failed = |error| fault(operation.as_str(), error);
        let mut wanted = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(before).unwrap_or(i64::MAX));
        wanted
            .add_partition_offset(&shelf.topic, shelf.partition, offset)
            .map_err(failed)?;
        let admin: AdminClient<Context> =
            create(&configure(&self.settings, &[])?, Context::default())?;
        let options = AdminOptions::new()
            .request_timeout(Some(TRIM_MAX))
            .operation_timeout(Some(TRIM_MAX));
        let trimmed = admin.delete_records(&wanted, &options).await;
        // Its end waits for a thread.
        tokio::task::spawn_blocking(move || drop(admin));
        let trimmed = trimmed.map_err(failed)?;
        let one = trimmed
            .find_partition(&shelf.topic, shelf.partition)
            .ok_or_else(|| failed(KafkaError::NoMessageReceived))?;
        one.error().map_err(failed)
    }
}

#[async_trait]
impl GroupBus for KafkaBus {
    async fn join(&self) -> PortResult<watch::Receiver<BTreeSet<u32>>> {
        let mut member = self.member();
        match member.as_ref() {
            Some(member) => Ok(member.owned()),
            None => Ok(member.insert(Member::join(&self.settings)?).owned()),
        }
    }

    async fn leave(&self) {
        let member = self.member().take();
        if let Some(member) = member {
            member.leave().await;
        }
    }
}
