//! How numbers and names stand in columns. Knows no tables.

use caerus_engine::id::SubjectHash;
use caerus_runtime::port::Topic;
use sqlx::error::BoxDynError;

/// A topic's number in every file; numbers never change meaning.
pub(crate) fn topic_number(topic: Topic) -> i64 {
    match topic {
        Topic::Signals => 0,
        Topic::Decisions => 1,
        Topic::Shadow => 2,
        Topic::DeadLetters => 3,
        Topic::Progress => 4,
        Topic::Receipts => 5,
        Topic::Standings => 6,
    }
}

pub(crate) fn topic_of(number: i64) -> Result<Topic, sqlx::Error> {
    Topic::ALL
        .into_iter()
        .find(|topic| topic_number(*topic) == number)
        .ok_or_else(|| undecodable(format!("{number} is not the number of a topic")))
}

/// An offset, sequence or position: SQLite's integers are signed, and none of these comes near the sign.
pub(crate) fn to_column(number: u64) -> Result<i64, sqlx::Error> {
    i64::try_from(number).map_err(|error| sqlx::Error::Encode(error.into()))
}

pub(crate) fn from_column(number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(crate) fn partition_of(number: i64) -> Result<u32, sqlx::Error> {
    u32::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(crate) fn key_bytes(key: SubjectHash) -> Vec<u8> {
    key.0.to_be_bytes().to_vec()
}

pub(crate) fn key_of(bytes: &[u8]) -> Result<SubjectHash, sqlx::Error> {
    let bytes = <[u8; 16]>::try_from(bytes).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(SubjectHash(u128::from_be_bytes(bytes)))
}

pub(crate) fn undecodable(reason: impl Into<BoxDynError>) -> sqlx::Error {
    sqlx::Error::Decode(reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_reads_back_from_its_number() {
        for topic in Topic::ALL {
            assert_eq!(topic_of(topic_number(topic)).unwrap(), topic);
        }
        assert!(matches!(topic_of(7), Err(sqlx::Error::Decode(_))));
    }

    #[test]
    fn a_subject_key_reads_back_and_sorts_as_its_number() {
        let keys = [SubjectHash(1), SubjectHash(u128::MAX)];
        for key in keys {
            assert_eq!(key_of(&key_bytes(key)).unwrap(), key);
        }
        assert!(key_bytes(keys[0]) < key_bytes(keys[1]));
        assert!(key_of(&[1, 2, 3]).is_err());
    }
}
