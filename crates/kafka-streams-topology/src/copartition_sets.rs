//! The sets of topics that must be partitioned alike, as the JVM tells them.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_streams_core::NodeId;

use crate::describe::java_collections::hash_order;
use crate::{NodeKind, Topology};

impl Topology {
    /// The sets of joined topics by their names on the broker, each sorted, and sorted among themselves
    /// (`InternalTopologyBuilder.copartitionGroups` of the JVM).
    ///
    /// Sets that overlap may be told apart: the JVM adds the topics of a join to the set of the first of them, in the
    /// order of a Java hash set, that is in one, and leaves what other sets have of the others. It also forgets the
    /// repartition topic of a stream in every join but the first of those that share it. A plan goes by all topics of
    /// every join, and takes sets that overlap for one: see [`copartition_groups`](Topology::copartition_groups).
    pub fn copartition_sets(&self, application_id: &str) -> Vec<Vec<Arc<str>>> {
        let mut sets: Vec<Vec<Arc<str>>> = Vec::new();
        let mut set_of: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for sources in &self.told_copartitions {
            let topics = self.topics_in_java_order(sources, application_id);
            let at = topics.iter().find_map(|topic| set_of.get(topic).copied()).unwrap_or_else(|| {
                sets.push(Vec::new());
                sets.len() - 1
            });
            for topic in topics {
                if let Some(set) = sets.get_mut(at) {
                    set.push(topic.clone());
                }
                set_of.insert(topic, at);
            }
        }
        let still_named = |(at, set): (usize, Vec<Arc<str>>)| set_of.values().any(|of| *of == at).then_some(set);
        let mut sets: Vec<Vec<Arc<str>>> = sets.into_iter().enumerate().filter_map(still_named).collect();
        for set in &mut sets {
            set.sort();
            set.dedup();
        }
        sets.sort();
        sets.dedup();
        sets
    }

    fn topics_in_java_order(&self, sources: &[NodeId], application_id: &str) -> Vec<Arc<str>> {
        let mut nodes: Vec<_> = sources.iter().filter_map(|id| self.node(*id)).collect();
        nodes.dedup_by(|a, b| a.name == b.name);
        let mut topics: Vec<Arc<str>> = Vec::new();
        for node in hash_order(nodes, |node| &node.name) {
            let NodeKind::Source { topics: read, .. } = &node.kind else { continue };
            for topic in read.iter().map(|topic| topic.decorated(application_id)) {
                if !topics.contains(&topic) {
                    topics.push(topic);
                }
            }
        }
        hash_order(topics, |topic| topic)
    }
}
