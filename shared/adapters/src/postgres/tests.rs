//! The ledger on a real PostgreSQL, beyond what every ledger keeps to.

mod outage;

use std::sync::Arc;

use caerus_engine::id::{SubjectHash, TenantId};
use caerus_engine::time::{Span, Timestamp};
use caerus_runtime::port::{
    AuditEntry, DecisionQuery, EnforcementPoint, Ledger, LedgerDecision, Receipt, SubjectStanding,
};
use caerus_wire::decision::PublicDecision;
use sqlx::postgres::PgPool;

use super::fixture::Schema;
use super::{Dropped, PostgresLedger, Retention};

/// Decisions as they are sent, one a line.
const SENT: &str = include_str!("../../../wire/fixtures/v1/decisions.jsonl");
/// 2026-11-21T10:00:05.120Z, when those were issued.
const ISSUED: Timestamp = Timestamp(1_795_255_205_120);

async fn open() -> (Schema, Arc<PostgresLedger>, PgPool) {
    let schema = Schema::new().await;
    let ledger = PostgresLedger::connect(&schema.settings()).await.unwrap();
    let stranger = schema.stranger().await;
    (schema, ledger, stranger)
}

/// A row as the recorder makes it of what was sent.
fn recorded(json: &str) -> LedgerDecision {
    let sent = PublicDecision::parse(json.as_bytes()).unwrap();
    LedgerDecision {
        tenant: TenantId::new(sent.tenant),
        owner: SubjectHash(10),
        generation: sent.generation,
        mode: sent.mode.name().to_owned(),
        action: sent.action.name().to_owned(),
        user: sent.target.user,
        session: sent.target.session,
        device: sent.target.device,
        issued_at: sent.issued_at,
        expires_at: sent.expires_at,
        id: sent.id,
        json: json.to_owned(),
    }
}

fn sent() -> Vec<LedgerDecision> {
    SENT.lines().map(recorded).collect()
}

fn decision_at(id: &str, issued_at: Timestamp) -> LedgerDecision {
    LedgerDecision {
        id: id.into(),
        issued_at,
        ..sent().remove(0)
    }
}

fn standing(name: &str, score: u8, at: Timestamp) -> SubjectStanding {
    SubjectStanding {
        tenant: TenantId::new("acme"),
        kind: "user".into(),
        name: name.into(),
        session: None,
        score,
        at,
        json: "{}".into(),
    }
}

fn audit(at: Timestamp) -> AuditEntry {
    AuditEntry {
        at,
        tenant: None,
        principal: "operator".into(),
        action: "revoke".into(),
        object: "session s-81".into(),
        detail: "x".repeat(10_000),
    }
}

async fn texts(pool: &PgPool, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn what_was_sent_comes_back_byte_for_byte() {
    let (_schema, ledger, _) = open().await;
    ledger.record_decisions(&sent()).await.unwrap();
    for decision in sent() {
        let held = ledger.decision(&decision.id).await.unwrap();
        assert_eq!(held, Some(decision));
    }
}

#[tokio::test]
async fn contributions_add_up_to_the_score_they_explain() {
    let (_schema, ledger, stranger) = open().await;
    // Twice, because the recorder writes at least once.
    ledger.record_decisions(&sent()).await.unwrap();
    ledger.record_decisions(&sent()).await.unwrap();
    let sums = "SELECT format('%s %s %s', d.score, sum(c.points), count(*)) FROM decisions d
                JOIN contributions c ON c.decision = d.id GROUP BY d.id, d.score ORDER BY d.id";
    let expected = ["87 86.65 3", "61 61.00 1", "40 40.00 1", "0 0.00 1"];
    assert_eq!(texts(&stranger, sums).await, expected);
    let lines = "SELECT format('%s %s %s %s %s', position, code, points, event, explanation)
                 FROM contributions WHERE decision LIKE '%0a' ORDER BY position";
    let expected = [
        "0 PRIOR 16.26  where every assessment starts",
        "1 TRAVEL 42.39 e-17 5,215 km in 41 minutes: Berlin, then Lagos",
        "2 CAP 28.00  travel counts no further than this",
    ];
    assert_eq!(texts(&stranger, lines).await, expected);
}

#[tokio::test]
async fn what_analysts_count_stands_in_columns() {
    let (_schema, ledger, stranger) = open().await;
    ledger.record_decisions(&sent()).await.unwrap();
    let columns =
        "SELECT format('%s %s %s %s %s %s %s', level, hypothesis, rule, cause, target_workload,
                   target_app, decided_at - received_at) FROM decisions ORDER BY id";
    let expected = [
        "HIGH stolen_credential revoke-on-critical e-17   00:00:00.012",
        "MEDIUM misuse step-up e-18   ",
        "MEDIUM compromised_device shadow h-1  crm ",
        "LOW   op-1 spiffe://acme.example/web  ",
    ];
    assert_eq!(texts(&stranger, columns).await, expected);
    let revisions = "SELECT format('%s %s %s', tenant, revision, decisions) FROM policy_revisions";
    assert_eq!(texts(&stranger, revisions).await, ["acme sha256:00 4"]);
    let moments = "SELECT DISTINCT issued_at::text FROM decisions";
    assert_eq!(
        texts(&stranger, moments).await,
        ["2026-11-21 10:00:05.12+00"]
    );
}

#[tokio::test]
async fn past_risk_stays_when_the_present_changes() {
    let (_schema, ledger, stranger) = open().await;
    let later = ISSUED + Span::seconds(1);
    let told = [
        standing("alice", 10, ISSUED),
        standing("alice", 80, later),
        standing("alice", 30, ISSUED),
    ];
    ledger.record_standings(&told).await.unwrap();
    ledger.record_standings(&told[2..]).await.unwrap();
    let past = "SELECT score::text FROM risk_history ORDER BY assessed_at";
    assert_eq!(texts(&stranger, past).await, ["30", "80"]);
    let present = "SELECT score::text FROM standings";
    assert_eq!(texts(&stranger, present).await, ["80"]);
}

#[tokio::test]
async fn a_nul_in_a_name_stops_nothing_and_is_found_by_its_name() {
    let (_schema, ledger, _) = open().await;
    let strange = "a\0b";
    let decision = LedgerDecision {
        user: Some(strange.into()),
        json: "{\"v\":9,\"text\":\"\\u0000\"}".into(),
        ..decision_at("d-\0", ISSUED)
    };
    ledger
        .record_decisions(&[decision.clone(), decision_at("d-2", ISSUED)])
        .await
        .unwrap();
    let held = ledger.decision("d-\0").await.unwrap().unwrap();
    assert_eq!(held.user.as_deref(), Some("a␀b"));
    assert_eq!(held.json, decision.json);
    let asked = DecisionQuery {
        user: Some(strange.into()),
        limit: 10,
        ..DecisionQuery::default()
    };
    assert_eq!(ledger.decisions(&asked).await.unwrap().entries, [held]);
    let receipt = Receipt {
        decision: "d-\0".into(),
        tenant: TenantId::new(strange),
        enforcement_point: strange.into(),
        client: strange.into(),
        in_force_at: ISSUED,
    };
    let again = [receipt.clone(), receipt];
    ledger.record_receipts(&again).await.unwrap();
    assert_eq!(ledger.receipts("d-\0").await.unwrap().len(), 1);
    let standings = [standing(strange, 1, ISSUED)];
    ledger.record_standings(&standings).await.unwrap();
    let point = EnforcementPoint {
        name: strange.into(),
        client: strange.into(),
        tenants: vec![TenantId::new(strange)],
        last_seen: ISSUED,
        acknowledged: Some(strange.into()),
        is_connected: true,
    };
    ledger.record_enforcement_point(&point).await.unwrap();
    let entry = AuditEntry {
        object: strange.into(),
        ..audit(ISSUED)
    };
    ledger.record_audit(&entry).await.unwrap();
}

#[tokio::test]
async fn a_decision_that_is_not_read_is_recorded_without_its_reasons() {
    let (_schema, ledger, stranger) = open().await;
    for (n, json) in ["{\"v\":2}", "", "{\"v\":1,\"x\":\"\\ud800\"}"]
        .iter()
        .enumerate()
    {
        let decision = LedgerDecision {
            json: (*json).into(),
            ..decision_at(&format!("d-{n}"), ISSUED)
        };
        ledger
            .record_decisions(std::slice::from_ref(&decision))
            .await
            .unwrap();
        let held = ledger.decision(&decision.id).await.unwrap();
        assert_eq!(held, Some(decision));
    }
    let counts = "SELECT format('%s %s', count(*), count(score)) FROM decisions";
    assert_eq!(texts(&stranger, counts).await, ["3 0"]);
}

#[tokio::test]
async fn a_moment_beyond_all_calendars_is_recorded_and_goes_into_no_month() {
    let (_schema, ledger, stranger) = open().await;
    for (id, at) in [("first", Timestamp(i64::MIN)), ("last", Timestamp::MAX)] {
        let decision = LedgerDecision {
            expires_at: at,
            ..decision_at(id, at)
        };
        ledger
            .record_decisions(std::slice::from_ref(&decision))
            .await
            .unwrap();
        assert_eq!(ledger.decision(id).await.unwrap(), Some(decision));
    }
    let places = "SELECT DISTINCT tableoid::regclass::text FROM decisions";
    assert_eq!(texts(&stranger, places).await, ["decisions_default"]);
}

#[tokio::test]
async fn names_are_listed_byte_by_byte_whatever_the_databases_language() {
    let (_schema, ledger, _) = open().await;
    let names = ["B", "a", "b", "Ä", "é"];
    let told = names.map(|name| standing(name, 1, ISSUED));
    ledger.record_standings(&told).await.unwrap();
    let page = ledger
        .standings(&TenantId::new("acme"), "user", None, None)
        .await
        .unwrap();
    let listed: Vec<&str> = page.entries.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(listed, names);
}

#[tokio::test]
async fn several_programs_connect_at_once() {
    let schema = Schema::new().await;
    let settings = schema.settings();
    let connect = || PostgresLedger::connect(&settings);
    let (one, two, three) = tokio::join!(connect(), connect(), connect());
    for ledger in [one, two, three] {
        ledger.unwrap().record_decisions(&sent()).await.unwrap();
    }
    let counts = "SELECT format('%s %s', count(DISTINCT version), count(*)) FROM caerus_migrations";
    assert_eq!(texts(&schema.stranger().await, counts).await, ["2 2"]);
}

#[tokio::test]
async fn this_month_and_the_next_are_there_before_any_row() {
    let (_schema, _ledger, stranger) = open().await;
    let near = "SELECT count(*)::text FROM generate_series(0, 1) m, unnest(
                    ARRAY['decisions', 'contributions', 'risk_history', 'audit']) t
                WHERE to_regclass(t || to_char(now() AT TIME ZONE 'UTC' + m * interval '1 month', '_YYYYMM'))
                    IS NOT NULL";
    assert_eq!(texts(&stranger, near).await, ["8"]);
}

#[tokio::test]
async fn rows_of_a_month_leave_the_default_partition_when_the_month_is_made() {
    let (schema, ledger, stranger) = open().await;
    ledger.record_audit(&audit(Timestamp(0))).await.unwrap();
    let far = "INSERT INTO audit (at, principal, action, object, detail, fingerprint)
               VALUES ('2031-05-31 23:59:59.999+00', '', '', '', '', sha256('1')),
                      ('2031-06-01 00:00:00+00', '', '', '', '', sha256('2')),
                      ('2031-08-01 00:00:00+00', '', '', '', '', sha256('3'))";
    sqlx::raw_sql(far).execute(&stranger).await.unwrap();
    let may_2031 = Timestamp(1_937_000_000_000);
    ledger.record_audit(&audit(may_2031)).await.unwrap();
    let places = "SELECT tableoid::regclass::text FROM audit ORDER BY at";
    let expected = [
        "audit_default",
        "audit_203105",
        "audit_203105",
        "audit_203106",
        "audit_default",
    ];
    assert_eq!(texts(&stranger, places).await, expected);
    assert_eq!(ledger.audit(None, 10).await.unwrap().entries.len(), 5);
    // A program that did not make the month finds it.
    let other = PostgresLedger::connect(&schema.settings()).await.unwrap();
    other.record_audit(&audit(may_2031)).await.unwrap();
    assert_eq!(texts(&stranger, places).await, expected);
}

#[tokio::test]
async fn a_month_that_is_not_made_refuses_no_row() {
    let (_schema, ledger, stranger) = open().await;
    sqlx::query(
        "CREATE TABLE decisions_202601 PARTITION OF decisions
                 FOR VALUES FROM ('2026-01-15 00:00:00+00') TO ('2026-01-16 00:00:00+00')",
    )
    .execute(&stranger)
    .await
    .unwrap();
    sqlx::query("ALTER TABLE decisions_202601 RENAME TO theirs")
        .execute(&stranger)
        .await
        .unwrap();
    let january = Timestamp(1_767_300_000_000);
    let decision = decision_at("d-1", january);
    ledger
        .record_decisions(std::slice::from_ref(&decision))
        .await
        .unwrap();
    let places = "SELECT tableoid::regclass::text FROM decisions";
    assert_eq!(texts(&stranger, places).await, ["decisions_default"]);
}

#[tokio::test]
async fn what_is_older_than_it_has_to_be_kept_leaves_by_the_month() {
    let (_schema, ledger, stranger) = open().await;
    let month = Span::days(30);
    let (old, new) = (ISSUED - month - month, ISSUED);
    let kept = [
        decision_at("d-new", new),
        decision_at("d-never", Timestamp::MAX),
    ];
    let gone = [
        decision_at("d-old", old),
        decision_at("d-first", Timestamp(1)),
    ];
    ledger.record_decisions(&kept).await.unwrap();
    ledger.record_decisions(&gone).await.unwrap();
    let told = [standing("alice", 1, old), standing("alice", 2, new)];
    ledger.record_standings(&told).await.unwrap();
    for at in [old, new] {
        ledger.record_audit(&audit(at)).await.unwrap();
        let receipt = Receipt {
            decision: format!("d-{}", at.0),
            tenant: TenantId::new("acme"),
            enforcement_point: "pep".into(),
            client: "nginx-1".into(),
            in_force_at: at,
        };
        ledger.record_receipts(&[receipt]).await.unwrap();
    }
    let retention = Retention {
        decisions_since: ISSUED - Span::days(1),
        risk_since: ISSUED - Span::days(1),
        audit_since: Timestamp(i64::MIN),
    };
    let dropped = ledger.keep(&retention).await.unwrap();
    let months = ["decisions", "contributions", "risk_history"]
        .map(|table| [9, 10].map(|month| format!("{table}_2026{month:02}")));
    let expected = Dropped {
        partitions: months.concat(),
        // The receipt, and of the decision in no month itself and its three lines.
        rows: 5,
    };
    assert_eq!(dropped, expected);
    let left = "SELECT id FROM decisions UNION ALL SELECT 'risk ' || score FROM risk_history
                UNION ALL SELECT 'receipt ' || count(*) FROM receipts
                UNION ALL SELECT 'audit ' || count(*) FROM audit";
    let expected = ["d-new", "d-never", "risk 2", "receipt 1", "audit 2"];
    assert_eq!(texts(&stranger, left).await, expected);
    assert_eq!(ledger.keep(&retention).await.unwrap(), Dropped::default());
    // A month that was dropped comes again with its first row.
    ledger.record_decisions(&gone).await.unwrap();
    assert_eq!(
        ledger.decision("d-old").await.unwrap().as_ref(),
        gone.first()
    );
}
