//! A clock that drifts and jumps over simulated time.

use std::sync::atomic::{AtomicI64, Ordering};

use caerus_engine::time::{Span, Timestamp};
use caerus_runtime::port::Clock;
use tokio::time::Instant;

/// The moment at which every simulation starts: 2026-03-02T09:00:00Z, a Monday.
pub const STARTS_AT: Timestamp = Timestamp(1_772_442_000_000);

/// The simulated wall clock of one machine.
#[derive(Debug)]
pub struct SimClock {
    started: Instant,
    /// *Units*: milliseconds gained (or lost) in a million.
    drift_ppm: i64,
    offset_ms: AtomicI64,
}

impl SimClock {
    /// A clock that shows `STARTS_AT` and `offset` at this moment of simulated time.
    pub fn new(offset: Span, drift_ppm: i64) -> Self {
        Self {
            started: Instant::now(),
            drift_ppm,
            offset_ms: AtomicI64::new(offset.0),
        }
    }

    /// Someone sets the clock, forward or back.
    pub fn jump(&self, by: Span) {
        self.offset_ms.fetch_add(by.0, Ordering::Relaxed);
    }

    /// The clock is set right again.
    pub fn set_right(&self) {
        let gained = self.drift_ms();
        self.offset_ms.store(-gained, Ordering::Relaxed);
    }

    fn elapsed_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn drift_ms(&self) -> i64 {
        self.elapsed_ms().saturating_mul(self.drift_ppm) / 1_000_000
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let shown = self.elapsed_ms() + self.drift_ms() + self.offset_ms.load(Ordering::Relaxed);
        STARTS_AT + Span(shown)
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.elapsed_ms()).unwrap_or(0)
    }
}
