//! What could not be read, kept whole with its reason and where it came from, for so long. Knows no format: a letter is
//! bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caerus_engine::time::{Span, Timestamp};
use caerus_runtime::metric::Ingest;
use caerus_runtime::metric::label::Rejection;
use caerus_runtime::port::{Bus, BusRecord, Clock, NewRecord, PortResult, ReadLimit, Topic};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::chain;
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

/// How long a letter is kept.
pub const AGE_MAX: Span = Span::days(7);
/// *Units*: bytes of all letters; the oldest leave first.
pub const BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// How often retention is looked at.
pub const PERIOD: Duration = Duration::from_secs(60);

/// Letters of one partition; there is one.
const PARTITION: u32 = 0;
/// *Units*: bytes of letters that are let go together, about.
const SEGMENT_BYTES: u64 = 1024 * 1024;
/// Letters of one segment at most span this much time.
const SEGMENT_SPAN: Span = Span::hours(1);
const READ_LIMIT: ReadLimit = ReadLimit {
    records: 1_024,
    bytes: 4 * 1024 * 1024,
};

/// A message that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// As counted.
    pub reason: Rejection,
    /// The sentence a sender would be told.
    pub error: String,
    pub origin: LetterOrigin,
    /// The form it was taken for, e.g. `native`.
    pub format: String,
    pub message: Vec<u8>,
    /// *Units*: bytes of the whole message, where only its beginning is kept.
    pub cut_from: Option<u64>,
}

/// How long a message may be to be kept whole. *Units*: bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole(pub usize);

impl Whole {
    /// With its coding and its reason such a letter stays below a million bytes, what brokers take unless told otherwise.
    pub const KEPT: Self = Self(700 * 1024);
    /// Where the log takes no long letters.
    pub const SCANT: Self = Self(16 * 1024);
}

/// Where a message came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterOrigin {
    /// A topic's or a file's name.
    pub source: String,
    pub partition: Option<u32>,
    /// An offset, or a line from 1.
    pub offset: Option<u64>,
}

/// A letter as kept. `message` where it is text, else `message_base64`.
#[derive(Debug, Serialize, Deserialize)]
struct Letter {
    v: u8,
    at_ms: i64,
    reason: String,
    error: String,
    origin: LetterOrigin,
    format: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut_from: Option<u64>,
}

const LETTER_VERSION: u8 = 1;
/// *Units*: bytes of a text as JSON at most; a longer one is coded, which adds a third whatever it holds.
const ESCAPED_BYTES_MAX: usize = 900_000;

impl DeadLetter {
    /// As the topic of dead letters takes it.
    pub fn into_record(self, at: Timestamp, whole: Whole) -> NewRecord {
        NewRecord {
            topic: Topic::DeadLetters,
            partition: PARTITION,
            key: Vec::new(),
            value: self.cut(whole).into_bytes(at).into(),
        }
    }

    /// Keeps the beginning of a message that no letter holds whole; the rest is where the letter says it came from.
    fn cut(mut self, Whole(bytes_max): Whole) -> Self {
        if self.message.len() > bytes_max {
            let len = u64::try_from(self.message.len()).unwrap_or(u64::MAX);
            self.cut_from.get_or_insert(len);
            self.message.truncate(bytes_max);
        }
        self
    }

    /// One line of JSON, as the topic keeps it and `caerus send --dead-letters` reads it.
    fn into_bytes(self, at: Timestamp) -> Vec<u8> {
        let coded = |bytes: &[u8]| (None, Some(STANDARD.encode(bytes)));
        let (message, message_base64) = match String::from_utf8(self.message) {
            Ok(text) if is_short_escaped(&text) => (Some(text), None),
            Ok(text) => coded(text.as_bytes()),
            Err(error) => coded(error.as_bytes()),
        };
        let letter = Letter {
            v: LETTER_VERSION,
            at_ms: at.0,
            reason: self.reason.value().to_owned(),
            error: self.error,
            origin: self.origin,
            format: self.format,
            message,
            message_base64,
            cut_from: self.cut_from,
        };
        // Texts and numbers: writing them cannot fail.
        serde_json::to_vec(&letter).unwrap_or_default()
    }

    /// The letter and when it was kept; `None` for what is no letter of this version.
    pub fn from_bytes(bytes: &[u8]) -> Option<(Self, Timestamp)> {
        let letter: Letter = serde_json::from_slice(bytes).ok()?;
        if letter.v != LETTER_VERSION {
            return None;
        }
        let reason = *Rejection::ALL
            .iter()
            .find(|reason| reason.value() == letter.reason)?;
        let message = match (letter.message, letter.message_base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(coded)) => STANDARD.decode(coded).ok()?,
            _ => return None,
        };
        let read = Self {
            reason,
            error: letter.error,
            origin: letter.origin,
            format: letter.format,
            message,
            cut_from: letter.cut_from,
        };
        Some((read, Timestamp(letter.at_ms)))
    }
}

/// Whether JSON's escapes make the text no longer than what a letter has room for.
fn is_short_escaped(text: &str) -> bool {
    let escaped = |c: char| match c {
        '"' | '\\' => 2,
        control if control.is_ascii_control() => 6,
        other => other.len_utf8(),
    };
    text.chars().map(escaped).sum::<usize>() <= ESCAPED_BYTES_MAX
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub age: Span,
    pub bytes: u64,
}

impl Limits {
    /// The contract's.
    pub const KEPT: Self = Self {
        age: AGE_MAX,
        bytes: BYTES_MAX,
    };
}

/// What is kept, in runs of letters that leave together: a bounded account of an unbounded number.
#[derive(Debug)]
pub struct Retention {
    limits: Limits,
    /// Oldest first.
    segments: VecDeque<Segment>,
    bytes: u64,
    /// Where to read on; `None` before the first look.
    next: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    /// The offset after its last letter.
    end: u64,
    letters: u64,
    bytes: u64,
    oldest: Timestamp,
    newest: Timestamp,
}

impl Retention {
    /// Before the first look.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            segments: VecDeque::new(),
            bytes: 0,
            next: None,
        }
    }

    /// Reads what came since the last look, then lets go of what is too old or too much.
    ///
    /// *Returns*: how many letters left.
    pub async fn look(&mut self, bus: &dyn Bus, now: Timestamp) -> PortResult<u64> {
        self.read_on(bus, now).await?;
        let mut left = 0;
        let mut before = None;
        while let Some(oldest) = self.segments.front().copied() {
            let is_old = now.since(oldest.newest) > self.limits.age;
            if !is_old && self.bytes <= self.limits.bytes {
                break;
            }
            self.segments.pop_front();
            self.bytes -= oldest.bytes;
            left += oldest.letters;
            before = Some(oldest.end);
        }
        if let Some(before) = before {
            bus.trim(Topic::DeadLetters, PARTITION, before).await?;
        }
        Ok(left)
    }

    async fn read_on(&mut self, bus: &dyn Bus, now: Timestamp) -> PortResult<()> {
        let mut from = match self.next {
            Some(next) => next,
            None => bus.start(Topic::DeadLetters, PARTITION).await?,
        };
        loop {
            let batch = bus
                .read(Topic::DeadLetters, PARTITION, from, READ_LIMIT)
                .await?;
            for record in &batch.records {
                self.add(record, now);
            }
            from = batch.next;
            self.next = Some(from);
            if batch.records.is_empty() {
                return Ok(());
            }
        }
    }

    /// What is no letter of this version is dated now: it leaves later, never sooner.
    fn add(&mut self, record: &BusRecord, now: Timestamp) {
        let at = DeadLetter::from_bytes(&record.value).map_or(now, |(_, at)| at);
        let bytes = record.value.len() as u64;
        self.bytes += bytes;
        let end = record.offset + 1;
        if let Some(last) = self.segments.back_mut()
            && last.bytes + bytes <= SEGMENT_BYTES
            && at.distance(last.oldest) <= SEGMENT_SPAN
        {
            last.end = end;
            last.letters += 1;
            last.bytes += bytes;
            last.newest = last.newest.max(at);
            return;
        }
        self.segments.push_back(Segment {
            end,
            letters: 1,
            bytes,
            oldest: at,
            newest: at,
        });
    }
}

/// Looks at retention once a minute until the shutdown.
pub async fn keep(
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    metrics: Ingest,
    limits: Limits,
    shutdown: Shutdown,
) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut retention = Retention::new(limits);
    while shutdown.unless_begun(ticks.tick()).await.is_some() {
        match retention.look(bus.as_ref(), clock.now()).await {
            Ok(0) => {}
            Ok(left) => {
                metrics.dropped_dead_letters.inc_by(left);
                tracing::warn!(letters = left, "dead letters let go by age or size");
            }
            Err(error) => {
                // Begun again from what the topic then holds.
                retention = Retention::new(limits);
                tracing::warn!(error = chain(&error), "dead letters not looked at");
            }
        }
    }
}
