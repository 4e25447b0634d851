//! The organisation as it stands: how many people, on which calendar, from which seed. Knows no attack and no event.

use crate::act::Act;
use crate::day;
use crate::moment::Moment;
use crate::person::{Calendar, Person};
use crate::seed::{Seed, fnv};

/// Given names and family names, of no real person in particular.
static GIVEN: &[&str] = &[
    "ada", "amir", "ana", "ben", "chen", "clara", "dana", "david", "elif", "emil", "eva", "felix",
    "grace", "hana", "ines", "ivan", "jana", "jonas", "kavya", "lena", "leo", "lucia", "maya",
    "mina", "nadia", "nils", "noor", "olga", "omar", "paula", "priya", "ravi", "rosa", "sami",
    "sara", "tariq", "theo", "uma", "vera", "yusuf",
];
static FAMILY: &[&str] = &[
    "abbott", "arnold", "basu", "becker", "brandt", "castro", "chandra", "costa", "dahl", "engel",
    "farrell", "fischer", "garcia", "gupta", "haas", "hughes", "iyer", "jansen", "kaya", "keller",
    "kim", "kowalski", "lang", "lindgren", "meyer", "moreau", "nair", "novak", "okafor", "olsen",
    "park", "peters", "quinn", "rao", "reyes", "richter", "rossi", "sato", "schulz", "silva",
    "singh", "sommer", "tan", "thomas", "unger", "vogel", "walsh", "weber", "wright", "yilmaz",
    "zimmer",
];

/// The organisation.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) seed: Seed,
    pub(crate) users: u32,
    pub(crate) calendar: Calendar,
}

impl World {
    pub(crate) fn person(&self, index: u32) -> Person {
        Person::new(&self.seed, index)
    }

    /// What a person does on a day, attacks apart, earliest first.
    pub(crate) fn day(&self, person: &Person, day: i64) -> Vec<Act> {
        let mut acts = day::plan(person, day, &self.calendar);
        acts.sort_by_key(|act| act.at);
        acts
    }
}

/// The account's local part: a name and, once the names are used up, a number. Two factors without a common divisor
/// walk through all pairs before one returns.
pub(crate) fn account(index: u32) -> String {
    let at = |table: &'static [&'static str], step: u32| {
        let rows = u32::try_from(table.len()).unwrap_or(1).max(1);
        let row = usize::try_from(index.wrapping_mul(step) % rows).unwrap_or(0);
        table.get(row).copied().unwrap_or("nobody")
    };
    let (given, family) = (at(GIVEN, 7), at(FAMILY, 11));
    let pairs = u32::try_from(GIVEN.len() * FAMILY.len())
        .unwrap_or(1)
        .max(1);
    match index / pairs {
        0 => format!("{given}.{family}"),
        round => format!("{given}.{family}{}", round + 1),
    }
}

/// The local part of an account that does not exist, as lists of leaked passwords hold them.
pub(crate) fn stranger(name: u64) -> String {
    let pair = u32::try_from(name & 0xffff).unwrap_or(0);
    format!("{}{}", account(pair).replace('.', ""), name >> 48)
}

/// What tells one run from another: the same people on other days have other sessions and events.
pub(crate) fn run_name(seed: u64, start: Moment, tenant: &str) -> u64 {
    let numbers = seed.to_le_bytes().into_iter().chain(start.0.to_le_bytes());
    fnv(numbers.chain(tenant.bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_people_share_an_account_and_no_stranger_has_one() {
        let mut seen = BTreeSet::new();
        for index in 0..6_000 {
            assert!(seen.insert(account(index)), "{} twice", account(index));
        }
        for name in [0, 1 << 48, u64::MAX, 0x1234_5678_9abc_def0] {
            assert!(!seen.contains(&stranger(name)), "{}", stranger(name));
        }
        assert_eq!(account(2_040), format!("{}2", account(0)));
    }
}
