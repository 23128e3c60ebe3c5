//! Nodes of tables that have a life of their own and stores of the user's.

use std::rc::Rc;

use kafka_streams_core::{Lifecycle, NodeId, Receive};
use kafka_streams_state::StoreBuilder;
use kafka_streams_topology::StoreRefs;

use super::{Lowered, Lowering, TableParts, TableStore};

/// A node of a table with the table's store, if it has one, and the stores that the user names.
pub(crate) fn transforming<K, V, K2, V2, B, S, N>(
    store: TableStore<B>,
    stores: S,
    build: impl Fn(S::Stores, NodeId, TableParts<B::Store, K2, V2>) -> N + Send + Sync + 'static,
) -> Lowering
where
    K: Clone + 'static,
    V: Clone + 'static,
    K2: Clone + 'static,
    V2: Clone + 'static,
    B: StoreBuilder,
    S: StoreRefs,
    N: Receive<K, V> + Lifecycle + 'static,
{
    Box::new(move |site| {
        let sends_old_values = store.table.facts(site.tables).sends_old_values;
        let below_versions = site.below_versions();
        let store = store.add(site)?;
        let mut indexes: Vec<_> = store.iter().map(|store| store.index()).collect();
        indexes.extend(stores.indexes());
        let (name, parents) = (site.name, site.parents);
        let node = site.draft.add_processor::<(K, V), (K2, V2)>(name, parents, &indexes, move |wiring, id| {
            let store = store.map(|store| wiring.store(store)).transpose()?;
            let (name, out) = (wiring.name(id), wiring.children(id)?);
            let parts = TableParts { name, out, store, sends_old_values, below_versions };
            let node = Rc::new(build(stores.resolve(wiring)?, id, parts));
            wiring.install::<K, V>(id, node.clone());
            wiring.install_lifecycle(id, node);
            Ok(())
        })?;
        Ok(Lowered::node(node))
    })
}
