//! Where records become the versions of a table's rows (`KTableSource` of the JVM, with a versioned store; KIP-914).

use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Change, Failure, Receive, Record, SharedSerde, Step, TaskContext};
use kafka_streams_state::{VersionedKeyValueStore, VersionedPut};

use super::{Below, in_context_of};
use crate::IntoRow;
use crate::lower::TableParts;

/// The node of one task: takes values that become rows of type `T`.
pub(crate) struct VersionedTableSource<K, V, T> {
    name: Arc<str>,
    keys: SharedSerde<K>,
    store: Rc<VersionedKeyValueStore<K, T>>,
    below: Below<K, T>,
    sends_old_values: bool,
    input: PhantomData<fn(V)>,
}

impl<K: Clone + 'static, V, T: Clone + 'static> VersionedTableSource<K, V, T> {
    pub(crate) fn new(
        keys: &SharedSerde<K>,
        parts: TableParts<VersionedKeyValueStore<K, T>, K, Change<T>>,
    ) -> Step<Self> {
        let TableParts { name, out, store, sends_old_values, .. } = parts;
        let Some(store) = store else { return Err(Failure::bug("a versioned table without a store")) };
        let (keys, below) = (keys.clone(), Rc::new(out));
        Ok(VersionedTableSource { name, keys, store, below, sends_old_values, input: PhantomData })
    }
}

impl<K, V, T> Receive<K, V> for VersionedTableSource<K, V, T>
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
        let new = value.into_row();
        // The latest row, also if the record is older: those below that mind are told.
        let old = if self.sends_old_values { self.store.get(&key)?.map(|row| row.value) } else { None };
        let put = in_context_of(cx, timestamp, &headers, |cx| self.store.put(cx, &key, new.as_ref(), timestamp))?;
        let out_of_order = match put {
            VersionedPut::Expired => return Ok(()),
            VersionedPut::Latest => false,
            VersionedPut::ValidUntil(_) => true,
        };
        let before = std::mem::replace(&mut cx.update_out_of_order, out_of_order);
        let sent = self.below.forward(cx, Record { key, value: Change { old, new }, timestamp, headers });
        cx.update_out_of_order = before;
        sent
    }
}
