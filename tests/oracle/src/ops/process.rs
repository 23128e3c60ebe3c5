//! `process` and `processValues`.

use kafka_streams_topology::TopologyError;

use crate::build::Build;
use crate::each_stream;
use crate::fault::Fault;
use crate::node::{AnyKey, Node, Stream};
use crate::ops::processors::{FromPlain, Menu, MenuProcessor};
use crate::ops::stores::{self, AnyStoreRef, Connected, MOST};
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
pub fn process_values(_build: &mut Build, _op: &Process) -> Result<(), Fault> {
    Fault::not_built("processValues")
}

fn process_stream<K: AnyKey + FromPlain>(build: &mut Build, stream: Stream<K>, op: &Process) -> Result<Node, Fault> {
    let menu = Menu::of(&op.processor, stream.values)?;
    let connected = connect(build, op, menu.store.as_deref())?;
    let (what, out) = (menu.what, menu.out);
    let make = move |store| MenuProcessor::<K>::new(what.clone(), store);
    let result = match &op.name {
        Some(name) => stream.stream.process_named(name, connected, make),
        None => stream.stream.process(connected, make),
    };
    Ok(K::stream(Stream { stream: result, keys: stream.keys, values: out }))
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
            None if build.table_stores.contains(name) => return Fault::not_built("stores of tables in processors"),
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
