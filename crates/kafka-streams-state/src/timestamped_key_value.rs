//! Key-value stores that remember when each value was last updated: what the DSL's tables and aggregations use.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Change, SharedSerde, Step, TaskContext, Timestamp};

use crate::format::value::ValueAndTimestampSerde;
use crate::key_value::FlushListener;
use crate::layer::Layers;
use crate::store::delegate_state_store;
use crate::{KeyValueStore, ValueAndTimestamp};

/// A store of one value with its timestamp for each key.
///
/// It is a [`KeyValueStore`] of [`ValueAndTimestamp`], with updates and listeners that speak of values: the timestamp
/// becomes the record's. The changelog's records carry the timestamp as theirs, too.
pub struct TimestampedKeyValueStore<K, V>(KeyValueStore<K, ValueAndTimestamp<V>>);

/// An update of a timestamped store that is to be forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated<V> {
    /// What the value was and is.
    pub change: Change<V>,
    /// The timestamp of the new value; for a deletion, the one that the update was called with.
    pub timestamp: Timestamp,
}

impl<V> Updated<V> {
    pub(crate) fn new(change: Change<ValueAndTimestamp<V>>, timestamp: Timestamp) -> Self {
        let timestamp = change.new.as_ref().map_or(timestamp, |new| new.timestamp);
        Updated { change: change.map(|row| row.value), timestamp }
    }
}

impl<K: 'static, V: 'static> TimestampedKeyValueStore<K, V> {
    pub(crate) fn new(layers: Layers, keys: SharedSerde<K>, values: SharedSerde<V>) -> Self {
        TimestampedKeyValueStore(KeyValueStore::new(layers, keys, Arc::new(ValueAndTimestampSerde(values))))
    }

    /// [`KeyValueStore::update`], for an input record of `timestamp`.
    ///
    /// ```ignore
    /// let updated = counts.update(cx, &key, record.timestamp, |old| {
    ///     let (count, time) = old.map_or((0, record.timestamp), |old| (old.value, old.timestamp.max(record.timestamp)));
    ///     Ok(Some(ValueAndTimestamp::new(count + 1, time)))
    /// })?;
    /// ```
    ///
    /// # Errors
    /// As [`KeyValueStore::update`].
    #[inline]
    pub fn update(
        &self,
        cx: &mut TaskContext,
        key: &K,
        timestamp: Timestamp,
        change: impl FnOnce(Option<ValueAndTimestamp<V>>) -> Step<Option<ValueAndTimestamp<V>>>,
    ) -> Step<Option<Updated<V>>>
    where
        V: Clone,
    {
        let change = self.0.update(cx, key, change)?;
        Ok(change.map(|change| Updated::new(change, timestamp)))
    }

    /// [`KeyValueStore::set_flush_listener`]; the record's timestamp is that of the new value, and for a deletion that
    /// of the record that caused it (`TimestampedCacheFlushListener` of the JVM).
    pub fn set_flush_listener(&self, send_old_values: bool, listener: FlushListener<K, V>) -> bool {
        self.0.set_flush_listener(
            send_old_values,
            Rc::new(move |cx, record| {
                let timestamp = record.value.new.as_ref().map_or(record.timestamp, |new| new.timestamp);
                let record = record.map_value(|_, change| change.map(|row| row.value));
                listener(cx, record.with_timestamp(timestamp))
            }),
        )
    }
}

impl<K, V> Deref for TimestampedKeyValueStore<K, V> {
    type Target = KeyValueStore<K, ValueAndTimestamp<V>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

delegate_state_store!(TimestampedKeyValueStore, 0);

impl<K, V> fmt::Debug for TimestampedKeyValueStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TimestampedKeyValueStore").field(&self.0.layers).finish()
    }
}
