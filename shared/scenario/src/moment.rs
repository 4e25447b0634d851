//! Moments of event time and the lengths between them. There is no clock here: whoever asks for events says when.

use core::ops::Add;

/// *Units*: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(pub(crate) i64);

/// *Units*: milliseconds.
pub(crate) const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

impl Moment {
    /// Days since 1970-01-01, UTC.
    pub(crate) fn day(self) -> i64 {
        self.0.div_euclid(DAY)
    }

    /// The UTC midnight at or before it.
    pub(crate) fn midnight(self) -> Self {
        Self(self.day() * DAY)
    }
}

/// Milliseconds later.
impl Add<i64> for Moment {
    type Output = Self;

    fn add(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// Monday to Friday, for a day counted from 1970-01-01, which was a Thursday.
pub(crate) fn is_weekday(day: i64) -> bool {
    (day + 3).rem_euclid(7) < 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekdays_are_told_from_weekends() {
        // 1970-01-01 was a Thursday; 2026-11-21 (day 20,778) a Saturday.
        assert_eq!(
            [0, 1, 2, 3, 4].map(is_weekday),
            [true, true, false, false, true]
        );
        assert_eq!(
            [20_777, 20_778, 20_779, 20_780].map(is_weekday),
            [true, false, false, true]
        );
    }
}
