//! The catalogue: every metric of every room, its labels and what a rise means. Knows nobody's work and no HTTP.
//!
//! Names are `caerus_<room>_<thing>_<unit>[_total]` in base units. Labels have a known number of values; never a
//! subject, an address or an error's text.

mod catalogue;
pub mod label;
mod room;

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::registry::Registry;

pub use catalogue::{CATALOGUE, Entry, Kind, Labelled, Values, catalogue_markdown};
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::histogram::Histogram;
pub use room::{Console, Enforcer, Evaluator, Gateway, Http, Ingest, RuntimeRoom, TracedHistogram};

use label::Labels;

/// The media type of [`Metrics::exposition`].
pub const EXPOSITION_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A level that rises and falls. Whole numbers and seconds alike.
pub type Gauge = prometheus_client::metrics::gauge::Gauge<f64, std::sync::atomic::AtomicU64>;

/// One counter for each combination of labels.
pub type Counters<L> = ByLabels<L, Counter>;
/// One gauge for each combination of labels.
pub type Gauges<L> = ByLabels<L, Gauge>;
/// One histogram for each combination of labels.
pub type Histograms<L> = ByLabels<L, Histogram, Buckets>;

/// Upper bounds of a histogram's buckets.
#[derive(Clone, Copy, Debug)]
pub struct Buckets(pub &'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// A metric for each combination of labels; those that can be enumerated are exposed from the start, at zero, so that
/// a rate is right from the first count on.
pub struct ByLabels<L, M, C = fn() -> M> {
    family: Family<LabelSet<L>, M, C>,
}

impl<L: Labels, M: Clone, C: MetricConstructor<M>> ByLabels<L, M, C> {
    fn new(constructor: C) -> Self {
        let family = Family::new_with_constructor(constructor);
        for labels in L::all() {
            drop(family.get_or_create(&LabelSet(labels)));
        }
        Self { family }
    }

    /// The metric of these labels; cheap to keep.
    pub fn of(&self, labels: &L) -> M {
        self.family.get_or_create_owned(&LabelSet(labels.clone()))
    }
}

impl<L, M, C: Clone> Clone for ByLabels<L, M, C> {
    fn clone(&self) -> Self {
        Self {
            family: self.family.clone(),
        }
    }
}

impl<L, M, C> fmt::Debug for ByLabels<L, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByLabels").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LabelSet<L>(L);

impl<L: Labels> EncodeLabelSet for LabelSet<L> {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelSetEncoder<'_>,
    ) -> fmt::Result {
        use prometheus_client::encoding::EncodeLabel;
        self.0
            .write(&mut |key, value| (key, value).encode(encoder.encode_label()))
    }
}

/// Every metric of the process. Clones share their numbers.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub runtime: RuntimeRoom,
    pub http: Http,
    pub ingest: Ingest,
    pub evaluator: Evaluator,
    pub gateway: Gateway,
    pub console: Console,
    pub enforcer: Enforcer,
    registry: Arc<Registry>,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::default();
        Self {
            runtime: RuntimeRoom::register(&mut registry),
            http: Http::register(&mut registry),
            ingest: Ingest::register(&mut registry),
            evaluator: Evaluator::register(&mut registry),
            gateway: Gateway::register(&mut registry),
            console: Console::register(&mut registry),
            enforcer: Enforcer::register(&mut registry),
            registry: Arc::new(registry),
        }
    }

    /// All of it, as OpenMetrics text.
    pub fn exposition(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
