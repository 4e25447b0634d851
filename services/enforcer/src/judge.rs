//! What the picture says to one request. Pure: takes `now`; knows neither HTTP nor where an identity came from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caerus_engine::decide::{Action, Requires, Restricts, Target};
use caerus_engine::id::{AcrValue, AppId, DeviceId, SessionId, TenantId, UserId, WorkloadId};
use caerus_engine::time::{Span, Timestamp};

use crate::limit;
use crate::picture::{Decision, Picture};

/// Who asks, and for what.
#[derive(Clone, Debug)]
pub struct Request {
    pub tenant: TenantId,
    pub user: Option<UserId>,
    pub device: Option<DeviceId>,
    pub workload: Option<WorkloadId>,
    pub app: Option<AppId>,
    /// 0–4, as the route classes what is asked for.
    pub sensitivity: u8,
    /// Every credential that came along; each is matched, and the most severe decision wins. Empty counts as one
    /// without session and age.
    pub credentials: Vec<Credential>,
    /// What a *verified* token proves; nothing else ever meets a demand.
    pub proof: Option<Proof>,
}

/// One credential: a session, and when its holder authenticated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credential {
    pub session: Option<SessionId>,
    pub authenticated_at: Option<Timestamp>,
}

/// How and when the holder of a verified token authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The token's own session; `None` proves for whichever session of its user the request carries.
    pub session: Option<SessionId>,
    pub classes: BTreeSet<AcrValue>,
    pub amr: BTreeSet<String>,
    pub authenticated_at: Timestamp,
}

/// Which sets of `amr` count as reaching a class.
pub type Classes = BTreeMap<AcrValue, Vec<BTreeSet<String>>>;

/// What is to be done with a request, and which demands its proof met on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: Verdict,
    /// Step-ups that matched and are met by the request's proof, each once.
    pub met: Vec<Arc<Decision>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// The session is known to be another user's.
    Conflict,
    Restrict(Arc<Decision>),
    StepUp(Demand),
    Revoke(Arc<Decision>),
}

/// What a step-up asks of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    pub acr_values: BTreeSet<AcrValue>,
    pub max_age_s: Option<u32>,
    /// The decision that asks, the newest where several do; `None` when it is the route.
    pub decision: Option<Arc<Decision>>,
}

impl Proof {
    /// True when it reaches one of the classes asked for (any, where none is named) and is not older than asked.
    pub fn is_recent(&self, requires: &Requires, classes: &Classes, now: Timestamp) -> bool {
        // A moment that has not come yet is a wrong clock within the skew, and a wrong token beyond it.
        let is_past = self.authenticated_at <= now + limit::CLOCK_SKEW;
        let is_young = requires.max_age_s.is_none_or(|seconds| {
            now.since(self.authenticated_at) <= Span::seconds(i64::from(seconds))
        });
        let reaches = |class: &AcrValue| {
            self.classes.contains(class)
                || classes
                    .get(class)
                    .is_some_and(|sets| sets.iter().any(|set| set.is_subset(&self.amr)))
        };
        let is_enough = requires.acr_values.is_empty() || requires.acr_values.iter().any(reaches);
        is_past && is_young && is_enough
    }

    /// True when it meets a step-up: recent enough, of the target's session, and later than the demand.
    fn meets(&self, decision: &Decision, requires: &Requires, by: &Asking<'_>) -> bool {
        let is_of_session = match (&decision.target.session, &self.session) {
            (Some(wanted), Some(own)) => wanted == own,
            _ => true,
        };
        is_of_session
            && self.authenticated_at > decision.issued_at
            && self.is_recent(requires, by.classes, by.now)
    }
}

/// What stays the same while one request is judged.
struct Asking<'a> {
    request: &'a Request,
    classes: &'a Classes,
    now: Timestamp,
}

/// What matched so far.
#[derive(Default)]
struct Found {
    revoke: Option<Arc<Decision>>,
    /// Step-ups that are not met, each once.
    unmet: Vec<Arc<Decision>>,
    restrict: Option<Arc<Decision>>,
    met: Vec<Arc<Decision>>,
}

/// Judges one request: revoke, then step-up, then restrict, over all credentials and all targets that match.
///
/// A session whose user the request does not tell is taken to be the user's whom the decisions held name for it (a
/// session id is unique within a tenant). A user who is told but is not the one they name is a conflict.
pub fn judge(picture: &Picture, request: &Request, classes: &Classes, now: Timestamp) -> Judgement {
    let asking = Asking {
        request,
        classes,
        now,
    };
    let mut found = Found::default();
    let bare = [Credential::default()];
    let credentials = if request.credentials.is_empty() {
        &bare[..]
    } else {
        &request.credentials[..]
    };
    for credential in credentials {
        if is_conflict(picture, request, credential) {
            return Judgement {
                verdict: Verdict::Conflict,
                met: Vec::new(),
            };
        }
        for pattern in patterns(picture, request, credential) {
            for decision in picture.matching(&request.tenant, &pattern, now) {
                if is_meant(decision, credential) {
                    found.take(decision, &asking);
                }
            }
        }
    }
    found.into_judgement()
}

fn is_conflict(picture: &Picture, request: &Request, credential: &Credential) -> bool {
    let (Some(user), Some(session)) = (&request.user, &credential.session) else {
        return false;
    };
    let mut known = picture.users_of(&request.tenant, session).peekable();
    known.peek().is_some() && !known.any(|owner| owner == user)
}

/// The request as a target: one, or one for each user its session may be of.
fn patterns(picture: &Picture, request: &Request, credential: &Credential) -> Vec<Target> {
    let pattern = Target {
        user: request.user.clone(),
        session: credential.session.clone(),
        device: request.device.clone(),
        workload: request.workload.clone(),
        app: request.app.clone(),
    };
    let (None, Some(session)) = (&pattern.user, &pattern.session) else {
        return vec![pattern];
    };
    let known: Vec<Target> = picture
        .users_of(&request.tenant, session)
        .map(|user| Target {
            user: Some(user.clone()),
            ..pattern.clone()
        })
        .collect();
    if known.is_empty() {
        vec![pattern]
    } else {
        known
    }
}

/// False when the credential is younger than the decision's cut-off, or its session is excepted.
fn is_meant(decision: &Decision, credential: &Credential) -> bool {
    let Some(cut_off) = decision.issued_before else {
        return true;
    };
    let is_excepted = credential
        .session
        .as_ref()
        .is_some_and(|session| decision.except_sessions.contains(session));
    let is_younger = credential
        .authenticated_at
        .is_some_and(|authenticated_at| authenticated_at >= cut_off);
    !is_excepted && !is_younger
}

/// True when what is asked for lies above the limit or in one of the apps. A restriction that names neither covers all.
fn covers(restricts: &Restricts, request: &Request) -> bool {
    let is_above = restricts
        .sensitivity_above
        .is_some_and(|limit| request.sensitivity > limit);
    let is_in_app = request
        .app
        .as_ref()
        .is_some_and(|app| restricts.apps.contains(app));
    let names_nothing = restricts.sensitivity_above.is_none() && restricts.apps.is_empty();
    is_above || is_in_app || names_nothing
}

impl Found {
    fn take(&mut self, decision: &Arc<Decision>, asking: &Asking<'_>) {
        match &decision.action {
            Action::Clear => {}
            Action::Revoke => keep_newest(&mut self.revoke, decision),
            Action::Restrict(restricts) => self.take_restricts(decision, restricts, asking),
            Action::StepUp {
                requires,
                restricts,
            } => {
                let proof = asking.request.proof.as_ref();
                if !proof.is_some_and(|proof| proof.meets(decision, requires, asking)) {
                    keep_once(&mut self.unmet, decision);
                    return;
                }
                keep_once(&mut self.met, decision);
                if let Some(restricts) = restricts {
                    self.take_restricts(decision, restricts, asking);
                }
            }
        }
    }

    fn take_restricts(
        &mut self,
        decision: &Arc<Decision>,
        restricts: &Restricts,
        asking: &Asking<'_>,
    ) {
        if covers(restricts, asking.request) {
            keep_newest(&mut self.restrict, decision);
        }
    }

    fn into_judgement(mut self) -> Judgement {
        // The order in which targets were looked up must not show in the answer.
        self.unmet.sort_by(|a, b| age_order(b).cmp(&age_order(a)));
        let demand = self.unmet.iter().filter_map(Demand::of).reduce(Demand::and);
        let verdict = match (self.revoke, demand, self.restrict) {
            (Some(decision), _, _) => Verdict::Revoke(decision),
            (None, Some(demand), _) => Verdict::StepUp(demand),
            (None, None, Some(decision)) => Verdict::Restrict(decision),
            (None, None, None) => Verdict::Pass,
        };
        Judgement {
            verdict,
            met: self.met,
        }
    }
}

/// Of several that are equally severe the newest is named, by id where they are as old, so that repeats agree.
fn keep_newest(kept: &mut Option<Arc<Decision>>, decision: &Arc<Decision>) {
    if kept
        .as_ref()
        .is_none_or(|kept| age_order(kept) < age_order(decision))
    {
        *kept = Some(Arc::clone(decision));
    }
}

fn keep_once(kept: &mut Vec<Arc<Decision>>, decision: &Arc<Decision>) {
    if !kept.iter().any(|kept| Arc::ptr_eq(kept, decision)) {
        kept.push(Arc::clone(decision));
    }
}

fn age_order(decision: &Decision) -> (Timestamp, &str) {
    (decision.issued_at, &decision.id)
}

impl Demand {
    fn of(decision: &Arc<Decision>) -> Option<Self> {
        let Action::StepUp { requires, .. } = &decision.action else {
            return None;
        };
        Some(Self {
            acr_values: requires.acr_values.clone(),
            max_age_s: requires.max_age_s,
            decision: Some(Arc::clone(decision)),
        })
    }

    /// Both at once: the smaller age, and classes that satisfy both. Where no class does, those of the first are asked
    /// for; the other's are asked for when these are met.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let both: BTreeSet<AcrValue> = self
            .acr_values
            .intersection(&other.acr_values)
            .cloned()
            .collect();
        let acr_values = if !both.is_empty() {
            both
        } else if self.acr_values.is_empty() {
            other.acr_values
        } else {
            self.acr_values
        };
        let max_age_s = [self.max_age_s, other.max_age_s]
            .into_iter()
            .flatten()
            .min();
        Self {
            acr_values,
            max_age_s,
            decision: self.decision.or(other.decision),
        }
    }
}

#[cfg(test)]
mod tests;
