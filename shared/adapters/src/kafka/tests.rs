//! What the suite cannot ask of every bus: markers, fencing between processes, the group, and what a wrong setting says.
//! Against a real broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use caerus_runtime::config::Kafka;
use caerus_runtime::port::{Bus, NewRecord, PortErrorKind, PortResult, ReadLimit, Topic};
use caerus_runtime::secret::Secret;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::KafkaBus;
use crate::distributed::GroupBus;

const AMPLE: ReadLimit = ReadLimit {
    records: 100_000,
    bytes: usize::MAX,
};
const PARTITIONS: u32 = 4;
/// A wake-up follows the acknowledgement closely, also on a machine that does much else.
const AT_ONCE: Duration = Duration::from_millis(200);
/// Rebalances take sessions and joins.
const SOON: Duration = Duration::from_secs(20);

/// A log of its own on the broker that the tests are given.
#[expect(
    clippy::disallowed_methods,
    reason = "where the tests' servers are is no configuration of Caerus"
)]
pub(crate) fn fresh_settings() -> Kafka {
    let broker = std::env::var("CAERUS_KAFKA")
        .expect("CAERUS_KAFKA says where Kafka is: `make test` starts the servers and sets it");
    let id = getrandom::u64().unwrap();
    Kafka {
        brokers: vec![broker],
        topic_prefix: format!("test-{id:016x}."),
        replication: 1,
        group: format!("test-{id:016x}"),
        properties: BTreeMap::new(),
        password: None,
        sources: Vec::new(),
    }
}

async fn connect(settings: &Kafka) -> Arc<KafkaBus> {
    KafkaBus::connect(settings, PARTITIONS).await.unwrap()
}

fn record(topic: Topic, partition: u32, value: &str) -> NewRecord {
    NewRecord {
        topic,
        partition,
        key: b"k".to_vec(),
        value: value.as_bytes().into(),
    }
}

async fn values(bus: &KafkaBus, topic: Topic, partition: u32) -> PortResult<Vec<String>> {
    let batch = bus.read(topic, partition, 0, AMPLE).await?;
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    Ok(batch.records.iter().map(|one| text(&one.value)).collect())
}

/// Reads on until the position is where the partition ends; a marker may come a moment after its transaction.
async fn read_to_end(bus: &KafkaBus, topic: Topic, partition: u32) -> PortResult<u64> {
    let end = bus.end(topic, partition).await?;
    let batch = bus.read(topic, partition, 0, AMPLE).await?;
    assert_eq!(batch.next, end, "{topic:?}");
    Ok(end)
}

#[tokio::test]
async fn a_reader_reaches_the_end_past_the_markers_of_transactions() -> PortResult<()> {
    let bus = connect(&fresh_settings()).await;
    let epoch = bus.claim(1, b"claim"[..].into()).await?;
    assert_eq!(read_to_end(&bus, Topic::Signals, 1).await?, 2);
    let outputs = vec![
        record(Topic::Decisions, 1, "a"),
        record(Topic::Signals, 1, "b"),
    ];
    bus.publish(1, epoch, outputs, 2).await?;
    assert_eq!(read_to_end(&bus, Topic::Signals, 1).await?, 4);
    assert_eq!(read_to_end(&bus, Topic::Decisions, 1).await?, 2);
    // One that begins at the end, and one that begins anew, find the same place.
    let batch = bus.read(Topic::Signals, 1, 4, AMPLE).await?;
    assert_eq!((batch.records.len(), batch.next), (0, 4));
    drop(bus);
    Ok(())
}

#[tokio::test]
async fn a_new_process_reaches_the_end_from_any_marker() -> PortResult<()> {
    let settings = fresh_settings();
    let bus = connect(&settings).await;
    bus.claim(1, b"first"[..].into()).await?;
    bus.claim(1, b"second"[..].into()).await?;
    let end = bus.end(Topic::Signals, 1).await?;
    let other = connect(&settings).await;
    for from in 0..=end {
        let batch = other.read(Topic::Signals, 1, from, AMPLE).await?;
        assert_eq!(batch.next, end, "from {from}");
        let expected = [(0, 2), (1, 1), (2, 1), (3, 0), (4, 0)];
        assert!(expected.contains(&(from, batch.records.len())), "{batch:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_claim_of_another_process_fences_and_nothing_of_the_former_is_read() -> PortResult<()> {
    let settings = fresh_settings();
    let (former, owner) = (connect(&settings).await, connect(&settings).await);
    assert_eq!(former.log_id(), owner.log_id());
    let old = former.claim(0, b"former"[..].into()).await?;
    former
        .publish(0, old, vec![record(Topic::Decisions, 0, "before")], 1)
        .await?;
    let epoch = owner.claim(0, b"owner"[..].into()).await?;
    assert!(epoch > old);
    assert_eq!(owner.completed(0).await?, 1);
    let late = vec![
        record(Topic::Decisions, 0, "late"),
        record(Topic::Signals, 2, "late"),
    ];
    for _ in 0..2 {
        let refused = former.publish(0, old, late.clone(), 2).await;
        assert_eq!(refused.unwrap_err().kind, PortErrorKind::Conflict);
    }
    owner
        .publish(0, epoch, vec![record(Topic::Decisions, 0, "after")], 2)
        .await?;
    for bus in [&former, &owner] {
        bus.end(Topic::Decisions, 0).await?;
        let told = values(bus, Topic::Decisions, 0).await?;
        assert_eq!(told, ["before", "after"]);
        bus.end(Topic::Signals, 2).await?;
        assert!(values(bus, Topic::Signals, 2).await?.is_empty());
    }
    assert_eq!(former.completed(0).await?, 2);
    // The former owner may claim anew, and fences in turn.
    let again = former.claim(0, b"again"[..].into()).await?;
    assert!(again > epoch);
    let refused = owner.publish(0, epoch, Vec::new(), 2).await;
    assert_eq!(refused.unwrap_err().kind, PortErrorKind::Conflict);
    Ok(())
}

#[tokio::test]
async fn a_process_that_lost_its_producer_goes_on_under_the_same_claim() -> PortResult<()> {
    let settings = fresh_settings();
    let bus = connect(&settings).await;
    let epoch = bus.claim(3, b"claim"[..].into()).await?;
    bus.publish(3, epoch, vec![record(Topic::Decisions, 3, "a")], 1)
        .await?;
    drop(bus);
    let bus = connect(&settings).await;
    bus.publish(3, epoch, vec![record(Topic::Decisions, 3, "b")], 2)
        .await?;
    assert_eq!(bus.completed(3).await?, 2);
    assert_eq!(values(&bus, Topic::Decisions, 3).await?, ["a", "b"]);
    Ok(())
}

#[tokio::test]
async fn what_an_aborted_transaction_wrote_is_never_read() -> PortResult<()> {
    let settings = fresh_settings();
    let bus = connect(&settings).await;
    let epoch = bus.claim(0, b"claim"[..].into()).await?;
    bus.seats
        .leave_open(0, &record(Topic::Signals, 2, "never"))
        .await?;
    bus.append(vec![record(Topic::Signals, 2, "appended")])
        .await?;
    // The open transaction holds the partition's end back, and a new owner's claim ends it.
    assert_eq!(bus.end(Topic::Signals, 2).await?, 0);
    let other = connect(&settings).await;
    let next = other.claim(0, b"next"[..].into()).await?;
    assert!(next > epoch);
    for bus in [&bus, &other] {
        // The lost record, the appended one, the marker.
        assert_eq!(bus.end(Topic::Signals, 2).await?, 3);
        assert_eq!(values(bus, Topic::Signals, 2).await?, ["appended"]);
        assert_eq!(read_to_end(bus, Topic::Signals, 2).await?, 3);
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_of_another_process_wakes_when_a_record_comes() -> PortResult<()> {
    let settings = fresh_settings();
    let (writer, reader) = (connect(&settings).await, connect(&settings).await);
    // Somebody who has read nothing yet, then one who waits again.
    let mut appended = reader.appended(Topic::Decisions);
    for n in 0..5 {
        appended.borrow_and_update();
        writer
            .append(vec![record(Topic::Decisions, 2, &n.to_string())])
            .await?;
        let answered = Instant::now();
        timeout(SOON, appended.changed()).await.unwrap().unwrap();
        // The first may have to wait until the partition is fetched at all.
        assert!(
            n == 0 || answered.elapsed() < AT_ONCE,
            "{:?}",
            answered.elapsed()
        );
        let batch = reader.read(Topic::Decisions, 2, n, AMPLE).await?;
        assert_eq!(batch.records.len(), 1);
        assert_eq!(batch.next, n + 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_behind_another_of_the_same_partition_is_given_the_same() -> PortResult<()> {
    let bus = connect(&fresh_settings()).await;
    let many = (0..3_000).map(|n| record(Topic::Signals, 0, &n.to_string()));
    bus.append(many.collect()).await?;
    let few = ReadLimit {
        records: 700,
        ..AMPLE
    };
    let (mut ahead, mut behind) = (0, 0);
    while behind < 3_000 {
        let batch = bus.read(Topic::Signals, 0, ahead, few).await?;
        ahead = batch.next;
        let batch = bus.read(Topic::Signals, 0, behind, few).await?;
        let offsets: Vec<u64> = batch.records.iter().map(|one| one.offset).collect();
        let expected: Vec<u64> = (behind..batch.next).collect();
        assert_eq!(offsets, expected);
        behind = batch.next;
        // The one ahead goes back to the start for once.
        if ahead == 2_100 {
            let batch = bus.read(Topic::Signals, 0, 0, few).await?;
            assert_eq!(batch.next, 700);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_whose_next_records_are_trimmed_goes_on_after_them() -> PortResult<()> {
    let settings = fresh_settings();
    let (reader, writer) = (connect(&settings).await, connect(&settings).await);
    let letter = |n: u32| record(Topic::DeadLetters, 0, &n.to_string());
    reader.append((0..4).map(letter).collect()).await?;
    let two = ReadLimit {
        records: 2,
        ..AMPLE
    };
    let batch = reader.read(Topic::DeadLetters, 0, 0, two).await?;
    assert_eq!(batch.next, 2);
    writer.append((4..9).map(letter).collect()).await?;
    writer.trim(Topic::DeadLetters, 0, 9).await?;
    let end = reader.end(Topic::DeadLetters, 0).await?;
    let mut next = batch.next;
    while next < end {
        next = reader.read(Topic::DeadLetters, 0, next, AMPLE).await?.next;
    }
    assert_eq!(next, 9);
    writer.append(vec![letter(9)]).await?;
    reader.end(Topic::DeadLetters, 0).await?;
    let batch = reader.read(Topic::DeadLetters, 0, next, AMPLE).await?;
    assert_eq!((batch.records.len(), batch.next), (1, 10));
    Ok(())
}

#[tokio::test]
async fn two_processes_that_create_the_log_at_once_agree_on_it() {
    let settings = fresh_settings();
    let (first, second) = tokio::join!(connect(&settings), connect(&settings));
    assert_eq!(first.log_id(), second.log_id());
    assert_ne!(first.log_id().0, 0);
}

#[tokio::test]
async fn nobody_listens_there() {
    let mut settings = fresh_settings();
    settings.brokers = vec!["127.0.0.1:1".to_owned()];
    let started = Instant::now();
    let error = KafkaBus::connect(&settings, PARTITIONS).await.unwrap_err();
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert_eq!(error.kind, PortErrorKind::Unavailable);
    let text = caerus_runtime::tasks::chain(&error);
    assert!(text.contains("127.0.0.1:1"), "{text}");
    assert!(text.contains("refused"), "{text}");
}

#[tokio::test]
async fn a_login_that_the_broker_does_not_take_is_refused_with_the_place_to_look_at() {
    let mut settings = fresh_settings();
    let sasl = [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "caerus"),
    ];
    settings.properties = sasl.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    settings.password = Some(Secret::new("hunter2"));
    let started = Instant::now();
    let error = KafkaBus::connect(&settings, PARTITIONS).await.unwrap_err();
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    let text = caerus_runtime::tasks::chain(&error);
    assert_eq!(error.kind, PortErrorKind::Refused, "{text}");
    assert!(text.contains("look at the credentials"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn properties_that_correctness_depends_on_are_refused() {
    let cases = [
        ("isolation.level", "Caerus sets it itself"),
        ("sasl.password", "Caerus sets it itself"),
        ("no.such.property", "knows no such property"),
    ];
    for (name, reason) in cases {
        let mut settings = fresh_settings();
        settings.properties = [(name.to_owned(), "secret".to_owned())].into();
        let error = KafkaBus::connect(&settings, PARTITIONS).await.unwrap_err();
        let text = caerus_runtime::tasks::chain(&error);
        assert_eq!(error.kind, PortErrorKind::Refused, "{text}");
        assert!(text.contains(name) && text.contains(reason), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_record_too_large_for_the_broker_is_refused() -> PortResult<()> {
    let bus = connect(&fresh_settings()).await;
    let large = record(Topic::Signals, 0, &"x".repeat(1_100_000));
    let small = record(Topic::Signals, 0, "small");
    let refused = bus.append(vec![small.clone(), large.clone()]).await;
    assert_eq!(refused.unwrap_err().kind, PortErrorKind::Refused);
    let epoch = bus.claim(0, b"claim"[..].into()).await?;
    let refused = bus.publish(0, epoch, vec![small.clone(), large], 0).await;
    assert_eq!(refused.unwrap_err().kind, PortErrorKind::Refused);
    bus.publish(0, epoch, vec![small], 0).await?;
    assert_eq!(values(&bus, Topic::Signals, 0).await?, ["claim", "small"]);
    Ok(())
}

/// Waits until those of the group own what `is_right` says: a rebalance is no single event.
async fn settled(
    group: &mut [watch::Receiver<BTreeSet<u32>>],
    is_right: impl Fn(&[BTreeSet<u32>]) -> bool,
) {
    let mut owned = Vec::new();
    let right = async {
        loop {
            let now = group.iter_mut();
            owned = now.map(|one| one.borrow_and_update().clone()).collect();
            if is_right(&owned) {
                return;
            }
            let mut changes: JoinSet<_> = group.iter().cloned().map(change_of).collect();
            changes.join_next().await;
        }
    };
    let is_in_time = timeout(SOON, right).await.is_ok();
    assert!(is_in_time, "{owned:?}");
}

/// One who has left says nothing more.
async fn change_of(mut owned: watch::Receiver<BTreeSet<u32>>) {
    if owned.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_group_of_two_shares_the_partitions_and_who_leaves_hands_over() -> PortResult<()> {
    let settings = fresh_settings();
    let (first, second) = (connect(&settings).await, connect(&settings).await);
    let all: BTreeSet<u32> = (0..PARTITIONS).collect();
    let mut both = vec![first.join().await?];
    settled(&mut both, |owned| owned == [all.clone()]).await;
    // As a member, a claim and a publication carry the membership.
    let epoch = first.claim(0, b"claim"[..].into()).await?;
    first
        .publish(0, epoch, vec![record(Topic::Decisions, 0, "a")], 1)
        .await?;
    both.push(second.join().await?);
    settled(&mut both, |owned| {
        let shared: BTreeSet<u32> = owned.iter().flatten().copied().collect();
        owned.iter().all(|one| one.len() == 2) && shared == all
    })
    .await;
    first.leave().await;
    settled(&mut both, |owned| owned == [BTreeSet::new(), all.clone()]).await;
    let next = second.claim(0, b"next"[..].into()).await?;
    assert!(next > epoch);
    assert_eq!(second.completed(0).await?, 1);
    Ok(())
}
