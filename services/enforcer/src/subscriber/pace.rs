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
