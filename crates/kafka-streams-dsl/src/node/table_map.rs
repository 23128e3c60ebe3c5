//! A table derived from another row by row: filters and mappings (`KTableFilter`, `KTableMapValues` of the JVM).

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Change, Receive, Record, SharedSerde, Step, TaskContext};
use kafka_streams_state::{TimestampedKeyValueStore, ValueAndTimestamp};

use super::{Below, forward_updated, in_context_of, listen};
use crate::lower::TableParts;

/// What is the same in all tasks.
pub(crate) struct Mapping<V2, F> {
    /// From key and value to the derived value; `None` is no row, an error concerns the record.
    pub(crate) f: F,
    /// How derived values are stored, if they are.
    pub(crate) values: Option<SharedSerde<V2>>,
    /// Whether a change from nothing to nothing goes no further: a filter's, not a mapping's.
    pub(crate) is_filter: bool,
}

/// The node of one task.
pub(crate) struct TableMap<K, V2, F> {
    of: Arc<Mapping<V2, F>>,
    store: Option<Rc<TimestampedKeyValueStore<K, V2>>>,
    below: Below<K, V2>,
    sends_old_values: bool,
    below_versions: bool,
}

impl<K: Clone + 'static, V2: Clone + 'static, F> TableMap<K, V2, F> {
    pub(crate) fn new(
        of: &Arc<Mapping<V2, F>>,
        parts: TableParts<TimestampedKeyValueStore<K, V2>, K, Change<V2>>,
    ) -> Self {
        let TableParts { out, store, sends_old_values, below_versions, .. } = parts;
        let below = Rc::new(out);
        if let Some(store) = &store {
            listen(store, sends_old_values, &below);
        }
        TableMap { of: of.clone(), store, below, sends_old_values, below_versions }
    }
}

impl<K, V, V2, F> Receive<K, Change<V>> for TableMap<K, V2, F>
where
    K: Clone + 'static,
    V: Clone + 'static,
    V2: Clone + 'static,
    F: Fn(&K, V) -> Step<Option<V2>>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, Change<V>>) -> Step {
        let Record { key, value: Change { old, new }, timestamp, headers } = record;
        let Mapping { f, values, is_filter } = &*self.of;
        let stored = |value: &V2| values.as_ref().is_none_or(|values| !values.is_null(value));
        let map = |value: Option<V>| value.map_or(Ok(None), |value| f(&key, value));
        let new = map(new)?.filter(stored);
        // Below a versioned table what was before is not what a row of this time replaces.
        let skips_nothing = *is_filter && self.sends_old_values && !self.below_versions && new.is_none();
        let change = match &self.store {
            None => {
                let old = map(old.filter(|_| self.sends_old_values))?;
                if skips_nothing && old.is_none() {
                    return Ok(());
                }
                Some(Change { old, new })
            }
            Some(store) => {
                if skips_nothing && store.get(&key)?.is_none() {
                    return Ok(());
                }
                in_context_of(cx, timestamp, &headers, |cx| {
                    store.update(cx, &key, timestamp, |_| Ok(new.map(|new| ValueAndTimestamp::new(new, timestamp))))
                })?
                .map(|updated| updated.change)
            }
        };
        forward_updated(&self.below, cx, Record { key, value: (), timestamp, headers }, change)
    }
}
