//! Stores whose rows keep headers (KIP-1271), for processors that need on a later record what came with an earlier one.

use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::Serde;

use super::{Stores, session, window};
use crate::{
    SessionStoreWithHeadersBuilder, StoreKind, TimestampedKeyValueStoreWithHeadersBuilder,
    TimestampedWindowStoreWithHeadersBuilder, TypedStoreBuilder,
};

impl Stores {
    /// A key-value store on disk, with a timestamp and headers for each value.
    ///
    /// ```
    /// use kafka_streams_core::serde::{I64Serde, StringSerde};
    /// use kafka_streams_state::Stores;
    ///
    /// let orders = Stores::persistent_timestamped_key_value_store_with_headers("orders", StringSerde, I64Serde);
    /// ```
    pub fn persistent_timestamped_key_value_store_with_headers<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> TimestampedKeyValueStoreWithHeadersBuilder<K, V> {
        TypedStoreBuilder::new(name, StoreKind::KeyValue, true, Arc::new(keys), Arc::new(values))
    }

    /// A key-value store in memory, with a timestamp and headers for each value.
    pub fn in_memory_timestamped_key_value_store_with_headers<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> TimestampedKeyValueStoreWithHeadersBuilder<K, V> {
        TypedStoreBuilder::new(name, StoreKind::KeyValue, false, Arc::new(keys), Arc::new(values))
    }

    /// A window store on disk, with a timestamp and headers for each value. Windows are kept for `retention` after their
    /// start, at least `window_size`.
    ///
    /// ```
    /// use kafka_streams_core::serde::{I64Serde, StringSerde};
    /// use kafka_streams_state::Stores;
    /// use std::time::Duration;
    ///
    /// let (day, hour) = (Duration::from_secs(86_400), Duration::from_secs(3_600));
    /// let visits =
    ///     Stores::persistent_timestamped_window_store_with_headers("visits", day, hour, false, StringSerde, I64Serde);
    /// ```
    pub fn persistent_timestamped_window_store_with_headers<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        retention: Duration,
        window_size: Duration,
        retain_duplicates: bool,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> TimestampedWindowStoreWithHeadersBuilder<K, V> {
        let kind = window(retention, window_size, retain_duplicates);
        TypedStoreBuilder::new(name, kind, true, Arc::new(keys), Arc::new(values))
    }

    /// A window store in memory, with a timestamp and headers for each value.
    pub fn in_memory_timestamped_window_store_with_headers<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        retention: Duration,
        window_size: Duration,
        retain_duplicates: bool,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> TimestampedWindowStoreWithHeadersBuilder<K, V> {
        let kind = window(retention, window_size, retain_duplicates);
        TypedStoreBuilder::new(name, kind, false, Arc::new(keys), Arc::new(values))
    }

    /// A session store on disk, with headers for each aggregate. Sessions are kept for `retention` after their end.
    ///
    /// ```
    /// use kafka_streams_core::serde::{I64Serde, StringSerde};
    /// use kafka_streams_state::Stores;
    /// use std::time::Duration;
    ///
    /// let hour = Duration::from_secs(3_600);
    /// let visits = Stores::persistent_session_store_with_headers("visits", hour, StringSerde, I64Serde);
    /// ```
    pub fn persistent_session_store_with_headers<K: 'static, A: 'static>(
        name: impl Into<Arc<str>>,
        retention: Duration,
        keys: impl Serde<Target = K>,
        aggregations: impl Serde<Target = A>,
    ) -> SessionStoreWithHeadersBuilder<K, A> {
        TypedStoreBuilder::new(name, session(retention), true, Arc::new(keys), Arc::new(aggregations))
    }

    /// A session store in memory, with headers for each aggregate. Sessions are kept for `retention` after their end.
    pub fn in_memory_session_store_with_headers<K: 'static, A: 'static>(
        name: impl Into<Arc<str>>,
        retention: Duration,
        keys: impl Serde<Target = K>,
        aggregations: impl Serde<Target = A>,
    ) -> SessionStoreWithHeadersBuilder<K, A> {
        TypedStoreBuilder::new(name, session(retention), false, Arc::new(keys), Arc::new(aggregations))
    }
}
