//! The join of a stream with a table (`KStreamKTableJoinProcessor` of the JVM).

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Children, Receive, Record, SharedSerde, Step, TaskContext};
use kafka_streams_state::JoinBuffer;

use super::in_context_of;
use crate::view::{AsOfGetter, Getter};

/// What is the same in all tasks.
pub(crate) struct TableJoin<K, V, F> {
    pub(crate) keys: SharedSerde<K>,
    pub(crate) values: SharedSerde<V>,
    /// Whether a record is joined if there is no row.
    pub(crate) left: bool,
    /// From key, value, and the row if there is one, to the result; `None` is none.
    pub(crate) f: F,
}

/// How the table's rows are read.
pub(crate) enum Rows<K, VT> {
    /// As they are.
    Present(Getter<K, VT>),
    /// As they were at the time of a record.
    AsOf(AsOfGetter<K, VT>),
}

/// The node of one task.
pub(crate) struct StreamTableJoin<K, V, VT, VO, F> {
    of: Arc<TableJoin<K, V, F>>,
    name: Arc<str>,
    out: Children<K, VO>,
    rows: Rows<K, VT>,
}

impl<K, V, VT, VO, F> StreamTableJoin<K, V, VT, VO, F> {
    pub(crate) fn new(of: &Arc<TableJoin<K, V, F>>, name: Arc<str>, out: Children<K, VO>, rows: Rows<K, VT>) -> Self {
        StreamTableJoin { of: of.clone(), name, out, rows }
    }
}

impl<K, V, VT, VO, F> StreamTableJoin<K, V, VT, VO, F>
where
    K: Clone + 'static,
    V: 'static,
    VO: Clone + 'static,
    F: Fn(&K, V, Option<VT>) -> Option<VO>,
{
    /// Whether a record can be joined at all; if not, it is counted as dropped.
    fn takes(&self, cx: &mut TaskContext, record: &Record<K, V>) -> bool {
        let TableJoin { keys, values, left, .. } = &*self.of;
        let taken = !values.is_null(&record.value) && (*left || !keys.is_null(&record.key));
        if !taken {
            cx.drop_record(&self.name, "null join key or value");
        }
        taken
    }

    fn join(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let Record { key, value, timestamp, headers } = record;
        let row = match &self.rows {
            _ if self.of.keys.is_null(&key) => None,
            Rows::Present(rows) => rows(&key)?,
            Rows::AsOf(rows) => rows(&key, timestamp)?,
        };
        match (self.of.f)(&key, value, row.map(|row| row.value)) {
            Some(value) => self.out.forward(cx, Record { key, value, timestamp, headers }),
            None => Ok(()),
        }
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
        if self.takes(cx, &record) { self.join(cx, record) } else { Ok(()) }
    }
}

/// A join whose records wait until the grace period is over, in the time of the stream (KIP-923).
pub(crate) struct BufferedJoin<K, V, VT, VO, F> {
    join: StreamTableJoin<K, V, VT, VO, F>,
    buffer: Rc<JoinBuffer<K, V>>,
    grace_ms: i64,
}

impl<K, V, VT, VO, F> BufferedJoin<K, V, VT, VO, F> {
    pub(crate) fn new(join: StreamTableJoin<K, V, VT, VO, F>, buffer: Rc<JoinBuffer<K, V>>, grace_ms: i64) -> Self {
        BufferedJoin { join, buffer, grace_ms }
    }
}

impl<K, V, VT, VO, F> Receive<K, V> for BufferedJoin<K, V, VT, VO, F>
where
    K: Clone + 'static,
    V: Clone + 'static,
    VO: Clone + 'static,
    F: Fn(&K, V, Option<VT>) -> Option<VO>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        if !self.join.takes(cx, &record) {
            return Ok(());
        }
        let waits = in_context_of(cx, record.timestamp, &record.headers, |cx| {
            self.buffer.put(cx, &record.key, &record.value, self.grace_ms)
        })?;
        if !waits {
            return self.join.join(cx, record);
        }
        while let Some(ready) = self.buffer.first_ready(self.grace_ms)? {
            let record = Record::new(ready.key.clone(), ready.value.clone(), ready.context.timestamp);
            let record = record.with_headers(ready.context.headers.clone());
            cx.with_record(ready.context.clone(), |cx| self.join.join(cx, record))?;
            self.buffer.remove(cx, &ready)?;
        }
        Ok(())
    }
}
