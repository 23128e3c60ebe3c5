//! The right side: keeps subscriptions, and answers them (`SubscriptionReceiveProcessorSupplier`,
//! `SubscriptionJoinProcessorSupplier`, `ForeignTableJoinProcessorSupplier` of the JVM).

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use kafka_streams_core::{Change, Children, Failure, Receive, Record, SerdeError, SharedSerde, Step, TaskContext};
use kafka_streams_state::{TimestampedKeyValueStore, ValueAndTimestamp};

use super::subscription::{Instruction, RESPONSE_VERSION, Response, Subscription};
use super::{PseudoTopics, combined_key};
use crate::node::in_context_of;
use crate::view::Getter;

/// The store of subscriptions, by foreign key and primary key.
pub(crate) type SubscriptionStore<K> = TimestampedKeyValueStore<Bytes, Subscription<K>>;

/// How keys of subscriptions are written.
pub(crate) struct SubscriptionKeys<K, KO> {
    pub(crate) topics: Arc<PseudoTopics>,
    pub(crate) keys: SharedSerde<K>,
    pub(crate) foreign_keys: SharedSerde<KO>,
}

impl<K: 'static, KO: 'static> SubscriptionKeys<K, KO> {
    fn prefix(&self, foreign: &KO) -> Result<Vec<u8>, SerdeError> {
        combined_key::prefix(self.topics.foreign(), &self.foreign_keys, foreign)
    }

    fn key(&self, foreign: &KO, primary: &K) -> Result<Bytes, SerdeError> {
        let mut bytes = self.prefix(foreign)?;
        self.keys.serialize(self.topics.primary(), primary, &mut bytes)?;
        Ok(bytes.into())
    }
}

/// Keeps or ends subscriptions, in one task.
pub(crate) struct SubscriptionReceive<K, KO> {
    pub(crate) of: Arc<SubscriptionKeys<K, KO>>,
    pub(crate) name: Arc<str>,
    pub(crate) store: Rc<SubscriptionStore<K>>,
    pub(crate) out: Children<Option<KO>, Subscription<K>>,
}

impl<K: Clone + 'static, KO: Clone + 'static> Receive<Option<KO>, Subscription<K>> for SubscriptionReceive<K, KO> {
    fn receive(&self, cx: &mut TaskContext, record: Record<Option<KO>, Subscription<K>>) -> Step {
        let subscription = &record.value;
        let foreign = record.key.as_ref().filter(|foreign| !self.of.foreign_keys.is_null(foreign));
        if foreign.is_none() && subscription.instruction != Instruction::PropagateNullIfNoFkValAvailable {
            cx.drop_record(&self.name, "null foreign key");
            return Ok(());
        }
        subscription.check_version()?;
        if let Some(foreign) = foreign {
            let key = self.of.key(foreign, &subscription.primary_key);
            let key = key.map_err(|error| unwritable(&self.name, error))?;
            let row = match subscription.instruction {
                Instruction::DeleteKeyNoPropagate | Instruction::DeleteKeyAndPropagate => None,
                _ => Some(ValueAndTimestamp::new(subscription.clone(), record.timestamp)),
            };
            in_context_of(cx, record.timestamp, &record.headers, |cx| self.store.put(cx, &key, row.as_ref()))?;
        }
        self.out.forward(cx, record)
    }
}

/// Answers a subscription with the right row that there is, in one task.
pub(crate) struct SubscriptionJoin<K, KO, VO> {
    pub(crate) rows: Getter<KO, VO>,
    pub(crate) out: Children<K, Response<VO>>,
}

impl<K, KO, VO> Receive<Option<KO>, Subscription<K>> for SubscriptionJoin<K, KO, VO>
where
    K: Clone + 'static,
    KO: Clone + 'static,
    VO: Clone + 'static,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<Option<KO>, Subscription<K>>) -> Step {
        let Record { key: foreign, value: subscription, timestamp, headers } = record;
        let row = match &foreign {
            Some(foreign) => (self.rows)(foreign)?,
            None => None,
        };
        let timestamp = row.as_ref().map_or(timestamp, |row| timestamp.max(row.timestamp));
        let value = match subscription.instruction {
            Instruction::DeleteKeyNoPropagate => return Ok(()),
            Instruction::PropagateOnlyIfFkValAvailable if row.is_none() => return Ok(()),
            Instruction::DeleteKeyAndPropagate => None,
            _ => row.map(|row| row.value),
        };
        let (key, value) = response(subscription, value);
        self.out.forward(cx, Record { key, value, timestamp, headers })
    }
}

/// Tells all subscribers of a right row that it has changed, in one task.
pub(crate) struct ForeignTableJoin<K, KO, VO> {
    pub(crate) of: Arc<SubscriptionKeys<K, KO>>,
    pub(crate) name: Arc<str>,
    pub(crate) store: Rc<SubscriptionStore<K>>,
    pub(crate) drops_out_of_order: bool,
    pub(crate) out: Children<K, Response<VO>>,
}

impl<K, KO, VO> Receive<KO, Change<VO>> for ForeignTableJoin<K, KO, VO>
where
    K: Clone + 'static,
    KO: Clone + 'static,
    VO: Clone + 'static,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<KO, Change<VO>>) -> Step {
        if self.drops_out_of_order && cx.update_out_of_order {
            cx.drop_record(&self.name, "an out-of-order update of a versioned table");
            return Ok(());
        }
        let Record { key, value: Change { new, .. }, timestamp, headers } = record;
        let prefix = self.of.prefix(&key).map_err(|error| unwritable(&self.name, error))?;
        for subscription in self.store.prefix_scan(&prefix) {
            let (_, ValueAndTimestamp { value: subscription, .. }) = subscription?;
            let (key, value) = response(subscription, new.clone());
            self.out.forward(cx, Record { key, value, timestamp, headers: headers.clone() })?;
        }
        Ok(())
    }
}

fn response<K, VO>(subscription: Subscription<K>, value: Option<VO>) -> (K, Response<VO>) {
    let Subscription { hash, primary_key, primary_partition, .. } = subscription;
    (primary_key, Response { hash, value, version: RESPONSE_VERSION, primary_partition })
}

#[cold]
fn unwritable(name: &str, error: SerdeError) -> Failure {
    Failure::processing(format!("{name}: the key of a subscription has no bytes: {error}"))
}
