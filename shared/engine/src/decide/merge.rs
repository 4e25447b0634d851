//! Several rules on one target make one wish: the most severe action, and the strictest of what they ask.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Mode, Obligation, Requires, Restricts, Target};
use crate::id::RuleId;
use crate::limits::DECISION_LIFE;
use crate::time::Span;

/// What policy wants of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub action: Action,
    /// The first rule, in the order of rule ids, that asks for this severity.
    pub rule: RuleId,
    pub life: Span,
}

/// Wishes by mode and target.
pub type Wishes = BTreeMap<(Mode, Target), Wish>;

/// Adds an obligation on a target to what is wished already.
pub fn add(wishes: &mut Wishes, target: Target, obligation: &Obligation) {
    let life = obligation
        .life
        .map_or(DECISION_LIFE, |life| life.min(DECISION_LIFE));
    let wish = Wish {
        action: obligation.action.clone(),
        rule: obligation.rule.clone(),
        life,
    };
    match wishes.remove(&(obligation.mode, target.clone())) {
        None => wishes.insert((obligation.mode, target), wish),
        Some(held) => wishes.insert((obligation.mode, target), merge(held, wish)),
    };
}

fn merge(a: Wish, b: Wish) -> Wish {
    let (leading, other) = if b.action.severity() > a.action.severity() {
        (b, a)
    } else {
        (a, b)
    };
    Wish {
        action: stricter(leading.action, other.action),
        rule: leading.rule,
        life: leading.life.min(other.life),
    }
}

/// The stricter of two actions, of which the first is at least as severe. Two step-ups that no class satisfies
/// together become a revoke: what cannot be met must not look as if it could.
pub fn stricter(leading: Action, other: Action) -> Action {
    match (leading, other) {
        (Action::Restrict(a), Action::Restrict(b)) => Action::Restrict(join(a, b)),
        (
            Action::StepUp {
                requires,
                restricts,
            },
            Action::Restrict(other),
        ) => Action::StepUp {
            requires,
            restricts: Some(match restricts {
                Some(own) => join(own, other),
                None => other,
            }),
        },
        (
            Action::StepUp {
                requires: a,
                restricts: own,
            },
            Action::StepUp {
                requires: b,
                restricts: other,
            },
        ) => {
            let acr_values: BTreeSet<_> =
                a.acr_values.intersection(&b.acr_values).cloned().collect();
            if acr_values.is_empty() {
                return Action::Revoke;
            }
            let max_age_s = least(a.max_age_s, b.max_age_s);
            let restricts = match (own, other) {
                (Some(a), Some(b)) => Some(join(a, b)),
                (a, b) => a.or(b),
            };
            Action::StepUp {
                requires: Requires {
                    acr_values,
                    max_age_s,
                },
                restricts,
            }
        }
        (leading, _) => leading,
    }
}

fn join(mut a: Restricts, b: Restricts) -> Restricts {
    a.sensitivity_above = least(a.sensitivity_above, b.sensitivity_above);
    a.apps.extend(b.apps);
    a
}

fn least<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Scope;
    use crate::id::{AcrValue, AppId, UserId};

    fn step_up(rule: &str, classes: &[&str], max_age_s: u32) -> Obligation {
        let acr_values = classes.iter().map(|class| AcrValue::new(*class)).collect();
        let requires = Requires {
            acr_values,
            max_age_s: Some(max_age_s),
        };
        obligation(
            rule,
            Action::StepUp {
                requires,
                restricts: None,
            },
        )
    }

    fn obligation(rule: &str, action: Action) -> Obligation {
        Obligation {
            rule: RuleId::new(rule),
            action,
            scope: Scope::Session,
            mode: Mode::Enforce,
            apps: BTreeSet::new(),
            life: None,
        }
    }

    fn merged(obligations: &[Obligation]) -> Wish {
        let target = Target {
            user: Some(UserId::new("alice")),
            ..Target::default()
        };
        let mut wishes = Wishes::new();
        for obligation in obligations {
            add(&mut wishes, target.clone(), obligation);
        }
        wishes.remove(&(Mode::Enforce, target)).unwrap()
    }

    #[test]
    fn the_strictest_of_what_several_rules_ask_is_wished() {
        let restrict = obligation(
            "r",
            Action::Restrict(Restricts {
                sensitivity_above: Some(2),
                apps: [AppId::new("hr")].into(),
            }),
        );
        let wish = merged(&[
            restrict.clone(),
            step_up("s", &["mfa", "phr"], 900),
            step_up("t", &["phr"], 300),
        ]);
        let Action::StepUp {
            requires,
            restricts,
        } = wish.action
        else {
            panic!("{wish:?}")
        };
        assert_eq!(requires.acr_values, [AcrValue::new("phr")].into());
        assert_eq!((requires.max_age_s, wish.rule.as_str()), (Some(300), "s"));
        assert_eq!(restricts.unwrap().sensitivity_above, Some(2));
        assert_eq!(
            merged(&[restrict, obligation("x", Action::Revoke)]).action,
            Action::Revoke
        );
    }

    #[test]
    fn step_ups_that_no_class_satisfies_together_become_a_revoke() {
        let wish = merged(&[step_up("s", &["a"], 900), step_up("t", &["b"], 300)]);
        assert_eq!(wish.action, Action::Revoke);
    }
}
