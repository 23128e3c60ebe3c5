//! What follows from each of librdkafka's error codes: one table, of Kafka's codes (positive) and its own (negative).
//!
//! Retriable is what `org.apache.kafka.common.protocol.Errors` has as `RetriableException`, but for an unknown topic,
//! which has a kind of its own. For the producer, what the JVM's `RecordCollectorImpl` takes as "task migrated" is
//! [`BrokerErrorKind::Fenced`].

use kafka_streams_engine::port::{BrokerError, BrokerErrorKind};
use rdkafka::bindings::rd_kafka_resp_err_t::{self as Code, *};

use super::raw::Failure;

/// What follows from a code that came without flags: of a delivery report, of a partition, of a topic.
pub(super) fn kind_of_code(code: i32) -> BrokerErrorKind {
    if let Some((_, kind)) = NEWER.iter().find(|(newer, _)| *newer == code) {
        return *kind;
    }
    TABLE
        .iter()
        .find(|(_, codes)| codes.iter().any(|known| *known as i32 == code))
        .map_or(BrokerErrorKind::Fatal, |(kind, _)| *kind)
}

/// What follows from an error of a transactional call, which has flags.
///
/// The flags tell what becomes of the producer: a fatal error ends it; after "requires abort" it goes on. The code tells
/// more where the cause lies outside of the transaction: the member's generation, or rights.
pub(super) fn kind_of_failure(failure: &Failure) -> BrokerErrorKind {
    use BrokerErrorKind as K;
    let by_code = kind_of_code(failure.code);
    match (failure.fatal, failure.requires_abort, failure.retriable) {
        (true, _, _) if matches!(by_code, K::Authorization | K::Unsupported) => by_code,
        (true, _, _) => K::Fenced,
        (_, true, _) if matches!(by_code, K::Rejoin | K::Authorization | K::UnknownTopic) => by_code,
        (_, true, _) => K::AbortRequired,
        (_, _, true) => K::Retriable,
        _ => by_code,
    }
}

/// What follows from the error in a delivery report. `producer_is_done` tells that librdkafka raised a fatal error.
///
/// A lost sequence ends an idempotent producer, but a transactional one goes on with a new epoch after the abort.
pub(super) fn kind_of_delivery(code: i32, transactional: bool, producer_is_done: bool) -> BrokerErrorKind {
    if producer_is_done && code == Code::RD_KAFKA_RESP_ERR__PURGE_QUEUE as i32 {
        return BrokerErrorKind::Fenced;
    }
    let lost_sequence = LOST_SEQUENCE.iter().any(|known| *known as i32 == code);
    if lost_sequence && transactional && !producer_is_done {
        return BrokerErrorKind::AbortRequired;
    }
    kind_of_code(code)
}

/// Whether a batch was refused for its size, or for that of one of its records.
pub(super) fn is_for_size(code: i32) -> bool {
    [RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE]
        .iter()
        .any(|known| *known as i32 == code)
}

/// The failure as the engine wants it.
pub(super) fn broker_error(kind: BrokerErrorKind, action: impl Into<String>, failure: &Failure) -> BrokerError {
    BrokerError { kind, action: action.into(), message: failure.to_string() }
}

/// Codes that mean that the broker and the producer disagree on what was written last.
const LOST_SEQUENCE: &[Code] = &[
    RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
    RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER,
    RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
    RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
];

/// Codes of brokers that are newer than librdkafka, which hands them on as they came.
const NEWER: &[(i32, BrokerErrorKind)] = &[
    // TRANSACTION_ABORTABLE (KIP-890)
    (120, BrokerErrorKind::AbortRequired),
];

/// Every code that librdkafka knows. A test holds it against librdkafka's own list.
const TABLE: &[(BrokerErrorKind, &[Code])] = &[
    (
        BrokerErrorKind::Retriable,
        &[
            RD_KAFKA_RESP_ERR__TRANSPORT,
            RD_KAFKA_RESP_ERR__RESOLVE,
            RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
            RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
            RD_KAFKA_RESP_ERR__TIMED_OUT,
            RD_KAFKA_RESP_ERR__QUEUE_FULL,
            RD_KAFKA_RESP_ERR__ISR_INSUFF,
            RD_KAFKA_RESP_ERR__NODE_UPDATE,
            RD_KAFKA_RESP_ERR__WAIT_COORD,
            RD_KAFKA_RESP_ERR__IN_PROGRESS,
            RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS,
            // Another transactional call is still under way.
            RD_KAFKA_RESP_ERR__CONFLICT,
            RD_KAFKA_RESP_ERR__OUTDATED,
            RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
            RD_KAFKA_RESP_ERR__WAIT_CACHE,
            RD_KAFKA_RESP_ERR__INTR,
            RD_KAFKA_RESP_ERR__PARTIAL,
            RD_KAFKA_RESP_ERR__UNDERFLOW,
            RD_KAFKA_RESP_ERR__RETRY,
            // Given up by us, when a transaction is aborted.
            RD_KAFKA_RESP_ERR__PURGE_QUEUE,
            RD_KAFKA_RESP_ERR__PURGE_INFLIGHT,
            RD_KAFKA_RESP_ERR__UNKNOWN_BROKER,
            RD_KAFKA_RESP_ERR__DESTROY_BROKER,
            // CORRUPT_MESSAGE: damaged on its way to the broker.
            RD_KAFKA_RESP_ERR_INVALID_MSG,
            RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
            RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
            RD_KAFKA_RESP_ERR_NOT_CONTROLLER,
            RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
            RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
            RD_KAFKA_RESP_ERR_REASSIGNMENT_IN_PROGRESS,
            RD_KAFKA_RESP_ERR_FETCH_SESSION_ID_NOT_FOUND,
            RD_KAFKA_RESP_ERR_INVALID_FETCH_SESSION_EPOCH,
            RD_KAFKA_RESP_ERR_LISTENER_NOT_FOUND,
            RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
            RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
            RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_PREFERRED_LEADER_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT,
            RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
            RD_KAFKA_RESP_ERR_REBOOTSTRAP_REQUIRED,
        ],
    ),
    (
        BrokerErrorKind::AbortRequired,
        // "n message(s) failed delivery", said at the commit.
        &[RD_KAFKA_RESP_ERR__INCONSISTENT],
    ),
    (
        BrokerErrorKind::Fenced,
        &[
            RD_KAFKA_RESP_ERR__FENCED,
            RD_KAFKA_RESP_ERR__FATAL,
            RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE,
            RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
            RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER,
            RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
            RD_KAFKA_RESP_ERR_INVALID_TXN_STATE,
            RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
            RD_KAFKA_RESP_ERR_TRANSACTION_COORDINATOR_FENCED,
            RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
            RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
        ],
    ),
    (
        BrokerErrorKind::Rejoin,
        &[
            RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
            RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
            RD_KAFKA_RESP_ERR_MEMBER_ID_REQUIRED,
            RD_KAFKA_RESP_ERR_FENCED_MEMBER_EPOCH,
            RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH,
        ],
    ),
    (
        BrokerErrorKind::Authorization,
        &[
            RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_AUTHORIZATION_FAILED,
        ],
    ),
    (
        BrokerErrorKind::UnknownTopic,
        &[
            RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
            RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
            RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
            RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID,
        ],
    ),
    (
        BrokerErrorKind::RecordRefused,
        &[
            RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE,
            RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
            RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,
            RD_KAFKA_RESP_ERR_INVALID_RECORD,
        ],
    ),
    (
        BrokerErrorKind::Unsupported,
        &[
            RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED,
            RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE,
            RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION,
            RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT,
            RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE,
        ],
    ),
    (
        BrokerErrorKind::Fatal,
        &[
            RD_KAFKA_RESP_ERR__BAD_MSG,
            RD_KAFKA_RESP_ERR__BAD_COMPRESSION,
            RD_KAFKA_RESP_ERR__DESTROY,
            RD_KAFKA_RESP_ERR__FAIL,
            RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE,
            RD_KAFKA_RESP_ERR__PARTITION_EOF,
            RD_KAFKA_RESP_ERR__FS,
            RD_KAFKA_RESP_ERR__INVALID_ARG,
            RD_KAFKA_RESP_ERR__SSL,
            RD_KAFKA_RESP_ERR__UNKNOWN_GROUP,
            RD_KAFKA_RESP_ERR__EXISTING_SUBSCRIPTION,
            RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS,
            RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS,
            RD_KAFKA_RESP_ERR__STATE,
            RD_KAFKA_RESP_ERR__UNKNOWN_PROTOCOL,
            RD_KAFKA_RESP_ERR__AUTHENTICATION,
            RD_KAFKA_RESP_ERR__NO_OFFSET,
            RD_KAFKA_RESP_ERR__KEY_SERIALIZATION,
            RD_KAFKA_RESP_ERR__VALUE_SERIALIZATION,
            RD_KAFKA_RESP_ERR__KEY_DESERIALIZATION,
            RD_KAFKA_RESP_ERR__VALUE_DESERIALIZATION,
            RD_KAFKA_RESP_ERR__READ_ONLY,
            RD_KAFKA_RESP_ERR__NOENT,
            RD_KAFKA_RESP_ERR__INVALID_TYPE,
            RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED,
            RD_KAFKA_RESP_ERR__NOT_CONFIGURED,
            RD_KAFKA_RESP_ERR__APPLICATION,
            RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST,
            RD_KAFKA_RESP_ERR__NOOP,
            // These two are an event of their own where a partition is read.
            RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET,
            RD_KAFKA_RESP_ERR__LOG_TRUNCATION,
            RD_KAFKA_RESP_ERR__INVALID_DIFFERENT_RECORD,
            RD_KAFKA_RESP_ERR_UNKNOWN,
            RD_KAFKA_RESP_ERR_NO_ERROR,
            RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
            RD_KAFKA_RESP_ERR_STALE_CTRL_EPOCH,
            RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE,
            RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
            RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS,
            RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL,
            RD_KAFKA_RESP_ERR_INVALID_GROUP_ID,
            RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT,
            RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE,
            RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM,
            RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE,
            RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS,
            RD_KAFKA_RESP_ERR_INVALID_PARTITIONS,
            RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR,
            RD_KAFKA_RESP_ERR_INVALID_REPLICA_ASSIGNMENT,
            RD_KAFKA_RESP_ERR_INVALID_CONFIG,
            RD_KAFKA_RESP_ERR_INVALID_REQUEST,
            RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
            RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT,
            RD_KAFKA_RESP_ERR_SECURITY_DISABLED,
            RD_KAFKA_RESP_ERR_OPERATION_NOT_ATTEMPTED,
            RD_KAFKA_RESP_ERR_LOG_DIR_NOT_FOUND,
            RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
            RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_AUTH_DISABLED,
            RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_NOT_FOUND,
            RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_OWNER_MISMATCH,
            RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED,
            RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_EXPIRED,
            RD_KAFKA_RESP_ERR_INVALID_PRINCIPAL_TYPE,
            RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP,
            RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND,
            RD_KAFKA_RESP_ERR_TOPIC_DELETION_DISABLED,
            RD_KAFKA_RESP_ERR_STALE_BROKER_EPOCH,
            RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED,
            // Another instance has this one's `group.instance.id`: joining again would take it back and forth.
            RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
            RD_KAFKA_RESP_ERR_ELECTION_NOT_NEEDED,
            RD_KAFKA_RESP_ERR_NO_REASSIGNMENT_IN_PROGRESS,
            RD_KAFKA_RESP_ERR_GROUP_SUBSCRIBED_TO_TOPIC,
            RD_KAFKA_RESP_ERR_RESOURCE_NOT_FOUND,
            RD_KAFKA_RESP_ERR_DUPLICATE_RESOURCE,
            RD_KAFKA_RESP_ERR_UNACCEPTABLE_CREDENTIAL,
            RD_KAFKA_RESP_ERR_INCONSISTENT_VOTER_SET,
            RD_KAFKA_RESP_ERR_INVALID_UPDATE_VERSION,
            RD_KAFKA_RESP_ERR_FEATURE_UPDATE_FAILED,
            RD_KAFKA_RESP_ERR_PRINCIPAL_DESERIALIZATION_FAILURE,
            RD_KAFKA_RESP_ERR_UNRELEASED_INSTANCE_ID,
            RD_KAFKA_RESP_ERR_UNSUPPORTED_ASSIGNOR,
            RD_KAFKA_RESP_ERR_UNKNOWN_SUBSCRIPTION_ID,
            RD_KAFKA_RESP_ERR_TELEMETRY_TOO_LARGE,
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::super::raw;
    use super::*;

    #[test]
    fn every_code_that_librdkafka_knows_is_in_the_table_once() {
        let known: Vec<(i32, String)> = raw::all_codes();
        assert!(known.len() > 150, "librdkafka told {} codes", known.len());
        for (code, name) in &known {
            let times = TABLE.iter().flat_map(|(_, codes)| *codes).filter(|listed| **listed as i32 == *code).count();
            assert_eq!(times, 1, "{name} ({code})");
        }
        for listed in TABLE.iter().flat_map(|(_, codes)| *codes) {
            assert!(known.iter().any(|(code, _)| *code == *listed as i32), "{listed:?} is unknown to librdkafka");
        }
    }

    #[test]
    fn codes_that_librdkafka_does_not_know_are_taken_as_they_came() {
        assert_eq!(kind_of_code(120), BrokerErrorKind::AbortRequired);
        assert_eq!(kind_of_code(9999), BrokerErrorKind::Fatal);
        assert!(raw::name_of_code(9999).contains("9999"), "{}", raw::name_of_code(9999));
    }

    #[test]
    fn flags_of_a_transactional_error_outrank_its_code() {
        use BrokerErrorKind as K;
        let failure = |code: Code, fatal, requires_abort, retriable| Failure {
            fatal,
            requires_abort,
            retriable,
            ..Failure::of_code(code as i32)
        };
        for (failure, kind) in [
            (failure(RD_KAFKA_RESP_ERR__FENCED, true, false, false), K::Fenced),
            (failure(RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, true, false, false), K::Fenced),
            (failure(RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, true, false, false), K::Authorization),
            (failure(RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, true, false, false), K::Unsupported),
            (failure(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, false, true, false), K::Rejoin),
            (failure(RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, false, true, false), K::Rejoin),
            (failure(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, false, true, false), K::Authorization),
            (failure(RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, false, true, false), K::AbortRequired),
            (failure(RD_KAFKA_RESP_ERR__INCONSISTENT, false, true, false), K::AbortRequired),
            (failure(RD_KAFKA_RESP_ERR__TIMED_OUT, false, false, true), K::Retriable),
            (failure(RD_KAFKA_RESP_ERR__STATE, false, false, false), K::Fatal),
        ] {
            assert_eq!(kind_of_failure(&failure), kind, "{failure}");
        }
    }

    #[test]
    fn a_lost_sequence_ends_a_producer_unless_a_transaction_can_be_aborted() {
        use BrokerErrorKind as K;
        for code in LOST_SEQUENCE {
            assert_eq!(kind_of_delivery(*code as i32, true, false), K::AbortRequired, "{code:?}");
            assert_eq!(kind_of_delivery(*code as i32, true, true), K::Fenced, "{code:?}");
            assert_eq!(kind_of_delivery(*code as i32, false, false), K::Fenced, "{code:?}");
        }
        assert_eq!(kind_of_delivery(RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH as i32, true, false), K::Fenced);
        assert_eq!(kind_of_delivery(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as i32, true, false), K::RecordRefused);
        assert_eq!(kind_of_delivery(RD_KAFKA_RESP_ERR__PURGE_QUEUE as i32, true, false), K::Retriable);
    }
}
