//! Wake-ups: time passing for a subject, written into the log by the partition's owner when it is due.

use std::collections::BTreeSet;

use caerus_engine::id::SubjectHash;
use caerus_engine::step::{Input, WakeReason, WakeUp};
use caerus_runtime::port::PortResult;

use super::output;
use super::owner::Owner;
use crate::cache::KeptAs;
use crate::fold::DueUntil;

/// Wake-ups appended in one transaction.
const WAKE_UPS_PER_PUBLISH: usize = 256;
/// Subjects under way at once; beyond it the log has to be read first.
const WAITING_MAX: usize = 4_096;
/// Subjects concerned by a new policy are judged again within a minute, in steps of this length.
const REJUDGE_STEP_MS: u64 = 1_000;
/// Steps over which those concerned are spread, somewhat less than the minute promised.
const REJUDGE_STEPS: usize = 45;
/// Subjects judged again in one step at least.
const REJUDGE_LEN_MIN: usize = 32;

/// What this owner has appended and not yet read.
#[derive(Debug, Default)]
pub(crate) struct Waking {
    waiting: BTreeSet<SubjectHash>,
    /// Subjects to be judged again in each step, fixed when the revision came.
    rejudge_len: usize,
    rejudged_ms: Option<u64>,
}

impl Waking {
    /// The wake-up came back through the log.
    pub(crate) fn note_read(&mut self, input: &Input) {
        if let Input::WakeUp(wake_up) = input {
            self.waiting.remove(&wake_up.subject);
        }
    }

    pub(crate) fn note_policy(&mut self, concerned: usize) {
        self.rejudge_len = concerned.div_ceil(REJUDGE_STEPS).max(REJUDGE_LEN_MIN);
        self.rejudged_ms = None;
    }
}

impl Owner<'_> {
    /// Appends the wake-ups that are due.
    pub(crate) async fn wake(&mut self, is_at_end: bool) -> PortResult<()> {
        let now = self.now();
        let idle_ms = self.monotonic_ms().saturating_sub(self.busy_ms);
        let is_idle = is_at_end && idle_ms >= self.evaluator.config.idle_ms;
        let until = DueUntil {
            watermark: self.partition.watermark(is_idle.then_some(now)),
            clock: now,
        };
        let room = WAITING_MAX.saturating_sub(self.waking.waiting.len());
        let limit = room.min(WAKE_UPS_PER_PUBLISH);
        let due = self.partition.due(until, &self.waking.waiting, limit);
        self.append(due).await
    }

    /// Appends a share of the wake-ups for those concerned by a new policy. After a restart nobody remembers who has
    /// been judged by it but the records themselves.
    pub(crate) async fn rejudge(&mut self) -> PortResult<()> {
        if self.rejudge_in_ms() != Some(0) {
            return Ok(());
        }
        self.waking.rejudged_ms = Some(self.monotonic_ms());
        let len = self.waking.rejudge_len.max(REJUDGE_LEN_MIN);
        let waiting = &self.waking.waiting;
        let remaining = self.partition.to_rejudge().iter();
        let free = remaining.filter(|subject| !waiting.contains(subject));
        let share: Vec<_> = free.take(len).copied().collect();
        let keys = share.iter().map(|subject| (*subject, KeptAs::Record));
        self.load_missing(keys.collect()).await?;
        let at = self.now();
        let mut wake_ups = Vec::new();
        for subject in share {
            let judged_by = self
                .cache
                .record(subject)
                .map(|record| &record.core().revision);
            if judged_by.is_none_or(|by| by.as_ref() == Some(self.partition.policy_revision())) {
                self.partition.is_judged(subject);
                continue;
            }
            wake_ups.push(WakeUp {
                subject,
                at,
                reason: WakeReason::Rejudge,
            });
        }
        self.append(wake_ups).await
    }

    async fn append(&mut self, wake_ups: Vec<WakeUp>) -> PortResult<()> {
        if wake_ups.is_empty() {
            return Ok(());
        }
        let subjects: Vec<_> = wake_ups.iter().map(|wake_up| wake_up.subject).collect();
        let number = self.number;
        let records = wake_ups.into_iter();
        let records = records
            .map(|wake_up| output::wake_up(number, wake_up))
            .collect();
        self.publish(records).await?;
        self.waking.waiting.extend(subjects);
        Ok(())
    }

    /// How long until the next step of judging again; `None` where nobody is left.
    pub(crate) fn rejudge_in_ms(&self) -> Option<u64> {
        if self.partition.to_rejudge().is_empty() {
            return None;
        }
        let due_ms = self
            .waking
            .rejudged_ms
            .map_or(0, |last| last + REJUDGE_STEP_MS);
        Some(due_ms.saturating_sub(self.monotonic_ms()))
    }
}
