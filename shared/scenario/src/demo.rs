//! A script for watching: some weeks of history for a small cast, then a live stream in which they are attacked, one
//! after the other, among the ordinary traffic of their colleagues. Knows no clock: it is told when it begins, and
//! says how long to wait.

mod history;
mod scene;
mod visit;

use std::collections::BTreeMap;
use std::time::Duration;

use caerus_wire::Timestamp;
use caerus_wire::event::NativeEvent;

use crate::act::Act;
use crate::form::{Form, Place, Thread};
use crate::moment::{DAY, HOUR, Moment, SECOND};
use crate::organisation::{Config, Organisation};

use crate::person::Calendar;
use crate::seed::Seed;
use crate::world::{World, run_name};
pub use history::History;
use scene::Stage;

/// People with a history, who are attacked.
const CAST: u32 = 24;
/// People known by a few mornings only, whose ordinary traffic fills the stream.
const COLLEAGUES: u32 = 400;
/// *Units*: days of history.
const HISTORY_DAYS: u32 = 18;
/// What the cast's clocks show when the demo begins, in UTC: the working day has begun wherever most of them are.
const CURTAIN: i64 = 10 * HOUR;
/// The cast's day of the week when the demo begins, from Monday: so that people are at work.
const WEDNESDAY: i64 = 2;
/// *Units*: milliseconds between two colleagues' visits, in the mean; a visit has about five events.
const VISIT_EVERY: i64 = 1_100;

/// The demo's script.
#[derive(Clone, Debug)]
pub struct Demo {
    seed: u64,
    tenant: String,
    calendar: Calendar,
    cast: Organisation,
}

/// One event of the live stream, and when it is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Cue {
    /// After the cue before it; after the beginning for the first.
    pub delay: Duration,
    /// Dated by the beginning and all delays so far.
    pub event: NativeEvent,
}

impl Demo {
    /// The script for a demo whose history ends at `start`.
    pub fn new(seed: u64, start: Timestamp, tenant: &str) -> Self {
        let days = i64::from(HISTORY_DAYS);
        let begin = start.0 - days * DAY;
        let zero = Moment(begin) + -CURTAIN;
        let weekday = (zero.day() + days + 3).rem_euclid(7);
        let calendar = Calendar {
            zero,
            week_shift: WEDNESDAY - weekday,
        };
        let config = Config {
            seed,
            users: CAST,
            days: HISTORY_DAYS,
            start: Timestamp(begin),
            tenant: tenant.to_owned(),
            attacks: Vec::new(),
        };
        let cast = Organisation::on_calendar(config, calendar);
        Self {
            seed,
            tenant: tenant.to_owned(),
            calendar,
            cast,
        }
    }

    /// What happened before the start, earliest first, to be taken in as backfill. *Bounds*: below 8,000 events.
    pub fn history(&self) -> History {
        History::new(
            &self.cast,
            &self.world(),
            self.calendar.zero + self.curtain(),
        )
    }

    /// Cast and colleagues.
    fn world(&self) -> World {
        World {
            seed: Seed::root(self.seed),
            users: CAST + COLLEAGUES,
            calendar: self.calendar,
        }
    }

    /// From the calendar's beginning to the start.
    fn curtain(&self) -> i64 {
        i64::from(HISTORY_DAYS) * DAY + CURTAIN
    }

    /// The live stream from `beginning` on, the start or a little later: without an end, in bounded memory.
    pub fn live(&self, beginning: Timestamp) -> Live {
        let begin = Moment(beginning.0);
        let run = run_name(self.seed, begin, &self.tenant);
        let world = self.world();
        Live {
            form: Form::new(&self.tenant, run),
            stage: Stage::new(world, i64::from(HISTORY_DAYS)),
            pending: BTreeMap::new(),
            visit: Turn {
                number: 0,
                at: begin,
            },
            scene: Turn {
                number: 0,
                at: begin + SECOND,
            },
            last: begin,
        }
    }
}

/// The live stream of a demo.
#[derive(Debug)]
pub struct Live {
    form: Form,
    stage: Stage,
    /// What has been planned and not yet been told: some visits and a few scenes.
    pending: BTreeMap<(Moment, Place), Act>,
    visit: Turn,
    scene: Turn,
    last: Moment,
}

/// What comes next of its kind, and when.
#[derive(Clone, Copy, Debug)]
struct Turn {
    number: u64,
    at: Moment,
}

impl Live {
    fn plan_visit(&mut self) {
        let turn = self.visit;
        let acts = visit::plan(&self.stage.world, turn.number, turn.at);
        self.keep(Thread::Visit(turn.number), acts);
        let wait = self
            .stage
            .draws("visit wait", turn.number)
            .wait(VISIT_EVERY);
        self.visit = Turn {
            number: turn.number + 1,
            at: turn.at + 1 + wait,
        };
    }

    fn plan_scene(&mut self) {
        let turn = self.scene;
        let acts = self.stage.scene(turn.number, turn.at);
        self.keep(Thread::Scene(turn.number), acts);
        self.scene = Turn {
            number: turn.number + 1,
            at: turn.at + scene::length(turn.number),
        };
    }

    fn keep(&mut self, thread: Thread, mut acts: Vec<Act>) {
        acts.sort_by_key(|act| act.at);
        for (serial, act) in (0..).zip(acts) {
            self.pending.insert((act.at, Place { thread, serial }), act);
        }
    }
}

impl Live {
    fn plan_next(&mut self) {
        if self.visit.at <= self.scene.at {
            self.plan_visit();
        } else {
            self.plan_scene();
        }
    }

    /// True when nothing that is still to be planned can come before the first of what is planned.
    fn is_settled(&self) -> bool {
        let horizon = self.visit.at.min(self.scene.at);
        self.pending
            .first_key_value()
            .is_some_and(|((at, _), _)| *at < horizon)
    }
}

impl Iterator for Live {
    type Item = Cue;

    fn next(&mut self) -> Option<Cue> {
        while !self.is_settled() {
            self.plan_next();
        }
        let ((at, place), act) = self.pending.pop_first()?;
        let delay_ms = u64::try_from(at.0 - self.last.0).unwrap_or(0);
        self.last = at;
        let event = self.form.event(place, &act);
        Some(Cue {
            delay: Duration::from_millis(delay_ms),
            event,
        })
    }
}

#[cfg(test)]
mod tests;
