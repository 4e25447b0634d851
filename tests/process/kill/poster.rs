//! Those who post, again and again, and remember what they were promised. Know nothing of what becomes of it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::crowd::Crowd;
use crate::support::caerus::{Caerus, http, send};

/// Between two posts, and before another attempt. *Units*: milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 10..60;
/// One request in so many is an operator's.
const COMMANDS: u32 = 40;

/// What was promised, and how long it took to be promised anything again.
#[derive(Debug)]
pub(crate) struct Ledger {
    url: String,
    producer: String,
    admin: String,
    http: reqwest::Client,
    accepted: Mutex<BTreeSet<String>>,
    /// When the present life of Caerus began, until it accepts something.
    started_at: Mutex<Option<Instant>>,
    recoveries: Mutex<Vec<Duration>>,
    posts: AtomicU64,
    unanswered: AtomicU64,
    repeated: AtomicU64,
    commands: AtomicU64,
    stopped: AtomicBool,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    pub(crate) fn new(caerus: &Caerus) -> Self {
        Self {
            url: caerus.url.clone(),
            producer: caerus.token("producer"),
            admin: caerus.token("admin"),
            http: http(),
            accepted: Mutex::default(),
            started_at: Mutex::default(),
            recoveries: Mutex::default(),
            posts: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    pub(crate) fn note_start(&self) {
        *lock(&self.started_at) = Some(Instant::now());
    }

    /// Whether anything was accepted since the last start.
    pub(crate) fn is_recovered(&self) -> bool {
        lock(&self.started_at).is_none()
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// The ids of all events that a 202 promised.
    pub(crate) fn accepted(&self) -> BTreeSet<String> {
        lock(&self.accepted).clone()
    }

    /// *Returns*: whether it was answered; if not, nobody knows whether it was taken.
    async fn post(&self, path: &str, events: &[Value]) -> bool {
        self.posts.fetch_add(1, Ordering::SeqCst);
        let request = self.http.post(format!("{}{path}", self.url));
        let request = request.bearer_auth(&self.producer);
        let Ok(answer) = send(request.json(&json!(events))).await else {
            self.unanswered.fetch_add(1, Ordering::SeqCst);
            return false;
        };
        if answer.status == 503 {
            return false;
        }
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert_eq!(
            answer.body,
            json!({"accepted": events.len(), "rejected": []})
        );
        let ids = events
            .iter()
            .map(|event| event["id"].as_str().unwrap().to_owned());
        lock(&self.accepted).extend(ids);
        if let Some(started_at) = lock(&self.started_at).take() {
            lock(&self.recoveries).push(started_at.elapsed());
        }
        true
    }

    async fn command(&self, command: &Value) {
        let request = self.http.post(format!("{}/v1/decisions", self.url));
        let Ok(answer) = send(request.bearer_auth(&self.admin).json(command)).await else {
            return;
        };
        if answer.status != 503 {
            assert_eq!(answer.status, 202, "{}", answer.body);
            self.commands.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |of: &AtomicU64| of.load(Ordering::SeqCst);
        let mut recoveries = lock(&self.recoveries).clone();
        recoveries.sort_unstable();
        let at = |share: usize| {
            recoveries.get((recoveries.len() * share / 100).min(recoveries.len() - 1))
        };
        write!(
            f,
            "{} posts, {} unanswered, {} repeated; {} events and {} commands accepted; from {} of the starts to the \
             first 202: median {:.0?}, 90 % {:.0?}, longest {:.0?}",
            count(&self.posts),
            count(&self.unanswered),
            count(&self.repeated),
            lock(&self.accepted).len(),
            count(&self.commands),
            recoveries.len(),
            at(50).unwrap_or(&Duration::ZERO),
            at(90).unwrap_or(&Duration::ZERO),
            recoveries.last().unwrap_or(&Duration::ZERO),
        )
    }
}

/// Posts what happens until told to stop. What is not answered is sent again, or given up for good: both happen.
pub(crate) async fn post_until(ledger: std::sync::Arc<Ledger>, number: u64, seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut crowd = Crowd::new(number, ChaCha8Rng::seed_from_u64(seed ^ 1));
    for history in crowd.histories() {
        while !ledger.post("/v1/events?backfill=true", &history).await {
            pause(&mut random).await;
        }
    }
    while !ledger.is_stopped() {
        if random.random_ratio(1, COMMANDS) {
            ledger.command(&crowd.command()).await;
        }
        let events = crowd.happenings();
        while !ledger.post("/v1/events", &events).await {
            pause(&mut random).await;
            if random.random_ratio(1, 4) {
                break;
            }
            ledger.repeated.fetch_add(1, Ordering::SeqCst);
        }
        // A producer that never heard the answer may also say again what was taken long ago.
        if random.random_ratio(1, 20) {
            ledger.repeated.fetch_add(1, Ordering::SeqCst);
            ledger.post("/v1/events", &events).await;
        }
        pause(&mut random).await;
    }
}

async fn pause(random: &mut ChaCha8Rng) {
    tokio::time::sleep(Duration::from_millis(random.random_range(PAUSE_MS))).await;
}
