//! A person of the organisation: home, role, devices and habits, all of them following from the seed and a number.
//! Knows no day's plan and no attack.

use crate::act::Proof;
use crate::app::{ROLES, Role, Station};
use crate::atlas::{City, Network, Pool, Site, Spot, tables};
use crate::draw::Draw;
use crate::gadget::{EXTRAS, Gadget, LAPTOPS, Model, PHONES, SHARED};
use crate::moment::{Moment, is_weekday};
use crate::seed::Seed;

/// Days over which a device is replaced once.
const DEVICE_LIFE_DAYS: i64 = 700;
/// At most one business trip in so many days.
const TRIP_PERIOD_DAYS: i64 = 28;
/// Blocks a carrier, a VPN or a relay gives addresses from in one city.
const SHARED_POOL: Pool = Pool::First(6);
/// Shared terminals of a site.
const KIOSKS_PER_SITE: u32 = 4;

/// Where on the calendar the organisation's days lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calendar {
    /// Midnight of day 0, in UTC.
    pub(crate) zero: Moment,
    /// Days by which the organisation's week is ahead of the world's.
    pub(crate) week_shift: i64,
}

impl Calendar {
    /// Days since 1970-01-01.
    pub(crate) fn day_number(&self, day: i64) -> i64 {
        self.zero.day() + day
    }

    fn is_weekday(&self, day: i64) -> bool {
        is_weekday(self.day_number(day) + self.week_shift)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) index: u32,
    pub(crate) seed: Seed,
    pub(crate) site: &'static Site,
    home: &'static City,
    provider: &'static Network,
    carrier: &'static Network,
    pub(crate) role: &'static Role,
    pub(crate) proof: Proof,
    pub(crate) rhythm: Rhythm,
    tunnel: Tunnel,
    relay: Relay,
    laptop: &'static Model,
    phone: Option<&'static Model>,
    extra: Option<&'static Model>,
    lease_days: i64,
}

/// When somebody works, and how. *Units*: minutes after local midnight; per mille.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    pub(crate) starts_min: i64,
    pub(crate) length_min: i64,
    /// How likely a working day is spent at the office.
    pub(crate) office_pm: u32,
    absence_pm: u32,
    travel_pm: u32,
    /// How likely a password is mistyped.
    pub(crate) typo_pm: u32,
    /// How likely the phone is used on a day.
    pub(crate) phone_pm: u32,
}

/// Through what the laptop's traffic goes when it is not at the office.
#[derive(Clone, Copy, Debug)]
enum Tunnel {
    None,
    /// The company's own: it leaves at the office's egress.
    Company,
    Commercial(&'static Network),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relay {
    Off,
    On,
}

/// Which of somebody's devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The laptop, or the shared terminal in its place.
    Desk,
    Phone,
    Extra,
}

/// How somebody spends a day.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whereabouts {
    Home,
    /// At a hotel, through this network in this city.
    Away(&'static Network, &'static City),
    /// On the way: nothing is heard of them.
    Travelling,
}

impl Person {
    pub(crate) fn new(organisation: &Seed, index: u32) -> Self {
        let seed = organisation.child("person", i64::from(index));
        let site = seed.draws("site", 0).weighted(tables::SITES);
        let mut where_from = seed.draws("home", 0);
        let home = where_from.pick(site.homes);
        let role = seed.draws("role", 0).weighted(ROLES);
        let mut devices = seed.draws("devices", 0);
        let laptop = match role.station {
            Station::OwnLaptop => devices.weighted(LAPTOPS),
            Station::SharedKiosk => SHARED,
        };
        let phone = devices.chance(880).then(|| devices.weighted(PHONES));
        let extra = devices.chance(180).then(|| devices.weighted(EXTRAS));
        Self {
            index,
            seed,
            site,
            home,
            provider: where_from.pick(site.providers),
            carrier: where_from.pick(site.carriers),
            role,
            proof: seed.draws("proof", 0).weighted(PROOFS),
            rhythm: Rhythm::new(role, &mut seed.draws("rhythm", 0)),
            tunnel: Tunnel::new(&mut seed.draws("tunnel", 0)),
            relay: if devices.chance(60) {
                Relay::On
            } else {
                Relay::Off
            },
            laptop,
            phone,
            extra,
            lease_days: where_from.between(6, 200),
        }
    }

    /// The draws of one day and one thing in it.
    pub(crate) fn draws(&self, day: i64, name: &str) -> Draw {
        self.seed.draws(name, day)
    }

    pub(crate) fn has(&self, slot: Slot) -> bool {
        self.model(slot).is_some()
    }

    fn model(&self, slot: Slot) -> Option<&'static Model> {
        match slot {
            Slot::Desk => Some(self.laptop),
            Slot::Phone => self.phone,
            Slot::Extra => self.extra,
        }
    }

    /// The device in `slot` on a day: replaced now and then, its browser a few days behind the newest.
    pub(crate) fn gadget(&self, slot: Slot, day: i64, calendar: &Calendar) -> Option<Gadget> {
        let model = self.model(slot)?;
        if model.kind == SHARED.kind {
            return Some(self.kiosk(day, calendar));
        }
        let mut draw = self.seed.draws("device", slot as i64);
        let replaced = draw.between(0, DEVICE_LIFE_DAYS);
        let lag_days = draw.between(0, 10);
        let (first, second) = (draw.word(), draw.word());
        Some(Gadget {
            model,
            device: Some(if day < replaced { first } else { second }),
            browser_major: model.browser.major(calendar.day_number(day) - lag_days),
        })
    }

    /// One of the site's shared terminals: everybody there uses the same few.
    fn kiosk(&self, day: i64, calendar: &Calendar) -> Gadget {
        let number = self.draws(day, "kiosk").below(KIOSKS_PER_SITE);
        let name = u64::from(self.site.office.asn) << 8 | u64::from(number);
        Gadget {
            model: SHARED,
            device: Some(name),
            browser_major: SHARED.browser.major(calendar.day_number(day)),
        }
    }

    /// Whether this is a day of work, wherever.
    pub(crate) fn works_on(&self, day: i64, calendar: &Calendar) -> bool {
        calendar.is_weekday(day)
            && !matches!(self.whereabouts(day), Whereabouts::Travelling)
            && !self.seed.chance("absence", day, self.rhythm.absence_pm)
    }

    /// At home or on a trip. A trip begins and ends with a day on the way, so that nobody outruns an airliner.
    pub(crate) fn whereabouts(&self, day: i64) -> Whereabouts {
        let period = day.div_euclid(TRIP_PERIOD_DAYS);
        if !self
            .seed
            .chance("trip at all", period, self.rhythm.travel_pm)
        {
            return Whereabouts::Home;
        }
        let mut draw = self.seed.draws("trip", period);
        let network = draw.pick(tables::GUEST_NETWORKS);
        let city = network.cities.first().copied().unwrap_or(self.home);
        let departure = period * TRIP_PERIOD_DAYS + draw.between(1, 20);
        let arrival_back = departure + draw.between(3, 7);
        if city.country == self.home.country || !(departure..=arrival_back).contains(&day) {
            return Whereabouts::Home;
        }
        if day == departure || day == arrival_back {
            return Whereabouts::Travelling;
        }
        Whereabouts::Away(network, city)
    }

    /// Where the clock is read on a day.
    pub(crate) fn city(&self, day: i64) -> &'static City {
        match self.whereabouts(day) {
            Whereabouts::Away(_, city) => city,
            Whereabouts::Home | Whereabouts::Travelling => self.home,
        }
    }

    /// Whether their traffic comes out where a commercial VPN likes.
    pub(crate) fn hides(&self) -> bool {
        matches!(self.tunnel, Tunnel::Commercial(_))
    }

    pub(crate) fn office_spot(&self) -> Spot {
        self.site.office.host(0, &mut self.seed.draws("desk", 0))
    }

    /// The line at home; its address is leased for some days.
    pub(crate) fn home_spot(&self, day: i64) -> Spot {
        let lease = (day + i64::from(self.index)).div_euclid(self.lease_days);
        let mut draw = self.seed.draws("lease", lease);
        let block = self.provider.block_in(self.home, Pool::All, &mut draw);
        self.provider.host(block, &mut draw)
    }

    /// What the laptop shows when it is away from the office, its tunnel included.
    pub(crate) fn remote_spot(&self, day: i64) -> Spot {
        match self.tunnel {
            Tunnel::None => self.direct_spot(day),
            Tunnel::Company => self.office_spot(),
            Tunnel::Commercial(network) => {
                let mut draw = self.draws(day, "exit");
                let block = network.block_in(self.home, SHARED_POOL, &mut draw);
                network.host(block, &mut draw)
            }
        }
    }

    /// The line at home or at the hotel, without a tunnel.
    pub(crate) fn direct_spot(&self, day: i64) -> Spot {
        let Whereabouts::Away(network, city) = self.whereabouts(day) else {
            return self.home_spot(day);
        };
        let period = day.div_euclid(TRIP_PERIOD_DAYS);
        let mut draw = self.seed.draws("hotel", period);
        let block = network.block_in(city, Pool::All, &mut draw);
        network.host(block, &mut draw)
    }

    /// A home line of the region, at another provider than the one at `spot`: a neighbour's, or a thief's.
    pub(crate) fn elsewhere(&self, spot: Spot, draw: &mut Draw) -> Spot {
        let others = self
            .site
            .providers
            .iter()
            .filter(|network| network.asn != spot.network.asn);
        // Rather not their own, where that is not the one at `spot`.
        let network = others.min_by_key(|network| network.asn == self.provider.asn);
        let network = network.copied().unwrap_or(self.provider);
        let block = network.block_in(spot.city, Pool::All, draw);
        network.host(block, draw)
    }

    /// Another line of their own provider at home: a friend's.
    pub(crate) fn friends_spot(&self, draw: &mut Draw) -> Spot {
        let block = self.provider.block_in(self.home, Pool::All, draw);
        self.provider.host(block, draw)
    }

    /// The phone on the air: behind a carrier's shared addresses, another at every outing, its place the gateway's.
    pub(crate) fn air_spot(&self, draw: &mut Draw) -> Spot {
        let network = match self.relay {
            Relay::On => tables::RELAY,
            Relay::Off => self.carrier,
        };
        let block = network.block_in(self.home, SHARED_POOL, draw);
        network.host(block, draw)
    }
}

/// How people prove who they are, by share.
static PROOFS: &[(Proof, u32)] = &[
    (Proof::Push, 42),
    (Proof::Passkey, 28),
    (Proof::Code, 14),
    (Proof::Password, 16),
];

impl Rhythm {
    fn new(role: &Role, draw: &mut Draw) -> Self {
        let office_pm = match role.station {
            Station::SharedKiosk => 1_000,
            Station::OwnLaptop => draw.weighted(&[(850, 45), (500, 35), (50, 20)]),
        };
        let travel_pm = match role.station {
            Station::SharedKiosk => 0,
            Station::OwnLaptop => draw.weighted(&[(20, 75), (350, 25)]),
        };
        Self {
            starts_min: draw.around(8 * 60 + 40, 45).clamp(6 * 60, 12 * 60),
            length_min: draw.around(8 * 60 + 20, 40).clamp(4 * 60, 10 * 60),
            office_pm,
            absence_pm: draw.below(100),
            travel_pm,
            typo_pm: 10 + draw.below(70),
            phone_pm: 500 + draw.below(480),
        }
    }
}

impl Tunnel {
    fn new(draw: &mut Draw) -> Self {
        match draw.below(100) {
            0..18 => Self::Company,
            18..24 => Self::Commercial(draw.pick(tables::VPNS)),
            _ => Self::None,
        }
    }
}
