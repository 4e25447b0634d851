//! A bus in memory and a clock that is set.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{
    Bus, BusBatch, BusRecord, Clock, Epoch, LogId, NewRecord, PortError, PortErrorKind, PortResult,
    ReadLimit, Topic,
};
use tokio::sync::watch;

pub(crate) const PARTITIONS: u32 = 2;

/// Keeps every record of every topic; owns nothing, fences nobody.
#[derive(Debug)]
pub(crate) struct MemoryBus {
    records: Mutex<BTreeMap<(Topic, u32), Vec<BusRecord>>>,
    /// Up to where records were let go.
    starts: Mutex<BTreeMap<(Topic, u32), u64>>,
    appended: BTreeMap<Topic, watch::Sender<u64>>,
}

impl MemoryBus {
    pub(crate) fn empty() -> Arc<Self> {
        Arc::new(Self {
            records: Mutex::default(),
            starts: Mutex::default(),
            appended: Topic::ALL
                .map(|topic| (topic, watch::Sender::new(0)))
                .into(),
        })
    }

    pub(crate) fn put(&self, record: NewRecord) -> u64 {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let held = records.entry((record.topic, record.partition)).or_default();
        let offset = u64::try_from(held.len()).unwrap();
        held.push(BusRecord {
            offset,
            key: record.key,
            value: record.value,
        });
        self.appended[&record.topic].send_modify(|count| *count += 1);
        offset
    }

    pub(crate) fn held(&self, topic: Topic, partition: u32) -> Vec<BusRecord> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records
            .get(&(topic, partition))
            .cloned()
            .unwrap_or_default()
    }
}

fn refuse<T>(operation: &str) -> PortResult<T> {
    Err(PortError::new(PortErrorKind::Refused, operation))
}

#[async_trait]
impl Bus for MemoryBus {
    fn log_id(&self) -> LogId {
        LogId(7)
    }

    fn partitions(&self) -> u32 {
        PARTITIONS
    }

    async fn append(&self, records: Vec<NewRecord>) -> PortResult<Vec<u64>> {
        Ok(records.into_iter().map(|record| self.put(record)).collect())
    }

    async fn claim(&self, _: u32, _: Arc<[u8]>) -> PortResult<Epoch> {
        refuse("claim")
    }

    async fn publish(&self, _: u32, _: Epoch, _: Vec<NewRecord>, _: u64) -> PortResult<Vec<u64>> {
        refuse("publish")
    }

    async fn completed(&self, _: u32) -> PortResult<u64> {
        refuse("tell what is completed")
    }

    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: u64,
        limit: ReadLimit,
    ) -> PortResult<BusBatch> {
        let held = self.held(topic, partition);
        let first = usize::try_from(from).unwrap();
        let records: Vec<BusRecord> = held.into_iter().skip(first).take(limit.records).collect();
        let next = records.last().map_or(from, |last| last.offset + 1);
        Ok(BusBatch { records, next })
    }

    async fn start(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        let starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(starts.get(&(topic, partition)).copied().unwrap_or(0))
    }

    async fn end(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        Ok(u64::try_from(self.held(topic, partition).len()).unwrap())
    }

    fn appended(&self, topic: Topic) -> watch::Receiver<u64> {
        self.appended[&topic].subscribe()
    }

    async fn trim(&self, topic: Topic, partition: u32, before: u64) -> PortResult<()> {
        let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        starts.insert((topic, partition), before);
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.0)))
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.now().0).unwrap()
    }
}
