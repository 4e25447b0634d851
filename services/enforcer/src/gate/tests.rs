//! Requests and what is ruled on them, freshness included.

use std::collections::BTreeSet;

use caerus_engine::id::{AcrValue, SessionId, UserId};
use caerus_runtime::metric::Metrics;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, HeaderValue};

use super::*;
use crate::answer::REASON;
use crate::holding::{Writer, hold};
use crate::identity::{CookieRule, HeaderNames, SessionForm};
use crate::picture::Decision;
use crate::route::tests::route;
use crate::sample::{self, MFA, ManualClock, NOW};

const LOOPBACK: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

struct House {
    gate: Gate,
    writer: Writer,
    clock: ManualClock,
    metrics: Metrics,
}

/// Routes `/` (as `sample`), `/open` (anonymous allowed), `/soft` and `/auth` (stale: allow, step-up), `/iat`, `/top`.
fn house() -> House {
    let (writer, picture) = hold();
    let clock = ManualClock::default();
    let metrics = Metrics::new();
    let routes = Routes::new(
        vec![
            Route {
                on_anonymous: OnAnonymous::Allow,
                ..route(None, "/open")
            },
            Route {
                on_stale: OnStale::Allow,
                ..route(None, "/soft")
            },
            Route {
                on_stale: OnStale::StepUp,
                stale_requires: sample::requires(&[MFA], Some(300)),
                ..route(None, "/auth")
            },
            Route {
                is_iat_auth_time: true,
                ..route(None, "/iat")
            },
            Route {
                sensitivity: 4,
                ..route(None, "/top")
            },
        ],
        route(None, "/"),
    );
    let rules = Rules {
        proxy: ProxyKind::Nginx,
        trusted: Peers::parse(["127.0.0.0/8", "::1"]).unwrap(),
        identity: IdentityRules {
            headers: HeaderNames {
                user: Some(HeaderName::from_static("x-caerus-user")),
                ..HeaderNames::default()
            },
            cookie: Some(CookieRule {
                name: "sid".to_owned(),
                form: SessionForm::Plain,
            }),
            token: None,
        },
        routes,
        classes: Classes::new(),
        microsoft: MicrosoftRules::default(),
    };
    let gate = Gate::new(GateParts {
        rules,
        picture,
        clock: Arc::new(clock.clone()),
        reporter: None,
        metrics: metrics.enforcer.clone(),
    });
    House {
        gate,
        writer,
        clock,
        metrics,
    }
}

impl House {
    fn with(decisions: &[Decision]) -> Self {
        let mut house = house();
        for decision in decisions {
            house.writer.admit(Arc::new(decision.clone()));
        }
        house.writer.note_age(Span::ZERO, 0);
        house
    }

    async fn ask(&self, path: &str, lines: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        headers.append("x-original-uri", HeaderValue::from_str(path).unwrap());
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        told(&self.gate.check(LOOPBACK, &headers).await)
    }

    fn ask_by_token(&self, path: &str, token: Token) -> String {
        let forwarded = Forwarded {
            path: Some(forward::Path::parse(path).unwrap()),
            ..Forwarded::default()
        };
        let route = self.gate.rules.routes.find(&forwarded).unwrap();
        let ruling = self.gate.rule(&Asked {
            route,
            identity: Identity {
                user: token.user.clone(),
                token: Some(token),
                ..Identity::default()
            },
            app: None,
            sensitivity: route.sensitivity,
            address: None,
        });
        told(&respond(&ruling, None))
    }
}

/// Status and reason.
fn told(response: &Response) -> String {
    let reason = response.headers().get(REASON);
    format!(
        "{} {}",
        response.status().as_u16(),
        reason.map_or("", |reason| reason.to_str().unwrap())
    )
}

fn token(authenticated_at: Option<Timestamp>) -> Token {
    Token {
        is_verified: true,
        user: Some(UserId::new("alice")),
        session: Some(SessionId::new("s-1")),
        device: None,
        workload: None,
        tenant: None,
        classes: BTreeSet::from([AcrValue::new(MFA)]),
        amr: BTreeSet::new(),
        authenticated_at,
        issued_at: Some(NOW),
        understands_claims_challenge: false,
    }
}

#[tokio::test]
async fn only_trusted_peers_with_their_own_headers_are_answered() {
    let house = House::with(&[]);
    let headers = |name: &'static str| {
        let mut headers = HeaderMap::new();
        headers.append(name, HeaderValue::from_static("/"));
        headers.append("cookie", HeaderValue::from_static("sid=s-1"));
        headers
    };
    let stranger: IpAddr = "203.0.113.7".parse().unwrap();
    for (peer, name, expected) in [
        (LOOPBACK, "x-original-uri", "204 "),
        (
            Some("::ffff:127.0.0.1".parse().unwrap()),
            "x-original-uri",
            "204 ",
        ),
        (Some(stranger), "x-original-uri", "403 bad_proxy"),
        (None, "x-original-uri", "403 bad_proxy"),
        (LOOPBACK, "x-forwarded-uri", "403 bad_proxy"),
        (LOOPBACK, "x-other", "403 bad_proxy"),
    ] {
        let response = house.gate.check(peer, &headers(name)).await;
        assert_eq!(told(&response), expected, "{peer:?} {name}");
    }
}

#[tokio::test]
async fn identities_meet_their_decisions() {
    let house = House::with(&[
        sample::revoke(sample::session("alice", "s-1")),
        sample::step_up(sample::session("bob", "s-2")),
        Decision {
            action: caerus_engine::decide::Action::Restrict(caerus_engine::decide::Restricts {
                sensitivity_above: Some(2),
                apps: BTreeSet::new(),
            }),
            ..sample::revoke(sample::user("carol"))
        },
    ]);
    let cookie = |value: &str| format!("sid={value}");
    for (path, session, user, expected) in [
        ("/", Some("s-1"), Some("alice"), "401 revoked"),
        ("/", Some("s-1"), None, "401 revoked"),
        ("/", Some("s-1"), Some("bob"), "401 bad_identity"),
        ("/", Some("s-2"), Some("bob"), "401 step_up"),
        ("/", Some("s-3"), Some("alice"), "204 "),
        ("/", None, Some("carol"), "204 "),
        ("/top", None, Some("carol"), "403 restricted"),
        ("/public/../top", None, Some("carol"), "403 bad_proxy"),
        ("/", None, None, "401 anonymous"),
        ("/open", None, None, "204 "),
        ("/open", Some("s-1"), None, "401 revoked"),
    ] {
        let cookie = session.map(cookie);
        let mut lines = Vec::new();
        lines.extend(cookie.as_deref().map(|cookie| ("cookie", cookie)));
        lines.extend(user.map(|user| ("x-caerus-user", user)));
        assert_eq!(house.ask(path, &lines).await, expected, "{path} {lines:?}");
    }
    let counted = |answer| house.metrics.enforcer.checks.of(&answer).get();
    assert_eq!(counted(CheckAnswer::Revoked), 3);
    assert_eq!(counted(CheckAnswer::Allow), 3);
    assert_eq!(counted(CheckAnswer::BadProxy), 1);
}

#[tokio::test]
async fn a_picture_that_is_too_old_answers_by_the_routes_rule_and_is_counted() {
    let revoked = sample::revoke(sample::session("mallory", "s-9"));
    let house = House::with(&[revoked]);
    let good = [("cookie", "sid=s-1")];
    let bad = [("cookie", "sid=s-9")];
    let paths = ["/", "/soft", "/auth"];
    house.clock.advance(60_000);
    for path in paths {
        assert_eq!(house.ask(path, &good).await, "204 ", "exactly at the limit");
    }
    house.clock.advance(1);
    for (path, expected) in [
        ("/", "403 stale"),
        ("/soft", "204 "),
        ("/auth", "401 stale_step_up"),
        ("/open", "403 stale"),
    ] {
        assert_eq!(house.ask(path, &good).await, expected, "{path}");
        assert_eq!(house.ask(path, &bad).await, "401 revoked", "{path}");
    }
    let counted = |answer| house.metrics.enforcer.stale_checks.of(&answer).get();
    assert_eq!(counted(StaleAnswer::Deny), 2);
    assert_eq!(counted(StaleAnswer::Allow), 1);
    assert_eq!(counted(StaleAnswer::StepUp), 1);
}

#[tokio::test]
async fn a_picture_that_was_never_complete_is_older_than_any_limit() {
    let house = house();
    for (path, expected) in [("/", "403 stale"), ("/soft", "204 ")] {
        assert_eq!(house.ask(path, &[("cookie", "sid=s-1")]).await, expected);
    }
}

#[test]
fn a_step_up_for_staleness_asks_for_the_routes_classes_and_is_met_by_a_recent_proof() {
    let house = House::with(&[]);
    house.clock.advance(600_000);
    let now = NOW + Span::seconds(600);
    for (token, expected) in [
        (token(Some(now - Span::seconds(300))), "204 "),
        (token(Some(now - Span::seconds(301))), "401 stale_step_up"),
        (token(None), "401 stale_step_up"),
        (
            Token {
                is_verified: false,
                ..token(Some(now))
            },
            "401 stale_step_up",
        ),
        (
            Token {
                classes: BTreeSet::new(),
                ..token(Some(now))
            },
            "401 stale_step_up",
        ),
    ] {
        assert_eq!(house.ask_by_token("/auth", token), expected);
    }
}

#[tokio::test]
async fn demands_of_staleness_and_of_a_decision_are_asked_at_once() {
    let house = House::with(&[Decision {
        action: caerus_engine::decide::Action::StepUp {
            requires: sample::requires(&[MFA, "urn:hardware"], Some(900)),
            restricts: None,
        },
        ..sample::step_up(sample::session("alice", "s-1"))
    }]);
    house.clock.advance(60_001);
    let mut headers = HeaderMap::new();
    headers.append("x-original-uri", HeaderValue::from_static("/auth"));
    headers.append("cookie", HeaderValue::from_static("sid=s-1"));
    let response = house.gate.check(LOOPBACK, &headers).await;
    assert_eq!(
        response.headers()[WWW_AUTHENTICATE],
        "Bearer error=\"insufficient_user_authentication\", acr_values=\"urn:caerus:acr:mfa\", max_age=\"300\""
    );
    assert_eq!(told(&response), "401 step_up");
}

#[test]
fn iat_stands_in_for_auth_time_on_marked_routes_alone() {
    let house = House::with(&[Decision {
        issued_before: Some(NOW - Span::seconds(5)),
        ..sample::revoke(sample::user("alice"))
    }]);
    assert_eq!(house.ask_by_token("/iat", token(None)), "204 ");
    assert_eq!(house.ask_by_token("/", token(None)), "401 revoked");
    let old = token(Some(NOW - Span::seconds(60)));
    assert_eq!(house.ask_by_token("/iat", old), "401 revoked");
}

#[test]
fn only_a_verified_token_meets_a_step_up() {
    let house = House::with(&[sample::step_up(sample::session("alice", "s-1"))]);
    house.clock.advance(10_000);
    let fresh = token(Some(NOW + Span::seconds(5)));
    assert_eq!(house.ask_by_token("/", fresh.clone()), "204 ");
    let unverified = Token {
        is_verified: false,
        ..fresh
    };
    assert_eq!(house.ask_by_token("/", unverified), "401 step_up");
}
