//! Window stores that remember when each value was last updated: what windowed aggregations use.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{SharedSerde, Step, TaskContext, Timestamp};

use crate::format::value::ValueAndTimestampSerde;
use crate::key_value::FlushListener;
use crate::layer::Layers;
use crate::store::delegate_state_store;
use crate::{Updated, ValueAndTimestamp, WindowStore, Windowed};

/// A store of one value with its timestamp for each key and window start.
///
/// It is a [`WindowStore`] of [`ValueAndTimestamp`], with updates and listeners that speak of values.
pub struct TimestampedWindowStore<K, V>(WindowStore<K, ValueAndTimestamp<V>>);

impl<K: 'static, V: 'static> TimestampedWindowStore<K, V> {
    pub(crate) fn new(
        layers: Layers,
        keys: SharedSerde<K>,
        values: SharedSerde<V>,
        window_size: i64,
        retain_duplicates: bool,
    ) -> Self {
        let values = Arc::new(ValueAndTimestampSerde(values));
        TimestampedWindowStore(WindowStore::new(layers, keys, values, window_size, retain_duplicates))
    }

    /// [`WindowStore::update`], for an input record of `timestamp`.
    ///
    /// # Errors
    /// As [`WindowStore::update`].
    #[inline]
    pub fn update(
        &self,
        cx: &mut TaskContext,
        key: &K,
        window_start: Timestamp,
        timestamp: Timestamp,
        change: impl FnOnce(Option<ValueAndTimestamp<V>>) -> Step<Option<ValueAndTimestamp<V>>>,
    ) -> Step<Option<Updated<V>>>
    where
        V: Clone,
    {
        let change = self.0.update(cx, key, window_start, change)?;
        Ok(change.map(|change| Updated::new(change, timestamp)))
    }

    /// [`WindowStore::set_flush_listener`]; the record's timestamp is that of the new value, and for a deletion that of
    /// the record that caused it.
    pub fn set_flush_listener(&self, send_old_values: bool, listener: FlushListener<Windowed<K>, V>) -> bool {
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

impl<K, V> Deref for TimestampedWindowStore<K, V> {
    type Target = WindowStore<K, ValueAndTimestamp<V>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

delegate_state_store!(TimestampedWindowStore, 0);

impl<K, V> fmt::Debug for TimestampedWindowStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TimestampedWindowStore").field(&self.0.layers).finish()
    }
}
