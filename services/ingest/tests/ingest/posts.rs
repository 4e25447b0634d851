//! What is accepted: where it lies in the log, and what it says there.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use caerus_engine::limits::LATE_AGE;
use caerus_engine::signal::{Fact, Handling, Signal};
use caerus_engine::step::Input;
use caerus_engine::time::Span;
use caerus_wire::entry::Entry;
use http::StatusCode;

use super::bus::PARTITIONS;
use super::stage::{NOON, Stage, login};

/// Every signal of the log, with its partition and the members kept beside it.
fn signals(stage: &Stage) -> Vec<(u32, Signal, Option<String>)> {
    let mut all = Vec::new();
    for partition in 0..PARTITIONS {
        for entry in stage.bus.entries(partition) {
            if let Entry::Input {
                input: Input::Signal(signal),
                extra,
            } = entry
            {
                all.push((partition, signal, extra));
            }
        }
    }
    all
}

#[tokio::test]
async fn an_accepted_event_is_in_the_log_in_its_subjects_partitions() {
    let stage = Stage::new();
    let members = r#","ip":"203.0.113.7","device":"laptop","outcome":"success","zone":7"#;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = stage.request("", &[("traceparent", trace)], login("e-1", members));
    let answer = stage.send(request).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.json.to_string(), r#"{"accepted":1,"rejected":[]}"#);
    let signals = signals(&stage);
    assert_eq!(signals.len(), 4);
    for (partition, signal, extra) in &signals {
        assert_eq!(*partition, signal.subject.hash().partition(PARTITIONS));
        assert_eq!(signal.origin.event.as_str(), "e-1");
        assert_eq!(
            signal.origin.source.as_str(),
            "okta-feed",
            "the credential's name"
        );
        assert_eq!(
            (signal.origin.received_at, signal.origin.handling),
            (NOON, Handling::Live)
        );
        assert_eq!(signal.origin.trace.as_deref(), Some(trace));
        let is_own = matches!(signal.fact, Fact::Login(_));
        assert_eq!(extra.as_deref(), is_own.then_some(r#"{"zone":7}"#));
    }
    assert_eq!(
        *stage.bus.appends.lock().unwrap(),
        [4],
        "one append, all or nothing"
    );
    assert_eq!(
        stage.counted("caerus_ingest_accepted_events_total"),
        ["caerus_ingest_accepted_events_total{type=\"login\"} 1"]
    );
}

#[tokio::test]
async fn one_object_an_array_and_lines_are_taken_plain_and_compressed() {
    let stage = Stage::new();
    let (a, b) = (login("a", ""), login("b", ""));
    let lines = format!("{a}\n{b}\n");
    let gzip = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(lines.as_bytes()).unwrap();
        Bytes::from(encoder.finish().unwrap())
    };
    let zstd = Bytes::from(zstd::stream::encode_all(lines.as_bytes(), 1).unwrap());
    const JSON: (&str, &str) = ("content-type", "application/json");
    const LINES: (&str, &str) = ("content-type", "application/x-ndjson");
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let table: Vec<(Headers<'_>, Bytes, usize)> = vec![
        (&[JSON], a.clone().into(), 1),
        (&[JSON], format!("[{a},{b}]").into(), 2),
        (&[JSON], "[]".into(), 0),
        (&[LINES], lines.into(), 2),
        (&[LINES, ("content-encoding", "gzip")], gzip, 2),
        (&[LINES, ("content-encoding", "zstd")], zstd, 2),
    ];
    for (headers, body, accepted) in table {
        let answer = stage.send(stage.request("", headers, body)).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{:?}", answer.json);
        assert_eq!(answer.json["accepted"], accepted);
    }
}

#[tokio::test]
async fn age_is_judged_when_an_event_is_taken_in() {
    let at = |time: i64| login("e", "").replace(&NOON.0.to_string(), &time.to_string());
    let old = at((NOON - LATE_AGE - Span::seconds(1)).0);
    let table = [
        ("", login("e", ""), Handling::Live),
        ("", old.clone(), Handling::Late),
        ("?backfill=true", old, Handling::Backfill),
        (
            "?backfill=false&format=native",
            login("e", ""),
            Handling::Live,
        ),
    ];
    for (query, event, expected) in table {
        let stage = Stage::new();
        let answer = stage.send(stage.request(query, &[], event)).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
        let signals = signals(&stage);
        assert!(!signals.is_empty());
        assert!(
            signals
                .iter()
                .all(|(_, signal, _)| signal.origin.handling == expected)
        );
    }
}

#[tokio::test]
async fn an_event_without_a_tenant_is_the_default_ones() {
    let stage = Stage::new();
    let event = login("e", "").replace(r#""tenant":"acme","#, "");
    assert_eq!(stage.post(event).await.status, StatusCode::ACCEPTED);
    let tenants = signals(&stage);
    assert!(
        tenants
            .iter()
            .all(|(_, signal, _)| signal.subject.tenant().as_str() == "default")
    );
}

#[tokio::test]
async fn a_thousand_events_are_appended_in_bounded_pieces() {
    let stage = Stage::new();
    let members = r#","ip":"203.0.113.7","device":"laptop","outcome":"success""#;
    let events: Vec<String> = (0..3_000)
        .map(|n| login(&format!("e-{n}"), members))
        .collect();
    let answer = stage.post(format!("[{}]", events.join(","))).await;
    assert_eq!(answer.json["accepted"], 3_000);
    let appends = stage.bus.appends.lock().unwrap().clone();
    assert_eq!(appends.iter().sum::<usize>(), 12_000);
    assert!(
        appends.iter().all(|len| *len <= 4_096 && len % 4 == 0),
        "{appends:?}"
    );
}

#[tokio::test]
async fn while_the_log_takes_nothing_nothing_is_accepted_nor_forgotten() {
    let stage = Stage::new();
    let access = format!(
        r#"{{"id":"a","type":"access","time":{},"tenant":"acme","user":"alice","device":"laptop"}}"#,
        NOON.0
    );
    stage.bus.is_down.store(true, Ordering::SeqCst);
    let answer = stage.post(access.clone()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers.get("retry-after").unwrap(), "1");
    assert!(
        stage
            .counted("caerus_ingest_accepted_events_total")
            .is_empty()
    );
    assert_eq!(
        stage.counted("caerus_ingest_refused_requests_total"),
        ["caerus_ingest_refused_requests_total{reason=\"store_down\"} 1"]
    );
    stage.bus.is_down.store(false, Ordering::SeqCst);
    assert_eq!(
        stage.post(access.clone()).await.status,
        StatusCode::ACCEPTED
    );
    assert_eq!(
        stage.bus.len(),
        2,
        "the device is told, since it was not before"
    );
    assert_eq!(stage.post(access).await.status, StatusCode::ACCEPTED);
    assert_eq!(stage.bus.len(), 3, "and not again within the hour");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_sightings_with_it() {
    let stage = Stage::new();
    let access = format!(
        r#"{{"id":"a","type":"access","time":{},"tenant":"acme","user":"alice","device":"laptop"}}"#,
        NOON.0
    );
    let permits = stage.bus.gate.available_permits();
    stage.bus.gate.forget_permits(permits);
    let mut left = Box::pin(stage.post(access.clone()));
    assert!(futures_util::poll!(&mut left).is_pending());
    drop(left);
    stage.bus.gate.add_permits(8);
    stage.post(access).await;
    assert_eq!(stage.bus.len(), 2);
}
