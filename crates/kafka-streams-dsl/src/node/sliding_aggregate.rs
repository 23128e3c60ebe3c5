//! Aggregation of a grouped stream by sliding windows (`KStreamSlidingWindowAggregate` of the JVM).
//!
//! A record of time `t` belongs to the windows of `difference` that begin within `t - difference..=t`. Only those exist
//! whose content differs: the one that ends with `t` (its left window), and the one that begins behind it (its right
//! window) if records lie in it. A new record updates the windows around it, and makes its own two, and the right one of
//! the record before it, where they are missing: their content is found in a window that holds the same records.

use std::sync::Arc;

use kafka_streams_core::{Change, Headers, Receive, Record, Step, TaskContext, Timestamp};
use kafka_streams_state::{TimestampedWindowStore, ValueAndTimestamp, Window, Windowed};

use super::in_context_of;
use super::window_aggregate::{WindowAggregation, Windowing};
use crate::lower::TableParts;

/// The node of one task.
pub(crate) struct SlidingAggregate<K, V, A, I, F> {
    of: Arc<WindowAggregation<K, V, A, I, F>>,
    node: Windowing<K, A>,
}

/// The record that is being aggregated.
struct Input<'r, K, V> {
    key: &'r K,
    value: &'r V,
    timestamp: Timestamp,
    headers: &'r Headers,
    close_time: Timestamp,
}

/// What was found around a record.
struct Found<A> {
    /// Of a window that ends before the record: the newest of them, which holds what lies before the record.
    left: Option<ValueAndTimestamp<A>>,
    /// Of a window around the record: the latest of them, which holds what lies behind the record.
    right: Option<ValueAndTimestamp<A>>,
    has_left: bool,
    has_right: bool,
    /// The time of the record before.
    previous: Option<Timestamp>,
    starts: Vec<Timestamp>,
}

impl<K, V, A, I, F> SlidingAggregate<K, V, A, I, F>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    I: Fn() -> Option<A>,
    F: Fn(&K, V, Option<A>) -> Option<A>,
{
    pub(crate) fn new(
        of: &Arc<WindowAggregation<K, V, A, I, F>>,
        parts: TableParts<TimestampedWindowStore<K, A>, Windowed<K>, Change<A>>,
    ) -> Step<Self> {
        Ok(SlidingAggregate { of: of.clone(), node: Windowing::new(of.on_close, parts)? })
    }

    fn difference(&self) -> i64 {
        self.of.windows.size_ms()
    }

    /// Updates the windows around the record, from the latest to the earliest, and makes those that are missing.
    fn aggregate(&self, cx: &mut TaskContext, input: &Input<'_, K, V>) -> Step {
        let (timestamp, difference) = (input.timestamp, self.difference());
        let mut found = Found::default();
        let from = timestamp.saturating_sub(difference.saturating_mul(2)).max(0);
        // One more than the record's time, to see its right window.
        for row in self.node.store.backward_fetch_range(input.key, from, timestamp.saturating_add(1)) {
            let (start, window) = row?;
            found.starts.push(start);
            let end = start.saturating_add(difference);
            if start > timestamp {
                found.has_right = true;
            } else if end > timestamp {
                found.right.get_or_insert_with(|| window.clone());
                self.update(cx, input, start, Some(window))?;
            } else if end == timestamp {
                found.has_left = true;
                let newest = window.timestamp;
                self.update(cx, input, start, Some(window))?;
                if newest >= timestamp {
                    // There was a record at this very time: all windows are there.
                    return Ok(());
                }
                found.previous = Some(newest);
            } else {
                found.previous = Some(window.timestamp);
                found.left = Some(window);
                break;
            }
        }
        self.create(cx, input, found)
    }

    fn create(&self, cx: &mut TaskContext, input: &Input<'_, K, V>, found: Found<A>) -> Step {
        let (timestamp, difference) = (input.timestamp, self.difference());
        if let Some(previous) = found.previous
            && !found.starts.contains(&(previous + 1))
            && previous.saturating_add(1).saturating_add(difference) >= timestamp
        {
            self.update(cx, input, previous + 1, self.initial(timestamp))?;
        }
        if !found.has_left {
            let start = timestamp - difference;
            let content = match found.previous {
                // The window that ended before holds the records that this one begins with.
                Some(previous) if start <= previous => {
                    found.left.map(|left| ValueAndTimestamp::new(left.value, timestamp))
                }
                _ => self.initial(timestamp),
            };
            self.update(cx, input, start, content)?;
        }
        self.create_right(cx, input, found.has_right, found.right)
    }

    /// Makes the window behind the record out of a window that reaches beyond it.
    fn create_right(
        &self,
        cx: &mut TaskContext,
        input: &Input<'_, K, V>,
        exists: bool,
        content: Option<ValueAndTimestamp<A>>,
    ) -> Step {
        match content {
            Some(content) if !exists && content.timestamp > input.timestamp => {
                self.put(cx, input, input.timestamp.saturating_add(1), None, Some(content))
            }
            _ => Ok(()),
        }
    }

    /// Records earlier than the difference would have windows from before the beginning of time: they share the first.
    fn aggregate_early(&self, cx: &mut TaskContext, input: &Input<'_, K, V>) -> Step {
        let timestamp = input.timestamp;
        let (mut combined, mut found) = (None, Found::default());
        for row in self.node.store.fetch_range(input.key, 0, timestamp.saturating_add(1)) {
            let (start, window) = row?;
            found.starts.push(start);
            if start == 0 {
                found.previous = Some(window.timestamp).filter(|newest| *newest < timestamp);
                combined = Some(window);
            } else if start <= timestamp {
                found.right = Some(window.clone());
                self.update(cx, input, start, Some(window))?;
            } else {
                found.has_right = true;
            }
        }
        if found.right.is_none() {
            // No window lies between: what the first one holds behind the record is all there is.
            found.right = combined.clone().filter(|combined| combined.timestamp > timestamp);
        }
        self.create_right(cx, input, found.has_right, found.right)?;
        if let Some(previous) = found.previous
            && !found.starts.contains(&(previous + 1))
        {
            self.update(cx, input, previous + 1, self.initial(timestamp))?;
        }
        let content = combined.or_else(|| self.initial(timestamp));
        self.update(cx, input, 0, content)
    }

    fn initial(&self, timestamp: Timestamp) -> Option<ValueAndTimestamp<A>> {
        let initial = (self.of.init)().filter(|initial| !self.of.results.is_null(initial));
        initial.map(|initial| ValueAndTimestamp::new(initial, timestamp))
    }

    /// Puts the record into a window that holds `before`, unless it is closed.
    fn update(
        &self,
        cx: &mut TaskContext,
        input: &Input<'_, K, V>,
        start: Timestamp,
        before: Option<ValueAndTimestamp<A>>,
    ) -> Step {
        if start.saturating_add(self.difference()) < input.close_time {
            cx.drop_record(&self.node.name, "the record's window is closed");
            return Ok(());
        }
        let newest = before.as_ref().map_or(input.timestamp, |before| before.timestamp.max(input.timestamp));
        let old = before.map(|before| before.value);
        let sent_old = if self.node.sends_old_values { old.clone() } else { None };
        // An initial value that is null for its serde is a value to the aggregator.
        let old = old.or_else(|| (self.of.init)());
        let result = (self.of.f)(input.key, input.value.clone(), old);
        let result = result.filter(|result| !self.of.results.is_null(result));
        self.put(cx, input, start, sent_old, result.map(|result| ValueAndTimestamp::new(result, newest)))
    }

    fn put(
        &self,
        cx: &mut TaskContext,
        input: &Input<'_, K, V>,
        start: Timestamp,
        old: Option<A>,
        window: Option<ValueAndTimestamp<A>>,
    ) -> Step {
        let Windowing { store, below, .. } = &self.node;
        in_context_of(cx, input.timestamp, input.headers, |cx| store.put(cx, input.key, window.as_ref(), start))?;
        if self.node.is_cached || self.node.emit.is_some() {
            return Ok(());
        }
        let timestamp = window.as_ref().map_or(input.timestamp, |window| window.timestamp);
        let value = Change { old, new: window.map(|window| window.value) };
        let key = Windowed::new(input.key.clone(), Window::of_size(start, self.difference()));
        below.forward(cx, Record { key, value, timestamp, headers: input.headers.clone() })
    }
}

impl<A> Default for Found<A> {
    fn default() -> Self {
        Found { left: None, right: None, has_left: false, has_right: false, previous: None, starts: Vec::new() }
    }
}

impl<K, V, A, I, F> Receive<K, V> for SlidingAggregate<K, V, A, I, F>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    I: Fn() -> Option<A>,
    F: Fn(&K, V, Option<A>) -> Option<A>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let Record { key, value, timestamp, headers } = record;
        let (of, node, difference) = (&*self.of, &self.node, self.difference());
        if of.keys.is_null(&key) || of.values.is_null(&value) {
            cx.drop_record(&node.name, "null key or value");
            return Ok(());
        }
        let close_time = node.observe(timestamp).saturating_sub(of.windows.grace_ms());
        if timestamp.saturating_add(difference) < close_time {
            cx.drop_record(&node.name, "the record's windows are closed");
            return Ok(());
        }
        let input = Input { key: &key, value: &value, timestamp, headers: &headers, close_time };
        if timestamp < difference {
            return self.aggregate_early(cx, &input);
        }
        self.aggregate(cx, &input)?;
        node.emit_closed(cx, &headers, close_time, |emitted| {
            // Both ends of a window belong to it: it closes a millisecond after its end and grace.
            let to = close_time.saturating_sub(difference).saturating_sub(1);
            let from = emitted.until.map_or(0, |until| until.saturating_sub(difference).max(0));
            (to >= 0).then_some((from, to))
        })
    }
}
