//! What every bus keeps to when a partition has an owner: one at a time, outputs and progress together. Knows no adapter.
//!
//! Part of `bus_suite!`. What follows a transaction has an offset beyond it, and not always the next one: a broker may
//! mark the transaction's end in the log.

use std::sync::Arc;

use caerus_runtime::port::{Bus, Epoch, LogId, PortErrorKind, PortResult, Topic};
use tokio::task::JoinSet;

use super::bus::{PARTITIONS, pairs, record, signal, told};
use super::refusal;

fn claim() -> Arc<[u8]> {
    b"claim"[..].into()
}

pub async fn a_claim_stands_in_the_log_and_its_place_is_the_epoch(
    bus: Arc<dyn Bus>,
) -> PortResult<()> {
    bus.append(vec![signal(2, "a")]).await?;
    let epoch = bus.claim(2, claim()).await?;
    assert_eq!(
        epoch,
        Epoch {
            log: bus.log_id(),
            claim_offset: 1
        }
    );
    assert_eq!(
        told(&*bus, Topic::Signals, 2).await?,
        pairs(&[(0, "a"), (1, "claim")])
    );
    let later = bus.claim(2, claim()).await?;
    assert!(later > epoch);
    Ok(())
}

pub async fn a_former_owner_publishes_nothing(bus: Arc<dyn Bus>) -> PortResult<()> {
    let former = bus.claim(0, claim()).await?;
    let owner = bus.claim(0, claim()).await?;
    let outputs = vec![record(Topic::Decisions, 0, "a", "1"), signal(1, "derived")];
    let refused = bus.publish(0, former, outputs.clone(), 1).await;
    assert_eq!(refusal(refused), Some(PortErrorKind::Conflict));
    assert_eq!(bus.end(Topic::Decisions, 0).await?, 0);
    assert_eq!(bus.end(Topic::Signals, 1).await?, 0);
    assert_eq!(bus.completed(0).await?, 0);
    assert_eq!(bus.publish(0, owner, outputs, 1).await?, [0, 0]);
    Ok(())
}

pub async fn a_claim_that_nobody_made_is_refused(bus: Arc<dyn Bus>) -> PortResult<()> {
    let invented = Epoch {
        log: bus.log_id(),
        claim_offset: 5,
    };
    let refused = bus.publish(0, invented, Vec::new(), 0).await;
    assert_eq!(refusal(refused), Some(PortErrorKind::Refused));
    bus.claim(0, claim()).await?;
    let refused = bus.publish(0, invented, Vec::new(), 0).await;
    assert_eq!(refusal(refused), Some(PortErrorKind::Refused));
    Ok(())
}

pub async fn a_claim_on_another_log_conflicts(bus: Arc<dyn Bus>) -> PortResult<()> {
    let epoch = bus.claim(0, claim()).await?;
    let other = Epoch {
        log: LogId(bus.log_id().0.wrapping_add(1)),
        ..epoch
    };
    let end = bus.end(Topic::Signals, 0).await?;
    let refused = bus.publish(0, other, vec![signal(0, "a")], 0).await;
    assert_eq!(refusal(refused), Some(PortErrorKind::Conflict));
    assert_eq!(bus.end(Topic::Signals, 0).await?, end);
    Ok(())
}

pub async fn partitions_are_claimed_apart(bus: Arc<dyn Bus>) -> PortResult<()> {
    let first = bus.claim(0, claim()).await?;
    bus.append(vec![signal(1, "a")]).await?;
    let second = bus.claim(1, claim()).await?;
    bus.publish(0, first, vec![signal(2, "from 0")], 1).await?;
    bus.publish(1, second, vec![signal(2, "from 1")], 2).await?;
    assert_eq!(bus.completed(0).await?, 1);
    assert_eq!(bus.completed(1).await?, 2);
    let outputs = told(&*bus, Topic::Signals, 2).await?;
    let values: Vec<&str> = outputs.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["from 0", "from 1"]);
    Ok(())
}

pub async fn outputs_and_progress_are_published_together(bus: Arc<dyn Bus>) -> PortResult<()> {
    assert_eq!(bus.completed(0).await?, 0);
    let epoch = bus.claim(0, claim()).await?;
    bus.append(vec![signal(0, "a"), signal(0, "b")]).await?;
    let outputs = vec![
        record(Topic::Decisions, 0, "a", "1"),
        record(Topic::Shadow, 0, "a", "2"),
        record(Topic::Decisions, 0, "b", "3"),
        signal(3, "derived"),
        record(Topic::Progress, 0, "0", "report"),
    ];
    assert_eq!(bus.publish(0, epoch, outputs, 2).await?, [0, 0, 1, 0, 0]);
    assert_eq!(bus.completed(0).await?, 2);
    assert_eq!(
        told(&*bus, Topic::Decisions, 0).await?,
        pairs(&[(0, "1"), (1, "3")])
    );
    // A batch without output moves on as well.
    assert!(bus.publish(0, epoch, Vec::new(), 3).await?.is_empty());
    assert_eq!(bus.completed(0).await?, 3);
    Ok(())
}

pub async fn a_refused_publication_does_nothing(bus: Arc<dyn Bus>) -> PortResult<()> {
    let epoch = bus.claim(0, claim()).await?;
    let outputs = vec![signal(1, "a"), signal(PARTITIONS, "nowhere")];
    let refused = bus.publish(0, epoch, outputs, 1).await;
    assert_eq!(refusal(refused), Some(PortErrorKind::Refused));
    assert_eq!(bus.end(Topic::Signals, 1).await?, 0);
    assert_eq!(bus.completed(0).await?, 0);
    Ok(())
}

pub async fn what_was_complete_stays_complete(bus: Arc<dyn Bus>) -> PortResult<()> {
    bus.append(vec![signal(0, "a"), signal(0, "b")]).await?;
    let epoch = bus.claim(0, claim()).await?;
    bus.publish(0, epoch, Vec::new(), 2).await?;
    let owner = bus.claim(0, claim()).await?;
    assert_eq!(bus.completed(0).await?, 2);
    bus.publish(0, owner, Vec::new(), 1).await?;
    assert_eq!(bus.completed(0).await?, 2);
    Ok(())
}

pub async fn outputs_are_not_complete_beyond_the_log(bus: Arc<dyn Bus>) -> PortResult<()> {
    let epoch = bus.claim(0, claim()).await?;
    let end = bus.end(Topic::Signals, 0).await?;
    let refused = bus.publish(0, epoch, Vec::new(), end + 1).await;
    assert_eq!(refusal(refused), Some(PortErrorKind::Refused));
    assert_eq!(bus.completed(0).await?, 0);
    bus.publish(0, epoch, Vec::new(), end).await?;
    assert_eq!(bus.completed(0).await?, end);
    Ok(())
}

pub async fn anyone_may_append_to_a_claimed_partition(bus: Arc<dyn Bus>) -> PortResult<()> {
    let epoch = bus.claim(0, claim()).await?;
    let appended = bus.append(vec![signal(0, "a")]).await?;
    let woken = bus.publish(0, epoch, vec![signal(0, "wake-up")], 1).await?;
    assert!(epoch.claim_offset < *appended.first().unwrap_or(&0));
    assert!(appended < woken);
    let log = told(&*bus, Topic::Signals, 0).await?;
    let values: Vec<&str> = log.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["claim", "a", "wake-up"]);
    Ok(())
}

pub async fn a_claim_and_a_publication_wake_too(bus: Arc<dyn Bus>) -> PortResult<()> {
    let signals = bus.appended(Topic::Signals);
    let epoch = bus.claim(0, claim()).await?;
    assert!(signals.has_changed().unwrap_or(false));
    let decisions = bus.appended(Topic::Decisions);
    bus.publish(0, epoch, vec![record(Topic::Decisions, 0, "a", "1")], 1)
        .await?;
    assert!(decisions.has_changed().unwrap_or(false));
    Ok(())
}

pub async fn two_owners_in_turn_never_interleave(bus: Arc<dyn Bus>) -> PortResult<()> {
    const TURNS: u64 = 20;
    let mut owners = JoinSet::new();
    for name in ["first", "second"] {
        let bus = Arc::clone(&bus);
        owners.spawn(async move {
            for _ in 0..TURNS {
                let epoch = bus.claim(0, name.as_bytes().into()).await?;
                let output = || vec![signal(1, &epoch.claim_offset.to_string())];
                // Two publications: the other owner may come in between, never after both.
                let first = bus.publish(0, epoch, output(), 0).await;
                let second = bus.publish(0, epoch, output(), 0).await;
                let lost = [refusal(first), refusal(second)];
                let conflict = Some(PortErrorKind::Conflict);
                let ways = [[None, None], [None, conflict], [conflict, conflict]];
                assert!(ways.contains(&lost), "{lost:?}");
            }
            PortResult::Ok(())
        });
    }
    while let Some(Ok(done)) = owners.join_next().await {
        done?;
    }
    // What got through stands in the order of the claims it was published under.
    let outputs = told(&*bus, Topic::Signals, 1).await?;
    let epochs: Vec<u64> = outputs
        .iter()
        .filter_map(|(_, epoch)| epoch.parse().ok())
        .collect();
    assert_eq!(epochs.len(), outputs.len());
    assert!(epochs.is_sorted(), "{epochs:?}");
    Ok(())
}
