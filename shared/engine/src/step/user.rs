//! What happens to a user: logins, requests, session changes, verdicts, standings of devices.

use super::judge::{Judged, Leniency, judge};
use super::logins;
use super::moment::{Moment, Outcome, admit};
use super::{Surroundings, Wakes, accesses, lessons, sessions, step_ups, verdicts};
use crate::decide::desk::{Desk, Latitude};
use crate::decide::in_force::Core;
use crate::decide::{Action, Mode};
use crate::evidence::device::reported_risk_nats;
use crate::evidence::novelty::NOVEL;
use crate::evidence::{Code, Detail, Evidence, put, withdraw};
use crate::id::{EventId, SessionId, SubjectKey, short_hash};
use crate::limits::{
    CONCERNED_AT, DEVICES_PER_USER, EVIDENCE_PER_SCOPE, RENEWAL_LEAD, REVIEW_SPAN,
    REVOKED_SESSION_IDLE, SEEN_LEN, SESSION_IDLE, SESSIONS_PER_USER, UNBOUND_LOGIN_LIFE,
};
use crate::profile::access::AccessProfile;
use crate::profile::baseline::RateBaseline;
use crate::profile::population::Population;
use crate::profile::tree::Node;
use crate::record::{CredentialChange, HeldStanding, Session, UserRecord};
use crate::score::{IgnoreReason, Scored};
use crate::signal::{
    Access, AccessOutcome, Client, DeviceStanding, Fact, ReportedRisk, SessionChange,
    SessionChangeKind, Signal,
};
use crate::time::{Span, Timestamp};

impl UserRecord {
    pub fn new(key: SubjectKey, at: Timestamp) -> Self {
        Self {
            core: Core::new(key),
            first_seen: at,
            accepted_logins: 0,
            networks: Node::default(),
            devices: Node::default(),
            agents: Node::default(),
            methods: Node::default(),
            anchors: Vec::new(),
            failures: Vec::new(),
            failure_baseline: RateBaseline::default(),
            access: AccessProfile::default(),
            evidence: Vec::new(),
            sessions: Vec::new(),
            unbound: Vec::new(),
            standings: Vec::new(),
            dismissals: Vec::new(),
            is_disabled: false,
            last_credential_change: None,
        }
    }

    /// Takes a session out, to be changed against the rest of the record; the login that waits for it, or a new one,
    /// where it is not known.
    pub fn take_session(&mut self, id: &SessionId, client: &Client, at: Timestamp) -> Session {
        if let Some(index) = self.sessions.iter().position(|session| session.id == *id) {
            return self.sessions.remove(index);
        }
        let waiting = self.unbound.iter().rposition(|login| {
            let is_same_device = client.device.is_some() && login.current.device == client.device;
            let is_same_network =
                client.prefix().is_some() && login.current.prefix == client.prefix();
            at.since(login.started_at) <= UNBOUND_LOGIN_LIFE && (is_same_device || is_same_network)
        });
        match waiting {
            Some(index) => Session {
                id: id.clone(),
                ..self.unbound.remove(index)
            },
            None => Session::first_seen(id.clone(), client, at),
        }
    }

    /// Puts a session back; beyond the limit another leaves: the one idle longest that is not revoked, else the one
    /// idle longest. Never the one in hand: it is about to be judged.
    pub fn put_session(&mut self, session: Session) {
        let own = self.sessions.partition_point(|held| held.id < session.id);
        self.sessions.insert(own, session);
        if self.sessions.len() > SESSIONS_PER_USER {
            let rank = |session: &Session| (is_revoked(&self.core, &session.id), session.last_seen);
            let idlest = (0..self.sessions.len())
                .filter(|index| *index != own)
                .min_by_key(|index| self.sessions.get(*index).map(rank));
            if let Some(index) = idlest {
                self.sessions.remove(index);
            }
        }
    }

    fn prune(&mut self, now: Timestamp) {
        let core = &self.core;
        self.sessions.retain(|session| {
            let idle = if is_revoked(core, &session.id) {
                REVOKED_SESSION_IDLE
            } else {
                SESSION_IDLE
            };
            now.since(session.last_seen) <= idle
        });
        self.unbound
            .retain(|login| now.since(login.started_at) <= UNBOUND_LOGIN_LIFE);
        self.failures
            .retain(|failure| now.since(failure.at) <= Span::hours(24));
        self.evidence.retain(|item| !item.is_negligible(now));
    }

    pub fn is_concerned(&self) -> bool {
        !self.core.in_force.is_empty()
            || self.is_disabled
            || self
                .sessions
                .iter()
                .any(|session| session.score.0 >= CONCERNED_AT)
    }
}

fn is_revoked(core: &Core, session: &SessionId) -> bool {
    core.in_force.iter().any(|held| {
        held.action == Action::Revoke
            && held.mode == Mode::Enforce
            && held.target.session.as_ref() == Some(session)
    })
}

/// When a record with these decisions in force wants to be woken.
pub(super) fn wakes(core: &Core) -> Wakes {
    let mut wakes = Wakes::default();
    let earlier = |held: Option<Timestamp>, at: Timestamp| Some(held.map_or(at, |h| h.min(at)));
    for held in &core.in_force {
        let renewal = held.expires_at - RENEWAL_LEAD;
        let is_renewed = !held.is_operators() && renewal > core.latest;
        let due = if is_renewed { renewal } else { held.expires_at };
        wakes.watermark = earlier(wakes.watermark, due);
        let decays = !held.is_operators() && held.action != Action::Revoke;
        if decays {
            wakes.watermark = earlier(wakes.watermark, core.latest + REVIEW_SPAN);
        }
        if let Some(until) = held.held_until {
            wakes.clock = earlier(wakes.clock, until);
        }
    }
    wakes
}

/// One signal for a user. *Returns*: what became of it, for the score line.
pub(super) fn signal(
    surroundings: &Surroundings<'_>,
    user: &mut UserRecord,
    population: &mut Population,
    signal: &Signal,
    outcome: &mut Outcome,
) -> Scored {
    let moment = Moment::of(&signal.origin, user.core.latest);
    if let Some(reason) = admit(&mut user.core, &signal.origin, SEEN_LEN) {
        return Scored::Ignored(reason);
    }
    begin(surroundings, user, &moment, outcome);
    let mut turn = Turn {
        surroundings,
        population,
        moment: &moment,
        outcome,
    };
    match &signal.fact {
        Fact::Login(login) => logins::login(&mut turn, user, login),
        Fact::Access(access) => request(&mut turn, user, access),
        Fact::Session(change) => session_change(&mut turn, user, change),
        Fact::DeviceStanding(standing) => device_standing(&mut turn, user, standing),
        Fact::Feedback(feedback) => verdicts::on_user(&mut turn, user, feedback),
        Fact::Health(_)
        | Fact::NetworkLogin(_)
        | Fact::TenantLogin(_)
        | Fact::DeviceSeen { .. }
        | Fact::TenantSurge { .. } => Scored::Ignored(IgnoreReason::Misdirected),
    }
}

/// One step's surroundings, as the parts of it need them.
pub(super) struct Turn<'a, 'b> {
    pub surroundings: &'a Surroundings<'b>,
    pub population: &'a mut Population,
    pub moment: &'a Moment,
    pub outcome: &'a mut Outcome,
}

impl Turn<'_, '_> {
    pub(super) fn judge(&mut self, user: &mut UserRecord, leniency: &Leniency) -> Vec<Judged> {
        judge(self.surroundings, user, self.moment, leniency, self.outcome)
    }
}

/// Moves the record to the moment: what has expired lapses, who was idle too long is gone.
pub(super) fn begin(
    surroundings: &Surroundings<'_>,
    user: &mut UserRecord,
    moment: &Moment,
    outcome: &mut Outcome,
) {
    user.core.latest = user.core.latest.max(moment.now);
    let occasion = moment.occasion(surroundings);
    Desk {
        core: &mut user.core,
        occasion: &occasion,
        decisions: &mut outcome.decisions,
    }
    .lapse();
    user.prune(moment.now);
}

/// The assessment of one session among all.
pub(super) fn scored(all: Vec<Judged>, session: Option<&SessionId>) -> Scored {
    let found = all
        .into_iter()
        .find(|judged| judged.session.as_ref() == session);
    found.map_or(Scored::Ignored(IgnoreReason::Stale), |judged| {
        Scored::Assessed(judged.assessment)
    })
}

fn request(turn: &mut Turn<'_, '_>, user: &mut UserRecord, access: &Access) -> Scored {
    let moment = turn.moment;
    let Some(id) = &access.session else {
        return sessionless_request(turn, user, access);
    };
    let mut session = user.take_session(id, &access.client, moment.now);
    session.issued_at = session.issued_at.max(access.issued_at);
    accesses::count(&mut session.hour, &mut user.access, access, moment);
    accesses::evaluate(&mut session.evidence, &session.hour, &user.access, moment);
    // What was refused changes nothing of the session's place: the proxy has already said no to it.
    if access.outcome == AccessOutcome::Served {
        sessions::evaluate_client(&mut session, user, turn.population, &access.client, moment);
        let climate = turn.surroundings.climate;
        sessions::evaluate_travel(&mut session, user, climate, &access.client, moment);
    }
    user.put_session(session);
    weigh_credential_change(user, id, moment);
    let all = turn.judge(user, &Leniency::everywhere(Latitude::Usual));
    let scored = scored(all, Some(id));
    if access.outcome == AccessOutcome::Served {
        lessons::learn_request(turn, user, id, &access.client, &scored);
    }
    scored
}

/// A request without a session is weighed as one of its own, and nothing of it is kept but counts.
fn sessionless_request(turn: &mut Turn<'_, '_>, user: &mut UserRecord, access: &Access) -> Scored {
    let moment = turn.moment;
    let id = SessionId::new("");
    let mut session = Session::first_seen(id, &access.client, moment.now);
    sessions::evaluate_client(&mut session, user, turn.population, &access.client, moment);
    let climate = turn.surroundings.climate;
    sessions::evaluate_travel(&mut session, user, climate, &access.client, moment);
    let judged = super::judge::assess_session(turn.surroundings, user, &session, moment.now);
    Scored::Assessed(judged.assessment)
}

/// A factor enrolled or reset within a day of something new is evidence, whichever came first.
pub(super) fn weigh_credential_change(user: &mut UserRecord, session: &SessionId, moment: &Moment) {
    let Some(change) = user.last_credential_change.clone() else {
        return;
    };
    if moment.now.since(change.at) > Span::hours(24) {
        return;
    }
    let is_novel = user
        .sessions
        .iter()
        .find(|held| held.id == *session)
        .is_some_and(is_novel);
    if is_novel {
        put_credential_change(user, &change, moment);
    }
}

fn is_novel(session: &Session) -> bool {
    session.evidence.iter().any(|item| {
        matches!(item.code, Code::NetChain | Code::DevChain)
            && item.nats.as_f64() > NOVEL
            && !session.is_disproved(item)
    })
}

fn put_credential_change(user: &mut UserRecord, change: &CredentialChange, moment: &Moment) {
    const CREDENTIAL_CHANGE: f64 = 2.0;
    let told = crate::evidence::Told {
        event: change.event.clone(),
        at: change.at,
        detail: Detail::CredentialChange {
            enrolled: change.is_enrolment,
        },
    };
    let key = short_hash(&[change.event.as_str().as_bytes()]);
    let item = Evidence::new(Code::CredChange, key, CREDENTIAL_CHANGE, told);
    put(&mut user.evidence, item, moment.now);
    user.evidence.truncate(EVIDENCE_PER_SCOPE);
}

fn session_change(
    turn: &mut Turn<'_, '_>,
    user: &mut UserRecord,
    change: &SessionChange,
) -> Scored {
    let moment = turn.moment;
    let mut leniency = Leniency::everywhere(Latitude::Usual);
    match &change.kind {
        SessionChangeKind::Started => start_session(turn, user, change),
        SessionChangeKind::Ended => {
            user.sessions
                .retain(|held| change.session.as_ref() != Some(&held.id));
        }
        SessionChangeKind::StepUpMet => {
            leniency.met = step_ups::step_up_met(turn, user, change);
        }
        SessionChangeKind::CredentialChanged => credential_changed(user, moment, false),
        SessionChangeKind::MfaEnrolled => credential_changed(user, moment, true),
        SessionChangeKind::AccountDisabled => user.is_disabled = true,
        SessionChangeKind::AccountEnabled => {
            user.is_disabled = false;
            leniency = Leniency::everywhere(Latitude::Corrected);
        }
        SessionChangeKind::RiskReported { level, .. } => {
            leniency = Leniency::everywhere(risk_reported(user, *level, moment));
        }
    }
    let all = turn.judge(user, &leniency);
    let session = change
        .session
        .as_ref()
        .filter(|id| user.sessions.iter().any(|s| s.id == **id));
    scored(all, session)
}

fn start_session(turn: &mut Turn<'_, '_>, user: &mut UserRecord, change: &SessionChange) {
    let Some(id) = &change.session else { return };
    let mut session = user.take_session(id, &change.client, turn.moment.now);
    session.issued_at = session.issued_at.max(change.issued_at);
    if change.client.address.is_some() || change.client.device.is_some() {
        sessions::evaluate_client(
            &mut session,
            user,
            turn.population,
            &change.client,
            turn.moment,
        );
    }
    user.put_session(session);
}

fn credential_changed(user: &mut UserRecord, moment: &Moment, is_enrolment: bool) {
    let change = CredentialChange {
        event: moment.event.clone(),
        at: moment.now,
        is_enrolment,
    };
    user.last_credential_change = Some(change.clone());
    if user.sessions.iter().any(is_novel) {
        put_credential_change(user, &change, moment);
    }
}

/// A vendor's verdict replaces its last one; taking it back corrects what rested on it.
fn risk_reported(user: &mut UserRecord, level: ReportedRisk, moment: &Moment) -> Latitude {
    if level == ReportedRisk::None {
        withdraw(&mut user.evidence, Code::IdpRisk, None);
        return Latitude::Corrected;
    }
    let nats = reported_risk_nats(level);
    let told = moment.told(Detail::ReportedRisk(level));
    put(
        &mut user.evidence,
        Evidence::new(Code::IdpRisk, 0, nats, told),
        moment.now,
    );
    Latitude::Usual
}

fn device_standing(
    turn: &mut Turn<'_, '_>,
    user: &mut UserRecord,
    standing: &DeviceStanding,
) -> Scored {
    let held = user
        .standings
        .iter()
        .find(|held| held.device == standing.device);
    if held.is_some_and(|held| held.revision >= standing.revision) {
        return Scored::Ignored(IgnoreReason::Stale);
    }
    user.standings.retain(|held| held.device != standing.device);
    if user.standings.len() >= DEVICES_PER_USER {
        user.standings.remove(0);
    }
    user.standings.push(HeldStanding {
        device: standing.device.clone(),
        revision: standing.revision,
        at: turn.moment.now,
        compliant: standing.compliant,
        managed: standing.managed,
        evidence: standing.evidence.clone(),
    });
    let all = turn.judge(user, &Leniency::everywhere(Latitude::Usual));
    scored(all, None)
}

/// An event's own name, for wake-ups, which have none.
pub(super) fn wake_event(at: Timestamp) -> EventId {
    EventId::new(format!("wake-up:{}", at.0))
}
