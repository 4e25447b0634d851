//! A device's posture and alerts as nats. *Source*: reference/scoring.md §6.3 POSTURE, EDR_ALERT, NET_CLASS.

use crate::signal::{EdrState, Health, NetworkClass, PostureCheck, ReportedRisk, Severity};
use crate::time::Span;

/// A check that failed this recently weighs more than one that always did.
pub const JUST_FAILED: Span = Span::hours(24);
/// A report holds this long.
pub const REPORT_LIFE: Span = Span::days(7);
/// What having just failed multiplies a check's weight by.
pub const JUST_FAILED_FACTOR: f64 = 1.5;
/// What all failing checks together may weigh.
pub const CHECKS_MAX: f64 = 5.0;

pub fn check_nats(check: PostureCheck) -> f64 {
    match check {
        PostureCheck::DiskEncryption => 1.0,
        PostureCheck::Edr => 2.0,
        PostureCheck::Firewall => 0.5,
        PostureCheck::ScreenLock => 0.4,
        PostureCheck::Jailbreak => 3.0,
    }
}

/// The checks a report speaks of, and whether each fails.
pub fn checks(health: &Health) -> Vec<(PostureCheck, bool)> {
    [
        (
            PostureCheck::DiskEncryption,
            health.disk_encrypted.map(|is_encrypted| !is_encrypted),
        ),
        (
            PostureCheck::Edr,
            health.edr.map(|edr| edr != EdrState::Running),
        ),
        (PostureCheck::Firewall, health.firewall.map(|is_on| !is_on)),
        (
            PostureCheck::ScreenLock,
            health.screen_lock.map(|is_on| !is_on),
        ),
        (PostureCheck::Jailbreak, health.jailbroken),
    ]
    .into_iter()
    .filter_map(|(check, is_failing)| Some((check, is_failing?)))
    .collect()
}

pub fn alert_nats(severity: Severity) -> f64 {
    match severity {
        Severity::Low => 0.7,
        Severity::Medium => 1.5,
        Severity::High => 3.0,
        Severity::Critical => 5.0,
    }
}

pub fn network_class_nats(class: NetworkClass) -> f64 {
    match class {
        NetworkClass::Tor => 3.0,
        NetworkClass::Proxy => 2.0,
        NetworkClass::Hosting => 1.5,
        NetworkClass::Vpn => 0.7,
        NetworkClass::Relay => 0.3,
        NetworkClass::Corporate => -1.0,
        NetworkClass::Mobile | NetworkClass::Residential | NetworkClass::Unknown => 0.0,
    }
}

pub fn reported_risk_nats(level: ReportedRisk) -> f64 {
    match level {
        ReportedRisk::None => 0.0,
        ReportedRisk::Low => 0.5,
        ReportedRisk::Medium => 1.5,
        ReportedRisk::High | ReportedRisk::LeakedCredentials => 3.0,
        ReportedRisk::ConfirmedCompromised => 9.0,
    }
}

/// What an analyst's verdict is worth.
pub const ANALYST: f64 = 12.0;
