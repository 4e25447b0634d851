//! What is scraped is what the catalogue says, name by name.

use std::collections::{BTreeMap, BTreeSet};

use super::label::{Partition, Route, SourceTopic, StatusClass};
use super::{CATALOGUE, Entry, Kind, Metrics, Values};

/// One metric as a scraper sees it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Scraped {
    kind: String,
    help: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// Touches what only becomes known while running, so that every metric has a sample.
fn touched() -> Metrics {
    let metrics = Metrics::new();
    let route = Route("/v1/decisions/{id}".into());
    metrics
        .http
        .requests
        .of(&(route.clone(), StatusClass::Success))
        .inc();
    metrics.http.request_seconds.of(&route).observe(0.02);
    metrics.evaluator.log_lag.of(&Partition(0)).set(4.0);
    metrics.evaluator.outbox.of(&Partition(0)).set(1.0);
    metrics.ingest.source_lag.of(&SourceTopic(0)).set(1.0);
    metrics.ingest.skipped_messages.of(&SourceTopic(0)).inc();
    metrics
        .gateway
        .enforcement_seconds
        .observe(0.3, Some("0af7651916cd43dd8448eb211c80319c"));
    metrics
}

fn scrape(page: &str) -> BTreeMap<String, Scraped> {
    let mut found: BTreeMap<String, Scraped> = BTreeMap::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            found.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            found.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            sample(&mut found, line);
        }
    }
    found
}

fn sample(found: &mut BTreeMap<String, Scraped>, line: &str) {
    let line = line.split(" # ").next().unwrap();
    let (name, labels) = match line.split_once('{') {
        Some((name, rest)) => (name, rest.rsplit_once('}').unwrap().0),
        None => (line.split(' ').next().unwrap(), ""),
    };
    let family = ["_total", "_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| {
            name.strip_suffix(suffix)
                .filter(|base| found.contains_key(*base))
        })
        .unwrap_or(name)
        .to_owned();
    let scraped = found
        .get_mut(&family)
        .unwrap_or_else(|| panic!("a sample without a family: {line}"));
    for label in labels.split("\",").filter(|label| !label.is_empty()) {
        let (key, value) = label.split_once("=\"").unwrap();
        if key != "le" {
            let values = scraped.labels.entry(key.to_owned()).or_default();
            values.insert(value.trim_end_matches('"').to_owned());
        }
    }
}

fn expected(entry: &Entry) -> Scraped {
    let values = |values: Values| match values {
        Values::Listed(listed) => listed.iter().map(ToString::to_string).collect(),
        Values::RouteTemplates => BTreeSet::from(["/v1/decisions/{id}".to_owned()]),
        Values::Partitions | Values::SourceTopics => BTreeSet::from(["0".to_owned()]),
    };
    let mut labels: BTreeMap<_, _> = entry
        .labels
        .iter()
        .map(|label| (label.key.to_owned(), values(label.values)))
        .collect();
    if entry.name == "caerus_http_requests_total" {
        labels.insert("class".to_owned(), BTreeSet::from(["2xx".to_owned()]));
    }
    Scraped {
        kind: entry.kind.name().to_owned(),
        help: format!("{}.", entry.help),
        labels,
    }
}

#[test]
fn what_is_exposed_equals_the_catalogue() {
    let scraped = scrape(&touched().exposition().unwrap());
    let catalogue: BTreeMap<String, Scraped> = CATALOGUE
        .iter()
        .copied()
        .flatten()
        .map(|entry| {
            (
                entry.name.trim_end_matches("_total").to_owned(),
                expected(entry),
            )
        })
        .collect();
    assert_eq!(scraped, catalogue);
}

#[test]
fn names_tell_their_room_and_unit() {
    const ROOMS: &[&str] = &[
        "runtime",
        "http",
        "ingest",
        "evaluator",
        "gateway",
        "console",
        "enforcer",
    ];
    for entry in CATALOGUE.iter().copied().flatten() {
        let rest = entry.name.strip_prefix("caerus_").unwrap();
        let room = rest.split('_').next().unwrap();
        assert!(ROOMS.contains(&room), "{}", entry.name);
        assert_eq!(
            entry.kind == Kind::Counter,
            entry.name.ends_with("_total"),
            "{}",
            entry.name
        );
        let bare = entry.name.trim_end_matches("_total");
        assert!(bare.ends_with(entry.unit), "{}", entry.name);
        let meaning = entry.help.split_once("; ").map(|(_, meaning)| meaning);
        assert!(meaning.is_some(), "{}: what does a rise mean", entry.name);
    }
}

#[test]
fn listed_labels_stand_at_zero_from_the_start() {
    let page = Metrics::new().exposition().unwrap();
    for line in [
        "caerus_evaluator_invariant_violations_total{invariant=\"INV-10\"} 0",
        "caerus_evaluator_decisions_total{action=\"revoke\",mode=\"shadow\"} 0",
        "caerus_gateway_closed_streams_total{code=\"4408\"} 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}");
    }
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn the_end_to_end_histogram_remembers_a_trace() {
    let page = touched().exposition().unwrap();
    let bucket = "caerus_gateway_enforcement_seconds_bucket{le=\"0.5\"} 1 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 0.3";
    assert!(page.lines().any(|line| line.starts_with(bucket)), "{page}");
}
