//! How a suppressed table is written: a node with a buffer, and perhaps a sink for what the buffer has no room for.

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::Change;
use kafka_streams_state::{SuppressBuffer, SuppressBufferBuilder};
use kafka_streams_topology::SinkSpec;

use super::{Lowered, Lowering, StoreSlot};
use crate::BuildError;
use crate::node::suppress::{Suppress, Suppression};

/// What is known of a suppressed table.
pub(crate) struct SuppressSpec<K, V> {
    pub(crate) suppression: Suppression<K>,
    pub(crate) builder: SuppressBufferBuilder<K, V>,
    pub(crate) slot: StoreSlot<SuppressBuffer<K, V>>,
    /// Name and topic of the sink for the oldest changes.
    pub(crate) shed: Option<(String, SinkSpec<K, Change<V>>)>,
}

/// A suppressed table.
pub(crate) fn suppress<K: Clone + 'static, V: Clone + 'static>(spec: SuppressSpec<K, V>) -> Lowering {
    Box::new(move |site| {
        if site.below_versions() {
            return Err(BuildError::SuppressesVersions { node: site.name.to_owned() });
        }
        let SuppressSpec { suppression, builder, slot, shed } = spec;
        let buffer = site.draft.add_store(builder)?;
        // A graph is written once, so the slot is empty.
        let _ = slot.set(buffer);
        let suppression = Arc::new(suppression);
        let sink: Option<Arc<str>> = shed.as_ref().map(|(name, _)| name.as_str().into());
        let (name, parents) = (site.name, site.parents);
        let node = site.draft.add_processor::<(K, Change<V>), (K, Change<V>)>(
            name,
            parents,
            &[buffer.index()],
            move |wiring, id| {
                let (below, shed) = match &sink {
                    Some(sink) => wiring.children(id)?.split_off(sink),
                    None => (wiring.children(id)?, None),
                };
                let node = Suppress::new(&suppression, wiring.name(id), wiring.store(buffer)?, below, shed);
                wiring.install::<K, Change<V>>(id, Rc::new(node));
                Ok(())
            },
        )?;
        if let Some((name, spec)) = shed {
            site.draft.add_sink(&name, &[node], spec)?;
        }
        Ok(Lowered::node(node))
    })
}
