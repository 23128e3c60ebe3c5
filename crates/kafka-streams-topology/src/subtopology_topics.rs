//! The topics of a sub-topology: what it reads and writes, and what the application makes for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_streams_naming::changelog_topic;

use crate::internal_topic::{changelog_config, repartition_config};
use crate::{PlanOptions, Subtopology, TopicName, Topology};

/// The topics of a sub-topology by their names on the broker, as far as they follow from the topology alone
/// (`InternalTopologyBuilder.TopicsInfo` of the JVM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubtopologyTopics {
    /// The topics that it reads.
    pub sources: BTreeSet<Arc<str>>,
    /// The topics that it writes.
    pub sinks: BTreeSet<Arc<str>>,
    /// The repartition topics that it reads.
    pub repartition: BTreeMap<Arc<str>, TopicSettings>,
    /// The changelogs of its stores; `None` for a source topic that serves as one.
    pub changelogs: BTreeMap<Arc<str>, Option<TopicSettings>>,
}

/// What is known of an internal topic before the source topics' partitions are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    /// The explicit number of partitions.
    pub partitions: Option<i32>,
    /// Its configuration.
    pub config: BTreeMap<String, String>,
}

impl Topology {
    /// The topics of each sub-topology with its number, in the order of the numbers; as on the JVM without those that keep
    /// a global store, and those that read topics by pattern only.
    pub fn topics_of_subtopologies(
        &self,
        application_id: &str,
        options: &PlanOptions,
    ) -> Vec<(i32, SubtopologyTopics)> {
        let parts = self.subtopologies().iter().filter(|part| !part.global && !part.source_topics.is_empty());
        parts.map(|part| (part.id, self.topics_of(part, application_id, options))).collect()
    }

    fn topics_of(&self, part: &Subtopology, application_id: &str, options: &PlanOptions) -> SubtopologyTopics {
        let decorated = |topic: &TopicName| topic.decorated(application_id);
        let repartition = self.repartition_topics().filter(|(topic, _)| part.source_topics.contains(topic));
        let repartition = repartition.map(|(topic, partitions)| {
            (decorated(&topic), TopicSettings { partitions, config: repartition_config(options) })
        });
        let changelogs = part.stores.iter().filter_map(|index| {
            let spec = self.stores().get(index.0 as usize)?;
            if let Some(topic) = self.source_changelog(*index) {
                return Some((topic.clone(), None));
            }
            spec.logging.as_ref()?;
            let settings = TopicSettings { partitions: None, config: changelog_config(spec, options) };
            Some((changelog_topic(application_id, &spec.name).into(), Some(settings)))
        });
        SubtopologyTopics {
            sources: part.source_topics.iter().map(decorated).collect(),
            sinks: part.sink_topics.iter().map(decorated).collect(),
            repartition: repartition.collect(),
            changelogs: changelogs.collect(),
        }
    }
}
