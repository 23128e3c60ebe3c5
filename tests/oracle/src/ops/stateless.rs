//! Operations without a store, of streams and, where both have them, of tables.

use kafka_streams_core::Step;
use kafka_streams_dsl::{Produced, Repartitioned};

use crate::build::Build;
use crate::fault::Fault;
use crate::menu::{self, mapper_uses_key};
use crate::node::{AnyKey, AnyRow, Node, Stream, Table};
use crate::ops::branch;
use crate::ops::materialized::materialized;
use crate::ops::topic::ChosenTopic;
use crate::spec::{FnOp, Op};
use crate::value::{Key, Shared, Value, ValueSerde};
use crate::{each_stream, each_table};

/// Adds an operation.
///
/// # Errors
/// See [`Fault`].
pub fn add(build: &mut Build, op: &Op) -> Result<(), Fault> {
    match op {
        Op::Filter(op) => filter(build, op, true),
        Op::FilterNot(op) => filter(build, op, false),
        Op::MapValues(op) => map_values(build, op),
        Op::Map { r#in, id, key, value, name } => {
            let node = each_stream!(build.stream(r#in)?, stream => {
                let key = menu::key_fn(key, stream.values)?;
                let value = menu::value_mapper(value, stream.values)?;
                let f = move |k: &_, v: &Value| -> Step<_> { Ok((Key::from(key(k, v)), (value.f)(k, v)?)) };
                let result = match name {
                    Some(name) => stream.stream.try_map_named(name, move |k, v| f(&k, &v)),
                    None => stream.stream.try_map(move |k, v| f(&k, &v)),
                };
                Key::stream(plain(result, value.out))
            });
            put(build, id, node)
        }
        Op::FlatMap(op) => {
            let node = each_stream!(build.stream(&op.r#in)?, stream => {
                let flat = menu::flat_map(&op.r#fn, stream.values)?;
                let result = match &op.name {
                    Some(name) => stream.stream.flat_map_named(name, move |k, v| (flat.f)(&k, &v)),
                    None => stream.stream.flat_map(move |k, v| (flat.f)(&k, &v)),
                };
                Key::stream(plain(result, flat.out))
            });
            put(build, &op.id, node)
        }
        Op::FlatMapValues(op) => {
            let node = each_stream!(build.stream(&op.r#in)?, stream => {
                let flat = menu::flat_map_values(&op.r#fn, stream.values)?;
                let result = match &op.name {
                    Some(name) => stream.stream.flat_map_values_named(name, move |v| (flat.f)(&Key(None), &v)),
                    None => stream.stream.flat_map_values(move |v| (flat.f)(&Key(None), &v)),
                };
                AnyKey::stream(Stream { stream: result, keys: stream.keys, values: flat.out })
            });
            put(build, &op.id, node)
        }
        Op::SelectKey(op) => {
            let node = each_stream!(build.stream(&op.r#in)?, stream => {
                let key = menu::key_fn(&op.r#fn, stream.values)?;
                let result = match &op.name {
                    Some(name) => stream.stream.select_key_named(name, move |k, v| Key::from(key(k, v))),
                    None => stream.stream.select_key(move |k, v| Key::from(key(k, v))),
                };
                Key::stream(plain(result, stream.values))
            });
            put(build, &op.id, node)
        }
        Op::Peek { r#in, id, name } => {
            let node = each_stream!(build.stream(r#in)?, stream => {
                let result = match name {
                    Some(name) => stream.stream.peek_named(name, |_, _| {}),
                    None => stream.stream.peek(|_, _| {}),
                };
                AnyKey::stream(Stream { stream: result, ..stream })
            });
            put(build, id, node)
        }
        Op::Foreach { r#in, name, .. } => {
            each_stream!(build.stream(r#in)?, stream => match name {
                Some(name) => stream.stream.for_each_named(name, |_, _| {}),
                None => stream.stream.for_each(|_, _| {}),
            });
            Ok(())
        }
        Op::Merge { r#in, with, id, name } => {
            let node = each_stream!(build.stream(r#in)?, stream => {
                let other = merged(&stream, build.stream(with)?)?;
                let result = match name {
                    Some(name) => stream.stream.merge_named(name, &other.stream),
                    None => stream.stream.merge(&other.stream),
                };
                AnyKey::stream(Stream { stream: result, ..stream })
            });
            put(build, id, node)
        }
        Op::Split { r#in, branches, default, name, .. } => {
            branch::split(build, r#in, branches, default.as_ref(), name.as_deref())
        }
        Op::Repartition { r#in, id, partitions, name } => {
            let node = each_stream!(build.stream(r#in)?, stream => {
                let mut repartitioned = Repartitioned::with(Shared(stream.keys.clone()), ValueSerde(stream.values));
                if let Some(name) = name {
                    repartitioned = repartitioned.with_name(name);
                }
                if let Some(partitions) = partitions {
                    repartitioned = repartitioned.with_number_of_partitions(*partitions);
                }
                AnyKey::stream(Stream { stream: stream.stream.repartition(repartitioned), ..stream })
            });
            put(build, id, node)
        }
        Op::To { r#in, topic, topic_fn, name, .. } => {
            if topic.is_none() && topic_fn.is_none() {
                return Fault::bad_case("to needs a topic");
            }
            each_stream!(build.stream(r#in)?, stream => {
                let mut produced = Produced::with(Shared(stream.keys.clone()), ValueSerde(stream.values));
                if let Some(name) = name {
                    produced = produced.with_name(name);
                }
                match (topic, topic_fn) {
                    (Some(topic), _) => stream.stream.to_with(topic.as_str(), produced),
                    (None, Some(function)) => stream.stream.to_dynamic_with(ChosenTopic::of(function)?, produced),
                    (None, None) => {}
                }
            });
            Ok(())
        }
        _ => Fault::bad_case("no stateless operation"),
    }
}

fn filter(build: &mut Build, op: &FnOp, keep: bool) -> Result<(), Fault> {
    let node = match build.node(&op.r#in)? {
        Node::Stream(stream) => each_stream!(stream, stream => filter_stream(stream, op, keep)?),
        Node::Table(table) => each_table!(table, table => filter_table(table, op, keep)?),
        _ => return Fault::bad_case("filter of neither a stream nor a table"),
    };
    remember_store(build, op);
    put(build, &op.id, node)
}

fn filter_stream<K: AnyKey>(stream: Stream<K>, op: &FnOp, keep: bool) -> Result<Node, Fault> {
    let predicate = menu::predicate(&op.r#fn, stream.values)?;
    let f = move |key: &K, value: &Value| predicate(key, value);
    let result = match (&op.name, keep) {
        (None, true) => stream.stream.filter(f),
        (Some(name), true) => stream.stream.filter_named(name, f),
        (None, false) => stream.stream.filter_not(f),
        (Some(name), false) => stream.stream.filter_not_named(name, f),
    };
    Ok(K::stream(Stream { stream: result, ..stream }))
}

fn filter_table<K: AnyKey, V: AnyRow>(table: Table<K, V>, op: &FnOp, keep: bool) -> Result<Node, Fault> {
    let predicate = menu::predicate(&op.r#fn, table.values)?;
    let f = move |key: &K, row: &V| predicate(key, &row.clone().value());
    let stored = op.materialized.as_ref().map(|said| materialized(said, &table.keys, table.values)).transpose()?;
    let result = match (&op.name, keep, stored) {
        (None, true, None) => table.table.filter(f),
        (None, true, Some(stored)) => table.table.filter_with(f, stored),
        (Some(name), true, None) => table.table.filter_named(name, f),
        (Some(name), true, Some(stored)) => table.table.filter_with_named(name, f, stored),
        (None, false, None) => table.table.filter_not(f),
        (None, false, Some(stored)) => table.table.filter_not_with(f, stored),
        (Some(name), false, None) => table.table.filter_not_named(name, f),
        (Some(name), false, Some(stored)) => table.table.filter_not_with_named(name, f, stored),
    };
    Ok(K::table(Table { table: result, ..table }))
}

fn map_values(build: &mut Build, op: &FnOp) -> Result<(), Fault> {
    let node = match build.node(&op.r#in)? {
        Node::Stream(stream) => each_stream!(stream, stream => map_stream(stream, op)?),
        Node::Table(table) => each_table!(table, table => map_table(table, op)?),
        _ => return Fault::bad_case("mapValues of neither a stream nor a table"),
    };
    remember_store(build, op);
    put(build, &op.id, node)
}

fn map_stream<K: AnyKey>(stream: Stream<K>, op: &FnOp) -> Result<Node, Fault> {
    let mapper = menu::value_mapper(&op.r#fn, stream.values)?;
    let f = mapper.f;
    let result = match (&op.name, mapper_uses_key(&op.r#fn)) {
        (None, false) => stream.stream.try_map_values(move |value| Ok(f(&Key(None), &value)?)),
        (None, true) => stream.stream.try_map_values_with_key(move |key, value| Ok(f(key, &value)?)),
        (Some(name), false) => stream.stream.try_map_values_named(name, move |value| Ok(f(&Key(None), &value)?)),
        (Some(name), true) => stream.stream.try_map_values_with_key_named(name, move |key, value| Ok(f(key, &value)?)),
    };
    Ok(K::stream(Stream { stream: result, keys: stream.keys, values: mapper.out }))
}

fn map_table<K: AnyKey, V: AnyRow>(table: Table<K, V>, op: &FnOp) -> Result<Node, Fault> {
    let mapper = menu::value_mapper(&op.r#fn, table.values)?;
    let f = move |key: &K, row: V| Ok((mapper.f)(key, &row.value())?.into_row());
    let stored = op.materialized.as_ref().map(|said| materialized(said, &table.keys, mapper.out)).transpose()?;
    let result = match (&op.name, stored) {
        (None, None) => table.table.try_filter_map_values(f),
        (None, Some(stored)) => table.table.try_filter_map_values_with(f, stored),
        (Some(name), None) => table.table.try_filter_map_values_named(name, f),
        (Some(name), Some(stored)) => table.table.try_filter_map_values_with_named(name, f, stored),
    };
    Ok(K::table(Table { table: result, keys: table.keys, values: mapper.out }))
}

/// The other stream, which must have the same types.
fn merged<K: AnyKey>(stream: &Stream<K>, other: crate::node::AnyStream) -> Result<Stream<K>, Fault> {
    match K::stream_of(other) {
        Some(other) if other.values == stream.values => Ok(other),
        _ => Fault::bad_case("merge of different types"),
    }
}

/// A stream of plain keys.
pub fn plain(stream: kafka_streams_dsl::KStream<Key, Value>, values: crate::value::ValueType) -> Stream<Key> {
    Stream { stream, keys: std::sync::Arc::new(crate::value::KeySerde), values }
}

fn remember_store(build: &mut Build, op: &FnOp) {
    build.table_stores.extend(op.materialized.as_ref().and_then(|said| said.store.clone()));
}

fn put(build: &mut Build, id: &str, node: Node) -> Result<(), Fault> {
    build.put(id, node);
    Ok(())
}
