//! Where a record leaves to a topic that is chosen for it.

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{
    Failure, NoSuchPartition, NodeId, PartitionChoice, Receive, Record, RecordContext, SharedSerde, Step, TaskContext,
};

use kafka_streams_naming::PartitionRule;

use crate::node::{BuildNode, NodeFacts};
use crate::sink_node::{negative, unwritable};
use crate::{HashedKeyPart, StreamPartitioner, Wiring};

/// Chooses the output topic of a record (`org.apache.kafka.streams.processor.TopicNameExtractor`). The topics must exist:
/// none is created.
///
/// A closure of this shape is one: `|key: &K, value: &V, context: &RecordContext| String::from("topic")`.
pub trait TopicNameExtractor<K, V>: Send + Sync {
    /// The topic of a record; `context` tells where its input record came from.
    fn extract(&self, key: &K, value: &V, context: &RecordContext) -> String;

    /// What the choice is called in the text of the topology.
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }
}

impl<K, V, F, R> TopicNameExtractor<K, V> for F
where
    F: Fn(&K, &V, &RecordContext) -> R + Send + Sync,
    R: Into<String>,
{
    fn extract(&self, key: &K, value: &V, context: &RecordContext) -> String {
        self(key, value, context).into()
    }
}

/// What a sink writes whose topic is chosen for each record, and how.
pub struct DynamicSinkSpec<K, V> {
    /// The choice of the topic.
    pub extractor: Arc<dyn TopicNameExtractor<K, V>>,
    /// How keys are written.
    pub keys: SharedSerde<K>,
    /// How values are written.
    pub values: SharedSerde<V>,
    /// The user's choice of partitions; `None` is the hash of the key's bytes, as Kafka's own partitioner does it.
    pub partitioner: Option<Arc<dyn StreamPartitioner<K, V>>>,
    /// The part of the key's bytes that is hashed; `None` is all of them.
    pub key_hash: Option<HashedKeyPart>,
}

impl<K, V> DynamicSinkSpec<K, V> {
    /// Writes the topics that `extractor` chooses with these serdes, partitioned by the hash of the key.
    pub fn new(
        extractor: impl TopicNameExtractor<K, V> + 'static,
        keys: SharedSerde<K>,
        values: SharedSerde<V>,
    ) -> Self {
        DynamicSinkSpec { extractor: Arc::new(extractor), keys, values, partitioner: None, key_hash: None }
    }
}

impl<K, V> Clone for DynamicSinkSpec<K, V> {
    fn clone(&self) -> Self {
        DynamicSinkSpec {
            extractor: self.extractor.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            partitioner: self.partitioner.clone(),
            key_hash: self.key_hash,
        }
    }
}

impl<K: Clone + 'static, V: Clone + 'static> DynamicSinkSpec<K, V> {
    /// What the manifest tells of it.
    pub(crate) fn facts(&self) -> NodeFacts {
        let partition_by = match (&self.partitioner, self.key_hash) {
            (Some(_), _) => PartitionRule::Custom,
            (None, Some(_)) => PartitionRule::WindowedKey,
            (None, None) => PartitionRule::Key,
        };
        NodeFacts {
            key_serde: Some(self.keys.id()),
            value_serde: Some(self.values.id()),
            partition_by,
            ..NodeFacts::default()
        }
    }

    /// The closure that makes this sink in each task.
    pub(crate) fn into_build(self) -> BuildNode {
        Box::new(move |wiring: &mut Wiring<'_>, id: NodeId| {
            wiring.install::<K, V>(id, Rc::new(DynamicSinkNode { spec: self.clone() }));
            Ok(())
        })
    }
}

/// A sink of one task.
struct DynamicSinkNode<K, V> {
    spec: DynamicSinkSpec<K, V>,
}

impl<K: 'static, V: 'static> Receive<K, V> for DynamicSinkNode<K, V> {
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let Record { key, value, timestamp, headers } = record;
        let topic = self.spec.extractor.extract(&key, &value, &cx.record);
        kafka_streams_naming::check_name(&topic)?;
        if timestamp < 0 {
            return Err(negative(&topic, timestamp));
        }
        let route = cx.output.dynamic_route(&topic);
        let partitions = cx.output.dynamic_partitions(route);
        let topic: Arc<str> = cx.output.dynamic_topic(route).cloned().unwrap_or_else(|| topic.into());
        let mut draft = cx.output.draft();
        if !self.spec.keys.is_null(&key) {
            let write = |out: &mut Vec<u8>| self.spec.keys.serialize(&topic, &key, out);
            draft.key(write).map_err(|error| unwritable(&topic, "key", error))?;
        }
        if !self.spec.values.is_null(&value) {
            let write = |out: &mut Vec<u8>| self.spec.values.serialize(&topic, &value, out);
            draft.value(write).map_err(|error| unwritable(&topic, "value", error))?;
        }
        let by_key = PartitionChoice::by_key(match self.spec.key_hash {
            None => draft.key_bytes(),
            Some(hashed) => draft.key_bytes().map(hashed),
        });
        let Some(partitioner) = &self.spec.partitioner else {
            draft.send(route, by_key, Some(timestamp), headers);
            return Ok(());
        };
        if partitions == 0 {
            let hash = if let PartitionChoice::ByHash(hash) = by_key { Some(hash) } else { None };
            let partitioner = partitioner.clone();
            let choose = move |partitions| partitioner.partitions(&topic, &key, &value, partitions);
            draft.send_when_known(route, Some(timestamp), headers, hash, choose);
            return Ok(());
        }
        let chosen = partitioner.partitions(&topic, &key, &value, partitions);
        let chosen = chosen.resolve(by_key, partitions).map_err(|NoSuchPartition(partition)| {
            Failure::processing(format!(
                "the partitioner of topic {topic} chose partition {partition} of {partitions} (from 0)"
            ))
        })?;
        draft.send_to(route, &chosen, Some(timestamp), &headers);
        Ok(())
    }
}
