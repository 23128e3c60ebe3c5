//! Where records become a table's changes: the last value of each key (`KTableSource` of the JVM).

use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Change, Children, Receive, Record, SharedSerde, Step, TaskContext};
use kafka_streams_state::{TimestampedKeyValueStore, ValueAndTimestamp};

use super::{Below, forward_updated, in_context_of, listen};
use crate::IntoRow;
use crate::lower::TableParts;

/// The node of one task: takes values that become rows of type `T`.
pub(crate) struct TableSource<K, V, T> {
    name: Arc<str>,
    keys: SharedSerde<K>,
    values: SharedSerde<T>,
    store: Option<Rc<TimestampedKeyValueStore<K, T>>>,
    below: Below<K, T>,
    input: PhantomData<fn(V)>,
}

impl<K: Clone + 'static, V, T: Clone + 'static> TableSource<K, V, T> {
    pub(crate) fn new(
        keys: &SharedSerde<K>,
        values: &SharedSerde<T>,
        parts: TableParts<TimestampedKeyValueStore<K, T>, K, Change<T>>,
    ) -> Self {
        let TableParts { name, out, store, sends_old_values, .. } = parts;
        let below = Rc::new(out);
        if let Some(store) = &store {
            listen(store, sends_old_values, &below);
        }
        TableSource { name, keys: keys.clone(), values: values.clone(), store, below, input: PhantomData }
    }

    /// The node that keeps a global table.
    pub(crate) fn of_global(
        keys: &SharedSerde<K>,
        values: &SharedSerde<T>,
        name: Arc<str>,
        store: Rc<TimestampedKeyValueStore<K, T>>,
    ) -> Self {
        let below = Rc::new(Children::new([]));
        let (keys, values) = (keys.clone(), values.clone());
        TableSource { name, keys, values, store: Some(store), below, input: PhantomData }
    }
}

impl<K, V, T> Receive<K, V> for TableSource<K, V, T>
where
    K: Clone + 'static,
    V: IntoRow<T>,
    T: Clone + 'static,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let Record { key, value, timestamp, headers } = record;
        if self.keys.is_null(&key) {
            cx.drop_record(&self.name, "null key");
            return Ok(());
        }
        let new = value.into_row().filter(|value| !self.values.is_null(value));
        let change = match &self.store {
            // An older record replaces a newer one: the order of the topic decides, as on the JVM.
            Some(store) => in_context_of(cx, timestamp, &headers, |cx| {
                store.update(cx, &key, timestamp, |_| Ok(new.map(|new| ValueAndTimestamp::new(new, timestamp))))
            })?
            .map(|updated| updated.change),
            None => Some(Change { old: None, new }),
        };
        forward_updated(&self.below, cx, Record { key, value: (), timestamp, headers }, change)
    }
}
