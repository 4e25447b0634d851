//! From settings to librdkafka's clients: their configuration, and what they say beside their answers. Knows no topic.

use std::sync::{Arc, Mutex, PoisonError};

use caerus_runtime::config::Kafka;
use caerus_runtime::port::{PortError, PortErrorKind, PortResult};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What correctness depends on, or what has a setting of its own: not for `properties`.
const RESERVED: [&str; 24] = [
    "acks",
    "allow.auto.create.topics",
    "auto.commit.enable",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.protocol",
    "isolation.level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.send.max.retries",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "request.required.acks",
    "retries",
    "sasl.password",
    "transaction.timeout.ms",
    "transactional.id",
    "log_level",
];

/// Every client's: connections that are made again soon, and small requests that are not held back.
const COMMON: [(&str, &str); 5] = [
    ("client.id", "caerus"),
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "2000"),
    ("socket.keepalive.enable", "true"),
    ("socket.nagle.disable", "true"),
];

/// The configuration of one client: what all have, then `role`'s, then the settings' own properties, which override.
///
/// *Errors*: `Refused` when a property is not theirs to set.
pub(crate) fn configure(settings: &Kafka, role: &[(&str, &str)]) -> PortResult<ClientConfig> {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    for (name, value) in COMMON.iter().chain(role) {
        config.set(*name, *value);
    }
    for (name, value) in &settings.properties {
        if RESERVED.contains(&name.as_str()) {
            return Err(PortError::new(
                PortErrorKind::Refused,
                format!(
                    "set Kafka's property `{name}`, because Caerus sets it itself; take it out of `properties`"
                ),
            ));
        }
        config.set(name, value);
    }
    config.set("bootstrap.servers", settings.brokers.join(","));
    if let Some(password) = &settings.password {
        config.set("sasl.password", password.expose());
    }
    Ok(config)
}

/// *Errors*: `Refused` when librdkafka does not take a property; its value is not told, it may be a secret.
pub(crate) fn create<C: ClientContext, T: FromClientConfigAndContext<C>>(
    config: &ClientConfig,
    context: C,
) -> PortResult<T> {
    config
        .create_with_context(context)
        .map_err(|error| match error {
            KafkaError::ClientConfig(_, _, name, _) => PortError::new(
                PortErrorKind::Refused,
                format!(
                    "set Kafka's property `{name}`; librdkafka knows no such property, or not this value of it"
                ),
            ),
            other => PortError::new(PortErrorKind::Refused, "make a client of Kafka's").because(other),
        })
}

/// What a client complained of last, beside its answers: requests only time out while it cannot log in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    complaint: Arc<Mutex<Option<Complaint>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Complaint {
    pub(crate) code: Option<RDKafkaErrorCode>,
    pub(crate) reason: String,
}

impl Context {
    pub(crate) fn complaint(&self) -> Option<Complaint> {
        self.complaint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                tracing::warn!(facility, message, "librdkafka has trouble");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::debug!(facility, message, "librdkafka tells");
            }
            RDKafkaLogLevel::Debug => {
                tracing::trace!(facility, message, "librdkafka tells");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if matches!(error, KafkaError::PartitionEOF(_)) {
            return;
        }
        let code = error.rdkafka_error_code();
        let mut complaint = self
            .complaint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // That no broker is left says less than why the last one went.
        if code == Some(RDKafkaErrorCode::AllBrokersDown) && complaint.is_some() {
            return;
        }
        *complaint = Some(Complaint {
            code,
            reason: reason.to_owned(),
        });
    }
}

impl ConsumerContext for Context {}
