//! What the native form takes, and what it says of what it does not take.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const LOGIN: &str = r#""id":"e-1","type":"login","time":"2026-11-21T10:00:05.120Z","user":"alice""#;

fn login_with(members: &str) -> String {
    format!("{{{LOGIN},{members}}}")
}

fn refusal(text: &str) -> (String, &'static str) {
    let error = NativeEvent::parse(text.as_bytes()).expect_err(text);
    (error.to_string(), error.name())
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_is_named_and_located() {
    let deep = login_with(&format!("\"x\":{}{}", "[".repeat(32), "]".repeat(32)));
    let long_id = format!(
        r#"{{"id":"{}","type":"login","time":1,"user":"a"}}"#,
        "x".repeat(129)
    );
    for (text, name, error) in [
        (
            "nonsense",
            "not_json",
            "not JSON at line 1, column 2: expected ident",
        ),
        (
            "[]",
            "not_an_object",
            "an event is a JSON object, not an array",
        ),
        (
            "\"x\"",
            "not_an_object",
            "an event is a JSON object, not a string",
        ),
        (
            "{}",
            "missing_member",
            "member `id` is missing; every event has one",
        ),
        (
            r#"{"id":""}"#,
            "bad_length",
            "member `id` has 0 characters; 1 to 128 are taken",
        ),
        (
            &long_id,
            "bad_length",
            "member `id` has 129 characters; 1 to 128 are taken",
        ),
        (
            r#"{"id":7}"#,
            "wrong_type",
            "member `id` must be a string, not an integer",
        ),
        (
            r#"{"id":null}"#,
            "missing_member",
            "member `id` is missing; every event has one",
        ),
        (
            r#"{"id":"e"}"#,
            "missing_member",
            "member `type` is missing; every event has one",
        ),
        (
            r#"{"id":"e","type":"logon"}"#,
            "unknown_type",
            "`logon` is not a type of event; there are login, device_health, access, session, feedback",
        ),
        (
            r#"{"id":"e","type":"login"}"#,
            "missing_member",
            "member `time` is missing; every event has one",
        ),
        (
            r#"{"id":"e","type":"login","time":"yesterday"}"#,
            "unreadable_member",
            "member `time` is `yesterday`, which is not an RFC 3339 time or integer milliseconds",
        ),
        (
            r#"{"id":"e","type":"login","time":true}"#,
            "wrong_type",
            "member `time` must be an RFC 3339 time or integer milliseconds, not a boolean",
        ),
        (
            r#"{"id":"e","type":"login","time":"1900-01-01T00:00:00Z"}"#,
            "out_of_range",
            "member `time` is out of range; the years 2000 to 2100",
        ),
        (
            r#"{"id":"e","type":"login","time":32503680000000}"#,
            "out_of_range",
            "member `time` is out of range; the years 2000 to 2100",
        ),
        (
            r#"{"id":"e","type":"login","time":1e30}"#,
            "out_of_range",
            "member `time` is out of range; the years 2000 to 2100",
        ),
        (
            r#"{"id":"e","type":"login","time":1795255205120}"#,
            "missing_member",
            "member `user` is missing; a login names its user",
        ),
        (
            &login_with(r#""bytes_out":1e999"#),
            "number_out_of_range",
            "a number at line 1, column 93 is out of range",
        ),
        (
            &login_with(r#""bytes_out":NaN"#),
            "not_json",
            "not JSON at line 1, column 89: expected value",
        ),
        (
            &login_with(r#""bytes_out":-1"#),
            "out_of_range",
            "member `bytes_out` is out of range; 0 to 2^64 - 1",
        ),
        (
            &login_with(r#""bytes_out":1.5"#),
            "wrong_type",
            "member `bytes_out` must be an integer, not a number",
        ),
        (
            &login_with(r#""sensitivity":5"#),
            "out_of_range",
            "member `sensitivity` is out of range; 0 to 4",
        ),
        (
            &deep,
            "too_deep",
            "nested deeper than 32 levels at line 1, column 113",
        ),
        (
            &login_with(r#""user":"bob""#),
            "duplicate_member",
            "member `user` stands twice, the second at line 1, column 82",
        ),
        (
            &login_with(r#""device":"a\u0000b""#),
            "control_character",
            "member `device` has a control character (U+0000) at character 2",
        ),
        (
            &login_with(r#""note":"a\nb\u001b[2J""#),
            "control_character",
            "member `note` has a control character (U+001B) at character 4",
        ),
        (
            &login_with(r#""ip":"203.0.113.256""#),
            "unreadable_member",
            "member `ip` is `203.0.113.256`, which is not an IPv4 or IPv6 address",
        ),
        (
            &login_with(r#""geo":{"lat":91,"lon":0}"#),
            "out_of_range",
            "member `geo.lat` is out of range; -90 to 90",
        ),
        (
            &login_with(r#""geo":{"lat":9}"#),
            "missing_member",
            "member `geo.lon` is missing; lat and lon come together",
        ),
        (
            &login_with(r#""geo":{"country":"Germany"}"#),
            "unreadable_member",
            "member `geo.country` is `Germany`, which is not a country's two letters",
        ),
        (
            &login_with(r#""geo":{"network":"satellite"}"#),
            "unknown_word",
            "member `geo.network` is `satellite`; it may be one of residential, mobile, corporate, \
             hosting, vpn, proxy, tor, relay",
        ),
        (
            &login_with(r#""geo":[]"#),
            "wrong_type",
            "member `geo` must be an object, not an array",
        ),
        (
            &login_with(
                r#""posture":{"alerts":[{"severity":"high","name":"x"},{"severity":"dire"}]}"#,
            ),
            "unknown_word",
            "member `posture.alerts[1].severity` is `dire`; it may be one of low, medium, high, critical",
        ),
        (
            &login_with(r#""amr":["pwd",7]"#),
            "wrong_type",
            "member `amr[1]` must be a string, not an integer",
        ),
        (
            &login_with(r#""outcome":"success","failure":"locked""#),
            "unfitting_member",
            "member `failure` does not fit; the outcome is not `failure`",
        ),
        (
            &login_with(r#""workload":"payments""#),
            "unreadable_member",
            "member `workload` is `payments`, which is not a SPIFFE ID (`spiffe://trust-domain/path`)",
        ),
        (
            &login_with(r#""decision":"d-12""#),
            "unreadable_member",
            "member `decision` is `d-12`, which is not a decision's id",
        ),
    ] {
        assert_eq!(refusal(text), (error.to_owned(), name), "{text}");
    }
}

#[test]
fn each_type_demands_its_members() {
    for (members, missing) in [
        (r#""type":"access","session":"s""#, "user"),
        (r#""type":"device_health""#, "device"),
        (r#""type":"session","event":"ended""#, "user"),
        (r#""type":"session","user":"a""#, "event"),
        (
            r#""type":"session","user":"a","event":"risk_reported""#,
            "level",
        ),
        (r#""type":"feedback","user":"a""#, "verdict"),
        (r#""type":"feedback","verdict":"safe""#, "decision"),
        (
            r#""type":"feedback","verdict":"safe","session":"s","device":"d""#,
            "user",
        ),
    ] {
        let text = format!(r#"{{"id":"e","time":1795255205120,{members}}}"#);
        match NativeEvent::parse(text.as_bytes()) {
            Err(EventError::Missing { member, .. }) => assert_eq!(member, missing, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    for members in [
        r#""type":"access","workload":"spiffe://acme.example/ns/pay/sa/api""#,
        r#""type":"session","user":"a","event":"risk_reported","level":"HIGH""#,
        r#""type":"feedback","verdict":"compromised","device":"d""#,
    ] {
        let text = format!(r#"{{"id":"e","time":1795255205120,{members}}}"#);
        let event = NativeEvent::parse(text.as_bytes()).expect(&text);
        assert_eq!(
            NativeEvent::parse(event.to_json().as_bytes()),
            Ok(event),
            "{text}"
        );
    }
}

#[test]
fn too_large_and_wrongly_encoded_events_are_told_apart() {
    let large = login_with(&format!("\"x\":\"{}\"", "y".repeat(EVENT_BYTES_MAX)));
    assert_eq!(refusal(&large).1, "too_large");
    let latin1 = b"{\"id\":\"caf\xe9\"}";
    assert_eq!(
        NativeEvent::parse(latin1).unwrap_err().to_string(),
        "not UTF-8 at byte 10"
    );
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(NativeEvent::parse(&utf16).unwrap_err().name(), "not_json");
}

/// Every member of the contract, in the form in which it is written.
pub(crate) fn full() -> Value {
    let text = r#"{
        "id": "e-17", "type": "login", "time": "2026-11-21T10:00:05.120Z", "tenant": "acme",
        "source": "okta", "user": "alice@acme.example",
        "workload": "spiffe://acme.example/web", "peer_workload": "spiffe://acme.example/db",
        "session": "s-81", "device": "laptop-7", "ip": "203.0.113.7", "user_agent": "Mozilla/5.0",
        "geo": {"lat": 52.52, "lon": 13.405, "radius_km": 12.5, "country": "DE", "region": "BE",
                "city": "Berlin", "asn": 3320, "as_org": "Telekom", "network": "residential",
                "postal": "10115"},
        "outcome": "failure", "failure": "mfa_denied", "amr": ["pwd", "otp"], "acr": "urn:mfa",
        "issued_at": "2026-11-21T09:59:00.000Z", "app": "payroll", "resource": "/v1/salaries",
        "method": "GET", "status": 200, "bytes_out": 18446744073709551615,
        "sensitivity": 4, "ja4": "t13d1516h2_8daaf6152771_02713d6af862", "cert_sha256": "ab12",
        "posture": {"compliant": true, "managed": false, "os": "macOS", "os_version": "15.1",
                    "disk_encrypted": true, "firewall": true, "screen_lock": false,
                    "edr": "stopped", "jailbroken": false, "patch_age_days": 12, "score": 88,
                    "alerts": [{"severity": "critical", "name": "EICAR", "rule": 4}], "vendor": "x"},
        "event": "risk_reported", "level": "leaked_credentials", "detail": "two\nlines",
        "verdict": "dismiss", "decision": "d-0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
        "by": "op", "note": "checked", "label": {"attack": "token_theft"},
        "zzz": [1, {"b": 1, "a": 2}]
    }"#;
    serde_json::from_str(text).expect("a JSON object")
}

#[test]
fn every_member_is_read_and_written_back() {
    let text = full().to_string();
    let event = NativeEvent::parse(text.as_bytes()).expect("all members fit");
    let written: Value = serde_json::from_str(&event.to_json()).unwrap();
    assert_eq!(written, full());
    assert_eq!(
        NativeEvent::parse(event.to_json().as_bytes()),
        Ok(event.clone())
    );
    assert_eq!(
        event.extra_json().as_deref(),
        Some(
            r#"{"geo":{"postal":"10115"},"posture":{"alerts":[{"rule":4}],"vendor":"x"},"zzz":[1,{"a":2,"b":1}]}"#
        )
    );
}

#[test]
fn the_body_hash_tells_contents_apart_and_not_spelling() {
    let hash = |text: &str| NativeEvent::parse(text.as_bytes()).unwrap().body_hash();
    let spaced =
        r#"{ "user":"alice", "time":1795255205120, "type":"login", "id":"e-1", "ip":null }"#;
    assert_eq!(hash(&format!("{{{LOGIN}}}")), hash(spaced));
    assert_ne!(
        hash(&format!("{{{LOGIN}}}")),
        hash(&login_with(r#""outcome":"failure""#))
    );
    assert_ne!(
        hash(&format!("{{{LOGIN}}}")),
        hash(&login_with(r#""other":1"#))
    );
}

#[test]
fn a_login_that_says_nothing_of_its_end_succeeded() {
    use signal::{FailureKind, Outcome};
    for (members, outcome) in [
        (r#""x":1"#, Outcome::Success),
        (r#""outcome":"challenged""#, Outcome::Challenged),
        (
            r#""outcome":"failure""#,
            Outcome::Failure(FailureKind::Other),
        ),
        (
            r#""failure":"locked""#,
            Outcome::Failure(FailureKind::Locked),
        ),
    ] {
        let event = NativeEvent::parse(login_with(members).as_bytes()).unwrap();
        assert_eq!(event.outcome_kind(), outcome, "{members}");
    }
}

/// A member's name with values that the form takes, or that it does not know.
fn member() -> impl Strategy<Value = (String, Value)> {
    let taken = full().as_object().unwrap().clone();
    let known = proptest::sample::select(taken.into_iter().collect::<Vec<_>>());
    let name = "[^\\p{C}]{1,40}";
    let strings = [
        "tenant", "source", "user", "session", "device", "app", "acr", "by",
    ];
    prop_oneof![
        3 => known,
        2 => (proptest::sample::select(strings.to_vec()), name).prop_map(|(m, v)| (m.to_owned(), json!(v))),
        1 => ("x[a-z]{1,5}", any::<i64>()).prop_map(|(m, v)| (m, json!(v))),
        1 => ("y[a-z]{1,5}", any::<String>()).prop_map(|(m, v)| (m, json!({"b": [v], "a": null}))),
        1 => (-90_000_000..=90_000_000_i32, -180_000_000..=180_000_000_i32).prop_map(|(lat, lon)| {
            let degrees = |millionths: i32| f64::from(millionths) / 1e6;
            ("geo".to_owned(), json!({"lat": degrees(lat), "lon": degrees(lon)}))
        }),
    ]
}

proptest! {
    #[test]
    fn no_bytes_at_all_make_the_reader_fall_over(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _read = NativeEvent::parse(&bytes);
    }

    #[test]
    fn damaged_events_never_make_the_reader_fall_over(at in 0_usize..1_400, byte: u8) {
        let mut bytes = full().to_string().into_bytes();
        let len = bytes.len();
        bytes[at % len] = byte;
        let _read = NativeEvent::parse(&bytes);
    }

    #[test]
    fn what_is_written_reads_back_the_same(
        members in proptest::collection::vec(member(), 0..20),
        ms in crate::moment::EARLIEST.0..=crate::moment::LATEST.0,
    ) {
        let mut object = Map::new();
        for (name, value) in members {
            object.insert(name, value);
        }
        if object.get("outcome").is_none() {
            object.remove("failure");
        }
        object.insert("id".to_owned(), json!("e"));
        object.insert("type".to_owned(), json!("login"));
        object.insert("time".to_owned(), json!(ms));
        object.insert("user".to_owned(), json!("u"));
        let text = Value::Object(object).to_string();
        let event = NativeEvent::parse(text.as_bytes()).map_err(|e| TestCaseError::fail(format!("{e}: {text}")))?;
        prop_assert_eq!(NativeEvent::parse(event.to_json().as_bytes()), Ok(event));
    }
}
