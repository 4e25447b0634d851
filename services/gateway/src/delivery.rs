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

#[cfg(test)]
mod tests {
    use caerus_engine::id::TenantId;
    use caerus_engine::time::Timestamp;

    use super::*;

    fn entry(partition: u32, offset: u64) -> Arc<Entry> {
        Arc::new(Entry {
            partition,
            offset,
            id: format!("d-{partition}-{offset}").into(),
            tenant: TenantId::new("acme"),
            app: None,
            generation: 1,
            expires_at: Timestamp::MAX,
            known_since: None,
            trace: None,
            json: "{}".into(),
        })
    }

    fn at(positions: &[u64]) -> Cursor {
        Cursor {
            log: 1,
            positions: positions.to_vec(),
            filter: 2,
        }
    }

    fn send(delivery: &mut Delivery, entry: Arc<Entry>) -> Cursor {
        let cursor = delivery.cursor_with(&entry);
        delivery.sent_decision(entry, &cursor.positions);
        cursor
    }

    #[test]
    fn an_acknowledgement_covers_all_that_was_sent_up_to_it_once() {
        let mut delivery = Delivery::new(at(&[0, 0]), 8);
        delivery.passed(&[1, 0]);
        delivery.sent_snapshot(vec![entry(0, 0)]);
        let first = send(&mut delivery, entry(1, 4));
        let second = send(&mut delivery, entry(0, 1));
        assert_eq!(first, at(&[1, 5]));
        assert_eq!(second, at(&[2, 5]));
        let covered = [
            Acknowledged::Snapshot(vec![entry(0, 0)]),
            Acknowledged::Decision(entry(1, 4)),
        ];
        assert_eq!(delivery.unacknowledged(), 3);
        assert_eq!(delivery.acknowledge(&first), Ok(covered.to_vec()));
        assert_eq!(delivery.acknowledge(&first), Ok(Vec::new()));
        assert!(!delivery.is_settled());
        assert_eq!(delivery.acknowledge(&second).map(|all| all.len()), Ok(1));
        assert!(delivery.is_settled());
    }

    #[test]
    fn what_was_never_sent_here_cannot_be_acknowledged() {
        let mut delivery = Delivery::new(at(&[3, 3]), 8);
        send(&mut delivery, entry(0, 3));
        let foreign_log = Cursor {
            log: 9,
            ..at(&[0, 0])
        };
        let foreign_filter = Cursor {
            filter: 9,
            ..at(&[0, 0])
        };
        for cursor in [
            at(&[4, 4]),
            at(&[5, 3]),
            at(&[4]),
            foreign_log,
            foreign_filter,
        ] {
            assert_eq!(delivery.acknowledge(&cursor), Err(BeyondSent), "{cursor:?}");
        }
        assert_eq!(
            delivery.acknowledge(&at(&[4, 3])).map(|all| all.len()),
            Ok(1)
        );
    }

    #[test]
    fn so_many_frames_may_wait_and_no_more() {
        let mut delivery = Delivery::new(at(&[0]), 2);
        let first = send(&mut delivery, entry(0, 0));
        assert!(!delivery.is_full());
        send(&mut delivery, entry(0, 1));
        assert!(delivery.is_full());
        assert_eq!(delivery.acknowledge(&first).map(|all| all.len()), Ok(1));
        assert!(!delivery.is_full());
    }

    #[test]
    fn a_snapshot_of_nothing_waits_for_nothing() {
        let mut delivery = Delivery::new(at(&[0]), 2);
        delivery.sent_snapshot(Vec::new());
        assert!(delivery.is_settled());
    }
}
