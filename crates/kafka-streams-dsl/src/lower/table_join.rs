//! Writes joins of two tables: a node for each side, and one where their results come together.

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Change, NodeId, SharedSerde};
use kafka_streams_state::TimestampedKeyValueStoreBuilder;
use kafka_streams_topology::{StoreIndex, TopologyError};

use super::{Lowered, Lowering, Site, TableStore, add_table_node};
use crate::node::table_table_join::{JoinMerge, Missing, TableJoin, TableTableJoin};
use crate::view::View;

/// A join of tables as it is to be written.
pub(crate) struct TableJoinSpec<K, V1, V2, V: 'static, F, R>
where
    K: 'static,
{
    pub(crate) left: TableJoinSide<K, V1, F>,
    pub(crate) right: TableJoinSide<K, V2, R>,
    pub(crate) store: TableStore<TimestampedKeyValueStoreBuilder<K, V>>,
    /// How results are stored, if they are.
    pub(crate) values: Option<SharedSerde<V>>,
}

/// One side of it: the node that takes a table's updates.
pub(crate) struct TableJoinSide<K, V, F> {
    pub(crate) name: String,
    /// The table whose updates it takes.
    pub(crate) view: View<K, V>,
    pub(crate) missing: Missing,
    /// From key, own value and other value.
    pub(crate) f: F,
}

/// A join of tables.
pub(crate) fn table_join<K, V1, V2, V, F, R>(spec: TableJoinSpec<K, V1, V2, V, F, R>) -> Lowering
where
    K: Clone + 'static,
    V1: Clone + 'static,
    V2: Clone + 'static,
    V: Clone + 'static,
    F: Fn(&K, Option<V1>, Option<V2>) -> Option<V> + Send + Sync + 'static,
    R: Fn(&K, Option<V2>, Option<V1>) -> Option<V> + Send + Sync + 'static,
{
    Box::new(move |site| {
        let TableJoinSpec { left, right, store, values } = spec;
        let sends_old_values = store.table.facts(site.tables).sends_old_values;
        let (left_view, right_view) = (left.view.clone(), right.view.clone());
        let (first, last) = (site.parents.first(), site.parents.last());
        let (first_versioned, last_versioned) = (site.parents_versioned.first(), site.parents_versioned.last());
        let (first, first_versioned) = (first.copied(), first_versioned.copied().unwrap_or(false));
        let (last, last_versioned) = (last.copied(), last_versioned.copied().unwrap_or(false));
        let this = side(site, first, left, right_view, sends_old_values, first_versioned)?;
        let other = side(site, last, right, left_view, sends_old_values, last_versioned)?;
        let name = site.name;
        let (merge, _) = add_table_node::<K, Change<V>, _, _, _, _>(site, name, &[this, other], store, move |parts| {
            Ok(JoinMerge::new(values.as_ref(), parts))
        })?;
        Ok(Lowered::node(merge))
    })
}

fn side<K, V, V2, VO, F>(
    site: &mut Site<'_>,
    parent: Option<NodeId>,
    side: TableJoinSide<K, V, F>,
    other: View<K, V2>,
    sends_old_values: bool,
    drops_out_of_order: bool,
) -> Result<NodeId, TopologyError>
where
    K: Clone + 'static,
    V: Clone + 'static,
    V2: Clone + 'static,
    VO: Clone + 'static,
    F: Fn(&K, Option<V>, Option<V2>) -> Option<VO> + Send + Sync + 'static,
{
    let parents: Vec<NodeId> = parent.into_iter().collect();
    let stores: Vec<StoreIndex> = other.stores();
    let TableJoinSide { name, missing, f, .. } = side;
    let join = Arc::new(TableJoin { missing, sends_old_values, drops_out_of_order, f: Arc::new(f) });
    site.draft.add_processor::<(K, Change<V>), (K, Change<VO>)>(&name, &parents, &stores, move |wiring, id| {
        let node = TableTableJoin::new(&join, wiring.name(id), wiring.children(id)?, other.open(wiring)?);
        wiring.install::<K, Change<V>>(id, Rc::new(node));
        Ok(())
    })
}
