//! What happens in a tenant: each shard of its logins looks for surges of failures; the first one owns what policy asks
//! of the tenant's apps, and is told of every shard's surge. Knows no session.

use super::moment::{Moment, Outcome, admit_counted};
use super::network::{is_news, note};
use super::{Derived, Surroundings, Wakes, apps, user};
use crate::climate::{ClimateChange, ClimateFinding, Surge};
use crate::decide::desk::Latitude;
use crate::decide::in_force::Core;
use crate::evidence::tails::nats_of_tail;
use crate::id::{EventId, SourceId, SubjectKey, short_hash};
use crate::limits::{FIRST_SHARD, MARKS_PER_SHARD, SEEN_LEN_STATISTICS};
use crate::number::Nats;
use crate::profile::baseline::{RateBaseline, RatePrior};
use crate::record::{TenantRecord, ToldFanout, UserMark};
use crate::score::{Assessment, IgnoreReason, Scored};
use crate::signal::{
    Fact, FailureKind, Handling, Origin, Outcome as LoginOutcome, Signal, Subject, TenantLogin,
};
use crate::time::{Span, Timestamp};

/// Users failing in one shard of a tenant in a quarter of an hour.
const SPRAY_PRIOR: RatePrior = RatePrior {
    events: 0.5,
    exposures: 5.0,
    shape_max: 5.0,
};
const SPRAY_WINDOW: Span = Span::minutes(15);
const SPRAY_MAX: f64 = 4.0;
/// What was told is taken back when it was not seen again for this long.
const SURGE_LIFE: Span = Span::hours(1);
/// A surge that goes on is told again this often.
const REFRESH: Span = Span::minutes(5);

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

/// When a shard wants to be woken: its surge is over, or something of the apps is due.
pub(super) fn wakes(shard: &TenantRecord) -> Wakes {
    let (own, of_core) = (shard.wakes(), user::wakes(&shard.core));
    let watermark = match (own.watermark, of_core.watermark) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    Wakes {
        watermark,
        clock: of_core.clock,
    }
}

/// A new policy may ask something of the apps while a surge is under way, or lift what is in force.
pub(super) fn is_concerned(surroundings: &Surroundings<'_>, shard: &TenantRecord) -> bool {
    let is_surging = || {
        surroundings
            .climate
            .surge(shard.core.key.tenant())
            .is_some()
    };
    is_first(shard) && (!shard.core.in_force.is_empty() || is_surging())
}

fn is_first(shard: &TenantRecord) -> bool {
    matches!(&shard.core.key, SubjectKey::Tenant { shard, .. } if *shard == FIRST_SHARD)
}

/// A login seen by one of a tenant's shards, or another shard's news for the first.
pub(super) fn signal(
    surroundings: &Surroundings<'_>,
    shard: &mut TenantRecord,
    signal: &Signal,
    outcome: &mut Outcome,
) -> Scored {
    let mut moment = Moment::of(&signal.origin, shard.core.latest);
    if !matches!(signal.fact, Fact::TenantLogin(_) | Fact::TenantSurge { .. }) {
        return Scored::Ignored(IgnoreReason::Misdirected);
    }
    if let Some(reason) = admit_counted(&mut shard.core, &signal.origin, SEEN_LEN_STATISTICS) {
        return Scored::Ignored(reason);
    }
    shard.core.latest = moment.now;
    match &signal.fact {
        Fact::TenantLogin(login) if moment.learns() => {
            count(shard, login, &moment);
            tell_surge(shard, &moment, &signal.origin, outcome);
        }
        // Time has passed and nothing was taken in, so there is no latency to measure.
        Fact::TenantSurge { is_over: true, .. } => moment.received_at = None,
        _ => {}
    }
    if is_first(shard) {
        apps::judge(surroundings, shard, &moment, Latitude::Usual, outcome);
    }
    Scored::Assessed(Assessment::nothing())
}

fn count(shard: &mut TenantRecord, login: &TenantLogin, moment: &Moment) {
    roll_window(shard, moment.now);
    if let LoginOutcome::Failure(kind) = login.outcome
        && !matches!(kind, FailureKind::MfaDenied | FailureKind::MfaTimeout)
    {
        let mark = UserMark {
            user: login.user,
            at: moment.now,
        };
        note(&mut shard.failed, mark, MARKS_PER_SHARD);
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

fn tell_surge(shard: &mut TenantRecord, moment: &Moment, origin: &Origin, outcome: &mut Outcome) {
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
    let surge = Surge {
        nats,
        failed: u32::try_from(shard.failures.len()).unwrap_or(u32::MAX),
        users: u32::try_from(users).unwrap_or(u32::MAX),
        window_s: u32::try_from(SPRAY_WINDOW.as_seconds()).unwrap_or(u32::MAX),
        since,
        at: moment.now,
        event: moment.event.clone(),
    };
    announce(shard, Some(surge), origin, outcome);
}

/// Tells every partition what the shard sees, and the first shard that there is news.
///
/// *Shape*: the climate goes first. Outputs are published in order, so whoever reads the signal has read the climate.
fn announce(shard: &TenantRecord, surge: Option<Surge>, origin: &Origin, outcome: &mut Outcome) {
    let SubjectKey::Tenant {
        tenant,
        shard: number,
    } = &shard.core.key
    else {
        return;
    };
    let is_over = surge.is_none();
    outcome.derived.push(Derived::Climate(ClimateChange {
        tenant: tenant.clone(),
        what: ClimateFinding::Surge {
            shard: *number,
            surge,
        },
    }));
    let hash = short_hash(&[
        b"surge",
        &number.to_le_bytes(),
        origin.event.as_str().as_bytes(),
    ]);
    let first = SubjectKey::Tenant {
        tenant: tenant.clone(),
        shard: FIRST_SHARD,
    };
    outcome.derived.push(Derived::Signal(Signal {
        origin: Origin {
            event: EventId::new(format!("{}~{hash:016x}", origin.event)),
            source: SourceId::new("caerus"),
            body: hash,
            position: None,
            ..origin.clone()
        },
        subject: Subject::Key(first),
        fact: Fact::TenantSurge {
            shard: *number,
            is_over,
        },
    }));
}

/// Time passed for a shard: its surge is over, or what is in force on the apps is due to be judged again.
pub(super) fn wake(
    surroundings: &Surroundings<'_>,
    shard: &mut TenantRecord,
    moment: &Moment,
    latitude: Latitude,
    outcome: &mut Outcome,
) {
    let is_over = shard.wakes().watermark.is_some_and(|at| at <= moment.now);
    shard.core.latest = shard.core.latest.max(moment.now);
    if is_over {
        shard.told = None;
        shard.since = None;
        announce(shard, None, &origin_of(moment), outcome);
    }
    if is_first(shard) {
        apps::judge(surroundings, shard, moment, latitude, outcome);
    }
}

/// A wake-up as the origin of what it makes known. It was taken in by nobody: the first shard knows by `is_over`.
fn origin_of(moment: &Moment) -> Origin {
    Origin {
        event: moment.event.clone(),
        source: SourceId::new("caerus"),
        time: moment.now,
        received_at: moment.now,
        body: 0,
        position: None,
        handling: Handling::Live,
        trace: None,
    }
}
