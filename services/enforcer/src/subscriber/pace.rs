//! When to give up waiting, and how long to wait before trying again. Knows no frame.

use std::time::Duration;

use tokio::time::Instant;

use crate::limit;

/// How long nothing may come before the connection counts as dead.
#[derive(Debug)]
pub(super) struct Silence {
    pub(super) ends_at: Instant,
    pub(super) allowed_ms: u64,
    pub(super) was_welcome: bool,
}

impl Silence {
    pub(super) fn new() -> Self {
        let mut silence = Self {
            ends_at: Instant::now(),
            allowed_ms: limit::CONNECT_MS_MAX,
            was_welcome: false,
        };
        silence.broken();
        silence
    }

    pub(super) fn welcome(&mut self, heartbeat_ms: u32) {
        self.was_welcome = true;
        let allowed_ms = u64::from(heartbeat_ms).saturating_mul(limit::HEARTBEATS_MISSED_MAX);
        self.allowed_ms = allowed_ms.clamp(limit::SILENCE_MS_MIN, limit::SILENCE_MS_MAX);
        self.broken();
    }

    pub(super) fn broken(&mut self) {
        self.ends_at = Instant::now() + Duration::from_millis(self.allowed_ms);
    }
}

/// Between half of the pause and all of it, so that enforcers that lost one gateway do not return together.
pub(super) fn jittered(pause_ms: u64) -> u64 {
    let half = pause_ms / 2;
    // Without randomness the pauses are merely less spread.
    let drawn = getrandom::u64().unwrap_or(0);
    half + drawn % (pause_ms - half + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_measured_in_the_servers_heartbeats_within_bounds() {
        let started = Instant::now();
        let mut silence = Silence::new();
        assert_eq!((silence.ends_at - started).as_millis(), 5_000);
        for (heartbeat_ms, expected) in [(1_000, 5_000), (1, 3_000), (60_000, 120_000)] {
            silence.welcome(heartbeat_ms);
            assert_eq!((silence.ends_at - started).as_millis(), expected);
        }
        tokio::time::advance(Duration::from_secs(7)).await;
        silence.broken();
        assert_eq!((silence.ends_at - started).as_millis(), 127_000);
    }

    #[test]
    fn pauses_lie_in_the_upper_half() {
        for pause_ms in [1, 100, 10_000] {
            for _ in 0..200 {
                assert!((pause_ms / 2..=pause_ms).contains(&jittered(pause_ms)));
            }
        }
    }
}
