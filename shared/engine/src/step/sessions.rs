//! A session's own evidence: where a request comes from against where its user and the session itself usually do.

use super::moment::Moment;
use crate::climate::Climate;
use crate::evidence::binding::{self, Attribute, Familiarity};
use crate::evidence::device::network_class_nats;
use crate::evidence::novelty::{self, Found};
use crate::evidence::travel::{self, End};
use crate::evidence::{Code, Detail, Evidence, NEGLIGIBLE, PlaceName, put, withdraw};
use crate::id::{SessionId, TenantId, short_hash};
use crate::number::Score;
use crate::profile::access::AccessHour;
use crate::profile::population::Population;
use crate::record::{Bound, Dated, MetStepUp, Session, UserRecord};
use crate::signal::{Client, NetworkClass};
use crate::time::Timestamp;

/// Keys a session remembers the first date of.
const DATED_LEN: usize = 24;
/// Places a session may be bound to: its start, and those a step-up was met from.
const BOUND_LEN: usize = 5;
/// Met step-ups remembered.
const MET_LEN: usize = 6;

impl Session {
    /// A session first seen now.
    pub fn first_seen(id: SessionId, client: &Client, at: Timestamp) -> Self {
        Self {
            id,
            started_at: at,
            last_seen: at,
            login_at: None,
            issued_at: None,
            acr: None,
            bound: vec![Bound::of(client)],
            current: Bound::of(client),
            evidence: Vec::new(),
            dated: Vec::new(),
            learned: Vec::new(),
            met: Vec::new(),
            hour: AccessHour::starting(at),
            score: Score(0),
        }
    }

    /// Records that a step-up was met from the client, which is bound from now on.
    pub fn meet(&mut self, met: MetStepUp, client: &Client) {
        let place = Bound::of(client);
        if place.address.is_some() && !self.bound.contains(&place) {
            if self.bound.len() >= BOUND_LEN {
                self.bound.remove(1);
            }
            self.bound.push(place);
        }
        if self.met.len() >= MET_LEN {
            self.met.remove(0);
        }
        self.met.push(met);
    }

    /// When a key first gave positive evidence here; now, where it never did.
    fn dated(&mut self, code: Code, key: u64, nats: f64, now: Timestamp) -> Timestamp {
        if let Some(dated) = self
            .dated
            .iter()
            .find(|dated| dated.code == code && dated.key == key)
        {
            return dated.since;
        }
        if nats > NEGLIGIBLE.as_f64() {
            if self.dated.len() >= DATED_LEN {
                self.dated.remove(0);
            }
            self.dated.push(Dated {
                code,
                key,
                since: now,
            });
        }
        now
    }

    fn place(&mut self, mut item: Evidence, now: Timestamp) {
        item.since = self.dated(item.code, item.key, item.nats.as_f64(), now);
        put(&mut self.evidence, item, now);
    }

    /// A met step-up disproves items dated at or before it whose network and device are those it was met from.
    pub fn is_disproved(&self, item: &Evidence) -> bool {
        let fits = |own: Option<u64>, met: Option<u64>| own.is_none() || own == met;
        let is_device_key =
            item.code == Code::Binding && item.key & ATTRIBUTE_MASK == Attribute::DeviceKey as u64;
        !is_device_key
            && self.met.iter().any(|met| {
                item.since <= met.at
                    && fits(item.network, met.network)
                    && fits(item.device, met.device)
            })
    }
}

/// A binding item's key ends in the attribute it is about.
pub(super) const ATTRIBUTE_MASK: u64 = 3;

/// Evaluates where a request of `session` comes from. `user` is the session's user without this session in its list.
pub(super) fn evaluate_client(
    session: &mut Session,
    user: &UserRecord,
    population: &Population,
    client: &Client,
    moment: &Moment,
) {
    let network = client.prefix().map(novelty::prefix_key);
    let device = novelty::device_key(client);
    withdraw_current(session);
    if let Some((path, key)) = novelty::network_path(client).zip(network) {
        let found = novelty::walk(
            &user.networks,
            population,
            novelty::network_root(),
            &path,
            moment.now,
        );
        place_found(session, Code::NetChain, key, found, moment);
        let class = network_class_nats(client.place.class);
        let detail = Detail::NetworkClass(client.place.class);
        place_found(
            session,
            Code::NetClass,
            key,
            Some(Found {
                nats: class,
                detail,
            }),
            moment,
        );
    }
    if let Some(key) = device {
        let found = match novelty::device_path(client) {
            Some(path) => {
                let root = novelty::device_root();
                novelty::walk(&user.devices, population, root, &path, moment.now)
            }
            None => novelty::agent_path(client).and_then(|path| {
                novelty::walk(
                    &user.agents,
                    population,
                    novelty::agent_root(),
                    &path,
                    moment.now,
                )
            }),
        };
        place_found(session, Code::DevChain, key, found, moment);
    }
    evaluate_binding(session, user, client, moment);
    session.current = Bound::of(client);
    session.last_seen = session.last_seen.max(moment.now);
}

/// The chains are about the request at hand alone.
fn withdraw_current(session: &mut Session) {
    for code in [Code::NetChain, Code::DevChain, Code::NetClass] {
        withdraw(&mut session.evidence, code, None);
    }
}

fn place_found(session: &mut Session, code: Code, key: u64, found: Option<Found>, moment: &Moment) {
    let Some(found) = found else { return };
    if found.nats == 0.0 {
        return;
    }
    let mut item = Evidence::new(code, key, found.nats, moment.told(found.detail));
    match code {
        Code::DevChain => item.device = Some(key),
        _ => item.network = Some(key),
    }
    session.place(item, moment.now);
}

fn evaluate_binding(session: &mut Session, user: &UserRecord, client: &Client, moment: &Moment) {
    let current = Bound::of(client);
    let familiarity = familiarity(user, client);
    let network = client.prefix().map(novelty::prefix_key);
    let device = novelty::device_key(client);
    for change in binding::changes(&session.bound, &current, familiarity) {
        let (place, of_network, of_device) = match change.attribute {
            Attribute::Network => (network.unwrap_or(0), network, None),
            Attribute::Browser | Attribute::DeviceKey => (device.unwrap_or(0), None, device),
        };
        let hash = short_hash(&[b"binding", &place.to_le_bytes()]);
        let key = (hash & !ATTRIBUTE_MASK) | change.attribute as u64;
        let held = session
            .evidence
            .iter()
            .find(|item| item.code == Code::Binding && item.key == key);
        if held.is_some_and(|held| held.nats.as_f64() >= change.nats) {
            continue;
        }
        let detail = Detail::Binding {
            changes: vec![change.what],
        };
        let mut item = Evidence::new(Code::Binding, key, change.nats, moment.told(detail));
        item.network = of_network;
        item.device = of_device;
        session.place(item, moment.now);
    }
}

/// Whether the user is known at the country and the autonomous system of the client.
fn familiarity(user: &UserRecord, client: &Client) -> Familiarity {
    let Some([country, asn, _]) = novelty::network_path(client) else {
        return Familiarity::default();
    };
    let branch = user.networks.child(country.value);
    Familiarity {
        is_country_known: branch.is_some(),
        is_asn_known: branch.is_some_and(|branch| branch.node.child(asn.value).is_some()),
    }
}

/// Evaluates the hop from where the user was accepted last. The session whose fix is not an anchor carries it.
pub(super) fn evaluate_travel(
    session: &mut Session,
    user: &UserRecord,
    climate: &Climate,
    client: &Client,
    moment: &Moment,
) {
    let (Some(prefix), Some(fix)) = (client.prefix(), client.place.fix) else {
        return;
    };
    if user.anchors.iter().any(|anchor| anchor.prefix == prefix) {
        return;
    }
    let tenant: &TenantId = user.core.key.tenant();
    let is_egress = |prefix| climate.network(tenant, prefix).is_some_and(|n| n.is_egress);
    let class = client.place.class;
    if class != NetworkClass::Tor && is_egress(prefix) {
        return;
    }
    let to = End { fix, class };
    let mut worst: Option<(f64, f64, usize)> = None;
    for (index, anchor) in user.anchors.iter().enumerate() {
        let is_stable = is_egress(anchor.prefix) || anchor.class == NetworkClass::Vpn;
        if index > 0 && !is_stable {
            continue;
        }
        let from = End {
            fix: anchor.fix,
            class: anchor.class,
        };
        let hop = travel::hop(from, to, moment.time.distance(anchor.at));
        let is_suppressed = is_egress(anchor.prefix) && class != NetworkClass::Tor;
        let nats = if is_suppressed { 0.0 } else { hop.nats };
        if worst.is_none_or(|(least, ..)| nats < least) {
            worst = Some((nats, hop.km, index));
        }
    }
    let Some((nats, km, index)) = worst else {
        return;
    };
    let Some(anchor) = user
        .anchors
        .get(index)
        .filter(|_| nats > NEGLIGIBLE.as_f64())
    else {
        return;
    };
    let whole = |value: f64| u32::try_from(crate::number::quantise(value)).unwrap_or(0);
    let minutes = moment.time.distance(anchor.at).as_seconds() / 60;
    let detail = Detail::Travel {
        km: whole(km),
        minutes: u32::try_from(minutes).unwrap_or(u32::MAX),
        from: PlaceName {
            city: anchor.city.clone(),
            country: anchor.country,
        },
        to: PlaceName {
            city: client.place.city.clone(),
            country: client.place.country,
        },
    };
    let names = [anchor.prefix.to_string(), prefix.to_string()];
    let key = short_hash(&[names[0].as_bytes(), names[1].as_bytes()]);
    let mut item = Evidence::new(Code::Travel, key, nats, moment.told(detail));
    item.network = Some(novelty::prefix_key(prefix));
    session.place(item, moment.now);
}
