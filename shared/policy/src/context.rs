//! Facts as Cedar sees them: principal, resource and the context record. Knows the schema's names, no policy.

use caerus_engine::decide::{DeviceFacts, Facts, FactsOf, SurgeFacts};
use caerus_engine::evidence::Code;
use caerus_engine::score::{Hypothesis, Level};
use caerus_engine::signal::{EdrState, NetworkClass};
use cedar_policy::{
    Context, EntityId, EntityTypeName, EntityUid, ParseErrors, Request, RestrictedExpression,
};

use crate::attribute::Attribute;

/// What `context.hypothesis` says where none competes.
const NO_HYPOTHESIS: &str = "none";

const OFS: [FactsOf; 5] = [
    FactsOf::Session,
    FactsOf::User,
    FactsOf::Device,
    FactsOf::Workload,
    FactsOf::Tenant,
];
const NETWORKS: [NetworkClass; 9] = [
    NetworkClass::Unknown,
    NetworkClass::Residential,
    NetworkClass::Mobile,
    NetworkClass::Corporate,
    NetworkClass::Hosting,
    NetworkClass::Vpn,
    NetworkClass::Proxy,
    NetworkClass::Tor,
    NetworkClass::Relay,
];
const EDRS: [EdrState; 3] = [EdrState::Running, EdrState::Stopped, EdrState::Missing];

/// The texts an attribute can be, where they are a closed list: comparing with another can never be true.
pub(crate) fn vocabulary(attribute: Attribute) -> Option<Vec<&'static str>> {
    match attribute {
        Attribute::Of => Some(OFS.map(of_name).to_vec()),
        Attribute::Level => Some(
            [Level::Low, Level::Medium, Level::High]
                .map(Level::name)
                .to_vec(),
        ),
        Attribute::Hypothesis => {
            let mut names = Hypothesis::ALL.map(Hypothesis::name).to_vec();
            names.push(NO_HYPOTHESIS);
            Some(names)
        }
        Attribute::Codes => Some(Code::ALL.map(Code::name).to_vec()),
        Attribute::Network => Some(NETWORKS.map(network_name).to_vec()),
        Attribute::Edr => Some(EDRS.map(edr_name).to_vec()),
        _ => None,
    }
}

fn of_name(of: FactsOf) -> &'static str {
    match of {
        FactsOf::Session => "session",
        FactsOf::User => "user",
        FactsOf::Device => "device",
        FactsOf::Workload => "workload",
        FactsOf::Tenant => "tenant",
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

fn edr_name(edr: EdrState) -> &'static str {
    match edr {
        EdrState::Running => "running",
        EdrState::Stopped => "stopped",
        EdrState::Missing => "missing",
    }
}

/// The names of the principal's and the resource's types, for facts of each kind.
pub(crate) fn type_names(of: FactsOf) -> (&'static str, &'static str) {
    match of {
        FactsOf::Session => ("User", "Session"),
        FactsOf::User => ("User", "Account"),
        FactsOf::Device => ("Device", "Device"),
        FactsOf::Workload => ("Workload", "Workload"),
        FactsOf::Tenant => ("Tenant", "Tenant"),
    }
}

pub(crate) const ALL_OF: [FactsOf; 5] = OFS;

/// The schema's names, parsed once.
#[derive(Debug)]
pub(crate) struct Names {
    action: EntityUid,
    pairs: Vec<(FactsOf, EntityTypeName, EntityTypeName)>,
}

impl Names {
    pub(crate) fn new() -> Result<Self, Box<ParseErrors>> {
        let mut pairs = Vec::with_capacity(OFS.len());
        for of in OFS {
            let (principal, resource) = type_names(of);
            pairs.push((
                of,
                principal.parse().map_err(Box::new)?,
                resource.parse().map_err(Box::new)?,
            ));
        }
        let action: EntityTypeName = "Action".parse().map_err(Box::new)?;
        Ok(Self {
            action: EntityUid::from_type_name_and_id(action, EntityId::new("continue")),
            pairs,
        })
    }

    /// `None` where Cedar refuses to build it; the caller answers on the safe side.
    pub(crate) fn request(&self, facts: &Facts) -> Option<Request> {
        let (_, principal, resource) = self.pairs.iter().find(|(of, ..)| *of == facts.of)?;
        let (principal_id, resource_id) = ids(facts);
        let context = Context::from_pairs(pairs(facts)?).ok()?;
        // Without the schema: that the context fits it is a test's proof, not a cost of every verdict.
        Request::new(
            uid(principal, principal_id),
            self.action.clone(),
            uid(resource, resource_id),
            context,
            None,
        )
        .ok()
    }
}

fn uid(of_type: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of_type.clone(), EntityId::new(id))
}

/// The names of the principal and the resource; empty where the facts name none.
pub(crate) fn ids(facts: &Facts) -> (&str, &str) {
    let user = facts.user.as_ref().map_or("", |user| user.as_str());
    let session = facts
        .session
        .as_ref()
        .map_or("", |session| session.as_str());
    let device = facts.device.as_ref().map_or("", |device| device.as_str());
    let workload = facts
        .workload
        .as_ref()
        .map_or("", |workload| workload.as_str());
    match facts.of {
        FactsOf::Session => (user, session),
        FactsOf::User => (user, user),
        FactsOf::Device => (device, device),
        FactsOf::Workload => (workload, workload),
        FactsOf::Tenant => (facts.tenant.as_str(), facts.tenant.as_str()),
    }
}

type Pairs = Vec<(String, RestrictedExpression)>;

fn pairs(facts: &Facts) -> Option<Pairs> {
    let hypothesis = facts.hypothesis.map_or(NO_HYPOTHESIS, Hypothesis::name);
    let codes = facts.codes.iter().map(|code| text(code.name()));
    let mut pairs: Pairs = Vec::with_capacity(16);
    let mut put = |name: &str, value: RestrictedExpression| pairs.push((name.to_owned(), value));
    put("of", text(of_name(facts.of)));
    put("tenant", text(facts.tenant.as_str()));
    put("score", number(facts.score.0));
    put("level", text(Level::of(facts.score).name()));
    put("hypothesis", text(hypothesis));
    put("scores", scores(facts)?);
    put("codes", RestrictedExpression::new_set(codes));
    put("network", text(network_name(facts.network)));
    put("device", device(facts)?);
    put(
        "account_disabled",
        RestrictedExpression::new_bool(facts.is_account_disabled),
    );
    put(
        "learning",
        RestrictedExpression::new_bool(facts.is_learning),
    );
    put("surge", surge(facts.surge)?);
    if let Some(country) = facts.country {
        put("country", text(&country.to_string()));
    }
    if let Some(acr) = &facts.acr {
        put("acr", text(acr.as_str()));
    }
    if let Some(age) = facts.step_up_age_s {
        put("step_up_age_s", number(age));
    }
    if let Some(age) = facts.session_age_s {
        put("session_age_s", number(age));
    }
    Some(pairs)
}

fn scores(facts: &Facts) -> Option<RestrictedExpression> {
    let named = Hypothesis::ALL
        .iter()
        .zip(facts.scores)
        .map(|(hypothesis, score)| (hypothesis.name().to_owned(), number(score.0)));
    RestrictedExpression::new_record(named).ok()
}

fn surge(surge: SurgeFacts) -> Option<RestrictedExpression> {
    let SurgeFacts {
        users,
        failed,
        shards,
    } = surge;
    let members = [("users", users), ("failed", failed), ("shards", shards)];
    let members = members.map(|(name, value)| (name.to_owned(), number(value)));
    RestrictedExpression::new_record(members).ok()
}

fn device(facts: &Facts) -> Option<RestrictedExpression> {
    let DeviceFacts {
        compliant,
        managed,
        os,
        disk_encrypted,
        edr,
        jailbroken,
    } = &facts.device_facts;
    let truth = |name: &str, value: Option<bool>| {
        value.map(|value| (name.to_owned(), RestrictedExpression::new_bool(value)))
    };
    let words = |name: &str, value: Option<&str>| value.map(|value| (name.to_owned(), text(value)));
    let members = [
        words("id", facts.device.as_ref().map(|device| device.as_str())),
        truth("compliant", *compliant),
        truth("managed", *managed),
        words("os", os.as_deref()),
        truth("disk_encrypted", *disk_encrypted),
        words("edr", edr.map(edr_name)),
        truth("jailbroken", *jailbroken),
    ];
    RestrictedExpression::new_record(members.into_iter().flatten()).ok()
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn number(value: impl Into<i64>) -> RestrictedExpression {
    RestrictedExpression::new_long(value.into())
}
