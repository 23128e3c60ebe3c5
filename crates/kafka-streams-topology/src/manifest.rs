//! A topology as data: see [`Manifest`].

use kafka_streams_core::NodeId;
use kafka_streams_naming::{
    ChangelogEntry, Manifest, PartitionRule, ProcessorEntry, RepartitionEntry, SinkEntry, SourceEntry, StoreEntry,
    SubtopologyEntry, TopicRef,
};

use crate::internal_topic::{changelog_config, repartition_config};
use crate::{Node, NodeKind, OffsetReset, PlanOptions, StoreIndex, TopicName, Topology};

impl Topology {
    /// Everything of the topology that a deploy can break, as data: to be kept, compared and drawn.
    ///
    /// Configurations of internal topics are those of a default application: what `topic.` entries and
    /// `windowstore.changelog.additional.retention.ms` add is not a matter of the topology.
    pub fn to_manifest(&self) -> Manifest {
        let mut manifest = Manifest::new(self.origin.naming);
        for node in &self.nodes {
            self.add_node(node, &mut manifest);
        }
        manifest.stores = (0..self.specs.len()).filter_map(|at| self.store_entry(at)).collect();
        manifest.stores.sort_by(|a, b| a.name.cmp(&b.name));
        manifest.repartition_topics = self.repartition_entries();
        manifest.subtopologies = self.subtopologies.iter().map(|part| self.part_entry(part.id, &part.nodes)).collect();
        let group = |topics: Vec<&TopicName>| topics.into_iter().map(topic_ref).collect();
        manifest.copartitioned = self.copartition_groups().map(group).collect();
        manifest.retired = self.origin.retired.clone();
        manifest.extensions = self.origin.extensions.clone();
        manifest
    }

    /// Adds what an extension has to say to the manifest, under a key of its own, such as its crate's name; what was
    /// there under this key is replaced. A difference in it is told by the diff as one that needs thought.
    ///
    /// ```
    /// use kafka_streams_topology::Topology;
    ///
    /// /// What an extension does to the topology that its user has built.
    /// fn with_snapshots(topology: Topology) -> Topology {
    ///     topology.with_extension("snapshots", serde_json::json!({ "format": 2, "stores": ["counts"] }))
    /// }
    /// ```
    #[must_use]
    pub fn with_extension(mut self, key: impl Into<String>, data: serde_json::Value) -> Self {
        self.origin.extensions.insert(key.into(), data);
        self
    }

    fn add_node(&self, node: &Node, manifest: &mut Manifest) {
        let name = node.name.to_string();
        let key_serde = node.facts.key_serde.as_deref().map(str::to_owned);
        let value_serde = node.facts.value_serde.as_deref().map(str::to_owned);
        let parents = self.names(&node.parents);
        match &node.kind {
            NodeKind::Source { topics, pattern, offset_reset, .. } => manifest.sources.push(SourceEntry {
                name,
                topics: topics.iter().map(topic_ref).collect(),
                pattern: pattern.as_ref().map(|pattern| pattern.to_string()),
                key_serde,
                value_serde,
                timestamp_extractor: node.facts.timestamp_extractor.as_deref().map(str::to_owned),
                offset_reset: offset_reset.map(reset_name),
            }),
            NodeKind::Processor => manifest.processors.push(ProcessorEntry {
                name,
                operator: self.origin.operators.get(&node.name).map(|operator| operator.to_string()),
                parents,
                stores: self.store_names(&node.stores),
            }),
            NodeKind::Sink { topic } => manifest.sinks.push(SinkEntry {
                name,
                topic: Some(topic_ref(topic)),
                key_serde,
                value_serde,
                partition_by: node.facts.partition_by,
                parents,
            }),
            NodeKind::DynamicSink { .. } => manifest.sinks.push(SinkEntry {
                name,
                topic: None,
                key_serde,
                value_serde,
                partition_by: node.facts.partition_by,
                parents,
            }),
        }
    }

    fn store_entry(&self, at: usize) -> Option<StoreEntry> {
        let (spec, declared) = (self.specs.get(at)?, self.stores.get(at)?);
        let kind = spec.kind.facts();
        let changelog = match &declared.source_changelog {
            Some(topic) => {
                Some(ChangelogEntry { topic: TopicRef::external(&**topic), config: std::collections::BTreeMap::new() })
            }
            None => spec.logging.as_ref().map(|_| ChangelogEntry {
                topic: TopicRef::internal(format!("{}-changelog", spec.name)),
                config: changelog_config(spec, &PlanOptions::default()),
            }),
        };
        Some(StoreEntry {
            name: spec.name.to_string(),
            kind: kind.name.to_owned(),
            key_serde: declared.facts.key_serde.as_deref().map(str::to_owned),
            value_serde: declared.facts.value_serde.as_deref().map(str::to_owned),
            timestamped: spec.timestamped,
            headers: spec.headers,
            window_size_ms: kind.window_size_ms,
            retention_ms: kind.retention_ms,
            grace_ms: declared.facts.grace_ms,
            history_retention_ms: kind.history_retention_ms,
            retain_duplicates: kind.retain_duplicates,
            global: declared.global,
            persistent: spec.persistent,
            caching: spec.caching,
            changelog,
        })
    }

    fn repartition_entries(&self) -> Vec<RepartitionEntry> {
        let entry = |topic: &crate::draft::RepartitionTopic| RepartitionEntry {
            topic: TopicRef::internal(&*topic.name),
            partitions: topic.partitions,
            partition_by: self.rule_of(&TopicName::internal(topic.name.clone())),
            config: repartition_config(&PlanOptions::default()),
        };
        let mut entries: Vec<RepartitionEntry> = self.repartition_topics.iter().map(entry).collect();
        entries.sort_by(|a, b| a.topic.cmp(&b.topic));
        entries
    }

    /// The rule of the first sink that writes the topic.
    fn rule_of(&self, topic: &TopicName) -> PartitionRule {
        let writes = |node: &&Node| matches!(&node.kind, NodeKind::Sink { topic: written } if written == topic);
        self.nodes.iter().find(writes).map(|node| node.facts.partition_by).unwrap_or_default()
    }

    fn part_entry(&self, id: i32, nodes: &[NodeId]) -> SubtopologyEntry {
        SubtopologyEntry { id, nodes: self.names(nodes) }
    }

    fn names(&self, nodes: &[NodeId]) -> Vec<String> {
        nodes.iter().filter_map(|id| self.node(*id)).map(|node| node.name.to_string()).collect()
    }

    fn store_names(&self, stores: &[StoreIndex]) -> Vec<String> {
        let specs = stores.iter().filter_map(|store| self.specs.get(store.0 as usize));
        specs.map(|spec| spec.name.to_string()).collect()
    }
}

fn topic_ref(topic: &TopicName) -> TopicRef {
    TopicRef { name: topic.name.to_string(), internal: topic.internal }
}

fn reset_name(reset: OffsetReset) -> String {
    match reset {
        OffsetReset::Earliest => "earliest".to_owned(),
        OffsetReset::Latest => "latest".to_owned(),
        OffsetReset::None => "none".to_owned(),
        OffsetReset::ByDuration(duration) => format!("by_duration:{} ms", duration.as_millis()),
    }
}
