//! What every record store keeps to in its outbox: order, numbers, clearing. Knows no adapter.
//!
//! Part of `record_store_suite!`.

use std::sync::Arc;

use caerus_runtime::port::{Commit, PortErrorKind, PortResult, RecordStore};

use super::record_store::{commit, entry, epoch, key, record, summary};
use super::refusal;

pub async fn the_outbox_keeps_its_order_and_is_cleared_from_the_front(
    store: Arc<dyn RecordStore>,
) -> PortResult<()> {
    store.open(0, epoch(1)).await?;
    let batch = Commit {
        outbox: (0..4).map(|n| entry(n, "first")).collect(),
        ..commit(0, epoch(1), 0..1)
    };
    store.commit(batch).await?;
    let batch = Commit {
        outbox: vec![entry(4, "second"), entry(5, "")],
        ..commit(0, epoch(1), 1..2)
    };
    store.commit(batch).await?;
    store.clear_outbox(0, epoch(1), 3).await?;
    store.clear_outbox(0, epoch(1), 1).await?;
    let state = store.open(0, epoch(1)).await?;
    let expected = [entry(3, "first"), entry(4, "second"), entry(5, "")];
    assert_eq!(state.outbox, expected);
    assert_eq!(state.position, 2);
    store.clear_outbox(0, epoch(1), u64::MAX).await?;
    assert_eq!(store.open(0, epoch(1)).await?.outbox, []);
    Ok(())
}

pub async fn sequences_rise_for_ever(store: Arc<dyn RecordStore>) -> PortResult<()> {
    for claim in 1..4_u64 {
        let state = store.open(0, epoch(claim)).await?;
        assert_eq!(state.next_sequence, claim - 1);
        let batch = Commit {
            outbox: vec![entry(state.next_sequence, "a")],
            ..commit(0, epoch(claim), claim - 1..claim)
        };
        store.commit(batch).await?;
        store.clear_outbox(0, epoch(claim), claim).await?;
    }
    assert_eq!(store.open(0, epoch(4)).await?.next_sequence, 3);
    Ok(())
}

pub async fn an_outbox_that_skips_or_repeats_is_refused_whole(
    store: Arc<dyn RecordStore>,
) -> PortResult<()> {
    store.open(0, epoch(1)).await?;
    let first = Commit {
        outbox: vec![entry(0, "a"), entry(1, "b")],
        ..commit(0, epoch(1), 0..1)
    };
    store.commit(first).await?;
    for sequences in [vec![1], vec![3], vec![2, 4], vec![2, 2]] {
        let wrong = Commit {
            records: vec![record(1, b"lost")],
            outbox: sequences.into_iter().map(|n| entry(n, "c")).collect(),
            ..commit(0, epoch(1), 1..2)
        };
        let refused = store.commit(wrong).await;
        assert_eq!(refusal(refused), Some(PortErrorKind::Refused));
    }
    assert_eq!(store.load(0, &[key(1)]).await?, [None]);
    let state = store.open(0, epoch(1)).await?;
    assert_eq!(summary(&state), (1, None, vec![0, 1], 2));
    Ok(())
}
