//! Topics that others write to, on Kafka's brokers: shared among the processes of ingest by a group, read through one
//! consumer that is told where to read. Knows no form of event, and nothing of the log.
//!
//! The contract's own topics are made where they are missing. Any other is somebody else's: it is waited for.

mod group;
mod line;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use caerus_runtime::config::Kafka;
use caerus_runtime::port::sources::{SourceBatch, SourcePartition, SourceStanding, Sources};
use caerus_runtime::port::{PortError, PortErrorKind, PortResult, ReadLimit};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use self::group::{GroupContext, Member, group_of};
use self::line::Line;
use super::blocking;
use super::client::{Context, configure, create};
use super::fault::fault;
use super::reader::ANSWER_MAX;

/// The contract's topics, after the prefix.
const NAMES: [&str; 4] = ["logins", "device-health", "access", "feedback"];
/// Partitions of a topic that is made: as many processes may share it, and more can be added at any time.
const PARTITIONS_NEW: i32 = 6;
/// How long a read waits for a message.
const WAIT: Duration = Duration::from_millis(250);
/// librdkafka's logs and complaints are served, and partitions given back are let go of, that often.
const SERVE_EVERY: Duration = Duration::from_millis(100);

const ROLE: [(&str, &str); 11] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "false"),
    ("isolation.level", "read_committed"),
    // What its retention took is told of, not passed over.
    ("auto.offset.reset", "error"),
    ("check.crcs", "true"),
    ("fetch.min.bytes", "1"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.error.backoff.ms", "50"),
    ("fetch.queue.backoff.ms", "20"),
    // Of each partition, fetched and not yet read.
    ("queued.max.messages.kbytes", "8192"),
];

/// Held while it is read; empty before.
type Place = Arc<tokio::sync::Mutex<Option<Line>>>;

/// The source topics of the settings, for one member of ingest's group.
pub struct KafkaSources {
    settings: Kafka,
    lines: Mutex<BTreeMap<SourcePartition, Place>>,
    reader: Arc<BaseConsumer<Context>>,
    member: Mutex<Option<Member>>,
    assigned: watch::Receiver<BTreeSet<SourcePartition>>,
    /// Serves the reader; ends with the sources.
    serving: Mutex<JoinSet<()>>,
}

impl std::fmt::Debug for KafkaSources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSources")
            .field("brokers", &self.settings.brokers)
            .field("group", &group_of(&self.settings))
            .field("assigned", &self.assigned)
            .finish_non_exhaustive()
    }
}

impl KafkaSources {
    /// Makes the contract's topics where they are configured and missing, and joins the group.
    ///
    /// *Errors*: `Refused` when the brokers refuse the credentials or a property; `Unavailable` when none answers.
    pub async fn connect(settings: &Kafka) -> PortResult<Arc<Self>> {
        let mut config = configure(settings, &ROLE)?;
        config.set("group.id", group_of(settings));
        let reader: Arc<BaseConsumer<Context>> = Arc::new(create(&config, Context::default())?);
        make_missing(settings, &reader).await?;
        let (sender, assigned) = watch::channel(BTreeSet::new());
        let sources = Arc::new(Self {
            settings: settings.clone(),
            lines: Mutex::default(),
            reader,
            member: Mutex::new(Some(Member::join(settings, sender)?)),
            assigned,
            serving: Mutex::default(),
        });
        lock(&sources.serving).spawn(serve(Arc::downgrade(&sources)));
        Ok(sources)
    }

    /// Leaves the group, so that others take over at once. Nothing is this process's afterwards.
    pub async fn leave(&self) {
        let member = lock(&self.member).take();
        if let Some(member) = member {
            member.leave().await;
        }
    }

    /// *Errors*: `Conflict` where the partition is another member's, or none's.
    fn check_assigned(&self, of: &SourcePartition) -> PortResult<i32> {
        match i32::try_from(of.partition) {
            Ok(partition) if self.assigned.borrow().contains(of) => Ok(partition),
            _ => Err(not_ours(of)),
        }
    }

    fn group(&self, of: &SourcePartition) -> PortResult<Arc<BaseConsumer<GroupContext>>> {
        let member = lock(&self.member);
        member
            .as_ref()
            .map(Member::consumer)
            .ok_or_else(|| not_ours(of))
    }

    /// The line of a partition, standing at `from`.
    async fn stand(
        &self,
        of: &SourcePartition,
        (partition, from): (i32, u64),
    ) -> PortResult<tokio::sync::OwnedMutexGuard<Option<Line>>> {
        let place = Arc::clone(lock(&self.lines).entry(of.clone()).or_default());
        let mut line = place.lock_owned().await;
        if line.as_ref().is_some_and(|line| line.stands_at(from)) {
            return Ok(line);
        }
        let (reader, of) = (Arc::clone(&self.reader), of.clone());
        // To its end even when the caller goes: half a move would leave the line in no known place.
        blocking(move || {
            let (start, end) = bounds(&reader, &of, partition)?;
            if from < start || from > end {
                let operation = format!("read {of} at {from}: it holds {start} to {end}");
                return Err(PortError::new(PortErrorKind::Conflict, operation));
            }
            match line.as_mut() {
                Some(line) => line.go_to(from)?,
                None => *line = Some(Line::begin(&reader, &of, (partition, from))?),
            }
            Ok(line)
        })
        .await
    }

    /// Lets go of partitions that were given back, unless somebody is still at one.
    fn let_go(&self) {
        let assigned = self.assigned.borrow().clone();
        lock(&self.lines).retain(|of, place| {
            if assigned.contains(of) {
                return true;
            }
            let Ok(mut line) = place.try_lock() else {
                return true;
            };
            drop(line.take());
            false
        });
    }
}

#[async_trait]
impl Sources for KafkaSources {
    async fn partitions(&self) -> PortResult<BTreeSet<SourcePartition>> {
        let reader = Arc::clone(&self.reader);
        let names: Vec<_> = self
            .settings
            .sources
            .iter()
            .map(|s| s.topic.clone())
            .collect();
        blocking(move || {
            let mut all = BTreeSet::new();
            for name in names {
                let topic: Arc<str> = name.into();
                let count = partitions_of(&reader, &topic)?;
                all.extend((0..count).map(|partition| SourcePartition {
                    topic: Arc::clone(&topic),
                    partition,
                }));
            }
            Ok(all)
        })
        .await
    }

    fn assigned(&self) -> watch::Receiver<BTreeSet<SourcePartition>> {
        self.assigned.clone()
    }

    async fn standing(&self, of: &SourcePartition) -> PortResult<SourceStanding> {
        let partition = self.check_assigned(of)?;
        let (group, reader, of) = (self.group(of)?, Arc::clone(&self.reader), of.clone());
        blocking(move || {
            let done = group::done(&group, &of, partition)?;
            let (start, end) = bounds(&reader, &of, partition)?;
            Ok(SourceStanding { done, start, end })
        })
        .await
    }

    async fn read(
        &self,
        of: &SourcePartition,
        from: u64,
        limit: ReadLimit,
    ) -> PortResult<SourceBatch> {
        let partition = self.check_assigned(of)?;
        let until = Instant::now() + WAIT;
        let mut guard = self.stand(of, (partition, from)).await?;
        let Some(line) = guard.as_mut() else {
            return Err(not_ours(of));
        };
        let bell = line.bell();
        loop {
            let batch = line.take(from, limit)?;
            if batch.next > from {
                return Ok(batch);
            }
            if timeout_at(until, bell.notified()).await.is_err() {
                return Ok(batch);
            }
        }
    }

    async fn end(&self, of: &SourcePartition) -> PortResult<u64> {
        let partition =
            i32::try_from(of.partition).map_err(|error| fault_of_number(of).because(error))?;
        let (reader, of) = (Arc::clone(&self.reader), of.clone());
        blocking(move || Ok(bounds(&reader, &of, partition)?.1)).await
    }

    async fn mark_done(&self, of: &SourcePartition, up_to: u64) -> PortResult<()> {
        let partition = self.check_assigned(of)?;
        let (group, of) = (self.group(of)?, of.clone());
        blocking(move || group::mark_done(&group, &of, (partition, up_to))).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_ours(of: &SourcePartition) -> PortError {
    let operation = format!("use {of}: it is not this member's");
    PortError::new(PortErrorKind::Conflict, operation)
}

fn fault_of_number(of: &SourcePartition) -> PortError {
    PortError::new(PortErrorKind::Refused, format!("use {of}: there is none"))
}

/// Serves the reader as long as there is one.
async fn serve(sources: Weak<KafkaSources>) {
    loop {
        tokio::time::sleep(SERVE_EVERY).await;
        let Some(sources) = sources.upgrade() else {
            return;
        };
        drop(sources.reader.poll(Duration::ZERO));
        sources.let_go();
    }
}

/// The first offset held, and the last stable one: what an open transaction holds back lies beyond. Blocks.
fn bounds(
    reader: &BaseConsumer<Context>,
    of: &SourcePartition,
    partition: i32,
) -> PortResult<(u64, u64)> {
    let (start, end) = reader
        .fetch_watermarks(&of.topic, partition, ANSWER_MAX)
        .map_err(|error| fault(format!("ask where {of} begins and ends"), error))?;
    let offset = |offset| u64::try_from(offset).unwrap_or(0);
    Ok((offset(start), offset(end)))
}

/// 0 where the topic is not there. Blocks.
fn partitions_of(reader: &BaseConsumer<Context>, topic: &str) -> PortResult<u32> {
    let look = || format!("look the source topic `{topic}` up");
    let metadata = reader
        .fetch_metadata(Some(topic), ANSWER_MAX)
        .map_err(|error| fault(look(), error))?;
    let Some(found) = metadata.topics().first() else {
        return Ok(0);
    };
    match found.error().map(RDKafkaErrorCode::from) {
        None => Ok(u32::try_from(found.partitions().len()).unwrap_or(0)),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(0),
        Some(code) => Err(fault(look(), KafkaError::MetadataFetch(code))),
    }
}

/// Makes the contract's topics among those configured that are missing. How long they keep their messages is the
/// brokers' setting: it has to outlast the longest time in which ingest may be away.
async fn make_missing(settings: &Kafka, reader: &Arc<BaseConsumer<Context>>) -> PortResult<()> {
    let ours = NAMES.map(|name| format!("{}{name}", settings.topic_prefix));
    let names: Vec<_> = settings.sources.iter().map(|s| s.topic.clone()).collect();
    let reader = Arc::clone(reader);
    let missing = blocking(move || {
        let mut missing = Vec::new();
        for name in names {
            if partitions_of(&reader, &name)? > 0 {
                continue;
            }
            if ours.contains(&name) {
                missing.push(name);
            } else {
                tracing::warn!(
                    topic = name,
                    "a source topic is not there; it is waited for"
                );
            }
        }
        Ok(missing)
    })
    .await?;
    if missing.is_empty() {
        return Ok(());
    }
    let admin: AdminClient<Context> = create(&configure(settings, &[])?, Context::default())?;
    let replicas = i32::from(settings.replication.max(1));
    let shape = |name| NewTopic::new(name, PARTITIONS_NEW, TopicReplication::Fixed(replicas));
    let topics: Vec<_> = missing.iter().map(|name| shape(name)).collect();
    let options = AdminOptions::new()
        .request_timeout(Some(ANSWER_MAX))
        .operation_timeout(Some(ANSWER_MAX));
    let made = admin.create_topics(&topics, &options).await;
    // Its end waits for a thread.
    tokio::task::spawn_blocking(move || drop(admin));
    for outcome in made.map_err(|error| fault("create the source topics", error))? {
        match outcome {
            Ok(topic) => tracing::info!(topic, "source topic created"),
            // Another process was first.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                let error = KafkaError::AdminOp(code);
                return Err(fault(format!("create the source topic `{topic}`"), error));
            }
        }
    }
    Ok(())
}
