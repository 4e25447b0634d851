//! What happens on a network: many users failing from one place, or a tenant's own people leaving by it.

use super::moment::{Moment, Outcome, admit_counted};
use super::{Derived, Wakes};
use crate::climate::{ClimateChange, ClimateFinding, FanoutFinding, NetworkStanding};
use crate::decide::in_force::Core;
use crate::evidence::tails::nats_of_tail;
use crate::id::SubjectKey;
use crate::limits::{SEEN_LEN_STATISTICS, USERS_PER_NETWORK};
use crate::number::{Count, Nats};
use crate::profile::access::hour_of;
use crate::profile::baseline::{RateBaseline, RatePrior};
use crate::record::{NetworkRecord, ToldFanout, UserMark};
use crate::score::{IgnoreReason, Scored};
use crate::signal::{Fact, Outcome as LoginOutcome, Signal};
use crate::time::{Span, Timestamp};

/// Users failing from one network in an hour.
const FANOUT_PRIOR: RatePrior = RatePrior {
    events: 1.0,
    exposures: 2.0,
    shape_max: 5.0,
};
const FANOUT_WINDOW: Span = Span::hours(1);
const FANOUT_MAX: f64 = 5.0;
/// The climate is told from here on, and again when it moved by [`NEWS`].
pub(super) const TELLING: Nats = Nats(1_000_000);
const NEWS: Nats = Nats(500_000);
/// What was told is taken back when it was not seen again for this long.
const FANOUT_LIFE: Span = Span::hours(4);
/// A network used successfully by this many users of a tenant is its exit.
const EGRESS_USERS: usize = 3;
const EGRESS_MEMORY: Span = Span::days(30);

impl NetworkRecord {
    pub fn new(key: SubjectKey) -> Self {
        Self {
            core: Core::new(key),
            failed: Vec::new(),
            accepted: Vec::new(),
            baseline: RateBaseline::default(),
            hour: 0,
            told: None,
            is_egress: false,
        }
    }

    pub fn wakes(&self) -> Wakes {
        Wakes {
            watermark: self.told.map(|told| told.at + FANOUT_LIFE),
            clock: None,
        }
    }
}

/// A login seen from a network.
pub(super) fn network_signal(
    network: &mut NetworkRecord,
    signal: &Signal,
    outcome: &mut Outcome,
) -> Scored {
    let Fact::NetworkLogin(login) = &signal.fact else {
        return Scored::Ignored(IgnoreReason::Misdirected);
    };
    let moment = Moment::of(&signal.origin, network.core.latest);
    if let Some(reason) = admit_counted(&mut network.core, &signal.origin, SEEN_LEN_STATISTICS) {
        return Scored::Ignored(reason);
    }
    network.core.latest = moment.now;
    if !moment.learns() {
        return Scored::Assessed(crate::score::Assessment::nothing());
    }
    roll_hour(network, moment.now);
    let mark = UserMark {
        user: login.user,
        at: moment.now,
    };
    match login.outcome {
        LoginOutcome::Failure(_) => note(&mut network.failed, mark, USERS_PER_NETWORK),
        LoginOutcome::Success => note(&mut network.accepted, mark, USERS_PER_NETWORK),
        LoginOutcome::Challenged => {}
    }
    network
        .failed
        .retain(|held| moment.now.since(held.at) <= FANOUT_WINDOW);
    network
        .accepted
        .retain(|held| moment.now.since(held.at) <= EGRESS_MEMORY);
    tell_network(network, &moment, outcome);
    Scored::Assessed(crate::score::Assessment::nothing())
}

/// Remembers a user, the latest last; the oldest leave.
pub(super) fn note(marks: &mut Vec<UserMark>, mark: UserMark, limit: usize) {
    marks.retain(|held| held.user != mark.user);
    if marks.len() >= limit {
        marks.remove(0);
    }
    marks.push(mark);
}

fn roll_hour(network: &mut NetworkRecord, now: Timestamp) {
    let hour = hour_of(now);
    if hour > network.hour {
        // A surge does not teach that surges are usual.
        if network.hour > 0 && network.told.is_none() {
            let failed = crate::number::float(i64::try_from(network.failed.len()).unwrap_or(0));
            network.baseline.learn(failed, 1.0, now);
        }
        network.hour = hour;
    }
}

fn tell_network(network: &mut NetworkRecord, moment: &Moment, outcome: &mut Outcome) {
    let users = u64::try_from(network.failed.len()).unwrap_or(u64::MAX);
    let tail = network.baseline.tail(users, 1.0, FANOUT_PRIOR, moment.now);
    let nats = Nats::from_f64(nats_of_tail(tail).clamp(0.0, FANOUT_MAX));
    let is_egress = network.accepted.len() >= EGRESS_USERS;
    let is_news = is_news(network.told, nats) || is_egress != network.is_egress;
    network.is_egress = is_egress;
    if !is_news {
        return;
    }
    let expected = network.baseline.expected(1.0, FANOUT_PRIOR, moment.now);
    let fanout = (nats >= TELLING).then(|| FanoutFinding {
        nats,
        users: u32::try_from(users).unwrap_or(u32::MAX),
        window_s: u32::try_from(FANOUT_WINDOW.as_seconds()).unwrap_or(u32::MAX),
        expected_milli: Count::from_f64(expected).0,
        at: moment.now,
        event: moment.event.clone(),
    });
    network.told = fanout.as_ref().map(|fanout| ToldFanout {
        nats: fanout.nats,
        at: fanout.at,
    });
    announce_network(network, fanout, outcome);
}

pub(super) fn is_news(told: Option<ToldFanout>, nats: Nats) -> bool {
    match told {
        None => nats >= TELLING,
        Some(told) => nats >= told.nats + NEWS,
    }
}

fn announce_network(network: &NetworkRecord, fanout: Option<FanoutFinding>, outcome: &mut Outcome) {
    let SubjectKey::Network { tenant, prefix } = &network.core.key else {
        return;
    };
    let is_silent = fanout.is_none() && !network.is_egress;
    let standing = (!is_silent).then_some(NetworkStanding {
        fanout,
        is_egress: network.is_egress,
    });
    outcome.derived.push(Derived::Climate(ClimateChange {
        tenant: tenant.clone(),
        what: ClimateFinding::Network {
            prefix: *prefix,
            standing,
        },
    }));
}

/// Time passed for a network: what was told is taken back.
pub(super) fn network_wake(network: &mut NetworkRecord, now: Timestamp, outcome: &mut Outcome) {
    network.core.latest = network.core.latest.max(now);
    network
        .failed
        .retain(|held| now.since(held.at) <= FANOUT_WINDOW);
    network.told = None;
    announce_network(network, None, outcome);
}
