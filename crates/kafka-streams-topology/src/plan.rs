//! What a group of instances needs to know once the source topics' partitions are known: which internal topics there
//! are, and which tasks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use kafka_streams_core::{TaskId, TopicPartition};
use kafka_streams_naming::{changelog_topic, check_name};

use crate::copartition::{RepartitionCount, enforce};
use crate::graph::united;
use crate::internal_topic::{changelog_config, repartition_config};
use crate::{InternalTopic, InternalTopicKind, PlanError, PlanOptions, Subtopology, TopicName, TopicPattern, Topology};

/// The internal topics and the tasks of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The topics that the application makes for itself, by name.
    pub internal_topics: BTreeMap<Arc<str>, InternalTopic>,
    /// The tasks, sorted by their ids.
    pub tasks: Vec<PlannedTask>,
    /// The topics that the application reads, by name, with their numbers of partitions.
    pub source_topics: BTreeMap<Arc<str>, i32>,
}

impl Plan {
    /// The task of this id.
    pub fn task(&self, id: TaskId) -> Option<&PlannedTask> {
        self.tasks.binary_search_by_key(&id, |task| task.id).ok().and_then(|at| self.tasks.get(at))
    }
}

/// A task: partition `p` of each source topic of its sub-topology that has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTask {
    /// Its id.
    pub id: TaskId,
    /// What it reads, sorted by topic.
    pub sources: Vec<TopicPartition>,
    /// The changelogs that it writes and is restored from, in the order of the stores.
    pub changelogs: Vec<TopicPartition>,
    /// The sources that it is restored from as well, in the order of the stores.
    pub source_changelogs: Vec<TopicPartition>,
}

/// Works out internal topics and tasks. `partitions` are those of the external topics, by name.
///
/// # Errors
/// Source topics that do not exist or do not fit together; an internal topic without a legal name. See [`PlanError`].
pub fn plan(
    topology: &Topology,
    application_id: &str,
    options: &PlanOptions,
    partitions: &BTreeMap<Arc<str>, i32>,
) -> Result<Plan, PlanError> {
    let topics = Topics::settle(topology, application_id, partitions)?;
    let mut plan = Plan { internal_topics: BTreeMap::new(), tasks: Vec::new(), source_topics: BTreeMap::new() };
    for (name, count) in &topics.repartition {
        let Some(partitions) = count.partitions.filter(|partitions| *partitions > 0) else {
            return Err(PlanError::UnknownPartitions { topic: name.clone() });
        };
        plan.add_internal_topic(InternalTopic {
            name: name.clone(),
            partitions,
            kind: InternalTopicKind::Repartition,
            config: repartition_config(options),
            replication_factor: options.replication_factor,
            explicit_partitions: count.explicit,
        })?;
    }
    for part in topology.subtopologies().iter().filter(|part| !part.global) {
        plan.add_subtopology(topology, part, &topics, options)?;
    }
    plan.tasks.sort_by_key(|task| task.id);
    Ok(plan)
}

/// Compares the plan with the internal topics that exist (by name, with their numbers of partitions; others are
/// ignored) and returns the topics that are to be created.
///
/// # Errors
/// [`PlanError::PartitionMismatch`]: a topic exists with another number of partitions.
pub fn validate_existing<'p>(
    plan: &'p Plan,
    existing: &BTreeMap<Arc<str>, i32>,
) -> Result<Vec<&'p InternalTopic>, PlanError> {
    let mut missing = Vec::new();
    for topic in plan.internal_topics.values() {
        match existing.get(&topic.name) {
            None => missing.push(topic),
            Some(partitions) if *partitions == topic.partitions => {}
            Some(partitions) => {
                return Err(PlanError::PartitionMismatch {
                    topic: topic.name.clone(),
                    existing: *partitions,
                    required: topic.partitions,
                });
            }
        }
    }
    Ok(missing)
}

impl Plan {
    fn add_internal_topic(&mut self, topic: InternalTopic) -> Result<(), PlanError> {
        check_name(&topic.name).map_err(|error| PlanError::IllegalTopicName { error })?;
        match self.internal_topics.entry(topic.name.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(topic);
                Ok(())
            }
            Entry::Occupied(_) => Err(PlanError::DuplicateInternalTopic { topic: topic.name }),
        }
    }

    fn add_subtopology(
        &mut self,
        topology: &Topology,
        part: &Subtopology,
        topics: &Topics<'_>,
        options: &PlanOptions,
    ) -> Result<(), PlanError> {
        let sources = topics.sources(part);
        let tasks = sources.values().copied().max().unwrap_or(0);
        if tasks == 0 {
            // A pattern that matches nothing yet.
            return Ok(());
        }
        let mut changelogs: Vec<Arc<str>> = Vec::new();
        let mut source_changelogs: Vec<&Arc<str>> = Vec::new();
        for index in &part.stores {
            let Some(spec) = topology.stores().get(index.0 as usize) else { continue };
            if let Some(topic) = topology.source_changelog(*index) {
                source_changelogs.push(topic);
            } else if spec.logging.is_some() {
                let name: Arc<str> = changelog_topic(topics.application_id, &spec.name).into();
                changelogs.push(name.clone());
                self.add_internal_topic(InternalTopic {
                    name,
                    partitions: tasks,
                    kind: InternalTopicKind::Changelog { store: spec.name.clone() },
                    config: changelog_config(spec, options),
                    replication_factor: options.replication_factor,
                    explicit_partitions: false,
                })?;
            }
        }
        for partition in 0..tasks {
            let has = |topic: &Arc<str>| sources.get(topic).is_some_and(|partitions| partition < *partitions);
            let of = |topic: &Arc<str>| TopicPartition::new(topic.clone(), partition);
            self.tasks.push(PlannedTask {
                id: TaskId::new(part.id, partition),
                sources: sources.keys().filter(|topic| has(topic)).map(of).collect(),
                changelogs: changelogs.iter().map(of).collect(),
                source_changelogs: source_changelogs.iter().copied().filter(|topic| has(topic)).map(of).collect(),
            });
        }
        self.source_topics.extend(sources);
        Ok(())
    }
}

/// The numbers of partitions of all topics that the topology reads, by their names on the broker.
struct Topics<'a> {
    application_id: &'a str,
    external: &'a BTreeMap<Arc<str>, i32>,
    /// The topics that sources read because their names match.
    matched: Vec<&'a Arc<str>>,
    repartition: BTreeMap<Arc<str>, RepartitionCount>,
}

impl<'a> Topics<'a> {
    fn settle(
        topology: &Topology,
        application_id: &'a str,
        external: &'a BTreeMap<Arc<str>, i32>,
    ) -> Result<Self, PlanError> {
        let mut missing: Vec<Arc<str>> = topology
            .source_topics()
            .filter(|(topic, _)| !topic.internal && external.get(&topic.name).is_none_or(|count| *count < 1))
            .map(|(topic, _)| topic.name.clone())
            .collect();
        if !missing.is_empty() {
            missing.sort();
            missing.dedup();
            return Err(PlanError::MissingSourceTopics { topics: missing });
        }
        let declared = topology.repartition_topics().map(|(topic, partitions)| {
            let count = RepartitionCount { partitions, explicit: partitions.is_some() };
            (topic.decorated(application_id), count)
        });
        let matched = external.keys().filter(|topic| topology.is_read_by_pattern(topic, application_id)).collect();
        let mut topics = Topics { application_id, external, matched, repartition: declared.collect() };
        topics.count_repartition_topics(topology);
        let joined = topology.joins().map(|(named, patterns)| {
            let named = named.into_iter().map(|topic| topic.decorated(application_id));
            named.chain(topics.matching(&patterns)).collect()
        });
        for group in united(joined) {
            enforce(&group, &mut topics.repartition, external)?;
        }
        Ok(topics)
    }

    /// A repartition topic without an explicit number gets the highest of the sub-topologies that write it. Those may
    /// read repartition topics in turn, so this goes on until nothing changes. A number once found stands, in the
    /// order of the sub-topologies, as on the JVM (`RepartitionTopics.setRepartitionSourceTopicPartitionCount`): all
    /// members of a group must come to the same numbers.
    fn count_repartition_topics(&mut self, topology: &Topology) {
        let read = topology.subtopologies().iter().flat_map(|reader| reader.source_topics.iter());
        let mut topics: Vec<TopicName> = read.filter(|topic| topic.internal).cloned().collect();
        // A topic that is written and not read needs a number as well.
        topics.extend(topology.repartition_topics().map(|(topic, _)| topic));
        loop {
            let mut progress = false;
            for topic in &topics {
                let name = topic.decorated(self.application_id);
                if self.repartition.get(&name).is_none_or(|count| count.partitions.is_some()) {
                    continue;
                }
                let writers = topology.subtopologies().iter().filter(|part| part.sink_topics.contains(topic));
                let found = writers.flat_map(|writer| self.sources(writer).into_values()).max();
                if let (Some(found), Some(count)) = (found, self.repartition.get_mut(&name)) {
                    count.partitions = Some(found);
                    progress = true;
                }
            }
            if !progress {
                return;
            }
        }
    }

    /// The source topics of a sub-topology whose numbers of partitions are known.
    fn sources(&self, part: &Subtopology) -> BTreeMap<Arc<str>, i32> {
        let known = |topic: &TopicName| {
            let name = topic.decorated(self.application_id);
            let count = match topic.internal {
                true => self.repartition.get(&name)?.partitions?,
                false => *self.external.get(&name)?,
            };
            Some((name, count))
        };
        let matched = self.matching(&part.source_patterns.iter().collect::<Vec<_>>());
        let matched = matched.into_iter().filter_map(|topic| Some((topic.clone(), *self.external.get(&topic)?)));
        part.source_topics.iter().filter_map(known).chain(matched).filter(|(_, count)| *count > 0).collect()
    }

    fn matching(&self, patterns: &[&TopicPattern]) -> Vec<Arc<str>> {
        let matches = |topic: &&&Arc<str>| patterns.iter().any(|pattern| pattern.matches(topic));
        self.matched.iter().filter(matches).map(|topic| Arc::clone(topic)).collect()
    }
}
