//! The manifest: everything of a topology that a deploy can break, as data that is compared, kept and read by people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Naming;

/// The version of the manifest's form that this library writes, and the only one that it reads.
pub const MANIFEST_FORMAT: u32 = 1;

/// A topology as data. Written by `Topology::to_manifest()`, compared by [`diff`](crate::diff()), and given to a builder to
/// pin the names that an earlier version had.
///
/// Its JSON lists nodes in the topology's order and everything else by name, one fact a line, without what is the default, so
/// that a change of the topology is a small change of the file. `schema/manifest-1.schema.json` of this crate describes
/// it. Edges are the `parents` of processors and sinks.
///
/// ```
/// use kafka_streams_naming::{Manifest, Naming};
/// let manifest = Manifest::new(Some(Naming::Jvm));
/// assert_eq!(Manifest::from_json(&manifest.to_json()), Ok(manifest));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// How unnamed nodes, stores and topics were numbered; `None` where everything is named (Processor API).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub naming: Option<Naming>,
    /// Where records enter.
    pub sources: Vec<SourceEntry>,
    /// What takes and sends records.
    pub processors: Vec<ProcessorEntry>,
    /// Where records leave.
    pub sinks: Vec<SinkEntry>,
    /// The stores, by name.
    pub stores: Vec<StoreEntry>,
    /// The topics between sub-topologies, by name.
    pub repartition_topics: Vec<RepartitionEntry>,
    /// The connected parts; their ids are the first half of the tasks' ids.
    pub subtopologies: Vec<SubtopologyEntry>,
    /// Groups of topics that must have equal numbers of partitions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copartitioned: Vec<Vec<TopicRef>>,
    /// Generated names that stores and repartition topics of earlier versions had, where names are pinned: they are not
    /// drawn again, so that no new store finds the changelog of an old one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub retired: BTreeSet<String>,
    /// What extensions add, each under a key of its own, such as its crate's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, Value>,
}

/// A node that reads topics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceEntry {
    /// The node's name.
    pub name: String,
    /// The topics; empty for a pattern.
    pub topics: Vec<TopicRef>,
    /// The regular expression that the names of its topics match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The id of the keys' serde.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_serde: Option<String>,
    /// The id of the values' serde.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_serde: Option<String>,
    /// What finds out the records' times: `WallclockTimestampExtractor` and the others of the JVM's names, or the name of
    /// the user's own, `custom` if it has none; absent, as the application is configured, and in manifests of earlier
    /// versions of this library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_extractor: Option<String>,
    /// Where to begin without a committed offset: `earliest`, `latest`, `none`; absent, as the application is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_reset: Option<String>,
}

/// A node that takes and sends records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessorEntry {
    /// The node's name.
    pub name: String,
    /// What a generated name of it begins with, as `KSTREAM-AGGREGATE-`, whatever its name is; absent if it was written
    /// with the Processor API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// The nodes above.
    pub parents: Vec<String>,
    /// The stores that it uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<String>,
}

/// A node that writes a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkEntry {
    /// The node's name.
    pub name: String,
    /// The topic; absent if each record's is worked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicRef>,
    /// The id of the keys' serde.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_serde: Option<String>,
    /// The id of the values' serde.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_serde: Option<String>,
    /// What decides a record's partition.
    #[serde(default, skip_serializing_if = "PartitionRule::is_default")]
    pub partition_by: PartitionRule,
    /// The nodes above.
    pub parents: Vec<String>,
}

/// A store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreEntry {
    /// Its name.
    pub name: String,
    /// `key-value`, `window`, …
    pub kind: String,
    /// The id of the keys' serde.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_serde: Option<String>,
    /// The id of the values' serde.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_serde: Option<String>,
    /// Whether a row carries a timestamp before its value.
    #[serde(default, skip_serializing_if = "is_false")]
    pub timestamped: bool,
    /// Whether a row carries headers before its timestamp and value.
    #[serde(default, skip_serializing_if = "is_false")]
    pub headers: bool,
    /// Size of a window in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_size_ms: Option<i64>,
    /// How long a window or session is kept, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<i64>,
    /// How long windows take late records, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<i64>,
    /// How far back a versioned store can be asked, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_retention_ms: Option<i64>,
    /// Whether equal keys and times are kept side by side.
    #[serde(default, skip_serializing_if = "is_false")]
    pub retain_duplicates: bool,
    /// Whether every task has the whole of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub global: bool,
    /// Whether it outlives the process.
    #[serde(default, skip_serializing_if = "is_false")]
    pub persistent: bool,
    /// Whether updates are held back and thinned out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub caching: bool,
    /// What it is restored from; absent without logging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changelog: Option<ChangelogEntry>,
}

/// What a store is restored from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangelogEntry {
    /// A changelog of the application's own, or the source topic that is one.
    pub topic: TopicRef,
    /// The configuration of a topic of the application's own, without what the application's configuration adds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
}

/// A topic between sub-topologies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepartitionEntry {
    /// The topic.
    pub topic: TopicRef,
    /// The given number of partitions; absent where it follows from the topics above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// What decides a record's partition.
    #[serde(default, skip_serializing_if = "PartitionRule::is_default")]
    pub partition_by: PartitionRule,
    /// Its configuration, without what the application's configuration adds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
}

/// A connected part of a topology.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtopologyEntry {
    /// Its id.
    pub id: i32,
    /// Its nodes, in the topology's order.
    pub nodes: Vec<String>,
}

/// What decides a record's partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PartitionRule {
    /// The hash of the key's bytes.
    #[default]
    Key,
    /// The hash of the bytes of a key without its window.
    WindowedKey,
    /// A partitioner of the user's own.
    Custom,
}

impl PartitionRule {
    fn is_default(&self) -> bool {
        *self == PartitionRule::default()
    }
}

/// A topic. One of the application's own is written `{app}-<name>`, as its name begins with the application id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct TopicRef {
    /// The name; without the application id if the topic is internal.
    pub name: String,
    /// Whether the topic is the application's own.
    pub internal: bool,
}

/// Stands for the application id in front of an internal topic; no topic's own name can hold a brace.
const APP: &str = "{app}-";

impl TopicRef {
    /// A topic that exists without the application.
    pub fn external(name: impl Into<String>) -> Self {
        TopicRef { name: name.into(), internal: false }
    }

    /// A topic of the application's own; `name` is without the application id.
    pub fn internal(name: impl Into<String>) -> Self {
        TopicRef { name: name.into(), internal: true }
    }

    /// The name on the broker.
    pub fn decorated(&self, application_id: &str) -> String {
        match self.internal {
            true => crate::decorate(application_id, &self.name),
            false => self.name.clone(),
        }
    }
}

impl fmt::Display for TopicRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.internal { APP } else { "" }, self.name)
    }
}

impl From<String> for TopicRef {
    fn from(text: String) -> Self {
        match text.strip_prefix(APP) {
            Some(name) => TopicRef::internal(name),
            None => TopicRef::external(text),
        }
    }
}

impl From<TopicRef> for String {
    fn from(topic: TopicRef) -> Self {
        topic.to_string()
    }
}

/// Why a text is not a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is no manifest.
    #[error("not a manifest of a topology: {reason}")]
    Malformed {
        /// What is wrong, and where.
        reason: String,
    },
    /// It was written by another version of the library.
    #[error(
        "a manifest of format {found}, where this version of the library reads format {MANIFEST_FORMAT}; write it anew \
         with the library that the program uses"
    )]
    Format {
        /// The format that it says it has.
        found: u64,
    },
}

impl Manifest {
    /// A manifest of no nodes.
    pub fn new(naming: Option<Naming>) -> Self {
        Manifest {
            format: MANIFEST_FORMAT,
            naming,
            sources: Vec::new(),
            processors: Vec::new(),
            sinks: Vec::new(),
            stores: Vec::new(),
            repartition_topics: Vec::new(),
            subtopologies: Vec::new(),
            copartitioned: Vec::new(),
            retired: BTreeSet::new(),
            extensions: BTreeMap::new(),
        }
    }

    /// Reads what [`to_json`](Manifest::to_json) wrote.
    ///
    /// # Errors
    /// The text is not JSON, not a manifest, or one of another format.
    pub fn from_json(text: &str) -> Result<Self, ManifestError> {
        let malformed = |error: serde_json::Error| ManifestError::Malformed { reason: error.to_string() };
        let value: Value = serde_json::from_str(text).map_err(malformed)?;
        match value.get("format").and_then(Value::as_u64) {
            Some(format) if format == u64::from(MANIFEST_FORMAT) => {}
            Some(found) => return Err(ManifestError::Format { found }),
            None => return Err(ManifestError::Malformed { reason: "there is no number `format`".to_owned() }),
        }
        // From the text and not from the value, so that an error says the line.
        serde_json::from_str(text).map_err(malformed)
    }

    /// The manifest as JSON with a line for each fact, the same bytes for the same topology; ends with a line break.
    pub fn to_json(&self) -> String {
        // Maps have texts as keys and no number is a fraction, so nothing in it can be refused.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Adds the data of an extension under its own key.
    #[must_use]
    pub fn with_extension(mut self, key: impl Into<String>, data: Value) -> Self {
        self.extensions.insert(key.into(), data);
        self
    }

    /// The store of this name.
    pub fn store(&self, name: &str) -> Option<&StoreEntry> {
        self.stores.iter().find(|store| store.name == name)
    }

    /// Names of stores and repartition topics that were generated, so that a change of the topology may change them:
    /// what strict naming refuses (KIP-1111).
    pub fn unnamed_resources(&self) -> Vec<UnnamedResource> {
        let stores = self.stores.iter().filter(|store| crate::is_generated(&store.name));
        let topics = self.repartition_topics.iter().filter(|topic| crate::is_generated(&topic.topic.name));
        stores
            .map(|store| UnnamedResource::Store { name: store.name.clone(), changelog: store.changelog.is_some() })
            .chain(topics.map(|topic| UnnamedResource::RepartitionTopic { name: topic.topic.name.clone() }))
            .collect()
    }
}

/// A store or a topic of the application's own without a name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnnamedResource {
    /// A store.
    Store {
        /// Its generated name.
        name: String,
        /// Whether a changelog is named after it.
        changelog: bool,
    },
    /// A repartition topic.
    RepartitionTopic {
        /// Its generated name, without the application id.
        name: String,
    },
}

impl fmt::Display for UnnamedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnnamedResource::Store { name, changelog: true } => {
                write!(f, "store {name} (and its changelog): name it with `Materialized::named`")
            }
            UnnamedResource::Store { name, changelog: false } => {
                write!(f, "store {name}: name it with `Materialized::named`")
            }
            UnnamedResource::RepartitionTopic { name } => write!(
                f,
                "repartition topic {name}: name it with `Grouped::named`, `Repartitioned::named` or `Joined::named`"
            ),
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_the_applications_own_are_told_by_a_brace() {
        let internal = TopicRef::internal("by-word-repartition");
        assert_eq!(internal.to_string(), "{app}-by-word-repartition");
        assert_eq!(TopicRef::from(internal.to_string()), internal);
        assert_eq!(TopicRef::from("lines".to_owned()), TopicRef::external("lines"));
        assert_eq!(internal.decorated("shop"), "shop-by-word-repartition");
    }

    #[test]
    fn what_is_no_manifest_or_of_another_format_is_an_error_that_says_so() {
        assert!(matches!(Manifest::from_json("{"), Err(ManifestError::Malformed { .. })));
        assert!(matches!(Manifest::from_json("{}"), Err(ManifestError::Malformed { .. })));
        assert_eq!(Manifest::from_json(r#"{"format": 7}"#), Err(ManifestError::Format { found: 7 }));
        let error = Manifest::from_json("{\"format\": 1,\n\"sources\": 3}").unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn generated_names_of_stores_and_topics_are_what_strict_naming_refuses() {
        let mut manifest = Manifest::new(Some(Naming::Jvm));
        for name in ["counts", "KSTREAM-AGGREGATE-STATE-STORE-0000000002"] {
            manifest.stores.push(StoreEntry { name: name.to_owned(), ..StoreEntry::default() });
        }
        let unnamed = manifest.unnamed_resources();
        assert_eq!(unnamed.len(), 1);
        assert!(unnamed[0].to_string().contains("Materialized::named"));
    }
}
