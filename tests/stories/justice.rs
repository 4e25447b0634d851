//! No one is locked out by others, and no one slips through.

use serde_json::json;

use crate::replayed::{Replayed, replay};
use crate::tale::{DAY, FAR, HOME, HOTEL, HOUR, MINUTE, SECOND, Tale};

fn played(tale: &Tale) -> Replayed {
    let replayed = replay(&[], &["--scores"], &tale.text());
    assert_eq!(replayed.code, 0, "{}", replayed.stderr);
    replayed
}

fn played_until(tale: &Tale, ms_more: i64) -> Replayed {
    // A tale's clock is in whole seconds.
    let until = (tale.now + ms_more) / SECOND;
    let replayed = replay(&[], &["--until", &rfc3339(until)], &tale.text());
    assert_eq!(replayed.code, 0, "{}", replayed.stderr);
    replayed
}

/// Civil time of a moment in seconds, by Howard Hinnant's days-to-civil.
fn rfc3339(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (
        doy - (153 * mp + 2) / 5 + 1,
        if mp < 10 { mp + 3 } else { mp - 9 },
    );
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[test]
fn wrong_passwords_and_refused_pushes_end_nobodys_session() {
    let mut tale = Tale::new().with_history("alice");
    tale.login("alice", "s-1", HOME, &["pwd", "push"]);
    for round in 0..60 {
        let desk = if round % 2 == 0 { FAR } else { HOTEL };
        let failure = ["bad_password", "mfa_denied", "mfa_timeout", "locked"][round % 4];
        tale.failed_login("alice", desk, failure);
        tale.access("alice", "s-1", HOME);
    }
    tale.wait(10 * MINUTE).access("alice", "s-1", HOME);
    assert_eq!(played(&tale).told(), Vec::<String>::new());
}

#[test]
fn a_stolen_session_is_revoked_whatever_its_credentials_age() {
    let mut tale = Tale::new().with_history("alice");
    tale.login("alice", "s-1", HOME, &["pwd", "push"]);
    tale.wait(MINUTE).access("alice", "s-1", HOME);
    let theft = tale.wait(MINUTE).access("alice", "s-1", FAR);
    let replayed = played(&tale);
    assert_eq!(replayed.enforced(), ["revoke alice/s-1"]);
    let revoke = replayed
        .decisions()
        .find(|d| d["mode"] == "enforce")
        .unwrap();
    assert_eq!(
        (&revoke["issued_before"], &revoke["cause"]),
        (&json!(null), &json!(theft))
    );
    assert_eq!(revoke["hypothesis"], "hijacked_session");
}

#[test]
fn signing_in_anew_after_a_revoke_works_at_once() {
    let mut tale = Tale::new().with_history("alice");
    tale.login("alice", "s-1", HOME, &["pwd", "push"]);
    tale.wait(MINUTE).access("alice", "s-1", FAR);
    let login = tale.login("alice", "s-2", HOME, &["pwd", "push"]);
    tale.access("alice", "s-2", HOME);
    let replayed = played(&tale);
    assert_eq!(replayed.enforced(), ["revoke alice/s-1"]);
    assert!(replayed.score(&login)["score"].as_i64().unwrap() < 20);
}

/// A login with a stolen password: new network, new device, no second factor.
fn suspicious(tale: &mut Tale) -> String {
    let thief = crate::tale::Desk {
        device: Some("thief-pc"),
        country: "DE",
        ..FAR
    };
    tale.login("alice", "s-thief", thief, &["pwd"])
}

#[test]
fn a_suspicious_login_is_asked_for_more_and_the_proof_clears_it_for_good() {
    let mut tale = Tale::new().with_history("alice");
    tale.login("alice", "s-1", HOTEL, &["pwd"]);
    tale.wait(MINUTE)
        .login("alice", "s-1", HOTEL, &["pwd", "mfa", "otp"]);
    for _ in 0..20 {
        tale.wait(MINUTE).access("alice", "s-1", HOTEL);
    }
    let replayed = played(&tale);
    assert_eq!(
        replayed.enforced(),
        ["step_up alice/s-1", "clear alice/s-1"]
    );
    let demand = replayed.decisions().next().unwrap();
    let classes = demand["requires"]["acr_values"].as_array().unwrap();
    assert!(classes.contains(&json!("urn:caerus:acr:mfa")), "{demand}");
}

#[test]
fn the_victims_own_proof_does_not_clear_the_thiefs_demand() {
    let mut tale = Tale::new().with_history("alice");
    suspicious(&mut tale);
    tale.wait(MINUTE)
        .login("alice", "s-1", HOME, &["pwd", "mfa", "otp"]);
    tale.wait(MINUTE).access("alice", "s-1", HOME);
    tale.wait(MINUTE).access(
        "alice",
        "s-thief",
        crate::tale::Desk {
            device: Some("thief-pc"),
            country: "DE",
            ..FAR
        },
    );
    assert_eq!(played(&tale).enforced(), ["step_up alice/s-thief"]);
}

#[test]
fn malware_keeps_a_device_out_although_its_owner_proves_who_they_are() {
    let mut tale = Tale::new().with_history("alice");
    tale.login("alice", "s-1", HOME, &["pwd", "push"]);
    let alert = json!({"alerts": [{"severity": "critical", "name": "ransomware"}]});
    tale.health("laptop-1", alert);
    tale.wait(MINUTE)
        .login("alice", "s-1", HOME, &["pwd", "mfa", "hwk"]);
    tale.wait(MINUTE)
        .login("alice", "s-2", HOME, &["pwd", "mfa", "hwk"]);
    tale.wait(HOUR).access("alice", "s-2", HOME);
    assert_eq!(played(&tale).enforced(), ["revoke laptop-1"]);
}

#[test]
fn a_decision_about_to_expire_on_standing_evidence_is_renewed_and_lapses_in_the_end() {
    let mut tale = Tale::new().with_history("alice");
    tale.login("alice", "s-1", HOME, &["pwd", "push"]);
    let alert = json!({"alerts": [{"severity": "critical", "name": "ransomware"}]});
    tale.health("laptop-1", alert);
    let day = played_until(&tale, DAY);
    assert_eq!(day.enforced(), ["revoke laptop-1", "revoke laptop-1"]);
    let generations: Vec<i64> = day
        .decisions()
        .filter(|d| d["mode"] == "enforce")
        .map(|d| d["generation"].as_i64().unwrap())
        .collect();
    assert!(
        generations.is_sorted() && generations.len() == 2,
        "{generations:?}"
    );
    let month = played_until(&tale, 30 * DAY).enforced();
    assert!(
        month.iter().all(|told| told == "revoke laptop-1"),
        "never milder by decay: {month:?}"
    );
    assert!(
        (5..20).contains(&month.len()),
        "it lapses once the alert has faded: {month:?}"
    );
}

#[test]
fn a_demand_nobody_meets_ends_when_its_evidence_has_faded_and_not_before() {
    let mut tale = Tale::new().with_history("alice");
    for _ in 0..5 {
        tale.failed_login("alice", HOME, "mfa_denied");
    }
    tale.login("alice", "s-1", HOME, &["pwd", "push"]);
    let replayed = played_until(&tale, 2 * DAY);
    let told = replayed.enforced();
    assert!(
        told.len() <= 2,
        "one demand, and one clear at most: {told:?}"
    );
}

#[test]
fn a_shadow_policy_changes_nothing_that_is_enforced() {
    let dir = tempfile::tempdir().unwrap();
    let strict = r#"
        @id("stolen") @respond("revoke") @scope("session")
        forbid (principal, action == Action::"continue", resource)
        when { context.scores.stolen_credential >= 80 || context.scores.hijacked_session >= 80 };
    "#;
    let shadow = r#"
        @id("everything") @respond("revoke") @scope("user") @mode("shadow")
        forbid (principal, action == Action::"continue", resource)
        when { context.score >= 1 };
    "#;
    let mut tale = Tale::new().with_history("alice");
    tale.login("alice", "s-1", HOME, &["pwd", "push"]);
    tale.wait(MINUTE).access("alice", "s-1", FAR);
    tale.login("alice", "s-2", HOME, &["pwd", "push"]);
    let with = |files: &[(&str, &str)]| {
        let path = dir.path().join(files.len().to_string());
        std::fs::create_dir(&path).unwrap();
        for (name, text) in files {
            std::fs::write(path.join(name), text).unwrap();
        }
        replay(&[], &["--policies", path.to_str().unwrap()], &tale.text())
    };
    let enforced = |replayed: &Replayed| -> Vec<String> {
        let own = replayed.decisions().filter(|d| d["mode"] == "enforce");
        own.map(|decision| {
            let mut decision = decision.clone();
            decision["policy"]["revision"] = json!(null);
            decision.to_string()
        })
        .collect()
    };
    let plain = with(&[("a.cedar", strict)]);
    let both = with(&[("a.cedar", strict), ("b.cedar", shadow)]);
    assert_eq!(enforced(&plain), enforced(&both));
    assert!(!enforced(&plain).is_empty() && both.told().len() > plain.told().len());
}

#[test]
fn a_users_revoke_lets_those_through_who_sign_in_anew() {
    let dir = tempfile::tempdir().unwrap();
    let rule = r#"
        @id("disabled-session") @respond("revoke") @scope("user")
        forbid (principal, action == Action::"continue", resource)
        when { context.scores.hijacked_session >= 80 };
    "#;
    std::fs::write(dir.path().join("a.cedar"), rule).unwrap();
    let mut tale = Tale::new().with_history("alice");
    tale.login("alice", "s-1", HOME, &["pwd", "push"]);
    tale.wait(MINUTE).access("alice", "s-1", FAR);
    tale.wait(MINUTE)
        .login("alice", "s-2", HOME, &["pwd", "push"]);
    let replayed = replay(
        &[],
        &["--policies", dir.path().to_str().unwrap()],
        &tale.text(),
    );
    let decisions: Vec<_> = replayed.decisions().collect();
    assert_eq!(replayed.enforced(), ["revoke alice", "revoke alice"]);
    assert!(decisions[0]["issued_before"].is_string());
    assert_eq!(decisions[1]["except_sessions"], json!(["s-2"]));
    assert_eq!(decisions[0]["issued_before"], decisions[1]["issued_before"]);
}

#[test]
fn a_repeated_event_changes_nothing() {
    let mut tale = Tale::new().with_history("alice");
    tale.login("alice", "s-1", HOME, &["pwd", "push"]);
    tale.wait(MINUTE).access("alice", "s-1", FAR);
    let once = played(&tale);
    let twice: String = tale
        .text()
        .lines()
        .map(|line| format!("{line}\n{line}\n"))
        .collect();
    let twice = replay(&[], &["--scores"], &twice);
    assert_eq!(once.told(), twice.told());
    let ignored = twice
        .lines
        .iter()
        .filter(|line| line["ignored"] == "repeat")
        .count();
    assert_eq!(ignored, tale.lines().len());
}

#[test]
fn what_comes_late_is_scored_and_neither_learned_nor_decided_upon() {
    let mut tale = Tale::new().with_history("alice");
    tale.login("alice", "s-1", HOME, &["pwd", "push"]);
    let now = tale.now;
    tale.now -= 2 * DAY;
    let late = tale.access("alice", "s-1", FAR);
    tale.now = now;
    let after = tale.login("alice", "s-2", FAR, &["pwd"]);
    let replayed = played(&tale);
    assert!(replayed.score(&late)["score"].as_i64().unwrap() >= 80);
    assert_eq!(
        replayed
            .enforced()
            .iter()
            .filter(|t| t.contains("s-1"))
            .count(),
        0
    );
    let novelty = replayed.score(&after)["contributions"].to_string();
    assert!(
        novelty.contains("NET_CHAIN"),
        "the late place was not learned: {novelty}"
    );
}

#[test]
fn an_analysts_word_lifts_and_sets_what_it_names() {
    let mut tale = Tale::new().with_history("alice");
    tale.login("alice", "s-1", HOME, &["pwd", "push"]);
    tale.wait(MINUTE).access("alice", "s-1", FAR);
    tale.wait(MINUTE).tell(json!({
        "type": "feedback", "verdict": "safe", "user": "alice", "session": "s-1", "by": "eve"
    }));
    tale.wait(MINUTE).access("alice", "s-1", FAR);
    tale.wait(MINUTE).tell(json!({
        "type": "feedback", "verdict": "compromised", "user": "alice", "session": "s-1", "by": "eve"
    }));
    assert_eq!(
        played(&tale).enforced(),
        ["revoke alice/s-1", "clear alice/s-1", "revoke alice/s-1"]
    );
}

#[test]
fn a_disabled_account_is_kept_out_until_it_is_enabled() {
    let mut tale = Tale::new().with_history("alice");
    tale.login("alice", "s-1", HOME, &["pwd", "push"]);
    tale.wait(MINUTE)
        .session_event("alice", "s-1", "account_disabled");
    tale.wait(HOUR)
        .session_event("alice", "s-1", "account_enabled");
    assert_eq!(played(&tale).enforced(), ["revoke alice", "clear alice"]);
}

/// A theft of `session` by somebody in a network of their own.
fn stolen(tale: &mut Tale, session: &str, ip: &'static str) -> String {
    tale.wait(MINUTE)
        .login("alice", session, HOME, &["pwd", "push"]);
    tale.wait(MINUTE)
        .access("alice", session, crate::tale::Desk { ip, ..FAR })
}

#[test]
fn a_user_with_many_revoked_sessions_is_judged_like_any_other() {
    let mut tale = Tale::new().with_history("alice");
    let thefts: Vec<String> = (0..40)
        .map(|n| stolen(&mut tale, &format!("b-{n:02}"), FAR.ip))
        .collect();
    let replayed = played(&tale);
    for theft in &thefts {
        let score = replayed.score(theft)["score"].as_i64();
        assert!(score >= Some(80), "{theft}: {}", replayed.score(theft));
    }
    assert_eq!(replayed.enforced().len(), thefts.len());
}

#[test]
fn the_place_of_a_thief_is_not_learned() {
    let mut tale = Tale::new().with_history("alice");
    stolen(&mut tale, "s-1", FAR.ip);
    let again = stolen(&mut tale, "s-2", FAR.ip);
    let replayed = played(&tale);
    let line = replayed.score(&again);
    assert!(
        line["contributions"].to_string().contains("NET_CHAIN"),
        "{line}"
    );
    assert_eq!(
        replayed.enforced(),
        ["revoke alice/s-1", "revoke alice/s-2"]
    );
}
