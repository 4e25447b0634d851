//! Every key of the server's configuration. Knows no value that was given.

use super::layout::{Field, Kind};

const fn field(key: &'static str, kind: Kind, unit: &'static str, meaning: &'static str) -> Field {
    Field {
        key,
        kind,
        unit,
        meaning,
    }
}

const fn integer(
    key: &'static str,
    range: core::ops::RangeInclusive<i64>,
    unit: &'static str,
    meaning: &'static str,
) -> Field {
    let (min, max) = (*range.start(), *range.end());
    field(key, Kind::Integer { min, max }, unit, meaning)
}

pub(super) const FIELDS: &[Field] = &[
    field(
        "listen.address",
        Kind::Address,
        "",
        "Where the server listens; anything but loopback needs TLS",
    ),
    field(
        "listen.hosts",
        Kind::Texts,
        "",
        "Names under which the server is called, beside those of loopback; other `Host`s are refused",
    ),
    field(
        "listen.tls_certificate",
        Kind::Path,
        "",
        "PEM file with the certificate chain; empty for no TLS",
    ),
    field(
        "listen.tls_key",
        Kind::Path,
        "",
        "PEM file with the certificate's private key",
    ),
    integer(
        "listen.connections_max",
        1..=100_000,
        "connections",
        "Open connections, streams included; more are turned away",
    ),
    integer(
        "listen.drain_s",
        0..=300,
        "seconds",
        "For requests under way when the server is asked to stop",
    ),
    field(
        "data.dir",
        Kind::Path,
        "",
        "Where the embedded stores and the first tokens lie; for one process at a time",
    ),
    integer(
        "data.log_days",
        2..=3_650,
        "days",
        "How long the log keeps what was evaluated; an export reaches no further back",
    ),
    integer(
        "data.dead_letters_days",
        1..=3_650,
        "days",
        "How long what could not be read is kept",
    ),
    integer(
        "data.dead_letters_bytes_max",
        1_048_576..=1_099_511_627_776,
        "bytes",
        "How much of what could not be read is kept; the oldest leave first",
    ),
    integer(
        "log.partitions",
        1..=256,
        "partitions",
        "Partitions of the log and the decisions; fixed when the log is created",
    ),
    field(
        "kafka.brokers",
        Kind::Texts,
        "",
        "Brokers of Apache Kafka, `host:port`; empty for the embedded log (`up` alone)",
    ),
    field(
        "kafka.topic_prefix",
        Kind::Text,
        "",
        "Before the name of every topic that Caerus makes",
    ),
    integer(
        "kafka.replication",
        1..=16,
        "replicas",
        "Of the topics that Caerus makes",
    ),
    field(
        "kafka.group",
        Kind::Text,
        "",
        "Consumer group of the evaluators; ingest's has `-ingest` after it",
    ),
    field(
        "kafka.properties",
        Kind::Texts,
        "",
        "Properties of librdkafka, `name=value`, passed through: TLS, SASL, timeouts",
    ),
    field(
        "kafka.password",
        Kind::Secret,
        "",
        "`sasl.password` of librdkafka; empty for none",
    ),
    field(
        "sources[].topic",
        Kind::Text,
        "",
        "A topic that others write events to; without any, those of the contract but feedback",
    ),
    field(
        "sources[].tenant",
        Kind::Text,
        "",
        "Whose events the topic holds; absent where each event says so",
    ),
    field(
        "sources[].format",
        Kind::Text,
        "",
        "Form of messages without a `caerus-format` header; `native` when absent",
    ),
    field(
        "sources[].feedback",
        Kind::Flag,
        "",
        "Whether feedback is read from the topic; when absent it is not",
    ),
    field(
        "redis.urls",
        Kind::Texts,
        "",
        "`redis://host:port` or `rediss://…` without a password: one server, or the nodes of a cluster, or its sentinels; empty for embedded records",
    ),
    field(
        "redis.arrangement",
        Kind::Choice(&["single", "cluster", "sentinel"]),
        "",
        "What the urls lead to",
    ),
    field(
        "redis.sentinel_master",
        Kind::Text,
        "",
        "The name under which the sentinels know the master",
    ),
    field(
        "redis.password",
        Kind::Secret,
        "",
        "Password of Redis; empty for none",
    ),
    field(
        "redis.prefix",
        Kind::Text,
        "",
        "Before every key; two installations on one Redis need two",
    ),
    field(
        "postgres.url",
        Kind::Secret,
        "",
        "`postgres://user:password@host:port/database`, with `sslmode` where wanted; empty for the embedded ledger",
    ),
    integer(
        "postgres.connections_max",
        1..=1_000,
        "connections",
        "Open at once from this process",
    ),
    field(
        "postgres.ca",
        Kind::Path,
        "",
        "PEM file of the certificate authority, where it is not one that the system trusts",
    ),
    field(
        "policies.dir",
        Kind::Path,
        "",
        "Directory of Cedar policies; empty for the default set, kept through the API",
    ),
    field(
        "geo.databases",
        Kind::Texts,
        "",
        "MMDB files in which addresses are looked up; the first that knows wins",
    ),
    field(
        "model.step_up_cost",
        Kind::Positive,
        "any one unit",
        "What a needless step-up costs",
    ),
    field(
        "model.wrongful_revoke_cost",
        Kind::Positive,
        "the same unit",
        "What a wrongful revoke costs",
    ),
    field(
        "model.missed_takeover_cost",
        Kind::Positive,
        "the same unit",
        "What a missed takeover costs",
    ),
    field(
        "criticality[].tenant",
        Kind::Text,
        "",
        "Whose subject it is; `default` when absent",
    ),
    field(
        "criticality[].kind",
        Kind::Choice(&["user", "device", "workload"]),
        "",
        "What the subject is",
    ),
    field(
        "criticality[].name",
        Kind::Text,
        "",
        "The subject, as events name it",
    ),
    field(
        "criticality[].level",
        Kind::Choice(&["low", "normal", "high", "very_high", "extreme"]),
        "",
        "How much the subject is worth: its odds count 0.5, 1, 1.5, 2 or 4 fold",
    ),
    integer(
        "evaluator.cache_bytes_max",
        1_048_576..=1_099_511_627_776,
        "bytes",
        "Subject records kept in memory, over all partitions",
    ),
    integer(
        "stream.heartbeat_ms",
        100..=60_000,
        "milliseconds",
        "Between two heartbeats of the stream",
    ),
    integer(
        "stream.max_unacked",
        1..=65_535,
        "frames",
        "Decisions that may wait for a subscriber's acknowledgement",
    ),
    integer(
        "stream.acknowledge_s",
        1..=300,
        "seconds",
        "How long an acknowledgement may take before the stream is closed",
    ),
    integer(
        "stream.queued_bytes_max",
        65_536..=1_073_741_824,
        "bytes",
        "How much may queue for one subscriber before its stream is closed",
    ),
    integer(
        "stream.subscribers_max",
        1..=100_000,
        "subscribers",
        "Streams open at once; more are refused",
    ),
    field(
        "telemetry.log_format",
        Kind::Choice(&["text", "json"]),
        "",
        "Form of the log on stderr; which lines it has, `RUST_LOG` says",
    ),
    field(
        "telemetry.otlp_endpoint",
        Kind::Text,
        "",
        "Where spans go, e.g. `http://127.0.0.1:4318/v1/traces` (OTLP over HTTP); empty for nowhere",
    ),
    field(
        "telemetry.otlp_authorization",
        Kind::Secret,
        "",
        "`Authorization` header sent with spans; empty for none",
    ),
];
