//! From a table's changes to changes of other keys, on their way to be grouped (`KTableRepartitionMap` of the JVM).

use std::sync::Arc;

use kafka_streams_core::{Change, Children, Receive, Record, SharedSerde, Step, TaskContext};

/// What is the same in all tasks.
pub(crate) struct Selection<K2, V2, F> {
    /// From key and value to the key and value to be grouped.
    pub(crate) f: F,
    pub(crate) keys: SharedSerde<K2>,
    pub(crate) values: SharedSerde<V2>,
}

/// The node of one task.
pub(crate) struct TableSelect<K2, V2, F> {
    of: Arc<Selection<K2, V2, F>>,
    name: Arc<str>,
    /// Whether the table above keeps its rows with their versions: older ones are in no group.
    drops_out_of_order: bool,
    out: Children<K2, Change<V2>>,
}

impl<K2, V2, F> TableSelect<K2, V2, F> {
    pub(crate) fn new(
        of: &Arc<Selection<K2, V2, F>>,
        name: Arc<str>,
        out: Children<K2, Change<V2>>,
        drops_out_of_order: bool,
    ) -> Self {
        TableSelect { of: of.clone(), name, drops_out_of_order, out }
    }
}

impl<K, V, K2, V2, F> Receive<K, Change<V>> for TableSelect<K2, V2, F>
where
    K2: Clone + PartialEq + 'static,
    V2: Clone + 'static,
    F: Fn(&K, V) -> (K2, V2),
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, Change<V>>) -> Step {
        if self.drops_out_of_order && cx.update_out_of_order {
            cx.drop_record(&self.name, "an out-of-order update of a versioned table");
            return Ok(());
        }
        let Record { key, value: Change { old, new }, timestamp, headers } = record;
        let Selection { f, keys, values } = &*self.of;
        let select = |value: Option<V>| {
            let selected = value.map(|value| f(&key, value));
            selected.filter(|(key, value)| !keys.is_null(key) && !values.is_null(value))
        };
        // Sent in this order, so that a row that moves leaves its old group before it enters the new one.
        let record = |key, change| Record { key, value: change, timestamp, headers: headers.clone() };
        match (select(old), select(new)) {
            (Some((old_key, old)), Some((new_key, new))) if old_key == new_key => {
                self.out.forward(cx, record(old_key, Change { old: Some(old), new: Some(new) }))
            }
            (old, new) => {
                if let Some((key, old)) = old {
                    self.out.forward(cx, record(key, Change { old: Some(old), new: None }))?;
                }
                match new {
                    Some((key, new)) => self.out.forward(cx, record(key, Change { old: None, new: Some(new) })),
                    None => Ok(()),
                }
            }
        }
    }
}
