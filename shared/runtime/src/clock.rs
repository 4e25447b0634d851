//! The wall clock and a steady one, read from the operating system: the only place that may. Knows no service.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use caerus_engine::time::Timestamp;

use crate::port::Clock;

/// The operating system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the Clock port's one real implementation"
    )]
    fn now(&self) -> Timestamp {
        // A clock set before 1970 reads as 1970: everything then counts as late, nothing as fresh.
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01T00:00:00Z.
    const BUILT_AFTER: Timestamp = Timestamp(1_767_225_600_000);

    #[test]
    fn the_wall_clock_tells_milliseconds_of_this_century() {
        let now = SystemClock::new().now();
        assert!(now > BUILT_AFTER, "{now:?}");
        assert!(
            now < BUILT_AFTER + caerus_engine::time::Span::days(365 * 74),
            "{now:?}"
        );
    }

    #[test]
    fn the_steady_clock_never_goes_back() {
        let clock = SystemClock::new();
        let readings: Vec<u64> = (0..1_000).map(|_| clock.monotonic_ms()).collect();
        assert!(readings.is_sorted());
    }
}
