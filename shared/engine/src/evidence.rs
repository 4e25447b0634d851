//! Facts as nats: codes, families, scopes, decay. Knows nothing of hypotheses' priors or of decisions.

use crate::id::{Asn, CountryCode, EventId};
use crate::number::Nats;
use crate::signal::{EdrState, NetworkClass, PostureCheck, ReportedRisk, Severity, Verdict};
use crate::time::{Span, Timestamp};

/// What kind of fact. The names are part of the contract and never change meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    NetChain,
    DevChain,
    AuthChain,
    Travel,
    NetClass,
    FailUser,
    FailSucc,
    IpFanout,
    TenantSpray,
    MfaFatigue,
    CredChange,
    IdpRisk,
    Posture,
    EdrAlert,
    Binding,
    AccRate,
    AccFanout,
    AccDeny,
    AccVol,
    Analyst,
}

impl Code {
    /// Every code, in the fixed order in which evidence is added up.
    pub const ALL: [Self; 20] = [
        Self::NetChain,
        Self::DevChain,
        Self::AuthChain,
        Self::Travel,
        Self::NetClass,
        Self::FailUser,
        Self::FailSucc,
        Self::IpFanout,
        Self::TenantSpray,
        Self::MfaFatigue,
        Self::CredChange,
        Self::IdpRisk,
        Self::Posture,
        Self::EdrAlert,
        Self::Binding,
        Self::AccRate,
        Self::AccFanout,
        Self::AccDeny,
        Self::AccVol,
        Self::Analyst,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::NetChain => "NET_CHAIN",
            Self::DevChain => "DEV_CHAIN",
            Self::AuthChain => "AUTH_CHAIN",
            Self::Travel => "TRAVEL",
            Self::NetClass => "NET_CLASS",
            Self::FailUser => "FAIL_USER",
            Self::FailSucc => "FAIL_SUCC",
            Self::IpFanout => "IP_FANOUT",
            Self::TenantSpray => "TENANT_SPRAY",
            Self::MfaFatigue => "MFA_FATIGUE",
            Self::CredChange => "CRED_CHANGE",
            Self::IdpRisk => "IDP_RISK",
            Self::Posture => "POSTURE",
            Self::EdrAlert => "EDR_ALERT",
            Self::Binding => "BINDING",
            Self::AccRate => "ACC_RATE",
            Self::AccFanout => "ACC_FANOUT",
            Self::AccDeny => "ACC_DENY",
            Self::AccVol => "ACC_VOL",
            Self::Analyst => "ANALYST",
        }
    }
}

/// Codes that re-express related facts; a family's sum is capped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    Network,
    Geo,
    DeviceNovelty,
    Auth,
    Campaign,
    Reputation,
    Vendor,
    Posture,
    Binding,
    Access,
    Analyst,
}

/// What was observed and what was expected, for people and for `evidence` in decisions. Text is made in `wire`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A level of a novelty chain: how often the user was seen there, among how many observations.
    Novelty(Novelty),
    /// The network chain, the device chain or the authentication chain met only what is known.
    Familiar {
        observations: u32,
    },
    Authentication {
        methods: Vec<String>,
        strength: Strength,
    },
    Travel {
        km: u32,
        minutes: u32,
        from: PlaceName,
        to: PlaceName,
    },
    NetworkClass(NetworkClass),
    Failures {
        failed: u32,
        window_s: u32,
        expected: CountExpected,
    },
    FailureThenSuccess {
        failed: u32,
    },
    Fanout {
        users: u32,
        window_s: u32,
        expected: CountExpected,
    },
    Spray {
        failed: u32,
        users: u32,
        window_s: u32,
    },
    MfaFatigue {
        refused: u32,
        accepted_after: bool,
    },
    CredentialChange {
        enrolled: bool,
    },
    ReportedRisk(ReportedRisk),
    Check {
        check: PostureCheck,
        state: CheckState,
    },
    Alert {
        name: String,
        severity: Severity,
    },
    Binding {
        changes: Vec<BindingChange>,
    },
    Requests {
        seen: u32,
        window_s: u32,
        expected: CountExpected,
    },
    Volume {
        bytes: u64,
        expected_bytes: u64,
        observations: u32,
    },
    Verdict {
        verdict: Verdict,
        by: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Novelty {
    pub level: NoveltyLevel,
    /// The value that was not seen before, for people.
    pub value: String,
    pub observations: u32,
    pub distinct: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoveltyLevel {
    Country,
    Asn,
    Prefix,
    Device,
    Os,
    Browser,
    BrowserMajor,
    Method,
    Factor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    None,
    Sms,
    Otp,
    Push,
    PhishingResistant,
}

/// Where a fix lies, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceName {
    pub city: Option<String>,
    pub country: Option<CountryCode>,
}

/// *Units*: thousandths of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountExpected(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    Failing,
    JustFailed,
    Edr(EdrState),
    EdrJustChanged(EdrState),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindingChange {
    Country {
        from: Option<CountryCode>,
        to: Option<CountryCode>,
    },
    Asn {
        from: Option<Asn>,
        to: Option<Asn>,
    },
    AddressWithinAsn,
    KnownNetwork,
    Browser {
        from: String,
        to: String,
    },
    DeviceKey,
}

/// One item of evidence, in the one scope it lives in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub code: Code,
    /// What the fact is about within its code; the same fact told again replaces by the code's rule.
    pub key: u64,
    pub nats: Nats,
    /// When its key first gave positive evidence; decay starts at [`Evidence::at`].
    pub since: Timestamp,
    /// When it was last evaluated.
    pub at: Timestamp,
    pub half_life: Option<Span>,
    pub event: EventId,
    pub detail: Detail,
    /// The network and the device it is keyed to, by which a met step-up tells what it disproves.
    pub network: Option<u64>,
    pub device: Option<u64>,
}
