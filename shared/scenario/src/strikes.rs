//! Which attacks happen on a day, and on whom: victims who are at work, each caught in a session of theirs. Knows
//! nothing of what ordinary events look like afterwards: they are the same with attacks and without.

use crate::act::{Act, Deed, Presence};
use crate::attack::{Attack, Strike, Tempo};
use crate::draw::Draw;
use crate::gadget::Kind;
use crate::moment::{DAY, HOUR, MINUTE, Moment, SECOND, is_weekday};
use crate::person::Person;
use crate::world::World;

/// One more attack of each kind for so many days of somebody's life, beside the one that is sure to happen.
const PERSON_DAYS_PER_STRIKE: u32 = 2_000;
/// People asked before a day without a fitting victim is given up.
const CANDIDATES: u32 = 120;
/// An attack begins so long before the end at the latest, where that can be had.
const TAIL: i64 = 3 * HOUR;

/// What is simulated, as far as attacks are concerned.
#[derive(Clone, Debug)]
pub(crate) struct Strikes {
    /// Sorted, each once.
    attacks: Vec<Attack>,
    days: i64,
    window: Window,
}

/// *Shape*: from `start`, before `end`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) start: Moment,
    pub(crate) end: Moment,
}

impl Window {
    pub(crate) fn holds(&self, at: Moment) -> bool {
        self.start <= at && at < self.end
    }
}

impl Strikes {
    pub(crate) fn new(attacks: &[Attack], days: i64, window: Window) -> Self {
        let mut attacks = attacks.to_vec();
        attacks.sort_unstable();
        attacks.dedup();
        Self {
            attacks,
            days,
            window,
        }
    }

    /// The attacks that begin on a day, each with its acts, earliest first.
    pub(crate) fn of_day(&self, world: &World, day: i64) -> Vec<Vec<Act>> {
        let mut all = Vec::new();
        for attack in &self.attacks {
            let branch = world.seed.child("strikes", day).child(attack.name(), 0);
            let sure = self.sure_day(*attack, world);
            let mut count = u32::from(day == sure);
            if day >= self.days / 2 {
                let extra = world.users % PERSON_DAYS_PER_STRIKE * 1_000 / PERSON_DAYS_PER_STRIKE;
                count += world.users / PERSON_DAYS_PER_STRIKE;
                count += u32::from(branch.draw().chance(extra));
            }
            for number in 0..count {
                let draw = branch.draws("strike", i64::from(number));
                all.extend(self.one(*attack, world, day, draw));
            }
        }
        all
    }

    /// The day on which an attack is sure to happen: in the second half, when habits are known, and a working day
    /// where there is one.
    fn sure_day(&self, attack: Attack, world: &World) -> i64 {
        let first = self.days / 2;
        let drawn = world
            .seed
            .child("sure day", 0)
            .draws(attack.name(), 0)
            .between(first, self.days);
        let is_workday =
            |day: &i64| is_weekday(world.calendar.day_number(*day) + world.calendar.week_shift);
        (drawn..self.days)
            .chain(0..drawn)
            .find(is_workday)
            .unwrap_or(drawn)
    }

    fn one(&self, attack: Attack, world: &World, day: i64, mut draw: Draw) -> Option<Vec<Act>> {
        let early = Window {
            end: self.window.end + -TAIL,
            ..self.window
        };
        let hunt = Hunt { attack, world, day };
        let (victim, foothold, at) = hunt
            .victim(early, Choice::Likely, &mut draw)
            .or_else(|| hunt.victim(self.window, Choice::Anybody, &mut draw))?;
        let tempo = Tempo::natural(attack, world.users);
        let strike = Strike {
            attack,
            victim: &victim,
            foothold,
            users: world.users,
            at,
            tempo,
            draw,
        };
        Some(attack.strike(&strike))
    }
}

/// How choosy an attacker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Likely,
    Anybody,
}

/// The search for a victim.
struct Hunt<'a> {
    attack: Attack,
    world: &'a World,
    day: i64,
}

impl Hunt<'_> {
    /// Somebody whom the attack fits, in a session of that day.
    fn victim(
        &self,
        window: Window,
        choice: Choice,
        draw: &mut Draw,
    ) -> Option<(Person, Presence, Moment)> {
        (0..CANDIDATES).find_map(|_| {
            let person = self.world.person(draw.below(self.world.users));
            if choice == Choice::Likely && !self.attack.fits(&person) {
                return None;
            }
            let plan = self.world.day(&person, self.day);
            let (foothold, seen) = foothold(&plan, draw)?;
            let at = seen + draw.between(90 * SECOND, 12 * MINUTE);
            window.holds(at).then_some((person, foothold, at))
        })
    }
}

/// A moment of somebody's day at their laptop, and the session they are in.
fn foothold(plan: &[Act], draw: &mut Draw) -> Option<(Presence, Moment)> {
    let seen: Vec<(Presence, Moment)> = plan
        .iter()
        .filter_map(|act| match act.deed {
            Deed::Access {
                client, session, ..
            } if client.gadget.model.kind == Kind::Laptop => {
                Some((Presence { session, client }, act.at))
            }
            _ => None,
        })
        .collect();
    draw.one_of(&seen)
}

impl Tempo {
    /// As attackers go about it in the field.
    fn natural(attack: Attack, users: u32) -> Self {
        Self {
            step_ms: 25 * SECOND,
            try_ms: match attack {
                Attack::Spray => 40 * SECOND,
                Attack::Insider => 14 * SECOND,
                _ => 1_500,
            },
            tries: (60 + users / 10).min(400),
            downloads: 110,
        }
    }
}

/// The earliest moment at which something of a day can happen.
pub(crate) fn dawn(zero: Moment, day: i64) -> Moment {
    zero + day * DAY + -crate::day::DAY_REACH
}
