//! The topics on the broker: their names, their shape, making those that are missing. Knows no records.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use caerus_runtime::config::Kafka;
use caerus_runtime::port::{PortError, PortErrorKind, PortResult, Topic};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::blocking;
use super::client::{Context, configure, create};
use super::fault::{fault, kind_of};

/// The topic that holds the log's head.
const HEAD: &str = "log";
/// How long the brokers have to answer at first, with all that a login takes.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(10);
/// One question within it; between them what a client complains of is looked at.
const QUESTION_MAX: Duration = Duration::from_secs(1);
/// How long a new topic has until every partition has a leader.
const CREATION_MAX: Duration = Duration::from_secs(20);
/// A client's logs and complaints that are looked at between two questions.
const EVENTS_SERVED: u32 = 64;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Superseded records of compacted topics stay that long, for readers a little behind. *Units*: ms, 1 h.
const COMPACTION_LAG_MS: &str = "3600000";
/// Replicas that must have a record before it counts, where there are enough of them to lose one.
const REPLICAS_IN_SYNC_MIN: &str = "2";
const REPLICATION_SAFE: u16 = 3;

pub(super) fn name_of(settings: &Kafka, topic: Topic) -> String {
    format!("{}{}", settings.topic_prefix, topic.name())
}

pub(super) fn head_name(settings: &Kafka) -> String {
    format!("{}{HEAD}", settings.topic_prefix)
}

pub(super) fn partitions_of(topic: Topic, partitions: u32) -> u32 {
    if topic.is_partitioned_as_log() {
        partitions
    } else {
        1
    }
}

/// A topic as it has to be.
struct Wanted {
    name: String,
    partitions: u32,
    is_compacted: bool,
}

/// Makes the topics that are missing, and holds the others to their number of partitions.
///
/// *Errors*: `Refused` when a topic has another number of partitions, or the brokers refuse the credentials;
/// `Unavailable` when they do not answer.
pub(super) async fn ensure(
    settings: &Kafka,
    consumer: &Arc<BaseConsumer<Context>>,
    partitions: u32,
) -> PortResult<()> {
    let wanted = wanted(settings, partitions);
    let missing = {
        let (settings, consumer) = (settings.clone(), Arc::clone(consumer));
        blocking(move || {
            first_answer(&settings, &consumer)?;
            missing_of(&consumer, wanted)
        })
        .await?
    };
    if missing.is_empty() {
        return Ok(());
    }
    make(settings, &missing).await?;
    let consumer = Arc::clone(consumer);
    blocking(move || {
        let deadline = Instant::now() + CREATION_MAX;
        let mut missing = missing;
        while Instant::now() < deadline {
            missing = missing_of(&consumer, missing)?;
            if missing.is_empty() {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        let names: Vec<_> = missing.into_iter().map(|topic| topic.name).collect();
        let operation = format!("see the new topics `{}` on the brokers", names.join("`, `"));
        Err(PortError::new(PortErrorKind::Unavailable, operation))
    })
    .await
}

/// Those that are not there yet; the others have the right number of partitions.
fn missing_of(consumer: &BaseConsumer<Context>, wanted: Vec<Wanted>) -> PortResult<Vec<Wanted>> {
    let mut missing = Vec::new();
    for topic in wanted {
        match partitions_on_broker(consumer, &topic.name)? {
            Some(found) => check(&topic, found)?,
            None => missing.push(topic),
        }
    }
    Ok(missing)
}

fn wanted(settings: &Kafka, partitions: u32) -> Vec<Wanted> {
    let head = Wanted {
        name: head_name(settings),
        partitions: 1,
        is_compacted: true,
    };
    Topic::ALL
        .into_iter()
        .map(|topic| Wanted {
            name: name_of(settings, topic),
            partitions: partitions_of(topic, partitions),
            is_compacted: topic.is_compacted(),
        })
        .chain([head])
        .collect()
}

fn check(wanted: &Wanted, found: u32) -> PortResult<()> {
    if wanted.partitions == found {
        return Ok(());
    }
    Err(PortError::new(
        PortErrorKind::Refused,
        format!(
            "use the topic `{}` with {} partitions, because it was created with {found}; set that number, or another `topic_prefix` for a new log",
            wanted.name, wanted.partitions
        ),
    ))
}

/// Waits until a broker answers; what a client complains of meanwhile is the reason when none does.
fn first_answer(settings: &Kafka, consumer: &BaseConsumer<Context>) -> PortResult<()> {
    let deadline = Instant::now() + FIRST_ANSWER_MAX;
    let name = head_name(settings);
    loop {
        let Err(error) = consumer.fetch_metadata(Some(&name), QUESTION_MAX) else {
            return Ok(());
        };
        // Serves what the client has to say; nothing else can come of a consumer without an assignment.
        for _ in 0..EVENTS_SERVED {
            drop(consumer.poll(Duration::ZERO));
        }
        let complaint = consumer.client().context().complaint();
        let kind = complaint
            .as_ref()
            .and_then(|complaint| complaint.code)
            .map_or(PortErrorKind::Unavailable, kind_of);
        if kind == PortErrorKind::Refused {
            let reason = complaint.map_or_else(String::new, |c| c.reason);
            return Err(unreachable_brokers(settings, kind, reason));
        }
        if Instant::now() > deadline {
            let reason = complaint.map_or_else(|| error.to_string(), |c| c.reason);
            return Err(unreachable_brokers(settings, kind, reason));
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn unreachable_brokers(settings: &Kafka, kind: PortErrorKind, reason: String) -> PortError {
    let brokers = settings.brokers.join(",");
    let look_at = match kind {
        PortErrorKind::Refused => {
            "look at the credentials and at `security.protocol`, `sasl.*` and `ssl.*` in `properties`"
        }
        PortErrorKind::Unavailable | PortErrorKind::Conflict | PortErrorKind::Corrupt => {
            "look at the addresses, and at `security.protocol` in `properties`"
        }
    };
    let operation = format!("talk to Kafka at `{brokers}`; {look_at}");
    PortError::new(kind, operation).because(reason)
}

/// `None` where the topic, or a leader of one of its partitions, is not there yet.
fn partitions_on_broker(consumer: &BaseConsumer<Context>, name: &str) -> PortResult<Option<u32>> {
    let look = || format!("look the topic `{name}` up");
    let metadata = consumer
        .fetch_metadata(Some(name), FIRST_ANSWER_MAX)
        .map_err(|error| fault(look(), error))?;
    let Some(topic) = metadata.topics().first() else {
        return Ok(None);
    };
    match topic.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::LeaderNotAvailable,
        ) => return Ok(None),
        Some(code) => return Err(fault(look(), KafkaError::MetadataFetch(code))),
    }
    let partitions = topic.partitions();
    if partitions.is_empty() || partitions.iter().any(|partition| partition.leader() < 0) {
        return Ok(None);
    }
    Ok(u32::try_from(partitions.len()).ok())
}

/// One request for all. That another process was first is well; its topics are looked at afterwards.
async fn make(settings: &Kafka, missing: &[Wanted]) -> PortResult<()> {
    let config = configure(settings, &[])?;
    let admin: AdminClient<Context> = create(&config, Context::default())?;
    let topics: Vec<_> = missing.iter().map(|one| shape(settings, one)).collect();
    let options = AdminOptions::new()
        .request_timeout(Some(CREATION_MAX))
        .operation_timeout(Some(CREATION_MAX));
    let made = admin.create_topics(&topics, &options).await;
    // Its end waits for a thread.
    tokio::task::spawn_blocking(move || drop(admin));
    let made = made.map_err(|error| fault("create the topics", error))?;
    for outcome in made {
        match outcome {
            Ok(name) => tracing::info!(topic = name, "topic created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                let error = KafkaError::AdminOp(code);
                return Err(fault(format!("create the topic `{name}`"), error));
            }
        }
    }
    Ok(())
}

fn shape<'a>(settings: &Kafka, wanted: &'a Wanted) -> NewTopic<'a> {
    let partitions = i32::try_from(wanted.partitions).unwrap_or(i32::MAX);
    let replication = i32::from(settings.replication.max(1));
    let topic = NewTopic::new(
        &wanted.name,
        partitions,
        TopicReplication::Fixed(replication),
    );
    let topic = if wanted.is_compacted {
        topic
            .set("cleanup.policy", "compact")
            .set("min.compaction.lag.ms", COMPACTION_LAG_MS)
    } else {
        // Caerus trims these topics itself, by what it still needs.
        topic
            .set("cleanup.policy", "delete")
            .set("retention.ms", "-1")
            .set("retention.bytes", "-1")
    };
    if settings.replication >= REPLICATION_SAFE {
        topic.set("min.insync.replicas", REPLICAS_IN_SYNC_MIN)
    } else {
        topic
    }
}
