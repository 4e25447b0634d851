//! From a user's record to wishes and decisions: every live session is assessed and put before the policy.

use super::Surroundings;
use super::exhibits::{basis, session_exhibits, standing_exhibits, user_exhibits};
use super::moment::{Moment, Outcome};
use crate::decide::desk::{Desk, Grounds, Judgement, Latitude, MET_CLEARS_BELOW};
use crate::decide::merge::{Wishes, add};
use crate::decide::{Action, DeviceFacts, Facts, FactsOf, Mode, Scope, SurgeFacts, Target};
use crate::evidence::binding;
use crate::evidence::{Code, Evidence};
use crate::id::{EventId, SessionId, UserId};
use crate::limits::{LEARNING_LOGINS, LEARNING_SPAN};
use crate::record::{Session, UserRecord};
use crate::score::assess::{Bench, Exhibit, assess, assess_without, verdict_detail};
use crate::score::{Assessment, Hypothesis};
use crate::signal::{NetworkClass, Verdict};
use crate::time::Timestamp;

/// A session's assessment, with what it rests on.
#[derive(Debug)]
pub(super) struct Judged {
    pub session: Option<SessionId>,
    pub assessment: Assessment,
    /// What is held against the session itself, where the strongest hypothesis is about its device: decisions on
    /// sessions and users rest on it, those on devices are the device's own.
    pub beside_device: Option<Assessment>,
    pub basis: Vec<(Code, u64)>,
}

impl Judged {
    /// What a decision on a session or a user is explained by.
    fn grounds(&self) -> &Assessment {
        match &self.beside_device {
            Some(own) if own.score.0 >= MET_CLEARS_BELOW => own,
            _ => &self.assessment,
        }
    }
}

/// How far each target may be lowered in this step.
#[derive(Clone, Debug)]
pub(super) struct Leniency {
    pub everywhere: Latitude,
    /// The session whose step-up was met.
    pub met: Option<SessionId>,
}

impl Leniency {
    pub(super) fn everywhere(everywhere: Latitude) -> Self {
        Self {
            everywhere,
            met: None,
        }
    }

    fn of(&self, session: Option<&SessionId>) -> Latitude {
        match (&self.met, session) {
            (Some(met), Some(session)) if met == session => Latitude::Met,
            _ => self.everywhere,
        }
    }
}

/// Assesses one session of the user as it stands.
pub(super) fn assess_session(
    surroundings: &Surroundings<'_>,
    user: &UserRecord,
    session: &Session,
    now: Timestamp,
) -> Judged {
    let mut exhibits = session_exhibits(user, session, now);
    exhibits.extend(user_exhibits(user, Some(session), now));
    exhibits.extend(standing_exhibits(user, &session.current, now));
    let is_device_proven = session
        .bound
        .first()
        .is_some_and(|start| binding::is_device_proven(start, &session.current));
    judged(
        surroundings,
        user,
        Some(session.id.clone()),
        &exhibits,
        is_device_proven,
    )
}

/// Assesses what is held against the user beside any session.
pub(super) fn assess_user(
    surroundings: &Surroundings<'_>,
    user: &UserRecord,
    now: Timestamp,
) -> Judged {
    judged(
        surroundings,
        user,
        None,
        &user_exhibits(user, None, now),
        false,
    )
}

fn judged(
    surroundings: &Surroundings<'_>,
    user: &UserRecord,
    session: Option<SessionId>,
    exhibits: &[Exhibit<'_>],
    is_device_proven: bool,
) -> Judged {
    let worth = surroundings
        .model
        .criticality
        .get(&user.core.key)
        .map_or(1.0, |c| c.odds());
    let bench = Bench::Session { is_device_proven };
    let assessment = assess(surroundings.model, bench, exhibits, worth);
    let device = Hypothesis::CompromisedDevice;
    let beside_device = (assessment.hypothesis == Some(device))
        .then(|| assess_without(surroundings.model, bench, exhibits, worth, Some(device)));
    Judged {
        session,
        assessment,
        beside_device,
        basis: basis(exhibits),
    }
}

fn facts(user: &UserRecord, session: Option<&Session>, judged: &Judged, now: Timestamp) -> Facts {
    let crate::id::SubjectKey::User { user: name, .. } = &user.core.key else {
        return empty_facts(user, judged);
    };
    let current = session.map(|session| &session.current);
    let device = current.and_then(|current| current.device.clone());
    let standing = device
        .as_ref()
        .and_then(|d| user.standings.iter().find(|held| held.device == *d));
    let seconds =
        |since: Timestamp| u32::try_from(now.since(since).as_seconds()).unwrap_or(u32::MAX);
    let is_learning =
        user.accepted_logins < LEARNING_LOGINS && now.since(user.first_seen) < LEARNING_SPAN;
    Facts {
        of: if session.is_some() {
            FactsOf::Session
        } else {
            FactsOf::User
        },
        user: Some(name.clone()),
        session: session.map(|session| session.id.clone()),
        device,
        network: current.map_or(NetworkClass::Unknown, |current| current.class),
        country: current.and_then(|current| current.country),
        acr: session.and_then(|session| session.acr.clone()),
        step_up_age_s: session
            .and_then(|session| session.met.last())
            .map(|met| seconds(met.at)),
        session_age_s: session.map(|session| seconds(session.started_at)),
        device_facts: DeviceFacts {
            compliant: standing.and_then(|held| held.compliant),
            managed: standing.and_then(|held| held.managed),
            ..DeviceFacts::default()
        },
        is_account_disabled: user.is_disabled,
        is_learning,
        ..empty_facts(user, judged)
    }
}

fn empty_facts(user: &UserRecord, judged: &Judged) -> Facts {
    Facts {
        of: FactsOf::User,
        tenant: user.core.key.tenant().clone(),
        user: None,
        session: None,
        device: None,
        workload: None,
        score: judged.assessment.score,
        hypothesis: judged.assessment.hypothesis,
        scores: Hypothesis::ALL.map(|hypothesis| judged.assessment.of(hypothesis)),
        codes: judged.basis.iter().map(|(code, _)| *code).collect(),
        network: NetworkClass::Unknown,
        country: None,
        acr: None,
        step_up_age_s: None,
        session_age_s: None,
        device_facts: DeviceFacts::default(),
        is_account_disabled: user.is_disabled,
        is_learning: false,
        surge: SurgeFacts::default(),
    }
}

/// Judges the user and every live session, and brings what is in force to what is wished.
/// *Returns*: the assessments, in the order of the sessions, then the user's own.
pub(super) fn judge(
    surroundings: &Surroundings<'_>,
    user: &mut UserRecord,
    moment: &Moment,
    leniency: &Leniency,
    outcome: &mut Outcome,
) -> Vec<Judged> {
    let mut all: Vec<Judged> = user
        .sessions
        .iter()
        .map(|session| assess_session(surroundings, user, session, moment.now))
        .collect();
    for (session, judged) in user.sessions.iter_mut().zip(&all) {
        session.score = judged.assessment.score;
        if judged.assessment.score.0 >= crate::limits::UNLEARNED_AT {
            session.hour.is_learnable = false;
        }
    }
    all.push(assess_user(surroundings, user, moment.now));
    if moment.decides() {
        let wishes = wishes(surroundings, user, &all, moment.now);
        settle_all(
            surroundings,
            user,
            moment,
            Settling {
                all: &all,
                wishes,
                leniency,
            },
            outcome,
        );
    }
    all
}

fn wishes(
    surroundings: &Surroundings<'_>,
    user: &UserRecord,
    all: &[Judged],
    now: Timestamp,
) -> Wishes {
    let mut wishes = Wishes::new();
    let name = user_name(user);
    for judged in all {
        let session = find_session(user, judged.session.as_ref());
        let facts = facts(user, session, judged, now);
        for obligation in surroundings.policy.judge(&facts) {
            let of_user = Target {
                user: Some(name.clone()),
                ..Target::default()
            };
            match obligation.scope {
                Scope::Session => {
                    if let Some(session) = &judged.session {
                        let target = Target {
                            session: Some(session.clone()),
                            ..of_user
                        };
                        add(&mut wishes, target, &obligation);
                    }
                }
                // A step-up of the user is asked in each live session, never of the bare user.
                Scope::User if matches!(obligation.action, Action::StepUp { .. }) => {
                    for session in &user.sessions {
                        let target = Target {
                            session: Some(session.id.clone()),
                            ..of_user.clone()
                        };
                        add(&mut wishes, target, &obligation);
                    }
                }
                Scope::User => add(&mut wishes, of_user, &obligation),
                Scope::UserDevice => {
                    if let Some(device) = &facts.device {
                        let target = Target {
                            device: Some(device.clone()),
                            ..of_user
                        };
                        add(&mut wishes, target, &obligation);
                    }
                }
                // Owned by other subjects' records.
                Scope::Device | Scope::Workload | Scope::App => {}
            }
        }
    }
    wishes
}

struct Settling<'a> {
    all: &'a [Judged],
    wishes: Wishes,
    leniency: &'a Leniency,
}

fn settle_all(
    surroundings: &Surroundings<'_>,
    user: &mut UserRecord,
    moment: &Moment,
    settling: Settling<'_>,
    outcome: &mut Outcome,
) {
    let Settling {
        all,
        wishes,
        leniency,
    } = settling;
    let occasion = moment.occasion(surroundings);
    let mut targets: Vec<(Mode, Target)> = wishes.keys().cloned().collect();
    for held in &user.core.in_force {
        let key = (held.mode, held.target.clone());
        if !targets.contains(&key) && is_judged(user, &held.target) {
            targets.push(key);
        }
    }
    targets.sort();
    for (mode, target) in targets {
        let Some(judged) = strongest(user, all, &target) else {
            continue;
        };
        let credential_issued_at = find_session(user, judged.session.as_ref())
            .and_then(|session| session.issued_at.or(session.login_at));
        let grounds = Grounds {
            assessment: judged.grounds(),
            basis: judged.basis.clone(),
            credential_issued_at,
        };
        let latitude = leniency.of(target.session.as_ref());
        let wish = wishes.get(&(mode, target.clone()));
        let mut desk = Desk {
            core: &mut user.core,
            occasion: &occasion,
            decisions: &mut outcome.decisions,
        };
        desk.settle(
            &target,
            mode,
            Judgement {
                wish,
                grounds: &grounds,
                latitude,
            },
        );
    }
}

/// A target whose session is gone is no longer judged: what is in force on it lapses.
fn is_judged(user: &UserRecord, target: &Target) -> bool {
    target
        .session
        .as_ref()
        .is_none_or(|session| find_session(user, Some(session)).is_some())
}

/// The assessment a target is decided by: its session's, else the strongest of those it holds.
fn strongest<'a>(user: &UserRecord, all: &'a [Judged], target: &Target) -> Option<&'a Judged> {
    if let Some(session) = &target.session {
        return all
            .iter()
            .find(|judged| judged.session.as_ref() == Some(session));
    }
    all.iter()
        .filter(|judged| {
            let device = find_session(user, judged.session.as_ref())
                .and_then(|session| session.current.device.as_ref());
            target.device.is_none() || judged.session.is_none() || target.device.as_ref() == device
        })
        .max_by_key(|judged| (judged.assessment.raw, judged.session.is_some()))
}

fn find_session<'a>(user: &'a UserRecord, id: Option<&SessionId>) -> Option<&'a Session> {
    user.sessions.iter().find(|session| Some(&session.id) == id)
}

pub(super) fn user_name(user: &UserRecord) -> UserId {
    match &user.core.key {
        crate::id::SubjectKey::User { user, .. } => user.clone(),
        other => UserId::new(other.to_string()),
    }
}

/// What an analyst said, as evidence.
pub(super) fn verdict_evidence(
    verdict: Verdict,
    by: &str,
    event: &EventId,
    now: Timestamp,
) -> Evidence {
    let told = crate::evidence::Told {
        event: event.clone(),
        at: now,
        detail: verdict_detail(verdict, by),
    };
    Evidence::new(Code::Analyst, 0, crate::evidence::device::ANALYST, told)
}
