//! What is a token, whose signature counts, and how claims are read.

use std::sync::Arc;
use std::time::Duration;

use caerus_runtime::health::Health;
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::TaskGroup;
use jsonwebtoken::{EncodingKey, Header as JwtHeader, encode};
use serde_json::{Value, json};

use super::*;
use crate::keys::{KeeperParts, KeyKeeper, KeySource};
use crate::net::Dialer;
use crate::sample::{self, ManualClock, NOW};

fn rules() -> TokenRules {
    TokenRules {
        algorithms: vec![
            Algorithm::RS256,
            Algorithm::PS256,
            Algorithm::ES256,
            Algorithm::EdDSA,
        ],
        issuers: BTreeSet::from(["https://idp.example".to_owned()]),
        audiences: BTreeSet::from(["payroll".to_owned()]),
        leeway: Span::seconds(60),
        claims: ClaimNames::default(),
    }
}

/// Claims that pass, changed by `changes`; `null` takes one out.
fn claims(changes: &Value) -> Value {
    let now = NOW.0 / 1_000;
    let mut claims = json!({
        "iss": "https://idp.example", "aud": ["other", "payroll"], "exp": now + 300, "iat": now - 10,
        "sub": "alice", "sid": "s-1", "acr": "urn:caerus:acr:mfa", "amr": ["pwd", "otp"],
        "auth_time": now - 20, "xms_cc": ["CP1"],
    });
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn signed(algorithm: Algorithm, id: Option<&str>, changes: &Value) -> String {
    let key = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(include_bytes!("../sample/ec.pem")),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(include_bytes!("../sample/ed.pem")),
        Algorithm::HS256 => Ok(EncodingKey::from_secret(b"secret")),
        _ => EncodingKey::from_rsa_pem(include_bytes!("../sample/rsa.pem")),
    };
    let header = JwtHeader {
        kid: id.map(ToOwned::to_owned),
        ..JwtHeader::new(algorithm)
    };
    encode(&header, &claims(changes), &key.unwrap()).unwrap()
}

async fn trusted(directory: &tempfile::TempDir) -> (Trust, TaskGroup) {
    let path = directory.path().join("jwks.json");
    std::fs::write(&path, sample::KEY_SET).unwrap();
    let health = Health::new();
    let (keeper, keys) = KeyKeeper::new(KeeperParts {
        source: KeySource::File(path),
        refresh_every: Duration::from_secs(3_600),
        dialer: Dialer::new(None),
        condition: health.condition("keys"),
        clock: Arc::new(ManualClock::default()),
    });
    let mut group = TaskGroup::new(&Shutdown::new());
    group.spawn("keys", async move {
        keeper.run(Shutdown::new()).await;
        Ok::<(), std::io::Error>(())
    });
    health.ready().await;
    (Trust::Keys(keys), group)
}

#[tokio::test]
async fn each_allowed_algorithm_verifies_by_its_own_key() {
    let directory = tempfile::tempdir().unwrap();
    let (trust, _group) = trusted(&directory).await;
    for (algorithm, id) in [
        (Algorithm::RS256, Some("rsa-1")),
        (Algorithm::PS256, Some("rsa-1")),
        (Algorithm::PS256, Some("rsa-ps")),
        (Algorithm::ES256, Some("ec-1")),
        (Algorithm::EdDSA, Some("ed-1")),
        (Algorithm::ES256, None),
        (Algorithm::RS256, None),
    ] {
        let text = signed(algorithm, id, &json!({}));
        let token = rules().read(&text, &trust, NOW).await.unwrap().unwrap();
        assert!(token.is_verified, "{algorithm:?} {id:?}");
        assert_eq!(token.user, Some(UserId::new("alice")));
        assert_eq!(token.session, Some(SessionId::new("s-1")));
        assert_eq!(
            token.authenticated_at,
            Some(NOW - Span::seconds(20)),
            "{algorithm:?}"
        );
        assert_eq!(token.issued_at, Some(NOW - Span::seconds(10)));
        assert_eq!(token.classes.len(), 1);
        assert_eq!(token.amr.len(), 2);
        assert!(token.understands_claims_challenge);
    }
}

#[tokio::test]
async fn a_token_that_does_not_verify_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let (trust, _group) = trusted(&directory).await;
    let good = signed(Algorithm::ES256, Some("ec-1"), &json!({}));
    let (message, _) = good.rsplit_once('.').unwrap();
    let other = signed(Algorithm::ES256, Some("ec-1"), &json!({"sub": "bob"}));
    let (_, others_signature) = other.rsplit_once('.').unwrap();
    let crooked = |header: Value| {
        let (_, claims) = message.split_once('.').unwrap();
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        format!("{header}.{claims}.{others_signature}")
    };
    let cases = [
        (
            format!("{message}.{others_signature}"),
            TokenError::Signature,
        ),
        (format!("{message}."), TokenError::Signature),
        (
            signed(Algorithm::HS256, None, &json!({})),
            TokenError::Algorithm,
        ),
        (crooked(json!({"alg": "none"})), TokenError::Algorithm),
        (
            crooked(json!({"alg": "ES256", "kid": "ec-1", "crit": ["b64"]})),
            TokenError::Critical,
        ),
        (
            signed(Algorithm::ES256, Some("rsa-1"), &json!({})),
            TokenError::UnknownKey,
        ),
        (
            signed(Algorithm::ES256, Some("nobody"), &json!({})),
            TokenError::UnknownKey,
        ),
    ];
    for (text, expected) in cases {
        let refused = rules().read(&text, &trust, NOW).await.unwrap();
        assert_eq!(refused.unwrap_err(), expected, "{text}");
    }
}

#[tokio::test]
async fn claims_out_of_time_place_or_form_are_refused_with_the_reason() {
    let now = NOW.0 / 1_000;
    let claim = |name: &str, expected| TokenError::Claim {
        name: name.to_owned(),
        expected,
    };
    let seconds = "a number of seconds since 1970";
    let cases = [
        (json!({"exp": null}), Some(TokenError::NoExpiry)),
        (json!({"exp": now - 59}), None),
        (json!({"exp": now - 60}), Some(TokenError::Expired)),
        (json!({"nbf": now + 60}), None),
        (json!({"nbf": now + 61}), Some(TokenError::NotYet)),
        (json!({"iss": "https://evil"}), Some(TokenError::Issuer)),
        (json!({"iss": null}), Some(TokenError::Issuer)),
        (json!({"aud": "payroll"}), None),
        (json!({"aud": ["a", "b"]}), Some(TokenError::Audience)),
        (json!({"aud": null}), Some(TokenError::Audience)),
        (json!({"exp": "soon"}), Some(claim("exp", seconds))),
        (json!({"exp": 1e300}), Some(claim("exp", seconds))),
        (json!({"auth_time": -1}), Some(claim("auth_time", seconds))),
        (json!({"sub": 7}), Some(claim("sub", "a text"))),
        (
            json!({"sub": "a".repeat(1_025)}),
            Some(claim("sub", "at most 1024 bytes long")),
        ),
        (
            json!({"amr": vec!["x"; 65]}),
            Some(claim("amr", "at most 64 texts")),
        ),
        (
            json!({"amr": {}}),
            Some(claim("amr", "a text or a list of texts")),
        ),
    ];
    for (changes, expected) in cases {
        let text = signed(Algorithm::ES256, Some("ec-1"), &changes);
        let read = rules().read(&text, &Trust::Unverified, NOW).await.unwrap();
        assert_eq!(read.err(), expected, "{changes}");
    }
}

#[tokio::test]
async fn an_unverified_token_is_read_and_says_that_it_is_not_verified() {
    let text = signed(
        Algorithm::HS256,
        None,
        &json!({"auth_time": 1_000.9, "acrs": ["c1"]}),
    );
    let token = rules().read(&text, &Trust::Unverified, NOW).await;
    let token = token.unwrap().unwrap();
    assert!(!token.is_verified);
    assert_eq!(token.authenticated_at, Some(Timestamp(1_000_900)));
    assert!(token.classes.contains(&AcrValue::new("c1")));
}

#[tokio::test]
async fn what_is_no_jwt_is_no_identity_rather_than_a_bad_one() {
    let header = URL_SAFE_NO_PAD.encode("{}");
    for text in [
        "opaque",
        "a.b",
        "a.b.c",
        "",
        "..",
        &format!("{header}.{header}.x"),
        &"a".repeat(limit::TOKEN_BYTES_MAX + 1),
    ] {
        let read = rules().read(text, &Trust::Unverified, NOW).await;
        assert_eq!(read, None, "{text:.20}");
    }
}
