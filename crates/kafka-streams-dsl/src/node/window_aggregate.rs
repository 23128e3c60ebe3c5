//! Aggregation of a grouped stream by windows of time (`KStreamWindowAggregate` of the JVM).

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Change, Failure, Headers, Receive, Record, SharedSerde, Step, TaskContext, Timestamp};
use kafka_streams_state::{StateStore, TimestampedWindowStore, ValueAndTimestamp, Windowed};

use super::emit_on_close::{EmitOnClose, Emitted};
use super::{Below, forward_updated, in_context_of, with_initial};
use crate::lower::TableParts;
use crate::windows::FixedWindows;

/// What is the same in all tasks.
pub(crate) struct WindowAggregation<K, V, A, I, F> {
    pub(crate) windows: FixedWindows,
    pub(crate) on_close: bool,
    pub(crate) keys: SharedSerde<K>,
    pub(crate) values: SharedSerde<V>,
    pub(crate) results: SharedSerde<A>,
    /// What the result is before a window's first value, if it is anything.
    pub(crate) init: I,
    /// From key, value, and the window's result so far, to the next one; `None` deletes it.
    pub(crate) f: F,
}

/// Store and children of one task's node, and what is the same for windows of time and sliding ones.
pub(crate) struct Windowing<K, A> {
    pub(crate) name: Arc<str>,
    pub(crate) store: Rc<TimestampedWindowStore<K, A>>,
    pub(crate) below: Below<Windowed<K>, A>,
    /// The highest timestamp that this node has received since its task started; -1 before the first. Lateness is
    /// measured by it, and not by the task's stream time, so that another topic cannot make records late.
    pub(crate) observed: Cell<Timestamp>,
    pub(crate) sends_old_values: bool,
    pub(crate) is_cached: bool,
    pub(crate) emit: Option<EmitOnClose>,
}

impl<K: Clone + 'static, A: Clone + 'static> Windowing<K, A> {
    pub(crate) fn new(
        on_close: bool,
        parts: TableParts<TimestampedWindowStore<K, A>, Windowed<K>, Change<A>>,
    ) -> Step<Self> {
        let TableParts { name, out, store, sends_old_values, .. } = parts;
        let Some(store) = store else { return Err(Failure::bug("a windowed aggregation without a store")) };
        let below = Rc::new(out);
        let emit = on_close.then(|| EmitOnClose::new(store.name()));
        // What is emitted on close does not leave with the updates of the store.
        let is_cached = !on_close && {
            let flushed = below.clone();
            store.set_flush_listener(sends_old_values, Rc::new(move |cx, record| flushed.forward(cx, record)))
        };
        Ok(Windowing { name, store, below, observed: Cell::new(-1), sends_old_values, is_cached, emit })
    }

    /// Moves the node's stream time on; returns it.
    pub(crate) fn observe(&self, timestamp: Timestamp) -> Timestamp {
        self.observed.set(self.observed.get().max(timestamp));
        self.observed.get()
    }

    /// Sends the windows on that have closed at `close_time`, if it is time to look for them and `starts` says that there
    /// may be any: within which their starts lie, by what was emitted before.
    pub(crate) fn emit_closed(
        &self,
        cx: &mut TaskContext,
        headers: &Headers,
        close_time: Timestamp,
        starts: impl FnOnce(Emitted) -> Option<(Timestamp, Timestamp)>,
    ) -> Step {
        let Some(emit) = &self.emit else { return Ok(()) };
        let Some((from, to)) = emit.due(cx, close_time).and_then(starts) else { return Ok(()) };
        let from = if cx.emit_intervals.lose_expired { from.max(self.store.earliest_by_time()?) } else { from };
        for row in self.store.fetch_by_time(from, to) {
            let (key, ValueAndTimestamp { value, timestamp }) = row?;
            let change = Change { old: None, new: Some(value) };
            self.below.forward(cx, Record { key, value: change, timestamp, headers: headers.clone() })?;
        }
        self.store.emitted_until(to.saturating_add(1))?;
        emit.emitted(cx, close_time);
        Ok(())
    }
}

/// The node of one task.
pub(crate) struct WindowAggregate<K, V, A, I, F> {
    of: Arc<WindowAggregation<K, V, A, I, F>>,
    node: Windowing<K, A>,
}

impl<K: Clone + 'static, V, A: Clone + 'static, I, F> WindowAggregate<K, V, A, I, F> {
    pub(crate) fn new(
        of: &Arc<WindowAggregation<K, V, A, I, F>>,
        parts: TableParts<TimestampedWindowStore<K, A>, Windowed<K>, Change<A>>,
    ) -> Step<Self> {
        Ok(WindowAggregate { of: of.clone(), node: Windowing::new(of.on_close, parts)? })
    }

    /// The starts of the windows that have closed since the last emission.
    fn closed(&self, close_time: Timestamp, emitted: Emitted) -> Option<(Timestamp, Timestamp)> {
        let windows = self.of.windows;
        let to = close_time.saturating_sub(windows.size_ms());
        if to < 0 {
            return None;
        }
        let Some(until) = emitted.until else { return Some((0, to)) };
        let emitted_to = until.saturating_sub(windows.size_ms()).max(0);
        // Between two starts there is nothing to look for.
        let moved = !windows.windows_for(to).eq(windows.windows_for(emitted_to));
        moved.then_some((emitted_to + 1, to))
    }
}

impl<K, V, A, I, F> Receive<K, V> for WindowAggregate<K, V, A, I, F>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    I: Fn() -> Option<A>,
    F: Fn(&K, V, Option<A>) -> Option<A>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let Record { key, value, timestamp, headers } = record;
        let WindowAggregation { windows, keys, results, init, f, .. } = &*self.of;
        let node = &self.node;
        let stored = |result: &A| !results.is_null(result);
        // Null values are aggregated, other than without windows.
        if keys.is_null(&key) {
            cx.drop_record(&node.name, "null key");
            return Ok(());
        }
        let closed_until = node.observe(timestamp).saturating_sub(windows.grace_ms());
        let mut value = Some(value);
        let mut matching = windows.windows_for(timestamp).peekable();
        while let Some(window) = matching.next() {
            // The last window takes the value itself.
            let value = if matching.peek().is_some() { value.clone() } else { value.take() };
            let Some(value) = value else { continue };
            if window.end <= closed_until {
                cx.drop_record(&node.name, "the record's window is closed");
                continue;
            }
            let mut newest = timestamp;
            let mut initial = None;
            let updated = in_context_of(cx, timestamp, &headers, |cx| {
                node.store.update(cx, &key, window.start, timestamp, |before| {
                    let before = match before {
                        Some(before) => {
                            newest = newest.max(before.timestamp);
                            Some(before.value)
                        }
                        None => {
                            let before = init();
                            initial = before.clone().filter(|_| node.sends_old_values).filter(stored);
                            before
                        }
                    };
                    let result = f(&key, value, before).filter(stored);
                    Ok(result.map(|result| ValueAndTimestamp::new(result, newest)))
                })
            })?;
            if let Some(updated) = updated.filter(|_| node.emit.is_none()) {
                let key = Windowed::new(key.clone(), window);
                let record = Record { key, value: (), timestamp: newest, headers: headers.clone() };
                forward_updated(&node.below, cx, record, Some(with_initial(updated.change, initial)))?;
            }
        }
        node.emit_closed(cx, &headers, closed_until, |emitted| self.closed(closed_until, emitted))
    }
}
