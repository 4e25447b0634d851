//! What stands in the log, one entry after the other, and the lines of an export. Knows no broker.

use caerus_engine::climate::ClimateChange;
use caerus_engine::id::RevisionId;
use caerus_engine::step::Input;
use caerus_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::form::{Form, FormError, ValueError, forms, from_versioned, to_versioned};

/// The version of entries that is written; no other is read.
pub const ENTRY_VERSION: u8 = 1;
/// The version of export lines that is written; no other is read.
pub const EXPORT_VERSION: u32 = 1;

/// One entry of the log: all that a partition's state is folded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// For one subject: the key of the record is the subject's hash.
    Input {
        input: Input,
        /// Members of the event that the native form does not know, as JSON; for the record only.
        extra: Option<String>,
    },
    /// For every partition.
    Climate(ClimateChange),
    /// For every partition.
    Policy(PolicyRevision),
    /// For every partition: everything of the source partition taken in before that time is in the log.
    Watermark {
        source_partition: u32,
        at: Timestamp,
    },
    /// A new owner of the partition: its place in the log is the owner's epoch.
    Claim { owner: String },
}

/// A policy set, whole, so that the log alone says what was in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRevision {
    pub revision: RevisionId,
    /// In the order of their names.
    pub files: Vec<PolicyFile>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    pub name: String,
    pub text: String,
}

forms! {
    enum Entry {
        0 Input { input, extra },
        1 Climate(change),
        2 Policy(revision),
        3 Watermark { source_partition, at },
        4 Claim { owner },
    }
    struct PolicyRevision { revision, files }
    struct PolicyFile { name, text }
}

impl Entry {
    pub fn to_bytes(&self) -> Vec<u8> {
        to_versioned(self, ENTRY_VERSION)
    }

    /// *Errors*: damaged bytes with their place, or another version by its number.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        from_versioned(bytes, "log entry", ENTRY_VERSION)
    }

    /// One line of JSON without a line break: what `export` writes.
    pub fn to_export_line(&self, partition: u32, offset: u64) -> String {
        let line = ExportBody {
            v: EXPORT_VERSION,
            partition,
            offset,
            entry: self.to_value(),
        };
        // Maps with text keys always have a JSON form.
        serde_json::to_string(&line).unwrap_or_default()
    }
}

/// One line of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportLine {
    Head(ExportHead),
    Entry {
        partition: u32,
        offset: u64,
        entry: Box<Entry>,
    },
}

/// The first line of an export: which log it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportHead {
    pub log: u64,
    pub partitions: u32,
}

/// Why a line is none of an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("could not read a line of an export")]
    Unreadable {
        #[source]
        source: serde_json::Error,
    },
    #[error("an export of version {version} cannot be read; version {EXPORT_VERSION} can")]
    UnknownVersion { version: u32 },
    #[error("could not read the entry at offset {offset} of partition {partition}")]
    BadEntry {
        partition: u32,
        offset: u64,
        #[source]
        source: ValueError,
    },
    #[error("an export has 1 partition at least")]
    NoPartitions,
}

#[derive(Serialize, Deserialize)]
struct ExportBody {
    v: u32,
    partition: u32,
    offset: u64,
    entry: Value,
}

#[derive(Serialize, Deserialize)]
struct HeadBody {
    v: u32,
    /// Hex digits: the number exceeds what JSON readers keep exactly.
    log: String,
    partitions: u32,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LineBody {
    Entry(ExportBody),
    Head(HeadBody),
}

impl ExportHead {
    pub fn to_line(&self) -> String {
        let head = HeadBody {
            v: EXPORT_VERSION,
            log: format!("{:016x}", self.log),
            partitions: self.partitions,
        };
        serde_json::to_string(&head).unwrap_or_default()
    }
}

impl ExportLine {
    /// Reads one line, a head or an entry.
    pub fn parse(line: &str) -> Result<Self, ExportError> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let unreadable = |source| ExportError::Unreadable { source };
        let body: LineBody = match serde_json::from_str(line) {
            Ok(body) => body,
            Err(source) => {
                return Err(match serde_json::from_str::<Version>(line) {
                    Ok(Version { v }) if v != EXPORT_VERSION => {
                        ExportError::UnknownVersion { version: v }
                    }
                    _ => unreadable(source),
                });
            }
        };
        match body {
            LineBody::Entry(ExportBody { v, .. }) | LineBody::Head(HeadBody { v, .. })
                if v != EXPORT_VERSION =>
            {
                Err(ExportError::UnknownVersion { version: v })
            }
            LineBody::Entry(body) => {
                let ExportBody {
                    partition,
                    offset,
                    entry,
                    ..
                } = body;
                let entry = Entry::from_value(&entry).map_err(|source| ExportError::BadEntry {
                    partition,
                    offset,
                    source,
                })?;
                Ok(Self::Entry {
                    partition,
                    offset,
                    entry: Box::new(entry),
                })
            }
            LineBody::Head(head) => read_head(&head),
        }
    }

    /// Whether a line of input is one of an export rather than an event: told by the members it begins with, so that
    /// it costs nothing on events.
    pub fn is_export_line(line: &[u8]) -> bool {
        line.trim_ascii_start().starts_with(b"{\"v\":")
    }
}

fn read_head(head: &HeadBody) -> Result<ExportLine, ExportError> {
    if head.partitions == 0 {
        return Err(ExportError::NoPartitions);
    }
    let log = u64::from_str_radix(&head.log, 16).map_err(|error| ExportError::Unreadable {
        source: serde::de::Error::custom(error),
    })?;
    Ok(ExportLine::Head(ExportHead {
        log,
        partitions: head.partitions,
    }))
}
