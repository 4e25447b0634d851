//! What evaluators report of their partitions, from which `evaluated_until` is told. Knows no clock.

use caerus_engine::time::Timestamp;

use crate::form::{FormError, forms, from_versioned, to_versioned};

/// The version of reports that is written; no other is read.
pub const PROGRESS_VERSION: u8 = 1;

/// How far the evaluator of one partition has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub partition: u32,
    /// By source partition: everything taken in before that time is evaluated in this partition.
    pub passed: Vec<(u32, Timestamp)>,
    /// Where it reads on in the log.
    pub log_position: u64,
    /// The end of its partition of the decisions, all of its own included.
    pub decisions_offset: u64,
    /// For each partition of the log, the highest offset of the derived signals that this one wrote there and saw
    /// acknowledged; 0 where it wrote none (an owner's claim comes before any signal).
    pub derived: Vec<u64>,
}

forms! {
    struct Progress { partition, passed, log_position, decisions_offset, derived }
}

impl Progress {
    pub fn to_bytes(&self) -> Vec<u8> {
        to_versioned(self, PROGRESS_VERSION)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        from_versioned(bytes, "progress report", PROGRESS_VERSION)
    }
}
