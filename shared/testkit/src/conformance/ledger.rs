//! What every ledger keeps to: writes that may be repeated, lists that go on where they ended. Knows no adapter.

use std::collections::BTreeSet;
use std::sync::Arc;

use caerus_engine::id::{SubjectHash, TenantId};
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{
    AuditEntry, DecisionQuery, EnforcementPoint, Ledger, LedgerDecision, PortErrorKind, PortResult,
    Receipt, StoredToken, SubjectStanding, Topic,
};

use super::refusal;

/// Makes a test of each rule. `$open` gives an empty `Arc<dyn Ledger>` and what must live as long.
#[macro_export]
macro_rules! ledger_suite {
    ($open:expr) => {
        $crate::rules! { ledger, $open,
            a_decision_is_found_as_it_was_recorded
            a_decision_recorded_again_is_the_same_decision
            decisions_are_listed_the_newest_first
            every_member_of_a_query_narrows
            pages_of_decisions_go_on_where_the_last_ended
            a_list_that_grows_shows_nothing_twice
            a_cursor_that_no_page_ended_with_is_refused
            many_decisions_are_recorded_at_once
            a_receipt_keeps_the_earliest_time
            the_latest_standing_of_a_subject_is_kept
            standings_are_listed_by_tenant_kind_and_name
            pages_of_standings_go_on_where_the_last_ended
            what_an_enforcement_point_last_said_is_kept
            instances_of_one_credential_are_bounded
            the_audit_is_listed_the_newest_first_and_repeats_are_one
            positions_are_kept_by_topic_and_partition
            a_credential_is_kept_replaced_and_listed
            a_credential_is_revoked_once
        }
    };
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name)
}

fn decision(number: u64) -> LedgerDecision {
    LedgerDecision {
        id: format!("d-{number:06}"),
        tenant: tenant("acme"),
        owner: SubjectHash(u128::MAX - u128::from(number)),
        generation: number,
        mode: "enforce".into(),
        action: "revoke".into(),
        user: Some("alice".into()),
        session: Some("s-1".into()),
        device: None,
        issued_at: Timestamp(1_000 + i64::try_from(number).unwrap_or(0)),
        expires_at: Timestamp(90_000),
        json: format!("{{\"v\":1,\"n\":{number},\"text\":\"é\"}}"),
    }
}

fn query(limit: u32) -> DecisionQuery {
    DecisionQuery {
        limit,
        ..DecisionQuery::default()
    }
}

async fn ids(ledger: &dyn Ledger, query: &DecisionQuery) -> PortResult<Vec<String>> {
    let page = ledger.decisions(query).await?;
    Ok(page.entries.into_iter().map(|entry| entry.id).collect())
}

pub async fn a_decision_is_found_as_it_was_recorded(ledger: Arc<dyn Ledger>) -> PortResult<()> {
    let whole = decision(1);
    let bare = LedgerDecision {
        user: None,
        session: None,
        device: Some("laptop".into()),
        issued_at: Timestamp(-1),
        ..decision(2)
    };
    ledger
        .record_decisions(&[whole.clone(), bare.clone()])
        .await?;
    assert_eq!(ledger.decision(&whole.id).await?, Some(whole));
    assert_eq!(ledger.decision(&bare.id).await?, Some(bare));
    assert_eq!(ledger.decision("d-none").await?, None);
    ledger.record_decisions(&[]).await?;
    Ok(())
}

pub async fn a_decision_recorded_again_is_the_same_decision(
    ledger: Arc<dyn Ledger>,
) -> PortResult<()> {
    let first = decision(1);
    ledger
        .record_decisions(std::slice::from_ref(&first))
        .await?;
    let again = LedgerDecision {
        json: "{\"decided_at\":\"later\"}".into(),
        ..decision(1)
    };
    ledger.record_decisions(&[again.clone(), again]).await?;
    let page = ledger.decisions(&query(10)).await?;
    assert_eq!(page.entries, [first]);
    Ok(())
}

pub async fn decisions_are_listed_the_newest_first(ledger: Arc<dyn Ledger>) -> PortResult<()> {
    let same_moment = LedgerDecision {
        issued_at: Timestamp(1_002),
        ..decision(9)
    };
    ledger
        .record_decisions(&[decision(2), same_moment, decision(3), decision(1)])
        .await?;
    let listed = ids(&*ledger, &query(10)).await?;
    assert_eq!(listed, ["d-000003", "d-000009", "d-000002", "d-000001"]);
    Ok(())
}

pub async fn every_member_of_a_query_narrows(ledger: Arc<dyn Ledger>) -> PortResult<()> {
    let recorded = [
        decision(1),
        LedgerDecision {
            tenant: tenant("other"),
            ..decision(2)
        },
        LedgerDecision {
            user: Some("bob".into()),
            ..decision(3)
        },
        LedgerDecision {
            session: Some("s-2".into()),
            ..decision(4)
        },
        LedgerDecision {
            user: None,
            session: None,
            device: Some("laptop".into()),
            ..decision(5)
        },
    ];
    ledger.record_decisions(&recorded).await?;
    let acme = || DecisionQuery {
        tenant: Some(tenant("acme")),
        ..query(10)
    };
    let user = |name: &str| DecisionQuery {
        user: Some(name.into()),
        ..acme()
    };
    let cases = [
        (query(10), vec![5, 4, 3, 2, 1]),
        (acme(), vec![5, 4, 3, 1]),
        (user("alice"), vec![4, 1]),
        (user("nobody"), vec![]),
        (
            DecisionQuery {
                session: Some("s-2".into()),
                ..user("alice")
            },
            vec![4],
        ),
        (
            DecisionQuery {
                device: Some("laptop".into()),
                ..acme()
            },
            vec![5],
        ),
        (
            DecisionQuery {
                user: Some("alice".into()),
                ..query(10)
            },
            vec![4, 2, 1],
        ),
    ];
    for (asked, expected) in cases {
        let expected: Vec<String> = expected.into_iter().map(|n| decision(n).id).collect();
        assert_eq!(ids(&*ledger, &asked).await?, expected, "{asked:?}");
    }
    Ok(())
}

pub async fn pages_of_decisions_go_on_where_the_last_ended(
    ledger: Arc<dyn Ledger>,
) -> PortResult<()> {
    // Several of one moment: the page's end falls between them.
    let recorded: Vec<LedgerDecision> = (0..7)
        .map(|n| LedgerDecision {
            issued_at: Timestamp(5),
            ..decision(n)
        })
        .collect();
    ledger.record_decisions(&recorded).await?;
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page = ledger
            .decisions(&DecisionQuery {
                after: after.clone(),
                ..query(3)
            })
            .await?;
        assert!(page.entries.len() <= 3);
        listed.extend(page.entries.into_iter().map(|entry| entry.generation));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, [6, 5, 4, 3, 2, 1, 0]);
    // A list that ends with its page has no next one.
    assert_eq!(ledger.decisions(&query(7)).await?.next, None);
    Ok(())
}

pub async fn a_list_that_grows_shows_nothing_twice(ledger: Arc<dyn Ledger>) -> PortResult<()> {
    let recorded: Vec<LedgerDecision> = (0..4).map(decision).collect();
    ledger.record_decisions(&recorded).await?;
    let first = ledger.decisions(&query(2)).await?;
    ledger.record_decisions(&[decision(50)]).await?;
    let rest = DecisionQuery {
        after: first.next,
        ..query(10)
    };
    assert_eq!(ids(&*ledger, &rest).await?, ["d-000001", "d-000000"]);
    Ok(())
}

pub async fn a_cursor_that_no_page_ended_with_is_refused(
    ledger: Arc<dyn Ledger>,
) -> PortResult<()> {
    let refused = Some(PortErrorKind::Refused);
    for wrong in ["", "zz", "0", "ffff", "'; DROP TABLE decisions"] {
        let asked = DecisionQuery {
            after: Some(wrong.into()),
            ..query(10)
        };
        assert_eq!(refusal(ledger.decisions(&asked).await), refused, "{wrong}");
        assert_eq!(refusal(ledger.audit(Some(wrong), 10).await), refused);
        let listed = ledger
            .standings(&tenant("acme"), "user", None, Some(wrong))
            .await;
        assert_eq!(refusal(listed), refused);
    }
    Ok(())
}

pub async fn many_decisions_are_recorded_at_once(ledger: Arc<dyn Ledger>) -> PortResult<()> {
    let recorded: Vec<LedgerDecision> = (0..777).map(decision).collect();
    ledger.record_decisions(&recorded).await?;
    let mut found = BTreeSet::new();
    let mut after = None;
    loop {
        let asked = DecisionQuery {
            after,
            ..query(u32::MAX)
        };
        let page = ledger.decisions(&asked).await?;
        assert!(page.entries.len() <= 500, "a page is bounded");
        found.extend(page.entries.into_iter().map(|entry| entry.generation));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found.len(), 777);
    Ok(())
}

pub async fn a_receipt_keeps_the_earliest_time(ledger: Arc<dyn Ledger>) -> PortResult<()> {
    let receipt = |point: &str, client: &str, at| Receipt {
        decision: "d-1".into(),
        tenant: tenant("acme"),
        enforcement_point: point.into(),
        client: client.into(),
        in_force_at: Timestamp(at),
    };
    ledger
        .record_receipts(&[
            receipt("pep-b", "nginx-1", 20),
            receipt("pep-a", "nginx-2", 30),
            receipt("pep-a", "nginx-1", 40),
        ])
        .await?;
    ledger
        .record_receipts(&[
            receipt("pep-a", "nginx-1", 50),
            receipt("pep-b", "nginx-1", 10),
        ])
        .await?;
    assert_eq!(
        ledger.receipts("d-1").await?,
        [
            receipt("pep-a", "nginx-1", 40),
            receipt("pep-a", "nginx-2", 30),
            receipt("pep-b", "nginx-1", 10),
        ]
    );
    assert_eq!(ledger.receipts("d-2").await?, []);
    Ok(())
}

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
