//! What can be wrong with a topology, and with the topics that it finds: the user's mistakes, with names.

use std::panic::Location;
use std::sync::Arc;

use kafka_streams_naming::NameError;

/// A topology that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// The name of a node, a store or a topic is not legal.
    #[error("not a name of a {what}{}: {error}", at(*place))]
    IllegalName {
        /// `node`, `store` or `topic`.
        what: &'static str,
        /// Which rule it breaks.
        error: NameError,
        /// Where it was given, file, line and column, if the builder is the Processor API's.
        place: Option<&'static Location<'static>>,
    },
    /// Two nodes have one name.
    #[error("there are two nodes named {name}{}; give one of them another name", at_both(*places))]
    DuplicateNode {
        /// The name.
        name: Arc<str>,
        /// Where it was given first and again, if the builder is the Processor API's.
        places: Option<[&'static Location<'static>; 2]>,
    },
    /// Two stores have one name.
    #[error(
        "there are two stores named {name}{}; add a store once and connect it to every node that uses it",
        at_both(*places)
    )]
    DuplicateStore {
        /// The name.
        name: Arc<str>,
        /// Where it was given first and again, if the builder is the Processor API's.
        places: Option<[&'static Location<'static>; 2]>,
    },
    /// Two sources read one topic.
    #[error(
        "topic {topic} is read by source {first} and by source {second}; read it once and attach both to one source"
    )]
    TopicReadTwice {
        /// The topic.
        topic: Arc<str>,
        /// The source that was added first.
        first: Arc<str>,
        /// The other source.
        second: Arc<str>,
    },
    /// A store cannot work as it is declared.
    #[error("{reason}")]
    IllegalStore {
        /// Which store, and what is wrong with it.
        reason: String,
    },
    /// A pattern of topics is no regular expression.
    #[error("not a pattern of topics: {pattern}: {reason}")]
    IllegalPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A source's pattern matches a topic that another source reads by name.
    #[error(
        "topic {topic}, which source {source_node} reads, matches the pattern {pattern} of source {pattern_node}; let one \
         source read it"
    )]
    TopicMatchesPattern {
        /// The topic.
        topic: Arc<str>,
        /// The source that reads it by name.
        source_node: Arc<str>,
        /// The pattern.
        pattern: Arc<str>,
        /// The source of the pattern.
        pattern_node: Arc<str>,
    },
    /// A global store, or a node that keeps one, was connected to other nodes.
    #[error("{node} and global store {store} cannot be connected: every processor can read a global store as it is")]
    ConnectedToGlobal {
        /// The node.
        node: Arc<str>,
        /// The global store.
        store: Arc<str>,
    },
    /// A source reads no topic.
    #[error("source {node} reads no topic; name at least one")]
    NoTopics {
        /// The source.
        node: Arc<str>,
    },
    /// A processor or sink has nothing above it.
    #[error("node {node} has no parent, so no record would reach it; name at least one")]
    NoParents {
        /// The node.
        node: Arc<str>,
    },
    /// A node that was named does not exist (yet).
    #[error("{by} refers to node {node}, which does not exist; add it first")]
    UnknownNode {
        /// The name or number that was given.
        node: String,
        /// Who refers to it.
        by: Arc<str>,
    },
    /// A store that was named does not exist.
    #[error("{by} refers to store {store}, which does not exist; add it first")]
    UnknownStore {
        /// The name or number that was given.
        store: String,
        /// Who refers to it.
        by: Arc<str>,
    },
    /// A sink was given as a parent.
    #[error("node {child} is attached to sink {parent}, but a sink sends nothing; read its topic with a source")]
    ParentIsSink {
        /// The sink.
        parent: Arc<str>,
        /// The node below.
        child: Arc<str>,
    },
    /// The two ends of an edge have different types.
    #[error("{parent} sends {sends}, but {child} below it takes {takes}; make key and value types equal")]
    TypeMismatch {
        /// The node above.
        parent: Arc<str>,
        /// What it sends.
        sends: String,
        /// The node below.
        child: Arc<str>,
        /// What it takes.
        takes: String,
    },
    /// No node uses a store.
    #[error("store {store} is connected to no processor; connect it to the processors that use it, or do not add it")]
    StoreNotConnected {
        /// The store.
        store: Arc<str>,
    },
    /// A store was connected to a source or a sink.
    #[error("store {store} is connected to {node}, which is no processor; connect it to a processor")]
    StoreOnSourceOrSink {
        /// The store.
        store: Arc<str>,
        /// The source or sink.
        node: Arc<str>,
    },
    /// A store's changelog was said to be a topic that no source reads.
    #[error("topic {topic} cannot be the changelog of store {store}: no source reads it")]
    ChangelogNotRead {
        /// The store.
        store: Arc<str>,
        /// The topic.
        topic: Arc<str>,
    },
    /// An internal topic is used without having been declared.
    #[error("node {node} uses the internal topic {topic}, which was not declared; declare it as a repartition topic")]
    UndeclaredInternalTopic {
        /// The node.
        node: Arc<str>,
        /// The topic, without the application id.
        topic: Arc<str>,
    },
    /// A repartition topic was declared twice, with different numbers of partitions.
    #[error(
        "repartition topic {topic} is declared with {first:?} and with {second:?} partitions; use one number, or \
         two names"
    )]
    RepartitionTopicConflict {
        /// The topic, without the application id.
        topic: Arc<str>,
        /// The first number; `None` leaves it to the topology.
        first: Option<i32>,
        /// The second number.
        second: Option<i32>,
    },
    /// A number of partitions is not positive.
    #[error("repartition topic {topic} is declared with {partitions} partitions; it needs at least 1")]
    IllegalPartitions {
        /// The topic, without the application id.
        topic: Arc<str>,
        /// The number.
        partitions: i32,
    },
    /// A node that is no source was put in a group of co-partitioned sources.
    #[error("node {node} cannot be co-partitioned: it is no source")]
    CopartitionedNoSource {
        /// The node.
        node: Arc<str>,
    },
}

/// A plan that cannot be made: the topics that exist do not fit the topology.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Source topics do not exist.
    #[error("source topics do not exist: {}; create them before the application starts", topics.join(", "))]
    MissingSourceTopics {
        /// The topics, sorted.
        topics: Vec<Arc<str>>,
    },
    /// Source topics that are joined have different numbers of partitions.
    #[error(
        "joined topics must have equal numbers of partitions, but have: {}; repartition one side, or create the topics \
         with equal numbers",
        list(topics)
    )]
    NotCopartitioned {
        /// The topics with their numbers of partitions, sorted.
        topics: Vec<(Arc<str>, i32)>,
    },
    /// A repartition topic's explicit number of partitions differs from what it is joined with.
    #[error(
        "repartition topic {topic} is declared with {declared} partitions, but is joined with topics of {required}; \
         declare {required}, or none"
    )]
    EnforcedPartitions {
        /// The repartition topic.
        topic: Arc<str>,
        /// The declared number.
        declared: i32,
        /// The number that the joined topics ask for.
        required: i32,
    },
    /// An internal topic exists with another number of partitions than the topology needs.
    #[error(
        "internal topic {topic} exists with {existing} partitions, but the topology needs {required}; the number of \
         partitions of a source topic has changed, or another application uses this application id: reset the \
         application, or use another application id"
    )]
    PartitionMismatch {
        /// The internal topic.
        topic: Arc<str>,
        /// The number of partitions that it has.
        existing: i32,
        /// The number that it needs.
        required: i32,
    },
    /// Nothing tells how many partitions a repartition topic is to have.
    #[error("the number of partitions of repartition topic {topic} is unknown: no source leads to it; declare it")]
    UnknownPartitions {
        /// The repartition topic.
        topic: Arc<str>,
    },
    /// The name of an internal topic is not legal, mostly because it is too long.
    #[error("not a name of an internal topic: {error}")]
    IllegalTopicName {
        /// Which rule it breaks.
        error: NameError,
    },
    /// Two stores or repartition topics would share one topic.
    #[error("internal topic {topic} would be used twice; rename the store or the repartition topic behind it")]
    DuplicateInternalTopic {
        /// The topic.
        topic: Arc<str>,
    },
}

fn list(topics: &[(Arc<str>, i32)]) -> String {
    let texts: Vec<String> = topics.iter().map(|(topic, partitions)| format!("{topic} ({partitions})")).collect();
    texts.join(", ")
}

fn at(place: Option<&Location<'_>>) -> String {
    place.map_or_else(String::new, |place| format!(" at {place}"))
}

fn at_both(places: Option<[&Location<'_>; 2]>) -> String {
    places.map_or_else(String::new, |[first, second]| format!(", at {first} and again at {second}"))
}
