//! Global tables and stores, and the joins with them.

use std::sync::Arc;

use kafka_streams_dsl::{Consumed, GlobalKTable, Joined, Materialized};

use crate::build::Build;
use crate::fault::Fault;
use crate::menu::{self, joiner_uses_key};
use crate::node::{AnyKey, Node, Stream};
use crate::ops::materialized::materialized;
use crate::ops::processors::{MenuProcessor, What};
use crate::ops::stores::{AnyStore, AnyStoreBuilder};
use crate::spec::{Function, JoinKind, Store, TableSource};
use crate::value::{Key, KeySerde, Shared, Value, ValueSerde, ValueType};

/// A global table.
#[derive(Clone)]
pub struct Global {
    table: GlobalKTable<Key, Value>,
    values: ValueType,
}

/// Adds a global table.
///
/// # Errors
/// See [`Fault`].
pub fn table(build: &mut Build, source: &TableSource, consumed: Consumed<Key, Value>) -> Result<(), Fault> {
    let keys: kafka_streams_core::SharedSerde<Key> = Arc::new(KeySerde);
    let stored: Materialized<Key, Value> = match &source.materialized {
        Some(said) => materialized(said, &keys, source.value)?,
        None => Materialized::default(),
    };
    let table = build.builder.global_table_with(source.topic.as_str(), consumed, stored);
    build.global_stores.extend(source.materialized.as_ref().and_then(|said| said.store.clone()));
    build.put(&source.id, Node::Global(Global { table, values: source.value }));
    Ok(())
}

/// Adds a global store, into which every record with a key is put.
///
/// # Errors
/// See [`Fault`].
pub fn store(build: &mut Build, topic: &str, store: &Store, consumed: Consumed<Key, Value>) -> Result<(), Fault> {
    let put = |store: AnyStore| MenuProcessor::<Key>::new(What::KeepGlobal, Some(store));
    match AnyStoreBuilder::of(store)? {
        AnyStoreBuilder::KeyValue(builder) => {
            build.builder.add_global_store(builder, topic, consumed, move |store| put(AnyStore::KeyValue(store)));
        }
        AnyStoreBuilder::Timestamped(builder) => {
            build.builder.add_global_store(builder, topic, consumed, move |store| put(AnyStore::Timestamped(store)));
        }
        AnyStoreBuilder::Versioned(builder) => {
            build.builder.add_global_store(builder, topic, consumed, move |store| put(AnyStore::Versioned(store)));
        }
        AnyStoreBuilder::Window(builder) => {
            build.builder.add_global_store(builder, topic, consumed, move |store| put(AnyStore::Window(store)));
        }
    }
    build.global_stores.insert(store.name.clone());
    Ok(())
}

/// A join of a stream with a global table.
///
/// # Errors
/// See [`Fault`].
pub fn join<K: AnyKey>(
    stream: Stream<K>,
    table: Global,
    kind: JoinKind,
    key: &Function,
    joiner: &Function,
    name: Option<&str>,
) -> Result<Node, Fault> {
    let with_key = joiner_uses_key(joiner);
    let joiner = menu::joiner(joiner, stream.values, table.values)?;
    let select = menu::key_fn(key, stream.values)?;
    let select = move |key: &K, value: &Value| Key::from(select(key, value));
    let mut joined = Joined::with(Shared(stream.keys.clone()), ValueSerde(stream.values));
    if let Some(name) = name {
        joined = joined.with_name(name);
    }
    let f = move |key: &K, value: Value, row: Option<Value>| {
        let row = Value::from(row);
        if with_key { (joiner.f)(key, &value, &row) } else { (joiner.f)(&Key(None), &value, &row) }
    };
    let result = match kind {
        JoinKind::Inner => {
            let f = move |key: &K, value, row| f(key, value, Some(row));
            stream.stream.join_global_with(&table.table, select, f, joined)
        }
        JoinKind::Left => stream.stream.left_join_global_with(&table.table, select, f, joined),
        JoinKind::Outer => return Fault::bad_case("there is no outer join with a global table"),
    };
    Ok(K::stream(Stream { stream: result, keys: stream.keys, values: joiner.out }))
}
