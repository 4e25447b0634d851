//! From the events of one request to records for the log, and what is told of those that were refused. Knows no HTTP and
//! appends nothing.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use caerus_engine::id::{PrincipalId, SourceId};
use caerus_engine::signal::{Place, Signal, SourcePosition};
use caerus_engine::step::Input;
use caerus_engine::time::Timestamp;
use caerus_runtime::auth::Right;
use caerus_runtime::metric::label;
use caerus_runtime::port::{NewRecord, Topic};
use caerus_wire::entry::Entry;
use caerus_wire::event::{EventError, EventType, NativeEvent};
use caerus_wire::json::JsonError;
use serde::Serialize;

use crate::age::{self, FromTheFuture, Told};
use crate::normalise::{self, AboutNobody, Receipt, normalise};
use crate::sighting::{Pairing, Sightings};
use crate::teller::Teller;

/// Records appended at once. An event's records are never torn apart.
pub(crate) const APPEND_RECORDS_MAX: usize = 4_096;

/// How events are to be taken that came together: those of one request, or of one message.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) teller: Teller,
    pub(crate) told: Told,
    pub(crate) received_at: Timestamp,
    pub(crate) trace: Option<String>,
    /// Where the message stands; `None` for a request.
    pub(crate) position: Option<SourcePosition>,
    /// Of the log.
    pub(crate) partitions: u32,
}

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventRefusal {
    #[error(transparent)]
    Event(#[from] EventError),
    #[error(transparent)]
    FromTheFuture(#[from] FromTheFuture),
    #[error(transparent)]
    AboutNobody(#[from] AboutNobody),
    #[error("this credential is not for the event's tenant")]
    OtherTenant,
    #[error("this needs the right `{right}`")]
    NotAllowed { right: Right },
    #[error("this topic is not for the event's tenant")]
    TopicOfAnotherTenant,
    #[error("feedback is not read from this topic")]
    NoFeedbackHere,
}

impl EventRefusal {
    /// The whole body is no JSON, or no object: told of the request where the event is all of it.
    pub(crate) fn is_of_the_form(&self) -> bool {
        matches!(
            self,
            Self::Event(
                EventError::NotAnObject { .. }
                    | EventError::Json(JsonError::NotUtf8 { .. } | JsonError::Malformed { .. })
            )
        )
    }

    pub(crate) fn is_of_the_credential(&self) -> bool {
        matches!(self, Self::OtherTenant | Self::NotAllowed { .. })
    }

    pub(crate) fn reason(&self) -> label::Rejection {
        match self {
            Self::Event(error) => reason(error),
            Self::FromTheFuture(_) => label::Rejection::FromTheFuture,
            Self::AboutNobody(_) => label::Rejection::MissingMember,
            Self::OtherTenant | Self::TopicOfAnotherTenant => label::Rejection::OtherTenant,
            Self::NotAllowed { .. } | Self::NoFeedbackHere => label::Rejection::NotAllowed,
        }
    }
}

/// What is counted when an event cannot be read.
pub(crate) fn reason(error: &EventError) -> label::Rejection {
    match error {
        EventError::TooLarge { .. } => label::Rejection::TooLarge,
        EventError::Json(JsonError::TooDeep { .. }) => label::Rejection::TooDeep,
        EventError::Json(JsonError::NumberOutOfRange { .. }) => label::Rejection::OutOfRange,
        EventError::Json(JsonError::Twice { .. }) => label::Rejection::Other,
        EventError::Json(JsonError::NotUtf8 { .. } | JsonError::Malformed { .. }) => {
            label::Rejection::Unreadable
        }
        EventError::NotAnObject { .. } => label::Rejection::NotAnObject,
        EventError::Missing { .. } => label::Rejection::MissingMember,
        EventError::WrongType { .. } => label::Rejection::WrongType,
        EventError::UnknownType { .. } | EventError::UnknownWord { .. } => {
            label::Rejection::UnknownValue
        }
        EventError::BadLength { .. } | EventError::OutOfRange { .. } => {
            label::Rejection::OutOfRange
        }
        EventError::ControlCharacter { .. } => label::Rejection::ControlCharacter,
        EventError::Unreadable { .. } | EventError::Unfitting { .. } => label::Rejection::Other,
    }
}

/// One refused event, as its sender is told.
#[derive(Debug, Serialize)]
pub(crate) struct Rejected {
    /// Among the events of the request, from 0.
    pub(crate) index: usize,
    pub(crate) error: String,
    #[serde(skip)]
    pub(crate) refusal: EventRefusal,
}

/// What a request's events came to.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Each event's records together, in the order of the events.
    pub(crate) records: Vec<Vec<NewRecord>>,
    /// Of the accepted ones, in the order of the events.
    pub(crate) kinds: Vec<EventType>,
    pub(crate) rejected: Vec<Rejected>,
    pub(crate) noted: Noted,
}

/// The sightings shared by all requests.
pub(crate) type SharedSightings = Arc<Mutex<Sightings>>;

/// Sightings noted for signals that are not durable yet. Forgotten again when dropped, also by a client that left.
#[derive(Debug)]
pub(crate) struct Noted {
    sightings: SharedSightings,
    pairings: Vec<Pairing>,
}

impl Noted {
    /// The signals are durable.
    pub(crate) fn keep(mut self) {
        self.pairings.clear();
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if !self.pairings.is_empty() {
            let mut sightings = lock(&self.sightings);
            self.pairings
                .iter()
                .for_each(|pairing| sightings.forget(*pairing));
        }
    }
}

/// A panic elsewhere while it was held leaves at worst a sighting that is told again.
fn lock(sightings: &Mutex<Sightings>) -> MutexGuard<'_, Sightings> {
    sightings.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads, checks and normalises each event by itself; what one gets wrong is no other's harm.
pub(crate) fn take_in(
    events: &[&[u8]],
    arrival: &Arrival,
    locate: &dyn Fn(IpAddr) -> Place,
    sightings: &SharedSightings,
) -> Taken {
    let mut taken = Taken {
        records: Vec::with_capacity(events.len()),
        kinds: Vec::with_capacity(events.len()),
        rejected: Vec::new(),
        noted: Noted {
            sightings: Arc::clone(sightings),
            pairings: Vec::new(),
        },
    };
    for (index, bytes) in events.iter().enumerate() {
        match take_one(bytes, arrival, locate, sightings) {
            Ok((kind, records, sighted)) => {
                taken.kinds.push(kind);
                taken.records.push(records);
                taken.noted.pairings.extend(sighted);
            }
            Err(refusal) => taken.rejected.push(Rejected {
                index,
                error: refusal.to_string(),
                refusal,
            }),
        }
    }
    taken
}

type One = (EventType, Vec<NewRecord>, Option<Pairing>);

fn take_one(
    bytes: &[u8],
    arrival: &Arrival,
    locate: &dyn Fn(IpAddr) -> Place,
    sightings: &SharedSightings,
) -> Result<One, EventRefusal> {
    let event = NativeEvent::parse(bytes)?;
    let tenant = arrival.teller.tenant_of(&event)?;
    let name = arrival.teller.name();
    let receipt = Receipt {
        tenant,
        source: SourceId::new(name),
        by: PrincipalId::new(name),
        received_at: arrival.received_at,
        handling: age::handling(event.time, arrival.received_at, arrival.told)?,
        body: normalise::body_hash(bytes),
        position: arrival.position,
        trace: arrival.trace.clone(),
    };
    // The look-up may read a file's pages; the lock is for the sightings alone.
    let place = place(&event, locate);
    let normalised = normalise(&event, &receipt, &|_| place.clone(), &mut lock(sightings))?;
    let mut extra = normalised.extra;
    let records = normalised
        .signals
        .into_iter()
        .map(|signal| record(signal, extra.take(), arrival.partitions))
        .collect();
    Ok((event.kind, records, normalised.sighted))
}

fn place(event: &NativeEvent, locate: &dyn Fn(IpAddr) -> Place) -> Place {
    match (&event.geo, event.ip) {
        (None, Some(address)) => locate(address),
        _ => Place::default(),
    }
}

/// A signal as the log holds it, in the partition of its subject.
fn record(signal: Signal, extra: Option<String>, partitions: u32) -> NewRecord {
    let subject = signal.subject.hash();
    let entry = Entry::Input {
        input: Input::Signal(signal),
        extra,
    };
    NewRecord {
        topic: Topic::Signals,
        partition: subject.partition(partitions),
        key: subject.to_string().into_bytes(),
        value: entry.to_bytes().into(),
    }
}

/// Each event's records, cut into pieces that are appended at once, in order.
pub(crate) fn pieces(events: Vec<Vec<NewRecord>>) -> Vec<Vec<NewRecord>> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    for records in events {
        if !piece.is_empty() && piece.len() + records.len() > APPEND_RECORDS_MAX {
            pieces.push(core::mem::take(&mut piece));
        }
        piece.extend(records);
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// As it is counted.
pub(crate) fn counted(kind: EventType) -> label::EventType {
    match kind {
        EventType::Login => label::EventType::Login,
        EventType::DeviceHealth => label::EventType::DeviceHealth,
        EventType::Access => label::EventType::Access,
        EventType::Session => label::EventType::Session,
        EventType::Feedback => label::EventType::Feedback,
    }
}
