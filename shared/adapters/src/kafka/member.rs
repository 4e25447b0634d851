//! Follows the evaluators' group: which partitions are this process's to own. Reads nothing. Knows no claim.
//!
//! What it says is advice: it keeps two owners from taking a partition from each other for ever. That there is one owner
//! is a matter of claims.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use caerus_runtime::config::Kafka;
use caerus_runtime::port::{PortResult, Topic};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{
    BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata, Rebalance,
};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::{Context, configure, create};
use super::fault::fault;
use super::topics::name_of;

/// The group is followed at least that often; librdkafka's own thread sends the heartbeats.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);

/// Nothing is fetched but what comes between an assignment and its pause.
const ROLE: [(&str, &str); 9] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("isolation.level", "read_committed"),
    ("auto.offset.reset", "latest"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    // Milliseconds: a process that stopped answering loses its partitions after that.
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "1000"),
    ("queued.min.messages", "1"),
    ("fetch.message.max.bytes", "1024"),
];

/// A member of the group.
pub(super) struct Member {
    consumer: Arc<BaseConsumer<MemberContext>>,
    /// Follows the group; ends with the member.
    following: JoinSet<()>,
    owned: watch::Receiver<BTreeSet<u32>>,
}

impl Member {
    pub(super) fn join(settings: &Kafka) -> PortResult<Self> {
        let mut config = configure(settings, &ROLE)?;
        config.set("group.id", &settings.group);
        let (sender, owned) = watch::channel(BTreeSet::new());
        let context = MemberContext {
            said: Context::default(),
            owned: sender,
        };
        let mut consumer: BaseConsumer<MemberContext> = create(&config, context)?;
        let bell = Arc::new(Notify::new());
        let ringing = Arc::clone(&bell);
        consumer.set_nonempty_callback(move || ringing.notify_one());
        let signals = name_of(settings, Topic::Signals);
        consumer
            .subscribe(&[&signals])
            .map_err(|error| fault(format!("join the group `{}`", settings.group), error))?;
        let consumer = Arc::new(consumer);
        let mut following = JoinSet::new();
        following.spawn(follow(Arc::downgrade(&consumer), bell));
        Ok(Self {
            consumer,
            following,
            owned,
        })
    }

    pub(super) fn owned(&self) -> watch::Receiver<BTreeSet<u32>> {
        self.owned.clone()
    }

    /// What a transaction carries, so that the group refuses a member that it has dropped.
    pub(super) fn metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }

    /// Gives the partitions back at once, rather than when the session is over.
    pub(super) async fn leave(mut self) {
        self.following.shutdown().await;
        let consumer = self.consumer;
        // Its end is the leaving, and waits for the brokers.
        if let Err(error) = tokio::task::spawn_blocking(move || drop(consumer)).await {
            tracing::warn!(%error, "the evaluators' group was not left in order");
        }
    }
}

async fn follow(consumer: Weak<BaseConsumer<MemberContext>>, bell: Arc<Notify>) {
    loop {
        // Either way there is something to look at.
        drop(timeout(FOLLOW_EVERY, bell.notified()).await);
        let Some(consumer) = consumer.upgrade() else {
            return;
        };
        if let Some(Err(error)) = consumer.poll(Duration::ZERO) {
            tracing::warn!(%error, "the evaluators' group is not followed well");
        }
    }
}

/// Hears of rebalances.
struct MemberContext {
    said: Context,
    owned: watch::Sender<BTreeSet<u32>>,
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.said.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.said.error(error, reason);
    }
}

impl ConsumerContext for MemberContext {
    /// Before the group is told, so that nobody begins anything on a partition that is gone.
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(_) => {}
            Rebalance::Revoke(gone) => {
                let gone = partitions_in(gone);
                tracing::info!(partitions = ?gone, "partitions given back");
                self.owned
                    .send_modify(|owned| owned.retain(|one| !gone.contains(one)));
            }
            Rebalance::Error(error) => {
                tracing::warn!(%error, "a rebalance failed, no partition is owned");
                self.owned.send_modify(BTreeSet::clear);
            }
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(assigned) = rebalance else {
            return;
        };
        if let Err(error) = consumer.pause(assigned) {
            tracing::debug!(%error, "partitions assigned are not paused");
        }
        let assigned = partitions_in(assigned);
        if !assigned.is_empty() {
            tracing::info!(partitions = ?assigned, "partitions assigned");
        }
        self.owned.send_modify(|owned| owned.extend(assigned));
    }
}

fn partitions_in(list: &TopicPartitionList) -> BTreeSet<u32> {
    list.elements()
        .iter()
        .filter_map(|one| u32::try_from(one.partition()).ok())
        .collect()
}
