//! Frames to subscribers, as text. Knows no socket.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use caerus_engine::time::Timestamp;
use caerus_wire::stream::{
    CloseCode, Cursor, Heartbeat, ServerFrame, decision_frame, snapshot_frame,
};

use crate::limits::Limits;
use crate::picture::Entry;

/// How a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// With everything in force.
    Snapshot,
    /// With what came after the cursor.
    Resumed,
}

pub(crate) fn welcome(limits: &Limits, beginning: Beginning) -> Utf8Bytes {
    let welcome = ServerFrame::Welcome {
        heartbeat_ms: u32::try_from(limits.heartbeat.as_millis()).unwrap_or(u32::MAX),
        snapshot: beginning == Beginning::Snapshot,
        max_unacked: u32::from(limits.unacked_max),
    };
    welcome.to_json().into()
}

pub(crate) fn decision(cursor: &Cursor, entry: &Entry) -> Utf8Bytes {
    decision_frame(cursor, &entry.json).into()
}

pub(crate) fn heartbeat(
    cursor: &Cursor,
    evaluated_until: Option<Timestamp>,
    now: Timestamp,
) -> Utf8Bytes {
    let heartbeat = Heartbeat {
        cursor: cursor.to_text(),
        evaluated_until,
        now,
    };
    ServerFrame::Heartbeat(heartbeat).to_json().into()
}

pub(crate) fn reload(reason: &str) -> Utf8Bytes {
    let reason = reason.to_owned();
    ServerFrame::Reload { reason }.to_json().into()
}

pub(crate) fn error(code: CloseCode, message: &str) -> Utf8Bytes {
    let error = ServerFrame::Error {
        code: code.name().to_owned(),
        message: message.to_owned(),
    };
    error.to_json().into()
}

/// A snapshot as frames: each ends with the decision that reaches the bound, the last one carries the cursor. A
/// snapshot of nothing is one frame.
pub(crate) fn snapshot<'e>(
    entries: &'e [Arc<Entry>],
    cursor: &'e Cursor,
    bytes: usize,
) -> impl Iterator<Item = Utf8Bytes> + 'e {
    let mut rest = Some(entries);
    std::iter::from_fn(move || {
        let entries = rest.take()?;
        let (part, left) = entries.split_at(part_len(entries, bytes));
        rest = Some(left).filter(|left| !left.is_empty());
        let decisions = part.iter().map(|entry| &*entry.json);
        Some(snapshot_frame(decisions, rest.is_none().then_some(cursor)).into())
    })
}

/// How many entries it takes to reach the bound; one at least, where there is one.
fn part_len(entries: &[Arc<Entry>], bytes: usize) -> usize {
    let mut taken = 0_usize;
    let below = entries.iter().take_while(|entry| {
        let is_below = taken < bytes;
        taken = taken.saturating_add(entry.json.len());
        is_below
    });
    below.count()
}
