//! A colleague's visit: signs in, looks at a few things, perhaps signs out. Knows no attack.

use super::{CAST, COLLEAGUES, HISTORY_DAYS};
use crate::act::{
    Act, Change, Check, Client, Deed, DeviceState, LoginResult, Protection, SessionRef, Who,
};
use crate::day;
use crate::draw::Draw;
use crate::gadget::Kind;
use crate::moment::{Moment, SECOND};
use crate::person::{Person, Slot};
use crate::world::World;

/// The acts of the visit with this number, beginning at `at`.
pub(super) fn plan(world: &World, number: u64, at: Moment) -> Vec<Act> {
    let turn = u32::try_from(number % u64::from(COLLEAGUES)).unwrap_or(0);
    let person = world.person(CAST + turn);
    let branch = i64::try_from(number).unwrap_or(i64::MAX);
    let mut draw = world.seed.draws("visit", branch);
    let Some(client) = usual(&person, world) else {
        return Vec::new();
    };
    let who = Who::Person(person.index);
    let session = SessionRef {
        name: draw.word(),
        issued_at: at,
    };
    let mut acts = Vec::new();
    let mut push = |at, deed| {
        acts.push(Act {
            at,
            who,
            attack: None,
            deed,
        })
    };
    if client.gadget.model.kind == Kind::Laptop && draw.chance(300) {
        push(at, healthy(client, &mut draw));
    }
    let result = LoginResult::Granted(session);
    push(
        at,
        Deed::Login {
            client,
            result,
            proof: person.proof,
        },
    );
    let mut then = at + SECOND;
    for _ in 0..2 + draw.below(4) {
        then = then + draw.wait(3 * SECOND);
        let request = day::request(&person, &mut draw);
        push(
            then,
            Deed::Access {
                client,
                session,
                request,
            },
        );
    }
    if draw.chance(500) {
        then = then + SECOND + draw.wait(2 * SECOND);
        push(
            then,
            Deed::Session {
                client,
                session,
                change: Change::Ended,
            },
        );
    }
    acts
}

/// Where a colleague always is, and with what.
pub(super) fn usual(person: &Person, world: &World) -> Option<Client> {
    let day = i64::from(HISTORY_DAYS);
    let gadget = person.gadget(Slot::Desk, day, &world.calendar)?;
    let spot = if person.rhythm.office_pm >= 500 {
        person.office_spot()
    } else {
        person.home_spot(day)
    };
    Some(Client { gadget, spot })
}

/// A report in which all is well.
fn healthy(client: Client, draw: &mut Draw) -> Deed {
    let state = DeviceState {
        firewall: Check::Passed,
        protection: Protection::Running,
        patch_age_days: draw.below(30),
        alert: None,
    };
    Deed::Health {
        gadget: client.gadget,
        state,
    }
}
