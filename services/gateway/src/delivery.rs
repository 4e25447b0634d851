//! What one connection was sent and what it has acknowledged. Pure: knows no socket and no clock.

use std::collections::VecDeque;
use std::sync::Arc;

use caerus_wire::stream::Cursor;

use crate::picture::Entry;

/// The books of one connection.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// All that was sent so far lies below.
    sent: Cursor,
    /// Sent and not acknowledged, the oldest first.
    outstanding: VecDeque<Outstanding>,
    unacked_max: usize,
}

/// One frame, or one whole snapshot, that waits for its acknowledgement.
#[derive(Clone, Debug)]
struct Outstanding {
    /// In force once a cursor that reaches this is acknowledged.
    reached_at: Cursor,
    content: Acknowledged,
}

/// What is in force by an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// Everything that was in force when the subscriber came; how long each took says nothing.
    Snapshot(Vec<Arc<Entry>>),
    Decision(Arc<Entry>),
}

impl Acknowledged {
    pub fn entries(&self) -> &[Arc<Entry>] {
        match self {
            Self::Snapshot(entries) => entries,
            Self::Decision(entry) => std::slice::from_ref(entry),
        }
    }
}

/// An acknowledgement that cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the acknowledged cursor lies beyond what was sent here")]
pub struct BeyondSent;

impl Delivery {
    /// A connection to which all below `sent` is known.
    ///
    /// *Shape*: `sent` holds one position for each partition.
    pub fn new(sent: Cursor, unacked_max: usize) -> Self {
        Self {
            sent,
            outstanding: VecDeque::new(),
            unacked_max,
        }
    }

    /// The cursor of all that was sent.
    pub fn cursor(&self) -> &Cursor {
        &self.sent
    }

    /// The cursor as it will be once the entry was sent: what its frame carries.
    pub fn cursor_with(&self, entry: &Entry) -> Cursor {
        let mut cursor = self.sent.clone();
        if let Ok(index) = usize::try_from(entry.partition)
            && let Some(position) = cursor.positions.get_mut(index)
        {
            *position = (*position).max(entry.offset.saturating_add(1));
        }
        cursor
    }

    /// Nothing but heartbeats may be sent until an acknowledgement comes.
    pub fn is_full(&self) -> bool {
        self.outstanding.len() >= self.unacked_max
    }

    /// Decisions that wait for their acknowledgement.
    pub fn unacknowledged(&self) -> usize {
        let waiting = self.outstanding.iter();
        waiting.map(|one| one.content.entries().len()).sum()
    }

    /// Nothing waits for an acknowledgement.
    pub fn is_settled(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// A whole snapshot was sent, up to the cursor. An empty one asks for no acknowledgement.
    pub fn sent_snapshot(&mut self, entries: Vec<Arc<Entry>>) {
        if !entries.is_empty() {
            self.await_acknowledgement(Acknowledged::Snapshot(entries));
        }
    }

    /// One decision was sent, in a frame with the cursor `positions`.
    pub fn sent_decision(&mut self, entry: Arc<Entry>, positions: &[u64]) {
        self.passed(positions);
        self.await_acknowledgement(Acknowledged::Decision(entry));
    }

    fn await_acknowledgement(&mut self, content: Acknowledged) {
        self.outstanding.push_back(Outstanding {
            reached_at: self.sent.clone(),
            content,
        });
    }

    /// Everything for this connection below `positions` was sent; what lay between was not for it.
    pub fn passed(&mut self, positions: &[u64]) {
        for (sent, passed) in self.sent.positions.iter_mut().zip(positions) {
            *sent = (*sent).max(*passed);
        }
    }

    /// Takes an acknowledgement. *Returns*: what is in force by it and was not before.
    pub fn acknowledge(&mut self, cursor: &Cursor) -> Result<Vec<Acknowledged>, BeyondSent> {
        if !self.sent.is_at_or_past(cursor) {
            return Err(BeyondSent);
        }
        let mut acknowledged = Vec::new();
        while let Some(oldest) = self
            .outstanding
            .pop_front_if(|oldest| cursor.is_at_or_past(&oldest.reached_at))
        {
            acknowledged.push(oldest.content);
        }
        Ok(acknowledged)
    }
}
