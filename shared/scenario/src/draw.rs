//! The kinds of chance the world is made of, from one stream of random words. Knows nothing of people.
//!
//! Written out rather than taken from `rand`'s distributions: a seed gives the same bytes on every platform and with
//! every later version of that crate.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

/// A stream of draws.
#[derive(Clone, Debug)]
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    pub(crate) fn new(stream: ChaCha8Rng) -> Self {
        Self(stream)
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform over `0..limit`; 0 when `limit` is 0. The high half of a product, whose bias of 2^-32 nobody can see.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        let wide = u64::from(self.0.next_u32()) * u64::from(limit);
        u32::try_from(wide >> 32).unwrap_or(0)
    }

    /// Uniform over `low..high`; `low` when that is empty. *Bounds*: spans up to 2^63.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u128::from(high.saturating_sub(low).max(1).unsigned_abs());
        let offset = (u128::from(self.word()) * span) >> 64;
        low.saturating_add(i64::try_from(offset).unwrap_or(0))
    }

    /// True with probability `per_mille` in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1_000) < per_mille
    }

    /// Uniform over [0, 1), 53 bits of it.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// Close to normal with mean 0 and variance 1, within ±6: the sum of twelve uniforms.
    pub(crate) fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// Log-normal around `median`, `spread` in nats, never above 50 medians.
    pub(crate) fn skewed(&mut self, median: f64, spread: f64) -> f64 {
        (median * libm::exp(self.bell() * spread)).min(median * 50.0)
    }

    /// A waiting time with this mean; never more than twelve means.
    pub(crate) fn wait(&mut self, mean_ms: i64) -> i64 {
        let means = -libm::log(1.0 - self.unit());
        round(means.min(12.0) * mean_ms as f64)
    }

    /// `centre` give or take: a bell with this deviation.
    pub(crate) fn around(&mut self, centre: i64, deviation: i64) -> i64 {
        centre.saturating_add(round(self.bell() * deviation as f64))
    }

    /// One of a table of the world, each as likely.
    #[expect(
        clippy::indexing_slicing,
        reason = "the tables of the world are constants with rows, and the index is drawn below their length"
    )]
    pub(crate) fn pick<T: Copy>(&mut self, table: &[T]) -> T {
        let rows = u32::try_from(table.len()).unwrap_or(u32::MAX);
        table[self.below(rows) as usize]
    }

    /// One of some, each as likely; `None` of none.
    pub(crate) fn one_of<T: Copy>(&mut self, some: &[T]) -> Option<T> {
        let rows = u32::try_from(some.len()).unwrap_or(u32::MAX);
        some.get(self.below(rows) as usize).copied()
    }

    /// One of a table by weight.
    #[expect(
        clippy::indexing_slicing,
        reason = "the tables of the world are constants with rows; the first stands in for a draw past the weights"
    )]
    pub(crate) fn weighted<T: Copy>(&mut self, table: &[(T, u32)]) -> T {
        let mut left = self.below(table.iter().map(|(_, weight)| weight).sum());
        for (row, weight) in table {
            if left < *weight {
                return *row;
            }
            left -= weight;
        }
        table[0].0
    }
}

/// To the nearest whole number; the one gate from floating point.
#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` saturates; lengths and volumes here are far below 2^63"
)]
pub(crate) fn round(value: f64) -> i64 {
    libm::round(value) as i64
}

#[cfg(test)]
mod tests {
    use crate::seed::Seed;

    const DRAWS: u32 = 4_000;

    #[test]
    fn draws_stay_within_their_bounds_and_reach_both_ends() {
        let mut draw = Seed::root(1).draw();
        let drawn: Vec<i64> = (0..DRAWS).map(|_| draw.between(-3, 4)).collect();
        assert_eq!(
            (drawn.iter().min(), drawn.iter().max()),
            (Some(&-3), Some(&3))
        );
        assert!((0..DRAWS).all(|_| draw.below(5) < 5));
        assert_eq!((draw.below(0), draw.between(9, 9)), (0, 9));
    }

    #[test]
    fn chances_and_bells_come_out_at_their_rates() {
        let mut draw = Seed::root(2).draw();
        let hits = (0..DRAWS).filter(|_| draw.chance(250)).count();
        assert!((900..1_100).contains(&hits), "{hits}");
        let bells: Vec<f64> = (0..DRAWS).map(|_| draw.bell()).collect();
        let mean = bells.iter().sum::<f64>() / f64::from(DRAWS);
        let variance = bells.iter().map(|b| b * b).sum::<f64>() / f64::from(DRAWS);
        assert!(
            mean.abs() < 0.06 && (variance - 1.0).abs() < 0.1,
            "{mean} {variance}"
        );
        let waits: i64 = (0..DRAWS).map(|_| draw.wait(1_000)).sum();
        assert!(
            (900..1_100).contains(&(waits / i64::from(DRAWS))),
            "{waits}"
        );
    }

    #[test]
    fn a_weighted_pick_follows_its_weights() {
        const TABLE: &[(char, u32)] = &[('a', 1), ('b', 0), ('c', 3)];
        let mut draw = Seed::root(3).draw();
        let drawn: Vec<char> = (0..DRAWS).map(|_| draw.weighted(TABLE)).collect();
        let count = |wanted| drawn.iter().filter(|d| **d == wanted).count();
        assert_eq!(count('b'), 0);
        assert!((900..1_100).contains(&count('a')), "{}", count('a'));
    }
}
