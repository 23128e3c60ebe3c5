//! The join of a stream with a table (`KStreamKTableJoinProcessor` of the JVM).

use std::sync::Arc;

use kafka_streams_core::{Children, Receive, Record, SharedSerde, Step, TaskContext};

use crate::view::Getter;

/// What is the same in all tasks.
pub(crate) struct TableJoin<K, V, F> {
    pub(crate) keys: SharedSerde<K>,
    pub(crate) values: SharedSerde<V>,
    /// Whether a record is joined if there is no row.
    pub(crate) left: bool,
    /// From key, value, and the row if there is one, to the result; `None` is none.
    pub(crate) f: F,
}

/// The node of one task.
pub(crate) struct StreamTableJoin<K, V, VT, VO, F> {
    of: Arc<TableJoin<K, V, F>>,
    name: Arc<str>,
    out: Children<K, VO>,
    rows: Getter<K, VT>,
}

impl<K, V, VT, VO, F> StreamTableJoin<K, V, VT, VO, F> {
    pub(crate) fn new(of: &Arc<TableJoin<K, V, F>>, name: Arc<str>, out: Children<K, VO>, rows: Getter<K, VT>) -> Self {
        StreamTableJoin { of: of.clone(), name, out, rows }
    }
}

impl<K, V, VT, VO, F> Receive<K, V> for StreamTableJoin<K, V, VT, VO, F>
where
    K: Clone + 'static,
    V: 'static,
    VO: Clone + 'static,
    F: Fn(&K, V, Option<VT>) -> Option<VO>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let TableJoin { keys, values, left, f } = &*self.of;
        let no_key = keys.is_null(&record.key);
        if values.is_null(&record.value) || (no_key && !left) {
            cx.drop_record(&self.name, "null join key or value");
            return Ok(());
        }
        let row = if no_key { None } else { (self.rows)(&record.key)?.map(|row| row.value) };
        let Record { key, value, timestamp, headers } = record;
        match f(&key, value, row) {
            Some(value) => self.out.forward(cx, Record { key, value, timestamp, headers }),
            None => Ok(()),
        }
    }
}
