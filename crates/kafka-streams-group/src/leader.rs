//! The leader's part of a rebalance: from everybody's metadata to everybody's assignment.
//!
//! ```text
//!   Lead { members } ──▶ GroupView::decode ──▶ verdict ──┬─▶ Assign: the driver looks at topics() on the broker, creates
//!                                                        │   internal topics, reads end offsets ──▶ Vec<TaskSpec>
//!                                                        │                         assign(view, tasks, …) ──▶ Led
//!                                                        └─▶ else: error_assignment(view, code) ──▶ Led
//! ```
//!
//! The steps are those of the JVM's `StreamsPartitionAssignor.assign`, so that either side can lead the other. A task whose
//! partitions another member still claims is withheld from its new owner, who is told to rejoin at once: it gets the task
//! when the claim is gone.

use std::collections::{BTreeMap, BTreeSet};

use kafka_streams_core::{TaskId, TopicPartition};

use crate::assignor::threads::{self, ConsumerTasks};
use crate::assignor::{
    AssignorInput, AssignorOutput, ConsumerState, Lag, ProcessAssignment, ProcessState, TaskInfo, sticky, validate,
};
use crate::codec::{
    AssignmentInfo, ConsumerAssignment, ConsumerSubscription, DecodedSubscription, EARLIEST_PROBEABLE_VERSION,
    LATEST_VERSION, SubscriptionInfo, assignment_error,
};
use crate::{Error, HostInfo, ProcessId};

/// `probing.rebalance.interval.ms`: its default, in milliseconds.
pub const PROBING_REBALANCE_INTERVAL_MS: i64 = 600_000;

/// The members of a generation and what they said, as far as it could be read.
#[derive(Clone, Debug)]
pub struct GroupView {
    members: BTreeMap<String, Member>,
    rejected: BTreeMap<String, Rejected>,
    /// The smallest version used.
    used_version: i32,
    /// The smallest latest version supported.
    supported_version: i32,
    /// A version above ours that a member used.
    future_version: Option<i32>,
    shutdown_requested: bool,
}

#[derive(Clone, Debug)]
struct Member {
    process: ProcessId,
    subscription: ConsumerSubscription,
    /// `None` for a member of a future version.
    info: Option<SubscriptionInfo>,
}

#[derive(Clone, Debug)]
struct Rejected {
    error: Error,
    /// What it owns, if that much could be read: nobody else may get it yet.
    subscription: Option<ConsumerSubscription>,
}

/// What to do for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Assign tasks.
    Assign,
    /// A member asked for a shutdown: send [`assignment_error::SHUTDOWN_REQUESTED`] to everybody.
    Shutdown,
    /// The members' versions cannot be reconciled: send [`assignment_error::ASSIGNMENT_ERROR`] to everybody.
    Incompatible(Error),
}

/// One task to assign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSpec {
    /// Its id.
    pub id: TaskId,
    /// The partitions that it reads, at least one, in any order. No two tasks share one.
    pub source_partitions: Vec<TopicPartition>,
    /// Whether it has stores with changelogs.
    pub stateful: bool,
    /// Sum of the end offsets of its changelogs, 0 for new ones (for a source topic used as changelog: the committed
    /// position). `None` for a stateful task: could not be read, so that everything stays where it is for now.
    pub changelog_end_offset_sum: Option<i64>,
}

/// The assignments of a generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupAssignment {
    /// Member id and bytes for SyncGroup, one for each member, in the order of the ids.
    pub members: Vec<(String, Vec<u8>)>,
    /// Whether another rebalance will follow: tasks are withheld, copies are to catch up, or versions are being probed.
    pub follow_up: bool,
}

impl GroupView {
    /// Reads the metadata of every member. A member whose metadata cannot be read is rejected: it gets no tasks and an
    /// error, the others go on.
    pub fn decode(members: &[(String, Vec<u8>)]) -> GroupView {
        let mut view = GroupView {
            members: BTreeMap::new(),
            rejected: BTreeMap::new(),
            used_version: LATEST_VERSION,
            supported_version: LATEST_VERSION,
            future_version: None,
            shutdown_requested: false,
        };
        for (member_id, metadata) in members {
            match ConsumerSubscription::decode(metadata) {
                Err(error) => {
                    view.rejected.insert(member_id.clone(), Rejected { error, subscription: None });
                }
                Ok(subscription) => view.add(member_id, subscription),
            }
        }
        view
    }

    fn add(&mut self, member_id: &str, mut subscription: ConsumerSubscription) {
        let user_data = subscription.user_data.take().unwrap_or_default();
        let (process, info, used, supported) = match SubscriptionInfo::decode(&user_data) {
            Err(error) => {
                let rejected = Rejected { error, subscription: Some(subscription) };
                self.rejected.insert(member_id.to_owned(), rejected);
                return;
            }
            Ok(DecodedSubscription::Future { version, latest_supported_version }) => {
                self.future_version = self.future_version.max(Some(version));
                (ProcessId::FUTURE, None, version, latest_supported_version)
            }
            Ok(DecodedSubscription::Known(info)) => {
                self.shutdown_requested |= info.error_code == assignment_error::SHUTDOWN_REQUESTED;
                let (version, supported) = (info.version, info.latest_supported_version);
                (info.process_id, Some(info), version, supported)
            }
        };
        self.used_version = self.used_version.min(used);
        self.supported_version = self.supported_version.min(supported);
        self.members.insert(member_id.to_owned(), Member { process, subscription, info });
    }

    /// What to do for this group.
    pub fn verdict(&self) -> Verdict {
        match self.future_version {
            _ if self.shutdown_requested => Verdict::Shutdown,
            Some(newest) if self.used_version < EARLIEST_PROBEABLE_VERSION => {
                Verdict::Incompatible(Error::IncompatibleVersions { newest, oldest: self.used_version })
            }
            _ => Verdict::Assign,
        }
    }

    /// All topics that some member subscribes to, sorted.
    pub fn topics(&self) -> BTreeSet<&str> {
        self.members.values().flat_map(|member| member.subscription.topics.iter().map(String::as_str)).collect()
    }

    /// The members whose metadata could not be read, and why.
    pub fn rejected(&self) -> impl Iterator<Item = (&str, &Error)> {
        self.rejected.iter().map(|(member_id, rejected)| (member_id.as_str(), &rejected.error))
    }

    /// The processes that can be assigned tasks, in their order.
    pub fn processes(&self) -> BTreeSet<ProcessId> {
        self.members.values().map(|member| member.process).collect()
    }

    fn member_ids(&self) -> impl Iterator<Item = &String> {
        self.members.keys().chain(self.rejected.keys())
    }

    /// Who works on each partition. Claims of an older generation give way to those of a newer one; who claims the same in
    /// the same generation, which should not happen, all count.
    fn claims(&self) -> BTreeMap<&TopicPartition, BTreeSet<&str>> {
        let accepted = self.members.iter().map(|(id, member)| (id, &member.subscription));
        let rejected = self.rejected.iter().filter_map(|(id, rejected)| Some((id, rejected.subscription.as_ref()?)));
        let mut newest: BTreeMap<&TopicPartition, (Option<i32>, BTreeSet<&str>)> = BTreeMap::new();
        for (member_id, subscription) in accepted.chain(rejected) {
            for partition in &subscription.owned_partitions {
                let (generation, members) = newest.entry(partition).or_default();
                if members.is_empty() || subscription.generation > *generation {
                    *generation = subscription.generation;
                    members.clear();
                }
                if subscription.generation == *generation {
                    members.insert(member_id);
                }
            }
        }
        newest.into_iter().map(|(partition, (_, members))| (partition, members)).collect()
    }
}

/// Assigns `tasks` to the members of `view`; `this_process` is the leader's own, `now_ms` the time in milliseconds since 1970.
///
/// Everybody gets the same error if [`GroupView::verdict`] is not [`Verdict::Assign`].
///
/// # Errors
/// [`Error::SharedPartition`] for two tasks that read the same partition, [`Error::TooLong`] for a name that cannot be written,
/// [`Error::BrokenAssignment`] for a defect of the assignor. Then answer with [`error_assignment`] and
/// [`assignment_error::ASSIGNMENT_ERROR`].
pub fn assign(
    view: &GroupView,
    tasks: &[TaskSpec],
    this_process: ProcessId,
    now_ms: i64,
) -> Result<GroupAssignment, Error> {
    let error = match view.verdict() {
        // Nobody is left who could run a task.
        Verdict::Assign if view.members.is_empty() => Some(assignment_error::ASSIGNMENT_ERROR),
        Verdict::Assign => None,
        Verdict::Shutdown => Some(assignment_error::SHUTDOWN_REQUESTED),
        Verdict::Incompatible(_) => Some(assignment_error::ASSIGNMENT_ERROR),
    };
    if let Some(code) = error {
        return Ok(GroupAssignment { members: error_assignment(view, code), follow_up: false });
    }
    let leader = Leader::new(view, tasks)?;
    let output = sticky::assign(&leader.input);
    validate(&leader.input, &output).map_err(|defect| Error::BrokenAssignment { defect })?;
    leader.assignments(&output, this_process, now_ms)
}

/// The same error (see [`assignment_error`]) for every member, rejected ones included.
pub fn error_assignment(view: &GroupView, code: i32) -> Vec<(String, Vec<u8>)> {
    view.member_ids().map(|member_id| (member_id.clone(), encoded_error(code))).collect()
}

fn encoded_error(code: i32) -> Vec<u8> {
    let user_data = AssignmentInfo::error(code).encode().ok();
    // Neither can fail: there is no name in them that could be too long.
    ConsumerAssignment { partitions: Vec::new(), user_data }.encode().unwrap_or_default()
}

/// Of two reports of one process: that it runs there, else the smaller known lag.
fn better(a: Lag, b: Lag) -> Lag {
    match (a, b) {
        (Lag::Latest, _) | (_, Lag::Latest) => Lag::Latest,
        (Lag::Unknown, known) | (known, Lag::Unknown) => known,
        (a, b) => a.min(b),
    }
}

/// Everything that one assignment is made from.
struct Leader<'v> {
    view: &'v GroupView,
    tasks: BTreeMap<TaskId, &'v TaskSpec>,
    claims: BTreeMap<&'v TopicPartition, BTreeSet<&'v str>>,
    input: AssignorInput,
}

impl<'v> Leader<'v> {
    fn new(view: &'v GroupView, specs: &'v [TaskSpec]) -> Result<Self, Error> {
        let mut task_of: BTreeMap<&TopicPartition, TaskId> = BTreeMap::new();
        for spec in specs {
            for partition in &spec.source_partitions {
                if let Some(first) = task_of.insert(partition, spec.id) {
                    return Err(Error::SharedPartition { partition: partition.clone(), first, second: spec.id });
                }
            }
        }
        let tasks: BTreeMap<TaskId, &TaskSpec> = specs.iter().map(|spec| (spec.id, spec)).collect();
        let claims = view.claims();
        let mut input = AssignorInput {
            tasks: tasks.values().map(|spec| (spec.id, TaskInfo { stateful: spec.stateful })).collect(),
            processes: BTreeMap::new(),
            keep_previous: specs.iter().any(|spec| spec.stateful && spec.changelog_end_offset_sum.is_none()),
        };
        for (member_id, member) in &view.members {
            let process = input.processes.entry(member.process).or_default();
            let mut consumer = ConsumerState::default();
            if let Some(info) = &member.info {
                for (task, sum) in &info.task_offset_sums {
                    // What no longer exists is of no interest.
                    let Some(spec) = tasks.get(task).filter(|spec| spec.stateful) else {
                        continue;
                    };
                    consumer.reported.insert(*task);
                    let lag = Lag::of(*sum, spec.changelog_end_offset_sum);
                    // Several threads may report a task: one of them runs it, or all read the same directory.
                    process.lags.entry(*task).and_modify(|known| *known = better(*known, lag)).or_insert(lag);
                }
                process.client_tags.extend(info.client_tags.clone());
            }
            let owns = |partition: &&TopicPartition| {
                claims.get(*partition).is_some_and(|members| members.contains(member_id.as_str()))
            };
            let owned = member.subscription.owned_partitions.iter().filter(owns);
            consumer.active.extend(owned.filter_map(|partition| task_of.get(partition)));
            if process.rack_id.is_none() {
                process.rack_id.clone_from(&member.subscription.rack_id);
            }
            process.consumers.insert(member_id.clone(), consumer);
        }
        Ok(Leader { view, tasks, claims, input })
    }

    /// The endpoint of each process that has one.
    fn endpoints(&self) -> BTreeMap<ProcessId, HostInfo> {
        let mut endpoints = BTreeMap::new();
        for member in self.view.members.values() {
            // An endpoint that cannot be read concerns queries only: the process is left out of the map, no more.
            let endpoint = member.info.as_ref().and_then(|info| info.user_endpoint.as_deref()?.parse().ok());
            if let Some(endpoint) = endpoint {
                endpoints.entry(member.process).or_insert(endpoint);
            }
        }
        endpoints
    }

    fn host_map(
        &self,
        output: &AssignorOutput,
        tasks_of: impl Fn(&ProcessAssignment) -> BTreeSet<TaskId>,
    ) -> BTreeMap<HostInfo, Vec<TopicPartition>> {
        let mut hosts: BTreeMap<HostInfo, BTreeSet<TopicPartition>> = BTreeMap::new();
        for (process, endpoint) in self.endpoints() {
            let tasks = output.processes.get(&process).map(&tasks_of).unwrap_or_default();
            hosts.entry(endpoint).or_default().extend(tasks.iter().flat_map(|task| self.partitions(*task)).cloned());
        }
        hosts.into_iter().map(|(host, partitions)| (host, partitions.into_iter().collect())).collect()
    }

    fn partitions(&self, task: TaskId) -> &'v [TopicPartition] {
        self.tasks.get(&task).map_or(&[], |spec| &spec.source_partitions)
    }

    fn assignments(
        &self,
        output: &AssignorOutput,
        this_process: ProcessId,
        now_ms: i64,
    ) -> Result<GroupAssignment, Error> {
        let mut common = AssignmentInfo::empty(self.view.used_version, self.view.supported_version);
        if self.view.used_version >= 2 {
            common.partitions_by_host = self.host_map(output, |assigned| assigned.active.clone());
            common.standby_partitions_by_host =
                self.host_map(output, |assigned| assigned.standby.union(&assigned.warmup).copied().collect());
        }
        let probing = output.probing_rebalance;
        let mut group =
            GroupAssignment { members: Vec::new(), follow_up: probing || self.view.future_version.is_some() };
        for (process_id, assigned) in &output.processes {
            let Some(process) = self.input.processes.get(process_id) else {
                continue;
            };
            // One member asks for the probing rebalance, which is enough; none if the group rebalances at once anyway.
            let mut probe = probing && *process_id == this_process;
            for (member_id, tasks) in threads::distribute(&self.input, process, assigned) {
                let (mut info, partitions, withheld) = self.member_assignment(&common, process, &member_id, &tasks);
                if withheld {
                    info.next_rebalance_ms = 0;
                    group.follow_up = true;
                    probe = false;
                } else if std::mem::take(&mut probe) {
                    info.next_rebalance_ms = now_ms.saturating_add(PROBING_REBALANCE_INTERVAL_MS);
                }
                let user_data = Some(info.encode()?);
                group.members.push((member_id, ConsumerAssignment { partitions, user_data }.encode()?));
            }
        }
        let rejected = self.view.rejected.keys();
        group.members.extend(rejected.map(|id| (id.clone(), encoded_error(assignment_error::ASSIGNMENT_ERROR))));
        group.members.sort();
        Ok(group)
    }

    /// One member's assignment, its partitions, and whether a task was withheld from it.
    fn member_assignment(
        &self,
        common: &AssignmentInfo,
        process: &ProcessState,
        member_id: &str,
        tasks: &ConsumerTasks,
    ) -> (AssignmentInfo, Vec<TopicPartition>, bool) {
        let mut info = common.clone();
        let mut active: Vec<(&TopicPartition, TaskId)> = Vec::new();
        let mut standby = tasks.standby.clone();
        let mut withheld = false;
        for task in &tasks.active {
            if self.partitions(*task).iter().all(|partition| self.is_free_for(partition, member_id)) {
                active.extend(self.partitions(*task).iter().map(|partition| (partition, *task)));
            } else {
                withheld = true;
                let stateful = self.tasks.get(task).is_some_and(|spec| spec.stateful);
                if stateful && process.is_previous_standby(*task) {
                    // Else the copy would be closed now, only to be opened again in a moment.
                    standby.insert(*task);
                }
            }
        }
        active.sort_unstable();
        info.active_tasks = active.iter().map(|(_, task)| *task).collect();
        info.standby_tasks = standby.into_iter().map(|task| (task, self.partitions(task).to_vec())).collect();
        let partitions = active.into_iter().map(|(partition, _)| partition.clone()).collect();
        (info, partitions, withheld)
    }

    /// Whether nobody but this member works on the partition.
    fn is_free_for(&self, partition: &TopicPartition, member_id: &str) -> bool {
        self.claims.get(partition).is_none_or(|members| members.iter().all(|member| *member == member_id))
    }
}
