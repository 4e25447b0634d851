//! An enforcement point: it comes to any gateway, lags, hangs up, forgets, comes back with its cursor, acknowledges; and
//! complains when it would have to hold an older decision than one it acknowledged. Knows no bus but to judge.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use caerus_engine::time::Timestamp;
use caerus_runtime::port::Clock;
use caerus_wire::decision::PublicDecision;
use caerus_wire::stream::{ClientFrame, Filter, Heartbeat, ServerFrame};

use super::gateway::Line;
use super::scene::{Mood, Open, Scene};
use crate::auditor::{Promise, is_over};
use crate::canary::Canary;

/// How long a silent gateway is listened to.
const PATIENCE: Duration = Duration::from_secs(30);

/// A decision as a point holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) generation: u64,
    pub(super) expires_at: Timestamp,
}

pub(super) type Picture = BTreeMap<String, Held>;

/// What survives of a point.
#[derive(Clone, Debug, Default)]
struct Memory {
    picture: Picture,
    cursor: Option<String>,
}

/// Who a point is.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) name: String,
    /// The one tenant it is for, if not for all.
    pub(super) wish: Option<String>,
    pub(super) partitions: u32,
    pub(super) canary: Option<Canary>,
}

/// One enforcement point.
#[derive(Debug)]
pub(super) struct Point {
    identity: Identity,
    scene: Arc<Scene>,
    memory: Memory,
    /// As it was when it last acknowledged: its saved picture, and what it must never fall behind.
    saved: Memory,
}

/// What a point knows of the stream it is on.
#[derive(Debug)]
struct Stream {
    gateway: Open,
    /// Parts of a snapshot that is not complete.
    parts: Vec<PublicDecision>,
    /// Sent here, by target.
    sent: BTreeMap<String, u64>,
    until: Option<Timestamp>,
    /// Not acknowledged.
    cursor: Option<String>,
    /// Decisions that came here.
    ids: Vec<String>,
}

/// Whether a stream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    On,
    Over,
}

impl Point {
    pub(super) fn new(identity: Identity, scene: Arc<Scene>) -> Self {
        Self {
            identity,
            scene,
            memory: Memory::default(),
            saved: Memory::default(),
        }
    }

    /// Until it is over. *Returns*: what it held at the end, and the last moment it was promised.
    pub(super) async fn live(mut self) -> Last {
        let mut until = None;
        loop {
            match self.scene.mood() {
                Mood::Over => break,
                Mood::Away => self.scene.mood_changed().await,
                Mood::Restless | Mood::Steady => until = self.visit().await,
            }
            let pause_ms = self.scene.dice.within(10..2_000);
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
        Last {
            name: self.identity.name,
            wish: self.identity.wish,
            picture: self.memory.picture,
            until,
        }
    }

    async fn visit(&mut self) -> Option<Timestamp> {
        let (gateway, broken) = self.scene.visit()?;
        let mut stream = Stream {
            gateway,
            parts: Vec::new(),
            sent: BTreeMap::new(),
            until: None,
            cursor: None,
            ids: Vec::new(),
        };
        tokio::select! {
            biased;
            _ = broken => {}
            () = self.converse(&mut stream) => {}
        }
        self.forget_some();
        stream.until
    }

    async fn converse(&mut self, stream: &mut Stream) {
        let Some(mut line) = stream.gateway.door.connect().await else {
            return;
        };
        if !line.say(self.hello()).await {
            return;
        }
        while let Ok(Some(text)) = tokio::time::timeout(PATIENCE, line.hear()).await {
            let course = match ServerFrame::parse(&text) {
                Ok(frame) => self.take(stream, frame),
                Err(error) => self.complain(format!("a frame cannot be read: {error}: {text}")),
            };
            if course == Course::Over || self.go_on(stream, line.as_mut()).await == Course::Over {
                return;
            }
        }
    }

    fn hello(&self) -> String {
        let cursor = match self.identity.canary {
            Some(Canary::ResumeLosesBetween) if self.memory.cursor.is_some() => {
                self.scene.foremost(&self.identity.wish)
            }
            _ => self.memory.cursor.clone(),
        };
        let hello = ClientFrame::Hello {
            client: self.identity.name.clone(),
            cursor,
            filter: Filter {
                tenants: self.identity.wish.iter().cloned().collect(),
                ..Filter::default()
            },
        };
        hello.to_json()
    }

    /// What it feels like after a frame.
    async fn go_on(&mut self, stream: &mut Stream, line: &mut dyn Line) -> Course {
        let dice = Arc::clone(&self.scene.dice);
        let is_calm = match self.scene.mood() {
            Mood::Over | Mood::Away => return Course::Over,
            Mood::Steady => true,
            Mood::Restless => false,
        };
        if !is_calm && dice.happens(30) {
            return Course::Over;
        }
        if !is_calm && dice.happens(30) {
            let lag_ms = dice.within(1..13_000);
            tokio::time::sleep(Duration::from_millis(lag_ms)).await;
        }
        if is_calm || dice.happens(700) {
            return self.acknowledge(stream, line).await;
        }
        Course::On
    }

    /// In force, then saved, then told.
    async fn acknowledge(&mut self, stream: &mut Stream, line: &mut dyn Line) -> Course {
        let Some(cursor) = stream.cursor.take() else {
            return Course::On;
        };
        self.memory.cursor = Some(cursor.clone());
        self.saved = self.memory.clone();
        let name = &self.identity.name;
        let ids = std::mem::take(&mut stream.ids).into_iter();
        let told = ids.map(|id| (name.clone(), id));
        self.scene.witness(|seen| seen.acknowledged.extend(told));
        match line.say(ClientFrame::Ack { cursor }.to_json()).await {
            true => Course::On,
            false => Course::Over,
        }
    }

    /// Between two streams: it goes on with what it has, or comes back from its saved picture, or from nothing.
    fn forget_some(&mut self) {
        if self.scene.mood() != Mood::Restless {
            return;
        }
        if self.scene.dice.happens(100) {
            self.memory = Memory::default();
        } else if self.scene.dice.happens(200) {
            self.memory = self.saved.clone();
        }
    }

    fn take(&mut self, stream: &mut Stream, frame: ServerFrame) -> Course {
        match frame {
            ServerFrame::Welcome { snapshot, .. } => self.scene.witness(|seen| match snapshot {
                true => seen.streams.snapshots += 1,
                false => seen.streams.resumed += 1,
            }),
            ServerFrame::Reload { .. } => {
                self.scene.witness(|seen| seen.streams.reloads += 1);
            }
            ServerFrame::Snapshot {
                decisions, cursor, ..
            } => {
                stream.parts.extend(decisions);
                if let Some(cursor) = cursor {
                    self.begin_anew(stream);
                    self.reach(stream, cursor);
                }
            }
            ServerFrame::Decision { cursor, decision } => {
                self.decide(stream, *decision);
                self.reach(stream, cursor);
            }
            ServerFrame::Heartbeat(heartbeat) => self.believe(stream, heartbeat),
            ServerFrame::Error { .. } => {
                self.scene.witness(|seen| seen.streams.ended += 1);
                return Course::Over;
            }
        }
        Course::On
    }

    fn reach(&self, stream: &mut Stream, cursor: String) {
        self.scene.note_cursor(&self.identity.wish, &cursor);
        stream.cursor = Some(cursor);
    }

    /// INV-2: a snapshot has nothing older than what was acknowledged; what it lacks is over.
    fn begin_anew(&mut self, stream: &mut Stream) {
        let parts = std::mem::take(&mut stream.parts);
        let mut picture = Picture::new();
        for decision in parts {
            self.check_wish(&decision);
            stream.sent.insert(decision.key(), decision.generation);
            stream.ids.push(decision.id.clone());
            picture.insert(decision.key(), held(&decision));
        }
        let now = stream.gateway.clock.now();
        for (key, acknowledged) in &self.saved.picture {
            let new = picture.get(key).map(|held| held.generation);
            let is_newer = new.is_some_and(|new| new >= acknowledged.generation);
            if !is_newer && acknowledged.expires_at > now && !self.is_over(key, acknowledged, now) {
                let generation = acknowledged.generation;
                self.complain(format!(
                    "INV-2: acknowledged {generation} of {key}, its snapshot has {new:?}"
                ));
            }
        }
        self.memory.picture = picture;
    }

    fn is_over(&self, key: &str, acknowledged: &Held, now: Timestamp) -> bool {
        let topic = caerus_runtime::port::Topic::Decisions;
        let all = (0..self.identity.partitions).map(|number| self.scene.bus.history(topic, number));
        all.into_iter()
            .any(|written| is_over(&written, key.as_bytes(), acknowledged.generation, now))
    }

    /// INV-1, INV-4: on one stream a target's generations rise; a point holds the greatest.
    fn decide(&mut self, stream: &mut Stream, decision: PublicDecision) {
        self.check_wish(&decision);
        stream.ids.push(decision.id.clone());
        let (key, generation) = (decision.key(), decision.generation);
        let before = stream.sent.insert(key.clone(), generation);
        if before.is_some_and(|before| before >= generation) {
            self.complain(format!("INV-4: {generation} of {key} after {before:?}"));
        }
        let known = self.memory.picture.get(&key);
        if known.is_none_or(|known| known.generation < generation) {
            self.memory.picture.insert(key, held(&decision));
        }
    }

    fn believe(&mut self, stream: &mut Stream, heartbeat: Heartbeat) {
        self.reach(stream, heartbeat.cursor);
        let Some(until) = heartbeat.evaluated_until else {
            return;
        };
        if stream.until.is_some_and(|before| before > until) {
            self.complain(format!("evaluated_until fell to {until:?} on one stream"));
        }
        if stream.until.is_some_and(|before| before >= until) {
            return;
        }
        stream.until = Some(until);
        let picture = self.memory.picture.iter();
        let promise = Promise {
            point: self.identity.name.clone(),
            tenant: self.identity.wish.clone(),
            until,
            gateway_time: stream.gateway.clock.now(),
            held: picture
                .map(|(key, held)| (key.clone(), held.generation))
                .collect(),
            ends: self.scene.ends(self.identity.partitions),
        };
        self.scene.witness(|seen| seen.promises.push(promise));
    }

    /// INV-10: a point that is for one tenant sees no other's decisions.
    fn check_wish(&self, decision: &PublicDecision) {
        let wish = self.identity.wish.as_ref();
        if wish.is_some_and(|wish| *wish != decision.tenant) {
            self.complain(format!("INV-10: was sent {}", decision.key()));
        }
    }

    fn complain(&self, what: String) -> Course {
        let complaint = format!("{}: {what}", self.identity.name);
        self.scene.witness(|seen| seen.complaints.push(complaint));
        Course::Over
    }
}

fn held(decision: &PublicDecision) -> Held {
    Held {
        generation: decision.generation,
        expires_at: decision.expires_at,
    }
}

/// How a point ended.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) name: String,
    pub(super) wish: Option<String>,
    pub(super) picture: Picture,
    /// The last moment it was promised, on its last stream.
    pub(super) until: Option<Timestamp>,
}
