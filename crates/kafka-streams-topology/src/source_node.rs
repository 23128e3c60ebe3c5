//! Where a record enters: bytes of the fetched message to a typed record.

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{
    Failure, FailureKind, NodeId, RawRecord, Record, SerdeError, SharedSerde, TaskContext, TimestampExtractor,
    read_nullable,
};

use crate::node::{BuildNode, NodeFacts};
use crate::{TopicName, Wiring};

/// Where a consumer begins in a partition for which the group has no committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OffsetReset {
    /// At the oldest record.
    Earliest,
    /// At the end: only what is written from now on.
    Latest,
    /// Nowhere: the missing offset is an error.
    None,
}

/// What a source reads, and how.
pub struct SourceSpec<K, V> {
    /// The topics, at least one.
    pub topics: Vec<TopicName>,
    /// How keys are read.
    pub keys: SharedSerde<K>,
    /// How values are read.
    pub values: SharedSerde<V>,
    /// Which time the records have; `None` is the application's default.
    pub timestamp_extractor: Option<TimestampExtractor>,
    /// Where to begin without a committed offset; `None` is the application's default.
    pub offset_reset: Option<OffsetReset>,
}

impl<K, V> SourceSpec<K, V> {
    /// Reads `topics` with these serdes, everything else by the application's defaults.
    pub fn new(topics: impl IntoIterator<Item = TopicName>, keys: SharedSerde<K>, values: SharedSerde<V>) -> Self {
        SourceSpec { topics: topics.into_iter().collect(), keys, values, timestamp_extractor: None, offset_reset: None }
    }
}

impl<K, V> Clone for SourceSpec<K, V> {
    fn clone(&self) -> Self {
        SourceSpec {
            topics: self.topics.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            timestamp_extractor: self.timestamp_extractor,
            offset_reset: self.offset_reset,
        }
    }
}

impl<K: Clone + 'static, V: Clone + 'static> SourceSpec<K, V> {
    /// What the manifest tells of it.
    pub(crate) fn facts(&self) -> NodeFacts {
        NodeFacts { key_serde: Some(self.keys.id()), value_serde: Some(self.values.id()), ..NodeFacts::default() }
    }

    /// The closure that makes this source in each task.
    pub(crate) fn into_build(self) -> BuildNode {
        Box::new(move |wiring: &mut Wiring<'_>, id: NodeId| {
            let children = wiring.children::<K, V>(id)?;
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

#[cold]
fn unreadable(part: &'static str, error: SerdeError) -> Failure {
    Failure::new(FailureKind::Deserialization { part, error })
}
