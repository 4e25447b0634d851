//! Single rules by table, and the whole against a scan that was written apart.

use caerus_engine::id::RuleId;
use proptest::prelude::*;

use super::*;
use crate::picture::Admission;
use crate::sample::{self, HOUR, MFA, NOW};

fn ask(user: Option<&str>, session: Option<&str>) -> Request {
    Request {
        tenant: TenantId::new("acme"),
        user: user.map(UserId::new),
        device: None,
        workload: None,
        app: None,
        sensitivity: 0,
        credentials: vec![Credential {
            session: session.map(SessionId::new),
            authenticated_at: None,
        }],
        proof: None,
    }
}

fn aged(request: Request, authenticated_at: Timestamp) -> Request {
    let credentials = request
        .credentials
        .iter()
        .map(|credential| Credential {
            authenticated_at: Some(authenticated_at),
            ..credential.clone()
        })
        .collect();
    Request {
        credentials,
        ..request
    }
}

fn proof(class: &str, authenticated_at: Timestamp) -> Proof {
    Proof {
        session: None,
        classes: BTreeSet::from([AcrValue::new(class)]),
        amr: BTreeSet::new(),
        authenticated_at,
    }
}

fn says(decisions: &[Decision], request: &Request, now: Timestamp) -> String {
    let mut picture = Picture::default();
    for decision in decisions {
        picture.admit(Arc::new(decision.clone()));
    }
    let judgement = judge(&picture, request, &Classes::new(), now);
    let verdict = match judgement.verdict {
        Verdict::Pass => "pass".to_owned(),
        Verdict::Conflict => "conflict".to_owned(),
        Verdict::Restrict(decision) => format!("restrict {}", decision.generation),
        Verdict::StepUp(demand) => {
            let classes: Vec<&str> = demand.acr_values.iter().map(AcrValue::as_str).collect();
            format!("step_up {} {:?}", classes.join(" "), demand.max_age_s)
        }
        Verdict::Revoke(decision) => format!("revoke {}", decision.generation),
    };
    if judgement.met.is_empty() {
        verdict
    } else {
        format!("{verdict}, {} met", judgement.met.len())
    }
}

fn restrict(target: Target, above: Option<u8>, apps: &[&str]) -> Decision {
    Decision {
        action: Action::Restrict(restricts(above, apps)),
        ..sample::revoke(target)
    }
}

fn restricts(above: Option<u8>, apps: &[&str]) -> Restricts {
    Restricts {
        sensitivity_above: above,
        apps: apps.iter().map(|app| AppId::new(*app)).collect(),
    }
}

#[test]
fn the_most_severe_target_answers() {
    let revoke = sample::revoke(sample::user("alice"));
    let step_up = sample::step_up(sample::session("alice", "s-1"));
    let restrict = restrict(
        Target {
            device: Some(DeviceId::new("laptop")),
            ..Target::default()
        },
        Some(0),
        &[],
    );
    let request = Request {
        device: Some(DeviceId::new("laptop")),
        sensitivity: 1,
        ..ask(Some("alice"), Some("s-1"))
    };
    let cases: [(&[Decision], &str); 4] = [
        (
            &[restrict.clone(), step_up.clone(), revoke.clone()],
            "revoke 1",
        ),
        (
            &[restrict.clone(), step_up.clone()],
            "step_up urn:caerus:acr:mfa Some(300)",
        ),
        (&[restrict], "restrict 1"),
        (&[], "pass"),
    ];
    for (decisions, expected) in cases {
        assert_eq!(says(decisions, &request, NOW), expected);
    }
}

#[test]
fn a_cut_off_means_credentials_older_than_it_and_those_of_unknown_age() {
    let decision = Decision {
        issued_before: Some(NOW),
        except_sessions: BTreeSet::from([SessionId::new("s-new")]),
        ..sample::revoke(sample::user("alice"))
    };
    let second = Span::seconds(1);
    let old = ask(Some("alice"), Some("s-1"));
    let cases = [
        (aged(old.clone(), NOW - second), "revoke 1"),
        (aged(old.clone(), NOW), "pass"),
        (aged(old.clone(), NOW + second), "pass"),
        (old, "revoke 1"),
        (ask(Some("alice"), None), "revoke 1"),
        (ask(Some("alice"), Some("s-new")), "pass"),
        (ask(Some("bob"), Some("s-1")), "pass"),
    ];
    for (request, expected) in cases {
        let verdict = says(std::slice::from_ref(&decision), &request, NOW);
        assert_eq!(verdict, expected, "{request:?}");
    }
}

#[test]
fn of_several_credentials_the_worst_counts() {
    let decision = sample::revoke(sample::session("alice", "s-1"));
    let mut request = ask(Some("alice"), Some("s-2"));
    assert_eq!(says(std::slice::from_ref(&decision), &request, NOW), "pass");
    request.credentials.push(Credential {
        session: Some(SessionId::new("s-1")),
        authenticated_at: Some(NOW + HOUR),
    });
    assert_eq!(says(&[decision], &request, NOW), "revoke 1");
}

#[test]
fn a_session_alone_finds_its_user_through_the_decisions_about_it() {
    let about_session = Decision {
        action: Action::Clear,
        ..sample::revoke(sample::session("alice", "s-1"))
    };
    let about_user = sample::revoke(sample::user("alice"));
    let request = ask(None, Some("s-1"));
    assert_eq!(
        says(std::slice::from_ref(&about_user), &request, NOW),
        "pass",
        "nothing tells whose session it is"
    );
    assert_eq!(
        says(&[about_session, about_user], &request, NOW),
        "revoke 1"
    );
}

#[test]
fn a_session_that_is_known_to_be_anothers_is_a_conflict() {
    let decision = Decision {
        action: Action::Clear,
        ..sample::revoke(sample::session("alice", "s-1"))
    };
    let by_bob = ask(Some("bob"), Some("s-1"));
    assert_eq!(
        says(std::slice::from_ref(&decision), &by_bob, NOW),
        "conflict"
    );
    let elsewhere = Request {
        tenant: TenantId::new("other"),
        ..by_bob
    };
    assert_eq!(says(&[decision], &elsewhere, NOW), "pass");
}

#[test]
fn a_step_up_is_met_by_class_age_and_a_moment_after_the_demand() {
    let seconds = Span::seconds;
    let decision = sample::step_up(sample::session("alice", "s-1"));
    let unmet = "step_up urn:caerus:acr:mfa Some(300)";
    let now = NOW + seconds(600);
    let of_session = |session: &str, at| Proof {
        session: Some(SessionId::new(session)),
        ..proof(MFA, at)
    };
    let cases = [
        (None, unmet),
        (Some(proof(MFA, NOW + seconds(400))), "pass, 1 met"),
        (Some(proof(MFA, NOW + seconds(300))), "pass, 1 met"),
        (Some(proof(MFA, NOW + seconds(299))), unmet),
        (Some(proof("urn:other", NOW + seconds(400))), unmet),
        (Some(proof(MFA, NOW)), unmet),
        (Some(proof(MFA, now + seconds(60))), "pass, 1 met"),
        (Some(proof(MFA, now + seconds(61))), unmet),
        (Some(of_session("s-1", now)), "pass, 1 met"),
        (Some(of_session("s-2", now)), unmet),
    ];
    for (proof, expected) in cases {
        let request = Request {
            proof,
            ..ask(Some("alice"), Some("s-1"))
        };
        let verdict = says(std::slice::from_ref(&decision), &request, now);
        assert_eq!(verdict, expected, "{:?}", request.proof);
    }
}

#[test]
fn a_class_is_also_reached_by_the_methods_configured_for_it() {
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let classes = Classes::from([(
        AcrValue::new(MFA),
        vec![set(&["otp", "pwd"]), set(&["hwk"])],
    )]);
    for (amr, expected) in [
        (&["pwd", "otp", "x"][..], true),
        (&["hwk"], true),
        (&["otp"], false),
        (&[], false),
    ] {
        let proof = Proof {
            amr: set(amr),
            ..proof("urn:other", NOW)
        };
        let requires = sample::requires(&[MFA], None);
        assert_eq!(
            proof.is_recent(&requires, &classes, NOW),
            expected,
            "{amr:?}"
        );
    }
}

#[test]
fn a_met_step_up_still_restricts_and_makes_way_for_what_is_milder() {
    let target = sample::session("alice", "s-1");
    let with_restricts = Decision {
        action: Action::StepUp {
            requires: sample::requires(&[MFA], None),
            restricts: Some(restricts(Some(2), &["payroll"])),
        },
        ..sample::step_up(target)
    };
    let later = NOW + HOUR;
    let request = |sensitivity, app: Option<&str>| Request {
        sensitivity,
        app: app.map(AppId::new),
        proof: Some(proof(MFA, NOW + Span::seconds(1))),
        ..ask(Some("alice"), Some("s-1"))
    };
    for (sensitivity, app, expected) in [
        (2, None, "pass, 1 met"),
        (3, None, "restrict 1, 1 met"),
        (0, Some("payroll"), "restrict 1, 1 met"),
        (0, Some("wiki"), "pass, 1 met"),
    ] {
        let verdict = says(
            std::slice::from_ref(&with_restricts),
            &request(sensitivity, app),
            later,
        );
        assert_eq!(verdict, expected);
    }
}

#[test]
fn a_restriction_covers_what_lies_above_it_or_in_its_apps_and_everything_when_it_names_nothing() {
    let cases = [
        (Some(2), &[][..], 2, None, "pass"),
        (Some(2), &[], 3, None, "restrict 1"),
        (Some(3), &["payroll"], 0, Some("payroll"), "restrict 1"),
        (Some(3), &["payroll"], 4, Some("wiki"), "restrict 1"),
        (None, &["payroll"], 4, Some("wiki"), "pass"),
        (None, &[], 0, None, "restrict 1"),
    ];
    for (above, apps, sensitivity, app, expected) in cases {
        let request = Request {
            sensitivity,
            app: app.map(AppId::new),
            ..ask(Some("alice"), None)
        };
        let decision = restrict(sample::user("alice"), above, apps);
        assert_eq!(says(&[decision], &request, NOW), expected);
    }
}

#[test]
fn several_demands_ask_for_what_satisfies_all_of_them() {
    let demand = |generation, target, classes: &[&str], max_age_s| Decision {
        generation,
        issued_at: Timestamp(NOW.0 + i64::try_from(generation).unwrap()),
        action: Action::StepUp {
            requires: sample::requires(classes, max_age_s),
            restricts: None,
        },
        ..sample::revoke(target)
    };
    let session = sample::session("alice", "s-1");
    let user = sample::user("alice");
    let request = ask(Some("alice"), Some("s-1"));
    let cases = [
        (
            (&["a", "b"][..], Some(60)),
            (&["b", "c"][..], None),
            "step_up b Some(60)",
        ),
        ((&["a"], Some(60)), (&["c"], Some(9)), "step_up c Some(9)"),
        ((&["a"], None), (&[], Some(9)), "step_up a Some(9)"),
    ];
    for (older, newer, expected) in cases {
        let decisions = [
            demand(1, session.clone(), older.0, older.1),
            demand(2, user.clone(), newer.0, newer.1),
        ];
        assert_eq!(says(&decisions, &request, NOW), expected);
    }
}

/// Every rule again, by scanning all that was ever said, in the words of the contract.
fn scan(said: &[Decision], request: &Request, now: Timestamp) -> (u8, BTreeSet<u64>) {
    let newest: Vec<&Decision> = said
        .iter()
        .enumerate()
        .filter(|(index, decision)| {
            !said.iter().enumerate().any(|(other_index, other)| {
                other.tenant == decision.tenant
                    && other.target == decision.target
                    && (other.generation > decision.generation
                        || (other.generation == decision.generation && other_index < *index))
            })
        })
        .map(|(_, decision)| decision)
        .filter(|decision| decision.tenant == request.tenant)
        .collect();
    let owners = |session: &SessionId| -> BTreeSet<UserId> {
        newest
            .iter()
            .filter(|decision| decision.target.session.as_ref() == Some(session))
            .filter_map(|decision| decision.target.user.clone())
            .collect()
    };
    let mut worst = 0;
    let mut met = BTreeSet::new();
    for credential in &request.credentials {
        let owners = credential.session.as_ref().map(owners).unwrap_or_default();
        if let Some(user) = &request.user
            && !owners.is_empty()
            && !owners.contains(user)
        {
            return (9, BTreeSet::new());
        }
        let users: Vec<Option<UserId>> = match &request.user {
            Some(user) => vec![Some(user.clone())],
            None if owners.is_empty() => vec![None],
            None => owners.into_iter().map(Some).collect(),
        };
        for user in users {
            let whole = Target {
                user,
                session: credential.session.clone(),
                device: request.device.clone(),
                workload: request.workload.clone(),
                app: request.app.clone(),
            };
            for decision in &newest {
                let is_young = credential
                    .authenticated_at
                    .zip(decision.issued_before)
                    .is_some_and(|(at, cut_off)| at >= cut_off);
                let is_listed = whole
                    .session
                    .as_ref()
                    .is_some_and(|session| decision.except_sessions.contains(session));
                let is_spared = decision.issued_before.is_some() && (is_young || is_listed);
                if !decision.target.matches(&whole)
                    || is_spared
                    || now >= decision.expires_at + Span::seconds(60)
                {
                    continue;
                }
                let (severity, is_met) = severity(decision, request, now);
                worst = worst.max(severity);
                if is_met {
                    met.insert(decision.generation);
                }
            }
        }
    }
    (worst, met)
}

/// 3 revoke, 2 step-up, 1 restrict, 0 nothing; and whether a demand was met.
fn severity(decision: &Decision, request: &Request, now: Timestamp) -> (u8, bool) {
    let restricted = |restricts: &Restricts| {
        restricts
            .sensitivity_above
            .is_some_and(|n| request.sensitivity > n)
            || request
                .app
                .as_ref()
                .is_some_and(|app| restricts.apps.contains(app))
            || (restricts.sensitivity_above.is_none() && restricts.apps.is_empty())
    };
    match &decision.action {
        Action::Clear => (0, false),
        Action::Revoke => (3, false),
        Action::Restrict(restricts) => (u8::from(restricted(restricts)), false),
        Action::StepUp {
            requires,
            restricts,
        } => {
            let is_met = request.proof.as_ref().is_some_and(|proof| {
                let age = now.0 - proof.authenticated_at.0;
                proof.authenticated_at > decision.issued_at
                    && age >= -60_000
                    && requires
                        .max_age_s
                        .is_none_or(|s| age <= i64::from(s) * 1_000)
                    && !requires.acr_values.is_disjoint(&proof.classes)
                    && (decision.target.session.is_none()
                        || proof.session.is_none()
                        || decision.target.session == proof.session)
            });
            match (is_met, restricts) {
                (false, _) => (2, false),
                (true, Some(restricts)) => (u8::from(restricted(restricts)), true),
                (true, None) => (0, true),
            }
        }
    }
}

fn name<T>(names: &'static [&'static str], of: fn(&'static str) -> T) -> BoxedStrategy<Option<T>>
where
    T: std::fmt::Debug + Clone + 'static,
{
    proptest::option::of(proptest::sample::select(names).prop_map(of)).boxed()
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (-4_i64..5).prop_map(|minutes| NOW + Span::minutes(minutes))
}

fn any_target() -> impl Strategy<Value = Target> {
    (
        name(&["alice", "bob"], UserId::new),
        name(&["s-1", "s-2"], SessionId::new),
        name(&["laptop"], DeviceId::new),
        name(&["payroll"], AppId::new),
        name(&["spiffe://a/b"], WorkloadId::new),
    )
        .prop_map(|(user, session, device, app, workload)| Target {
            session: session.filter(|_| user.is_some()),
            user,
            device,
            workload,
            app,
        })
        .prop_filter("a target names something", |target| !target.is_empty())
}

fn any_restricts() -> impl Strategy<Value = Restricts> {
    (
        proptest::option::of(0_u8..4),
        name(&["payroll"], AppId::new),
    )
        .prop_map(|(sensitivity_above, app)| Restricts {
            sensitivity_above,
            apps: app.into_iter().collect(),
        })
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Clear),
        any_restricts().prop_map(Action::Restrict),
        (
            proptest::option::of(30_u32..400),
            proptest::option::of(any_restricts())
        )
            .prop_map(|(max_age_s, restricts)| Action::StepUp {
                requires: sample::requires(&[MFA, "urn:hardware"], max_age_s),
                restricts,
            }),
        Just(Action::Revoke),
    ]
}

fn any_decision() -> impl Strategy<Value = Decision> {
    (
        any_target(),
        any_action(),
        0_u64..6,
        proptest::sample::select(&["acme", "other"][..]),
        (moment(), moment(), proptest::option::of(moment())),
        name(&["s-1", "s-2"], SessionId::new),
    )
        .prop_map(|(target, action, generation, tenant, times, except)| {
            let (issued_at, expires_at, issued_before) = times;
            Decision {
                id: format!("{tenant}{target:?}{generation}").into(),
                tenant: TenantId::new(tenant),
                generation,
                action,
                target,
                issued_before,
                except_sessions: except.into_iter().collect(),
                issued_at,
                expires_at,
                rule: Some(RuleId::new("rule")),
            }
        })
}

fn any_proof() -> impl Strategy<Value = Proof> {
    (
        name(&["s-1", "s-2"], SessionId::new),
        proptest::sample::select(&[MFA, "urn:other"][..]),
        moment(),
    )
        .prop_map(|(session, class, authenticated_at)| Proof {
            session,
            ..proof(class, authenticated_at)
        })
}

fn any_request() -> impl Strategy<Value = Request> {
    let credential = (
        name(&["s-1", "s-2"], SessionId::new),
        proptest::option::of(moment()),
    )
        .prop_map(|(session, authenticated_at)| Credential {
            session,
            authenticated_at,
        });
    (
        any_target(),
        proptest::collection::vec(credential, 1..4),
        proptest::option::of(any_proof()),
        0_u8..5,
    )
        .prop_map(|(whole, credentials, proof, sensitivity)| Request {
            tenant: TenantId::new("acme"),
            user: whole.user,
            device: whole.device,
            workload: whole.workload,
            app: whole.app,
            sensitivity,
            credentials,
            proof,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn looking_up_says_what_a_scan_of_all_that_was_said_would(
        said in proptest::collection::vec(any_decision(), 0..40),
        request in any_request(),
    ) {
        let mut picture = Picture::default();
        for decision in &said {
            picture.admit(Arc::new(decision.clone()));
        }
        let judgement = judge(&picture, &request, &Classes::new(), NOW);
        let severity = match &judgement.verdict {
            Verdict::Pass => 0,
            Verdict::Restrict(_) => 1,
            Verdict::StepUp(_) => 2,
            Verdict::Revoke(_) => 3,
            Verdict::Conflict => 9,
        };
        let met: BTreeSet<u64> = judgement.met.iter().map(|met| met.generation).collect();
        prop_assert_eq!((severity, met), scan(&said, &request, NOW));
    }

    #[test]
    fn forgetting_what_has_lapsed_changes_no_answer(
        said in proptest::collection::vec(any_decision(), 0..40),
        request in any_request(),
    ) {
        let mut picture = Picture::default();
        for decision in &said {
            picture.admit(Arc::new(decision.clone()));
        }
        let request = Request { user: request.user.or(Some(UserId::new("alice"))), ..request };
        let full = judge(&picture, &request, &Classes::new(), NOW);
        let lapsed = picture.lapsed(NOW, usize::MAX);
        picture.forget(&lapsed, NOW);
        let swept = judge(&picture, &request, &Classes::new(), NOW);
        // Whose session it is may be forgotten with the last decision about it, and a conflict appear or go with that.
        if full.verdict != Verdict::Conflict && swept.verdict != Verdict::Conflict {
            prop_assert_eq!(swept, full);
        }
        for decision in &said {
            let is_told_again_in_vain = picture.admit(Arc::new(decision.clone())) == Admission::Older;
            prop_assert!(is_told_again_in_vain || !decision.is_live(NOW)
                || !said.iter().any(|other| other.target == decision.target
                    && other.tenant == decision.tenant
                    && other.generation > decision.generation));
        }
    }
}
