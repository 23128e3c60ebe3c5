//! The connected parts of a topology. Parts that meet only in a topic are separate, and run as tasks of their own.
//!
//! Two nodes are connected by an edge or by a store that both use. Parts are numbered 0, 1, 2 … in the order of their
//! first nodes (`InternalTopologyBuilder.makeNodeGroups` of the JVM): a task's id depends on it.

use kafka_streams_core::NodeId;

use crate::{Node, NodeKind, StoreIndex, TopicName, TopicPattern};

/// A connected part of a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtopology {
    /// Its number: the first half of its tasks' ids.
    pub id: i32,
    /// Its nodes; ids ascend.
    pub nodes: Vec<NodeId>,
    /// Whether it keeps a global store: it has no tasks, every instance runs it for itself.
    pub global: bool,
    /// The topics that its sources read by name, in the order of the nodes.
    pub source_topics: Vec<TopicName>,
    /// What the names of the topics match that its sources read besides, in the order of the nodes.
    pub source_patterns: Vec<TopicPattern>,
    /// The topics that its sinks write, in the order of the nodes, each once.
    pub sink_topics: Vec<TopicName>,
    /// Its stores; indexes ascend.
    pub stores: Vec<StoreIndex>,
}

/// The parts of a topology of these nodes and this number of stores, in the order of their numbers.
pub(crate) fn subtopologies(nodes: &[Node], stores: usize, global: &[StoreIndex]) -> Vec<Subtopology> {
    // Stores are members of the groups like nodes; their numbers follow the nodes'.
    let mut groups = Groups::new(nodes.len() + stores);
    for (at, node) in nodes.iter().enumerate() {
        for parent in &node.parents {
            groups.unite(at, parent.0 as usize);
        }
        for store in &node.stores {
            groups.unite(at, nodes.len() + store.0 as usize);
        }
    }
    let mut number_of_group: Vec<Option<usize>> = vec![None; nodes.len() + stores];
    let mut parts: Vec<Subtopology> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let Some(slot) = number_of_group.get_mut(groups.find(at)) else { continue };
        let number = *slot.get_or_insert_with(|| {
            let id = i32::try_from(parts.len()).unwrap_or(i32::MAX);
            parts.push(Subtopology::empty(id));
            parts.len() - 1
        });
        if let Some(part) = parts.get_mut(number) {
            part.add(node);
        }
    }
    for part in &mut parts {
        part.stores.sort_unstable();
        part.global = part.stores.iter().any(|store| global.contains(store));
    }
    parts
}

impl Subtopology {
    fn empty(id: i32) -> Self {
        Subtopology {
            id,
            nodes: vec![],
            global: false,
            source_topics: vec![],
            source_patterns: vec![],
            sink_topics: vec![],
            stores: vec![],
        }
    }

    /// All nodes as one part, global stores included, whether they are connected or not.
    pub(crate) fn whole(nodes: &[Node]) -> Self {
        let mut part = Subtopology::empty(0);
        nodes.iter().for_each(|node| part.add(node));
        part.stores.sort_unstable();
        part
    }

    fn add(&mut self, node: &Node) {
        self.nodes.push(node.id);
        match &node.kind {
            NodeKind::Source { topics, pattern, .. } => {
                self.source_topics.extend(topics.iter().cloned());
                self.source_patterns.extend(pattern.iter().cloned());
            }
            NodeKind::Sink { topic } if !self.sink_topics.contains(topic) => self.sink_topics.push(topic.clone()),
            NodeKind::Sink { .. } | NodeKind::DynamicSink { .. } | NodeKind::Processor => {}
        }
        for store in &node.stores {
            if !self.stores.contains(store) {
                self.stores.push(*store);
            }
        }
    }
}

/// Union-find over indexes.
struct Groups(Vec<usize>);

impl Groups {
    fn new(members: usize) -> Self {
        Groups((0..members).collect())
    }

    fn find(&mut self, member: usize) -> usize {
        let mut at = member;
        while let Some(&parent) = self.0.get(at) {
            if parent == at {
                break;
            }
            // Halves the path for the next search.
            let grandparent = self.0.get(parent).copied().unwrap_or(parent);
            if let Some(slot) = self.0.get_mut(at) {
                *slot = grandparent;
            }
            at = grandparent;
        }
        at
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        // The smaller index leads, so a group is found by its first node.
        if let Some(slot) = self.0.get_mut(a.max(b)) {
            *slot = a.min(b);
        }
    }
}
