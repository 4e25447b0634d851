//! What happens on a network and in a tenant's shard: many users failing from one place, many failing at once.

use super::moment::{Moment, Outcome, admit_counted};
use super::{Derived, Wakes};
use crate::climate::{ClimateChange, ClimateFinding, FanoutFinding, NetworkStanding, Surge};
use crate::decide::in_force::Core;
use crate::evidence::tails::nats_of_tail;
use crate::id::SubjectKey;
use crate::limits::{MARKS_PER_SHARD, SEEN_LEN_STATISTICS, USERS_PER_NETWORK};
use crate::number::{Count, Nats};
use crate::profile::access::hour_of;
use crate::profile::baseline::{RateBaseline, RatePrior};
use crate::record::{NetworkRecord, TenantRecord, ToldFanout, UserMark};
use crate::score::{IgnoreReason, Scored};
use crate::signal::{Fact, FailureKind, Outcome as LoginOutcome, Signal};
use crate::time::{Span, Timestamp};

/// Users failing from one network in an hour.
const FANOUT_PRIOR: RatePrior = RatePrior {
    events: 1.0,
    exposures: 2.0,
    shape_max: 5.0,
};
const FANOUT_WINDOW: Span = Span::hours(1);
const FANOUT_MAX: f64 = 5.0;
/// Users failing in one shard of a tenant in a quarter of an hour.
const SPRAY_PRIOR: RatePrior = RatePrior {
    events: 0.5,
    exposures: 5.0,
    shape_max: 5.0,
};
const SPRAY_WINDOW: Span = Span::minutes(15);
const SPRAY_MAX: f64 = 4.0;
/// The climate is told from here on, and again when it moved by [`NEWS`].
const TELLING: Nats = Nats(1_000_000);
const NEWS: Nats = Nats(500_000);
/// What was told is taken back when it was not seen again for this long.
const FANOUT_LIFE: Span = Span::hours(4);
const SURGE_LIFE: Span = Span::hours(1);
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

impl TenantRecord {
    pub fn new(key: SubjectKey) -> Self {
        Self {
            core: Core::new(key),
            failed: Vec::new(),
            failures: Vec::new(),
            baseline: RateBaseline::default(),
            window: 0,
            told: None,
            since: None,
        }
    }

    pub fn wakes(&self) -> Wakes {
        Wakes {
            watermark: self.told.map(|told| told.at + SURGE_LIFE),
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
fn note(marks: &mut Vec<UserMark>, mark: UserMark, limit: usize) {
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

fn is_news(told: Option<ToldFanout>, nats: Nats) -> bool {
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

/// A login seen by one of a tenant's shards.
pub(super) fn tenant_signal(
    shard: &mut TenantRecord,
    signal: &Signal,
    outcome: &mut Outcome,
) -> Scored {
    let Fact::TenantLogin(login) = &signal.fact else {
        return Scored::Ignored(IgnoreReason::Misdirected);
    };
    let moment = Moment::of(&signal.origin, shard.core.latest);
    if let Some(reason) = admit_counted(&mut shard.core, &signal.origin, SEEN_LEN_STATISTICS) {
        return Scored::Ignored(reason);
    }
    shard.core.latest = moment.now;
    if !moment.learns() {
        return Scored::Assessed(crate::score::Assessment::nothing());
    }
    roll_window(shard, moment.now);
    if let LoginOutcome::Failure(kind) = login.outcome
        && !matches!(kind, FailureKind::MfaDenied | FailureKind::MfaTimeout)
    {
        note(
            &mut shard.failed,
            UserMark {
                user: login.user,
                at: moment.now,
            },
            MARKS_PER_SHARD,
        );
        if shard.failures.len() >= MARKS_PER_SHARD {
            shard.failures.remove(0);
        }
        shard.failures.push(moment.now);
    }
    shard
        .failed
        .retain(|held| moment.now.since(held.at) <= SPRAY_WINDOW);
    shard
        .failures
        .retain(|at| moment.now.since(*at) <= SPRAY_WINDOW);
    tell_surge(shard, &moment, outcome);
    Scored::Assessed(crate::score::Assessment::nothing())
}

fn roll_window(shard: &mut TenantRecord, now: Timestamp) {
    let window = now.0.div_euclid(SPRAY_WINDOW.0);
    if window > shard.window {
        if shard.window > 0 && shard.told.is_none() {
            let failed = crate::number::float(i64::try_from(shard.failed.len()).unwrap_or(0));
            shard.baseline.learn(failed, 1.0, now);
        }
        shard.window = window;
    }
}

fn tell_surge(shard: &mut TenantRecord, moment: &Moment, outcome: &mut Outcome) {
    let users = u64::try_from(shard.failed.len()).unwrap_or(u64::MAX);
    // One person mistyping is no surge.
    if users < 2 {
        return;
    }
    let tail = shard.baseline.tail(users, 1.0, SPRAY_PRIOR, moment.now);
    let nats = Nats::from_f64(nats_of_tail(tail).clamp(0.0, SPRAY_MAX));
    let is_renewal = shard
        .told
        .is_some_and(|told| nats >= told.nats && moment.now.since(told.at) >= REFRESH);
    if !is_news(shard.told, nats) && !is_renewal {
        return;
    }
    let first = shard.failures.first().copied().unwrap_or(moment.now);
    let since = *shard.since.get_or_insert(first);
    shard.told = Some(ToldFanout {
        nats,
        at: moment.now,
    });
    let SubjectKey::Tenant {
        tenant,
        shard: number,
    } = &shard.core.key
    else {
        return;
    };
    let surge = Surge {
        nats,
        failed: u32::try_from(shard.failures.len()).unwrap_or(u32::MAX),
        users: u32::try_from(users).unwrap_or(u32::MAX),
        window_s: u32::try_from(SPRAY_WINDOW.as_seconds()).unwrap_or(u32::MAX),
        since,
        at: moment.now,
        event: moment.event.clone(),
    };
    outcome.derived.push(Derived::Climate(ClimateChange {
        tenant: tenant.clone(),
        what: ClimateFinding::Surge {
            shard: *number,
            surge: Some(surge),
        },
    }));
}

/// A surge that goes on is told again this often.
const REFRESH: Span = Span::minutes(5);

/// Time passed for a shard: its surge is over.
pub(super) fn tenant_wake(shard: &mut TenantRecord, now: Timestamp, outcome: &mut Outcome) {
    shard.core.latest = shard.core.latest.max(now);
    shard.told = None;
    shard.since = None;
    let SubjectKey::Tenant {
        tenant,
        shard: number,
    } = &shard.core.key
    else {
        return;
    };
    outcome.derived.push(Derived::Climate(ClimateChange {
        tenant: tenant.clone(),
        what: ClimateFinding::Surge {
            shard: *number,
            surge: None,
        },
    }));
}
