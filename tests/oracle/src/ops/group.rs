//! Groupings of streams and tables.

use std::sync::Arc;

use kafka_streams_dsl::Grouped;

use crate::build::Build;
use crate::fault::Fault;
use crate::menu;
use crate::node::{self, AnyKey, AnyRow, GroupedTable, Node, Stream, Table};
use crate::spec::{Function, Op};
use crate::value::{Key, KeySerde, Shared, Value, ValueSerde, ValueType};
use crate::{each_stream, each_table};

/// Adds a grouping.
///
/// # Errors
/// See [`Fault`].
pub fn add(build: &mut Build, op: &Op) -> Result<(), Fault> {
    match op {
        Op::GroupByKey { r#in, id, name } => {
            let node = each_stream!(build.stream(r#in)?, stream => by_key(stream, name.as_deref()));
            build.put(id, node);
            Ok(())
        }
        Op::GroupBy { r#in, id, key, value, name } => {
            let node = match build.node(r#in)? {
                Node::Stream(stream) => each_stream!(stream, stream => by(stream, key, name.as_deref())?),
                Node::Table(table) => {
                    each_table!(table, table => table_by(table, key, value.as_ref(), name.as_deref())?)
                }
                _ => return Fault::bad_case("groupBy of neither a stream nor a table"),
            };
            build.put(id, node);
            Ok(())
        }
        _ => Fault::bad_case("no grouping"),
    }
}

fn by_key<K: AnyKey>(stream: Stream<K>, name: Option<&str>) -> Node {
    let grouped = named(Grouped::with(Shared(stream.keys.clone()), ValueSerde(stream.values)), name);
    let grouped = stream.stream.group_by_key(grouped);
    K::grouped(node::Grouped { grouped, keys: stream.keys, values: stream.values })
}

fn by<K: AnyKey>(stream: Stream<K>, key: &Function, name: Option<&str>) -> Result<Node, Fault> {
    let key = menu::key_fn(key, stream.values)?;
    let grouped = stream.stream.group_by(move |k, v| Key::from(key(k, v)), plain(stream.values, name));
    Ok(Key::grouped(node::Grouped { grouped, keys: Arc::new(KeySerde), values: stream.values }))
}

fn table_by<K: AnyKey, V: AnyRow>(
    table: Table<K, V>,
    key: &Function,
    value: Option<&Function>,
    name: Option<&str>,
) -> Result<Node, Fault> {
    let key = menu::key_fn(key, table.values)?;
    let identity = Function::Name("identity".to_owned());
    let value = menu::value_mapper(value.unwrap_or(&identity), table.values)?;
    let f = move |k: &K, row: V| {
        let row = row.value();
        (Key::from(key(k, &row)), (value.f)(k, &row).unwrap_or_default())
    };
    let grouped = Arc::new(table.table.group_by(f, plain(value.out, name)));
    Ok(Node::GroupedTable(GroupedTable { grouped, values: value.out }))
}

fn plain(values: ValueType, name: Option<&str>) -> Grouped<Key, Value> {
    named(Grouped::with(KeySerde, ValueSerde(values)), name)
}

fn named<K: 'static>(grouped: Grouped<K, Value>, name: Option<&str>) -> Grouped<K, Value> {
    match name {
        Some(name) => grouped.with_name(name),
        None => grouped,
    }
}
