//! Which users were lately seen on which devices, so that a device is told of a user once an hour and not at every
//! request. Bounded; knows no clock: an event's own time decides.

use std::collections::HashMap;

use caerus_engine::id::{DeviceId, TenantId, UserId, short_hash};
use caerus_engine::time::{Span, Timestamp};

/// How long a sighting stands.
pub const SIGHTING_SPAN: Span = Span::hours(1);
/// Sightings remembered at most, in two halves: when the younger is full the elder is let go. What is forgotten is told
/// again, which changes nothing but the number of signals.
pub const SIGHTINGS_MAX: usize = 131_072;

/// A user on a device of a tenant, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pairing(u64);

impl Pairing {
    pub fn new(tenant: &TenantId, user: &UserId, device: &DeviceId) -> Self {
        Self(short_hash(&[
            tenant.as_str().as_bytes(),
            user.as_str().as_bytes(),
            device.as_str().as_bytes(),
        ]))
    }
}

/// When each pairing was last told.
#[derive(Debug, Default)]
pub struct Sightings {
    young: HashMap<Pairing, Timestamp>,
    old: HashMap<Pairing, Timestamp>,
}

impl Sightings {
    /// True when the pairing was not told within the hour around this time; it then counts as told.
    pub fn is_first(&mut self, pairing: Pairing, at: Timestamp) -> bool {
        let last = self.young.get(&pairing).or(self.old.get(&pairing));
        if last.is_some_and(|last| last.distance(at) < SIGHTING_SPAN) {
            return false;
        }
        self.note(pairing, at);
        true
    }

    /// Counts as told, e.g. by a login.
    pub fn note(&mut self, pairing: Pairing, at: Timestamp) {
        if self.young.len() >= SIGHTINGS_MAX / 2 && !self.young.contains_key(&pairing) {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(pairing, at);
    }

    /// Takes a sighting back that could not be told after all.
    pub fn forget(&mut self, pairing: Pairing) {
        self.young.remove(&pairing);
        self.old.remove(&pairing);
    }

    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_790_000_000_000);

    #[test]
    fn a_pairing_is_told_once_an_hour() {
        let mut sightings = Sightings::default();
        let pairing = Pairing(7);
        let minutes = [0, 10, 59, 60, 61, 119, 120, 30];
        let told: Vec<bool> = minutes
            .iter()
            .map(|minute| sightings.is_first(pairing, NOON + Span::minutes(*minute)))
            .collect();
        assert_eq!(told, [true, false, false, true, false, false, true, true]);
        sightings.forget(pairing);
        assert!(sightings.is_first(pairing, NOON));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest_stays() {
        let mut sightings = Sightings::default();
        let many = u64::try_from(SIGHTINGS_MAX * 2).unwrap();
        for n in 0..many {
            assert!(sightings.is_first(Pairing(n), NOON));
            assert!(sightings.len() <= SIGHTINGS_MAX);
        }
        assert!(!sightings.is_first(Pairing(many - 1), NOON));
        assert!(sightings.is_first(Pairing(0), NOON));
    }

    #[test]
    fn pairings_of_tenants_users_and_devices_are_apart() {
        let pairing = |tenant, user, device| {
            let (user, device) = (UserId::new(user), DeviceId::new(device));
            Pairing::new(&TenantId::new(tenant), &user, &device)
        };
        assert_ne!(pairing("a", "b", "c"), pairing("b", "b", "c"));
        assert_ne!(pairing("a", "bc", "d"), pairing("a", "b", "cd"));
    }
}
