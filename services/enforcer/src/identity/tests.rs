//! How identities are put together, and when they do not fit.

use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::sample::NOW;
use crate::token::ClaimNames;

fn rules() -> IdentityRules {
    IdentityRules {
        headers: HeaderNames {
            user: Some(HeaderName::from_static("x-user")),
            session: Some(HeaderName::from_static("x-session")),
            device: Some(HeaderName::from_static("x-device")),
            workload: Some(HeaderName::from_static("x-workload")),
            tenant: Some(HeaderName::from_static("x-tenant")),
        },
        cookie: Some(CookieRule {
            name: "sid".to_owned(),
            form: SessionForm::Plain,
        }),
        token: Some((
            TokenRules {
                algorithms: vec![Algorithm::ES256],
                issuers: BTreeSet::new(),
                audiences: BTreeSet::new(),
                leeway: caerus_engine::time::Span::ZERO,
                claims: ClaimNames {
                    tenant: "tid".to_owned(),
                    ..ClaimNames::default()
                },
            },
            Trust::Unverified,
        )),
    }
}

fn bearer(claims: &Value) -> String {
    let mut claims = claims.clone();
    claims["exp"] = json!(NOW.0 / 1_000 + 60);
    let key = EncodingKey::from_secret(b"x");
    let token = encode(&Header::default(), &claims, &key).unwrap();
    format!("Bearer {token}")
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

async fn identify(lines: &[(&'static str, &str)]) -> Result<Identity, IdentityError> {
    rules().identify(&headers(lines), NOW).await
}

fn sessions(identity: &Identity) -> Vec<&str> {
    identity.sessions.iter().map(SessionId::as_str).collect()
}

#[tokio::test]
async fn headers_cookie_and_token_make_one_identity() {
    let token = bearer(&json!({"sub": "alice", "sid": "s-1", "device_id": "laptop"}));
    let identity = identify(&[
        ("authorization", &token),
        ("x-user", "alice"),
        ("x-workload", "spiffe://acme/web"),
        ("x-tenant", "acme"),
        ("cookie", "theme=dark; sid=s-2; other=1"),
        ("cookie", "sid=\"s-1\""),
        ("x-session", "s-3"),
    ])
    .await
    .unwrap();
    assert_eq!(identity.user, Some(UserId::new("alice")));
    assert_eq!(identity.device, Some(DeviceId::new("laptop")));
    assert_eq!(
        identity.workload,
        Some(WorkloadId::new("spiffe://acme/web"))
    );
    assert_eq!(identity.tenant, Some(TenantId::new("acme")));
    assert_eq!(
        sessions(&identity),
        ["s-2", "s-3"],
        "the token's own is not repeated"
    );
    assert!(!identity.is_anonymous());
}

#[tokio::test]
async fn identities_that_name_different_people_disagree() {
    let token = bearer(&json!({"sub": "alice", "device_id": "laptop", "tid": "acme"}));
    for (header, value, member) in [
        ("x-user", "bob", "user"),
        ("x-device", "phone", "device"),
        ("x-tenant", "other", "tenant"),
    ] {
        let refused = identify(&[("authorization", &token), (header, value)]).await;
        assert_eq!(refused.unwrap_err(), IdentityError::Disagree { member });
    }
}

#[tokio::test]
async fn nothing_an_empty_header_or_a_device_alone_is_anonymous() {
    for lines in [
        &[][..],
        &[
            ("x-user", " "),
            ("cookie", "sid="),
            ("cookie", "sidx=1; =; sid"),
        ],
        &[("x-device", "laptop")],
        &[("authorization", "Basic YTpi")],
        &[("authorization", "Bearer opaque")],
        &[("authorization", "Bearer")],
    ] {
        let identity = identify(lines).await.unwrap();
        assert!(identity.is_anonymous(), "{lines:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_one_identity_is_refused_by_name() {
    let expired = {
        let key = EncodingKey::from_secret(b"x");
        let token = encode(&Header::default(), &json!({"exp": 1, "sub": "a"}), &key).unwrap();
        format!("bearer {token}")
    };
    let long = "a".repeat(limit::NAME_BYTES_MAX + 1);
    let long_cookie = format!("sid={long}");
    let cases = [
        (
            vec![("x-user", "alice"), ("x-user", "alice")],
            "header `x-user` was given more than once",
        ),
        (
            vec![("authorization", "Bearer a"), ("authorization", "Bearer b")],
            "header `authorization` was given more than once",
        ),
        (
            vec![("x-user", long.as_str())],
            "header `x-user` is longer than 1024 bytes",
        ),
        (
            vec![("cookie", "sid=1; sid=2; sid=3; sid=4; sid=5")],
            "the session cookie has more than 4 different values",
        ),
        (
            vec![("cookie", long_cookie.as_str())],
            "header `cookie` is too long a session",
        ),
        (
            vec![("authorization", expired.as_str())],
            "the token has expired",
        ),
    ];
    for (lines, expected) in cases {
        let refused = identify(&lines).await.unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
    let mut broken = HeaderMap::new();
    broken.insert("x-user", HeaderValue::from_bytes(b"\xff").unwrap());
    let refused = rules().identify(&broken, NOW).await.unwrap_err();
    assert_eq!(refused.to_string(), "header `x-user` is not UTF-8 text");
}

#[tokio::test]
async fn a_session_may_be_the_hash_of_the_cookie() {
    for (form, expected) in [
        (SessionForm::Plain, "abc"),
        (
            SessionForm::Sha256Hex,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            SessionForm::Sha256Base64url,
            "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0",
        ),
    ] {
        let rules = IdentityRules {
            cookie: Some(CookieRule {
                name: "sid".to_owned(),
                form,
            }),
            ..IdentityRules::default()
        };
        let identity = rules
            .identify(&headers(&[("cookie", "sid=abc")]), NOW)
            .await
            .unwrap();
        assert_eq!(sessions(&identity), [expected]);
    }
}

#[tokio::test]
async fn what_is_not_configured_is_not_read() {
    let token = bearer(&json!({"sub": "alice"}));
    let lines = headers(&[
        ("authorization", &token),
        ("x-user", "alice"),
        ("cookie", "sid=1"),
    ]);
    let identity = IdentityRules::default().identify(&lines, NOW).await;
    assert_eq!(identity.unwrap(), Identity::default());
}
