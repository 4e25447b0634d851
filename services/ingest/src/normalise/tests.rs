//! Events and the signals they become.

use std::cell::Cell;

use caerus_engine::id::{Asn, CountryCode, DecisionId, SubjectHash};
use caerus_engine::signal::{FailureKind, Fix, NetworkClass, SessionChangeKind, Verdict};
use caerus_engine::time::Span;

use super::*;

const NOON: Timestamp = Timestamp(1_790_000_000_000);

fn event(json: &str) -> NativeEvent {
    NativeEvent::parse(json.as_bytes()).unwrap()
}

fn receipt() -> Receipt {
    Receipt {
        tenant: TenantId::new("acme"),
        source: SourceId::new("producer"),
        by: PrincipalId::new("nina"),
        received_at: NOON,
        handling: Handling::Live,
        body: 7,
        position: None,
        trace: None,
    }
}

fn nowhere(_: IpAddr) -> Place {
    Place::default()
}

/// The event with what every event has, as the signals it becomes with fresh sightings.
fn signals(members: &str) -> Vec<Signal> {
    let json = format!(r#"{{"id":"e-1","time":{},{members}}}"#, NOON.0);
    let normalised = normalise(
        &event(&json),
        &receipt(),
        &nowhere,
        &mut Sightings::default(),
    );
    normalised.unwrap().signals
}

fn told(members: &str) -> Vec<String> {
    let kind = |fact: &Fact| match fact {
        Fact::Login(_) => "login",
        Fact::Access(_) => "access",
        Fact::Health(_) => "health",
        Fact::Session(_) => "session",
        Fact::Feedback(_) => "feedback",
        Fact::NetworkLogin(_) => "network_login",
        Fact::TenantLogin(_) => "tenant_login",
        Fact::DeviceSeen { .. } => "device_seen",
        Fact::DeviceStanding(_) => "device_standing",
        Fact::TenantSurge { .. } => "tenant_surge",
    };
    let subject = |subject: &Subject| match subject {
        Subject::Key(SubjectKey::Tenant { .. }) => "tenant".to_owned(),
        Subject::Key(key) => key.to_string().replace('\u{1f}', "/"),
        Subject::Owner { hash, .. } => format!("owner/{hash}"),
    };
    let signals = signals(members);
    let lines = signals
        .iter()
        .map(|s| format!("{} {}", kind(&s.fact), subject(&s.subject)));
    lines.collect()
}

#[test]
fn each_event_is_told_to_whom_it_concerns() {
    let table: &[(&str, &[&str])] = &[
        (
            r#""type":"login","user":"alice","device":"laptop","ip":"203.0.113.7","outcome":"success""#,
            &[
                "login user/acme/alice",
                "network_login network/acme/203.0.113.0/24",
                "tenant_login tenant",
                "device_seen device/acme/laptop",
            ],
        ),
        (
            r#""type":"login","user":"alice","device":"laptop","ip":"203.0.113.7","outcome":"failure""#,
            &[
                "login user/acme/alice",
                "network_login network/acme/203.0.113.0/24",
                "tenant_login tenant",
            ],
        ),
        (
            r#""type":"login","user":"alice","outcome":"challenged""#,
            &["login user/acme/alice", "tenant_login tenant"],
        ),
        (
            r#""type":"access","user":"alice","device":"laptop","workload":"spiffe://a/b""#,
            &["access user/acme/alice", "device_seen device/acme/laptop"],
        ),
        (
            r#""type":"access","user":"alice","device":"laptop","status":403"#,
            &["access user/acme/alice"],
        ),
        (
            r#""type":"access","workload":"spiffe://a/b","peer_workload":"spiffe://a/c""#,
            &["access workload/acme/spiffe://a/b"],
        ),
        (
            r#""type":"device_health","device":"laptop","user":"alice""#,
            &["health device/acme/laptop"],
        ),
        (
            r#""type":"session","user":"alice","event":"ended","session":"s-1""#,
            &["session user/acme/alice"],
        ),
        (
            r#""type":"feedback","verdict":"safe","user":"alice","session":"s-1""#,
            &["feedback user/acme/alice"],
        ),
        (
            r#""type":"feedback","verdict":"safe","user":"alice","device":"laptop""#,
            &["feedback user/acme/alice", "feedback device/acme/laptop"],
        ),
        (
            r#""type":"feedback","verdict":"safe","user":"eve","decision":"d-000000000000000000000000000000070000000000000001""#,
            &["feedback owner/00000000000000000000000000000007"],
        ),
    ];
    for (members, expected) in table {
        assert_eq!(told(members), *expected, "{members}");
    }
}

#[test]
fn an_access_tells_its_device_of_its_user_once_an_hour() {
    let mut sightings = Sightings::default();
    let mut seen = |kind: &str, minute: i64| {
        let time = NOON + Span::minutes(minute);
        let json = format!(
            r#"{{"id":"e","type":"{kind}","time":{},"user":"alice","device":"laptop"}}"#,
            time.0
        );
        let normalised = normalise(&event(&json), &receipt(), &nowhere, &mut sightings).unwrap();
        assert_eq!(normalised.sighted.is_some(), is_device_told(&normalised));
        is_device_told(&normalised)
    };
    assert!(seen("access", 0));
    assert!(!seen("access", 59));
    assert!(seen("access", 60));
    assert!(seen("login", 90), "a login tells it each time");
    assert!(!seen("access", 149), "and counts as a sighting");
}

fn is_device_told(normalised: &Normalised) -> bool {
    let facts = normalised.signals.iter().map(|signal| &signal.fact);
    facts
        .into_iter()
        .any(|fact| matches!(fact, Fact::DeviceSeen { .. }))
}

#[test]
fn a_login_says_all_that_the_event_says() {
    let signals = signals(
        r#""type":"login","user":"alice","session":"s-1","device":"laptop","ip":"203.0.113.7","source":"okta",
        "user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
        "geo":{"lat":52.52,"lon":13.405,"radius_km":20,"country":"DE","city":"Berlin","asn":3320,"network":"mobile"},
        "outcome":"failure","failure":"mfa_denied","amr":["PWD","otp"],"acr":"gold","issued_at":1790000000001,"ja4":"j","cert_sha256":"c""#,
    );
    let Fact::Login(login) = &signals[0].fact else {
        panic!("{signals:?}");
    };
    assert_eq!(login.session.as_ref().unwrap().as_str(), "s-1");
    assert_eq!(login.outcome, Outcome::Failure(FailureKind::MfaDenied));
    assert_eq!(
        login.authentication.amr,
        ["otp", "pwd"].map(str::to_owned).into()
    );
    assert_eq!(login.authentication.acr.as_ref().unwrap().as_str(), "gold");
    assert_eq!(login.issued_at, Some(NOON + Span::millis(1)));
    let client = &login.client;
    assert_eq!(client.device.as_ref().unwrap().as_str(), "laptop");
    assert_eq!(client.address, Some("203.0.113.7".parse().unwrap()));
    assert_eq!(client.agent.browser.as_deref(), Some("Firefox"));
    assert_eq!(client.ja4.as_ref().unwrap().as_str(), "j");
    assert_eq!(client.certificate.as_ref().unwrap().as_str(), "c");
    let expected = Place {
        country: Some(CountryCode(*b"DE")),
        asn: Some(Asn(3_320)),
        city: Some("Berlin".to_owned()),
        fix: Some(Fix {
            latitude: 52_520_000,
            longitude: 13_405_000,
            radius_m: Some(20_000),
        }),
        class: NetworkClass::Mobile,
    };
    assert_eq!(client.place, expected);
    let origin = &signals[0].origin;
    assert_eq!(
        (origin.event.as_str(), origin.source.as_str()),
        ("e-1", "okta")
    );
    assert_eq!(
        (origin.time, origin.received_at, origin.body),
        (NOON, NOON, 7)
    );
    assert!(signals.iter().all(|signal| signal.origin == *origin));
}

#[test]
fn an_address_is_looked_up_only_where_the_event_does_not_say() {
    let asked = Cell::new(0);
    let locate = |_: IpAddr| {
        asked.set(asked.get() + 1);
        Place {
            city: Some("Lagos".to_owned()),
            ..Place::default()
        }
    };
    let city = |members: &str| {
        let json = format!(
            r#"{{"id":"e","type":"access","user":"a","time":{}{members}}}"#,
            NOON.0
        );
        let mut sightings = Sightings::default();
        let normalised = normalise(&event(&json), &receipt(), &locate, &mut sightings).unwrap();
        match &normalised.signals[0].fact {
            Fact::Access(access) => access.client.place.city.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(city(r#","ip":"203.0.113.7""#).as_deref(), Some("Lagos"));
    assert_eq!(city(r#","ip":"203.0.113.7","geo":{"country":"DE"}"#), None);
    assert_eq!(city(""), None);
    assert_eq!(asked.get(), 1);
}

#[test]
fn who_gives_feedback_is_who_is_authenticated() {
    let signals = signals(
        r#""type":"feedback","verdict":"compromised","by":"mallory","note":"n","decision":"d-000000000000000000000000000000070000000000000001""#,
    );
    let Fact::Feedback(feedback) = &signals[0].fact else {
        panic!("{signals:?}");
    };
    assert_eq!(feedback.by.as_str(), "nina");
    assert_eq!(feedback.verdict, Verdict::Compromised);
    assert_eq!(
        feedback.about,
        About::Decision(DecisionId {
            owner: SubjectHash(7),
            suffix: 1
        })
    );
    assert_eq!(signals[0].subject.hash(), SubjectHash(7));
}

#[test]
fn a_reported_risk_keeps_its_level_and_detail() {
    let signals = signals(
        r#""type":"session","user":"alice","event":"risk_reported","level":"HIGH","detail":"leak""#,
    );
    let Fact::Session(change) = &signals[0].fact else {
        panic!("{signals:?}");
    };
    let expected = SessionChangeKind::RiskReported {
        level: caerus_engine::signal::ReportedRisk::High,
        detail: Some("leak".to_owned()),
    };
    assert_eq!(change.kind, expected);
}

#[test]
fn what_no_signal_carries_is_kept_for_the_record() {
    let json = format!(
        r#"{{"id":"e","type":"login","user":"a","time":{},"zone":{{"x":1}},"geo":{{"country":"DE","postal":"10115"}},"label":"attack"}}"#,
        NOON.0
    );
    let kept = |json: &str| {
        let mut sightings = Sightings::default();
        normalise(&event(json), &receipt(), &nowhere, &mut sightings)
            .unwrap()
            .extra
            .map(|text| serde_json::from_str::<Value>(&text).unwrap())
    };
    let expected = serde_json::json!({
        "geo": {"postal": "10115"},
        "label": "attack",
        "zone": {"x": 1}
    });
    assert_eq!(kept(&json), Some(expected));
    let plain = format!(
        r#"{{"id":"e","type":"login","user":"a","time":{}}}"#,
        NOON.0
    );
    assert_eq!(kept(&plain), None);
}

#[test]
fn users_of_a_name_in_two_tenants_are_counted_apart() {
    let users = ["acme", "globex"].map(|tenant| {
        let receipt = Receipt {
            tenant: TenantId::new(tenant),
            ..receipt()
        };
        let json = format!(
            r#"{{"id":"e","type":"login","user":"alice","time":{}}}"#,
            NOON.0
        );
        let mut sightings = Sightings::default();
        let normalised = normalise(&event(&json), &receipt, &nowhere, &mut sightings).unwrap();
        match &normalised.signals[1].fact {
            Fact::TenantLogin(login) => login.user,
            other => panic!("{other:?}"),
        }
    });
    assert_ne!(users[0], users[1]);
}

#[test]
fn an_event_made_in_code_without_its_subject_is_about_nobody() {
    for (kind, member) in [
        (EventType::Login, "user"),
        (EventType::Access, "user"),
        (EventType::DeviceHealth, "device"),
        (EventType::Session, "user"),
        (EventType::Feedback, "verdict"),
    ] {
        let event = NativeEvent::new("e", kind, NOON);
        let refused = normalise(&event, &receipt(), &nowhere, &mut Sightings::default());
        assert_eq!(refused.unwrap_err(), AboutNobody { member });
    }
}
