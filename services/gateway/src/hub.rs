//! The loop that owns the picture: reads decisions and reports, answers subscribers, fans out. Knows no socket.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use caerus_engine::number::float;
use caerus_engine::time::Timestamp;
use caerus_runtime::metric::Metrics;
use caerus_runtime::metric::label::Invariant;
use caerus_runtime::port::{Bus, BusRecord, Clock, PortResult, ReadLimit, Topic};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::chain;
use caerus_wire::progress::Progress;
use caerus_wire::stream::Cursor;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};

use crate::filter::Filter;
use crate::frame;
use crate::gateway::GatewayParts;
use crate::lane::{LaneReceiver, LaneSender, Weighed, lane};
use crate::limits::Limits;
use crate::picture::{Change, Entry, Picture, Unreadable};
use crate::progress::Horizon;

/// Requests that wait for the loop.
pub(crate) const REQUESTS_LEN: usize = 256;
/// How much one read of the bus returns at most.
const READ_LIMIT: ReadLimit = ReadLimit {
    records: 1_024,
    bytes: 4 * 1024 * 1024,
};
/// Reports are a compacted topic of one partition.
const PROGRESS_PARTITION: u32 = 0;

/// What is asked of the loop.
#[derive(Debug)]
pub(crate) enum Request {
    Subscribe {
        filter: Filter,
        resume: Resume,
        reply: oneshot::Sender<Subscription>,
    },
    /// The decisions in force, once.
    Active {
        filter: Filter,
        reply: oneshot::Sender<Active>,
    },
}

/// Where a subscriber wants to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    Anew,
    After(Cursor),
    /// It gave a cursor that this version does not read.
    Unreadable,
}

/// The decisions in force and the cursor to go on from.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) cursor: Cursor,
}

/// What a new subscriber is given.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) start: Start,
    /// Where the picture stood: everything of the start lies below, everything in the lane above.
    pub(crate) mark: Mark,
    pub(crate) lane: LaneReceiver<Parcel>,
}

#[derive(Debug)]
pub(crate) enum Start {
    /// Everything in force; `reload` says why the cursor that was given could not be resumed.
    Snapshot {
        entries: Vec<Arc<Entry>>,
        reload: Option<&'static str>,
    },
    /// Only what came after the positions of its cursor.
    Resumed {
        positions: Vec<u64>,
        entries: Vec<Arc<Entry>>,
    },
}

/// What travels in a lane.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    Decision(Arc<Frame>),
    Mark(Mark),
}

/// A decision's frame, encoded once for all subscribers of one filter.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) entry: Arc<Entry>,
    pub(crate) positions: Vec<u64>,
    pub(crate) text: Utf8Bytes,
}

/// Everything below the positions is in the lane before this, and all that was taken in before the moment with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) positions: Arc<[u64]>,
    pub(crate) evaluated_until: Option<Timestamp>,
}

impl Weighed for Parcel {
    fn weight(&self) -> usize {
        match self {
            Self::Decision(frame) => frame.text.len(),
            Self::Mark(mark) => mark.positions.len().saturating_mul(size_of::<u64>()),
        }
    }
}

/// Subscribers that see the same.
#[derive(Debug)]
struct Group {
    hash: u64,
    lanes: Vec<LaneSender<Parcel>>,
}

/// The loop's own state.
#[derive(Debug)]
pub(crate) struct Hub {
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    metrics: Metrics,
    picture: Picture,
    horizon: Horizon,
    reports_position: u64,
    groups: BTreeMap<Filter, Group>,
    marked: Mark,
}

impl Hub {
    /// Reads the picture from the start of what the topic holds.
    pub(crate) async fn open(parts: &GatewayParts) -> PortResult<Self> {
        let bus = Arc::clone(&parts.bus);
        let mut positions = Vec::new();
        for partition in 0..bus.partitions() {
            positions.push(bus.start(Topic::Decisions, partition).await?);
        }
        let reports_position = bus.start(Topic::Progress, PROGRESS_PARTITION).await?;
        let mut hub = Self {
            horizon: Horizon::new(bus.partitions()),
            marked: Mark {
                positions: positions.as_slice().into(),
                evaluated_until: None,
            },
            picture: Picture::from_start(positions),
            clock: Arc::clone(&parts.clock),
            limits: parts.limits,
            metrics: parts.metrics.clone(),
            groups: BTreeMap::new(),
            reports_position,
            bus,
        };
        hub.read().await?;
        info!(
            decisions = hub.picture.len(),
            "picture of the decisions in force read"
        );
        Ok(hub)
    }

    /// Answers and fans out until the shutdown.
    pub(crate) async fn run(mut self, mut requests: mpsc::Receiver<Request>, shutdown: Shutdown) {
        let mut decisions = self.bus.appended(Topic::Decisions);
        let mut reports = self.bus.appended(Topic::Progress);
        let mut poll = tokio::time::interval(self.limits.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.begun() => return,
                request = requests.recv() => match request {
                    Some(request) => self.answer(request).await,
                    None => return,
                },
                () = appended(&mut decisions) => self.read_or_report().await,
                () = appended(&mut reports) => self.read_or_report().await,
                _ = poll.tick() => self.read_or_report().await,
            }
        }
    }

    async fn read_or_report(&mut self) {
        self.picture.expire(self.clock.now());
        if let Err(failure) = self.read().await {
            warn!(
                error = chain(&failure),
                "decisions could not be read, subscribers' pictures grow old"
            );
        }
        self.mark();
        if let Some(until) = self.marked.evaluated_until {
            let age = self.clock.now().since(until);
            let seconds = float(age.0) / 1_000.0;
            self.metrics.gateway.picture_age_seconds.set(seconds);
        }
    }

    /// Reads decisions and reports to their ends.
    async fn read(&mut self) -> PortResult<()> {
        self.read_decisions().await?;
        self.read_reports().await
    }

    async fn read_decisions(&mut self) -> PortResult<()> {
        for partition in 0..self.bus.partitions() {
            loop {
                let from = self.position(partition);
                let batch = self
                    .bus
                    .read(Topic::Decisions, partition, from, READ_LIMIT)
                    .await?;
                for record in &batch.records {
                    self.absorb(partition, record);
                }
                self.picture.move_to(partition, batch.next);
                if batch.records.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn read_reports(&mut self) -> PortResult<()> {
        loop {
            let batch = self
                .bus
                .read(
                    Topic::Progress,
                    PROGRESS_PARTITION,
                    self.reports_position,
                    READ_LIMIT,
                )
                .await?;
            for record in &batch.records {
                match Progress::from_bytes(&record.value) {
                    Ok(report) => self.horizon.report(report),
                    Err(failure) => {
                        let offset = record.offset;
                        error!(error = chain(&failure), offset, "progress report left out");
                    }
                }
            }
            self.reports_position = self.reports_position.max(batch.next);
            if batch.records.is_empty() {
                return Ok(());
            }
        }
    }

    fn position(&self, partition: u32) -> u64 {
        usize::try_from(partition)
            .ok()
            .and_then(|index| self.picture.positions().get(index).copied())
            .unwrap_or(0)
    }

    fn absorb(&mut self, partition: u32, record: &BusRecord) {
        match self.picture.absorb(partition, record, self.clock.now()) {
            Ok(Change::Decided(entry)) => self.fan_out(&entry),
            Ok(Change::Removed | Change::Nothing) => {}
            Err(failure) => {
                error!(error = chain(&failure), "decision left out of the picture");
                if matches!(failure, Unreadable::Key { .. }) {
                    let violations = &self.metrics.gateway.invariant_violations;
                    violations.of(&Invariant::Inv10).inc();
                }
            }
        }
    }

    /// Hands a decision to every subscriber it is for; one whose lane is full is let go, the others never wait.
    fn fan_out(&mut self, entry: &Arc<Entry>) {
        let log = self.bus.log_id().0;
        let positions = self.picture.positions();
        for (filter, group) in &mut self.groups {
            if !filter.admits(entry) {
                continue;
            }
            let cursor = Cursor {
                log,
                positions: positions.to_vec(),
                filter: group.hash,
            };
            let parcel = Parcel::Decision(Arc::new(Frame {
                entry: Arc::clone(entry),
                positions: positions.to_vec(),
                text: frame::decision(&cursor, entry),
            }));
            group.push(&parcel);
        }
        self.groups.retain(|_, group| !group.lanes.is_empty());
    }

    /// Tells every subscriber how far the picture reaches, where that has changed.
    fn mark(&mut self) {
        let evaluated_until = self.horizon.advance(self.picture.positions());
        if self.marked.evaluated_until == evaluated_until
            && *self.marked.positions == *self.picture.positions()
        {
            return;
        }
        self.marked = Mark {
            positions: self.picture.positions().into(),
            evaluated_until,
        };
        let parcel = Parcel::Mark(self.marked.clone());
        for group in self.groups.values_mut() {
            group.push(&parcel);
        }
        self.groups.retain(|_, group| !group.lanes.is_empty());
    }

    async fn answer(&mut self, request: Request) {
        self.picture.expire(self.clock.now());
        match request {
            Request::Subscribe {
                filter,
                resume,
                reply,
            } => {
                let subscription = self.subscribe(filter, resume).await;
                // Where the subscriber has gone meanwhile, its lane is found closed at the next parcel.
                drop(reply.send(subscription));
            }
            Request::Active { filter, reply } => {
                let active = Active {
                    entries: self.picture.snapshot(&filter),
                    cursor: self.cursor(&filter),
                };
                drop(reply.send(active));
            }
        }
    }

    fn cursor(&self, filter: &Filter) -> Cursor {
        Cursor {
            log: self.bus.log_id().0,
            positions: self.picture.positions().to_vec(),
            filter: filter.hash(),
        }
    }

    async fn subscribe(&mut self, filter: Filter, resume: Resume) -> Subscription {
        let start = self.start(&filter, resume).await;
        self.mark();
        let (sender, receiver) = lane(self.limits.queued_bytes_max);
        let group = self
            .groups
            .entry(filter)
            .or_insert_with_key(|filter| Group {
                hash: filter.hash(),
                lanes: Vec::new(),
            });
        group.lanes.push(sender);
        Subscription {
            start,
            mark: self.marked.clone(),
            lane: receiver,
        }
    }

    async fn start(&mut self, filter: &Filter, resume: Resume) -> Start {
        let reload = match resume {
            Resume::Anew => None,
            Resume::Unreadable => Some("the cursor cannot be read"),
            Resume::After(cursor) => match self.misfit(filter, &cursor).await {
                None => {
                    let entries = self.picture.since(&cursor.positions, filter);
                    return Start::Resumed {
                        positions: cursor.positions,
                        entries,
                    };
                }
                misfit => misfit,
            },
        };
        Start::Snapshot {
            entries: self.picture.snapshot(filter),
            reload,
        }
    }

    /// Why the cursor cannot be resumed; `None` where it can.
    async fn misfit(&mut self, filter: &Filter, cursor: &Cursor) -> Option<&'static str> {
        let is_of_this_log = cursor.log == self.bus.log_id().0
            && cursor.positions.len() == self.picture.positions().len();
        if !is_of_this_log {
            return Some("the cursor is of another log");
        }
        if cursor.filter != filter.hash() {
            return Some("the cursor is for another filter");
        }
        if !self.covers(&cursor.positions) {
            // Another gateway may be ahead of this one.
            self.read_or_report().await;
        }
        if self.covers(&cursor.positions) {
            None
        } else {
            Some("the cursor is from the future")
        }
    }

    /// True when the picture has been read at least that far.
    fn covers(&self, positions: &[u64]) -> bool {
        self.picture
            .positions()
            .iter()
            .zip(positions)
            .all(|(read, wanted)| read >= wanted)
    }
}

impl Group {
    fn push(&mut self, parcel: &Parcel) {
        self.lanes.retain(|lane| lane.push(parcel.clone()).is_ok());
    }
}

/// Ready when something was appended; never where the bus has gone (then the poll alone reads).
async fn appended(changes: &mut watch::Receiver<u64>) {
    if changes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
