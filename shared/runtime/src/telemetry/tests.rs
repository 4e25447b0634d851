//! What a log line looks like, and that spans arrive.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tracing::subscriber::with_default;

use super::*;
use crate::secret::Secret;
use crate::tasks::chain;
use crate::trace::Traceparent;

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut page = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        page.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    fn text(&self) -> String {
        let page = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(page.clone()).unwrap()
    }
}

fn logged(format: LogFormat, has_colour: bool, environment: &Environment) -> String {
    let page = Page::default();
    let writer = page.clone();
    let guard = TelemetryGuard { provider: None };
    let form = Form { format, has_colour };
    let subscriber = subscriber(form, environment, &guard, move || writer.clone()).unwrap();
    with_default(subscriber, || {
        tracing::info!(generation = 3, "session revoked");
        tracing::debug!("batch done");
    });
    page.text()
}

#[test]
fn text_lines_are_plain_or_coloured() {
    let plain = logged(LogFormat::Text, false, &Environment::default());
    assert!(plain.ends_with("session revoked generation=3\n"), "{plain}");
    assert_eq!(plain.lines().count(), 1);
    assert!(!plain.contains('\u{1b}'));
    assert!(logged(LogFormat::Text, true, &Environment::default()).contains('\u{1b}'));
}

#[test]
fn json_lines_are_objects_and_rust_log_is_obeyed() {
    let environment = Environment::from_pairs([("RUST_LOG", "caerus_runtime=debug")]);
    let page = logged(LogFormat::Json, false, &environment);
    let lines: Vec<serde_json::Value> = page
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["message"], "session revoked");
    assert_eq!(lines[0]["generation"], 3);
    assert_eq!(lines[1]["level"], "DEBUG");
}

#[test]
fn a_filter_that_is_none_is_refused() {
    let environment = Environment::from_pairs([("RUST_LOG", "caerus=loud")]);
    let guard = TelemetryGuard { provider: None };
    let form = Form {
        format: LogFormat::Text,
        has_colour: false,
    };
    let refused = subscriber(form, &environment, &guard, io::sink)
        .err()
        .unwrap();
    assert!(chain(&refused).starts_with("`RUST_LOG` is no filter"));
}

#[test]
fn no_color_counts_when_it_is_not_empty() {
    let forbids = |value| Environment::from_pairs([("NO_COLOR", value)]).forbids_colour();
    assert_eq!([forbids("1"), forbids("")], [true, false]);
}

/// Answers one request with 200. *Returns*: its head.
async fn collect(listener: TcpListener) -> String {
    let (mut tcp, _) = listener.accept().await.unwrap();
    let mut page = Vec::new();
    let head_end = loop {
        let mut bytes = [0; 4096];
        let count = tcp.read(&mut bytes).await.unwrap();
        page.extend_from_slice(&bytes[..count]);
        if let Some(at) = page.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
    };
    let head = String::from_utf8(page[..head_end].to_vec())
        .unwrap()
        .to_ascii_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap()
        .parse()
        .unwrap();
    let mut rest = vec![0; (head_end + 4 + length).saturating_sub(page.len())];
    tcp.read_exact(&mut rest).await.unwrap();
    page.extend(rest);
    assert!(page.windows(12).any(|name| name == b"http request"));
    tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    head
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_are_delivered_when_the_guard_is_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let otlp = Otlp {
        endpoint: format!("http://{}/v1/traces", listener.local_addr().unwrap()),
        authorization: Some(Secret::new("Bearer hunter2")),
    };
    let dropped = Counter::default();
    let guard = TelemetryGuard {
        provider: Some(provider("caerus", &otlp, &dropped).unwrap()),
    };
    let form = Form {
        format: LogFormat::Text,
        has_colour: false,
    };
    let subscriber = subscriber(form, &Environment::default(), &guard, io::sink).unwrap();
    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let own = with_default(subscriber, || {
        let span = tracing::info_span!("http request");
        Traceparent::parse(given).unwrap().adopt(&span);
        span.in_scope(Traceparent::current).unwrap()
    });
    assert_eq!(own.trace_id(), "0af7651916cd43dd8448eb211c80319c");
    assert_ne!(own.to_string(), given);
    let collecting = tokio::task::spawn_blocking(move || drop(guard));
    let head = collect(listener).await;
    collecting.await.unwrap();
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    assert!(head.contains("authorization: bearer hunter2"), "{head}");
    assert_eq!(dropped.get(), 0);
}

#[test]
fn without_a_runtime_no_spans_are_promised() {
    let otlp = Otlp {
        endpoint: "http://127.0.0.1:9/v1/traces".to_owned(),
        authorization: None,
    };
    let refused = provider("caerus", &otlp, &Counter::default())
        .err()
        .unwrap();
    assert!(matches!(refused, TelemetryError::NoRuntime(_)), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_that_do_not_arrive_are_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let otlp = Otlp {
        endpoint: format!("http://{}/v1/traces", listener.local_addr().unwrap()),
        authorization: None,
    };
    drop(listener);
    let dropped = Counter::default();
    let guard = TelemetryGuard {
        provider: Some(provider("caerus", &otlp, &dropped).unwrap()),
    };
    let form = Form {
        format: LogFormat::Text,
        has_colour: false,
    };
    let subscriber = subscriber(form, &Environment::default(), &guard, io::sink).unwrap();
    with_default(subscriber, || {
        drop(tracing::info_span!("http request").entered())
    });
    tokio::task::spawn_blocking(move || drop(guard))
        .await
        .unwrap();
    assert_eq!(dropped.get(), 1);
}
