//! The stage of the suite on a real broker, and what the suite cannot ask of every adapter: markers, retention, topics
//! that are made.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use caerus_runtime::config::{Kafka, SourceTopic};
use caerus_runtime::port::sources::{SourcePartition, Sources};
use caerus_runtime::port::{PortErrorKind, PortResult, ReadLimit};
use caerus_testkit::conformance::sources::{Outside, Stage};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::{Instant, sleep};

use super::KafkaSources;
use crate::kafka::tests::fresh_settings;

const AMPLE: ReadLimit = ReadLimit {
    records: 100_000,
    bytes: usize::MAX,
};
const SOON: Duration = Duration::from_secs(60);

/// A topic of its own on the broker that the tests are given, written to by a stranger.
pub(crate) struct OnKafka {
    settings: Kafka,
    topic: String,
    producer: FutureProducer,
    members: Mutex<VecDeque<Arc<KafkaSources>>>,
}

fn stranger(settings: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", settings.brokers.join(","));
    config
}

fn admin(settings: &Kafka) -> AdminClient<DefaultClientContext> {
    stranger(settings).create().unwrap()
}

fn source(topic: &str) -> SourceTopic {
    SourceTopic {
        topic: topic.to_owned(),
        tenant: None,
        format: "native".to_owned(),
        is_feedback: false,
    }
}

impl OnKafka {
    pub(crate) async fn open(partitions: u32) -> Arc<Self> {
        let mut settings = fresh_settings();
        let topic = format!("{}events", settings.topic_prefix);
        settings.sources = vec![source(&topic)];
        let partitions = i32::try_from(partitions).unwrap();
        let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(SOON));
        let made = admin(&settings).create_topics([&new], &options).await;
        made.unwrap().remove(0).unwrap();
        Arc::new(Self {
            producer: stranger(&settings).create().unwrap(),
            settings,
            topic,
            members: Mutex::default(),
        })
    }

    fn place(&self, partition: u32) -> SourcePartition {
        SourcePartition {
            topic: self.topic.as_str().into(),
            partition,
        }
    }
}

#[async_trait]
impl Stage for OnKafka {
    fn topic(&self) -> &str {
        &self.topic
    }

    async fn send(&self, partition: u32, message: Outside) -> PortResult<()> {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &message.headers {
            let value = Some(value);
            headers = headers.insert(Header { key, value });
        }
        let mut record: FutureRecord<'_, Vec<u8>, Vec<u8>> = FutureRecord::to(&self.topic)
            .partition(i32::try_from(partition).unwrap())
            .headers(headers);
        record.key = message.key.as_ref();
        record.payload = message.value.as_ref();
        self.producer.send(record, SOON).await.unwrap();
        Ok(())
    }

    async fn join(&self) -> PortResult<Arc<dyn Sources>> {
        let member = KafkaSources::connect(&self.settings).await?;
        self.members.lock().unwrap().push_back(Arc::clone(&member));
        Ok(member)
    }

    async fn leave(&self) {
        let member = self.members.lock().unwrap().pop_front();
        member.unwrap().leave().await;
    }
}

async fn joined(stage: &OnKafka, partitions: usize) -> Arc<dyn Sources> {
    let member = stage.join().await.unwrap();
    let mut assigned = member.assigned();
    let settled = assigned.wait_for(|now| now.len() == partitions);
    drop(tokio::time::timeout(SOON, settled).await.unwrap().unwrap());
    member
}

/// Reads on until it stands at the end. *Returns*: the values.
async fn read_to_end(member: &Arc<dyn Sources>, of: &SourcePartition) -> Vec<String> {
    let deadline = Instant::now() + SOON;
    let (mut from, mut values) = (0, Vec::new());
    while from < member.end(of).await.unwrap() {
        assert!(Instant::now() < deadline, "stands at {from}: {values:?}");
        let batch = member.read(of, from, AMPLE).await.unwrap();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        values.extend(batch.messages.iter().map(|one| text(&one.value)));
        from = batch.next;
    }
    values
}

#[tokio::test]
async fn the_end_is_reached_past_markers_and_what_was_aborted() {
    let stage = OnKafka::open(1).await;
    let mut config = stranger(&stage.settings);
    config.set("transactional.id", format!("{}writer", stage.topic));
    let producer: FutureProducer = config.create().unwrap();
    producer.init_transactions(SOON).unwrap();
    for (value, is_kept) in [("a", true), ("b", false), ("c", true), ("d", false)] {
        producer.begin_transaction().unwrap();
        let record: FutureRecord<'_, [u8], str> = FutureRecord::to(&stage.topic).partition(0);
        producer.send(record.payload(value), SOON).await.unwrap();
        if is_kept {
            producer.commit_transaction(SOON).unwrap();
        } else {
            producer.abort_transaction(SOON).unwrap();
        }
    }
    let member = joined(&stage, 1).await;
    let of = stage.place(0);
    assert_eq!(read_to_end(&member, &of).await, ["a", "c"]);
    assert_eq!(member.end(&of).await.unwrap(), 8);
    member.mark_done(&of, 8).await.unwrap();
    let batch = member.read(&of, 8, AMPLE).await.unwrap();
    assert_eq!((batch.messages.len(), batch.next), (0, 8));
}

#[tokio::test]
async fn what_the_topic_let_go_of_is_told_and_not_passed_over() {
    let stage = OnKafka::open(1).await;
    for value in ["a", "b", "c"] {
        let value = Some(value.as_bytes().to_vec());
        let message = Outside {
            value,
            ..Outside::default()
        };
        stage.send(0, message).await.unwrap();
    }
    let member = joined(&stage, 1).await;
    let of = stage.place(0);
    let mut before = TopicPartitionList::new();
    before
        .add_partition_offset(&stage.topic, 0, Offset::Offset(2))
        .unwrap();
    let options = AdminOptions::new();
    let trimmed = admin(&stage.settings)
        .delete_records(&before, &options)
        .await;
    drop(trimmed.unwrap());
    let gone = member.read(&of, 0, AMPLE).await.unwrap_err();
    assert_eq!(gone.kind, PortErrorKind::Conflict, "{gone:?}");
    let standing = member.standing(&of).await.unwrap();
    assert_eq!((standing.done, standing.start, standing.end), (None, 2, 3));
    let batch = member.read(&of, 2, AMPLE).await.unwrap();
    assert_eq!(batch.next, 3);
}

#[tokio::test]
async fn the_contracts_topics_are_made_and_others_are_waited_for() {
    let mut settings = fresh_settings();
    let (ours, theirs) = (
        format!("{}logins", settings.topic_prefix),
        format!("{}elsewhere", settings.topic_prefix),
    );
    settings.sources = vec![source(&ours), source(&theirs)];
    let sources = KafkaSources::connect(&settings).await.unwrap();
    let names = async || {
        let all = sources.partitions().await.unwrap();
        let count = |name: &str| all.iter().filter(|one| &*one.topic == name).count();
        (count(&ours), count(&theirs))
    };
    let deadline = Instant::now() + SOON;
    while names().await != (6, 0) {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(50)).await;
    }
    let new = NewTopic::new(&theirs, 1, TopicReplication::Fixed(1));
    let options = AdminOptions::new();
    let made = admin(&settings).create_topics([&new], &options).await;
    made.unwrap().remove(0).unwrap();
    let mut assigned = sources.assigned();
    let all = assigned.wait_for(|now| now.len() == 7);
    drop(tokio::time::timeout(SOON, all).await.unwrap().unwrap());
    assert_eq!(names().await, (6, 1));
}
