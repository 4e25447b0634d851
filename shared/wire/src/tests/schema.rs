//! The published schemas are those of the code: the same members, words and bounds, and the same texts fit.

use std::collections::{BTreeMap, BTreeSet};

use caerus_engine::evidence::Code;
use serde_json::Value;

use super::fixture::lines;
use super::validate::Schemas;
use crate::decision::{ActionName, HypothesisName, LevelName, ModeName};
use crate::event::{self, NativeEvent};
use crate::stream::{self, CloseCode};

fn schemas() -> Schemas {
    let read = |text: &str| serde_json::from_str::<Value>(text).expect("a schema is JSON");
    Schemas(BTreeMap::from([
        ("event.json", read(include_str!("../../schemas/event.json"))),
        (
            "decision.json",
            read(include_str!("../../schemas/decision.json")),
        ),
        (
            "client-frame.json",
            read(include_str!("../../schemas/client-frame.json")),
        ),
        (
            "server-frame.json",
            read(include_str!("../../schemas/server-frame.json")),
        ),
    ]))
}

/// The words at a place, `null` left out.
fn words(schema: &Value, pointer: &str) -> Vec<String> {
    let list = schema
        .pointer(pointer)
        .and_then(Value::as_array)
        .expect(pointer);
    list.iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn number(schema: &Value, pointer: &str) -> u64 {
    schema
        .pointer(pointer)
        .and_then(Value::as_u64)
        .expect(pointer)
}

fn members(schema: &Value, pointer: &str) -> BTreeSet<String> {
    let members = schema
        .pointer(pointer)
        .and_then(Value::as_object)
        .expect(pointer);
    members.keys().cloned().collect()
}

#[test]
fn words_are_those_of_the_code() {
    let Schemas(schemas) = schemas();
    let (event, decision) = (&schemas["event.json"], &schemas["decision.json"]);
    for (schema, pointer, expected) in [
        (event, "/properties/type/enum", event::EventType::WORDS),
        (event, "/properties/outcome/enum", event::Outcome::WORDS),
        (event, "/properties/failure/enum", event::Failure::WORDS),
        (event, "/properties/event/enum", event::SessionEvent::WORDS),
        (event, "/properties/level/enum", event::RiskLevel::WORDS),
        (event, "/properties/verdict/enum", event::Verdict::WORDS),
        (
            event,
            "/$defs/geo/properties/network/enum",
            event::Network::WORDS,
        ),
        (
            event,
            "/$defs/posture/properties/edr/enum",
            event::Edr::WORDS,
        ),
        (
            event,
            "/$defs/posture/properties/alerts/items/properties/severity/enum",
            event::Severity::WORDS,
        ),
        (decision, "/properties/action/enum", ActionName::WORDS),
        (decision, "/properties/mode/enum", ModeName::WORDS),
        (decision, "/properties/level/enum", LevelName::WORDS),
        (
            decision,
            "/properties/hypothesis/enum",
            HypothesisName::WORDS,
        ),
    ] {
        assert_eq!(words(schema, pointer), expected, "{pointer}");
    }
    let mut codes = vec!["PRIOR", "CAP", "CRITICALITY", "OPERATOR"];
    codes.extend(Code::ALL.map(Code::name));
    assert_eq!(words(decision, "/$defs/code/enum"), codes);
    assert_eq!(
        words(
            &schemas["server-frame.json"],
            "/oneOf/5/properties/code/enum"
        ),
        CloseCode::ALL.map(CloseCode::name)
    );
}

#[test]
fn bounds_are_those_of_the_code() {
    let Schemas(schemas) = schemas();
    let event = &schemas["event.json"];
    let posture = "/$defs/posture/properties";
    for (pointer, expected) in [
        (
            "/properties/id/maxLength".to_owned(),
            event::ID_CHARS_MAX as u64,
        ),
        (
            "/$defs/name/maxLength".to_owned(),
            event::NAME_CHARS_MAX as u64,
        ),
        (
            "/$defs/text/maxLength".to_owned(),
            event::TEXT_CHARS_MAX as u64,
        ),
        (
            "/$defs/spiffe_id/maxLength".to_owned(),
            event::WORKLOAD_CHARS_MAX as u64,
        ),
        (
            "/properties/amr/maxItems".to_owned(),
            event::METHODS_MAX as u64,
        ),
        (
            "/properties/sensitivity/maximum".to_owned(),
            event::SENSITIVITY_MAX.into(),
        ),
        (
            "/$defs/geo/properties/radius_km/maximum".to_owned(),
            event::RADIUS_KM_MAX.into(),
        ),
        (
            format!("{posture}/alerts/maxItems"),
            event::ALERTS_MAX as u64,
        ),
        (
            format!("{posture}/patch_age_days/maximum"),
            event::PATCH_AGE_DAYS_MAX.into(),
        ),
        (
            format!("{posture}/score/maximum"),
            event::POSTURE_SCORE_MAX.into(),
        ),
    ] {
        assert_eq!(number(event, &pointer), expected, "{pointer}");
    }
    let client = &schemas["client-frame.json"];
    let hello = "/oneOf/0/properties";
    assert_eq!(
        number(client, "/$defs/cursor/maxLength"),
        stream::CURSOR_CHARS_MAX as u64
    );
    assert_eq!(
        number(client, &format!("{hello}/client/maxLength")),
        stream::CLIENT_CHARS_MAX as u64
    );
    assert_eq!(
        number(client, &format!("{hello}/filter/properties/apps/maxItems")),
        stream::FILTER_NAMES_MAX as u64
    );
}

#[test]
fn members_are_those_of_the_code() {
    let Schemas(schemas) = schemas();
    let event = &schemas["event.json"];
    let full = event::tests::full();
    let known = |value: &Value, unknown: &[&str]| {
        let members = value.as_object().unwrap().keys();
        members
            .filter(|name| !unknown.contains(&name.as_str()))
            .cloned()
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(members(event, "/properties"), known(&full, &["zzz"]));
    assert_eq!(
        members(event, "/$defs/geo/properties"),
        known(&full["geo"], &["postal"])
    );
    assert_eq!(
        members(event, "/$defs/posture/properties"),
        known(&full["posture"], &["vendor"])
    );

    let decisions: Vec<Value> = lines("decisions.jsonl")
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let written: BTreeSet<String> = decisions
        .iter()
        .flat_map(|decision| known(decision, &[]))
        .collect();
    assert_eq!(members(&schemas["decision.json"], "/properties"), written);
}

#[test]
fn what_the_code_reads_fits_the_schemas() {
    let schemas = schemas();
    let fits = |file, line: &str| {
        let value = serde_json::from_str(line).unwrap();
        assert_eq!(schemas.check(file, &value), Ok(()), "{line}");
    };
    for line in lines("events.jsonl") {
        fits("event.json", &line);
    }
    fits("event.json", &event::tests::full().to_string());
    for line in lines("decisions.jsonl") {
        fits("decision.json", &line);
    }
    for line in lines("frames.jsonl") {
        let is_client = stream::ClientFrame::parse(&line).is_ok();
        fits(
            if is_client {
                "client-frame.json"
            } else {
                "server-frame.json"
            },
            &line,
        );
    }
    for example in schemas.0["event.json"]["examples"].as_array().unwrap() {
        fits("event.json", &example.to_string());
        assert!(
            NativeEvent::parse(example.to_string().as_bytes()).is_ok(),
            "{example}"
        );
    }
}

#[test]
fn what_the_code_refuses_does_not_fit_the_schema() {
    let schemas = schemas();
    let base = r#""id":"e","time":1795255205120"#;
    for members in [
        r#""type":"logon","user":"a""#,
        r#""type":"login""#,
        r#""type":"login","user":null"#,
        r#""type":"login","user":"""#,
        r#""type":"login","user":"a","sensitivity":5"#,
        r#""type":"login","user":"a","bytes_out":1.5"#,
        r#""type":"login","user":"a","geo":{"lat":91,"lon":0}"#,
        r#""type":"login","user":"a","geo":{"lat":9}"#,
        r#""type":"login","user":"a","posture":{"alerts":[{"severity":"high"}]}"#,
        r#""type":"login","user":"a","issued_at":"x","time":1"#,
        r#""type":"access","session":"s""#,
        r#""type":"device_health""#,
        r#""type":"session","user":"a""#,
        r#""type":"session","user":"a","event":"risk_reported""#,
        r#""type":"feedback","user":"a""#,
        r#""type":"feedback","verdict":"safe""#,
        r#""type":"feedback","verdict":"safe","session":"s","device":"d""#,
    ] {
        let base = if members.contains("\"time\"") {
            r#""id":"e""#
        } else {
            base
        };
        let text = format!("{{{base},{members}}}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(NativeEvent::parse(text.as_bytes()).is_err(), "{text}");
        assert!(schemas.check("event.json", &value).is_err(), "{text}");
    }
}
