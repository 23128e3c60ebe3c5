//! Joins of two tables, on their keys or on a foreign key.

use kafka_streams_dsl::{KTable, TableJoined};

use crate::build::Build;
use crate::each_table;
use crate::fault::Fault;
use crate::menu;
use crate::node::{AnyKey, AnyRow, AnyTable, Node, Table};
use crate::ops::materialized::{materialized, with_serdes};
use crate::spec::{self, JoinKind};
use crate::value::{Key, Shared, Value};

/// Adds a join on the tables' keys.
///
/// # Errors
/// See [`Fault`].
pub fn add(build: &mut Build, join: &spec::JoinTables) -> Result<(), Fault> {
    use AnyTable::{Counts, Plain, Windowed, WindowedCounts};
    let node = match (build.table(&join.r#in)?, build.table(&join.with)?) {
        (Plain(left), Plain(right)) => on_key(join, left, right)?,
        (Plain(left), Counts(right)) => on_key(join, left, right)?,
        (Counts(left), Plain(right)) => on_key(join, left, right)?,
        (Counts(left), Counts(right)) => on_key(join, left, right)?,
        (Windowed(left), Windowed(right)) => on_key(join, left, right)?,
        (Windowed(left), WindowedCounts(right)) => on_key(join, left, right)?,
        (WindowedCounts(left), Windowed(right)) => on_key(join, left, right)?,
        (WindowedCounts(left), WindowedCounts(right)) => on_key(join, left, right)?,
        _ => return Fault::bad_case("joinTables of different keys"),
    };
    build.table_stores.extend(join.materialized.as_ref().and_then(|said| said.store.clone()));
    build.put(&join.id, node);
    Ok(())
}

/// Adds a join on a foreign key.
///
/// # Errors
/// See [`Fault`].
pub fn add_foreign(build: &mut Build, join: &spec::FkJoin) -> Result<(), Fault> {
    let right = build.table(&join.with)?;
    let node = each_table!(build.table(&join.r#in)?, left => match right {
        AnyTable::Plain(right) => on_foreign_key(join, left, right)?,
        AnyTable::Counts(right) => on_foreign_key(join, left, right)?,
        _ => return Fault::bad_case("fkJoin with a table of keys in windows"),
    });
    build.table_stores.extend(join.materialized.as_ref().and_then(|said| said.store.clone()));
    build.put(&join.id, node);
    Ok(())
}

fn on_key<K: AnyKey, L: AnyRow, R: AnyRow>(
    join: &spec::JoinTables,
    left: Table<K, L>,
    right: Table<K, R>,
) -> Result<Node, Fault> {
    let joiner = menu::joiner(&join.joiner, left.values, right.values)?;
    let row = move |left: Option<L>, right: Option<R>| {
        (joiner.f)(&Key(None), &left.map(L::value).into(), &right.map(R::value).into()).into_row()
    };
    let said = join.materialized.as_ref();
    let stored = said.map(|said| materialized::<K, Value>(said, &left.keys, joiner.out)).transpose()?;
    let (name, this, other) = (join.name.as_deref(), &left.table, &right.table);
    macro_rules! join {
        ($plain:ident, $named:ident, $with:ident, $with_named:ident, $f:expr) => {
            match (name, stored) {
                (None, None) => this.$plain(other, $f),
                (Some(name), None) => this.$named(name, other, $f),
                (None, Some(stored)) => this.$with(other, $f, stored),
                (Some(name), Some(stored)) => this.$with_named(name, other, $f, stored),
            }
        };
    }
    let table: KTable<K, Value> = match join.kind {
        JoinKind::Inner => {
            join!(join, join_named, join_with, join_with_named, move |l, r| row(Some(l), Some(r)))
        }
        JoinKind::Left => {
            join!(left_join, left_join_named, left_join_with, left_join_with_named, move |l, r| row(Some(l), r))
        }
        JoinKind::Outer => {
            join!(outer_join, outer_join_named, outer_join_with, outer_join_with_named, row)
        }
    };
    Ok(K::table(Table { table, keys: left.keys, values: joiner.out }))
}

fn on_foreign_key<K: AnyKey, L: AnyRow, R: AnyRow>(
    join: &spec::FkJoin,
    left: Table<K, L>,
    right: Table<Key, R>,
) -> Result<Node, Fault> {
    let joiner = menu::joiner(&join.joiner, left.values, right.values)?;
    let key = menu::key_fn(&join.key, left.values)?;
    let extract = move |_: &K, row: &L| Key::from(key(&Key(None), &row.clone().value()));
    let row =
        move |left: L, right: Option<R>| (joiner.f)(&Key(None), &left.value(), &right.map(R::value).into()).into_row();
    let stored = match &join.materialized {
        Some(said) => materialized::<K, Value>(said, &left.keys, joiner.out)?,
        None => with_serdes(&left.keys, joiner.out),
    };
    let (this, other) = (
        left.table.with_value_serde(Shared(L::serde(left.values))),
        right.table.with_value_serde(Shared(R::serde(right.values))),
    );
    let joined = join.name.iter().fold(TableJoined::default(), TableJoined::with_name);
    let table: KTable<K, Value> = match join.kind {
        JoinKind::Inner => {
            let f = move |left, right| row(left, Some(right));
            this.join_foreign_key_with(&other, extract, f, joined, stored)
        }
        JoinKind::Left => this.left_join_foreign_key_with(&other, extract, row, joined, stored),
        JoinKind::Outer => return Fault::bad_case("there is no outer join on a foreign key"),
    };
    Ok(K::table(Table { table, keys: left.keys, values: joiner.out }))
}
