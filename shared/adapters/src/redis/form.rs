//! How a partition stands in Redis: its keys, and the bytes under them. Knows no connection.

use caerus_engine::id::SubjectHash;
use caerus_engine::step::Wakes;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{NewRecord, StoredRecord, Topic};

/// The form of everything below; a store of another form is refused.
pub(super) const FORM: &str = "1";

/// What the numbers in a partition's meta begin at. *Shape*: as [`digits`].
pub(super) const ZERO: &str = "00000000000000000000";

const HAS_WATERMARK: u8 = 1;
const HAS_CLOCK: u8 = 2;
const IS_CONCERNED: u8 = 4;

/// A partition's keys. All hold the partition in braces, so that a cluster keeps them in one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    /// Hash: `l` log id, `c` claim offset, `p` position, `n` next sequence, `s` shared fold, `f` form.
    pub(super) meta: String,
    /// Hash: sixteen bytes of a subject's hash, its record.
    pub(super) records: String,
    /// Hash of those only who want to be woken or are concerned: sixteen bytes, then [`agenda_entry`].
    pub(super) agenda: String,
    /// Stream: the id is the sequence, which Redis keeps as 64 bits; field `e`.
    pub(super) outbox: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, partition: u32) -> Self {
        let key = |part: &str| format!("{prefix}:{{{partition}}}:{part}");
        Self {
            meta: key("m"),
            records: key("r"),
            agenda: key("a"),
            outbox: key("o"),
        }
    }

    pub(super) fn all(&self) -> [&str; 4] {
        [&self.meta, &self.records, &self.agenda, &self.outbox]
    }
}

/// Text that sorts as the number does.
pub(super) fn digits(number: u64) -> String {
    format!("{number:020}")
}

pub(super) fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub(super) fn key_bytes(key: SubjectHash) -> [u8; 16] {
    key.0.to_be_bytes()
}

pub(super) fn key_of(bytes: &[u8]) -> Option<SubjectHash> {
    let bytes = <[u8; 16]>::try_from(bytes).ok()?;
    Some(SubjectHash(u128::from_be_bytes(bytes)))
}

/// A stream refuses the id 0-0, so that the first sequence needs a second part.
pub(super) fn outbox_id(sequence: u64) -> String {
    format!("{sequence}-1")
}

/// The least id of a sequence, below which all is cleared.
pub(super) fn outbox_bound(sequence: u64) -> String {
    format!("{sequence}-0")
}

pub(super) fn sequence_of(id: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(id).ok()?;
    text.strip_suffix("-1")?.parse().ok()
}

/// *Shape*: a byte of flags, then each moment there is, as eight bytes. `None` for a record that waits for nothing.
pub(super) fn agenda_entry(record: &StoredRecord) -> Option<Vec<u8>> {
    let Wakes { watermark, clock } = record.wakes;
    let mut flags = 0;
    let mut moments = Vec::with_capacity(17);
    moments.push(0);
    for (moment, flag) in [(watermark, HAS_WATERMARK), (clock, HAS_CLOCK)] {
        if let Some(at) = moment {
            flags |= flag;
            moments.extend(at.0.to_be_bytes());
        }
    }
    if record.is_concerned {
        flags |= IS_CONCERNED;
    }
    *moments.first_mut()? = flags;
    (flags != 0).then_some(moments)
}

pub(super) fn agenda_of(entry: &[u8]) -> Option<(Wakes, bool)> {
    let (flags, mut rest) = entry.split_first()?;
    let mut moment = |flag| -> Option<Option<Timestamp>> {
        if flags & flag == 0 {
            return Some(None);
        }
        let (at, after) = rest.split_first_chunk::<8>()?;
        rest = after;
        Some(Some(Timestamp(i64::from_be_bytes(*at))))
    };
    let watermark = moment(HAS_WATERMARK)?;
    let clock = moment(HAS_CLOCK)?;
    let is_concerned = flags & IS_CONCERNED != 0;
    let is_whole = rest.is_empty() && *flags <= HAS_WATERMARK | HAS_CLOCK | IS_CONCERNED;
    is_whole.then_some((Wakes { watermark, clock }, is_concerned))
}

/// *Shape*: the topic's number, the partition and the key's length as four bytes each, key, value.
pub(super) fn outbox_entry(record: &NewRecord) -> Option<Vec<u8>> {
    let key_len = u32::try_from(record.key.len()).ok()?;
    let mut entry = Vec::with_capacity(9 + record.key.len() + record.value.len());
    entry.push(topic_number(record.topic));
    entry.extend(record.partition.to_be_bytes());
    entry.extend(key_len.to_be_bytes());
    entry.extend(&record.key);
    entry.extend(&*record.value);
    Some(entry)
}

pub(super) fn outbox_record(entry: &[u8]) -> Option<NewRecord> {
    let (topic, rest) = entry.split_first()?;
    let (partition, rest) = rest.split_first_chunk::<4>()?;
    let (key_len, rest) = rest.split_first_chunk::<4>()?;
    let key_len = usize::try_from(u32::from_be_bytes(*key_len)).ok()?;
    let (key, value) = rest.split_at_checked(key_len)?;
    Some(NewRecord {
        topic: topic_of(*topic)?,
        partition: u32::from_be_bytes(*partition),
        key: key.to_vec(),
        value: value.into(),
    })
}

/// Numbers never change meaning.
fn topic_number(topic: Topic) -> u8 {
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

fn topic_of(number: u8) -> Option<Topic> {
    let mut topics = Topic::ALL.into_iter();
    topics.find(|topic| topic_number(*topic) == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agenda_entry_reads_back() {
        for (watermark, clock, is_concerned) in [
            (Some(-5), None, false),
            (None, Some(i64::MAX), false),
            (None, None, true),
            (Some(i64::MIN), Some(0), true),
        ] {
            let wakes = Wakes {
                watermark: watermark.map(Timestamp),
                clock: clock.map(Timestamp),
            };
            let record = StoredRecord {
                key: SubjectHash(1),
                bytes: None,
                wakes,
                is_concerned,
            };
            let entry = agenda_entry(&record).unwrap();
            assert_eq!(agenda_of(&entry), Some((wakes, is_concerned)));
            assert_eq!(agenda_of(&entry[..entry.len() - 1]), None);
        }
        assert_eq!(agenda_of(&[HAS_CLOCK, 0, 0]), None);
        assert_eq!(agenda_of(&[8]), None);
    }

    #[test]
    fn an_outbox_entry_reads_back() {
        for topic in Topic::ALL {
            let record = NewRecord {
                topic,
                partition: u32::MAX,
                key: b"tenant\x1ftarget".to_vec(),
                value: b"\x00value"[..].into(),
            };
            let entry = outbox_entry(&record).unwrap();
            assert_eq!(outbox_record(&entry), Some(record));
            assert_eq!(outbox_record(&entry[..20]), None);
        }
        assert_eq!(outbox_record(&[9; 9]), None);
    }

    #[test]
    fn digits_sort_as_their_numbers_do() {
        let numbers = [0, 9, 10, (1 << 53) + 1, (1 << 53) + 2, u64::MAX];
        assert!(numbers.is_sorted_by_key(|number| digits(*number)));
        assert!(
            numbers
                .iter()
                .all(|n| number(digits(*n).as_bytes()) == Some(*n))
        );
        assert_eq!(digits(0), ZERO);
    }
}
