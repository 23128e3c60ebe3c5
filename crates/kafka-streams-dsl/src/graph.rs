//! The logical graph: what the operators said, in the order in which they said it. `build()` turns it into a topology.
//!
//! Names are drawn here, at once, in the JVM's order; nodes are written later, in the order of their priorities
//! (`InternalStreamsBuilder` of the JVM), because whether a table needs a store, or old values, is only known at the end.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_streams_naming::{NameGenerator, Naming, check_name, is_generated_repartition_prefix, repartition_name};
use kafka_streams_topology::{Draft, EdgeTypes, OffsetReset, TopicPattern};

use crate::BuildError;
use crate::given_names::GivenNames;
use crate::lower::stream_join::StreamJoinLowering;
use crate::lower::{Lowering, RepartitionLowering};
use crate::names_policy::NamesPolicy;
use crate::prefix;

/// The graph that a builder and its streams and tables share. Locked while an operator is added, never for a record.
#[derive(Clone)]
pub(crate) struct SharedGraph(Arc<Mutex<Graph>>);

impl SharedGraph {
    pub(crate) fn new(naming: Naming) -> Self {
        SharedGraph(Arc::new(Mutex::new(Graph::new(naming))))
    }

    /// A panic of another thread within an operator leaves a graph that at worst lacks that operator.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Graph> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_same_as(&self, other: &SharedGraph) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A node's index in the logical graph, in the order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GraphId(pub(crate) usize);

/// A table's index in the logical graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableId(usize);

impl TableId {
    /// What is decided about the table, out of all tables of its graph.
    pub(crate) fn facts(self, tables: &[TableFacts]) -> TableFacts {
        let nothing = TableFacts { kind: TableKind::Source, materialized: false, sends_old_values: false };
        tables.get(self.0).copied().unwrap_or(nothing)
    }
}

/// Nodes, tables and mistakes of one builder.
pub(crate) struct Graph {
    pub(crate) names: NameGenerator,
    pub(crate) nodes: Vec<GraphNode>,
    pub(crate) tables: Vec<TableFacts>,
    /// Holds the user's stores, whose references are given out at once.
    pub(crate) draft: Draft,
    pub(crate) copartitions: Vec<Vec<GraphId>>,
    /// Of each stream that was repartitioned for a join, the last such topic.
    pub(crate) join_repartitions: BTreeMap<GraphId, GraphId>,
    /// Sources that stand for a repartition topic which further joins share: the JVM draws a name for each, and no more.
    pub(crate) shared_sources: BTreeMap<GraphId, GraphId>,
    pub(crate) errors: Vec<BuildError>,
    pub(crate) names_policy: NamesPolicy,
    given_names: GivenNames,
    next_priority: u32,
}

/// One logical node; it may become several nodes of the topology.
pub(crate) struct GraphNode {
    /// The name of the node that its children are attached to.
    pub(crate) name: String,
    pub(crate) parents: Vec<GraphId>,
    pub(crate) children: Vec<GraphId>,
    /// Of the nodes that can be written, the one with the lowest is written first.
    pub(crate) priority: u32,
    pub(crate) traits: Traits,
    /// Whether the node's rows are kept with their versions; `None`: as those above it.
    pub(crate) output_versioned: Option<bool>,
    pub(crate) body: Body,
}

/// What the optimisation and the null-key rule ask of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    pub(crate) changes_key: bool,
    pub(crate) changes_value: bool,
    pub(crate) merges: bool,
    /// A join that takes records with null keys: the repartition topics above it let them pass.
    pub(crate) takes_null_keys: bool,
    /// Of a windowed aggregation: how long after its end a window can change, in milliseconds.
    pub(crate) grace_ms: Option<i64>,
}

/// How a node is written, and what else the graph must know of it.
pub(crate) enum Body {
    /// A node like most.
    Node(Lowering),
    /// A stream's source; sources of equal topics are merged.
    Source(Subscription, Lowering),
    /// A repartition topic.
    Repartition(RepartitionNode, RepartitionLowering),
    /// A stream-stream join.
    StreamJoin(StreamJoinNode, StreamJoinLowering),
    /// Merged into another node, or already written.
    Gone,
}

/// A stream-stream join, as far as the optimisation of joins of a stream with itself is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamJoinNode {
    /// The node that keeps the records of the right side.
    pub(crate) other_windowed: GraphId,
    /// Whether the right side is the left one, and is not written.
    pub(crate) self_join: bool,
}

/// What a stream reads.
pub(crate) struct Subscription {
    pub(crate) topics: Vec<String>,
    pub(crate) pattern: Option<TopicPattern>,
    pub(crate) offset_reset: Option<OffsetReset>,
    pub(crate) types: EdgeTypes,
}

/// A repartition topic with the three nodes around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RepartitionNode {
    /// The topic without the application id.
    pub(crate) topic: String,
    pub(crate) filter: String,
    pub(crate) sink: String,
    pub(crate) source: String,
    pub(crate) partitions: Option<i32>,
    /// Whether it was inserted and not asked for, so that it may be merged with others.
    pub(crate) mergeable: bool,
}

impl Body {
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Body::Gone)
    }
}

/// What is decided about a table while the graph grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableFacts {
    kind: TableKind,
    /// Whether it has a store.
    pub(crate) materialized: bool,
    /// Whether its changes carry the row before.
    pub(crate) sends_old_values: bool,
}

/// Where a table comes from, as far as old values are concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TableKind {
    /// A topic or a stream: it has a store only if one is needed.
    Source,
    /// An aggregation: it always has a store.
    Aggregate,
    /// A filter or mapping of another table.
    Derived(TableId),
    /// The join of two tables.
    Joined(TableId, TableId),
}

impl Graph {
    pub(crate) fn new(naming: Naming) -> Self {
        Graph {
            names: NameGenerator::new(naming),
            nodes: Vec::new(),
            tables: Vec::new(),
            draft: Draft::new(),
            copartitions: Vec::new(),
            join_repartitions: BTreeMap::new(),
            shared_sources: BTreeMap::new(),
            errors: Vec::new(),
            names_policy: NamesPolicy::default(),
            given_names: GivenNames::default(),
            next_priority: 0,
        }
    }

    /// The name of a node: the given one, or the next of its class. A number is drawn in both cases, so that giving a
    /// name does not renumber the nodes after it.
    #[track_caller]
    pub(crate) fn node_name(&mut self, given: Option<String>, prefix: &str) -> String {
        match given {
            Some(name) => {
                self.names.burn(prefix);
                self.check("node", &name);
                self.draft.set_operator(&name, prefix);
                name
            }
            None => self.names.next_node(prefix),
        }
    }

    /// The name of a node with a suffix for its role: as [`node_name`](Graph::node_name).
    #[track_caller]
    pub(crate) fn suffixed_name(&mut self, given: Option<&String>, suffix: &str, prefix: &str) -> String {
        self.node_name(given.map(|name| format!("{name}{suffix}")), prefix)
    }

    /// The name of a store: the given one, without a draw, or the next of its class.
    #[track_caller]
    pub(crate) fn store_name(&mut self, given: Option<&String>, prefix: &str) -> String {
        match given {
            Some(name) => {
                self.check("store", name);
                name.clone()
            }
            None => self.names.next_store(prefix),
        }
    }

    /// The three nodes around the repartition topic of this prefix. Three numbers are drawn in any case (section REP of
    /// `KStreamImpl.createRepartitionedSource`).
    pub(crate) fn repartition(&mut self, topic_prefix: &str) -> RepartitionNode {
        let sink = self.names.next_node(prefix::SINK);
        let filter = self.names.next_node(prefix::FILTER);
        let source = self.names.next_node(prefix::SOURCE);
        let topic = repartition_name(topic_prefix);
        let (filter, sink, source) = match is_generated_repartition_prefix(topic_prefix) {
            true => (filter, sink, source),
            false => (format!("{topic}-filter"), format!("{topic}-sink"), format!("{topic}-source")),
        };
        RepartitionNode { topic, filter, sink, source, partitions: None, mergeable: true }
    }

    /// Notes where the user gave a name; an error if it has been given before.
    #[track_caller]
    pub(crate) fn claim(&mut self, what: &'static str, name: &str) -> Result<(), BuildError> {
        // With or without the ending, it is the same topic.
        let name = if what == "repartition topic" { name.trim_end_matches("-repartition") } else { name };
        match self.given_names.give(what, name) {
            Some((first, second)) => Err(BuildError::DuplicateName { what, name: name.to_owned(), first, second }),
            None => Ok(()),
        }
    }

    /// Checks a name that the user gave to a node, a store or a repartition topic, or a topic that exists without the
    /// application; and but for the latter, that nothing of its kind has it yet.
    #[track_caller]
    pub(crate) fn check(&mut self, what: &'static str, name: &str) {
        if what != "topic"
            && let Err(error) = self.claim(what, name)
        {
            self.errors.push(error);
        }
        if let Err(error) = check_name(name) {
            self.errors.push(BuildError::IllegalName { what, error, place: Location::caller() });
        }
    }

    /// Adds a node below `parents`, or as a root.
    pub(crate) fn add(&mut self, parents: &[GraphId], name: String, traits: Traits, body: Body) -> GraphId {
        let id = GraphId(self.nodes.len());
        let node =
            GraphNode { name, parents: vec![], children: vec![], priority: 0, traits, output_versioned: None, body };
        self.nodes.push(node);
        if parents.is_empty() {
            self.give_priority(id);
        }
        for parent in parents {
            self.attach(*parent, id);
        }
        id
    }

    /// A source that stands for the repartition topic of `node`, which is there already.
    pub(crate) fn share(&mut self, node: GraphId) -> GraphId {
        let id = self.add(&[], String::new(), Traits::default(), Body::Gone);
        self.shared_sources.insert(id, node);
        id
    }

    /// Puts `child` below `parent`. A node that is attached again gets a new priority, as on the JVM.
    pub(crate) fn attach(&mut self, parent: GraphId, child: GraphId) {
        self.link(parent, child);
        self.give_priority(child);
    }

    /// The edge alone, without a new priority.
    pub(crate) fn link(&mut self, parent: GraphId, child: GraphId) {
        if let Some(node) = self.nodes.get_mut(parent.0)
            && !node.children.contains(&child)
        {
            node.children.push(child);
        }
        if let Some(node) = self.nodes.get_mut(child.0)
            && !node.parents.contains(&parent)
        {
            node.parents.push(parent);
        }
    }

    /// [`add`](Graph::add) of a node whose rows are not kept with their versions, whatever those above it are.
    pub(crate) fn add_unversioned(&mut self, parents: &[GraphId], name: String, traits: Traits, body: Body) -> GraphId {
        let id = self.add(parents, name, traits, body);
        self.set_output_versioned(id, false);
        id
    }

    /// Says whether a node's rows are kept with their versions.
    pub(crate) fn set_output_versioned(&mut self, id: GraphId, versioned: bool) {
        if let Some(node) = self.nodes.get_mut(id.0) {
            node.output_versioned = Some(versioned);
        }
    }

    /// Removes the edge between two nodes.
    pub(crate) fn unlink(&mut self, parent: GraphId, child: GraphId) {
        if let Some(node) = self.nodes.get_mut(parent.0) {
            node.children.retain(|id| *id != child);
        }
        if let Some(node) = self.nodes.get_mut(child.0) {
            node.parents.retain(|id| *id != parent);
        }
    }

    fn give_priority(&mut self, id: GraphId) {
        let priority = self.next_priority;
        self.next_priority += 1;
        if let Some(node) = self.nodes.get_mut(id.0) {
            node.priority = priority;
        }
    }

    pub(crate) fn add_table(&mut self, kind: TableKind, materialized: bool) -> TableId {
        self.tables.push(TableFacts { kind, materialized, sends_old_values: false });
        TableId(self.tables.len() - 1)
    }

    pub(crate) fn table(&self, table: TableId) -> TableFacts {
        table.facts(&self.tables)
    }

    /// Lets `table` send the row before with every change, if it can without a new store or if `force` allows one
    /// (`KTableImpl.enableSendingOldValues` of the JVM). Whether it does.
    pub(crate) fn send_old_values(&mut self, table: TableId, force: bool) -> bool {
        let facts = self.table(table);
        let (possible, materialized) = match facts.kind {
            TableKind::Source => (force || facts.materialized, facts.materialized || force),
            TableKind::Aggregate => (true, true),
            TableKind::Derived(_) if facts.materialized => (true, true),
            TableKind::Derived(parent) => (self.send_old_values(parent, force), false),
            TableKind::Joined(left, right) => {
                self.send_old_values(left, true);
                self.send_old_values(right, true);
                (true, facts.materialized)
            }
        };
        if possible && let Some(facts) = self.tables.get_mut(table.0) {
            facts.sends_old_values = true;
            facts.materialized = materialized;
        }
        possible
    }

    /// Notes that `table` sends the row before, because the table above it does.
    pub(crate) fn mark_sending_old_values(&mut self, table: TableId) {
        if let Some(facts) = self.tables.get_mut(table.0) {
            facts.sends_old_values = true;
        }
    }

    /// Makes sure that the rows of `table` can be read: of it, or of the table that it is derived from.
    pub(crate) fn make_readable(&mut self, table: TableId) {
        let facts = self.table(table);
        match facts.kind {
            TableKind::Source => {
                if let Some(facts) = self.tables.get_mut(table.0) {
                    facts.materialized = true;
                }
            }
            TableKind::Derived(parent) if !facts.materialized => self.make_readable(parent),
            // Both tables of a join were made readable for it.
            TableKind::Aggregate | TableKind::Derived(_) | TableKind::Joined(..) => {}
        }
    }
}
