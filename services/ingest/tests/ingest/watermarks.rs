//! Up to when everything is in the log, as every partition is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use caerus_engine::time::{Span, Timestamp};
use caerus_ingest::watermark;
use caerus_runtime::shutdown::Shutdown;
use caerus_wire::entry::{Entry, ExportLine};

use super::bus::{PARTITIONS, TestBus, TestClock};
use super::stage::NOON;

fn told(bus: &TestBus, partition: u32) -> Vec<Timestamp> {
    let entries = bus.entries(partition).into_iter();
    let at = |entry| match entry {
        Entry::Watermark {
            source_partition: 0,
            at,
        } => at,
        other => panic!("{other:?}"),
    };
    entries.map(at).collect()
}

#[tokio::test]
async fn every_partition_is_told_the_time_and_never_an_earlier_one() {
    let (bus, clock) = (TestBus::new(), TestClock::at(NOON));
    let last = watermark::announce(bus.as_ref(), clock.as_ref(), Timestamp::ZERO)
        .await
        .unwrap();
    assert_eq!(last, NOON);
    clock.set(NOON - Span::seconds(5));
    let same = watermark::announce(bus.as_ref(), clock.as_ref(), last)
        .await
        .unwrap();
    assert_eq!(same, NOON);
    clock.set(NOON + Span::seconds(1));
    watermark::announce(bus.as_ref(), clock.as_ref(), last)
        .await
        .unwrap();
    for partition in 0..PARTITIONS {
        assert_eq!(told(&bus, partition), [NOON, NOON + Span::seconds(1)]);
    }
    assert_eq!(
        *bus.appends.lock().unwrap(),
        [4, 4],
        "all partitions at once"
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_told_each_second_stands_still_with_the_log_and_goes_on_after() {
    let (bus, clock) = (TestBus::new(), TestClock::at(NOON));
    let shutdown = Shutdown::new();
    let run = watermark::run(bus.clone(), Arc::clone(&clock) as _, shutdown.clone());
    let play = async {
        let half = Duration::from_millis(500);
        tokio::time::sleep(half).await;
        assert_eq!(told(&bus, 0), [NOON]);
        bus.is_down.store(true, Ordering::SeqCst);
        clock.set(NOON + Span::seconds(1));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(told(&bus, 0), [NOON]);
        bus.is_down.store(false, Ordering::SeqCst);
        clock.set(NOON + Span::seconds(2));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(told(&bus, 0), [NOON, NOON + Span::seconds(2)]);
        shutdown.begin();
    };
    tokio::join!(run, play);
}

/// Of a source partition that nobody takes in yet, and of one that nobody will.
#[test]
fn the_first_and_the_last_moment_are_written_and_read_like_any_other() {
    for at in [Timestamp::ZERO, Timestamp::MAX] {
        let entry = Entry::Watermark {
            source_partition: u32::MAX,
            at,
        };
        assert_eq!(Entry::from_bytes(&entry.to_bytes()).unwrap(), entry);
        let expected = ExportLine::Entry {
            partition: 3,
            offset: 7,
            entry: Box::new(entry.clone()),
        };
        let line = entry.to_export_line(3, 7);
        assert_eq!(ExportLine::parse(&line).unwrap(), expected);
    }
}
