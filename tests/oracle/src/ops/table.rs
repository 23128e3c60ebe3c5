//! From streams to tables and back.

use crate::build::Build;
use crate::each_table;
use crate::fault::Fault;
use crate::menu;
use crate::node::{AnyKey, AnyRow, AnyStream, Node, Stream, Table};
use crate::ops::materialized::{materialized, with_serdes};
use crate::ops::stateless::plain;
use crate::spec::{self, Function, Op};
use crate::value::{Key, Value};

/// Adds an operation.
///
/// # Errors
/// See [`Fault`].
pub fn add(build: &mut Build, op: &Op) -> Result<(), Fault> {
    match op {
        Op::ToTable { r#in, id, materialized, name } => {
            // The library's `to_table_with` asks for a default serde of the keys, which windows do not have.
            let AnyStream::Plain(stream) = build.stream(r#in)? else {
                return Fault::not_built("toTable of keys in windows");
            };
            let node = to_table(stream, materialized.as_ref(), name.as_deref())?;
            build.table_stores.extend(materialized.as_ref().and_then(|said| said.store.clone()));
            build.put(id, node);
            Ok(())
        }
        Op::ToStream { r#in, id, key, name } => {
            let node = each_table!(build.table(r#in)?, table => to_stream(table, key.as_ref(), name.as_deref())?);
            build.put(id, node);
            Ok(())
        }
        _ => Fault::bad_case("no operation between streams and tables"),
    }
}

fn to_table(stream: Stream<Key>, said: Option<&spec::Materialized>, name: Option<&str>) -> Result<Node, Fault> {
    let stored: kafka_streams_dsl::Materialized<Key, Value> = match said {
        Some(said) => materialized(said, &stream.keys, stream.values)?,
        None => with_serdes(&stream.keys, stream.values),
    };
    let table = match name {
        Some(name) => stream.stream.to_table_with_named(name, stored),
        None => stream.stream.to_table_with(stored),
    };
    Ok(Key::table(Table { table, keys: stream.keys, values: stream.values }))
}

fn to_stream<K: AnyKey, V: AnyRow>(
    table: Table<K, V>,
    key: Option<&Function>,
    name: Option<&str>,
) -> Result<Node, Fault> {
    let value = |row: Option<V>| Value::from(row.map(V::value));
    let stream = match name {
        Some(name) => table.table.to_stream_with_named(name, value),
        None => table.table.to_stream_with(value),
    };
    Ok(match key {
        Some(key) => {
            let key = menu::key_fn(key, table.values)?;
            Key::stream(plain(stream.select_key(move |k, v| Key::from(key(k, v))), table.values))
        }
        None => K::stream(Stream { stream, keys: table.keys, values: table.values }),
    })
}
