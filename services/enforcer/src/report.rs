//! Tells Caerus which demands verified tokens met here, once for each. Knows no request and no picture.
//!
//! What is told is a fact about a person's proof, not a judgement: the event `step_up_met`, which the enforcement
//! point's own credential may post. Losing one costs nothing but time: the next request that meets the demand is
//! reported again.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use caerus_engine::decide::Action;
use caerus_engine::id::{AcrValue, DeviceId, SessionId, TenantId, UserId, short_hash, stable_hash};
use caerus_engine::time::Timestamp;
use caerus_runtime::metric::Counter;
use caerus_runtime::port::{Clock, PortError, PortErrorKind, PortResult};
use caerus_runtime::retry::{Jitter, Retry, RetryError, RetryPolicy};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::chain;
use caerus_wire::event::{EventType, NativeEvent, SessionEvent};
use http::HeaderValue;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::judge::Request;
use crate::limit;
use crate::net::{Address, Answer, Dialer};
use crate::picture::Decision;

const RETRY: RetryPolicy = RetryPolicy {
    delay_ms_first: 200,
    delay_ms_max: 5_000,
    attempts_max: limit::REPORT_ATTEMPTS_MAX,
};
/// Reports sent in one request.
const BATCH_LEN_MAX: usize = 64;

/// One demand, met by a verified token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    pub decision: Arc<str>,
    pub tenant: TenantId,
    pub user: UserId,
    pub session: Option<SessionId>,
    pub device: Option<DeviceId>,
    pub acr: Option<AcrValue>,
    pub amr: BTreeSet<String>,
    pub authenticated_at: Timestamp,
    pub address: Option<IpAddr>,
}

impl Met {
    /// `None` where the request proves nothing, or nobody knows whose session it is.
    pub fn of(request: &Request, decision: Arc<Decision>, address: Option<IpAddr>) -> Option<Self> {
        let Action::StepUp { requires, .. } = &decision.action else {
            return None;
        };
        let proof = request.proof.as_ref()?;
        let wanted = requires
            .acr_values
            .iter()
            .find(|class| proof.classes.contains(*class));
        let target = &decision.target;
        let sessions = request.credentials.iter();
        let mut own = sessions.filter_map(|credential| credential.session.as_ref());
        Some(Self {
            tenant: request.tenant.clone(),
            user: target.user.as_ref().or(request.user.as_ref())?.clone(),
            session: target.session.as_ref().or(own.next()).cloned(),
            device: target.device.as_ref().or(request.device.as_ref()).cloned(),
            acr: wanted.or(proof.classes.first()).cloned(),
            amr: proof.amr.clone(),
            authenticated_at: proof.authenticated_at,
            address,
            decision: Arc::clone(&decision.id),
        })
    }

    /// What was proved, for whom: told once.
    fn parts(&self) -> [Vec<u8>; 4] {
        [
            self.decision.as_bytes().to_vec(),
            self.tenant.as_str().as_bytes().to_vec(),
            self.session
                .as_ref()
                .map(|session| session.as_str().as_bytes().to_vec())
                .unwrap_or_default(),
            self.authenticated_at.0.to_be_bytes().to_vec(),
        ]
    }

    fn key(&self) -> u64 {
        let parts = self.parts();
        short_hash(&parts.each_ref().map(Vec::as_slice))
    }

    /// The event. Its id follows from what it tells, so that a repeat after a lost answer changes nothing.
    fn event(&self, now: Timestamp) -> NativeEvent {
        let parts = self.parts();
        let name = stable_hash(&parts.each_ref().map(Vec::as_slice));
        NativeEvent {
            tenant: Some(self.tenant.to_string()),
            user: Some(self.user.to_string()),
            session: self.session.as_ref().map(ToString::to_string),
            device: self.device.as_ref().map(ToString::to_string),
            ip: self.address,
            event: Some(SessionEvent::StepUpMet),
            acr: self.acr.as_ref().map(ToString::to_string),
            amr: (!self.amr.is_empty()).then(|| self.amr.iter().cloned().collect()),
            issued_at: Some(self.authenticated_at),
            ..NativeEvent::new(format!("met-{name:032x}"), EventType::Session, now)
        }
    }
}

/// Reports that were made, so that each is made once. Bounded; the oldest leaves.
#[derive(Debug, Default)]
struct Remembered {
    keys: BTreeSet<u64>,
    order: VecDeque<u64>,
}

impl Remembered {
    /// *Returns*: false when it is remembered already.
    fn add(&mut self, key: u64) -> bool {
        if !self.keys.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > limit::REPORTS_REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        true
    }

    fn forget(&mut self, key: u64) {
        if self.keys.remove(&key) {
            self.order.retain(|kept| *kept != key);
        }
    }
}

/// For those who check. Locked only for requests that meet a demand.
#[derive(Clone, Debug)]
pub struct Reporter {
    remembered: Arc<Mutex<Remembered>>,
    queue: mpsc::Sender<Met>,
}

impl Reporter {
    /// Queues a report, unless it was made already. Never waits; what finds the queue full is told at the next request.
    pub fn report(&self, met: Met) {
        let key = met.key();
        if !lock(&self.remembered).add(key) {
            return;
        }
        if let Err(full) = self.queue.try_send(met) {
            tracing::warn!(error = %full, "met step-up not reported");
            lock(&self.remembered).forget(key);
        }
    }
}

fn lock(remembered: &Mutex<Remembered>) -> MutexGuard<'_, Remembered> {
    remembered.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The loop that sends reports.
#[derive(Debug)]
pub struct Courier {
    parts: CourierParts,
    remembered: Arc<Mutex<Remembered>>,
    queue: mpsc::Receiver<Met>,
}

/// What the loop is made of.
#[derive(Debug)]
pub struct CourierParts {
    /// Of `/v1/events`.
    pub address: Address,
    pub authorization: HeaderValue,
    pub dialer: Dialer,
    pub clock: Arc<dyn Clock>,
    pub retries: Counter,
}

/// The answer's part that matters here.
#[derive(Debug, Deserialize)]
struct Told {
    #[serde(default)]
    rejected: Vec<Rejected>,
}

#[derive(Debug, Deserialize)]
struct Rejected {
    error: String,
}

impl Courier {
    pub fn new(parts: CourierParts) -> (Self, Reporter) {
        let (sender, queue) = mpsc::channel(limit::REPORTS_QUEUED_MAX);
        let remembered = Arc::new(Mutex::new(Remembered::default()));
        let reporter = Reporter {
            remembered: Arc::clone(&remembered),
            queue: sender,
        };
        let courier = Self {
            parts,
            remembered,
            queue,
        };
        (courier, reporter)
    }

    /// Sends what is queued until the shutdown.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut retry = Retry::new(RETRY, Jitter::random(), self.parts.retries.clone());
        let mut batch = Vec::new();
        loop {
            batch.clear();
            let received = self.queue.recv_many(&mut batch, BATCH_LEN_MAX);
            match shutdown.unless_begun(received).await {
                None | Some(0) => return,
                Some(_) => {}
            }
            let body = self.body(&batch);
            let sent = retry.run(&shutdown, || self.post(body.clone())).await;
            match sent {
                Ok(()) => tracing::debug!(count = batch.len(), "met step-ups reported"),
                Err(RetryError::Stopped) => return,
                Err(error) => self.note_failure(&error, &batch),
            }
        }
    }

    /// What was refused stays refused; what did not arrive is told at the next request.
    fn note_failure(&self, error: &RetryError, batch: &[Met]) {
        tracing::warn!(error = chain(error), "met step-ups not reported");
        if error.kind() == Some(PortErrorKind::Unavailable) {
            let mut remembered = lock(&self.remembered);
            for met in batch {
                remembered.forget(met.key());
            }
        }
    }

    fn body(&self, batch: &[Met]) -> String {
        let now = self.parts.clock.now();
        let events: Vec<String> = batch.iter().map(|met| met.event(now).to_json()).collect();
        format!("[{}]", events.join(","))
    }

    async fn post(&self, body: String) -> PortResult<()> {
        let operation = "report a met step-up";
        let post = self
            .parts
            .dialer
            .post(&self.parts.address, &self.parts.authorization, body);
        let limit = Duration::from_millis(limit::REPORT_MS_MAX);
        let answer = tokio::time::timeout(limit, post)
            .await
            .map_err(|late| PortError::new(PortErrorKind::Unavailable, operation).because(late))?
            .map_err(|failed| {
                PortError::new(PortErrorKind::Unavailable, operation).because(failed)
            })?;
        accepted(&answer, operation)
    }
}

fn accepted(answer: &Answer, operation: &str) -> PortResult<()> {
    let kind = match answer.status {
        200..=299 => {
            // Single events may be refused in an answer that is otherwise good.
            if let Ok(told) = serde_json::from_slice::<Told>(&answer.body) {
                for rejected in told.rejected {
                    tracing::warn!(error = rejected.error, "met step-up rejected");
                }
            }
            return Ok(());
        }
        429 | 500..=599 => PortErrorKind::Unavailable,
        _ => PortErrorKind::Refused,
    };
    Err(PortError::new(kind, operation).because(format!("the answer was {}", answer.status)))
}

#[cfg(test)]
mod tests;
