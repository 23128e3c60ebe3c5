//! The serdes of stores with headers, around the serde of their values.
//!
//! Rows are `headers ‖ i64 timestamp ‖ value` and, of sessions, `headers ‖ aggregate`, with the headers as
//! [`format::headers`](super::headers) has them. Source: `ValueTimestampHeadersSerializer` and
//! `AggregationWithHeadersSerializer` of the JVM.

use std::borrow::Cow;

use kafka_streams_core::{Headers, Serde, SerdeError, SharedSerde};

use super::headers;
use super::value::{TIMESTAMP_SIZE, split};
use crate::{AggregationWithHeaders, ValueTimestampHeaders};

pub(crate) struct ValueTimestampHeadersSerde<V>(pub(crate) SharedSerde<V>);

impl<V: 'static> Serde for ValueTimestampHeadersSerde<V> {
    type Target = ValueTimestampHeaders<V>;

    fn serialize(&self, topic: &str, row: &ValueTimestampHeaders<V>, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        headers::append(&row.headers, out);
        out.extend_from_slice(&row.timestamp.to_be_bytes());
        self.0.serialize(topic, &row.value, out)
    }

    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<ValueTimestampHeaders<V>, SerdeError> {
        let (headers, rest) = split_headers::<V>(bytes)?;
        let wrong = || SerdeError::WrongSize { type_name: "timestamp", expected: TIMESTAMP_SIZE, found: rest.len() };
        let (timestamp, value) = split(rest).ok_or_else(wrong)?;
        Ok(ValueTimestampHeaders { value: self.0.deserialize(topic, value)?, timestamp, headers })
    }

    fn is_null(&self, row: &ValueTimestampHeaders<V>) -> bool {
        self.0.is_null(&row.value)
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Owned(format!("timestamped-with-headers<{}>", self.0.id()))
    }
}

pub(crate) struct AggregationWithHeadersSerde<A>(pub(crate) SharedSerde<A>);

impl<A: 'static> Serde for AggregationWithHeadersSerde<A> {
    type Target = AggregationWithHeaders<A>;

    fn serialize(&self, topic: &str, row: &AggregationWithHeaders<A>, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        headers::append(&row.headers, out);
        self.0.serialize(topic, &row.aggregation, out)
    }

    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<AggregationWithHeaders<A>, SerdeError> {
        let (headers, aggregation) = split_headers::<A>(bytes)?;
        Ok(AggregationWithHeaders { aggregation: self.0.deserialize(topic, aggregation)?, headers })
    }

    fn is_null(&self, row: &AggregationWithHeaders<A>) -> bool {
        self.0.is_null(&row.aggregation)
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Owned(format!("with-headers<{}>", self.0.id()))
    }
}

fn split_headers<V>(bytes: &[u8]) -> Result<(Headers, &[u8]), SerdeError> {
    headers::split(bytes).ok_or_else(|| SerdeError::invalid::<V>("the headers before it are damaged"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kafka_streams_core::serde::StringSerde;

    use super::*;

    /// The value "v" with the timestamp 1000 and the headers h1="v1" and n=null, written by Kafka Streams 4.3.
    const GOLDEN: &[u8] = b"\x14\x04\x04h1\x04v1\x02n\x01\0\0\0\0\0\0\x03\xe8v";

    fn headers() -> Headers {
        let mut headers = Headers::new();
        headers.add("h1", Some(b"v1".to_vec()));
        headers.add("n", None);
        headers
    }

    #[test]
    fn a_value_with_timestamp_and_headers_has_the_jvms_bytes() {
        let serde = ValueTimestampHeadersSerde(Arc::new(StringSerde));
        let row = ValueTimestampHeaders::new("v".to_owned(), 1000, headers());
        let mut bytes = Vec::new();
        serde.serialize("", &row, &mut bytes).unwrap();
        assert_eq!(bytes, GOLDEN);
        assert_eq!(serde.deserialize("", GOLDEN).unwrap(), row);
        assert!(serde.deserialize("", &GOLDEN[..18]).is_err(), "part of the timestamp is missing");
        assert!(serde.deserialize("", &GOLDEN[..10]).is_err(), "part of the headers is missing");
    }

    #[test]
    fn an_aggregate_with_headers_has_no_timestamp() {
        let serde = AggregationWithHeadersSerde(Arc::new(StringSerde));
        let row = AggregationWithHeaders::new("v".to_owned(), headers());
        let mut bytes = Vec::new();
        serde.serialize("", &row, &mut bytes).unwrap();
        assert_eq!(bytes, [&GOLDEN[..11], b"v"].concat());
        assert_eq!(serde.deserialize("", &bytes).unwrap(), row);
    }
}
