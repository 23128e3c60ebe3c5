//! What can go wrong between this crate and a broker.

use kafka_protocol::error::ResponseError;
use kafka_streams_engine::port::{BrokerError, BrokerErrorKind};

use crate::network::Address;

/// A failure of a request to the cluster: what, at which broker, and what to do about it.
///
/// `Settings` is the user's mistake, `Encode` a defect of this library, `FrameSize` and `Malformed` mean that the other
/// side does not speak Kafka's protocol, and the others are the network's or the broker's trouble. Whether to try again
/// is told by [`Error::kind`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection settings contradict themselves, or hold a certificate or key that cannot be read.
    #[error("the connection settings cannot be used: {reason}")]
    Settings {
        /// What is wrong, and what to do.
        reason: String,
    },
    /// No connection came about.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// The broker.
        address: Address,
        /// What the operating system said.
        reason: String,
    },
    /// The TLS handshake failed.
    #[error("TLS handshake with {address} failed: {reason}")]
    Tls {
        /// The broker.
        address: Address,
        /// What the TLS library said.
        reason: String,
    },
    /// The broker does not accept the credentials, or the mechanism.
    #[error("{address} refuses authentication with {mechanism}: {reason}")]
    Authentication {
        /// The broker.
        address: Address,
        /// The SASL mechanism.
        mechanism: &'static str,
        /// What the broker said.
        reason: String,
    },
    /// The connection ended with a request unanswered.
    #[error("{address} closed the connection before it answered {request}: {reason}")]
    Disconnected {
        /// The broker.
        address: Address,
        /// The request.
        request: &'static str,
        /// How the connection ended.
        reason: String,
    },
    /// No answer in time. The connection is closed.
    #[error("{address} did not answer {request} within {limit_ms} ms")]
    TimedOut {
        /// The broker.
        address: Address,
        /// The request.
        request: &'static str,
        /// How long was waited, in milliseconds.
        limit_ms: u64,
    },
    /// A frame's length is impossible: what answers is no Kafka broker, or speaks TLS where plain text was expected.
    #[error("{address} announced a frame of {size} bytes, at most {limit} are accepted{hint}")]
    FrameSize {
        /// The broker.
        address: Address,
        /// The length as read.
        size: i32,
        /// The greatest length accepted.
        limit: usize,
        /// What the bytes look like; begins with a colon if not empty.
        hint: &'static str,
    },
    /// An answer cannot be read. The connection is closed.
    #[error("{address} sent an answer to {request} version {version} that cannot be read: {reason}")]
    Malformed {
        /// The broker.
        address: Address,
        /// The request.
        request: &'static str,
        /// The version that it was sent with.
        version: i16,
        /// What does not fit.
        reason: String,
    },
    /// A request cannot be written: a defect of this library, or a name longer than the protocol allows.
    #[error("{request} version {version} cannot be written: {reason}")]
    Encode {
        /// The request.
        request: &'static str,
        /// The version that was to be sent.
        version: i16,
        /// What does not fit.
        reason: String,
    },
    /// The broker does not offer a version of a request that we speak.
    #[error(
        "{address} offers {request} {offered}, but {needed} is needed: \
         the oldest supported broker is Apache Kafka {OLDEST_BROKER}"
    )]
    Unsupported {
        /// The broker.
        address: Address,
        /// The request.
        request: &'static str,
        /// What the broker offers: `version 0 to 3`, or `in no version`.
        offered: String,
        /// What we speak: `version 4 to 6`.
        needed: String,
    },
    /// The broker answered with an error.
    #[error("{action}: {}{}", code_name(*code), detail(message))]
    Refused {
        /// What was attempted, and on what: `commit offset of lines-0`.
        action: String,
        /// The error's code on the wire, never 0.
        code: i16,
        /// The broker's own words; mostly empty.
        message: String,
    },
    /// Neither the known brokers nor the bootstrap servers can be reached.
    #[error("no broker can be reached, neither a known one nor {bootstrap}; the last said: {last}")]
    NoBroker {
        /// `bootstrap.servers`.
        bootstrap: String,
        /// The last failure.
        last: Box<Error>,
    },
}

/// The oldest broker that offers all that is needed. It follows from the table of versions in `network::version`: the
/// requests for coordinators (version 4) and for committed offsets (version 8) of several groups came with 3.0.
pub const OLDEST_BROKER: &str = "3.0";

/// Kafka's error codes that are handled by value.
pub(crate) mod code {
    pub(crate) const UNKNOWN_SERVER_ERROR: i16 = -1;
    pub(crate) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    pub(crate) const LEADER_NOT_AVAILABLE: i16 = 5;
    pub(crate) const NOT_LEADER_OR_FOLLOWER: i16 = 6;
    pub(crate) const REPLICA_NOT_AVAILABLE: i16 = 9;
    pub(crate) const COORDINATOR_NOT_AVAILABLE: i16 = 15;
    pub(crate) const NOT_COORDINATOR: i16 = 16;
    pub(crate) const UNSUPPORTED_VERSION: i16 = 35;
    pub(crate) const TOPIC_ALREADY_EXISTS: i16 = 36;
    pub(crate) const NOT_CONTROLLER: i16 = 41;
    pub(crate) const KAFKA_STORAGE_ERROR: i16 = 56;
    pub(crate) const FENCED_LEADER_EPOCH: i16 = 74;
}

impl Error {
    /// What follows from it.
    pub fn kind(&self) -> BrokerErrorKind {
        match self {
            Error::Connect { .. } | Error::Disconnected { .. } | Error::TimedOut { .. } => BrokerErrorKind::Retriable,
            Error::NoBroker { last, .. } => last.kind(),
            Error::Unsupported { .. } => BrokerErrorKind::Unsupported,
            Error::Refused { code, .. } => kind_of_code(*code),
            Error::Settings { .. }
            | Error::Tls { .. }
            | Error::Authentication { .. }
            | Error::FrameSize { .. }
            | Error::Malformed { .. }
            | Error::Encode { .. } => BrokerErrorKind::Fatal,
        }
    }

    /// Whether it passes by itself.
    pub fn is_retriable(&self) -> bool {
        self.kind() == BrokerErrorKind::Retriable
    }

    /// The broker's error code, if the broker answered with one.
    pub fn code(&self) -> Option<i16> {
        match self {
            Error::Refused { code, .. } => Some(*code),
            Error::NoBroker { last, .. } => last.code(),
            _ => None,
        }
    }

    /// As the engine wants it. `action` is what was attempted, for errors that do not know it themselves.
    pub fn into_broker_error(self, action: &str) -> BrokerError {
        let kind = self.kind();
        match self {
            Error::Refused { action, code, message } => {
                BrokerError { kind, action, message: format!("{}{}", code_name(code), detail(&message)) }
            }
            other => BrokerError { kind, action: action.to_owned(), message: other.to_string() },
        }
    }

    /// An answer that leaves out what was asked for. Retriable would hide it, so it is the unexplained error.
    pub(crate) fn left_out(action: String) -> Error {
        let message = "the broker's answer leaves it out".to_owned();
        Error::Refused { action, code: code::UNKNOWN_SERVER_ERROR, message }
    }

    /// The refusal with this code, unless the code is 0.
    pub(crate) fn refusal(code: i16, action: impl FnOnce() -> String, message: Option<&str>) -> Result<(), Error> {
        if code == 0 {
            return Ok(());
        }
        Err(Error::Refused { action: action(), code, message: message.unwrap_or_default().to_owned() })
    }
}

/// What follows from an error code. Retriable as `org.apache.kafka.common.protocol.Errors` has it, but for an unknown
/// topic, which the caller may want to create.
pub(crate) fn kind_of_code(code: i16) -> BrokerErrorKind {
    use ResponseError as R;
    let Some(error) = R::try_from_code(code) else { return BrokerErrorKind::Fatal };
    match error {
        R::UnknownTopicOrPartition | R::UnknownTopicId => BrokerErrorKind::UnknownTopic,
        R::TopicAuthorizationFailed
        | R::GroupAuthorizationFailed
        | R::ClusterAuthorizationFailed
        | R::TransactionalIdAuthorizationFailed => BrokerErrorKind::Authorization,
        R::IllegalGeneration | R::UnknownMemberId | R::FencedMemberEpoch | R::StaleMemberEpoch => {
            BrokerErrorKind::Rejoin
        }
        // A commit between JoinGroup and SyncGroup; it is taken again when the group is stable.
        R::RebalanceInProgress | R::ConcurrentTransactions => BrokerErrorKind::Retriable,
        R::InvalidProducerEpoch | R::ProducerFenced => BrokerErrorKind::Fenced,
        R::UnsupportedVersion => BrokerErrorKind::Unsupported,
        R::MessageTooLarge | R::RecordListTooLarge | R::InvalidRecord => BrokerErrorKind::RecordRefused,
        error if error.is_retriable() => BrokerErrorKind::Retriable,
        _ => BrokerErrorKind::Fatal,
    }
}

/// Kafka's name of an error code, with the code: `UNSTABLE_OFFSET_COMMIT (88)`.
pub(crate) fn code_name(code: i16) -> String {
    match ResponseError::try_from_code(code) {
        None => "NONE (0)".to_owned(),
        Some(ResponseError::Unknown(code)) => format!("error code {code}"),
        Some(error) => format!("{} ({code})", screaming(&error.to_string())),
    }
}

/// `UnknownServerError` as `UNKNOWN_SERVER_ERROR`.
fn screaming(camel: &str) -> String {
    let mut name = String::with_capacity(camel.len() + 8);
    for (at, letter) in camel.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

fn detail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_kafkas_error() {
        let error = Error::refusal(88, || "fetch offsets of group g".to_owned(), None).unwrap_err();
        assert_eq!(error.to_string(), "fetch offsets of group g: UNSTABLE_OFFSET_COMMIT (88)");
        assert_eq!(error.kind(), BrokerErrorKind::Retriable);
        let error = Error::refusal(37, || "create topic t".to_owned(), Some("too few")).unwrap_err();
        assert_eq!(error.into_broker_error("x").message, "INVALID_PARTITIONS (37): too few");
        assert_eq!(Error::refusal(0, String::new, None), Ok(()));
    }

    #[test]
    fn codes_lead_to_what_follows_from_them() {
        for (code, kind) in [
            (3, BrokerErrorKind::UnknownTopic),
            (14, BrokerErrorKind::Retriable),
            (16, BrokerErrorKind::Retriable),
            (22, BrokerErrorKind::Rejoin),
            (25, BrokerErrorKind::Rejoin),
            (27, BrokerErrorKind::Retriable),
            (29, BrokerErrorKind::Authorization),
            (35, BrokerErrorKind::Unsupported),
            (42, BrokerErrorKind::Fatal),
            (82, BrokerErrorKind::Fatal),
            (90, BrokerErrorKind::Fenced),
            (999, BrokerErrorKind::Fatal),
        ] {
            assert_eq!(kind_of_code(code), kind, "{code}");
        }
    }
}
