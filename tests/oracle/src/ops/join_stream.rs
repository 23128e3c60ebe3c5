//! Joins of two streams.

use std::time::Duration;

use kafka_streams_dsl::{JoinWindows, StreamJoined, WindowStoreSupplier};

use crate::build::Build;
use crate::fault::Fault;
use crate::menu::{self, joiner_uses_key};
use crate::node::{AnyKey, AnyStream, Node, Stream};
use crate::spec::{self, JoinKind, JoinStore, StoreType};
use crate::value::{Key, Shared, Value, ValueSerde};

/// Adds a join of two streams.
///
/// # Errors
/// See [`Fault`].
pub fn add(build: &mut Build, join: &spec::JoinStream) -> Result<(), Fault> {
    let node = match (build.stream(&join.r#in)?, build.stream(&join.with)?) {
        (AnyStream::Plain(left), AnyStream::Plain(right)) => of(join, left, right)?,
        (AnyStream::Windowed(left), AnyStream::Windowed(right)) => of(join, left, right)?,
        _ => return Fault::bad_case("joinStream of different keys"),
    };
    build.put(&join.id, node);
    Ok(())
}

fn of<K: AnyKey>(join: &spec::JoinStream, left: Stream<K>, right: Stream<K>) -> Result<Node, Fault> {
    let joiner = menu::joiner(&join.joiner, left.values, right.values)?;
    let with_key = joiner_uses_key(&join.joiner);
    let f = move |key: &K, left: Value, right: Value| {
        if with_key { (joiner.f)(key, &left, &right) } else { (joiner.f)(&Key(None), &left, &right) }
    };
    let (windows, joined) = (windows(&join.windows)?, joined(join, &left, &right));
    let (this, other) = (&left.stream, &right.stream);
    let stream = match join.kind {
        JoinKind::Inner => this.join_stream_with(other, f, windows, joined),
        JoinKind::Left => {
            this.left_join_stream_with(other, move |key, left, right| f(key, left, right.into()), windows, joined)
        }
        JoinKind::Outer => {
            let f = move |key: &K, left: Option<Value>, right: Option<Value>| f(key, left.into(), right.into());
            this.outer_join_stream_with(other, f, windows, joined)
        }
    };
    Ok(K::stream(Stream { stream, keys: left.keys, values: joiner.out }))
}

fn windows(windows: &spec::JoinWindows) -> Result<JoinWindows, Fault> {
    let millis = |millis: i64| match u64::try_from(millis) {
        Ok(millis) => Ok(Duration::from_millis(millis)),
        Err(_) => Fault::not_built("join windows that lie on one side of a record"),
    };
    let (before, after) = (millis(windows.before)?, millis(windows.after)?);
    let result = match windows.grace {
        Some(grace) => JoinWindows::of_time_difference_and_grace(before, millis(grace)?),
        None => JoinWindows::of_time_difference_with_no_grace(before),
    };
    Ok(result.after(after))
}

fn joined<K: AnyKey>(join: &spec::JoinStream, left: &Stream<K>, right: &Stream<K>) -> StreamJoined<K, Value, Value> {
    let mut joined = StreamJoined::with(Shared(left.keys.clone()), ValueSerde(left.values), ValueSerde(right.values));
    if let Some(name) = &join.name {
        joined = joined.with_name(name);
    }
    if let Some(name) = &join.store_name {
        joined = joined.with_store_name(name);
    }
    match join.logging.as_ref().map(spec::Logging::settings) {
        Some(Some(settings)) => joined = joined.with_logging_enabled(settings),
        Some(None) => joined = joined.with_logging_disabled(),
        None => {}
    }
    match join.store_type {
        Some(StoreType::InMemory) => joined = joined.in_memory(),
        Some(StoreType::RocksDb) => joined = joined.persistent(),
        None => {}
    }
    if let Some(store) = &join.this_store {
        joined = joined.with_this_store(supplier(store));
    }
    if let Some(store) = &join.other_store {
        joined = joined.with_other_store(supplier(store));
    }
    joined
}

fn supplier(store: &JoinStore) -> WindowStoreSupplier {
    let (retention, size) = (Duration::from_millis(store.retention), Duration::from_millis(store.window_size));
    match store.persistent {
        true => WindowStoreSupplier::persistent(&store.name, retention, size, store.retain_duplicates),
        false => WindowStoreSupplier::in_memory(&store.name, retention, size, store.retain_duplicates),
    }
}
