//! Aggregation of a grouped stream by sessions (`KStreamSessionWindowAggregate` of the JVM).

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Change, Failure, Headers, Receive, Record, SharedSerde, Step, TaskContext, Timestamp};
use kafka_streams_state::{SessionStore, StateStore, Window, Windowed};

use super::emit_on_close::EmitOnClose;
use super::{Below, in_context_of};
use crate::SessionWindows;
use crate::lower::TableParts;

/// What is the same in all tasks.
pub(crate) struct SessionAggregation<K, A, I, F, M> {
    pub(crate) windows: SessionWindows,
    pub(crate) on_close: bool,
    pub(crate) keys: SharedSerde<K>,
    pub(crate) results: SharedSerde<A>,
    /// What the result is before a session's first value, if it is anything.
    pub(crate) init: I,
    /// From key, value, and the session's result so far, to the next one; `None` deletes it.
    pub(crate) f: F,
    /// From key and the results of two sessions to that of the session that they become.
    pub(crate) merge: M,
}

/// The node of one task.
pub(crate) struct SessionAggregate<K, A, I, F, M> {
    of: Arc<SessionAggregation<K, A, I, F, M>>,
    name: Arc<str>,
    store: Rc<SessionStore<K, A>>,
    below: Below<Windowed<K>, A>,
    /// The highest timestamp that this node has received since its task started; -1 before the first.
    observed: Cell<Timestamp>,
    sends_old_values: bool,
    is_cached: bool,
    emit: Option<EmitOnClose>,
}

impl<K: Clone + 'static, A: Clone + 'static, I, F, M> SessionAggregate<K, A, I, F, M> {
    pub(crate) fn new(
        of: &Arc<SessionAggregation<K, A, I, F, M>>,
        parts: TableParts<SessionStore<K, A>, Windowed<K>, Change<A>>,
    ) -> Step<Self> {
        let TableParts { name, out, store, sends_old_values, .. } = parts;
        let Some(store) = store else { return Err(Failure::bug("an aggregation of sessions without a store")) };
        let below = Rc::new(out);
        let emit = of.on_close.then(|| EmitOnClose::new(store.name()));
        // What is emitted on close does not leave with the updates of the store.
        let is_cached = !of.on_close && {
            let flushed = below.clone();
            store.set_flush_listener(sends_old_values, Rc::new(move |cx, record| flushed.forward(cx, record)))
        };
        let observed = Cell::new(-1);
        Ok(SessionAggregate { of: of.clone(), name, store, below, observed, sends_old_values, is_cached, emit })
    }

    /// Sets a session, and sends the update on unless it waits in the cache or for the session's close.
    fn put(
        &self,
        cx: &mut TaskContext,
        (timestamp, headers): (Timestamp, &Headers),
        session: Windowed<K>,
        old: Option<A>,
        new: Option<A>,
    ) -> Step {
        in_context_of(cx, timestamp, headers, |cx| self.store.put(cx, &session, new.as_ref()))?;
        if self.is_cached || self.emit.is_some() {
            return Ok(());
        }
        // What does not leave through a cache has no headers, as on the JVM.
        let end = session.window.end;
        let change = Change { old: old.filter(|_| self.sends_old_values), new };
        self.below.forward(cx, Record::new(session, change, end))
    }

    /// Sends the sessions on that have closed at `close_time`, if it is time to look for them.
    fn emit_closed(&self, cx: &mut TaskContext, headers: &Headers, close_time: Timestamp) -> Step {
        let Some(emit) = &self.emit else { return Ok(()) };
        let Some(emitted) = emit.due(cx, close_time) else { return Ok(()) };
        // A session's end belongs to it: it closes a millisecond after its end, gap and grace.
        let (from, to) = (emitted.until.unwrap_or(0).max(0), close_time.saturating_sub(1));
        if to < 0 || from > to {
            return Ok(());
        }
        let from = if cx.emit_intervals.lose_expired { from.max(self.store.earliest_by_end()?) } else { from };
        for row in self.store.find_by_end(from, to) {
            let (session, value) = row?;
            let end = session.window.end;
            let record = Record::new(session, Change { old: None, new: Some(value) }, end);
            self.below.forward(cx, record.with_headers(headers.clone()))?;
        }
        self.store.emitted_until(close_time)?;
        emit.emitted(cx, close_time);
        Ok(())
    }
}

impl<K, V, A, I, F, M> Receive<K, V> for SessionAggregate<K, A, I, F, M>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    I: Fn() -> Option<A>,
    F: Fn(&K, V, Option<A>) -> Option<A>,
    M: Fn(&K, Option<A>, Option<A>) -> Option<A>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let Record { key, value, timestamp, headers } = record;
        let SessionAggregation { windows, keys, results, init, f, merge, .. } = &*self.of;
        if keys.is_null(&key) {
            cx.drop_record(&self.name, "null key");
            return Ok(());
        }
        self.observed.set(self.observed.get().max(timestamp));
        let close_time = self.observed.get().saturating_sub(windows.gap_and_grace_ms());
        let own = Window { start: timestamp, end: timestamp };
        let (mut window, mut result, mut merged) = (own, init(), Vec::new());
        let (from, to) = (timestamp.saturating_sub(windows.gap_ms), timestamp.saturating_add(windows.gap_ms));
        for row in self.store.find_sessions(&key, from, to) {
            let (session, value) = row?;
            window.start = window.start.min(session.window.start);
            window.end = window.end.max(session.window.end);
            result = merge(&key, result, Some(value.clone()));
            merged.push((session, value));
        }
        if window.end < close_time {
            cx.drop_record(&self.name, "the record's session is closed");
        } else {
            let context = (timestamp, &headers);
            if window != own {
                for (session, value) in merged {
                    self.put(cx, context, session, Some(value), None)?;
                }
            }
            let result = f(&key, value, result).filter(|result| !results.is_null(result));
            self.put(cx, context, Windowed::new(key, window), None, result)?;
        }
        self.emit_closed(cx, &headers, close_time)
    }
}
