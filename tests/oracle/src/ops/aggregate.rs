//! `count`, `reduce` and `aggregate` of all groupings.

use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::SharedSerde;
use kafka_streams_dsl::{Materialized, TimeWindowedSerde, Windowed};
use serde_json::Value as Json;

use crate::build::Build;
use crate::each_grouped;
use crate::fault::Fault;
use crate::menu::{self, Combiner, Reducer, Typed};
use crate::node::{AnyKey, Grouped, GroupedTable, Node, Table, TimeWindowed};
use crate::ops::materialized::{materialized, with_serdes};
use crate::ops::window_aggregate;
use crate::spec::{Aggregate, Function, Op};
use crate::value::{Key, KeySerde, Row, Value, ValueType};

/// Adds an aggregation.
///
/// # Errors
/// See [`Fault`].
pub fn add(build: &mut Build, op: &Op) -> Result<(), Fault> {
    let (what, op) = match op {
        Op::Count(op) => (What::Count, op),
        Op::Reduce(op) => (What::Reduce, op),
        Op::Aggregate(op) => (What::Aggregate, op),
        _ => return Fault::bad_case("no aggregation"),
    };
    let node = match build.node(&op.r#in)? {
        Node::Grouped(grouped) => each_grouped!(grouped, grouped => of_stream(grouped, what, op)?),
        Node::GroupedTable(grouped) => of_table(grouped, what, op)?,
        Node::TimeWindowed(windowed) => of_time_windows(windowed, what, op)?,
        Node::SessionWindowed(windowed) => window_aggregate::of_sessions(windowed, what, op)?,
        Node::Cogrouped(grouped) => window_aggregate::of_cogrouped(grouped, op)?,
        Node::TimeWindowedCogrouped(windowed) => window_aggregate::of_time_windowed_cogrouped(windowed, op)?,
        Node::SessionWindowedCogrouped(windowed) => window_aggregate::of_session_windowed_cogrouped(windowed, op)?,
        _ => return Fault::bad_case(format!("{} cannot be aggregated", op.r#in)),
    };
    build.table_stores.extend(op.materialized.as_ref().and_then(|said| said.store.clone()));
    build.put(&op.id, node);
    Ok(())
}

/// Which aggregation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `count`.
    Count,
    /// `reduce`.
    Reduce,
    /// `aggregate`.
    Aggregate,
}

fn of_stream<K: AnyKey>(grouped: Grouped<K>, what: What, op: &Aggregate) -> Result<Node, Fault> {
    let Grouped { grouped, keys, values } = grouped;
    match what {
        What::Count => {
            let stored = stored_or_unsaid::<K, i64>(op, &keys, ValueType::Long)?;
            let table = match &op.name {
                Some(name) => grouped.count_named(name, stored),
                None => grouped.count(stored),
            };
            Ok(K::table(Table { table, keys, values: ValueType::Long }))
        }
        What::Reduce => {
            let f = reducer(&op.r#fn, values)?;
            let table = match &op.name {
                // There is no overload with a name and without `Materialized`.
                Some(name) => grouped.reduce_named(name, move |a, b| f(&a, &b), stored(op, &keys, values)?),
                None => grouped.reduce(move |a, b| f(&a, &b), stored_or_unsaid(op, &keys, values)?),
            };
            Ok(K::table(Table { table, keys, values }))
        }
        What::Aggregate => {
            let (init, adder) = (init(op)?, aggregator(&op.r#fn, values)?);
            let stored = stored(op, &keys, adder.out)?;
            let f = move |key: &K, value: Value, so_far: Value| (adder.f)(key, &value, &so_far);
            let table = match &op.name {
                Some(name) => grouped.aggregate_named(name, init, f, stored),
                None => grouped.aggregate(init, f, stored),
            };
            Ok(K::table(Table { table, keys, values: adder.out }))
        }
    }
}

fn of_table(grouped: GroupedTable, what: What, op: &Aggregate) -> Result<Node, Fault> {
    let GroupedTable { grouped, values } = grouped;
    let keys: SharedSerde<Key> = Arc::new(KeySerde);
    match what {
        What::Count => {
            let stored = stored_or_unsaid::<Key, i64>(op, &keys, ValueType::Long)?;
            let table = match &op.name {
                Some(name) => grouped.count_named(name, stored),
                None => grouped.count(stored),
            };
            Ok(Key::table(Table { table, keys, values: ValueType::Long }))
        }
        What::Reduce => {
            let (add, subtract) = (reducer(&op.r#fn, values)?, reducer(&op.subtract, values)?);
            let (add, subtract) = (move |a, b| add(&a, &b), move |a, b| subtract(&a, &b));
            let table = match &op.name {
                Some(name) => grouped.reduce_named(name, add, subtract, stored(op, &keys, values)?),
                None => grouped.reduce(add, subtract, stored_or_unsaid(op, &keys, values)?),
            };
            Ok(Key::table(Table { table, keys, values }))
        }
        What::Aggregate => {
            let init = init(op)?;
            let (add, subtract) = (aggregator(&op.r#fn, values)?, aggregator(&op.subtract, values)?);
            let stored = stored(op, &keys, add.out)?;
            let out = add.out;
            let add = move |key: &Key, value: Value, so_far: Value| (add.f)(key, &value, &so_far);
            let subtract = move |key: &Key, value: Value, so_far: Value| (subtract.f)(key, &value, &so_far);
            let table = match &op.name {
                Some(name) => grouped.aggregate_named(name, init, add, subtract, stored),
                None => grouped.aggregate(init, add, subtract, stored),
            };
            Ok(Key::table(Table { table, keys, values: out }))
        }
    }
}

fn of_time_windows(windowed: TimeWindowed, what: What, op: &Aggregate) -> Result<Node, Fault> {
    let TimeWindowed { windowed, size_ms, values } = windowed;
    let keys: SharedSerde<Key> = Arc::new(KeySerde);
    let window_keys: SharedSerde<Windowed<Key>> =
        Arc::new(TimeWindowedSerde::new(KeySerde, Duration::from_millis(size_ms)));
    match what {
        What::Count => {
            let stored = stored_or_unsaid::<Key, i64>(op, &keys, ValueType::Long)?;
            let table = match &op.name {
                Some(name) => windowed.count_named(name, stored),
                None => windowed.count(stored),
            };
            Ok(AnyKey::table(Table { table, keys: window_keys, values: ValueType::Long }))
        }
        What::Reduce => {
            let f = reducer(&op.r#fn, values)?;
            let (f, stored) = (move |a, b| f(&a, &b), stored_or_unsaid(op, &keys, values)?);
            let table = match &op.name {
                Some(name) => windowed.reduce_named(name, f, stored),
                None => windowed.reduce(f, stored),
            };
            Ok(AnyKey::table(Table { table, keys: window_keys, values }))
        }
        What::Aggregate => {
            let (init, adder) = (init(op)?, aggregator(&op.r#fn, values)?);
            let stored = stored(op, &keys, adder.out)?;
            let f = move |key: &Key, value: Value, so_far: Value| (adder.f)(key, &value, &so_far);
            let table = match &op.name {
                Some(name) => windowed.aggregate_named(name, init, f, stored),
                None => windowed.aggregate(init, f, stored),
            };
            Ok(AnyKey::table(Table { table, keys: window_keys, values: adder.out }))
        }
    }
}

/// `Materialized` as said, else as if the overload without it were called.
///
/// # Errors
/// See [`materialized`].
pub fn stored_or_unsaid<K: 'static, V: Row + kafka_streams_core::DefaultSerde>(
    op: &Aggregate,
    keys: &SharedSerde<K>,
    values: ValueType,
) -> Result<Materialized<K, V>, Fault> {
    op.materialized.as_ref().map_or_else(|| Ok(Materialized::default()), |said| materialized(said, keys, values))
}

/// `Materialized` as said, else with the serdes only.
///
/// # Errors
/// See [`materialized`].
pub fn stored<K: 'static>(
    op: &Aggregate,
    keys: &SharedSerde<K>,
    values: ValueType,
) -> Result<Materialized<K, Value>, Fault> {
    op.materialized.as_ref().map_or_else(|| Ok(with_serdes(keys, values)), |said| materialized(said, keys, values))
}

/// The initializer.
///
/// # Errors
/// There is none.
pub fn init(op: &Aggregate) -> Result<impl Fn() -> Value + Send + Sync + 'static, Fault> {
    let init = match &op.init {
        Some(Json::Null) => Value::Null,
        Some(Json::String(text)) => Value::text(text.as_str()),
        Some(Json::Number(number)) => Value::Long(number.as_i64().unwrap_or_default()),
        _ => return Fault::bad_case("aggregate needs init"),
    };
    Ok(move || init.clone())
}

/// The reducer.
///
/// # Errors
/// See [`menu::reducer`].
pub fn reducer(function: &Option<Function>, values: ValueType) -> Result<Reducer, Fault> {
    match function {
        Some(function) => menu::reducer(function, values),
        None => Fault::bad_case("a reducer is missing"),
    }
}

/// The aggregator.
///
/// # Errors
/// See [`menu::aggregator`].
pub fn aggregator(function: &Option<Function>, values: ValueType) -> Result<Typed<Combiner>, Fault> {
    match function {
        Some(function) => menu::aggregator(function, values),
        None => Fault::bad_case("an aggregator is missing"),
    }
}
