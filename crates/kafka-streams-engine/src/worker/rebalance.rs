//! Tasks come and go: what the group says, and what the worker answers (rule C2).

use std::collections::BTreeSet;

use kafka_streams_core::{TaskId, TopicPartition};
use kafka_streams_group::{Event, WorkerEvent};

use crate::error::WorkerError;
use crate::port::{Fetch, Group};
use crate::restore::Restore;
use crate::worker::recover::{Recovery, Trouble};
use crate::worker::{Mode, Notice, Ports, Worker};

impl<P: Ports> Worker<P> {
    pub(super) fn follow_group(&mut self, now: i64) -> Result<bool, WorkerError> {
        let mut worked = false;
        // While lost tasks are being dropped, what comes after the loss must wait: it speaks of the same tasks.
        while self.recovery.as_ref().is_none_or(Recovery::keeps_tasks)
            && let Some(event) = self.group.poll()
        {
            worked = true;
            match event {
                WorkerEvent::Rebalancing => tracing::debug!(worker = self.worker, "a rebalance begins"),
                WorkerEvent::Assigned(assigned) => {
                    self.generation = assigned.generation;
                    let tasks = assigned.active.iter().map(|(id, _)| *id).collect();
                    self.notices.push_back(Notice::Assigned { generation: assigned.generation, tasks });
                    if let Some((task, partitions)) = assigned.active.iter().find(|(id, of)| !self.has_task(*id, of)) {
                        let topics: Vec<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
                        return Err(WorkerError::ForeignTask { task: *task, topics: topics.join(", ") });
                    }
                    self.subscribe_to_matched(&assigned.active);
                    // A task that was to be given up and is given back goes on undisturbed.
                    let active: Vec<TaskId> = assigned.active.iter().map(|(id, _)| *id).collect();
                    for revoke in &mut self.revoking {
                        revoke.tasks.retain(|(id, _)| !active.contains(id));
                    }
                    for (id, partitions) in assigned.active {
                        self.note_partitions(id, &partitions, now);
                        if self.mode == Mode::Running
                            && !self.tasks.contains_key(&id)
                            && !self.starting.contains_key(&id)
                        {
                            self.begin_start(id, partitions, now);
                        }
                    }
                    self.was_running = false;
                    self.tell_offset_sums();
                }
                WorkerEvent::Revoke(revoke) => {
                    self.generation = revoke.generation;
                    self.notices.push_back(Notice::Revoking(revoke.tasks.iter().map(|(id, _)| *id).collect()));
                    self.revoking.push(revoke);
                }
                WorkerEvent::Lost { reason } => {
                    self.begin_recovery(Trouble::Lost { reason: format!("membership lost: {reason:?}") }, now)?;
                }
                WorkerEvent::ShutdownRequested => {
                    self.shutdown_pending = false;
                    return Err(WorkerError::ShutdownRequested);
                }
                WorkerEvent::Fatal(error) => {
                    (self.seat_gone, self.shutdown_pending) = (true, false);
                    let group = &self.config.application_id;
                    return Err(WorkerError::Membership(format!("group {group}: {error}")));
                }
                WorkerEvent::Left => self.mode = Mode::Closed,
            }
        }
        Ok(worked)
    }

    /// Whether the topology has a task that reads these topics.
    fn has_task(&self, id: TaskId, partitions: &[TopicPartition]) -> bool {
        let part = self.subtopology(id);
        let application = &self.config.application_id;
        part.is_some_and(|part| {
            let named = |topic: &str| part.source_topics.iter().any(|source| *source.decorated(application) == *topic);
            let matched = |topic: &str| part.source_patterns.iter().any(|pattern| pattern.matches(topic));
            let reads = |topic: &str| named(topic) || matched(topic);
            partitions.iter().all(|partition| reads(&partition.topic))
        })
    }

    /// Adds the topics that are read because their names match a pattern to the member's subscription: the broker lets the
    /// offsets of topics expire to which nobody subscribes. Topics are only added, so that this ends.
    fn subscribe_to_matched(&mut self, active: &[(TaskId, Vec<TopicPartition>)]) {
        let application = &self.config.application_id;
        let topics = active.iter().flat_map(|(_, partitions)| partitions).map(|partition| &partition.topic);
        let matched = topics.filter(|topic| self.topology.is_read_by_pattern(topic, application));
        let before = self.subscribed.len();
        let matched: Vec<String> = matched.map(|topic| topic.to_string()).collect();
        self.subscribed.extend(matched);
        if self.subscribed.len() > before {
            self.group.tell(Event::Subscribe { topics: self.subscribed.iter().cloned().collect() });
        }
    }

    /// Notes that a task of ours reads other partitions from now on.
    fn note_partitions(&mut self, id: TaskId, partitions: &[TopicPartition], now: i64) {
        let differ = |has: &mut dyn Iterator<Item = &TopicPartition>| {
            let has: BTreeSet<&TopicPartition> = has.collect();
            has != partitions.iter().collect()
        };
        if let Some(task) = self.tasks.get(&id) {
            match differ(&mut task.group.queues.iter().map(|queue| &queue.partition)) {
                true => self.renewing.insert(id, partitions.to_vec()),
                false => self.renewing.remove(&id),
            };
        } else if let Some(starting) = self.starting.get_mut(&id)
            && differ(&mut starting.partitions().iter())
        {
            starting.change_partitions(partitions.to_vec(), now);
        }
    }

    /// Starts the tasks anew that read other partitions than before; everything of theirs is committed.
    fn renew_tasks(&mut self) {
        if self.recovery.is_some() || self.mode != Mode::Running || self.renewing.is_empty() {
            return;
        }
        let open = |id: &TaskId| self.tasks.get(id).is_some_and(|task| task.needs_commit());
        let ready: Vec<TaskId> = self.renewing.keys().copied().filter(|id| !open(id)).collect();
        for id in ready {
            let Some(partitions) = self.renewing.remove(&id) else { continue };
            if self.tasks.contains_key(&id) {
                tracing::info!(task = %id, ?partitions, "the task reads other partitions from now on");
                self.close_task(id, true);
                self.begin_restart(id, partitions, 0);
            }
        }
    }

    /// Closes the tasks that are being given up; everything of theirs is committed, or there was nothing to commit.
    pub(super) fn finish_revocations(&mut self) {
        self.renew_tasks();
        if self.revoking.is_empty() || self.recovery.is_some() {
            return;
        }
        // A task that took in records since this commit began is committed first.
        let open = |id: &TaskId| self.tasks.get(id).is_some_and(|task| task.needs_commit());
        if self.revoking.iter().flat_map(|revoke| &revoke.tasks).any(|(id, _)| open(id)) {
            return;
        }
        for revoke in std::mem::take(&mut self.revoking) {
            let ids: Vec<TaskId> = revoke.tasks.iter().map(|(id, _)| *id).collect();
            for id in &ids {
                self.renewing.remove(id);
                self.close_task(*id, false);
                self.cancel_start(*id);
            }
            self.group.tell(Event::Released { revocation: revoke.id, tasks: ids });
        }
        self.tell_offset_sums();
    }

    /// Closes a running task; its partitions, for starting it again. `keep` it as this worker's own.
    pub(super) fn close_task(&mut self, id: TaskId, keep: bool) -> Vec<TopicPartition> {
        let Some(mut task) = self.tasks.remove(&id) else { return Vec::new() };
        task.close();
        let mut partitions = Vec::with_capacity(task.group.queues.len());
        for queue in &task.group.queues {
            self.fetch.unassign(queue.slot);
            partitions.push(queue.partition.clone());
        }
        let sum = task.has_changelogs().then(|| task.offset_sum());
        drop(task);
        self.party.remove_failed(id);
        if !keep {
            partitions.iter().for_each(|partition| self.one_by_one.forget(partition));
            self.task_offsets.release(id, self.worker, sum);
            self.notices.push_back(Notice::Released { generation: self.generation, task: id });
        }
        partitions
    }

    pub(super) fn cancel_start(&mut self, id: TaskId) {
        if let Some(starting) = self.starting.remove(&id)
            && starting.is_owned()
        {
            // Its stores are closed when the restore says so; until then nobody else may open them.
            self.restore.cancel(id);
            self.cancelling.insert(id);
            self.notices.push_back(Notice::Released { generation: self.generation, task: id });
        }
    }

    pub(super) fn tell_offset_sums(&mut self) {
        self.group.tell(Event::TaskOffsetSums(self.task_offsets.sums_for(self.worker)));
    }

    /// The end of closing: the tasks are committed and closed, or dropped, and the group is told.
    pub(super) fn close_if_done(&mut self) {
        let notify = match self.mode {
            Mode::Closing { notify } => notify,
            Mode::Abandoning => true,
            _ => return,
        };
        if self.recovery.is_some() || !self.commit.is_idle() || self.shutdown_pending {
            return;
        }
        if self.mode != Mode::Abandoning && self.producer_ready && self.tasks.values().any(|task| task.needs_commit()) {
            return;
        }
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        for id in ids {
            self.close_task(id, false);
        }
        let ids: Vec<TaskId> = self.starting.keys().copied().collect();
        for id in ids {
            self.cancel_start(id);
        }
        if self.seat_gone {
            self.mode = Mode::Closed;
            return;
        }
        self.mode = Mode::Leaving;
        self.group.tell(Event::Leave { notify_coordinator: notify });
    }
}
