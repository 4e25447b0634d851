//! Every bound of the stream in one place. Knows nobody's work.

use std::time::Duration;

use caerus_wire::stream::CLIENT_FRAME_BYTES_MAX;

/// The bounds of the stream; the defaults are the contract's.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a client may take to say hello.
    pub hello: Duration,
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// How often the recorder is told that a subscriber is still there.
    pub presence: Duration,
    /// How long something sent may wait for its acknowledgement, and a frame for the socket.
    pub acknowledge: Duration,
    /// Frames that may wait for their acknowledgement.
    pub unacked_max: u16,
    /// *Units*: bytes queued for one subscriber.
    pub queued_bytes_max: usize,
    /// Subscribers of one gateway.
    pub subscribers_max: usize,
    /// *Units*: bytes of one frame from a client.
    pub frame_bytes_max: usize,
    /// *Units*: bytes; a frame of a snapshot ends with the decision that reaches this.
    pub snapshot_frame_bytes: usize,
    /// How long the picture is waited for.
    pub answer: Duration,
    /// How long the picture goes unread where nothing tells that something was appended.
    pub poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(5),
            heartbeat: Duration::from_secs(1),
            presence: Duration::from_secs(30),
            acknowledge: Duration::from_secs(10),
            unacked_max: 1_024,
            queued_bytes_max: 4 * 1024 * 1024,
            // Below a listener's connections, so that one too many can still be told so.
            subscribers_max: 3_072,
            frame_bytes_max: CLIENT_FRAME_BYTES_MAX,
            snapshot_frame_bytes: 48 * 1024,
            answer: Duration::from_secs(5),
            poll: Duration::from_millis(250),
        }
    }
}
