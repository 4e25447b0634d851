//! Reads every topic through one consumer that is told where to read; follows no group. Knows no producer.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use caerus_runtime::config::Kafka;
use caerus_runtime::port::{BusBatch, PortError, PortErrorKind, PortResult, ReadLimit, Topic};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::{Notify, OwnedMutexGuard, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::blocking;
use super::client::{Context, configure, create};
use super::fault::{code_of, fault};
use super::shelf::{Line, Shelf};
use super::topics::{head_name, name_of, partitions_of};

/// How long a broker has for an answer about offsets.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long a partition may go without a leader.
const LEADER_MAX: Duration = Duration::from_secs(10);
const LEADER_LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long records that are known to be there may take to come.
const RECORDS_MAX: Duration = Duration::from_secs(10);
/// How long the markers of a committed transaction may take to be written.
const MARKERS_MAX: Duration = Duration::from_secs(2);
const MARKERS_LOOK_EVERY: Duration = Duration::from_millis(1);
/// After that long without a record the end is asked again: an open transaction may hold back what follows it.
const DOUBT_AFTER: Duration = Duration::from_millis(500);
/// librdkafka's logs and complaints are served at least that often.
const SERVE_EVERY: Duration = Duration::from_millis(100);
/// What the pump takes in at once: enough to know that something is there.
const GLANCE: ReadLimit = ReadLimit {
    records: 1,
    bytes: usize::MAX,
};

/// Waits of a fetch are short, because a partition that is read from elsewhere has to wait for the fetch under way.
const ROLE: [(&str, &str); 11] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("isolation.level", "read_committed"),
    ("auto.offset.reset", "earliest"),
    ("check.crcs", "true"),
    ("fetch.min.bytes", "1"),
    ("fetch.wait.max.ms", "50"),
    ("fetch.error.backoff.ms", "50"),
    ("fetch.queue.backoff.ms", "20"),
    // Of each partition, fetched and not yet read.
    ("queued.max.messages.kbytes", "4096"),
];

pub(super) struct Reader {
    // Before the consumer: a queue must be gone before its consumer is.
    shelves: BTreeMap<(Topic, u32), Arc<Shelf>>,
    head: Arc<Shelf>,
    appended: BTreeMap<Topic, watch::Sender<u64>>,
    pump: Arc<Notify>,
    /// Topics whose partitions are all fetched, because somebody waits on them.
    watched: std::sync::Mutex<JoinSet<()>>,
    consumer: Arc<BaseConsumer<Context>>,
}

/// A consumer that belongs to the group without following it.
pub(super) fn consumer(settings: &Kafka) -> PortResult<Arc<BaseConsumer<Context>>> {
    let mut config = configure(settings, &ROLE)?;
    config.set("group.id", &settings.group);
    Ok(Arc::new(create(&config, Context::default())?))
}

impl Reader {
    pub(super) fn new(
        settings: &Kafka,
        consumer: Arc<BaseConsumer<Context>>,
        partitions: u32,
    ) -> Self {
        let pump = Arc::new(Notify::new());
        let mut shelves = BTreeMap::new();
        let mut appended = BTreeMap::new();
        for topic in Topic::ALL {
            let sender = watch::Sender::new(0);
            let ids = (0..).zip(0..partitions_of(topic, partitions));
            for (id, partition) in ids {
                let shelf = Shelf::new(name_of(settings, topic), id, sender.clone(), &pump);
                shelves.insert((topic, partition), Arc::new(shelf));
            }
            appended.insert(topic, sender);
        }
        let head = Shelf::new(head_name(settings), 0, watch::Sender::new(0), &pump);
        Self {
            shelves,
            head: Arc::new(head),
            appended,
            pump,
            watched: std::sync::Mutex::new(JoinSet::new()),
            consumer,
        }
    }

    pub(super) fn consumer(&self) -> &Arc<BaseConsumer<Context>> {
        &self.consumer
    }

    pub(super) fn head(&self) -> &Arc<Shelf> {
        &self.head
    }

    /// *Errors*: `Refused` when there is no such partition.
    pub(super) fn shelf(&self, topic: Topic, partition: u32) -> PortResult<&Arc<Shelf>> {
        self.shelves.get(&(topic, partition)).ok_or_else(|| {
            let all = self.shelves.range((topic, 0)..=(topic, u32::MAX)).count();
            PortError::new(
                PortErrorKind::Refused,
                format!(
                    "use partition {partition} of `{}`; it has {all}, counted from 0",
                    topic.name()
                ),
            )
        })
    }

    /// The partition's first and last offsets as the broker has them now.
    pub(super) async fn bounds(&self, shelf: &Arc<Shelf>) -> PortResult<(u64, u64)> {
        let (shelf, consumer) = (Arc::clone(shelf), Arc::clone(&self.consumer));
        blocking(move || bounds(&consumer, &shelf)).await
    }

    /// The last stable offset: what an open transaction holds back lies beyond it.
    pub(super) async fn end(&self, shelf: &Arc<Shelf>) -> PortResult<u64> {
        let (shelf, consumer) = (Arc::clone(shelf), Arc::clone(&self.consumer));
        blocking(move || end(&consumer, &shelf)).await
    }

    pub(super) async fn read(
        &self,
        shelf: &Arc<Shelf>,
        from: u64,
        limit: ReadLimit,
    ) -> PortResult<BusBatch> {
        let batch = self.read_locked(shelf, from, limit).await;
        // The pump leaves a shelf alone while somebody reads it.
        if shelf.bell.is_rung.load(Ordering::SeqCst) {
            self.pump.notify_one();
        }
        batch
    }

    async fn read_locked(
        &self,
        shelf: &Arc<Shelf>,
        from: u64,
        limit: ReadLimit,
    ) -> PortResult<BusBatch> {
        let mut line = Arc::clone(&shelf.line).lock_owned().await;
        if !line.as_ref().is_some_and(|line| line.holds(from)) {
            line = self.stand(shelf, line, Place::At(from)).await?;
        }
        let Some(line) = line.as_mut().filter(|line| line.holds(from)) else {
            return Ok(BusBatch {
                records: Vec::new(),
                next: from,
            });
        };
        self.fill(shelf, line, from, limit).await?;
        let batch = line.batch(from, limit);
        line.let_go(batch.next);
        Ok(batch)
    }

    /// Takes in until the limit is met, or everything that is known to be there has come.
    async fn fill(
        &self,
        shelf: &Arc<Shelf>,
        line: &mut Line,
        from: u64,
        limit: ReadLimit,
    ) -> PortResult<()> {
        let deadline = Instant::now() + RECORDS_MAX;
        let mut end = shelf.end();
        loop {
            // Before looking: what comes after the look rings again.
            shelf.bell.is_rung.store(false, Ordering::SeqCst);
            line.take_in(shelf, from, limit)?;
            if line.position() >= end || line.is_full(from, limit) {
                return Ok(());
            }
            if timeout(DOUBT_AFTER, shelf.bell.rung.notified())
                .await
                .is_ok()
            {
                continue;
            }
            let start;
            (start, end) = self.bounds(shelf).await?;
            line.skip_to(start);
            if Instant::now() > deadline {
                return Err(PortError::new(
                    PortErrorKind::Unavailable,
                    format!(
                        "read {} from {} to {end}: nothing came",
                        shelf.place(),
                        line.position()
                    ),
                ));
            }
        }
    }

    /// Lets the line go on at a place; leaves it where there is none such yet.
    async fn stand(
        &self,
        shelf: &Arc<Shelf>,
        mut line: OwnedMutexGuard<Option<Line>>,
        place: Place,
    ) -> PortResult<OwnedMutexGuard<Option<Line>>> {
        let (shelf, consumer) = (Arc::clone(shelf), Arc::clone(&self.consumer));
        // To its end even when the caller goes: half a move would leave the line in no known place.
        blocking(move || {
            let (start, end) = bounds(&consumer, &shelf)?;
            let from = match place {
                Place::At(from) if from > end => return Ok(line),
                Place::At(from) => from,
                Place::AtEnd => end,
            };
            let line_now = match line.as_mut() {
                Some(line) => line,
                None => line.insert(Line::of(&shelf, &consumer)?),
            };
            line_now.go_to(&shelf, from, from.max(start), end)?;
            Ok(line)
        })
        .await
    }

    /// Changes when records arrive; from now on the topic is fetched, from its end where nobody has read it yet.
    pub(super) fn appended(self: &Arc<Self>, topic: Topic) -> watch::Receiver<u64> {
        let Some(sender) = self.appended.get(&topic) else {
            return watch::Sender::new(0).subscribe();
        };
        let receiver = sender.subscribe();
        let mut watched = self
            .watched
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        while watched.try_join_next().is_some() {}
        let shelves = self.shelves.range((topic, 0)..=(topic, u32::MAX));
        for (_, shelf) in shelves {
            let is_open = shelf.line.try_lock().map_or(true, |line| line.is_some());
            if !is_open {
                watched.spawn(follow(Arc::downgrade(self), Arc::clone(shelf)));
            }
        }
        receiver
    }

    /// Looks at the shelves whose bells were rung, so that those who wait are woken.
    fn look_around(&self) {
        drop(self.consumer.poll(Duration::ZERO));
        for shelf in self.shelves.values() {
            if !shelf.bell.is_rung.load(Ordering::SeqCst) {
                continue;
            }
            let Ok(mut line) = shelf.line.try_lock() else {
                continue;
            };
            shelf.bell.is_rung.store(false, Ordering::SeqCst);
            let Some(line) = line.as_mut().filter(|line| line.is_steady()) else {
                continue;
            };
            let at = line.position();
            if let Err(error) = line.take_in(shelf, at, GLANCE) {
                // The next read meets it again, and tells.
                tracing::debug!(
                    error = caerus_runtime::tasks::chain(&error),
                    "a partition's fetch failed"
                );
            }
            line.let_go(u64::MAX);
        }
    }
}

/// Begins to fetch a partition at its end, unless somebody has read it by then.
async fn follow(reader: Weak<Reader>, shelf: Arc<Shelf>) {
    loop {
        let Some(reader) = reader.upgrade() else {
            return;
        };
        let line = Arc::clone(&shelf.line).lock_owned().await;
        if line.is_some() {
            return;
        }
        match reader.stand(&shelf, line, Place::AtEnd).await {
            Ok(_) => return,
            Err(error) => tracing::warn!(
                error = caerus_runtime::tasks::chain(&error),
                "a partition is not followed yet, those who wait on it are not woken"
            ),
        }
        drop(reader);
        tokio::time::sleep(DOUBT_AFTER).await;
    }
}

/// Serves the consumer and its bells as long as there is a reader.
pub(super) async fn pump(reader: Weak<Reader>) {
    let Some(bells) = reader.upgrade().map(|reader| Arc::clone(&reader.pump)) else {
        return;
    };
    loop {
        // Either way there is something to look at.
        drop(timeout(SERVE_EVERY, bells.notified()).await);
        let Some(reader) = reader.upgrade() else {
            return;
        };
        reader.look_around();
    }
}

#[derive(Clone, Copy, Debug)]
enum Place {
    At(u64),
    AtEnd,
}

fn bounds(consumer: &BaseConsumer<Context>, shelf: &Shelf) -> PortResult<(u64, u64)> {
    let asked = patiently(|| consumer.fetch_watermarks(&shelf.topic, shelf.partition, ANSWER_MAX));
    let (start, end) = asked.map_err(|error| {
        fault(
            format!("ask where {} begins and ends", shelf.place()),
            error,
        )
    })?;
    let end = u64::try_from(end).unwrap_or(0);
    shelf.note_end(end);
    Ok((u64::try_from(start).unwrap_or(0), end))
}

/// A commit is answered before its markers are written; until they are, what was committed lies beyond the last stable
/// offset. Whoever committed it and asks now would be told less than they know.
fn end(consumer: &BaseConsumer<Context>, shelf: &Shelf) -> PortResult<u64> {
    let deadline = std::time::Instant::now() + MARKERS_MAX;
    loop {
        let asked = patiently(|| ask_end(consumer, shelf));
        let end =
            asked.map_err(|error| fault(format!("ask where {} ends", shelf.place()), error))?;
        if end >= shelf.marked() || std::time::Instant::now() > deadline {
            shelf.note_end(end);
            return Ok(end);
        }
        std::thread::sleep(MARKERS_LOOK_EVERY);
    }
}

fn ask_end(consumer: &BaseConsumer<Context>, shelf: &Shelf) -> KafkaResult<u64> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition_offset(&shelf.topic, shelf.partition, Offset::End)?;
    let answer = consumer.offsets_for_times(asked, ANSWER_MAX)?;
    let one = answer
        .find_partition(&shelf.topic, shelf.partition)
        .ok_or(KafkaError::NoMessageReceived)?;
    one.error()?;
    match one.offset() {
        Offset::Offset(offset) => Ok(u64::try_from(offset).unwrap_or(0)),
        // An empty partition may have no answer to a question about times.
        _ => {
            let (_, end) = consumer.fetch_watermarks(&shelf.topic, shelf.partition, ANSWER_MAX)?;
            Ok(u64::try_from(end).unwrap_or(0))
        }
    }
}

/// Asks again while a partition changes its leader, or has none yet because it is new. Blocks.
fn patiently<T>(ask: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
    let deadline = std::time::Instant::now() + LEADER_MAX;
    loop {
        match ask() {
            Err(error) if is_leader_sought(&error) && std::time::Instant::now() < deadline => {
                std::thread::sleep(LEADER_LOOK_EVERY);
            }
            answer => return answer,
        }
    }
}

fn is_leader_sought(error: &KafkaError) -> bool {
    matches!(
        code_of(error),
        Some(
            RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::FencedLeaderEpoch
                | RDKafkaErrorCode::UnknownLeaderEpoch
                | RDKafkaErrorCode::OffsetNotAvailable
        )
    )
}
