//! Where a record leaves: a typed record to bytes in the task's output buffer.

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{
    Failure, FailureKind, NodeId, PartitionChoice, Receive, Record, RouteId, SerdeError, SharedSerde, Step, TaskContext,
};
use kafka_streams_naming::PartitionRule;

use crate::node::{BuildNode, NodeFacts};
use crate::{TopicName, Wiring};

/// Chooses the partition of a record of an output topic (`org.apache.kafka.streams.processor.StreamPartitioner`).
///
/// A closure of this shape is one: `|topic: &str, key: &K, value: &V, partitions: i32| Some(0)`.
pub trait StreamPartitioner<K, V>: Send + Sync {
    /// The partition, from 0; `None` leaves the choice to the hash of the key. `partitions` is the topic's number of
    /// partitions, 0 if it is not known yet.
    fn partition(&self, topic: &str, key: &K, value: &V, partitions: i32) -> Option<i32>;
}

impl<K, V, F: Fn(&str, &K, &V, i32) -> Option<i32> + Send + Sync> StreamPartitioner<K, V> for F {
    fn partition(&self, topic: &str, key: &K, value: &V, partitions: i32) -> Option<i32> {
        self(topic, key, value, partitions)
    }
}

/// The part of a serialized key that decides the partition; of a windowed key it is the key without the window
/// (`WindowedStreamPartitioner` of the JVM).
pub type HashedKeyPart = fn(&[u8]) -> &[u8];

/// What a sink writes, and how.
pub struct SinkSpec<K, V> {
    /// The topic.
    pub topic: TopicName,
    /// How keys are written.
    pub keys: SharedSerde<K>,
    /// How values are written.
    pub values: SharedSerde<V>,
    /// The user's choice of partitions; `None` is the hash of the key's bytes, as Kafka's own partitioner does it.
    pub partitioner: Option<Arc<dyn StreamPartitioner<K, V>>>,
    /// The part of the key's bytes that is hashed; `None` is all of them.
    pub key_hash: Option<HashedKeyPart>,
}

impl<K, V> SinkSpec<K, V> {
    /// Writes `topic` with these serdes, partitioned by the hash of the key.
    pub fn new(topic: TopicName, keys: SharedSerde<K>, values: SharedSerde<V>) -> Self {
        SinkSpec { topic, keys, values, partitioner: None, key_hash: None }
    }
}

impl<K, V> Clone for SinkSpec<K, V> {
    fn clone(&self) -> Self {
        SinkSpec {
            topic: self.topic.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            partitioner: self.partitioner.clone(),
            key_hash: self.key_hash,
        }
    }
}

impl<K: Clone + 'static, V: Clone + 'static> SinkSpec<K, V> {
    /// What the manifest tells of it.
    pub(crate) fn facts(&self) -> NodeFacts {
        let partition_by = match (&self.partitioner, self.key_hash) {
            (Some(_), _) => PartitionRule::Custom,
            (None, Some(_)) => PartitionRule::WindowedKey,
            (None, None) => PartitionRule::Key,
        };
        NodeFacts { key_serde: Some(self.keys.id()), value_serde: Some(self.values.id()), partition_by }
    }

    /// The closure that makes this sink in each task.
    pub(crate) fn into_build(self) -> BuildNode {
        Box::new(move |wiring: &mut Wiring<'_>, id: NodeId| {
            let node = SinkNode {
                route: wiring.sink_route(id)?,
                topic: wiring.topic(&self.topic),
                partitions: wiring.partitions(&self.topic),
                spec: self.clone(),
            };
            wiring.install::<K, V>(id, Rc::new(node));
            Ok(())
        })
    }
}

/// A sink of one task.
struct SinkNode<K, V> {
    route: RouteId,
    topic: Arc<str>,
    partitions: i32,
    spec: SinkSpec<K, V>,
}

impl<K: 'static, V: 'static> Receive<K, V> for SinkNode<K, V> {
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let Record { key, value, timestamp, headers } = record;
        if timestamp < 0 {
            return Err(self.negative(timestamp));
        }
        let mut draft = cx.output.draft();
        if !self.spec.keys.is_null(&key) {
            let write = |out: &mut Vec<u8>| self.spec.keys.serialize(&self.topic, &key, out);
            draft.key(write).map_err(|error| self.unwritable("key", error))?;
        }
        if !self.spec.values.is_null(&value) {
            let write = |out: &mut Vec<u8>| self.spec.values.serialize(&self.topic, &value, out);
            draft.value(write).map_err(|error| self.unwritable("value", error))?;
        }
        let chosen = match &self.spec.partitioner {
            Some(partitioner) => partitioner.partition(&self.topic, &key, &value, self.partitions),
            None => None,
        };
        let partition = match (chosen, self.spec.key_hash) {
            (Some(partition), _) => self.explicit(partition)?,
            (None, None) => PartitionChoice::by_key(draft.key_bytes()),
            (None, Some(hashed)) => PartitionChoice::by_key(draft.key_bytes().map(hashed)),
        };
        draft.send(self.route, partition, Some(timestamp), headers);
        Ok(())
    }
}

impl<K, V> SinkNode<K, V> {
    fn explicit(&self, partition: i32) -> Step<PartitionChoice> {
        if partition < 0 || (self.partitions > 0 && partition >= self.partitions) {
            return Err(self.out_of_range(partition));
        }
        Ok(PartitionChoice::Explicit(partition))
    }

    #[cold]
    fn unwritable(&self, part: &'static str, error: SerdeError) -> Failure {
        Failure::new(FailureKind::Serialization { topic: self.topic.clone(), part, error })
    }

    #[cold]
    fn out_of_range(&self, partition: i32) -> Failure {
        let (topic, partitions) = (&self.topic, self.partitions);
        Failure::processing(match partitions {
            0 => format!("the partitioner of topic {topic} chose partition {partition}; partitions count from 0"),
            _ => format!("the partitioner of topic {topic} chose partition {partition} of {partitions} (from 0)"),
        })
    }

    #[cold]
    fn negative(&self, timestamp: i64) -> Failure {
        Failure::processing(format!(
            "a record for topic {} has the timestamp {timestamp}; give it one that is not negative",
            self.topic
        ))
    }
}
