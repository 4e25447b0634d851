//! What the demo promises: a short history, an opening that shows at once what this is about, and no end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use caerus_wire::Timestamp;
use caerus_wire::event::{EventType, NativeEvent, Outcome};

use super::{Cue, Demo};
use crate::attack::Attack;
use crate::form::BENIGN;

/// A Saturday night, when nobody would be at work.
const START: Timestamp = Timestamp(1_795_303_205_120);
const SEEDS: [u64; 4] = [0, 1, 42, 0xfeed];

fn demo(seed: u64) -> Demo {
    Demo::new(seed, START, "demo")
}

/// The cues of the first `seconds` of the live stream, each with its time since the beginning.
fn live(seed: u64, seconds: u64) -> Vec<(Duration, NativeEvent)> {
    let mut now = Duration::ZERO;
    let timed = demo(seed).live(START).map(move |Cue { delay, event }| {
        now += delay;
        (now, event)
    });
    timed
        .take_while(|(now, _)| *now < Duration::from_secs(seconds))
        .collect()
}

fn label(event: &NativeEvent) -> &str {
    event
        .label
        .as_ref()
        .and_then(|label| label.as_str())
        .unwrap()
}

#[test]
fn the_history_is_weeks_of_ordinary_life_and_quickly_taken_in() {
    for seed in SEEDS {
        let history: Vec<NativeEvent> = demo(seed).history().collect();
        assert!(
            (3_000..8_000).contains(&history.len()),
            "{} events",
            history.len()
        );
        assert!(history.is_sorted_by_key(|event| event.time));
        assert!(
            history
                .iter()
                .all(|event| event.time < START && label(event) == BENIGN)
        );
        let users: BTreeSet<_> = history.iter().map(|event| &event.user).collect();
        assert_eq!(users.len(), 424);
        let last_day = history
            .iter()
            .filter(|event| event.time.0 > START.0 - 86_400_000);
        assert!(
            last_day.count() > 100,
            "nobody is at work when the demo begins"
        );
    }
}

#[test]
fn a_theft_and_a_login_without_a_second_factor_come_within_ten_seconds() {
    for seed in SEEDS {
        let opening = live(seed, 10);
        let first = |attack: Attack| {
            opening
                .iter()
                .find(|(_, event)| label(event) == attack.name())
                .unwrap()
        };
        let (_, theft) = first(Attack::TokenTheft);
        let before = opening
            .iter()
            .filter(|(_, event)| event.session == theft.session);
        assert!(before.clone().any(|(_, event)| label(event) == BENIGN));
        let (_, login) = first(Attack::StolenPassword);
        assert_eq!(
            (login.kind, login.outcome),
            (EventType::Login, Some(Outcome::Success))
        );
        assert_eq!(login.amr, Some(vec!["pwd".to_owned()]));
    }
}

#[test]
fn those_who_are_attacked_were_seen_before_on_the_same_device() {
    let history: Vec<NativeEvent> = demo(3).history().collect();
    let known: BTreeSet<_> = history
        .iter()
        .map(|event| (&event.user, &event.device))
        .collect();
    let opening = live(3, 60);
    let theft = opening
        .iter()
        .find(|(_, event)| label(event) == Attack::TokenTheft.name())
        .unwrap();
    let owner = opening
        .iter()
        .find(|(_, event)| event.session == theft.1.session && label(event) == BENIGN)
        .unwrap();
    assert!(known.contains(&(&owner.1.user, &owner.1.device)));
}

#[test]
fn every_play_is_shown_within_eight_minutes_and_comes_again_with_others() {
    let cues = live(9, 1_200);
    let mut victims: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (at, event) in &cues {
        let personal = [Attack::TokenTheft, Attack::Malware, Attack::Insider];
        let Some(attack) = Attack::ALL
            .iter()
            .find(|attack| attack.name() == label(event))
        else {
            continue;
        };
        if *at < Duration::from_secs(480) || personal.contains(attack) {
            let user = event.user.as_deref().unwrap();
            victims.entry(attack.name()).or_default().insert(user);
        }
    }
    let shown: BTreeSet<&str> = victims.keys().copied().collect();
    let expected: BTreeSet<&str> = Attack::ALL
        .iter()
        .filter(|attack| **attack != Attack::Poisoning)
        .map(|attack| attack.name())
        .collect();
    assert_eq!(shown, expected);
    for attack in [Attack::TokenTheft, Attack::Malware, Attack::Insider] {
        assert!(
            victims[attack.name()].len() >= 3,
            "{attack} hits the same few"
        );
    }
}

#[test]
fn ordinary_traffic_goes_on_at_a_few_events_a_second() {
    let cues = live(5, 600);
    let benign = cues
        .iter()
        .filter(|(_, event)| label(event) == BENIGN)
        .count();
    assert!((2_400..3_900).contains(&benign), "{benign} in ten minutes");
    let gap = cues
        .windows(2)
        .map(|pair| pair[1].0 - pair[0].0)
        .max()
        .unwrap();
    assert!(gap < Duration::from_secs(8), "{gap:?} of silence");
}

#[test]
fn a_new_laptop_is_met_by_the_second_factor_in_the_same_session() {
    let cues = live(5, 120);
    let mut logins: BTreeMap<&String, Vec<&NativeEvent>> = BTreeMap::new();
    for (_, event) in cues
        .iter()
        .filter(|(_, event)| event.kind == EventType::Login)
    {
        if let Some(session) = &event.session {
            logins.entry(session).or_default().push(event);
        }
    }
    let again: Vec<_> = logins.values().filter(|logins| logins.len() > 1).collect();
    assert_eq!(again.len(), 1);
    let [first, second] = again[0][..] else {
        panic!("more than two logins in a session")
    };
    assert_eq!(first.amr, Some(vec!["pwd".to_owned()]));
    assert!(second.amr.as_ref().unwrap().contains(&"mfa".to_owned()));
    assert_eq!((&first.device, &first.user), (&second.device, &second.user));
}

#[test]
fn the_stream_is_dated_by_its_delays_ordered_unique_and_readable() {
    let mut seen = BTreeSet::new();
    for (at, event) in live(6, 900) {
        assert_eq!(u128::from(event.time.0.abs_diff(START.0)), at.as_millis());
        assert!(seen.insert(event.id.clone()), "{} twice", event.id);
        assert_eq!(
            NativeEvent::parse(event.to_json().as_bytes()).as_ref(),
            Ok(&event)
        );
    }
}

#[test]
fn the_same_seed_plays_the_same_and_memory_stays_small_however_long_it_runs() {
    let text = |seed| -> Vec<String> {
        live(seed, 60)
            .iter()
            .map(|(_, event)| event.to_json())
            .collect()
    };
    assert_eq!(text(8), text(8));
    assert_ne!(text(8), text(9));
    let mut stream = demo(8).live(START);
    let mut most = 0;
    for _ in 0..20_000 {
        stream.next();
        most = most.max(stream.pending.len());
    }
    assert!(most < 300, "{most} acts waiting");
}
