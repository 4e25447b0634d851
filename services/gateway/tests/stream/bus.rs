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

use crate::support::PATIENCE;

pub(crate) const PARTITIONS: u32 = 2;

/// Keeps every record of every topic; owns nothing, fences nobody.
#[derive(Debug)]
pub(crate) struct MemoryBus {
    log: u64,
    records: Mutex<BTreeMap<(Topic, u32), Vec<BusRecord>>>,
    appended: BTreeMap<Topic, watch::Sender<u64>>,
}

impl MemoryBus {
    pub(crate) fn of_log(log: u64) -> Arc<Self> {
        Arc::new(Self {
            log,
            records: Mutex::default(),
            appended: Topic::ALL
                .map(|topic| (topic, watch::Sender::new(0)))
                .into(),
        })
    }

    fn put(&self, record: NewRecord) -> u64 {
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

    fn held(&self, topic: Topic, partition: u32) -> Vec<BusRecord> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records
            .get(&(topic, partition))
            .cloned()
            .unwrap_or_default()
    }

    /// A topic's records as JSON, once there are at least so many.
    pub(crate) async fn receipts(&self, at_least: usize) -> Vec<serde_json::Value> {
        let mut appended = self.appended(Topic::Receipts);
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let held = self.held(Topic::Receipts, 0);
                if held.len() >= at_least {
                    return held;
                }
                appended.changed().await.unwrap();
            }
        });
        let held = waited.await.expect("receipts come in time");
        held.iter()
            .map(|record| serde_json::from_slice(&record.value).unwrap())
            .collect()
    }
}

fn refuse<T>(operation: &str) -> PortResult<T> {
    Err(PortError::new(PortErrorKind::Refused, operation))
}

#[async_trait]
impl Bus for MemoryBus {
    fn log_id(&self) -> LogId {
        LogId(self.log)
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

    async fn start(&self, _: Topic, _: u32) -> PortResult<u64> {
        Ok(0)
    }

    async fn end(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        Ok(u64::try_from(self.held(topic, partition).len()).unwrap())
    }

    fn appended(&self, topic: Topic) -> watch::Receiver<u64> {
        self.appended[&topic].subscribe()
    }

    async fn trim(&self, _: Topic, _: u32, _: u64) -> PortResult<()> {
        refuse("trim")
    }
}

#[derive(Debug)]
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.0)))
    }

    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
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
