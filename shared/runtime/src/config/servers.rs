//! Where the servers are that several machines share. Knows no client of theirs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::secret::Secret;

/// Apache Kafka: the log, the topics, and the topics others write events to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    /// *Shape*: `host:port` each, at least one.
    pub brokers: Vec<String>,
    /// Before every topic's name, e.g. `caerus.`.
    pub topic_prefix: String,
    /// Replicas of the topics that are created.
    pub replication: u16,
    /// The evaluators' consumer group; ingest's is this with `-ingest` after it.
    pub group: String,
    /// librdkafka's own, passed through: TLS, SASL, timeouts.
    pub properties: BTreeMap<String, String>,
    /// `sasl.password`, apart because it is never shown.
    pub password: Option<Secret>,
    pub sources: Vec<SourceTopic>,
}

/// A topic that others write events to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTopic {
    /// The whole name, e.g. `caerus.logins`.
    pub topic: String,
    /// Whose events these are; `None` where each event says so (a multi-tenant topic).
    pub tenant: Option<String>,
    /// The form of messages without a `caerus-format` header.
    pub format: String,
    /// Whether feedback is read from it.
    pub is_feedback: bool,
}

/// Redis: the evaluators' records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// `redis://` or `rediss://`, one for a single server, several for the nodes of a cluster or its sentinels. They may
    /// hold a password.
    pub urls: Vec<Secret>,
    pub arrangement: RedisArrangement,
    /// Before every key, e.g. `caerus`.
    pub prefix: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisArrangement {
    Single,
    Cluster,
    /// The name under which the sentinels know the master.
    Sentinel(String),
}

/// PostgreSQL: the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postgres {
    /// `postgres://…`; it may hold a password, and `sslmode`.
    pub url: Secret,
    pub connections_max: u32,
    /// The certificate authority's PEM file, where it is not one that the system trusts.
    pub ca: Option<PathBuf>,
}
