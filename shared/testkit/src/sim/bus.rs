//! A bus that is late, fails before or after the effect, and compacts whenever it likes; it never loses what it
//! acknowledged, except as a canary. Keeps all that was ever written, for the auditor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use caerus_runtime::port::{
    Bus, BusBatch, BusRecord, Epoch, LogId, NewRecord, PortError, PortErrorKind, PortResult,
    ReadLimit, Topic,
};
use tokio::sync::watch;

use super::trouble::{Dice, Trouble};
use crate::canary::Canary;

/// One partition of one topic, with its whole past.
#[derive(Debug, Default)]
struct Shelf {
    records: Vec<BusRecord>,
    /// Below it, only the newest record of a key is still seen.
    compacted: usize,
}

#[derive(Debug, Default)]
struct State {
    shelves: BTreeMap<(Topic, u32), Shelf>,
    claims: BTreeMap<u32, u64>,
    completed: BTreeMap<u32, u64>,
}

/// The simulated bus.
#[derive(Debug)]
pub struct SimBus {
    log: LogId,
    partitions: u32,
    dice: Arc<Dice>,
    pub trouble: Trouble,
    canary: Option<Canary>,
    state: Mutex<State>,
    /// One channel for each who waits: receivers of a shared one are woken in an order that no seed decides.
    appended: Mutex<Vec<(Topic, watch::Sender<u64>)>>,
}

impl SimBus {
    pub fn new(partitions: u32, dice: Arc<Dice>, canary: Option<Canary>) -> Self {
        Self {
            log: LogId(7),
            partitions,
            trouble: Trouble::new(Arc::clone(&dice)),
            dice,
            canary,
            state: Mutex::new(State::default()),
            appended: Mutex::new(Vec::new()),
        }
    }

    /// Everything ever written there, superseded or not.
    pub fn history(&self, topic: Topic, partition: u32) -> Vec<BusRecord> {
        let state = self.state();
        let shelf = state.shelves.get(&(topic, partition));
        shelf.map_or_else(Vec::new, |shelf| shelf.records.clone())
    }

    /// What a reader sees from an offset on.
    pub fn visible(&self, topic: Topic, partition: u32, from: u64) -> Vec<BusRecord> {
        const ALL: ReadLimit = ReadLimit {
            records: usize::MAX,
            bytes: usize::MAX,
        };
        let state = self.state();
        let shelf = state.shelves.get(&(topic, partition));
        shelf.map_or_else(Vec::new, |shelf| shelf.read(from, ALL).records)
    }

    /// Up to where outputs are complete, and the log's end: equal when there is nothing left to do.
    pub fn lag(&self, partition: u32) -> (u64, u64) {
        let state = self.state();
        let completed = state.completed.get(&partition).copied().unwrap_or(0);
        (completed, end(&state, Topic::Signals, partition))
    }

    /// Lets go of superseded records of the compacted topics.
    pub fn compact(&self) {
        for (place, shelf) in &mut self.state().shelves {
            if place.0.is_compacted() {
                shelf.compacted = shelf.records.len();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// *Shape*: `loses` holds the topics whose records a canary may drop.
    fn put(&self, records: Vec<NewRecord>, loses: &[Topic]) -> Vec<u64> {
        let mut state = self.state();
        let mut offsets = Vec::with_capacity(records.len());
        let mut touched = BTreeSet::new();
        for record in records {
            let shelf = state
                .shelves
                .entry((record.topic, record.partition))
                .or_default();
            let offset = u64::try_from(shelf.records.len()).unwrap_or(u64::MAX);
            offsets.push(offset);
            touched.insert(record.topic);
            if loses.contains(&record.topic) && self.dice.happens(50) {
                continue;
            }
            shelf.records.push(BusRecord {
                offset,
                key: record.key,
                value: record.value,
            });
        }
        drop(state);
        let mut waiting = self.appended.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|(_, sender)| !sender.is_closed());
        for (_, sender) in waiting.iter().filter(|(topic, _)| touched.contains(topic)) {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
        offsets
    }

    fn loses<'a>(&self, canary: Canary, topics: &'a [Topic]) -> &'a [Topic] {
        match self.canary == Some(canary) {
            true => topics,
            false => &[],
        }
    }

    fn check_owner(&self, partition: u32, epoch: Epoch) -> PortResult<()> {
        let latest = self.state().claims.get(&partition).copied();
        let is_latest = epoch.log == self.log && latest == Some(epoch.claim_offset);
        if is_latest || self.canary == Some(Canary::NobodyFences) {
            return Ok(());
        }
        Err(PortError::new(
            PortErrorKind::Conflict,
            format!("publish the outputs of partition {partition}: there is a later claim"),
        ))
    }
}

fn end(state: &State, topic: Topic, partition: u32) -> u64 {
    let shelf = state.shelves.get(&(topic, partition));
    let len = shelf.map_or(0, |shelf| shelf.records.len());
    u64::try_from(len).unwrap_or(u64::MAX)
}

impl Shelf {
    fn read(&self, from: u64, limit: ReadLimit) -> BusBatch {
        let first = usize::try_from(from).unwrap_or(usize::MAX);
        let mut next = from;
        let mut records = Vec::new();
        for (index, record) in self.records.iter().enumerate().skip(first) {
            if records.len() >= limit.records.max(1) {
                break;
            }
            next = record.offset + 1;
            if index >= self.compacted || self.is_newest(index, record) {
                records.push(record.clone());
            }
        }
        BusBatch { records, next }
    }

    fn is_newest(&self, index: usize, record: &BusRecord) -> bool {
        let later = self.records.iter().skip(index + 1);
        !later.into_iter().any(|other| other.key == record.key)
    }
}

#[async_trait]
impl Bus for SimBus {
    fn log_id(&self) -> LogId {
        self.log
    }

    fn partitions(&self) -> u32 {
        self.partitions
    }

    async fn append(&self, records: Vec<NewRecord>) -> PortResult<Vec<u64>> {
        self.trouble.before("append").await?;
        let offsets = self.put(
            records,
            self.loses(Canary::BusLosesAppends, &[Topic::Signals]),
        );
        self.trouble.after("append").await?;
        Ok(offsets)
    }

    async fn claim(&self, partition: u32, claim: Arc<[u8]>) -> PortResult<Epoch> {
        self.trouble.before("claim").await?;
        let record = NewRecord {
            topic: Topic::Signals,
            partition,
            key: Vec::new(),
            value: claim,
        };
        let offset = self.put(vec![record], &[]).first().copied().unwrap_or(0);
        self.state().claims.insert(partition, offset);
        self.trouble.after("claim").await?;
        Ok(Epoch {
            log: self.log,
            claim_offset: offset,
        })
    }

    async fn publish(
        &self,
        partition: u32,
        epoch: Epoch,
        outputs: Vec<NewRecord>,
        completed: u64,
    ) -> PortResult<Vec<u64>> {
        self.trouble.before("publish").await?;
        self.check_owner(partition, epoch)?;
        let (known, end) = self.lag(partition);
        if completed > end {
            return Err(PortError::new(
                PortErrorKind::Refused,
                format!("call partition {partition} complete up to {completed} of {end}"),
            ));
        }
        self.state()
            .completed
            .insert(partition, known.max(completed));
        let outputs_only = &[Topic::Decisions, Topic::Shadow];
        let offsets = self.put(outputs, self.loses(Canary::BusLosesOutputs, outputs_only));
        self.trouble.after("publish").await?;
        Ok(offsets)
    }

    async fn completed(&self, partition: u32) -> PortResult<u64> {
        self.trouble.before("ask what is complete").await?;
        Ok(self.lag(partition).0)
    }

    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: u64,
        limit: ReadLimit,
    ) -> PortResult<BusBatch> {
        self.trouble.before("read").await?;
        let state = self.state();
        let shelf = state.shelves.get(&(topic, partition));
        let nothing = || BusBatch {
            records: Vec::new(),
            next: from,
        };
        Ok(shelf.map_or_else(nothing, |shelf| shelf.read(from, limit)))
    }

    async fn start(&self, _topic: Topic, _partition: u32) -> PortResult<u64> {
        self.trouble.before("ask for the start").await?;
        Ok(0)
    }

    async fn end(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        self.trouble.before("ask for the end").await?;
        Ok(end(&self.state(), topic, partition))
    }

    fn appended(&self, topic: Topic) -> watch::Receiver<u64> {
        let (sender, receiver) = watch::channel(0);
        let mut waiting = self.appended.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push((topic, sender));
        receiver
    }

    async fn trim(&self, topic: Topic, partition: u32, _before: u64) -> PortResult<()> {
        let operation = format!("trim partition {partition} of `{}`", topic.name());
        Err(PortError::new(PortErrorKind::Refused, operation))
    }
}
