//! The text of `Topology.describe()`, byte for byte as the JVM writes it (`TopologyDescription.toString`), so that tools
//! that draw topologies, and a diff against a JVM application, work.
//!
//! Nodes are sorted by size, the largest first, then by name. A node's size is 1 and the sizes of its children: the
//! number of paths below it. The JVM fills the lists behind the arrows while the sizes are still growing, and goes
//! through the nodes in the order of a hash map; so must we.

pub(crate) mod java_collections;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use java_collections::{TreeSet, hash_order};
use kafka_streams_core::NodeId;

use crate::{Node, NodeKind, Subtopology, Topology};

/// The text of a topology.
pub(crate) fn describe(topology: &Topology) -> String {
    let mut text = String::from("Topologies:\n ");
    for part in topology.subtopologies() {
        Description::of(topology, part).write(&mut text);
    }
    text
}

/// A sub-topology as the JVM describes it.
struct Description<'t> {
    topology: &'t Topology,
    part: &'t Subtopology,
    /// By node id.
    described: BTreeMap<NodeId, Described>,
}

struct Described {
    size: u64,
    parents: TreeSet<NodeId>,
    children: TreeSet<NodeId>,
}

impl<'t> Description<'t> {
    /// `InternalTopologyBuilder.describeSubtopology`.
    fn of(topology: &'t Topology, part: &'t Subtopology) -> Self {
        let described = part
            .nodes
            .iter()
            .map(|id| (*id, Described { size: 1, parents: TreeSet::default(), children: TreeSet::default() }));
        let mut description = Description { topology, part, described: described.collect() };
        let nodes: Vec<&Node> = part.nodes.iter().filter_map(|id| topology.node(*id)).collect();
        for node in hash_order(nodes, |node| &node.name) {
            for parent in &node.parents {
                description.connect(*parent, node.id);
            }
        }
        description
    }

    fn connect(&mut self, parent: NodeId, child: NodeId) {
        self.insert(child, parent, |described| &mut described.parents);
        self.insert(parent, child, |described| &mut described.children);
        self.grow(parent, self.size(child));
    }

    /// Adds `item` to a list of `of`, at the place that the sizes of this moment give it.
    fn insert(&mut self, of: NodeId, item: NodeId, list: impl Fn(&mut Described) -> &mut TreeSet<NodeId>) {
        let Some(mut set) = self.described.get_mut(&of).map(|described| std::mem::take(list(described))) else {
            return;
        };
        set.insert(item, |a, b| self.compare(a, b));
        if let Some(described) = self.described.get_mut(&of) {
            *list(described) = set;
        }
    }

    /// Adds `delta` to a node, and to each node above once for each path that leads down to it.
    fn grow(&mut self, node: NodeId, delta: u64) {
        let mut deltas = BTreeMap::from([(node, delta)]);
        // A parent's id is lower than its child's, so the highest has all that it gets.
        while let Some((id, delta)) = deltas.pop_last() {
            let Some(described) = self.described.get_mut(&id) else { continue };
            described.size = described.size.saturating_add(delta);
            for parent in described.parents.items() {
                let sum = deltas.entry(parent).or_default();
                *sum = sum.saturating_add(delta);
            }
        }
    }

    /// The largest first, equal ones by name.
    fn compare(&self, a: NodeId, b: NodeId) -> Ordering {
        let name = |id: NodeId| self.topology.node(id).map(|node| &node.name);
        self.size(b).cmp(&self.size(a)).then_with(|| name(a).cmp(&name(b)))
    }

    fn size(&self, id: NodeId) -> u64 {
        self.described.get(&id).map_or(0, |described| described.size)
    }

    fn write(&self, text: &mut String) {
        // Writing into a string cannot fail.
        let _ = match self.part.global {
            true => writeln!(text, "  Sub-topology: {} for global store (will not generate tasks)", self.part.id),
            false => writeln!(text, "  Sub-topology: {}", self.part.id),
        };
        let mut ids = self.part.nodes.clone();
        ids.sort_by(|a, b| self.compare(*a, *b));
        for node in ids.iter().filter_map(|id| self.topology.node(*id)) {
            self.write_node(node, text);
        }
        if !self.part.global {
            text.push('\n');
        }
    }

    fn write_node(&self, node: &Node, text: &mut String) {
        let Some(described) = self.described.get(&node.id) else { return };
        let _ = match &node.kind {
            NodeKind::Source { pattern: Some(pattern), .. } => {
                writeln!(text, "    Source: {} (topics: {pattern})", node.name)
            }
            NodeKind::Source { topics, .. } => {
                let topics = set_text(topics.iter().map(|topic| &topic.name));
                writeln!(text, "    Source: {} (topics: {topics})", node.name)
            }
            NodeKind::Processor => {
                let specs = node.stores.iter().filter_map(|store| self.topology.stores().get(store.0 as usize));
                let stores = set_text(specs.map(|spec| &spec.name));
                writeln!(text, "    Processor: {} (stores: {stores})", node.name)
            }
            NodeKind::Sink { topic } => writeln!(text, "    Sink: {} (topic: {topic})", node.name),
            NodeKind::DynamicSink { extractor } => {
                writeln!(text, "    Sink: {} (extractor class: {extractor})", node.name)
            }
        };
        if !node.kind.is_sink() {
            let _ = writeln!(text, "      --> {}", self.names(&described.children));
        }
        if !matches!(node.kind, NodeKind::Source { .. }) {
            let _ = writeln!(text, "      <-- {}", self.names(&described.parents));
        }
    }

    fn names(&self, list: &TreeSet<NodeId>) -> String {
        let nodes = list.items().into_iter().filter_map(|id| self.topology.node(id));
        let names: Vec<&str> = nodes.map(|node| &*node.name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

/// `HashSet.toString`.
fn set_text<'n>(names: impl Iterator<Item = &'n Arc<str>>) -> String {
    let names: Vec<&str> = names.map(|name| &**name).collect();
    format!("[{}]", hash_order(names, |name| name).join(", "))
}
