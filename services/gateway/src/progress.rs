//! Up to when everything taken in has been judged and read here: evaluators' reports in, `evaluated_until` out.
//! Knows no bus, no clock and no subscriber.
//!
//! A moment T is announced when (a) every partition has passed T for every source partition, (b) every partition's
//! position is past every derived signal reported at (a), (c) once more with those reported at (b), and (d) the
//! decisions were read up to the offsets reported at (c). Each stage holds one moment and the next waits behind
//! it, so a stream of newer reports can never starve the moment under way.

use std::collections::{BTreeMap, BTreeSet};

use caerus_engine::time::Timestamp;
use caerus_wire::progress::Progress;

/// The announcer of `evaluated_until`.
#[derive(Clone, Debug)]
pub struct Horizon {
    partitions: usize,
    /// The latest report of each partition.
    reports: BTreeMap<u32, Progress>,
    /// For each partition, the offset after the last acknowledged derived signal, over every report ever read: a new
    /// owner that does not know its predecessor's signals must not make them forgotten.
    derived: Vec<u64>,
    /// The latest moment that entered the stages.
    entered: Option<Timestamp>,
    /// Waits for (b).
    first: Option<Settling>,
    /// Waits for (c).
    second: Option<Settling>,
    /// Waits for (d).
    reading: Option<Reading>,
    announced: Option<Timestamp>,
}

/// A moment that waits for derived signals to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settling {
    until: Timestamp,
    derived: Vec<u64>,
}

/// A moment that waits for decisions to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reading {
    until: Timestamp,
    decisions: Vec<u64>,
}

impl Horizon {
    pub fn new(partitions: u32) -> Self {
        let partitions = usize::try_from(partitions).unwrap_or(usize::MAX);
        Self {
            partitions,
            reports: BTreeMap::new(),
            derived: vec![0; partitions],
            entered: None,
            first: None,
            second: None,
            reading: None,
            announced: None,
        }
    }

    /// Takes a partition's report in; a report of a partition that the log does not have is left out.
    pub fn report(&mut self, report: Progress) {
        if usize::try_from(report.partition).is_ok_and(|partition| partition < self.partitions) {
            for (highest, reported) in self.derived.iter_mut().zip(&report.derived) {
                *highest = (*highest).max(*reported);
            }
            self.reports.insert(report.partition, report);
        }
    }

    /// Moves on as far as the reports and what was read allow.
    ///
    /// *Shape*: `read` holds the next offset to read of each partition of the decisions.
    /// *Returns*: the moment announced so far; it never falls.
    pub fn advance(&mut self, read: &[u64]) -> Option<Timestamp> {
        while self.advance_once(read) {}
        self.announced
    }

    /// One move of the stage furthest along that can move.
    fn advance_once(&mut self, read: &[u64]) -> bool {
        if let Some(reading) = self
            .reading
            .take_if(|reading| reaches(read, &reading.decisions))
        {
            self.announced = self.announced.max(Some(reading.until));
            return true;
        }
        if self.reading.is_none()
            && let Some(settled) = self.take_settled(Stage::Second)
        {
            let decisions = self.decisions_reported();
            self.reading = Some(Reading {
                until: settled.until,
                decisions,
            });
            return true;
        }
        if self.second.is_none()
            && let Some(settled) = self.take_settled(Stage::First)
        {
            self.second = Some(self.settling(settled.until));
            return true;
        }
        if self.first.is_none()
            && let Some(passed) = self.passed()
            && self.entered.is_none_or(|entered| passed > entered)
        {
            self.entered = Some(passed);
            self.first = Some(self.settling(passed));
            return true;
        }
        false
    }

    /// The moment every partition has passed for every source partition that any of them knows; `None` while a
    /// partition has not reported, or has not heard of a source partition.
    fn passed(&self) -> Option<Timestamp> {
        if self.reports.len() != self.partitions {
            return None;
        }
        let sources: BTreeSet<u32> = self
            .reports
            .values()
            .flat_map(|report| report.passed.iter().map(|(source, _)| *source))
            .collect();
        let mut lowest: Option<Timestamp> = None;
        for report in self.reports.values() {
            let passed: BTreeMap<u32, Timestamp> = report.passed.iter().copied().collect();
            for source in &sources {
                let at = *passed.get(source)?;
                lowest = Some(lowest.map_or(at, |lowest| lowest.min(at)));
            }
        }
        lowest
    }

    fn settling(&self, until: Timestamp) -> Settling {
        Settling {
            until,
            derived: self.derived.clone(),
        }
    }

    fn take_settled(&mut self, stage: Stage) -> Option<Settling> {
        let positions = self.positions();
        let slot = match stage {
            Stage::First => &mut self.first,
            Stage::Second => &mut self.second,
        };
        slot.take_if(|settling| reaches(&positions, &settling.derived))
    }

    /// *Shape*: in the order of partitions; shorter while one has not reported.
    fn positions(&self) -> Vec<u64> {
        self.reports
            .values()
            .map(|report| report.log_position)
            .collect()
    }

    fn decisions_reported(&self) -> Vec<u64> {
        self.reports
            .values()
            .map(|report| report.decisions_offset)
            .collect()
    }
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    First,
    Second,
}

fn reaches(read: &[u64], wanted: &[u64]) -> bool {
    read.len() == wanted.len() && read.iter().zip(wanted).all(|(read, wanted)| read >= wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report in the words of a table: partition, moments passed by source partition, position, decisions, derived.
    fn report(
        partition: u32,
        passed: &[(u32, i64)],
        places: (u64, u64),
        derived: &[u64],
    ) -> Progress {
        Progress {
            partition,
            passed: passed
                .iter()
                .map(|(source, at)| (*source, Timestamp(*at)))
                .collect(),
            log_position: places.0,
            decisions_offset: places.1,
            derived: derived.to_vec(),
        }
    }

    struct Story {
        horizon: Horizon,
        read: Vec<u64>,
    }

    impl Story {
        fn of(partitions: u32) -> Self {
            Self {
                horizon: Horizon::new(partitions),
                read: vec![u64::MAX; usize::try_from(partitions).unwrap()],
            }
        }

        fn after(&mut self, reports: &[Progress]) -> Option<i64> {
            for one in reports {
                self.horizon.report(one.clone());
            }
            self.horizon.advance(&self.read).map(|at| at.0)
        }
    }

    #[test]
    fn a_moment_is_announced_when_every_partition_has_passed_it() {
        let mut story = Story::of(2);
        assert_eq!(
            story.after(&[report(0, &[(0, 100)], (5, 0), &[0, 0])]),
            None
        );
        let both = [report(1, &[(0, 90)], (5, 0), &[0, 0])];
        assert_eq!(story.after(&both), Some(90));
    }

    #[test]
    fn a_lost_reporter_freezes_the_moment() {
        let mut story = Story::of(2);
        let start = [
            report(0, &[(0, 100)], (5, 0), &[0, 0]),
            report(1, &[(0, 100)], (5, 0), &[0, 0]),
        ];
        assert_eq!(story.after(&start), Some(100));
        for at in [200, 300, 400] {
            let alone = [report(0, &[(0, at)], (9, 0), &[0, 0])];
            assert_eq!(story.after(&alone), Some(100));
        }
        let back = [report(1, &[(0, 350)], (6, 0), &[0, 0])];
        assert_eq!(story.after(&back), Some(350));
    }

    #[test]
    fn idle_reporters_move_the_moment_on() {
        let mut story = Story::of(2);
        for at in [100, 200, 300] {
            let idle = [
                report(0, &[(0, at)], (5, 0), &[0, 0]),
                report(1, &[(0, at)], (5, 0), &[0, 0]),
            ];
            assert_eq!(story.after(&idle), Some(at));
        }
    }

    #[test]
    fn the_slowest_source_partition_holds_the_moment() {
        let mut story = Story::of(1);
        let reports = [report(0, &[(0, 500), (1, 200)], (5, 0), &[0])];
        assert_eq!(story.after(&reports), Some(200));
    }

    #[test]
    fn a_source_partition_that_one_partition_has_not_heard_of_holds_everything() {
        let mut story = Story::of(2);
        let reports = [
            report(0, &[(0, 500), (1, 500)], (5, 0), &[0, 0]),
            report(1, &[(0, 500)], (5, 0), &[0, 0]),
        ];
        assert_eq!(story.after(&reports), None);
        let heard = [report(1, &[(0, 500), (1, 450)], (6, 0), &[0, 0])];
        assert_eq!(story.after(&heard), Some(450));
    }

    /// A source partition told of at zero is one that nobody takes in; at the end of time, one that nobody will.
    #[test]
    fn a_source_partition_that_nobody_takes_in_holds_the_moment_until_it_is_retired() {
        let mut story = Story::of(1);
        let reports =
            |at: i64, unserved: i64| [report(0, &[(0, at), (1 << 16, unserved)], (5, 0), &[0])];
        assert_eq!(story.after(&reports(100, 0)), Some(0));
        assert_eq!(story.after(&reports(200, 0)), Some(0));
        assert_eq!(story.after(&reports(300, i64::MAX)), Some(300));
        assert_eq!(story.after(&reports(400, i64::MAX)), Some(400));
    }

    #[test]
    fn a_derived_signal_that_is_not_judged_holds_the_moment_back() {
        let mut story = Story::of(2);
        let waiting = [
            report(0, &[(0, 100)], (5, 0), &[0, 8]),
            report(1, &[(0, 100)], (7, 0), &[0, 0]),
        ];
        assert_eq!(story.after(&waiting), None);
        let judged = [report(1, &[(0, 100)], (8, 0), &[0, 0])];
        assert_eq!(story.after(&judged), Some(100));
    }

    #[test]
    fn what_a_derived_signal_derives_holds_the_moment_back_once_more() {
        let mut story = Story::of(2);
        let first = [
            report(0, &[(0, 100)], (5, 0), &[0, 8]),
            report(1, &[(0, 100)], (7, 0), &[0, 0]),
        ];
        assert_eq!(story.after(&first), None);
        // Judging offset 7 told partition 0 something, at offset 9, which it has not read.
        let second = [report(1, &[(0, 100)], (8, 0), &[10, 0])];
        assert_eq!(story.after(&second), None);
        let third = [report(0, &[(0, 100)], (10, 0), &[0, 8])];
        assert_eq!(story.after(&third), Some(100));
    }

    #[test]
    fn decisions_that_are_not_read_hold_the_moment_back() {
        let mut story = Story::of(2);
        story.read = vec![3, 4];
        let reports = [
            report(0, &[(0, 100)], (5, 3), &[0, 0]),
            report(1, &[(0, 100)], (5, 5), &[0, 0]),
        ];
        assert_eq!(story.after(&reports), None);
        story.read = vec![3, 5];
        assert_eq!(story.after(&[]), Some(100));
    }

    #[test]
    fn newer_reports_never_starve_the_moment_under_way() {
        let mut story = Story::of(1);
        story.read = vec![0];
        // Each report asks for decisions that will be read only after the next report has come.
        let mut announced = Vec::new();
        for step in 1..6 {
            let one = report(
                0,
                &[(0, step * 100)],
                (9, u64::try_from(step).unwrap()),
                &[0],
            );
            announced.push(story.after(&[one]));
            story.read = vec![u64::try_from(step).unwrap()];
        }
        assert_eq!(
            announced,
            [None, Some(100), Some(200), Some(300), Some(400)]
        );
    }

    #[test]
    fn a_new_owner_that_reads_again_takes_nothing_back_and_moves_nothing() {
        let mut story = Story::of(1);
        assert_eq!(
            story.after(&[report(0, &[(0, 300)], (50, 9), &[41])]),
            Some(300)
        );
        // It has forgotten which signals its predecessor derived; offset 40 must be judged all the same.
        assert_eq!(
            story.after(&[report(0, &[(0, 400)], (30, 9), &[0])]),
            Some(300)
        );
        assert_eq!(
            story.after(&[report(0, &[(0, 400)], (41, 9), &[0])]),
            Some(400)
        );
    }

    #[test]
    fn a_report_of_a_partition_the_log_does_not_have_changes_nothing() {
        let mut story = Story::of(1);
        assert_eq!(story.after(&[report(7, &[(0, 900)], (5, 0), &[99])]), None);
        assert_eq!(
            story.after(&[report(0, &[(0, 100)], (5, 0), &[0])]),
            Some(100)
        );
    }

    #[test]
    fn nothing_is_announced_where_no_source_partition_is_known() {
        let mut story = Story::of(1);
        assert_eq!(story.after(&[report(0, &[], (5, 0), &[0])]), None);
    }
}
