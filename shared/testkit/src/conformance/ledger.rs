//! What every ledger keeps to: writes that may be repeated, lists that go on where they ended. Knows no adapter.

use std::collections::BTreeSet;
use std::sync::Arc;

use caerus_engine::id::{SubjectHash, TenantId};
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{
    DecisionQuery, Ledger, LedgerDecision, PortErrorKind, PortResult, Receipt,
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
        }
        $crate::rules! { register, $open,
            the_latest_standing_of_a_subject_is_kept
            standings_are_listed_by_tenant_kind_and_name
            the_riskiest_come_first_and_sessions_long_unseen_are_let_go
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

pub(super) fn tenant(name: &str) -> TenantId {
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
