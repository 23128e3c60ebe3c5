//! From what was said about a table's store to its builder.

use std::sync::Arc;

use kafka_streams_core::SharedSerde;
use kafka_streams_state::{
    SessionStoreBuilder, StoreKind, TimestampedKeyValueStoreBuilder, TimestampedWindowStoreBuilder, TypedStoreBuilder,
};

use crate::graph::Graph;
use crate::option::Materialized;
use crate::time_windows::millis;
use crate::windows::FixedWindows;
use crate::{BuildError, SessionWindows};

/// Caching and logging, for builders of different types.
macro_rules! configured {
    ($materialized:expr, $builder:expr) => {{
        let builder = $builder;
        let builder = match $materialized.caching {
            true => builder.with_caching_enabled(),
            false => builder.with_caching_disabled(),
        };
        match &$materialized.logging {
            Some(config) => builder.with_logging_enabled(config.clone()),
            None => builder.with_logging_disabled(),
        }
    }};
}

impl<K: 'static, V: 'static> Materialized<K, V> {
    /// The key's serde: the given one, or that of the stream or table.
    pub(crate) fn key_serde(&self, inherited: &SharedSerde<K>) -> SharedSerde<K> {
        self.keys.as_ref().map_or_else(|| inherited.clone(), |keys| keys.or_inherited(Some(inherited)))
    }

    /// The store of a table.
    pub(crate) fn key_value_store(
        &self,
        name: &str,
        keys: &SharedSerde<K>,
        values: &SharedSerde<V>,
    ) -> TimestampedKeyValueStoreBuilder<K, V> {
        let (name, keys, values): (Arc<str>, _, _) = (name.into(), keys.clone(), values.clone());
        let kind = self.max_entries.map_or(StoreKind::KeyValue, |max_entries| StoreKind::LruMap { max_entries });
        configured!(self, TypedStoreBuilder::new(name, kind, self.persistent, keys, values))
    }

    /// The store of a windowed table, which keeps a window until it can change no more, or longer.
    pub(crate) fn window_store(
        &self,
        graph: &mut Graph,
        name: &str,
        windows: FixedWindows,
        on_close: bool,
        keys: &SharedSerde<K>,
        values: &SharedSerde<V>,
    ) -> TimestampedWindowStoreBuilder<K, V> {
        let retention_ms = self.retention_ms(graph, name, windows.retention_ms());
        let kind = StoreKind::Window { window_size_ms: windows.size_ms(), retention_ms, retain_duplicates: false };
        let (name, keys, values): (Arc<str>, _, _) = (name.into(), keys.clone(), values.clone());
        let store = TypedStoreBuilder::new(name, kind, self.persistent, keys, values).with_grace_ms(windows.grace_ms());
        let builder = configured!(self, store);
        match (on_close, windows) {
            (false, _) => builder,
            (true, FixedWindows::Sliding(_)) => builder.with_time_index().with_caching_disabled(),
            (true, _) => builder.with_time_index(),
        }
    }

    /// The store of a table of sessions, which keeps a session until it can change no more, or longer.
    pub(crate) fn session_store(
        &self,
        graph: &mut Graph,
        name: &str,
        windows: SessionWindows,
        on_close: bool,
        keys: &SharedSerde<K>,
        values: &SharedSerde<V>,
    ) -> SessionStoreBuilder<K, V> {
        let retention_ms = self.retention_ms(graph, name, windows.gap_and_grace_ms());
        let kind = StoreKind::Session { retention_ms };
        let (name, keys, values): (Arc<str>, _, _) = (name.into(), keys.clone(), values.clone());
        let store = TypedStoreBuilder::new(name, kind, self.persistent, keys, values).with_grace_ms(windows.grace_ms);
        let builder = configured!(self, store);
        if on_close { builder.with_time_index().with_caching_disabled() } else { builder }
    }

    fn retention_ms(&self, graph: &mut Graph, store: &str, needed_ms: i64) -> i64 {
        let retention_ms = self.retention.map_or(needed_ms, millis);
        if retention_ms < needed_ms {
            graph.errors.push(BuildError::RetentionTooShort { store: store.to_owned(), retention_ms, needed_ms });
        }
        retention_ms
    }
}
