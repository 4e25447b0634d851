//! One message of a source topic becomes an event's records, or a dead letter: there is no third. Knows no broker and
//! appends nothing.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use caerus_engine::signal::{Place, SourcePosition};
use caerus_engine::time::Timestamp;
use caerus_runtime::metric::label::Rejection;
use caerus_runtime::port::NewRecord;
use caerus_runtime::port::sources::{BACKFILL_HEADER, FORMAT_HEADER, SourceHeader, SourceMessage};
use caerus_runtime::trace::{TRACEPARENT, Traceparent};
use caerus_wire::event::EventType;

use crate::age::Told;
use crate::dead_letter::{DeadLetter, LetterOrigin, Whole};
use crate::intake::{Arrival, Noted, SharedSightings, take_in};
use crate::routes::FORMATS;
use crate::teller::Teller;

use super::number::Source;

/// *Units*: characters of a header's text in a message.
const HEADER_CHARS_MAX: usize = 64;

/// What a message came to.
#[derive(Debug)]
pub(super) enum Taken {
    Event {
        kind: EventType,
        records: Vec<NewRecord>,
        noted: Noted,
    },
    Letter(DeadLetter),
}

impl Taken {
    /// What is appended for it, all or nothing.
    pub(super) fn records(&self, at: Timestamp, whole: Whole) -> Vec<NewRecord> {
        match self {
            Self::Event { records, .. } => records.clone(),
            Self::Letter(letter) => vec![letter.clone().into_record(at, whole)],
        }
    }
}

/// What surrounds a message.
pub(super) struct Surroundings<'a> {
    pub(super) source: &'a Source,
    pub(super) received_at: Timestamp,
    /// Of the log.
    pub(super) partitions: u32,
    pub(super) locate: &'a dyn Fn(IpAddr) -> Place,
    pub(super) sightings: &'a SharedSightings,
}

/// Why a message is no event.
struct Refused {
    reason: Rejection,
    error: String,
}

/// INVARIANT (INV-9): what cannot be taken in is kept whole. A defect of the reading itself is no exception, so that no
/// message can stand in the way of those behind it.
pub(super) fn take(message: SourceMessage, around: &Surroundings<'_>) -> Taken {
    let format = format(&message, around);
    let told_format = match &format {
        Ok(format) | Err((format, _)) => format.clone(),
    };
    let read = catch_unwind(AssertUnwindSafe(|| match format {
        Ok(_) => read(&message, around),
        Err((_, refused)) => Err(refused),
    }));
    let refused = match read {
        Ok(Ok(taken)) => return taken,
        Ok(Err(refused)) => refused,
        Err(_panic) => {
            tracing::error!(source = %around.source.place, offset = message.offset, "reading a message failed");
            Refused {
                reason: Rejection::Other,
                error: "reading it failed; this is a defect of Caerus".to_owned(),
            }
        }
    };
    Taken::Letter(DeadLetter {
        reason: refused.reason,
        error: refused.error,
        origin: LetterOrigin {
            source: around.source.place.topic.to_string(),
            partition: Some(around.source.place.partition),
            offset: Some(message.offset),
        },
        format: told_format,
        message: message.value,
        cut_from: None,
    })
}

/// The form it is written in. *Errors*: the form it is said to have, and what is wrong with that.
fn format(message: &SourceMessage, around: &Surroundings<'_>) -> Result<String, (String, Refused)> {
    let refused = |format: String, error: String| {
        let reason = Rejection::UnknownFormat;
        Err((format, Refused { reason, error }))
    };
    let format = match only(&message.headers, FORMAT_HEADER) {
        Ok(Some(told)) => told,
        Ok(None) => around.source.rules.format.clone(),
        Err(error) => return refused(around.source.rules.format.clone(), error),
    };
    if FORMATS.contains(&format.as_str()) {
        return Ok(format);
    }
    let known = FORMATS.join(", ");
    let error = format!("there is no format `{format}`; known are: {known}");
    refused(format, error)
}

fn read(message: &SourceMessage, around: &Surroundings<'_>) -> Result<Taken, Refused> {
    if message.value.is_empty() {
        return Err(Refused {
            reason: Rejection::Unreadable,
            error: "the message is empty; an event is a JSON object".to_owned(),
        });
    }
    let arrival = Arrival {
        teller: Teller::Topic(around.source.rules.clone()),
        told: told(&message.headers)?,
        received_at: around.received_at,
        trace: Some(trace(&message.headers).to_string()),
        position: Some(SourcePosition {
            partition: around.source.number,
            offset: message.offset,
        }),
        partitions: around.partitions,
    };
    let mut taken = take_in(
        &[message.value.as_slice()],
        &arrival,
        around.locate,
        around.sightings,
    );
    if let (Some(records), Some(kind)) = (taken.records.pop(), taken.kinds.pop()) {
        return Ok(Taken::Event {
            kind,
            records,
            noted: taken.noted,
        });
    }
    Err(match taken.rejected.pop() {
        Some(rejected) => Refused {
            reason: rejected.refusal.reason(),
            error: rejected.error,
        },
        None => Refused {
            reason: Rejection::Other,
            error: "it came to nothing".to_owned(),
        },
    })
}

/// One that is misspelt is refused: history taken for the present would decide.
fn told(headers: &[SourceHeader]) -> Result<Told, Refused> {
    let refused = |error| Refused {
        reason: Rejection::UnknownValue,
        error,
    };
    match only(headers, BACKFILL_HEADER).map_err(refused)?.as_deref() {
        None | Some("false") => Ok(Told::Live),
        Some("true") => Ok(Told::History),
        Some(_) => Err(refused(format!(
            "header `{BACKFILL_HEADER}` is `true` or `false`"
        ))),
    }
}

/// One that is repeated or no trace context counts as none: the trace then begins here.
fn trace(headers: &[SourceHeader]) -> Traceparent {
    let told = only(headers, TRACEPARENT).ok().flatten();
    told.and_then(|text| Traceparent::parse(&text))
        .unwrap_or_else(Traceparent::random)
}

/// The header's one value, cut and without control characters.
fn only(headers: &[SourceHeader], name: &str) -> Result<Option<String>, String> {
    let mut all = headers.iter().filter(|header| header.name == name);
    let Some(first) = all.next() else {
        return Ok(None);
    };
    if all.next().is_some() {
        return Err(format!("header `{name}` stands twice"));
    }
    let text = String::from_utf8_lossy(&first.value);
    let cut = text.chars().filter(|c| !c.is_control());
    Ok(Some(cut.take(HEADER_CHARS_MAX).collect()))
}
