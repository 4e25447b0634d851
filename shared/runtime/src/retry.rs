//! Trying again: bounded, jittered, cancellable, and only where the port's kind of error says that it may help.

use std::future::Future;
use std::time::Duration;

use crate::metric::Counter;
use crate::port::{PortError, PortErrorKind, PortResult};
use crate::shutdown::Shutdown;

/// How often and how patiently.
///
/// *Shape*: the n-th wait is drawn from the upper half of `delay_ms_first · 2ⁿ⁻¹`, never above `delay_ms_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    pub delay_ms_first: u64,
    pub delay_ms_max: u64,
    /// All attempts, the first included; 0 counts as 1.
    pub attempts_max: u32,
}

impl RetryPolicy {
    /// While somebody waits for the answer: about two seconds in all.
    pub const REQUEST: Self = Self {
        delay_ms_first: 25,
        delay_ms_max: 500,
        attempts_max: 8,
    };

    /// For loops that can do nothing else meanwhile: about ten minutes, then the task fails and is seen.
    pub const LOOP: Self = Self {
        delay_ms_first: 50,
        delay_ms_max: 5_000,
        attempts_max: 128,
    };
}

/// Spreads waits, so that those who failed together do not return together.
#[derive(Clone, Copy, Debug)]
pub struct Jitter {
    state: u64,
}

impl Jitter {
    /// A jitter of its own for each caller.
    pub fn random() -> Self {
        let mut seed = [0_u8; 8];
        // Without randomness the waits are merely less spread; that is no reason to fail.
        let drawn = getrandom::fill(&mut seed).is_ok();
        Self::seeded(if drawn { u64::from_le_bytes(seed) } else { 0 })
    }

    /// For simulations: the same seed gives the same waits.
    pub fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// SplitMix64. *Source*: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between the half of `ceiling_ms` and all of it.
    fn spread(&mut self, ceiling_ms: u64) -> u64 {
        let half = ceiling_ms / 2;
        half + self.next() % (ceiling_ms - half + 1)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// What trying again would not help, or has not helped.
    #[error("gave up after {attempts} attempts")]
    GaveUp {
        attempts: u32,
        #[source]
        source: PortError,
    },
    /// The shutdown began first; the last attempt may or may not have had its effect.
    #[error("stopped before it was done")]
    Stopped,
}

impl RetryError {
    /// The kind the port gave at last; `None` when stopped.
    pub fn kind(&self) -> Option<PortErrorKind> {
        match self {
            Self::GaveUp { source, .. } => Some(source.kind),
            Self::Stopped => None,
        }
    }
}

/// Tries one thing again and again, by one policy.
#[derive(Clone, Debug)]
pub struct Retry {
    policy: RetryPolicy,
    jitter: Jitter,
    retries: Counter,
}

impl Retry {
    /// Counts each retry on `retries`, e.g. `metrics.runtime.retries.of(&Room::Ingest)`.
    pub fn new(policy: RetryPolicy, jitter: Jitter, retries: Counter) -> Self {
        Self {
            policy,
            jitter,
            retries,
        }
    }

    /// Calls `attempt` until it succeeds, fails for good, or the shutdown begins.
    pub async fn run<T, A, F>(
        &mut self,
        shutdown: &Shutdown,
        mut attempt: A,
    ) -> Result<T, RetryError>
    where
        A: FnMut() -> F,
        F: Future<Output = PortResult<T>>,
    {
        let mut attempts = 0;
        let mut ceiling_ms = self.policy.delay_ms_first.min(self.policy.delay_ms_max);
        loop {
            attempts += 1;
            let error = match shutdown.unless_begun(attempt()).await {
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(error)) => error,
                None => return Err(RetryError::Stopped),
            };
            if !may_help(error.kind) || attempts >= self.policy.attempts_max {
                return Err(RetryError::GaveUp {
                    attempts,
                    source: error,
                });
            }
            self.retries.inc();
            let wait_ms = self.jitter.spread(ceiling_ms);
            tracing::debug!(
                error = crate::tasks::chain(&error),
                attempts,
                wait_ms,
                "trying again"
            );
            let wait = tokio::time::sleep(Duration::from_millis(wait_ms));
            if shutdown.unless_begun(wait).await.is_none() {
                return Err(RetryError::Stopped);
            }
            ceiling_ms = ceiling_ms.saturating_mul(2).min(self.policy.delay_ms_max);
        }
    }
}

/// The kind alone decides.
pub fn may_help(kind: PortErrorKind) -> bool {
    match kind {
        PortErrorKind::Unavailable => true,
        PortErrorKind::Conflict | PortErrorKind::Refused | PortErrorKind::Corrupt => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        delay_ms_first: 100,
        delay_ms_max: 400,
        attempts_max: 5,
    };

    struct Run {
        attempts: u32,
        waited_ms: u128,
        retries: u64,
        outcome: Result<u32, RetryError>,
    }

    /// Fails `failures` times with `kind`, then answers with the number of attempts.
    async fn run(kind: PortErrorKind, failures: u32) -> Run {
        let (attempts, started, retries) = (Cell::new(0), Instant::now(), Counter::default());
        let outcome = Retry::new(POLICY, Jitter::seeded(7), retries.clone())
            .run(&Shutdown::new(), || async {
                attempts.set(attempts.get() + 1);
                if attempts.get() > failures {
                    Ok(attempts.get())
                } else {
                    Err(PortError::new(kind, "read `signals`"))
                }
            })
            .await;
        Run {
            attempts: attempts.get(),
            waited_ms: started.elapsed().as_millis(),
            retries: retries.get(),
            outcome,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_unavailable_is_tried_again() {
        for kind in [
            PortErrorKind::Conflict,
            PortErrorKind::Refused,
            PortErrorKind::Corrupt,
        ] {
            let run = run(kind, 1).await;
            assert_eq!((run.attempts, run.waited_ms, run.retries), (1, 0, 0));
            assert_eq!(run.outcome.unwrap_err().kind(), Some(kind));
        }
        let run = run(PortErrorKind::Unavailable, 3).await;
        assert_eq!((run.attempts, run.retries), (4, 3));
        assert_eq!(run.outcome.unwrap(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_a_bound_and_attempts_end() {
        let run = run(PortErrorKind::Unavailable, 99).await;
        assert_eq!(run.attempts, 5);
        assert!(
            (50 + 100 + 200 + 200..=100 + 200 + 400 + 400).contains(&run.waited_ms),
            "{}",
            run.waited_ms
        );
        assert_eq!(
            crate::tasks::chain(&run.outcome.unwrap_err()),
            "gave up after 5 attempts: could not read `signals`: unavailable"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_ends_the_wait() {
        let shutdown = Shutdown::new();
        let attempts = Cell::new(0);
        let mut retry = Retry::new(POLICY, Jitter::seeded(1), Counter::default());
        let outcome = retry
            .run(&shutdown, || async {
                attempts.set(attempts.get() + 1);
                shutdown.begin();
                Err::<(), _>(PortError::new(PortErrorKind::Unavailable, "x"))
            })
            .await;
        assert!(matches!(outcome, Err(RetryError::Stopped)));
        assert_eq!(attempts.get(), 1);
    }

    #[test]
    fn equal_seeds_give_equal_waits_within_the_upper_half() {
        let waits = |seed| {
            let mut jitter = Jitter::seeded(seed);
            [100, 101, 1, 0].map(|ceiling| (ceiling, jitter.spread(ceiling)))
        };
        assert_eq!(waits(3), waits(3));
        for seed in 0..500 {
            for (ceiling, wait) in waits(seed) {
                assert!(
                    (ceiling / 2..=ceiling).contains(&wait),
                    "{wait} of {ceiling}"
                );
            }
        }
    }
}
