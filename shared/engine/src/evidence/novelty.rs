//! How new a network, a device or a way of signing in is to a user. *Source*: reference/scoring.md §6.2 and ruling 2.

use std::collections::BTreeSet;

use super::{Detail, Novelty, NoveltyLevel, Strength};
use crate::id::{Prefix, short_hash};
use crate::profile::population::{Population, Share};
use crate::profile::tree::{Node, Sighting};
use crate::signal::{Authentication, Client};
use crate::time::Timestamp;

/// One level of a path: a value, and what to call it.
#[derive(Clone, Debug)]
pub struct Step {
    pub level: NoveltyLevel,
    /// 0 where the level is not known: it says nothing, and what is below it is looked up under "unknown".
    pub value: u64,
    pub text: String,
}

/// What a chain found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub nats: f64,
    pub detail: Detail,
}

const SEEN_MIN: f64 = -2.0;
const SEEN_MAX: f64 = 1.0;
const CHAIN_MIN: f64 = -3.0;
const CHAIN_MAX: f64 = 6.0;
const POPULATION_MIN: f64 = -1.0;
const POPULATION_MAX: f64 = 1.5;
/// An item that says more than this marks its session as novel.
pub const NOVEL: f64 = 1.5;

/// P(an attacker's value is new to this user | same parent).
fn attacker_new(level: NoveltyLevel) -> f64 {
    match level {
        NoveltyLevel::Country | NoveltyLevel::Browser | NoveltyLevel::Factor => 0.6,
        NoveltyLevel::Asn => 0.85,
        NoveltyLevel::Prefix => 0.95,
        NoveltyLevel::Device => 0.97,
        NoveltyLevel::Os => 0.4,
        NoveltyLevel::BrowserMajor => 0.3,
        NoveltyLevel::Method => 0.5,
    }
}

/// Walks a path down the user's tree. An unseen value ends the walk and takes away its ancestors' credit; a known one
/// adds its own and goes on.
pub fn walk(
    root: &Node,
    population: &Population,
    root_name: u64,
    path: &[Step],
    now: Timestamp,
) -> Option<Found> {
    let empty = Node::default();
    let mut node = root;
    let mut above = vec![root_name];
    let mut familiar = 0.0;
    let mut observations = None;
    for step in path {
        let sighting = node.sight(step.value, now);
        if step.value != 0 {
            let share = population.share(&above, step.value);
            let Some(count) = sighting.count else {
                return Some(unseen(step, sighting, share));
            };
            familiar += seen(step.level, sighting, count, share);
            observations = Some(count);
        }
        above.push(step.value);
        node = node.child(step.value).map_or(&empty, |branch| &branch.node);
    }
    let observations = observations?;
    Some(Found {
        nats: familiar.clamp(CHAIN_MIN, CHAIN_MAX),
        detail: Detail::Familiar {
            observations: whole(observations),
        },
    })
}

fn q_new(sighting: Sighting) -> f64 {
    let distinct = count_of(sighting.distinct);
    (distinct + 1.0) / (sighting.observations + distinct + 2.0)
}

fn unseen(step: &Step, sighting: Sighting, share: Share) -> Found {
    let own = libm::log(attacker_new(step.level) / q_new(sighting));
    let population = share.refused_ratio.map_or(0.0, |ratio| {
        libm::log(ratio).clamp(POPULATION_MIN, POPULATION_MAX)
    });
    Found {
        nats: (own + population).clamp(CHAIN_MIN, CHAIN_MAX),
        detail: Detail::Novelty(Novelty {
            level: step.level,
            value: step.text.clone(),
            observations: whole(sighting.observations),
            distinct: u32::try_from(sighting.distinct).unwrap_or(u32::MAX),
        }),
    }
}

fn seen(level: NoveltyLevel, sighting: Sighting, count: f64, share: Share) -> f64 {
    if sighting.observations <= 0.0 || count <= 0.0 {
        return 0.0;
    }
    let attacker = (1.0 - attacker_new(level)) * share.accepted;
    let user = (1.0 - q_new(sighting)) * count / sighting.observations;
    libm::log(attacker / user).clamp(SEEN_MIN, SEEN_MAX)
}

fn count_of(count: usize) -> f64 {
    crate::number::float(i64::try_from(count).unwrap_or(i64::MAX))
}

fn whole(value: f64) -> u32 {
    u32::try_from(crate::number::quantise(value)).unwrap_or(0)
}

/// Names of the trees' roots in the population.
pub fn network_root() -> u64 {
    short_hash(&[b"network"])
}

pub fn agent_root() -> u64 {
    short_hash(&[b"agent"])
}

pub fn device_root() -> u64 {
    short_hash(&[b"device"])
}

pub fn method_root() -> u64 {
    short_hash(&[b"method"])
}

pub fn prefix_key(prefix: Prefix) -> u64 {
    short_hash(&[b"prefix", prefix.to_string().as_bytes()])
}

/// country → autonomous system → network; `None` without an address.
pub fn network_path(client: &Client) -> Option<[Step; 3]> {
    let prefix = client.prefix()?;
    let country = client.place.country.map(|country| country.to_string());
    let asn = client.place.asn.map(|asn| asn.to_string());
    let step = |level, kind: &[u8], text: Option<String>| Step {
        level,
        value: text
            .as_ref()
            .map_or(0, |text| short_hash(&[kind, text.as_bytes()])),
        text: text.unwrap_or_default(),
    };
    Some([
        step(NoveltyLevel::Country, b"country", country),
        step(NoveltyLevel::Asn, b"asn", asn),
        Step {
            level: NoveltyLevel::Prefix,
            value: prefix_key(prefix),
            text: prefix.to_string(),
        },
    ])
}

/// The device's id alone; `None` without one.
pub fn device_path(client: &Client) -> Option<[Step; 1]> {
    let device = client.device.as_ref()?;
    Some([Step {
        level: NoveltyLevel::Device,
        value: short_hash(&[b"device", device.as_str().as_bytes()]),
        text: device.to_string(),
    }])
}

/// operating system → browser → major version; `None` when the agent says nothing.
pub fn agent_path(client: &Client) -> Option<[Step; 3]> {
    let agent = &client.agent;
    if agent.os.is_none() && agent.browser.is_none() {
        return None;
    }
    let step = |level, kind: &[u8], text: Option<String>| Step {
        level,
        value: text
            .as_ref()
            .map_or(0, |text| short_hash(&[kind, text.as_bytes()])),
        text: text.unwrap_or_default(),
    };
    let major = agent.browser_major.map(|major| major.to_string());
    Some([
        step(NoveltyLevel::Os, b"os", agent.os.clone()),
        step(NoveltyLevel::Browser, b"browser", agent.browser.clone()),
        step(NoveltyLevel::BrowserMajor, b"major", major),
    ])
}

/// What evidence about the client's device is keyed by: its id, else its agent's families.
pub fn device_key(client: &Client) -> Option<u64> {
    if let Some([step]) = device_path(client) {
        return Some(step.value);
    }
    let [os, browser, _] = agent_path(client)?;
    Some(short_hash(&[
        b"agent",
        &os.value.to_le_bytes(),
        &browser.value.to_le_bytes(),
    ]))
}

/// method → factor; always known, since "no method told" is a habit too.
pub fn method_path(authentication: &Authentication) -> [Step; 2] {
    let method = method_name(&authentication.amr);
    let factor = strength_name(strength(&authentication.amr));
    let step = |level, kind: &[u8], text: &str| Step {
        level,
        value: short_hash(&[kind, text.as_bytes()]),
        text: text.to_owned(),
    };
    [
        step(NoveltyLevel::Method, b"method", method),
        step(NoveltyLevel::Factor, b"factor", factor),
    ]
}

fn method_name(amr: &BTreeSet<String>) -> &'static str {
    let has = |name: &str| amr.contains(name);
    if has("pwd") || has("pin") || has("kba") {
        "password"
    } else if has("sc") || has("x5t") {
        "certificate"
    } else if has("hwk") || has("swk") || has("pop") || has("fido") || has("passkey") {
        "passkey"
    } else if has("fed") || has("sso") {
        "federated"
    } else {
        "unnamed"
    }
}

/// How strong the second proof was, by RFC 8176 method names.
pub fn strength(amr: &BTreeSet<String>) -> Strength {
    const RESISTANT: [&str; 6] = ["hwk", "fido", "passkey", "pop", "sc", "phr"];
    const PUSH: [&str; 3] = ["push", "swk", "mca"];
    const OTP: [&str; 3] = ["otp", "mfa", "hotp"];
    const SMS: [&str; 2] = ["sms", "tel"];
    let any = |names: &[&str]| names.iter().any(|name| amr.contains(*name));
    if any(&RESISTANT) {
        Strength::PhishingResistant
    } else if any(&PUSH) {
        Strength::Push
    } else if any(&OTP) {
        Strength::Otp
    } else if any(&SMS) {
        Strength::Sms
    } else {
        Strength::None
    }
}

fn strength_name(strength: Strength) -> &'static str {
    match strength {
        Strength::None => "none",
        Strength::Sms => "sms",
        Strength::Otp => "otp",
        Strength::Push => "push",
        Strength::PhishingResistant => "phishing_resistant",
    }
}

/// Trust in how someone authenticated; a one-time code stands between SMS and push.
pub fn strength_nats(strength: Strength) -> f64 {
    match strength {
        Strength::None => 0.0,
        Strength::Sms => -0.4,
        Strength::Otp => -0.5,
        Strength::Push => -0.7,
        Strength::PhishingResistant => -1.5,
    }
}

/// The authentication chain: only what is new counts, and never below 0; trust comes from the strength alone.
pub fn authentication(
    methods: &Node,
    population: &Population,
    authentication: &Authentication,
    now: Timestamp,
) -> Found {
    const AUTH_MIN: f64 = -2.0;
    const AUTH_MAX: f64 = 3.0;
    let strength = strength(&authentication.amr);
    let path = method_path(authentication);
    let novelty = walk(methods, population, method_root(), &path, now)
        .filter(|found| matches!(found.detail, Detail::Novelty(_)))
        .map_or(0.0, |found| found.nats.max(0.0));
    Found {
        nats: (novelty + strength_nats(strength)).clamp(AUTH_MIN, AUTH_MAX),
        detail: Detail::Authentication {
            methods: authentication.amr.iter().cloned().collect(),
            strength,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn device(value: u64) -> [Step; 1] {
        [Step {
            level: NoveltyLevel::Device,
            value,
            text: String::new(),
        }]
    }

    fn nats(root: &Node, value: u64) -> f64 {
        walk(root, &Population::default(), 1, &device(value), NOW)
            .unwrap()
            .nats
    }

    #[test]
    fn novelty_grows_with_the_history_it_is_new_to() {
        let mut root = Node::default();
        assert!(
            (nats(&root, 9) - 0.6627).abs() < 0.001,
            "a first login says little"
        );
        for value in [1, 2, 3] {
            root.learn(&[value], 1.0, NOW - Span::millis(1));
        }
        for _ in 0..97 {
            root.learn(&[1], 1.0, NOW);
        }
        assert!((nats(&root, 9) - 3.237).abs() < 0.01);
        assert!((nats(&root, 1) - SEEN_MIN).abs() < 0.001);
    }

    #[test]
    fn an_unseen_network_gets_no_credit_for_its_known_country() {
        let mut root = Node::default();
        for _ in 0..50 {
            root.learn(&[5, 6, 7], 1.0, NOW);
        }
        let path = |prefix| {
            [
                (NoveltyLevel::Country, 5),
                (NoveltyLevel::Asn, 6),
                (NoveltyLevel::Prefix, prefix),
            ]
            .map(|(level, value)| Step {
                level,
                value,
                text: String::new(),
            })
        };
        let walk = |prefix| {
            walk(&root, &Population::default(), 1, &path(prefix), NOW)
                .unwrap()
                .nats
        };
        assert!(walk(8) > 3.0 && (walk(7) - CHAIN_MIN).abs() < 0.001);
    }

    #[test]
    fn strength_is_read_from_method_names() {
        let of = |names: &[&str]| strength(&names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(of(&["pwd"]), Strength::None);
        assert_eq!(of(&["pwd", "sms"]), Strength::Sms);
        assert_eq!(of(&["pwd", "mfa", "push"]), Strength::Push);
        assert_eq!(of(&["hwk", "user"]), Strength::PhishingResistant);
    }
}
