//! Acknowledgements, receipts, and subscribers that are slow.

use std::time::Duration;

use caerus_gateway::limits::Limits;
use caerus_wire::stream::{CloseCode, ServerFrame};
use serde_json::json;

use crate::bus::MemoryBus;
use crate::support::{Decided, NOON, Told, World, revoke};

async fn world(limits: Limits) -> World {
    World::with(limits, MemoryBus::of_log(7)).await
}

#[tokio::test]
async fn an_acknowledgement_becomes_a_receipt_by_the_credential_s_name() {
    let world = World::open().await;
    let first = world.decide(revoke("acme", "alice")).await;
    let token = world.stream_token(&["acme"]);
    let mut client = world.subscribe(&token, None).await;
    client.snapshot().await;
    client.acknowledge().await;
    let second = world.decide(revoke("acme", "bob")).await;
    client.decision().await;
    client.acknowledge().await;
    let receipts = world.bus.receipts(3).await;
    let told = |acknowledged: bool, ids: &[&String]| {
        let receipts: Vec<_> = ids
            .iter()
            .map(|id| json!({"decision": id, "tenant": "acme"}))
            .collect();
        json!({
            "v": 1, "enforcement_point": "edge", "client": "nginx-7", "tenants": ["acme"],
            "at": NOON.0, "is_connected": true,
            "acknowledged": acknowledged, "receipts": receipts,
        })
    };
    let shown: Vec<_> = receipts
        .into_iter()
        .map(|mut one| {
            one["acknowledged"] = one["acknowledged"].is_string().into();
            one
        })
        .collect();
    assert_eq!(
        shown,
        [
            told(false, &[]),
            told(true, &[&first]),
            told(true, &[&second])
        ]
    );
    drop(client);
    let last = world.bus.receipts(4).await.pop().unwrap();
    assert_eq!(last["is_connected"], false);
    assert!(
        last["acknowledged"].is_string(),
        "the last word keeps what was acknowledged"
    );

    let page = world.metrics.exposition().unwrap();
    let counted = "caerus_gateway_enforcement_seconds_count 1";
    assert!(
        page.contains(counted),
        "the snapshot is not measured, the decision is: {page}"
    );
}

#[tokio::test]
async fn the_server_waits_when_too_many_are_unacknowledged() {
    let limits = Limits {
        unacked_max: 2,
        heartbeat: Duration::from_millis(20),
        ..Limits::default()
    };
    let world = world(limits).await;
    let token = world.stream_token(&["acme"]);
    let mut client = world.subscribe(&token, None).await;
    client.snapshot().await;
    for user in ["a", "b", "c"] {
        world.decide(revoke("acme", user)).await;
    }
    world.pass(NOON).await;
    client.decision().await;
    client.decision().await;
    // Heartbeats go on, and promise nothing that was not sent.
    let second = client.cursor.clone();
    for _ in 0..3 {
        match client.told().await {
            Told::Frame(ServerFrame::Heartbeat(heartbeat)) => {
                assert_eq!(Some(heartbeat.cursor), second);
                assert_eq!(heartbeat.evaluated_until, None);
            }
            other => panic!("the server waits: {other:?}"),
        }
    }
    client.acknowledge().await;
    client.decision().await;
    while client.heartbeat().await.evaluated_until != Some(NOON) {}
}

#[tokio::test]
async fn a_subscriber_that_does_not_acknowledge_is_closed() {
    let limits = Limits {
        acknowledge: Duration::from_millis(50),
        ..Limits::default()
    };
    let world = world(limits).await;
    let token = world.stream_token(&["acme"]);
    let mut client = world.subscribe(&token, None).await;
    client.snapshot().await;
    world.decide(revoke("acme", "alice")).await;
    client.decision().await;
    let end = client.end().await;
    assert_eq!(end.0, Some(CloseCode::TooSlow));
}

#[tokio::test]
async fn a_subscriber_with_nothing_to_acknowledge_is_left_alone() {
    let limits = Limits {
        acknowledge: Duration::from_millis(30),
        heartbeat: Duration::from_millis(20),
        ..Limits::default()
    };
    let world = world(limits).await;
    let token = world.stream_token(&["acme"]);
    let mut client = world.subscribe(&token, None).await;
    client.snapshot().await;
    for _ in 0..5 {
        client.heartbeat().await;
    }
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_closed_and_delays_nobody() {
    let limits = Limits {
        queued_bytes_max: 512 * 1024,
        ..Limits::default()
    };
    let world = world(limits).await;
    let token = world.stream_token(&["acme"]);
    let mut slow = world.subscribe(&token, None).await;
    slow.snapshot().await;
    let mut quick = world.subscribe(&token, None).await;
    quick.snapshot().await;
    // More than the sockets' own buffers and the queue hold together; the quick one is sent each at once.
    for user in 0..400 {
        let name = format!("user-{user}");
        let what = Decided {
            padding: 32 * 1024,
            ..revoke("acme", &name)
        };
        let id = world.decide(what).await;
        assert_eq!(quick.decision().await, id);
        quick.acknowledge().await;
    }
    let end = slow.end().await;
    assert!(
        matches!(end.0, Some(CloseCode::TooSlow) | None),
        "the socket may be too full to say why: {end:?}"
    );
    let page = world.metrics.exposition().unwrap();
    let counted = "caerus_gateway_closed_streams_total{code=\"4408\"} 1";
    assert!(page.contains(counted), "{page}");
}

#[tokio::test]
async fn a_subscriber_that_says_nothing_is_told_of_from_time_to_time() {
    let limits = Limits {
        presence: Duration::from_millis(20),
        ..Limits::default()
    };
    let world = world(limits).await;
    let token = world.stream_token(&["acme"]);
    let mut client = world.subscribe(&token, None).await;
    client.snapshot().await;
    let told = world.bus.receipts(3).await;
    assert!(
        told.iter().all(|one| one["is_connected"] == true),
        "{told:?}"
    );
}
