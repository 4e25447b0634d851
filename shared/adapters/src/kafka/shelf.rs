//! One partition of one topic as a reader sees it: what has come from the broker, and how far that reaches. Knows no
//! offsets of the group and no producer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use caerus_runtime::port::{BusBatch, BusRecord, PortError, PortErrorKind, PortResult, ReadLimit};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::Offset;
use tokio::sync::{Mutex, Notify, watch};

use super::client::Context;
use super::fault::fault;

/// Records kept after they were read, for another reader of the same partition a little behind the first.
const WINDOW_RECORDS_MAX: usize = 1_024;
const WINDOW_BYTES_MAX: usize = 256 * 1024;

/// A partition of a topic.
#[derive(Debug)]
pub(super) struct Shelf {
    /// The topic's whole name.
    pub(super) topic: String,
    pub(super) partition: i32,
    /// Everything below is known to be committed here: by what was appended, asked or read. Never falls.
    end: AtomicU64,
    /// The partition ends no sooner, once the markers of what this process committed there are written. Never falls.
    marked: AtomicU64,
    /// Everything below was announced to those who wait.
    announced: AtomicU64,
    pub(super) appended: watch::Sender<u64>,
    pub(super) bell: Arc<Bell>,
    pub(super) line: Arc<Mutex<Option<Line>>>,
}

/// What librdkafka rings when a partition's queue is no longer empty.
#[derive(Debug)]
pub(super) struct Bell {
    /// Something may wait in the queue that nobody has looked at.
    pub(super) is_rung: AtomicBool,
    pub(super) rung: Notify,
    /// Wakes the reader's own task, which looks at every rung bell.
    pub(super) pump: Arc<Notify>,
}

impl Bell {
    fn ring(&self) {
        self.is_rung.store(true, Ordering::SeqCst);
        self.rung.notify_one();
        self.pump.notify_one();
    }
}

impl Shelf {
    pub(super) fn new(
        topic: String,
        partition: i32,
        appended: watch::Sender<u64>,
        pump: &Arc<Notify>,
    ) -> Self {
        Self {
            topic,
            partition,
            end: AtomicU64::new(0),
            marked: AtomicU64::new(0),
            announced: AtomicU64::new(0),
            appended,
            bell: Arc::new(Bell {
                is_rung: AtomicBool::new(false),
                rung: Notify::new(),
                pump: Arc::clone(pump),
            }),
            line: Arc::new(Mutex::new(None)),
        }
    }

    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::SeqCst)
    }

    /// Everything below `end` is committed: a read goes that far before it says that there is no more.
    pub(super) fn note_end(&self, end: u64) {
        self.end.fetch_max(end, Ordering::SeqCst);
    }

    /// A transaction of this process with a record at that offset was committed: its marker follows.
    pub(super) fn note_committed(&self, offset: u64) {
        self.marked
            .fetch_max(offset.saturating_add(2), Ordering::SeqCst);
    }

    pub(super) fn marked(&self) -> u64 {
        self.marked.load(Ordering::SeqCst)
    }

    /// Wakes those who wait, once for what lies below `end`, whoever saw it first.
    pub(super) fn announce(&self, end: u64) {
        if self.announced.fetch_max(end, Ordering::SeqCst) < end {
            self.appended
                .send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    pub(super) fn place(&self) -> String {
        format!("partition {} of `{}`", self.partition, self.topic)
    }
}

/// What is fetched of a partition.
pub(super) struct Line {
    queue: PartitionQueue<Context>,
    consumer: Arc<BaseConsumer<Context>>,
    /// Whether the queue goes on at `position`; not while it is moved, or after that failed.
    stance: Stance,
    /// What came from the queue last, for readers that do not stand at its head. *Shape*: offsets rise.
    window: VecDeque<BusRecord>,
    window_bytes: usize,
    /// No record from here to the window's first.
    window_from: u64,
    /// The offset the queue goes on at; no record from the window's last to here.
    position: u64,
    /// Whoever sees the queue at its end after a move has seen everything below.
    proven_at_end: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stance {
    Unassigned,
    Lost,
    Steady,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("stance", &self.stance)
            .field("window_from", &self.window_from)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// How long librdkafka's own threads have to take a partition to another offset.
const MOVE_MAX: Duration = Duration::from_secs(5);
/// A partition just assigned is not ready to be moved for a moment.
const MOVE_AGAIN_EVERY: Duration = Duration::from_millis(5);
const MOVES_MAX: u32 = 400;

impl Line {
    /// *Errors*: `Unavailable` when librdkafka does not know the partition.
    pub(super) fn of(shelf: &Shelf, consumer: &Arc<BaseConsumer<Context>>) -> PortResult<Self> {
        let queue = consumer.split_partition_queue(&shelf.topic, shelf.partition);
        let Some(mut queue) = queue else {
            let operation = format!("read {}", shelf.place());
            return Err(PortError::new(PortErrorKind::Unavailable, operation));
        };
        let bell = Arc::clone(&shelf.bell);
        queue.set_nonempty_callback(move || bell.ring());
        Ok(Self {
            queue,
            consumer: Arc::clone(consumer),
            stance: Stance::Unassigned,
            window: VecDeque::new(),
            window_bytes: 0,
            window_from: 0,
            position: 0,
            proven_at_end: 0,
        })
    }

    pub(super) fn holds(&self, from: u64) -> bool {
        self.stance == Stance::Steady && from >= self.window_from && from <= self.position
    }

    pub(super) fn is_steady(&self) -> bool {
        self.stance == Stance::Steady
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Lets the queue go on at `at`, the first held record at or after `from`. Blocks.
    ///
    /// *Shape*: the partition ends at `end` or later.
    pub(super) fn go_to(&mut self, shelf: &Shelf, from: u64, at: u64, end: u64) -> PortResult<()> {
        let operation = || format!("go to offset {at} of {}", shelf.place());
        let offset = i64::try_from(at)
            .map_err(|error| PortError::new(PortErrorKind::Refused, operation()).because(error))?;
        let failed = |error| fault(operation(), error);
        let mut place = rdkafka::TopicPartitionList::new();
        place
            .add_partition_offset(&shelf.topic, shelf.partition, Offset::Offset(offset))
            .map_err(failed)?;
        self.window.clear();
        self.window_bytes = 0;
        match self.stance {
            Stance::Unassigned => self.consumer.incremental_assign(&place).map_err(failed)?,
            Stance::Lost | Stance::Steady => {
                self.stance = Stance::Lost;
                self.seek(&place).map_err(failed)?;
            }
        }
        self.stance = Stance::Steady;
        self.window_from = from.min(at);
        self.position = at;
        self.proven_at_end = end;
        Ok(())
    }

    fn seek(&self, place: &rdkafka::TopicPartitionList) -> Result<(), KafkaError> {
        let mut tries = 0;
        loop {
            let moved = self.consumer.seek_partitions(place.clone(), MOVE_MAX)?;
            let outcome = moved.elements().iter().try_for_each(|one| one.error());
            tries += 1;
            match outcome {
                Err(error) if tries >= MOVES_MAX => return Err(error),
                Err(_) => std::thread::sleep(MOVE_AGAIN_EVERY),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Takes from the queue what has come, until `limit` is met from `from` on or the queue is empty, and announces it.
    ///
    /// *Errors*: what the partition's fetches met with, e.g. `Corrupt` for a wrong checksum.
    pub(super) fn take_in(&mut self, shelf: &Shelf, from: u64, limit: ReadLimit) -> PortResult<()> {
        let mut room = Room::of(limit);
        for record in self.from(from) {
            room.take(record);
        }
        let mut outcome = Ok(());
        while !room.is_full() {
            match self.queue.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let record = record_of(&message);
                    drop(message);
                    if record.offset >= self.position {
                        room.take(&record);
                        self.push(record);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.position = self.position.max(self.proven_at_end);
                }
                Some(Err(error)) => {
                    outcome = Err(fault(format!("read {}", shelf.place()), error));
                    break;
                }
                None => {
                    self.pass_markers(shelf)?;
                    break;
                }
            }
        }
        shelf.note_end(self.position);
        shelf.announce(self.position);
        outcome
    }

    /// Below `start` nothing is held any more: a queue that waited there goes on at `start`, and may have nothing to give.
    pub(super) fn skip_to(&mut self, start: u64) {
        self.position = self.position.max(start);
    }

    /// The queue gives no record for a transaction's marker, yet markers take offsets. librdkafka's own position counts
    /// them, as soon as the queue was emptied past them.
    fn pass_markers(&mut self, shelf: &Shelf) -> PortResult<()> {
        let failed = |error| fault(format!("ask the position in {}", shelf.place()), error);
        let positions = self.consumer.position().map_err(failed)?;
        let found = positions.find_partition(&shelf.topic, shelf.partition);
        if let Some(Offset::Offset(offset)) = found.map(|one| one.offset()) {
            self.position = self.position.max(u64::try_from(offset).unwrap_or(0));
        }
        Ok(())
    }

    fn push(&mut self, record: BusRecord) {
        self.position = record.offset.saturating_add(1);
        self.window_bytes = self.window_bytes.saturating_add(bytes_of(&record));
        self.window.push_back(record);
    }

    /// *Shape*: `from` lies within what the line holds.
    fn from(&self, from: u64) -> impl Iterator<Item = &BusRecord> {
        let first = self.window.partition_point(|record| record.offset < from);
        self.window.range(first..)
    }

    pub(super) fn is_full(&self, from: u64, limit: ReadLimit) -> bool {
        let mut room = Room::of(limit);
        for record in self.from(from) {
            room.take(record);
        }
        room.is_full()
    }

    pub(super) fn batch(&self, from: u64, limit: ReadLimit) -> BusBatch {
        let mut room = Room::of(limit);
        let mut records = Vec::new();
        for record in self.from(from) {
            if !room.take(record) {
                let next = records
                    .last()
                    .map_or(from, |last: &BusRecord| last.offset.saturating_add(1));
                return BusBatch { records, next };
            }
            records.push(record.clone());
        }
        BusBatch {
            records,
            next: self.position.max(from),
        }
    }

    /// Lets go of what was read below `read`, as far as it is beyond the window's bounds.
    pub(super) fn let_go(&mut self, read: u64) {
        while self.window.len() > WINDOW_RECORDS_MAX || self.window_bytes > WINDOW_BYTES_MAX {
            let Some(oldest) = self.window.pop_front_if(|oldest| oldest.offset < read) else {
                return;
            };
            self.window_bytes = self.window_bytes.saturating_sub(bytes_of(&oldest));
            self.window_from = oldest.offset.saturating_add(1);
        }
    }
}

/// What is left of a read's limit.
struct Room {
    limit: ReadLimit,
    records: usize,
    bytes: usize,
    is_full: bool,
}

impl Room {
    fn of(limit: ReadLimit) -> Self {
        Self {
            limit,
            records: 0,
            bytes: 0,
            is_full: false,
        }
    }

    /// *Returns*: whether the record still fits; the first always does.
    fn take(&mut self, record: &BusRecord) -> bool {
        self.bytes = self.bytes.saturating_add(bytes_of(record));
        let fits = self.records == 0
            || (self.records < self.limit.records && self.bytes <= self.limit.bytes);
        self.records = self.records.saturating_add(1);
        self.is_full |= !fits;
        fits
    }

    fn is_full(&self) -> bool {
        self.is_full || self.records >= self.limit.records.max(1) || self.bytes > self.limit.bytes
    }
}

fn bytes_of(record: &BusRecord) -> usize {
    record.key.len().saturating_add(record.value.len())
}

/// A tombstone has no payload on the broker, and an empty value here.
fn record_of(message: &BorrowedMessage<'_>) -> BusRecord {
    BusRecord {
        offset: u64::try_from(message.offset()).unwrap_or(0),
        key: message.key().unwrap_or_default().to_vec(),
        value: message.payload().unwrap_or_default().into(),
    }
}
