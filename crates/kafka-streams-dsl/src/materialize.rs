//! From what was said about a table's store to its builder.

use std::sync::Arc;

use kafka_streams_core::SharedSerde;
use kafka_streams_state::{
    SessionStoreBuilder, StoreKind, TimestampedKeyValueStoreBuilder, TimestampedWindowStoreBuilder, TypedStoreBuilder,
    VersionedKeyValueStoreBuilder,
};

use crate::graph::{Graph, TableId};
use crate::lower::{StoreSlot, TableStore};
use crate::option::Materialized;
use crate::time_windows::millis;
use crate::view::View;
use crate::windows::FixedWindows;
use crate::{BuildError, SessionWindows};

/// Caching and logging, for builders of different types.
macro_rules! configured {
    ($materialized:expr, $builder:expr) => {{
        let builder = $builder.with_dsl_store_format();
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
        configured!(self, TypedStoreBuilder::new(name, self.kind(), self.persistent, keys, values))
    }

    /// The store of a table of a topic or a stream, and how it is read.
    pub(crate) fn table_store(
        &self,
        table: TableId,
        name: &str,
        keys: &SharedSerde<K>,
        values: &SharedSerde<V>,
    ) -> (TableStore<TimestampedKeyValueStoreBuilder<K, V>>, View<K, V>) {
        let slot = StoreSlot::default();
        let builder = Some(self.key_value_store(name, keys, values));
        (TableStore { table, builder, slot: slot.clone() }, View::of_store(slot))
    }

    /// [`table_store`](Materialized::table_store) of a versioned table.
    pub(crate) fn versioned_table_store(
        &self,
        table: TableId,
        name: &str,
        keys: &SharedSerde<K>,
        values: &SharedSerde<V>,
    ) -> (TableStore<VersionedKeyValueStoreBuilder<K, V>>, View<K, V>) {
        let slot = StoreSlot::default();
        let (name, keys, values): (Arc<str>, _, _) = (name.into(), keys.clone(), values.clone());
        let builder = configured!(self, TypedStoreBuilder::new(name, self.kind(), self.persistent, keys, values));
        (TableStore { table, builder: Some(builder), slot: slot.clone() }, View::of_versioned_store(slot))
    }

    /// Whether rows are kept with their versions; a table that cannot be versioned refuses the kind when it is built.
    fn kind(&self) -> StoreKind {
        match (self.history, self.max_entries) {
            (Some(history), _) => StoreKind::versioned(history),
            (None, Some(max_entries)) => StoreKind::LruMap { max_entries },
            (None, None) => StoreKind::KeyValue,
        }
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
        self.refuse_versions(graph, name);
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
        self.refuse_versions(graph, name);
        let retention_ms = self.retention_ms(graph, name, windows.gap_and_grace_ms());
        let kind = StoreKind::Session { retention_ms };
        let (name, keys, values): (Arc<str>, _, _) = (name.into(), keys.clone(), values.clone());
        let store = TypedStoreBuilder::new(name, kind, self.persistent, keys, values).with_grace_ms(windows.grace_ms);
        let builder = configured!(self, store);
        if on_close { builder.with_time_index().with_caching_disabled() } else { builder }
    }

    /// Notes it as a mistake if a table is said to be versioned that cannot be; stores of single rows refuse it themselves.
    pub(crate) fn refuse_versions(&self, graph: &mut Graph, of: &str) {
        if self.history.is_some() {
            graph.errors.push(BuildError::CannotBeVersioned { of: of.to_owned() });
        }
    }

    fn retention_ms(&self, graph: &mut Graph, store: &str, needed_ms: i64) -> i64 {
        let retention_ms = self.retention.map_or(needed_ms, millis);
        if retention_ms < needed_ms {
            graph.errors.push(BuildError::RetentionTooShort { store: store.to_owned(), retention_ms, needed_ms });
        }
        retention_ms
    }
}
