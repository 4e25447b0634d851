//! The live loop over ports: it owns partitions of the log, folds them, and keeps the one order of effects. Knows no
//! broker, no database and no rule of judgement.

mod attendance;
mod batch;
mod count;
mod output;
mod owner;
mod report;
mod standing;
mod sweep;
#[cfg(test)]
mod tests;
mod told;
mod wake;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use caerus_engine::id::stable_hash;
use caerus_engine::limits::REPLAY_SPAN_LEN;
use caerus_engine::score::Model;
use caerus_runtime::health::Health;
use caerus_runtime::metric::Metrics;
use caerus_runtime::port::{
    Bus, Clock, Epoch, PortError, PortErrorKind, ReadLimit, RecordStore, SubjectStanding,
};
use caerus_runtime::retry::{Jitter, RetryPolicy};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::{TaskFailure, TaskGroup, chain};
use caerus_wire::entry::Entry;
use tokio::sync::{mpsc, watch};

use crate::fold::Settings;
use crate::fold::policies::Policies;
use attendance::Attendance;
use owner::Owner;

pub use told::tell_standings;

/// What a task has to finish its batch after it was asked to stop.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// How the loop is to work.
#[derive(Clone, Debug)]
pub struct EvaluatorConfig {
    /// Names this process in its claims.
    pub owner: String,
    /// How much of the log makes one batch.
    pub batch: ReadLimit,
    /// *Units*: bytes of encoded records kept decoded, per partition; 1 keeps one record between batches.
    pub cache_bytes_max: usize,
    /// How patiently a read is tried again.
    pub retry: RetryPolicy,
    /// How patiently a partition is taken up again after its port was not available.
    pub comeback: RetryPolicy,
    /// Where a seed is given, waits repeat with it.
    pub jitter_seed: Option<u64>,
    /// Progress is reported not more often than this.
    pub report_ms_min: u64,
    /// A partition without anything to read for this long is idle: the wall clock then moves its watermark.
    pub idle_ms: u64,
    /// The longest rest between two looks at the clocks.
    pub rest_ms_max: u64,
    /// How often expired decisions are looked for.
    pub sweep_ms: u64,
}

impl Default for EvaluatorConfig {
    fn default() -> Self {
        Self {
            owner: "caerus".to_owned(),
            batch: ReadLimit {
                records: REPLAY_SPAN_LEN,
                bytes: 4 * 1024 * 1024,
            },
            cache_bytes_max: 64 * 1024 * 1024,
            retry: RetryPolicy::REQUEST,
            comeback: RetryPolicy::LOOP,
            jitter_seed: None,
            report_ms_min: 250,
            idle_ms: 10_000,
            rest_ms_max: 1_000,
            sweep_ms: 10_000,
        }
    }
}

/// What the loop works on.
#[derive(Clone, Debug)]
pub struct Ports {
    pub bus: Arc<dyn Bus>,
    pub store: Arc<dyn RecordStore>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
    pub health: Health,
    /// Latest assessments, for people; what does not fit is dropped, the next one of the subject follows.
    pub standings: Option<mpsc::Sender<Vec<SubjectStanding>>>,
}

/// Everything a partition's task shares with the others.
#[derive(Clone, Debug)]
pub struct Evaluator {
    pub config: EvaluatorConfig,
    pub ports: Ports,
    pub model: Arc<Model>,
    pub policies: Policies,
}

/// Why a partition is not evaluated any more.
#[derive(Debug, thiserror::Error)]
pub enum EvaluatorError {
    #[error("could not evaluate partition {partition}")]
    Port {
        partition: u32,
        #[source]
        source: PortError,
    },
    #[error("gave up partition {partition} after {attempts} attempts")]
    GaveUp {
        partition: u32,
        attempts: u32,
        #[source]
        source: PortError,
    },
}

/// The partitions that are this process's to evaluate, for ever: for one machine.
pub fn all_partitions(bus: &dyn Bus) -> watch::Receiver<BTreeSet<u32>> {
    watch::channel((0..bus.partitions()).collect()).1
}

/// Evaluates the partitions assigned, each in its own task, until the shutdown.
///
/// *Errors*: the first task's that could not go on; the others are stopped then.
pub async fn run(
    evaluator: Evaluator,
    mut assigned: watch::Receiver<BTreeSet<u32>>,
    shutdown: Shutdown,
) -> Result<(), TaskFailure> {
    let shutdown = shutdown.child();
    let mut tasks = TaskGroup::new(&shutdown);
    let mut stops: BTreeMap<u32, Shutdown> = BTreeMap::new();
    let attendance = Attendance::new(&evaluator.ports.health);
    loop {
        let wanted = assigned.borrow_and_update().clone();
        attendance.assign(wanted.iter().copied());
        stops.retain(|number, stop| {
            if !wanted.contains(number) {
                stop.begin();
            }
            wanted.contains(number)
        });
        for number in wanted {
            stops.entry(number).or_insert_with(|| {
                let stop = shutdown.child();
                let partition = attend(evaluator.clone(), number, stop.clone(), attendance.clone());
                let everything = shutdown.clone();
                let task = async move {
                    // A failure is seen at once, not only when the assignment changes.
                    partition.await.inspect_err(|_| everything.begin())
                };
                tasks.spawn(format!("evaluate partition {number}"), task);
                stop
            });
        }
        match shutdown.unless_begun(assigned.changed()).await {
            Some(Ok(())) => {}
            // Whoever assigned is gone: what was assigned last stays.
            Some(Err(_)) | None => return tasks.join(STOP_GRACE).await,
        }
    }
}

/// Evaluates one partition alone until `stop`.
pub async fn run_partition(
    evaluator: Evaluator,
    number: u32,
    stop: Shutdown,
) -> Result<(), EvaluatorError> {
    let attendance = Attendance::new(&evaluator.ports.health);
    attendance.assign([number]);
    attend(evaluator, number, stop, attendance).await
}

/// Evaluates one partition until `stop`; begins again from its claim when another owner came, as long as it is wanted.
async fn attend(
    evaluator: Evaluator,
    number: u32,
    stop: Shutdown,
    attendance: Attendance,
) -> Result<(), EvaluatorError> {
    let evaluator = &evaluator;
    let mut patience = Patience::new(evaluator.config.comeback, number, attendance.clone());
    let mut epoch = None;
    while !stop.is_begun() {
        let error = match own(evaluator, number, &mut epoch, &stop, &mut patience).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        attendance.fails(number, format!("is not served: {}", chain(&error)));
        let kind = error.kind;
        tracing::warn!(
            partition = number,
            error = chain(&error),
            "partition given up"
        );
        match kind {
            PortErrorKind::Conflict => {
                evaluator.ports.metrics.evaluator.conflicts.inc();
                epoch = None;
                patience.lose();
            }
            PortErrorKind::Unavailable => {}
            PortErrorKind::Refused | PortErrorKind::Corrupt => {
                return Err(EvaluatorError::Port {
                    partition: number,
                    source: error,
                });
            }
        }
        patience.rest(&stop, error).await?;
    }
    Ok(())
}

/// One stretch of ownership: claim it, unless claimed already, take up what the store has, and serve until something
/// fails. INVARIANT: what may or may not have had its effect is never repeated blindly; the truth is read anew.
async fn own(
    evaluator: &Evaluator,
    number: u32,
    epoch: &mut Option<Epoch>,
    stop: &Shutdown,
    patience: &mut Patience,
) -> Result<(), PortError> {
    let owned = match *epoch {
        Some(epoch) => epoch,
        None => {
            let claim = Entry::Claim {
                owner: evaluator.config.owner.clone(),
            };
            let claim = claim.to_bytes().into();
            *epoch.insert(evaluator.ports.bus.claim(number, claim).await?)
        }
    };
    let mut owner = Owner::open(evaluator, number, owned, stop).await?;
    owner.settle().await?;
    patience.attendance.serves(number);
    owner.serve(stop, patience).await
}

impl Evaluator {
    fn settings(&self) -> Settings {
        Settings {
            partitions: self.ports.bus.partitions(),
            model: Arc::clone(&self.model),
            policies: self.policies.clone(),
        }
    }

    fn jitter(&self, number: u32) -> Jitter {
        match self.config.jitter_seed {
            Some(seed) => Jitter::seeded(seed.wrapping_add(u64::from(number))),
            None => Jitter::random(),
        }
    }
}

/// Waits that double before they stay at the longest.
const DOUBLINGS_MAX: u32 = 16;

/// How long to wait before a partition is taken up again; new with every batch that went through.
#[derive(Debug)]
pub(crate) struct Patience {
    policy: RetryPolicy,
    partition: u32,
    failures: u32,
    attendance: Attendance,
}

impl Patience {
    fn new(policy: RetryPolicy, partition: u32, attendance: Attendance) -> Self {
        Self {
            policy,
            partition,
            failures: 0,
            attendance,
        }
    }

    pub(crate) fn renew(&mut self) {
        self.failures = 0;
    }

    /// Another owner came: whoever comes back at once takes it from the other, and both do nothing else.
    fn lose(&mut self) {
        self.failures = self.failures.max(DOUBLINGS_MAX);
    }

    async fn rest(&mut self, stop: &Shutdown, error: PortError) -> Result<(), EvaluatorError> {
        self.failures += 1;
        if self.failures >= self.policy.attempts_max {
            return Err(EvaluatorError::GaveUp {
                partition: self.partition,
                attempts: self.failures,
                source: error,
            });
        }
        let wait = tokio::time::sleep(Duration::from_millis(self.wait_ms()));
        stop.unless_begun(wait).await;
        Ok(())
    }

    /// Doubles to the bound; spread over the upper half by partition and failure, so that partitions do not return
    /// together.
    fn wait_ms(&self) -> u64 {
        let doublings = self.failures.saturating_sub(1).min(DOUBLINGS_MAX);
        let ceiling = self.policy.delay_ms_first.saturating_mul(1 << doublings);
        let ceiling = ceiling.min(self.policy.delay_ms_max).max(1);
        let parts = [self.partition.to_le_bytes(), self.failures.to_le_bytes()];
        let [partition, failures] = &parts;
        let spread = stable_hash(&[partition, failures]) % u128::from(ceiling / 2 + 1);
        ceiling / 2 + u64::try_from(spread).unwrap_or(0)
    }
}
