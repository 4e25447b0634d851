//! The native form of an event: strict reading with located errors, and writing. Knows no vendor and no clock.
//!
//! A member that is `null` counts as absent. Unknown members are kept and otherwise ignored.

mod members;
mod read;
#[cfg(test)]
pub(crate) mod tests;
mod write;

use std::net::IpAddr;

use caerus_engine::id::DecisionId;
use caerus_engine::signal;
use caerus_engine::time::Timestamp;
use serde_json::{Map, Value};

use crate::json::JsonError;
use crate::word::{twins, words};

/// *Units*: bytes of one event.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;
/// *Units*: characters of an event's `id`.
pub const ID_CHARS_MAX: usize = 128;
/// *Units*: characters of every other name: tenant, source, user, session, device, app, methods, fingerprints.
pub const NAME_CHARS_MAX: usize = 512;
/// *Units*: characters of a SPIFFE ID (SPIFFE-ID §2.3 bounds it at 2,048 bytes).
pub const WORKLOAD_CHARS_MAX: usize = 2_048;
/// *Units*: characters of what is text rather than a name: resource, user agent, note, detail.
pub const TEXT_CHARS_MAX: usize = 8_192;
/// Methods in `amr`.
pub const METHODS_MAX: usize = 32;
/// Alerts in one health report.
pub const ALERTS_MAX: usize = 256;
/// *Units*: kilometres; half the Earth's circumference.
pub const RADIUS_KM_MAX: u32 = 20_038;
/// *Units*: days; a hundred years.
pub const PATCH_AGE_DAYS_MAX: u32 = 36_525;
/// The most sensitive class of a resource.
pub const SENSITIVITY_MAX: u8 = 4;
/// The best score of a device's posture.
pub const POSTURE_SCORE_MAX: u8 = 100;

/// One event as producers write it; members as in the contract, §2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeEvent {
    pub id: String,
    /// Member `type`.
    pub kind: EventType,
    pub time: Timestamp,
    pub tenant: Option<String>,
    pub source: Option<String>,
    pub user: Option<String>,
    /// A SPIFFE ID: the caller.
    pub workload: Option<String>,
    /// A SPIFFE ID: the callee.
    pub peer_workload: Option<String>,
    pub session: Option<String>,
    pub device: Option<String>,
    pub ip: Option<IpAddr>,
    pub user_agent: Option<String>,
    pub geo: Option<Geo>,
    pub outcome: Option<Outcome>,
    pub failure: Option<Failure>,
    /// RFC 8176 method names, as reported.
    pub amr: Option<Vec<String>>,
    pub acr: Option<String>,
    pub issued_at: Option<Timestamp>,
    pub app: Option<String>,
    pub resource: Option<String>,
    pub method: Option<String>,
    /// The HTTP status answered, 100–599.
    pub status: Option<u16>,
    pub bytes_out: Option<u64>,
    /// 0–[`SENSITIVITY_MAX`].
    pub sensitivity: Option<u8>,
    pub ja4: Option<String>,
    pub cert_sha256: Option<String>,
    pub posture: Option<Posture>,
    pub event: Option<SessionEvent>,
    pub level: Option<RiskLevel>,
    pub detail: Option<String>,
    pub verdict: Option<Verdict>,
    pub decision: Option<DecisionId>,
    pub by: Option<String>,
    pub note: Option<String>,
    /// Ground truth on labelled data, in whatever form it has there.
    pub label: Option<Value>,
    /// Members this form does not know.
    pub extra: Map<String, Value>,
}

/// Where the reporter says that it happened. *Shape*: a latitude comes with a longitude.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Geo {
    /// Member `lat`. *Units*: millionths of a degree.
    pub latitude: Option<i32>,
    /// Member `lon`. *Units*: millionths of a degree.
    pub longitude: Option<i32>,
    /// Member `radius_km`. *Units*: metres.
    pub radius_m: Option<u32>,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: Option<String>,
    pub region: Option<String>,
    pub city: Option<String>,
    pub asn: Option<u32>,
    pub as_org: Option<String>,
    pub network: Option<Network>,
    pub extra: Map<String, Value>,
}

/// A device's own report; each member is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Posture {
    pub compliant: Option<bool>,
    pub managed: Option<bool>,
    pub os: Option<String>,
    pub os_version: Option<String>,
    pub disk_encrypted: Option<bool>,
    pub firewall: Option<bool>,
    pub screen_lock: Option<bool>,
    pub edr: Option<Edr>,
    pub jailbroken: Option<bool>,
    pub patch_age_days: Option<u32>,
    /// 0–[`POSTURE_SCORE_MAX`], the greater the better.
    pub score: Option<u8>,
    pub alerts: Vec<Alert>,
    pub extra: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub severity: Severity,
    pub name: String,
    pub extra: Map<String, Value>,
}

words! {
    /// Member `type`.
    pub enum EventType {
        Login = "login",
        DeviceHealth = "device_health",
        Access = "access",
        Session = "session",
        Feedback = "feedback",
    }
}

words! {
    pub enum Outcome {
        Success = "success",
        Failure = "failure",
        Challenged = "challenged",
    }
}

words! {
    /// Why a login failed.
    pub enum Failure {
        BadPassword = "bad_password",
        UnknownUser = "unknown_user",
        Locked = "locked",
        MfaDenied = "mfa_denied",
        MfaTimeout = "mfa_timeout",
        Blocked = "blocked",
        Other = "other",
    }
}
twins! { Failure = signal::FailureKind {
    BadPassword, UnknownUser, Locked, MfaDenied, MfaTimeout, Blocked, Other,
}}

words! {
    /// What kind of network an address belongs to; absent when unknown.
    pub enum Network {
        Residential = "residential",
        Mobile = "mobile",
        Corporate = "corporate",
        Hosting = "hosting",
        Vpn = "vpn",
        Proxy = "proxy",
        Tor = "tor",
        Relay = "relay",
    }
}

impl From<Network> for signal::NetworkClass {
    fn from(network: Network) -> Self {
        match network {
            Network::Residential => Self::Residential,
            Network::Mobile => Self::Mobile,
            Network::Corporate => Self::Corporate,
            Network::Hosting => Self::Hosting,
            Network::Vpn => Self::Vpn,
            Network::Proxy => Self::Proxy,
            Network::Tor => Self::Tor,
            Network::Relay => Self::Relay,
        }
    }
}

words! {
    /// The state of a device's endpoint detection and response.
    pub enum Edr {
        Running = "running",
        Stopped = "stopped",
        Missing = "missing",
    }
}
twins! { Edr = signal::EdrState { Running, Stopped, Missing, } }

words! {
    pub enum Severity {
        Low = "low",
        Medium = "medium",
        High = "high",
        Critical = "critical",
    }
}
twins! { Severity = signal::Severity { Low, Medium, High, Critical, } }

words! {
    /// What became of a session or an account.
    pub enum SessionEvent {
        Started = "started",
        Ended = "ended",
        StepUpMet = "step_up_met",
        CredentialChanged = "credential_changed",
        MfaEnrolled = "mfa_enrolled",
        AccountDisabled = "account_disabled",
        AccountEnabled = "account_enabled",
        RiskReported = "risk_reported",
    }
}

words! {
    /// A vendor's verdict on a user. Read whatever its case, because CAEP writes `HIGH`.
    pub enum RiskLevel {
        /// The vendor takes its report back.
        None = "none",
        Low = "low",
        Medium = "medium",
        High = "high",
        LeakedCredentials = "leaked_credentials",
        ConfirmedCompromised = "confirmed_compromised",
    }
}
twins! { RiskLevel = signal::ReportedRisk {
    None, Low, Medium, High, LeakedCredentials, ConfirmedCompromised,
}}

words! {
    /// What an analyst found.
    pub enum Verdict {
        Compromised = "compromised",
        Safe = "safe",
        Dismiss = "dismiss",
    }
}
twins! { Verdict = signal::Verdict { Compromised, Safe, Dismiss, } }

/// Why something is no native event. `member` is its path, e.g. `posture.alerts[2].severity`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error("the event has {len} bytes; at most {EVENT_BYTES_MAX} are taken")]
    TooLarge { len: usize },
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error("an event is a JSON object, not {found}")]
    NotAnObject { found: &'static str },
    #[error("member `{member}` is missing; {reason}")]
    Missing {
        member: &'static str,
        reason: &'static str,
    },
    #[error("member `{member}` must be {expected}, not {found}")]
    WrongType {
        member: String,
        expected: &'static str,
        found: &'static str,
    },
    #[error("`{value}` is not a type of event; there are {}", EventType::WORDS.join(", "))]
    UnknownType { value: String },
    #[error("member `{member}` is `{value}`; it may be one of {}", expected.join(", "))]
    UnknownWord {
        member: String,
        value: String,
        expected: &'static [&'static str],
    },
    #[error("member `{member}` has {len} {of}; {min} to {max} are taken")]
    BadLength {
        member: String,
        len: usize,
        /// What is counted: characters or entries.
        of: &'static str,
        min: usize,
        max: usize,
    },
    #[error("member `{member}` has a control character (U+{code:04X}) at character {at}")]
    ControlCharacter {
        member: String,
        code: u32,
        /// From 1.
        at: usize,
    },
    #[error("member `{member}` is out of range; {expected}")]
    OutOfRange {
        member: String,
        expected: &'static str,
    },
    #[error("member `{member}` is `{value}`, which is not {expected}")]
    Unreadable {
        member: String,
        value: String,
        expected: &'static str,
    },
    #[error("member `{member}` does not fit; {reason}")]
    Unfitting {
        member: &'static str,
        reason: &'static str,
    },
}

impl EventError {
    /// A short name from a closed list, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Json(JsonError::NotUtf8 { .. }) => "not_utf8",
            Self::Json(JsonError::Malformed { .. }) => "not_json",
            Self::Json(JsonError::NumberOutOfRange { .. }) => "number_out_of_range",
            Self::Json(JsonError::TooDeep { .. }) => "too_deep",
            Self::Json(JsonError::Twice { .. }) => "duplicate_member",
            Self::NotAnObject { .. } => "not_an_object",
            Self::Missing { .. } => "missing_member",
            Self::WrongType { .. } => "wrong_type",
            Self::UnknownType { .. } => "unknown_type",
            Self::UnknownWord { .. } => "unknown_word",
            Self::BadLength { .. } => "bad_length",
            Self::ControlCharacter { .. } => "control_character",
            Self::OutOfRange { .. } => "out_of_range",
            Self::Unreadable { .. } => "unreadable_member",
            Self::Unfitting { .. } => "unfitting_member",
        }
    }
}

impl NativeEvent {
    /// An event with nothing but what every event has.
    pub fn new(id: impl Into<String>, kind: EventType, time: Timestamp) -> Self {
        Self {
            id: id.into(),
            kind,
            time,
            tenant: None,
            source: None,
            user: None,
            workload: None,
            peer_workload: None,
            session: None,
            device: None,
            ip: None,
            user_agent: None,
            geo: None,
            outcome: None,
            failure: None,
            amr: None,
            acr: None,
            issued_at: None,
            app: None,
            resource: None,
            method: None,
            status: None,
            bytes_out: None,
            sensitivity: None,
            ja4: None,
            cert_sha256: None,
            posture: None,
            event: None,
            level: None,
            detail: None,
            verdict: None,
            decision: None,
            by: None,
            note: None,
            label: None,
            extra: Map::new(),
        }
    }

    /// Reads one event. *Errors*: the first thing that is wrong, by the order of the contract's table.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventError> {
        read::event(bytes)
    }

    /// How a login or an access ended: a failure without a kind is `Other`, and what says nothing succeeded.
    pub fn outcome_kind(&self) -> signal::Outcome {
        match (self.outcome, self.failure) {
            (Some(Outcome::Failure), failure) | (None, failure @ Some(_)) => {
                let kind = failure.map_or(signal::FailureKind::Other, Into::into);
                signal::Outcome::Failure(kind)
            }
            (Some(Outcome::Challenged), _) => signal::Outcome::Challenged,
            (Some(Outcome::Success) | None, _) => signal::Outcome::Success,
        }
    }
}

impl Geo {
    /// A fix in degrees; what lies beyond the poles or the date line is moved onto them.
    pub fn at(latitude: f64, longitude: f64) -> Self {
        let millionths = |degrees: f64, most: i32| {
            let limit = i64::from(most) * 1_000_000;
            let value = caerus_engine::number::quantise(degrees * 1e6).clamp(-limit, limit);
            i32::try_from(value).ok()
        };
        Self {
            latitude: millionths(latitude, 90),
            longitude: millionths(longitude, 180),
            ..Self::default()
        }
    }
}
