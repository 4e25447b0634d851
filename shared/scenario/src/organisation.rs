//! The organisation as a stream of labelled events in time order. Memory grows with people, never with events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use caerus_wire::Timestamp;
use caerus_wire::event::NativeEvent;

use crate::act::Act;
use crate::attack::Attack;
use crate::form::{Form, Place, Thread};
use crate::moment::{DAY, Moment};
use crate::person::{Calendar, Person};
use crate::seed::Seed;
use crate::strikes::{Strikes, Window, dawn};
use crate::world::{World, run_name};

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Config {
    pub seed: u64,
    /// People; 0 counts as 1.
    pub users: u32,
    /// *Units*: days of 24 hours from `start`; 0 counts as 1.
    pub days: u32,
    pub start: Timestamp,
    pub tenant: String,
    /// Each is sure to happen at least once, on a working day of the second half, where there is one.
    pub attacks: Vec<Attack>,
}

/// A simulated organisation.
#[derive(Clone, Debug)]
pub struct Organisation {
    world: World,
    form: Form,
    strikes: Strikes,
    window: Window,
    days: i64,
}

impl Organisation {
    pub fn new(config: Config) -> Self {
        let start = Moment(config.start.0);
        let calendar = Calendar {
            zero: start.midnight(),
            week_shift: 0,
        };
        Self::on_calendar(config, calendar)
    }

    pub(crate) fn on_calendar(config: Config, calendar: Calendar) -> Self {
        let start = Moment(config.start.0);
        let days = i64::from(config.days.max(1));
        let window = Window {
            start,
            end: start + days * DAY,
        };
        let run = run_name(config.seed, start, &config.tenant);
        let world = World {
            seed: Seed::root(config.seed),
            users: config.users.max(1),
            calendar,
        };
        Self {
            strikes: Strikes::new(&config.attacks, days, window),
            form: Form::new(&config.tenant, run),
            world,
            window,
            days,
        }
    }

    /// How this run's events are written.
    pub(crate) fn form(&self) -> &Form {
        &self.form
    }

    /// Every event of the simulated time, earliest first.
    pub fn events(&self) -> Events {
        Events::new(self.clone())
    }
}

/// The events of an organisation, earliest first.
///
/// Holds for each person what is left of the day begun, in compact form, and the attacks under way.
#[derive(Debug)]
pub struct Events {
    organisation: Organisation,
    /// What comes next of each source, earliest first; sources at one moment go in their order.
    next: BinaryHeap<Reverse<(Moment, Source)>>,
    people: Vec<Diary>,
    strikes: BTreeMap<(i64, u32), Pending>,
    strike_day: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// The attacks of the next day are to be planned.
    Attackers,
    Person(u32),
    Strike(i64, u32),
}

/// A person with what is left of the days begun.
#[derive(Debug)]
struct Diary {
    person: Person,
    pending: Pending,
    next_day: i64,
}

/// Acts to come, the next one last.
type Pending = Vec<(Act, Place)>;

impl Events {
    fn new(organisation: Organisation) -> Self {
        let world = &organisation.world;
        // Where the sun rises early, day 0 has begun before midnight in UTC; where late, day -1 has not ended.
        let first_day = -1;
        let people: Vec<Diary> = (0..world.users)
            .map(|index| Diary {
                person: world.person(index),
                pending: Vec::new(),
                next_day: first_day,
            })
            .collect();
        let begin = dawn(world.calendar.zero, first_day);
        let sources = (0..world.users)
            .map(Source::Person)
            .chain([Source::Attackers]);
        let next = sources.map(|source| Reverse((begin, source))).collect();
        Self {
            next,
            people,
            strikes: BTreeMap::new(),
            strike_day: first_day,
            organisation,
        }
    }

    /// Takes the next act of a source whose turn it is, or plans its next day.
    fn turn(&mut self, at: Moment, source: Source) -> Option<(Act, Place)> {
        match source {
            Source::Attackers => {
                self.plan_strikes();
                None
            }
            Source::Person(index) => self.turn_person(at, index),
            Source::Strike(day, number) => self.turn_strike(day, number),
        }
    }

    fn turn_person(&mut self, at: Moment, index: u32) -> Option<(Act, Place)> {
        let world = &self.organisation.world;
        let diary = self.people.get_mut(usize::try_from(index).ok()?)?;
        let act = match diary.pending.last() {
            Some((act, _)) if act.at == at => diary.pending.pop(),
            _ => {
                diary.plan(world);
                None
            }
        };
        let dawn = dawn(world.calendar.zero, diary.next_day);
        let next = diary
            .pending
            .last()
            .map_or(dawn, |(act, _)| act.at.min(dawn));
        if next < self.organisation.window.end {
            self.next.push(Reverse((next, Source::Person(index))));
        }
        act
    }

    fn plan_strikes(&mut self) {
        let day = self.strike_day;
        let planned = self
            .organisation
            .strikes
            .of_day(&self.organisation.world, day);
        for (number, acts) in (0..).zip(planned) {
            let thread = Thread::Strike { day, number };
            let pending = numbered(acts, thread);
            if let Some((act, _)) = pending.last() {
                self.next
                    .push(Reverse((act.at, Source::Strike(day, number))));
                self.strikes.insert((day, number), pending);
            }
        }
        self.strike_day += 1;
        if self.strike_day < self.organisation.days {
            let at = dawn(self.organisation.world.calendar.zero, self.strike_day);
            self.next.push(Reverse((at, Source::Attackers)));
        }
    }

    fn turn_strike(&mut self, day: i64, number: u32) -> Option<(Act, Place)> {
        let pending = self.strikes.get_mut(&(day, number))?;
        let act = pending.pop();
        match pending.last() {
            Some((next, _)) => self
                .next
                .push(Reverse((next.at, Source::Strike(day, number)))),
            None => {
                self.strikes.remove(&(day, number));
            }
        }
        act
    }
}

impl Iterator for Events {
    type Item = NativeEvent;

    fn next(&mut self) -> Option<NativeEvent> {
        while let Some(Reverse((at, source))) = self.next.pop() {
            if at >= self.organisation.window.end {
                return None;
            }
            match self.turn(at, source) {
                Some((act, place)) if self.organisation.window.holds(act.at) => {
                    return Some(self.organisation.form.event(place, &act));
                }
                _ => {}
            }
        }
        None
    }
}

impl Diary {
    fn plan(&mut self, world: &World) {
        let (person, day) = (self.person.index, self.next_day);
        let acts = world.day(&self.person, day);
        self.pending
            .extend(numbered(acts, Thread::Day { person, day }));
        self.pending
            .sort_by_key(|(act, place)| Reverse((act.at, *place)));
        self.next_day += 1;
    }
}

/// Gives each act its place; the next one last.
fn numbered(acts: Vec<Act>, thread: Thread) -> Pending {
    let mut pending: Pending = (0..)
        .zip(acts)
        .map(|(serial, act)| (act, Place { thread, serial }))
        .collect();
    pending.reverse();
    pending
}

#[cfg(test)]
mod tests;
