//! The source topics of the configuration, and the numbers by which the log knows their partitions. Knows no broker.
//!
//! A number names a source partition in watermarks and in signals' positions, for as long as the log lives. Its upper half
//! comes from the topic's name, its lower half is the partition: so every process computes the same, and a topic that is
//! added or removed never changes what the others' numbers mean. Upper halves run from 1 to 65,535; 0 is what is posted
//! ([`POSTED`](crate::watermark::POSTED)).

use std::collections::BTreeMap;
use std::sync::Arc;

use caerus_engine::id::short_hash;
use caerus_runtime::config::SourceTopic;
use caerus_runtime::metric::label;
use caerus_runtime::port::sources::SourcePartition;

use crate::routes::FORMATS;

/// Partitions of one topic at most: numbers have sixteen bits for them.
pub const PARTITIONS_MAX: u32 = 1 << 16;

/// The configured topics, checked.
#[derive(Clone, Debug)]
pub struct Topics {
    by_name: BTreeMap<String, Topic>,
}

#[derive(Clone, Debug)]
struct Topic {
    rules: Arc<SourceTopic>,
    label: label::SourceTopic,
    half: u16,
}

/// What is wrong with the configured topics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicsError {
    #[error("source topic `{topic}` is configured twice")]
    Twice { topic: String },
    #[error("source topic `{topic}` has format `{format}`, which is not read; known are: {}", FORMATS.join(", "))]
    UnknownFormat { topic: String, format: String },
    /// One in some ten thousand configurations of a handful of topics.
    #[error(
        "source topics `{topic}` and `{other}` cannot be told apart by number; one needs another name"
    )]
    SameNumber { topic: String, other: String },
}

/// One partition, as its task needs it.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) place: SourcePartition,
    pub(crate) number: u32,
    pub(crate) label: label::SourceTopic,
    pub(crate) rules: Arc<SourceTopic>,
}

impl Topics {
    /// *Errors*: what no process could work with, before anything is read.
    pub fn new(configured: &[SourceTopic]) -> Result<Self, TopicsError> {
        let mut sorted: Vec<&SourceTopic> = configured.iter().collect();
        sorted.sort_by(|a, b| a.topic.cmp(&b.topic));
        let mut by_name: BTreeMap<String, Topic> = BTreeMap::new();
        for (index, rules) in (0..).zip(sorted) {
            let (topic, half) = (rules.topic.clone(), half(&rules.topic));
            if by_name.contains_key(&topic) {
                return Err(TopicsError::Twice { topic });
            }
            if !FORMATS.contains(&rules.format.as_str()) {
                let format = rules.format.clone();
                return Err(TopicsError::UnknownFormat { topic, format });
            }
            if let Some((other, _)) = by_name.iter().find(|(_, other)| other.half == half) {
                let other = other.clone();
                return Err(TopicsError::SameNumber { topic, other });
            }
            let added = Topic {
                rules: Arc::new(rules.clone()),
                label: label::SourceTopic(index),
                half,
            };
            by_name.insert(topic, added);
        }
        Ok(Self { by_name })
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// What a partition is here; `None` for one that is not configured, or beyond what can be numbered.
    pub(crate) fn source(&self, place: &SourcePartition) -> Option<Source> {
        let topic = self.by_name.get(place.topic.as_ref())?;
        Some(Source {
            place: place.clone(),
            number: number(topic.half, place.partition)?,
            label: topic.label,
            rules: Arc::clone(&topic.rules),
        })
    }

    /// Whether a number is a configured topic's.
    pub(crate) fn include(&self, number: u32) -> bool {
        self.by_name.values().any(|topic| is_of(number, topic.half))
    }

    pub(crate) fn labels(&self) -> impl Iterator<Item = label::SourceTopic> {
        self.by_name.values().map(|topic| topic.label)
    }
}

/// The number of a topic's partition; `None` beyond [`PARTITIONS_MAX`].
pub fn number_of(topic: &str, partition: u32) -> Option<u32> {
    number(half(topic), partition)
}

fn number(half: u16, partition: u32) -> Option<u32> {
    let low = u16::try_from(partition).ok()?;
    Some((u32::from(half) << 16) | u32::from(low))
}

/// Whether a number is a topic's, whichever of its partitions.
pub(crate) fn is_of_topic(number: u32, topic: &str) -> bool {
    is_of(number, half(topic))
}

fn is_of(number: u32, half: u16) -> bool {
    number >> 16 == u32::from(half)
}

/// From 1 to 65,535.
fn half(topic: &str) -> u16 {
    let drawn = short_hash(&[topic.as_bytes()]) % u64::from(u16::MAX);
    u16::try_from(drawn + 1).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> SourceTopic {
        SourceTopic {
            topic: name.to_owned(),
            tenant: None,
            format: "native".to_owned(),
            is_feedback: false,
        }
    }

    /// They stand in logs: a change of these makes statistics over many count twice or not at all.
    #[test]
    fn numbers_of_the_contracts_topics_never_change() {
        let numbers = [
            ("caerus.access", 0),
            ("caerus.device-health", 1),
            ("caerus.feedback", 2),
            ("caerus.logins", 65_535),
        ]
        .map(|(topic, partition)| number_of(topic, partition));
        assert_eq!(
            numbers,
            [526_974_976, 409_468_929, 65_470_466, 2_273_378_303].map(Some)
        );
        assert_eq!(number_of("caerus.logins", PARTITIONS_MAX), None);
    }

    #[test]
    fn another_topic_changes_nobodys_number() {
        let (few, more) = (
            Topics::new(&[topic("b"), topic("d")]).unwrap(),
            Topics::new(&[topic("d"), topic("a"), topic("c"), topic("b")]).unwrap(),
        );
        for name in ["b", "d"] {
            let place = SourcePartition {
                topic: name.into(),
                partition: 7,
            };
            let number = few.source(&place).unwrap().number;
            assert_eq!(more.source(&place).unwrap().number, number);
            assert_eq!(number_of(name, 7), Some(number));
            assert!(few.include(number) && is_of_topic(number, name) && number != 0);
        }
        let place = SourcePartition {
            topic: "a".into(),
            partition: 0,
        };
        assert!(few.source(&place).is_none());
    }

    #[test]
    fn what_cannot_be_told_apart_or_read_is_refused() {
        let twice = Topics::new(&[topic("a"), topic("a")]).unwrap_err();
        assert_eq!(twice.to_string(), "source topic `a` is configured twice");
        let odd = SourceTopic {
            format: "odd".to_owned(),
            ..topic("a")
        };
        assert_eq!(
            Topics::new(&[odd]).unwrap_err().to_string(),
            "source topic `a` has format `odd`, which is not read; known are: native"
        );
        let names = || (0_u32..).map(|n| format!("t{n}"));
        let other = names()
            .find(|name| half(name) == half("caerus.logins"))
            .unwrap();
        assert_eq!(
            Topics::new(&[topic("caerus.logins"), topic(&other)]).unwrap_err(),
            TopicsError::SameNumber {
                topic: other,
                other: "caerus.logins".to_owned()
            }
        );
    }
}
