//! The one gate between floating point and what is kept: nats, points and counts as integers.

use core::fmt;
use core::iter::Sum;
use core::ops::{Add, Neg, Sub};

/// *Units*: millionths of a nat (natural-log likelihood ratio, attack over legitimate).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nats(pub i64);

/// *Units*: hundredths of a point of risk; the scale is 0–100 points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Points(pub i64);

/// A score as policy compares it: whole points, 0–100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(pub u8);

/// A decayed count. *Units*: thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count(pub u64);

const NATS_PER_UNIT: f64 = 1e6;
const COUNT_PER_UNIT: f64 = 1e3;

impl Nats {
    pub const ZERO: Self = Self(0);

    /// Quantises; what is not finite counts as nothing.
    pub fn from_f64(nats: f64) -> Self {
        Self(quantise(nats * NATS_PER_UNIT))
    }

    pub fn as_f64(self) -> f64 {
        float(self.0) / NATS_PER_UNIT
    }

    pub fn is_positive(self) -> bool {
        self.0 > 0
    }
}

impl Count {
    pub const ZERO: Self = Self(0);
    pub const ONE: Self = Self(1_000);

    pub fn from_f64(count: f64) -> Self {
        Self(u64::try_from(quantise(count * COUNT_PER_UNIT)).unwrap_or(0))
    }

    pub fn as_f64(self) -> f64 {
        float(i64::try_from(self.0).unwrap_or(i64::MAX)) / COUNT_PER_UNIT
    }
}

impl Points {
    pub const ZERO: Self = Self(0);

    /// Rounded half up and clamped to the scale.
    pub fn to_score(self) -> Score {
        let rounded = self.0.saturating_add(50).div_euclid(100).clamp(0, 100);
        Score(u8::try_from(rounded).unwrap_or(100))
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let size = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", size / 100, size % 100)
    }
}

macro_rules! additive {
    ($($name:ident)*) => {$(
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
                all.fold(Self(0), Add::add)
            }
        }
    )*};
}
additive!(Nats Points);

impl Neg for Nats {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

/// Rounds half away from zero to an integer; saturates; not-a-number gives 0.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the one gate: `as` saturates and maps NaN to 0"
)]
pub fn quantise(value: f64) -> i64 {
    libm::round(value) as i64
}

/// An integer as a float, for formulas. Exact up to 2^53, which no quantity here exceeds.
#[expect(
    clippy::cast_precision_loss,
    reason = "the one gate: quantities stay below 2^53"
)]
pub fn float(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_round_half_up_and_stay_on_the_scale() {
        let scores = [-500, 0, 49, 50, 8_650, 8_649, 12_000].map(|raw| Points(raw).to_score().0);
        assert_eq!(scores, [0, 0, 0, 1, 87, 86, 100]);
    }

    #[test]
    fn what_is_not_a_number_counts_as_nothing() {
        assert_eq!(Nats::from_f64(f64::NAN), Nats::ZERO);
        assert_eq!(Nats::from_f64(1.5), Nats(1_500_000));
    }
}
