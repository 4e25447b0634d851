//! Gateways and enforcement points of one simulation: started, killed, brought back, and looked at when all is well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use caerus_engine::time::{Span, Timestamp};
use caerus_runtime::port::{Bus, Topic};
use caerus_runtime::shutdown::Shutdown;
use caerus_wire::decision::PublicDecision;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use crate::canary::Canary;
use crate::sim::Plan;
use crate::sim::bus::SimBus;
use crate::sim::clock::{STARTS_AT, SimClock};
use crate::sim::gateway::{self, Bounds, Post};
use crate::sim::point::{Identity, Last, Point};
use crate::sim::scene::{Mood, Open, Scene, Witnessed};
use crate::sim::trouble::Dice;
use crate::sim::window::Window;

/// How far any gateway's clock is from ingest's when it starts. *Units*: milliseconds.
const CLOCK_OFF_MS_MAX: u64 = 120_000;
/// Decisions that end within it may be over by one clock and not by another.
const CLOCK_MARGIN: Span = Span::minutes(5);
/// How old a promise may be once nothing fails any more.
const PROMISE_AGE_MAX: Span = Span::seconds(60);
/// Until points that lag have noticed that all are going.
const LEAVING: Duration = Duration::from_secs(40);
/// Until whoever waits to come back has come, and was told how far all is evaluated.
const GATHERING: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Gate {
    stop: Shutdown,
    task: AbortHandle,
}

/// All that concerns streams.
#[derive(Debug)]
pub(super) struct Streaming {
    plan: Plan,
    seed: u64,
    canary: Option<Canary>,
    dice: Arc<Dice>,
    bus: Arc<SimBus>,
    scene: Arc<Scene>,
    /// *Shape*: one for each gateway; `None` where it is down.
    gates: Vec<Option<Gate>>,
    loops: JoinSet<Result<(), String>>,
    points: JoinSet<Last>,
    starts: u64,
    complaints: Vec<String>,
}

impl Streaming {
    pub(super) fn new(seed: u64, plan: Plan, bus: &Arc<SimBus>, canary: Option<Canary>) -> Self {
        let dice = bus.dice();
        let scene = Scene::new(Arc::clone(bus), Arc::clone(&dice), plan.gateways);
        Self {
            plan,
            seed,
            canary,
            dice,
            bus: Arc::clone(bus),
            scene: Arc::new(scene),
            gates: (0..plan.gateways).map(|_| None).collect(),
            loops: JoinSet::new(),
            points: JoinSet::new(),
            starts: 0,
            complaints: Vec::new(),
        }
    }

    /// Points come to life; the gateways they look for may not be there yet.
    pub(super) fn populate(&mut self) {
        for number in 0..self.plan.points {
            let wishes = [None, None, Some("acme"), Some("blue")];
            let wish = self.dice.pick(&wishes).copied().flatten();
            let identity = Identity {
                name: format!("point-{number}"),
                wish: wish.map(str::to_owned),
                partitions: self.plan.partitions,
                canary: self.canary,
            };
            let point = Point::new(identity, Arc::clone(&self.scene));
            self.points.spawn(point.live());
        }
    }

    /// What befalls the gateways this turn.
    pub(super) fn fate(&mut self, ingest_time: Timestamp, open: gateway::Open<'_>) {
        let dice = Arc::clone(&self.dice);
        if dice.happens(self.plan.outages) {
            let number = dice.within(0..u64::from(self.plan.gateways));
            self.stop(usize::try_from(number).unwrap_or(0));
        }
        for number in 0..self.gates.len() {
            let is_down = self.gates.get(number).is_some_and(Option::is_none);
            if is_down && dice.happens(400) {
                self.start(number, ingest_time, open);
            }
        }
        while let Some(ended) = self.loops.try_join_next() {
            self.note_end(ended);
        }
    }

    /// At whatever point it waits at; or, now and then, politely.
    fn stop(&mut self, number: usize) {
        let Some(gate) = self.gates.get_mut(number).and_then(Option::take) else {
            return;
        };
        if self.dice.happens(250) {
            self.scene.close(number);
            gate.stop.begin();
        } else {
            gate.task.abort();
            self.scene.cut(number);
        }
    }

    fn start(&mut self, number: usize, ingest_time: Timestamp, open: gateway::Open<'_>) {
        self.starts += 1;
        let dice = &self.dice;
        let ms = |max: u64| i64::try_from(dice.within(0..2 * max + 1)).unwrap_or(0);
        let half = |max: u64| i64::try_from(max).unwrap_or(0);
        let off = Span(ms(CLOCK_OFF_MS_MAX) - half(CLOCK_OFF_MS_MAX));
        let drift_ppm = ms(1_000) - 1_000;
        let clock = Arc::new(SimClock::new(
            (ingest_time + off).since(STARTS_AT),
            drift_ppm,
        ));
        let stop = Shutdown::new();
        let window = Window::new(Arc::clone(&self.bus), Arc::clone(dice), self.canary);
        let opened = open(Post {
            bus: Arc::new(window) as Arc<dyn Bus>,
            clock: Arc::clone(&clock),
            seed: self.seed.wrapping_mul(1_000).wrapping_add(self.starts),
            bounds: Bounds::drawn(dice),
            stop: stop.clone(),
        });
        let running = opened.running;
        let asked = stop.clone();
        let task = self.loops.spawn(async move {
            let ended = running.await;
            // What a bus that is away does not take in at the end is told anew by the next connection.
            if asked.is_begun() { Ok(()) } else { ended }
        });
        if let Some(gate) = self.gates.get_mut(number) {
            *gate = Some(Gate { stop, task });
        }
        let door = opened.door;
        self.scene.open(number, Open { door, clock });
    }

    /// Everybody has left when this returns, and comes back when called.
    pub(super) async fn send_away(&self) {
        self.scene.set_mood(Mood::Away);
        tokio::time::sleep(LEAVING).await;
    }

    pub(super) fn call_back(&self) {
        self.scene.set_mood(Mood::Restless);
    }

    /// All gateways stand, all points stay.
    pub(super) fn settle(&mut self, ingest_time: Timestamp, open: gateway::Open<'_>) {
        for number in 0..self.gates.len() {
            if self.gates.get(number).is_some_and(Option::is_none) {
                self.start(number, ingest_time, open);
            }
        }
        self.scene.set_mood(Mood::Steady);
    }

    pub(super) async fn gather(&self) {
        tokio::time::sleep(GATHERING).await;
    }

    /// Ends it all. *Returns*: what was witnessed, with complaints where a point lacks what is in force or was not told
    /// that everything is evaluated.
    pub(super) async fn finish(&mut self, now: Timestamp) -> Witnessed {
        self.scene.set_mood(Mood::Over);
        let mut lasts = Vec::new();
        while let Some(ended) = self.points.join_next().await {
            match ended {
                Ok(last) => lasts.push(last),
                Err(error) => self.complaints.push(format!("a point panicked: {error}")),
            }
        }
        for gate in self.gates.iter().flatten() {
            gate.stop.begin();
        }
        while let Some(ended) = self.loops.join_next().await {
            self.note_end(ended);
        }
        let in_force = self.in_force(now);
        for last in &lasts {
            self.check_picture(last, &in_force, now);
            self.check_promised(last, now);
        }
        let mut witnessed = self.scene.take_witnessed();
        witnessed.complaints.append(&mut self.complaints);
        witnessed
    }

    fn check_promised(&mut self, last: &Last, now: Timestamp) {
        let is_young = |until: Timestamp| now.since(until) <= PROMISE_AGE_MAX;
        if !last.until.is_some_and(is_young) {
            let (name, until) = (&last.name, last.until.map(|until| until.0));
            self.complaints.push(format!(
                "evaluated_until: {name} was last told {until:?} although nothing fails at {}",
                now.0
            ));
        }
    }

    /// The last word on each target, where it is neither over nor about to be.
    fn in_force(&self, now: Timestamp) -> BTreeMap<String, Option<PublicDecision>> {
        let mut last = BTreeMap::new();
        for number in 0..self.plan.partitions {
            for record in self.bus.history(Topic::Decisions, number) {
                let key = String::from_utf8_lossy(&record.key).into_owned();
                let decision = PublicDecision::parse(&record.value).ok();
                let lives = |decision: &PublicDecision| decision.expires_at > now + CLOCK_MARGIN;
                last.insert(key, decision.filter(lives));
            }
        }
        last
    }

    /// Every point ends up with exactly what is in force.
    fn check_picture(
        &mut self,
        last: &Last,
        in_force: &BTreeMap<String, Option<PublicDecision>>,
        now: Timestamp,
    ) {
        let name = &last.name;
        for (key, decision) in in_force {
            let is_wished = |decision: &&PublicDecision| {
                last.wish
                    .as_ref()
                    .is_none_or(|wish| *wish == decision.tenant)
            };
            let wanted = decision.as_ref().filter(is_wished);
            let wanted = wanted.map(|decision| decision.generation);
            let held = last.picture.get(key).map(|held| held.generation);
            if wanted.is_some() && wanted != held {
                self.complaints.push(format!(
                    "{name} ends up with {held:?} of {key}, {wanted:?} is in force"
                ));
            }
        }
        let living = last.picture.iter();
        let living = living.filter(|(_, held)| held.expires_at > now + CLOCK_MARGIN);
        for (key, _) in living.filter(|(key, _)| !in_force.contains_key(*key)) {
            self.complaints
                .push(format!("{name} holds {key}, on which nothing was decided"));
        }
    }

    fn note_end(&mut self, ended: Result<Result<(), String>, JoinError>) {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.complaints.push(format!("a gateway gave up: {error}")),
            Err(error) if error.is_cancelled() => {}
            Err(error) => self.complaints.push(format!("a gateway panicked: {error}")),
        }
    }
}
