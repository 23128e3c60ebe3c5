//! What travels between nodes.

use crate::Headers;

/// Milliseconds since 1970-01-01T00:00:00Z, as Kafka stores them; -1 is "none".
pub type Timestamp = i64;

/// One record on its way through a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<K, V> {
    /// The key; `Option<K>` where it may be null.
    pub key: K,
    /// The value; `Option<V>` where it may be null.
    pub value: V,
    /// Event time in milliseconds, never negative inside a topology.
    pub timestamp: Timestamp,
    /// The headers, forwarded unchanged unless an operator changes them.
    pub headers: Headers,
}

impl<K, V> Record<K, V> {
    /// A record without headers.
    pub fn new(key: K, value: V, timestamp: Timestamp) -> Self {
        Record { key, value, timestamp, headers: Headers::new() }
    }

    /// The same record with another key.
    #[inline]
    pub fn with_key<K2>(self, key: K2) -> Record<K2, V> {
        Record { key, value: self.value, timestamp: self.timestamp, headers: self.headers }
    }

    /// The same record with another value.
    #[inline]
    pub fn with_value<V2>(self, value: V2) -> Record<K, V2> {
        Record { key: self.key, value, timestamp: self.timestamp, headers: self.headers }
    }

    /// The same record with another timestamp.
    #[inline]
    pub fn with_timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = timestamp;
        self
    }

    /// The same record with other headers.
    #[inline]
    pub fn with_headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// Turns the value into another while the key can be read.
    #[inline]
    pub fn map_value<V2>(self, f: impl FnOnce(&K, V) -> V2) -> Record<K, V2> {
        let value = f(&self.key, self.value);
        Record { key: self.key, value, timestamp: self.timestamp, headers: self.headers }
    }
}

/// An update of a table on its way downstream: what the row was and what it is.
///
/// `old` is only filled where a node below asked for it (`enableSendingOldValues` of the JVM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<V> {
    /// The row before; `None` if there was none, or if nobody below needs it.
    pub old: Option<V>,
    /// The row after; `None` is a deletion.
    pub new: Option<V>,
}

impl<V> Change<V> {
    /// Applies `f` to both sides.
    #[inline]
    pub fn map<V2>(self, mut f: impl FnMut(V) -> V2) -> Change<V2> {
        Change { old: self.old.map(&mut f), new: self.new.map(f) }
    }
}

/// A record as it was fetched: bytes that still lie in the fetch buffer.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// Offset in its partition.
    pub offset: i64,
    /// Timestamp in milliseconds; -1 if the record has none.
    pub timestamp: Timestamp,
    /// Key bytes; `None` is a null key.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is a null value.
    pub value: Option<&'a [u8]>,
    /// The headers; most records have none.
    pub headers: Option<&'a Headers>,
}
