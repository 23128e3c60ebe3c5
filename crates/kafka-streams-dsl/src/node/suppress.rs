//! A table whose changes wait (`KTableSuppressProcessorSupplier` of the JVM).

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Change, Children, Failure, Receive, Record, RecordContext, Step, TaskContext, Timestamp};
use kafka_streams_state::{Buffered, SuppressBuffer};

/// What is the same in all tasks.
pub(crate) struct Suppression<K> {
    /// How long a change waits, in milliseconds.
    pub(crate) wait_ms: i64,
    /// The time from which on it waits; `None` is that of the record.
    pub(crate) window_end: Option<fn(&K) -> Timestamp>,
    pub(crate) max_records: i64,
    pub(crate) max_bytes: i64,
    pub(crate) when_full: WhenFull,
}

/// What to do with a buffer that is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    Emit,
    ShutDown,
    Shed,
}

/// The node of one task.
pub(crate) struct Suppress<K, V> {
    of: Arc<Suppression<K>>,
    name: Arc<str>,
    buffer: Rc<SuppressBuffer<K, V>>,
    below: Children<K, Change<V>>,
    shed: Option<Children<K, Change<V>>>,
    /// The highest timestamp that this node has received since its task started; -1 before the first.
    observed: Cell<Timestamp>,
}

impl<K: Clone + 'static, V: Clone + 'static> Suppress<K, V> {
    pub(crate) fn new(
        of: &Arc<Suppression<K>>,
        name: Arc<str>,
        buffer: Rc<SuppressBuffer<K, V>>,
        below: Children<K, Change<V>>,
        shed: Option<Children<K, Change<V>>>,
    ) -> Self {
        Suppress { of: of.clone(), name, buffer, below, shed, observed: Cell::new(-1) }
    }

    fn is_over_capacity(&self) -> Step<bool> {
        let over = |number: usize, max: i64| i64::try_from(number).unwrap_or(i64::MAX) > max;
        Ok(over(self.buffer.num_records()?, self.of.max_records) || over(self.buffer.bytes()?, self.of.max_bytes))
    }

    fn make_room(&self, cx: &mut TaskContext) -> Step {
        while self.is_over_capacity()? {
            match (self.of.when_full, &self.shed) {
                (WhenFull::Emit, _) => self.emit(cx)?,
                (WhenFull::Shed, Some(shed)) => self.take_first(cx, shed)?,
                (WhenFull::Shed, None) => return Err(Failure::bug("a buffer sheds to a topic that it does not have")),
                (WhenFull::ShutDown, _) => {
                    return Err(Failure::processing(format!(
                        "{} buffer exceeded its max capacity. Currently [{}/{}] records and [{}/{}] bytes.",
                        self.name,
                        self.buffer.num_records()?,
                        self.of.max_records,
                        self.buffer.bytes()?,
                        self.of.max_bytes,
                    )));
                }
            }
        }
        Ok(())
    }

    fn emit(&self, cx: &mut TaskContext) -> Step {
        self.take_first(cx, &self.below)
    }

    /// Sends the change that waits in front to `children`, under the record that caused it, and takes it out.
    fn take_first(&self, cx: &mut TaskContext, children: &Children<K, Change<V>>) -> Step {
        let Some(Buffered { key, change, context }) = self.buffer.first()? else { return Ok(()) };
        // Of a window that is final nothing was ever sent before, so there is nothing to delete.
        if change.new.is_some() || self.of.window_end.is_none() {
            let (timestamp, headers) = (context.timestamp, context.headers.clone());
            let record = Record { key, value: change, timestamp, headers };
            cx.with_record(context, |cx| children.forward(cx, record))?;
        }
        self.buffer.remove_first()
    }
}

impl<K: Clone + 'static, V: Clone + 'static> Receive<K, Change<V>> for Suppress<K, V> {
    fn receive(&self, cx: &mut TaskContext, record: Record<K, Change<V>>) -> Step {
        let Record { key, value, timestamp, headers } = record;
        self.observed.set(self.observed.get().max(timestamp));
        let time = self.of.window_end.map_or(timestamp, |window_end| window_end(&key));
        let context = RecordContext { timestamp, headers, ..cx.record.clone() };
        self.buffer.put(time, &key, &value, context)?;
        let expired = self.observed.get().saturating_sub(self.of.wait_ms);
        while self.buffer.min_time()?.is_some_and(|time| time <= expired) {
            self.emit(cx)?;
        }
        self.make_room(cx)
    }
}
