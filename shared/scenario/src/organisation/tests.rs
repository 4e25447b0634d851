//! What the organisation promises: order, sameness, names, rates.

mod attacks;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use caerus_wire::Timestamp;
use caerus_wire::event::{EventType, NativeEvent, Outcome};

use super::{Config, Organisation};
use crate::attack::Attack;
use crate::form::BENIGN;

/// Monday, 2026-10-05, 00:00 UTC.
const START: Timestamp = Timestamp(1_791_158_400_000);
const DAY_MS: i64 = 86_400_000;

fn config(seed: u64, users: u32, days: u32, attacks: &[Attack]) -> Config {
    Config {
        seed,
        users,
        days,
        start: START,
        tenant: "acme".to_owned(),
        attacks: attacks.to_vec(),
    }
}

fn events(config: Config) -> Vec<NativeEvent> {
    Organisation::new(config).events().collect()
}

fn lines(config: Config) -> Vec<String> {
    Organisation::new(config)
        .events()
        .map(|event| event.to_json())
        .collect()
}

fn label(event: &NativeEvent) -> &str {
    event
        .label
        .as_ref()
        .and_then(|label| label.as_str())
        .unwrap()
}

fn country(event: &NativeEvent) -> &str {
    event
        .geo
        .as_ref()
        .and_then(|geo| geo.country.as_deref())
        .unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
    let run = |seed| lines(config(seed, 12, 3, Attack::ALL));
    let first = run(7);
    assert!(first.len() > 200, "{}", first.len());
    assert!(first == run(7), "the second run differs");
    let other: BTreeSet<String> = run(8).into_iter().collect();
    assert!(first.iter().all(|line| !other.contains(line)));
}

#[test]
fn attacks_leave_ordinary_life_as_it_is() {
    let benign = |attacks| {
        let mut lines = lines(config(7, 15, 5, attacks));
        lines.retain(|line| line.contains(r#""label":"benign""#));
        lines
    };
    assert!(benign(&[]) == benign(Attack::ALL));
}

#[test]
fn more_people_leave_those_who_are_there_as_they_are() {
    let few: BTreeSet<String> = lines(config(7, 5, 4, &[])).into_iter().collect();
    let many: BTreeSet<String> = lines(config(7, 9, 4, &[])).into_iter().collect();
    assert!(few.is_subset(&many) && few.len() < many.len());
}

#[test]
fn events_come_in_time_order_within_the_days_asked_for() {
    let events = events(config(3, 40, 6, Attack::ALL));
    assert!(events.is_sorted_by_key(|event| event.time));
    let end = Timestamp(START.0 + 6 * DAY_MS);
    assert!(
        events
            .iter()
            .all(|event| START <= event.time && event.time < end)
    );
}

#[test]
fn a_start_in_the_middle_of_a_day_is_kept_to() {
    let start = Timestamp(START.0 + 45_000_001);
    let events = events(Config {
        start,
        ..config(3, 10, 2, &[])
    });
    let end = Timestamp(start.0 + 2 * DAY_MS);
    assert!(
        events
            .iter()
            .all(|event| start <= event.time && event.time < end)
    );
    assert!(events.last().unwrap().time.0 > end.0 - DAY_MS);
}

#[test]
fn every_event_is_read_by_the_contract_and_reads_back_the_same() {
    for event in events(config(5, 25, 4, Attack::ALL)) {
        let text = event.to_json();
        let back = NativeEvent::parse(text.as_bytes());
        assert_eq!(back.as_ref(), Ok(&event), "{text}");
    }
}

#[test]
fn ids_are_never_given_twice_and_labels_never_left_out() {
    let events = events(config(5, 40, 6, Attack::ALL));
    let names: BTreeSet<&str> = Attack::ALL.iter().map(|attack| attack.name()).collect();
    let mut seen = BTreeSet::new();
    for event in &events {
        assert!(seen.insert(event.id.as_str()), "{} twice", event.id);
        assert!(
            label(event) == BENIGN || names.contains(label(event)),
            "{}",
            label(event)
        );
    }
    let labels: BTreeSet<&str> = events.iter().map(label).collect();
    assert_eq!(labels.len(), Attack::ALL.len() + 1, "{labels:?}");
}

#[test]
fn two_runs_over_the_same_people_share_no_event_and_no_session_but_the_devices() {
    let names = |start, name: fn(&NativeEvent) -> Option<&str>| -> BTreeSet<String> {
        let events = events(Config {
            start,
            ..config(5, 10, 2, &[])
        });
        events.iter().filter_map(name).map(str::to_owned).collect()
    };
    let later = Timestamp(START.0 + DAY_MS);
    assert!(names(START, |e| Some(&e.id)).is_disjoint(&names(later, |e| Some(&e.id))));
    assert!(
        names(START, |e| e.session.as_deref()).is_disjoint(&names(later, |e| e.session.as_deref()))
    );
    assert!(
        !names(START, |e| e.device.as_deref()).is_disjoint(&names(later, |e| e.device.as_deref()))
    );
}

#[test]
fn rates_are_those_of_people_at_work() {
    for seed in [1, 2, 3] {
        let (users, days) = (60, 14);
        let events = events(config(seed, users, days, &[]));
        let per_day = events.len() as f64 / f64::from(users * days);
        assert!(
            (6.0..13.0).contains(&per_day),
            "{per_day} events a person and day"
        );
        let count = |kind| events.iter().filter(|event| event.kind == kind).count();
        let (logins, accesses) = (count(EventType::Login), count(EventType::Access));
        assert!(
            accesses > 3 * logins,
            "{accesses} accesses, {logins} logins"
        );
        let failed = events
            .iter()
            .filter(|event| event.outcome == Some(Outcome::Failure))
            .count();
        assert!(
            (1..logins / 8).contains(&failed),
            "{failed} of {logins} logins failed"
        );
    }
}

#[test]
fn people_work_on_weekdays_by_their_own_clock() {
    let events = events(config(4, 80, 7, &[]));
    let mut reports = [0; 7];
    for event in events
        .iter()
        .filter(|event| event.kind == EventType::DeviceHealth)
    {
        let day = usize::try_from((event.time.0 - START.0) / DAY_MS).unwrap();
        reports[day] += 1;
    }
    assert!(reports[..5].iter().all(|count| *count > 40), "{reports:?}");
    assert_eq!(reports[6], 0, "{reports:?}");
    let hours = |wanted: &str| {
        let logins = events.iter().filter(|event| {
            let is_desk = event
                .device
                .as_deref()
                .is_some_and(|d| d.starts_with("laptop"));
            event.kind == EventType::Login && is_desk && country(event) == wanted
        });
        let hours: Vec<i64> = logins
            .map(|login| login.time.0 % DAY_MS / 3_600_000)
            .collect();
        hours.iter().sum::<i64>() / i64::try_from(hours.len()).unwrap().max(1)
    };
    // About nine in the morning in Berlin and in New York, told in UTC.
    assert!((6..10).contains(&hours("DE")), "{}", hours("DE"));
    assert!((12..16).contains(&hours("US")), "{}", hours("US"));
}

#[test]
fn an_office_shares_one_address_and_phones_move_among_many() {
    let events = events(config(6, 120, 5, &[]));
    let mut users: BTreeMap<IpAddr, BTreeSet<&str>> = BTreeMap::new();
    let mut phones: BTreeMap<&str, BTreeSet<IpAddr>> = BTreeMap::new();
    for event in &events {
        let Some(ip) = event.ip else { continue };
        let user = event.user.as_deref().unwrap();
        users.entry(ip).or_default().insert(user);
        if event
            .device
            .as_deref()
            .is_some_and(|device| device.starts_with("phone"))
        {
            phones.entry(user).or_default().insert(ip);
        }
    }
    let office: IpAddr = "203.0.113.10".parse().unwrap();
    assert!(users[&office].len() > 20, "{}", users[&office].len());
    let movers = phones
        .values()
        .filter(|addresses| addresses.len() >= 4)
        .count();
    assert!(
        movers * 2 > phones.len(),
        "{movers} of {} phones move",
        phones.len()
    );
}

#[test]
fn the_unusual_but_harmless_is_there_travel_tunnels_and_shared_terminals() {
    let events = events(config(9, 150, 28, &[]));
    let mut countries: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut kiosks: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for event in &events {
        let (user, device) = (event.user.as_deref().unwrap(), event.device.as_deref());
        if event.ip.is_some() {
            countries.entry(user).or_default().insert(country(event));
        }
        if let Some(device) = device.filter(|device| device.starts_with("kiosk")) {
            kiosks.entry(device).or_default().insert(user);
        }
    }
    let abroad = countries.values().filter(|all| all.len() > 1).count();
    assert!((5..75).contains(&abroad), "{abroad} were abroad");
    assert!(
        kiosks.values().any(|users| users.len() > 1),
        "no terminal is shared"
    );
    let classes: BTreeSet<&str> = events
        .iter()
        .filter_map(|event| event.geo.as_ref()?.network)
        .map(|network| network.name())
        .collect();
    let expected = ["corporate", "mobile", "relay", "residential", "vpn"];
    assert_eq!(classes.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn memory_grows_with_people_and_not_with_days() {
    let most_waiting = |users, days| {
        let mut stream = Organisation::new(config(3, users, days, &[])).events();
        let mut most = 0;
        while stream.next().is_some() {
            let waiting = stream.people.iter().map(|diary| diary.pending.len());
            most = most.max(waiting.sum::<usize>());
        }
        most
    };
    let (short, long) = (most_waiting(8, 5), most_waiting(8, 60));
    assert!(long < short * 2 && long < 8 * 60, "{short} then {long}");
}

#[test]
fn a_large_organisation_is_attacked_more_often() {
    let campaigns = |users| {
        let simulated = Organisation::new(config(2, users, 4, &[Attack::TokenTheft]));
        let days = (0..4).map(|day| simulated.strikes.of_day(&simulated.world, day).len());
        days.sum::<usize>()
    };
    assert_eq!(campaigns(20), 1);
    assert!(
        (20..=26).contains(&campaigns(20_000)),
        "{}",
        campaigns(20_000)
    );
}
