//! An organisation's logins under attack: what rules about apps ask of everybody, and of whom they ask nothing.

use serde_json::{Value, json};

use crate::replayed::{Replayed, replay};
use crate::tale::{DAY, Desk, FAR, HOME, HOTEL, MINUTE, Tale};

/// Asks for a second factor at two apps, and closes what is sensitive of a third.
const RULES: &str = r#"
@id("payroll-under-attack") @respond("step_up") @acr_values("urn:caerus:acr:mfa") @scope("app") @apps("payroll erp")
forbid (principal is Tenant, action == Action::"continue", resource is Tenant)
when { context.score >= 40 };

@id("wiki-under-attack") @respond("restrict") @sensitivity_above("1") @scope("app") @apps("wiki") @mode("shadow")
forbid (principal is Tenant, action == Action::"continue", resource is Tenant)
when { context.surge.users >= 10 && context.codes.contains("TENANT_SPRAY") };

@id("end-stolen-sessions") @respond("revoke") @scope("session")
forbid (principal is User, action == Action::"continue", resource is Session)
when { context.score >= 80 };
"#;

/// Replays under [`RULES`].
fn played(tale: &Tale) -> Replayed {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.cedar"), RULES).unwrap();
    let policies = dir.path().to_str().unwrap();
    let replayed = replay(&[], &["--scores", "--policies", policies], &tale.text());
    assert_eq!(replayed.code, 0, "{}", replayed.stderr);
    replayed
}

/// Every user of the organisation is tried once, from addresses that change: no shard sees much of it.
fn spray(tale: &mut Tale, users: usize) {
    for number in 0..users {
        let desk = if number % 2 == 0 { FAR } else { HOTEL };
        tale.failed_login(&format!("person-{number}"), desk, "bad_password");
    }
}

fn apps(replayed: &Replayed) -> Vec<&Value> {
    let decisions = replayed.decisions();
    decisions
        .filter(|decision| decision["target"]["app"].is_string())
        .collect()
}

fn attacked() -> Tale {
    let mut tale = Tale::new().with_history("alice");
    tale.login("alice", "s-1", HOME, &["pwd"]);
    tale.access("alice", "s-1", HOME);
    spray(&mut tale, 600);
    tale.wait(MINUTE).access("alice", "s-1", HOME);
    tale
}

#[test]
fn a_spray_asks_for_more_at_the_apps_named_and_ends_nobodys_session() {
    let replayed = played(&attacked());
    let enforced = replayed.enforced();
    assert_eq!(enforced, ["step_up erp", "step_up payroll"]);
    assert!(replayed.told().contains(&"restrict shadow wiki".to_owned()));
    for decision in apps(&replayed) {
        let members: Vec<&String> = decision["target"].as_object().unwrap().keys().collect();
        assert_eq!(members, ["app"], "{decision}");
        assert_eq!(decision["hypothesis"], "stolen_credential");
        assert!(decision["issued_before"].is_i64() || decision["issued_before"].is_string());
        let lines = decision["contributions"].as_array().unwrap();
        let codes: Vec<&str> = lines.iter().filter_map(|l| l["code"].as_str()).collect();
        assert_eq!(codes, ["PRIOR", "TENANT_SPRAY"]);
        let points: f64 = lines.iter().filter_map(|l| l["points"].as_f64()).sum();
        let score = decision["score"].as_f64().unwrap();
        assert!((points - score).abs() <= 0.5, "{points} is not {score}");
        assert!(
            lines[1]["text"]
                .as_str()
                .unwrap()
                .starts_with("a surge over the organisation"),
            "{decision}"
        );
    }
}

#[test]
fn it_is_lifted_when_the_attack_is_over() {
    let mut tale = attacked();
    tale.wait(DAY / 4).access("alice", "s-1", HOME);
    let replayed = played(&tale);
    let mut lifted = replayed.enforced();
    assert_eq!(lifted.len(), 4, "{lifted:?}");
    lifted.sort();
    let expected = [
        "clear erp",
        "clear payroll",
        "step_up erp",
        "step_up payroll",
    ];
    assert_eq!(lifted, expected);
    let last = replayed.decisions().last().unwrap();
    assert_eq!(last["action"], json!("clear"));
}

#[test]
fn one_person_who_mistypes_asks_nothing_of_anybody() {
    let mut tale = Tale::new().with_history("alice");
    for _ in 0..60 {
        let desk = Desk {
            device: None,
            ..HOME
        };
        tale.failed_login("alice", desk, "bad_password");
    }
    tale.wait(MINUTE).access("alice", "s-1", HOME);
    assert_eq!(played(&tale).told(), Vec::<String>::new());
}

#[test]
fn equal_attacks_are_answered_alike() {
    let mut tale = attacked();
    tale.wait(DAY / 4).access("alice", "s-1", HOME);
    assert_eq!(played(&tale).lines, played(&tale).lines);
}
