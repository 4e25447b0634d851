//! `POST /v1/events`: a request in, its events durable, an answer out. Knows the contract's statuses; neither what becomes of
//! an event nor which broker keeps it.
//!
//! Nothing is called accepted before it is durable in the log, and no queue grows: what is in flight is bounded in bytes,
//! and who comes when it is full is told to come again.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::{Bytes, BytesMut};
use caerus_engine::signal::Place;
use caerus_runtime::auth::{Authenticated, Principal, Right};
use caerus_runtime::metric::label::{self, RequestRefusal};
use caerus_runtime::port::{Bus, Clock, Geo, PortError};
use caerus_runtime::refusal::Refusal;
use caerus_runtime::trace::Traceparent;
use caerus_wire::event::EventType;
use futures_util::StreamExt;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Ports;
use crate::age::Told;
use crate::body::{BODY_BYTES_MAX, BodyError, Coding, Events, Form, split};
use crate::intake::{Arrival, Rejected, SharedSightings, Taken, counted, pieces, take_in};
use crate::teller::Teller;

/// The forms of events that are read.
pub const FORMATS: [&str; 1] = ["native"];
/// *Units*: mebibytes of requests in flight, expanded; beyond it the next is answered 429.
pub const IN_FLIGHT_MIB_MAX: usize = 256;
/// Requests expanded at once; each may grow to 32 MiB.
pub(crate) const EXPANDING_MAX: usize = 4;
/// For a request's body to arrive, once its headers are there.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// *Units*: bytes. A plain body up to this size is read where it is; a larger one leaves the async threads alone.
const INLINE_BYTES_MAX: usize = 16 * 1024;
/// *Units*: seconds until somebody turned away should come again.
const RETRY_AFTER_S: u32 = 1;
const MIB: usize = 1024 * 1024;

/// What the route stands on.
#[derive(Clone)]
struct Door {
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    geo: Option<Arc<dyn Geo>>,
    metrics: caerus_runtime::metric::Ingest,
    sightings: SharedSightings,
    /// In mebibytes.
    in_flight: Arc<Semaphore>,
    expanding: Arc<Semaphore>,
}

/// The role's routes. The shell around them says who is asking.
pub fn routes(ports: Ports) -> Router {
    let door = Door {
        bus: ports.bus,
        clock: ports.clock,
        geo: ports.geo,
        metrics: ports.metrics.ingest,
        sightings: SharedSightings::default(),
        in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MIB_MAX)),
        expanding: Arc::new(Semaphore::new(EXPANDING_MAX)),
    };
    Router::new()
        .route("/v1/events", post(post_events))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(door)
}

/// The answer's body, whether or not anything was accepted.
#[derive(Debug, Serialize)]
struct Answer {
    accepted: usize,
    rejected: Vec<Rejected>,
}

/// A refused request, with the word it is counted under.
#[derive(Debug)]
struct Refused {
    reason: RequestRefusal,
    refusal: Refusal,
}

impl Refused {
    fn new(reason: RequestRefusal, refusal: Refusal) -> Self {
        Self { reason, refusal }
    }

    fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(RequestRefusal::Unreadable, Refusal::bad_request(detail))
    }
}

impl From<BodyError> for Refused {
    fn from(error: BodyError) -> Self {
        match error {
            // *Source*: RFC 9110, section 15.5.16: what would have been accepted.
            BodyError::MediaType(detail) => Self::new(
                RequestRefusal::MediaType,
                Refusal::media_type(detail)
                    .with_header(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd")),
            ),
            BodyError::TooLarge(detail) => {
                Self::new(RequestRefusal::TooLarge, Refusal::too_large(detail))
            }
            BodyError::Unreadable(detail) => Self::bad_request(detail),
        }
    }
}

impl From<PortError> for Refused {
    fn from(error: PortError) -> Self {
        Self::new(RequestRefusal::StoreDown, error.into())
    }
}

type Parameters = Result<Query<Vec<(String, String)>>, axum::extract::rejection::QueryRejection>;

async fn post_events(
    State(door): State<Door>,
    who: Result<Authenticated, Refusal>,
    parameters: Parameters,
    trace: Traceparent,
    request: Request,
) -> Response {
    let answered = match who {
        Ok(Authenticated(principal)) => {
            let asked = Asked {
                principal,
                parameters,
                trace,
            };
            door.answer(asked, request).await
        }
        Err(refusal) => Err(Refused::new(RequestRefusal::Unauthenticated, refusal)),
    };
    match answered {
        Ok(response) => response,
        Err(Refused { reason, refusal }) => {
            door.metrics.refused_requests.of(&reason).inc();
            refusal.into_response()
        }
    }
}

struct Asked {
    principal: Principal,
    parameters: Parameters,
    trace: Traceparent,
}

impl Door {
    async fn answer(&self, asked: Asked, request: Request) -> Result<Response, Refused> {
        let Asked {
            principal,
            parameters,
            trace,
        } = asked;
        demand_any_right(&principal)?;
        let told = told(parameters, &principal)?;
        let (form, coding) = (Form::of(request.headers())?, Coding::of(request.headers())?);
        let _in_flight = self.admit(request.headers(), coding)?;
        let body = receive(request.into_body()).await?;
        let _expanding = self.admit_expansion(coding).await?;
        let arrival = Arrival {
            teller: Teller::Credential(principal),
            told,
            received_at: self.clock.now(),
            trace: Some(trace.to_string()),
            position: None,
            partitions: self.bus.partitions(),
        };
        let read = self.read(body, coding, form, arrival).await?;
        self.metrics.received_bytes.inc_by(read.expanded_len);
        let taken = self.told_of_request(read)?;
        self.count_rejected(&taken);
        let (records, noted) = (taken.records, taken.noted);
        self.append(records).await?;
        noted.keep();
        self.count_accepted(&taken.kinds);
        Ok(self.reply(taken.kinds.len(), taken.rejected))
    }

    /// Bounds what is in flight by what the request may come to.
    ///
    /// INVARIANT (INV-6): a request that does not fit is answered 429, never queued.
    fn admit(&self, headers: &HeaderMap, coding: Coding) -> Result<OwnedSemaphorePermit, Refused> {
        let told = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let len = told.unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX);
        let mib = u32::try_from(len / MIB + 1).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.in_flight).try_acquire_many_owned(mib);
        permit.map_err(|error| {
            tracing::debug!(%error, coding = ?coding, "request turned away: too much in flight");
            let refusal = Refusal::too_many("too many events are being taken in", RETRY_AFTER_S);
            Refused::new(RequestRefusal::QueueFull, refusal)
        })
    }

    /// Waits for a turn: who waits here is among those in flight, so there are only so many.
    async fn admit_expansion(
        &self,
        coding: Coding,
    ) -> Result<Option<OwnedSemaphorePermit>, Refused> {
        if coding.is_plain() {
            return Ok(None);
        }
        match Arc::clone(&self.expanding).acquire_owned().await {
            Ok(permit) => Ok(Some(permit)),
            Err(_closed) => {
                let refusal = Refusal::unavailable("stopping", RETRY_AFTER_S);
                Err(Refused::new(RequestRefusal::QueueFull, refusal))
            }
        }
    }

    async fn read(
        &self,
        body: Bytes,
        coding: Coding,
        form: Form,
        arrival: Arrival,
    ) -> Result<Read, Refused> {
        let (geo, sightings) = (self.geo.clone(), Arc::clone(&self.sightings));
        let is_small = coding.is_plain() && body.len() <= INLINE_BYTES_MAX;
        let work = move || read(body, (coding, form), &arrival, geo.as_deref(), &sightings);
        if is_small {
            return Ok(work()?);
        }
        match tokio::task::spawn_blocking(work).await {
            Ok(read) => Ok(read?),
            Err(error) => {
                tracing::error!(%error, "reading a request's events failed");
                Err(Refused::new(
                    RequestRefusal::Unreadable,
                    Refusal::internal(),
                ))
            }
        }
    }

    /// Where the body is one event, what is wrong with its form, its size or its sender is wrong with the request.
    fn told_of_request(&self, read: Read) -> Result<Taken, Refused> {
        let Read { taken, is_one, .. } = read;
        let Some(only) = taken.rejected.first().filter(|_| is_one) else {
            return Ok(taken);
        };
        if only.refusal.is_of_the_credential() {
            self.count_rejected(&taken);
            let refusal = Refusal::forbidden(only.error.clone());
            return Err(Refused::new(RequestRefusal::NotAllowed, refusal));
        }
        if only.refusal.is_of_the_form() {
            self.count_rejected(&taken);
            return Err(Refused::bad_request(only.error.clone()));
        }
        Ok(taken)
    }

    /// Durable when it returns. A request that fails midway is answered 503 and sent again; what was kept of it already
    /// is then a repeat, which changes nothing.
    async fn append(
        &self,
        events: Vec<Vec<caerus_runtime::port::NewRecord>>,
    ) -> Result<(), Refused> {
        for piece in pieces(events) {
            self.append_piece(piece).await?;
        }
        Ok(())
    }

    async fn append_piece(
        &self,
        records: Vec<caerus_runtime::port::NewRecord>,
    ) -> Result<(), Refused> {
        let began = self.clock.monotonic_ms();
        self.bus.append(records).await?;
        let took = Duration::from_millis(self.clock.monotonic_ms().saturating_sub(began));
        self.metrics.append_seconds.observe(took.as_secs_f64());
        Ok(())
    }

    fn count_rejected(&self, taken: &Taken) {
        for rejected in &taken.rejected {
            self.metrics
                .rejected_events
                .of(&rejected.refusal.reason())
                .inc();
        }
    }

    fn count_accepted(&self, kinds: &[EventType]) {
        for kind in kinds {
            self.metrics.accepted_events.of(&counted(*kind)).inc();
        }
        let taken = u64::try_from(kinds.len()).unwrap_or(u64::MAX);
        self.metrics
            .taken_events
            .of(&label::Entrance::Post)
            .inc_by(taken);
    }

    fn reply(&self, accepted: usize, rejected: Vec<Rejected>) -> Response {
        let status = if accepted == 0 && !rejected.is_empty() {
            let reason = RequestRefusal::NothingAccepted;
            self.metrics.refused_requests.of(&reason).inc();
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::ACCEPTED
        };
        (status, Json(Answer { accepted, rejected })).into_response()
    }
}

/// A body read whole.
struct Read {
    taken: Taken,
    is_one: bool,
    /// *Units*: bytes.
    expanded_len: u64,
}

fn read(
    body: Bytes,
    (coding, form): (Coding, Form),
    arrival: &Arrival,
    geo: Option<&dyn Geo>,
    sightings: &SharedSightings,
) -> Result<Read, BodyError> {
    let body = coding.expand(body)?;
    let events = split(&body, form)?;
    let locate = |address: IpAddr| geo.map_or_else(Place::default, |geo| geo.locate(address));
    Ok(Read {
        taken: take_in(events.as_slice(), arrival, &locate, sightings),
        is_one: matches!(events, Events::One(_)),
        expanded_len: body.len() as u64,
    })
}

async fn receive(body: Body) -> Result<Bytes, Refused> {
    match tokio::time::timeout(BODY_TIMEOUT, collect(body)).await {
        Ok(received) => received,
        Err(_elapsed) => {
            let detail = format!(
                "the body did not arrive within {} s",
                BODY_TIMEOUT.as_secs()
            );
            let refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT, "too_slow", detail);
            Err(Refused::new(RequestRefusal::Unreadable, refusal))
        }
    }
}

async fn collect(body: Body) -> Result<Bytes, Refused> {
    let mut received = BytesMut::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return Err(Refused::bad_request(format!("the body broke off: {error}"))),
        };
        if received.len() + chunk.len() > BODY_BYTES_MAX {
            let message = format!("the body is longer than {BODY_BYTES_MAX} bytes");
            return Err(BodyError::TooLarge(message).into());
        }
        received.extend_from_slice(&chunk);
    }
    Ok(received.freeze())
}

/// Some right that lets something be posted; which event needs which is looked at one by one.
fn demand_any_right(principal: &Principal) -> Result<(), Refused> {
    let rights = [Right::Events, Right::Feedback, Right::Stream];
    if rights.iter().any(|right| principal.has(*right)) {
        return Ok(());
    }
    let refusal = Refusal::forbidden("this needs the right `events`, `feedback` or `stream`");
    Err(Refused::new(RequestRefusal::NotAllowed, refusal))
}

/// Reads `?format=` and `?backfill=`. One that is misspelt is refused: history taken for the present would decide.
///
/// Telling history teaches what is normal without deciding. That is a producer's work, and it can teach no more than the
/// same producer's live events; an enforcement point, which tells only what it saw met, tells no history.
fn told(parameters: Parameters, principal: &Principal) -> Result<Told, Refused> {
    let Query(parameters) = match parameters {
        Ok(parameters) => parameters,
        Err(error) => return Err(Refused::bad_request(error.body_text())),
    };
    let mut told = None;
    let mut format = None;
    for (name, value) in &parameters {
        let is_repeated = match (name.as_str(), value.as_str()) {
            ("backfill", "true") => told.replace(Told::History).is_some(),
            ("backfill", "false") => told.replace(Told::Live).is_some(),
            ("backfill", _) => return Err(Refused::bad_request("`backfill` is `true` or `false`")),
            ("format", value) if FORMATS.contains(&value) => format.replace(()).is_some(),
            ("format", value) => return Err(unknown_format(value)),
            (other, _) => {
                let other: String = other.chars().filter(|c| !c.is_control()).take(64).collect();
                let detail =
                    format!("there is no parameter `{other}`; there are `format` and `backfill`");
                return Err(Refused::bad_request(detail));
            }
        };
        if is_repeated {
            return Err(Refused::bad_request(format!("`{name}` stands twice")));
        }
    }
    let is_producer = principal.has(Right::Events) || principal.has(Right::Feedback);
    if told == Some(Told::History) && !is_producer {
        let refusal = Refusal::forbidden("telling history needs the right `events` or `feedback`");
        return Err(Refused::new(RequestRefusal::NotAllowed, refusal));
    }
    Ok(told.unwrap_or(Told::Live))
}

fn unknown_format(format: &str) -> Refused {
    let format: String = format
        .chars()
        .filter(|c| !c.is_control())
        .take(64)
        .collect();
    let known = FORMATS.join(", ");
    Refused::bad_request(format!("there is no format `{format}`; known are: {known}"))
}
