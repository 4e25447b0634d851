//! What a group of changes does to the log, worked out before anything is written. Pure: knows no SQL.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caerus_runtime::port::{Epoch, LogId, NewRecord, PortError, PortErrorKind, PortResult, Topic};

/// One record at most. *Units*: bytes of key and value.
pub(super) const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What one caller asks for.
#[derive(Debug)]
pub(super) enum Change {
    Append(Vec<NewRecord>),
    Claim {
        partition: u32,
        claim: Arc<[u8]>,
    },
    Publish {
        partition: u32,
        epoch: Epoch,
        outputs: Vec<NewRecord>,
        completed: u64,
    },
}

impl Change {
    pub(super) fn records(&self) -> usize {
        match self {
            Self::Append(records) => records.len(),
            Self::Claim { .. } => 1,
            Self::Publish { outputs, .. } => outputs.len(),
        }
    }

    /// *Units*: bytes of keys and values.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Append(records) => records.iter().map(record_bytes).sum(),
            Self::Claim { claim, .. } => claim.len(),
            Self::Publish { outputs, .. } => outputs.iter().map(record_bytes).sum(),
        }
    }
}

/// A record with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) record: NewRecord,
    pub(super) offset: u64,
}

/// The latest claim of a partition, and up to where its outputs are complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) claim_offset: u64,
    pub(super) completed: u64,
}

/// The ends and owners as they stand, and what the group appends.
#[derive(Debug)]
pub(super) struct Plan {
    log: LogId,
    partitions: u32,
    ends: BTreeMap<(Topic, u32), u64>,
    owners: BTreeMap<u32, Owner>,
    ends_changed: BTreeSet<(Topic, u32)>,
    owners_changed: BTreeSet<u32>,
    placed: Vec<Placed>,
}

impl Plan {
    pub(super) fn new(
        log: LogId,
        partitions: u32,
        ends: BTreeMap<(Topic, u32), u64>,
        owners: BTreeMap<u32, Owner>,
    ) -> Self {
        Self {
            log,
            partitions,
            ends,
            owners,
            ends_changed: BTreeSet::new(),
            owners_changed: BTreeSet::new(),
            placed: Vec::new(),
        }
    }

    /// Takes one caller's change in whole, or refuses it and changes nothing.
    pub(super) fn take(&mut self, change: Change) -> PortResult<Vec<u64>> {
        match change {
            Change::Append(records) => {
                self.check_records(&records)?;
                Ok(self.place(records))
            }
            Change::Claim { partition, claim } => self.claim(partition, claim),
            Change::Publish {
                partition,
                epoch,
                outputs,
                completed,
            } => self.publish(partition, epoch, outputs, completed),
        }
    }

    fn claim(&mut self, partition: u32, claim: Arc<[u8]>) -> PortResult<Vec<u64>> {
        let record = NewRecord {
            topic: Topic::Signals,
            partition,
            key: Vec::new(),
            value: claim,
        };
        let records = vec![record];
        self.check_records(&records)?;
        let offsets = self.place(records);
        if let Some(claim_offset) = offsets.first().copied() {
            let completed = self
                .owners
                .get(&partition)
                .map_or(0, |owner| owner.completed);
            self.set_owner(
                partition,
                Owner {
                    claim_offset,
                    completed,
                },
            );
        }
        Ok(offsets)
    }

    fn publish(
        &mut self,
        partition: u32,
        epoch: Epoch,
        outputs: Vec<NewRecord>,
        completed: u64,
    ) -> PortResult<Vec<u64>> {
        check_place(self.partitions, Topic::Signals, partition)?;
        let owner = self.check_epoch(partition, epoch)?;
        self.check_records(&outputs)?;
        let end = self.end(Topic::Signals, partition);
        if completed > end {
            return Err(PortError::new(
                PortErrorKind::Refused,
                format!(
                    "call the outputs of partition {partition} complete up to {completed}, because its log ends at {end}"
                ),
            ));
        }
        let offsets = self.place(outputs);
        // What was complete stays complete: a new owner that begins further back repeats, it does not undo.
        let completed = owner.completed.max(completed);
        if completed != owner.completed {
            self.set_owner(partition, Owner { completed, ..owner });
        }
        Ok(offsets)
    }

    fn check_epoch(&self, partition: u32, epoch: Epoch) -> PortResult<Owner> {
        let refused = |kind, reason: String| {
            let operation = format!("publish the outputs of partition {partition}: {reason}");
            Err(PortError::new(kind, operation))
        };
        if epoch.log != self.log {
            return refused(
                PortErrorKind::Conflict,
                "the claim is of another log".into(),
            );
        }
        match self.owners.get(&partition) {
            Some(owner) if owner.claim_offset == epoch.claim_offset => Ok(*owner),
            Some(owner) if owner.claim_offset > epoch.claim_offset => {
                refused(PortErrorKind::Conflict, "there is a later claim".into())
            }
            _ => refused(
                PortErrorKind::Refused,
                format!("nobody claimed it at {}", epoch.claim_offset),
            ),
        }
    }

    fn check_records(&self, records: &[NewRecord]) -> PortResult<()> {
        for record in records {
            check_place(self.partitions, record.topic, record.partition)?;
            let bytes = record_bytes(record);
            if bytes > RECORD_BYTES_MAX {
                return Err(PortError::new(
                    PortErrorKind::Refused,
                    format!(
                        "append a record of {bytes} bytes to `{}`; it has at most {RECORD_BYTES_MAX}",
                        record.topic.name()
                    ),
                ));
            }
        }
        Ok(())
    }

    fn place(&mut self, records: Vec<NewRecord>) -> Vec<u64> {
        let mut offsets = Vec::with_capacity(records.len());
        for record in records {
            let place = (record.topic, record.partition);
            let end = self.ends.entry(place).or_default();
            let offset = *end;
            *end = end.saturating_add(1);
            self.ends_changed.insert(place);
            offsets.push(offset);
            self.placed.push(Placed { record, offset });
        }
        offsets
    }

    fn set_owner(&mut self, partition: u32, owner: Owner) {
        self.owners.insert(partition, owner);
        self.owners_changed.insert(partition);
    }

    fn end(&self, topic: Topic, partition: u32) -> u64 {
        self.ends.get(&(topic, partition)).copied().unwrap_or(0)
    }

    pub(super) fn into_writes(self) -> Writes {
        let ends = self
            .ends_changed
            .iter()
            .filter_map(|place| Some((*place, *self.ends.get(place)?)))
            .collect();
        let owners = self
            .owners_changed
            .iter()
            .filter_map(|partition| Some((*partition, *self.owners.get(partition)?)))
            .collect();
        let (compacted, kept) = self
            .placed
            .into_iter()
            .partition(|placed| placed.record.topic.is_compacted());
        Writes {
            kept,
            compacted,
            ends,
            owners,
        }
    }
}

/// What a plan writes.
#[derive(Debug)]
pub(super) struct Writes {
    /// Records of topics that keep all.
    pub(super) kept: Vec<Placed>,
    /// Records of topics that keep the newest of a key.
    pub(super) compacted: Vec<Placed>,
    pub(super) ends: Vec<((Topic, u32), u64)>,
    pub(super) owners: Vec<(u32, Owner)>,
}

impl Writes {
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.owners.is_empty()
    }
}

/// *Errors*: `Refused` when the topic has no such partition.
pub(super) fn check_place(log_partitions: u32, topic: Topic, partition: u32) -> PortResult<()> {
    let partitions = if topic.is_partitioned_as_log() {
        log_partitions
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

fn record_bytes(record: &NewRecord) -> usize {
    record.key.len().saturating_add(record.value.len())
}
