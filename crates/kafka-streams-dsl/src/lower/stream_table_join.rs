//! Writes joins of a stream with a table: at once, or after a grace period, in which records wait in a buffer.

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::Step;
use kafka_streams_state::{JoinBufferBuilder, StoreKind};
use kafka_streams_topology::Wiring;

use super::{Lowered, Lowering, Site};
use crate::BuildError;
use crate::node::stream_table_join::{BufferedJoin, Rows, StreamTableJoin, TableJoin};
use crate::view::View;

/// A join with a grace period: for how long records wait, and where.
pub(crate) struct Grace<K, V: 'static>
where
    K: 'static,
{
    pub(crate) grace_ms: i64,
    pub(crate) buffer: JoinBufferBuilder<K, V>,
}

/// A join of a stream with a table.
pub(crate) fn stream_table_join<K, V, VT, VO, F>(
    view: View<K, VT>,
    join: Arc<TableJoin<K, V, F>>,
    grace: Option<Grace<K, V>>,
) -> Lowering
where
    K: Clone + 'static,
    V: Clone + 'static,
    VT: 'static,
    VO: Clone + 'static,
    F: Fn(&K, V, Option<VT>) -> Option<VO> + Send + Sync + 'static,
{
    Box::new(move |site| {
        // The table came first, so its stores are there; without them the getter says so.
        let mut stores = view.stores();
        let buffer = match grace {
            Some(Grace { grace_ms, buffer }) => {
                check_history(site, &view, grace_ms)?;
                let store = site.draft.add_store(buffer)?;
                // As on the JVM, the join's own store comes before the table's.
                stores.insert(0, store.index());
                Some((grace_ms, store))
            }
            None => None,
        };
        let node =
            site.draft.add_processor::<(K, V), (K, VO)>(site.name, site.parents, &stores, move |wiring, id| {
                let (name, out) = (wiring.name(id), wiring.children(id)?);
                let join = StreamTableJoin::new(&join, name, out, rows(&view, wiring)?);
                match buffer {
                    Some((grace_ms, store)) => {
                        let buffered = BufferedJoin::new(join, wiring.store(store)?, grace_ms);
                        wiring.install::<K, V>(id, Rc::new(buffered));
                    }
                    None => wiring.install::<K, V>(id, Rc::new(join)),
                }
                Ok(())
            })?;
        Ok(Lowered::node(node))
    })
}

/// The rows as of a record's time if the table keeps its versions, else the present ones.
fn rows<K: 'static, VT: 'static>(view: &View<K, VT>, wiring: &Wiring<'_>) -> Step<Rows<K, VT>> {
    Ok(match view.open_as_of(wiring)? {
        Some(rows) => Rows::AsOf(rows),
        None => Rows::Present(view.open(wiring)?),
    })
}

/// The table must know what it was for as long as records wait (`StreamTableJoinNode.writeToTopology`).
fn check_history<K: 'static, VT: 'static>(
    site: &Site<'_>,
    view: &View<K, VT>,
    grace_ms: i64,
) -> Result<(), BuildError> {
    let node = site.name.to_owned();
    if !view.keeps_versions() {
        return Err(BuildError::GraceWithoutVersions { node });
    }
    for store in view.stores() {
        let Some(spec) = site.draft.store_spec(store) else { continue };
        let StoreKind::Versioned { history_retention_ms, .. } = spec.kind else { continue };
        if history_retention_ms < grace_ms {
            let store = spec.name.clone();
            return Err(BuildError::HistoryTooShort { node, store, grace_ms, history_retention_ms });
        }
    }
    Ok(())
}
