//! What people may say: their own decisions and verdicts, into the log as anything else.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use caerus_engine::decide::{Action, Command};
use caerus_engine::id::DecisionId;
use caerus_engine::signal::{About, Fact, Signal, Subject, Verdict};
use caerus_engine::step::Input;
use caerus_runtime::auth::Right;
use caerus_runtime::port::{Bus, Ledger, LedgerDecision, NewRecord, Topic};
use caerus_wire::entry::Entry;
use serde_json::json;

use crate::bus::{MemoryBus, PARTITIONS};
use crate::world::{Decided, NOON, World, revoke};

/// What stands in the log, with its partition.
fn inputs(bus: &MemoryBus) -> Vec<(u32, Input)> {
    let mut found = Vec::new();
    for partition in 0..PARTITIONS {
        for record in bus.held(Topic::Signals, partition) {
            match Entry::from_bytes(&record.value).unwrap() {
                Entry::Input { input, .. } => found.push((partition, input)),
                other => panic!("not an input: {other:?}"),
            }
        }
    }
    found
}

fn command(bus: &MemoryBus) -> (u32, Command) {
    match inputs(bus).pop() {
        Some((partition, Input::Command(command))) => (partition, command),
        other => panic!("not a command: {other:?}"),
    }
}

fn signal(input: Input) -> Signal {
    match input {
        Input::Signal(signal) => signal,
        other => panic!("not a signal: {other:?}"),
    }
}

#[tokio::test]
async fn an_operator_s_decision_goes_to_its_owner_and_comes_back_with_its_id() {
    let world = World::with(Duration::from_secs(20), None).await;
    let operator = world.token("nina", &["acme"], &[Right::Operate]).await;
    let body = json!({
        "action": "revoke", "target": {"user": "alice", "session": "s-1"},
        "reason": "laptop lost", "expires_in_s": 600,
    });
    let what = revoke("acme", "alice");
    let bus = Arc::clone(&world.bus);
    let evaluator = async move {
        let mut appended = bus.appended(Topic::Signals);
        appended.changed().await.unwrap();
        let (_, command) = command(&bus);
        // Another's decision comes first, and is not taken for it.
        for (generation, cause) in [(1, "e-9"), (2, command.id.as_str())] {
            let decision = Decided {
                generation,
                cause,
                ..what
            };
            let built = decision.build();
            bus.put(NewRecord {
                topic: Topic::Decisions,
                partition: what.owner().partition(PARTITIONS),
                key: built.key().into_bytes(),
                value: built.to_json().into_bytes().into(),
            });
        }
        command
    };
    let (answer, command) = tokio::join!(world.post("/v1/decisions", &operator, &body), evaluator);
    let id = Decided {
        generation: 2,
        ..what
    }
    .build()
    .id;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(
        answer.json(),
        json!({"id": id, "ids": [id], "cause": command.id.as_str()})
    );
    let (partition, _) = self::command(&world.bus);
    assert_eq!(partition, what.owner().partition(PARTITIONS));
    assert_eq!(command.action, Action::Revoke);
    assert_eq!(
        (command.by.as_str(), command.reason.as_str()),
        ("nina", "laptop lost")
    );
    assert_eq!((command.tenant.as_str(), command.time), ("acme", NOON));
    assert_eq!(command.life.map(|life| life.as_seconds()), Some(600));
    let audit = world.ledger.tables().audit.pop().unwrap();
    assert_eq!(
        (
            audit.principal.as_str(),
            audit.action.as_str(),
            audit.object.as_str()
        ),
        ("nina", "decision.revoke", "user=alice session=s-1")
    );
}

#[tokio::test]
async fn a_decision_that_does_not_come_in_time_is_named_by_its_cause() {
    let world = World::open().await;
    let operator = world.token("nina", &["acme"], &[Right::Operate]).await;
    let body = json!({"action": "clear", "target": {"user": "alice"}, "reason": "found again"});
    let answer = world.post("/v1/decisions", &operator, &body).await;
    let (_, command) = command(&world.bus);
    assert_eq!(answer.status, 202);
    assert_eq!(
        answer.json(),
        json!({"id": null, "ids": [], "cause": command.id.as_str()})
    );
}

#[tokio::test]
async fn what_is_no_decision_is_refused_and_leaves_no_trace() {
    let world = World::open().await;
    let operator = world.token("nina", &["acme"], &[Right::Operate]).await;
    let cases = [
        ("{", 400, "could not read the request"),
        ("[]", 422, "could not read the request"),
        (
            r#"{"action":"burn","target":{"user":"a"},"reason":"r"}"#,
            422,
            "unknown variant `burn`",
        ),
        (
            r#"{"action":"revoke","target":{},"reason":"r"}"#,
            422,
            "`target.user` is missing",
        ),
        (
            r#"{"action":"restrict","target":{"user":"a"},"reason":"r"}"#,
            422,
            "`restricts` is missing",
        ),
        (
            r#"{"action":"revoke","target":{"user":"a"},"reason":"r","tenant":"globex"}"#,
            403,
            "not for that tenant",
        ),
    ];
    for (body, status, sentence) in cases {
        let answer = world
            .ask("POST", "/v1/decisions", Some(&operator), Some(body))
            .await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.detail().contains(sentence), "{body}: {answer:?}");
    }
    let plain = format!(
        "POST /v1/decisions HTTP/1.0\r\nhost: localhost\r\nauthorization: Bearer {operator}\r\n\
         content-type: text/plain\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    assert_eq!(world.send(&plain).await.status, 415);
    assert!(inputs(&world.bus).is_empty());
    assert!(world.ledger.tables().audit.is_empty());
}

#[tokio::test]
async fn what_cannot_be_audited_is_not_done() {
    let world = World::open().await;
    let operator = world.token("nina", &["acme"], &[Right::Operate]).await;
    world.ledger.failures.store(1, Ordering::SeqCst);
    let body = json!({"action": "revoke", "target": {"user": "alice"}, "reason": "r"});
    let answer = world.post("/v1/decisions", &operator, &body).await;
    assert_eq!(answer.status, 503);
    assert!(inputs(&world.bus).is_empty());
}

#[tokio::test]
async fn a_verdict_is_the_authenticated_principal_s_for_all_that_it_names() {
    let world = World::open().await;
    let analyst = world.token("ana", &["acme"], &[Right::Feedback]).await;
    let body =
        json!({"verdict": "compromised", "user": "alice", "session": "s-1", "device": "laptop"});
    let answer = world.post("/v1/feedback", &analyst, &body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let mut abouts: Vec<String> = Vec::new();
    for (partition, input) in inputs(&world.bus) {
        let told = signal(input);
        assert_eq!(partition, told.subject.hash().partition(PARTITIONS));
        assert_eq!(
            (told.origin.event.as_str(), told.subject.tenant().as_str()),
            (id.as_str(), "acme")
        );
        let Fact::Feedback(feedback) = told.fact else {
            panic!("not feedback: {:?}", told.fact);
        };
        assert_eq!(
            (feedback.verdict, feedback.by.as_str()),
            (Verdict::Compromised, "ana")
        );
        abouts.push(format!("{:?}", feedback.about));
    }
    abouts.sort();
    assert_eq!(abouts, ["Device", "Session(SessionId(\"s-1\"))"]);
    assert_eq!(world.ledger.tables().audit.len(), 1);

    let claimed = json!({"verdict": "safe", "user": "alice", "by": "somebody else"});
    assert_eq!(
        world.post("/v1/feedback", &analyst, &claimed).await.status,
        422
    );
}

#[tokio::test]
async fn a_verdict_on_a_decision_finds_its_owner_within_the_tenant() {
    let world = World::open().await;
    let analyst = world.token("ana", &["acme"], &[Right::Feedback]).await;
    let id = revoke("acme", "alice").build().id;
    let body = json!({"verdict": "safe", "decision": id});
    assert_eq!(
        world.post("/v1/feedback", &analyst, &body).await.status,
        202
    );
    let (partition, input) = inputs(&world.bus).pop().unwrap();
    let told = signal(input);
    let decision = DecisionId::parse(&id).unwrap();
    assert!(matches!(&told.subject, Subject::Owner { hash, .. } if *hash == decision.owner));
    assert_eq!(partition, decision.owner.partition(PARTITIONS));
    assert!(
        matches!(told.fact, Fact::Feedback(feedback) if feedback.about == About::Decision(decision))
    );

    let theirs = revoke("globex", "alice").build();
    let row = LedgerDecision {
        id: theirs.id.clone(),
        tenant: caerus_engine::id::TenantId::new("globex"),
        owner: revoke("globex", "alice").owner(),
        generation: 1,
        mode: "enforce".to_owned(),
        action: "revoke".to_owned(),
        user: None,
        session: None,
        device: None,
        issued_at: NOON,
        expires_at: NOON,
        json: theirs.to_json(),
    };
    world.ledger.record_decisions(&[row]).await.unwrap();
    let body = json!({"verdict": "safe", "decision": theirs.id});
    assert_eq!(
        world.post("/v1/feedback", &analyst, &body).await.status,
        404
    );
    assert_eq!(inputs(&world.bus).len(), 1);
}
