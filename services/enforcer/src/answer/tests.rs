//! Each ruling's status and challenges, to the letter.

use std::collections::BTreeSet;

use super::*;
use crate::sample::{self, MFA};

fn lines(ruling: &Ruling, microsoft: Option<&MicrosoftRules>) -> (u16, Vec<String>) {
    let response = respond(ruling, microsoft);
    let challenges = response
        .headers()
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect();
    (response.status().as_u16(), challenges)
}

fn demand(classes: &[&str], max_age_s: Option<u32>) -> Ruling {
    Ruling::StepUp(Demand {
        acr_values: classes.iter().map(|class| AcrValue::new(*class)).collect(),
        max_age_s,
        decision: Some(Arc::new(sample::step_up(sample::user("alice")))),
    })
}

#[test]
fn each_ruling_has_its_status_and_challenge() {
    let decision = || Arc::new(sample::revoke(sample::user("alice")));
    let cases = [
        (Ruling::Allow, 204, vec![]),
        (
            Ruling::Revoked(decision()),
            401,
            vec!["Bearer error=\"invalid_token\""],
        ),
        (
            demand(&[MFA, "urn:hw"], Some(300)),
            401,
            vec![
                "Bearer error=\"insufficient_user_authentication\", acr_values=\"urn:caerus:acr:mfa urn:hw\", max_age=\"300\"",
            ],
        ),
        (
            demand(&[], None),
            401,
            vec!["Bearer error=\"insufficient_user_authentication\""],
        ),
        (Ruling::Restricted(decision()), 403, vec![]),
        (Ruling::Stale, 403, vec![]),
        (Ruling::Anonymous, 401, vec!["Bearer realm=\"caerus\""]),
        (
            Ruling::BadIdentity(BadIdentity::Conflict),
            401,
            vec!["Bearer error=\"invalid_token\""],
        ),
        (Ruling::BadProxy(BadProxy::Peer), 403, vec![]),
    ];
    for (ruling, status, challenges) in cases {
        let expected = (
            status,
            challenges.into_iter().map(ToOwned::to_owned).collect(),
        );
        assert_eq!(lines(&ruling, None), expected, "{ruling:?}");
    }
}

#[tokio::test]
async fn an_answer_has_no_body_and_names_its_reason_and_decision() {
    let response = respond(&demand(&[MFA], None), None);
    assert_eq!(response.headers()[REASON], "step_up");
    let id = sample::step_up(sample::user("alice")).id;
    assert_eq!(response.headers()[DECISION], &*id);
    let body = axum::body::to_bytes(response.into_body(), 1).await.unwrap();
    assert!(body.is_empty());
    assert!(respond(&Ruling::Allow, None).headers().is_empty());
}

#[test]
fn what_could_leave_the_quotation_never_enters_it() {
    let hostile = [
        "a\"b",
        "a\\b",
        "a b",
        "a\r\nSet-Cookie: x",
        "ä",
        "",
        "\u{1f}",
        "urn:fine",
    ];
    let (_, challenges) = lines(&demand(&hostile, Some(1)), None);
    assert_eq!(
        challenges,
        [
            "Bearer error=\"insufficient_user_authentication\", acr_values=\"urn:fine\", max_age=\"1\""
        ]
    );
    let mut decision = sample::revoke(sample::user("alice"));
    decision.id = "d-1\r\nx: y".into();
    let response = respond(&Ruling::Revoked(Arc::new(decision)), None);
    assert_eq!(response.headers().get(DECISION), None);
}

#[test]
fn a_client_that_understands_claims_challenges_gets_one_first() {
    let rules = MicrosoftRules {
        authorization_uri: Some("https://login.example/authorize".to_owned()),
        contexts: BTreeMap::from([(AcrValue::new(MFA), "c1".to_owned())]),
    };
    let decoded = |line: &str| {
        let (_, claims) = line.split_once("claims=\"").unwrap();
        let claims = STANDARD.decode(claims.strip_suffix('"').unwrap()).unwrap();
        String::from_utf8(claims).unwrap()
    };
    let (_, challenges) = lines(&demand(&["urn:a", MFA], Some(9)), Some(&rules));
    assert_eq!(challenges.len(), 2);
    assert!(challenges[0].starts_with(
        "Bearer realm=\"\", authorization_uri=\"https://login.example/authorize\", error=\"insufficient_claims\", claims=\""
    ));
    assert_eq!(
        decoded(&challenges[0]),
        r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#
    );
    assert!(challenges[1].starts_with("Bearer error=\"insufficient_user_authentication\""));

    let revoke = Decision {
        issued_before: Some(Timestamp(1_795_255_200_001)),
        except_sessions: BTreeSet::new(),
        ..sample::revoke(sample::user("alice"))
    };
    let bare = MicrosoftRules::default();
    let (_, challenges) = lines(&Ruling::Revoked(Arc::new(revoke)), Some(&bare));
    assert!(challenges[0].starts_with("Bearer realm=\"\", error=\"insufficient_claims\""));
    assert_eq!(
        decoded(&challenges[0]),
        r#"{"access_token":{"nbf":{"essential":true,"value":"1795255201"}}}"#
    );
    assert_eq!(challenges[1], "Bearer error=\"invalid_token\"");

    for ruling in [Ruling::Anonymous, Ruling::Stale, demand(&[], Some(1))] {
        let (_, challenges) = lines(&ruling, Some(&bare));
        assert!(
            challenges.iter().all(|line| !line.contains("claims=")),
            "{ruling:?}"
        );
    }
}
