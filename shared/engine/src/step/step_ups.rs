//! When a demand for a step-up is met, and whom a cut-off lets through afterwards.

use std::collections::BTreeSet;

use super::logins::weigh_authentication;
use super::sessions::evaluate_client;
use super::user::Turn;
use crate::decide::desk::Desk;
use crate::decide::{Action, Mode, Requires, Target};
use crate::evidence::novelty;
use crate::id::{AcrValue, SessionId};
use crate::record::{MetStepUp, Session, UserRecord};
use crate::signal::{Authentication, Client, Login, SessionChange};
use crate::time::Timestamp;

/// True when the login met a demand. A session it makes starts as met by any open demand of the user; another session
/// is met by a demand that names it, and its device where that is named.
pub(super) fn meet(
    turn: &Turn<'_, '_>,
    user: &UserRecord,
    session: &mut Session,
    is_new: bool,
    login: &Login,
) -> bool {
    let moment = turn.moment;
    let met = user.core.in_force.iter().any(|held| {
        let Action::StepUp { requires, .. } = &held.action else {
            return false;
        };
        let is_named = held.target.session.as_ref() == Some(&session.id)
            || (held.target.session.is_none() && held.target.user.is_some());
        let is_device = held
            .target
            .device
            .as_ref()
            .is_none_or(|device| login.client.device.as_ref() == Some(device));
        held.issued_at < moment.time
            && (is_new || (is_named && is_device))
            && reaches(turn, requires, &login.authentication)
    });
    if met {
        let place = met_at(moment.now, &login.client, &login.authentication);
        session.meet(place, &login.client);
    }
    met
}

fn met_at(at: Timestamp, client: &Client, authentication: &Authentication) -> MetStepUp {
    MetStepUp {
        at,
        acr: authentication.acr.clone(),
        network: client.prefix().map(novelty::prefix_key),
        device: novelty::device_key(client),
    }
}

/// Any of the classes asked for, by its name or by the methods configured for it.
fn reaches(turn: &Turn<'_, '_>, requires: &Requires, authentication: &Authentication) -> bool {
    let classes = turn.surroundings.policy.classes();
    let by_methods = |class: &AcrValue| {
        let sets: Option<&Vec<BTreeSet<String>>> = classes.get(class);
        sets.is_some_and(|sets| {
            sets.iter()
                .any(|set| !set.is_empty() && set.is_subset(&authentication.amr))
        })
    };
    requires
        .acr_values
        .iter()
        .any(|class| authentication.acr.as_ref() == Some(class) || by_methods(class))
}

/// An enforcement point saw a verified token that meets the session's demand: it counts as the meeting login, and is
/// not learned as a second one. *Returns*: the session, where its demand was met.
pub(super) fn step_up_met(
    turn: &mut Turn<'_, '_>,
    user: &mut UserRecord,
    change: &SessionChange,
) -> Option<SessionId> {
    let id = change.session.as_ref()?;
    let proven_at = change.issued_at?;
    let met = user.core.in_force.iter().any(|held| {
        let Action::StepUp { requires, .. } = &held.action else {
            return false;
        };
        let age = turn.moment.now.since(proven_at).as_seconds();
        held.target.session.as_ref() == Some(id)
            && held
                .target
                .device
                .as_ref()
                .is_none_or(|d| change.client.device.as_ref() == Some(d))
            && proven_at > held.issued_at
            && requires.max_age_s.is_none_or(|max| age <= i64::from(max))
            && reaches(turn, requires, &change.authentication)
    });
    if !met {
        return None;
    }
    let mut session = user.take_session(id, &change.client, turn.moment.now);
    if change.client.address.is_some() || change.client.device.is_some() {
        evaluate_client(
            &mut session,
            user,
            turn.population,
            &change.client,
            turn.moment,
        );
    }
    session.acr = change.authentication.acr.clone().or(session.acr);
    weigh_authentication(turn, user, &mut session, &change.authentication);
    let place = met_at(turn.moment.now, &change.client, &change.authentication);
    session.meet(place, &change.client);
    user.put_session(session);
    Some(id.clone())
}

/// Decisions with a cut-off let a session through that began by a successful login after it.
pub(super) fn except_new_session(
    turn: &mut Turn<'_, '_>,
    user: &mut UserRecord,
    session: &SessionId,
) {
    let login_at = turn.moment.time;
    let began_now = user
        .sessions
        .iter()
        .any(|held| held.id == *session && held.login_at == Some(login_at));
    if !began_now {
        return;
    }
    let targets: Vec<(Target, Mode)> = user
        .core
        .in_force
        .iter()
        .filter(|held| held.issued_before.is_some_and(|cut_off| login_at > cut_off))
        .map(|held| (held.target.clone(), held.mode))
        .collect();
    let occasion = turn.moment.occasion(turn.surroundings);
    let mut desk = Desk {
        core: &mut user.core,
        occasion: &occasion,
        decisions: &mut turn.outcome.decisions,
    };
    for (target, mode) in targets {
        desk.except(&target, mode, session);
    }
}
