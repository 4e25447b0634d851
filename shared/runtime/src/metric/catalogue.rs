//! What is exposed, as data: the page operators read, and what dashboards and tests are held to.

use super::room::{Console, Enforcer, Evaluator, Gateway, Http, Ingest, RuntimeRoom};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// As OpenMetrics' `# TYPE` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Which values a label may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    Listed(&'static [&'static str]),
    /// The templates of the router, and `unmatched`.
    RouteTemplates,
    /// `0..partitions` of the log.
    Partitions,
    /// `0..n` of the configured source topics, in the order of their names.
    SourceTopics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labelled {
    pub key: &'static str,
    pub values: Values,
}

/// One metric. `name` is that of its samples: counters end in `_total`, histograms add `_bucket`, `_sum`, `_count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: &'static str,
    pub kind: Kind,
    /// The last word of the name before `_total`.
    pub unit: &'static str,
    /// What it counts, and what a rise means.
    pub help: &'static str,
    pub labels: &'static [Labelled],
}

/// Every metric, room by room.
pub const CATALOGUE: &[&[Entry]] = &[
    RuntimeRoom::ENTRIES,
    Http::ENTRIES,
    Ingest::ENTRIES,
    Evaluator::ENTRIES,
    Gateway::ENTRIES,
    Console::ENTRIES,
    Enforcer::ENTRIES,
];

/// The catalogue as a Markdown table.
pub fn catalogue_markdown() -> String {
    let mut page = String::from(
        "| metric | kind | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n",
    );
    for entry in CATALOGUE.iter().copied().flatten() {
        let labels: Vec<String> = entry.labels.iter().map(labelled).collect();
        page.push_str(&format!(
            "| `{}` | {} | {} | {} | {} |\n",
            entry.name,
            entry.kind.name(),
            entry.unit,
            labels.join("; "),
            entry.help
        ));
    }
    page
}

fn labelled(label: &Labelled) -> String {
    match label.values {
        Values::Listed(values) => format!("`{}`: {}", label.key, values.join(", ")),
        Values::RouteTemplates => format!("`{}`: route templates", label.key),
        Values::Partitions => format!("`{}`: the log's partitions", label.key),
        Values::SourceTopics => format!(
            "`{}`: the source topics, in the order of their names",
            label.key
        ),
    }
}
