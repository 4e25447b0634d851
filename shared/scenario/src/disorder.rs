//! The same events as a careless world delivers them: some late and out of order, some twice, some by clocks that are
//! wrong. Ground truth, labels and ids stay as they are.

use std::collections::BTreeMap;

use caerus_wire::Timestamp;
use caerus_wire::event::NativeEvent;

use crate::draw::Draw;
use crate::seed::{Seed, fnv};

/// How careless the delivery is.
#[derive(Clone, Copy, Debug)]
pub struct Disorder {
    pub seed: u64,
    /// Events that come late. *Units*: per mille.
    pub late_pm: u32,
    /// How late at most. *Units*: milliseconds of event time.
    pub late_ms_max: i64,
    /// Events that come a second time, within the same bound of lateness. *Units*: per mille.
    pub repeat_pm: u32,
    /// How far the clock of a reporter (`source`) is off at most, forwards or backwards. *Units*: milliseconds.
    pub skew_ms_max: i64,
}

impl Disorder {
    /// Delivers `events`, which come in time order.
    pub fn deliver<I: Iterator<Item = NativeEvent>>(self, events: I) -> Disordered<I> {
        let seed = Seed::root(self.seed);
        Disordered {
            disorder: self,
            draw: seed.draws("delivery", 0),
            seed,
            events,
            under_way: BTreeMap::new(),
            now: Timestamp(0),
            sent: 0,
        }
    }
}

/// Events as they arrive. Holds those that are under way: what happens within the bound of lateness.
#[derive(Debug)]
pub struct Disordered<I> {
    disorder: Disorder,
    seed: Seed,
    draw: Draw,
    events: I,
    /// By arrival, then by sending.
    under_way: BTreeMap<(Timestamp, u64), NativeEvent>,
    /// When the last event sent happened.
    now: Timestamp,
    sent: u64,
}

impl<I: Iterator<Item = NativeEvent>> Disordered<I> {
    fn send(&mut self, mut event: NativeEvent) {
        let happened = event.time;
        event.time.0 += self.skew(event.source.as_deref().unwrap_or_default());
        if self.draw.chance(self.disorder.repeat_pm) {
            let arrival = self.late(happened);
            self.put(arrival, event.clone());
        }
        let is_late = self.draw.chance(self.disorder.late_pm);
        let arrival = if is_late {
            self.late(happened)
        } else {
            happened
        };
        self.put(arrival, event);
    }

    fn late(&mut self, happened: Timestamp) -> Timestamp {
        Timestamp(
            happened.0
                + self
                    .draw
                    .between(0, self.disorder.late_ms_max.saturating_add(1)),
        )
    }

    fn put(&mut self, arrival: Timestamp, event: NativeEvent) {
        self.under_way.insert((arrival, self.sent), event);
        self.sent += 1;
    }

    /// Whatever is still to be sent arrives at `now` or later: what was due before comes first.
    fn is_due(&self) -> bool {
        let first = self.under_way.first_key_value();
        first.is_some_and(|((arrival, _), _)| *arrival < self.now)
    }

    /// A reporter's clock is off by the same all the time.
    fn skew(&self, source: &str) -> i64 {
        let bound = self.disorder.skew_ms_max.max(0);
        let reporter = i64::from_le_bytes(fnv(source.bytes()).to_le_bytes());
        self.seed
            .draws("skew", reporter)
            .between(-bound, bound.saturating_add(1))
    }
}

impl<I: Iterator<Item = NativeEvent>> Iterator for Disordered<I> {
    type Item = NativeEvent;

    fn next(&mut self) -> Option<NativeEvent> {
        while !self.is_due() {
            let Some(event) = self.events.next() else {
                break;
            };
            self.now = event.time;
            self.send(event);
        }
        self.under_way.pop_first().map(|(_, event)| event)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::organisation::{Config, Organisation};

    const CARELESS: Disorder = Disorder {
        seed: 4,
        late_pm: 100,
        late_ms_max: 3_600_000,
        repeat_pm: 50,
        skew_ms_max: 0,
    };

    fn ordered() -> Vec<NativeEvent> {
        let config = Config {
            seed: 1,
            users: 30,
            days: 3,
            start: Timestamp(1_791_158_400_000),
            tenant: "acme".to_owned(),
            attacks: Vec::new(),
        };
        Organisation::new(config).events().collect()
    }

    fn delivered(disorder: Disorder) -> Vec<NativeEvent> {
        disorder.deliver(ordered().into_iter()).collect()
    }

    #[test]
    fn nothing_is_lost_and_only_some_come_late_or_twice() {
        let (before, after) = (ordered(), delivered(CARELESS));
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for event in &after {
            *times.entry(&event.id).or_default() += 1;
        }
        assert!(
            before
                .iter()
                .all(|event| times.contains_key(event.id.as_str()))
        );
        let repeats = after.len() - before.len();
        assert!(
            (before.len() / 40..before.len() / 13).contains(&repeats),
            "{repeats}"
        );
        assert!(times.values().all(|count| *count <= 2));
        let late = after
            .windows(2)
            .filter(|pair| pair[1].time < pair[0].time)
            .count();
        assert!(
            (before.len() / 20..before.len() / 3).contains(&late),
            "{late}"
        );
    }

    #[test]
    fn nothing_comes_later_than_the_bound_says_nor_before_it_happened() {
        let mut newest = Timestamp(0);
        for event in delivered(CARELESS) {
            assert!(
                event.time.0 + CARELESS.late_ms_max >= newest.0,
                "{}",
                event.id
            );
            newest = newest.max(event.time);
        }
    }

    #[test]
    fn a_wrong_clock_is_wrong_by_the_same_for_all_of_its_reporter() {
        let skewed = Disorder {
            late_pm: 0,
            repeat_pm: 0,
            skew_ms_max: 90_000,
            ..CARELESS
        };
        let mut by_source: BTreeMap<Option<String>, i64> = BTreeMap::new();
        for (before, after) in ordered().into_iter().zip(delivered(skewed)) {
            assert_eq!(before.id, after.id);
            let skew = after.time.0 - before.time.0;
            assert!(skew.abs() <= 90_000);
            assert_eq!(*by_source.entry(after.source).or_insert(skew), skew);
        }
        assert!(by_source.values().any(|skew| *skew != 0), "{by_source:?}");
    }

    #[test]
    fn careful_delivery_changes_nothing_and_memory_holds_only_what_is_under_way() {
        let careful = Disorder {
            late_pm: 0,
            repeat_pm: 0,
            ..CARELESS
        };
        assert!(delivered(careful) == ordered());
        let mut stream = CARELESS.deliver(ordered().into_iter());
        let mut most = 0;
        while stream.next().is_some() {
            most = most.max(stream.under_way.len());
        }
        assert!(most < 100, "{most} under way");
    }
}
