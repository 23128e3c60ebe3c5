//! A value with the time of its last update.

use kafka_streams_core::Timestamp;

/// The row of a timestamped store (`ValueAndTimestamp` of the JVM).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ValueAndTimestamp<V> {
    /// The value.
    pub value: V,
    /// When it was last updated, in milliseconds of event time.
    pub timestamp: Timestamp,
}

impl<V> ValueAndTimestamp<V> {
    /// A value as of `timestamp`.
    pub fn new(value: V, timestamp: Timestamp) -> Self {
        ValueAndTimestamp { value, timestamp }
    }
}
