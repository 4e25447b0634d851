//! What every ledger keeps to in what it holds beside decisions: the latest word of each, and credentials. Knows no adapter.
//!
//! Part of `ledger_suite!`.

use std::sync::Arc;

use caerus_engine::time::Timestamp;
use caerus_runtime::port::{
    AuditEntry, EnforcementPoint, Ledger, PortResult, SESSION_STANDING_KEPT, StoredToken,
    SubjectStanding, Topic,
};

use super::ledger::tenant;

fn standing(name: &str, session: Option<&str>, score: u8, at: i64) -> SubjectStanding {
    SubjectStanding {
        tenant: tenant("acme"),
        kind: "user".into(),
        name: name.into(),
        session: session.map(str::to_owned),
        score,
        at: Timestamp(at),
        json: format!("{{\"score\":{score}}}"),
    }
}

pub async fn the_latest_standing_of_a_subject_is_kept(ledger: Arc<dyn Ledger>) -> PortResult<()> {
    let told = [
        standing("alice", None, 10, 1),
        standing("alice", None, 80, 3),
        standing("alice", None, 20, 2),
        standing("alice", Some("s-1"), 50, 1),
        standing("alice", Some("s-1"), 60, 1),
    ];
    ledger.record_standings(&told).await?;
    let [oldest, ..] = &told;
    ledger
        .record_standings(std::slice::from_ref(oldest))
        .await?;
    let page = ledger
        .standings(&tenant("acme"), "user", Some("alice"), None)
        .await?;
    let expected = [
        standing("alice", None, 80, 3),
        standing("alice", Some("s-1"), 60, 1),
    ];
    assert_eq!(page.entries, expected);
    assert_eq!(page.next, None);
    Ok(())
}

pub async fn standings_are_listed_by_tenant_kind_and_name(
    ledger: Arc<dyn Ledger>,
) -> PortResult<()> {
    let others = [
        SubjectStanding {
            tenant: tenant("other"),
            ..standing("alice", None, 1, 1)
        },
        SubjectStanding {
            kind: "device".into(),
            ..standing("alice", None, 2, 1)
        },
        standing("bob", None, 3, 1),
        standing("alice", None, 4, 1),
    ];
    ledger.record_standings(&others).await?;
    let cases = [
        ("acme", "user", None, vec![4, 3]),
        ("acme", "user", Some("bob"), vec![3]),
        ("acme", "device", None, vec![2]),
        ("other", "user", None, vec![1]),
        ("other", "user", Some("bob"), vec![]),
    ];
    for (of, kind, name, expected) in cases {
        let page = ledger.standings(&tenant(of), kind, name, None).await?;
        let scores: Vec<u8> = page.entries.iter().map(|entry| entry.score).collect();
        assert_eq!(scores, expected, "{of} {kind} {name:?}");
    }
    Ok(())
}

pub async fn the_riskiest_come_first_and_sessions_long_unseen_are_let_go(
    ledger: Arc<dyn Ledger>,
) -> PortResult<()> {
    let kept = SESSION_STANDING_KEPT.0;
    let told = [
        standing("alice", Some("s-old"), 99, 1),
        standing("alice", None, 20, 1),
        standing("bob", Some("s-1"), 70, kept + 2),
        standing("carol", Some("s-2"), 80, kept + 2),
        standing("dave", None, 80, kept + 3),
    ];
    for one in &told {
        ledger.record_standings(std::slice::from_ref(one)).await?;
    }
    let names = async |limit| -> PortResult<Vec<String>> {
        let found = ledger.riskiest(&tenant("acme"), "user", limit).await?;
        Ok(found.into_iter().map(|one| one.name).collect())
    };
    assert_eq!(names(10).await?, ["dave", "carol", "bob", "alice"]);
    assert_eq!(names(2).await?, ["dave", "carol"]);
    assert_eq!(ledger.riskiest(&tenant("other"), "user", 10).await?, []);
    Ok(())
}

pub async fn pages_of_standings_go_on_where_the_last_ended(
    ledger: Arc<dyn Ledger>,
) -> PortResult<()> {
    const MANY: usize = 250;
    // Names with dots and sessions: the cursor must hold both.
    let told: Vec<SubjectStanding> = (0..MANY)
        .map(|n| {
            standing(
                &format!("u.{:03}", n / 2),
                (n % 2 == 1).then_some("s.1"),
                1,
                1,
            )
        })
        .collect();
    ledger.record_standings(&told).await?;
    let mut listed = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = ledger
            .standings(&tenant("acme"), "user", None, after.as_deref())
            .await?;
        listed.extend(page.entries);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, told);
    Ok(())
}

fn point(name: &str, client: &str, last_seen: i64) -> EnforcementPoint {
    EnforcementPoint {
        name: name.into(),
        client: client.into(),
        tenants: vec![tenant("acme"), tenant("other")],
        last_seen: Timestamp(last_seen),
        acknowledged: Some(format!("cursor-{last_seen}")),
        is_connected: true,
    }
}

pub async fn what_an_enforcement_point_last_said_is_kept(
    ledger: Arc<dyn Ledger>,
) -> PortResult<()> {
    let gone = EnforcementPoint {
        tenants: Vec::new(),
        acknowledged: None,
        is_connected: false,
        ..point("pep", "nginx-1", 9)
    };
    let told = [
        point("pep", "nginx-2", 5),
        point("pep", "nginx-1", 5),
        gone.clone(),
        point("pep", "nginx-1", 7),
        point("edge", "nginx-1", 1),
    ];
    for said in &told {
        ledger.record_enforcement_point(said).await?;
    }
    let expected = [
        point("edge", "nginx-1", 1),
        gone,
        point("pep", "nginx-2", 5),
    ];
    assert_eq!(ledger.enforcement_points().await?, expected);
    Ok(())
}

pub async fn instances_of_one_credential_are_bounded(ledger: Arc<dyn Ledger>) -> PortResult<()> {
    ledger
        .record_enforcement_point(&point("other", "x", 1))
        .await?;
    for n in 0..300_i64 {
        let named = point("pep", &format!("c-{n:03}"), n);
        ledger.record_enforcement_point(&named).await?;
    }
    let kept = ledger.enforcement_points().await?;
    let of_pep: Vec<&str> = kept
        .iter()
        .filter(|point| point.name == "pep")
        .map(|point| point.client.as_str())
        .collect();
    assert_eq!(of_pep.len(), 256);
    assert_eq!(of_pep.first().copied(), Some("c-044"));
    assert_eq!(kept.len(), 257);
    Ok(())
}

pub async fn the_audit_is_listed_the_newest_first_and_repeats_are_one(
    ledger: Arc<dyn Ledger>,
) -> PortResult<()> {
    let entry = |n: i64, of: Option<&str>| AuditEntry {
        at: Timestamp(n),
        tenant: of.map(tenant),
        principal: "operator".into(),
        action: "revoke".into(),
        object: format!("session {n}"),
        detail: "stolen laptop".into(),
    };
    for n in 0..5 {
        ledger.record_audit(&entry(n, None)).await?;
        ledger.record_audit(&entry(n, None)).await?;
    }
    ledger.record_audit(&entry(4, Some(""))).await?;
    let first = ledger.audit(None, 4).await?;
    let expected = [
        entry(4, Some("")),
        entry(4, None),
        entry(3, None),
        entry(2, None),
    ];
    assert_eq!(first.entries, expected);
    ledger.record_audit(&entry(9, Some("acme"))).await?;
    let rest = ledger.audit(first.next.as_deref(), 4).await?;
    assert_eq!(rest.entries, [entry(1, None), entry(0, None)]);
    assert_eq!(rest.next, None);
    Ok(())
}

pub async fn positions_are_kept_by_topic_and_partition(ledger: Arc<dyn Ledger>) -> PortResult<()> {
    assert_eq!(ledger.position(Topic::Decisions, 0).await?, 0);
    ledger.set_position(Topic::Decisions, 0, 10).await?;
    ledger.set_position(Topic::Decisions, 1, 20).await?;
    ledger.set_position(Topic::Receipts, 0, 30).await?;
    ledger.set_position(Topic::Decisions, 0, 11).await?;
    let places = [
        (Topic::Decisions, 0, 11),
        (Topic::Decisions, 1, 20),
        (Topic::Receipts, 0, 30),
        (Topic::Shadow, 0, 0),
    ];
    for (topic, partition, expected) in places {
        assert_eq!(ledger.position(topic, partition).await?, expected);
    }
    Ok(())
}

fn token(id: &str) -> StoredToken {
    StoredToken {
        id: id.into(),
        hash: [7; 32],
        name: "producer".into(),
        tenants: vec![tenant("acme")],
        rights: vec!["events".into(), "feedback".into()],
        created_at: Timestamp(1),
        expires_at: Some(Timestamp(2)),
        revoked_at: None,
    }
}

pub async fn a_credential_is_kept_replaced_and_listed(ledger: Arc<dyn Ledger>) -> PortResult<()> {
    assert_eq!(ledger.tokens().await?, []);
    let everywhere = StoredToken {
        hash: [9; 32],
        tenants: Vec::new(),
        rights: Vec::new(),
        expires_at: None,
        ..token("b")
    };
    for put in [&token("b"), &token("a"), &everywhere] {
        ledger.put_token(put).await?;
    }
    assert_eq!(ledger.tokens().await?, [token("a"), everywhere]);
    Ok(())
}

pub async fn a_credential_is_revoked_once(ledger: Arc<dyn Ledger>) -> PortResult<()> {
    ledger.put_token(&token("a")).await?;
    assert!(!ledger.revoke_token("b", Timestamp(5)).await?);
    assert!(ledger.revoke_token("a", Timestamp(5)).await?);
    assert!(ledger.revoke_token("a", Timestamp(9)).await?);
    let revoked = StoredToken {
        revoked_at: Some(Timestamp(5)),
        ..token("a")
    };
    assert_eq!(ledger.tokens().await?, [revoked]);
    Ok(())
}
