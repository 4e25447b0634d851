//! The scenes of the demo: somebody of the cast at work, then what happens to them, then the way back in.

use super::CAST;
use crate::act::{Act, Client, Deed, LoginResult, Presence, Proof, SessionRef, Who};
use crate::app::Station;
use crate::attack::{Attack, Strike, Tempo};
use crate::day;
use crate::draw::Draw;
use crate::gadget::{Gadget, LAPTOPS};
use crate::moment::{Moment, SECOND};
use crate::person::{Person, Slot, Whereabouts};
use crate::world::World;

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Play {
    Attack(Attack),
    /// No attack: a new laptop, at first without the second factor, then with it.
    NewLaptop,
}

/// The plays in their order, each with the time until the next begins: the first two at once, for those who have just
/// started to watch. *Units*: seconds.
static PLAYS: &[(Play, i64)] = &[
    (Play::Attack(Attack::TokenTheft), 4),
    (Play::Attack(Attack::StolenPassword), 12),
    (Play::Attack(Attack::Malware), 14),
    (Play::Attack(Attack::MfaFatigue), 22),
    (Play::NewLaptop, 16),
    (Play::Attack(Attack::ImpossibleTravel), 16),
    (Play::Attack(Attack::Stuffing), 24),
    (Play::Attack(Attack::Insider), 22),
    (Play::Attack(Attack::TokenTheftNearby), 16),
    (Play::Attack(Attack::Spray), 30),
    (Play::Attack(Attack::Mimic), 16),
];
/// Added between two plays once all have been seen. *Units*: seconds.
const LATER_PAUSE: i64 = 12;

/// How long after a scene the next one begins. *Units*: milliseconds.
pub(super) fn length(number: u64) -> i64 {
    let (_, seconds) = play(number);
    let rounds = u64::try_from(PLAYS.len()).unwrap_or(1);
    let pause = if number < rounds { 0 } else { LATER_PAUSE };
    (seconds + pause) * SECOND
}

fn play(number: u64) -> (Play, i64) {
    let rounds = u64::try_from(PLAYS.len()).unwrap_or(1).max(1);
    let index = usize::try_from(number % rounds).unwrap_or(0);
    PLAYS.get(index).copied().unwrap_or((Play::NewLaptop, 16))
}

/// The cast, and what has become of their laptops.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) day: i64,
    /// How many laptops each of the cast has lost to malware or left behind for a new one.
    replaced: Vec<i64>,
}

impl Stage {
    pub(super) fn new(world: World, day: i64) -> Self {
        Self {
            world,
            day,
            replaced: (0..CAST).map(|_| 0).collect(),
        }
    }

    pub(super) fn draws(&self, name: &str, number: u64) -> Draw {
        self.world
            .seed
            .draws(name, i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// The acts of the scene with this number, beginning at `at`.
    pub(super) fn scene(&mut self, number: u64, at: Moment) -> Vec<Act> {
        let (play, _) = play(number);
        let draw = self.draws("scene", number);
        let Some(person) = self.actor(play, number) else {
            return Vec::new();
        };
        match play {
            Play::Attack(attack) => self.attack(attack, &person, at, draw),
            Play::NewLaptop => self.new_laptop(&person, at, draw),
        }
    }

    /// Whose turn it is: the cast go by turns, those left out whom the play does not fit.
    fn actor(&self, play: Play, number: u64) -> Option<Person> {
        let first = u32::try_from(number % u64::from(CAST)).unwrap_or(0);
        (0..CAST)
            .map(|step| self.world.person((first + step) % CAST))
            .find(|person| {
                let fits = match play {
                    Play::Attack(attack) => attack.fits(person),
                    Play::NewLaptop => true,
                };
                let is_home = matches!(person.whereabouts(self.day), Whereabouts::Home);
                fits && is_home && person.role.station == Station::OwnLaptop
            })
    }

    /// Somebody works, is attacked, and signs in anew.
    fn attack(&mut self, attack: Attack, person: &Person, at: Moment, draw: Draw) -> Vec<Act> {
        let Some(client) = self.client(person) else {
            return Vec::new();
        };
        let mut story = Story {
            person,
            draw,
            acts: Vec::new(),
        };
        let foothold = story.signs_in(at, client, person.proof);
        story.uses(at + SECOND, foothold);
        story.uses(at + 5 * SECOND / 2, foothold);
        let strike = Strike {
            attack,
            victim: person,
            foothold,
            users: self.world.users,
            at: at + 4 * SECOND,
            tempo: Tempo::brisk(attack),
            draw: story.draw.clone(),
        };
        story.acts.extend(attack.strike(&strike));
        let over = story.acts.iter().map(|act| act.at).max().unwrap_or(at);
        if attack == Attack::Malware {
            self.replace(person);
        }
        if let Some(client) = self.client(person) {
            let anew = story.signs_in(over + 8 * SECOND, client, person.proof);
            story.uses(over + 10 * SECOND, anew);
        }
        story.acts
    }

    /// The first sign-in on a new laptop lacks the second factor, the next one, in the same session, has it.
    fn new_laptop(&mut self, person: &Person, at: Moment, mut draw: Draw) -> Vec<Act> {
        let Some(old) = self.client(person) else {
            return Vec::new();
        };
        let gadget = Gadget {
            device: Some(draw.word()),
            ..Gadget::unnamed(draw.weighted(LAPTOPS), at, &mut draw)
        };
        let spot = person.elsewhere(old.spot, &mut draw);
        let client = Client { gadget, spot };
        let mut story = Story {
            person,
            draw,
            acts: Vec::new(),
        };
        let first = story.signs_in(at, client, Proof::Password);
        story.uses(at + 2 * SECOND, first);
        let met = at + 11 * SECOND;
        let session = SessionRef {
            issued_at: met,
            ..first.session
        };
        let proof = if person.proof == Proof::Passkey {
            Proof::Passkey
        } else {
            Proof::Push
        };
        story.signs_in_as(met, Presence { session, client }, proof);
        story.uses(met + 2 * SECOND, Presence { session, client });
        story.acts
    }

    /// Where somebody of the cast works today, and on what.
    fn client(&self, person: &Person) -> Option<Client> {
        let mut gadget = person.gadget(Slot::Desk, self.day, &self.world.calendar)?;
        let replaced = usize::try_from(person.index)
            .ok()
            .and_then(|at| self.replaced.get(at))?;
        if *replaced > 0 {
            gadget.device = Some(person.seed.child("replacement", *replaced).name());
        }
        let is_in_office = person.rhythm.office_pm >= 500;
        let spot = if is_in_office {
            person.office_spot()
        } else {
            person.remote_spot(self.day)
        };
        Some(Client { gadget, spot })
    }

    fn replace(&mut self, person: &Person) {
        let at = usize::try_from(person.index).unwrap_or(usize::MAX);
        if let Some(replaced) = self.replaced.get_mut(at) {
            *replaced += 1;
        }
    }
}

/// What one person does in a scene.
struct Story<'a> {
    person: &'a Person,
    draw: Draw,
    acts: Vec<Act>,
}

impl Story<'_> {
    fn push(&mut self, at: Moment, deed: Deed) {
        self.acts.push(Act {
            at,
            who: Who::Person(self.person.index),
            attack: None,
            deed,
        });
    }

    fn signs_in(&mut self, at: Moment, client: Client, proof: Proof) -> Presence {
        let session = SessionRef {
            name: self.draw.word(),
            issued_at: at,
        };
        let presence = Presence { session, client };
        self.signs_in_as(at, presence, proof);
        presence
    }

    fn signs_in_as(&mut self, at: Moment, presence: Presence, proof: Proof) {
        let result = LoginResult::Granted(presence.session);
        self.push(
            at,
            Deed::Login {
                client: presence.client,
                result,
                proof,
            },
        );
    }

    fn uses(&mut self, at: Moment, presence: Presence) {
        let request = day::request(self.person, &mut self.draw);
        let Presence { session, client } = presence;
        self.push(
            at,
            Deed::Access {
                client,
                session,
                request,
            },
        );
    }
}

impl Tempo {
    /// At a pace that people like to watch.
    fn brisk(attack: Attack) -> Self {
        let (try_ms, tries) = match attack {
            Attack::Spray => (400, 45),
            _ => (150, 70),
        };
        Self {
            step_ms: 1_600,
            try_ms,
            tries,
            downloads: 60,
        }
    }
}
