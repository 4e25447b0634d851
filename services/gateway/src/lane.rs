//! The bounded queue between the picture and one subscriber. Knows neither the frames' meaning nor the socket.
//!
//! INVARIANT (INV-6): a lane holds at most its bytes and its count; the one that is full is closed, and no other
//! subscriber waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, watch};

/// Entries a lane holds whatever their size.
pub const LANE_LEN_MAX: usize = 16_384;

/// Something that takes up room in a lane.
pub trait Weighed {
    /// *Units*: bytes.
    fn weight(&self) -> usize;
}

/// Why nothing more can be put into a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It held too much; its subscriber is told.
    Overflowed,
    /// Its subscriber has gone.
    Gone,
}

/// The picture's end.
#[derive(Debug)]
pub struct LaneSender<T> {
    entries: mpsc::Sender<T>,
    queued_bytes: Arc<AtomicUsize>,
    queued_bytes_max: usize,
    overflowed: watch::Sender<bool>,
}

/// The subscriber's end.
#[derive(Debug)]
pub struct LaneReceiver<T> {
    entries: mpsc::Receiver<T>,
    queued_bytes: Arc<AtomicUsize>,
    overflowed: watch::Receiver<bool>,
}

/// A lane of at most so many bytes.
pub fn lane<T: Weighed>(queued_bytes_max: usize) -> (LaneSender<T>, LaneReceiver<T>) {
    let (sender, receiver) = mpsc::channel(LANE_LEN_MAX);
    let (overflow_sender, overflow_receiver) = watch::channel(false);
    let queued_bytes = Arc::new(AtomicUsize::new(0));
    (
        LaneSender {
            entries: sender,
            queued_bytes: Arc::clone(&queued_bytes),
            queued_bytes_max,
            overflowed: overflow_sender,
        },
        LaneReceiver {
            entries: receiver,
            queued_bytes,
            overflowed: overflow_receiver,
        },
    )
}

impl<T: Weighed> LaneSender<T> {
    /// Never waits. *Errors*: the lane is closed from now on, and the sender is to be dropped.
    pub fn push(&self, entry: T) -> Result<(), Closed> {
        let weight = entry.weight();
        let before = self.queued_bytes.fetch_add(weight, Ordering::Relaxed);
        if before.saturating_add(weight) > self.queued_bytes_max {
            self.overflowed.send_replace(true);
            return Err(Closed::Overflowed);
        }
        match self.entries.try_send(entry) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.overflowed.send_replace(true);
                Err(Closed::Overflowed)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Closed::Gone),
        }
    }
}

impl<T: Weighed> LaneReceiver<T> {
    /// The oldest entry; `None` when the picture has let go of the lane and nothing is left in it.
    pub async fn next(&mut self) -> Option<T> {
        let entry = self.entries.recv().await?;
        self.queued_bytes
            .fetch_sub(entry.weight(), Ordering::Relaxed);
        Some(entry)
    }

    /// A watch that turns true when the lane was closed for holding too much.
    pub fn overflow(&self) -> watch::Receiver<bool> {
        self.overflowed.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Bytes(usize);

    impl Weighed for Bytes {
        fn weight(&self) -> usize {
            self.0
        }
    }

    #[tokio::test]
    async fn a_lane_closes_at_its_bytes_and_what_was_taken_out_makes_room() {
        let (sender, mut receiver) = lane(100);
        assert_eq!(sender.push(Bytes(60)), Ok(()));
        assert_eq!(receiver.next().await, Some(Bytes(60)));
        assert_eq!(sender.push(Bytes(100)), Ok(()));
        assert!(!*receiver.overflow().borrow());
        assert_eq!(sender.push(Bytes(1)), Err(Closed::Overflowed));
        assert!(*receiver.overflow().borrow());
        drop(sender);
        assert_eq!(receiver.next().await, Some(Bytes(100)));
        assert_eq!(receiver.next().await, None);
    }

    #[tokio::test]
    async fn a_lane_closes_at_its_count_too() {
        let (sender, receiver) = lane(usize::MAX);
        let pushed = (0..=LANE_LEN_MAX).map(|_| sender.push(Bytes(0)));
        let refused = pushed.enumerate().find(|(_, outcome)| outcome.is_err());
        assert_eq!(refused, Some((LANE_LEN_MAX, Err(Closed::Overflowed))));
        assert!(*receiver.overflow().borrow());
    }

    #[test]
    fn a_lane_without_its_subscriber_is_gone() {
        let (sender, receiver) = lane(100);
        drop(receiver);
        assert_eq!(sender.push(Bytes(1)), Err(Closed::Gone));
    }
}
