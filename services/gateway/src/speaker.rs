//! What a subscriber is told, in which order, and what its answers mean. Knows no bus and nothing of other subscribers.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use caerus_engine::number::float;
use caerus_runtime::auth::Principal;
use caerus_runtime::metric::label;
use caerus_wire::stream::{ClientFrame, Cursor};
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use crate::close::End;
use crate::connection::Inbound;
use crate::delivery::{Acknowledged, Delivery};
use crate::frame::{self, Beginning};
use crate::gateway::Shared;
use crate::hub::{Mark, Parcel, Start, Subscription};
use crate::lane::LaneReceiver;
use crate::picture::Entry;
use crate::receipts::{Report, Subscriber, Word};

const QUEUE_FULL: &str = "too much is queued for this subscriber";
const NOT_ACKNOWLEDGED: &str = "no acknowledgement came in time";
const NOT_READ: &str = "a frame was not read in time";
const CREDENTIAL_ENDED: &str = "the credential has ended";

/// The telling half of one stream.
#[derive(Debug)]
pub(crate) struct Speaker<'a> {
    sink: &'a mut SplitSink<WebSocket, Message>,
    inbound: mpsc::Receiver<Inbound>,
    gateway: &'a Shared,
    principal: Principal,
    subscriber: Arc<Subscriber>,
    delivery: Delivery,
    /// All that is below it was sent.
    mark: Mark,
    overflow: watch::Receiver<bool>,
    /// When the subscriber is too slow, while something waits for its acknowledgement.
    overdue_at: Option<Instant>,
    /// The latest cursor acknowledged here.
    acknowledged: Option<Arc<str>>,
    /// Acknowledged, and not taken by the loop that appends receipts: nothing more is read meanwhile.
    unreported: Option<Report>,
    /// What of [`Delivery::unacknowledged`] stands in the gauge.
    gauged: usize,
}

/// Who is told.
#[derive(Debug)]
pub(crate) struct Listener<'a> {
    pub(crate) sink: &'a mut SplitSink<WebSocket, Message>,
    pub(crate) inbound: mpsc::Receiver<Inbound>,
    pub(crate) principal: Principal,
    pub(crate) subscriber: Arc<Subscriber>,
    /// Names the filter in its cursors.
    pub(crate) filter: u64,
}

impl<'a> Speaker<'a> {
    pub(crate) fn new(
        gateway: &'a Shared,
        listener: Listener<'a>,
        subscription: &Subscription,
    ) -> Self {
        let positions = match &subscription.start {
            Start::Snapshot { .. } => subscription.mark.positions.to_vec(),
            Start::Resumed { positions, .. } => positions.clone(),
        };
        let sent = Cursor {
            log: gateway.log,
            positions,
            filter: listener.filter,
        };
        Self {
            gateway,
            sink: listener.sink,
            inbound: listener.inbound,
            principal: listener.principal,
            subscriber: listener.subscriber,
            delivery: Delivery::new(sent, usize::from(gateway.limits.unacked_max)),
            // Nothing is promised before the start has been sent.
            mark: Mark {
                positions: Arc::default(),
                evaluated_until: None,
            },
            overflow: subscription.lane.overflow(),
            overdue_at: None,
            acknowledged: None,
            unreported: None,
            gauged: 0,
        }
    }

    /// Speaks until the stream is over.
    pub(crate) async fn run(mut self, subscription: Subscription) -> End {
        let Subscription { start, mark, lane } = subscription;
        self.note(Word::There);
        let end = match self.begin(start, mark).await {
            Ok(backlog) => self.go_on(backlog, lane).await,
            Err(end) => end,
        };
        self.finish();
        end
    }

    /// The welcome and, where there is one, the snapshot. *Returns*: what is still to be told before the lane.
    async fn begin(&mut self, start: Start, mark: Mark) -> Result<Backlog, End> {
        let (entries, reload) = match start {
            Start::Snapshot { entries, reload } => (entries, reload),
            Start::Resumed { entries, .. } => {
                self.welcome(Beginning::Resumed, label::StreamStart::Resume)
                    .await?;
                return Ok(Backlog {
                    entries: entries.into(),
                    mark: Some(mark),
                });
            }
        };
        match reload {
            None => {
                self.welcome(Beginning::Snapshot, label::StreamStart::Snapshot)
                    .await?;
            }
            Some(reason) => {
                self.welcome(Beginning::Snapshot, label::StreamStart::Reload)
                    .await?;
                self.send(label::Frame::Reload, frame::reload(reason))
                    .await?;
            }
        }
        let cursor = self.delivery.cursor().clone();
        let bytes = self.gateway.limits.snapshot_frame_bytes;
        for part in frame::snapshot(&entries, &cursor, bytes) {
            self.send(label::Frame::Snapshot, part).await?;
        }
        self.delivery.sent_snapshot(entries);
        self.note_outstanding();
        self.mark = mark;
        Ok(Backlog::default())
    }

    async fn welcome(
        &mut self,
        beginning: Beginning,
        start: label::StreamStart,
    ) -> Result<(), End> {
        let gateway = self.gateway;
        gateway.metrics.gateway.started_streams.of(&start).inc();
        let welcome = frame::welcome(&gateway.limits, beginning);
        self.send(label::Frame::Welcome, welcome).await
    }

    async fn go_on(&mut self, mut backlog: Backlog, mut lane: LaneReceiver<Parcel>) -> End {
        let gateway = self.gateway;
        let principal = self.principal.clone();
        let mut credential_ended = std::pin::pin!(gateway.tokens.ended(&principal));
        let period = gateway.limits.heartbeat;
        let mut heartbeat = every(period);
        let mut presence = every(gateway.limits.presence);
        loop {
            let is_reported = self.unreported.is_none();
            let outcome = tokio::select! {
                biased;
                () = gateway.shutdown.begun() => Err(End::GoingAway),
                () = &mut credential_ended => Err(End::NotAuthenticated(CREDENTIAL_ENDED)),
                () = overflowed(&mut self.overflow) => Err(End::TooSlow(QUEUE_FULL)),
                permit = gateway.reports.reserve(), if !is_reported => {
                    if let (Ok(permit), Some(report)) = (permit, self.unreported.take()) {
                        permit.send(report);
                    }
                    Ok(())
                }
                inbound = self.inbound.recv(), if is_reported => self.take(inbound),
                () = at(self.overdue_at), if is_reported => Err(End::TooSlow(NOT_ACKNOWLEDGED)),
                _ = heartbeat.tick() => self.beat().await,
                _ = presence.tick(), if is_reported => {
                    self.note(Word::There);
                    Ok(())
                }
                next = backlog.next(&mut lane), if !self.delivery.is_full() => {
                    self.pass_on(next).await
                }
            };
            if let Err(end) = outcome {
                return end;
            }
        }
    }

    /// Looks at what the client sent.
    fn take(&mut self, inbound: Option<Inbound>) -> Result<(), End> {
        match inbound {
            Some(Inbound::Frame(ClientFrame::Ack { cursor })) => {
                let cursor =
                    Cursor::parse(&cursor).map_err(|bad| End::BadFrame(bad.to_string()))?;
                self.acknowledge(&cursor)
            }
            Some(Inbound::Frame(ClientFrame::Hello { .. })) => {
                Err(End::BadFrame("hello was said already".to_owned()))
            }
            Some(Inbound::Bad(message)) => Err(End::BadFrame(message)),
            Some(Inbound::Left) | None => Err(End::Left),
        }
    }

    fn acknowledge(&mut self, cursor: &Cursor) -> Result<(), End> {
        let acknowledged = self
            .delivery
            .acknowledge(cursor)
            .map_err(|beyond| End::BadFrame(beyond.to_string()))?;
        if acknowledged.is_empty() {
            return Ok(());
        }
        self.overdue_at = None;
        self.note_outstanding();
        let now = self.gateway.clock.now();
        for one in &acknowledged {
            if let Acknowledged::Decision(entry) = one {
                self.gateway.observe_enforcement(entry, now);
            }
        }
        self.acknowledged = Some(cursor.to_text().into());
        self.note(Word::InForce(acknowledged));
        Ok(())
    }

    /// Tells how far the picture reaches.
    async fn beat(&mut self) -> Result<(), End> {
        let now = self.gateway.clock.now();
        let heartbeat = frame::heartbeat(self.delivery.cursor(), self.mark.evaluated_until, now);
        self.send(label::Frame::Heartbeat, heartbeat).await
    }

    async fn pass_on(&mut self, next: Option<Next>) -> Result<(), End> {
        match next {
            Some(Next::Entry(entry)) => {
                let cursor = self.delivery.cursor_with(&entry);
                let text = frame::decision(&cursor, &entry);
                self.decide(entry, &cursor.positions, text).await
            }
            Some(Next::Parcel(Parcel::Decision(one))) => {
                let entry = Arc::clone(&one.entry);
                self.decide(entry, &one.positions, one.text.clone()).await
            }
            Some(Next::Parcel(Parcel::Mark(mark))) => {
                self.delivery.passed(&mark.positions);
                self.mark = mark;
                Ok(())
            }
            // The picture has let go of the lane: it was full, or the gateway stops.
            None if *self.overflow.borrow() => Err(End::TooSlow(QUEUE_FULL)),
            None => Err(End::GoingAway),
        }
    }

    async fn decide(
        &mut self,
        entry: Arc<Entry>,
        positions: &[u64],
        text: Utf8Bytes,
    ) -> Result<(), End> {
        self.send(label::Frame::Decision, text).await?;
        self.delivery.sent_decision(entry, positions);
        self.note_outstanding();
        Ok(())
    }

    /// Starts the clock of the acknowledgement that is waited for, where it does not run, and counts what waits.
    fn note_outstanding(&mut self) {
        if self.overdue_at.is_none() && !self.delivery.is_settled() {
            self.overdue_at = Some(Instant::now() + self.gateway.limits.acknowledge);
        }
        self.gauge(self.delivery.unacknowledged());
    }

    fn gauge(&mut self, unacknowledged: usize) {
        let number = |count: usize| float(i64::try_from(count).unwrap_or(i64::MAX));
        let change = number(unacknowledged) - number(self.gauged);
        self.gateway.metrics.gateway.unacknowledged.inc_by(change);
        self.gauged = unacknowledged;
    }

    /// Sends one frame, for as long as a slow subscriber is waited for.
    async fn send(&mut self, kind: label::Frame, text: Utf8Bytes) -> Result<(), End> {
        let waited = self.gateway.limits.acknowledge;
        tokio::select! {
            biased;
            () = self.gateway.shutdown.begun() => return Err(End::GoingAway),
            () = overflowed(&mut self.overflow) => return Err(End::TooSlow(QUEUE_FULL)),
            sent = tokio::time::timeout(waited, self.sink.send(Message::Text(text))) => match sent {
                Ok(Ok(())) => {}
                Ok(Err(_gone)) => return Err(End::Left),
                Err(_elapsed) => return Err(End::TooSlow(NOT_READ)),
            },
        }
        self.gateway.metrics.gateway.sent_frames.of(&kind).inc();
        Ok(())
    }

    /// Hands a word of this subscriber to the loop that appends receipts. A stream never waits for the bus: what does
    /// not fit is kept until it does.
    fn note(&mut self, word: Word) {
        let report = Report {
            subscriber: Arc::clone(&self.subscriber),
            at: self.gateway.clock.now(),
            acknowledged: self.acknowledged.clone(),
            word,
        };
        match self.gateway.reports.try_send(report) {
            Err(mpsc::error::TrySendError::Full(report)) => self.unreported = Some(report),
            // The gateway stops; the snapshot of the next connection is acknowledged anew.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
        }
    }

    fn finish(&mut self) {
        self.gauge(0);
        self.note(Word::Left);
    }
}

/// What a resumed subscriber is told before its lane.
#[derive(Debug, Default)]
struct Backlog {
    entries: VecDeque<Arc<Entry>>,
    /// Holds once the entries were told.
    mark: Option<Mark>,
}

#[derive(Debug)]
enum Next {
    Entry(Arc<Entry>),
    Parcel(Parcel),
}

impl Backlog {
    /// What is to be told next. Safe to drop: nothing is taken before it is ready.
    async fn next(&mut self, lane: &mut LaneReceiver<Parcel>) -> Option<Next> {
        if let Some(entry) = self.entries.pop_front() {
            return Some(Next::Entry(entry));
        }
        if let Some(mark) = self.mark.take() {
            return Some(Next::Parcel(Parcel::Mark(mark)));
        }
        lane.next().await.map(Next::Parcel)
    }
}

/// Ticks first after one period.
fn every(period: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Ready at the moment; never where there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Ready once the lane was closed for holding too much; never where it was closed otherwise.
async fn overflowed(overflow: &mut watch::Receiver<bool>) {
    if overflow.wait_for(|is_over| *is_over).await.is_err() {
        std::future::pending::<()>().await;
    }
}
