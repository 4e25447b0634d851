//! Logins: what they prove, what they cost to get wrong, and what is learned from them afterwards.

use super::judge::{Leniency, assess_session};
use super::lessons::{learn_login, learned_key, lesson_weight, observe, remember_learned};
use super::sessions::{evaluate_client, evaluate_travel};
use super::step_ups::{except_new_session, meet};
use super::user::{Turn, scored, weigh_credential_change};
use crate::climate::Surge;
use crate::decide::desk::Latitude;
use crate::evidence::novelty::{self, Found};
use crate::evidence::tails::nats_of_tail;
use crate::evidence::{Code, CountExpected, Detail, Evidence, put, withdraw};
use crate::id::{SessionId, short_hash};
use crate::limits::{FAILURES_PER_USER, UNBOUND_LOGINS};
use crate::number::{Count, Nats};
use crate::profile::baseline::RatePrior;
use crate::profile::decay::fade;
use crate::profile::population::Traffic;
use crate::record::{FailedLogin, Session, UserRecord};
use crate::score::Scored;
use crate::signal::{Authentication, FailureKind, Login, Outcome as LoginOutcome};
use crate::time::{Span, Timestamp};

/// Wrong passwords before a success: about one in five logins has one, and they come in runs.
const FAILURE_PRIOR: RatePrior = RatePrior {
    events: 0.6,
    exposures: 3.0,
    shape_max: 5.0,
};
/// Logins in a day.
const LOGINS_PER_DAY: f64 = 3.0;
/// Refused pushes: rare at any time.
const REFUSAL_PRIOR: RatePrior = RatePrior {
    events: 0.3,
    exposures: 20.0,
    shape_max: 5.0,
};
const FAILURE_MAX: f64 = 4.0;
const FATIGUE_MAX: f64 = 5.0;
/// An accept after this many refusals is worth more than the refusals alone.
const FATIGUE_ACCEPTED_AFTER: u32 = 3;
const FATIGUE_ACCEPTED: f64 = 2.0;
const FAILURE_THEN_SUCCESS: f64 = 1.5;
/// Failures this unlikely make a success suspicious.
const FAILURE_TAIL: f64 = 1e-3;
pub(super) const SHORT: Span = Span::minutes(10);
const HOUR: Span = Span::hours(1);
const DAY: Span = Span::hours(24);

pub(super) fn login(turn: &mut Turn<'_, '_>, user: &mut UserRecord, login: &Login) -> Scored {
    match login.outcome {
        LoginOutcome::Success => success(turn, user, login),
        LoginOutcome::Failure(kind) => failure(turn, user, login, kind),
        LoginOutcome::Challenged => weigh_unkept(turn, user, login),
    }
}

/// A login that did not succeed has a score and feeds counters; it decides nothing about what exists.
fn failure(
    turn: &mut Turn<'_, '_>,
    user: &mut UserRecord,
    login: &Login,
    kind: FailureKind,
) -> Scored {
    let moment = turn.moment;
    if moment.learns() {
        if user.failures.len() >= FAILURES_PER_USER {
            user.failures.remove(0);
        }
        let index = user.failures.partition_point(|held| held.at <= moment.time);
        user.failures.insert(
            index,
            FailedLogin {
                at: moment.time,
                kind,
            },
        );
        observe(turn, &login.client, Traffic::Refused);
    }
    weigh_unkept(turn, user, login)
}

/// Weighs a login as a session of its own, of which nothing is kept.
fn weigh_unkept(turn: &mut Turn<'_, '_>, user: &mut UserRecord, login: &Login) -> Scored {
    let mut session = Session::first_seen(SessionId::new(""), &login.client, turn.moment.now);
    weigh(turn, user, &mut session, login);
    Scored::Assessed(assess_session(turn.surroundings, user, &session, turn.moment.now).assessment)
}

fn success(turn: &mut Turn<'_, '_>, user: &mut UserRecord, login: &Login) -> Scored {
    let moment = turn.moment;
    let Some(id) = &login.session else {
        return unbound_success(turn, user, login);
    };
    let is_new = !user.sessions.iter().any(|session| session.id == *id);
    let mut session = user.take_session(id, &login.client, moment.now);
    session.login_at = session.login_at.or(Some(moment.time));
    session.issued_at = session.issued_at.max(login.issued_at);
    session.acr = login.authentication.acr.clone().or(session.acr);
    weigh(turn, user, &mut session, login);
    let met = meet(turn, user, &mut session, is_new, login);
    user.put_session(session);
    weigh_credential_change(user, id, moment);
    if moment.decides() {
        except_new_session(turn, user, id);
    }
    let leniency = Leniency {
        everywhere: Latitude::Usual,
        met: met.then(|| id.clone()),
    };
    let all = turn.judge(user, &leniency);
    let scored = scored(all, Some(id));
    let weight = lesson_weight(&scored, &login.authentication, met);
    learn_login(turn, user, login, weight);
    remember_learned(user, id, &login.client);
    scored
}

/// A login whose session is not named waits for the session to be seen.
fn unbound_success(turn: &mut Turn<'_, '_>, user: &mut UserRecord, login: &Login) -> Scored {
    let moment = turn.moment;
    let mut session = Session::first_seen(SessionId::new(""), &login.client, moment.now);
    session.login_at = Some(moment.time);
    session.issued_at = login.issued_at;
    session.acr.clone_from(&login.authentication.acr);
    weigh(turn, user, &mut session, login);
    let met = meet(turn, user, &mut session, true, login);
    let judged = assess_session(turn.surroundings, user, &session, moment.now);
    let scored = Scored::Assessed(judged.assessment);
    session.learned.extend(learned_key(&login.client));
    if user.unbound.len() >= UNBOUND_LOGINS {
        user.unbound.remove(0);
    }
    user.unbound.push(session);
    let weight = lesson_weight(&scored, &login.authentication, met);
    learn_login(turn, user, login, weight);
    scored
}

fn weigh(turn: &mut Turn<'_, '_>, user: &UserRecord, session: &mut Session, login: &Login) {
    let moment = turn.moment;
    evaluate_client(session, user, turn.population, &login.client, moment);
    evaluate_travel(
        session,
        user,
        turn.surroundings.climate,
        &login.client,
        moment,
    );
    weigh_authentication(turn, user, session, &login.authentication);
    weigh_failures(turn, user, session, login);
    weigh_refused_pushes(turn, user, session, login);
    weigh_climate(turn, user, session, login);
}

/// Weighs how someone authenticated; the latest proof replaces the one before.
pub(super) fn weigh_authentication(
    turn: &Turn<'_, '_>,
    user: &UserRecord,
    session: &mut Session,
    authentication: &Authentication,
) {
    let now = turn.moment.now;
    let Found { nats, detail } =
        novelty::authentication(&user.methods, turn.population, authentication, now);
    withdraw(&mut session.evidence, Code::AuthChain, None);
    if nats != 0.0 {
        let item = Evidence::new(Code::AuthChain, 0, nats, turn.moment.told(detail));
        put(&mut session.evidence, item, now);
    }
}

pub(super) fn recent(user: &UserRecord, now: Timestamp, span: Span, is_push: bool) -> u32 {
    let count = user
        .failures
        .iter()
        .filter(|f| is_refused_push(f.kind) == is_push && now.since(f.at) <= span && f.at <= now)
        .count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn is_refused_push(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::MfaDenied | FailureKind::MfaTimeout)
}

fn weigh_failures(turn: &Turn<'_, '_>, user: &UserRecord, session: &mut Session, login: &Login) {
    let moment = turn.moment;
    let windows = [(SHORT, 1.0), (DAY, LOGINS_PER_DAY)].map(|(span, logins)| {
        let failed = recent(user, moment.time, span, false);
        let baseline = &user.failure_baseline;
        let tail = baseline.tail(u64::from(failed), logins, FAILURE_PRIOR, moment.now);
        (
            nats_of_tail(tail),
            tail,
            failed,
            span,
            baseline.expected(logins, FAILURE_PRIOR, moment.now),
        )
    });
    let [short, day] = windows;
    let (nats, tail, failed, span, expected) = if day.0 > short.0 { day } else { short };
    if failed > 0 && nats > 0.0 {
        let window_s = u32::try_from(span.as_seconds()).unwrap_or(u32::MAX);
        let expected = CountExpected(Count::from_f64(expected).0);
        let detail = Detail::Failures {
            failed,
            window_s,
            expected,
        };
        let item = Evidence::new(
            Code::FailUser,
            0,
            nats.clamp(0.0, FAILURE_MAX),
            moment.told(detail),
        );
        put(&mut session.evidence, item, moment.now);
    }
    let surge = turn.surroundings.climate.surge(user.core.key.tenant());
    let is_hit = surge.is_some_and(|surge| {
        user.failures
            .iter()
            .any(|failure| failure.at >= surge.since && failure.at <= moment.time)
    });
    let is_success = login.outcome == LoginOutcome::Success;
    if is_success && (is_hit || (failed > 0 && tail < FAILURE_TAIL)) {
        let key = short_hash(&[moment.event.as_str().as_bytes()]);
        let told = moment.told(Detail::FailureThenSuccess { failed });
        let item = Evidence::new(Code::FailSucc, key, FAILURE_THEN_SUCCESS, told);
        put(&mut session.evidence, item, moment.now);
    }
}

fn weigh_refused_pushes(
    turn: &Turn<'_, '_>,
    user: &UserRecord,
    session: &mut Session,
    login: &Login,
) {
    let moment = turn.moment;
    let hour = recent(user, moment.time, HOUR, true);
    let day = recent(user, moment.time, DAY, true);
    let nats_of = |count: u32, window: f64| {
        let baseline = crate::profile::baseline::RateBaseline::default();
        nats_of_tail(baseline.tail(u64::from(count), window, REFUSAL_PRIOR, moment.now))
    };
    let mut nats = nats_of(hour, 1.0).max(nats_of(day, LOGINS_PER_DAY));
    if day == 0 || nats <= 0.0 {
        return;
    }
    let accepted_after = login.outcome == LoginOutcome::Success && hour >= FATIGUE_ACCEPTED_AFTER;
    if accepted_after {
        nats += FATIGUE_ACCEPTED;
    }
    let told = moment.told(Detail::MfaFatigue {
        refused: hour.max(day),
        accepted_after,
    });
    let item = Evidence::new(Code::MfaFatigue, 0, nats.clamp(0.0, FATIGUE_MAX), told);
    put(&mut session.evidence, item, moment.now);
}

/// What is going on around the login: its network tries many users, the tenant is being sprayed.
fn weigh_climate(turn: &Turn<'_, '_>, user: &UserRecord, session: &mut Session, login: &Login) {
    let moment = turn.moment;
    let climate = turn.surroundings.climate;
    let tenant = user.core.key.tenant();
    let faded = |code: Code, nats: Nats, at: Timestamp| {
        let half_life = code.half_life().unwrap_or(Span::ZERO);
        nats.as_f64() * fade(moment.now.since(at), half_life)
    };
    let fanout = login
        .client
        .prefix()
        .and_then(|prefix| climate.network(tenant, prefix)?.fanout.as_ref());
    if let Some(fanout) = fanout.filter(|fanout| fanout.at <= moment.now) {
        let nats = faded(Code::IpFanout, fanout.nats, fanout.at);
        let detail = Detail::Fanout {
            users: fanout.users,
            window_s: fanout.window_s,
            expected: CountExpected(fanout.expected_milli),
        };
        let mut item = Evidence::new(Code::IpFanout, 0, nats, moment.told(detail));
        item.event.clone_from(&fanout.event);
        item.network = login.client.prefix().map(novelty::prefix_key);
        put(&mut session.evidence, item, moment.now);
    }
    let is_unseen = session
        .evidence
        .iter()
        .any(|item| item.code == Code::NetChain && item.nats.is_positive());
    let surge = climate
        .surge(tenant)
        .filter(|surge| is_unseen && surge.since <= moment.now);
    if let Some(surge) = surge {
        let nats = faded(Code::TenantSpray, surge.nats, surge.at);
        let Surge {
            failed,
            users,
            window_s,
            ..
        } = *surge;
        let told = moment.told(Detail::Spray {
            failed,
            users,
            window_s,
        });
        put(
            &mut session.evidence,
            Evidence::new(Code::TenantSpray, 0, nats, told),
            moment.now,
        );
    }
}
