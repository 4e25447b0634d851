//! Analysts' verdicts: they weigh as evidence, take evidence away, or take an earlier verdict back.

use super::judge::{Leniency, verdict_evidence};
use super::user::{Turn, scored};
use crate::decide::desk::Latitude;
use crate::decide::in_force::Core;
use crate::evidence::{Code, Evidence, put, withdraw};
use crate::id::{DecisionId, SessionId};
use crate::limits::DISMISSALS_PER_SUBJECT;
use crate::record::{Dismissal, UserRecord};
use crate::score::{IgnoreReason, Scored};
use crate::signal::{About, Feedback, Verdict};
use crate::step::moment::Moment;

/// What a verdict on a decision is about: its session, and the evidence it rests on.
#[derive(Debug)]
pub(super) struct Named {
    pub session: Option<SessionId>,
    pub basis: Vec<(Code, u64)>,
}

/// The decision in force with this id.
pub(super) fn decision_named(core: &Core, id: DecisionId) -> Option<Named> {
    let held = core.in_force.iter().find(|held| held.id(&core.key) == id)?;
    Some(Named {
        session: held.target.session.clone(),
        basis: held.basis.clone(),
    })
}

pub(super) fn on_user(
    turn: &mut Turn<'_, '_>,
    user: &mut UserRecord,
    feedback: &Feedback,
) -> Scored {
    let named = match &feedback.about {
        About::Decision(id) => decision_named(&user.core, *id),
        About::User => Some(Named {
            session: None,
            basis: basis_of_user(user),
        }),
        About::Session(session) => {
            user.sessions
                .iter()
                .find(|held| held.id == *session)
                .map(|held| Named {
                    session: Some(held.id.clone()),
                    basis: positive(&held.evidence),
                })
        }
        About::Device => None,
    };
    let Some(named) = named else {
        return Scored::Ignored(IgnoreReason::UnknownSubject);
    };
    let by = feedback.by.as_str();
    match feedback.verdict {
        Verdict::Compromised => {
            let item = verdict_evidence(feedback.verdict, by, &turn.moment.event, turn.moment.now);
            put(
                evidence_of(user, named.session.as_ref()),
                item,
                turn.moment.now,
            );
        }
        Verdict::Safe => {
            withdraw(
                evidence_of(user, named.session.as_ref()),
                Code::Analyst,
                None,
            );
            for (session, code, key) in dismissed_by(user, &named) {
                dismiss(
                    &mut user.dismissals,
                    Dismissal {
                        session,
                        code,
                        key,
                        at: turn.moment.now,
                        by: by.to_owned(),
                    },
                );
            }
        }
        Verdict::Dismiss => {
            withdraw(
                evidence_of(user, named.session.as_ref()),
                Code::Analyst,
                None,
            );
            let session = named.session.clone();
            user.dismissals.retain(|held| {
                let is_named = named.session.is_none() || held.session == session;
                !is_named
            });
        }
    }
    let all = turn.judge(user, &Leniency::everywhere(Latitude::Corrected));
    scored(all, named.session.as_ref())
}

fn evidence_of<'a>(user: &'a mut UserRecord, session: Option<&SessionId>) -> &'a mut Vec<Evidence> {
    let index = user
        .sessions
        .iter()
        .position(|held| Some(&held.id) == session);
    match index.and_then(|index| user.sessions.get_mut(index)) {
        Some(session) => &mut session.evidence,
        None => &mut user.evidence,
    }
}

fn positive(items: &[Evidence]) -> Vec<(Code, u64)> {
    items
        .iter()
        .filter(|item| item.nats.is_positive() && item.code != Code::Analyst)
        .map(|item| (item.code, item.key))
        .collect()
}

fn basis_of_user(user: &UserRecord) -> Vec<(Code, u64)> {
    positive(&user.evidence)
}

/// A verdict on the user is about the user's own evidence and that of every live session.
fn dismissed_by(user: &UserRecord, named: &Named) -> Vec<(Option<SessionId>, Code, u64)> {
    let mut all: Vec<(Option<SessionId>, Code, u64)> = Vec::new();
    for session in &user.sessions {
        let is_named = named.session.as_ref().is_none_or(|id| *id == session.id);
        let is_whole = named.session.is_none();
        if is_named {
            all.extend(
                positive(&session.evidence)
                    .into_iter()
                    .filter(|fact| is_whole || named.basis.contains(fact))
                    .map(|(code, key)| (Some(session.id.clone()), code, key)),
            );
        }
    }
    all.extend(
        positive(&user.evidence)
            .into_iter()
            .filter(|fact| named.basis.contains(fact))
            .map(|(code, key)| (None, code, key)),
    );
    all
}

/// Remembers a dismissal; the oldest leave.
pub(super) fn dismiss(dismissals: &mut Vec<Dismissal>, dismissal: Dismissal) {
    dismissals.retain(|held| {
        held.session != dismissal.session
            || held.code != dismissal.code
            || held.key != dismissal.key
    });
    if dismissals.len() >= DISMISSALS_PER_SUBJECT {
        dismissals.remove(0);
    }
    dismissals.push(dismissal);
}

/// Applies a verdict to a subject without sessions. *Returns*: false when it names nothing known.
pub(super) fn on_plain(
    core: &Core,
    evidence: &mut Vec<Evidence>,
    dismissals: &mut Vec<Dismissal>,
    feedback: &Feedback,
    moment: &Moment,
) -> bool {
    let basis = match &feedback.about {
        About::Decision(id) => match decision_named(core, *id) {
            Some(named) => named.basis,
            None => return false,
        },
        About::Device | About::User => positive(evidence),
        About::Session(_) => return false,
    };
    let by = feedback.by.as_str();
    withdraw(evidence, Code::Analyst, None);
    match feedback.verdict {
        Verdict::Compromised => {
            let item = verdict_evidence(feedback.verdict, by, &moment.event, moment.now);
            put(evidence, item, moment.now);
        }
        Verdict::Safe => {
            for (code, key) in basis {
                let by = by.to_owned();
                let held = Dismissal {
                    session: None,
                    code,
                    key,
                    at: moment.now,
                    by,
                };
                dismiss(dismissals, held);
            }
        }
        Verdict::Dismiss => dismissals.clear(),
    }
    true
}
