//! Aggregation of a grouped stream by windows of time (`KStreamWindowAggregate` of the JVM).

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Change, Failure, Receive, Record, SharedSerde, Step, TaskContext, Timestamp};
use kafka_streams_state::{TimestampedWindowStore, ValueAndTimestamp, Windowed};

use super::{Below, forward_updated, in_context_of, with_initial};
use crate::TimeWindows;
use crate::lower::TableParts;

/// What is the same in all tasks.
pub(crate) struct WindowAggregation<K, A, I, F> {
    pub(crate) windows: TimeWindows,
    pub(crate) keys: SharedSerde<K>,
    pub(crate) results: SharedSerde<A>,
    /// What the result is before a window's first value, if it is anything.
    pub(crate) init: I,
    /// From key, value, and the window's result so far, to the next one; `None` deletes it.
    pub(crate) f: F,
}

/// The node of one task.
pub(crate) struct WindowAggregate<K, A, I, F> {
    of: Arc<WindowAggregation<K, A, I, F>>,
    name: Arc<str>,
    store: Rc<TimestampedWindowStore<K, A>>,
    below: Below<Windowed<K>, A>,
    /// The highest timestamp that this node has received since its task started; -1 before the first. Lateness is
    /// measured by it, and not by the task's stream time, so that another topic cannot make records late.
    observed: Cell<Timestamp>,
    sends_old_values: bool,
}

impl<K: Clone + 'static, A: Clone + 'static, I, F> WindowAggregate<K, A, I, F> {
    pub(crate) fn new(
        of: &Arc<WindowAggregation<K, A, I, F>>,
        parts: TableParts<TimestampedWindowStore<K, A>, Windowed<K>, Change<A>>,
    ) -> Step<Self> {
        let TableParts { name, out, store, sends_old_values } = parts;
        let Some(store) = store else { return Err(Failure::bug("a windowed aggregation without a store")) };
        let below = Rc::new(out);
        let flushed = below.clone();
        store.set_flush_listener(sends_old_values, Rc::new(move |cx, record| flushed.forward(cx, record)));
        Ok(WindowAggregate { of: of.clone(), name, store, below, observed: Cell::new(-1), sends_old_values })
    }
}

impl<K, V, A, I, F> Receive<K, V> for WindowAggregate<K, A, I, F>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    I: Fn() -> Option<A>,
    F: Fn(&K, V, Option<A>) -> Option<A>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let Record { key, value, timestamp, headers } = record;
        let WindowAggregation { windows, keys, results, init, f } = &*self.of;
        let stored = |result: &A| !results.is_null(result);
        // Null values are aggregated, other than without windows.
        if keys.is_null(&key) {
            cx.drop_record(&self.name, "null key");
            return Ok(());
        }
        self.observed.set(self.observed.get().max(timestamp));
        let closed_until = self.observed.get().saturating_sub(windows.grace_ms);
        let mut value = Some(value);
        let mut windows = windows.windows_for(timestamp).peekable();
        while let Some(window) = windows.next() {
            // The last window takes the value itself.
            let value = if windows.peek().is_some() { value.clone() } else { value.take() };
            let Some(value) = value else { continue };
            if window.end <= closed_until {
                cx.drop_record(&self.name, "the record's window is closed");
                continue;
            }
            let mut newest = timestamp;
            let mut initial = None;
            let updated = in_context_of(cx, timestamp, &headers, |cx| {
                self.store.update(cx, &key, window.start, timestamp, |before| {
                    let before = match before {
                        Some(before) => {
                            newest = newest.max(before.timestamp);
                            Some(before.value)
                        }
                        None => {
                            let before = init();
                            initial = before.clone().filter(|_| self.sends_old_values).filter(stored);
                            before
                        }
                    };
                    let result = f(&key, value, before).filter(stored);
                    Ok(result.map(|result| ValueAndTimestamp::new(result, newest)))
                })
            })?;
            if let Some(updated) = updated {
                let key = Windowed::new(key.clone(), window);
                let record = Record { key, value: (), timestamp: newest, headers: headers.clone() };
                forward_updated(&self.below, cx, record, Some(with_initial(updated.change, initial)))?;
            }
        }
        Ok(())
    }
}
