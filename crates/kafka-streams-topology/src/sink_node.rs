//! Where a record leaves: a typed record to bytes in the task's output buffer.

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{
    Failure, FailureKind, NoSuchPartition, NodeId, PartitionChoice, Partitions, Receive, Record, RouteId, SerdeError,
    SharedSerde, Step, TaskContext,
};
use kafka_streams_naming::PartitionRule;

use crate::node::{BuildNode, NodeFacts};
use crate::{TopicName, Wiring};

/// Chooses the partitions of a record of an output topic (`org.apache.kafka.streams.processor.StreamPartitioner`).
///
/// A closure of this shape is one: `|topic: &str, key: &K, value: &V, partitions: i32| 0`. It may return an `i32`, an
/// `Option<i32>` (`None` leaves the choice to the hash of the key), a `Vec<i32>` (each of them gets the record; an empty one
/// drops it) or an `Option<Vec<i32>>`.
pub trait StreamPartitioner<K, V>: Send + Sync {
    /// The partitions, counted from 0. `partitions` is the topic's number of partitions.
    fn partitions(&self, topic: &str, key: &K, value: &V, partitions: i32) -> Partitions;
}

impl<K, V, F, R> StreamPartitioner<K, V> for F
where
    F: Fn(&str, &K, &V, i32) -> R + Send + Sync,
    R: Into<Partitions>,
{
    fn partitions(&self, topic: &str, key: &K, value: &V, partitions: i32) -> Partitions {
        self(topic, key, value, partitions).into()
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
        let by_key = PartitionChoice::by_key(match self.spec.key_hash {
            None => draft.key_bytes(),
            Some(hashed) => draft.key_bytes().map(hashed),
        });
        let Some(partitioner) = &self.spec.partitioner else {
            draft.send(self.route, by_key, Some(timestamp), headers);
            return Ok(());
        };
        let chosen = partitioner.partitions(&self.topic, &key, &value, self.partitions);
        let chosen = chosen.resolve(by_key, self.partitions).map_err(|NoSuchPartition(p)| self.out_of_range(p))?;
        draft.send_to(self.route, &chosen, Some(timestamp), &headers);
        Ok(())
    }
}

impl<K, V> SinkNode<K, V> {
    #[cold]
    fn unwritable(&self, part: &'static str, error: SerdeError) -> Failure {
        unwritable(&self.topic, part, error)
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
        negative(&self.topic, timestamp)
    }
}

#[cold]
pub(crate) fn unwritable(topic: &Arc<str>, part: &'static str, error: SerdeError) -> Failure {
    Failure::new(FailureKind::Serialization { topic: topic.clone(), part, error })
}

#[cold]
pub(crate) fn negative(topic: &str, timestamp: i64) -> Failure {
    Failure::processing(format!(
        "a record for topic {topic} has the timestamp {timestamp}; give it one that is not negative"
    ))
}
