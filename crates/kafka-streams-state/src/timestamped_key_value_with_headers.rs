//! Key-value stores that remember when each value was last updated, and with which headers.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use kafka_streams_core::SharedSerde;

use crate::format::with_headers::ValueTimestampHeadersSerde;
use crate::layer::Layers;
use crate::store::delegate_state_store;
use crate::{KeyValueStore, ValueTimestampHeaders};

/// A store of one value with its timestamp and headers for each key (`TimestampedKeyValueStoreWithHeaders` of the JVM,
/// KIP-1271).
///
/// It is a [`KeyValueStore`] of [`ValueTimestampHeaders`]. In the changelog the timestamp and the headers are those of the
/// record, and a deletion has those of the record in hand. A row is
/// `varint length of the headers ‖ headers ‖ i64 timestamp ‖ value`.
pub struct TimestampedKeyValueStoreWithHeaders<K, V>(KeyValueStore<K, ValueTimestampHeaders<V>>);

impl<K: 'static, V: 'static> TimestampedKeyValueStoreWithHeaders<K, V> {
    pub(crate) fn new(layers: Layers, keys: SharedSerde<K>, values: SharedSerde<V>) -> Self {
        let values = Arc::new(ValueTimestampHeadersSerde(values));
        TimestampedKeyValueStoreWithHeaders(KeyValueStore::new(layers, keys, values))
    }
}

impl<K, V> Deref for TimestampedKeyValueStoreWithHeaders<K, V> {
    type Target = KeyValueStore<K, ValueTimestampHeaders<V>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

delegate_state_store!(TimestampedKeyValueStoreWithHeaders, 0);

impl<K, V> fmt::Debug for TimestampedKeyValueStoreWithHeaders<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TimestampedKeyValueStoreWithHeaders").field(&self.0.layers).finish()
    }
}
