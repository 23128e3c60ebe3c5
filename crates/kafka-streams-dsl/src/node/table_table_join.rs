//! The join of two tables (`KTableKTableInnerJoin`, `…LeftJoin`, `…RightJoin`, `…OuterJoin`, `KTableKTableJoinMerger`).

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Change, Children, Receive, Record, SharedSerde, Step, TaskContext};
use kafka_streams_state::{TimestampedKeyValueStore, ValueAndTimestamp};

use super::{Below, forward_updated, in_context_of, listen};
use crate::lower::TableParts;
use crate::view::Getter;

/// Which sides may be missing in a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Whether a row of the node's own table gives a result without the other table's row.
    pub(crate) other: bool,
    /// Whether the other table's row gives a result without one of the node's own table.
    pub(crate) own: bool,
}

/// What is the same in all tasks.
pub(crate) struct TableJoin<F> {
    pub(crate) missing: Missing,
    pub(crate) sends_old_values: bool,
    /// Whether the node's own table keeps versions: updates that are older than its row change no result.
    pub(crate) drops_out_of_order: bool,
    /// From key, own value and other value to the result; `None` is none.
    pub(crate) f: Arc<F>,
}

/// The node of one side in one task.
pub(crate) struct TableTableJoin<K, V2, VO, F> {
    of: Arc<TableJoin<F>>,
    name: Arc<str>,
    out: Children<K, Change<VO>>,
    other: Getter<K, V2>,
}

impl<K, V2, VO, F> TableTableJoin<K, V2, VO, F> {
    pub(crate) fn new(
        of: &Arc<TableJoin<F>>,
        name: Arc<str>,
        out: Children<K, Change<VO>>,
        other: Getter<K, V2>,
    ) -> Self {
        TableTableJoin { of: of.clone(), name, out, other }
    }
}

impl<K, V, V2, VO, F> Receive<K, Change<V>> for TableTableJoin<K, V2, VO, F>
where
    K: Clone + 'static,
    V: Clone + 'static,
    V2: Clone + 'static,
    VO: Clone + 'static,
    F: Fn(&K, Option<V>, Option<V2>) -> Option<VO>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, Change<V>>) -> Step {
        let Record { key, value: Change { old, new }, timestamp, headers } = record;
        let TableJoin { missing, sends_old_values, drops_out_of_order, f } = &*self.of;
        if *drops_out_of_order && cx.update_out_of_order {
            cx.drop_record(&self.name, "an out-of-order update of a versioned table");
            return Ok(());
        }
        let (other, timestamp) = match (self.other)(&key)? {
            Some(ValueAndTimestamp { value, timestamp: other }) => (Some(value), timestamp.max(other)),
            None if !missing.other || (new.is_none() && old.is_none()) => return Ok(()),
            None => (None, timestamp),
        };
        let has_result = |own: &Option<V>| own.is_some() || (missing.own && other.is_some());
        let old = (*sends_old_values && has_result(&old)).then(|| f(&key, old, other.clone())).flatten();
        let new = if has_result(&new) { f(&key, new, other) } else { None };
        self.out.forward(cx, Record { key, value: Change { old, new }, timestamp, headers })
    }
}

/// Where the results of both sides come together: the node of the joined table, in one task.
pub(crate) struct JoinMerge<K, V> {
    store: Option<Rc<TimestampedKeyValueStore<K, V>>>,
    values: Option<SharedSerde<V>>,
    below: Below<K, V>,
    sends_old_values: bool,
}

impl<K: Clone + 'static, V: Clone + 'static> JoinMerge<K, V> {
    /// `values` is how results are stored, if they are.
    pub(crate) fn new(
        values: Option<&SharedSerde<V>>,
        parts: TableParts<TimestampedKeyValueStore<K, V>, K, Change<V>>,
    ) -> Self {
        let TableParts { out, store, sends_old_values, .. } = parts;
        let below = Rc::new(out);
        if let Some(store) = &store {
            listen(store, sends_old_values, &below);
        }
        JoinMerge { store, values: values.cloned(), below, sends_old_values }
    }
}

impl<K: Clone + 'static, V: Clone + 'static> Receive<K, Change<V>> for JoinMerge<K, V> {
    fn receive(&self, cx: &mut TaskContext, record: Record<K, Change<V>>) -> Step {
        let Record { key, value: Change { old, new }, timestamp, headers } = record;
        let change = match &self.store {
            Some(store) => {
                let new = new.filter(|new| self.values.as_ref().is_none_or(|values| !values.is_null(new)));
                let updated = in_context_of(cx, timestamp, &headers, |cx| {
                    store.update(cx, &key, timestamp, |_| Ok(new.map(|new| ValueAndTimestamp::new(new, timestamp))))
                })?;
                // Without a cache, what the side says was before, as on the JVM: the row in the store may be another.
                let said = self.sends_old_values && !store.has_caching();
                updated.map(|updated| if said { Change { old, ..updated.change } } else { updated.change })
            }
            None => Some(Change { old: old.filter(|_| self.sends_old_values), new }),
        };
        forward_updated(&self.below, cx, Record { key, value: (), timestamp, headers }, change)
    }
}
