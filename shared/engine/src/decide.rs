//! What follows from a score: obligations of policy against what is in force, as decisions. Knows no clock and no queue.

pub mod desk;
pub mod in_force;
pub mod merge;

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{
    AcrValue, AppId, CountryCode, DecisionId, DeviceId, EventId, PrincipalId, RevisionId, RuleId,
    SessionId, SubjectKey, TenantId, UserId, WorkloadId,
};
use crate::limits::FIRST_SHARD;
use crate::number::Score;
use crate::score::{Contribution, Hypothesis, Level};
use crate::signal::{EdrState, NetworkClass};
use crate::time::{Span, Timestamp};

/// Whom a decision is about: a pattern. A request matches when every member given equals the request's.
///
/// *Shape*: at least one member; `session` comes with `user`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    pub user: Option<UserId>,
    pub session: Option<SessionId>,
    pub device: Option<DeviceId>,
    pub workload: Option<WorkloadId>,
    pub app: Option<AppId>,
}

impl Target {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The subject whose record numbers the generations: the user if named, else workload, device, tenant's first shard.
    pub fn owner(&self, tenant: &TenantId) -> SubjectKey {
        let tenant = tenant.clone();
        match self {
            Self {
                user: Some(user), ..
            } => SubjectKey::User {
                tenant,
                user: user.clone(),
            },
            Self {
                workload: Some(workload),
                ..
            } => SubjectKey::Workload {
                tenant,
                workload: workload.clone(),
            },
            Self {
                device: Some(device),
                ..
            } => SubjectKey::Device {
                tenant,
                device: device.clone(),
            },
            _ => SubjectKey::Tenant {
                tenant,
                shard: FIRST_SHARD,
            },
        }
    }

    /// One text for one target: its members in a fixed order, separated by control characters no id may hold.
    pub fn canonical(&self) -> String {
        let members = [
            ('u', self.user.as_ref().map(UserId::as_str)),
            ('s', self.session.as_ref().map(SessionId::as_str)),
            ('d', self.device.as_ref().map(DeviceId::as_str)),
            ('w', self.workload.as_ref().map(WorkloadId::as_str)),
            ('a', self.app.as_ref().map(AppId::as_str)),
        ];
        let mut text = String::new();
        for (name, value) in members {
            if let Some(value) = value {
                text.push(name);
                text.push('\u{1e}');
                text.push_str(value);
                text.push('\u{1f}');
            }
        }
        text
    }

    /// True when every member given equals the request's.
    pub fn matches(&self, request: &Self) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none_or(|wanted| found == Some(wanted))
        }
        fits(self.user.as_ref(), request.user.as_ref())
            && fits(self.session.as_ref(), request.session.as_ref())
            && fits(self.device.as_ref(), request.device.as_ref())
            && fits(self.workload.as_ref(), request.workload.as_ref())
            && fits(self.app.as_ref(), request.app.as_ref())
    }

    /// Targets that name a session, a device or a workload hold whatever the credential's age; others carry a cut-off.
    pub fn has_cut_off(&self) -> bool {
        self.session.is_none() && self.device.is_none() && self.workload.is_none()
    }
}

/// What is asked of the enforcement points. The order is that of severity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    Clear,
    Restrict(Restricts),
    StepUp {
        requires: Requires,
        restricts: Option<Restricts>,
    },
    Revoke,
}

impl Action {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Restrict(_) => "restrict",
            Self::StepUp { .. } => "step_up",
            Self::Revoke => "revoke",
        }
    }

    /// 0 clear, 1 restrict, 2 step-up, 3 revoke.
    pub fn severity(&self) -> u8 {
        match self {
            Self::Clear => 0,
            Self::Restrict(_) => 1,
            Self::StepUp { .. } => 2,
            Self::Revoke => 3,
        }
    }
}

/// What a step-up asks for: any of the classes, reached not longer ago than the age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requires {
    pub acr_values: BTreeSet<AcrValue>,
    /// *Units*: seconds.
    pub max_age_s: Option<u32>,
}

/// What a restriction covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Restricts {
    /// Requests to resources classed above this are refused.
    pub sensitivity_above: Option<u8>,
    pub apps: BTreeSet<AppId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    Enforce,
    Shadow,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

/// One decision, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub id: DecisionId,
    pub tenant: TenantId,
    pub generation: u64,
    pub action: Action,
    pub mode: Mode,
    pub target: Target,
    pub issued_before: Option<Timestamp>,
    pub except_sessions: BTreeSet<SessionId>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub score: Score,
    pub hypothesis: Option<Hypothesis>,
    pub contributions: Vec<Contribution>,
    /// The rule that decided, or `None` for an operator's.
    pub rule: Option<RuleId>,
    pub revision: RevisionId,
    pub cause: EventId,
    /// When the causing event was taken in; on live decisions only.
    pub received_at: Option<Timestamp>,
    pub trace: Option<String>,
}

impl Decision {
    pub fn level(&self) -> Level {
        Level::of(self.score)
    }
}

/// The subject whose record a policy is evaluated on, as the policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactsOf {
    Session,
    User,
    Device,
    Workload,
    Tenant,
}

/// All that a policy may look at: plain values, so that a verdict can be remembered by them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    pub of: FactsOf,
    pub tenant: TenantId,
    pub user: Option<UserId>,
    pub session: Option<SessionId>,
    pub device: Option<DeviceId>,
    pub workload: Option<WorkloadId>,
    pub score: Score,
    pub hypothesis: Option<Hypothesis>,
    /// In the order of [`Hypothesis::ALL`]; 0 where one does not compete.
    pub scores: [Score; 4],
    /// Codes with positive evidence in the strongest hypothesis.
    pub codes: BTreeSet<crate::evidence::Code>,
    pub network: NetworkClass,
    pub country: Option<CountryCode>,
    pub acr: Option<AcrValue>,
    /// Since a step-up of this session was last met.
    pub step_up_age_s: Option<u32>,
    pub session_age_s: Option<u32>,
    pub device_facts: DeviceFacts,
    pub is_account_disabled: bool,
    pub is_learning: bool,
    /// On a tenant's facts alone; nothing elsewhere.
    pub surge: SurgeFacts,
}

/// The surge of failed logins under way in a tenant, over the shards that see it; zeros where none does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SurgeFacts {
    pub users: u32,
    pub failed: u32,
    pub shards: u32,
}

/// What is known of the device at hand; `None` says nothing was reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeviceFacts {
    pub compliant: Option<bool>,
    pub managed: Option<bool>,
    pub os: Option<String>,
    pub disk_encrypted: Option<bool>,
    pub edr: Option<EdrState>,
    pub jailbroken: Option<bool>,
}

/// The scope an obligation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Session,
    User,
    UserDevice,
    Device,
    Workload,
    /// Apps that the rule names. A tenant is no scope: no member of a target names it.
    App,
}

/// What one matching rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obligation {
    pub rule: RuleId,
    /// Never [`Action::Clear`].
    pub action: Action,
    pub scope: Scope,
    pub mode: Mode,
    /// For scope `App`: those it is about; empty elsewhere.
    pub apps: BTreeSet<AppId>,
    /// How long a decision from it is in force; at most [`crate::limits::DECISION_LIFE`].
    pub life: Option<Span>,
}

/// A policy set: pure, total, and named by its revision.
pub trait Policy {
    fn revision(&self) -> &RevisionId;
    /// Every obligation of every matching rule, in the order of rule ids.
    fn judge(&self, facts: &Facts) -> Vec<Obligation>;
    /// The `amr` sets that count as reaching a class, e.g. `urn:caerus:acr:mfa` by `mfa` or `otp`.
    fn classes(&self) -> &BTreeMap<AcrValue, Vec<BTreeSet<String>>>;
}

/// An operator's own decision, as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub tenant: TenantId,
    /// Names the command; a repeat changes nothing.
    pub id: EventId,
    pub action: Action,
    pub target: Target,
    pub reason: String,
    pub by: PrincipalId,
    pub time: Timestamp,
    pub received_at: Timestamp,
    pub life: Option<Span>,
    pub trace: Option<String>,
}
