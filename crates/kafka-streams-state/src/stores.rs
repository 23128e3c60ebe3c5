//! The stores that there are, by the names of the JVM's `Stores`.

mod with_headers;

use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::Serde;

use crate::{
    KeyValueStoreBuilder, SessionStoreBuilder, StoreKind, TimestampedKeyValueStoreBuilder,
    TimestampedWindowStoreBuilder, TypedStoreBuilder, VersionedKeyValueStoreBuilder, WindowStoreBuilder,
};

/// Declares stores.
///
/// ```
/// use kafka_streams_core::serde::{I64Serde, StringSerde};
/// use kafka_streams_state::Stores;
///
/// let counts = Stores::persistent_key_value_store("counts", StringSerde, I64Serde).with_caching_enabled();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Stores;

impl Stores {
    /// A key-value store on disk.
    pub fn persistent_key_value_store<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> KeyValueStoreBuilder<K, V> {
        TypedStoreBuilder::new(name, StoreKind::KeyValue, true, Arc::new(keys), Arc::new(values))
    }

    /// A key-value store on disk, with a timestamp for each value.
    pub fn persistent_timestamped_key_value_store<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> TimestampedKeyValueStoreBuilder<K, V> {
        TypedStoreBuilder::new(name, StoreKind::KeyValue, true, Arc::new(keys), Arc::new(values))
    }

    /// A key-value store in memory.
    pub fn in_memory_key_value_store<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> KeyValueStoreBuilder<K, V> {
        TypedStoreBuilder::new(name, StoreKind::KeyValue, false, Arc::new(keys), Arc::new(values))
    }

    /// A key-value store in memory, with a timestamp for each value.
    pub fn in_memory_timestamped_key_value_store<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> TimestampedKeyValueStoreBuilder<K, V> {
        TypedStoreBuilder::new(name, StoreKind::KeyValue, false, Arc::new(keys), Arc::new(values))
    }

    /// A key-value store in memory that keeps the `max_entries` entries that were read or written last.
    ///
    /// ```
    /// use kafka_streams_core::serde::{I64Serde, StringSerde};
    /// use kafka_streams_state::Stores;
    ///
    /// let recent = Stores::lru_map("recent", 1000, StringSerde, I64Serde);
    /// ```
    pub fn lru_map<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        max_entries: usize,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> KeyValueStoreBuilder<K, V> {
        TypedStoreBuilder::new(name, StoreKind::LruMap { max_entries }, false, Arc::new(keys), Arc::new(values))
    }

    /// A store on disk of the values of each key with the times from which they were valid; values are kept for
    /// `history_retention` after their end.
    ///
    /// ```
    /// use kafka_streams_core::serde::{I64Serde, StringSerde};
    /// use kafka_streams_state::Stores;
    /// use std::time::Duration;
    ///
    /// let day = Duration::from_secs(86_400);
    /// let prices = Stores::persistent_versioned_key_value_store("prices", day, StringSerde, I64Serde);
    /// ```
    pub fn persistent_versioned_key_value_store<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        history_retention: Duration,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> VersionedKeyValueStoreBuilder<K, V> {
        let kind = StoreKind::versioned(history_retention);
        TypedStoreBuilder::new(name, kind, true, Arc::new(keys), Arc::new(values))
    }

    /// A window store on disk. Windows are kept for `retention` after their start, at least `window_size`.
    pub fn persistent_window_store<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        retention: Duration,
        window_size: Duration,
        retain_duplicates: bool,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> WindowStoreBuilder<K, V> {
        let kind = window(retention, window_size, retain_duplicates);
        TypedStoreBuilder::new(name, kind, true, Arc::new(keys), Arc::new(values))
    }

    /// A window store on disk, with a timestamp for each value.
    pub fn persistent_timestamped_window_store<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        retention: Duration,
        window_size: Duration,
        retain_duplicates: bool,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> TimestampedWindowStoreBuilder<K, V> {
        let kind = window(retention, window_size, retain_duplicates);
        TypedStoreBuilder::new(name, kind, true, Arc::new(keys), Arc::new(values))
    }

    /// A window store in memory.
    pub fn in_memory_window_store<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        retention: Duration,
        window_size: Duration,
        retain_duplicates: bool,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> WindowStoreBuilder<K, V> {
        let kind = window(retention, window_size, retain_duplicates);
        TypedStoreBuilder::new(name, kind, false, Arc::new(keys), Arc::new(values))
    }

    /// A session store on disk. Sessions are kept for `retention` after their end.
    ///
    /// ```
    /// use kafka_streams_core::serde::{I64Serde, StringSerde};
    /// use kafka_streams_state::Stores;
    /// use std::time::Duration;
    ///
    /// let visits = Stores::persistent_session_store("visits", Duration::from_secs(3600), StringSerde, I64Serde);
    /// ```
    pub fn persistent_session_store<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        retention: Duration,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> SessionStoreBuilder<K, V> {
        TypedStoreBuilder::new(name, session(retention), true, Arc::new(keys), Arc::new(values))
    }

    /// A session store in memory. Sessions are kept for `retention` after their end.
    pub fn in_memory_session_store<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        retention: Duration,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> SessionStoreBuilder<K, V> {
        TypedStoreBuilder::new(name, session(retention), false, Arc::new(keys), Arc::new(values))
    }

    /// A window store in memory, with a timestamp for each value.
    pub fn in_memory_timestamped_window_store<K: 'static, V: 'static>(
        name: impl Into<Arc<str>>,
        retention: Duration,
        window_size: Duration,
        retain_duplicates: bool,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> TimestampedWindowStoreBuilder<K, V> {
        let kind = window(retention, window_size, retain_duplicates);
        TypedStoreBuilder::new(name, kind, false, Arc::new(keys), Arc::new(values))
    }
}

fn session(retention: Duration) -> StoreKind {
    StoreKind::Session { retention_ms: i64::try_from(retention.as_millis()).unwrap_or(i64::MAX) }
}

fn window(retention: Duration, window_size: Duration, retain_duplicates: bool) -> StoreKind {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    StoreKind::Window { window_size_ms: millis(window_size), retention_ms: millis(retention), retain_duplicates }
}
