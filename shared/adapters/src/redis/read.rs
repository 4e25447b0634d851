//! Reads of a partition, in pieces of bounded size. Writes nothing.

use std::collections::BTreeMap;

use caerus_engine::id::SubjectHash;
use caerus_runtime::port::{AgendaEntry, OutboxEntry};

use super::fault::Fault;
use super::form::{self, Keys};
use super::link::Link;

/// Fields that one command asks for; the commands go out together.
const LOAD_PIECE: usize = 512;
const AGENDA_PIECE: usize = 4_096;
const OUTBOX_PIECE: usize = 256;

/// A piece of a hash: where to go on, then field and value by turns.
type Scanned = (String, Vec<(Vec<u8>, Vec<u8>)>);
/// A piece of a stream: id, then field and value by turns.
type Ranged = Vec<(Vec<u8>, Vec<Vec<u8>>)>;

/// The records under `subjects`, in their order.
pub(super) async fn records(
    link: &Link,
    partition: u32,
    keys: &Keys,
    subjects: &[SubjectHash],
) -> Result<Vec<Option<Vec<u8>>>, Fault> {
    if subjects.is_empty() {
        return Ok(Vec::new());
    }
    let mut commands = redis::pipe();
    for piece in subjects.chunks(LOAD_PIECE) {
        let command = commands.cmd("HMGET").arg(&keys.records);
        for subject in piece {
            command.arg(&form::key_bytes(*subject));
        }
    }
    let pieces: Vec<Vec<Option<Vec<u8>>>> = link.ask_all(partition, &commands).await?;
    let found: Vec<_> = pieces.into_iter().flatten().collect();
    if found.len() != subjects.len() {
        return Err(Fault::undecodable("an answer about records"));
    }
    Ok(found)
}

/// All who want to be woken or are concerned, in the order of their keys.
pub(super) async fn agenda(
    link: &Link,
    partition: u32,
    keys: &Keys,
) -> Result<Vec<AgendaEntry>, Fault> {
    // A hash that is being resized may tell an entry twice.
    let mut entries = BTreeMap::new();
    let mut cursor = String::from("0");
    loop {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(&keys.agenda).arg(&cursor);
        scan.arg("COUNT").arg(AGENDA_PIECE);
        let (next, piece): Scanned = link.ask(partition, &scan).await?;
        for (subject, entry) in piece {
            let read = form::key_of(&subject).zip(form::agenda_of(&entry));
            let (key, waiting) = read.ok_or_else(|| Fault::undecodable("an agenda entry"))?;
            entries.insert(key, waiting);
        }
        if next == "0" {
            break;
        }
        cursor = next;
    }
    let entries = entries
        .into_iter()
        .map(|(key, (wakes, is_concerned))| AgendaEntry {
            key,
            wakes,
            is_concerned,
        });
    Ok(entries.collect())
}

/// What is not cleared, in order.
pub(super) async fn outbox(
    link: &Link,
    partition: u32,
    keys: &Keys,
) -> Result<Vec<OutboxEntry>, Fault> {
    let mut entries = Vec::new();
    let mut from = String::from("-");
    loop {
        let mut range = redis::cmd("XRANGE");
        range.arg(&keys.outbox).arg(&from).arg("+");
        range.arg("COUNT").arg(OUTBOX_PIECE);
        let piece: Ranged = link.ask(partition, &range).await?;
        let is_last = piece.len() < OUTBOX_PIECE;
        for (id, fields) in piece {
            let read = form::sequence_of(&id).zip(fields.last());
            let read = read.and_then(|(sequence, entry)| {
                let record = form::outbox_record(entry)?;
                Some(OutboxEntry { sequence, record })
            });
            entries.push(read.ok_or_else(|| Fault::undecodable("an outbox entry"))?);
        }
        match entries.last() {
            Some(last) if !is_last => from = format!("({}", form::outbox_id(last.sequence)),
            _ => return Ok(entries),
        }
    }
}
