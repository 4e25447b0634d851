//! The shape of each attack, as its events show it.

use std::collections::BTreeSet;

use caerus_wire::event::{EventType, Failure, NativeEvent, Outcome, Severity};

use super::{DAY_MS, config, country, events, label};
use crate::attack::Attack;
use crate::form::BENIGN;

/// The attack's first campaign and the ordinary life around it.
fn under(attack: Attack) -> (Vec<NativeEvent>, Vec<NativeEvent>) {
    let days = if attack == Attack::Poisoning { 20 } else { 6 };
    let mut all = events(config(11, 40, days, &[attack]));
    let first = all
        .iter()
        .find(|event| label(event) == attack.name())
        .unwrap();
    let campaign = |event: &NativeEvent| event.id.rsplit_once('-').unwrap().0.to_owned();
    let wanted = campaign(first);
    all.retain(|event| label(event) == BENIGN || campaign(event) == wanted);
    all.into_iter().partition(|event| label(event) == BENIGN)
}

#[test]
fn stuffing_comes_from_one_network_against_many_accounts_and_ends_with_a_hit() {
    let (_, own) = under(Attack::Stuffing);
    let logins = own.iter().filter(|event| event.kind == EventType::Login);
    let (hits, misses): (Vec<_>, Vec<_>) =
        logins.partition(|event| event.outcome == Some(Outcome::Success));
    let networks: BTreeSet<Option<u32>> = own
        .iter()
        .map(|event| event.geo.as_ref().and_then(|geo| geo.asn))
        .collect();
    let users: BTreeSet<&Option<String>> = misses.iter().map(|event| &event.user).collect();
    let unknown = misses
        .iter()
        .filter(|event| event.failure == Some(Failure::UnknownUser))
        .count();
    assert_eq!(networks.len(), 1);
    assert!(
        users.len() > 40 && unknown * 3 > misses.len(),
        "{} {unknown}",
        users.len()
    );
    assert!(
        (1..misses.len() / 10).contains(&hits.len()),
        "{}",
        hits.len()
    );
}

#[test]
fn spray_changes_its_address_with_every_try() {
    let (_, own) = under(Attack::Spray);
    let tries: Vec<_> = own
        .iter()
        .filter(|event| event.kind == EventType::Login)
        .collect();
    let addresses: BTreeSet<_> = tries.iter().map(|event| event.ip).collect();
    let failed = tries
        .iter()
        .filter(|t| t.failure == Some(Failure::BadPassword))
        .count();
    assert_eq!(addresses.len(), tries.len());
    assert!(
        failed * 10 > tries.len() * 8 && failed < tries.len(),
        "{failed} of {}",
        tries.len()
    );
}

#[test]
fn mfa_fatigue_is_refused_pushes_and_then_an_accepted_one() {
    let (_, own) = under(Attack::MfaFatigue);
    let logins: Vec<_> = own
        .iter()
        .filter(|event| event.kind == EventType::Login)
        .collect();
    let (accepted, refused) = logins.split_last().unwrap();
    let users: BTreeSet<_> = own.iter().map(|event| &event.user).collect();
    assert_eq!(users.len(), 1);
    assert!(refused.len() >= 6);
    assert!(refused.iter().all(|event| {
        matches!(
            event.failure,
            Some(Failure::MfaDenied | Failure::MfaTimeout)
        )
    }));
    assert_eq!(accepted.outcome, Some(Outcome::Success));
    assert!(accepted.amr.as_ref().unwrap().contains(&"push".to_owned()));
    assert!(own.last().unwrap().kind == EventType::Access);
}

/// The owner's own use of the session that the attack uses.
fn genuine<'a>(other: &'a [NativeEvent], own: &[NativeEvent]) -> &'a NativeEvent {
    let session = own.iter().find_map(|event| event.session.as_ref()).unwrap();
    other
        .iter()
        .find(|event| event.session.as_ref() == Some(session))
        .unwrap()
}

#[test]
fn a_stolen_token_is_the_owners_session_from_another_country_and_browser() {
    let (other, own) = under(Attack::TokenTheft);
    let owner = genuine(&other, &own);
    assert!(own.len() >= 5);
    for event in &own {
        assert_eq!(
            (event.kind, &event.session),
            (EventType::Access, &owner.session)
        );
        assert_eq!(event.user, owner.user);
        assert_ne!(country(event), country(owner));
        assert_ne!(event.ja4, owner.ja4);
        assert_ne!(event.user_agent, owner.user_agent);
        assert!(event.time > owner.time);
    }
}

#[test]
fn a_token_stolen_nearby_differs_in_address_and_provider_alone() {
    let (other, own) = under(Attack::TokenTheftNearby);
    let owner = genuine(&other, &own);
    for event in &own {
        assert_eq!(country(event), country(owner));
        assert_eq!(
            (&event.user_agent, &event.ja4),
            (&owner.user_agent, &owner.ja4)
        );
        assert_ne!(event.ip, owner.ip);
    }
}

#[test]
fn a_stolen_password_is_used_in_the_country_on_a_new_device_without_a_second_factor() {
    let (other, own) = under(Attack::StolenPassword);
    let login = &own[0];
    assert_eq!(
        (login.kind, login.outcome),
        (EventType::Login, Some(Outcome::Success))
    );
    assert_eq!(login.amr, Some(vec!["pwd".to_owned()]));
    let owned = other.iter().filter(|event| event.user == login.user);
    let (mut devices, mut countries) = (BTreeSet::new(), BTreeSet::new());
    for event in owned.filter(|event| event.ip.is_some()) {
        devices.insert(&event.device);
        countries.insert(country(event));
    }
    assert!(login.device.is_some() && !devices.contains(&login.device));
    assert!(countries.contains(country(login)));
    assert!(own[1..].iter().all(|event| event.session == login.session));
}

#[test]
fn impossible_travel_is_a_login_oceans_away_minutes_after_the_owner() {
    let (other, own) = under(Attack::ImpossibleTravel);
    let login = &own[0];
    let before = other
        .iter()
        .rfind(|event| event.user == login.user && event.ip.is_some() && event.time < login.time)
        .unwrap();
    assert!(login.time.0 - before.time.0 < 13 * 60_000);
    assert_ne!(country(login), country(before));
    let home = ["DE", "GB", "US", "IN"];
    assert!(home.contains(&country(before)) && !home.contains(&country(login)));
}

#[test]
fn a_mimic_shows_the_victims_city_and_browser_on_another_device() {
    let (other, own) = under(Attack::Mimic);
    let login = &own[0];
    let twin = other
        .iter()
        .find(|event| event.user == login.user && event.user_agent == login.user_agent)
        .unwrap();
    assert_eq!(country(login), country(twin));
    assert_ne!(login.device, twin.device);
}

#[test]
fn malware_is_a_critical_alert_on_the_owners_laptop_and_use_of_the_owners_session() {
    let (other, own) = under(Attack::Malware);
    let owner = genuine(&other, &own);
    let posture = own[0].posture.as_ref().unwrap();
    assert_eq!(posture.alerts[0].severity, Severity::Critical);
    assert!(own[0].device.as_deref().unwrap().starts_with("laptop-"));
    assert_eq!(own[0].device, owner.device);
    let uses = own.iter().filter(|event| event.kind == EventType::Access);
    assert!(uses.clone().count() >= 3);
    assert!(
        uses.clone()
            .all(|event| event.session == owner.session && event.ip == owner.ip)
    );
}

#[test]
fn an_insider_opens_many_and_carries_away_gigabytes_in_their_own_session() {
    let (other, own) = under(Attack::Insider);
    let owner = genuine(&other, &own);
    assert!(
        own.iter()
            .all(|event| event.device == owner.device && event.ip == owner.ip)
    );
    let resources: BTreeSet<_> = own.iter().map(|event| &event.resource).collect();
    let bytes: u64 = own.iter().filter_map(|event| event.bytes_out).sum();
    assert!(resources.len() > 80, "{}", resources.len());
    assert!(bytes > 1_000_000_000, "{bytes}");
    assert!(own.last().unwrap().time.0 - own[0].time.0 < 3_600_000);
}

#[test]
fn poisoning_adds_one_thing_a_day() {
    let (_, own) = under(Attack::Poisoning);
    let logins: Vec<_> = own
        .iter()
        .filter(|event| event.kind == EventType::Login)
        .collect();
    assert!(logins.len() >= 4, "{}", logins.len());
    for pair in logins.windows(2) {
        let gap = pair[1].time.0 - pair[0].time.0;
        assert!(
            (DAY_MS - 3_600_000..DAY_MS + 3_600_000).contains(&gap),
            "{gap}"
        );
        let network = |event: &NativeEvent| event.geo.as_ref().and_then(|geo| geo.asn);
        let changes = usize::from(network(pair[0]) != network(pair[1]))
            + usize::from(pair[0].user_agent != pair[1].user_agent)
            + usize::from(pair[0].device != pair[1].device);
        assert_eq!(changes, 1, "{:?} {:?}", pair[0], pair[1]);
    }
}
