//! What the engine is told: one normalised fact about one subject. Knows nothing of JSON, vendors or scores.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::id::{
    AcrValue, AppId, Asn, CountryCode, DecisionId, DeviceId, EventId, Fingerprint, Prefix,
    PrincipalId, ResourceId, SessionId, SourceId, SubjectHash, SubjectKey, TenantId, UserId,
    WorkloadId,
};
use crate::number::Nats;
use crate::time::{Span, Timestamp};

/// One fact about one subject, with where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    pub origin: Origin,
    pub subject: Subject,
    pub fact: Fact,
}

/// Whose record it is for. Feedback on a decision knows the owner by the hash inside the decision's id alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Key(SubjectKey),
    Owner { tenant: TenantId, hash: SubjectHash },
}

impl Subject {
    pub fn hash(&self) -> SubjectHash {
        match self {
            Self::Key(key) => key.hash(),
            Self::Owner { hash, .. } => *hash,
        }
    }

    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Key(key) => key.tenant(),
            Self::Owner { tenant, .. } => tenant,
        }
    }
}

/// Where a signal came from and how it is to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub event: EventId,
    pub source: SourceId,
    /// When it happened, as the event says.
    pub time: Timestamp,
    /// When it was taken in. Never used in judgement; copied to `received_at` of decisions.
    pub received_at: Timestamp,
    /// Hash of the event as it came, to tell a repeat from another body under the same id.
    pub body: u64,
    /// Where it stood in its source topic; `None` for what was posted.
    pub position: Option<SourcePosition>,
    pub handling: Handling,
    /// W3C trace context (`traceparent`), copied to decisions.
    pub trace: Option<String>,
}

/// How an event's age is to be taken; decided once, when it is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// Scored, learned, decided upon.
    Live,
    /// More than 24 h old: scored, not learned, nothing decided.
    Late,
    /// History told on purpose: scored and learned, nothing decided.
    Backfill,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// For the user.
    Login(Box<Login>),
    /// For the user, or for the workload.
    Access(Box<Access>),
    /// For the device.
    Health(Box<Health>),
    /// For the user.
    Session(Box<SessionChange>),
    /// For whom it names.
    Feedback(Feedback),
    /// For the network: a login's compact form.
    NetworkLogin(NetworkLogin),
    /// For the tenant's shard: a login's compact form.
    TenantLogin(TenantLogin),
    /// For the device: a login's compact form, or the first access of a user and device in an hour.
    DeviceSeen { user: UserId },
    /// For a device's user: what is held against the device. Derived, never from outside.
    DeviceStanding(DeviceStanding),
    /// For the tenant's first shard: a shard's surge began, grew, went on or ended, and the climate says so by now.
    /// Derived, never from outside.
    TenantSurge { shard: u16, is_over: bool },
}

/// What the client of a login or a request showed of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    pub device: Option<DeviceId>,
    pub address: Option<IpAddr>,
    pub place: Place,
    pub agent: Agent,
    pub ja4: Option<Fingerprint>,
    pub certificate: Option<Fingerprint>,
}

impl Client {
    pub fn prefix(&self) -> Option<Prefix> {
        self.address.map(Prefix::of)
    }
}

/// Where an address lies, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub country: Option<CountryCode>,
    pub asn: Option<Asn>,
    /// A name for people, e.g. `Berlin`; never compared.
    pub city: Option<String>,
    pub fix: Option<Fix>,
    pub class: NetworkClass,
}

/// A geographic fix. *Units*: degrees in millionths; the radius, in metres, holds the device with 67 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fix {
    pub latitude: i32,
    pub longitude: i32,
    pub radius_m: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkClass {
    #[default]
    Unknown,
    Residential,
    Mobile,
    Corporate,
    Hosting,
    Vpn,
    Proxy,
    Tor,
    Relay,
}

/// The user agent's families, read where the event enters. Empty when unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    pub os: Option<String>,
    pub browser: Option<String>,
    pub browser_major: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Challenged,
    Failure(FailureKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    BadPassword,
    UnknownUser,
    Locked,
    MfaDenied,
    MfaTimeout,
    Blocked,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The session made by it, once made.
    pub session: Option<SessionId>,
    pub client: Client,
    pub outcome: Outcome,
    pub authentication: Authentication,
    /// When the session's credential was issued.
    pub issued_at: Option<Timestamp>,
}

/// How somebody proved who they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authentication {
    /// RFC 8176 method names, lower case.
    pub amr: BTreeSet<String>,
    pub acr: Option<AcrValue>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The caller's session; `None` for workloads.
    pub session: Option<SessionId>,
    pub client: Client,
    pub peer_workload: Option<WorkloadId>,
    pub app: Option<AppId>,
    pub resource: Option<ResourceId>,
    pub outcome: AccessOutcome,
    pub bytes_out: u64,
    /// 0–4, as the enforcement point classes the resource.
    pub sensitivity: Option<u8>,
    pub issued_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessOutcome {
    Served,
    /// 401 or 403: the request was refused and changes nothing of the session's binding.
    Refused,
}

/// A device's own report. Each check is optional: `None` says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Who uses it, when the report says.
    pub user: Option<UserId>,
    pub compliant: Option<bool>,
    pub managed: Option<bool>,
    pub os: Option<String>,
    pub os_version: Option<String>,
    pub disk_encrypted: Option<bool>,
    pub firewall: Option<bool>,
    pub screen_lock: Option<bool>,
    pub edr: Option<EdrState>,
    pub jailbroken: Option<bool>,
    pub patch_age_days: Option<u32>,
    /// 0–100, 100 is best.
    pub score: Option<u8>,
    pub alerts: Vec<Alert>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdrState {
    Running,
    Stopped,
    Missing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub severity: Severity,
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionChange {
    pub session: Option<SessionId>,
    pub client: Client,
    pub authentication: Authentication,
    pub issued_at: Option<Timestamp>,
    pub kind: SessionChangeKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionChangeKind {
    Started,
    Ended,
    /// An enforcement point saw a verified token that meets a demand; `issued_at` is its `auth_time`.
    StepUpMet,
    CredentialChanged,
    MfaEnrolled,
    AccountDisabled,
    AccountEnabled,
    /// A vendor's own verdict on the user.
    RiskReported {
        level: ReportedRisk,
        detail: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportedRisk {
    /// The vendor takes its report back.
    None,
    Low,
    Medium,
    High,
    LeakedCredentials,
    ConfirmedCompromised,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    pub verdict: Verdict,
    pub about: About,
    /// Authenticated, never as the body claims.
    pub by: PrincipalId,
    pub note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Compromised,
    Safe,
    /// Takes an earlier verdict back.
    Dismiss,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    Decision(DecisionId),
    User,
    Session(SessionId),
    Device,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkLogin {
    /// Hash of the user, [`crate::id::short_hash`] of tenant and user.
    pub user: u64,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantLogin {
    pub user: u64,
    pub prefix: Option<Prefix>,
    pub outcome: Outcome,
}

/// What a device's record concludes, as its users' records see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceStanding {
    pub device: DeviceId,
    /// Rises with every change; an older one is ignored.
    pub revision: u64,
    pub compliant: Option<bool>,
    pub managed: Option<bool>,
    /// The evidence that stands against the device, for the hypothesis `compromised_device`.
    pub evidence: Vec<StandingEvidence>,
}

/// One item of a device's evidence, told onward with its own date so that it decays alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingEvidence {
    pub finding: DeviceFinding,
    pub nats: Nats,
    pub since: Timestamp,
    pub half_life: Option<Span>,
    pub event: EventId,
}

/// What was found on a device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceFinding {
    Check(PostureCheck),
    Alert { name: String, severity: Severity },
    Analyst(Verdict),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PostureCheck {
    DiskEncryption,
    Edr,
    Firewall,
    ScreenLock,
    Jailbreak,
}

/// A place in a source topic, by which statistics over many recognise repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourcePosition {
    pub partition: u32,
    pub offset: u64,
}
