//! The bus in memory: the plain form of its rules. Knows no disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use caerus_runtime::port::{
    Bus, BusBatch, BusRecord, Epoch, LogId, NewRecord, PortError, PortErrorKind, PortResult,
    ReadLimit, Topic,
};
use tokio::sync::watch;

/// The log and the topics, in memory.
#[derive(Debug)]
pub struct MemoryBus {
    log: LogId,
    partitions: u32,
    state: Mutex<State>,
    appended: BTreeMap<Topic, watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<(Topic, u32), Shelf>,
    owners: BTreeMap<u32, Owner>,
}

/// One partition of one topic.
#[derive(Debug, Default)]
struct Shelf {
    next: u64,
    records: BTreeMap<u64, (Vec<u8>, Arc<[u8]>)>,
    /// Of compacted topics: where the newest record of a key stands.
    newest: BTreeMap<Vec<u8>, u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Owner {
    claim_offset: u64,
    completed: u64,
}

impl MemoryBus {
    /// An empty log. `partitions` of 0 counts as 1.
    pub fn new(log: LogId, partitions: u32) -> Arc<Self> {
        Arc::new(Self {
            log,
            partitions: partitions.max(1),
            state: Mutex::new(State::default()),
            appended: Topic::ALL
                .into_iter()
                .map(|topic| (topic, watch::Sender::new(0)))
                .collect(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_place(&self, topic: Topic, partition: u32) -> PortResult<()> {
        let partitions = if topic.is_partitioned_as_log() {
            self.partitions
        } else {
            1
        };
        if partition < partitions {
            return Ok(());
        }
        Err(PortError::new(
            PortErrorKind::Refused,
            format!(
                "use partition {partition} of `{}`; it has {partitions}, counted from 0",
                topic.name()
            ),
        ))
    }

    fn check_records(&self, records: &[NewRecord]) -> PortResult<()> {
        for record in records {
            self.check_place(record.topic, record.partition)?;
        }
        Ok(())
    }

    fn announce(&self, records: &[(Topic, u64)]) {
        for (topic, sender) in &self.appended {
            if records.iter().any(|(appended, _)| appended == topic) {
                sender.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }

    fn place(&self, state: &mut State, records: Vec<NewRecord>) -> Vec<(Topic, u64)> {
        let place = |record: NewRecord| {
            let topic = record.topic;
            let shelf = state.topics.entry((topic, record.partition)).or_default();
            (topic, shelf.put(record))
        };
        records.into_iter().map(place).collect()
    }

    fn check_epoch(&self, state: &State, partition: u32, epoch: Epoch) -> PortResult<Owner> {
        let refused = |kind, reason: &str| {
            let operation = format!("publish the outputs of partition {partition}: {reason}");
            Err(PortError::new(kind, operation))
        };
        if epoch.log != self.log {
            return refused(PortErrorKind::Conflict, "the claim is of another log");
        }
        match state.owners.get(&partition) {
            Some(owner) if owner.claim_offset == epoch.claim_offset => Ok(*owner),
            Some(owner) if owner.claim_offset > epoch.claim_offset => {
                refused(PortErrorKind::Conflict, "there is a later claim")
            }
            _ => refused(PortErrorKind::Refused, "nobody made that claim"),
        }
    }
}

impl Shelf {
    fn put(&mut self, record: NewRecord) -> u64 {
        let offset = self.next;
        self.next = self.next.saturating_add(1);
        if record.topic.is_compacted()
            && let Some(older) = self.newest.insert(record.key.clone(), offset)
        {
            self.records.remove(&older);
        }
        self.records.insert(offset, (record.key, record.value));
        offset
    }

    fn read(&self, from: u64, limit: ReadLimit) -> BusBatch {
        let mut batch = BusBatch {
            records: Vec::new(),
            next: from,
        };
        let mut bytes = 0_usize;
        for (offset, (key, value)) in self.records.range(from..) {
            bytes = bytes.saturating_add(key.len().saturating_add(value.len()));
            let is_full = batch.records.len() >= limit.records.max(1) || bytes > limit.bytes;
            if is_full && !batch.records.is_empty() {
                return batch;
            }
            batch.next = offset.saturating_add(1);
            batch.records.push(BusRecord {
                offset: *offset,
                key: key.clone(),
                value: Arc::clone(value),
            });
        }
        batch.next = from.max(self.next);
        batch
    }

    fn start(&self) -> u64 {
        self.records
            .first_key_value()
            .map_or(self.next, |(offset, _)| *offset)
    }
}

#[async_trait]
impl Bus for MemoryBus {
    fn log_id(&self) -> LogId {
        self.log
    }

    fn partitions(&self) -> u32 {
        self.partitions
    }

    async fn append(&self, records: Vec<NewRecord>) -> PortResult<Vec<u64>> {
        self.check_records(&records)?;
        let placed = self.place(&mut self.state(), records);
        self.announce(&placed);
        Ok(placed.into_iter().map(|(_, offset)| offset).collect())
    }

    async fn claim(&self, partition: u32, claim: Arc<[u8]>) -> PortResult<Epoch> {
        let record = NewRecord {
            topic: Topic::Signals,
            partition,
            key: Vec::new(),
            value: claim,
        };
        self.check_place(record.topic, partition)?;
        let placed = {
            let mut state = self.state();
            let placed = self.place(&mut state, vec![record]);
            let owner = state.owners.entry(partition).or_default();
            owner.claim_offset = placed.first().map_or(0, |(_, offset)| *offset);
            placed
        };
        self.announce(&placed);
        Ok(Epoch {
            log: self.log,
            claim_offset: placed.first().map_or(0, |(_, offset)| *offset),
        })
    }

    async fn publish(
        &self,
        partition: u32,
        epoch: Epoch,
        outputs: Vec<NewRecord>,
        completed: u64,
    ) -> PortResult<Vec<u64>> {
        self.check_place(Topic::Signals, partition)?;
        let placed = {
            let mut state = self.state();
            let owner = self.check_epoch(&state, partition, epoch)?;
            self.check_records(&outputs)?;
            let end = state
                .topics
                .get(&(Topic::Signals, partition))
                .map_or(0, |shelf| shelf.next);
            if completed > end {
                return Err(PortError::new(
                    PortErrorKind::Refused,
                    format!(
                        "call the outputs of partition {partition} complete up to {completed}, because its log ends at {end}"
                    ),
                ));
            }
            let completed = owner.completed.max(completed);
            state.owners.insert(partition, Owner { completed, ..owner });
            self.place(&mut state, outputs)
        };
        self.announce(&placed);
        Ok(placed.into_iter().map(|(_, offset)| offset).collect())
    }

    async fn completed(&self, partition: u32) -> PortResult<u64> {
        self.check_place(Topic::Signals, partition)?;
        let state = self.state();
        Ok(state
            .owners
            .get(&partition)
            .map_or(0, |owner| owner.completed))
    }

    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: u64,
        limit: ReadLimit,
    ) -> PortResult<BusBatch> {
        self.check_place(topic, partition)?;
        let state = self.state();
        let nothing = BusBatch {
            records: Vec::new(),
            next: from,
        };
        Ok(state
            .topics
            .get(&(topic, partition))
            .map_or(nothing, |shelf| shelf.read(from, limit)))
    }

    async fn start(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        self.check_place(topic, partition)?;
        let state = self.state();
        Ok(state
            .topics
            .get(&(topic, partition))
            .map_or(0, Shelf::start))
    }

    async fn end(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        self.check_place(topic, partition)?;
        let state = self.state();
        Ok(state
            .topics
            .get(&(topic, partition))
            .map_or(0, |shelf| shelf.next))
    }

    fn appended(&self, topic: Topic) -> watch::Receiver<u64> {
        match self.appended.get(&topic) {
            Some(sender) => sender.subscribe(),
            None => watch::Sender::new(0).subscribe(),
        }
    }

    async fn trim(&self, topic: Topic, partition: u32, before: u64) -> PortResult<()> {
        self.check_place(topic, partition)?;
        if topic.is_compacted() {
            return Err(PortError::new(
                PortErrorKind::Refused,
                format!("trim `{}`, because it is compacted by key", topic.name()),
            ));
        }
        if let Some(shelf) = self.state().topics.get_mut(&(topic, partition)) {
            shelf.records = shelf.records.split_off(&before);
        }
        Ok(())
    }
}
