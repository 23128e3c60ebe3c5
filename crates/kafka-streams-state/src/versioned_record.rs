//! A value of a versioned store, and when it was valid.

use kafka_streams_core::Timestamp;

/// A version of a key in a [`VersionedKeyValueStore`](crate::VersionedKeyValueStore).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedRecord<V> {
    /// The value.
    pub value: V,
    /// From when it is valid, in milliseconds.
    pub timestamp: Timestamp,
    /// Until when it was valid, exclusive, in milliseconds; `None` for the latest version.
    pub valid_to: Option<Timestamp>,
}
