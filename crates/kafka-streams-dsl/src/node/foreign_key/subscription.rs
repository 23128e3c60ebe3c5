//! What travels between the two sides: subscriptions and responses (`SubscriptionWrapperSerde`,
//! `SubscriptionResponseWrapperSerde` of the JVM).
//!
//! - subscription: i8 version, 0x80 set if there is no hash ‖ i8 instruction ‖ 16 bytes hash ‖ primary key ‖ from version 1
//!   on: i32 partition of the left row (big-endian);
//! - response: i8 version, 0x80 set if there is no hash ‖ 16 bytes hash ‖ value; no bytes are no value.

use std::borrow::Cow;
use std::sync::Arc;

use kafka_streams_core::{Failure, Serde, SerdeError, SharedSerde, Step};

use super::{PseudoTopics, RowHash};

/// What the right side is to do with a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instruction {
    /// End the old subscription; the new one will answer.
    DeleteKeyNoPropagate,
    /// End the subscription, and say that there is no value.
    DeleteKeyAndPropagate,
    /// Subscribe, and answer in any case.
    PropagateNullIfNoFkValAvailable,
    /// Subscribe, and answer if there is a value.
    PropagateOnlyIfFkValAvailable,
}

/// A left row's subscription to a foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription<K> {
    pub(crate) hash: RowHash,
    pub(crate) instruction: Instruction,
    pub(crate) primary_key: K,
    /// Above [`SUBSCRIPTION_VERSION`] for what a later release wrote.
    pub(crate) version: u8,
    /// The partition of the left row; subscriptions of version 0 do not tell.
    pub(crate) primary_partition: Option<i32>,
}

/// The answer to a subscription: the value of its foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response<V> {
    pub(crate) hash: RowHash,
    pub(crate) value: Option<V>,
    pub(crate) version: u8,
    /// Where the answer goes; not part of what is written.
    pub(crate) primary_partition: Option<i32>,
}

/// The version of subscriptions that is written.
pub(crate) const SUBSCRIPTION_VERSION: u8 = 1;
/// The version of responses that is written.
pub(crate) const RESPONSE_VERSION: u8 = 0;
const NO_HASH: u8 = 0x80;

impl<K> Subscription<K> {
    /// # Errors
    /// A later release has written it.
    pub(crate) fn check_version(&self) -> Step {
        if self.version > SUBSCRIPTION_VERSION { Err(unknown("subscription", self.version)) } else { Ok(()) }
    }
}

impl<V> Response<V> {
    /// # Errors
    /// A later release has written it.
    pub(crate) fn check_version(&self) -> Step {
        if self.version != RESPONSE_VERSION { Err(unknown("response", self.version)) } else { Ok(()) }
    }
}

#[cold]
fn unknown(what: &str, version: u8) -> Failure {
    Failure::processing(format!(
        "a {what} of a foreign-key join has version {version}, which this release does not know; a later release of the \
         application has written it"
    ))
}

/// Reads and writes subscriptions.
pub(crate) struct SubscriptionSerde<K> {
    pub(crate) topics: Arc<PseudoTopics>,
    pub(crate) keys: SharedSerde<K>,
}

impl<K: 'static> Serde for SubscriptionSerde<K> {
    type Target = Subscription<K>;

    fn serialize(&self, _topic: &str, value: &Subscription<K>, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        let instruction = match value.instruction {
            Instruction::DeleteKeyNoPropagate => 0,
            Instruction::DeleteKeyAndPropagate => 1,
            Instruction::PropagateNullIfNoFkValAvailable => 2,
            Instruction::PropagateOnlyIfFkValAvailable => 3,
        };
        write_head(value.version, value.hash, Some(instruction), out);
        self.keys.serialize(self.topics.primary(), &value.primary_key, out)?;
        if value.version > 0 {
            out.extend_from_slice(&value.primary_partition.unwrap_or(-1).to_be_bytes());
        }
        Ok(())
    }

    fn deserialize(&self, _topic: &str, bytes: &[u8]) -> Result<Subscription<K>, SerdeError> {
        let short = || SerdeError::invalid::<Subscription<K>>("it has too few bytes");
        let ([head, instruction], rest) = bytes.split_first_chunk::<2>().ok_or_else(short)?;
        let instruction = match instruction {
            0 => Instruction::DeleteKeyNoPropagate,
            1 => Instruction::DeleteKeyAndPropagate,
            2 => Instruction::PropagateNullIfNoFkValAvailable,
            3 => Instruction::PropagateOnlyIfFkValAvailable,
            other => {
                return Err(SerdeError::invalid::<Subscription<K>>(format_args!("there is no instruction {other}")));
            }
        };
        let (hash, rest) = read_hash(*head, rest).ok_or_else(short)?;
        let version = head & !NO_HASH;
        let (key, primary_partition) = match version {
            0 => (rest, None),
            _ => {
                let (key, partition) = rest.split_last_chunk::<4>().ok_or_else(short)?;
                (key, Some(i32::from_be_bytes(*partition)).filter(|partition| *partition >= 0))
            }
        };
        let primary_key = self.keys.deserialize(self.topics.primary(), key)?;
        Ok(Subscription { hash, instruction, primary_key, version, primary_partition })
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Owned(format!("subscription<{}>", self.keys.id()))
    }
}

/// Reads and writes responses.
pub(crate) struct ResponseSerde<V>(pub(crate) SharedSerde<V>);

impl<V: 'static> Serde for ResponseSerde<V> {
    type Target = Response<V>;

    fn serialize(&self, topic: &str, response: &Response<V>, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        write_head(response.version, response.hash, None, out);
        response.value.as_ref().map_or(Ok(()), |value| self.0.serialize(topic, value, out))
    }

    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<Response<V>, SerdeError> {
        let short = || SerdeError::invalid::<Response<V>>("it has too few bytes");
        let (head, rest) = bytes.split_first().ok_or_else(short)?;
        let (hash, rest) = read_hash(*head, rest).ok_or_else(short)?;
        let value = (!rest.is_empty()).then(|| self.0.deserialize(topic, rest)).transpose()?;
        Ok(Response { hash, value, version: head & !NO_HASH, primary_partition: None })
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Owned(format!("response<{}>", self.0.id()))
    }
}

fn write_head(version: u8, hash: RowHash, instruction: Option<u8>, out: &mut Vec<u8>) {
    out.push(if hash.is_none() { version | NO_HASH } else { version });
    out.extend(instruction);
    out.extend_from_slice(hash.as_ref().map(<[u8; 16]>::as_slice).unwrap_or_default());
}

fn read_hash(head: u8, bytes: &[u8]) -> Option<(RowHash, &[u8])> {
    if head & NO_HASH != 0 {
        return Some((None, bytes));
    }
    let (hash, rest) = bytes.split_first_chunk::<16>()?;
    Some((Some(*hash), rest))
}

#[cfg(test)]
mod tests {
    use kafka_streams_core::serde::StringSerde;
    use proptest::prelude::*;

    use super::*;

    fn subscriptions() -> SubscriptionSerde<String> {
        SubscriptionSerde { topics: PseudoTopics::of("t"), keys: Arc::new(StringSerde) }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn subscriptions_and_responses_have_the_jvms_bytes() {
        // As Kafka Streams 4.3 wrote them: of a row "Fv1" of key "K1", and of its deletion.
        let hash = Some(super::super::murmur3::hash128(b"Fv1"));
        let subscription = Subscription {
            hash,
            instruction: Instruction::PropagateOnlyIfFkValAvailable,
            primary_key: "K1".to_owned(),
            version: 1,
            primary_partition: Some(0),
        };
        let mut bytes = Vec::new();
        subscriptions().serialize("", &subscription, &mut bytes).unwrap();
        assert_eq!(hex(&bytes), "01034ddd3dcb1a9878d93d2e35c7545635d94b3100000000");
        assert_eq!(subscriptions().deserialize("", &bytes).unwrap(), subscription);
        let deleted = Subscription { hash: None, instruction: Instruction::DeleteKeyAndPropagate, ..subscription };
        bytes.clear();
        subscriptions().serialize("", &deleted, &mut bytes).unwrap();
        assert_eq!(hex(&bytes), "81014b3100000000");
        let responses = ResponseSerde(Arc::new(StringSerde));
        let response = Response { hash, value: Some("right".to_owned()), version: 0, primary_partition: None };
        bytes.clear();
        responses.serialize("", &response, &mut bytes).unwrap();
        assert_eq!(hex(&bytes), "004ddd3dcb1a9878d93d2e35c7545635d97269676874");
        assert_eq!(responses.deserialize("", &bytes).unwrap(), response);
        assert_eq!(responses.deserialize("", &[0x80]).unwrap().value, None);
    }

    #[test]
    fn version_0_has_no_partition_and_later_versions_are_told_apart() {
        let old = subscriptions().deserialize("", b"\x80\x02K1").unwrap();
        assert_eq!((old.version, old.primary_key.as_str(), old.primary_partition), (0, "K1", None));
        assert!(old.check_version().is_ok());
        let later = subscriptions().deserialize("", b"\x82\x02K1\0\0\0\x07").unwrap();
        assert!(later.check_version().is_err());
        assert!(subscriptions().deserialize("", b"\x80\x04K1").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = subscriptions().deserialize("", &bytes);
            let _ = ResponseSerde(Arc::new(StringSerde)).deserialize("", &bytes);
        }
    }
}
