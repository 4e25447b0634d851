//! The live loop over ports that fail, seed by seed: whatever happens, what comes out is what the log gives.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use caerus_engine::score::Model;
use caerus_evaluator::fold::Settings;
use caerus_evaluator::fold::policies::{InForce, Policies};
use caerus_evaluator::live::{Evaluator, EvaluatorConfig, Ports, run_partition};
use caerus_evaluator::replay::{ExportReplay, Line};
use caerus_runtime::health::Health;
use caerus_runtime::metric::Metrics;
use caerus_runtime::port::{ReadLimit, Topic};
use caerus_runtime::retry::RetryPolicy;
use caerus_testkit::auditor::{Audited, History};
use caerus_testkit::canary::Canary;
use caerus_testkit::sim::{self, CacheSize, Passed, Running, Seat, policy};
use caerus_wire::decision::PublicDecision;
use caerus_wire::entry::Entry;

/// Seeds of each of the tests below; together the two thousand that every `make test` runs.
const SEEDS_EACH: u64 = 500;
/// One seed in so many is also replayed by the evaluator itself.
const REPLAY_EACH: u64 = 4;
/// A canary has to be noticed within as many seeds.
const CANARY_SEEDS: u64 = 60;
/// Where one seed is to be run alone.
const SEED_VARIABLE: &str = "CAERUS_SIM_SEED";

const PATIENT: RetryPolicy = RetryPolicy {
    delay_ms_first: 20,
    delay_ms_max: 1_000,
    attempts_max: 10_000,
};
const BRIEF: RetryPolicy = RetryPolicy {
    delay_ms_first: 20,
    delay_ms_max: 200,
    attempts_max: 3,
};

fn metrics() -> Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(Metrics::new).clone()
}

fn policies() -> Policies {
    Policies::by(policy::load)
}

fn start(seat: Seat) -> Running {
    let evaluator = Evaluator {
        config: EvaluatorConfig {
            owner: seat.name,
            batch: ReadLimit {
                records: seat.batch_len,
                bytes: 1 << 20,
            },
            cache_bytes_max: match seat.cache {
                CacheSize::One => 1,
                CacheSize::All => usize::MAX,
            },
            retry: BRIEF,
            comeback: PATIENT,
            jitter_seed: Some(seat.seed),
            report_ms_min: 1_000,
            idle_ms: 10_000,
            // Hours of silence pass in few steps.
            rest_ms_max: 600_000,
            sweep_ms: 600_000,
        },
        ports: Ports {
            bus: seat.bus,
            store: seat.store,
            clock: seat.clock,
            metrics: metrics(),
            health: Health::new(),
            standings: None,
        },
        model: Arc::new(Model::default()),
        policies: policies(),
    };
    let (partition, stop) = (seat.partition, seat.stop);
    Box::pin(async move {
        let ended = run_partition(evaluator, partition, stop).await;
        ended.map_err(|error| caerus_runtime::tasks::chain(&error))
    })
}

/// INV-5: the evaluator's own replay of the final log gives what was published live.
fn check_replay(passed: &Passed) -> Result<(), String> {
    let settings = Settings {
        partitions: passed.plan.partitions,
        model: Arc::new(Model::default()),
        policies: policies(),
    };
    for number in 0..passed.plan.partitions {
        let mut replay = ExportReplay::new(settings.clone(), InForce::nothing());
        let mut said = Vec::new();
        let log = passed.history.get(&(Topic::Signals, number));
        for record in log.into_iter().flatten() {
            let entry = Entry::from_bytes(&record.value).map_err(|error| error.to_string())?;
            replay.entry(number, &entry, &mut |line| {
                if let Line::Decision(decision) = line {
                    let public = PublicDecision::from_engine(decision, None);
                    said.push(public.without_live_members().to_json());
                }
            });
        }
        let live = published(&passed.history, number);
        let distinct = |all: &[String]| {
            let mut seen = std::collections::BTreeSet::new();
            let mut first: Vec<String> = all.to_vec();
            first.retain(|json| seen.insert(json.clone()));
            first
        };
        let by_mode = |all: &[String], mode: &str| -> Vec<String> {
            let mode = format!("\"mode\":\"{mode}\"");
            all.iter()
                .filter(|json| json.contains(&mode))
                .cloned()
                .collect()
        };
        for mode in ["enforce", "shadow"] {
            let (live, said) = (by_mode(&live, mode), by_mode(&said, mode));
            if distinct(&live) != said {
                return Err(format!(
                    "INV-5: replay of partition {number} differs in {mode}"
                ));
            }
        }
        if replay.counts().breaches > 0 {
            return Err(format!("partition {number}: {:?}", replay.counts()));
        }
    }
    Ok(())
}

fn published(history: &History, number: u32) -> Vec<String> {
    let topics = [Topic::Decisions, Topic::Shadow].into_iter();
    let records = topics
        .filter_map(|topic| history.get(&(topic, number)))
        .flatten();
    let decisions = records.filter_map(|record| PublicDecision::parse(&record.value).ok());
    decisions
        .map(|decision| decision.without_live_members().to_json())
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a failing seed is run again by its number"
)]
fn seed_asked_for() -> Option<u64> {
    std::env::var(SEED_VARIABLE).ok()?.parse().ok()
}

/// Runs the seeds, or the one asked for. *Returns*: what they went over.
fn check(seeds: Range<u64>) -> Result<Audited, String> {
    let seeds = match seed_asked_for() {
        Some(seed) => seed..seed + 1,
        None => seeds,
    };
    let mut total = Audited::default();
    for seed in seeds {
        let passed = sim::run(seed, None, &start).map_err(|failed| failed.to_string())?;
        // The auditor has folded every log already; this is the evaluator's own word on some of them.
        if seed % REPLAY_EACH == 0 {
            check_replay(&passed).map_err(|what| {
                format!("seed {seed}: {what}; {SEED_VARIABLE}={seed} repeats it")
            })?;
        }
        total.add(passed.audited);
    }
    Ok(total)
}

#[test]
fn whatever_happens_the_outputs_are_those_of_the_log_1() {
    let total = check(0..SEEDS_EACH).unwrap_or_else(|complaint| panic!("{complaint}"));
    println!("{total:?}");
    assert!(total.decisions > 0 && total.claims > 0, "{total:?}");
}

#[test]
fn whatever_happens_the_outputs_are_those_of_the_log_2() {
    let total = check(SEEDS_EACH..2 * SEEDS_EACH).unwrap_or_else(|complaint| panic!("{complaint}"));
    println!("{total:?}");
    assert!(total.decisions > 0 && total.claims > 0, "{total:?}");
}

#[test]
fn whatever_happens_the_outputs_are_those_of_the_log_3() {
    let total =
        check(2 * SEEDS_EACH..3 * SEEDS_EACH).unwrap_or_else(|complaint| panic!("{complaint}"));
    println!("{total:?}");
    assert!(total.decisions > 0 && total.claims > 0, "{total:?}");
}

#[test]
fn whatever_happens_the_outputs_are_those_of_the_log_4() {
    let total =
        check(3 * SEEDS_EACH..4 * SEEDS_EACH).unwrap_or_else(|complaint| panic!("{complaint}"));
    println!("{total:?}");
    assert!(total.decisions > 0 && total.claims > 0, "{total:?}");
}

#[test]
fn equal_seeds_give_equal_histories() {
    for seed in [3, 14, 15] {
        let histories = [(); 2].map(|()| sim::run(seed, None, &start).map(|passed| passed.history));
        let [Ok(first), Ok(second)] = histories else {
            panic!("seed {seed} fails");
        };
        assert_eq!(first, second, "seed {seed}");
    }
}

#[test]
fn every_deliberate_defect_is_noticed() {
    for canary in Canary::ALL {
        let mut seeds = 0..CANARY_SEEDS;
        let noticed = seeds.find_map(|seed| sim::run(seed, Some(canary), &start).err());
        let noticed = noticed.unwrap_or_else(|| panic!("{canary:?} went unnoticed"));
        println!("{canary:?}: {noticed}");
    }
}
