//! The join of a stream with itself over one store (`KStreamKStreamSelfJoin` of the JVM).

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Children, Receive, Record, SharedSerde, Step, TaskContext, Timestamp};
use kafka_streams_state::WindowStore;

use crate::JoinWindows;

/// What is the same in all tasks. `V` and `V2` are one type, which is only known when the topology is written.
pub(crate) struct SelfJoin<K, V, V2, F> {
    pub(crate) windows: JoinWindows,
    pub(crate) keys: SharedSerde<K>,
    pub(crate) values: SharedSerde<V>,
    pub(crate) f: Arc<F>,
    /// The value as one of the other stream.
    pub(crate) as_other: fn(V) -> Option<V2>,
}

/// The node of one task.
pub(crate) struct StreamSelfJoin<K, V, V2, F, VO> {
    pub(crate) of: Arc<SelfJoin<K, V, V2, F>>,
    pub(crate) name: Arc<str>,
    pub(crate) out: Children<K, VO>,
    pub(crate) store: Rc<WindowStore<K, V>>,
    /// The highest time of a record.
    pub(crate) stream_time: Cell<Timestamp>,
}

impl<K, V, V2, F, VO> Receive<K, V> for StreamSelfJoin<K, V, V2, F, VO>
where
    K: Clone + 'static,
    V: Clone + 'static,
    V2: 'static,
    VO: Clone + 'static,
    F: Fn(&K, Option<V>, Option<V2>) -> Option<VO>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let SelfJoin { windows, keys, values, as_other, .. } = &*self.of;
        if keys.is_null(&record.key) || values.is_null(&record.value) {
            cx.drop_record(&self.name, "null join key or value");
            return Ok(());
        }
        let timestamp = record.timestamp;
        self.stream_time.set(self.stream_time.get().max(timestamp));
        let kept_from = self.stream_time.get().saturating_sub(windows.retention_ms()).saturating_add(1);
        // A record that has expired is not joined with itself.
        let mut meets_itself = timestamp > kept_from;
        let reach =
            |before: i64, after: i64| (timestamp.saturating_sub(before).max(0), timestamp.saturating_add(after).max(0));
        let (from, to) = reach(windows.before_ms, windows.after_ms);
        for partner in self.store.fetch_range(&record.key, from, to) {
            let (time, partner) = partner?;
            self.forward(cx, &record, record.value.clone(), as_other(partner), timestamp.max(time))?;
        }
        // In a second walk, so that the results come in the order in which two stores would give them.
        let (from, to) = reach(windows.after_ms, windows.before_ms);
        for partner in self.store.fetch_range(&record.key, from, to) {
            let (time, partner) = partner?;
            if time > timestamp && std::mem::take(&mut meets_itself) {
                self.forward_with_itself(cx, &record)?;
            }
            self.forward(cx, &record, partner, as_other(record.value.clone()), timestamp.max(time))?;
        }
        if meets_itself { self.forward_with_itself(cx, &record) } else { Ok(()) }
    }
}

impl<K, V, V2, F, VO> StreamSelfJoin<K, V, V2, F, VO>
where
    K: Clone + 'static,
    V: Clone + 'static,
    VO: Clone + 'static,
    F: Fn(&K, Option<V>, Option<V2>) -> Option<VO>,
{
    fn forward_with_itself(&self, cx: &mut TaskContext, record: &Record<K, V>) -> Step {
        let other = (self.of.as_other)(record.value.clone());
        self.forward(cx, record, record.value.clone(), other, record.timestamp)
    }

    fn forward(
        &self,
        cx: &mut TaskContext,
        record: &Record<K, V>,
        left: V,
        right: Option<V2>,
        timestamp: Timestamp,
    ) -> Step {
        match (self.of.f)(&record.key, Some(left), right) {
            Some(value) => {
                let (key, headers) = (record.key.clone(), record.headers.clone());
                self.out.forward(cx, Record { key, value, timestamp, headers })
            }
            None => Ok(()),
        }
    }
}
