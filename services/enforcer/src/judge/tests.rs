//! Single rules by table.

mod model;

use super::*;
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
fn a_demand_on_an_app_is_made_of_everybody_there_and_of_nobody_elsewhere() {
    let payroll = Target {
        app: Some(AppId::new("payroll")),
        ..Target::default()
    };
    let demand = Decision {
        issued_before: Some(NOW + Span::seconds(5)),
        ..sample::step_up(payroll)
    };
    let second = Span::seconds(1);
    let at = |app: Option<&str>, request: Request| Request {
        app: app.map(AppId::new),
        ..request
    };
    let alice = ask(Some("alice"), Some("s-1"));
    let proven = Request {
        proof: Some(proof(MFA, NOW + second)),
        ..aged(alice.clone(), NOW + second)
    };
    let asked = "step_up urn:caerus:acr:mfa Some(300)";
    let payroll = Some("payroll");
    let cases = [
        (at(payroll, aged(alice.clone(), NOW - HOUR)), asked),
        (at(payroll, alice.clone()), asked),
        (at(payroll, ask(Some("bob"), None)), asked),
        (at(payroll, ask(None, None)), asked),
        (at(Some("wiki"), alice.clone()), "pass"),
        (at(None, alice.clone()), "pass"),
        (at(payroll, proven), "pass, 1 met"),
        (at(payroll, aged(alice, NOW + Span::seconds(5))), "pass"),
    ];
    for (request, expected) in cases {
        let verdict = says(
            std::slice::from_ref(&demand),
            &request,
            NOW + Span::seconds(6),
        );
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
