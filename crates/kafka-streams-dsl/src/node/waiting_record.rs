//! Records of a left or outer stream-stream join that wait for a partner, as both sides share them in one store.
//!
//! - key: i64 record time ‖ i8 side (1 = left, 0 = right) ‖ key (`TimestampedKeyAndJoinSide` of the JVM);
//! - value: i8 side ‖ value (`LeftOrRightValue` of the JVM).
//!
//! Numbers are big-endian, so that the store's order is that of the times.

use std::borrow::Cow;

use kafka_streams_core::{Serde, SerdeError, SharedSerde, Timestamp};

/// A side of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// The key of a waiting record, and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WaitingKey<K> {
    pub(crate) timestamp: Timestamp,
    pub(crate) side: Side,
    pub(crate) key: K,
}

/// The value of a waiting record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LeftOrRight<L, R> {
    Left(L),
    Right(R),
}

impl Side {
    fn byte(self) -> u8 {
        match self {
            Side::Left => 1,
            Side::Right => 0,
        }
    }

    fn of_byte(byte: u8) -> Side {
        if byte == 0 { Side::Right } else { Side::Left }
    }
}

pub(crate) struct WaitingKeySerde<K>(pub(crate) SharedSerde<K>);

impl<K: 'static> Serde for WaitingKeySerde<K> {
    type Target = WaitingKey<K>;

    fn serialize(&self, topic: &str, key: &WaitingKey<K>, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        out.extend_from_slice(&key.timestamp.to_be_bytes());
        out.push(key.side.byte());
        self.0.serialize(topic, &key.key, out)
    }

    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<WaitingKey<K>, SerdeError> {
        let (timestamp, rest) = bytes.split_first_chunk::<8>().ok_or_else(too_short::<WaitingKey<K>>)?;
        let (side, key) = rest.split_first().ok_or_else(too_short::<WaitingKey<K>>)?;
        let key = self.0.deserialize(topic, key)?;
        Ok(WaitingKey { timestamp: Timestamp::from_be_bytes(*timestamp), side: Side::of_byte(*side), key })
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Owned(format!("waiting<{}>", self.0.id()))
    }
}

pub(crate) struct LeftOrRightSerde<L, R> {
    pub(crate) left: SharedSerde<L>,
    pub(crate) right: SharedSerde<R>,
}

impl<L: 'static, R: 'static> Serde for LeftOrRightSerde<L, R> {
    type Target = LeftOrRight<L, R>;

    fn serialize(&self, topic: &str, value: &LeftOrRight<L, R>, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        match value {
            LeftOrRight::Left(value) => {
                out.push(Side::Left.byte());
                self.left.serialize(topic, value, out)
            }
            LeftOrRight::Right(value) => {
                out.push(Side::Right.byte());
                self.right.serialize(topic, value, out)
            }
        }
    }

    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<LeftOrRight<L, R>, SerdeError> {
        let (side, value) = bytes.split_first().ok_or_else(too_short::<LeftOrRight<L, R>>)?;
        Ok(match Side::of_byte(*side) {
            Side::Left => LeftOrRight::Left(self.left.deserialize(topic, value)?),
            Side::Right => LeftOrRight::Right(self.right.deserialize(topic, value)?),
        })
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Owned(format!("left-or-right<{}, {}>", self.left.id(), self.right.id()))
    }
}

#[cold]
fn too_short<T>() -> SerdeError {
    SerdeError::invalid::<T>("it has too few bytes")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kafka_streams_core::serde::StringSerde;

    use super::*;

    #[test]
    fn waiting_records_have_the_jvms_bytes() {
        // Key and list entry of a left record "L1" of key "A" at time 1000, written by Kafka Streams 4.3.
        let keys = WaitingKeySerde(Arc::new(StringSerde));
        let key = WaitingKey { timestamp: 1000, side: Side::Left, key: "A".to_owned() };
        let mut bytes = Vec::new();
        keys.serialize("", &key, &mut bytes).unwrap();
        assert_eq!(bytes, b"\0\0\0\0\0\0\x03\xe8\x01A");
        assert_eq!(keys.deserialize("", &bytes).unwrap(), key);
        assert!(keys.deserialize("", &bytes[..8]).is_err());
        let values = LeftOrRightSerde { left: Arc::new(StringSerde), right: Arc::new(StringSerde) };
        for (value, golden) in
            [(LeftOrRight::Left("L1".to_owned()), b"\x01L1"), (LeftOrRight::Right("R1".to_owned()), b"\0R1")]
        {
            let mut bytes = Vec::new();
            values.serialize("", &value, &mut bytes).unwrap();
            assert_eq!(bytes, golden);
            assert_eq!(values.deserialize("", &bytes).unwrap(), value);
        }
        assert!(values.deserialize("", b"").is_err());
    }
}
