//! The declaration of a store, from which each task makes its own.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::SharedSerde;

use crate::format::value::ValueFormat;
use crate::layer::segments::ExpiryRule;
use crate::layer::{Layers, LoggedHeaders, RowFormat};
use crate::{
    JoinBuffer, KeyValueStore, ListValueStore, SessionStore, SessionStoreWithHeaders, StateStore, StoreBuilder,
    StoreFacts, StoreKind, StoreParts, StoreSpec, TimestampedKeyValueStore, TimestampedKeyValueStoreWithHeaders,
    TimestampedWindowStore, TimestampedWindowStoreWithHeaders, VersionedKeyValueStore, WindowStore,
};

/// Makes stores of the type `S`. Returned by [`Stores`](crate::Stores); logged and not cached unless told otherwise.
pub struct TypedStoreBuilder<S: TypedStore> {
    spec: StoreSpec,
    keys: SharedSerde<S::Key>,
    values: SharedSerde<S::Value>,
    logs_headers: LoggedHeaders,
    grace_ms: Option<i64>,
    store: PhantomData<fn() -> S>,
}

/// Makes [`KeyValueStore`]s.
pub type KeyValueStoreBuilder<K, V> = TypedStoreBuilder<KeyValueStore<K, V>>;
/// Makes [`JoinBuffer`]s.
pub type JoinBufferBuilder<K, V> = TypedStoreBuilder<JoinBuffer<K, V>>;
/// Makes [`ListValueStore`]s.
pub type ListValueStoreBuilder<K, V> = TypedStoreBuilder<ListValueStore<K, V>>;
/// Makes [`TimestampedKeyValueStore`]s.
pub type TimestampedKeyValueStoreBuilder<K, V> = TypedStoreBuilder<TimestampedKeyValueStore<K, V>>;
/// Makes [`VersionedKeyValueStore`]s.
pub type VersionedKeyValueStoreBuilder<K, V> = TypedStoreBuilder<VersionedKeyValueStore<K, V>>;
/// Makes [`WindowStore`]s.
pub type WindowStoreBuilder<K, V> = TypedStoreBuilder<WindowStore<K, V>>;
/// Makes [`SessionStore`]s.
pub type SessionStoreBuilder<K, V> = TypedStoreBuilder<SessionStore<K, V>>;
/// Makes [`TimestampedWindowStore`]s.
pub type TimestampedWindowStoreBuilder<K, V> = TypedStoreBuilder<TimestampedWindowStore<K, V>>;

/// Makes [`TimestampedKeyValueStoreWithHeaders`]s.
pub type TimestampedKeyValueStoreWithHeadersBuilder<K, V> =
    TypedStoreBuilder<TimestampedKeyValueStoreWithHeaders<K, V>>;
/// Makes [`TimestampedWindowStoreWithHeaders`]s.
pub type TimestampedWindowStoreWithHeadersBuilder<K, V> = TypedStoreBuilder<TimestampedWindowStoreWithHeaders<K, V>>;
/// Makes [`SessionStoreWithHeaders`]s.
pub type SessionStoreWithHeadersBuilder<K, A> = TypedStoreBuilder<SessionStoreWithHeaders<K, A>>;

/// The store types of this crate; nobody else can implement it.
pub trait TypedStore: StateStore + Any {
    /// The type of its keys.
    type Key: 'static;
    /// The type of its values, without their timestamps and headers.
    type Value: 'static;
    /// Whether its rows carry a timestamp before the value.
    const TIMESTAMPED: bool;
    /// Whether its rows carry headers before the timestamp and the value.
    const HEADERS: bool;

    /// Makes a store from what is below its types.
    #[doc(hidden)]
    fn make(inner: sealed::Inner, keys: SharedSerde<Self::Key>, values: SharedSerde<Self::Value>) -> Self;
}

mod sealed {
    use super::{Layers, StoreKind};

    /// What is below the types of a store.
    pub struct Inner {
        pub(super) layers: Layers,
        pub(super) kind: StoreKind,
    }
}

impl<S: TypedStore> TypedStoreBuilder<S> {
    /// A store of this name and kind. `kind` is a window or session kind if and only if `S` is such a store; see
    /// [`Stores`](crate::Stores) for functions that cannot be called wrongly.
    pub fn new(
        name: impl Into<Arc<str>>,
        kind: StoreKind,
        persistent: bool,
        keys: SharedSerde<S::Key>,
        values: SharedSerde<S::Value>,
    ) -> Self {
        let spec = StoreSpec {
            name: name.into(),
            kind,
            timestamped: S::TIMESTAMPED,
            headers: S::HEADERS,
            persistent,
            caching: false,
            logging: Some(BTreeMap::new()),
            time_index: false,
        };
        let logs_headers = if S::HEADERS { LoggedHeaders::OfRows } else { LoggedHeaders::None };
        TypedStoreBuilder { spec, keys, values, logs_headers, grace_ms: None, store: PhantomData }
    }

    /// Holds updates back, so that only the last of a key is logged and forwarded at a commit or when the cache is full.
    /// Stores of duplicates or versions are never cached.
    #[must_use]
    pub fn with_caching_enabled(mut self) -> Self {
        self.spec.caching = true;
        self
    }

    /// Logs and forwards every update (the default).
    #[must_use]
    pub fn with_caching_disabled(mut self) -> Self {
        self.spec.caching = false;
        self
    }

    /// Gives the store a changelog (the default), whose topic has this configuration in addition to its kind's.
    #[must_use]
    pub fn with_logging_enabled(mut self, topic_config: BTreeMap<String, String>) -> Self {
        self.spec.logging = Some(topic_config);
        self
    }

    /// Gives the store no changelog: its content is lost with its files, and with every move of its task.
    #[must_use]
    pub fn with_logging_disabled(mut self) -> Self {
        self.spec.logging = None;
        self
    }

    /// Keeps a second, small row for each window or session, by which it is found by time: what an aggregation needs
    /// that emits when its windows close. Such a store keeps its windows until they are emitted.
    #[must_use]
    pub fn with_time_index(mut self) -> Self {
        self.spec.time_index = true;
        self
    }

    /// Sends the headers of the record in hand with each changelog record, as the JVM does for the window stores of
    /// stream-stream joins and for foreign-key subscription stores. Nothing changes for stores that keep headers.
    #[must_use]
    pub fn with_record_headers_logged(mut self) -> Self {
        // A store with headers logs those of its rows, and finds them again.
        if !S::HEADERS {
            self.logs_headers = LoggedHeaders::All;
        }
        self
    }

    /// Makes it a store of the DSL: on disk, it keeps what [`DslStoreFormat`](kafka_streams_core::DslStoreFormat) says.
    #[must_use]
    pub fn with_dsl_store_format(mut self) -> Self {
        if self.spec.persistent && !S::HEADERS {
            self.logs_headers = LoggedHeaders::OfDeletions;
        }
        self
    }

    /// Notes for the manifest how long the windows of this store take late records, in milliseconds. The store itself
    /// keeps what its retention says.
    #[must_use]
    pub fn with_grace_ms(mut self, grace_ms: i64) -> Self {
        self.grace_ms = Some(grace_ms);
        self
    }

    /// The serde of the keys.
    pub fn key_serde(&self) -> &SharedSerde<S::Key> {
        &self.keys
    }

    /// The serde of the values.
    pub fn value_serde(&self) -> &SharedSerde<S::Value> {
        &self.values
    }
}

impl<S: TypedStore> StoreBuilder for TypedStoreBuilder<S> {
    type Store = S;

    fn spec(&self) -> StoreSpec {
        self.spec.clone()
    }

    fn facts(&self) -> StoreFacts {
        StoreFacts { key_serde: Some(self.keys.id()), value_serde: Some(self.values.id()), grace_ms: self.grace_ms }
    }

    fn set_name(&mut self, name: Arc<str>) {
        self.spec.name = name;
    }

    fn build(&self, parts: StoreParts) -> Rc<S> {
        let StoreSpec { name, kind, caching, .. } = &self.spec;
        let windows = ExpiryRule::of(&self.spec);
        let retain_duplicates = matches!(kind, StoreKind::Window { retain_duplicates: true, .. });
        let max_rows = match kind {
            StoreKind::LruMap { max_entries } => Some(*max_entries),
            _ => None,
        };
        let (value, logs_headers) = (ValueFormat::of(&self.spec), self.logs_headers);
        let format = RowFormat { value, windows, retain_duplicates, logs_headers, max_rows };
        // Versions are no updates that could be thinned out.
        let caching = *caching && !matches!(kind, StoreKind::Versioned { .. });
        let layers = Layers::new(name.clone(), format, caching, parts);
        Rc::new(S::make(sealed::Inner { layers, kind: *kind }, self.keys.clone(), self.values.clone()))
    }
}

impl<S: TypedStore> Clone for TypedStoreBuilder<S> {
    fn clone(&self) -> Self {
        TypedStoreBuilder {
            spec: self.spec.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            logs_headers: self.logs_headers,
            grace_ms: self.grace_ms,
            store: PhantomData,
        }
    }
}

impl<S: TypedStore> fmt::Debug for TypedStoreBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedStoreBuilder").field("spec", &self.spec).finish_non_exhaustive()
    }
}

macro_rules! typed_store {
    ($store:ident, timestamped: $timestamped:literal, headers: $headers:literal, |$inner:ident, $keys:ident, $values:ident| $make:expr) => {
        impl<K: 'static, V: 'static> TypedStore for $store<K, V> {
            type Key = K;
            type Value = V;
            const TIMESTAMPED: bool = $timestamped;
            const HEADERS: bool = $headers;

            fn make($inner: sealed::Inner, $keys: SharedSerde<K>, $values: SharedSerde<V>) -> Self {
                $make
            }
        }
    };
}

typed_store!(KeyValueStore, timestamped: false, headers: false, |inner, keys, values| KeyValueStore::new(inner.layers, keys, values));
typed_store!(JoinBuffer, timestamped: false, headers: false, |inner, keys, values| JoinBuffer::new(inner.layers, keys, values));
typed_store!(ListValueStore, timestamped: false, headers: false, |inner, keys, values| ListValueStore::new(inner.layers, keys, values));
typed_store!(TimestampedKeyValueStore, timestamped: true, headers: false, |inner, keys, values| {
    TimestampedKeyValueStore::new(inner.layers, keys, values)
});
typed_store!(VersionedKeyValueStore, timestamped: false, headers: false, |inner, keys, values| {
    VersionedKeyValueStore::new(inner.layers, keys, values)
});
typed_store!(WindowStore, timestamped: false, headers: false, |inner, keys, values| {
    let (size, retain_duplicates) = window(inner.kind);
    WindowStore::new(inner.layers, keys, values, size, retain_duplicates)
});
typed_store!(SessionStore, timestamped: false, headers: false, |inner, keys, values| SessionStore::new(inner.layers, keys, values));
typed_store!(TimestampedWindowStore, timestamped: true, headers: false, |inner, keys, values| {
    let (size, retain_duplicates) = window(inner.kind);
    TimestampedWindowStore::new(inner.layers, keys, values, size, retain_duplicates)
});
typed_store!(TimestampedKeyValueStoreWithHeaders, timestamped: true, headers: true, |inner, keys, values| {
    TimestampedKeyValueStoreWithHeaders::new(inner.layers, keys, values)
});
typed_store!(TimestampedWindowStoreWithHeaders, timestamped: true, headers: true, |inner, keys, values| {
    let (size, retain_duplicates) = window(inner.kind);
    TimestampedWindowStoreWithHeaders::new(inner.layers, keys, values, size, retain_duplicates)
});
typed_store!(SessionStoreWithHeaders, timestamped: false, headers: true, |inner, keys, values| {
    SessionStoreWithHeaders::new(inner.layers, keys, values)
});

fn window(kind: StoreKind) -> (i64, bool) {
    match kind {
        StoreKind::Window { window_size_ms, retain_duplicates, .. } => (window_size_ms, retain_duplicates),
        _ => (0, false),
    }
}
