//! The numbers an owner may set: what mistakes cost, and what subjects are worth. *Source*: reference/scoring.md §6.7.

use std::collections::BTreeMap;

use super::Hypothesis;
use crate::id::SubjectKey;

/// What a mistake costs, in any one unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    pub step_up: f64,
    pub wrongful_revoke: f64,
    pub missed_takeover: f64,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            step_up: 0.5,
            wrongful_revoke: 20.0,
            missed_takeover: 5_000.0,
        }
    }
}

/// How much a subject is worth: an odds multiplier, shown as a line of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Criticality {
    Low,
    Normal,
    High,
    VeryHigh,
    Extreme,
}

impl Criticality {
    pub fn odds(self) -> f64 {
        match self {
            Self::Low => 0.5,
            Self::Normal => 1.0,
            Self::High => 1.5,
            Self::VeryHigh => 2.0,
            Self::Extreme => 4.0,
        }
    }
}

/// The affine map from nats to points, and the subjects' worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    points_per_nat: f64,
    points_at_zero: f64,
    pub criticality: BTreeMap<SubjectKey, Criticality>,
}

/// Why costs make no model.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    #[error(
        "costs must be positive numbers, with a step-up cheaper than a wrongful revoke and that cheaper than a missed takeover"
    )]
    Costs,
    #[error(
        "costs and prior contradict each other: without evidence a session would score {points:.1} points, which must lie in 10 to 30"
    )]
    Prior { points: f64 },
}

/// A step-up is worth its friction from here on. *Units*: points.
const STEP_UP_AT: f64 = 40.0;
/// A revoke is worth its damage from here on.
const REVOKE_AT: f64 = 80.0;
const PRIOR_POINTS: core::ops::RangeInclusive<f64> = 10.0..=30.0;

impl Model {
    /// *Errors*: costs out of order, or a prior that would land outside 10–30 points (CRED and SESS share theirs).
    pub fn from_costs(costs: Costs) -> Result<Self, ModelError> {
        let Costs {
            step_up,
            wrongful_revoke,
            missed_takeover,
        } = costs;
        let in_order =
            0.0 < step_up && step_up < wrongful_revoke && wrongful_revoke < missed_takeover;
        if !in_order || !missed_takeover.is_finite() {
            return Err(ModelError::Costs);
        }
        let step_up_nats = libm::log(step_up / missed_takeover);
        let revoke_nats = libm::log(wrongful_revoke / missed_takeover);
        let points_per_nat = (REVOKE_AT - STEP_UP_AT) / (revoke_nats - step_up_nats);
        let points_at_zero = STEP_UP_AT - points_per_nat * step_up_nats;
        let points = points_at_zero + points_per_nat * prior(Hypothesis::StolenCredential);
        if !PRIOR_POINTS.contains(&points) {
            return Err(ModelError::Prior { points });
        }
        Ok(Self {
            points_per_nat,
            points_at_zero,
            criticality: BTreeMap::new(),
        })
    }

    pub fn points(&self, nats: f64) -> f64 {
        self.points_at_zero + self.points_per_nat * nats
    }

    pub fn points_of_difference(&self, nats: f64) -> f64 {
        self.points_per_nat * nats
    }
}

impl Default for Model {
    /// The shipped costs: 10.84 points a nat, the prior alone at 16 points.
    fn default() -> Self {
        let ln_40 = libm::log(40.0);
        let points_per_nat = (REVOKE_AT - STEP_UP_AT) / ln_40;
        Self {
            points_per_nat,
            points_at_zero: STEP_UP_AT + points_per_nat * libm::log(10_000.0),
            criticality: BTreeMap::new(),
        }
    }
}

/// Prior log-odds of a hypothesis. *Units*: nats.
pub fn prior(hypothesis: Hypothesis) -> f64 {
    match hypothesis {
        Hypothesis::StolenCredential | Hypothesis::HijackedSession => -11.4,
        Hypothesis::CompromisedDevice => -10.0,
        Hypothesis::Misuse => -12.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_costs_put_the_prior_at_sixteen_points() {
        let model = Model::default();
        let prior = model.points(prior(Hypothesis::StolenCredential));
        assert!((prior - 16.26).abs() < 0.005, "{prior}");
        let derived = Model::from_costs(Costs::default()).unwrap();
        assert!((derived.points(-3.0) - model.points(-3.0)).abs() < 1e-9);
    }

    #[test]
    fn costs_that_contradict_the_prior_are_refused() {
        let costs = |step_up, wrongful_revoke, missed_takeover| Costs {
            step_up,
            wrongful_revoke,
            missed_takeover,
        };
        assert_eq!(
            Model::from_costs(costs(5.0, 2.0, 9.0)),
            Err(ModelError::Costs)
        );
        assert_eq!(
            Model::from_costs(costs(f64::NAN, 2.0, 9.0)),
            Err(ModelError::Costs)
        );
        let contradiction = Model::from_costs(costs(0.5, 20.0, 5e9));
        assert!(matches!(contradiction, Err(ModelError::Prior { .. })));
    }
}
