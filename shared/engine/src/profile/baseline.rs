//! What is usual, as small conjugate models: counts (Gamma–Poisson) and levels (Normal–Inverse-Gamma).
//!
//! *Source*: reference/scoring.md §3.1 and §3.2. Tails come from `statrs`.

use statrs::distribution::{ContinuousCDF, DiscreteCDF, NegativeBinomial, StudentsT};

use super::decay::Decayed;
use crate::number::Nats;
use crate::time::{Span, Timestamp};

/// How long a baseline takes to count half.
pub const BASELINE_HALF_LIFE: Span = Span::days(30);
/// No tail is taken to be thinner than this.
const TAIL_MIN: f64 = 1e-300;

/// Events per exposure: a count of events and of exposures (hours, logins), both fading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateBaseline {
    pub events: Decayed,
    pub exposures: Decayed,
}

/// What is believed of a rate before anything is seen. *Units*: events and exposures.
#[derive(Clone, Copy, Debug)]
pub struct RatePrior {
    pub events: f64,
    pub exposures: f64,
    /// However much was seen, the rate is never believed to be steadier than a gamma of this shape: what people do in
    /// an hour varies more than a fixed rate would.
    pub shape_max: f64,
}

impl RateBaseline {
    pub fn learn(&mut self, events: f64, exposures: f64, now: Timestamp) {
        self.events.add(now, events, BASELINE_HALF_LIFE);
        self.exposures.add(now, exposures, BASELINE_HALF_LIFE);
    }

    /// P(K ≥ `count`) in `window` exposures: the negative binomial's upper tail; 1 where `count` is 0.
    pub fn tail(&self, count: u64, window: f64, prior: RatePrior, now: Timestamp) -> f64 {
        let Some(below) = count.checked_sub(1) else {
            return 1.0;
        };
        let (events, exposures) = self.posterior(prior, now);
        let shape = events.min(prior.shape_max);
        let mean = window * events / exposures;
        NegativeBinomial::new(shape, shape / (shape + mean))
            .map_or(1.0, |tail| tail.sf(below).clamp(TAIL_MIN, 1.0))
    }

    /// The mean expected in `window` exposures.
    pub fn expected(&self, window: f64, prior: RatePrior, now: Timestamp) -> f64 {
        let (events, exposures) = self.posterior(prior, now);
        window * events / exposures
    }

    fn posterior(&self, prior: RatePrior, now: Timestamp) -> (f64, f64) {
        (
            self.events.value_at(now, BASELINE_HALF_LIFE) + prior.events,
            self.exposures.value_at(now, BASELINE_HALF_LIFE) + prior.exposures,
        )
    }
}

/// A level's running moments. *Units*: millionths of the (already transformed) level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LevelBaseline {
    pub weight: Decayed,
    pub mean: i64,
    /// Mean squared deviation.
    pub spread: i64,
}

/// What is believed of a level before anything is seen.
#[derive(Clone, Copy, Debug)]
pub struct LevelPrior {
    pub mean: f64,
    pub variance: f64,
    /// How many observations the belief is worth.
    pub weight: f64,
}

/// Winsorising bound: an update counts at most this many standard deviations.
const UPDATE_DEVIATIONS_MAX: f64 = 4.0;

impl LevelBaseline {
    /// Learns a level, winsorised so that one outlier does not move the belief.
    pub fn learn(&mut self, level: f64, prior: LevelPrior, now: Timestamp) {
        let (mean, variance, _) = self.belief(prior, now);
        let reach = UPDATE_DEVIATIONS_MAX * libm::sqrt(variance);
        let level = level.clamp(mean - reach, mean + reach);
        let before = self.weight.value_at(now, BASELINE_HALF_LIFE);
        let share = 1.0 / (before + 1.0);
        let own_mean = micro(self.mean);
        let delta = level - own_mean;
        let new_mean = own_mean + share * delta;
        let new_spread = (1.0 - share) * (micro(self.spread) + share * delta * delta);
        self.mean = Nats::from_f64(new_mean).0;
        self.spread = Nats::from_f64(new_spread).0;
        self.weight.add(now, 1.0, BASELINE_HALF_LIFE);
    }

    /// The Student-t predictive's upper tail at `level`.
    pub fn tail(&self, level: f64, prior: LevelPrior, now: Timestamp) -> f64 {
        let (mean, variance, weight) = self.belief(prior, now);
        let scale = libm::sqrt(variance * (weight + 1.0) / weight);
        let freedom = 2.0 * prior.weight + weight;
        StudentsT::new(mean, scale, freedom).map_or(1.0, |t| t.sf(level).clamp(TAIL_MIN, 1.0))
    }

    /// Mean, variance and weight of prior and observations together.
    pub fn belief(&self, prior: LevelPrior, now: Timestamp) -> (f64, f64, f64) {
        let own = self.weight.value_at(now, BASELINE_HALF_LIFE);
        let weight = own + prior.weight;
        let own_mean = micro(self.mean);
        let mean = (own * own_mean + prior.weight * prior.mean) / weight;
        let between =
            own * prior.weight / weight * (own_mean - prior.mean) * (own_mean - prior.mean);
        let variance =
            (own * micro(self.spread) + prior.weight * prior.variance + between) / weight;
        (mean, variance.max(VARIANCE_MIN), weight)
    }

    pub fn observations(&self, now: Timestamp) -> f64 {
        self.weight.value_at(now, BASELINE_HALF_LIFE)
    }
}

/// A level is never believed to be steadier than this.
const VARIANCE_MIN: f64 = 0.04;

fn micro(value: i64) -> f64 {
    Nats(value).as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn a_quiet_rate_makes_a_burst_unlikely_and_a_busy_one_does_not() {
        let prior = RatePrior {
            events: 0.6,
            exposures: 3.0,
            shape_max: f64::INFINITY,
        };
        let mut busy = RateBaseline::default();
        for _ in 0..50 {
            busy.learn(10.0, 1.0, START);
        }
        let quiet = RateBaseline::default();
        assert!(quiet.tail(10, 1.0, prior, START) < 1e-4);
        assert!(busy.tail(10, 1.0, prior, START) > 0.3);
        assert!((quiet.tail(0, 1.0, prior, START) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_level_far_above_the_usual_has_a_thin_tail_and_one_outlier_does_not_move_it_far() {
        let prior = LevelPrior {
            mean: 10.0,
            variance: 2.0,
            weight: 2.0,
        };
        let mut level = LevelBaseline::default();
        for step in 0..60 {
            level.learn(10.0 + 0.2 * f64::from(step % 3), prior, START);
        }
        assert!(level.tail(18.0, prior, START) < 1e-6);
        assert!(level.tail(10.2, prior, START) > 0.2);
        let (before, ..) = level.belief(prior, START);
        level.learn(1_000.0, prior, START);
        let (after, ..) = level.belief(prior, START);
        assert!(after - before < 0.2);
    }
}
