//! Counts that fade: a value and when it was last touched.

use crate::number::Count;
use crate::time::{Span, Timestamp};

/// How long a habit takes to count half.
pub const HABIT_HALF_LIFE: Span = Span::days(90);
/// What was not met for this long is forgotten whole.
pub const HABIT_LIFE: Span = Span::days(180);

/// A lazily decayed count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decayed {
    pub value: Count,
    pub at: Timestamp,
}

impl Decayed {
    /// The count as it stands at `now`; a `now` before the last touch does not decay.
    pub fn value_at(&self, now: Timestamp, half_life: Span) -> f64 {
        self.value.as_f64() * fade(now.since(self.at), half_life)
    }

    pub fn add(&mut self, now: Timestamp, amount: f64, half_life: Span) {
        self.value = Count::from_f64(self.value_at(now, half_life) + amount);
        self.at = self.at.max(now);
    }
}

/// The factor left after `age`: one half for each half-life.
pub fn fade(age: Span, half_life: Span) -> f64 {
    if half_life.0 <= 0 {
        return 0.0;
    }
    libm::exp2(-(crate::number::float(age.0.max(0)) / crate::number::float(half_life.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_halves_in_its_half_life_and_not_backwards() {
        let mut count = Decayed::default();
        let start = Timestamp(1_700_000_000_000);
        count.add(start, 8.0, Span::hours(1));
        assert_eq!(
            Count::from_f64(count.value_at(start + Span::hours(2), Span::hours(1))).0,
            2_000
        );
        assert_eq!(
            Count::from_f64(count.value_at(start - Span::hours(2), Span::hours(1))).0,
            8_000
        );
    }
}
