//! Each kind of evidence as an object, `evidence` in decisions. Knows no words for people.

use caerus_engine::evidence::{
    BindingChange, CheckState, CountExpected, Detail, Novelty, NoveltyLevel, PlaceName, Strength,
};
use caerus_engine::signal::{NetworkClass, PostureCheck};
use serde_json::{Map, Value, json};

use super::phrase::object;
use crate::decimal;
use crate::event::{Edr, RiskLevel, Severity, Verdict};

#[expect(clippy::too_many_lines, reason = "one arm for each kind of evidence")]
pub(super) fn object_of(detail: &Detail) -> Map<String, Value> {
    match detail {
        Detail::Novelty(Novelty {
            level,
            value,
            observations,
            distinct,
        }) => object([
            ("level", json!(level_name(*level))),
            ("value", json!(value)),
            ("observations", json!(observations)),
            ("distinct", json!(distinct)),
        ]),
        Detail::Familiar { observations } => object([("observations", json!(observations))]),
        Detail::Authentication { methods, strength } => object([
            ("methods", json!(methods)),
            ("strength", json!(strength_name(*strength))),
        ]),
        Detail::Travel {
            km,
            minutes,
            from,
            to,
        } => object([
            ("km", json!(km)),
            ("minutes", json!(minutes)),
            ("from", place_object(from)),
            ("to", place_object(to)),
        ]),
        Detail::NetworkClass(class) => object([("network", json!(network_name(*class)))]),
        Detail::Failures {
            failed,
            window_s,
            expected,
        } => object([
            ("failed", json!(failed)),
            ("window_s", json!(window_s)),
            ("expected", expected_value(*expected)),
        ]),
        Detail::FailureThenSuccess { failed } => object([("failed", json!(failed))]),
        Detail::Fanout {
            users,
            window_s,
            expected,
        } => object([
            ("users", json!(users)),
            ("window_s", json!(window_s)),
            ("expected", expected_value(*expected)),
        ]),
        Detail::Spray {
            failed,
            users,
            window_s,
        } => object([
            ("failed", json!(failed)),
            ("users", json!(users)),
            ("window_s", json!(window_s)),
        ]),
        Detail::MfaFatigue {
            refused,
            accepted_after,
        } => object([
            ("refused", json!(refused)),
            ("accepted_after", json!(accepted_after)),
        ]),
        Detail::CredentialChange { enrolled } => object([("enrolled", json!(enrolled))]),
        Detail::ReportedRisk(risk) => object([("level", json!(RiskLevel::from(*risk)))]),
        Detail::Check { check, state } => check_object(*check, *state),
        Detail::Alert { name, severity } => object([
            ("name", json!(name)),
            ("severity", json!(Severity::from(*severity))),
        ]),
        Detail::Binding { changes } => {
            let changes = changes.iter().map(change_object);
            object([("changes", Value::Array(changes.collect()))])
        }
        Detail::Requests {
            seen,
            window_s,
            expected,
        } => object([
            ("seen", json!(seen)),
            ("window_s", json!(window_s)),
            ("expected", expected_value(*expected)),
        ]),
        Detail::Volume {
            bytes,
            expected_bytes,
            observations,
        } => object([
            ("bytes", json!(bytes)),
            ("expected_bytes", json!(expected_bytes)),
            ("observations", json!(observations)),
        ]),
        Detail::Verdict { verdict, by } => object([
            ("verdict", json!(Verdict::from(*verdict))),
            ("by", json!(by)),
        ]),
    }
}

fn expected_value(expected: CountExpected) -> Value {
    decimal::value(i64::try_from(expected.0).unwrap_or(i64::MAX), 1e3)
}

fn place_object(place: &PlaceName) -> Value {
    let PlaceName { city, country } = place;
    let country = country.map(|country| country.to_string());
    Value::Object(object([("city", json!(city)), ("country", json!(country))]))
}

fn check_object(check: PostureCheck, state: CheckState) -> Map<String, Value> {
    let check = match check {
        PostureCheck::DiskEncryption => "disk_encrypted",
        PostureCheck::Edr => "edr",
        PostureCheck::Firewall => "firewall",
        PostureCheck::ScreenLock => "screen_lock",
        PostureCheck::Jailbreak => "jailbroken",
    };
    let (state, is_changed) = match state {
        CheckState::Failing => ("failing", false),
        CheckState::JustFailed => ("failing", true),
        CheckState::Edr(state) => (Edr::from(state).name(), false),
        CheckState::EdrJustChanged(state) => (Edr::from(state).name(), true),
    };
    object([
        ("check", json!(check)),
        ("state", json!(state)),
        ("changed", json!(is_changed)),
    ])
}

fn change_object(change: &BindingChange) -> Value {
    let (what, from, to) = match change {
        BindingChange::Country { from, to } => (
            "country",
            json!(from.map(|country| country.to_string())),
            json!(to.map(|country| country.to_string())),
        ),
        BindingChange::Asn { from, to } => (
            "asn",
            json!(from.map(|asn| asn.0)),
            json!(to.map(|asn| asn.0)),
        ),
        BindingChange::Browser { from, to } => ("browser", json!(from), json!(to)),
        BindingChange::AddressWithinAsn => ("address_within_asn", Value::Null, Value::Null),
        BindingChange::KnownNetwork => ("known_network", Value::Null, Value::Null),
        BindingChange::DeviceKey => ("device_key", Value::Null, Value::Null),
    };
    Value::Object(object([("what", json!(what)), ("from", from), ("to", to)]))
}

fn level_name(level: NoveltyLevel) -> &'static str {
    match level {
        NoveltyLevel::Country => "country",
        NoveltyLevel::Asn => "asn",
        NoveltyLevel::Prefix => "prefix",
        NoveltyLevel::Device => "device",
        NoveltyLevel::Os => "os",
        NoveltyLevel::Browser => "browser",
        NoveltyLevel::BrowserMajor => "browser_major",
        NoveltyLevel::Method => "method",
        NoveltyLevel::Factor => "factor",
    }
}

fn strength_name(strength: Strength) -> &'static str {
    match strength {
        Strength::None => "none",
        Strength::Sms => "sms",
        Strength::Otp => "otp",
        Strength::Push => "push",
        Strength::PhishingResistant => "phishing_resistant",
    }
}

fn network_name(class: NetworkClass) -> &'static str {
    match class {
        NetworkClass::Unknown => "unknown",
        NetworkClass::Residential => "residential",
        NetworkClass::Mobile => "mobile",
        NetworkClass::Corporate => "corporate",
        NetworkClass::Hosting => "hosting",
        NetworkClass::Vpn => "vpn",
        NetworkClass::Proxy => "proxy",
        NetworkClass::Tor => "tor",
        NetworkClass::Relay => "relay",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_holds_the_numbers_and_the_names() {
        let detail = Detail::Travel {
            km: 5_215,
            minutes: 41,
            from: PlaceName {
                city: Some("Berlin".to_owned()),
                country: None,
            },
            to: PlaceName::default(),
        };
        assert_eq!(
            Value::Object(object_of(&detail)).to_string(),
            r#"{"from":{"city":"Berlin","country":null},"km":5215,"minutes":41,"to":{"city":null,"country":null}}"#
        );
        let detail = Detail::Requests {
            seen: 87,
            window_s: 60,
            expected: CountExpected(12_340),
        };
        assert_eq!(
            Value::Object(object_of(&detail)).to_string(),
            r#"{"expected":12.34,"seen":87,"window_s":60}"#
        );
    }
}
