//! Where the servers are that several machines share. Knows no client of theirs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::layers::Merged;
use super::problem::Problem;
use crate::secret::Secret;

/// Read where no `[[sources]]` are configured, after the topics' prefix. Feedback decides about people: its topic is
/// read only where somebody has said who may write to it.
const SOURCES: [&str; 3] = ["logins", "device-health", "access"];
const NATIVE: &str = "native";

/// Those of the shared servers that are configured; the embedded stores stand in for the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    pub kafka: Option<Kafka>,
    pub redis: Option<Redis>,
    pub postgres: Option<Postgres>,
}

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

impl Servers {
    pub(super) fn from_merged(merged: &Merged) -> Result<Self, Problem> {
        Ok(Self {
            kafka: kafka(merged)?,
            redis: redis(merged)?,
            postgres: postgres(merged)?,
        })
    }
}

fn kafka(merged: &Merged) -> Result<Option<Kafka>, Problem> {
    let brokers = merged.texts("kafka.brokers")?;
    if brokers.is_empty() {
        return Ok(None);
    }
    let is_address = |broker: &String| {
        let port = broker.rsplit_once(':').map(|(_, port)| port);
        port.is_some_and(|port| port.parse::<u16>().is_ok()) && !broker.contains("//")
    };
    if let Some(wrong) = brokers.iter().find(|broker| !is_address(broker)) {
        let message = format!("holds `{wrong}`: expected `host:port`");
        return Err(merged.problem("kafka.brokers", message));
    }
    let topic_prefix = merged.text("kafka.topic_prefix")?.to_owned();
    let is_legal = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c);
    if !topic_prefix.chars().all(is_legal) {
        let message = "may hold letters, digits, `.`, `_` and `-`, as Kafka's topics do";
        return Err(merged.problem("kafka.topic_prefix", message));
    }
    let mut properties = BTreeMap::new();
    for property in merged.texts("kafka.properties")? {
        let Some((name, value)) = property.split_once('=') else {
            let message = format!("holds `{property}`: expected `name=value`");
            return Err(merged.problem("kafka.properties", message));
        };
        if name.trim().ends_with("password") {
            let message = "holds a password: `kafka.password` keeps it from being shown";
            return Err(merged.problem("kafka.properties", message));
        }
        properties.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok(Some(Kafka {
        brokers: brokers.to_vec(),
        sources: sources(merged, &topic_prefix)?,
        topic_prefix,
        replication: merged.integer("kafka.replication")?,
        group: filled(merged, "kafka.group")?,
        properties,
        password: merged.text_if_any("kafka.password").map(Secret::new),
    }))
}

fn sources(merged: &Merged, prefix: &str) -> Result<Vec<SourceTopic>, Problem> {
    let rows = merged.rows("sources");
    if rows == 0 {
        let source = |name| SourceTopic {
            topic: format!("{prefix}{name}"),
            tenant: None,
            format: NATIVE.to_owned(),
            is_feedback: false,
        };
        return Ok(SOURCES.into_iter().map(source).collect());
    }
    let mut found: Vec<SourceTopic> = Vec::with_capacity(rows);
    for row in 0..rows {
        let key = |name: &str| format!("sources[{row}].{name}");
        let topic = filled(merged, &key("topic"))?;
        if found.iter().any(|known| known.topic == topic) {
            return Err(merged.problem(&key("topic"), "is given twice"));
        }
        let format = merged.text_if_any(&key("format")).unwrap_or(NATIVE);
        found.push(SourceTopic {
            topic,
            tenant: merged.text_if_any(&key("tenant")).map(str::to_owned),
            format: format.to_owned(),
            is_feedback: merged.flag(&key("feedback")).unwrap_or(false),
        });
    }
    Ok(found)
}

fn redis(merged: &Merged) -> Result<Option<Redis>, Problem> {
    let urls = merged.texts("redis.urls")?;
    if urls.is_empty() {
        return Ok(None);
    }
    let password = merged.text_if_any("redis.password");
    let arrangement = match merged.text("redis.arrangement")? {
        "cluster" => RedisArrangement::Cluster,
        "sentinel" => RedisArrangement::Sentinel(filled(merged, "redis.sentinel_master")?),
        _ => RedisArrangement::Single,
    };
    if arrangement == RedisArrangement::Single && urls.len() > 1 {
        let message = "holds several; one server has one, else set `redis.arrangement`";
        return Err(merged.problem("redis.urls", message));
    }
    let with_password = |url: &String| redis_url(merged, url, password);
    Ok(Some(Redis {
        urls: urls.iter().map(with_password).collect::<Result<_, _>>()?,
        arrangement,
        prefix: filled(merged, "redis.prefix")?,
    }))
}

/// The url with the password in it, as clients take it.
fn redis_url(merged: &Merged, url: &str, password: Option<&str>) -> Result<Secret, Problem> {
    let rest = ["redis://", "rediss://"].into_iter().find_map(|scheme| {
        let rest = url.strip_prefix(scheme)?;
        Some((scheme, rest))
    });
    let Some((scheme, rest)) = rest else {
        let message = format!("holds `{url}`: expected `redis://host:port` or `rediss://…`");
        return Err(merged.problem("redis.urls", message));
    };
    let (user, host) = rest.split_once('@').unwrap_or(("", rest));
    if user.contains(':') {
        let message = "holds a password: `redis.password` keeps it from being shown";
        return Err(merged.problem("redis.urls", message));
    }
    let text = match password {
        None if user.is_empty() => format!("{scheme}{host}"),
        None => format!("{scheme}{user}@{host}"),
        Some(password) => format!("{scheme}{user}:{}@{host}", escaped(password)),
    };
    Ok(Secret::new(text))
}

/// As it may stand in a url. *Source*: RFC 3986, section 2.1.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn postgres(merged: &Merged) -> Result<Option<Postgres>, Problem> {
    let Some(url) = merged.text_if_any("postgres.url") else {
        return Ok(None);
    };
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        let message = "must begin with `postgres://`";
        return Err(merged.problem("postgres.url", message));
    }
    Ok(Some(Postgres {
        url: Secret::new(url),
        connections_max: merged.integer("postgres.connections_max")?,
        ca: merged.path_if_any("postgres.ca"),
    }))
}

fn filled(merged: &Merged, key: &str) -> Result<String, Problem> {
    match merged.text_if_any(key) {
        Some(text) => Ok(text.to_owned()),
        None => Err(merged.problem(key, "must not be empty")),
    }
}
