//! How far back the log reaches.

use std::sync::atomic::Ordering;

use caerus_engine::time::Timestamp;
use caerus_ingest::retention::trim;
use caerus_runtime::port::{Bus as _, NewRecord, Topic};
use caerus_wire::entry::Entry;

use crate::bus::TestBus;

async fn watermark(bus: &TestBus, at: i64) {
    watermark_of(bus, 0, at).await;
}

async fn watermark_of(bus: &TestBus, source_partition: u32, at: i64) {
    let entry = Entry::Watermark {
        source_partition,
        at: Timestamp(at),
    };
    let record = NewRecord {
        topic: Topic::Signals,
        partition: 0,
        key: Vec::new(),
        value: entry.to_bytes().into(),
    };
    bus.append(vec![record]).await.unwrap();
}

#[tokio::test]
async fn the_log_lets_go_of_what_is_old_and_evaluated_and_of_nothing_else() {
    let bus = TestBus::new();
    for at in [100, 200, 300, 400] {
        watermark(&bus, at).await;
    }
    let start_after = async |evaluated: u64, before: i64| {
        bus.completed.store(evaluated, Ordering::SeqCst);
        trim(bus.as_ref(), 0, Timestamp(before)).await.unwrap();
        bus.start(Topic::Signals, 0).await.unwrap()
    };
    assert_eq!(start_after(0, 1_000).await, 0, "nothing is evaluated yet");
    assert_eq!(start_after(4, 50).await, 0, "nothing is old");
    assert_eq!(
        start_after(2, 1_000).await,
        1,
        "not beyond what is evaluated"
    );
    assert_eq!(
        start_after(4, 350).await,
        2,
        "the last watermark before stays"
    );
    watermark_of(&bus, 1 << 16, 0).await;
    assert_eq!(
        start_after(5, 450).await,
        3,
        "a source topic's may be older than its place"
    );
}
