//! Subscribes left rows to their foreign keys (`SubscriptionSendProcessorSupplier` of the JVM).

use std::sync::Arc;

use kafka_streams_core::{
    Change, Children, Failure, Headers, Receive, Record, SerdeError, SharedSerde, Step, TaskContext, Timestamp,
};

use super::subscription::{Instruction, SUBSCRIPTION_VERSION, Subscription};
use super::{PseudoTopics, RowHash};

/// What is the same in all tasks.
pub(crate) struct Sending<V, KO, F> {
    /// Whether a left row gives a result without a right one.
    pub(crate) left: bool,
    pub(crate) drops_out_of_order: bool,
    pub(crate) topics: Arc<PseudoTopics>,
    pub(crate) values: SharedSerde<V>,
    pub(crate) foreign_keys: SharedSerde<KO>,
    /// From key and value of a left row to the foreign key; `None` is none.
    pub(crate) extract: F,
}

/// The node of one task.
pub(crate) struct SubscriptionSend<K, V, KO, F> {
    pub(crate) of: Arc<Sending<V, KO, F>>,
    pub(crate) name: Arc<str>,
    pub(crate) out: Children<Option<KO>, Subscription<K>>,
}

impl<K, V, KO, F> Receive<K, Change<V>> for SubscriptionSend<K, V, KO, F>
where
    K: Clone + 'static,
    V: Clone + 'static,
    KO: Clone + 'static,
    F: Fn(&K, &V) -> Option<KO>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, Change<V>>) -> Step {
        use Instruction::{
            DeleteKeyAndPropagate, DeleteKeyNoPropagate, PropagateNullIfNoFkValAvailable, PropagateOnlyIfFkValAvailable,
        };
        let of = &*self.of;
        if of.drops_out_of_order && cx.update_out_of_order {
            cx.drop_record(&self.name, "an out-of-order update of a versioned table");
            return Ok(());
        }
        let Record { key, value: Change { old, new }, timestamp, headers } = record;
        if of.left && old.is_none() && new.is_none() {
            return Ok(());
        }
        let foreign = |value: &V| (of.extract)(&key, value).filter(|foreign| !of.foreign_keys.is_null(foreign));
        let (old_foreign, new_foreign) = (old.as_ref().and_then(foreign), new.as_ref().and_then(foreign));
        let hash = new.as_ref().map(|new| of.topics.hash(&of.values, new)).transpose();
        let hash = hash.map_err(|error| self.unwritable("value", error))?;
        let row = Row { key: &key, hash, timestamp, headers: &headers };
        let changed = match &old_foreign {
            Some(old) => self.differs(old, new_foreign.as_ref())?,
            None => false,
        };
        if of.left {
            if changed {
                self.send(cx, &row, old_foreign, DeleteKeyNoPropagate)?;
            }
            // Also of a row that is deleted or has no foreign key: the answer gives the result.
            return self.send(cx, &row, new_foreign, PropagateNullIfNoFkValAvailable);
        }
        match (new.is_some(), old_foreign, new_foreign) {
            (_, Some(old), Some(new)) if changed => {
                self.send(cx, &row, Some(old), DeleteKeyNoPropagate)?;
                self.send(cx, &row, Some(new), PropagateNullIfNoFkValAvailable)
            }
            (_, _, Some(new)) => self.send(cx, &row, Some(new), PropagateOnlyIfFkValAvailable),
            (is_row, old, None) => {
                if is_row {
                    cx.drop_record(&self.name, "null foreign key");
                }
                match old {
                    Some(old) => self.send(cx, &row, Some(old), DeleteKeyAndPropagate),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The left row whose subscriptions are sent.
struct Row<'a, K> {
    key: &'a K,
    hash: RowHash,
    timestamp: Timestamp,
    headers: &'a Headers,
}

impl<K: Clone + 'static, V: 'static, KO: Clone + 'static, F> SubscriptionSend<K, V, KO, F> {
    /// Whether two foreign keys are different, by their bytes.
    fn differs(&self, old: &KO, new: Option<&KO>) -> Step<bool> {
        let Some(new) = new else { return Ok(true) };
        let bytes = |foreign: &KO| {
            let mut bytes = Vec::new();
            let written = self.of.foreign_keys.serialize(self.of.topics.foreign(), foreign, &mut bytes);
            written.map(|()| bytes).map_err(|error| self.unwritable("foreign key", error))
        };
        Ok(bytes(old)? != bytes(new)?)
    }

    fn send(&self, cx: &mut TaskContext, row: &Row<'_, K>, foreign: Option<KO>, instruction: Instruction) -> Step {
        let subscription = Subscription {
            hash: row.hash,
            instruction,
            primary_key: row.key.clone(),
            version: SUBSCRIPTION_VERSION,
            primary_partition: Some(cx.task_id().partition),
        };
        let record =
            Record { key: foreign, value: subscription, timestamp: row.timestamp, headers: row.headers.clone() };
        self.out.forward(cx, record)
    }

    #[cold]
    fn unwritable(&self, part: &str, error: SerdeError) -> Failure {
        Failure::processing(format!("{}: the {part} of a left row has no bytes: {error}", self.name))
    }
}
