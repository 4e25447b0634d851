//! What people may ask: by right, by tenant, in pages.

use std::time::Duration;

use caerus_console::{OPENAPI, ROUTES};
use caerus_engine::id::TenantId;
use caerus_engine::time::{Span, Timestamp};
use caerus_runtime::auth::Right;
use caerus_runtime::port::{EnforcementPoint, Ledger, LedgerDecision, Receipt, SubjectStanding};
use serde_json::{Value, json};

use crate::world::{Answer, Decided, NOON, World, revoke};

/// The path with something in the place of its members.
fn filled(path: &str) -> String {
    let id = revoke("acme", "alice").build().id;
    path.replace("{id}", &id)
}

#[tokio::test]
async fn every_route_turns_strangers_and_wrong_rights_away() {
    let world = World::open().await;
    for route in ROUTES {
        let path = filled(route.path);
        let answer = world.ask(route.method, &path, None, None).await;
        if route.rights.is_empty() {
            assert_eq!(answer.status, 200, "{route:?}");
            continue;
        }
        assert_eq!(answer.status, 401, "{route:?}: {answer:?}");
        let others: Vec<Right> = Right::ALL
            .into_iter()
            .filter(|right| !route.rights.contains(right))
            .collect();
        let wrong = world.token("nobody", &[], &others).await;
        let body = (route.method == "POST").then_some("{}");
        let answer = world.ask(route.method, &path, Some(&wrong), body).await;
        assert_eq!(answer.status, 403, "{route:?}: {answer:?}");
        assert!(
            world.ledger.tables().audit.is_empty(),
            "{route:?} did something"
        );
    }
}

#[test]
fn the_document_has_every_route_with_its_rights_and_no_other() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut documented: Vec<(String, String, Vec<String>)> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let rights = operation["x-rights"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let rights = rights
                .iter()
                .map(|right| right.as_str().unwrap().to_owned());
            documented.push((path.clone(), method.to_uppercase(), rights.collect()));
        }
    }
    let mut routed: Vec<(String, String, Vec<String>)> = ROUTES
        .iter()
        .map(|route| {
            let rights = route.rights.iter().map(ToString::to_string).collect();
            (route.path.to_owned(), route.method.to_owned(), rights)
        })
        .collect();
    documented.sort();
    routed.sort();
    assert_eq!(documented, routed);
}

#[test]
fn what_the_document_refers_to_is_there() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut left = vec![&document];
    let mut seen = 0;
    while let Some(value) = left.pop() {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
            seen += 1;
        }
        match value {
            Value::Object(members) => left.extend(members.values()),
            Value::Array(entries) => left.extend(entries),
            _ => {}
        }
    }
    assert!(seen > 20);
}

async fn record(world: &World, what: Decided<'_>) -> String {
    let decision = what.build();
    let row = LedgerDecision {
        id: decision.id.clone(),
        tenant: TenantId::new(what.tenant),
        owner: what.owner(),
        generation: what.generation,
        mode: "enforce".to_owned(),
        action: "revoke".to_owned(),
        user: decision.target.user.clone(),
        session: decision.target.session.clone(),
        device: None,
        issued_at: decision.issued_at,
        expires_at: decision.expires_at,
        json: decision.to_json(),
    };
    world.ledger.record_decisions(&[row]).await.unwrap();
    decision.id
}

fn ids(answer: &Answer) -> Vec<String> {
    let entries = answer.json()["entries"].as_array().cloned().unwrap();
    entries
        .iter()
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn decisions_are_listed_by_tenant_and_target_in_pages() {
    let world = World::open().await;
    let mut alice = Vec::new();
    for generation in 1..=3 {
        let what = Decided {
            generation,
            ..revoke("acme", "alice")
        };
        alice.push(record(&world, what).await);
    }
    alice.reverse();
    let bob = record(&world, revoke("acme", "bob")).await;
    let other = record(&world, revoke("globex", "alice")).await;
    let own = world.token("nina", &["acme"], &[Right::Read]).await;
    let all = world.token("root", &[], &[Right::Read]).await;

    let page = world.get("/v1/decisions?user=alice&limit=2", &own).await;
    assert_eq!(ids(&page), alice[..2]);
    let next = page.json()["next"].as_str().unwrap().to_owned();
    let path = format!("/v1/decisions?user=alice&limit=2&after={next}");
    let page = world.get(&path, &own).await;
    assert_eq!(
        (ids(&page), &page.json()["next"]),
        (vec![alice[2].clone()], &Value::Null)
    );

    assert_eq!(ids(&world.get("/v1/decisions", &own).await).len(), 4);
    assert_eq!(ids(&world.get("/v1/decisions", &all).await).len(), 5);
    assert_eq!(
        ids(&world.get("/v1/decisions?tenant=globex", &all).await),
        std::slice::from_ref(&other)
    );
    assert_eq!(
        world.get("/v1/decisions?tenant=globex", &own).await.status,
        403
    );
    for (path, sentence) in [
        ("/v1/decisions?limit=0", "`limit` lies between 1 and 500"),
        (
            "/v1/decisions?after=xyz",
            "`after` is not the `next` of a page of this list",
        ),
        ("/v1/decisions?colour=red", "unknown field `colour`"),
    ] {
        let answer = world.get(path, &own).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.detail().contains(sentence), "{path}: {answer:?}");
    }

    let one = world.get(&format!("/v1/decisions/{bob}"), &own).await;
    assert_eq!((one.status, &one.json()["id"]), (200, &json!(bob)));
    for path in ["", "/receipts"] {
        let path = format!("/v1/decisions/{other}{path}");
        assert_eq!(
            world.get(&path, &own).await.status,
            404,
            "another tenant's is not there"
        );
        assert_eq!(world.get(&path, &all).await.status, 200);
    }
}

#[tokio::test]
async fn receipts_name_who_enforces_since_when() {
    let world = World::open().await;
    let id = record(&world, revoke("acme", "alice")).await;
    let receipt = Receipt {
        decision: id.clone(),
        tenant: TenantId::new("acme"),
        enforcement_point: "edge".to_owned(),
        client: "nginx-7".to_owned(),
        in_force_at: NOON + Span::millis(120),
    };
    world.ledger.record_receipts(&[receipt]).await.unwrap();
    let token = world.token("edge", &["acme"], &[Right::Stream]).await;
    let answer = world
        .get(&format!("/v1/decisions/{id}/receipts"), &token)
        .await;
    assert_eq!(
        answer.json(),
        json!({"decision": id, "next": null, "entries": [
            {"enforcement_point": "edge", "client": "nginx-7", "in_force_at": "2026-09-21T14:13:20.120Z"},
        ]})
    );
}

#[tokio::test]
async fn what_is_in_force_is_asked_of_the_gateway_where_there_is_one() {
    let alone = World::open().await;
    let token = alone.token("nina", &["acme"], &[Right::Read]).await;
    let answer = alone.get("/v1/decisions?active=true", &token).await;
    assert_eq!(
        (answer.status, answer.detail().as_str()),
        (404, "what is in force is told by the gateway")
    );

    let gateway = axum::routing::get(|| async { "the gateway's" });
    let world = World::with(Duration::ZERO, Some(gateway)).await;
    let token = world.token("nina", &["acme"], &[Right::Read]).await;
    assert_eq!(
        world.get("/v1/decisions?active=true", &token).await.body,
        "the gateway's"
    );
    assert!(ids(&world.get("/v1/decisions", &token).await).is_empty());
}

fn standing(tenant: &str, name: &str, session: Option<&str>, score: u8) -> SubjectStanding {
    let line = json!({
        "type": "score", "event": "e-1", "user": name, "session": session, "device": "laptop",
        "score": score, "log_odds": -1.5, "hypothesis": "hijacked_session",
        "hypotheses": {"hijacked_session": score},
        "contributions": [{"code": "PRIOR", "points": 16.26}],
    });
    SubjectStanding {
        tenant: TenantId::new(tenant),
        kind: "user".to_owned(),
        name: name.to_owned(),
        session: session.map(str::to_owned),
        score,
        at: NOON,
        json: line.to_string(),
    }
}

#[tokio::test]
async fn subjects_are_told_with_what_stands_highest_and_why() {
    let world = World::open().await;
    let rows = [
        standing("acme", "alice", None, 10),
        standing("acme", "alice", Some("s-1"), 85),
        standing("acme", "alice", Some("s-2"), 30),
        standing("acme", "bob", None, 5),
        standing("globex", "alice", None, 99),
    ];
    world.ledger.record_standings(&rows).await.unwrap();
    let token = world.token("nina", &["acme"], &[Right::Read]).await;
    let shown = |answer: &Answer| -> Vec<(String, Value, u64)> {
        let entries = answer.json()["entries"].as_array().cloned().unwrap();
        let row = |entry: &Value| {
            let name = entry["name"].as_str().unwrap().to_owned();
            (
                name,
                entry["session"].clone(),
                entry["score"].as_u64().unwrap(),
            )
        };
        entries.iter().map(row).collect()
    };
    let row = |name: &str, session: Value, score| (name.to_owned(), session, score);
    let listed = world.get("/v1/subjects?kind=user", &token).await;
    assert_eq!(
        shown(&listed),
        [row("alice", json!("s-1"), 85), row("bob", Value::Null, 5)]
    );
    let riskiest = world.get("/v1/subjects?kind=user&order=risk", &token).await;
    assert_eq!(
        shown(&riskiest),
        [row("alice", json!("s-1"), 85), row("bob", Value::Null, 5)],
        "the highest first, each once"
    );
    let alice = world.get("/v1/subjects?kind=user&name=alice", &token).await;
    assert_eq!(
        shown(&alice),
        [
            row("alice", json!("s-1"), 85),
            row("alice", json!("s-2"), 30),
            row("alice", Value::Null, 10)
        ]
    );
    let why = &alice.json()["entries"][0];
    assert_eq!(
        (
            &why["level"],
            &why["hypothesis"],
            &why["contributions"][0]["code"],
            &why["event"]
        ),
        (
            &json!("HIGH"),
            &json!("hijacked_session"),
            &json!("PRIOR"),
            &json!("e-1")
        )
    );
    let sessions = world.get("/v1/sessions?user=alice", &token).await;
    assert_eq!(
        shown(&sessions),
        [
            row("alice", json!("s-1"), 85),
            row("alice", json!("s-2"), 30)
        ]
    );
    refuses(&world, &token).await;
}

async fn refuses(world: &World, token: &str) {
    for (path, status) in [
        ("/v1/subjects?kind=user&name=eve", 404),
        ("/v1/subjects?kind=network", 400),
        ("/v1/subjects?order=size", 400),
        ("/v1/sessions", 400),
        ("/v1/subjects?tenant=globex", 403),
    ] {
        assert_eq!(world.get(path, token).await.status, status, "{path}");
    }
}

async fn point(world: &World, name: &str, tenants: &[&str], last_seen: Timestamp) {
    let point = EnforcementPoint {
        name: name.to_owned(),
        client: "nginx-7".to_owned(),
        tenants: tenants
            .iter()
            .map(|tenant| TenantId::new(*tenant))
            .collect(),
        last_seen,
        acknowledged: None,
        is_connected: true,
    };
    world.ledger.record_enforcement_point(&point).await.unwrap();
}

#[tokio::test]
async fn enforcement_points_are_shown_with_the_asker_s_tenants_alone() {
    let world = World::open().await;
    point(&world, "shared", &["acme", "globex"], NOON).await;
    point(&world, "theirs", &["globex"], NOON).await;
    point(&world, "every", &[], NOON - Span::minutes(3)).await;
    let own = world.token("nina", &["acme"], &[Right::Read]).await;
    let all = world.token("root", &[], &[Right::Admin]).await;
    let shown = |answer: Answer| -> Vec<Value> {
        let entries = answer.json()["entries"].as_array().cloned().unwrap();
        let row = |point: &Value| json!([point["name"], point["tenants"], point["connected"]]);
        entries.iter().map(row).collect()
    };
    let path = "/v1/enforcement-points";
    assert_eq!(
        shown(world.get(path, &own).await),
        [
            json!(["every", ["acme"], false]),
            json!(["shared", ["acme"], true])
        ],
        "one that was not heard of for minutes went with its gateway"
    );
    assert_eq!(shown(world.get(path, &all).await).len(), 3);
}

#[tokio::test]
async fn policies_are_shown_and_changed_elsewhere() {
    let world = World::open().await;
    let admin = world.token("root", &[], &[Right::Admin]).await;
    let shown = world.get("/v1/policies", &admin).await.json();
    assert_eq!(
        (&shown["revision"], &shown["files"][0]["name"]),
        (&json!("sha256:1"), &json!("a.cedar"))
    );
    let answer = world
        .ask("PUT", "/v1/policies", Some(&admin), Some("{}"))
        .await;
    assert_eq!(answer.status, 409);
    assert_eq!(
        answer.detail(),
        "the policies come from the directory `policies`: change them there"
    );
}

#[tokio::test]
async fn the_page_takes_nothing_from_elsewhere() {
    let world = World::open().await;
    for path in ["/", "/console.js", "/console.css"] {
        let answer = world.ask("GET", path, None, None).await;
        let head = answer.head.to_lowercase();
        assert!(
            head.contains("content-security-policy: default-src 'none'; script-src 'self'"),
            "{head}"
        );
        for foreign in ["http://", "https://", "innerHTML", "style=", "onclick"] {
            assert!(!answer.body.contains(foreign), "{path} has {foreign}");
        }
    }
}
