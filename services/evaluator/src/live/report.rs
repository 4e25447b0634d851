//! Progress reports, from which the gateway tells how far everything is evaluated. Knows nothing of the gateway.

use caerus_engine::time::Timestamp;
use caerus_runtime::metric::label;
use caerus_runtime::port::{NewRecord, PortResult, Topic};
use caerus_wire::progress::Progress;

use super::owner::Owner;

/// What this owner has told, and what it has to tell beside the fold.
#[derive(Debug)]
pub(crate) struct Reporter {
    /// The offset after the last decision published.
    pub(crate) decisions_offset: u64,
    /// For each partition of the log, the highest offset of what was derived, or woken, there.
    derived: Vec<u64>,
    told: Option<Progress>,
    told_ms: u64,
}

impl Reporter {
    pub(crate) fn new(partitions: u32) -> Self {
        Self {
            decisions_offset: 0,
            derived: (0..partitions).map(|_| 0).collect(),
            told: None,
            told_ms: 0,
        }
    }

    pub(crate) fn note_derived(&mut self, partition: u32, offset: u64) {
        let known = usize::try_from(partition).ok();
        if let Some(known) = known.and_then(|index| self.derived.get_mut(index)) {
            *known = (*known).max(offset);
        }
    }
}

impl Owner<'_> {
    /// Reports when there is something new, and the last report is not too young.
    pub(crate) async fn report_where_due(&mut self) -> PortResult<()> {
        match self.report_in_ms() {
            Some(0) => self.report().await,
            Some(_) | None => Ok(()),
        }
    }

    /// How long until the next report; `None` where there is nothing new.
    pub(crate) fn report_in_ms(&self) -> Option<u64> {
        let reporter = &self.reporter;
        if reporter.told.as_ref() == Some(&self.progress()) && self.completed >= self.position {
            return None;
        }
        if reporter.told.is_none() {
            return Some(0);
        }
        let age_ms = self.monotonic_ms().saturating_sub(reporter.told_ms);
        Some(self.evaluator.config.report_ms_min.saturating_sub(age_ms))
    }

    /// Everything below the position is committed and published when this is called: the report says no more than that.
    /// Its transaction also carries `completed` over batches that had no output.
    pub(crate) async fn report(&mut self) -> PortResult<()> {
        if self.position <= self.epoch.claim_offset {
            return Ok(());
        }
        let end = self.end(Topic::Signals, self.number).await?;
        let lag = u32::try_from(end.saturating_sub(self.position)).unwrap_or(u32::MAX);
        let metrics = &self.evaluator.ports.metrics.evaluator;
        metrics
            .log_lag
            .of(&label::Partition(self.number))
            .set(lag.into());
        let progress = self.progress();
        let record = NewRecord {
            topic: Topic::Progress,
            partition: 0,
            key: self.number.to_be_bytes().to_vec(),
            value: progress.to_bytes().into(),
        };
        self.publish(vec![record]).await?;
        self.reporter.told = Some(progress);
        self.reporter.told_ms = self.monotonic_ms();
        Ok(())
    }

    fn progress(&self) -> Progress {
        let passed = self.partition.passed().iter();
        let passed: Vec<(u32, Timestamp)> = passed.map(|(source, at)| (*source, *at)).collect();
        Progress {
            partition: self.number,
            passed,
            log_position: self.position,
            decisions_offset: self.reporter.decisions_offset,
            derived: self.reporter.derived.clone(),
        }
    }
}
