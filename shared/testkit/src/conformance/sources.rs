//! What every group of readers of source topics keeps to: who has what, where it reads on, what is marked. Knows no adapter.
//!
//! The rules ask for one topic of [`PARTITIONS`] partitions that holds nothing, and a group without members.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use caerus_runtime::port::sources::{
    BACKFILL_HEADER, FORMAT_HEADER, HEADERS, SourceMessage, SourcePartition, Sources,
};
use caerus_runtime::port::{PortErrorKind, PortResult, ReadLimit};
use caerus_runtime::trace::TRACEPARENT;
use tokio::time::timeout;

use super::refusal;

/// Partitions of the topic under test.
pub const PARTITIONS: u32 = 4;
const AMPLE: ReadLimit = ReadLimit {
    records: 100_000,
    bytes: usize::MAX,
};
/// Rebalances take sessions and joins.
const SOON: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A message as somebody outside writes it: under any key, with any headers.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(&'static str, Vec<u8>)>,
}

/// The world around the sources: who writes, and who joins.
#[async_trait]
pub trait Stage: Send + Sync {
    fn topic(&self) -> &str;
    /// Durable when it returns.
    async fn send(&self, partition: u32, message: Outside) -> PortResult<()>;
    /// One more member of the same group; it leaves by [`Stage::leave`].
    async fn join(&self) -> PortResult<Arc<dyn Sources>>;
    /// The member joined first of those still there leaves.
    async fn leave(&self);
}

/// Makes a test of each rule. `$open` gives an `Arc<dyn Stage>` and what must live as long.
#[macro_export]
macro_rules! sources_suite {
    ($open:expr) => {
        $crate::rules! { sources, $open,
            a_member_alone_has_every_partition
            messages_are_read_as_they_were_written_in_the_order_of_their_offsets
            a_read_stops_at_its_limits_but_returns_at_least_one
            a_read_of_nothing_returns_after_a_moment_and_takes_nothing_away
            a_partition_is_read_from_any_offset_it_holds
            what_lies_beyond_the_end_is_not_held
            the_end_is_where_the_next_message_will_stand
            what_is_marked_is_where_the_next_member_begins
            two_members_share_and_one_takes_over
        }
    };
}

fn place(stage: &dyn Stage, partition: u32) -> SourcePartition {
    SourcePartition {
        topic: stage.topic().into(),
        partition,
    }
}

fn text(value: &str) -> Outside {
    Outside {
        value: Some(value.as_bytes().to_vec()),
        ..Outside::default()
    }
}

async fn send_all(stage: &dyn Stage, partition: u32, values: &[&str]) -> PortResult<()> {
    for value in values {
        stage.send(partition, text(value)).await?;
    }
    Ok(())
}

/// Waits until so many partitions are the member's.
async fn settled(member: &Arc<dyn Sources>, count: usize) -> BTreeSet<SourcePartition> {
    let mut assigned = member.assigned();
    let waiting = assigned.wait_for(|now| now.len() == count);
    match timeout(SOON, waiting).await {
        Ok(Ok(now)) => now.clone(),
        _ => BTreeSet::new(),
    }
}

async fn alone(stage: &dyn Stage) -> PortResult<Arc<dyn Sources>> {
    let member = stage.join().await?;
    assert_eq!(settled(&member, 4).await.len(), 4);
    Ok(member)
}

/// Reads on until it has so many messages, or nothing came for long.
async fn read(
    member: &Arc<dyn Sources>,
    of: &SourcePartition,
    (mut from, count): (u64, usize),
) -> PortResult<Vec<SourceMessage>> {
    let mut messages = Vec::new();
    let reading = async {
        while messages.len() < count {
            let batch = member.read(of, from, AMPLE).await?;
            from = batch.next;
            messages.extend(batch.messages);
        }
        PortResult::Ok(())
    };
    match timeout(SOON, reading).await {
        Ok(read) => read?,
        Err(elapsed) => assert!(messages.len() >= count, "{elapsed}: {messages:?}"),
    }
    Ok(messages)
}

fn values(messages: &[SourceMessage]) -> Vec<String> {
    let value = |message: &SourceMessage| String::from_utf8_lossy(&message.value).into_owned();
    messages.iter().map(value).collect()
}

pub async fn a_member_alone_has_every_partition(stage: Arc<dyn Stage>) -> PortResult<()> {
    let member = alone(stage.as_ref()).await?;
    let all: BTreeSet<_> = (0..PARTITIONS).map(|n| place(stage.as_ref(), n)).collect();
    assert_eq!(*member.assigned().borrow(), all);
    assert_eq!(member.partitions().await?, all);
    Ok(())
}

pub async fn messages_are_read_as_they_were_written_in_the_order_of_their_offsets(
    stage: Arc<dyn Stage>,
) -> PortResult<()> {
    let headers = vec![
        (FORMAT_HEADER, b"native".to_vec()),
        ("other", b"x".to_vec()),
        (TRACEPARENT, b"00-a".to_vec()),
        (BACKFILL_HEADER, b"\xff".to_vec()),
        (FORMAT_HEADER, b"again".to_vec()),
    ];
    let full = Outside {
        key: Some(b"any".to_vec()),
        value: Some(b"\x00\xff".to_vec()),
        headers,
    };
    stage.send(2, full).await?;
    stage.send(2, Outside::default()).await?;
    stage.send(2, text("")).await?;
    let large = "y".repeat(600 * 1024);
    stage.send(2, text(&large)).await?;
    let member = alone(stage.as_ref()).await?;
    let read = read(&member, &place(stage.as_ref(), 2), (0, 4)).await?;
    let offsets: Vec<u64> = read.iter().map(|message| message.offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3]);
    let lens: Vec<usize> = read.iter().map(|message| message.value.len()).collect();
    assert_eq!(lens, [2, 0, 0, 600 * 1024]);
    let Some(first) = read.first() else {
        return Ok(());
    };
    assert_eq!(first.value, b"\x00\xff");
    let headers: Vec<(&str, &[u8])> = first
        .headers
        .iter()
        .map(|header| (header.name, header.value.as_slice()))
        .collect();
    let [format, backfill, trace] = HEADERS;
    let expected: [(&str, &[u8]); 4] = [
        (format, b"native"),
        (trace, b"00-a"),
        (backfill, b"\xff"),
        (format, b"again"),
    ];
    assert_eq!(headers, expected);
    Ok(())
}

pub async fn a_read_stops_at_its_limits_but_returns_at_least_one(
    stage: Arc<dyn Stage>,
) -> PortResult<()> {
    send_all(stage.as_ref(), 0, &["aaaa", "bbbb", "cccc"]).await?;
    let member = alone(stage.as_ref()).await?;
    let of = place(stage.as_ref(), 0);
    assert_eq!(read(&member, &of, (0, 3)).await?.len(), 3);
    for (records, bytes) in [(1, usize::MAX), (0, 0), (9, 1), (9, 4)] {
        let batch = member.read(&of, 1, ReadLimit { records, bytes }).await?;
        assert_eq!(values(&batch.messages), ["bbbb"], "{records} {bytes}");
        assert_eq!(batch.next, 2);
    }
    Ok(())
}

pub async fn a_read_of_nothing_returns_after_a_moment_and_takes_nothing_away(
    stage: Arc<dyn Stage>,
) -> PortResult<()> {
    let member = alone(stage.as_ref()).await?;
    let of = place(stage.as_ref(), 3);
    let batch = member.read(&of, 0, AMPLE).await?;
    assert_eq!((batch.messages.len(), batch.next), (0, 0));
    // One that is dropped while it waits, and one that is dropped with something to give.
    drop(timeout(LOOK_EVERY, member.read(&of, 0, AMPLE)).await);
    send_all(stage.as_ref(), 3, &["a", "b"]).await?;
    drop(timeout(Duration::ZERO, member.read(&of, 0, AMPLE)).await);
    assert_eq!(values(&read(&member, &of, (0, 2)).await?), ["a", "b"]);
    Ok(())
}

pub async fn a_partition_is_read_from_any_offset_it_holds(stage: Arc<dyn Stage>) -> PortResult<()> {
    send_all(stage.as_ref(), 1, &["a", "b", "c"]).await?;
    let member = alone(stage.as_ref()).await?;
    let of = place(stage.as_ref(), 1);
    for (from, expected) in [(2, &["c"][..]), (0, &["a", "b", "c"]), (1, &["b", "c"])] {
        let read = read(&member, &of, (from, expected.len())).await?;
        assert_eq!(values(&read), expected, "from {from}");
    }
    Ok(())
}

pub async fn what_lies_beyond_the_end_is_not_held(stage: Arc<dyn Stage>) -> PortResult<()> {
    send_all(stage.as_ref(), 1, &["a"]).await?;
    let member = alone(stage.as_ref()).await?;
    let beyond = member.read(&place(stage.as_ref(), 1), 9, AMPLE).await;
    assert_eq!(refusal(beyond), Some(PortErrorKind::Conflict));
    Ok(())
}

pub async fn the_end_is_where_the_next_message_will_stand(stage: Arc<dyn Stage>) -> PortResult<()> {
    let member = alone(stage.as_ref()).await?;
    let of = place(stage.as_ref(), 1);
    for end in 0..3 {
        assert_eq!(member.end(&of).await?, end);
        send_all(stage.as_ref(), 1, &["a"]).await?;
    }
    assert_eq!(member.end(&of).await?, 3);
    let standing = member.standing(&of).await?;
    assert_eq!(
        (standing.done, standing.start, standing.end),
        (None, 0, 3),
        "nothing is done that was not marked"
    );
    Ok(())
}

pub async fn what_is_marked_is_where_the_next_member_begins(
    stage: Arc<dyn Stage>,
) -> PortResult<()> {
    send_all(stage.as_ref(), 1, &["a", "b", "c"]).await?;
    let of = place(stage.as_ref(), 1);
    let first = alone(stage.as_ref()).await?;
    assert_eq!(read(&first, &of, (0, 3)).await?.len(), 3);
    first.mark_done(&of, 2).await?;
    assert_eq!(first.standing(&of).await?.done, Some(2));
    stage.leave().await;
    let late = first.mark_done(&of, 3).await;
    assert_eq!(refusal(late), Some(PortErrorKind::Conflict));
    assert_eq!(
        refusal(first.standing(&of).await),
        Some(PortErrorKind::Conflict)
    );
    drop(first);
    let second = alone(stage.as_ref()).await?;
    assert_eq!(second.standing(&of).await?.done, Some(2));
    assert_eq!(second.standing(&place(stage.as_ref(), 0)).await?.done, None);
    assert_eq!(values(&read(&second, &of, (2, 1)).await?), ["c"]);
    Ok(())
}

pub async fn two_members_share_and_one_takes_over(stage: Arc<dyn Stage>) -> PortResult<()> {
    let first = alone(stage.as_ref()).await?;
    let second = stage.join().await?;
    let (ours, theirs) = (settled(&first, 2).await, settled(&second, 2).await);
    assert_eq!((ours.len(), theirs.len()), (2, 2));
    assert!(ours.is_disjoint(&theirs));
    for of in &theirs {
        let foreign = first.read(of, 0, AMPLE).await;
        assert_eq!(refusal(foreign), Some(PortErrorKind::Conflict));
    }
    stage.leave().await;
    assert_eq!(settled(&second, 4).await.len(), 4);
    assert!(
        first.assigned().borrow().is_empty(),
        "who has left has nothing"
    );
    Ok(())
}
