//! Aggregation of a grouped stream: count, reduce, aggregate (`KStreamAggregate`, `KStreamReduce` of the JVM).

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Change, Failure, Receive, Record, SharedSerde, Step, TaskContext};
use kafka_streams_state::{TimestampedKeyValueStore, ValueAndTimestamp};

use super::{Below, forward_updated, in_context_of, listen, with_initial};
use crate::lower::TableParts;

/// What is the same in all tasks.
pub(crate) struct Aggregation<K, V, A, I, F> {
    pub(crate) keys: SharedSerde<K>,
    pub(crate) values: SharedSerde<V>,
    pub(crate) results: SharedSerde<A>,
    /// What the result is before the first value, if it is anything.
    pub(crate) init: I,
    /// From key, value, and the result so far, to the next one; `None` deletes it.
    pub(crate) f: F,
}

/// The node of one task.
pub(crate) struct Aggregate<K, V, A, I, F> {
    of: Arc<Aggregation<K, V, A, I, F>>,
    name: Arc<str>,
    store: Rc<TimestampedKeyValueStore<K, A>>,
    below: Below<K, A>,
    sends_old_values: bool,
}

impl<K: Clone + 'static, V: Clone + 'static, A: Clone + 'static, I, F> Aggregate<K, V, A, I, F> {
    pub(crate) fn new(
        of: &Arc<Aggregation<K, V, A, I, F>>,
        parts: TableParts<TimestampedKeyValueStore<K, A>, K, Change<A>>,
    ) -> Step<Self> {
        let TableParts { name, out, store, sends_old_values, .. } = parts;
        let Some(store) = store else { return Err(Failure::bug("an aggregation without a store")) };
        let below = Rc::new(out);
        listen(&store, sends_old_values, &below);
        Ok(Aggregate { of: of.clone(), name, store, below, sends_old_values })
    }
}

impl<K, V, A, I, F> Receive<K, V> for Aggregate<K, V, A, I, F>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    I: Fn() -> Option<A>,
    F: Fn(&K, V, Option<A>) -> Option<A>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let Record { key, value, timestamp, headers } = record;
        let Aggregation { keys, values, results, init, f } = &*self.of;
        let stored = |result: &A| !results.is_null(result);
        if keys.is_null(&key) || values.is_null(&value) {
            cx.drop_record(&self.name, "null key or value");
            return Ok(());
        }
        let mut newest = timestamp;
        let mut initial = None;
        let updated = in_context_of(cx, timestamp, &headers, |cx| {
            self.store.update(cx, &key, timestamp, |before| {
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
        let change = updated.map(|updated| with_initial(updated.change, initial));
        forward_updated(&self.below, cx, Record { key, value: (), timestamp: newest, headers }, change)
    }
}
