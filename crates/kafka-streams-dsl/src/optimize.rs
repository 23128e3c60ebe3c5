//! What is rewritten in the logical graph before it is written: equal sources, and on request repartition topics.
//!
//! Source: `InternalStreamsBuilder` of the JVM; sections are named after its methods.

use std::collections::{BTreeMap, BTreeSet};

use crate::BuildError;
use crate::graph::{Body, Graph, GraphId, GraphNode, Traits};

/// A rewriting of the topology that saves topics (`topology.optimization` of the JVM). It changes names of internal
/// topics, so it cannot be switched on for an application that has state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Optimization {
    /// The store of a [`table`](crate::StreamsBuilder::table) is restored from its topic, instead of a changelog that
    /// would be a copy (`reuse.ktable.source.topics`).
    ReuseKtableSourceTopics,
    /// Repartition topics below one change of key become one (`merge.repartition.topics`).
    MergeRepartitionTopics,
    /// The join of a stream with itself keeps the records once, in one store (`single.store.self.join`).
    SingleStoreSelfJoin,
}

impl Optimization {
    /// All that there are (`all`).
    pub const ALL: [Optimization; 3] = [
        Optimization::ReuseKtableSourceTopics,
        Optimization::MergeRepartitionTopics,
        Optimization::SingleStoreSelfJoin,
    ];
}

/// Lets every topic be read by one source only: the first stream of the topic takes over what is below the others
/// (`mergeDuplicateSourceNodes`).
pub(crate) fn merge_sources(graph: &mut Graph) {
    let mut first_of: BTreeMap<String, GraphId> = BTreeMap::new();
    for id in (0..graph.nodes.len()).map(GraphId) {
        let Some(Body::Source(subscription, _)) = graph.nodes.get(id.0).map(|node| &node.body) else { continue };
        // A pattern is no topic, and no topic has a name with a line end.
        let pattern = subscription.pattern.iter().map(|pattern| format!("pattern\n{pattern}"));
        let read: Vec<String> = subscription.topics.iter().cloned().chain(pattern).collect();
        let earlier = read.iter().find_map(|topic| Some((topic.clone(), *first_of.get(topic)?)));
        let Some((topic, main)) = earlier else {
            first_of.extend(read.into_iter().map(|topic| (topic, id)));
            continue;
        };
        let topic = topic.replace('\n', " ");
        let Some(Body::Source(read_before, _)) = graph.nodes.get(main.0).map(|node| &node.body) else { continue };
        let set = |topics: &[String]| topics.iter().cloned().collect::<BTreeSet<_>>();
        let error = if set(&read_before.topics) != set(&subscription.topics) {
            BuildError::OverlappingTopics { topic }
        } else if read_before.offset_reset != subscription.offset_reset {
            BuildError::ReadDifferently { topic, what: "offset resets" }
        } else if read_before.types != subscription.types {
            BuildError::ReadDifferently { topic, what: "types" }
        } else {
            replace(graph, id, main);
            continue;
        };
        graph.errors.push(error);
    }
}

/// Moves what is below `gone` below `main`.
fn replace(graph: &mut Graph, gone: GraphId, main: GraphId) {
    for child in children(graph, gone) {
        graph.unlink(gone, child);
        graph.link(main, child);
    }
    if let Some(node) = graph.nodes.get_mut(gone.0) {
        node.body = Body::Gone;
    }
    replace_in_copartitions(graph, gone, main);
}

fn replace_in_copartitions(graph: &mut Graph, gone: GraphId, main: GraphId) {
    let members = graph.copartitions.iter_mut().flatten().chain(graph.shared_sources.values_mut());
    for member in members.filter(|member| **member == gone) {
        *member = main;
    }
}

/// Takes the right side away from joins whose sides are one stream (`rewriteSingleStoreSelfJoin`).
pub(crate) fn join_with_self_in_one_store(graph: &mut Graph) {
    for id in (0..graph.nodes.len()).map(GraphId) {
        let Some(GraphNode { body: Body::StreamJoin(join, _), parents, .. }) = graph.nodes.get_mut(id.0) else {
            continue;
        };
        let [parent] = parents[..] else { continue };
        join.self_join = true;
        let other_windowed = join.other_windowed;
        graph.unlink(parent, other_windowed);
        if let Some(node) = graph.nodes.get_mut(other_windowed.0) {
            node.body = Body::Gone;
        }
    }
}

/// The nodes above a join that takes null keys: repartition topics among them let null keys pass
/// (`NodesWithRelaxedNullKeyJoinDownstream`).
pub(crate) fn above_joins_that_take_null_keys(graph: &Graph) -> BTreeSet<GraphId> {
    let mut above = BTreeSet::new();
    let joins = graph.nodes.iter().filter(|node| node.traits.takes_null_keys);
    let mut open: Vec<GraphId> = joins.flat_map(|node| node.parents.iter().copied()).collect();
    while let Some(id) = open.pop() {
        if above.insert(id) {
            open.extend(graph.nodes.get(id.0).into_iter().flat_map(|node| node.parents.iter().copied()));
        }
    }
    above
}

/// Replaces the repartition topics below each change of key by one, named as the first of them
/// (`mergeRepartitionTopics`).
pub(crate) fn merge_repartition_topics(graph: &mut Graph) {
    for (changer, repartitions) in repartitions_by_key_changer(graph) {
        let Some(first) = repartitions.first().copied() else { continue };
        let merged = merged_repartition(graph, changer, first);
        for replaced in repartitions {
            if let Some(below) = ancestor(graph, replaced, &|node| node.parents.contains(&changer)) {
                graph.link(merged, below);
                graph.unlink(changer, below);
            }
            // The child of the key changer may have been the repartition itself, whose place `merged` has taken.
            let above: Vec<GraphId> = parents(graph, replaced);
            for child in children(graph, replaced) {
                above.iter().for_each(|parent| graph.link(*parent, child));
                graph.unlink(replaced, child);
            }
            above.iter().for_each(|parent| graph.unlink(*parent, replaced));
            if let Some(node) = graph.nodes.get_mut(replaced.0) {
                node.body = Body::Gone;
            }
            replace_in_copartitions(graph, replaced, merged);
        }
        graph.link(changer, merged);
    }
}

/// A repartition topic of the same name and types as `first`, of the same priority as the change of key above it.
fn merged_repartition(graph: &mut Graph, changer: GraphId, first: GraphId) -> GraphId {
    let body = graph.nodes.get_mut(first.0).map(|node| std::mem::replace(&mut node.body, Body::Gone));
    let Some(Body::Repartition(names, lowering)) = body else { return first };
    // The names come from the topic, which always ends in `-repartition`: no generated name is left.
    let names = graph.repartition(&names.topic);
    let node = GraphNode {
        name: names.source.clone(),
        parents: Vec::new(),
        children: Vec::new(),
        priority: graph.nodes.get(changer.0).map_or(0, |node| node.priority),
        traits: Traits::default(),
        output_versioned: None,
        body: Body::Repartition(names, lowering),
    };
    graph.nodes.push(node);
    GraphId(graph.nodes.len() - 1)
}

/// The mergeable repartition topics below each change of key (or merge of such) with no change of value between.
fn repartitions_by_key_changer(graph: &Graph) -> Vec<(GraphId, Vec<GraphId>)> {
    let ids = || (0..graph.nodes.len()).map(GraphId);
    let traits = |id: GraphId| graph.nodes.get(id.0).map(|node| node.traits).unwrap_or_default();
    let mut found: Vec<(GraphId, Vec<GraphId>)> =
        ids().filter(|id| traits(*id).changes_key).map(|id| (id, Vec::new())).collect();
    for id in ids() {
        let Some(Body::Repartition(names, _)) = graph.nodes.get(id.0).map(|node| &node.body) else { continue };
        let changer = ancestor(graph, id, &|node| node.traits.changes_key);
        let changes = ancestor(graph, id, &|node| node.traits.changes_key || node.traits.changes_value);
        if names.mergeable && changer == changes {
            let below = found.iter_mut().find(|(above, _)| Some(*above) == changer);
            below.into_iter().for_each(|(_, repartitions)| repartitions.push(id));
        }
    }
    let mut moved = BTreeSet::new();
    let mut at_merges = Vec::new();
    for merge in ids().filter(|id| traits(*id).merges) {
        let below =
            |node: GraphId, above: GraphId| ancestor(graph, node, &|node| node.parents.contains(&above)).is_some();
        let changers = found.iter().filter(|(changer, repartitions)| {
            repartitions.iter().all(|repartition| below(*repartition, merge)) && below(merge, *changer)
        });
        let (changers, repartitions): (Vec<GraphId>, Vec<Vec<GraphId>>) = changers.cloned().unzip();
        moved.extend(changers);
        let mut distinct = Vec::new();
        for repartition in repartitions.into_iter().flatten() {
            if !distinct.contains(&repartition) {
                distinct.push(repartition);
            }
        }
        at_merges.push((merge, distinct));
    }
    found.extend(at_merges);
    found.retain(|(changer, repartitions)| !moved.contains(changer) && !repartitions.is_empty());
    found
}

/// `start` or the first node above it that `matches` (`findParentNodeMatching`).
fn ancestor(graph: &Graph, start: GraphId, matches: &dyn Fn(&GraphNode) -> bool) -> Option<GraphId> {
    let node = graph.nodes.get(start.0)?;
    if matches(node) {
        return Some(start);
    }
    node.parents.iter().find_map(|parent| ancestor(graph, *parent, matches))
}

fn children(graph: &Graph, id: GraphId) -> Vec<GraphId> {
    graph.nodes.get(id.0).map(|node| node.children.clone()).unwrap_or_default()
}

fn parents(graph: &Graph, id: GraphId) -> Vec<GraphId> {
    graph.nodes.get(id.0).map(|node| node.parents.clone()).unwrap_or_default()
}
