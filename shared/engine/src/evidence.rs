//! Facts as nats: codes, families, scopes, decay. Knows nothing of hypotheses' priors or of decisions.

pub mod binding;
pub mod device;
pub mod novelty;
pub mod tails;
pub mod travel;

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

/// Whether a code's items replace one another or add up, fading, as a p-series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    State,
    Event,
}

impl Code {
    pub fn kind(self) -> Kind {
        match self {
            Self::Travel | Self::EdrAlert | Self::CredChange | Self::FailSucc | Self::Analyst => {
                Kind::Event
            }
            Self::NetChain
            | Self::DevChain
            | Self::AuthChain
            | Self::NetClass
            | Self::FailUser
            | Self::IpFanout
            | Self::TenantSpray
            | Self::MfaFatigue
            | Self::IdpRisk
            | Self::Posture
            | Self::Binding
            | Self::AccRate
            | Self::AccFanout
            | Self::AccDeny
            | Self::AccVol => Kind::State,
        }
    }

    pub fn family(self) -> Family {
        match self {
            Self::NetChain => Family::Network,
            Self::DevChain => Family::DeviceNovelty,
            Self::AuthChain
            | Self::FailUser
            | Self::FailSucc
            | Self::MfaFatigue
            | Self::CredChange => Family::Auth,
            Self::Travel => Family::Geo,
            Self::NetClass => Family::Reputation,
            Self::IpFanout | Self::TenantSpray => Family::Campaign,
            Self::IdpRisk => Family::Vendor,
            Self::Posture | Self::EdrAlert => Family::Posture,
            Self::Binding => Family::Binding,
            Self::AccRate | Self::AccFanout | Self::AccDeny | Self::AccVol => Family::Access,
            Self::Analyst => Family::Analyst,
        }
    }

    /// How long an item counts half; `None` where it holds as long as the session or the state does.
    pub fn half_life(self) -> Option<Span> {
        match self {
            Self::NetChain
            | Self::DevChain
            | Self::AuthChain
            | Self::NetClass
            | Self::Binding
            | Self::Posture => None,
            Self::Travel | Self::FailSucc | Self::CredChange => Some(Span::hours(24)),
            Self::FailUser | Self::AccVol => Some(Span::hours(2)),
            Self::IpFanout => Some(Span::hours(1)),
            Self::TenantSpray => Some(Span::minutes(15)),
            Self::MfaFatigue => Some(Span::hours(6)),
            Self::IdpRisk => Some(Span::days(7)),
            Self::EdrAlert => Some(Span::days(3)),
            Self::AccRate | Self::AccFanout | Self::AccDeny => Some(Span::minutes(30)),
            Self::Analyst => Some(Span::days(30)),
        }
    }
}

/// Items below this are removed. *Units*: nats.
pub const NEGLIGIBLE: Nats = Nats(50_000);

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

impl Evidence {
    /// An item first told at `at`, keyed to no network and no device.
    pub fn new(code: Code, key: u64, nats: f64, told: Told) -> Self {
        Self {
            code,
            key,
            nats: Nats::from_f64(nats),
            since: told.at,
            at: told.at,
            half_life: code.half_life(),
            event: told.event,
            detail: told.detail,
            network: None,
            device: None,
        }
    }

    /// What is left of it at `now`.
    pub fn nats_at(&self, now: Timestamp) -> f64 {
        match self.half_life {
            None => self.nats.as_f64(),
            Some(half_life) => {
                self.nats.as_f64() * crate::profile::decay::fade(now.since(self.at), half_life)
            }
        }
    }

    pub fn is_negligible(&self, now: Timestamp) -> bool {
        Nats::from_f64(libm::fabs(self.nats_at(now))) < NEGLIGIBLE
    }
}

/// Which event told a fact, when, and what it said.
#[derive(Clone, Debug)]
pub struct Told {
    pub event: EventId,
    pub at: Timestamp,
    pub detail: Detail,
}

/// Puts an item into its scope, by the rule of its code: a state is replaced; an event told again keeps its first
/// date and its greater value. *Shape*: `items` stays within [`crate::limits::EVIDENCE_PER_SCOPE`], the weakest leaves.
pub fn put(items: &mut Vec<Evidence>, item: Evidence, now: Timestamp) {
    items.retain(|held| !held.is_negligible(now));
    match items
        .iter_mut()
        .find(|held| held.code == item.code && held.key == item.key)
    {
        Some(held) if item.code.kind() == Kind::Event => {
            if item.nats_at(now) > held.nats_at(now) {
                *held = Evidence {
                    since: held.since.min(item.since),
                    ..item
                };
            }
        }
        Some(held) => *held = item,
        None => items.push(item),
    }
    if items.len() > crate::limits::EVIDENCE_PER_SCOPE {
        let strength = |item: &Evidence| Nats::from_f64(libm::fabs(item.nats_at(now)));
        let weakest = (0..items.len()).min_by_key(|index| items.get(*index).map(strength));
        if let Some(index) = weakest {
            items.remove(index);
        }
    }
}

/// Removes a state that no longer holds.
pub fn withdraw(items: &mut Vec<Evidence>, code: Code, key: Option<u64>) {
    items.retain(|held| held.code != code || key.is_some_and(|key| key != held.key));
}
