//! Joins, a function for each kind.

use std::time::Duration;

use kafka_streams_dsl::Joined;

use crate::build::Build;
use crate::fault::Fault;
use crate::menu::{self, joiner_uses_key};
use crate::node::{AnyKey, AnyRow, AnyStream, AnyTable, Node, Stream, Table};
use crate::ops::global;
use crate::spec::{Function, JoinKind, Op};
use crate::value::{Key, Shared, Value, ValueSerde};

/// Adds a join.
///
/// # Errors
/// See [`Fault`].
pub fn add(build: &mut Build, op: &Op) -> Result<(), Fault> {
    match op {
        Op::JoinTable { r#in, with, id, kind, joiner, grace, name } => {
            let join = StreamTable { kind: *kind, joiner, name: name.as_deref(), grace: *grace };
            let node = match (build.stream(r#in)?, build.table(with)?) {
                (AnyStream::Plain(stream), AnyTable::Plain(table)) => join.of(stream, table)?,
                (AnyStream::Plain(stream), AnyTable::Counts(table)) => join.of(stream, table)?,
                (AnyStream::Windowed(stream), AnyTable::Windowed(table)) => join.of(stream, table)?,
                (AnyStream::Windowed(stream), AnyTable::WindowedCounts(table)) => join.of(stream, table)?,
                _ => return Fault::bad_case("joinTable of different keys"),
            };
            build.put(id, node);
            Ok(())
        }
        Op::JoinStream(join) => super::join_stream::add(build, join),
        Op::JoinGlobal { r#in, with, id, kind, key, joiner, name } => {
            let Node::Global(table) = build.node(with)? else {
                return Fault::bad_case(format!("{with} is not global"));
            };
            let node = match build.stream(r#in)? {
                AnyStream::Plain(stream) => global::join(stream, table, *kind, key, joiner, name.as_deref())?,
                AnyStream::Windowed(stream) => global::join(stream, table, *kind, key, joiner, name.as_deref())?,
            };
            build.put(id, node);
            Ok(())
        }
        Op::JoinTables(join) => super::join_tables::add(build, join),
        Op::FkJoin(join) => super::join_tables::add_foreign(build, join),
        _ => Fault::bad_case("no join"),
    }
}

struct StreamTable<'o> {
    kind: JoinKind,
    joiner: &'o Function,
    name: Option<&'o str>,
    grace: Option<i64>,
}

impl StreamTable<'_> {
    fn of<K: AnyKey, V: AnyRow>(&self, stream: Stream<K>, table: Table<K, V>) -> Result<Node, Fault> {
        let joiner = menu::joiner(self.joiner, stream.values, table.values)?;
        let with_key = joiner_uses_key(self.joiner);
        let mut joined = Joined::with(Shared(stream.keys.clone()), ValueSerde(stream.values));
        if let Some(name) = self.name {
            joined = joined.with_name(name);
        }
        if let Some(grace) = self.grace {
            joined = joined.with_grace_period(Duration::from_millis(u64::try_from(grace).unwrap_or_default()));
        }
        let f = move |key: &K, value: Value, row: Option<V>| {
            let row = Value::from(row.map(V::value));
            if with_key { (joiner.f)(key, &value, &row) } else { (joiner.f)(&Key(None), &value, &row) }
        };
        let result = match self.kind {
            JoinKind::Inner => {
                stream.stream.join_with(&table.table, move |key, value, row| f(key, value, Some(row)), joined)
            }
            JoinKind::Left => stream.stream.left_join_with(&table.table, f, joined),
            JoinKind::Outer => return Fault::bad_case("there is no outer join of a stream and a table"),
        };
        Ok(K::stream(Stream { stream: result, keys: stream.keys, values: joiner.out }))
    }
}
