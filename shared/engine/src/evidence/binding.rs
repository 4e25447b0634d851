//! Whether a session still comes from where it began. *Source*: reference/scoring.md §6.3 BINDING and ruling 6.

use super::BindingChange;
use crate::profile::session::Bound;

/// What the user is known by at the node where a binding attribute changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Familiarity {
    pub is_country_known: bool,
    pub is_asn_known: bool,
}

/// One attribute's change. *Units*: nats.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub attribute: Attribute,
    pub nats: f64,
    pub what: BindingChange,
}

/// The three attributes of a binding; the greatest change of each stays for the session's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribute {
    Network = 1,
    Browser = 2,
    DeviceKey = 3,
}

const COUNTRY: f64 = 4.0;
const ASN: f64 = 2.5;
const NEARBY: f64 = 0.2;
const BROWSER: f64 = 3.0;
const DEVICE_KEY: f64 = 4.0;

/// Compares a request with the places a session is bound to: per attribute the smallest change against any of them.
pub fn changes(bound: &[Bound], current: &Bound, familiarity: Familiarity) -> Vec<Change> {
    let of = |compare: &dyn Fn(&Bound) -> Option<Change>| -> Option<Change> {
        let mut least: Option<Change> = None;
        for place in bound {
            let change = compare(place)?;
            if least.as_ref().is_none_or(|held| change.nats < held.nats) {
                least = Some(change);
            }
        }
        least
    };
    [
        of(&|place| network_change(place, current, familiarity)),
        of(&|place| browser_change(place, current)),
        of(&|place| device_key_change(place, current)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn network_change(from: &Bound, to: &Bound, familiarity: Familiarity) -> Option<Change> {
    let change = |nats, what| {
        Some(Change {
            attribute: Attribute::Network,
            nats,
            what,
        })
    };
    if from.address.is_none() || to.address.is_none() || from.address == to.address {
        return None;
    }
    let country_moved =
        from.country.is_some() && to.country.is_some() && from.country != to.country;
    let asn_moved = from.asn.is_some() && to.asn.is_some() && from.asn != to.asn;
    if country_moved && !familiarity.is_country_known {
        return change(
            COUNTRY,
            BindingChange::Country {
                from: from.country,
                to: to.country,
            },
        );
    }
    if asn_moved && !familiarity.is_asn_known {
        return change(
            ASN,
            BindingChange::Asn {
                from: from.asn,
                to: to.asn,
            },
        );
    }
    if country_moved || asn_moved {
        return change(NEARBY, BindingChange::KnownNetwork);
    }
    change(NEARBY, BindingChange::AddressWithinAsn)
}

fn browser_change(from: &Bound, to: &Bound) -> Option<Change> {
    let (Some(from), Some(to)) = (&from.agent.browser, &to.agent.browser) else {
        return None;
    };
    (from != to).then(|| Change {
        attribute: Attribute::Browser,
        nats: BROWSER,
        what: BindingChange::Browser {
            from: from.clone(),
            to: to.clone(),
        },
    })
}

fn device_key_change(from: &Bound, to: &Bound) -> Option<Change> {
    let differs = |a: Option<&crate::id::Fingerprint>, b: Option<&crate::id::Fingerprint>| {
        a.is_some() && b.is_some() && a != b
    };
    (differs(from.certificate.as_ref(), to.certificate.as_ref())
        || differs(from.ja4.as_ref(), to.ja4.as_ref()))
    .then_some(Change {
        attribute: Attribute::DeviceKey,
        nats: DEVICE_KEY,
        what: BindingChange::DeviceKey,
    })
}

/// True when the request proves the device the session began on: the same certificate, or the same device and JA4.
pub fn is_device_proven(start: &Bound, current: &Bound) -> bool {
    let certificate = start.certificate.is_some() && start.certificate == current.certificate;
    let fingerprint = start.ja4.is_some()
        && start.ja4 == current.ja4
        && start.device.is_some()
        && start.device == current.device;
    certificate || fingerprint
}
