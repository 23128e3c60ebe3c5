//! `count`, `reduce` and `aggregate` of sessions, and `aggregate` of cogroupings.

use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::SharedSerde;
use kafka_streams_dsl::{SessionWindowedSerde, TimeWindowedSerde, Windowed};

use crate::fault::Fault;
use crate::menu;
use crate::node::{
    AnyCogrouped, AnyKey, Cogrouped, Node, SessionWindowed, SessionWindowedCogrouped, Table, TimeWindowedCogrouped,
};
use crate::ops::aggregate::{What, aggregator, init, reducer, stored, stored_or_unsaid};
use crate::spec::{self, Aggregate, Supplier};
use crate::value::{Key, KeySerde, Value, ValueType};

/// Aggregates sessions.
///
/// # Errors
/// See [`Fault`].
pub fn of_sessions(windowed: SessionWindowed, what: What, op: &Aggregate) -> Result<Node, Fault> {
    let SessionWindowed { windowed, values } = windowed;
    let (keys, op) = (plain_keys(), &for_sessions(op));
    let table = match what {
        What::Count => {
            let stored = stored_or_unsaid::<Key, i64>(op, &keys, ValueType::Long)?;
            let table = match &op.name {
                Some(name) => windowed.count_named(name, stored),
                None => windowed.count(stored),
            };
            return Ok(AnyKey::table(Table { table, keys: session_keys(), values: ValueType::Long }));
        }
        What::Reduce => {
            let f = reducer(&op.r#fn, values)?;
            let (f, stored) = (move |a, b| f(&a, &b), stored_or_unsaid(op, &keys, values)?);
            let table = match &op.name {
                Some(name) => windowed.reduce_named(name, f, stored),
                None => windowed.reduce(f, stored),
            };
            Table { table, keys: session_keys(), values }
        }
        What::Aggregate => {
            let (init, adder) = (init(op)?, aggregator(&op.r#fn, values)?);
            let (merge, stored) = (merger(op, adder.out)?, stored(op, &keys, adder.out)?);
            let out = adder.out;
            let f = move |key: &Key, value: Value, so_far: Value| (adder.f)(key, &value, &so_far);
            let table = match &op.name {
                Some(name) => windowed.aggregate_named(name, init, f, merge, stored),
                None => windowed.aggregate(init, f, merge, stored),
            };
            Table { table, keys: session_keys(), values: out }
        }
    };
    Ok(AnyKey::table(table))
}

/// Aggregates grouped streams.
///
/// # Errors
/// See [`Fault`].
pub fn of_cogrouped(grouped: AnyCogrouped, op: &Aggregate) -> Result<Node, Fault> {
    fn of<K: AnyKey>(grouped: Cogrouped<K>, op: &Aggregate) -> Result<Node, Fault> {
        let Cogrouped { grouped, keys, out } = grouped;
        let (init, stored) = (init(op)?, stored(op, &keys, out)?);
        let table = match &op.name {
            Some(name) => grouped.aggregate_named(name, init, stored),
            None => grouped.aggregate(init, stored),
        };
        Ok(K::table(Table { table, keys, values: out }))
    }
    match grouped {
        AnyCogrouped::Plain(grouped) => of(grouped, op),
        AnyCogrouped::Windowed(grouped) => of(grouped, op),
    }
}

/// Aggregates grouped streams in windows of time.
///
/// # Errors
/// See [`Fault`].
pub fn of_time_windowed_cogrouped(windowed: TimeWindowedCogrouped, op: &Aggregate) -> Result<Node, Fault> {
    let TimeWindowedCogrouped { windowed, size_ms, out } = windowed;
    let (init, stored) = (init(op)?, stored(op, &plain_keys(), out)?);
    let table = match &op.name {
        Some(name) => windowed.aggregate_named(name, init, stored),
        None => windowed.aggregate(init, stored),
    };
    let keys: SharedSerde<Windowed<Key>> = Arc::new(TimeWindowedSerde::new(KeySerde, Duration::from_millis(size_ms)));
    Ok(AnyKey::table(Table { table, keys, values: out }))
}

/// Aggregates grouped streams in sessions.
///
/// # Errors
/// See [`Fault`].
pub fn of_session_windowed_cogrouped(windowed: SessionWindowedCogrouped, op: &Aggregate) -> Result<Node, Fault> {
    let SessionWindowedCogrouped { windowed, out } = windowed;
    let op = &for_sessions(op);
    let (init, merge, stored) = (init(op)?, merger(op, out)?, stored(op, &plain_keys(), out)?);
    let table = match &op.name {
        Some(name) => windowed.aggregate_named(name, init, merge, stored),
        None => windowed.aggregate(init, merge, stored),
    };
    Ok(AnyKey::table(Table { table, keys: session_keys(), values: out }))
}

/// Stores of sessions have no timestamps, so that a persistent supplier makes what is made without one.
fn for_sessions(op: &Aggregate) -> Aggregate {
    let supplier = |said: spec::Materialized| spec::Materialized {
        supplier: said.supplier.filter(|supplier| *supplier != Supplier::Persistent),
        ..said
    };
    Aggregate { materialized: op.materialized.clone().map(supplier), ..op.clone() }
}

fn merger(
    op: &Aggregate,
    out: ValueType,
) -> Result<impl Fn(&Key, Value, Value) -> Value + Send + Sync + 'static, Fault> {
    let Some(function) = &op.merger else { return Fault::bad_case("a merger is missing") };
    let merge = menu::merger(function, out)?;
    Ok(move |key: &Key, a: Value, b: Value| merge(key, &a, &b))
}

fn plain_keys() -> SharedSerde<Key> {
    Arc::new(KeySerde)
}

fn session_keys() -> SharedSerde<Windowed<Key>> {
    Arc::new(SessionWindowedSerde::new(KeySerde))
}
