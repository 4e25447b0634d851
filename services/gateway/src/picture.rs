//! The decisions in force: folded from the decisions topic, by tenant and target. Knows no bus, no clock, no socket.

use std::collections::BTreeMap;
use std::sync::Arc;

use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::BusRecord;
use caerus_wire::decision::{DecisionError, ModeName, PublicDecision};

use crate::filter::Filter;

/// A decision as it stands in the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub partition: u32,
    pub offset: u64,
    pub id: Arc<str>,
    pub tenant: TenantId,
    /// The app of the target, where it names one.
    pub app: Option<Arc<str>>,
    pub generation: u64,
    pub expires_at: Timestamp,
    /// From when its latency is measured: when the event was taken in, else when it was decided.
    pub known_since: Option<Timestamp>,
    /// The trace of the event that caused it: 32 hex digits.
    pub trace: Option<Arc<str>>,
    /// The contract's object, as it stands in the topic.
    pub json: Arc<str>,
}

impl Entry {
    /// Reads a record that is no tombstone.
    ///
    /// INVARIANT (INV-10): the tenant is the decision's own, and its key must say the same.
    fn read(partition: u32, record: &BusRecord) -> Result<Self, Unreadable> {
        let offset = record.offset;
        let json = std::str::from_utf8(&record.value).map_err(|source| Unreadable::Text {
            partition,
            offset,
            source,
        })?;
        let decision =
            PublicDecision::parse(json.as_bytes()).map_err(|source| Unreadable::Decision {
                partition,
                offset,
                source,
            })?;
        if decision.key().as_bytes() != record.key {
            return Err(Unreadable::Key { partition, offset });
        }
        if decision.mode == ModeName::Shadow {
            return Err(Unreadable::Shadow { partition, offset });
        }
        Ok(Self {
            partition,
            offset,
            tenant: TenantId::new(decision.tenant.as_str()),
            app: decision.target.app.as_deref().map(Arc::from),
            generation: decision.generation,
            expires_at: decision.expires_at,
            known_since: decision.received_at.or(decision.decided_at),
            trace: decision.trace.as_deref().and_then(trace_id).map(Arc::from),
            id: decision.id.into(),
            json: json.into(),
        })
    }
}

/// The trace id of a `traceparent`. *Source*: W3C Trace Context §3.2.
fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1).filter(|id| id.len() == 32)
}

/// What one record of the topic did to the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// In force from now on; goes to the subscribers.
    Decided(Arc<Entry>),
    /// Left the picture; subscribers drop it by its `expires_at`.
    Removed,
    /// Changes nothing: a repeat, an older generation, or already over.
    Nothing,
}

/// Why a record of the topic was left out.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("could not read the decision at {partition}:{offset}")]
    Decision {
        partition: u32,
        offset: u64,
        #[source]
        source: DecisionError,
    },
    #[error("the decision at {partition}:{offset} is not UTF-8")]
    Text {
        partition: u32,
        offset: u64,
        #[source]
        source: std::str::Utf8Error,
    },
    #[error("the decision at {partition}:{offset} stands under the key of another target")]
    Key { partition: u32, offset: u64 },
    #[error("a shadow decision stands among those to enforce, at {partition}:{offset}")]
    Shadow { partition: u32, offset: u64 },
}

/// All decisions in force, and up to where the topic was read.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    by_key: BTreeMap<Arc<[u8]>, Arc<Entry>>,
    /// The same, by place in the topic: what a cursor resumes from.
    by_place: BTreeMap<(u32, u64), Arc<[u8]>>,
    /// The same, by when it ends.
    by_expiry: BTreeMap<(Timestamp, u32, u64), Arc<[u8]>>,
    positions: Vec<u64>,
}

impl Picture {
    /// An empty picture that will be read from `positions` on, one for each partition.
    pub fn from_start(positions: Vec<u64>) -> Self {
        Self {
            positions,
            ..Self::default()
        }
    }

    /// The next offset to read of each partition.
    pub fn positions(&self) -> &[u64] {
        &self.positions
    }

    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Takes in a record. What cannot be read changes nothing.
    ///
    /// INVARIANT (INV-1): for one target only a greater generation replaces what is held.
    pub fn absorb(
        &mut self,
        partition: u32,
        record: &BusRecord,
        now: Timestamp,
    ) -> Result<Change, Unreadable> {
        self.move_to(partition, record.offset.saturating_add(1));
        if record.value.is_empty() {
            return Ok(match self.remove(&record.key) {
                Some(_) => Change::Removed,
                None => Change::Nothing,
            });
        }
        let entry = Entry::read(partition, record)?;
        if let Some(held) = self.by_key.get(record.key.as_slice())
            && held.generation >= entry.generation
        {
            return Ok(Change::Nothing);
        }
        let removed = self.remove(&record.key);
        if entry.expires_at <= now {
            return Ok(removed.map_or(Change::Nothing, |_| Change::Removed));
        }
        Ok(Change::Decided(
            self.insert(Arc::from(record.key.as_slice()), entry),
        ))
    }

    /// Notes that the partition was read up to `next` (compaction leaves gaps).
    pub fn move_to(&mut self, partition: u32, next: u64) {
        if let Ok(index) = usize::try_from(partition)
            && let Some(position) = self.positions.get_mut(index)
        {
            *position = (*position).max(next);
        }
    }

    /// Drops what is over. *Returns*: how many.
    pub fn expire(&mut self, now: Timestamp) -> usize {
        let mut dropped = 0;
        while let Some((place, key)) = self.by_expiry.first_key_value()
            && place.0 <= now
        {
            let key = Arc::clone(key);
            self.remove(&key);
            dropped += 1;
        }
        dropped
    }

    /// The decisions in force that the filter admits, by partition and offset.
    pub fn snapshot(&self, filter: &Filter) -> Vec<Arc<Entry>> {
        self.by_place
            .values()
            .filter_map(|key| self.by_key.get(key))
            .filter(|entry| filter.admits(entry))
            .map(Arc::clone)
            .collect()
    }

    /// Those among the snapshot that stand at or after `positions`: what a subscriber that holds a cursor lacks.
    pub fn since(&self, positions: &[u64], filter: &Filter) -> Vec<Arc<Entry>> {
        let mut found = Vec::new();
        for (partition, from) in (0_u32..).zip(positions) {
            let lacking = self
                .by_place
                .range((partition, *from)..=(partition, u64::MAX))
                .filter_map(|(_, key)| self.by_key.get(key))
                .filter(|entry| filter.admits(entry));
            found.extend(lacking.map(Arc::clone));
        }
        found
    }

    fn insert(&mut self, key: Arc<[u8]>, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(entry);
        self.by_place
            .insert((entry.partition, entry.offset), Arc::clone(&key));
        self.by_expiry.insert(
            (entry.expires_at, entry.partition, entry.offset),
            Arc::clone(&key),
        );
        self.by_key.insert(key, Arc::clone(&entry));
        entry
    }

    fn remove(&mut self, key: &[u8]) -> Option<Arc<Entry>> {
        let entry = self.by_key.remove(key)?;
        self.by_place.remove(&(entry.partition, entry.offset));
        self.by_expiry
            .remove(&(entry.expires_at, entry.partition, entry.offset));
        Some(entry)
    }
}
