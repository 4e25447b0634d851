//! What was before the demo: weeks of the cast's lives, and a few mornings of everybody else's.

use std::iter::Peekable;
use std::vec::IntoIter;

use caerus_wire::event::NativeEvent;

use super::{CAST, HISTORY_DAYS, visit};
use crate::act::{Act, Deed, LoginResult, SessionRef, Who};
use crate::day;
use crate::form::{Form, Place, Thread};
use crate::moment::{DAY, HOUR, MINUTE, Moment};
use crate::organisation::{Events, Organisation};
use crate::world::World;

/// Mornings on which colleagues were seen, today's among them.
const MORNINGS: i64 = 3;

/// The events before a demo's start, earliest first.
#[derive(Debug)]
pub struct History {
    form: Form,
    cast: Peekable<Events>,
    colleagues: Peekable<IntoIter<(Act, Place)>>,
}

impl History {
    pub(super) fn new(cast: &Organisation, world: &World, start: Moment) -> Self {
        let mut acts: Vec<(Act, Place)> = (CAST..world.users)
            .flat_map(|index| mornings(world, index, start))
            .collect();
        acts.sort_by_key(|(act, place)| (act.at, *place));
        Self {
            form: cast.form().clone(),
            cast: cast.events().peekable(),
            colleagues: acts.into_iter().peekable(),
        }
    }
}

impl Iterator for History {
    type Item = NativeEvent;

    fn next(&mut self) -> Option<NativeEvent> {
        let is_cast = match (self.cast.peek(), self.colleagues.peek()) {
            (Some(event), Some((act, _))) => event.time.0 <= act.at.0,
            (event, _) => event.is_some(),
        };
        if is_cast {
            return self.cast.next();
        }
        let (act, place) = self.colleagues.next()?;
        Some(self.form.event(place, &act))
    }
}

/// A colleague signs in at the usual place on the usual device, and looks at one thing.
fn mornings(world: &World, index: u32, start: Moment) -> Vec<(Act, Place)> {
    let person = world.person(index);
    let who = Who::Person(index);
    let Some(client) = visit::usual(&person, world) else {
        return Vec::new();
    };
    let mut acts = Vec::new();
    for ago in 0..MORNINGS {
        let day = i64::from(HISTORY_DAYS) - ago;
        let mut draw = person.draws(day, "morning");
        let at = start + -ago * DAY + -draw.between(5 * MINUTE, 3 * HOUR);
        let session = SessionRef {
            name: draw.word(),
            issued_at: at,
        };
        let result = LoginResult::Granted(session);
        let login = Deed::Login {
            client,
            result,
            proof: person.proof,
        };
        let request = day::request(&person, &mut draw);
        let look = Deed::Access {
            client,
            session,
            request,
        };
        let looked_at = at + draw.between(MINUTE, 3 * MINUTE);
        let thread = Thread::Day { person: index, day };
        for (serial, (at, deed)) in (0..).zip([(at, login), (looked_at, look)]) {
            acts.push((
                Act {
                    at,
                    who,
                    attack: None,
                    deed,
                },
                Place { thread, serial },
            ));
        }
    }
    acts
}
