//! A bus in memory whose appends can fail or wait, and a clock that is set.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use caerus_engine::time::Timestamp;
use caerus_ingest::dead_letter::DeadLetter;
use caerus_runtime::port::{
    Bus, BusBatch, BusRecord, Clock, Epoch, LogId, NewRecord, PortError, PortErrorKind, PortResult,
    ReadLimit, Topic,
};
use caerus_wire::entry::Entry;
use tokio::sync::{Semaphore, watch};

pub(crate) const PARTITIONS: u32 = 4;

#[derive(Debug)]
pub(crate) struct TestBus {
    shelves: Mutex<BTreeMap<(Topic, u32), Vec<BusRecord>>>,
    trimmed: Mutex<BTreeMap<(Topic, u32), u64>>,
    pub(crate) is_down: AtomicBool,
    /// Longer records are refused, as a broker does.
    pub(crate) value_bytes_max: AtomicUsize,
    /// What every partition's owner says it has evaluated.
    pub(crate) completed: AtomicU64,
    /// Each append takes one; none left: it waits.
    pub(crate) gate: Semaphore,
    pub(crate) appends: Mutex<Vec<usize>>,
}

impl TestBus {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            shelves: Mutex::default(),
            trimmed: Mutex::default(),
            is_down: AtomicBool::new(false),
            value_bytes_max: AtomicUsize::new(usize::MAX),
            completed: AtomicU64::new(0),
            gate: Semaphore::new(1 << 20),
            appends: Mutex::default(),
        })
    }

    /// The log's entries of one partition.
    pub(crate) fn entries(&self, partition: u32) -> Vec<Entry> {
        let shelves = self.shelves.lock().unwrap();
        let records = shelves.get(&(Topic::Signals, partition));
        let read = |record: &BusRecord| Entry::from_bytes(&record.value).unwrap();
        records.map_or_else(Vec::new, |records| records.iter().map(read).collect())
    }

    pub(crate) fn letters(&self) -> Vec<DeadLetter> {
        let shelves = self.shelves.lock().unwrap();
        let records = shelves.get(&(Topic::DeadLetters, 0));
        let read = |record: &BusRecord| DeadLetter::from_bytes(&record.value).unwrap().0;
        records.map_or_else(Vec::new, |records| records.iter().map(read).collect())
    }

    pub(crate) fn len(&self) -> usize {
        (0..PARTITIONS)
            .map(|partition| self.entries(partition).len())
            .sum()
    }
}

#[async_trait]
impl Bus for TestBus {
    fn log_id(&self) -> LogId {
        LogId(1)
    }

    fn partitions(&self) -> u32 {
        PARTITIONS
    }

    async fn append(&self, records: Vec<NewRecord>) -> PortResult<Vec<u64>> {
        self.gate.acquire().await.unwrap().forget();
        if self.is_down.load(Ordering::SeqCst) {
            return Err(PortError::new(
                PortErrorKind::Unavailable,
                "append to `signals`",
            ));
        }
        let bytes_max = self.value_bytes_max.load(Ordering::SeqCst);
        if records.iter().any(|record| record.value.len() > bytes_max) {
            return Err(PortError::new(PortErrorKind::Refused, "append: too large"));
        }
        self.appends.lock().unwrap().push(records.len());
        let mut shelves = self.shelves.lock().unwrap();
        let offsets = records.into_iter().map(|record| {
            let shelf = shelves.entry((record.topic, record.partition)).or_default();
            let offset = shelf.len() as u64;
            shelf.push(BusRecord {
                offset,
                key: record.key,
                value: record.value,
            });
            offset
        });
        Ok(offsets.collect())
    }

    async fn claim(&self, _: u32, _: Arc<[u8]>) -> PortResult<Epoch> {
        Err(PortError::new(PortErrorKind::Refused, "claim"))
    }

    async fn publish(&self, _: u32, _: Epoch, _: Vec<NewRecord>, _: u64) -> PortResult<Vec<u64>> {
        Err(PortError::new(PortErrorKind::Refused, "publish"))
    }

    async fn completed(&self, _: u32) -> PortResult<u64> {
        Ok(self.completed.load(Ordering::SeqCst))
    }

    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: u64,
        limit: ReadLimit,
    ) -> PortResult<BusBatch> {
        let shelves = self.shelves.lock().unwrap();
        let all = shelves
            .get(&(topic, partition))
            .map_or(&[][..], Vec::as_slice);
        let start = self
            .trimmed
            .lock()
            .unwrap()
            .get(&(topic, partition))
            .copied()
            .unwrap_or(0);
        let records: Vec<BusRecord> = all
            .iter()
            .filter(|record| record.offset >= from.max(start))
            .take(limit.records)
            .cloned()
            .collect();
        let next = records.last().map_or(from, |record| record.offset + 1);
        Ok(BusBatch { records, next })
    }

    async fn start(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        Ok(self
            .trimmed
            .lock()
            .unwrap()
            .get(&(topic, partition))
            .copied()
            .unwrap_or(0))
    }

    async fn end(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        let shelves = self.shelves.lock().unwrap();
        Ok(shelves
            .get(&(topic, partition))
            .map_or(0, |shelf| shelf.len() as u64))
    }

    fn appended(&self, _: Topic) -> watch::Receiver<u64> {
        watch::Sender::new(0).subscribe()
    }

    async fn trim(&self, topic: Topic, partition: u32, before: u64) -> PortResult<()> {
        self.trimmed
            .lock()
            .unwrap()
            .insert((topic, partition), before);
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.0)))
    }

    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn monotonic_ms(&self) -> u64 {
        0
    }
}
