//! Each room's metrics: one struct each, declared once for registration and catalogue alike.

use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::registry::Registry;

use super::catalogue::{Entry, Kind, Labelled};
use super::label::{
    Action, AuthFailure, CheckAnswer, CloseReason, ConnectionRefusal, Entrance, EventType, Frame,
    Ignored, Invariant, Labels, LedgerTable, Mode, Partition, Rejection, RequestRefusal, Room,
    Route, SignalKind, SourceTopic, StaleAnswer, StatusClass, StreamStart,
};
use super::{Buckets, Counter, Counters, Gauge, Gauges, Histogram, Histograms};

/// From a hundredth of a millisecond to a second: work inside the process.
const WORK_SECONDS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 1.0,
];
/// From a millisecond to half a minute: what crosses a disk or a network.
const WAIT_SECONDS: &[f64] = &[
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// A histogram whose buckets remember the trace of one observation.
#[derive(Clone, Debug)]
pub struct TracedHistogram {
    inner: HistogramWithExemplars<[(&'static str, String); 1]>,
}

impl TracedHistogram {
    /// *Units*: seconds. `trace` is the trace id, 32 hex digits.
    pub fn observe(&self, seconds: f64, trace: Option<&str>) {
        let exemplar = trace.map(|trace| [("trace_id", trace.to_owned())]);
        self.inner.observe(seconds, exemplar, None);
    }
}

/// What a field of a room is: how it is made, registered and described.
trait Described: Sized {
    const KIND: Kind;
    const LABELLED: &'static [Labelled];
    fn make(buckets: Buckets) -> Self;
    fn enter(&self, name: &str, help: &str, registry: &mut Registry);
}

macro_rules! described {
    ($($type:ty, $kind:ident, $make:expr;)*) => {$(
        impl Described for $type {
            const KIND: Kind = Kind::$kind;
            const LABELLED: &'static [Labelled] = &[];
            fn make(buckets: Buckets) -> Self { let make: fn(Buckets) -> Self = $make; make(buckets) }
            fn enter(&self, name: &str, help: &str, registry: &mut Registry) {
                registry.register(name, help, self.clone());
            }
        }
    )*};
    (by $($type:ident, $kind:ident, $make:expr;)*) => {$(
        impl<L: Labels> Described for $type<L> {
            const KIND: Kind = Kind::$kind;
            const LABELLED: &'static [Labelled] = L::LABELLED;
            fn make(buckets: Buckets) -> Self { let make: fn(Buckets) -> Self = $make; make(buckets) }
            fn enter(&self, name: &str, help: &str, registry: &mut Registry) {
                registry.register(name, help, self.family.clone());
            }
        }
    )*};
}

described! {
    Counter, Counter, |_| Self::default();
    Gauge, Gauge, |_| Self::default();
    Histogram, Histogram, |buckets| Self::new(buckets.0.iter().copied());
}
described! { by
    Counters, Counter, |_| Self::new(Counter::default);
    Gauges, Gauge, |_| Self::new(Gauge::default);
    Histograms, Histogram, Self::new;
}

impl Described for TracedHistogram {
    const KIND: Kind = Kind::Histogram;
    const LABELLED: &'static [Labelled] = &[];

    fn make(buckets: Buckets) -> Self {
        Self {
            inner: HistogramWithExemplars::new(buckets.0.iter().copied()),
        }
    }

    fn enter(&self, name: &str, help: &str, registry: &mut Registry) {
        registry.register(name, help, self.inner.clone());
    }
}

/// The name under which a counter is registered: the encoder adds `_total` itself.
fn registered(name: &'static str) -> &'static str {
    name.strip_suffix("_total").unwrap_or(name)
}

macro_rules! room {
    ($(#[$doc:meta])* $room:ident { $($field:ident: $type:ty = $name:literal, $unit:literal, $buckets:expr, $help:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $room { $(#[doc = $help] pub $field: $type,)* }

        impl $room {
            pub(super) const ENTRIES: &'static [Entry] = &[$(Entry {
                name: $name,
                kind: <$type as Described>::KIND,
                unit: $unit,
                help: $help,
                labels: <$type as Described>::LABELLED,
            },)*];

            pub(super) fn register(registry: &mut Registry) -> Self {
                let room = Self { $($field: <$type as Described>::make(Buckets($buckets)),)* };
                // The encoder ends each help text with a stop of its own.
                $(room.$field.enter(registered($name), $help, registry);)*
                room
            }
        }
    };
}

room! {
    /// What every room stands on.
    RuntimeRoom {
        retries: Counters<Room> = "caerus_runtime_retries_total", "retries", &[],
            "Attempts repeated because a port was unavailable; a rise means that a store or broker falters";
        auth_failures: Counters<AuthFailure> = "caerus_runtime_auth_failures_total", "failures", &[],
            "Credentials refused; a rise means a misconfigured client, an expired token or somebody guessing";
        spans_dropped: Counter = "caerus_runtime_dropped_spans_total", "spans", &[],
            "Spans not delivered to the configured OTLP endpoint; a rise means that it does not keep up or is away";
    }
}

room! {
    /// The HTTP shell, all roles.
    Http {
        requests: Counters<(Route, StatusClass)> = "caerus_http_requests_total", "requests", &[],
            "Requests answered; a rise of 5xx means that a role cannot do its work";
        request_seconds: Histograms<Route> = "caerus_http_request_seconds", "seconds", WAIT_SECONDS,
            "Time from a request's headers to its answer's; a rise means that clients wait";
        open_connections: Gauge = "caerus_http_open_connections", "connections", &[],
            "Connections open; near the configured limit new ones are turned away";
        refused_connections: Counters<ConnectionRefusal> = "caerus_http_refused_connections_total", "connections", &[],
            "Connections turned away before a request was read; a rise means too many clients or broken ones";
    }
}

room! {
    /// Events in.
    Ingest {
        accepted_events: Counters<EventType> = "caerus_ingest_accepted_events_total", "events", &[],
            "Events made durable; a rise means more activity";
        taken_events: Counters<Entrance> = "caerus_ingest_taken_events_total", "events", &[],
            "Events made durable, by the way they came; a rise means more activity there";
        rejected_events: Counters<Rejection> = "caerus_ingest_rejected_events_total", "events", &[],
            "Events told back to their sender as not acceptable; a rise means that a producer changed";
        refused_requests: Counters<RequestRefusal> = "caerus_ingest_refused_requests_total", "requests", &[],
            "Requests refused as a whole; a rise of queue_full or store_down means that events wait at their senders";
        dead_letters: Counters<Rejection> = "caerus_ingest_dead_letters_total", "letters", &[],
            "Messages that could not be read and were kept whole; a rise means that a producer changed";
        dropped_dead_letters: Counter = "caerus_ingest_dropped_dead_letters_total", "letters", &[],
            "Dead letters let go by age or size; a rise means that nobody looked in time";
        source_lag: Gauges<SourceTopic> = "caerus_ingest_source_lag_messages", "messages", &[],
            "Messages of a source topic that are not in the log yet, over the partitions of this process; a rise means that events come faster than they are taken in";
        skipped_messages: Counters<SourceTopic> = "caerus_ingest_skipped_messages_total", "messages", &[],
            "Places of a source topic that its own retention let go before they were read; a rise means that events were lost outside";
        received_bytes: Counter = "caerus_ingest_received_bytes_total", "bytes", &[],
            "Bytes of events read, expanded; a rise means more or larger events";
        append_seconds: Histogram = "caerus_ingest_append_seconds", "seconds", WAIT_SECONDS,
            "Time until a batch of events is durable; a rise means that the log is slow";
    }
}

room! {
    /// The log judged.
    Evaluator {
        batches: Counter = "caerus_evaluator_batches_total", "batches", &[],
            "Batches of the log committed; a rise without more signals means smaller batches";
        signals: Counters<SignalKind> = "caerus_evaluator_signals_total", "signals", &[],
            "Entries of the log evaluated; a rise means more activity";
        ignored_signals: Counters<Ignored> = "caerus_evaluator_ignored_signals_total", "signals", &[],
            "Signals that changed nothing; a rise of repeats means that a producer or a crash sends again";
        derived_signals: Counter = "caerus_evaluator_derived_signals_total", "signals", &[],
            "Signals that one subject's evaluation told another; a rise means that devices or networks change standing";
        decisions: Counters<(Action, Mode)> = "caerus_evaluator_decisions_total", "decisions", &[],
            "Decisions made; a rise of revoke or step_up means an attack or a policy that is too sharp";
        step_seconds: Histogram = "caerus_evaluator_step_seconds", "seconds", WORK_SECONDS,
            "Time of one evaluation; a rise means larger records or slower policies";
        commit_seconds: Histogram = "caerus_evaluator_commit_seconds", "seconds", WAIT_SECONDS,
            "Time to commit a batch to the record store; a rise means that the store is slow";
        publish_seconds: Histogram = "caerus_evaluator_publish_seconds", "seconds", WAIT_SECONDS,
            "Time to publish a batch's outputs; a rise means that the broker is slow";
        log_lag: Gauges<Partition> = "caerus_evaluator_log_lag_entries", "entries", &[],
            "Entries of the log not yet evaluated; a rise means that decisions come late";
        outbox: Gauges<Partition> = "caerus_evaluator_outbox_entries", "entries", &[],
            "Outputs committed and not yet published; a rise means that the broker does not take them";
        cached_records: Gauge = "caerus_evaluator_cached_records", "records", &[],
            "Subject records held in memory; near the limit loads from the store become frequent";
        conflicts: Counter = "caerus_evaluator_conflicts_total", "conflicts", &[],
            "Commits or publications refused because of a later claim; a rise means that ownership flaps";
        failed_policy_revisions: Counter = "caerus_evaluator_failed_policy_revisions_total", "revisions", &[],
            "Policy revisions that did not load; the last good one stays in force";
        invariant_violations: Counters<Invariant> = "caerus_evaluator_invariant_violations_total", "violations", &[],
            "Breaches of a named invariant; any rise is a defect of Caerus";
    }
}

room! {
    /// Decisions out.
    Gateway {
        subscribers: Gauge = "caerus_gateway_subscribers", "subscribers", &[],
            "Enforcement points on the stream; a fall means that some work from an old picture";
        started_streams: Counters<StreamStart> = "caerus_gateway_started_streams_total", "streams", &[],
            "Streams begun; a rise of reload means that cursors no longer fit";
        sent_frames: Counters<Frame> = "caerus_gateway_sent_frames_total", "frames", &[],
            "Frames sent; a rise of decision means that more is decided";
        closed_streams: Counters<CloseReason> = "caerus_gateway_closed_streams_total", "streams", &[],
            "Streams ended; a rise of 4408 means that subscribers are too slow";
        unacknowledged: Gauge = "caerus_gateway_unacknowledged_decisions", "decisions", &[],
            "Decisions sent and not yet acknowledged, over all subscribers; a rise means slow enforcement points";
        picture_age_seconds: Gauge = "caerus_gateway_picture_age_seconds", "seconds", &[],
            "Age of the announced evaluated_until; a rise means that ingest or an evaluator stands still";
        enforcement_seconds: TracedHistogram = "caerus_gateway_enforcement_seconds", "seconds", WAIT_SECONDS,
            "Time from taking an event in to the acknowledgement of the decision it caused; a rise means late enforcement";
        invariant_violations: Counters<Invariant> = "caerus_gateway_invariant_violations_total", "violations", &[],
            "Breaches of a named invariant seen at the gateway; any rise is a defect of Caerus";
    }
}

room! {
    /// What people ask afterwards.
    Console {
        recorded_rows: Counters<LedgerTable> = "caerus_console_recorded_rows_total", "rows", &[],
            "Rows written to the ledger; a fall to zero while decisions are made means that recording stands still";
        record_seconds: Histogram = "caerus_console_record_seconds", "seconds", WAIT_SECONDS,
            "Time to record a batch in the ledger; a rise means that the database is slow";
        record_lag: Gauge = "caerus_console_record_lag_entries", "entries", &[],
            "Decisions and receipts not yet in the ledger; a rise means that answers to people are old";
    }
}

room! {
    /// The enforcement point's own.
    Enforcer {
        checks: Counters<CheckAnswer> = "caerus_enforcer_checks_total", "checks", &[],
            "Requests checked; a rise of refusals means an attack or a policy that is too sharp";
        check_seconds: Histogram = "caerus_enforcer_check_seconds", "seconds", WORK_SECONDS,
            "Time of one check; a rise delays every request behind the proxy";
        stale_checks: Counters<StaleAnswer> = "caerus_enforcer_stale_checks_total", "checks", &[],
            "Checks answered by on_stale because the picture was too old; a rise means that the stream is cut or stands still";
        picture_age_seconds: Gauge = "caerus_enforcer_picture_age_seconds", "seconds", &[],
            "Age of the picture that answers; beyond a route's max_staleness its on_stale answers";
        held_decisions: Gauge = "caerus_enforcer_held_decisions", "decisions", &[],
            "Decisions in force here; a rise means that more is refused or demanded";
        connections: Counters<StreamStart> = "caerus_enforcer_connections_total", "connections", &[],
            "Streams begun by this enforcer; a rise means that the connection flaps";
        invariant_violations: Counters<Invariant> = "caerus_enforcer_invariant_violations_total", "violations", &[],
            "Breaches of a named invariant seen at the enforcer; any rise is a defect of Caerus";
    }
}
