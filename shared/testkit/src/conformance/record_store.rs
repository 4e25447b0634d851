//! What every record store keeps to: all or nothing, one owner, the agenda. Knows no adapter.

use std::ops::Range;
use std::sync::Arc;

use caerus_engine::id::SubjectHash;
use caerus_engine::step::Wakes;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{
    AgendaEntry, Commit, Epoch, LogId, NewRecord, OutboxEntry, PartitionState, PortErrorKind,
    PortResult, RecordStore, StoredRecord, Topic,
};
use tokio::task::JoinSet;

use super::refusal;

/// Makes a test of each rule. `$open` gives an empty `Arc<dyn RecordStore>` and what must live as long.
#[macro_export]
macro_rules! record_store_suite {
    ($open:expr) => {
        $crate::rules! { record_store, $open,
            a_new_store_holds_nothing
            what_was_committed_is_found_by_a_new_owner
            records_load_in_the_order_of_the_keys
            a_record_is_replaced_and_removed
            the_last_word_on_a_key_in_one_commit_counts
            many_records_go_in_and_out_at_once
            a_former_owner_changes_nothing
            a_lower_claim_does_not_open
            the_same_claim_opens_again
            a_claim_that_did_not_open_changes_nothing
            a_batch_that_does_not_follow_what_is_held_changes_nothing
            a_store_of_another_log_is_emptied
            the_owner_on_another_log_is_fenced
            the_agenda_holds_those_who_want_to_be_woken_or_are_concerned
            the_shared_fold_is_kept_until_it_is_replaced
            partitions_are_apart
            concurrent_owners_of_partitions_do_not_disturb_one_another
        }
        $crate::rules! { outbox, $open,
            the_outbox_keeps_its_order_and_is_cleared_from_the_front
            sequences_rise_for_ever
            an_outbox_that_skips_or_repeats_is_refused_whole
        }
    };
}

pub(super) fn epoch(claim_offset: u64) -> Epoch {
    Epoch {
        log: LogId(7),
        claim_offset,
    }
}

pub(super) fn key(number: u128) -> SubjectHash {
    SubjectHash(number)
}

pub(super) fn record(number: u128, bytes: &[u8]) -> StoredRecord {
    StoredRecord {
        key: key(number),
        bytes: Some(bytes.to_vec()),
        wakes: Wakes::default(),
        is_concerned: false,
    }
}

fn removal(number: u128) -> StoredRecord {
    StoredRecord {
        bytes: None,
        ..record(number, b"")
    }
}

pub(super) fn entry(sequence: u64, value: &str) -> OutboxEntry {
    OutboxEntry {
        sequence,
        record: NewRecord {
            topic: Topic::Decisions,
            partition: 3,
            key: b"tenant\x1ftarget".to_vec(),
            value: value.as_bytes().into(),
        },
    }
}

pub(super) fn commit(partition: u32, epoch: Epoch, positions: Range<u64>) -> Commit {
    Commit {
        partition,
        epoch,
        follows: positions.start,
        position: positions.end,
        records: Vec::new(),
        outbox: Vec::new(),
        shared: None,
    }
}

/// What a state holds, but for the agenda.
pub(super) fn summary(state: &PartitionState) -> (u64, Option<&[u8]>, Vec<u64>, u64) {
    (
        state.position,
        state.shared.as_deref(),
        state.outbox.iter().map(|entry| entry.sequence).collect(),
        state.next_sequence,
    )
}

pub async fn a_new_store_holds_nothing(store: Arc<dyn RecordStore>) -> PortResult<()> {
    assert_eq!(store.load(0, &[key(1), key(2)]).await?, [None, None]);
    let state = store.open(0, epoch(0)).await?;
    assert_eq!(summary(&state), (0, None, vec![], 0));
    assert_eq!(state.agenda, []);
    assert_eq!(store.load(0, &[]).await?, Vec::<Option<Vec<u8>>>::new());
    Ok(())
}

pub async fn what_was_committed_is_found_by_a_new_owner(
    store: Arc<dyn RecordStore>,
) -> PortResult<()> {
    store.open(0, epoch(1)).await?;
    let batch = Commit {
        records: vec![record(1, b"one")],
        outbox: vec![entry(0, "a"), entry(1, "b")],
        shared: Some(b"fold".to_vec()),
        ..commit(0, epoch(1), 0..10)
    };
    store.commit(batch.clone()).await?;
    let state = store.open(0, epoch(5)).await?;
    assert_eq!(summary(&state), (10, Some(&b"fold"[..]), vec![0, 1], 2));
    assert_eq!(state.outbox, batch.outbox);
    assert_eq!(store.load(0, &[key(1)]).await?, [Some(b"one".to_vec())]);
    Ok(())
}

pub async fn records_load_in_the_order_of_the_keys(store: Arc<dyn RecordStore>) -> PortResult<()> {
    store.open(0, epoch(1)).await?;
    let batch = Commit {
        records: vec![
            record(u128::MAX, b"last"),
            record(1, b"one"),
            record(2, b""),
        ],
        ..commit(0, epoch(1), 0..1)
    };
    store.commit(batch).await?;
    let keys = [key(2), key(9), key(u128::MAX), key(1), key(2)];
    let expected = [
        Some(b"".to_vec()),
        None,
        Some(b"last".to_vec()),
        Some(b"one".to_vec()),
        Some(b"".to_vec()),
    ];
    assert_eq!(store.load(0, &keys).await?, expected);
    Ok(())
}

pub async fn a_record_is_replaced_and_removed(store: Arc<dyn RecordStore>) -> PortResult<()> {
    store.open(0, epoch(1)).await?;
    for (position, change, expected) in [
        (1, record(1, b"first"), Some(b"first".to_vec())),
        (2, record(1, b"second"), Some(b"second".to_vec())),
        (3, removal(1), None),
        (4, removal(1), None),
        (5, record(1, b"again"), Some(b"again".to_vec())),
    ] {
        let batch = Commit {
            records: vec![change],
            ..commit(0, epoch(1), position - 1..position)
        };
        store.commit(batch).await?;
        assert_eq!(store.load(0, &[key(1)]).await?, [expected]);
    }
    assert_eq!(store.open(0, epoch(1)).await?.position, 5);
    Ok(())
}

pub async fn the_last_word_on_a_key_in_one_commit_counts(
    store: Arc<dyn RecordStore>,
) -> PortResult<()> {
    store.open(0, epoch(1)).await?;
    let batch = Commit {
        records: vec![
            record(1, b"a"),
            removal(2),
            removal(1),
            record(2, b"kept"),
            record(3, b"a"),
            record(3, b"b"),
        ],
        ..commit(0, epoch(1), 0..1)
    };
    store.commit(batch).await?;
    let expected = [None, Some(b"kept".to_vec()), Some(b"b".to_vec())];
    assert_eq!(store.load(0, &[key(1), key(2), key(3)]).await?, expected);
    Ok(())
}

pub async fn many_records_go_in_and_out_at_once(store: Arc<dyn RecordStore>) -> PortResult<()> {
    const MANY: u128 = 1_337;
    store.open(0, epoch(1)).await?;
    let bytes = |number: u128| vec![7_u8; usize::try_from(number).unwrap_or(0)];
    let batch = Commit {
        records: (0..MANY).map(|n| record(n, &bytes(n))).collect(),
        outbox: (0..300).map(|n| entry(n, "x")).collect(),
        ..commit(0, epoch(1), 0..1)
    };
    store.commit(batch).await?;
    let keys: Vec<SubjectHash> = (0..MANY + 10).rev().map(key).collect();
    let loaded = store.load(0, &keys).await?;
    let expected: Vec<Option<Vec<u8>>> = (0..MANY + 10)
        .rev()
        .map(|n| (n < MANY).then(|| bytes(n)))
        .collect();
    assert!(loaded == expected, "every record is the one committed");
    assert_eq!(store.open(0, epoch(1)).await?.outbox.len(), 300);
    Ok(())
}

pub async fn a_former_owner_changes_nothing(store: Arc<dyn RecordStore>) -> PortResult<()> {
    store.open(0, epoch(1)).await?;
    let first = Commit {
        records: vec![record(1, b"before")],
        outbox: vec![entry(0, "a")],
        shared: Some(b"fold".to_vec()),
        ..commit(0, epoch(1), 0..10)
    };
    store.commit(first).await?;
    store.open(0, epoch(2)).await?;
    let late = Commit {
        records: vec![record(1, b"late"), record(2, b"late")],
        outbox: vec![entry(1, "late")],
        shared: Some(b"late".to_vec()),
        ..commit(0, epoch(1), 10..20)
    };
    let conflict = Some(PortErrorKind::Conflict);
    assert_eq!(refusal(store.commit(late).await), conflict);
    assert_eq!(refusal(store.clear_outbox(0, epoch(1), 9).await), conflict);
    assert_eq!(
        store.load(0, &[key(1), key(2)]).await?,
        [Some(b"before".to_vec()), None]
    );
    let state = store.open(0, epoch(2)).await?;
    assert_eq!(summary(&state), (10, Some(&b"fold"[..]), vec![0], 1));
    Ok(())
}

pub async fn a_lower_claim_does_not_open(store: Arc<dyn RecordStore>) -> PortResult<()> {
    store.open(0, epoch(5)).await?;
    let refused = store.open(0, epoch(4)).await;
    assert_eq!(refusal(refused), Some(PortErrorKind::Conflict));
    store.commit(commit(0, epoch(5), 0..1)).await?;
    Ok(())
}

pub async fn the_same_claim_opens_again(store: Arc<dyn RecordStore>) -> PortResult<()> {
    store.open(0, epoch(5)).await?;
    store.commit(commit(0, epoch(5), 0..3)).await?;
    assert_eq!(store.open(0, epoch(5)).await?.position, 3);
    store.commit(commit(0, epoch(5), 3..4)).await?;
    Ok(())
}

pub async fn a_claim_that_did_not_open_changes_nothing(
    store: Arc<dyn RecordStore>,
) -> PortResult<()> {
    let unavailable = Some(PortErrorKind::Unavailable);
    assert_eq!(
        refusal(store.commit(commit(0, epoch(1), 0..1)).await),
        unavailable
    );
    store.open(0, epoch(1)).await?;
    assert_eq!(
        refusal(store.commit(commit(0, epoch(2), 0..9)).await),
        unavailable
    );
    assert_eq!(
        refusal(store.clear_outbox(0, epoch(2), 9).await),
        unavailable
    );
    assert_eq!(store.open(0, epoch(1)).await?.position, 0);
    Ok(())
}

/// A store that came back older than it was, e.g. without its last second, has to be taken up anew.
pub async fn a_batch_that_does_not_follow_what_is_held_changes_nothing(
    store: Arc<dyn RecordStore>,
) -> PortResult<()> {
    store.open(0, epoch(1)).await?;
    store.commit(commit(0, epoch(1), 0..10)).await?;
    for follows in [0, 9, 11] {
        let batch = Commit {
            records: vec![record(1, b"lost")],
            ..commit(0, epoch(1), follows..20)
        };
        let refused = refusal(store.commit(batch).await);
        assert_eq!(refused, Some(PortErrorKind::Unavailable), "after {follows}");
    }
    assert_eq!(store.load(0, &[key(1)]).await?, [None]);
    assert_eq!(store.open(0, epoch(1)).await?.position, 10);
    store.commit(commit(0, epoch(1), 10..20)).await?;
    Ok(())
}

pub async fn a_store_of_another_log_is_emptied(store: Arc<dyn RecordStore>) -> PortResult<()> {
    for partition in [0, 1] {
        store.open(partition, epoch(9)).await?;
        let batch = Commit {
            records: vec![StoredRecord {
                is_concerned: true,
                ..record(1, b"old")
            }],
            outbox: vec![entry(0, "old")],
            shared: Some(b"old".to_vec()),
            ..commit(partition, epoch(9), 0..50)
        };
        store.commit(batch).await?;
    }
    let restored = Epoch {
        log: LogId(8),
        claim_offset: 2,
    };
    for partition in [0, 1] {
        let state = store.open(partition, restored).await?;
        assert_eq!(summary(&state), (0, None, vec![], 0));
        assert_eq!(state.agenda, []);
        assert_eq!(store.load(partition, &[key(1)]).await?, [None]);
        store.commit(commit(partition, restored, 0..3)).await?;
    }
    assert_eq!(store.open(0, restored).await?.position, 3);
    Ok(())
}

pub async fn the_owner_on_another_log_is_fenced(store: Arc<dyn RecordStore>) -> PortResult<()> {
    store.open(0, epoch(9)).await?;
    let restored = Epoch {
        log: LogId(3),
        claim_offset: 0,
    };
    store.open(0, restored).await?;
    let refused = store.commit(commit(0, epoch(9), 0..60)).await;
    assert_eq!(refusal(refused), Some(PortErrorKind::Conflict));
    assert_eq!(store.open(0, restored).await?.position, 0);
    Ok(())
}

pub async fn the_agenda_holds_those_who_want_to_be_woken_or_are_concerned(
    store: Arc<dyn RecordStore>,
) -> PortResult<()> {
    store.open(0, epoch(1)).await?;
    let wanting = |number, watermark, clock, is_concerned| StoredRecord {
        wakes: Wakes { watermark, clock },
        is_concerned,
        ..record(number, b"x")
    };
    let (soon, later) = (Some(Timestamp(-5)), Some(Timestamp(1_700_000_000_000)));
    let batch = Commit {
        records: vec![
            wanting(1, None, None, false),
            wanting(2, soon, None, false),
            wanting(3, None, later, false),
            wanting(4, None, None, true),
            wanting(5, later, soon, true),
        ],
        ..commit(0, epoch(1), 0..1)
    };
    store.commit(batch).await?;
    let entry = |number, watermark, clock, is_concerned| AgendaEntry {
        key: key(number),
        wakes: Wakes { watermark, clock },
        is_concerned,
    };
    let mut agenda = store.open(0, epoch(1)).await?.agenda;
    agenda.sort_by_key(|entry| entry.key);
    assert_eq!(
        agenda,
        [
            entry(2, soon, None, false),
            entry(3, None, later, false),
            entry(4, None, None, true),
            entry(5, later, soon, true),
        ]
    );
    let batch = Commit {
        records: vec![wanting(2, None, None, false), removal(3), removal(4)],
        ..commit(0, epoch(1), 1..2)
    };
    store.commit(batch).await?;
    let agenda = store.open(0, epoch(1)).await?.agenda;
    assert_eq!(agenda, [entry(5, later, soon, true)]);
    Ok(())
}

pub async fn the_shared_fold_is_kept_until_it_is_replaced(
    store: Arc<dyn RecordStore>,
) -> PortResult<()> {
    store.open(0, epoch(1)).await?;
    for (position, shared, expected) in [
        (1, None, None),
        (2, Some(b"one".to_vec()), Some(b"one".to_vec())),
        (3, None, Some(b"one".to_vec())),
        (4, Some(b"".to_vec()), Some(b"".to_vec())),
    ] {
        let batch = Commit {
            shared,
            ..commit(0, epoch(1), position - 1..position)
        };
        store.commit(batch).await?;
        assert_eq!(store.open(0, epoch(1)).await?.shared, expected);
    }
    Ok(())
}

pub async fn partitions_are_apart(store: Arc<dyn RecordStore>) -> PortResult<()> {
    store.open(0, epoch(1)).await?;
    store.open(1, epoch(9)).await?;
    let batch = Commit {
        records: vec![record(1, b"of 0")],
        outbox: vec![entry(0, "of 0")],
        ..commit(0, epoch(1), 0..5)
    };
    store.commit(batch).await?;
    assert_eq!(store.load(1, &[key(1)]).await?, [None]);
    let other = store.open(1, epoch(9)).await?;
    assert_eq!(summary(&other), (0, None, vec![], 0));
    store.clear_outbox(1, epoch(9), 9).await?;
    assert_eq!(store.open(0, epoch(1)).await?.outbox.len(), 1);
    Ok(())
}

pub async fn concurrent_owners_of_partitions_do_not_disturb_one_another(
    store: Arc<dyn RecordStore>,
) -> PortResult<()> {
    const COMMITS: u64 = 25;
    let mut owners = JoinSet::new();
    for partition in 0..4 {
        let store = Arc::clone(&store);
        owners.spawn(async move {
            store.open(partition, epoch(1)).await?;
            for n in 0..COMMITS {
                let batch = Commit {
                    records: vec![record(u128::from(n), &partition.to_be_bytes())],
                    outbox: vec![entry(n, "x")],
                    ..commit(partition, epoch(1), n..n + 1)
                };
                store.commit(batch).await?;
            }
            PortResult::Ok(partition)
        });
    }
    while let Some(Ok(partition)) = owners.join_next().await {
        let partition = partition?;
        let state = store.open(partition, epoch(1)).await?;
        assert_eq!((state.position, state.next_sequence), (COMMITS, COMMITS));
        let keys: Vec<SubjectHash> = (0..COMMITS).map(|n| key(u128::from(n))).collect();
        let own = Some(partition.to_be_bytes().to_vec());
        assert!(
            store
                .load(partition, &keys)
                .await?
                .iter()
                .all(|bytes| *bytes == own)
        );
    }
    Ok(())
}
