//! What every bus keeps to: order, all or nothing, compaction, retention, wake-ups. Knows no adapter.
//!
//! The rules ask for a bus of [`PARTITIONS`] partitions that holds nothing.

use std::sync::Arc;

use caerus_runtime::port::{
    Bus, BusRecord, NewRecord, PortErrorKind, PortResult, ReadLimit, Topic,
};
use tokio::task::JoinSet;

use super::refusal;

/// Partitions of the log under test.
pub const PARTITIONS: u32 = 4;
const AMPLE: ReadLimit = ReadLimit {
    records: 100_000,
    bytes: usize::MAX,
};

/// Makes a test of each rule. `$open` gives an empty `Arc<dyn Bus>` and what must live as long.
#[macro_export]
macro_rules! bus_suite {
    ($open:expr) => {
        $crate::rules! { bus, $open,
            offsets_begin_at_zero_and_rise_by_one_in_each_partition
            an_append_is_all_or_nothing_across_topics
            an_append_of_nothing_does_nothing
            records_are_read_as_they_were_written
            a_read_stops_at_its_number_of_records
            a_read_stops_at_its_bytes_but_returns_at_least_one
            a_read_at_the_end_returns_at_once_with_nothing
            keys_of_other_topics_and_partitions_are_left_alone
            a_topic_that_is_not_compacted_keeps_every_record_of_a_key
            an_append_wakes_those_who_wait_on_its_topic_and_no_others
            trimming_lets_go_of_the_oldest_and_keeps_offsets
            trimming_beyond_the_end_empties_and_offsets_rise_on
            a_compacted_topic_is_not_trimmed
            a_partition_that_is_not_there_is_refused
            concurrent_callers_keep_their_own_order_and_lose_nothing
        }
        $crate::rules! { claim, $open,
            a_claim_stands_in_the_log_and_its_place_is_the_epoch
            a_former_owner_publishes_nothing
            a_claim_that_nobody_made_is_refused
            a_claim_on_another_log_conflicts
            partitions_are_claimed_apart
            outputs_and_progress_are_published_together
            a_refused_publication_does_nothing
            what_was_complete_stays_complete
            outputs_are_not_complete_beyond_the_log
            anyone_may_append_to_a_claimed_partition
            a_claim_and_a_publication_wake_too
            two_owners_in_turn_never_interleave
        }
    };
}

/// Makes a test of each rule of a bus that compacts at once. Not for one whose broker compacts when it finds the time:
/// readers of such a bus see superseded records for a while, and have to bear it on every bus.
#[macro_export]
macro_rules! compacting_bus_suite {
    ($open:expr) => {
        $crate::rules! { bus, $open,
            a_compacted_topic_keeps_the_newest_of_a_key_and_offsets_rise_on
            a_key_told_twice_in_one_append_keeps_the_last
            a_tombstone_removes_what_the_key_held
            reading_on_passes_compacted_gaps
        }
    };
}

pub(super) fn record(topic: Topic, partition: u32, key: &str, value: &str) -> NewRecord {
    NewRecord {
        topic,
        partition,
        key: key.as_bytes().to_vec(),
        value: value.as_bytes().into(),
    }
}

pub(super) fn signal(partition: u32, value: &str) -> NewRecord {
    record(Topic::Signals, partition, "k", value)
}

async fn all(bus: &dyn Bus, topic: Topic, partition: u32) -> PortResult<Vec<BusRecord>> {
    Ok(bus.read(topic, partition, 0, AMPLE).await?.records)
}

/// Offsets and values of a whole partition.
pub(super) async fn told(
    bus: &dyn Bus,
    topic: Topic,
    partition: u32,
) -> PortResult<Vec<(u64, String)>> {
    let records = all(bus, topic, partition).await?;
    Ok(records
        .into_iter()
        .map(|record| {
            let value = String::from_utf8_lossy(&record.value).into_owned();
            (record.offset, value)
        })
        .collect())
}

pub(super) fn pairs(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected
        .iter()
        .map(|(offset, value)| (*offset, (*value).to_owned()))
        .collect()
}

pub async fn offsets_begin_at_zero_and_rise_by_one_in_each_partition(
    bus: Arc<dyn Bus>,
) -> PortResult<()> {
    assert_eq!(bus.partitions(), PARTITIONS);
    for topic in Topic::ALL {
        assert_eq!(bus.start(topic, 0).await?, 0);
        assert_eq!(bus.end(topic, 0).await?, 0);
    }
    let first = vec![signal(0, "a"), signal(1, "b"), signal(0, "c")];
    assert_eq!(bus.append(first).await?, [0, 0, 1]);
    let second = vec![
        signal(1, "d"),
        record(Topic::DeadLetters, 0, "k", "e"),
        signal(0, "f"),
    ];
    assert_eq!(bus.append(second).await?, [1, 0, 2]);
    assert_eq!(bus.end(Topic::Signals, 0).await?, 3);
    assert_eq!(bus.end(Topic::Signals, 1).await?, 2);
    assert_eq!(bus.end(Topic::Signals, 2).await?, 0);
    assert_eq!(bus.end(Topic::DeadLetters, 0).await?, 1);
    Ok(())
}

pub async fn an_append_is_all_or_nothing_across_topics(bus: Arc<dyn Bus>) -> PortResult<()> {
    let records = vec![
        signal(0, "a"),
        record(Topic::Decisions, 1, "k", "b"),
        signal(PARTITIONS, "there is no such partition"),
    ];
    assert_eq!(
        refusal(bus.append(records).await),
        Some(PortErrorKind::Refused)
    );
    assert_eq!(bus.end(Topic::Signals, 0).await?, 0);
    assert_eq!(bus.end(Topic::Decisions, 1).await?, 0);
    assert_eq!(all(&*bus, Topic::Signals, 0).await?, []);
    Ok(())
}

pub async fn an_append_of_nothing_does_nothing(bus: Arc<dyn Bus>) -> PortResult<()> {
    let signals = bus.appended(Topic::Signals);
    assert!(bus.append(Vec::new()).await?.is_empty());
    assert!(!signals.has_changed().unwrap_or(true));
    Ok(())
}

pub async fn records_are_read_as_they_were_written(bus: Arc<dyn Bus>) -> PortResult<()> {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let large = vec![7_u8; 200_000];
    let values = [&b""[..], &every_byte, &large];
    let records = values.map(|value| NewRecord {
        topic: Topic::Signals,
        partition: 3,
        key: every_byte.clone(),
        value: value.into(),
    });
    bus.append(records.to_vec()).await?;
    let read = bus.read(Topic::Signals, 3, 0, AMPLE).await?;
    assert_eq!(read.next, 3);
    for (record, value) in read.records.iter().zip(values) {
        assert_eq!(record.key, every_byte);
        assert_eq!(&*record.value, value);
    }
    let offsets: Vec<u64> = read.records.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [0, 1, 2]);
    Ok(())
}

pub async fn a_read_stops_at_its_number_of_records(bus: Arc<dyn Bus>) -> PortResult<()> {
    bus.append((0..10).map(|n| signal(0, &n.to_string())).collect())
        .await?;
    let cases = [
        (0, 3, 3, 3),
        (3, 3, 3, 6),
        (9, 3, 1, 10),
        (0, 10, 10, 10),
        (4, 0, 1, 5),
    ];
    for (from, records, expected, next) in cases {
        let limit = ReadLimit { records, ..AMPLE };
        let batch = bus.read(Topic::Signals, 0, from, limit).await?;
        assert_eq!(batch.records.len(), expected, "{records} from {from}");
        assert_eq!(batch.next, next, "{records} from {from}");
        assert_eq!(batch.records.first().map(|first| first.offset), Some(from));
    }
    Ok(())
}

pub async fn a_read_stops_at_its_bytes_but_returns_at_least_one(
    bus: Arc<dyn Bus>,
) -> PortResult<()> {
    // Ten bytes each: one of key, nine of value.
    bus.append((0..5).map(|n| signal(0, &format!("{n:09}"))).collect())
        .await?;
    for (bytes, expected) in [(0, 1), (9, 1), (10, 1), (19, 1), (20, 2), (49, 4), (50, 5)] {
        let limit = ReadLimit { bytes, ..AMPLE };
        let batch = bus.read(Topic::Signals, 0, 0, limit).await?;
        assert_eq!(batch.records.len(), expected, "{bytes} bytes");
        let last = batch.records.last().map(|last| last.offset + 1);
        assert_eq!(Some(batch.next), last, "{bytes} bytes");
    }
    Ok(())
}

pub async fn a_read_at_the_end_returns_at_once_with_nothing(bus: Arc<dyn Bus>) -> PortResult<()> {
    for from in [0, 2] {
        let batch = bus.read(Topic::Signals, 0, from, AMPLE).await?;
        assert_eq!((batch.records.len(), batch.next), (0, from));
        bus.append(vec![signal(0, "a"), signal(0, "b")]).await?;
    }
    let ahead = bus.read(Topic::Signals, 0, 1_000, AMPLE).await?;
    assert_eq!((ahead.records.len(), ahead.next), (0, 1_000));
    Ok(())
}

pub async fn a_compacted_topic_keeps_the_newest_of_a_key_and_offsets_rise_on(
    bus: Arc<dyn Bus>,
) -> PortResult<()> {
    for topic in [Topic::Decisions, Topic::Shadow, Topic::Progress] {
        bus.append(vec![record(topic, 0, "a", "1"), record(topic, 0, "b", "2")])
            .await?;
        let again = bus.append(vec![record(topic, 0, "a", "3")]).await?;
        assert_eq!(again, [2]);
        assert_eq!(told(&*bus, topic, 0).await?, pairs(&[(1, "2"), (2, "3")]));
        assert_eq!(bus.start(topic, 0).await?, 1);
        assert_eq!(bus.end(topic, 0).await?, 3);
    }
    Ok(())
}

pub async fn a_key_told_twice_in_one_append_keeps_the_last(bus: Arc<dyn Bus>) -> PortResult<()> {
    let records = ["1", "2", "3"].map(|value| record(Topic::Decisions, 2, "a", value));
    assert_eq!(bus.append(records.to_vec()).await?, [0, 1, 2]);
    assert_eq!(told(&*bus, Topic::Decisions, 2).await?, pairs(&[(2, "3")]));
    Ok(())
}

pub async fn keys_of_other_topics_and_partitions_are_left_alone(
    bus: Arc<dyn Bus>,
) -> PortResult<()> {
    let places = [
        (Topic::Decisions, 0),
        (Topic::Decisions, 1),
        (Topic::Shadow, 0),
    ];
    bus.append(places.map(|(topic, p)| record(topic, p, "a", "1")).to_vec())
        .await?;
    for (topic, partition) in places {
        assert_eq!(told(&*bus, topic, partition).await?, pairs(&[(0, "1")]));
    }
    Ok(())
}

pub async fn a_tombstone_removes_what_the_key_held(bus: Arc<dyn Bus>) -> PortResult<()> {
    bus.append(vec![
        record(Topic::Decisions, 0, "a", "1"),
        record(Topic::Decisions, 0, "b", "2"),
    ])
    .await?;
    bus.append(vec![record(Topic::Decisions, 0, "a", "")])
        .await?;
    let held = all(&*bus, Topic::Decisions, 0).await?;
    let alive: Vec<&[u8]> = held
        .iter()
        .filter(|record| !record.value.is_empty())
        .map(|record| record.key.as_slice())
        .collect();
    assert_eq!(alive, [b"b"]);
    // A reader that had the key learns that it is gone.
    let later = bus.read(Topic::Decisions, 0, 2, AMPLE).await?;
    assert_eq!(later.next, 3);
    assert!(
        later
            .records
            .iter()
            .all(|record| record.key == b"a" && record.value.is_empty())
    );
    bus.append(vec![record(Topic::Decisions, 0, "a", "4")])
        .await?;
    assert_eq!(
        told(&*bus, Topic::Decisions, 0).await?,
        pairs(&[(1, "2"), (3, "4")])
    );
    Ok(())
}

pub async fn reading_on_passes_compacted_gaps(bus: Arc<dyn Bus>) -> PortResult<()> {
    // Keys a and b change places for long: all but the last two records are gaps.
    for n in 0..20 {
        let key = if n % 2 == 0 { "a" } else { "b" };
        bus.append(vec![record(Topic::Decisions, 0, key, &n.to_string())])
            .await?;
    }
    let one = ReadLimit {
        records: 1,
        ..AMPLE
    };
    let first = bus.read(Topic::Decisions, 0, 3, one).await?;
    assert_eq!(first.records.first().map(|record| record.offset), Some(18));
    assert_eq!(first.next, 19);
    let second = bus.read(Topic::Decisions, 0, first.next, one).await?;
    assert_eq!(second.records.first().map(|record| record.offset), Some(19));
    bus.append(vec![record(Topic::Decisions, 0, "b", "20")])
        .await?;
    // Offset 19 is a gap now.
    let third = bus.read(Topic::Decisions, 0, 19, one).await?;
    assert_eq!(third.records.first().map(|record| record.offset), Some(20));
    assert_eq!(third.next, 21);
    Ok(())
}

pub async fn a_topic_that_is_not_compacted_keeps_every_record_of_a_key(
    bus: Arc<dyn Bus>,
) -> PortResult<()> {
    for topic in [Topic::Signals, Topic::DeadLetters, Topic::Receipts] {
        for value in ["1", "", "3"] {
            bus.append(vec![record(topic, 0, "a", value)]).await?;
        }
        assert_eq!(
            told(&*bus, topic, 0).await?,
            pairs(&[(0, "1"), (1, ""), (2, "3")])
        );
    }
    Ok(())
}

pub async fn an_append_wakes_those_who_wait_on_its_topic_and_no_others(
    bus: Arc<dyn Bus>,
) -> PortResult<()> {
    let mut signals = bus.appended(Topic::Signals);
    let decisions = bus.appended(Topic::Decisions);
    assert!(!signals.has_changed().unwrap_or(true));
    bus.append(vec![signal(1, "a")]).await?;
    assert!(signals.has_changed().unwrap_or(false));
    assert!(!decisions.has_changed().unwrap_or(true));
    signals.mark_unchanged();
    // Woken before anyone asks: what is read then is already there.
    let waiting = {
        let bus = Arc::clone(&bus);
        async move {
            let changed = signals.changed().await.is_ok();
            (changed, bus.read(Topic::Signals, 1, 1, AMPLE).await)
        }
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(waiting);
    bus.append(vec![signal(1, "b")]).await?;
    while let Some(Ok((is_woken, read))) = tasks.join_next().await {
        assert!(is_woken);
        assert_eq!(read?.records.len(), 1);
    }
    Ok(())
}

pub async fn trimming_lets_go_of_the_oldest_and_keeps_offsets(bus: Arc<dyn Bus>) -> PortResult<()> {
    let letters = |n: u32| record(Topic::DeadLetters, 0, "k", &n.to_string());
    bus.append((0..5).map(letters).collect()).await?;
    bus.append(vec![signal(0, "untouched")]).await?;
    bus.trim(Topic::DeadLetters, 0, 3).await?;
    assert_eq!(bus.start(Topic::DeadLetters, 0).await?, 3);
    assert_eq!(bus.end(Topic::DeadLetters, 0).await?, 5);
    assert_eq!(
        told(&*bus, Topic::DeadLetters, 0).await?,
        pairs(&[(3, "3"), (4, "4")])
    );
    bus.trim(Topic::DeadLetters, 0, 1).await?;
    assert_eq!(bus.start(Topic::DeadLetters, 0).await?, 3);
    assert_eq!(bus.start(Topic::Signals, 0).await?, 0);
    assert_eq!(bus.append(vec![letters(5)]).await?, [5]);
    Ok(())
}

pub async fn trimming_beyond_the_end_empties_and_offsets_rise_on(
    bus: Arc<dyn Bus>,
) -> PortResult<()> {
    bus.append(vec![signal(0, "a"), signal(0, "b")]).await?;
    bus.trim(Topic::Signals, 0, u64::MAX).await?;
    assert_eq!(all(&*bus, Topic::Signals, 0).await?, []);
    assert_eq!(bus.start(Topic::Signals, 0).await?, 2);
    assert_eq!(bus.append(vec![signal(0, "c")]).await?, [2]);
    assert_eq!(told(&*bus, Topic::Signals, 0).await?, pairs(&[(2, "c")]));
    Ok(())
}

pub async fn a_compacted_topic_is_not_trimmed(bus: Arc<dyn Bus>) -> PortResult<()> {
    bus.append(vec![record(Topic::Decisions, 0, "a", "1")])
        .await?;
    let refused = bus.trim(Topic::Decisions, 0, 1).await;
    assert_eq!(refusal(refused), Some(PortErrorKind::Refused));
    assert_eq!(told(&*bus, Topic::Decisions, 0).await?, pairs(&[(0, "1")]));
    Ok(())
}

pub async fn a_partition_that_is_not_there_is_refused(bus: Arc<dyn Bus>) -> PortResult<()> {
    let refused = Some(PortErrorKind::Refused);
    for topic in Topic::ALL {
        let beyond = if topic.is_partitioned_as_log() {
            PARTITIONS
        } else {
            1
        };
        assert_eq!(refusal(bus.read(topic, beyond, 0, AMPLE).await), refused);
        assert_eq!(refusal(bus.start(topic, beyond).await), refused);
        assert_eq!(refusal(bus.end(topic, beyond).await), refused);
        assert_eq!(refusal(bus.trim(topic, beyond, 0).await), refused);
        let lost = vec![record(topic, beyond, "k", "v")];
        assert_eq!(refusal(bus.append(lost).await), refused);
        bus.end(topic, beyond.saturating_sub(1)).await?;
    }
    assert_eq!(
        refusal(bus.claim(PARTITIONS, b"claim"[..].into()).await),
        refused
    );
    assert_eq!(refusal(bus.completed(PARTITIONS).await), refused);
    Ok(())
}

pub async fn concurrent_callers_keep_their_own_order_and_lose_nothing(
    bus: Arc<dyn Bus>,
) -> PortResult<()> {
    const CALLERS: u64 = 8;
    const APPENDS: u64 = 40;
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let bus = Arc::clone(&bus);
        callers.spawn(async move {
            let mut placed = Vec::new();
            for n in 0..APPENDS {
                let value = format!("{caller}:{n}");
                let twice = vec![signal(0, &value), signal(1, &value)];
                placed.extend(bus.append(twice).await?.first().map(|at| (*at, value)));
            }
            PortResult::Ok(placed)
        });
    }
    let mut answered = Vec::new();
    while let Some(Ok(placed)) = callers.join_next().await {
        let placed = placed?;
        assert!(
            placed.is_sorted(),
            "a caller's own appends stand in its order"
        );
        answered.extend(placed);
    }
    answered.sort();
    let expected = usize::try_from(CALLERS * APPENDS).unwrap_or(0);
    assert_eq!(answered.len(), expected);
    assert_eq!(told(&*bus, Topic::Signals, 0).await?, answered);
    assert_eq!(all(&*bus, Topic::Signals, 1).await?.len(), expected);
    Ok(())
}
