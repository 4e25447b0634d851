//! Seeded misfortune: when an operation is late, fails before its effect, or fails after it. Knows nothing of ports' rules.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use caerus_runtime::port::{PortError, PortErrorKind, PortResult};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The one source of chance of a simulation: equal seeds give equal draws, in order.
#[derive(Debug)]
pub struct Dice {
    chance: Mutex<ChaCha8Rng>,
}

impl Dice {
    pub fn seeded(seed: u64) -> Self {
        Self {
            chance: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
        }
    }

    fn chance(&self) -> MutexGuard<'_, ChaCha8Rng> {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// *Units*: thousandths.
    pub fn happens(&self, permille: u32) -> bool {
        permille > 0 && self.chance().random_range(0..1_000) < permille
    }

    /// `range.start` where the range is empty.
    pub fn within(&self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            range.start
        } else {
            self.chance().random_range(range)
        }
    }

    pub fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        let len = u64::try_from(from.len()).ok()?;
        let index = usize::try_from(self.within(0..len)).ok()?;
        from.get(index)
    }
}

/// How bad it is at the moment. *Units*: thousandths of all operations, and milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    pub fails_before: u32,
    pub fails_after: u32,
    pub is_late: u32,
    pub late_ms_max: u64,
}

impl Weather {
    pub const CALM: Self = Self {
        fails_before: 0,
        fails_after: 0,
        is_late: 0,
        late_ms_max: 0,
    };

    /// Swarm style: each kind of fault is off, now and then, or extreme.
    pub fn drawn(dice: &Dice) -> Self {
        let rate = |extreme: u64| {
            let rates = [0, 0, 20, extreme];
            let rate = dice.pick(&rates).copied().unwrap_or(0);
            u32::try_from(rate).unwrap_or(0)
        };
        Self {
            fails_before: rate(300),
            fails_after: rate(300),
            is_late: rate(500),
            late_ms_max: dice.within(1..3_000),
        }
    }
}

/// The weather over one port.
#[derive(Debug)]
pub struct Trouble {
    dice: std::sync::Arc<Dice>,
    weather: Mutex<Weather>,
}

impl Trouble {
    pub fn new(dice: std::sync::Arc<Dice>) -> Self {
        Self {
            dice,
            weather: Mutex::new(Weather::CALM),
        }
    }

    pub fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before an effect: perhaps late, perhaps not at all. Always a point at which the caller may be killed.
    pub async fn before(&self, operation: &str) -> PortResult<()> {
        let weather = self.weather();
        self.dawdle(weather).await;
        if self.dice.happens(weather.fails_before) {
            return Err(unavailable(operation, "before its effect"));
        }
        Ok(())
    }

    /// After an effect: perhaps the answer is late, perhaps it says that it failed.
    pub async fn after(&self, operation: &str) -> PortResult<()> {
        let weather = self.weather();
        self.dawdle(weather).await;
        if self.dice.happens(weather.fails_after) {
            return Err(unavailable(operation, "after its effect"));
        }
        Ok(())
    }

    async fn dawdle(&self, weather: Weather) {
        if self.dice.happens(weather.is_late) {
            let late_ms = self.dice.within(1..weather.late_ms_max.max(2));
            tokio::time::sleep(Duration::from_millis(late_ms)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

fn unavailable(operation: &str, when: &str) -> PortError {
    let operation = format!("{operation} (simulated failure {when})");
    PortError::new(PortErrorKind::Unavailable, operation)
}
