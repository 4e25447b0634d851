//! Decisions go out as the contract says, and come back the same.

use caerus_engine::id::TenantId;
use caerus_engine::number::Score;

use super::*;
use crate::form::sample::{Sample, Seed};

/// The contract's own example, §3, with the members it abridges.
const EXAMPLE: &str = r#"{"v":1,"id":"d-5f2c","tenant":"acme","generation":3,
 "action":"revoke","mode":"enforce",
 "target":{"user":"alice@acme.example","session":"s-81"},
 "issued_before":null,
 "issued_at":"2026-11-21T10:00:05.120Z","expires_at":"2026-11-22T10:00:05.120Z",
 "requires":null,"restricts":null,
 "score":87,"level":"HIGH","hypothesis":"stolen_credential",
 "contributions":[{"code":"PRIOR","points":16.26},{"code":"TRAVEL","points":42.39,"event":"e-17","text":"5,215 km in 41 minutes: Berlin, then Lagos","evidence":{"km":5215,"minutes":41}}],
 "policy":{"rule":"revoke-on-critical","revision":"sha256:00"},
 "cause":"e-17",
 "received_at":"2026-11-21T10:00:05.119Z","decided_at":"2026-11-21T10:00:05.131Z","trace":"00-1"}"#;

#[test]
fn the_contract_s_example_reads_and_is_written_in_its_order() {
    let decision = PublicDecision::parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(
        decision.to_json(),
        EXAMPLE.replace("\n ", "").replace('\n', "")
    );
    assert_eq!(decision.raw_points(), Points(5_865));
    assert_eq!(decision.action(), Action::Revoke);
    assert_eq!(
        decision.key(),
        "acme\u{1f}user=alice@acme.example\u{1f}session=s-81"
    );
    let replayed = decision.without_live_members().to_json();
    assert!(replayed.ends_with(r#""cause":"e-17"}"#), "{replayed}");
}

#[test]
fn unknown_members_are_ignored_and_absent_ones_are_null() {
    let short = r#"{"v":1,"id":"d","tenant":"t","generation":1,"action":"clear","mode":"shadow",
        "target":{"app":"payroll","colour":"red"},"issued_at":"2026-11-21T10:00:05Z",
        "expires_at":"2026-11-21T10:00:05Z","score":0,"level":"LOW",
        "policy":{"rule":null,"revision":"r"},"cause":"c","new":{"member":[1]}}"#;
    let decision = PublicDecision::parse(short.as_bytes()).unwrap();
    assert_eq!(
        decision.to_json(),
        r#"{"v":1,"id":"d","tenant":"t","generation":1,"action":"clear","mode":"shadow","target":{"app":"payroll"},"issued_before":null,"issued_at":"2026-11-21T10:00:05.000Z","expires_at":"2026-11-21T10:00:05.000Z","requires":null,"restricts":null,"score":0,"level":"LOW","hypothesis":null,"contributions":[],"policy":{"rule":null,"revision":"r"},"cause":"c"}"#
    );
}

#[test]
fn what_is_no_decision_is_named() {
    let refusal = |from: &str, to: &str| {
        let text = EXAMPLE.replace(from, to);
        assert_ne!(text, EXAMPLE);
        let error = PublicDecision::parse(text.as_bytes()).unwrap_err();
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        format!("{error}{}", source.unwrap_or_default())
    };
    for (from, to, error) in [
        (
            "\"v\":1",
            "\"v\":2",
            "a decision of version 2 cannot be read; version 1 can",
        ),
        (
            r#""user":"alice@acme.example","session":"s-81""#,
            "",
            "the decision `d-5f2c` names nobody: its target is empty",
        ),
        (
            r#""user":"alice@acme.example","#,
            "",
            "the decision `d-5f2c` names a session without its user",
        ),
        (
            r#""action":"revoke""#,
            r#""action":"step_up""#,
            "the decision `d-5f2c` is a step_up without `requires`",
        ),
        (
            r#""action":"revoke""#,
            r#""action":"restrict""#,
            "the decision `d-5f2c` is a restrict without `restricts`",
        ),
        (
            r#""action":"revoke""#,
            r#""action":"burn""#,
            "could not read a decision: unknown variant `burn`, expected one of `clear`, `restrict`, `step_up`, `revoke` at line 2 column 16",
        ),
    ] {
        assert_eq!(refusal(from, to), error);
    }
}

/// Any decision that the engine may make, but for its texts: those hold no control characters.
fn made_up(seed: &mut Seed) -> Decision {
    let user = seed.below(2) == 0;
    Decision {
        id: Sample::sample(seed),
        tenant: TenantId::new(format!("t{}", seed.below(9))),
        generation: u64::sample(seed),
        action: Sample::sample(seed),
        mode: Sample::sample(seed),
        target: Target {
            user: user.then(|| UserId::new("alice")),
            session: (user && seed.below(2) == 0).then(|| SessionId::new("s-1")),
            device: (!user).then(|| DeviceId::new("d-1")),
            workload: None,
            app: Option::<AppId>::sample(seed),
        },
        issued_before: moment(seed),
        except_sessions: Sample::sample(seed),
        issued_at: moment(seed).unwrap_or_default(),
        expires_at: moment(seed).unwrap_or_default(),
        score: Score(u8::try_from(seed.below(101)).unwrap()),
        hypothesis: Sample::sample(seed),
        contributions: made_up_lines(seed),
        rule: Sample::sample(seed),
        revision: Sample::sample(seed),
        cause: Sample::sample(seed),
        received_at: moment(seed),
        trace: Sample::sample(seed),
    }
}

fn moment(seed: &mut Seed) -> Option<Timestamp> {
    let moment = 946_684_800_000 + i64::try_from(seed.below(3_000_000_000_000)).unwrap();
    (seed.below(3) > 0).then_some(Timestamp(moment))
}

fn made_up_lines(seed: &mut Seed) -> Vec<Contribution> {
    let mut lines = Vec::<Contribution>::sample(seed);
    for line in &mut lines {
        line.points = Points(i64::try_from(seed.below(40_000)).unwrap() - 20_000);
    }
    lines
}

#[test]
fn every_decision_comes_back_the_same() {
    for state in 0..2_000 {
        let seed = &mut Seed::new(state);
        let decision = made_up(seed);
        let public = PublicDecision::from_engine(&decision, moment(seed));
        let read = PublicDecision::parse(public.to_json().as_bytes()).unwrap();
        assert_eq!(read, public, "seed {state}");
        assert_eq!(read.target(), decision.target, "seed {state}");
        assert_eq!(read.action(), decision.action, "seed {state}");
        assert_eq!(read.decision_id(), Some(decision.id), "seed {state}");
        let total: Points = decision.contributions.iter().map(|line| line.points).sum();
        assert_eq!(read.raw_points(), total, "seed {state}");
    }
}

#[test]
fn targets_that_differ_have_keys_that_differ() {
    let target = |user: Option<&str>, session: Option<&str>, app: Option<&str>| Target {
        user: user.map(UserId::new),
        session: session.map(SessionId::new),
        app: app.map(AppId::new),
        ..Target::default()
    };
    let keys = BTreeSet::from([
        target_key("t", &target(Some("a"), None, None)),
        target_key("t", &target(None, None, Some("a"))),
        target_key("t", &target(Some("a"), Some("b"), None)),
        target_key("t", &target(Some("a"), None, Some("b"))),
        target_key("t2", &target(Some("a"), None, None)),
        target_key("t", &target(Some("a session=b"), None, None)),
    ]);
    assert_eq!(keys.len(), 6);
}
