//! What is kept of a subject. Every field is public so that `wire` can write and read it; only `step` changes it.
//!
//! INVARIANT (INV-5): everything here is an integer, a name or an ordered collection of them, so that an encoded and
//! decoded record equals the one at hand.

use crate::evidence::{Code, Evidence};
use crate::id::{AcrValue, CountryCode, DeviceId, EventId, Prefix, SessionId, UserId};
use crate::number::{Nats, Score};
use crate::profile::access::{AccessHour, AccessProfile};
use crate::profile::baseline::RateBaseline;
use crate::profile::tree::Node;
use crate::signal::{EdrState, FailureKind, Fix, NetworkClass, PostureCheck, StandingEvidence};
use crate::time::Timestamp;

pub use crate::decide::in_force::{Core, InForce};
pub use crate::profile::population::Population;
pub use crate::profile::session::Bound;

/// A subject's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectRecord {
    User(Box<UserRecord>),
    Device(Box<DeviceRecord>),
    Network(Box<NetworkRecord>),
    Workload(Box<WorkloadRecord>),
    Tenant(Box<TenantRecord>),
}

impl SubjectRecord {
    pub fn core(&self) -> &Core {
        match self {
            Self::User(record) => &record.core,
            Self::Device(record) => &record.core,
            Self::Network(record) => &record.core,
            Self::Workload(record) => &record.core,
            Self::Tenant(record) => &record.core,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRecord {
    pub core: Core,
    pub first_seen: Timestamp,
    pub accepted_logins: u32,
    /// country → autonomous system → network.
    pub networks: Node,
    pub devices: Node,
    /// operating system → browser → major version.
    pub agents: Node,
    /// method → factor.
    pub methods: Node,
    /// The newest first.
    pub anchors: Vec<Anchor>,
    /// Failed logins of the last day, oldest first.
    pub failures: Vec<FailedLogin>,
    pub failure_baseline: RateBaseline,
    pub access: AccessProfile,
    /// User-scope evidence.
    pub evidence: Vec<Evidence>,
    /// In the order of their ids.
    pub sessions: Vec<Session>,
    /// Successful logins whose session is not known yet; the newest last.
    pub unbound: Vec<Session>,
    pub standings: Vec<HeldStanding>,
    /// Verdicts of analysts on evidence, by what they name.
    pub dismissals: Vec<Dismissal>,
    pub is_disabled: bool,
    pub last_credential_change: Option<CredentialChange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialChange {
    pub event: EventId,
    pub at: Timestamp,
    pub is_enrolment: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedLogin {
    pub at: Timestamp,
    pub kind: FailureKind,
}

/// A place the user was accepted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    pub prefix: Prefix,
    pub fix: Fix,
    pub at: Timestamp,
    pub class: NetworkClass,
    pub city: Option<String>,
    pub country: Option<CountryCode>,
}

/// What a device of the user's has told of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldStanding {
    pub device: DeviceId,
    pub revision: u64,
    pub at: Timestamp,
    pub compliant: Option<bool>,
    pub managed: Option<bool>,
    pub evidence: Vec<StandingEvidence>,
}

/// "This was no attack": takes nats off one code and key until it fades.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dismissal {
    /// The session it names; `None` for the user or device itself.
    pub session: Option<SessionId>,
    pub code: Code,
    pub key: u64,
    pub at: Timestamp,
    pub by: String,
}

/// A session inside its user's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub started_at: Timestamp,
    pub last_seen: Timestamp,
    /// When the login that made it succeeded; `None` when the session was first seen in use.
    pub login_at: Option<Timestamp>,
    pub issued_at: Option<Timestamp>,
    pub acr: Option<AcrValue>,
    /// Where it began, and where each met step-up was met from.
    pub bound: Vec<Bound>,
    /// Where the last request came from.
    pub current: Bound,
    pub evidence: Vec<Evidence>,
    /// When each key first gave positive evidence.
    pub dated: Vec<Dated>,
    /// Networks and devices already learned through this session.
    pub learned: Vec<u64>,
    pub met: Vec<MetStepUp>,
    pub hour: AccessHour,
    /// The last assessment's score, for `is_concerned`.
    pub score: Score,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    pub code: Code,
    pub key: u64,
    pub since: Timestamp,
}

/// A step-up that was met: what it disproves no longer counts for the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetStepUp {
    pub at: Timestamp,
    pub acr: Option<AcrValue>,
    pub network: Option<u64>,
    pub device: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRecord {
    pub core: Core,
    /// Rises with every change of the standing.
    pub revision: u64,
    pub reported_at: Option<Timestamp>,
    pub compliant: Option<bool>,
    pub managed: Option<bool>,
    pub os: Option<String>,
    pub disk_encrypted: Option<bool>,
    pub edr: Option<EdrState>,
    pub jailbroken: Option<bool>,
    pub checks: Vec<HeldCheck>,
    pub evidence: Vec<Evidence>,
    pub dismissals: Vec<Dismissal>,
    /// The users seen lately, the latest first.
    pub users: Vec<DeviceUser>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldCheck {
    pub check: PostureCheck,
    pub is_failing: bool,
    /// When it last went from passing to failing.
    pub failed_at: Option<Timestamp>,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceUser {
    pub user: UserId,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRecord {
    pub core: Core,
    /// Users whose logins failed here within the window, and when last.
    pub failed: Vec<UserMark>,
    /// Users whose logins succeeded here.
    pub accepted: Vec<UserMark>,
    pub baseline: RateBaseline,
    /// The start of the hour counted now, for the baseline.
    pub hour: i64,
    pub told: Option<ToldFanout>,
    pub is_egress: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserMark {
    pub user: u64,
    pub at: Timestamp,
}

/// What the climate was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldFanout {
    pub nats: Nats,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRecord {
    pub core: Core,
    pub failed: Vec<UserMark>,
    pub failures: Vec<Timestamp>,
    pub baseline: RateBaseline,
    pub window: i64,
    pub told: Option<ToldFanout>,
    pub since: Option<Timestamp>,
}

/// A service calling services: one long session without a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadRecord {
    pub core: Core,
    pub access: AccessProfile,
    pub hour: AccessHour,
    pub evidence: Vec<Evidence>,
    pub dismissals: Vec<Dismissal>,
}
