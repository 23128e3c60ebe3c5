//! Streams and tables of topics.

use std::sync::Arc;

use kafka_streams_dsl::{Consumed, Materialized};

use crate::build::{Build, Extractor, timestamp_extractor};
use crate::fault::Fault;
use crate::node::{AnyKey, Stream, Table};
use crate::ops::global;
use crate::ops::materialized::materialized;
use crate::spec::{Op, TableSource};
use crate::value::{Key, KeySerde, Value, ValueSerde, ValueType};

/// Adds a source.
///
/// # Errors
/// See [`Fault`].
pub fn add(build: &mut Build, op: &Op) -> Result<(), Fault> {
    match op {
        Op::Stream { id, topic, topics, pattern, value, timestamp_extractor, name } => {
            let consumed = consumed(*value, timestamp_extractor.as_deref(), name)?;
            let stream = match pattern {
                Some(pattern) => build.builder.stream_matching_with(pattern, consumed),
                None => {
                    let topics: Vec<String> = topics.clone().unwrap_or_else(|| topic.iter().cloned().collect());
                    build.builder.stream_with(topics, consumed)
                }
            };
            build.put(id, Key::stream(Stream { stream, keys: Arc::new(KeySerde), values: *value }));
            Ok(())
        }
        Op::Table(source) => table(build, source),
        Op::GlobalTable(source) => {
            let consumed = consumed(source.value, source.timestamp_extractor.as_deref(), &source.name)?;
            global::table(build, source, consumed)
        }
        Op::AddGlobalStore { topic, value, store, timestamp_extractor, name } => {
            global::store(build, topic, store, consumed(*value, timestamp_extractor.as_deref(), name)?)
        }
        _ => Fault::bad_case("no source"),
    }
}

fn table(build: &mut Build, source: &TableSource) -> Result<(), Fault> {
    let consumed = consumed(source.value, source.timestamp_extractor.as_deref(), &source.name)?;
    let keys: kafka_streams_core::SharedSerde<Key> = Arc::new(KeySerde);
    let stored: Materialized<Key, Value> = match &source.materialized {
        Some(said) => materialized(said, &keys, source.value)?,
        None => Materialized::default(),
    };
    let table = build.builder.table_with(source.topic.as_str(), consumed, stored);
    if let Some(store) = source.materialized.as_ref().and_then(|said| said.store.clone()) {
        build.table_stores.insert(store);
    }
    build.put(&source.id, Key::table(Table { table, keys, values: source.value }));
    Ok(())
}

fn consumed(values: ValueType, extractor: Option<&str>, name: &Option<String>) -> Result<Consumed<Key, Value>, Fault> {
    let mut consumed = Consumed::with(KeySerde, ValueSerde(values));
    if let Some(name) = name {
        consumed = consumed.with_name(name);
    }
    if let Some(extractor) = extractor {
        consumed = match timestamp_extractor(extractor)? {
            Extractor::BuiltIn(extractor) => consumed.with_timestamp_extractor(extractor),
            Extractor::Custom(extract) => consumed.with_custom_timestamp_extractor(extract),
        };
    }
    Ok(consumed)
}
