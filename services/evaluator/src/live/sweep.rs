//! Tombstones: a decision that has expired leaves its topic, so that the topic is the snapshot of what is in force.

use std::collections::{BTreeMap, BTreeSet};

use caerus_engine::time::{Span, Timestamp};
use caerus_runtime::port::{BusRecord, NewRecord, PortResult, ReadLimit, Topic};
use caerus_wire::decision::PublicDecision;

use super::batch::give_up;
use super::owner::Owner;

/// How long an expired decision stays: enforcement points add a minute for skewed clocks.
const EXPIRED_FOR: Span = Span::minutes(2);
/// Tombstones written in one transaction.
const TOMBSTONES_PER_PUBLISH: usize = 256;
const READ: ReadLimit = ReadLimit {
    records: 512,
    bytes: 4 * 1024 * 1024,
};
const SWEPT: [Topic; 2] = [Topic::Decisions, Topic::Shadow];

/// When what this partition decided expires, as its topics say.
#[derive(Debug)]
pub(crate) struct Sweeper {
    topics: BTreeMap<Topic, Expiries>,
    swept_ms: u64,
}

#[derive(Debug, Default)]
struct Expiries {
    read_to: u64,
    by_key: BTreeMap<Vec<u8>, Timestamp>,
    by_time: BTreeSet<(Timestamp, Vec<u8>)>,
}

impl Sweeper {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            topics: BTreeMap::new(),
            swept_ms: now_ms,
        }
    }
}

impl Expiries {
    fn note(&mut self, record: BusRecord) {
        if let Some(expires_at) = self.by_key.remove(&record.key) {
            self.by_time.remove(&(expires_at, record.key.clone()));
        }
        if record.value.is_empty() {
            return;
        }
        // What cannot be read as a decision was not written by this version: it is left alone.
        if let Ok(PublicDecision { expires_at, .. }) = PublicDecision::parse(&record.value) {
            self.by_key.insert(record.key.clone(), expires_at);
            self.by_time.insert((expires_at, record.key));
        }
    }

    fn expired(&self, before: Timestamp) -> Vec<Vec<u8>> {
        let due = self.by_time.iter().take_while(|(at, _)| *at <= before);
        due.take(TOMBSTONES_PER_PUBLISH)
            .map(|(_, key)| key.clone())
            .collect()
    }
}

impl Owner<'_> {
    /// Reads what was decided since the last time, and writes tombstones for what has expired.
    pub(crate) async fn sweep(&mut self) -> PortResult<()> {
        let now_ms = self.monotonic_ms();
        let every = self.evaluator.config.sweep_ms;
        if now_ms.saturating_sub(self.sweeper.swept_ms) < every {
            return Ok(());
        }
        self.sweeper.swept_ms = now_ms;
        for topic in SWEPT {
            // INVARIANT: a tombstone is written only when all that this partition decided has been read, so that none
            // follows a newer decision. Nobody else writes here, and nothing is published meanwhile.
            self.read_decided(topic).await?;
            self.bury_expired(topic).await?;
        }
        Ok(())
    }

    async fn read_decided(&mut self, topic: Topic) -> PortResult<()> {
        let evaluator = self.evaluator;
        let expiries = self.sweeper.topics.entry(topic).or_default();
        loop {
            let (bus, from) = (&evaluator.ports.bus, expiries.read_to);
            let read = || bus.read(topic, self.number, from, READ);
            let batch = self.retry.run(&self.insist, read).await;
            let batch = batch.map_err(|error| give_up(error, self.number))?;
            if batch.next <= expiries.read_to {
                return Ok(());
            }
            expiries.read_to = batch.next;
            for record in batch.records {
                expiries.note(record);
            }
        }
    }

    async fn bury_expired(&mut self, topic: Topic) -> PortResult<()> {
        let before = self.now() - EXPIRED_FOR;
        let partition = self.number;
        let tombstone = |key| NewRecord {
            topic,
            partition,
            key,
            value: [].into(),
        };
        let expired = self.sweeper.topics.get(&topic);
        let expired = expired.map_or_else(Vec::new, |expiries| expiries.expired(before));
        if expired.is_empty() {
            return Ok(());
        }
        let tombstones = expired.into_iter().map(tombstone).collect();
        self.publish(tombstones).await
    }
}
