//! One source partition as it is fetched: a queue that goes on where its reader stands. Knows no group.

use std::sync::Arc;
use std::time::Duration;

use caerus_runtime::port::sources::{
    HEADERS, SourceBatch, SourceHeader, SourceMessage, SourcePartition,
};
use caerus_runtime::port::{PortError, PortErrorKind, PortResult, ReadLimit};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::Notify;

use crate::kafka::client::Context;
use crate::kafka::fault::fault;

/// How long librdkafka's own threads have to take a partition to another offset.
const MOVE_MAX: Duration = Duration::from_secs(5);
/// A partition just assigned is not ready to be moved for a moment.
const MOVE_AGAIN_EVERY: Duration = Duration::from_millis(5);
const MOVES_MAX: u32 = 400;

/// A partition that is fetched; let go when dropped.
pub(super) struct Line {
    // Before the consumer: a queue must be gone before its consumer is.
    queue: PartitionQueue<Context>,
    consumer: Arc<BaseConsumer<Context>>,
    of: SourcePartition,
    partition: i32,
    /// Rung when the queue is no longer empty.
    bell: Arc<Notify>,
    /// The offset the queue goes on at; `None` while it is moved, or after that failed.
    position: Option<u64>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut place = TopicPartitionList::new();
        place.add_partition(&self.of.topic, self.partition);
        if let Err(error) = self.consumer.incremental_unassign(&place) {
            tracing::debug!(%error, source = %self.of, "a source partition is still fetched");
        }
    }
}

impl Line {
    /// Begins to fetch at `from`. Blocks. *Errors*: `Unavailable` when librdkafka does not know the partition.
    pub(super) fn begin(
        consumer: &Arc<BaseConsumer<Context>>,
        of: &SourcePartition,
        (partition, from): (i32, u64),
    ) -> PortResult<Self> {
        // Before the assignment, so that nothing of it comes another way.
        let queue = consumer.split_partition_queue(&of.topic, partition);
        let Some(mut queue) = queue else {
            let operation = format!("read {of}");
            return Err(PortError::new(PortErrorKind::Unavailable, operation));
        };
        let bell = Arc::new(Notify::new());
        let ringing = Arc::clone(&bell);
        queue.set_nonempty_callback(move || ringing.notify_one());
        let place = place(of, partition, from)?;
        consumer
            .incremental_assign(&place)
            .map_err(|error| fault(format!("read {of} from {from}"), error))?;
        Ok(Self {
            queue,
            consumer: Arc::clone(consumer),
            of: of.clone(),
            partition,
            bell,
            position: Some(from),
        })
    }

    pub(super) fn stands_at(&self, from: u64) -> bool {
        self.position == Some(from)
    }

    pub(super) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    /// Lets the queue go on at `from`. Blocks.
    pub(super) fn go_to(&mut self, from: u64) -> PortResult<()> {
        self.position = None;
        let place = place(&self.of, self.partition, from)?;
        let failed = |error| fault(format!("go to {from} in {}", self.of), error);
        let mut tries = 0;
        loop {
            let moved = self.consumer.seek_partitions(place.clone(), MOVE_MAX);
            let moved = moved.map_err(failed)?;
            let outcome = moved.elements().iter().try_for_each(|one| one.error());
            tries += 1;
            match outcome {
                Err(error) if tries >= MOVES_MAX => return Err(failed(error)),
                Err(_) => std::thread::sleep(MOVE_AGAIN_EVERY),
                Ok(()) => break,
            }
        }
        self.position = Some(from);
        Ok(())
    }

    /// What has come, as far as the limit allows; where that is nothing, `next` tells how far there is nothing.
    ///
    /// *Errors*: `Conflict` when the topic no longer holds what would come next.
    pub(super) fn take(&mut self, from: u64, limit: ReadLimit) -> PortResult<SourceBatch> {
        let mut batch = SourceBatch {
            messages: Vec::new(),
            next: from,
        };
        let mut bytes = 0_usize;
        while batch.messages.is_empty()
            || (batch.messages.len() < limit.records && bytes < limit.bytes)
        {
            match self.queue.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let message = message_of(&message);
                    if message.offset < batch.next {
                        continue;
                    }
                    bytes = bytes.saturating_add(message.value.len());
                    batch.next = message.offset.saturating_add(1);
                    batch.messages.push(message);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) if batch.messages.is_empty() => {
                    self.position = None;
                    return Err(self.failure(error));
                }
                // What came before it is taken first; the next read begins anew and meets it again.
                Some(Err(_)) => {
                    self.position = None;
                    return Ok(batch);
                }
                None => {
                    batch.next = batch.next.max(self.passed()?);
                    break;
                }
            }
        }
        self.position = Some(batch.next);
        Ok(batch)
    }

    fn failure(&self, error: KafkaError) -> PortError {
        let code = error.rdkafka_error_code();
        let is_gone = matches!(
            code,
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
        );
        let operation = format!("read {}", self.of);
        if is_gone {
            return PortError::new(PortErrorKind::Conflict, operation).because(error);
        }
        fault(operation, error)
    }

    /// The queue gives nothing for a transaction's marker, yet markers take offsets. librdkafka's own position counts
    /// them, as soon as the queue was emptied past them.
    fn passed(&self) -> PortResult<u64> {
        let failed = |error| fault(format!("ask the position in {}", self.of), error);
        let positions = self.consumer.position().map_err(failed)?;
        let found = positions.find_partition(&self.of.topic, self.partition);
        Ok(match found.map(|one| one.offset()) {
            Some(Offset::Offset(offset)) => u64::try_from(offset).unwrap_or(0),
            _ => 0,
        })
    }
}

fn place(of: &SourcePartition, partition: i32, from: u64) -> PortResult<TopicPartitionList> {
    let operation = || format!("go to {from} in {of}");
    let offset = i64::try_from(from)
        .map_err(|error| PortError::new(PortErrorKind::Refused, operation()).because(error))?;
    let mut place = TopicPartitionList::new();
    place
        .add_partition_offset(&of.topic, partition, Offset::Offset(offset))
        .map_err(|error| fault(operation(), error))?;
    Ok(place)
}

fn message_of(message: &BorrowedMessage<'_>) -> SourceMessage {
    let mut headers = Vec::new();
    for header in message.headers().iter().flat_map(|headers| headers.iter()) {
        if let Some(name) = HEADERS.into_iter().find(|name| *name == header.key) {
            headers.push(SourceHeader {
                name,
                value: header.value.unwrap_or_default().to_vec(),
            });
        }
    }
    SourceMessage {
        offset: u64::try_from(message.offset()).unwrap_or(0),
        value: message.payload().unwrap_or_default().to_vec(),
        headers,
    }
}
