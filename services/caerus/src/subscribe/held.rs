//! What was shown already, so that repeats are not shown again. Pure: knows no socket, and is told the time.

use std::collections::BTreeMap;

use caerus_engine::time::Timestamp;
use caerus_wire::decision::PublicDecision;

/// Targets remembered before those that have expired are let go of.
const TARGETS_MAX: usize = 100_000;

/// The latest generation of each target.
#[derive(Debug)]
pub(super) struct Held {
    targets: BTreeMap<String, Generation>,
    targets_max: usize,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            targets: BTreeMap::new(),
            targets_max: TARGETS_MAX,
        }
    }
}

#[derive(Debug)]
struct Generation {
    number: u64,
    expires_at: Timestamp,
}

impl Held {
    /// Takes a decision in. *Returns*: true when it is news, not a repeat of what is held nor older than it.
    ///
    /// INVARIANT (INV-2): nothing older than what is held for a target takes its place.
    pub(super) fn take(&mut self, decision: &PublicDecision) -> bool {
        let key = decision.key();
        let held = self.targets.get(&key);
        if held.is_some_and(|held| held.number >= decision.generation) {
            return false;
        }
        if self.targets.len() >= self.targets_max {
            self.let_go(decision.issued_at);
        }
        let generation = Generation {
            number: decision.generation,
            expires_at: decision.expires_at,
        };
        self.targets.insert(key, generation);
        true
    }

    /// Everything may come again, and is then news.
    pub(super) fn forget(&mut self) {
        self.targets.clear();
    }

    /// Where nothing has expired, all is let go of: a repeat shown twice harms nobody.
    fn let_go(&mut self, now: Timestamp) {
        self.targets.retain(|_, held| held.expires_at > now);
        if self.targets.len() >= self.targets_max {
            self.targets.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::sample::revoke;

    fn of(generation: u64, session: &str) -> PublicDecision {
        let mut decision = revoke();
        decision.generation = generation;
        decision.target.session = Some(session.to_owned());
        decision
    }

    #[test]
    fn a_repeat_and_whatever_is_older_is_no_news() {
        let mut held = Held::default();
        for (decision, is_news) in [
            (of(3, "a"), true),
            (of(3, "a"), false),
            (of(2, "a"), false),
            (of(2, "b"), true),
            (of(5, "a"), true),
        ] {
            assert_eq!(held.take(&decision), is_news, "{:?}", decision.target);
        }
        held.forget();
        assert!(held.take(&of(2, "a")));
    }

    #[test]
    fn what_has_expired_makes_room() {
        let mut held = Held {
            targets_max: 3,
            ..Held::default()
        };
        for number in 0..3 {
            let mut decision = of(1, &number.to_string());
            if number > 0 {
                decision.expires_at = decision.issued_at;
            }
            held.take(&decision);
        }
        assert!(held.take(&of(1, "one more")));
        assert_eq!(held.targets.len(), 2);
        assert!(!held.take(&of(1, "0")));
    }
}
