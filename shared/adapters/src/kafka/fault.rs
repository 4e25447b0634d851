//! Turns librdkafka's errors into a port's. Knows no topic and no client.

use caerus_runtime::port::{PortError, PortErrorKind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// An operation that failed, with the kind that its cause has.
pub(crate) fn fault(operation: impl Into<String>, error: KafkaError) -> PortError {
    let kind = code_of(&error).map_or(PortErrorKind::Unavailable, kind_of);
    PortError::new(kind, operation).because(error)
}

pub(crate) fn code_of(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::Transaction(cause) => Some(cause.code()),
        KafkaError::MessageConsumptionFatal(code) | KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

pub(crate) fn kind_of(code: RDKafkaErrorCode) -> PortErrorKind {
    match code {
        RDKafkaErrorCode::Fenced
        | RDKafkaErrorCode::ProducerFenced
        | RDKafkaErrorCode::InvalidProducerEpoch
        | RDKafkaErrorCode::InvalidProducerIdMapping
        | RDKafkaErrorCode::IllegalGeneration
        | RDKafkaErrorCode::UnknownMemberId
        | RDKafkaErrorCode::FencedInstanceId => PortErrorKind::Conflict,
        RDKafkaErrorCode::Authentication
        | RDKafkaErrorCode::SaslAuthenticationFailed
        | RDKafkaErrorCode::UnsupportedSASLMechanism
        | RDKafkaErrorCode::SSL
        | RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::GroupAuthorizationFailed
        | RDKafkaErrorCode::ClusterAuthorizationFailed
        | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
        | RDKafkaErrorCode::MessageSizeTooLarge
        | RDKafkaErrorCode::InvalidMessageSize
        | RDKafkaErrorCode::MessageBatchTooLarge
        | RDKafkaErrorCode::InvalidTopic
        | RDKafkaErrorCode::InvalidConfig
        | RDKafkaErrorCode::InvalidPartitions
        | RDKafkaErrorCode::InvalidReplicationFactor
        | RDKafkaErrorCode::InvalidTransactionTimeout
        | RDKafkaErrorCode::PolicyViolation
        | RDKafkaErrorCode::UnsupportedFeature
        | RDKafkaErrorCode::UnsupportedVersion => PortErrorKind::Refused,
        RDKafkaErrorCode::BadMessage
        | RDKafkaErrorCode::InvalidMessage
        | RDKafkaErrorCode::BadCompression => PortErrorKind::Corrupt,
        _ => PortErrorKind::Unavailable,
    }
}
