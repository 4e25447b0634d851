//! Lines put together into bodies within the contract's bounds. Knows no network.

use std::ops::Range;
use std::time::Duration;

use caerus_wire::api::{BODY_BYTES_MAX, EVENTS_MAX};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::input::LINE_BYTES_MAX;

/// Events of one body: few enough that one answer does not take long.
pub(super) const BATCH_EVENTS_MAX: usize = 5_000;
/// *Units*: bytes of one body.
pub(super) const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a line waits for others: what comes slowly is sent as it comes.
const LINGER: Duration = Duration::from_millis(200);
/// Bodies a second, where the rate allows: so that it is even within the second, too.
const BATCHES_PER_SECOND: u32 = 10;

const _: () = {
    assert!(BATCH_EVENTS_MAX <= EVENTS_MAX);
    assert!(BATCH_BYTES_MAX <= BODY_BYTES_MAX);
    assert!(LINE_BYTES_MAX < BATCH_BYTES_MAX);
};

/// `file:line`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place(pub(super) String);

/// One line as read.
#[derive(Debug)]
pub(super) struct ReadLine {
    pub(super) place: Place,
    /// `None` where it was too long.
    pub(super) line: Option<Vec<u8>>,
    /// What was read of all files by then.
    pub(super) taken_bytes: u64,
}

/// One body, and where its events stood.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) body: Vec<u8>,
    events: Vec<(Place, Range<usize>)>,
    pub(super) too_long: Vec<Place>,
    pub(super) taken_bytes: u64,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is anything to send.
    pub(super) fn is_posted(&self) -> bool {
        !self.events.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.too_long.is_empty()
    }

    fn has_room(&self, line: &ReadLine) -> bool {
        let len = line.line.as_ref().map_or(0, |line| line.len() + 1);
        self.body.len() + len <= BATCH_BYTES_MAX
    }

    fn push(&mut self, read: ReadLine) {
        self.taken_bytes = read.taken_bytes;
        let Some(line) = read.line else {
            self.too_long.push(read.place);
            return;
        };
        let start = self.body.len();
        self.body.extend_from_slice(&line);
        self.events.push((read.place, start..self.body.len()));
        self.body.push(b'\n');
    }

    /// The event at that place of the body.
    pub(super) fn at(&self, index: usize) -> Option<(&Place, &[u8])> {
        let (place, range) = self.events.get(index)?;
        Some((place, self.body.get(range.clone())?))
    }
}

/// The lines, batch by batch.
#[derive(Debug)]
pub(super) struct Batches {
    lines: mpsc::Receiver<anyhow::Result<ReadLine>>,
    /// Did not fit any more.
    left: Option<ReadLine>,
    events_max: usize,
}

impl Batches {
    pub(super) fn new(
        lines: mpsc::Receiver<anyhow::Result<ReadLine>>,
        per_second: Option<u32>,
    ) -> Self {
        let at_a_time = per_second.map(|rate| (rate / BATCHES_PER_SECOND).max(1));
        let events_max = at_a_time.and_then(|count| usize::try_from(count).ok());
        Self {
            lines,
            left: None,
            events_max: events_max.unwrap_or(BATCH_EVENTS_MAX).min(BATCH_EVENTS_MAX),
        }
    }

    /// The next batch; `None` once all is read. *Errors*: what could not be read.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Batch>> {
        let mut batch = Batch::default();
        let mut deadline = None;
        while batch.len() < self.events_max {
            let Some(line) = self.line(deadline).await? else {
                break;
            };
            if !batch.has_room(&line) {
                self.left = Some(line);
                break;
            }
            batch.push(line);
            deadline = deadline.or_else(|| Some(Instant::now() + LINGER));
        }
        Ok((!batch.is_empty()).then_some(batch))
    }

    /// The next line; `None` at the end, or when nothing came until the deadline.
    async fn line(&mut self, deadline: Option<Instant>) -> anyhow::Result<Option<ReadLine>> {
        if let Some(left) = self.left.take() {
            return Ok(Some(left));
        }
        let received = match deadline {
            None => self.lines.recv().await,
            // Nothing in time is as good as nothing left: the batch goes as it is.
            Some(deadline) => {
                let waited = tokio::time::timeout_at(deadline, self.lines.recv());
                waited.await.unwrap_or_default()
            }
        };
        received.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(place: &str, len: usize) -> ReadLine {
        ReadLine {
            place: Place(place.to_owned()),
            line: Some(vec![b'x'; len]),
            taken_bytes: 7,
        }
    }

    async fn lens(lines: Vec<ReadLine>, per_second: Option<u32>) -> Vec<usize> {
        let (sender, receiver) = mpsc::channel(lines.len().max(1));
        for line in lines {
            sender.send(Ok(line)).await.unwrap();
        }
        drop(sender);
        let mut batches = Batches::new(receiver, per_second);
        let mut lens = Vec::new();
        while let Some(batch) = batches.next().await.unwrap() {
            assert!(batch.body.len() <= BATCH_BYTES_MAX);
            lens.push(batch.len());
        }
        lens
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_ends_before_it_is_too_large_and_nothing_is_left_out() {
        let short = |count| (0..count).map(|_| line("f:1", 2)).collect::<Vec<_>>();
        let most = BATCH_EVENTS_MAX;
        assert_eq!(lens(short(most + 1), None).await, [most, 1]);
        let long = |count| {
            (0..count)
                .map(|_| line("f:1", LINE_BYTES_MAX))
                .collect::<Vec<_>>()
        };
        assert_eq!(lens(long(5), None).await, [3, 2]);
        assert_eq!(lens(short(5), Some(20)).await, [2, 2, 1]);
        assert_eq!(lens(short(2), Some(1)).await, [1, 1]);
        assert_eq!(lens(Vec::new(), None).await, [0_usize; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_slowly_is_sent_as_it_comes() {
        let (sender, receiver) = mpsc::channel(8);
        let mut batches = Batches::new(receiver, None);
        sender.send(Ok(line("f:1", 1))).await.unwrap();
        let began = Instant::now();
        let batch = batches.next().await.unwrap().unwrap();
        assert_eq!((batch.len(), began.elapsed()), (1, LINGER));
    }

    #[tokio::test]
    async fn a_place_in_the_body_leads_back_to_the_line() {
        let (sender, receiver) = mpsc::channel(8);
        for read in [
            line("f:1", 1),
            ReadLine {
                line: None,
                ..line("f:2", 0)
            },
            line("f:3", 3),
        ] {
            sender.send(Ok(read)).await.unwrap();
        }
        drop(sender);
        let batch = Batches::new(receiver, None).next().await.unwrap().unwrap();
        assert_eq!(batch.body, b"x\nxxx\n");
        assert_eq!(batch.at(1), Some((&Place("f:3".to_owned()), &b"xxx"[..])));
        assert_eq!(batch.at(2), None);
        assert_eq!(batch.too_long, [Place("f:2".to_owned())]);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_ends_it() {
        let (sender, receiver) = mpsc::channel(8);
        sender.send(Err(anyhow::anyhow!("gone"))).await.unwrap();
        let error = Batches::new(receiver, None).next().await.unwrap_err();
        assert_eq!(error.to_string(), "gone");
    }
}
