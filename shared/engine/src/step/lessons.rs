//! What is learned after the score: all of what is proven or ordinary, less of what is odd, nothing of what scored high.

use super::logins::{SHORT, recent};
use super::user::Turn;
use crate::evidence::Strength;
use crate::evidence::novelty;
use crate::evidence::travel::is_no_anchor;
use crate::id::{SessionId, short_hash};
use crate::limits::{ANCHORS_PER_USER, HALF_LEARNED_AT, UNLEARNED_AT};
use crate::profile::population::Traffic;
use crate::record::{Anchor, UserRecord};
use crate::score::{Hypothesis, Scored};
use crate::signal::{Authentication, Client, Login};
use crate::time::Timestamp;

/// How much of an event is learned, 0 to 1.
pub(super) fn lesson_weight(scored: &Scored, authentication: &Authentication, met: bool) -> f64 {
    let Scored::Assessed(assessment) = scored else {
        return 0.0;
    };
    if novelty::strength(&authentication.amr) == Strength::PhishingResistant {
        return 1.0;
    }
    let score = assessment.of(Hypothesis::StolenCredential).0;
    // A session that looks hijacked teaches nothing of where it is now, however little its login was suspected.
    if assessment.of(Hypothesis::HijackedSession).0 >= UNLEARNED_AT && !met {
        return 0.0;
    }
    if score < HALF_LEARNED_AT {
        1.0
    } else if score < UNLEARNED_AT {
        0.3
    } else if met {
        0.7
    } else {
        0.0
    }
}

pub(super) fn learn_login(
    turn: &mut Turn<'_, '_>,
    user: &mut UserRecord,
    login: &Login,
    weight: f64,
) {
    if !turn.moment.learns() || weight <= 0.0 {
        return;
    }
    let now = turn.moment.now;
    let failed = recent(user, turn.moment.time, SHORT, false);
    user.failure_baseline.learn(f64::from(failed), 1.0, now);
    let path = novelty::method_path(&login.authentication).map(|step| step.value);
    user.methods.learn(&path, weight, now);
    turn.population
        .observe(novelty::method_root(), &path, Traffic::Accepted);
    user.accepted_logins = user.accepted_logins.saturating_add(1);
    learn_client(turn, user, &login.client, weight);
}

/// A request teaches its session's network and device once.
pub(super) fn learn_request(
    turn: &mut Turn<'_, '_>,
    user: &mut UserRecord,
    session: &SessionId,
    client: &Client,
    scored: &Scored,
) {
    let weight = lesson_weight(scored, &Authentication::default(), false);
    if !turn.moment.learns() || weight <= 0.0 {
        return;
    }
    let key = learned_key(client);
    let is_known = user
        .sessions
        .iter()
        .find(|held| held.id == *session)
        .is_none_or(|session| key.is_none_or(|key| session.learned.contains(&key)));
    if is_known {
        anchor(user, client, turn.moment.time);
        return;
    }
    remember_learned(user, session, client);
    learn_client(turn, user, client, weight);
}

/// What a session has taught is remembered by network and device together.
pub(super) fn learned_key(client: &Client) -> Option<u64> {
    let network = client.prefix().map(novelty::prefix_key);
    let device = novelty::device_key(client);
    (network.is_some() || device.is_some()).then(|| {
        let [network, device] = [network, device].map(|key| key.unwrap_or(0).to_le_bytes());
        short_hash(&[&network, &device])
    })
}

pub(super) fn remember_learned(user: &mut UserRecord, session: &SessionId, client: &Client) {
    const LEARNED_LEN: usize = 16;
    let Some(key) = learned_key(client) else {
        return;
    };
    let Some(session) = user.sessions.iter_mut().find(|held| held.id == *session) else {
        return;
    };
    if session.learned.contains(&key) {
        return;
    }
    if session.learned.len() >= LEARNED_LEN {
        session.learned.remove(0);
    }
    session.learned.push(key);
}

fn learn_client(turn: &mut Turn<'_, '_>, user: &mut UserRecord, client: &Client, weight: f64) {
    let now = turn.moment.now;
    if let Some(path) = novelty::network_path(client) {
        user.networks
            .learn(&path.map(|step| step.value), weight, now);
    }
    if let Some(path) = novelty::device_path(client) {
        user.devices
            .learn(&path.map(|step| step.value), weight, now);
    }
    if let Some(path) = novelty::agent_path(client) {
        user.agents.learn(&path.map(|step| step.value), weight, now);
    }
    observe(turn, client, Traffic::Accepted);
    anchor(user, client, turn.moment.time);
}

/// Counts the client's values into the population. Device ids are a user's own and are not counted.
pub(super) fn observe(turn: &mut Turn<'_, '_>, client: &Client, traffic: Traffic) {
    if let Some(path) = novelty::network_path(client) {
        let path = path.map(|step| step.value);
        turn.population
            .observe(novelty::network_root(), &path, traffic);
    }
    if let Some(path) = novelty::agent_path(client) {
        let path = path.map(|step| step.value);
        turn.population
            .observe(novelty::agent_root(), &path, traffic);
    }
}

fn anchor(user: &mut UserRecord, client: &Client, at: Timestamp) {
    let (Some(prefix), Some(fix)) = (client.prefix(), client.place.fix) else {
        return;
    };
    if is_no_anchor(client.place.class) {
        return;
    }
    let held_at = user
        .anchors
        .iter()
        .find(|held| held.prefix == prefix)
        .map(|held| held.at);
    user.anchors.retain(|held| held.prefix != prefix);
    user.anchors.push(Anchor {
        prefix,
        fix,
        at: held_at.map_or(at, |held| held.max(at)),
        class: client.place.class,
        city: client.place.city.clone(),
        country: client.place.country,
    });
    user.anchors
        .sort_by_key(|held| core::cmp::Reverse((held.at, held.prefix)));
    user.anchors.truncate(ANCHORS_PER_USER);
}
