//! Window stores that remember when each value was last updated, and with which headers.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use kafka_streams_core::SharedSerde;

use crate::format::with_headers::ValueTimestampHeadersSerde;
use crate::layer::Layers;
use crate::store::delegate_state_store;
use crate::{ValueTimestampHeaders, WindowStore};

/// A store of one value with its timestamp and headers for each key and window start
/// (`TimestampedWindowStoreWithHeaders` of the JVM, KIP-1271).
///
/// It is a [`WindowStore`] of [`ValueTimestampHeaders`]. In the changelog the timestamp and the headers are those of the
/// record, and a deletion has those of the record in hand.
pub struct TimestampedWindowStoreWithHeaders<K, V>(WindowStore<K, ValueTimestampHeaders<V>>);

impl<K: 'static, V: 'static> TimestampedWindowStoreWithHeaders<K, V> {
    pub(crate) fn new(
        layers: Layers,
        keys: SharedSerde<K>,
        values: SharedSerde<V>,
        window_size: i64,
        retain_duplicates: bool,
    ) -> Self {
        let values = Arc::new(ValueTimestampHeadersSerde(values));
        TimestampedWindowStoreWithHeaders(WindowStore::new(layers, keys, values, window_size, retain_duplicates))
    }
}

impl<K, V> Deref for TimestampedWindowStoreWithHeaders<K, V> {
    type Target = WindowStore<K, ValueTimestampHeaders<V>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

delegate_state_store!(TimestampedWindowStoreWithHeaders, 0);

impl<K, V> fmt::Debug for TimestampedWindowStoreWithHeaders<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TimestampedWindowStoreWithHeaders").field(&self.0.layers).finish()
    }
}
