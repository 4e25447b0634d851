//! What a gateway under test is given, and how enforcement points reach it: by lines inside this process, over which the
//! stream's own frames travel. Knows no socket and no gateway.

use std::sync::Arc;

use async_trait::async_trait;
use caerus_runtime::port::Bus;
use caerus_runtime::shutdown::Shutdown;

use super::Running;
use super::clock::SimClock;
use super::trouble::Dice;

/// What a gateway under test stands on.
#[derive(Clone, Debug)]
pub struct Post {
    pub bus: Arc<dyn Bus>,
    pub clock: Arc<SimClock>,
    pub seed: u64,
    pub bounds: Bounds,
    pub stop: Shutdown,
}

/// How narrow things are at one gateway; drawn, so that limits are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub unacked_max: u16,
    /// *Units*: bytes queued for one subscriber.
    pub queued_bytes_max: usize,
    /// *Units*: bytes after which a frame of a snapshot ends.
    pub snapshot_frame_bytes: usize,
    /// *Units*: bytes that a line holds in each direction.
    pub line_bytes: usize,
    /// Between two looks at a bus that tells nothing.
    pub poll_ms: u64,
}

impl Bounds {
    pub(super) fn drawn(dice: &Dice) -> Self {
        let one_of = |few: [usize; 3]| dice.pick(&few).copied().unwrap_or(1);
        Self {
            unacked_max: dice.pick(&[1, 3, 1_024]).copied().unwrap_or(1),
            queued_bytes_max: one_of([16 * 1_024, 4 * 1_024 * 1_024, 4 * 1_024 * 1_024]),
            snapshot_frame_bytes: one_of([1, 2_048, 48 * 1_024]),
            line_bytes: one_of([256, 4_096, 65_536]),
            poll_ms: dice.pick(&[60_000, 600_000]).copied().unwrap_or(60_000),
        }
    }
}

/// A gateway that was started: its loops, to be run until the post's stop, and its door.
pub struct Opened {
    pub running: Running,
    pub door: Arc<dyn Door>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

/// Starts a gateway on a post.
pub type Open<'a> = &'a dyn Fn(Post) -> Opened;

/// Where enforcement points come in.
#[async_trait]
pub trait Door: Send + Sync + std::fmt::Debug {
    /// A stream on which nothing was said yet; `None` where nobody answers.
    async fn connect(&self) -> Option<Box<dyn Line>>;
}

/// One stream, as an enforcement point has it.
#[async_trait]
pub trait Line: Send {
    /// *Returns*: false where nobody is there any more.
    async fn say(&mut self, text: String) -> bool;
    /// The next frame; `None` when the stream is over. Safe to drop.
    async fn hear(&mut self) -> Option<String>;
}
