//! Follows the revocation stream: hello, snapshot, decisions, acknowledgements, and again after a pause. Owns the
//! picture. Knows no request and no route.
//!
//! Order of effects for each batch: in force at once, then in the saved picture, then acknowledged. While a snapshot
//! comes in, the old picture stays in force and ages; the new one takes its place whole.

mod link;
mod pace;

use std::sync::Arc;
use std::time::Duration;

use caerus_engine::time::{Span, Timestamp};
use caerus_runtime::health::Condition;
use caerus_runtime::metric::Enforcer as EnforcerMetrics;
use caerus_runtime::metric::label::StreamStart;
use caerus_runtime::port::Clock;
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::chain;
use caerus_wire::decision::PublicDecision;
use caerus_wire::stream::{ClientFrame, Cursor, Filter, Heartbeat, ServerFrame};
use http::HeaderValue;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::holding::Writer;
use crate::intake;
use crate::limit;
use crate::net::{Address, Dialer};
use crate::picture::{Decision, Picture};
use crate::saved::{Journal, Mark, Saved};

use link::Link;
pub use link::StreamError;
use pace::{Silence, jittered};

/// What the subscriber is made of.
#[derive(Debug)]
pub struct SubscriberParts {
    /// Of `/v1/stream`.
    pub address: Address,
    pub authorization: HeaderValue,
    /// The label of this instance.
    pub client: String,
    pub filter: Filter,
    pub dialer: Dialer,
    pub writer: Writer,
    /// `None`: nothing is saved.
    pub journal: Option<Journal>,
    pub clock: Arc<dyn Clock>,
    pub condition: Condition,
    pub metrics: EnforcerMetrics,
}

/// How the stream stands, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamStatus {
    pub is_connected: bool,
    /// Since when it is as it is.
    pub since: Timestamp,
    pub cursor: Option<String>,
    pub last_error: Option<String>,
    /// Why the picture is not saved, where that failed last.
    pub save_error: Option<String>,
}

/// The loop that follows the stream.
#[derive(Debug)]
pub struct Subscriber {
    parts: SubscriberParts,
    status: watch::Sender<StreamStatus>,
    /// Up to here the picture is complete.
    mark: Option<Mark>,
    /// In force, and not yet in the saved picture.
    unsaved: Vec<Arc<Decision>>,
    /// A cursor was reached that is not acknowledged.
    is_ack_due: bool,
    unacked: u64,
    /// The snapshot that is coming in.
    staged: Option<Picture>,
    /// When the saved picture was last told up to when it is complete. *Units*: steady milliseconds.
    marked_ms: u64,
    sweep_at: Instant,
}

impl Subscriber {
    pub fn new(parts: SubscriberParts) -> (Self, watch::Receiver<StreamStatus>) {
        let (status, status_of_readers) = watch::channel(StreamStatus {
            since: parts.clock.now(),
            ..StreamStatus::default()
        });
        let subscriber = Self {
            parts,
            status,
            mark: None,
            unsaved: Vec::new(),
            is_ack_due: false,
            unacked: 0,
            staged: None,
            marked_ms: 0,
            sweep_at: Instant::now(),
        };
        (subscriber, status_of_readers)
    }

    /// Puts a saved picture in force, as old as the wall clock says it is.
    pub fn restore(&mut self, saved: Saved) {
        let mut picture = Picture::default();
        for decision in saved.decisions {
            picture.admit(Arc::new(decision));
        }
        let clock = &self.parts.clock;
        if let Some(evaluated_until) = saved.mark.evaluated_until {
            let age = clock.now().since(evaluated_until);
            self.parts.writer.note_age(age, clock.monotonic_ms());
        }
        tracing::info!(decisions = picture.len(), "saved picture in force");
        self.parts.writer.replace(picture);
        self.mark = Some(saved.mark);
        self.parts.condition.ready();
    }

    /// Follows until the shutdown.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut pause_ms = limit::BACKOFF_MS_MIN;
        self.rewrite_if_due().await;
        while !shutdown.is_begun() {
            let ended = shutdown.unless_begun(self.follow()).await;
            // What was in force when it ended belongs into the saved picture too.
            self.save().await;
            self.staged = None;
            let Some((was_welcome, error)) = ended else {
                return;
            };
            if was_welcome {
                pause_ms = limit::BACKOFF_MS_MIN;
            }
            let wait_ms = jittered(pause_ms);
            tracing::warn!(error = chain(&error), wait_ms, "stream ended");
            self.tell(|status| {
                status.last_error = Some(chain(&error));
            });
            self.sweep();
            let wait = tokio::time::sleep(Duration::from_millis(wait_ms));
            if shutdown.unless_begun(wait).await.is_none() {
                return;
            }
            pause_ms = pause_ms.saturating_mul(2).min(limit::BACKOFF_MS_MAX);
        }
    }

    /// One connection, until it ends. *Returns*: whether the server ever welcomed it, and why it ended.
    async fn follow(&mut self) -> (bool, StreamError) {
        let mut link = match self.connect().await {
            Ok(link) => link,
            Err(error) => return (false, error),
        };
        let mut silence = Silence::new();
        let error = loop {
            match self.next(&mut link, &mut silence).await {
                Ok(()) => {}
                Err(error) => break error,
            }
        };
        let now = self.parts.clock.now();
        self.tell(|status| {
            status.is_connected = false;
            status.since = now;
        });
        (silence.was_welcome, error)
    }

    async fn connect(&mut self) -> Result<Link, StreamError> {
        let parts = &self.parts;
        let mut link = Link::open(&parts.dialer, &parts.address, &parts.authorization).await?;
        let hello = ClientFrame::Hello {
            client: parts.client.clone(),
            cursor: self.mark.as_ref().map(|mark| mark.cursor.clone()),
            filter: parts.filter.clone(),
        };
        link.send(&hello).await?;
        self.is_ack_due = false;
        self.unacked = 0;
        Ok(link)
    }

    /// Waits for one thing: a frame; or, when no frame is there, the moment to save and acknowledge; or silence.
    async fn next(&mut self, link: &mut Link, silence: &mut Silence) -> Result<(), StreamError> {
        let is_flush_due = self.is_ack_due || !self.unsaved.is_empty();
        if is_flush_due && self.unacked >= limit::UNACKED_MAX {
            return self.flush(link).await;
        }
        tokio::select! {
            biased;
            frame = link.next() => {
                let frame = frame?;
                silence.broken();
                self.take(frame, silence)
            }
            () = std::future::ready(()), if is_flush_due => self.flush(link).await,
            () = tokio::time::sleep_until(silence.ends_at) => Err(StreamError::Silent {
                ms: silence.allowed_ms,
            }),
            () = tokio::time::sleep_until(self.sweep_at) => {
                self.sweep();
                Ok(())
            }
        }
    }

    fn take(&mut self, frame: ServerFrame, silence: &mut Silence) -> Result<(), StreamError> {
        match frame {
            ServerFrame::Welcome {
                heartbeat_ms,
                snapshot,
                ..
            } => {
                if !snapshot && self.mark.is_none() {
                    return Err(StreamError::Unexpected {
                        frame: "no snapshot, although it was given no cursor",
                    });
                }
                silence.welcome(heartbeat_ms);
                self.begin(snapshot);
                Ok(())
            }
            ServerFrame::Reload { reason } => {
                tracing::info!(reason, "picture is loaded anew");
                self.count(StreamStart::Reload);
                self.staged = Some(Picture::default());
                // A cursor of what is dropped means nothing to the server any more.
                self.is_ack_due = false;
                Ok(())
            }
            ServerFrame::Snapshot {
                decisions,
                more,
                cursor,
            } => self.take_snapshot(&decisions, more, cursor),
            ServerFrame::Decision { cursor, decision } => self.take_decision(cursor, &decision),
            ServerFrame::Heartbeat(heartbeat) => {
                self.take_heartbeat(heartbeat);
                Ok(())
            }
            ServerFrame::Error { code, message } => Err(StreamError::Told { code, message }),
        }
    }

    fn begin(&mut self, is_snapshot: bool) {
        self.staged = is_snapshot.then(Picture::default);
        self.count(if is_snapshot {
            StreamStart::Snapshot
        } else {
            StreamStart::Resume
        });
        let now = self.parts.clock.now();
        self.tell(|status| {
            status.is_connected = true;
            status.since = now;
            status.last_error = None;
        });
        tracing::info!(is_snapshot, "stream begun");
    }

    fn take_snapshot(
        &mut self,
        decisions: &[PublicDecision],
        has_more: bool,
        cursor: Option<String>,
    ) -> Result<(), StreamError> {
        let staged = self.staged.as_mut().ok_or(StreamError::Unexpected {
            frame: "a snapshot that was not announced",
        })?;
        for public in decisions {
            if let Some(decision) = intake::take(public)? {
                staged.admit(Arc::new(decision));
            }
        }
        match (has_more, cursor) {
            (true, _) => Ok(()),
            (false, None) => Err(StreamError::Unexpected {
                frame: "the end of a snapshot without a cursor",
            }),
            (false, Some(cursor)) => {
                self.put_in_force(cursor);
                Ok(())
            }
        }
    }

    /// The snapshot is whole: it takes the old picture's place.
    fn put_in_force(&mut self, cursor: String) {
        let Some(mut picture) = self.staged.take() else {
            return;
        };
        let log = |text: &str| Cursor::parse(text).ok().map(|cursor| cursor.log);
        let is_same_log = self
            .mark
            .as_ref()
            .is_some_and(|mark| log(&mark.cursor).is_some_and(|own| log(&cursor) == Some(own)));
        if is_same_log {
            // INVARIANT (INV-2): what was acknowledged is not undone by a gateway that lags behind.
            self.parts
                .writer
                .reader()
                .look(|former| picture.keep_newer_of(former));
        }
        tracing::info!(decisions = picture.len(), "picture in force");
        self.parts.writer.replace(picture);
        self.unsaved.clear();
        if let Some(journal) = &mut self.parts.journal {
            journal.demand_rewrite();
        }
        self.reach(cursor);
        self.parts.condition.ready();
    }

    fn take_decision(
        &mut self,
        cursor: String,
        public: &PublicDecision,
    ) -> Result<(), StreamError> {
        if self.staged.is_some() {
            return Err(StreamError::Unexpected {
                frame: "a decision amid a snapshot",
            });
        }
        match intake::take(public)? {
            None => tracing::error!(decision = public.id, "shadow decision on the stream"),
            Some(decision) => {
                let decision = Arc::new(decision);
                tracing::debug!(
                    decision = %decision.id,
                    action = decision.action.name(),
                    "decision in force"
                );
                self.parts.writer.admit(Arc::clone(&decision));
                self.unsaved.push(decision);
            }
        }
        self.reach(cursor);
        Ok(())
    }

    fn take_heartbeat(&mut self, heartbeat: Heartbeat) {
        if self.staged.is_some() {
            // It speaks of what was sent on this connection, which is not in force yet.
            return;
        }
        if let Some(evaluated_until) = heartbeat.evaluated_until {
            let age = Span::millis(heartbeat.now.0.saturating_sub(evaluated_until.0));
            let monotonic_ms = self.parts.clock.monotonic_ms();
            self.parts.writer.note_age(age, monotonic_ms);
        }
        let is_farther = self
            .mark
            .as_ref()
            .is_none_or(|mark| mark.cursor != heartbeat.cursor);
        if is_farther {
            self.reach(heartbeat.cursor);
        }
        if let (Some(mark), Some(evaluated_until)) = (&mut self.mark, heartbeat.evaluated_until) {
            mark.evaluated_until = Some(evaluated_until);
        }
        let monotonic_ms = self.parts.clock.monotonic_ms();
        if monotonic_ms.saturating_sub(self.marked_ms) >= limit::SAVED_MARK_EVERY_MS {
            // Also while nothing is decided: a restart must know how old its picture really is.
            self.is_ack_due = true;
        }
        // A resumed picture is complete with the first word that nothing is missing.
        self.parts.condition.ready();
    }

    /// The picture is complete up to the cursor.
    fn reach(&mut self, cursor: String) {
        let evaluated_until = self.mark.as_ref().and_then(|mark| mark.evaluated_until);
        self.mark = Some(Mark {
            cursor,
            evaluated_until,
        });
        self.is_ack_due = true;
        self.unacked += 1;
    }

    /// Saves, then acknowledges.
    async fn flush(&mut self, link: &mut Link) -> Result<(), StreamError> {
        self.save().await;
        if !self.is_ack_due {
            return Ok(());
        }
        self.is_ack_due = false;
        self.unacked = 0;
        let Some(mark) = &self.mark else {
            return Ok(());
        };
        let cursor = mark.cursor.clone();
        self.status
            .send_modify(|status| status.cursor = Some(cursor.clone()));
        link.send(&ClientFrame::Ack { cursor }).await
    }

    /// Brings the saved picture up to the mark: by appending, or whole where that is due or the last write failed.
    async fn save(&mut self) {
        self.marked_ms = self.parts.clock.monotonic_ms();
        if self.rewrite_if_due().await {
            return;
        }
        let unsaved = std::mem::take(&mut self.unsaved);
        let (Some(journal), Some(mark)) = (&mut self.parts.journal, &self.mark) else {
            return;
        };
        if unsaved.is_empty() && !self.is_ack_due {
            return;
        }
        let saved = journal.append(&unsaved, mark).await;
        self.note_save(saved);
    }

    /// *Returns*: whether it was due, done or failed.
    async fn rewrite_if_due(&mut self) -> bool {
        let (Some(journal), Some(mark)) = (&mut self.parts.journal, &self.mark) else {
            return false;
        };
        if !journal.is_rewrite_due() {
            return false;
        }
        let decisions = self
            .parts
            .writer
            .reader()
            .look(|picture| picture.iter().cloned().collect());
        let saved = journal.rewrite(decisions, mark.clone()).await;
        // What could not be written now is in the picture, and written with it when writing works again.
        self.unsaved.clear();
        self.note_save(saved);
        true
    }

    fn note_save(&self, saved: std::io::Result<()>) {
        let error = saved.err().map(|error| error.to_string());
        if let Some(error) = &error {
            tracing::error!(
                error,
                "picture not saved: a restart would begin from an older one"
            );
        }
        self.status.send_if_modified(|status| {
            let is_changed = status.save_error != error;
            status.save_error = error;
            is_changed
        });
    }

    fn sweep(&mut self) {
        self.sweep_at = Instant::now() + Duration::from_millis(limit::SWEEP_EVERY_MS);
        let now = self.parts.clock.now();
        let swept = self.parts.writer.sweep(now);
        if swept > 0 {
            tracing::debug!(swept, "lapsed decisions let go");
        }
    }

    fn count(&self, start: StreamStart) {
        self.parts.metrics.connections.of(&start).inc();
    }

    fn tell(&self, change: impl FnOnce(&mut StreamStatus)) {
        self.status.send_modify(change);
    }
}

#[cfg(test)]
mod tests;
