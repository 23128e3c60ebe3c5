//! The group leader's work: internal topics and tasks, from what the cluster says; then the assignment.
//!
//! ```text
//!  members ─▶ verdict ─▶ source topics ─▶ plan ─▶ internal topics made ─▶ end offsets ─▶ assign ─▶ bytes
//! ```
//! Whatever passes by itself (a topic that is slow to show up, one that is marked for deletion, another leader that was
//! faster) is tried again while heartbeats go on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kafka_streams_core::TopicPartition;
use kafka_streams_engine::port::{BrokerError, BrokerErrorKind};
use kafka_streams_group::codec::assignment_error;
use kafka_streams_group::leader::{GroupView, TaskSpec, Verdict, assign, error_assignment};
use kafka_streams_group::{LeadError, ProcessId};
use kafka_streams_naming::{Naming, Orphan, Renumbered, detect_orphans, find_renumbered};
use kafka_streams_topology::{
    InternalTopic, Plan, PlanError, PlanOptions, PlannedTask, Topology, plan, validate_existing,
};

use crate::clock::now_ms;
use crate::port::{
    BoxFuture, ClusterAdmin, CreateTopicError, GroupLeader, LogEdge, MemberBytes, NewTopic, TopicLayout,
};

/// Wait before the cluster is asked again.
const RETRY: Duration = Duration::from_millis(100);

type Assignments = Vec<MemberBytes>;

/// Assigns the tasks of one application.
pub(crate) struct Leader {
    pub(crate) topology: Arc<Topology>,
    pub(crate) application_id: Arc<str>,
    pub(crate) process_id: ProcessId,
    pub(crate) options: PlanOptions,
    pub(crate) cluster: Arc<dyn ClusterAdmin>,
    /// Trying again ends after this: half of `max.poll.interval.ms`, as on the JVM.
    pub(crate) patience: Duration,
    pub(crate) findings: Arc<Findings>,
}

/// What the leader of this process found last: for the error that its stream thread reports, and for watching the
/// source topics.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    failure: Mutex<Option<String>>,
    source_topics: Mutex<Option<BTreeMap<Arc<str>, i32>>>,
    /// Whether the topics that are left over have been looked for.
    orphans_told: AtomicBool,
}

impl Findings {
    /// Why no assignment could be made, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The source topics with their partitions, as of the last assignment that this process made; `None` before.
    pub(crate) fn source_topics(&self) -> Option<BTreeMap<Arc<str>, i32>> {
        self.source_topics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failed(&self, reason: String) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    fn planned(&self, source_topics: BTreeMap<Arc<str>, i32>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.source_topics.lock().unwrap_or_else(PoisonError::into_inner) = Some(source_topics);
    }
}

/// Why the leader has no assignment for the members.
enum Refusal {
    /// Everybody is told this code.
    Code(i32, String),
    /// Nobody is told anything; the group tries again.
    Later(String),
}

impl GroupLeader for Leader {
    fn lead(&self, generation: i32, members: Assignments) -> BoxFuture<'_, Result<Assignments, LeadError>> {
        Box::pin(async move {
            let view = GroupView::decode(&members);
            for (member, error) in view.rejected() {
                tracing::warn!(member, %error, "a member's subscription cannot be read; it gets no tasks");
            }
            match self.assignment(&view).await {
                Ok(assignments) => {
                    tracing::info!(generation, members = members.len(), "assigned the tasks of the group");
                    Ok(assignments)
                }
                Err(Refusal::Code(code, reason)) => {
                    tracing::error!(generation, reason, "no tasks can be assigned; all members are told to stop");
                    self.findings.failed(reason);
                    Ok(error_assignment(&view, code))
                }
                Err(Refusal::Later(reason)) => Err(LeadError { reason }),
            }
        })
    }
}

impl Leader {
    async fn assignment(&self, view: &GroupView) -> Result<Assignments, Refusal> {
        match view.verdict() {
            Verdict::Assign => {}
            Verdict::Shutdown => {
                return Ok(error_assignment(view, assignment_error::SHUTDOWN_REQUESTED));
            }
            Verdict::Incompatible(error) => {
                return Err(Refusal::Code(assignment_error::ASSIGNMENT_ERROR, error.to_string()));
            }
        }
        let plan = self.plan().await?;
        let new = self.make_internal_topics(&plan).await?;
        self.tell_orphans().await;
        let tasks = self.task_specs(&plan, &new).await?;
        self.findings.planned(plan.source_topics);
        match assign(view, &tasks, self.process_id, now_ms()) {
            Ok(assignment) => Ok(assignment.members),
            Err(error) => Err(Refusal::Code(assignment_error::ASSIGNMENT_ERROR, error.to_string())),
        }
    }

    async fn plan(&self) -> Result<Plan, Refusal> {
        let external = self.topology.source_topics().filter(|(topic, _)| !topic.internal);
        let topics: Vec<Arc<str>> = external.map(|(topic, _)| topic.name.clone()).collect();
        let described = self.patiently("describe the source topics", || self.cluster.describe_topics(&topics)).await?;
        let mut partitions = partition_counts(described);
        if self.topology.source_patterns().next().is_some() {
            let all = self.patiently("list the topics", || self.cluster.list_topics()).await?;
            partitions.extend(matching(&self.topology, &self.application_id, all));
        }
        plan(&self.topology, &self.application_id, &self.options, &partitions).map_err(|error| {
            let code = match error {
                PlanError::MissingSourceTopics { .. } => assignment_error::INCOMPLETE_SOURCE_TOPIC_METADATA,
                _ => assignment_error::ASSIGNMENT_ERROR,
            };
            Refusal::Code(code, error.to_string())
        })
    }

    /// Creates the internal topics that are missing, and waits until the cluster knows all of them; the new ones.
    async fn make_internal_topics(&self, plan: &Plan) -> Result<Vec<Arc<str>>, Refusal> {
        let names: Vec<Arc<str>> = plan.internal_topics.keys().cloned().collect();
        let mut new = Vec::new();
        if names.is_empty() {
            return Ok(new);
        }
        let deadline = tokio::time::Instant::now() + self.patience;
        loop {
            let described = self.patiently("describe internal topics", || self.cluster.describe_topics(&names)).await?;
            let missing = validate_existing(plan, &partition_counts(described))
                .map_err(|error| Refusal::Code(assignment_error::ASSIGNMENT_ERROR, error.to_string()))?;
            if missing.is_empty() {
                return Ok(new);
            }
            self.refuse_renumbered(plan).await?;
            if tokio::time::Instant::now() >= deadline {
                let names: Vec<&str> = missing.iter().map(|topic| &*topic.name).collect();
                return Err(Refusal::Later(format!("internal topics do not show up: {}", names.join(", "))));
            }
            self.create(&missing, &mut new).await?;
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Topics that this numbering lacks, beside those of another one, are not made: the state would be left behind.
    async fn refuse_renumbered(&self, plan: &Plan) -> Result<(), Refusal> {
        if self.topology.naming() != Some(Naming::PerClass) || self.topology.has_pinned_names() {
            return Ok(());
        }
        let existing = self.patiently("list the topics", || self.cluster.list_topics()).await?;
        let expected = plan.internal_topics.keys().map(|topic| &**topic);
        match find_renumbered(&self.application_id, expected, existing.iter().map(|topic| &*topic.name)) {
            None => Ok(()),
            Some(Renumbered { expected, found }) => {
                let reason = format!(
                    "internal topic {expected} does not exist, but {found} does: the state of application {} has names \
                     that were numbered in another way, as a JVM application numbers them, and would be left behind. \
                     Build the topology with `StreamsBuilder::with_naming(Naming::Jvm)` to go on from it, or name the \
                     stores and repartition topics explicitly. If it is to be left behind, take another application.id \
                     or delete {found}",
                    self.application_id
                );
                Err(Refusal::Code(assignment_error::ASSIGNMENT_ERROR, reason))
            }
        }
    }

    /// Logs topics that look like the application's own and that the topology does not expect, once in the life of the
    /// process. Nothing is done about them, and nothing depends on it: a cluster that does not answer is asked at the
    /// next assignment.
    async fn tell_orphans(&self) {
        for orphan in self.new_orphans().await {
            tracing::warn!(
                topic = orphan.topic,
                "a topic is left over, unless an instance of another version still uses it: {orphan}. It is never deleted \
                 by the application"
            );
        }
    }

    /// The orphans, if they have not been looked for yet.
    async fn new_orphans(&self) -> Vec<Orphan> {
        if self.findings.orphans_told.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let Ok(existing) = self.cluster.list_topics().await else { return Vec::new() };
        self.findings.orphans_told.store(true, Ordering::Relaxed);
        let names = existing.iter().map(|topic| &*topic.name);
        detect_orphans(&[&self.topology.to_manifest()], &self.application_id, names, &[])
    }

    async fn create(&self, missing: &[&InternalTopic], new: &mut Vec<Arc<str>>) -> Result<(), Refusal> {
        // What was created a moment ago and is not visible yet answers "exists", like what is marked for deletion.
        let wanted: Vec<NewTopic> = missing.iter().map(|topic| new_topic(topic)).collect();
        let outcomes = self.patiently("create internal topics", || self.cluster.create_topics(&wanted)).await?;
        for (topic, outcome) in missing.iter().zip(outcomes) {
            match outcome {
                Ok(_) => {
                    tracing::info!(topic = %topic.name, partitions = topic.partitions, "created an internal topic");
                    new.push(topic.name.clone());
                }
                Err(CreateTopicError::Exists(_)) => {}
                Err(CreateTopicError::Failed(error)) if error.kind == BrokerErrorKind::Retriable => {
                    tracing::warn!(topic = %topic.name, %error, "creating an internal topic will be tried again");
                }
                Err(error) => {
                    let reason = format!("internal topic {} cannot be created: {error}", topic.name);
                    return Err(Refusal::Code(assignment_error::ASSIGNMENT_ERROR, reason));
                }
            }
        }
        Ok(())
    }

    /// The tasks with the sums of their changelogs' end offsets; without sums if these cannot be had, so that all tasks
    /// stay where they are for now.
    async fn task_specs(&self, plan: &Plan, new: &[Arc<str>]) -> Result<Vec<TaskSpec>, Refusal> {
        let ends = match self.restore_ends(plan, new).await {
            Ok(ends) => Some(ends),
            Err(error) => {
                tracing::warn!(%error, "end offsets of changelogs unknown; tasks stay where they are");
                None
            }
        };
        let sum = |task: &PlannedTask| {
            let ends = ends.as_ref()?;
            let changelogs = task.changelogs.iter().chain(&task.source_changelogs);
            Some(
                changelogs.filter_map(|partition| ends.get(partition)).fold(0_i64, |sum, end| sum.saturating_add(*end)),
            )
        };
        let spec = |task: &PlannedTask| TaskSpec {
            id: task.id,
            source_partitions: task.sources.clone(),
            stateful: !task.changelogs.is_empty() || !task.source_changelogs.is_empty(),
            changelog_end_offset_sum: sum(task),
        };
        Ok(plan.tasks.iter().map(spec).collect())
    }

    /// Where the restore of each store would end: at its changelog's end, which for a new one is 0; at the committed
    /// position of a source topic that serves as changelog.
    async fn restore_ends(&self, plan: &Plan, new: &[Arc<str>]) -> Result<BTreeMap<TopicPartition, i64>, BrokerError> {
        let is_old = |partition: &&TopicPartition| !new.contains(&partition.topic);
        let own = plan.tasks.iter().flat_map(|task| &task.changelogs).filter(is_old);
        let changelogs: Vec<TopicPartition> = own.cloned().collect();
        let sources: Vec<TopicPartition> =
            plan.tasks.iter().flat_map(|task| &task.source_changelogs).cloned().collect();
        let mut ends = BTreeMap::new();
        if !changelogs.is_empty() {
            let found = self.cluster.list_offsets(&changelogs, LogEdge::End).await?;
            ends.extend(changelogs.into_iter().zip(found));
        }
        if !sources.is_empty() {
            let committed = self.cluster.committed_offsets(&self.application_id, &sources, false).await?;
            let committed = committed.into_iter().map(|committed| committed.offset.unwrap_or(0));
            ends.extend(sources.into_iter().zip(committed));
        }
        Ok(ends)
    }

    /// Asks until there is an answer or an error that does not pass, or patience is at its end.
    async fn patiently<'a, T>(
        &'a self,
        what: &'static str,
        ask: impl Fn() -> BoxFuture<'a, Result<T, BrokerError>>,
    ) -> Result<T, Refusal> {
        let deadline = tokio::time::Instant::now() + self.patience;
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.kind == BrokerErrorKind::Retriable && tokio::time::Instant::now() < deadline => {
                    tracing::debug!(what, %error, "will be tried again");
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) if error.kind == BrokerErrorKind::Retriable => {
                    return Err(Refusal::Later(format!("cannot {what}: {error}")));
                }
                Err(error) => {
                    return Err(Refusal::Code(assignment_error::ASSIGNMENT_ERROR, format!("cannot {what}: {error}")));
                }
            }
        }
    }
}

fn new_topic(topic: &InternalTopic) -> NewTopic {
    NewTopic {
        name: topic.name.clone(),
        partitions: Some(topic.partitions),
        replication_factor: Some(topic.replication_factor).filter(|factor| *factor > 0),
        settings: topic.config.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
    }
}

/// The topics that sources read because their names match a pattern, with their numbers of partitions.
pub(crate) fn matching(topology: &Topology, application_id: &str, all: Vec<TopicLayout>) -> BTreeMap<Arc<str>, i32> {
    let matching = all.into_iter().filter(|topic| topology.is_read_by_pattern(&topic.name, application_id));
    partition_counts(matching.map(Some).collect())
}

/// The topics that exist, with their numbers of partitions.
pub(crate) fn partition_counts(topics: Vec<Option<TopicLayout>>) -> BTreeMap<Arc<str>, i32> {
    let count = |topic: TopicLayout| (topic.name, i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX));
    topics.into_iter().flatten().map(count).collect()
}

#[cfg(test)]
pub(crate) mod tests;
