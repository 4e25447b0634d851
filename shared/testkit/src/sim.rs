//! The simulator: real loops over ports that fail, with time that is paused, all of it drawn from one seed. Phase one
//! hunts for what must never happen; phase two heals everything and demands that the rest does.

pub mod bus;
pub mod clock;
pub mod policy;
pub mod store;
pub mod subscriber;
pub mod trouble;
pub mod workload;

mod stage;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use caerus_runtime::port::Topic;
use caerus_runtime::shutdown::Shutdown;

use crate::auditor::{self, Accepted, Audited, History};
use crate::canary::Canary;
use bus::SimBus;
use clock::SimClock;
use stage::Stage;
use store::SimStore;
use trouble::Dice;

/// What a loop under test is given: its ports, its partition, and how it is to be set up this time.
#[derive(Clone, Debug)]
pub struct Seat {
    pub bus: Arc<SimBus>,
    pub store: Arc<SimStore>,
    pub clock: Arc<SimClock>,
    pub partition: u32,
    /// Unlike in any two seats.
    pub name: String,
    pub seed: u64,
    /// Entries of one batch.
    pub batch_len: usize,
    pub cache: CacheSize,
    pub stop: Shutdown,
}

/// How much a loop may keep between batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheSize {
    One,
    All,
}

/// The loop under test, running until its seat's stop, or until it cannot go on.
pub type Running = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Starts the loop under test on a seat.
pub type Start<'a> = &'a dyn Fn(Seat) -> Running;

/// How large and how wild a simulation is; drawn from its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub partitions: u32,
    pub turns: u64,
    /// *Units*: milliseconds between two turns at most.
    pub pace_ms_max: u64,
    /// *Units*: thousandths of all turns, for each kind of misfortune.
    pub kills: u32,
    pub rivals: u32,
    pub crashes: u32,
    pub flushes: u32,
    pub jumps: u32,
    pub revisions: u32,
    /// Long silences, over which demands expire and evidence decays.
    pub silences: u32,
}

impl Plan {
    /// Swarm style: each kind of misfortune is off, rare or frequent.
    pub fn drawn(dice: &Dice) -> Self {
        let rate = |rates: [u32; 3]| dice.pick(&rates).copied().unwrap_or(0);
        Self {
            partitions: u32::try_from(dice.within(1..4)).unwrap_or(1),
            turns: dice.within(12..40),
            pace_ms_max: dice.within(20..1_500),
            kills: rate([0, 30, 150]),
            rivals: rate([0, 20, 100]),
            crashes: rate([0, 20, 100]),
            flushes: rate([0, 0, 30]),
            jumps: rate([0, 20, 60]),
            revisions: rate([0, 20, 60]),
            silences: rate([0, 20, 50]),
        }
    }
}

/// What a simulation left behind, audited and found good.
#[derive(Debug)]
pub struct Passed {
    pub seed: u64,
    pub plan: Plan,
    pub history: History,
    pub audited: Audited,
}

/// What does not hold, and how to see it again.
#[derive(Debug)]
pub struct Failed {
    pub seed: u64,
    pub plan: Plan,
    pub history: History,
    pub complaints: Vec<String>,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "seed {} with {:?}:", self.seed, self.plan)?;
        for complaint in self.complaints.iter().take(COMPLAINTS_TOLD) {
            writeln!(f, "  {complaint}")?;
        }
        let more = self.complaints.len().saturating_sub(COMPLAINTS_TOLD);
        write!(
            f,
            "  and {more} more; CAERUS_SIM_SEED={} repeats it",
            self.seed
        )
    }
}

const COMPLAINTS_TOLD: usize = 12;

/// Runs one seed from start to audit, in a runtime of its own with paused time.
///
/// *Errors*: whatever the auditor, the subscriber or the demand for progress has to say.
pub fn run(seed: u64, canary: Option<Canary>, start: Start<'_>) -> Result<Passed, Box<Failed>> {
    let dice = Arc::new(Dice::seeded(seed));
    let plan = Plan::drawn(&dice);
    let failed = |history, complaints| {
        Box::new(Failed {
            seed,
            plan,
            history,
            complaints,
        })
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| failed(History::new(), vec![format!("no runtime: {error}")]))?;
    let left = runtime.block_on(async {
        let mut stage = Stage::new(seed, plan, Arc::clone(&dice), canary);
        stage.play(start).await;
        stage.heal(start).await
    });
    let mut complaints = left.complaints;
    match auditor::audit(plan.partitions, &left.history, &left.accepted) {
        Ok(audited) if complaints.is_empty() => Ok(Passed {
            seed,
            plan,
            history: left.history,
            audited,
        }),
        Ok(_) => Err(failed(left.history, complaints)),
        Err(mut found) => {
            complaints.append(&mut found);
            Err(failed(left.history, complaints))
        }
    }
}

/// What is there to be audited at the end.
struct Left {
    history: History,
    accepted: Vec<Accepted>,
    complaints: Vec<String>,
}

fn history(bus: &SimBus, partitions: u32) -> History {
    let mut history = History::new();
    for topic in Topic::ALL {
        for partition in 0..partitions {
            let written = bus.history(topic, partition);
            if !written.is_empty() {
                history.insert((topic, partition), written);
            }
        }
    }
    history
}
