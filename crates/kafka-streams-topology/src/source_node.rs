//! Where a record enters: bytes of the fetched message to a typed record.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::{
    Extracted, Failure, FailureKind, Headers, NodeId, RawRecord, Record, SerdeError, SharedSerde, TaskContext,
    Timestamp, TimestampExtractor, read_nullable,
};

use crate::node::{BuildNode, NodeFacts};
use crate::{ExtractTime, TopicName, TopicPattern, Wiring};

/// Where a consumer begins in a partition for which the group has no committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OffsetReset {
    /// At the oldest record.
    Earliest,
    /// At the end: only what is written from now on.
    Latest,
    /// Nowhere: the missing offset is an error.
    None,
    /// At the first record that is not older than this (KIP-1106); at the end if all are.
    ByDuration(Duration),
}

/// A record as it was fetched and read, for finding out its time.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerRecord<'r, K, V> {
    /// Its topic.
    pub topic: &'r str,
    /// Its offset.
    pub offset: i64,
    /// The timestamp that it was fetched with, in milliseconds; -1 if it has none.
    pub timestamp: Timestamp,
    /// Its key.
    pub key: &'r K,
    /// Its value; `None` for the null values of a table, which are no `V`.
    pub value: Option<&'r V>,
    /// Its headers.
    pub headers: &'r Headers,
}

/// Finds out a record's time (`org.apache.kafka.streams.processor.TimestampExtractor` of the JVM).
///
/// A closure of this shape is one: `|record: &ConsumerRecord<'_, K, V>, partition_time: i64| record.timestamp`.
pub trait ExtractTimestamp<K, V>: Send + Sync {
    /// The record's time in milliseconds since the epoch; a negative one drops the record. `partition_time` is the highest
    /// time so far of its partition, -1 before the first.
    fn extract(&self, record: &ConsumerRecord<'_, K, V>, partition_time: Timestamp) -> Timestamp;

    /// What the manifest calls it: a change of the name is told as a change of the source. A name of your own, that is
    /// changed when the times are found out in another way, lets one extractor be told from another.
    fn name(&self) -> &str {
        "custom"
    }
}

impl<K, V, F> ExtractTimestamp<K, V> for F
where
    F: Fn(&ConsumerRecord<'_, K, V>, Timestamp) -> Timestamp + Send + Sync,
{
    fn extract(&self, record: &ConsumerRecord<'_, K, V>, partition_time: Timestamp) -> Timestamp {
        self(record, partition_time)
    }
}

/// What a source reads, and how.
pub struct SourceSpec<K, V> {
    /// The topics; at least one, if there is no pattern.
    pub topics: Vec<TopicName>,
    /// What the names of the topics match that are read besides.
    pub pattern: Option<TopicPattern>,
    /// How keys are read.
    pub keys: SharedSerde<K>,
    /// How values are read.
    pub values: SharedSerde<V>,
    /// Which time the records have; `None` is the application's default.
    pub timestamp_extractor: Option<TimestampExtractor>,
    /// The user's own way to find out the time; it wins over `timestamp_extractor`.
    pub extract: Option<Arc<dyn ExtractTimestamp<K, V>>>,
    /// Where to begin without a committed offset; `None` is the application's default.
    pub offset_reset: Option<OffsetReset>,
}

impl<K, V> SourceSpec<K, V> {
    /// Reads `topics` with these serdes, everything else by the application's defaults.
    pub fn new(topics: impl IntoIterator<Item = TopicName>, keys: SharedSerde<K>, values: SharedSerde<V>) -> Self {
        SourceSpec {
            topics: topics.into_iter().collect(),
            pattern: None,
            keys,
            values,
            timestamp_extractor: None,
            extract: None,
            offset_reset: None,
        }
    }

    /// Reads the topics whose names match `pattern`, everything else by the application's defaults.
    pub fn matching(pattern: TopicPattern, keys: SharedSerde<K>, values: SharedSerde<V>) -> Self {
        SourceSpec { pattern: Some(pattern), ..SourceSpec::new([], keys, values) }
    }
}

impl<K, V> Clone for SourceSpec<K, V> {
    fn clone(&self) -> Self {
        SourceSpec {
            topics: self.topics.clone(),
            pattern: self.pattern.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            timestamp_extractor: self.timestamp_extractor,
            extract: self.extract.clone(),
            offset_reset: self.offset_reset,
        }
    }
}

impl<K: Clone + 'static, V: Clone + 'static> SourceSpec<K, V> {
    /// What the manifest tells of it.
    pub(crate) fn facts(&self) -> NodeFacts {
        let timestamp_extractor = match &self.extract {
            Some(custom) => Some(custom.name().to_owned().into()),
            None => self.timestamp_extractor.map(|built_in| built_in.name().into()),
        };
        NodeFacts {
            key_serde: Some(self.keys.id()),
            value_serde: Some(self.values.id()),
            timestamp_extractor,
            ..NodeFacts::default()
        }
    }

    /// The closure that makes this source in each task.
    pub(crate) fn into_build(self) -> BuildNode {
        Box::new(move |wiring: &mut Wiring<'_>, id: NodeId| {
            let children = wiring.children::<K, V>(id)?;
            if let Some(extract) = self.extract.clone() {
                wiring.install_extractor(id, extract_time(extract, self.keys.clone(), self.values.clone()));
            }
            let (keys, values) = (self.keys.clone(), self.values.clone());
            let first: Option<Arc<str>> = self.topics.first().map(|topic| wiring.topic(topic));
            let ingest = move |cx: &mut TaskContext, raw: &RawRecord<'_>| {
                let topic = cx.record.topic.as_deref().or(first.as_deref()).unwrap_or_default();
                let key = read_nullable(&*keys, topic, raw.key).map_err(|error| unreadable("key", error))?;
                let value = read_nullable(&*values, topic, raw.value).map_err(|error| unreadable("value", error))?;
                let headers = raw.headers.cloned().unwrap_or_default();
                let timestamp = cx.record.timestamp;
                children.forward(cx, Record { key, value, timestamp, headers })
            };
            wiring.install_source(id, Rc::new(ingest));
            Ok(())
        })
    }
}

/// The user's extractor over bytes. The record is read for it, and a second time when it is processed: only sources with
/// an extractor of their own pay for that. One that cannot be read has the time that it was fetched with, so that the
/// processing of it tells what is wrong.
fn extract_time<K: 'static, V: 'static>(
    extract: Arc<dyn ExtractTimestamp<K, V>>,
    keys: SharedSerde<K>,
    values: SharedSerde<V>,
) -> ExtractTime {
    Rc::new(move |topic, raw, partition_time| {
        let unreadable = Extracted::At(raw.timestamp.max(partition_time).max(0));
        let Ok(key) = read_nullable(&*keys, topic, raw.key) else { return unreadable };
        let Ok(value) = read_nullable(&*values, topic, raw.value) else { return unreadable };
        let none = Headers::new();
        let record = ConsumerRecord {
            topic,
            offset: raw.offset,
            timestamp: raw.timestamp,
            key: &key,
            value: Some(&value),
            headers: raw.headers.unwrap_or(&none),
        };
        match extract.extract(&record, partition_time) {
            timestamp if timestamp < 0 => Extracted::Skip,
            timestamp => Extracted::At(timestamp),
        }
    })
}

#[cold]
fn unreadable(part: &'static str, error: SerdeError) -> Failure {
    Failure::new(FailureKind::Deserialization { part, error })
}
