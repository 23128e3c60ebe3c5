//! A node as it is declared: what it is, whom it is connected to, and how a task makes it.

use std::any::TypeId;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use kafka_streams_core::{NodeId, Step, TimestampExtractor};
use kafka_streams_naming::PartitionRule;

use crate::processor_wrapper::MakeWrapped;
use crate::{OffsetReset, StoreIndex, TopicName, TopicPattern, Wiring};

/// Makes the node of one task and installs it in the wiring.
pub(crate) type BuildNode = Box<dyn Fn(&mut Wiring<'_>, NodeId) -> Step + Send + Sync>;

/// A node of a topology.
pub struct Node {
    /// Its index.
    pub id: NodeId,
    /// Its name, unique in the topology.
    pub name: Arc<str>,
    /// What it is.
    pub kind: NodeKind,
    /// The nodes above, as they were given.
    pub parents: Vec<NodeId>,
    /// The nodes below, in the order in which they were attached: the order in which they get a record.
    pub children: Vec<NodeId>,
    /// The stores that it may use, in the order in which they were connected.
    pub stores: Vec<StoreIndex>,
    pub(crate) input: Option<EdgeTypes>,
    pub(crate) output: Option<EdgeTypes>,
    pub(crate) facts: NodeFacts,
    pub(crate) build: BuildNode,
    /// What wraps it in each task.
    pub(crate) wrap: Option<MakeWrapped>,
}

/// What is known of a source or sink and only told, in the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeFacts {
    pub(crate) key_serde: Option<Cow<'static, str>>,
    pub(crate) value_serde: Option<Cow<'static, str>>,
    /// Of a source that does not leave it to the application.
    pub(crate) timestamp_extractor: Option<Cow<'static, str>>,
    pub(crate) partition_by: PartitionRule,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Reads topics.
    Source {
        /// The topics.
        topics: Vec<TopicName>,
        /// What the names of the topics match that are read besides.
        pattern: Option<TopicPattern>,
        /// Which time their records have; `None` is the application's default.
        timestamp_extractor: Option<TimestampExtractor>,
        /// Where to begin without a committed offset; `None` is the application's default.
        offset_reset: Option<OffsetReset>,
    },
    /// Takes records and sends records.
    Processor,
    /// Writes a topic.
    Sink {
        /// The topic.
        topic: TopicName,
    },
    /// Writes the topic that is chosen for each record.
    DynamicSink {
        /// What the choice is called.
        extractor: Arc<str>,
    },
}

impl NodeKind {
    /// Whether nothing can be below.
    pub fn is_sink(&self) -> bool {
        matches!(self, NodeKind::Sink { .. } | NodeKind::DynamicSink { .. })
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("parents", &self.parents)
            .field("children", &self.children)
            .field("stores", &self.stores)
            .finish_non_exhaustive()
    }
}

/// Key and value type of one end of an edge, compared when the topology is built: a wrong edge is an error with names,
/// and never met by a record.
#[derive(Clone, Copy)]
pub struct EdgeTypes {
    id: TypeId,
    names: fn() -> (&'static str, &'static str),
}

impl EdgeTypes {
    /// The types `K` and `V`.
    pub fn of<K: 'static, V: 'static>() -> Self {
        EdgeTypes { id: TypeId::of::<(K, V)>(), names: || (std::any::type_name::<K>(), std::any::type_name::<V>()) }
    }
}

impl PartialEq for EdgeTypes {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for EdgeTypes {}

impl fmt::Display for EdgeTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (self.names)();
        write!(f, "<{key}, {value}>")
    }
}

impl fmt::Debug for EdgeTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The types of one side of a node, as types: `(K, V)`, or `()` for a side on which no record travels.
pub trait NodeTypes {
    /// The types, for the comparison of both ends of an edge.
    fn types() -> Option<EdgeTypes>;
}

impl<K: 'static, V: 'static> NodeTypes for (K, V) {
    fn types() -> Option<EdgeTypes> {
        Some(EdgeTypes::of::<K, V>())
    }
}

impl NodeTypes for () {
    fn types() -> Option<EdgeTypes> {
        None
    }
}
