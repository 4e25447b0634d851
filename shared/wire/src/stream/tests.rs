//! Frames are those of the contract, §4.

use super::*;

const DECISION: &str = r#"{"v":1,"id":"d","tenant":"acme","generation":1,"action":"revoke","mode":"enforce","target":{"user":"a","app":"payroll"},"issued_before":null,"issued_at":"2026-11-21T10:00:05.000Z","expires_at":"2026-11-21T10:00:05.000Z","requires":null,"restricts":null,"score":90,"level":"HIGH","hypothesis":null,"contributions":[],"policy":{"rule":"r","revision":"x"},"cause":"c"}"#;

fn decision() -> PublicDecision {
    PublicDecision::parse(DECISION.as_bytes()).unwrap()
}

#[test]
fn the_client_s_frames_read_as_the_contract_writes_them() {
    let hello = r#"{"type":"hello","client":"nginx-7","cursor":null,"filter":{"tenants":["acme"],"apps":["payroll"]}}"#;
    let expected = ClientFrame::Hello {
        client: "nginx-7".to_owned(),
        cursor: None,
        filter: Filter {
            tenants: ["acme".to_owned()].into(),
            apps: ["payroll".to_owned()].into(),
        },
    };
    assert_eq!(ClientFrame::parse(hello).unwrap(), expected);
    assert_eq!(expected.to_json(), hello);
    let ack = r#"{"type":"ack","cursor":"AQcCAKwCCQ"}"#;
    assert_eq!(ClientFrame::parse(ack).unwrap().to_json(), ack);
    for short in [
        r#"{"type":"hello","client":"x"}"#,
        r#"{"client":"x","filter":null,"type":"hello","later":[1]}"#,
    ] {
        let frame = ClientFrame::parse(short).unwrap();
        assert_eq!(
            frame.to_json(),
            r#"{"type":"hello","client":"x","cursor":null,"filter":{}}"#
        );
    }
}

#[test]
fn bad_frames_are_refused_with_the_reason() {
    let many: Vec<String> = (0..=FILTER_NAMES_MAX).map(|n| format!("\"{n}\"")).collect();
    let wide = format!(
        r#"{{"type":"hello","client":"x","filter":{{"apps":[{}]}}}}"#,
        many.join(",")
    );
    for (text, error) in [
        ("", "a frame is a JSON object"),
        ("[\"ack\",\"c\"]", "a frame is a JSON object"),
        (
            "{}",
            "could not read the frame: missing field `type` at line 1 column 2",
        ),
        (
            r#"{"type":"bye"}"#,
            "could not read the frame: unknown variant `bye`, expected `hello` or `ack` at line 1 colum…",
        ),
        (
            r#"{"type":"ack"}"#,
            "could not read the frame: missing field `cursor`",
        ),
        (
            r#"{"type":"ack","cursor":""}"#,
            "member `cursor` has 0 characters; 1 to 16384 are taken",
        ),
        (
            r#"{"type":"hello","client":"a\u0000"}"#,
            "member `client` has a control character",
        ),
        (
            &wide,
            "member `filter.apps` has 1025 entries; 0 to 1024 are taken",
        ),
        (
            &format!(
                r#"{{"type":"ack","cursor":"{}"}}"#,
                "x".repeat(CLIENT_FRAME_BYTES_MAX)
            ),
            "the frame has 65562 bytes; at most 65536 are taken",
        ),
    ] {
        assert_eq!(ClientFrame::parse(text).unwrap_err().to_string(), error);
    }
}

#[test]
fn the_server_s_frames_are_written_as_the_contract_writes_them() {
    let now = Timestamp(1_795_255_205_120);
    for (frame, text) in [
        (
            ServerFrame::Welcome {
                heartbeat_ms: 1_000,
                snapshot: true,
                max_unacked: 1_024,
            },
            r#"{"type":"welcome","heartbeat_ms":1000,"snapshot":true,"max_unacked":1024}"#.to_owned(),
        ),
        (
            ServerFrame::Snapshot {
                decisions: vec![decision()],
                more: true,
                cursor: None,
            },
            format!(r#"{{"type":"snapshot","decisions":[{DECISION}],"more":true}}"#),
        ),
        (
            ServerFrame::Snapshot {
                decisions: vec![],
                more: false,
                cursor: Some("c".to_owned()),
            },
            r#"{"type":"snapshot","decisions":[],"more":false,"cursor":"c"}"#.to_owned(),
        ),
        (
            ServerFrame::Decision {
                cursor: "c".to_owned(),
                decision: Box::new(decision()),
            },
            format!(r#"{{"type":"decision","cursor":"c","decision":{DECISION}}}"#),
        ),
        (
            ServerFrame::Heartbeat(Heartbeat {
                cursor: "c".to_owned(),
                evaluated_until: None,
                now,
            }),
            r#"{"type":"heartbeat","cursor":"c","evaluated_until":null,"now":"2026-11-21T10:00:05.120Z"}"#
                .to_owned(),
        ),
        (
            ServerFrame::Reload {
                reason: "cursor of another log".to_owned(),
            },
            r#"{"type":"reload","reason":"cursor of another log"}"#.to_owned(),
        ),
        (
            ServerFrame::Error {
                code: CloseCode::TooSlow.name().to_owned(),
                message: "m".to_owned(),
            },
            r#"{"type":"error","code":"too_slow","message":"m"}"#.to_owned(),
        ),
    ] {
        assert_eq!(frame.to_json(), text);
        assert_eq!(ServerFrame::parse(&text).unwrap(), frame);
    }
}

#[test]
fn frames_around_encoded_decisions_read_as_the_others() {
    let cursor = Cursor {
        log: 7,
        positions: vec![0, 300],
        filter: 9,
    };
    let text = cursor.to_text();
    let expected = ServerFrame::Decision {
        cursor: text.clone(),
        decision: Box::new(decision()),
    };
    assert_eq!(decision_frame(&cursor, DECISION), expected.to_json());
    let last = ServerFrame::Snapshot {
        decisions: vec![decision(), decision()],
        more: false,
        cursor: Some(text),
    };
    assert_eq!(
        snapshot_frame([DECISION, DECISION], Some(&cursor)),
        last.to_json()
    );
    assert_eq!(
        snapshot_frame([], None),
        r#"{"type":"snapshot","decisions":[],"more":true}"#
    );
}

#[test]
fn a_filter_hides_other_tenants_and_apps_but_not_what_holds_for_every_app() {
    let filter = |tenants: &[&str], apps: &[&str]| Filter {
        tenants: tenants.iter().map(|name| (*name).to_owned()).collect(),
        apps: apps.iter().map(|name| (*name).to_owned()).collect(),
    };
    let mut for_every_app = decision();
    for_every_app.target.app = None;
    for (filter, shows_app, shows_every) in [
        (filter(&[], &[]), true, true),
        (filter(&["acme"], &["payroll"]), true, true),
        (filter(&[], &["crm"]), false, true),
        (filter(&["other"], &[]), false, false),
    ] {
        assert_eq!(filter.admits(&decision()), shows_app, "{filter:?}");
        assert_eq!(filter.admits(&for_every_app), shows_every, "{filter:?}");
    }
}

#[test]
fn close_codes_are_the_contract_s() {
    let numbers = CloseCode::ALL.map(CloseCode::number);
    assert_eq!(numbers, [4400, 4401, 4403, 4408, 4429, 1012]);
    for code in CloseCode::ALL {
        assert_eq!(CloseCode::of_number(code.number()), Some(code));
    }
    assert_eq!(CloseCode::of_number(1000), None);
}
