//! A value with the time of its last update and the headers that came with it.

use kafka_streams_core::{Headers, Timestamp};

/// The row of a timestamped store with headers (`ValueTimestampHeaders` of the JVM, KIP-1271).
///
/// ```
/// use kafka_streams_core::Headers;
/// use kafka_streams_state::ValueTimestampHeaders;
///
/// let mut headers = Headers::new();
/// headers.add("trace-id", Some(vec![7]));
/// let row = ValueTimestampHeaders::new(42, 1_000, headers);
/// assert_eq!(row.headers.last("trace-id").and_then(|header| header.value.as_deref()), Some(&[7][..]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValueTimestampHeaders<V> {
    /// The value.
    pub value: V,
    /// When it was last updated, in milliseconds of event time.
    pub timestamp: Timestamp,
    /// The headers that are kept with it.
    pub headers: Headers,
}

impl<V> ValueTimestampHeaders<V> {
    /// A value as of `timestamp`, with these headers.
    pub fn new(value: V, timestamp: Timestamp, headers: Headers) -> Self {
        ValueTimestampHeaders { value, timestamp, headers }
    }
}
