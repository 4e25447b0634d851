//! Stored records as bytes with a version tag: subjects, populations, a partition's shared fold. Knows no store.

use std::collections::BTreeMap;

use caerus_engine::climate::Climate;
use caerus_engine::record::{Population, SubjectRecord};
use caerus_engine::time::Timestamp;

use crate::entry::PolicyRevision;
use crate::form::{FormError, forms, from_versioned, to_versioned};

/// The version of records that is written; no other is read.
pub const RECORD_VERSION: u8 = 1;
/// The version of populations that is written; no other is read.
pub const POPULATION_VERSION: u8 = 1;
/// The version of shared folds that is written; no other is read.
pub const SHARED_FOLD_VERSION: u8 = 1;

/// What a partition's state is beside its records: the fold over what every subject of it hears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedFold {
    pub climate: Climate,
    /// `None` until the log tells one.
    pub policy: Option<PolicyRevision>,
    /// By source partition: everything taken in before that time stands before this place in the log.
    pub watermarks: BTreeMap<u32, Timestamp>,
    /// The greatest event time met in the partition.
    pub latest_event: Timestamp,
    /// For each partition of the log, the highest offset of the derived signals that this one wrote there.
    pub derived: Vec<u64>,
}

forms! {
    struct SharedFold { climate, policy, watermarks, latest_event, derived }
}

pub fn encode_record(record: &SubjectRecord) -> Vec<u8> {
    to_versioned(record, RECORD_VERSION)
}

/// *Errors*: damaged bytes with their place, or another version by its number.
pub fn decode_record(bytes: &[u8]) -> Result<SubjectRecord, FormError> {
    from_versioned(bytes, "record", RECORD_VERSION)
}

pub fn encode_population(population: &Population) -> Vec<u8> {
    to_versioned(population, POPULATION_VERSION)
}

/// *Errors*: as [`decode_record`].
pub fn decode_population(bytes: &[u8]) -> Result<Population, FormError> {
    from_versioned(bytes, "population", POPULATION_VERSION)
}

pub fn encode_shared_fold(fold: &SharedFold) -> Vec<u8> {
    to_versioned(fold, SHARED_FOLD_VERSION)
}

/// *Errors*: as [`decode_record`].
pub fn decode_shared_fold(bytes: &[u8]) -> Result<SharedFold, FormError> {
    from_versioned(bytes, "shared fold", SHARED_FOLD_VERSION)
}
