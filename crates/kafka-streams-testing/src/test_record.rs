//! A record of a test: typed, and as bytes.

use std::sync::Arc;

use kafka_streams_core::{Headers, SerdeError, SharedSerde, Timestamp, read_nullable};

use crate::TestDriverError;

/// A record that a test pipes in or reads (`org.apache.kafka.streams.test.TestRecord`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRecord<K, V> {
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
    /// Milliseconds since the epoch. Of a record to be piped, `None` takes the input topic's time; of one that was read,
    /// that the producer was given none.
    pub timestamp: Option<Timestamp>,
    /// The headers.
    pub headers: Headers,
}

/// A record as bytes; `None` is a null key or value.
pub type RawTestRecord = TestRecord<Option<Box<[u8]>>, Option<Box<[u8]>>>;

impl<K, V> TestRecord<K, V> {
    /// A record without headers, at the input topic's time.
    pub fn new(key: K, value: V) -> Self {
        TestRecord { key, value, timestamp: None, headers: Headers::new() }
    }

    /// The same record at this time, in milliseconds since the epoch.
    #[must_use]
    pub fn with_timestamp(self, timestamp: Timestamp) -> Self {
        TestRecord { timestamp: Some(timestamp), ..self }
    }

    /// The same record with one header more.
    #[must_use]
    pub fn with_header(mut self, key: impl Into<String>, value: Option<Vec<u8>>) -> Self {
        self.headers.add(key, value);
        self
    }

    /// The same record with these headers.
    #[must_use]
    pub fn with_headers(self, headers: Headers) -> Self {
        TestRecord { headers, ..self }
    }
}

impl<K: 'static, V: 'static> TestRecord<K, V> {
    pub(crate) fn to_raw(
        &self,
        topic: &Arc<str>,
        keys: &SharedSerde<K>,
        values: &SharedSerde<V>,
    ) -> Result<RawTestRecord, TestDriverError> {
        let failed = |part| move |error| TestDriverError::Serde { action: "write", part, topic: topic.clone(), error };
        Ok(TestRecord {
            key: write(&**keys, topic, &self.key).map_err(failed("key"))?,
            value: write(&**values, topic, &self.value).map_err(failed("value"))?,
            timestamp: self.timestamp,
            headers: self.headers.clone(),
        })
    }

    pub(crate) fn from_raw(
        raw: RawTestRecord,
        topic: &Arc<str>,
        keys: &SharedSerde<K>,
        values: &SharedSerde<V>,
    ) -> Result<Self, TestDriverError> {
        let failed = |part| move |error| TestDriverError::Serde { action: "read", part, topic: topic.clone(), error };
        Ok(TestRecord {
            key: read_nullable(&**keys, topic, raw.key.as_deref()).map_err(failed("key"))?,
            value: read_nullable(&**values, topic, raw.value.as_deref()).map_err(failed("value"))?,
            timestamp: raw.timestamp,
            headers: raw.headers,
        })
    }
}

fn write<T: 'static>(
    serde: &dyn kafka_streams_core::Serde<Target = T>,
    topic: &str,
    value: &T,
) -> Result<Option<Box<[u8]>>, SerdeError> {
    if serde.is_null(value) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    serde.serialize(topic, value, &mut bytes)?;
    Ok(Some(bytes.into()))
}
