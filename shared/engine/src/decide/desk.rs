//! Compares what is wished with what is in force: emits on change, raises at once, lowers slowly, renews in time.

use std::collections::BTreeSet;

use super::in_force::{Core, InForce, decision_id};
use super::merge::{Wish, stricter};
use super::{Action, Decision, Mode, Target};
use crate::evidence::Code;
use crate::id::{EventId, RevisionId, RuleId, SessionId};
use crate::limits::{EXCEPT_SESSIONS, IN_FORCE_PER_SUBJECT, RENEWAL_LEAD};
use crate::score::{Assessment, Hypothesis, Line};
use crate::time::{Span, Timestamp};

/// Added to a cut-off, so that a credential issued in the same breath is caught.
pub const CUT_OFF_MARGIN: Span = Span::seconds(5);
/// A target gets at most one decision in this span, unless upward.
pub const HOLD: Span = Span::minutes(1);
/// A demand ends when the hypothesis that raised it is below this.
pub const DEMAND_ENDS_BELOW: u8 = 30;
/// The same for a compromised device, whose prior alone is 31.
pub const DEVICE_DEMAND_ENDS_BELOW: u8 = 36;
/// A met step-up clears its demand when what is left scores below this.
pub const MET_CLEARS_BELOW: u8 = 40;

/// What happened, as decisions tell it.
#[derive(Clone, Debug)]
pub struct Occasion {
    /// Judgement time: `issued_at`, and the base of `expires_at`.
    pub now: Timestamp,
    pub cause: EventId,
    pub received_at: Option<Timestamp>,
    pub trace: Option<String>,
    pub revision: RevisionId,
}

/// Why something is wished of a target.
#[derive(Clone, Debug)]
pub struct Grounds<'a> {
    pub assessment: &'a Assessment,
    pub basis: Vec<(Code, u64)>,
    /// When the offending credential was issued.
    pub credential_issued_at: Option<Timestamp>,
}

/// What is wished of one target, why, and how far it may go down.
#[derive(Clone, Copy, Debug)]
pub struct Judgement<'a> {
    pub wish: Option<&'a Wish>,
    pub grounds: &'a Grounds<'a>,
    pub latitude: Latitude,
}

/// How far a judgement may go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latitude {
    /// A revoke stays; a demand ends below its threshold; lowerings are held to the minute's end.
    Usual,
    /// A step-up was met: its demand may end at once.
    Met,
    /// The policy set changed: demands follow it at once, a revoke stays.
    Revised,
    /// Feedback, or a fact that takes its own evidence back: everything may be lowered, at once.
    Corrected,
}

/// Where decisions are written: one subject's in-force list, and what is emitted.
#[derive(Debug)]
pub struct Desk<'a> {
    pub core: &'a mut Core,
    pub occasion: &'a Occasion,
    pub decisions: &'a mut Vec<Decision>,
}

impl Desk<'_> {
    /// Brings one target to what is wished of it.
    pub fn settle(&mut self, target: &Target, mode: Mode, judgement: Judgement<'_>) {
        let Judgement {
            wish,
            grounds,
            latitude,
        } = judgement;
        let held = self.core.find(target, mode).cloned();
        match (wish, held) {
            (None, None) => {}
            (Some(wish), None) => self.emit_wish(target, mode, wish, grounds),
            (Some(wish), Some(held)) if is_raise(&held.action, &wish.action) => {
                self.raise(target, &held, wish, grounds);
            }
            (Some(wish), Some(held)) if held.action == wish.action => {
                self.keep(target, &held, Some(wish), grounds);
            }
            (wish, Some(held)) => self.lower(&held, wish, grounds, latitude),
        }
    }

    fn raise(&mut self, target: &Target, held: &InForce, wish: &Wish, grounds: &Grounds<'_>) {
        // An operator's step-up stands beside a milder or equal wish of policy, never beneath it.
        if held.is_operators() && wish.action.severity() <= held.action.severity() {
            return;
        }
        self.emit_wish(target, held.mode, wish, grounds);
    }

    /// Still wished: renewed before it expires.
    fn keep(
        &mut self,
        target: &Target,
        held: &InForce,
        wish: Option<&Wish>,
        grounds: &Grounds<'_>,
    ) {
        if let Some(entry) = self.core.find_mut(target, held.mode) {
            entry.held_until = None;
        }
        let is_due = self.occasion.now + RENEWAL_LEAD >= held.expires_at;
        if !is_due || held.is_operators() {
            return;
        }
        let rule = wish
            .map(|wish| wish.rule.clone())
            .or_else(|| held.rule.clone());
        self.emit(Draft {
            target: held.target.clone(),
            mode: held.mode,
            action: held.action.clone(),
            rule,
            life: wish.map_or(held.life, |wish| wish.life),
            cause: Some(held.cause.clone()),
            cut_off: CutOff::Keep(held.issued_before, held.except_sessions.clone()),
            why: Why::of(grounds),
        });
    }

    fn lower(
        &mut self,
        held: &InForce,
        wish: Option<&Wish>,
        grounds: &Grounds<'_>,
        latitude: Latitude,
    ) {
        if held.is_operators() {
            return;
        }
        let target = held.target.clone();
        if !may_end(held, grounds.assessment, latitude) {
            if let Some(entry) = self.core.find_mut(&target, held.mode) {
                entry.held_until = None;
            }
            // What still speaks for it keeps it, a revoke included: decay alone brings nothing milder.
            if !has_ended(held.hypothesis, grounds.assessment, None) {
                self.keep(&target, held, None, grounds);
            }
            return;
        }
        let minute_ends = held.issued_at + HOLD;
        if latitude == Latitude::Usual && self.occasion.now < minute_ends {
            if let Some(entry) = self.core.find_mut(&target, held.mode) {
                entry.held_until = Some(minute_ends);
            }
            return;
        }
        match wish {
            Some(wish) => self.emit_wish(&target, held.mode, wish, grounds),
            None => self.clear(&target, held.mode, Why::of(grounds)),
        }
    }

    fn emit_wish(&mut self, target: &Target, mode: Mode, wish: &Wish, grounds: &Grounds<'_>) {
        let cut_off = self
            .occasion
            .now
            .max(grounds.credential_issued_at.unwrap_or(Timestamp::ZERO))
            + CUT_OFF_MARGIN;
        self.emit(Draft {
            target: target.clone(),
            mode,
            action: wish.action.clone(),
            rule: Some(wish.rule.clone()),
            life: wish.life,
            cause: None,
            cut_off: CutOff::At(cut_off),
            why: Why::of(grounds),
        });
    }

    /// Lifts what is in force on exactly this target.
    pub fn clear(&mut self, target: &Target, mode: Mode, why: Why) {
        let Some(held) = self.core.find(target, mode).cloned() else {
            return;
        };
        self.emit(Draft {
            target: held.target,
            mode,
            action: Action::Clear,
            rule: why.operator.is_none().then(|| held.rule.clone()).flatten(),
            life: held.expires_at.since(self.occasion.now),
            cause: None,
            cut_off: CutOff::Keep(None, BTreeSet::new()),
            why,
        });
    }

    /// An operator's own decision; a clear lifts every target that holds all it names.
    pub fn command(&mut self, target: &Target, action: &Action, life: Span, reason: &str) {
        let why = Why::operator(reason, action);
        if *action != Action::Clear {
            self.emit(Draft {
                target: target.clone(),
                mode: Mode::Enforce,
                action: action.clone(),
                rule: None,
                life,
                cause: None,
                cut_off: CutOff::At(self.occasion.now + CUT_OFF_MARGIN),
                why,
            });
            return;
        }
        let lifted: Vec<Target> = self
            .core
            .in_force
            .iter()
            .filter(|held| held.mode == Mode::Enforce && target.matches(&held.target))
            .map(|held| held.target.clone())
            .collect();
        for target in &lifted {
            self.clear(target, Mode::Enforce, why.clone());
        }
        if lifted.is_empty() {
            self.emit(Draft {
                target: target.clone(),
                mode: Mode::Enforce,
                action: Action::Clear,
                rule: None,
                life,
                cause: None,
                cut_off: CutOff::Keep(None, BTreeSet::new()),
                why,
            });
        }
    }

    /// Lets a session that began by a successful login after the cut-off through: a new generation.
    pub fn except(&mut self, target: &Target, mode: Mode, session: &SessionId) {
        let Some(held) = self.core.find(target, mode).cloned() else {
            return;
        };
        if held.except_sessions.contains(session) {
            return;
        }
        let mut except = held.except_sessions.clone();
        while except.len() >= EXCEPT_SESSIONS {
            except.pop_first();
        }
        except.insert(session.clone());
        let life = held.expires_at.since(self.occasion.now);
        self.emit(Draft {
            target: held.target.clone(),
            mode,
            action: held.action.clone(),
            rule: held.rule.clone(),
            life,
            cause: Some(held.cause.clone()),
            cut_off: CutOff::Keep(held.issued_before, except),
            why: Why {
                score: held.score,
                hypothesis: held.hypothesis,
                contributions: held.contributions,
                basis: held.basis,
                operator: None,
            },
        });
        if let Some(entry) = self.core.find_mut(target, mode) {
            entry.life = held.life;
        }
    }

    /// Forgets what has expired. Enforcement points forget it by themselves.
    pub fn lapse(&mut self) {
        let now = self.occasion.now;
        self.core.in_force.retain(|held| held.expires_at > now);
    }

    fn emit(&mut self, draft: Draft) {
        let occasion = self.occasion;
        // INVARIANT (INV-1): the counter of the mode only rises.
        let counter = match draft.mode {
            Mode::Enforce => &mut self.core.generation,
            Mode::Shadow => &mut self.core.shadow_generation,
        };
        *counter = counter.saturating_add(1);
        let generation = *counter;
        let cause = draft.cause.unwrap_or_else(|| occasion.cause.clone());
        let (issued_before, except_sessions) = match draft.cut_off {
            _ if !draft.target.has_cut_off() || draft.action == Action::Clear => {
                (None, BTreeSet::new())
            }
            CutOff::At(moment) => (Some(moment), BTreeSet::new()),
            CutOff::Keep(moment, except) => (moment, except),
        };
        let held = InForce {
            target: draft.target,
            mode: draft.mode,
            generation,
            action: draft.action,
            issued_before,
            except_sessions,
            issued_at: occasion.now,
            expires_at: occasion.now + draft.life,
            life: draft.life,
            score: draft.why.score,
            hypothesis: draft.why.hypothesis,
            contributions: draft.why.contributions,
            basis: draft.why.basis,
            rule: draft.rule,
            cause,
            held_until: None,
        };
        self.decisions.push(self.decision(&held));
        self.remember(held);
    }

    fn decision(&self, held: &InForce) -> Decision {
        Decision {
            id: decision_id(
                &self.core.key,
                &held.target,
                held.mode,
                held.generation,
                &held.cause,
            ),
            tenant: self.core.key.tenant().clone(),
            generation: held.generation,
            action: held.action.clone(),
            mode: held.mode,
            target: held.target.clone(),
            issued_before: held.issued_before,
            except_sessions: held.except_sessions.clone(),
            issued_at: held.issued_at,
            expires_at: held.expires_at,
            score: held.score,
            hypothesis: held.hypothesis,
            contributions: held.contributions.clone(),
            rule: held.rule.clone(),
            revision: self.occasion.revision.clone(),
            cause: held.cause.clone(),
            received_at: self.occasion.received_at,
            trace: self.occasion.trace.clone(),
        }
    }

    fn remember(&mut self, held: InForce) {
        self.core
            .in_force
            .retain(|old| old.target != held.target || old.mode != held.mode);
        if held.action == Action::Clear {
            return;
        }
        self.core.in_force.push(held);
        if self.core.in_force.len() > IN_FORCE_PER_SUBJECT {
            let rank = |held: &InForce| {
                (
                    held.mode == Mode::Enforce,
                    held.action.severity(),
                    held.expires_at,
                )
            };
            let least =
                (0..self.core.in_force.len()).min_by_key(|i| self.core.in_force.get(*i).map(rank));
            if let Some(index) = least {
                self.core.in_force.remove(index);
            }
        }
    }
}

/// The explanation a decision carries.
#[derive(Clone, Debug)]
pub struct Why {
    pub score: crate::number::Score,
    pub hypothesis: Option<Hypothesis>,
    pub contributions: Vec<crate::score::Contribution>,
    pub basis: Vec<(Code, u64)>,
    pub operator: Option<String>,
}

impl Why {
    fn of(grounds: &Grounds<'_>) -> Self {
        Self {
            score: grounds.assessment.score,
            hypothesis: grounds.assessment.hypothesis,
            contributions: grounds.assessment.contributions.clone(),
            basis: grounds.basis.clone(),
            operator: None,
        }
    }

    /// An operator's word is the whole score: 100 for whatever is asked, 0 for a clear.
    fn operator(reason: &str, action: &Action) -> Self {
        let points = match action {
            Action::Clear => crate::number::Points(0),
            Action::Restrict(_) | Action::StepUp { .. } | Action::Revoke => {
                crate::number::Points(10_000)
            }
        };
        Self {
            score: points.to_score(),
            hypothesis: None,
            contributions: vec![crate::score::Contribution {
                line: Line::Operator {
                    reason: reason.to_owned(),
                },
                points,
                event: None,
            }],
            basis: Vec::new(),
            operator: Some(reason.to_owned()),
        }
    }
}

struct Draft {
    target: Target,
    mode: Mode,
    action: Action,
    rule: Option<RuleId>,
    life: Span,
    /// `None`: the occasion's.
    cause: Option<EventId>,
    cut_off: CutOff,
    why: Why,
}

enum CutOff {
    At(Timestamp),
    Keep(Option<Timestamp>, BTreeSet<SessionId>),
}

/// More severe, or as severe and asking at least as much in every respect.
fn is_raise(held: &Action, wished: &Action) -> bool {
    match wished.severity().cmp(&held.severity()) {
        core::cmp::Ordering::Greater => true,
        core::cmp::Ordering::Less => false,
        core::cmp::Ordering::Equal => {
            held != wished && stricter(wished.clone(), held.clone()) == *wished
        }
    }
}

fn may_end(held: &InForce, assessment: &Assessment, latitude: Latitude) -> bool {
    // INVARIANT (INV-4): no decay and no proof lowers a revoke, only a correction does.
    match latitude {
        Latitude::Corrected => true,
        Latitude::Usual | Latitude::Met | Latitude::Revised if held.action == Action::Revoke => {
            false
        }
        Latitude::Revised => true,
        Latitude::Usual => has_ended(held.hypothesis, assessment, None),
        Latitude::Met => has_ended(held.hypothesis, assessment, Some(MET_CLEARS_BELOW)),
    }
}

fn has_ended(hypothesis: Option<Hypothesis>, assessment: &Assessment, below: Option<u8>) -> bool {
    let Some(hypothesis) = hypothesis else {
        return true;
    };
    let below = below.unwrap_or(match hypothesis {
        Hypothesis::CompromisedDevice => DEVICE_DEMAND_ENDS_BELOW,
        Hypothesis::StolenCredential | Hypothesis::HijackedSession | Hypothesis::Misuse => {
            DEMAND_ENDS_BELOW
        }
    });
    assessment.of(hypothesis).0 < below
}
