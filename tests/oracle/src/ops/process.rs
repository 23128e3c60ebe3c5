//! `process` and `processValues`.

use kafka_streams_core::Step;
use kafka_streams_topology::{ProcessorStores, TopologyError};

use crate::build::Build;
use crate::each_stream;
use crate::fault::Fault;
use crate::node::{AnyKey, Node, Stream};
use crate::ops::processors::{FromPlain, Menu, MenuProcessor};
use crate::ops::stores::{self, AnyStore, AnyStoreRef, Connected, MOST};
use crate::spec::Process;

/// Adds a processor.
///
/// # Errors
/// See [`Fault`].
pub fn process(build: &mut Build, op: &Process) -> Result<(), Fault> {
    let node = each_stream!(build.stream(&op.r#in)?, stream => process_stream(build, stream, op)?);
    build.put(&op.id, node);
    Ok(())
}

/// Adds a processor that keeps the key.
///
/// # Errors
/// See [`Fault`].
pub fn process_values(build: &mut Build, op: &Process) -> Result<(), Fault> {
    let node = each_stream!(build.stream(&op.r#in)?, stream => process_values_stream(build, stream, op)?);
    build.put(&op.id, node);
    Ok(())
}

fn process_stream<K: AnyKey + FromPlain>(build: &mut Build, stream: Stream<K>, op: &Process) -> Result<Node, Fault> {
    let menu = Menu::of(&op.processor, stream.values)?;
    let (what, out) = (menu.what.clone(), menu.out);
    let result = match by_name(build, op, &menu)? {
        Some(names) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let make =
                move |stores: &ProcessorStores<'_>| Ok(MenuProcessor::<K>::new(what.clone(), used(&menu, stores)?));
            match &op.name {
                Some(name) => stream.stream.process_with_stores_named(name, &names, make),
                None => stream.stream.process_with_stores(&names, make),
            }
        }
        None => {
            let connected = connect(build, op, menu.store.as_deref())?;
            let make = move |store| MenuProcessor::<K>::new(what.clone(), store);
            match &op.name {
                Some(name) => stream.stream.process_named(name, connected, make),
                None => stream.stream.process(connected, make),
            }
        }
    };
    Ok(K::stream(Stream { stream: result, keys: stream.keys, values: out }))
}

fn process_values_stream<K: AnyKey>(build: &mut Build, stream: Stream<K>, op: &Process) -> Result<Node, Fault> {
    let menu = Menu::of(&op.processor, stream.values)?;
    let (what, out) = (menu.what.clone(), menu.out);
    let result = match by_name(build, op, &menu)? {
        Some(names) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let make =
                move |stores: &ProcessorStores<'_>| Ok(MenuProcessor::<K>::new(what.clone(), used(&menu, stores)?));
            match &op.name {
                Some(name) => stream.stream.process_values_with_stores_named(name, &names, make),
                None => stream.stream.process_values_with_stores(&names, make),
            }
        }
        None => {
            let connected = connect(build, op, menu.store.as_deref())?;
            let make = move |store| MenuProcessor::<K>::new(what.clone(), store);
            match &op.name {
                Some(name) => stream.stream.process_values_named(name, connected, make),
                None => stream.stream.process_values(connected, make),
            }
        }
    };
    Ok(K::stream(Stream { stream: result, keys: stream.keys, values: out }))
}

/// The stores to connect, if one of them has no reference: that of a table, or a global one, which is not connected.
fn by_name(build: &mut Build, op: &Process, menu: &Menu) -> Result<Option<Vec<String>>, Fault> {
    let of_table = op.stores.iter().any(|store| build.table_stores.contains(store));
    let global = menu.store.as_ref().is_some_and(|store| build.global_stores.contains(store));
    if !of_table && !global {
        return Ok(None);
    }
    for store in &op.own_stores {
        if !build.stores.contains_key(&store.name) {
            stores::add(build, store)?;
        }
    }
    Ok(Some(op.stores.iter().chain(op.own_stores.iter().map(|store| &store.name)).cloned().collect()))
}

/// The store that the processor uses.
fn used(menu: &Menu, stores: &ProcessorStores<'_>) -> Step<Option<AnyStore>> {
    menu.store.as_deref().map(|name| AnyStore::named(stores, name)).transpose()
}

/// The stores that an operation names and brings, the one that its processor uses first.
///
/// # Errors
/// A store that there is not, or that the interpreter cannot reach.
pub fn connect(build: &mut Build, op: &Process, used: Option<&str>) -> Result<Connected, Fault> {
    for store in &op.own_stores {
        if !build.stores.contains_key(&store.name) {
            stores::add(build, store)?;
        }
    }
    let own = op.own_stores.iter().map(|store| &store.name);
    let mut found: Vec<(bool, AnyStoreRef)> = Vec::new();
    for name in op.stores.iter().chain(own) {
        match build.stores.get(name) {
            Some(store) => found.push((used != Some(name.as_str()), *store)),
            None => {
                let by = op.name.as_deref().unwrap_or("a processor").into();
                return Err(TopologyError::UnknownStore { store: name.clone(), by }.into());
            }
        }
    }
    if found.len() > MOST {
        return Fault::not_built("more stores for one processor");
    }
    found.sort_by_key(|(other, _)| *other);
    let mut connected = Connected::default();
    connected.0.iter_mut().zip(found).for_each(|(slot, (_, store))| *slot = Some(store));
    Ok(connected)
}
