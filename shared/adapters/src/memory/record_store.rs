//! The record store in memory: the plain form of its rules. Knows no disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use caerus_engine::id::SubjectHash;
use caerus_engine::step::Wakes;
use caerus_runtime::port::{
    AgendaEntry, Commit, Epoch, OutboxEntry, PartitionState, PortError, PortErrorKind, PortResult,
    RecordStore, StoredRecord,
};

/// Records, outbox and position, in memory.
#[derive(Debug, Default)]
pub struct MemoryRecordStore {
    partitions: Mutex<BTreeMap<u32, Partition>>,
}

#[derive(Debug)]
struct Partition {
    epoch: Epoch,
    position: u64,
    next_sequence: u64,
    shared: Option<Vec<u8>>,
    outbox: Vec<OutboxEntry>,
    records: BTreeMap<SubjectHash, StoredRecord>,
}

impl Partition {
    fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            position: 0,
            next_sequence: 0,
            shared: None,
            outbox: Vec::new(),
            records: BTreeMap::new(),
        }
    }

    fn state(&self) -> PartitionState {
        let agenda = self
            .records
            .values()
            .filter(|record| record.is_concerned || record.wakes != Wakes::default())
            .map(|record| AgendaEntry {
                key: record.key,
                wakes: record.wakes,
                is_concerned: record.is_concerned,
            });
        PartitionState {
            position: self.position,
            shared: self.shared.clone(),
            outbox: self.outbox.clone(),
            next_sequence: self.next_sequence,
            agenda: agenda.collect(),
        }
    }

    fn take(&mut self, commit: Commit) -> PortResult<()> {
        if commit.follows != self.position {
            let (partition, follows) = (commit.partition, commit.follows);
            return Err(PortError::new(
                PortErrorKind::Unavailable,
                format!(
                    "commit a batch of partition {partition} that follows {follows}: the store stands at {}",
                    self.position
                ),
            ));
        }
        let mut expected = self.next_sequence;
        for entry in &commit.outbox {
            if entry.sequence != expected {
                return Err(PortError::new(
                    PortErrorKind::Refused,
                    format!(
                        "commit an outbox entry of sequence {} to partition {}, where {expected} follows",
                        entry.sequence, commit.partition
                    ),
                ));
            }
            expected = expected.saturating_add(1);
        }
        self.next_sequence = expected;
        self.position = commit.position;
        self.outbox.extend(commit.outbox);
        if commit.shared.is_some() {
            self.shared = commit.shared;
        }
        for record in commit.records {
            if record.bytes.is_some() {
                self.records.insert(record.key, record);
            } else {
                self.records.remove(&record.key);
            }
        }
        Ok(())
    }
}

impl MemoryRecordStore {
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn partitions(&self) -> MutexGuard<'_, BTreeMap<u32, Partition>> {
        self.partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The partition, if `epoch` is the one that opened it last.
fn held<'a>(
    partitions: &'a mut BTreeMap<u32, Partition>,
    partition: u32,
    epoch: Epoch,
    operation: &str,
) -> PortResult<&'a mut Partition> {
    let refused = |kind, reason: &str| {
        Err(PortError::new(
            kind,
            format!("{operation} partition {partition}: {reason}"),
        ))
    };
    match partitions.get_mut(&partition) {
        Some(held) if held.epoch == epoch => Ok(held),
        Some(held) if held.epoch.log != epoch.log => refused(
            PortErrorKind::Conflict,
            "the store holds records of another log",
        ),
        Some(held) if held.epoch > epoch => {
            refused(PortErrorKind::Conflict, "there is a later claim")
        }
        Some(_) | None => refused(
            PortErrorKind::Unavailable,
            "the claim did not open the partition first",
        ),
    }
}

#[async_trait]
impl RecordStore for MemoryRecordStore {
    async fn open(&self, partition: u32, epoch: Epoch) -> PortResult<PartitionState> {
        let mut partitions = self.partitions();
        partitions.retain(|_, held| held.epoch.log == epoch.log);
        let held = partitions
            .entry(partition)
            .or_insert_with(|| Partition::new(epoch));
        if held.epoch > epoch {
            return Err(PortError::new(
                PortErrorKind::Conflict,
                format!("open the records of partition {partition}: there is a later claim"),
            ));
        }
        held.epoch = epoch;
        Ok(held.state())
    }

    async fn load(&self, partition: u32, keys: &[SubjectHash]) -> PortResult<Vec<Option<Vec<u8>>>> {
        let partitions = self.partitions();
        let held = partitions.get(&partition);
        let bytes = |key| held?.records.get(key)?.bytes.clone();
        Ok(keys.iter().map(bytes).collect())
    }

    async fn commit(&self, commit: Commit) -> PortResult<()> {
        let mut partitions = self.partitions();
        let (partition, epoch) = (commit.partition, commit.epoch);
        held(&mut partitions, partition, epoch, "commit a batch of")?.take(commit)
    }

    async fn clear_outbox(&self, partition: u32, epoch: Epoch, before: u64) -> PortResult<()> {
        let mut partitions = self.partitions();
        held(&mut partitions, partition, epoch, "clear the outbox of")?
            .outbox
            .retain(|entry| entry.sequence >= before);
        Ok(())
    }
}
