//! Aggregation of a grouped table: the old row is taken out, the new one put in (`KTableAggregate`, `KTableReduce`).

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Change, Failure, Receive, Record, SharedSerde, Step, TaskContext};
use kafka_streams_state::{TimestampedKeyValueStore, ValueAndTimestamp};

use super::{Below, forward_updated, in_context_of, listen};
use crate::lower::TableParts;

/// What is the same in all tasks.
pub(crate) struct TableAggregation<A, Add, Subtract> {
    pub(crate) results: SharedSerde<A>,
    /// From key, a row that has come, and the result so far (`None` if there is none), to the next one; `None` deletes it.
    pub(crate) add: Add,
    /// From key, a row that has gone, and the result so far, to the next one.
    pub(crate) subtract: Subtract,
}

/// The node of one task.
pub(crate) struct TableAggregate<K, A, Add, Subtract> {
    of: Arc<TableAggregation<A, Add, Subtract>>,
    store: Rc<TimestampedKeyValueStore<K, A>>,
    below: Below<K, A>,
}

impl<K: Clone + 'static, A: Clone + 'static, Add, Subtract> TableAggregate<K, A, Add, Subtract> {
    pub(crate) fn new(
        of: &Arc<TableAggregation<A, Add, Subtract>>,
        parts: TableParts<TimestampedKeyValueStore<K, A>, K, Change<A>>,
    ) -> Step<Self> {
        let TableParts { out, store, sends_old_values, .. } = parts;
        let Some(store) = store else { return Err(Failure::bug("an aggregation without a store")) };
        let below = Rc::new(out);
        listen(&store, sends_old_values, &below);
        Ok(TableAggregate { of: of.clone(), store, below })
    }
}

impl<K, V, A, Add, Subtract> Receive<K, Change<V>> for TableAggregate<K, A, Add, Subtract>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    Add: Fn(&K, V, Option<A>) -> Option<A>,
    Subtract: Fn(&K, V, A) -> Option<A>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, Change<V>>) -> Step {
        let Record { key, value: Change { old, new }, timestamp, headers } = record;
        let TableAggregation { results, add, subtract } = &*self.of;
        let stored = |result: &A| !results.is_null(result);
        let mut newest = timestamp;
        let updated = in_context_of(cx, timestamp, &headers, |cx| {
            self.store.update(cx, &key, timestamp, |before| {
                let time_before = before.as_ref().map_or(timestamp, |before| before.timestamp);
                let result = before.map(|before| before.value);
                let result = match (old, result) {
                    (Some(old), Some(result)) => {
                        newest = timestamp.max(time_before);
                        subtract(&key, old, result).filter(stored)
                    }
                    (_, result) => result,
                };
                let result = match new {
                    Some(new) => {
                        newest = timestamp.max(time_before);
                        add(&key, new, result).filter(stored)
                    }
                    None => result,
                };
                Ok(result.map(|result| ValueAndTimestamp::new(result, newest)))
            })
        })?;
        let record = Record { key, value: (), timestamp: newest, headers };
        forward_updated(&self.below, cx, record, updated.map(|updated| updated.change))
    }
}
