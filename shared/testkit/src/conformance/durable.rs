//! What ports that keep what they were told show after they are opened again. Knows no adapter and no files.
//!
//! Each rule takes a function that opens the same port each time it is called.

use std::sync::Arc;

use caerus_engine::id::{SubjectHash, TenantId};
use caerus_engine::step::Wakes;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{
    Bus, Commit, DecisionQuery, Epoch, Ledger, LedgerDecision, LogId, NewRecord, OutboxEntry,
    PortErrorKind, PortResult, ReadLimit, RecordStore, StoredRecord, StoredToken, Topic,
};

use super::{refusal, refusal_text};

const AMPLE: ReadLimit = ReadLimit {
    records: 100_000,
    bytes: usize::MAX,
};

/// Makes a test of each rule. `$open` gives a function from a number of partitions to a bus, and what must live as long.
#[macro_export]
macro_rules! durable_bus_suite {
    ($open:expr) => {
        $crate::rules! { durable, $open,
            a_reopened_bus_holds_what_was_appended
            offsets_rise_on_after_everything_was_let_go
            a_claim_holds_after_reopening
            another_number_of_partitions_is_refused_and_both_are_named
        }
    };
}

/// Makes a test of each rule. `$open` gives a function that opens a record store, and what must live as long.
#[macro_export]
macro_rules! durable_record_store_suite {
    ($open:expr) => {
        $crate::rules! { durable, $open,
            a_reopened_store_holds_its_last_commit
            a_reopened_store_still_refuses_the_former_owner
        }
    };
}

/// Makes a test of each rule. `$open` gives a function that opens a ledger, and what must live as long.
#[macro_export]
macro_rules! durable_ledger_suite {
    ($open:expr) => {
        $crate::rules! { durable, $open,
            a_reopened_ledger_holds_what_was_recorded
        }
    };
}

fn record(topic: Topic, partition: u32, key: &str, value: &str) -> NewRecord {
    NewRecord {
        topic,
        partition,
        key: key.as_bytes().to_vec(),
        value: value.as_bytes().into(),
    }
}

pub async fn a_reopened_bus_holds_what_was_appended(
    open: impl AsyncFn(u32) -> PortResult<Arc<dyn Bus>>,
) -> PortResult<()> {
    let bus = open(4).await?;
    let log = bus.log_id();
    bus.append(vec![
        record(Topic::Signals, 0, "a", "1"),
        record(Topic::Signals, 3, "b", "2"),
        record(Topic::Decisions, 1, "c", "3"),
    ])
    .await?;
    let epoch = bus.claim(0, b"claim"[..].into()).await?;
    bus.publish(0, epoch, vec![record(Topic::Decisions, 1, "d", "4")], 2)
        .await?;
    let before = [
        bus.read(Topic::Signals, 0, 0, AMPLE).await?,
        bus.read(Topic::Signals, 3, 0, AMPLE).await?,
        bus.read(Topic::Decisions, 1, 0, AMPLE).await?,
    ]
    .map(|batch| batch.records);
    drop(bus);
    let bus = open(4).await?;
    assert_eq!(bus.log_id(), log);
    assert_eq!(bus.partitions(), 4);
    assert_eq!(bus.completed(0).await?, 2);
    let after = [
        bus.read(Topic::Signals, 0, 0, AMPLE).await?,
        bus.read(Topic::Signals, 3, 0, AMPLE).await?,
        bus.read(Topic::Decisions, 1, 0, AMPLE).await?,
    ]
    .map(|batch| batch.records);
    assert_eq!(after, before);
    assert_eq!(before.map(|records| records.len()), [2, 1, 2]);
    Ok(())
}

pub async fn offsets_rise_on_after_everything_was_let_go(
    open: impl AsyncFn(u32) -> PortResult<Arc<dyn Bus>>,
) -> PortResult<()> {
    let bus = open(4).await?;
    let letters = vec![record(Topic::DeadLetters, 0, "a", "1"); 3];
    bus.append(letters).await?;
    bus.trim(Topic::DeadLetters, 0, 3).await?;
    drop(bus);
    let bus = open(4).await?;
    assert_eq!(bus.start(Topic::DeadLetters, 0).await?, 3);
    let next = bus
        .append(vec![record(Topic::DeadLetters, 0, "a", "4")])
        .await?;
    assert_eq!(next, [3]);
    Ok(())
}

pub async fn a_claim_holds_after_reopening(
    open: impl AsyncFn(u32) -> PortResult<Arc<dyn Bus>>,
) -> PortResult<()> {
    let bus = open(4).await?;
    let former = bus.claim(2, b"a"[..].into()).await?;
    let owner = bus.claim(2, b"b"[..].into()).await?;
    drop(bus);
    let bus = open(4).await?;
    let refused = bus.publish(2, former, Vec::new(), 1).await;
    assert_eq!(refusal(refused), Some(PortErrorKind::Conflict));
    bus.publish(2, owner, Vec::new(), 1).await?;
    assert!(bus.claim(2, b"c"[..].into()).await? > owner);
    Ok(())
}

pub async fn another_number_of_partitions_is_refused_and_both_are_named(
    open: impl AsyncFn(u32) -> PortResult<Arc<dyn Bus>>,
) -> PortResult<()> {
    drop(open(4).await?);
    let (kind, text) = refusal_text(open(16).await);
    assert_eq!(kind, Some(PortErrorKind::Refused));
    assert!(
        text.contains("16") && text.contains("created with 4"),
        "{text}"
    );
    open(4).await?;
    Ok(())
}

fn batch(epoch: Epoch) -> Commit {
    Commit {
        partition: 2,
        epoch,
        follows: 0,
        position: 12,
        records: vec![StoredRecord {
            key: SubjectHash(u128::MAX),
            bytes: Some(b"record".to_vec()),
            wakes: Wakes {
                watermark: Some(Timestamp(5)),
                clock: None,
            },
            is_concerned: true,
        }],
        outbox: vec![OutboxEntry {
            sequence: 0,
            record: record(Topic::Decisions, 2, "a", "1"),
        }],
        shared: Some(b"fold".to_vec()),
    }
}

fn epoch(claim_offset: u64) -> Epoch {
    Epoch {
        // The highest bit set: log ids are any 64 bits.
        log: LogId(u64::MAX - 1),
        claim_offset,
    }
}

pub async fn a_reopened_store_holds_its_last_commit(
    open: impl AsyncFn() -> PortResult<Arc<dyn RecordStore>>,
) -> PortResult<()> {
    let store = open().await?;
    store.open(2, epoch(3)).await?;
    let committed = batch(epoch(3));
    store.commit(committed.clone()).await?;
    drop(store);
    let store = open().await?;
    let state = store.open(2, epoch(4)).await?;
    assert_eq!((state.position, state.next_sequence), (12, 1));
    assert_eq!(state.shared, committed.shared);
    assert_eq!(state.outbox, committed.outbox);
    assert_eq!(state.agenda.len(), 1);
    let loaded = store.load(2, &[SubjectHash(u128::MAX)]).await?;
    assert_eq!(loaded, [Some(b"record".to_vec())]);
    Ok(())
}

pub async fn a_reopened_store_still_refuses_the_former_owner(
    open: impl AsyncFn() -> PortResult<Arc<dyn RecordStore>>,
) -> PortResult<()> {
    let store = open().await?;
    store.open(2, epoch(3)).await?;
    store.open(2, epoch(9)).await?;
    drop(store);
    let store = open().await?;
    let conflict = Some(PortErrorKind::Conflict);
    assert_eq!(refusal(store.open(2, epoch(3)).await), conflict);
    assert_eq!(refusal(store.commit(batch(epoch(3))).await), conflict);
    Ok(())
}

pub async fn a_reopened_ledger_holds_what_was_recorded(
    open: impl AsyncFn() -> PortResult<Arc<dyn Ledger>>,
) -> PortResult<()> {
    let decision = LedgerDecision {
        id: "d-1".into(),
        tenant: TenantId::new("acme"),
        owner: SubjectHash(1),
        generation: 4,
        mode: "enforce".into(),
        action: "step_up".into(),
        user: Some("alice".into()),
        session: None,
        device: None,
        issued_at: Timestamp(1),
        expires_at: Timestamp(2),
        json: "{}".into(),
    };
    let token = StoredToken {
        id: "t".into(),
        hash: [1; 32],
        name: "admin".into(),
        tenants: Vec::new(),
        rights: vec!["admin".into()],
        created_at: Timestamp(1),
        expires_at: None,
        revoked_at: None,
    };
    let ledger = open().await?;
    ledger
        .record_decisions(std::slice::from_ref(&decision))
        .await?;
    ledger.set_position(Topic::Decisions, 3, 44).await?;
    ledger.put_token(&token).await?;
    drop(ledger);
    let ledger = open().await?;
    let query = DecisionQuery {
        limit: 10,
        ..DecisionQuery::default()
    };
    assert_eq!(ledger.decisions(&query).await?.entries, [decision]);
    assert_eq!(ledger.position(Topic::Decisions, 3).await?, 44);
    assert_eq!(ledger.tokens().await?, [token]);
    Ok(())
}
