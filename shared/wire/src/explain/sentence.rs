//! Each kind of evidence in words: a phrase without a stop. Knows no weights.

use caerus_engine::evidence::{
    BindingChange, CheckState, Code, Detail, Novelty, NoveltyLevel, PlaceName, Strength,
};
use caerus_engine::signal::{EdrState, NetworkClass, PostureCheck, ReportedRisk, Verdict};

use super::phrase::{bytes, counted, expected, grouped, minutes, window};
use crate::event::Severity;
use crate::text::cut;

#[expect(clippy::too_many_lines, reason = "one arm for each kind of evidence")]
pub(super) fn text(code: Code, detail: &Detail) -> String {
    match detail {
        Detail::Novelty(novelty) => novelty_text(novelty),
        Detail::Familiar { observations } => {
            let seen = counted(
                (*observations).into(),
                "earlier sign-in",
                "earlier sign-ins",
            );
            format!("{} known from {seen}", chain_text(code))
        }
        Detail::Authentication { methods, strength } => authentication_text(methods, *strength),
        Detail::Travel {
            km,
            minutes: taken,
            from,
            to,
        } => format!(
            "{} km in {}: {}, then {}",
            grouped((*km).into()),
            minutes(*taken),
            place_text(from),
            place_text(to)
        ),
        Detail::NetworkClass(class) => format!("from {}", network_text(*class)),
        Detail::Failures {
            failed,
            window_s,
            expected: usual,
        } => format!(
            "{} in {}, {}",
            counted((*failed).into(), "failed sign-in", "failed sign-ins"),
            window(*window_s),
            expected(usual.0)
        ),
        Detail::FailureThenSuccess { failed } => format!(
            "success after {}",
            counted((*failed).into(), "failed sign-in", "failed sign-ins")
        ),
        Detail::Fanout {
            users,
            window_s,
            expected: usual,
        } => format!(
            "sign-ins of {} failed from this network in {}, {}",
            counted((*users).into(), "user", "users"),
            window(*window_s),
            expected(usual.0)
        ),
        Detail::Spray {
            failed,
            users,
            window_s,
        } => format!(
            "a surge over the organisation: {} of {} in {}",
            counted((*failed).into(), "failed sign-in", "failed sign-ins"),
            counted((*users).into(), "user", "users"),
            window(*window_s)
        ),
        Detail::MfaFatigue {
            refused,
            accepted_after,
        } => {
            let refused = counted((*refused).into(), "refused prompt", "refused prompts");
            let end = if *accepted_after {
                ", then one accepted"
            } else {
                ""
            };
            format!("{refused}{end}")
        }
        Detail::CredentialChange { enrolled: true } => String::from("a new factor was enrolled"),
        Detail::CredentialChange { enrolled: false } => String::from("the credential was changed"),
        Detail::ReportedRisk(risk) => risk_text(*risk).to_owned(),
        Detail::Check { check, state } => check_text(*check, *state),
        Detail::Alert { name, severity } => {
            let severity = Severity::from(*severity).name();
            format!("{severity} alert on the device: {}", cut(name))
        }
        Detail::Binding { changes } => binding_text(changes),
        Detail::Requests {
            seen,
            window_s,
            expected: usual,
        } => format!(
            "{} in {}, {}",
            requests_text(code, (*seen).into()),
            window(*window_s),
            expected(usual.0)
        ),
        Detail::Volume {
            bytes: sent,
            expected_bytes,
            ..
        } => format!(
            "{} sent out, {} expected",
            bytes(*sent),
            bytes(*expected_bytes)
        ),
        Detail::Verdict { verdict, by } => format!("{}, says {}", verdict_text(*verdict), cut(by)),
    }
}

/// `new country NG; 40 sign-ins before were from 2`.
fn novelty_text(novelty: &Novelty) -> String {
    let Novelty {
        level,
        value,
        observations,
        distinct,
    } = novelty;
    let (noun, plural) = match level {
        NoveltyLevel::Country => ("country", "countries"),
        NoveltyLevel::Asn => ("provider", "providers"),
        NoveltyLevel::Prefix => ("network", "networks"),
        NoveltyLevel::Device => ("device", "devices"),
        NoveltyLevel::Os => ("operating system", "operating systems"),
        NoveltyLevel::Browser => ("browser", "browsers"),
        NoveltyLevel::BrowserMajor => ("browser version", "browser versions"),
        NoveltyLevel::Method => ("sign-in method", "sign-in methods"),
        NoveltyLevel::Factor => ("factor", "factors"),
    };
    let value = cut(value);
    if *observations == 0 {
        return format!("first {noun} seen: {value}");
    }
    let before = counted((*observations).into(), "observation", "observations");
    let known = counted((*distinct).into(), noun, plural);
    format!("new {noun} {value}, after {before} of {known}")
}

fn chain_text(code: Code) -> &'static str {
    match code {
        Code::NetChain => "network",
        Code::DevChain => "device",
        Code::AuthChain => "way of signing in",
        Code::Travel
        | Code::NetClass
        | Code::FailUser
        | Code::FailSucc
        | Code::IpFanout
        | Code::TenantSpray
        | Code::MfaFatigue
        | Code::CredChange
        | Code::IdpRisk
        | Code::Posture
        | Code::EdrAlert
        | Code::Binding
        | Code::AccRate
        | Code::AccFanout
        | Code::AccDeny
        | Code::AccVol
        | Code::Analyst => "habit",
    }
}

fn authentication_text(methods: &[String], strength: Strength) -> String {
    let strength = match strength {
        Strength::None => "a single factor",
        Strength::Sms => "a texted code",
        Strength::Otp => "a one-time code",
        Strength::Push => "a confirmed prompt",
        Strength::PhishingResistant => "a phishing-resistant key",
    };
    if methods.is_empty() {
        return format!("signed in with {strength}");
    }
    format!("signed in with {strength} ({})", cut(&methods.join(", ")))
}

fn place_text(place: &PlaceName) -> String {
    match place {
        PlaceName {
            city: Some(city), ..
        } => cut(city),
        PlaceName {
            city: None,
            country: Some(country),
        } => country.to_string(),
        PlaceName {
            city: None,
            country: None,
        } => String::from("an unknown place"),
    }
}

fn network_text(class: NetworkClass) -> &'static str {
    match class {
        NetworkClass::Unknown => "a network of unknown kind",
        NetworkClass::Residential => "a residential network",
        NetworkClass::Mobile => "a mobile network",
        NetworkClass::Corporate => "a corporate network",
        NetworkClass::Hosting => "a hosting provider",
        NetworkClass::Vpn => "a VPN",
        NetworkClass::Proxy => "an anonymising proxy",
        NetworkClass::Tor => "the Tor network",
        NetworkClass::Relay => "a privacy relay",
    }
}

fn risk_text(risk: ReportedRisk) -> &'static str {
    match risk {
        ReportedRisk::None => "the identity provider takes its report back",
        ReportedRisk::Low => "the identity provider reports low risk",
        ReportedRisk::Medium => "the identity provider reports medium risk",
        ReportedRisk::High => "the identity provider reports high risk",
        ReportedRisk::LeakedCredentials => "the identity provider found the credentials leaked",
        ReportedRisk::ConfirmedCompromised => "the identity provider confirms a compromise",
    }
}

fn check_text(check: PostureCheck, state: CheckState) -> String {
    let edr = |state: EdrState| match state {
        EdrState::Running => "running",
        EdrState::Stopped => "stopped",
        EdrState::Missing => "missing",
    };
    let failing = match check {
        PostureCheck::DiskEncryption => "disk encryption is off",
        PostureCheck::Edr => "endpoint protection is not running",
        PostureCheck::Firewall => "the firewall is off",
        PostureCheck::ScreenLock => "the screen lock is off",
        PostureCheck::Jailbreak => "the device is jailbroken",
    };
    match state {
        CheckState::Failing => failing.to_owned(),
        CheckState::JustFailed => format!("{failing}, and lately was not so"),
        CheckState::Edr(state) => format!("endpoint protection is {}", edr(state)),
        CheckState::EdrJustChanged(state) => {
            format!(
                "endpoint protection is {}, and lately was running",
                edr(state)
            )
        }
    }
}

fn binding_text(changes: &[BindingChange]) -> String {
    fn or_unknown<T: ToString>(value: Option<&T>) -> String {
        value.map_or_else(|| String::from("unknown"), ToString::to_string)
    }
    let change_text = |change: &BindingChange| match change {
        BindingChange::Country { from, to } => {
            format!(
                "country {} to {}",
                or_unknown(from.as_ref()),
                or_unknown(to.as_ref())
            )
        }
        BindingChange::Asn { from, to } => {
            format!(
                "provider {} to {}",
                or_unknown(from.as_ref()),
                or_unknown(to.as_ref())
            )
        }
        BindingChange::AddressWithinAsn => String::from("address within its provider"),
        BindingChange::KnownNetwork => String::from("to a network known of the user"),
        BindingChange::Browser { from, to } => format!("browser {} to {}", cut(from), cut(to)),
        BindingChange::DeviceKey => String::from("the device's key"),
    };
    if changes.is_empty() {
        return String::from("the session is where it began");
    }
    let changes: Vec<String> = changes.iter().map(change_text).collect();
    format!("changed within the session: {}", changes.join("; "))
}

fn requests_text(code: Code, seen: u64) -> String {
    match code {
        Code::AccFanout => counted(seen, "distinct resource", "distinct resources"),
        Code::AccDeny => counted(seen, "refused request", "refused requests"),
        Code::AccRate
        | Code::NetChain
        | Code::DevChain
        | Code::AuthChain
        | Code::Travel
        | Code::NetClass
        | Code::FailUser
        | Code::FailSucc
        | Code::IpFanout
        | Code::TenantSpray
        | Code::MfaFatigue
        | Code::CredChange
        | Code::IdpRisk
        | Code::Posture
        | Code::EdrAlert
        | Code::Binding
        | Code::AccVol
        | Code::Analyst => counted(seen, "request", "requests"),
    }
}

fn verdict_text(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Compromised => "this was an attack",
        Verdict::Safe => "this was no attack",
        Verdict::Dismiss => "an earlier verdict is taken back",
    }
}

#[cfg(test)]
mod tests {
    use caerus_engine::evidence::CountExpected;
    use caerus_engine::id::{Asn, CountryCode};
    use caerus_engine::signal;

    use super::*;

    fn place(city: &str) -> PlaceName {
        PlaceName {
            city: Some(city.to_owned()),
            country: None,
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn evidence_reads_as_a_sentence() {
        let novelty = |observations| {
            Detail::Novelty(Novelty {
                level: NoveltyLevel::Country,
                value: "NG".to_owned(),
                observations,
                distinct: 2,
            })
        };
        for (code, detail, sentence) in [
            (
                Code::NetChain,
                novelty(40),
                "new country NG, after 40 observations of 2 countries",
            ),
            (Code::NetChain, novelty(0), "first country seen: NG"),
            (
                Code::DevChain,
                Detail::Familiar { observations: 1 },
                "device known from 1 earlier sign-in",
            ),
            (
                Code::Travel,
                Detail::Travel {
                    km: 5_215,
                    minutes: 41,
                    from: place("Berlin"),
                    to: place("Lagos"),
                },
                "5,215 km in 41 minutes: Berlin, then Lagos",
            ),
            (
                Code::FailUser,
                Detail::Failures {
                    failed: 12,
                    window_s: 600,
                    expected: CountExpected(20),
                },
                "12 failed sign-ins in 10 minutes, less than 0.1 expected",
            ),
            (
                Code::MfaFatigue,
                Detail::MfaFatigue {
                    refused: 4,
                    accepted_after: true,
                },
                "4 refused prompts, then one accepted",
            ),
            (
                Code::Posture,
                Detail::Check {
                    check: PostureCheck::Edr,
                    state: CheckState::EdrJustChanged(EdrState::Stopped),
                },
                "endpoint protection is stopped, and lately was running",
            ),
            (
                Code::EdrAlert,
                Detail::Alert {
                    name: "EICAR".to_owned(),
                    severity: signal::Severity::Critical,
                },
                "critical alert on the device: EICAR",
            ),
            (
                Code::Binding,
                Detail::Binding {
                    changes: vec![
                        BindingChange::Country {
                            from: Some(CountryCode(*b"DE")),
                            to: None,
                        },
                        BindingChange::Asn {
                            from: Some(Asn(3_320)),
                            to: Some(Asn(29_465)),
                        },
                    ],
                },
                "changed within the session: country DE to unknown; provider AS3320 to AS29465",
            ),
            (
                Code::AccFanout,
                Detail::Requests {
                    seen: 1_087,
                    window_s: 60,
                    expected: CountExpected(12_340),
                },
                "1,087 distinct resources in 1 minute, 12.3 expected",
            ),
            (
                Code::AccVol,
                Detail::Volume {
                    bytes: 2_300_000_000,
                    expected_bytes: 41_000_000,
                    observations: 30,
                },
                "2.3 GB sent out, 41.0 MB expected",
            ),
        ] {
            assert_eq!(text(code, &detail), sentence);
        }
    }
}
