//! What is kept of a subject. Every field is public so that `wire` can write and read it; nothing else should reach in.

use crate::id::SubjectKey;
use crate::time::Timestamp;

/// A subject's record. Quantised: an encoded and decoded record equals the one at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectRecord {
    User(Box<UserRecord>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRecord {
    pub core: Core,
}

/// What every subject's record has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    pub key: SubjectKey,
    pub latest: Timestamp,
}

/// How common values are among a tenant's users of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Population {}
