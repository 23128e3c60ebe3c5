//! What became of a case, in the terms of section 4 of `SPEC.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_streams_testing::{RawTestRecord, TestDriverError, TopologyTestDriver};
use kafka_streams_topology::{PlanOptions, SubtopologyTopics, TopicSettings, Topology};
use serde_json::{Map, Value as Json, json};

use crate::config::APPLICATION;
use crate::jvm_error::JvmError;

/// The result of a case. What was not reached is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The text of `describe()`.
    pub describe: Option<String>,
    /// Internal topics by sub-topology.
    pub internal_topics: Option<Json>,
    /// Sets of co-partitioned topics.
    pub copartition: Option<Json>,
    /// The records of all topics.
    pub topics: Option<BTreeMap<String, Json>>,
    /// The error that ended the case.
    pub error: Option<OutcomeError>,
}

/// An error, and where it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeError {
    /// `build`, `start` or `input`.
    pub phase: &'static str,
    /// The step of the input.
    pub step: Option<usize>,
    /// What it is on the JVM.
    pub error: JvmError,
    /// What we say.
    pub own: String,
}

/// `internalTopics` of a topology.
pub fn internal_topics(topology: &Topology) -> Json {
    let parts = topology.topics_of_subtopologies(APPLICATION, &PlanOptions::default());
    Json::Array(parts.iter().map(|(id, part)| of_part(*id, part)).collect())
}

/// `copartition` of a topology.
pub fn copartition(topology: &Topology) -> Json {
    let mut sets: Vec<Vec<String>> = Vec::new();
    for set in topology.copartition_sets(APPLICATION) {
        sets.push(set.iter().map(|topic| topic.to_string()).collect());
    }
    sets.sort_by_key(|set| set.join(","));
    json!(sets)
}

/// The records of all topics that the topology has written to.
///
/// # Errors
/// The driver is in use.
pub fn topics(driver: &TopologyTestDriver) -> Result<BTreeMap<String, Json>, TestDriverError> {
    let mut topics = BTreeMap::new();
    for topic in driver.produced_topic_names()? {
        let mut records = Vec::new();
        while let Some(record) = driver.read_raw(&topic)? {
            records.push(of_record(&record));
        }
        topics.insert(topic.to_string(), Json::Array(records));
    }
    Ok(topics)
}

fn of_part(id: i32, part: &SubtopologyTopics) -> Json {
    let changelog = |(name, settings): (&Arc<str>, &Option<TopicSettings>)| {
        (name.to_string(), settings.as_ref().map_or_else(|| json!({"source": true}), of_settings))
    };
    let repartition = part.repartition.iter().map(|(name, settings)| (name.to_string(), of_settings(settings)));
    let names = |topics: &std::collections::BTreeSet<Arc<str>>| {
        topics.iter().map(|topic| Json::from(&**topic)).collect::<Vec<_>>()
    };
    json!({
        "subtopology": id,
        "sources": names(&part.sources),
        "sinks": names(&part.sinks),
        "repartition": repartition.collect::<Map<_, _>>(),
        "changelog": part.changelogs.iter().map(changelog).collect::<Map<_, _>>(),
    })
}

fn of_settings(settings: &TopicSettings) -> Json {
    let mut object = Map::new();
    if let Some(partitions) = settings.partitions {
        object.insert("partitions".to_owned(), json!(partitions));
        object.insert("enforced".to_owned(), json!(true));
    }
    object.insert("config".to_owned(), json!(settings.config));
    Json::Object(object)
}

fn of_record(record: &RawTestRecord) -> Json {
    let mut fields = vec![hex(record.key.as_deref()), hex(record.value.as_deref()), json!(record.timestamp)];
    if !record.headers.is_empty() {
        let headers = record.headers.iter().map(|header| json!([header.key, hex(header.value.as_deref())]));
        fields.push(headers.collect());
    }
    Json::Array(fields)
}

fn hex(bytes: Option<&[u8]>) -> Json {
    let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    bytes.map_or(Json::Null, |bytes| Json::from(text(bytes)))
}
