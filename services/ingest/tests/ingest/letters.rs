//! Dead letters: kept whole, and for so long.

use caerus_engine::time::{Span, Timestamp};
use caerus_ingest::dead_letter::{DeadLetter, LetterOrigin, Limits, Retention, Whole};
use caerus_runtime::metric::label::Rejection;
use caerus_runtime::port::{Bus, Topic};

use super::bus::TestBus;
use super::stage::NOON;

fn letter(message: &[u8]) -> DeadLetter {
    DeadLetter {
        reason: Rejection::Unreadable,
        error: "not JSON at line 1, column 1: expected value".to_owned(),
        origin: LetterOrigin {
            source: "caerus.logins".to_owned(),
            partition: Some(3),
            offset: Some(17),
        },
        format: "native".to_owned(),
        message: message.to_vec(),
        cut_from: None,
    }
}

fn kept_as(letter: DeadLetter, whole: Whole) -> (DeadLetter, usize) {
    let record = letter.into_record(NOON, whole);
    assert_eq!((record.topic, record.partition), (Topic::DeadLetters, 0));
    let (read, at) = DeadLetter::from_bytes(&record.value).unwrap();
    assert_eq!(at, NOON);
    (read, record.value.len())
}

#[test]
fn a_letter_is_kept_whole_whatever_its_bytes() {
    let messages: [&[u8]; 3] = [b"{\"id\":", b"\xff\x00\xfe", b""];
    for message in messages {
        let (read, _) = kept_as(letter(message), Whole::KEPT);
        assert_eq!(read, letter(message));
    }
    assert_eq!(DeadLetter::from_bytes(b"{}"), None);
}

/// A million bytes are what librdkafka and brokers take unless told otherwise.
#[test]
fn a_letter_never_outgrows_a_brokers_message() {
    for byte in [b'x', b'"', 0, 0xff] {
        let whole = vec![byte; Whole::KEPT.0];
        let (read, len) = kept_as(letter(&whole), Whole::KEPT);
        assert_eq!(read, letter(&whole), "{byte}");
        assert!(len < 1_000_000, "{byte}: {len}");
        let longer = vec![byte; Whole::KEPT.0 + 1];
        let (read, _) = kept_as(letter(&longer), Whole::KEPT);
        let cut = DeadLetter {
            cut_from: Some(longer.len() as u64),
            ..letter(&whole)
        };
        assert_eq!(read, cut, "{byte}");
    }
    let (read, len) = kept_as(letter(&[0; 100_000]), Whole::SCANT);
    assert_eq!(
        (read.message.len(), read.cut_from),
        (Whole::SCANT.0, Some(100_000))
    );
    assert!(len < 128 * 1024, "{len}");
}

async fn keep(bus: &TestBus, at: Timestamp, len: usize) {
    let letter = letter(&vec![b'x'; len]);
    let record = letter.into_record(at, Whole::KEPT);
    bus.append(vec![record]).await.unwrap();
}

#[tokio::test]
async fn letters_leave_after_seven_days_the_oldest_first() {
    let bus = TestBus::new();
    for day in 0..4 {
        keep(&bus, NOON + Span::days(day), 10).await;
        keep(&bus, NOON + Span::days(day), 10).await;
    }
    let mut retention = Retention::new(Limits::KEPT);
    let at = |days: i64| NOON + Span::days(days) + Span::seconds(1);
    assert_eq!(retention.look(bus.as_ref(), at(6)).await.unwrap(), 0);
    assert_eq!(retention.look(bus.as_ref(), at(7)).await.unwrap(), 2);
    assert_eq!(bus.start(Topic::DeadLetters, 0).await.unwrap(), 2);
    assert_eq!(retention.look(bus.as_ref(), at(7)).await.unwrap(), 0);
    let mut restarted = Retention::new(Limits::KEPT);
    assert_eq!(
        restarted.look(bus.as_ref(), at(9)).await.unwrap(),
        4,
        "also after a restart"
    );
    assert_eq!(bus.start(Topic::DeadLetters, 0).await.unwrap(), 6);
}

#[tokio::test]
async fn letters_leave_beyond_the_size_the_oldest_first() {
    let bus = TestBus::new();
    let limits = Limits {
        bytes: 2 << 20,
        ..Limits::KEPT
    };
    let mut retention = Retention::new(limits);
    let mut left = 0;
    for _ in 0..10 {
        keep(&bus, NOON, 700 << 10).await;
        left += retention.look(bus.as_ref(), NOON).await.unwrap();
    }
    assert_eq!(left, 8, "two of 700 KiB stay below 2 MiB");
    assert_eq!(bus.start(Topic::DeadLetters, 0).await.unwrap(), 8);
}
