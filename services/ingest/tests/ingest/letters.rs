//! Dead letters: kept whole, and for so long.

use caerus_engine::time::{Span, Timestamp};
use caerus_ingest::dead_letter::{DeadLetter, LetterOrigin, Limits, Retention, dead_letter};
use caerus_runtime::metric::Metrics;
use caerus_runtime::metric::label::Rejection;
use caerus_runtime::port::{Bus, ReadLimit, Topic};

use super::bus::{TestBus, TestClock};
use super::stage::NOON;

const ALL: ReadLimit = ReadLimit {
    records: usize::MAX,
    bytes: usize::MAX,
};

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
    }
}

#[tokio::test]
async fn a_letter_is_kept_whole_whatever_its_bytes() {
    let (bus, clock, metrics) = (TestBus::new(), TestClock::at(NOON), Metrics::new());
    let messages: [&[u8]; 3] = [b"{\"id\":", b"\xff\x00\xfe", b""];
    for message in messages {
        dead_letter(
            bus.as_ref(),
            clock.as_ref(),
            &metrics.ingest,
            letter(message),
        )
        .await
        .unwrap();
    }
    let batch = bus.read(Topic::DeadLetters, 0, 0, ALL).await.unwrap();
    let read: Vec<_> = batch
        .records
        .iter()
        .map(|r| DeadLetter::from_bytes(&r.value).unwrap())
        .collect();
    assert_eq!(read, messages.map(|message| (letter(message), NOON)));
    assert_eq!(
        metrics.ingest.dead_letters.of(&Rejection::Unreadable).get(),
        3
    );
    assert_eq!(DeadLetter::from_bytes(b"{}"), None);
}

async fn keep(bus: &TestBus, at: Timestamp, len: usize) {
    let clock = TestClock::at(at);
    let letter = letter(&vec![b'x'; len]);
    dead_letter(bus, clock.as_ref(), &Metrics::new().ingest, letter)
        .await
        .unwrap();
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
