//! Which subject's rules an input goes by.

use super::judge::{Leniency, judge};
use super::moment::{Moment, Outcome};
use super::{
    Input, Surroundings, Transition, WakeReason, WakeUp, Wakes, device, network, tenant, user,
    workload,
};
use crate::decide::Command;
use crate::decide::desk::{Desk, Latitude};
use crate::decide::in_force::Core;
use crate::id::{SessionId, SubjectKey};
use crate::limits::DECISION_LIFE;
use crate::record::{
    DeviceRecord, NetworkRecord, Population, SubjectRecord, TenantRecord, UserRecord,
    WorkloadRecord,
};
use crate::score::{IgnoreReason, ScoreLine, Scored};
use crate::signal::{Fact, FailureKind, Handling, Outcome as LoginOutcome, Signal, Subject};
use crate::time::{Span, Timestamp};

/// Takes one input for one subject. Total on data: a strange signal is ignored with a reason, never an error.
pub fn step(
    surroundings: &Surroundings<'_>,
    record: Option<SubjectRecord>,
    population: Population,
    input: &Input,
) -> Transition {
    match input {
        Input::Signal(signal) => take_signal(surroundings, record, population, signal),
        Input::Command(command) => take_command(surroundings, record, population, command),
        Input::WakeUp(wake) => take_wake_up(surroundings, record, population, wake),
    }
}

fn take_signal(
    surroundings: &Surroundings<'_>,
    record: Option<SubjectRecord>,
    population: Population,
    signal: &Signal,
) -> Transition {
    let opened = open(record, signal);
    let (mut subject, is_new) = match opened {
        Ok(opened) => opened,
        Err((record, reason)) => {
            let line = score_line(signal, Scored::Ignored(reason));
            return unchanged(record, population, line);
        }
    };
    let mut outcome = Outcome::default();
    let mut shown = population;
    let counted_before = shown.observations;
    let kept = (signal.origin.handling == Handling::Late).then(|| subject.clone());
    let scored = match &mut subject {
        SubjectRecord::User(record) => {
            user::signal(surroundings, record, &mut shown, signal, &mut outcome)
        }
        SubjectRecord::Device(record) => device::signal(surroundings, record, signal, &mut outcome),
        SubjectRecord::Workload(record) => {
            workload::signal(surroundings, record, signal, &mut outcome)
        }
        SubjectRecord::Network(record) => network::network_signal(record, signal, &mut outcome),
        SubjectRecord::Tenant(record) => tenant::signal(surroundings, record, signal, &mut outcome),
    };
    let is_ignored = matches!(scored, Scored::Ignored(_));
    let is_repeat = matches!(
        scored,
        Scored::Ignored(IgnoreReason::Repeat | IgnoreReason::RepeatWithAnotherBody)
    );
    let line = score_line(signal, scored);
    if is_ignored && is_new {
        return unchanged(None, shown, line);
    }
    if is_repeat {
        return unchanged(Some(subject), shown, line);
    }
    // What came late is scored on a copy: only its id is remembered.
    if let Some(mut kept) = kept {
        core_mut(&mut kept).seen = core_mut(&mut subject).seen.clone();
        subject = kept;
        outcome = Outcome::default();
    }
    let is_population_changed = shown.observations != counted_before;
    let is_kept = !(is_new && is_unknown_account(signal));
    let mut transition = close(surroundings, subject, shown, outcome);
    transition.is_population_changed = is_population_changed;
    transition.score = line;
    // A wrong name is counted by its network and its tenant, and leaves no record of a user that is not one.
    if !is_kept {
        transition.record = None;
        transition.is_changed = false;
        transition.wakes = Wakes::default();
        transition.is_concerned = false;
    }
    transition
}

fn is_unknown_account(signal: &Signal) -> bool {
    matches!(&signal.fact, Fact::Login(login)
        if login.outcome == LoginOutcome::Failure(FailureKind::UnknownUser))
}

type Opened = Result<(SubjectRecord, bool), (Option<SubjectRecord>, IgnoreReason)>;

/// The subject's record, or a new one of its kind. INVARIANT (INV-10): a record of another tenant is never touched.
fn open(record: Option<SubjectRecord>, signal: &Signal) -> Opened {
    match (record, &signal.subject) {
        (Some(record), subject) => {
            if record.core().key.tenant() == subject.tenant() {
                Ok((record, false))
            } else {
                Err((Some(record), IgnoreReason::OtherTenant))
            }
        }
        (None, Subject::Owner { .. }) => Err((None, IgnoreReason::UnknownSubject)),
        (None, Subject::Key(key)) => {
            if matches!(signal.fact, Fact::Feedback(_))
                && !matches!(key, SubjectKey::User { .. } | SubjectKey::Device { .. })
            {
                return Err((None, IgnoreReason::UnknownSubject));
            }
            Ok((create(key, signal.origin.time), true))
        }
    }
}

fn create(key: &SubjectKey, at: Timestamp) -> SubjectRecord {
    let key = key.clone();
    match key {
        SubjectKey::User { .. } => SubjectRecord::User(Box::new(UserRecord::new(key, at))),
        SubjectKey::Device { .. } => SubjectRecord::Device(Box::new(DeviceRecord::new(key))),
        SubjectKey::Network { .. } => SubjectRecord::Network(Box::new(NetworkRecord::new(key))),
        SubjectKey::Workload { .. } => {
            SubjectRecord::Workload(Box::new(WorkloadRecord::new(key, at)))
        }
        SubjectKey::Tenant { .. } => SubjectRecord::Tenant(Box::new(TenantRecord::new(key))),
    }
}

fn unchanged(
    record: Option<SubjectRecord>,
    population: Population,
    score: Option<ScoreLine>,
) -> Transition {
    let (wakes, is_concerned) = record
        .as_ref()
        .map_or((Wakes::default(), false), |record| (wakes(record), true));
    Transition {
        record,
        is_changed: false,
        population,
        is_population_changed: false,
        decisions: Vec::new(),
        derived: Vec::new(),
        score,
        wakes,
        is_concerned,
    }
}

fn close(
    surroundings: &Surroundings<'_>,
    mut subject: SubjectRecord,
    population: Population,
    outcome: Outcome,
) -> Transition {
    let core = core_mut(&mut subject);
    core.revision = Some(surroundings.policy.revision().clone());
    let is_concerned = match &subject {
        SubjectRecord::User(record) => record.is_concerned(),
        SubjectRecord::Device(record) => {
            record.is_concerned(surroundings.model, record.core.latest)
        }
        SubjectRecord::Workload(record) => !record.core.in_force.is_empty(),
        SubjectRecord::Tenant(record) => tenant::is_concerned(surroundings, record),
        SubjectRecord::Network(_) => false,
    };
    Transition {
        wakes: wakes(&subject),
        record: Some(subject),
        is_changed: true,
        population,
        is_population_changed: false,
        decisions: outcome.decisions,
        derived: outcome.derived,
        score: None,
        is_concerned,
    }
}

fn wakes(record: &SubjectRecord) -> Wakes {
    match record {
        SubjectRecord::User(record) => user::wakes(&record.core),
        SubjectRecord::Device(record) => user::wakes(&record.core),
        SubjectRecord::Workload(record) => user::wakes(&record.core),
        SubjectRecord::Network(record) => record.wakes(),
        SubjectRecord::Tenant(record) => tenant::wakes(record),
    }
}

fn core_mut(record: &mut SubjectRecord) -> &mut Core {
    match record {
        SubjectRecord::User(record) => &mut record.core,
        SubjectRecord::Device(record) => &mut record.core,
        SubjectRecord::Network(record) => &mut record.core,
        SubjectRecord::Workload(record) => &mut record.core,
        SubjectRecord::Tenant(record) => &mut record.core,
    }
}

/// The line of an event's own signal; compact and derived ones have none.
fn score_line(signal: &Signal, scored: Scored) -> Option<ScoreLine> {
    let mut line = ScoreLine {
        event: signal.origin.event.clone(),
        user: None,
        session: None,
        device: None,
        workload: None,
        outcome: scored,
    };
    match &signal.subject {
        Subject::Key(SubjectKey::User { user, .. }) => line.user = Some(user.clone()),
        Subject::Key(SubjectKey::Device { device, .. }) => line.device = Some(device.clone()),
        Subject::Key(SubjectKey::Workload { workload, .. }) => {
            line.workload = Some(workload.clone());
        }
        Subject::Key(SubjectKey::Network { .. } | SubjectKey::Tenant { .. })
        | Subject::Owner { .. } => {}
    }
    let of_client = |session: &Option<SessionId>, client: &crate::signal::Client| {
        (session.clone(), client.device.clone())
    };
    let (session, device) = match &signal.fact {
        Fact::Login(login) => of_client(&login.session, &login.client),
        Fact::Access(access) => of_client(&access.session, &access.client),
        Fact::Session(change) => of_client(&change.session, &change.client),
        Fact::Health(health) => {
            line.user = health.user.clone().or(line.user);
            (None, None)
        }
        Fact::Feedback(feedback) => match &feedback.about {
            crate::signal::About::Session(session) => (Some(session.clone()), None),
            _ => (None, None),
        },
        Fact::NetworkLogin(_)
        | Fact::TenantLogin(_)
        | Fact::DeviceSeen { .. }
        | Fact::DeviceStanding(_)
        | Fact::TenantSurge { .. } => return None,
    };
    line.session = session;
    line.device = device.or(line.device);
    Some(line)
}

fn take_command(
    surroundings: &Surroundings<'_>,
    record: Option<SubjectRecord>,
    population: Population,
    command: &Command,
) -> Transition {
    let key = command.target.owner(&command.tenant);
    let mut subject = record.unwrap_or_else(|| create(&key, command.time));
    let core = core_mut(&mut subject);
    if core.key != key || command.target.is_empty() {
        return unchanged(Some(subject), population, None);
    }
    let id = crate::id::short_hash(&[b"command", command.id.as_str().as_bytes()]);
    let at = command.time.max(core.latest);
    let seen = crate::profile::seen::Seen { id, body: 0, at };
    let novel = core.seen.admit(seen, crate::limits::SEEN_LEN);
    if novel != crate::profile::seen::Novel::New {
        return unchanged(Some(subject), population, None);
    }
    core.latest = at;
    let moment = Moment {
        now: at,
        time: command.time,
        event: command.id.clone(),
        received_at: Some(command.received_at),
        trace: command.trace.clone(),
        handling: Handling::Live,
    };
    let occasion = moment.occasion(surroundings);
    let mut outcome = Outcome::default();
    let life = command
        .life
        .map_or(DECISION_LIFE, |life| life.max(Span::seconds(1)));
    let mut desk = Desk {
        core,
        occasion: &occasion,
        decisions: &mut outcome.decisions,
    };
    desk.lapse();
    desk.command(&command.target, &command.action, life, &command.reason);
    close(surroundings, subject, population, outcome)
}

fn take_wake_up(
    surroundings: &Surroundings<'_>,
    record: Option<SubjectRecord>,
    population: Population,
    wake: &WakeUp,
) -> Transition {
    let Some(mut subject) = record else {
        return unchanged(None, population, None);
    };
    let due = wakes(&subject);
    let core = subject.core();
    let is_due = match wake.reason {
        WakeReason::Due => {
            due.watermark.is_some_and(|at| at <= wake.at)
                || due.clock.is_some_and(|at| at <= wake.at)
        }
        WakeReason::Rejudge => core.revision.as_ref() != Some(surroundings.policy.revision()),
    };
    if !is_due {
        return unchanged(Some(subject), population, None);
    }
    let moment = Moment {
        now: wake.at.max(core.latest),
        time: wake.at,
        event: user::wake_event(wake.at),
        received_at: None,
        trace: None,
        handling: Handling::Live,
    };
    let latitude = match wake.reason {
        WakeReason::Due => Latitude::Usual,
        WakeReason::Rejudge => Latitude::Revised,
    };
    let mut outcome = Outcome::default();
    match &mut subject {
        SubjectRecord::User(record) => {
            user::begin(surroundings, record, &moment, &mut outcome);
            let leniency = Leniency::everywhere(latitude);
            judge(surroundings, record, &moment, &leniency, &mut outcome);
        }
        SubjectRecord::Device(record) => {
            device::begin(surroundings, record, &moment, &mut outcome);
            device::judge(surroundings, record, &moment, latitude, &mut outcome);
        }
        SubjectRecord::Workload(record) => {
            workload::begin(surroundings, record, &moment, &mut outcome);
            workload::judge(surroundings, record, &moment, latitude, &mut outcome);
        }
        SubjectRecord::Network(record) => {
            network::network_wake(record, moment.now, &mut outcome);
        }
        SubjectRecord::Tenant(record) => {
            tenant::wake(surroundings, record, &moment, latitude, &mut outcome);
        }
    }
    close(surroundings, subject, population, outcome)
}
