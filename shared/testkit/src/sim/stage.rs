//! The course of one simulation: who is started, killed, told what and when.

use std::sync::Arc;
use std::time::Duration;

use caerus_engine::id::SubjectHash;
use caerus_engine::step::Input;
use caerus_engine::time::Span;
use caerus_runtime::port::{Bus, Clock, NewRecord, Topic};
use caerus_runtime::shutdown::Shutdown;
use caerus_wire::entry::Entry;
use tokio::task::{AbortHandle, JoinSet};

use super::bus::SimBus;
use super::clock::SimClock;
use super::policy;
use super::store::SimStore;
use super::subscriber::Subscriber;
use super::trouble::{Dice, Weather};
use super::workload::Workload;
use super::{CacheSize, Left, Plan, Seat, Start, history};
use crate::auditor::Accepted;
use crate::canary::Canary;

/// How often ingest tries to append one event before its sender is told that it could not.
const APPENDS_MAX: u32 = 5;
/// Simulated time within which everything has to be done once nothing fails any more.
const HEALED_WITHIN: Duration = Duration::from_secs(1_800);
/// Looks in a row that must find nothing left to do.
const CALM_LOOKS: u32 = 3;
const POLICIES: [&str; 4] = [
    "revoke 80 step-up 40",
    "revoke 70 step-up 30",
    "revoke 95 step-up 60",
    "revoke when you like",
];

struct Actor {
    seat: Seat,
    task: AbortHandle,
}

/// Everything on stage.
pub(super) struct Stage {
    plan: Plan,
    seed: u64,
    dice: Arc<Dice>,
    bus: Arc<SimBus>,
    store: Arc<SimStore>,
    /// Ingest's own clock.
    clock: SimClock,
    actors: Vec<Actor>,
    tasks: JoinSet<Result<(), String>>,
    seats: u64,
    revisions: u64,
    workload: Workload,
    accepted: Vec<Accepted>,
    subscribers: Vec<Subscriber>,
    complaints: Vec<String>,
}

impl Stage {
    pub(super) fn new(seed: u64, plan: Plan, dice: Arc<Dice>, canary: Option<Canary>) -> Self {
        let bus = SimBus::new(plan.partitions, Arc::clone(&dice), canary);
        let subscribers = (0..plan.partitions).map(Subscriber::new);
        Self {
            plan,
            seed,
            store: Arc::new(SimStore::new(Arc::clone(&dice), canary)),
            dice,
            bus: Arc::new(bus),
            clock: SimClock::new(Span::ZERO, 0),
            actors: Vec::new(),
            tasks: JoinSet::new(),
            seats: 0,
            revisions: 0,
            workload: Workload::default(),
            accepted: Vec::new(),
            subscribers: subscribers.collect(),
            complaints: Vec::new(),
        }
    }

    /// Phase one: things happen, and things fail.
    pub(super) async fn play(&mut self, start: Start<'_>) {
        self.tell_everyone(|_| Entry::Policy(policy::revision("p-0", "revoke 80 step-up 40")))
            .await;
        for partition in 0..self.plan.partitions {
            self.seat(partition, start);
        }
        for _ in 0..self.plan.turns {
            let pause_ms = self.dice.within(0..self.plan.pace_ms_max);
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            self.fate(start).await;
            self.event().await;
            self.look();
        }
    }

    /// Phase two: nothing fails any more, and one owner stays for each partition.
    pub(super) async fn heal(&mut self, start: Start<'_>) -> Left {
        self.calm();
        self.leave_one_each(start).await;
        self.tell_everyone_the_time().await;
        if !self.comes_to_rest().await {
            let lags: Vec<_> = (0..self.plan.partitions).map(|p| self.bus.lag(p)).collect();
            let complaint = format!("no progress although nothing fails: {lags:?}");
            self.complaints.push(complaint);
        }
        self.look();
        for actor in &self.actors {
            actor.seat.stop.begin();
        }
        while self.end_one().await {}
        for subscriber in &mut self.subscribers {
            subscriber.read_on(&self.bus);
            self.complaints.append(&mut subscriber.complaints);
        }
        Left {
            history: history(&self.bus, self.plan.partitions),
            accepted: std::mem::take(&mut self.accepted),
            complaints: std::mem::take(&mut self.complaints),
        }
    }

    /// What befalls the house this turn.
    async fn fate(&mut self, start: Start<'_>) {
        let (plan, dice) = (self.plan, Arc::clone(&self.dice));
        if dice.happens(100) {
            self.bus.trouble.set(Weather::drawn(&dice));
            self.store.trouble.set(Weather::drawn(&dice));
        }
        if dice.happens(plan.kills) {
            self.kill();
        }
        if dice.happens(plan.rivals) {
            let partition = dice.within(0..u64::from(plan.partitions));
            self.seat(u32::try_from(partition).unwrap_or(0), start);
        }
        if dice.happens(100) {
            self.dismiss_rivals();
        }
        if dice.happens(plan.crashes) {
            self.store.crash();
        }
        if dice.happens(plan.flushes) {
            self.store.flush();
        }
        if dice.happens(plan.jumps) {
            self.set_a_clock();
        }
        if dice.happens(plan.revisions) {
            self.revise().await;
        }
        if dice.happens(plan.silences) {
            // Two that both believe to own a partition would take it from each other all the time.
            self.dismiss_rivals();
            self.calm();
            let minutes = dice.within(1..2_000);
            tokio::time::sleep(Duration::from_secs(minutes * 60)).await;
        }
        if dice.happens(100) {
            self.bus.compact();
        }
        for partition in 0..plan.partitions {
            let is_deserted = !self.actors.iter().any(|a| a.seat.partition == partition);
            if is_deserted && dice.happens(300) {
                self.seat(partition, start);
            }
        }
    }

    /// Something happens to people, and ingest tells the log.
    async fn event(&mut self) {
        let (dice, now) = (Arc::clone(&self.dice), self.clock.now());
        match dice.within(0..12) {
            0 => self.tell_everyone_the_time().await,
            1 => {
                let command = self.workload.command(&dice, now);
                let subject = command.target.owner(&command.tenant).hash();
                let input = Input::Command(command);
                self.append(vec![(subject, input_entry(input))]).await;
            }
            _ => {
                let happening = self.workload.next(&dice, now);
                let signals = happening.signals.into_iter();
                let entry = |signal: caerus_engine::signal::Signal| {
                    (signal.subject.hash(), input_entry(Input::Signal(signal)))
                };
                self.append(signals.map(entry).collect()).await;
            }
        }
    }

    async fn append(&mut self, entries: Vec<(SubjectHash, Entry)>) {
        let record = |(subject, entry): (SubjectHash, Entry)| NewRecord {
            topic: Topic::Signals,
            partition: subject.partition(self.plan.partitions),
            key: subject.0.to_be_bytes().to_vec(),
            value: entry.to_bytes().into(),
        };
        let records: Vec<_> = entries.into_iter().map(record).collect();
        if self.append_records(&records).await {
            let accepted = records.into_iter().map(|record| Accepted {
                partition: record.partition,
                value: record.value,
            });
            self.accepted.extend(accepted);
        }
    }

    async fn append_records(&self, records: &[NewRecord]) -> bool {
        for _ in 0..APPENDS_MAX {
            if self.bus.append(records.to_vec()).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    async fn tell_everyone(&mut self, entry: impl Fn(u32) -> Entry) {
        let record = |partition| NewRecord {
            topic: Topic::Signals,
            partition,
            key: Vec::new(),
            value: entry(partition).to_bytes().into(),
        };
        let records: Vec<_> = (0..self.plan.partitions).map(record).collect();
        self.append_records(&records).await;
    }

    async fn tell_everyone_the_time(&mut self) {
        let at = self.clock.now();
        self.tell_everyone(|_| Entry::Watermark {
            source_partition: 0,
            at,
        })
        .await;
    }

    async fn revise(&mut self) {
        self.revisions += 1;
        let name = format!("p-{}", self.revisions);
        let text = self.dice.pick(&POLICIES).copied().unwrap_or("");
        self.tell_everyone(|_| Entry::Policy(policy::revision(&name, text)))
            .await;
    }

    fn seat(&mut self, partition: u32, start: Start<'_>) {
        self.seats += 1;
        let (dice, seats) = (&self.dice, self.seats);
        let drift_ppm = i64::try_from(dice.within(0..2_000)).unwrap_or(0) - 1_000;
        let batch_lens = [1, 2, 7, 64];
        let seat = Seat {
            bus: Arc::clone(&self.bus),
            store: Arc::clone(&self.store),
            clock: Arc::new(SimClock::new(
                self.clock.now().since(super::clock::STARTS_AT),
                drift_ppm,
            )),
            partition,
            name: format!("owner-{seats}"),
            seed: self.seed.wrapping_mul(1_000).wrapping_add(seats),
            batch_len: dice.pick(&batch_lens).copied().unwrap_or(1),
            cache: match dice.happens(500) {
                true => CacheSize::One,
                false => CacheSize::All,
            },
            stop: Shutdown::new(),
        };
        let task = self.tasks.spawn(start(seat.clone()));
        self.actors.push(Actor { seat, task });
    }

    /// At whatever point it waits at; or, now and then, politely.
    fn kill(&mut self) {
        let count = u64::try_from(self.actors.len()).unwrap_or(0);
        let index = usize::try_from(self.dice.within(0..count)).unwrap_or(0);
        if index >= self.actors.len() {
            return;
        }
        let actor = self.actors.swap_remove(index);
        if self.dice.happens(250) {
            actor.seat.stop.begin();
        } else {
            actor.task.abort();
        }
    }

    fn calm(&self) {
        self.bus.trouble.set(Weather::CALM);
        self.store.trouble.set(Weather::CALM);
    }

    fn set_a_clock(&self) {
        let by_s = i64::try_from(self.dice.within(0..1_200)).unwrap_or(0) - 600;
        if let Some(actor) = self.dice.pick(&self.actors) {
            actor.seat.clock.jump(Span::seconds(by_s));
        }
    }

    /// Of those on one partition only the youngest stays.
    fn dismiss_rivals(&mut self) {
        for partition in 0..self.plan.partitions {
            let is_here = |actor: &mut Actor| actor.seat.partition == partition;
            let mut here: Vec<_> = self.actors.extract_if(.., is_here).collect();
            let youngest = here.pop();
            for rival in here {
                rival.seat.stop.begin();
            }
            self.actors.extend(youngest);
        }
    }

    async fn leave_one_each(&mut self, start: Start<'_>) {
        self.dismiss_rivals();
        for partition in 0..self.plan.partitions {
            if !self.actors.iter().any(|a| a.seat.partition == partition) {
                self.seat(partition, start);
            }
        }
        // Rivals that stop let go of their last batch first.
        tokio::time::sleep(Duration::from_secs(10)).await;
    }

    /// True once outputs are complete up to the end of every log, and stay so.
    async fn comes_to_rest(&mut self) -> bool {
        let mut calm = 0;
        let mut waited = Duration::ZERO;
        while calm < CALM_LOOKS && waited < HEALED_WITHIN {
            let look = Duration::from_secs(20);
            tokio::time::sleep(look).await;
            waited += look;
            let lags = (0..self.plan.partitions).map(|partition| self.bus.lag(partition));
            let is_done = lags.into_iter().all(|(completed, end)| completed >= end);
            calm = if is_done { calm + 1 } else { 0 };
        }
        calm >= CALM_LOOKS
    }

    /// Subscribers read on, and whoever ended is looked at.
    fn look(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            self.note_end(ended);
        }
        for subscriber in &mut self.subscribers {
            if self.dice.happens(100) {
                subscriber.start_over();
            }
            if self.dice.happens(600) {
                subscriber.read_on(&self.bus);
            }
        }
    }

    async fn end_one(&mut self) -> bool {
        match self.tasks.join_next().await {
            Some(ended) => {
                self.note_end(ended);
                true
            }
            None => false,
        }
    }

    fn note_end(&mut self, ended: Result<Result<(), String>, tokio::task::JoinError>) {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.complaints.push(format!("an owner gave up: {error}")),
            Err(error) if error.is_cancelled() => {}
            Err(error) => self.complaints.push(format!("an owner panicked: {error}")),
        }
    }
}

fn input_entry(input: Input) -> Entry {
    Entry::Input { input, extra: None }
}
