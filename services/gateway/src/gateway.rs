//! What every stream of one gateway shares: the way to the picture, the bounds, the numbers. Knows no frame.

use std::sync::Arc;

use caerus_engine::number::float;
use caerus_engine::time::Timestamp;
use caerus_runtime::auth::TokenTable;
use caerus_runtime::metric::Metrics;
use caerus_runtime::port::{Bus, Clock};
use caerus_runtime::shutdown::Shutdown;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::filter::Filter;
use crate::hub::{Active, REQUESTS_LEN, Request, Resume, Subscription};
use crate::limits::Limits;
use crate::picture::Entry;
use crate::receipts::{REPORTS_LEN, Report};

/// What a gateway stands on.
#[derive(Clone, Debug)]
pub struct GatewayParts {
    pub bus: Arc<dyn Bus>,
    pub clock: Arc<dyn Clock>,
    pub tokens: TokenTable,
    pub metrics: Metrics,
    pub limits: Limits,
}

/// The gateway as its routes see it. Clones share one picture.
#[derive(Clone, Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) log: u64,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tokens: TokenTable,
    pub(crate) metrics: Metrics,
    pub(crate) limits: Limits,
    pub(crate) shutdown: Shutdown,
    pub(crate) seats: Semaphore,
    requests: mpsc::Sender<Request>,
    pub(crate) reports: mpsc::Sender<Report>,
}

/// The gateway's loops, to be run once: [`crate::run`].
#[derive(Debug)]
pub struct GatewayLoops {
    pub(crate) parts: GatewayParts,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) reports: mpsc::Receiver<Report>,
}

/// The picture does not answer: it was never read, or the gateway stops.
#[derive(Debug)]
pub(crate) struct NoPicture;

impl Gateway {
    /// A gateway whose streams end when the shutdown begins. It answers once its loops run.
    pub fn new(parts: GatewayParts, shutdown: Shutdown) -> (Self, GatewayLoops) {
        let (request_sender, requests) = mpsc::channel(REQUESTS_LEN);
        let (report_sender, reports) = mpsc::channel(REPORTS_LEN);
        let shared = Shared {
            log: parts.bus.log_id().0,
            clock: Arc::clone(&parts.clock),
            tokens: parts.tokens.clone(),
            metrics: parts.metrics.clone(),
            limits: parts.limits,
            seats: Semaphore::new(parts.limits.subscribers_max),
            requests: request_sender,
            reports: report_sender,
            shutdown,
        };
        let loops = GatewayLoops {
            parts,
            requests,
            reports,
        };
        let gateway = Self {
            shared: Arc::new(shared),
        };
        (gateway, loops)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    pub(crate) async fn subscribe(
        &self,
        filter: Filter,
        resume: Resume,
    ) -> Result<Subscription, NoPicture> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Subscribe {
            filter,
            resume,
            reply,
        };
        self.ask(request, answer).await
    }

    pub(crate) async fn active(&self, filter: Filter) -> Result<Active, NoPicture> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Active { filter, reply }, answer).await
    }

    async fn ask<T>(&self, request: Request, answer: oneshot::Receiver<T>) -> Result<T, NoPicture> {
        let asked = async {
            self.requests.send(request).await.ok()?;
            answer.await.ok()
        };
        match tokio::time::timeout(self.limits.answer, self.shutdown.unless_begun(asked)).await {
            Ok(Some(Some(answer))) => Ok(answer),
            Ok(_) | Err(_) => Err(NoPicture),
        }
    }

    /// The whole way, from taking the event in to the decision's being in force.
    pub(crate) fn observe_enforcement(&self, entry: &Entry, now: Timestamp) {
        if let Some(since) = entry.known_since {
            let seconds = float(now.since(since).0) / 1_000.0;
            let trace = entry.trace.as_deref();
            self.metrics
                .gateway
                .enforcement_seconds
                .observe(seconds, trace);
        }
    }
}
