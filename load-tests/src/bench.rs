//! The bench: events, replayed and merely parsed, in one run on one machine, so that the ratio means something where
//! the figures themselves do not.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::child::{self, Run, RunError};
use crate::corpus::{self, Corpus, CorpusError, Size};
use crate::reading::{self, ReadingError};

/// How many times smaller the organisation is against which memory is compared.
const FEWER: u32 = 4;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The `caerus` binary.
    pub caerus: PathBuf,
    pub size: Size,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    corpus: Corpus,
    size: Size,
    parsed: Duration,
    replayed: Run,
    /// The same people over half the days.
    half: Run,
    half_events: u64,
    /// Fewer people over the same days.
    few: Run,
    few_users: u32,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    #[error(transparent)]
    Reading(#[from] ReadingError),
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Bench {
    /// Writes the files into `folder` and measures.
    pub fn run(&self, folder: &Path) -> Result<Report, BenchError> {
        let size = self.size;
        let corpus = corpus::write(folder, size)?;
        // Once before and once after, so that a machine that slows down slows both sides of the ratio.
        let before = reading::parse_all(&corpus.path)?;
        let replayed = self.replay(&corpus)?;
        let after = reading::parse_all(&corpus.path)?;
        let days = (size.days / 2).max(1);
        let half = corpus::write(folder, Size { days, ..size })?;
        let few_users = (size.users / FEWER).max(1);
        let few = corpus::write(
            folder,
            Size {
                users: few_users,
                ..size
            },
        )?;
        Ok(Report {
            size,
            parsed: (before.took + after.took) / 2,
            replayed,
            half: self.replay(&half)?,
            half_events: half.events,
            few: self.replay(&few)?,
            few_users,
            corpus,
        })
    }

    fn replay(&self, corpus: &Corpus) -> Result<Run, RunError> {
        child::run(&self.caerus, &["replay".as_ref(), corpus.path.as_os_str()])
    }
}

impl Report {
    /// *Units*: resident bytes for each person more; `None` where the system does not tell.
    pub fn bytes_per_user(&self) -> Option<u64> {
        let more = self.replayed.peak?.saturating_sub(self.few.peak?);
        let users = self.size.users.saturating_sub(self.few_users);
        Some(more / u64::from(users.max(1)))
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size { seed, users, days } = self.size;
        let events = self.corpus.events;
        let megabytes = self.corpus.bytes / 1_000_000;
        writeln!(
            f,
            "{events} events of {users} users in {days} days (seed {seed}, {megabytes} MB)"
        )?;
        let parsed = rate(events, self.parsed);
        let replayed = rate(events, self.replayed.took);
        writeln!(
            f,
            "parse only     {parsed:>12.0} events/s  {:>8.2} s",
            self.parsed.as_secs_f64()
        )?;
        let took = self.replayed.took.as_secs_f64();
        writeln!(f, "caerus replay  {replayed:>12.0} events/s  {took:>8.2} s")?;
        let times = self.replayed.took.as_secs_f64() / self.parsed.as_secs_f64().max(1e-9);
        writeln!(f, "ratio          {times:>12.2} times the time of parsing")?;
        let peaks = [
            (
                format!("{} users, {events} events", self.size.users),
                self.replayed.peak,
            ),
            (
                format!("{} users, {} events", self.size.users, self.half_events),
                self.half.peak,
            ),
            (
                format!("{} users, {days} days", self.few_users),
                self.few.peak,
            ),
        ];
        for (what, peak) in peaks {
            let peak = peak.map_or("unknown".to_owned(), |peak| format!("{} kB", peak / 1_024));
            writeln!(f, "peak memory    {peak:>12}           {what}")?;
        }
        match self.bytes_per_user() {
            Some(bytes) => writeln!(f, "memory         {bytes:>12} bytes a user"),
            None => writeln!(f, "memory              unknown: the system does not tell"),
        }
    }
}

fn rate(events: u64, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(took_ms: u64, peak: Option<u64>) -> Run {
        Run {
            took: Duration::from_millis(took_ms),
            peak,
        }
    }

    fn report(peak: Option<u64>, few: Option<u64>) -> Report {
        Report {
            corpus: Corpus {
                path: PathBuf::new(),
                events: 10_000,
                bytes: 7_000_000,
            },
            size: Size {
                seed: 1,
                users: 100,
                days: 10,
            },
            parsed: Duration::from_millis(500),
            replayed: run(2_000, peak),
            half: run(1_000, peak),
            half_events: 5_000,
            few: run(500, few),
            few_users: 20,
        }
    }

    #[test]
    fn the_report_says_rates_their_ratio_and_bytes_a_user() {
        let text = report(Some(1_000_000), Some(600_000)).to_string();
        let expected = "\
10000 events of 100 users in 10 days (seed 1, 7 MB)
parse only            20000 events/s      0.50 s
caerus replay          5000 events/s      2.00 s
ratio                  4.00 times the time of parsing
peak memory          976 kB           100 users, 10000 events
peak memory          976 kB           100 users, 5000 events
peak memory          585 kB           20 users, 10 days
memory                 5000 bytes a user
";
        assert_eq!(text, expected);
    }

    #[test]
    fn where_memory_is_not_told_none_is_reported() {
        assert_eq!(report(None, Some(1)).bytes_per_user(), None);
    }
}
