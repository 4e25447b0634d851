//! The decisions in force, by tenant and target, as the stream told them. Pure: takes `now`, knows no socket and no file.
//!
//! A request is matched by looking up the few patterns it could be named by, never by scanning: a request knows at most
//! five members, and a tenant remembers which combinations of members its decisions use at all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use caerus_engine::decide::{Action, Target};
use caerus_engine::id::{RuleId, SessionId, TenantId, UserId};
use caerus_engine::time::Timestamp;

use crate::limit;

/// What an enforcement point needs of one decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub id: Arc<str>,
    pub tenant: TenantId,
    pub generation: u64,
    pub action: Action,
    pub target: Target,
    /// Credentials whose authentication is not older than this are not meant. `None`: whatever the age.
    pub issued_before: Option<Timestamp>,
    pub except_sessions: BTreeSet<SessionId>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// The deciding rule; `None` for an operator's own.
    pub rule: Option<RuleId>,
}

impl Decision {
    /// In force until its expiry, and [`limit::CLOCK_SKEW`] longer.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at + limit::CLOCK_SKEW
    }
}

/// What became of a decision that was offered to the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Taken,
    /// A generation as new or newer is held for this target.
    Older,
}

/// The newest decision of one target, and until when its generation must be remembered.
#[derive(Clone, Debug)]
struct Held {
    decision: Arc<Decision>,
    /// The latest expiry seen for this target: until then an older decision, told again, could still be in force.
    fence_until: Timestamp,
}

/// All decisions held, those that clear and those that lapsed included, for as long as they fence older ones.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    tenants: HashMap<TenantId, TenantPicture>,
    len: usize,
}

#[derive(Clone, Debug, Default)]
struct TenantPicture {
    by_target: HashMap<Target, Held>,
    /// How many targets have exactly these members.
    by_shape: BTreeMap<Shape, usize>,
    /// Whose session it is, as the decisions' own targets tell, and how many targets tell it.
    users: HashMap<SessionId, Vec<(UserId, usize)>>,
}

/// Which members a pattern has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape(u8);

impl Shape {
    const USER: u8 = 1;
    const SESSION: u8 = 2;
    const DEVICE: u8 = 4;
    const WORKLOAD: u8 = 8;
    const APP: u8 = 16;

    fn of(target: &Target) -> Self {
        let bit = |is_given: bool, bit: u8| if is_given { bit } else { 0 };
        Self(
            bit(target.user.is_some(), Self::USER)
                | bit(target.session.is_some(), Self::SESSION)
                | bit(target.device.is_some(), Self::DEVICE)
                | bit(target.workload.is_some(), Self::WORKLOAD)
                | bit(target.app.is_some(), Self::APP),
        )
    }

    fn fits_in(self, whole: Self) -> bool {
        self.0 & whole.0 == self.0
    }

    /// The members of `whole` that this shape has. Clones counted references, no text.
    fn cut(self, whole: &Target) -> Target {
        fn keep<T: Clone>(member: Option<&T>, is_kept: bool) -> Option<T> {
            member.filter(|_| is_kept).cloned()
        }
        let has = |bit: u8| self.0 & bit != 0;
        Target {
            user: keep(whole.user.as_ref(), has(Self::USER)),
            session: keep(whole.session.as_ref(), has(Self::SESSION)),
            device: keep(whole.device.as_ref(), has(Self::DEVICE)),
            workload: keep(whole.workload.as_ref(), has(Self::WORKLOAD)),
            app: keep(whole.app.as_ref(), has(Self::APP)),
        }
    }
}

impl Picture {
    /// Takes a decision in, unless a generation as new is held for its target.
    ///
    /// INVARIANT (INV-2, INV-4): generations of a target only rise, a clear's included, until nothing older can be in
    /// force any more.
    pub fn admit(&mut self, decision: Arc<Decision>) -> Admission {
        let tenant = self.tenants.entry(decision.tenant.clone()).or_default();
        match tenant.by_target.get_mut(&decision.target) {
            Some(held) => {
                held.fence_until = held.fence_until.max(decision.expires_at);
                if held.decision.generation >= decision.generation {
                    return Admission::Older;
                }
                held.decision = decision;
                Admission::Taken
            }
            None => {
                tenant.add(decision);
                self.len += 1;
                Admission::Taken
            }
        }
    }

    /// Decisions whose every given member equals the request's and that are in force now; clears are not among them.
    pub fn matching<'a>(
        &'a self,
        tenant: &TenantId,
        request: &'a Target,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Arc<Decision>> + 'a {
        let whole = Shape::of(request);
        self.tenants
            .get(tenant)
            .into_iter()
            .flat_map(move |tenant| {
                tenant
                    .by_shape
                    .keys()
                    .filter(move |shape| shape.fits_in(whole))
                    .filter_map(move |shape| tenant.by_target.get(&shape.cut(request)))
            })
            .map(|held| &held.decision)
            .filter(move |decision| decision.action != Action::Clear && decision.is_live(now))
    }

    /// The users whose session this is, as the decisions held tell; most often none or one.
    pub fn users_of<'a>(
        &'a self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> impl Iterator<Item = &'a UserId> + 'a {
        self.tenants
            .get(tenant)
            .and_then(|tenant| tenant.users.get(session))
            .into_iter()
            .flatten()
            .map(|(user, _)| user)
    }

    /// Everything held, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Decision>> {
        self.tenants
            .values()
            .flat_map(|tenant| tenant.by_target.values())
            .map(|held| &held.decision)
    }

    /// How many targets are held, lapsed and cleared ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first targets, at most `count`, that need no longer be remembered.
    pub fn lapsed(&self, now: Timestamp, count: usize) -> Vec<(TenantId, Target)> {
        let mut lapsed = Vec::new();
        for (name, tenant) in &self.tenants {
            for (target, held) in &tenant.by_target {
                if lapsed.len() == count {
                    return lapsed;
                }
                if now >= held.fence_until + limit::CLOCK_SKEW {
                    lapsed.push((name.clone(), target.clone()));
                }
            }
        }
        lapsed
    }

    /// Forgets targets that [`Picture::lapsed`] named; one that was decided anew in between stays.
    pub fn forget(&mut self, lapsed: &[(TenantId, Target)], now: Timestamp) {
        for (name, target) in lapsed {
            let Some(tenant) = self.tenants.get_mut(name) else {
                continue;
            };
            let is_lapsed = tenant
                .by_target
                .get(target)
                .is_some_and(|held| now >= held.fence_until + limit::CLOCK_SKEW);
            if is_lapsed {
                tenant.remove(target);
                self.len -= 1;
            }
            if tenant.by_target.is_empty() {
                self.tenants.remove(name);
            }
        }
    }

    /// Keeps, of what `former` held for the targets of this picture, whatever is newer.
    ///
    /// For a snapshot of the same log: another gateway's reader may lag behind what was acknowledged here (INV-2).
    pub fn keep_newer_of(&mut self, former: &Self) {
        let newer: Vec<Arc<Decision>> = self
            .iter()
            .filter_map(|decision| former.held(&decision.tenant, &decision.target))
            .cloned()
            .collect();
        for decision in newer {
            self.admit(decision);
        }
    }

    fn held(&self, tenant: &TenantId, target: &Target) -> Option<&Arc<Decision>> {
        Some(&self.tenants.get(tenant)?.by_target.get(target)?.decision)
    }
}

impl TenantPicture {
    fn add(&mut self, decision: Arc<Decision>) {
        let target = decision.target.clone();
        *self.by_shape.entry(Shape::of(&target)).or_default() += 1;
        if let (Some(user), Some(session)) = (&target.user, &target.session) {
            let users = self.users.entry(session.clone()).or_default();
            match users.iter_mut().find(|(known, _)| known == user) {
                Some((_, targets)) => *targets += 1,
                None => users.push((user.clone(), 1)),
            }
        }
        let held = Held {
            fence_until: decision.expires_at,
            decision,
        };
        self.by_target.insert(target, held);
    }

    fn remove(&mut self, target: &Target) {
        if self.by_target.remove(target).is_none() {
            return;
        }
        let shape = Shape::of(target);
        if let Some(targets) = self.by_shape.get_mut(&shape) {
            *targets -= 1;
            if *targets == 0 {
                self.by_shape.remove(&shape);
            }
        }
        let (Some(user), Some(session)) = (&target.user, &target.session) else {
            return;
        };
        let Some(users) = self.users.get_mut(session) else {
            return;
        };
        for (known, targets) in users.iter_mut() {
            if known == user {
                *targets -= 1;
            }
        }
        users.retain(|(_, targets)| *targets > 0);
        if users.is_empty() {
            self.users.remove(session);
        }
    }
}

#[cfg(test)]
mod tests;
