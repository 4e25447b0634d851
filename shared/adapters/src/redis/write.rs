//! What a commit tells its script. Decides nothing but what is too large.

use std::borrow::Cow;
use std::collections::BTreeMap;

use caerus_engine::id::SubjectHash;
use caerus_runtime::port::{Commit, PortErrorKind, StoredRecord};

use super::fault::Fault;
use super::form;

/// Redis runs nothing else while it runs a commit, and takes half a second or so for one of this size.
///
/// *Units*: bytes of records, outbox and shared fold together.
pub(super) const COMMIT_BYTES_MAX: usize = 64 << 20;

type Argument<'a> = Cow<'a, [u8]>;

/// The arguments of `commit.lua`, in its order.
///
/// *Errors*: `Refused` for a commit above [`COMMIT_BYTES_MAX`], and for an outbox that skips or repeats a sequence.
pub(super) fn arguments(commit: &Commit) -> Result<Vec<Argument<'_>>, Fault> {
    check_size(commit)?;
    let next_sequence = next_sequence(commit)?;
    let first_sequence = match commit.outbox.first() {
        Some(entry) => entry.sequence,
        None => next_sequence,
    };
    // The last word on a key counts.
    let latest: BTreeMap<SubjectHash, &StoredRecord> = commit
        .records
        .iter()
        .map(|record| (record.key, record))
        .collect();
    let mut parts = Parts::default();
    for entry in &commit.outbox {
        let record = form::outbox_entry(&entry.record).ok_or_else(too_large)?;
        parts.outbox.push(text(form::outbox_id(entry.sequence)));
        parts.outbox.push(Cow::Owned(record));
    }
    for record in latest.into_values() {
        parts.add(record);
    }
    parts
        .shared
        .extend(commit.shared.as_deref().map(Cow::Borrowed));
    let mut arguments = vec![
        text(form::digits(commit.epoch.log.0)),
        text(form::digits(commit.epoch.claim_offset)),
        text(form::digits(commit.follows)),
        text(form::digits(commit.position)),
        text(form::digits(first_sequence)),
        text(form::digits(next_sequence)),
    ];
    let parts = parts.in_order();
    arguments.extend(parts.iter().map(|part| text(part.len().to_string())));
    arguments.extend(parts.into_iter().flatten());
    Ok(arguments)
}

pub(super) fn text(text: String) -> Argument<'static> {
    Cow::Owned(text.into_bytes())
}

#[derive(Default)]
struct Parts<'a> {
    outbox: Vec<Argument<'a>>,
    put: Vec<Argument<'a>>,
    removed: Vec<Argument<'a>>,
    agenda_put: Vec<Argument<'a>>,
    agenda_removed: Vec<Argument<'a>>,
    shared: Vec<Argument<'a>>,
}

impl<'a> Parts<'a> {
    fn add(&mut self, record: &'a StoredRecord) {
        let key = || Cow::Owned(form::key_bytes(record.key).to_vec());
        let Some(bytes) = &record.bytes else {
            self.removed.push(key());
            self.agenda_removed.push(key());
            return;
        };
        self.put.extend([key(), Cow::Borrowed(bytes.as_slice())]);
        match form::agenda_entry(record) {
            Some(entry) => self.agenda_put.extend([key(), Cow::Owned(entry)]),
            None => self.agenda_removed.push(key()),
        }
    }

    fn in_order(self) -> [Vec<Argument<'a>>; 6] {
        [
            self.outbox,
            self.put,
            self.removed,
            self.agenda_put,
            self.agenda_removed,
            self.shared,
        ]
    }
}

fn check_size(commit: &Commit) -> Result<(), Fault> {
    let records = commit
        .records
        .iter()
        .filter_map(|record| record.bytes.as_ref());
    let outbox = commit.outbox.iter().map(|entry| &entry.record);
    let bytes = records
        .map(Vec::len)
        .chain(outbox.map(|record| record.key.len().saturating_add(record.value.len())))
        .chain(commit.shared.as_ref().map(Vec::len))
        .fold(0, usize::saturating_add);
    if bytes > COMMIT_BYTES_MAX {
        return Err(too_large());
    }
    Ok(())
}

fn too_large() -> Fault {
    Fault::new(
        PortErrorKind::Refused,
        format!("it is larger than the {COMMIT_BYTES_MAX} bytes that redis is given at once"),
    )
}

/// The sequence after the commit's outbox; 0 where it has none.
fn next_sequence(commit: &Commit) -> Result<u64, Fault> {
    let mut expected = commit.outbox.first().map_or(0, |entry| entry.sequence);
    for entry in &commit.outbox {
        if entry.sequence != expected {
            let sequence = entry.sequence;
            return Err(Fault::new(
                PortErrorKind::Refused,
                format!("an outbox entry has sequence {sequence}, where {expected} follows"),
            ));
        }
        expected = expected.saturating_add(1);
    }
    Ok(expected)
}
