//! Follows ingest's group: which partitions of the source topics are this member's, and up to where they are done. Reads
//! nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use caerus_runtime::config::Kafka;
use caerus_runtime::port::PortResult;
use caerus_runtime::port::sources::SourcePartition;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::kafka::client::{Context, configure, create};
use crate::kafka::fault::fault;
use crate::kafka::reader::ANSWER_MAX;

/// The group is followed at least that often; librdkafka's own thread sends the heartbeats.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);

/// Nothing is fetched but what comes between an assignment and its pause.
const ROLE: [(&str, &str); 10] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("isolation.level", "read_committed"),
    ("auto.offset.reset", "latest"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    // Milliseconds: a process that stopped answering loses its partitions after that.
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "1000"),
    // Milliseconds: how soon a topic or a partition that is new is shared out.
    ("topic.metadata.refresh.interval.ms", "5000"),
    ("queued.min.messages", "1"),
    ("fetch.message.max.bytes", "1024"),
];

/// A member of the group.
pub(super) struct Member {
    consumer: Arc<BaseConsumer<GroupContext>>,
    /// Follows the group; ends with the member.
    following: JoinSet<()>,
}

impl Member {
    /// *Errors*: `Refused` for a setting that librdkafka does not take.
    pub(super) fn join(
        settings: &Kafka,
        assigned: watch::Sender<BTreeSet<SourcePartition>>,
    ) -> PortResult<Self> {
        let mut config = configure(settings, &ROLE)?;
        config.set("group.id", group_of(settings));
        let context = GroupContext {
            said: Context::default(),
            assigned,
        };
        let mut consumer: BaseConsumer<GroupContext> = create(&config, context)?;
        let bell = Arc::new(Notify::new());
        let ringing = Arc::clone(&bell);
        consumer.set_nonempty_callback(move || ringing.notify_one());
        let topics: Vec<&str> = settings.sources.iter().map(|s| s.topic.as_str()).collect();
        consumer
            .subscribe(&topics)
            .map_err(|error| fault(format!("join the group `{}`", group_of(settings)), error))?;
        let consumer = Arc::new(consumer);
        let mut following = JoinSet::new();
        following.spawn(follow(Arc::downgrade(&consumer), bell));
        Ok(Self {
            consumer,
            following,
        })
    }

    pub(super) fn consumer(&self) -> Arc<BaseConsumer<GroupContext>> {
        Arc::clone(&self.consumer)
    }

    /// Gives the partitions back at once, rather than when the session is over.
    pub(super) async fn leave(mut self) {
        self.following.shutdown().await;
        let consumer = self.consumer;
        // Its end is the leaving, and waits for the brokers.
        if let Err(error) = tokio::task::spawn_blocking(move || drop(consumer)).await {
            tracing::warn!(%error, "ingest's group was not left in order");
        }
    }
}

/// The group of the settings is the evaluators'.
pub(super) fn group_of(settings: &Kafka) -> String {
    format!("{}-ingest", settings.group)
}

/// Up to where the group has marked a partition; `None` where it never has. Blocks.
pub(super) fn done(
    consumer: &BaseConsumer<GroupContext>,
    of: &SourcePartition,
    partition: i32,
) -> PortResult<Option<u64>> {
    let failed = |error| fault(format!("ask up to where {of} is done"), error);
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&of.topic, partition);
    let answer = consumer
        .committed_offsets(asked, ANSWER_MAX)
        .map_err(failed)?;
    let one = answer
        .find_partition(&of.topic, partition)
        .ok_or_else(|| failed(KafkaError::NoMessageReceived))?;
    one.error().map_err(failed)?;
    Ok(match one.offset() {
        Offset::Offset(offset) => u64::try_from(offset).ok(),
        _ => None,
    })
}

/// Blocks. *Errors*: `Conflict` where the group has dropped this member.
pub(super) fn mark_done(
    consumer: &BaseConsumer<GroupContext>,
    of: &SourcePartition,
    (partition, up_to): (i32, u64),
) -> PortResult<()> {
    let failed = |error| fault(format!("mark {of} as done up to {up_to}"), error);
    let offset = Offset::Offset(i64::try_from(up_to).unwrap_or(i64::MAX));
    let mut marked = TopicPartitionList::new();
    marked
        .add_partition_offset(&of.topic, partition, offset)
        .map_err(failed)?;
    consumer.commit(&marked, CommitMode::Sync).map_err(failed)
}

async fn follow(consumer: Weak<BaseConsumer<GroupContext>>, bell: Arc<Notify>) {
    loop {
        // Either way there is something to look at.
        drop(timeout(FOLLOW_EVERY, bell.notified()).await);
        let Some(consumer) = consumer.upgrade() else {
            return;
        };
        let Some(Err(error)) = consumer.poll(Duration::ZERO) else {
            continue;
        };
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition) {
            tracing::debug!(%error, "a source topic is not there yet");
        } else {
            tracing::warn!(%error, "ingest's group is not followed well");
        }
    }
}

/// Hears of rebalances.
pub(super) struct GroupContext {
    said: Context,
    assigned: watch::Sender<BTreeSet<SourcePartition>>,
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.said.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.said.error(error, reason);
    }
}

impl ConsumerContext for GroupContext {
    /// Before the group is told, so that nobody begins anything on a partition that is gone.
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(_) => {}
            Rebalance::Revoke(gone) => {
                let gone = partitions_in(gone);
                self.assigned
                    .send_modify(|assigned| assigned.retain(|one| !gone.contains(one)));
            }
            Rebalance::Error(error) => {
                tracing::warn!(%error, "a rebalance failed, no source partition is taken in");
                self.assigned.send_modify(BTreeSet::clear);
            }
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(assigned) = rebalance else {
            return;
        };
        if let Err(error) = consumer.pause(assigned) {
            tracing::debug!(%error, "source partitions assigned are not paused");
        }
        let new = partitions_in(assigned);
        self.assigned.send_modify(|assigned| assigned.extend(new));
    }
}

fn partitions_in(list: &TopicPartitionList) -> BTreeSet<SourcePartition> {
    let place = |topic: &str, partition: i32| {
        Some(SourcePartition {
            topic: topic.into(),
            partition: u32::try_from(partition).ok()?,
        })
    };
    let elements = list.elements();
    elements
        .iter()
        .filter_map(|one| place(one.topic(), one.partition()))
        .collect()
}
