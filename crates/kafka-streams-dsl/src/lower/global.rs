//! Global stores, and the nodes that read them.

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Children, NodeId, Processor, Receive};
use kafka_streams_state::StoreBuilder;
use kafka_streams_topology::{SourceSpec, StoreRef, Wiring};

use super::{Lowered, Lowering, StoreSlot};
use crate::view::{Getter, View};

/// A global store that a node of ours keeps; `slot` gets its reference.
pub(crate) fn global_store<K, V, B, N>(
    source_name: String,
    spec: SourceSpec<K, V>,
    store: B,
    slot: Option<StoreSlot<B::Store>>,
    make: impl Fn(Arc<str>, Rc<B::Store>) -> N + Send + Sync + 'static,
) -> Lowering
where
    K: Clone + 'static,
    V: Clone + 'static,
    B: StoreBuilder,
    N: Receive<K, V> + 'static,
{
    Box::new(move |site| {
        let name = site.name;
        let store = site.draft.add_global_store(store, &source_name, spec, name, |store: StoreRef<B::Store>| {
            move |wiring: &mut Wiring<'_>, id: NodeId| {
                let node = make(wiring.name(id), wiring.store(store)?);
                wiring.install::<K, V>(id, Rc::new(node));
                Ok(())
            }
        })?;
        // A graph is written once, so the slot is empty.
        let _ = slot.map(|slot| slot.set(store));
        Ok(Lowered::node(site.draft.node(name).unwrap_or(NodeId(u32::MAX))))
    })
}

/// A global store that a processor of the user's keeps.
pub(crate) fn global_processor<K, V, B, P>(
    source_name: String,
    spec: SourceSpec<K, V>,
    store: B,
    make: impl Fn(Rc<B::Store>) -> P + Send + Sync + 'static,
) -> Lowering
where
    K: Clone + 'static,
    V: Clone + 'static,
    B: StoreBuilder,
    P: Processor<KIn = K, VIn = V>,
{
    Box::new(move |site| {
        let name = site.name;
        site.draft.add_global_store(store, &source_name, spec, name, |store: StoreRef<B::Store>| {
            move |wiring: &mut Wiring<'_>, id: NodeId| {
                let processor = make(wiring.store(store)?);
                wiring.install_processor(id, processor)
            }
        })?;
        Ok(Lowered::node(site.draft.node(name).unwrap_or(NodeId(u32::MAX))))
    })
}

/// A node that reads the rows of a global table. It is not connected to the store, which belongs to the instance.
pub(crate) fn reading_global<K, V, K2, V2, KG, VG, N>(
    view: View<KG, VG>,
    build: impl Fn(Arc<str>, Children<K2, V2>, Getter<KG, VG>) -> N + Send + Sync + 'static,
) -> Lowering
where
    K: Clone + 'static,
    V: Clone + 'static,
    K2: Clone + 'static,
    V2: Clone + 'static,
    KG: 'static,
    VG: 'static,
    N: Receive<K, V> + 'static,
{
    Box::new(move |site| {
        let node = site.draft.add_processor::<(K, V), (K2, V2)>(site.name, site.parents, &[], move |wiring, id| {
            let node = build(wiring.name(id), wiring.children(id)?, view.open(wiring)?);
            wiring.install::<K, V>(id, Rc::new(node));
            Ok(())
        })?;
        Ok(Lowered::node(node))
    })
}
