//! Nothing accepted is lost: `caerus up` is killed at random moments while events keep coming, and afterwards the log
//! tells all that happened, exactly. *Source*: contract, §1 (`export`), §2 (202), §4; the named invariants of the house.

mod audit;
mod crowd;
mod poster;
mod subscriber;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use caerus_engine::time::Timestamp;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::caerus::Caerus;
use crate::support::enforcer::{Enforcer, held};
use crate::support::person::now;
use crate::support::{PATIENCE, eventually};
use audit::Audit;
use poster::{Ledger, post_until};
use subscriber::{Subscriber, follow};

const KILLS: usize = 50;
/// Between a start and the kill that follows. *Units*: milliseconds; from before it listens to well into its work.
const LIFE_MS: std::ops::Range<u64> = 40..1_400;
/// Who posts at the same time; each for people of its own.
const POSTERS: u64 = 3;
/// The variable that repeats a run.
const SEED: &str = "CAERUS_TEST_SEED";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_fifty_times_caerus_loses_nothing_that_it_accepted() {
    let seed = seed();
    println!("seed {seed} ({SEED}={seed} repeats it)");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut caerus = Caerus::start(dir.path(), &[]).await;
    let enforcer = Enforcer::start(dir.path(), &caerus, RULES).await;

    let ledger = Arc::new(Ledger::new(&caerus));
    let subscriber = Arc::new(Subscriber::new(&caerus, random.random()));
    let mut posters = JoinSet::new();
    for number in 0..POSTERS {
        posters.spawn(post_until(Arc::clone(&ledger), number, random.random()));
    }
    let mut streams = JoinSet::new();
    streams.spawn(follow(Arc::clone(&subscriber)));

    let began = Instant::now();
    for _ in 0..KILLS {
        let life = Duration::from_millis(random.random_range(LIFE_MS));
        tokio::time::sleep(life).await;
        caerus.program.kill();
        caerus.respawn();
        ledger.note_start();
    }
    caerus.up().await;
    eventually("events to be accepted after the last kill", || async {
        ledger.is_recovered().then_some(())
    })
    .await;
    ledger.stop();
    while let Some(ended) = posters.join_next().await {
        ended.unwrap();
    }
    println!(
        "{KILLS} kills in {:.1} s; {ledger}",
        began.elapsed().as_secs_f64()
    );

    settle(&caerus, &subscriber).await;
    agree_on_what_is_in_force(&caerus, &enforcer, &subscriber).await;
    no_invariant_was_broken(&caerus).await;
    subscriber.stop();
    while let Some(ended) = streams.join_next().await {
        ended.unwrap();
    }
    println!("{subscriber}");
    caerus.program.signal("TERM");
    assert_eq!(caerus.program.ended().0, 0, "{}", caerus.program.said());
    no_life_complained(dir.path());

    let audit = Audit::of(dir.path()).await;
    audit.every_accepted_event_is_in_the_log(&ledger.accepted());
    audit.every_accepted_event_was_evaluated_once(&ledger.accepted());
    audit.repeats_changed_nothing();
    audit.the_store_holds_what_the_log_says().await;
    audit.generations_only_rise();
    audit.contributions_add_up();
    println!("{audit}");
    audit.the_replay_gives_the_live_decisions().await;
}

const RULES: &str = "[identity]\nsession_cookie = \"sid\"\n";

#[expect(
    clippy::disallowed_methods,
    reason = "the seed of a test is no configuration of the product"
)]
fn seed() -> u64 {
    match std::env::var(SEED) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{SEED} is a number")),
        Err(_) => now().0.cast_unsigned(),
    }
}

/// Waits until all that was accepted is decided, told on the stream, and recorded.
async fn settle(caerus: &Caerus, subscriber: &Subscriber) {
    let told = now();
    let began = Instant::now();
    loop {
        let until = subscriber.evaluated_until().unwrap_or(Timestamp::ZERO);
        let is_recorded = caerus.metric("caerus_console_record_lag_entries").await < 1.0;
        if until > told && is_recorded {
            break;
        }
        // Everything that piled up is evaluated in a debug build, on a machine that does other things too.
        let patience = PATIENCE * 3;
        assert!(
            began.elapsed() < patience,
            "evaluated until {until:?} alone; told until {told:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "settled {:.1} s after the last event",
        began.elapsed().as_secs_f64()
    );
}

/// What the gateway lists, what the subscriber holds and what the enforcer saved is the same.
async fn agree_on_what_is_in_force(caerus: &Caerus, enforcer: &Enforcer, subscriber: &Subscriber) {
    let ids = |decisions: &[Value]| -> BTreeSet<String> {
        let in_force = decisions.iter().filter(|one| one["action"] != "clear");
        in_force
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let (active, subscribed, saved) = eventually("all pictures to agree", || async {
        let active = ids(&caerus.active().await);
        let (subscribed, saved) = (subscriber.in_force(), ids(&held(&enforcer.saved())));
        (active == subscribed && active == saved).then_some((active, subscribed, saved))
    })
    .await;
    println!("{} decisions in force", active.len());
    assert!(
        !active.is_empty(),
        "nothing was decided: the test proves nothing"
    );
    assert_eq!(active, subscribed);
    assert_eq!(active, saved);
}

async fn no_invariant_was_broken(caerus: &Caerus) {
    for room in ["evaluator", "gateway"] {
        let name = format!("caerus_{room}_invariant_violations_total");
        assert!(caerus.metric(&name).await < 1.0, "{name}");
    }
}

/// Neither a panic nor anything that somebody should act on, in any of the lives.
fn no_life_complained(dir: &Path) {
    let mut lives = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        lives += 1;
        let said = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let complaint = said
            .lines()
            .find(|line| line.contains("ERROR") || line.contains("panicked"));
        assert_eq!(complaint, None, "{}", path.display());
    }
    assert!(lives > KILLS, "{lives} logs");
}
