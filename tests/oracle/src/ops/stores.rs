//! Stores of processors (section 9 of `SPEC.md`), one type for all kinds.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::{Step, TaskContext};
use kafka_streams_dsl::{StoreRef, StoreRefs};
use kafka_streams_state::{
    KeyValueStore, Stores, TimestampedKeyValueStore, TypedStore, TypedStoreBuilder, ValueAndTimestamp,
    VersionedKeyValueStore, WindowStore,
};
use kafka_streams_topology::{ProcessorStores, StoreIndex, Wiring};

use crate::build::Build;
use crate::fault::Fault;
use crate::spec::{self, StoreKind};
use crate::value::{Key, KeySerde, Value, ValueSerde};

/// Adds a store to the DSL's builder.
///
/// # Errors
/// See [`Fault`].
pub fn add(build: &mut Build, store: &spec::Store) -> Result<(), Fault> {
    let added = AnyStoreBuilder::of(store)?.add_to(&build.builder)?;
    build.stores.insert(store.name.clone(), added);
    Ok(())
}

/// A store by its typed reference.
#[derive(Clone, Copy, Debug)]
pub enum AnyStoreRef {
    /// A key-value store.
    KeyValue(StoreRef<KeyValueStore<Key, Value>>),
    /// A key-value store with timestamps.
    Timestamped(StoreRef<TimestampedKeyValueStore<Key, Value>>),
    /// A versioned store.
    Versioned(StoreRef<VersionedKeyValueStore<Key, Value>>),
    /// A window store.
    Window(StoreRef<WindowStore<Key, Value>>),
}

/// The store of a task.
#[derive(Clone)]
pub enum AnyStore {
    /// A key-value store.
    KeyValue(Rc<KeyValueStore<Key, Value>>),
    /// A key-value store with timestamps.
    Timestamped(Rc<TimestampedKeyValueStore<Key, Value>>),
    /// A versioned store.
    Versioned(Rc<VersionedKeyValueStore<Key, Value>>),
    /// A window store.
    Window(Rc<WindowStore<Key, Value>>),
    /// The store of a table of counts.
    Counts(Rc<TimestampedKeyValueStore<Key, i64>>),
}

/// The stores that a processor is connected to, of which it uses the first; at most [`MOST`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Connected(pub [Option<AnyStoreRef>; MOST]);

/// More stores than any case connects to one processor.
pub const MOST: usize = 4;

impl StoreRefs for Connected {
    type Stores = Option<AnyStore>;

    fn indexes(&self) -> Vec<StoreIndex> {
        self.0.iter().flatten().map(|store| store.index()).collect()
    }

    fn resolve(&self, wiring: &Wiring<'_>) -> Step<Option<AnyStore>> {
        self.0.first().copied().flatten().map(|store| store.resolve(wiring)).transpose()
    }
}

impl AnyStoreRef {
    fn index(self) -> StoreIndex {
        match self {
            AnyStoreRef::KeyValue(store) => store.index(),
            AnyStoreRef::Timestamped(store) => store.index(),
            AnyStoreRef::Versioned(store) => store.index(),
            AnyStoreRef::Window(store) => store.index(),
        }
    }

    fn resolve(self, wiring: &Wiring<'_>) -> Step<AnyStore> {
        Ok(match self {
            AnyStoreRef::KeyValue(store) => AnyStore::KeyValue(wiring.store(store)?),
            AnyStoreRef::Timestamped(store) => AnyStore::Timestamped(wiring.store(store)?),
            AnyStoreRef::Versioned(store) => AnyStore::Versioned(wiring.store(store)?),
            AnyStoreRef::Window(store) => AnyStore::Window(wiring.store(store)?),
        })
    }
}

impl AnyStore {
    /// The store of this name, whatever it is: that of a table, a global one, or one of processors.
    ///
    /// # Errors
    /// There is no such store.
    pub fn named(stores: &ProcessorStores<'_>, name: &str) -> Step<AnyStore> {
        let key_value = stores.named(name).map(AnyStore::KeyValue);
        let timestamped = || stores.named(name).map(AnyStore::Timestamped);
        let counts = || stores.named(name).map(AnyStore::Counts);
        let versioned = || stores.named(name).map(AnyStore::Versioned);
        let others = || counts().or_else(|_| versioned()).or_else(|_| stores.named(name).map(AnyStore::Window));
        key_value.or_else(|_| timestamped()).or_else(|_| others())
    }

    /// The value of a key; null for a null key.
    ///
    /// # Errors
    /// The store fails.
    pub fn get(&self, key: &Key) -> Step<Value> {
        if key.0.is_none() {
            return Ok(Value::Null);
        }
        Ok(match self {
            AnyStore::KeyValue(store) => store.get(key)?.into(),
            AnyStore::Timestamped(store) => store.get(key)?.map(|row| row.value).into(),
            AnyStore::Counts(store) => store.get(key)?.map_or(Value::Null, |row| Value::Long(row.value)),
            AnyStore::Versioned(store) => store.get(key)?.map(|row| row.value).into(),
            AnyStore::Window(_) => Value::Null,
        })
    }

    /// Sets the value of a key; null deletes it.
    ///
    /// # Errors
    /// The store fails.
    pub fn put(&self, cx: &mut TaskContext, key: &Key, value: Value, timestamp: i64) -> Step {
        let row = value.into_row();
        match self {
            AnyStore::KeyValue(store) => store.put(cx, key, row.as_ref()),
            AnyStore::Timestamped(store) => {
                let row = row.map(|row| ValueAndTimestamp::new(row, timestamp));
                store.put(cx, key, row.as_ref())
            }
            AnyStore::Versioned(store) => store.put(cx, key, row.as_ref(), timestamp).map(|_| ()),
            AnyStore::Window(store) => store.put(cx, key, row.as_ref(), timestamp),
            AnyStore::Counts(store) => {
                let row = row.map(|row| ValueAndTimestamp::new(row.number(), timestamp));
                store.put(cx, key, row.as_ref())
            }
        }
    }
}

/// The declaration of a store of any kind.
pub enum AnyStoreBuilder {
    /// A key-value store.
    KeyValue(TypedStoreBuilder<KeyValueStore<Key, Value>>),
    /// A key-value store with timestamps.
    Timestamped(TypedStoreBuilder<TimestampedKeyValueStore<Key, Value>>),
    /// A versioned store.
    Versioned(TypedStoreBuilder<VersionedKeyValueStore<Key, Value>>),
    /// A window store.
    Window(TypedStoreBuilder<WindowStore<Key, Value>>),
}

impl AnyStoreBuilder {
    /// The declaration that the case has.
    ///
    /// # Errors
    /// A kind of store that the library does not have.
    pub fn of(store: &spec::Store) -> Result<Self, Fault> {
        let (name, keys, values): (Arc<str>, _, _) = (store.name.as_str().into(), KeySerde, ValueSerde(store.value));
        let millis = |millis: Option<u64>| Duration::from_millis(millis.unwrap_or_default());
        Ok(match (store.kind, store.persistent) {
            (StoreKind::KeyValue, true) => {
                AnyStoreBuilder::KeyValue(settle(Stores::persistent_key_value_store(name, keys, values), store))
            }
            (StoreKind::KeyValue, false) => {
                AnyStoreBuilder::KeyValue(settle(Stores::in_memory_key_value_store(name, keys, values), store))
            }
            (StoreKind::TimestampedKeyValue, true) => {
                let builder = Stores::persistent_timestamped_key_value_store(name, keys, values);
                AnyStoreBuilder::Timestamped(settle(builder, store))
            }
            (StoreKind::TimestampedKeyValue, false) => {
                let builder = Stores::in_memory_timestamped_key_value_store(name, keys, values);
                AnyStoreBuilder::Timestamped(settle(builder, store))
            }
            (StoreKind::Window, persistent) => {
                let (retention, size) = (millis(store.retention), millis(store.window_size));
                let duplicates = store.retain_duplicates;
                let builder = match persistent {
                    true => Stores::persistent_window_store(name, retention, size, duplicates, keys, values),
                    false => Stores::in_memory_window_store(name, retention, size, duplicates, keys, values),
                };
                AnyStoreBuilder::Window(settle(builder, store))
            }
            (StoreKind::Versioned, _) => {
                let history = millis(store.history);
                let builder = Stores::persistent_versioned_key_value_store(name, history, keys, values);
                AnyStoreBuilder::Versioned(settle(builder, store))
            }
        })
    }

    /// Adds the store to the DSL's builder.
    ///
    /// # Errors
    /// The builder refuses.
    pub fn add_to(self, builder: &kafka_streams_dsl::StreamsBuilder) -> Result<AnyStoreRef, Fault> {
        Ok(match self {
            AnyStoreBuilder::KeyValue(store) => AnyStoreRef::KeyValue(builder.add_state_store(store)?),
            AnyStoreBuilder::Timestamped(store) => AnyStoreRef::Timestamped(builder.add_state_store(store)?),
            AnyStoreBuilder::Versioned(store) => AnyStoreRef::Versioned(builder.add_state_store(store)?),
            AnyStoreBuilder::Window(store) => AnyStoreRef::Window(builder.add_state_store(store)?),
        })
    }

    /// Adds the store to a builder of the Processor API.
    ///
    /// # Errors
    /// The builder refuses.
    pub fn add_to_topology(
        self,
        builder: &mut kafka_streams_topology::TopologyBuilder,
        processors: &[&str],
    ) -> Result<AnyStoreRef, Fault> {
        Ok(match self {
            AnyStoreBuilder::KeyValue(store) => AnyStoreRef::KeyValue(builder.add_state_store(store, processors)?),
            AnyStoreBuilder::Timestamped(store) => {
                AnyStoreRef::Timestamped(builder.add_state_store(store, processors)?)
            }
            AnyStoreBuilder::Versioned(store) => AnyStoreRef::Versioned(builder.add_state_store(store, processors)?),
            AnyStoreBuilder::Window(store) => AnyStoreRef::Window(builder.add_state_store(store, processors)?),
        })
    }
}

fn settle<S: TypedStore>(mut builder: TypedStoreBuilder<S>, store: &spec::Store) -> TypedStoreBuilder<S> {
    match store.caching {
        Some(true) => builder = builder.with_caching_enabled(),
        Some(false) => builder = builder.with_caching_disabled(),
        None => {}
    }
    match store.logging.as_ref().map(spec::Logging::settings) {
        Some(Some(settings)) => builder.with_logging_enabled(settings),
        Some(None) => builder.with_logging_disabled(),
        None => builder,
    }
}
