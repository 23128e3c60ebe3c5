//! The join of a stream with a global table (`KStreamKTableJoinProcessor` of the JVM, with its key mapper).

use std::sync::Arc;

use kafka_streams_core::{Children, Receive, Record, SharedSerde, Step, TaskContext};

use crate::view::Getter;

/// What is the same in all tasks.
pub(crate) struct GlobalTableJoin<KG, V, S, F> {
    /// The serde of the table's keys, which knows nulls.
    pub(crate) keys: SharedSerde<KG>,
    pub(crate) values: SharedSerde<V>,
    /// Whether a record is joined if there is no row.
    pub(crate) left: bool,
    /// From key and value to the table's key.
    pub(crate) select: S,
    /// From key, value, and the row if there is one, to the result; `None` is none.
    pub(crate) f: F,
}

/// The node of one task.
pub(crate) struct StreamGlobalTableJoin<K, KG, V, VG, VO, S, F> {
    of: Arc<GlobalTableJoin<KG, V, S, F>>,
    name: Arc<str>,
    out: Children<K, VO>,
    rows: Getter<KG, VG>,
}

impl<K, KG, V, VG, VO, S, F> StreamGlobalTableJoin<K, KG, V, VG, VO, S, F> {
    pub(crate) fn new(
        of: &Arc<GlobalTableJoin<KG, V, S, F>>,
        name: Arc<str>,
        out: Children<K, VO>,
        rows: Getter<KG, VG>,
    ) -> Self {
        StreamGlobalTableJoin { of: of.clone(), name, out, rows }
    }
}

impl<K, KG, V, VG, VO, S, F> Receive<K, V> for StreamGlobalTableJoin<K, KG, V, VG, VO, S, F>
where
    K: Clone + 'static,
    KG: 'static,
    V: 'static,
    VO: Clone + 'static,
    S: Fn(&K, &V) -> KG,
    F: Fn(&K, V, Option<VG>) -> Option<VO>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let GlobalTableJoin { keys, values, left, select, f } = &*self.of;
        let key = select(&record.key, &record.value);
        let no_key = keys.is_null(&key);
        if values.is_null(&record.value) || (no_key && !left) {
            cx.drop_record(&self.name, "null join key or value");
            return Ok(());
        }
        let row = if no_key { None } else { (self.rows)(&key)?.map(|row| row.value) };
        let Record { key, value, timestamp, headers } = record;
        match f(&key, value, row) {
            Some(value) => self.out.forward(cx, Record { key, value, timestamp, headers }),
            None => Ok(()),
        }
    }
}
