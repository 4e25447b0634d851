//! What the picture holds, fences and forgets.

use caerus_engine::decide::Requires;
use caerus_engine::id::{AppId, DeviceId};

use super::*;
use crate::sample;

const NOW: Timestamp = sample::NOW;

fn matching(picture: &Picture, request: &Target, now: Timestamp) -> Vec<u64> {
    let mut generations: Vec<u64> = picture
        .matching(&TenantId::new("acme"), request, now)
        .map(|decision| decision.generation)
        .collect();
    generations.sort_unstable();
    generations
}

#[test]
fn only_the_newest_generation_of_a_target_is_in_force() {
    let mut picture = Picture::default();
    let target = sample::session("alice", "s-1");
    let at = |generation| {
        Arc::new(Decision {
            generation,
            ..sample::revoke(target.clone())
        })
    };
    assert_eq!(picture.admit(at(3)), Admission::Taken);
    assert_eq!(picture.admit(at(3)), Admission::Older);
    assert_eq!(picture.admit(at(2)), Admission::Older);
    assert_eq!(matching(&picture, &target, NOW), [3]);
    assert_eq!(picture.admit(at(7)), Admission::Taken);
    assert_eq!(matching(&picture, &target, NOW), [7]);
    assert_eq!(picture.len(), 1);
}

#[test]
fn an_older_revoke_told_again_does_not_return_after_a_clear_nor_after_the_clear_has_lapsed() {
    let mut picture = Picture::default();
    let target = sample::session("alice", "s-1");
    let revoke = Arc::new(Decision {
        generation: 1,
        expires_at: NOW + sample::HOUR + sample::HOUR,
        ..sample::revoke(target.clone())
    });
    let clear = Decision {
        generation: 2,
        action: Action::Clear,
        expires_at: NOW + sample::HOUR,
        ..sample::revoke(target.clone())
    };
    picture.admit(Arc::clone(&revoke));
    picture.admit(Arc::new(clear));
    assert_eq!(matching(&picture, &target, NOW), [0_u64; 0]);

    let after_clear = NOW + sample::HOUR + limit::CLOCK_SKEW;
    assert_eq!(picture.lapsed(after_clear, 10), []);
    assert_eq!(picture.admit(revoke), Admission::Older);

    let after_both = after_clear + sample::HOUR;
    let lapsed = picture.lapsed(after_both, 10);
    assert_eq!(lapsed.len(), 1);
    picture.forget(&lapsed, after_both);
    assert!(picture.is_empty());
    assert_eq!(picture.iter().count(), 0);
}

#[test]
fn a_decision_holds_a_minute_longer_than_it_says_and_not_a_moment_more() {
    let mut picture = Picture::default();
    let target = sample::user("alice");
    let decision = sample::revoke(target.clone());
    let end = decision.expires_at + limit::CLOCK_SKEW;
    picture.admit(Arc::new(decision));
    let before = Timestamp(end.0 - 1);
    assert_eq!(matching(&picture, &target, before), [1]);
    assert_eq!(matching(&picture, &target, end), [0_u64; 0]);
}

#[test]
fn a_target_decided_anew_after_it_was_named_as_lapsed_stays() {
    let mut picture = Picture::default();
    let target = sample::user("alice");
    let first = sample::revoke(target.clone());
    let late = first.expires_at + limit::CLOCK_SKEW;
    picture.admit(Arc::new(first.clone()));
    let lapsed = picture.lapsed(late, 10);
    picture.admit(Arc::new(Decision {
        generation: 2,
        expires_at: late + sample::HOUR,
        ..first
    }));
    picture.forget(&lapsed, late);
    assert_eq!(matching(&picture, &target, late), [2]);
}

#[test]
fn a_pattern_matches_by_every_member_it_gives_and_by_no_other() {
    let alice_laptop = Target {
        device: Some(DeviceId::new("laptop")),
        ..sample::user("alice")
    };
    let alice_payroll = Target {
        app: Some(AppId::new("payroll")),
        ..sample::user("alice")
    };
    let mut picture = Picture::default();
    for (generation, target) in [
        (1, sample::user("alice")),
        (2, sample::session("alice", "s-1")),
        (3, alice_laptop.clone()),
        (4, alice_payroll.clone()),
        (5, sample::session("bob", "s-2")),
    ] {
        picture.admit(Arc::new(Decision {
            generation,
            ..sample::revoke(target)
        }));
    }
    let full = Target {
        session: Some(SessionId::new("s-1")),
        app: Some(AppId::new("payroll")),
        ..alice_laptop
    };
    assert_eq!(matching(&picture, &full, NOW), [1, 2, 3, 4]);
    assert_eq!(matching(&picture, &alice_payroll, NOW), [1, 4]);
    assert_eq!(matching(&picture, &sample::user("bob"), NOW), [0_u64; 0]);
    let other = TenantId::new("other");
    assert_eq!(picture.matching(&other, &full, NOW).count(), 0);
}

#[test]
fn a_session_names_its_user_for_as_long_as_a_decision_does() {
    let acme = TenantId::new("acme");
    let session = SessionId::new("s-1");
    let mut picture = Picture::default();
    let on_device = Target {
        device: Some(DeviceId::new("laptop")),
        ..sample::session("alice", "s-1")
    };
    picture.admit(Arc::new(sample::revoke(sample::session("alice", "s-1"))));
    picture.admit(Arc::new(Decision {
        expires_at: NOW + sample::HOUR + sample::HOUR,
        ..sample::revoke(on_device)
    }));
    let users = |picture: &Picture| -> Vec<String> {
        picture
            .users_of(&acme, &session)
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(users(&picture), ["alice"]);
    for (hours, expected) in [(1, vec!["alice"]), (2, vec![])] {
        let now = NOW + caerus_engine::time::Span::hours(hours) + limit::CLOCK_SKEW;
        let lapsed = picture.lapsed(now, 10);
        assert_eq!(lapsed.len(), 1);
        picture.forget(&lapsed, now);
        assert_eq!(users(&picture), expected);
    }
}

#[test]
fn a_snapshot_that_lags_keeps_what_was_newer_and_drops_what_it_does_not_hold() {
    let target = sample::session("alice", "s-1");
    let gone = sample::session("bob", "s-2");
    let at = |generation, target: &Target| {
        Arc::new(Decision {
            generation,
            ..sample::revoke(target.clone())
        })
    };
    let mut former = Picture::default();
    former.admit(at(5, &target));
    former.admit(at(6, &gone));
    let mut snapshot = Picture::default();
    snapshot.admit(at(4, &target));
    snapshot.keep_newer_of(&former);
    assert_eq!(matching(&snapshot, &target, NOW), [5]);
    assert_eq!(matching(&snapshot, &gone, NOW), [0_u64; 0]);
}

#[test]
fn a_step_up_and_a_revoke_of_one_target_never_hold_together() {
    let target = sample::session("alice", "s-1");
    let mut picture = Picture::default();
    let step_up = Decision {
        generation: 2,
        action: Action::StepUp {
            requires: Requires {
                acr_values: BTreeSet::new(),
                max_age_s: None,
            },
            restricts: None,
        },
        ..sample::revoke(target.clone())
    };
    picture.admit(Arc::new(step_up));
    picture.admit(Arc::new(sample::revoke(target.clone())));
    assert_eq!(matching(&picture, &target, NOW), [2]);
}
