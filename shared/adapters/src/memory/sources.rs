//! Source topics in memory, and a group that shares them. Knows no broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use caerus_runtime::port::sources::{
    SourceBatch, SourceMessage, SourcePartition, SourceStanding, Sources,
};
use caerus_runtime::port::{PortError, PortErrorKind, PortResult, ReadLimit};
use tokio::sync::watch;

/// How long a read waits for a message.
const WAIT: Duration = Duration::from_millis(250);

/// The topics, and who shares them.
#[derive(Debug)]
pub struct MemoryTopics {
    state: Mutex<State>,
    /// Rises with every message and every change of the group.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    shelves: BTreeMap<SourcePartition, Shelf>,
    members: BTreeMap<u64, watch::Sender<BTreeSet<SourcePartition>>>,
    next_member: u64,
}

/// One partition.
#[derive(Debug, Default)]
struct Shelf {
    start: u64,
    messages: Vec<SourceMessage>,
    done: Option<u64>,
}

impl Shelf {
    fn end(&self) -> u64 {
        self.messages
            .last()
            .map_or(self.start, |last| last.offset + 1)
    }
}

impl State {
    /// Each partition is one member's, in turn.
    fn share_out(&mut self) {
        let mut shares: Vec<BTreeSet<SourcePartition>> = vec![BTreeSet::new(); self.members.len()];
        let count = shares.len().max(1);
        for (index, partition) in self.shelves.keys().enumerate() {
            if let Some(share) = shares.get_mut(index % count) {
                share.insert(partition.clone());
            }
        }
        for (assigned, share) in self.members.values().zip(shares) {
            assigned.send_replace(share);
        }
    }
}

impl MemoryTopics {
    /// *Shape*: the name and the partitions of each topic.
    pub fn new(topics: &[(&str, u32)]) -> Arc<Self> {
        let mut state = State::default();
        for (topic, partitions) in topics {
            let topic: Arc<str> = (*topic).into();
            for partition in 0..*partitions {
                let topic = Arc::clone(&topic);
                let place = SourcePartition { topic, partition };
                state.shelves.insert(place, Shelf::default());
            }
        }
        Arc::new(Self {
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
        })
    }

    /// One more member of the group; it leaves when dropped.
    pub fn join(self: &Arc<Self>) -> Arc<MemorySources> {
        let mut state = self.state();
        let member = state.next_member;
        state.next_member += 1;
        let (assigned, _) = watch::channel(BTreeSet::new());
        let joined = Arc::new(MemorySources {
            topics: Arc::clone(self),
            member,
            assigned: assigned.subscribe(),
        });
        state.members.insert(member, assigned);
        state.share_out();
        joined
    }

    /// Adds a partition to a topic, or the first one of a new topic.
    pub fn add(&self, partition: SourcePartition) {
        let mut state = self.state();
        state.shelves.entry(partition).or_default();
        state.share_out();
    }

    /// Writes a message; its offset is set here.
    ///
    /// *Returns*: the offset. *Errors*: `Refused` where there is no such partition.
    pub fn send(&self, to: &SourcePartition, mut message: SourceMessage) -> PortResult<u64> {
        let mut state = self.state();
        let shelf = state.shelves.get_mut(to).ok_or_else(|| unknown(to))?;
        let offset = shelf.end();
        message.offset = offset;
        shelf.messages.push(message);
        drop(state);
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
        Ok(offset)
    }

    /// Lets go of what stands below an offset, read or not.
    pub fn expire(&self, of: &SourcePartition, before: u64) {
        if let Some(shelf) = self.state().shelves.get_mut(of) {
            let start = before.min(shelf.end());
            shelf.messages.retain(|message| message.offset >= start);
            shelf.start = shelf.start.max(start);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A member of the group.
#[derive(Debug)]
pub struct MemorySources {
    topics: Arc<MemoryTopics>,
    member: u64,
    assigned: watch::Receiver<BTreeSet<SourcePartition>>,
}

impl Drop for MemorySources {
    fn drop(&mut self) {
        self.leave();
    }
}

impl MemorySources {
    /// Leaves the group; nothing is this member's afterwards.
    pub fn leave(&self) {
        let mut state = self.topics.state();
        if let Some(assigned) = state.members.remove(&self.member) {
            assigned.send_replace(BTreeSet::new());
        }
        state.share_out();
    }

    fn check_assigned(&self, of: &SourcePartition) -> PortResult<()> {
        if self.assigned.borrow().contains(of) {
            return Ok(());
        }
        let operation = format!("use {of}: it is not this member's");
        Err(PortError::new(PortErrorKind::Conflict, operation))
    }

    fn look(&self, of: &SourcePartition, from: u64, limit: ReadLimit) -> PortResult<SourceBatch> {
        let state = self.topics.state();
        let shelf = state.shelves.get(of).ok_or_else(|| unknown(of))?;
        let (start, end) = (shelf.start, shelf.end());
        if from < start || from > end {
            let operation = format!("read {of} at {from}: it holds {start} to {end}");
            return Err(PortError::new(PortErrorKind::Conflict, operation));
        }
        let mut batch = SourceBatch {
            messages: Vec::new(),
            next: from,
        };
        let mut bytes = 0;
        for message in shelf.messages.iter().filter(|m| m.offset >= from) {
            bytes += message.value.len();
            let is_full = batch.messages.len() >= limit.records || bytes > limit.bytes;
            if is_full && !batch.messages.is_empty() {
                break;
            }
            batch.next = message.offset + 1;
            batch.messages.push(message.clone());
        }
        Ok(batch)
    }
}

fn unknown(of: &SourcePartition) -> PortError {
    PortError::new(PortErrorKind::Refused, format!("use {of}: there is none"))
}

#[async_trait]
impl Sources for MemorySources {
    async fn partitions(&self) -> PortResult<BTreeSet<SourcePartition>> {
        Ok(self.topics.state().shelves.keys().cloned().collect())
    }

    fn assigned(&self) -> watch::Receiver<BTreeSet<SourcePartition>> {
        self.assigned.clone()
    }

    async fn standing(&self, of: &SourcePartition) -> PortResult<SourceStanding> {
        self.check_assigned(of)?;
        let state = self.topics.state();
        let shelf = state.shelves.get(of).ok_or_else(|| unknown(of))?;
        Ok(SourceStanding {
            done: shelf.done,
            start: shelf.start,
            end: shelf.end(),
        })
    }

    async fn read(
        &self,
        of: &SourcePartition,
        from: u64,
        limit: ReadLimit,
    ) -> PortResult<SourceBatch> {
        self.check_assigned(of)?;
        let mut changed = self.topics.changed.subscribe();
        let until = tokio::time::Instant::now() + WAIT;
        loop {
            let batch = self.look(of, from, limit)?;
            if !batch.messages.is_empty() {
                return Ok(batch);
            }
            match tokio::time::timeout_at(until, changed.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(batch),
            }
        }
    }

    async fn end(&self, of: &SourcePartition) -> PortResult<u64> {
        let state = self.topics.state();
        let shelf = state.shelves.get(of).ok_or_else(|| unknown(of))?;
        Ok(shelf.end())
    }

    async fn mark_done(&self, of: &SourcePartition, up_to: u64) -> PortResult<()> {
        self.check_assigned(of)?;
        let mut state = self.topics.state();
        let shelf = state.shelves.get_mut(of).ok_or_else(|| unknown(of))?;
        shelf.done = Some(up_to);
        Ok(())
    }
}
