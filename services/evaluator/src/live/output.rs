//! What leaves a partition: decisions, derived signals, climate, dead letters, as records of the bus.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caerus_engine::decide::{Decision, Mode};
use caerus_engine::id::SubjectHash;
use caerus_engine::step::{Derived, Input, WakeUp};
use caerus_engine::time::Timestamp;
use caerus_runtime::metric::label::Rejection;
use caerus_runtime::port::{NewRecord, Topic};
use caerus_wire::decision::{PublicDecision, target_key};
use caerus_wire::entry::Entry;
use serde::Serialize;

use super::batch::Unreadable;

/// A decision for the enforcement points, or a shadow of one.
pub(crate) fn decision(partition: u32, decision: &Decision, decided_at: Timestamp) -> NewRecord {
    let topic = match decision.mode {
        Mode::Enforce => Topic::Decisions,
        Mode::Shadow => Topic::Shadow,
    };
    let json = PublicDecision::from_engine(decision, Some(decided_at)).to_json();
    NewRecord {
        topic,
        partition,
        key: target_key(decision.tenant.as_str(), &decision.target).into_bytes(),
        value: json.into_bytes().into(),
    }
}

/// What one subject tells another: to that one's partition; a change of climate to every partition.
pub(crate) fn derived(partitions: u32, derived: Derived) -> Vec<NewRecord> {
    match derived {
        Derived::Signal(signal) => {
            let subject = signal.subject.hash();
            let entry = Entry::Input {
                input: Input::Signal(signal),
                extra: None,
            };
            vec![signal_record(
                subject.partition(partitions),
                subject,
                &entry,
            )]
        }
        Derived::Climate(change) => {
            let value: Arc<[u8]> = Entry::Climate(change).to_bytes().into();
            let to = |partition| NewRecord {
                topic: Topic::Signals,
                partition,
                key: Vec::new(),
                value: Arc::clone(&value),
            };
            (0..partitions).map(to).collect()
        }
    }
}

pub(crate) fn wake_up(partition: u32, wake_up: WakeUp) -> NewRecord {
    let subject = wake_up.subject;
    let entry = Entry::Input {
        input: Input::WakeUp(wake_up),
        extra: None,
    };
    signal_record(partition, subject, &entry)
}

fn signal_record(partition: u32, subject: SubjectHash, entry: &Entry) -> NewRecord {
    NewRecord {
        topic: Topic::Signals,
        partition,
        key: subject.0.to_be_bytes().to_vec(),
        value: entry.to_bytes().into(),
    }
}

/// A log entry that cannot be read, whole, as a letter in the form in which ingest keeps its own.
pub(crate) fn dead_letter(at: Place, unreadable: Unreadable, now: Timestamp) -> NewRecord {
    let letter = Letter {
        v: 1,
        at_ms: now.0,
        reason: Rejection::Unreadable.value(),
        error: unreadable.problem,
        origin: at,
        format: "log-entry",
        message_base64: STANDARD.encode(&unreadable.bytes),
    };
    NewRecord {
        topic: Topic::DeadLetters,
        partition: 0,
        key: Vec::new(),
        // Texts and numbers: writing them cannot fail.
        value: serde_json::to_vec(&letter).unwrap_or_default().into(),
    }
}

/// A place in a topic.
#[derive(Debug, Serialize)]
pub(crate) struct Place {
    pub(crate) source: &'static str,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
}

#[derive(Serialize)]
struct Letter {
    v: u8,
    at_ms: i64,
    reason: &'static str,
    error: String,
    origin: Place,
    format: &'static str,
    message_base64: String,
}
