//! A record store that fails, loses its last second or all it had, and does not know that it did.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use caerus_engine::id::SubjectHash;
use caerus_engine::step::Wakes;
use caerus_runtime::port::{
    AgendaEntry, Commit, Epoch, OutboxEntry, PartitionState, PortError, PortErrorKind, PortResult,
    RecordStore, StoredRecord,
};
use tokio::time::Instant;

use super::trouble::{Dice, Trouble};
use crate::canary::Canary;

/// What a crash may take with it.
const LOST_AT_MOST: Duration = Duration::from_secs(1);

/// What is durable of one partition.
#[derive(Clone, Debug, Default)]
struct Durable {
    epoch: Option<Epoch>,
    position: u64,
    next_sequence: u64,
    shared: Option<Vec<u8>>,
    outbox: Vec<OutboxEntry>,
    records: BTreeMap<SubjectHash, Arc<StoredRecord>>,
}

#[derive(Debug, Default)]
struct Partition {
    now: Durable,
    /// What it was before each of the last changes.
    past: VecDeque<(Instant, Durable)>,
}

impl Partition {
    fn remember(&mut self) {
        let now = Instant::now();
        self.past.push_back((now, self.now.clone()));
        while let Some((at, _)) = self.past.front()
            && now.duration_since(*at) > LOST_AT_MOST
        {
            self.past.pop_front();
        }
    }
}

/// The simulated store.
#[derive(Debug)]
pub struct SimStore {
    dice: Arc<Dice>,
    pub trouble: Trouble,
    canary: Option<Canary>,
    partitions: Mutex<BTreeMap<u32, Partition>>,
}

impl SimStore {
    pub fn new(dice: Arc<Dice>, canary: Option<Canary>) -> Self {
        Self {
            trouble: Trouble::new(Arc::clone(&dice)),
            dice,
            canary,
            partitions: Mutex::new(BTreeMap::new()),
        }
    }

    /// Comes back as it was some moment of the last second ago.
    pub fn crash(&self) {
        let now = Instant::now();
        for partition in self.partitions().values_mut() {
            let mut recent = partition.past.iter();
            let first = recent.position(|(at, _)| now.duration_since(*at) <= LOST_AT_MOST);
            let kept = partition
                .past
                .split_off(first.unwrap_or(partition.past.len()));
            let lost = self
                .dice
                .within(0..1 + u64::try_from(kept.len()).unwrap_or(0));
            let back_to = usize::try_from(lost).unwrap_or(0).checked_sub(1);
            if let Some((_, durable)) = back_to.and_then(|index| kept.get(index)) {
                partition.now = durable.clone();
            }
            partition.past.clear();
        }
    }

    /// Comes back with nothing.
    pub fn flush(&self) {
        for partition in self.partitions().values_mut() {
            *partition = Partition::default();
        }
    }

    /// How many records a partition holds, and up to where.
    pub fn extent(&self, partition: u32) -> (usize, u64) {
        let partitions = self.partitions();
        let held = partitions.get(&partition);
        held.map_or((0, 0), |held| (held.now.records.len(), held.now.position))
    }

    fn partitions(&self) -> MutexGuard<'_, BTreeMap<u32, Partition>> {
        self.partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The partition, for the owner that opened it last.
    fn with_owned<T>(
        &self,
        number: u32,
        epoch: Epoch,
        act: impl FnOnce(&mut Partition) -> T,
    ) -> PortResult<T> {
        let mut partitions = self.partitions();
        let partition = partitions.entry(number).or_default();
        let refuse = |kind, why: &str| {
            let operation = format!("change the records of partition {number}: {why}");
            Err(PortError::new(kind, operation))
        };
        match partition.now.epoch {
            _ if self.canary == Some(Canary::NobodyFences) => {}
            Some(known) if known > epoch => {
                return refuse(PortErrorKind::Conflict, "there is a later claim");
            }
            // It came back without this opening: whoever wants to go on has to take up what is there now.
            known if known != Some(epoch) => {
                return refuse(PortErrorKind::Unavailable, "the store came back");
            }
            Some(_) | None => {}
        }
        Ok(act(partition))
    }
}

fn take(durable: &mut Durable, commit: Commit) {
    durable.position = commit.position;
    for entry in commit.outbox {
        durable.next_sequence = entry.sequence + 1;
        durable.outbox.push(entry);
    }
    if commit.shared.is_some() {
        durable.shared = commit.shared;
    }
    for record in commit.records {
        if record.bytes.is_some() {
            durable.records.insert(record.key, Arc::new(record));
        } else {
            durable.records.remove(&record.key);
        }
    }
}

fn agenda_entry(record: &StoredRecord) -> Option<AgendaEntry> {
    let is_wanted = record.is_concerned || record.wakes != Wakes::default();
    is_wanted.then_some(AgendaEntry {
        key: record.key,
        wakes: record.wakes,
        is_concerned: record.is_concerned,
    })
}

#[async_trait]
impl RecordStore for SimStore {
    async fn open(&self, partition: u32, epoch: Epoch) -> PortResult<PartitionState> {
        self.trouble.before("open").await?;
        let state = {
            let mut partitions = self.partitions();
            let held = partitions.entry(partition).or_default();
            if held.now.epoch.is_some_and(|known| known > epoch) {
                let operation = format!("open partition {partition}: there is a later claim");
                return Err(PortError::new(PortErrorKind::Conflict, operation));
            }
            held.remember();
            held.now.epoch = Some(epoch);
            let records = held.now.records.values();
            PartitionState {
                position: held.now.position,
                shared: held.now.shared.clone(),
                outbox: held.now.outbox.clone(),
                next_sequence: held.now.next_sequence,
                agenda: records.filter_map(|record| agenda_entry(record)).collect(),
            }
        };
        self.trouble.after("open").await?;
        Ok(state)
    }

    async fn load(&self, partition: u32, keys: &[SubjectHash]) -> PortResult<Vec<Option<Vec<u8>>>> {
        self.trouble.before("load").await?;
        let partitions = self.partitions();
        let held = partitions.get(&partition);
        let bytes = |key| held?.now.records.get(key)?.bytes.clone();
        Ok(keys.iter().map(bytes).collect())
    }

    async fn commit(&self, commit: Commit) -> PortResult<()> {
        self.trouble.before("commit").await?;
        let drops = self.canary == Some(Canary::StoreDropsCommits) && self.dice.happens(50);
        let number = commit.partition;
        self.with_owned(number, commit.epoch, |partition| {
            let is_fenced = self.canary != Some(Canary::NobodyFences);
            if is_fenced && commit.follows != partition.now.position {
                let operation = format!("commit to partition {number}: the store came back");
                return Err(PortError::new(PortErrorKind::Unavailable, operation));
            }
            partition.remember();
            if drops {
                partition.now.position = commit.position;
            } else {
                take(&mut partition.now, commit);
            }
            Ok(())
        })??;
        self.trouble.after("commit").await
    }

    async fn clear_outbox(&self, partition: u32, epoch: Epoch, before: u64) -> PortResult<()> {
        self.trouble.before("clear the outbox").await?;
        self.with_owned(partition, epoch, |partition| {
            partition.remember();
            let outbox = &mut partition.now.outbox;
            outbox.retain(|entry| entry.sequence >= before);
        })?;
        self.trouble.after("clear the outbox").await
    }
}
