//! The scenes of the demo: somebody of the cast at work, then what happens to them, then the way back in.

use super::CAST;
use crate::act::{Act, Client, Deed, LoginResult, Presence, Proof, SessionRef, Who};
use crate::app::Station;
use crate::atlas::Class;
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

/// A place in the programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Always(Play),
    /// An attack on everybody, another one every round: it leaves the whole organisation on its guard for a while.
    Assault,
}

/// The plays in their order, each with the time until the next begins: the first two at once, for those who have just
/// started to watch. *Units*: seconds.
static PLAYS: &[(Number, i64)] = &[
    (Number::Always(Play::Attack(Attack::TokenTheft)), 4),
    (Number::Always(Play::Attack(Attack::StolenPassword)), 8),
    (Number::Always(Play::NewLaptop), 16),
    (Number::Always(Play::Attack(Attack::Malware)), 14),
    (Number::Always(Play::Attack(Attack::MfaFatigue)), 26),
    (Number::Always(Play::Attack(Attack::ImpossibleTravel)), 16),
    (Number::Always(Play::Attack(Attack::Insider)), 22),
    (Number::Always(Play::Attack(Attack::TokenTheftNearby)), 16),
    (Number::Always(Play::Attack(Attack::Mimic)), 16),
    (Number::Assault, 30),
];
static ASSAULTS: &[Attack] = &[Attack::Stuffing, Attack::Spray];
/// Added between two plays once all have been seen. *Units*: seconds.
const LATER_PAUSE: i64 = 12;

/// Per mille of the working days: who is at the office more often is there today.
const OFTEN: u32 = 400;
/// Per mille of the working days: who is at the office less often hardly ever is.
const SELDOM: u32 = 100;

/// How long after a scene the next one begins. *Units*: milliseconds.
pub(super) fn length(number: u64) -> i64 {
    let (_, seconds) = play(number);
    let pause = if round(number) == 0 { 0 } else { LATER_PAUSE };
    (seconds + pause) * SECOND
}

fn round(number: u64) -> u64 {
    number / u64::try_from(PLAYS.len()).unwrap_or(1).max(1)
}

fn play(number: u64) -> (Play, i64) {
    let otherwise = (Number::Always(Play::NewLaptop), 16);
    let (place, seconds) = nth(PLAYS, number).unwrap_or(otherwise);
    let play = match place {
        Number::Always(play) => play,
        Number::Assault => Play::Attack(nth(ASSAULTS, round(number)).unwrap_or(Attack::Stuffing)),
    };
    (play, seconds)
}

/// Round and round a table.
fn nth<T: Copy>(table: &[T], number: u64) -> Option<T> {
    let rows = u64::try_from(table.len()).ok()?;
    let row = usize::try_from(number.checked_rem(rows)?).ok()?;
    table.get(row).copied()
}

/// The cast, and what has become of their laptops.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) day: i64,
    /// How many laptops each of the cast has lost to malware or left behind for a new one.
    replaced: Vec<i64>,
    /// Who was on in the last scenes.
    recent: [u32; 4],
}

impl Stage {
    pub(super) fn new(world: World, day: i64) -> Self {
        Self {
            world,
            day,
            replaced: (0..CAST).map(|_| 0).collect(),
            recent: [u32::MAX; 4],
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
        let Some(person) = self.actor(play, number) else {
            return Vec::new();
        };
        self.recent.rotate_right(1);
        if let Some(latest) = self.recent.first_mut() {
            *latest = person.index;
        }
        match play {
            Play::Attack(attack) => self.attack(attack, &person, at, self.draws("scene", number)),
            Play::NewLaptop => self.new_laptop(&person, number, at),
        }
    }

    /// Whose turn it is: the cast go by turns; those whom the play fits, and who were not just on, go first.
    fn actor(&self, play: Play, number: u64) -> Option<Person> {
        let first = u32::try_from(number % u64::from(CAST)).unwrap_or(0);
        let cast: Vec<Person> = (0..CAST)
            .map(|step| self.world.person((first + step) % CAST))
            .filter(|person| person.role.station == Station::OwnLaptop && !person.hides())
            .filter(|person| matches!(person.whereabouts(self.day), Whereabouts::Home))
            .collect();
        cast.into_iter().min_by_key(|person| {
            (
                self.recent.contains(&person.index),
                self.misfit(play, number, person),
            )
        })
    }

    /// How badly somebody suits a play.
    fn misfit(&self, play: Play, number: u64, person: &Person) -> u8 {
        let is_likely = match play {
            // Who sits at an office may be anywhere; a home has a place, best for those who are never elsewhere.
            Play::Attack(Attack::ImpossibleTravel) => {
                let is_settled = self.is_at_home(person) && person.rhythm.office_pm < SELDOM;
                return if is_settled {
                    0
                } else {
                    1 + u8::from(!self.is_at_home(person))
                };
            }
            // Few have nothing but a password; so that it does not always hit the same, others slip too.
            Play::Attack(Attack::StolenPassword) if round(number) > 0 => true,
            Play::Attack(attack) => attack.fits(person),
            Play::NewLaptop => person.proof != Proof::Password,
        };
        u8::from(!is_likely)
    }

    fn is_at_home(&self, person: &Person) -> bool {
        let spot = self.client(person).map(|client| client.spot.network.class);
        spot == Some(Class::Residential)
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

    /// The first sign-in on a new laptop lacks the second factor, the next one, in the same session, has it. It is
    /// unpacked at a friend's at first, and where the owner always is once the organisation is on its guard.
    fn new_laptop(&self, person: &Person, number: u64, at: Moment) -> Vec<Act> {
        let mut draw = self.draws("scene", number);
        let Some(usual) = self.client(person) else {
            return Vec::new();
        };
        let gadget = Gadget {
            device: Some(draw.word()),
            ..Gadget::unnamed(draw.weighted(LAPTOPS), at, &mut draw)
        };
        let spot = match round(number) {
            0 => person.friends_spot(&mut draw),
            _ => usual.spot,
        };
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
        let spot = if works_at_office(person) {
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

fn works_at_office(person: &Person) -> bool {
    person.rhythm.office_pm > OFTEN
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
