//! What the recorder keeps: everything decided and acknowledged, once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use caerus_engine::time::{Span, Timestamp};
use caerus_runtime::port::{Bus, Ledger, NewRecord, Topic};
use caerus_runtime::tasks::TaskGroup;
use serde_json::{Value, json};

use crate::bus::PARTITIONS;
use crate::world::{Decided, NOON, World, revoke};

/// A test that waits longer than this for a row has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the recorder until it has recorded all that the bus holds.
async fn record(world: &World) {
    let shutdown = world.shutdown.child();
    let mut tasks = TaskGroup::new(&shutdown);
    tasks.spawn(
        "recorder",
        caerus_console::run(world.recorder_parts(), shutdown.clone()),
    );
    let mut moved = world.ledger.moved.subscribe();
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_recorded(world).await {
            moved.changed().await.unwrap();
        }
    });
    waited.await.expect("the rows come in time");
    shutdown.begin();
    tasks.join(PATIENCE).await.unwrap();
}

async fn is_recorded(world: &World) -> bool {
    for topic in [
        Topic::Decisions,
        Topic::Shadow,
        Topic::Receipts,
        Topic::Standings,
    ] {
        for partition in 0..PARTITIONS {
            let end = world.bus.end(topic, partition).await.unwrap();
            let position = world.ledger.position(topic, partition).await.unwrap();
            if position != end {
                return false;
            }
        }
    }
    true
}

async fn say(world: &World, what: Value) {
    let record = NewRecord {
        topic: Topic::Receipts,
        partition: 0,
        key: Vec::new(),
        value: what.to_string().into_bytes().into(),
    };
    world.bus.append(vec![record]).await.unwrap();
}

/// As the gateway writes it.
fn word(at: Timestamp, is_connected: bool, decisions: &[&str]) -> Value {
    let receipts: Vec<Value> = decisions
        .iter()
        .map(|id| json!({"decision": id, "tenant": "acme"}))
        .collect();
    json!({
        "v": 1, "enforcement_point": "edge", "client": "nginx-7", "tenants": ["acme"],
        "at": at.0, "is_connected": is_connected,
        "acknowledged": (!decisions.is_empty()).then_some("AQcCAKwCCQ"), "receipts": receipts,
    })
}

#[tokio::test]
async fn what_was_decided_and_acknowledged_is_kept_once() {
    let world = World::open().await;
    let mut ids = Vec::new();
    for user in ["alice", "bob", "carol"] {
        ids.push(world.decide(Topic::Decisions, &revoke("acme", user)).await);
    }
    let shadow = Decided {
        generation: 7,
        ..revoke("acme", "alice")
    };
    ids.push(world.decide(Topic::Shadow, &shadow).await);
    // A repeat, and a tombstone.
    world
        .decide(Topic::Decisions, &revoke("acme", "alice"))
        .await;
    world.bus.put(NewRecord {
        topic: Topic::Decisions,
        partition: 0,
        key: b"acme".to_vec(),
        value: [].into(),
    });
    say(&world, word(NOON, true, &[])).await;
    say(
        &world,
        word(NOON + Span::seconds(1), true, &[&ids[0], &ids[1]]),
    )
    .await;
    say(&world, word(NOON + Span::seconds(2), true, &[&ids[0]])).await;
    say(&world, word(NOON + Span::seconds(3), false, &[])).await;
    record(&world).await;
    let mut starts = Vec::new();
    for topic in [Topic::Receipts, Topic::Decisions] {
        starts.push(world.bus.start(topic, 0).await.unwrap());
    }
    assert_eq!(starts, [4, 0], "recorded receipts leave, decisions stay");

    let tables = world.ledger.tables();
    assert!(ids.iter().all(|id| tables.decisions.contains_key(id)));
    let alice = &tables.decisions[&ids[0]];
    assert_eq!(alice.owner, revoke("acme", "alice").owner());
    assert_eq!(
        (alice.action.as_str(), alice.user.as_deref()),
        ("revoke", Some("alice"))
    );
    let since: Vec<i64> = tables
        .receipts
        .values()
        .map(|one| one.in_force_at.0 - NOON.0)
        .collect();
    assert_eq!(since, [1_000, 1_000], "since the first time");
    let point = tables.points.values().next().unwrap();
    assert_eq!(
        (point.is_connected, point.last_seen),
        (false, NOON + Span::seconds(3))
    );
    assert_eq!(point.acknowledged.as_deref(), Some("AQcCAKwCCQ"));
}

#[tokio::test]
async fn the_recorder_goes_on_where_it_stood_and_past_what_it_cannot_read() {
    let world = World::open().await;
    for value in ["nonsense", r#"{"v":9}"#] {
        world.bus.put(NewRecord {
            topic: Topic::Decisions,
            partition: 0,
            key: b"acme".to_vec(),
            value: value.as_bytes().into(),
        });
    }
    say(&world, json!({"v": 2})).await;
    let first = world
        .decide(Topic::Decisions, &revoke("acme", "alice"))
        .await;
    record(&world).await;

    assert!(world.ledger.tables().decisions.contains_key(&first));

    // What was recorded is not read again: its row, taken away, stays away.
    world.ledger.tables().decisions.clear();
    let second = world.decide(Topic::Decisions, &revoke("acme", "bob")).await;
    record(&world).await;
    let tables = world.ledger.tables();
    let ids: Vec<&String> = tables.decisions.keys().collect();
    assert_eq!(ids, [&second]);
}

#[tokio::test]
async fn a_ledger_that_fails_for_a_while_loses_nothing() {
    let world = World::open().await;
    let id = world
        .decide(Topic::Decisions, &revoke("acme", "alice"))
        .await;
    world.ledger.failures.store(2, Ordering::SeqCst);
    record(&world).await;
    assert_eq!(world.ledger.failures.load(Ordering::SeqCst), 0);
    assert!(world.ledger.tables().decisions.contains_key(&id));
}

#[tokio::test]
async fn no_position_is_kept_before_its_rows() {
    let world = World::open().await;
    world
        .decide(Topic::Decisions, &revoke("acme", "alice"))
        .await;
    world.ledger.refuses.store(true, Ordering::SeqCst);
    let ended = caerus_console::run(world.recorder_parts(), world.shutdown.clone()).await;
    assert!(ended.is_err(), "{ended:?}");
    assert_eq!(world.ledger.tables().positions, [].into());
}

#[tokio::test]
async fn of_many_standings_the_latest_of_each_is_kept() {
    let world = World::open().await;
    let standing = |session: Option<&str>, score: u8, at| {
        json!({
            "tenant": "acme", "kind": "user", "name": "alice", "session": session, "score": score,
            "at": (NOON + Span::seconds(at)).0, "json": "{}",
        })
    };
    for told in [
        [standing(None, 10, 1), standing(Some("s-1"), 50, 2)],
        [standing(None, 30, 5), standing(None, 20, 3)],
    ] {
        let record = NewRecord {
            topic: Topic::Standings,
            partition: 0,
            key: Vec::new(),
            value: json!({"v": 1, "standings": told})
                .to_string()
                .into_bytes()
                .into(),
        };
        world.bus.append(vec![record]).await.unwrap();
    }
    record(&world).await;
    assert_eq!(world.bus.start(Topic::Standings, 0).await.unwrap(), 2);
    let scores: Vec<u8> = world
        .ledger
        .tables()
        .standings
        .values()
        .map(|one| one.score)
        .collect();
    assert_eq!(scores, [30, 50]);
}
