//! Gives a topology the names that its earlier version had.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_streams_naming::{Manifest, PinnedNames, pin_names};

use crate::{NodeKind, TopicName, Topology};

impl Topology {
    /// Gives what this topology shares with an earlier version the generated names that it had there; see
    /// [`pin_names`]. `StreamsBuilder::with_pinned_names` calls it.
    pub fn pin_names(&mut self, previous: &Manifest) {
        let PinnedNames { nodes, stores, topics, retired } = pin_names(previous, &self.to_manifest());
        let pinned =
            |names: &BTreeMap<String, String>, name: &str| names.get(name).map(|name| Arc::from(name.as_str()));
        for node in &mut self.nodes {
            if let Some(name) = pinned(&nodes, &node.name) {
                node.name = name;
            }
            match &mut node.kind {
                NodeKind::Source { topics: read, .. } => read.iter_mut().for_each(|topic| rename(topic, &topics)),
                NodeKind::Sink { topic } => rename(topic, &topics),
                NodeKind::Processor | NodeKind::DynamicSink { .. } => {}
            }
        }
        for (spec, declared) in self.specs.iter_mut().zip(&mut self.stores) {
            if let Some(name) = pinned(&stores, &spec.name) {
                spec.name = name.clone();
                declared.set_name(name);
            }
        }
        for topic in &mut self.repartition_topics {
            if let Some(name) = pinned(&topics, &topic.name) {
                topic.name = name;
            }
        }
        for part in &mut self.subtopologies {
            part.source_topics.iter_mut().chain(&mut part.sink_topics).for_each(|topic| rename(topic, &topics));
        }
        let known = topics.iter().map(|(name, pinned)| (Arc::from(name.as_str()), Arc::from(pinned.as_str())));
        self.origin.pinned_topics = known.collect();
        self.origin.retired = retired;
        self.origin.pinned = true;
    }

    /// Whether the names follow an earlier version's, so that topics under other numbers are left-overs and no mistake.
    pub fn has_pinned_names(&self) -> bool {
        self.origin.pinned
    }

    /// The topic under its present name; the closures of nodes know it by the name that it was made with.
    pub(crate) fn present_name(&self, topic: &TopicName) -> TopicName {
        let pinned = self.origin.pinned_topics.get(&topic.name).filter(|_| topic.internal);
        pinned.map_or_else(|| topic.clone(), |name| TopicName::internal(name.clone()))
    }
}

fn rename(topic: &mut TopicName, names: &BTreeMap<String, String>) {
    if topic.internal
        && let Some(name) = names.get(&*topic.name)
    {
        *topic = TopicName::internal(name.as_str());
    }
}
