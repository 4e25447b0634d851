//! What enforcement points share: which gateways stand open, how restless everybody is, what was witnessed. Knows no frame.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use caerus_runtime::port::Topic;
use tokio::sync::{Notify, oneshot};

use super::bus::SimBus;
use super::clock::SimClock;
use super::gateway::Door;
use super::trouble::Dice;
use crate::auditor::{Ends, Promise};

/// How enforcement points behave at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// They come, lag, hang up, forget, and come back.
    Restless,
    /// Nobody is there.
    Away,
    /// Whoever is there stays, and acknowledges at once.
    Steady,
    /// It is over.
    Over,
}

/// A gateway that stands open.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) door: Arc<dyn Door>,
    pub(super) clock: Arc<SimClock>,
}

#[derive(Debug)]
struct Place {
    open: Option<Open>,
    /// One for each line: dropped when the gateway is killed.
    lines: Vec<oneshot::Sender<()>>,
}

/// What was witnessed so far.
#[derive(Debug, Default)]
pub(super) struct Witnessed {
    pub(super) promises: Vec<Promise>,
    /// By client and decision.
    pub(super) acknowledged: BTreeSet<(String, String)>,
    pub(super) complaints: Vec<String>,
    pub(super) streams: Streams,
}

/// How often what a simulation should try was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    pub snapshots: usize,
    pub resumed: usize,
    pub reloads: usize,
    /// Ended by the gateway with an error.
    pub ended: usize,
}

impl Streams {
    pub fn add(&mut self, other: Self) {
        self.snapshots += other.snapshots;
        self.resumed += other.resumed;
        self.reloads += other.reloads;
        self.ended += other.ended;
    }
}

/// Shared by all points and the stage.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) dice: Arc<Dice>,
    pub(super) bus: Arc<SimBus>,
    state: Mutex<State>,
    /// Wakes in the order in which they wait.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    places: Vec<Place>,
    witnessed: Witnessed,
    /// By what is wished for: the cursor of whoever has come furthest. Only a canary hands it on.
    foremost: BTreeMap<Option<String>, String>,
}

impl Scene {
    pub(super) fn new(bus: Arc<SimBus>, dice: Arc<Dice>, gateways: u32) -> Self {
        let places = (0..gateways).map(|_| Place {
            open: None,
            lines: Vec::new(),
        });
        Self {
            dice,
            bus,
            state: Mutex::new(State {
                mood: Mood::Restless,
                places: places.collect(),
                witnessed: Witnessed::default(),
                foremost: BTreeMap::new(),
            }),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn mood(&self) -> Mood {
        self.state().mood
    }

    pub(super) fn set_mood(&self, mood: Mood) {
        self.state().mood = mood;
        self.changed.notify_waiters();
    }

    pub(super) async fn mood_changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn open(&self, number: usize, open: Open) {
        if let Some(place) = self.state().places.get_mut(number) {
            place.open = Some(open);
        }
    }

    /// Nobody new comes in; whoever is there is told by the gateway itself.
    pub(super) fn close(&self, number: usize) {
        if let Some(place) = self.state().places.get_mut(number) {
            place.open = None;
        }
    }

    /// Every line breaks at once.
    pub(super) fn cut(&self, number: usize) {
        let lines = self.state().places.get_mut(number).map(|place| {
            place.open = None;
            std::mem::take(&mut place.lines)
        });
        drop(lines);
    }

    /// Any gateway that stands open, and what breaks with the line.
    pub(super) fn visit(&self) -> Option<(Open, oneshot::Receiver<()>)> {
        let mut state = self.state();
        let standing = state.places.iter_mut().filter(|place| place.open.is_some());
        let mut standing: Vec<&mut Place> = standing.collect();
        let count = u64::try_from(standing.len()).ok().filter(|len| *len > 0)?;
        let chosen = usize::try_from(self.dice.within(0..count)).ok()?;
        let place = standing.get_mut(chosen)?;
        let (line, broken) = oneshot::channel();
        place.lines.retain(|line| !line.is_closed());
        place.lines.push(line);
        Some((place.open.clone()?, broken))
    }

    pub(super) fn witness(&self, what: impl FnOnce(&mut Witnessed)) {
        what(&mut self.state().witnessed);
    }

    pub(super) fn take_witnessed(&self) -> Witnessed {
        std::mem::take(&mut self.state().witnessed)
    }

    pub(super) fn note_cursor(&self, wish: &Option<String>, cursor: &str) {
        let cursor = cursor.to_owned();
        self.state().foremost.insert(wish.clone(), cursor);
    }

    pub(super) fn foremost(&self, wish: &Option<String>) -> Option<String> {
        self.state().foremost.get(wish).cloned()
    }

    /// Where the topics end at this moment.
    pub(super) fn ends(&self, partitions: u32) -> Ends {
        let decisions = (0..partitions).map(|number| self.bus.len(Topic::Decisions, number));
        Ends {
            decisions: decisions.collect(),
            reports: self.bus.len(Topic::Progress, 0),
        }
    }
}
