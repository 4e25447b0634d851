//! What a policy set can see of the facts: found by walking its policies' trees, and used to remember verdicts by it.
//! Knows no verdict.
//!
//! Most events change nothing that a policy looks at. A number that is only ever compared with limits written in the
//! policies is remembered by where it lies among those limits: 41 and 79 are the same to a rule that asks for 80.

use std::collections::{BTreeMap, BTreeSet};

use caerus_engine::decide::{DeviceFacts, Facts, FactsOf, SurgeFacts};
use caerus_engine::id::{DeviceId, TenantId};
use caerus_engine::number::Score;
use caerus_engine::signal::NetworkClass;
use serde_json::Value;

use crate::attribute::Attribute;
use crate::context::vocabulary;

/// Where `context.level` changes; comparing the level is comparing the score with these.
const LEVEL_LIMITS: [i64; 2] = [40, 80];

/// How the policies look at one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sight {
    /// A number, compared with these and nothing else.
    Limits(BTreeSet<i64>),
    Exact,
}

/// Everything the policies of a set look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Visible {
    sights: BTreeMap<Attribute, Sight>,
    principal: bool,
    resource: bool,
}

/// A text compared with an attribute that can never have that value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StrangeWord {
    pub(crate) attribute: Attribute,
    pub(crate) word: String,
}

impl Visible {
    /// Takes in what one policy, in Cedar's JSON form, looks at.
    ///
    /// *Returns*: the words it compares with that no fact can be.
    pub(crate) fn take(&mut self, policy: &Value) -> Vec<StrangeWord> {
        let mut strange = Vec::new();
        self.principal |= names_an_entity(policy.get("principal"));
        self.resource |= names_an_entity(policy.get("resource"));
        if let Some(conditions) = policy.get("conditions") {
            self.walk(conditions, &mut strange);
        }
        strange
    }

    fn walk(&mut self, node: &Value, strange: &mut Vec<StrangeWord>) {
        if let Some(path) = path_of(node) {
            return self.mention(&path, None);
        }
        match node {
            Value::Array(nodes) => nodes.iter().for_each(|node| self.walk(node, strange)),
            Value::Object(members) => {
                for (operator, operands) in members {
                    self.operate(operator, operands, strange);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn operate(&mut self, operator: &str, operands: &Value, strange: &mut Vec<StrangeWord>) {
        let (left, right) = (operands.get("left"), operands.get("right"));
        match (operator, left, right) {
            ("Value", ..) => {}
            ("Var", ..) => match operands.as_str() {
                Some("principal") => self.principal = true,
                Some("resource") => self.resource = true,
                _ => {}
            },
            ("has", Some(left), _) => match (path_of(left), operands.get("attr")) {
                (Some(path), Some(Value::String(attr))) => {
                    // Whether it is there shows in every projection, so no limit is needed.
                    self.mention(&join(&path, attr), Some(BTreeSet::new()));
                }
                _ => self.walk(left, strange),
            },
            ("==" | "!=" | "<" | "<=" | ">" | ">=", Some(left), Some(right)) => {
                self.compare(left, right, strange);
            }
            ("contains" | "containsAll" | "containsAny", Some(left), Some(right)) => {
                look_up_words(left, right, strange);
                self.walk(left, strange);
                self.walk(right, strange);
            }
            _ => self.walk(operands, strange),
        }
    }

    fn compare(&mut self, left: &Value, right: &Value, strange: &mut Vec<StrangeWord>) {
        look_up_words(left, right, strange);
        for (path, literal) in [(left, right), (right, left)] {
            if let (Some(path), Some(limit)) = (path_of(path), long_of(literal)) {
                return self.mention(&path, Some(BTreeSet::from([limit])));
            }
        }
        self.walk(left, strange);
        self.walk(right, strange);
    }

    /// `limits` where a number is only compared with them.
    fn mention(&mut self, path: &str, limits: Option<BTreeSet<i64>>) {
        for attribute in Attribute::at_or_below(path) {
            let (attribute, sight) = match (&limits, attribute) {
                (_, Attribute::Level) => (Attribute::Score, Sight::Limits(LEVEL_LIMITS.into())),
                (Some(limits), _) if attribute.is_number() => {
                    (attribute, Sight::Limits(limits.clone()))
                }
                _ => (attribute, Sight::Exact),
            };
            match (self.sights.get_mut(&attribute), sight) {
                (None, sight) => {
                    self.sights.insert(attribute, sight);
                }
                (Some(Sight::Limits(all)), Sight::Limits(more)) => all.extend(more),
                (Some(known), Sight::Exact) => *known = Sight::Exact,
                (Some(Sight::Exact), Sight::Limits(_)) => {}
            }
        }
    }

    /// The facts with everything invisible taken out: equal projections have equal verdicts.
    pub(crate) fn project(&self, facts: &Facts) -> Facts {
        let [cred, sess, dev, misuse] = facts.scores;
        let device = &facts.device_facts;
        Facts {
            of: facts.of,
            tenant: self
                .seen(Attribute::Tenant, || facts.tenant.clone())
                .unwrap_or_else(|| TenantId::new("")),
            user: (self.principal || self.resource)
                .then(|| facts.user.clone())
                .flatten(),
            session: self.resource.then(|| facts.session.clone()).flatten(),
            device: self.device_id(facts),
            workload: (self.principal || self.resource)
                .then(|| facts.workload.clone())
                .flatten(),
            score: self.score(Attribute::Score, facts.score),
            hypothesis: self
                .seen(Attribute::Hypothesis, || facts.hypothesis)
                .flatten(),
            scores: [
                self.score(Attribute::StolenCredential, cred),
                self.score(Attribute::HijackedSession, sess),
                self.score(Attribute::CompromisedDevice, dev),
                self.score(Attribute::Misuse, misuse),
            ],
            codes: self
                .seen(Attribute::Codes, || facts.codes.clone())
                .unwrap_or_default(),
            network: self
                .seen(Attribute::Network, || facts.network)
                .unwrap_or(NetworkClass::Unknown),
            country: self.seen(Attribute::Country, || facts.country).flatten(),
            acr: self.seen(Attribute::Acr, || facts.acr.clone()).flatten(),
            step_up_age_s: self.age(Attribute::StepUpAge, facts.step_up_age_s),
            session_age_s: self.age(Attribute::SessionAge, facts.session_age_s),
            device_facts: DeviceFacts {
                compliant: self
                    .seen(Attribute::Compliant, || device.compliant)
                    .flatten(),
                managed: self.seen(Attribute::Managed, || device.managed).flatten(),
                os: self.seen(Attribute::Os, || device.os.clone()).flatten(),
                disk_encrypted: self
                    .seen(Attribute::DiskEncrypted, || device.disk_encrypted)
                    .flatten(),
                edr: self.seen(Attribute::Edr, || device.edr).flatten(),
                jailbroken: self
                    .seen(Attribute::Jailbroken, || device.jailbroken)
                    .flatten(),
            },
            is_account_disabled: self
                .seen(Attribute::AccountDisabled, || facts.is_account_disabled)
                .unwrap_or(false),
            is_learning: self
                .seen(Attribute::Learning, || facts.is_learning)
                .unwrap_or(false),
            surge: SurgeFacts {
                users: self.count(Attribute::SurgeUsers, facts.surge.users),
                failed: self.count(Attribute::SurgeFailed, facts.surge.failed),
                shards: self.count(Attribute::SurgeShards, facts.surge.shards),
            },
        }
    }

    fn seen<T>(&self, attribute: Attribute, value: impl FnOnce() -> T) -> Option<T> {
        self.sights.contains_key(&attribute).then(value)
    }

    /// A device's name shows as `device.id`, and as principal and resource of its own facts.
    fn device_id(&self, facts: &Facts) -> Option<DeviceId> {
        let is_named = facts.of == FactsOf::Device && (self.principal || self.resource);
        let is_seen = is_named || self.sights.contains_key(&Attribute::DeviceId);
        is_seen.then(|| facts.device.clone()).flatten()
    }

    fn score(&self, attribute: Attribute, score: Score) -> Score {
        let place = self.place(attribute, i64::from(score.0));
        Score(u8::try_from(place).unwrap_or(u8::MAX))
    }

    fn count(&self, attribute: Attribute, count: u32) -> u32 {
        u32::try_from(self.place(attribute, i64::from(count))).unwrap_or(count)
    }

    fn age(&self, attribute: Attribute, age: Option<u32>) -> Option<u32> {
        let place = |age: u32| u32::try_from(self.place(attribute, i64::from(age))).unwrap_or(age);
        self.seen(attribute, || age.map(place)).flatten()
    }

    /// The number itself where it is seen exactly, else its place among the limits: two for each limit below it, and
    /// one more on a limit.
    fn place(&self, attribute: Attribute, value: i64) -> i64 {
        match self.sights.get(&attribute) {
            None => 0,
            Some(Sight::Exact) => value,
            Some(Sight::Limits(limits)) => {
                let below = limits.range(..value).count();
                let on = i64::from(limits.contains(&value));
                i64::try_from(below).unwrap_or(i64::MAX / 2) * 2 + on
            }
        }
    }
}

/// A scope that names one entity (`==`, `in`, `is … in`), not only a type.
fn names_an_entity(scope: Option<&Value>) -> bool {
    scope.is_some_and(|scope| scope.get("entity").is_some() || scope.get("in").is_some())
}

/// The dotted path of an attribute below `context`; `None` for anything else.
fn path_of(node: &Value) -> Option<String> {
    if node.get("Var").and_then(Value::as_str) == Some("context") {
        return Some(String::new());
    }
    let access = node.get(".")?;
    let path = path_of(access.get("left")?)?;
    Some(join(&path, access.get("attr")?.as_str()?))
}

fn join(path: &str, attribute: &str) -> String {
    if path.is_empty() {
        attribute.to_owned()
    } else {
        format!("{path}.{attribute}")
    }
}

fn long_of(node: &Value) -> Option<i64> {
    match node.get("neg") {
        Some(negated) => negated.get("arg").and_then(long_of)?.checked_neg(),
        None => node.get("Value")?.as_i64(),
    }
}

/// Looks for a text, or texts in a set, that is held against an attribute with a closed vocabulary.
fn look_up_words(left: &Value, right: &Value, strange: &mut Vec<StrangeWord>) {
    for (attribute, literal) in [(left, right), (right, left)] {
        let Some(path) = path_of(attribute) else {
            continue;
        };
        let Some(attribute) = Attribute::ALL
            .into_iter()
            .find(|known| known.path() == path)
        else {
            continue;
        };
        let Some(vocabulary) = vocabulary(attribute) else {
            continue;
        };
        for word in words(literal) {
            if !vocabulary.contains(&word) {
                strange.push(StrangeWord {
                    attribute,
                    word: word.to_owned(),
                });
            }
        }
    }
}

fn words(literal: &Value) -> Vec<&str> {
    let value = literal.get("Value").unwrap_or(literal);
    let entries = literal
        .get("Set")
        .or(literal.get("Value"))
        .and_then(Value::as_array);
    match (value, entries) {
        (Value::String(word), _) => vec![word],
        (_, Some(entries)) => entries
            .iter()
            .filter_map(|entry| entry.get("Value").unwrap_or(entry).as_str())
            .collect(),
        _ => Vec::new(),
    }
}
