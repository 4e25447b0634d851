//! Who wants to be woken when, and who is concerned by a change of policy. Knows no clock: whoever asks brings the time.

use std::collections::{BTreeMap, BTreeSet};

use caerus_engine::id::SubjectHash;
use caerus_engine::step::Wakes;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::AgendaEntry;

/// A wake that is due: the earlier first, then by subject.
pub type Due = (Timestamp, SubjectHash);

/// The wakes of one partition's records, by each of the two clocks.
#[derive(Clone, Debug, Default)]
pub struct Agenda {
    wishes: BTreeMap<SubjectHash, Wish>,
    by_watermark: BTreeSet<Due>,
    by_clock: BTreeSet<Due>,
    concerned: BTreeSet<SubjectHash>,
}

/// What one record asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    pub wakes: Wakes,
    pub is_concerned: bool,
}

impl Wish {
    const NOTHING: Self = Self {
        wakes: Wakes {
            watermark: None,
            clock: None,
        },
        is_concerned: false,
    };
}

impl Agenda {
    /// The agenda that a store kept.
    pub fn restore(entries: impl IntoIterator<Item = AgendaEntry>) -> Self {
        let mut agenda = Self::default();
        for entry in entries {
            let wish = Wish {
                wakes: entry.wakes,
                is_concerned: entry.is_concerned,
            };
            agenda.set(entry.key, wish);
        }
        agenda
    }

    pub fn wish(&self, subject: SubjectHash) -> Wish {
        self.wishes.get(&subject).copied().unwrap_or_default()
    }

    /// *Returns*: whether the subject's wish is another than before.
    pub fn set(&mut self, subject: SubjectHash, wish: Wish) -> bool {
        let before = self.wish(subject);
        if before == wish {
            return false;
        }
        replace(
            &mut self.by_watermark,
            before.wakes.watermark,
            wish.wakes.watermark,
            subject,
        );
        replace(
            &mut self.by_clock,
            before.wakes.clock,
            wish.wakes.clock,
            subject,
        );
        if wish.is_concerned {
            self.concerned.insert(subject);
        } else {
            self.concerned.remove(&subject);
        }
        if wish == Wish::NOTHING {
            self.wishes.remove(&subject);
        } else {
            self.wishes.insert(subject, wish);
        }
        true
    }

    /// Wakes by the watermark at or before `until`, by (time, subject).
    pub fn due_by_watermark(&self, until: Timestamp) -> impl Iterator<Item = Due> {
        self.by_watermark
            .iter()
            .take_while(move |(at, _)| *at <= until)
            .copied()
    }

    /// Wakes by the owner's own clock at or before `until`, by (time, subject).
    pub fn due_by_clock(&self, until: Timestamp) -> impl Iterator<Item = Due> {
        self.by_clock
            .iter()
            .take_while(move |(at, _)| *at <= until)
            .copied()
    }

    /// The earliest wake of either kind.
    pub fn first(&self) -> Option<Due> {
        let watermark = self.by_watermark.first();
        let clock = self.by_clock.first();
        match (watermark, clock) {
            (Some(a), Some(b)) => Some(*a.min(b)),
            (a, b) => a.or(b).copied(),
        }
    }

    /// The earliest wake by the owner's own clock.
    pub fn first_by_clock(&self) -> Option<Timestamp> {
        self.by_clock.first().map(|(at, _)| *at)
    }

    /// Subjects concerned by a change of policy, ascending.
    pub fn concerned(&self) -> impl Iterator<Item = SubjectHash> {
        self.concerned.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.wishes.is_empty()
    }
}

fn replace(
    set: &mut BTreeSet<Due>,
    before: Option<Timestamp>,
    after: Option<Timestamp>,
    subject: SubjectHash,
) {
    if before == after {
        return;
    }
    if let Some(at) = before {
        set.remove(&(at, subject));
    }
    if let Some(at) = after {
        set.insert((at, subject));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(watermark: Option<i64>, clock: Option<i64>, is_concerned: bool) -> Wish {
        Wish {
            wakes: Wakes {
                watermark: watermark.map(Timestamp),
                clock: clock.map(Timestamp),
            },
            is_concerned,
        }
    }

    fn subjects(due: impl Iterator<Item = Due>) -> Vec<(i64, u128)> {
        due.map(|(at, subject)| (at.0, subject.0)).collect()
    }

    #[test]
    fn what_is_due_comes_by_time_then_subject() {
        let mut agenda = Agenda::default();
        for (subject, at) in [(3, 20), (2, 10), (1, 20), (4, 30)] {
            agenda.set(SubjectHash(subject), wish(Some(at), None, false));
        }
        assert_eq!(
            subjects(agenda.due_by_watermark(Timestamp(20))),
            [(10, 2), (20, 1), (20, 3)]
        );
        assert_eq!(subjects(agenda.due_by_clock(Timestamp(20))), []);
    }

    #[test]
    fn a_new_wish_replaces_the_former_one() {
        let mut agenda = Agenda::default();
        let subject = SubjectHash(7);
        assert!(agenda.set(subject, wish(Some(10), Some(5), true)));
        assert!(!agenda.set(subject, wish(Some(10), Some(5), true)));
        assert!(agenda.set(subject, wish(None, Some(9), false)));
        assert_eq!(subjects(agenda.due_by_watermark(Timestamp::MAX)), []);
        assert_eq!(subjects(agenda.due_by_clock(Timestamp::MAX)), [(9, 7)]);
        assert_eq!(agenda.concerned().count(), 0);
        assert!(agenda.set(subject, Wish::NOTHING));
        assert!(agenda.is_empty());
    }

    #[test]
    fn an_agenda_reads_back_from_what_a_store_kept() {
        let entry = AgendaEntry {
            key: SubjectHash(2),
            wakes: wish(Some(4), None, true).wakes,
            is_concerned: true,
        };
        let agenda = Agenda::restore([entry]);
        assert_eq!(agenda.first(), Some((Timestamp(4), SubjectHash(2))));
        assert_eq!(agenda.concerned().count(), 1);
    }
}
