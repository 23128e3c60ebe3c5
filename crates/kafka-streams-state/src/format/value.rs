//! What is before the value in a row: headers, a timestamp (i64, big-endian milliseconds), both or nothing.
//!
//! Sources: `ValueAndTimestampSerializer`, `ValueTimestampHeadersSerializer`, `RecordConverters` of the JVM. The changelog
//! holds the value alone; timestamp and headers are the record's.

use std::borrow::Cow;

use kafka_streams_core::{Headers, RawRecord, Serde, SerdeError, SharedSerde, Timestamp};

use super::headers;
use crate::{StoreSpec, ValueAndTimestamp};

/// Size of the timestamp before the value.
pub(crate) const TIMESTAMP_SIZE: usize = 8;

/// What is before the values of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ValueFormat {
    /// Whether rows begin with headers.
    pub(crate) headers: bool,
    /// Whether a timestamp comes next.
    pub(crate) timestamped: bool,
}

/// A row's value, taken apart.
pub(crate) struct SplitValue<'a> {
    pub(crate) headers: Headers,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) value: &'a [u8],
}

impl ValueFormat {
    pub(crate) fn of(spec: &StoreSpec) -> Self {
        ValueFormat { headers: spec.headers, timestamped: spec.timestamped }
    }

    /// Takes a row's value apart, as far as it is one of this format.
    #[inline]
    pub(crate) fn split(self, bytes: &[u8]) -> SplitValue<'_> {
        let (headers, rest) = match self.headers {
            true => headers::split(bytes).unwrap_or((Headers::new(), bytes)),
            false => (Headers::new(), bytes),
        };
        match split(rest).filter(|_| self.timestamped) {
            Some((timestamp, value)) => SplitValue { headers, timestamp: Some(timestamp), value },
            None => SplitValue { headers, timestamp: None, value: rest },
        }
    }

    /// Calls `f` with the row's value as a record of the changelog tells it.
    pub(crate) fn of_record<R>(self, record: &RawRecord<'_>, f: impl FnOnce(Option<&[u8]>) -> R) -> R {
        let value = match record.value {
            Some(value) if self != ValueFormat::default() => value,
            value => return f(value),
        };
        let mut bytes = Vec::with_capacity(TIMESTAMP_SIZE + value.len());
        if self.headers {
            headers::append(record.headers.unwrap_or(&Headers::new()), &mut bytes);
        }
        if self.timestamped {
            bytes.extend_from_slice(&record.timestamp.to_be_bytes());
        }
        bytes.extend_from_slice(value);
        f(Some(&bytes))
    }
}

/// Splits a row's value into its timestamp and the bytes of the value.
#[inline]
pub(crate) fn split(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (timestamp, value) = bytes.split_first_chunk::<TIMESTAMP_SIZE>()?;
    Some((Timestamp::from_be_bytes(*timestamp), value))
}

/// The serde of timestamped stores around the serde of their values.
pub(crate) struct ValueAndTimestampSerde<V>(pub(crate) SharedSerde<V>);

impl<V: 'static> Serde for ValueAndTimestampSerde<V> {
    type Target = ValueAndTimestamp<V>;

    #[inline]
    fn serialize(&self, topic: &str, value: &ValueAndTimestamp<V>, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        out.extend_from_slice(&value.timestamp.to_be_bytes());
        self.0.serialize(topic, &value.value, out)
    }

    #[inline]
    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<ValueAndTimestamp<V>, SerdeError> {
        let wrong = || SerdeError::WrongSize { type_name: "timestamp", expected: TIMESTAMP_SIZE, found: bytes.len() };
        let (timestamp, value) = split(bytes).ok_or_else(wrong)?;
        Ok(ValueAndTimestamp { value: self.0.deserialize(topic, value)?, timestamp })
    }

    fn is_null(&self, value: &ValueAndTimestamp<V>) -> bool {
        self.0.is_null(&value.value)
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Owned(format!("timestamped<{}>", self.0.id()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kafka_streams_core::serde::StringSerde;

    use super::*;

    #[test]
    fn a_value_with_its_timestamp_has_the_jvms_bytes() {
        // ValueAndTimestamp("v", 1000), written by Kafka Streams 4.3.
        let golden = [0, 0, 0, 0, 0, 0, 3, 0xe8, 0x76];
        let serde = ValueAndTimestampSerde(Arc::new(StringSerde));
        let value = ValueAndTimestamp { value: "v".to_owned(), timestamp: 1000 };
        let mut bytes = Vec::new();
        serde.serialize("", &value, &mut bytes).unwrap();
        assert_eq!(bytes, golden);
        assert_eq!(serde.deserialize("", &golden).unwrap(), value);
        assert!(serde.deserialize("", &golden[..7]).is_err());
    }
}
