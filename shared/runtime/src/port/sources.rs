//! The port to topics that others write events to: what stands there, and which of it is this process's to take in. Knows
//! no form of event.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{PortResult, ReadLimit};

/// The headers that are handed on, where a message has them.
pub const HEADERS: [&str; 3] = [FORMAT_HEADER, BACKFILL_HEADER, crate::trace::TRACEPARENT];
/// The form that a message is written in.
pub const FORMAT_HEADER: &str = "caerus-format";
/// `true` where a message tells history: learned from, never decided upon.
pub const BACKFILL_HEADER: &str = "caerus-backfill";

/// One partition of a topic that others write to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourcePartition {
    /// The whole name, e.g. `caerus.logins`.
    pub topic: Arc<str>,
    pub partition: u32,
}

impl fmt::Display for SourcePartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// A message as it stands in its topic, whoever wrote it, under whatever key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceMessage {
    pub offset: u64,
    /// Empty also for a message without a value. *Shape*: of any size.
    pub value: Vec<u8>,
    /// Those of [`HEADERS`], in the order of the message; a name may stand there more than once.
    pub headers: Vec<SourceHeader>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceHeader {
    /// One of [`HEADERS`].
    pub name: &'static str,
    pub value: Vec<u8>,
}

/// Consecutive messages of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceBatch {
    pub messages: Vec<SourceMessage>,
    /// Where to read on: past the last message, and past what is no message.
    pub next: u64,
}

/// Where a partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceStanding {
    /// Up to where it was marked done; `None` where it never was.
    pub done: Option<u64>,
    /// The first offset still held there.
    pub start: u64,
    /// As [`Sources::end`].
    pub end: u64,
}

/// The topics that others write events to, shared among the members of one group: each partition is one member's.
#[async_trait]
pub trait Sources: Send + Sync + fmt::Debug {
    /// Every partition of every source topic, whoever takes it in.
    async fn partitions(&self) -> PortResult<BTreeSet<SourcePartition>>;

    /// Which of them are this member's at present. Empty until the group has settled.
    fn assigned(&self) -> watch::Receiver<BTreeSet<SourcePartition>>;

    /// Where the group left off. *Errors*: as those of `read`.
    async fn standing(&self, of: &SourcePartition) -> PortResult<SourceStanding>;

    /// Reads on from an offset. Where there is nothing it waits for a moment, then returns nothing; dropped meanwhile,
    /// it has taken nothing away. It returns at least one message where there is one, however large.
    ///
    /// *Errors*: `Conflict` where the partition is not this member's, or does not hold that offset any more.
    async fn read(
        &self,
        of: &SourcePartition,
        from: u64,
        limit: ReadLimit,
    ) -> PortResult<SourceBatch>;

    /// The offset that the next message will have: what was acknowledged to its writer before the call stands below.
    async fn end(&self, of: &SourcePartition) -> PortResult<u64>;

    /// Tells the group that everything below the offset is taken in: whoever has the partition next reads on there.
    /// *Errors*: `Conflict` where the partition is not this member's any more.
    async fn mark_done(&self, of: &SourcePartition, up_to: u64) -> PortResult<()>;
}
