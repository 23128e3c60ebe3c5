//! The start of a task (rule S7): its stores are restored elsewhere while its input positions are asked for; then its
//! nodes are made.
//!
//! ```text
//!  assigned ─▶ owned by this worker alone ─▶ producer ready ─┬─▶ stores restored ───────────────┬─▶ wired ─▶ running
//!                                                            └─▶ offsets (stable) ─▶ log bounds ─┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_streams_core::{TaskContext, TaskId, TopicPartition};
use kafka_streams_state::{StoreParts, StoreSpec};
use kafka_streams_topology::OffsetReset;

use crate::commit_point::CommitPoint;
use crate::error::WorkerError;
use crate::partition_group::PartitionGroup;
use crate::port::{
    Admin, BrokerError, BrokerErrorKind, Call, CallId, CommittedOffset, Fetch, LogBounds, Produce, Progress, Reply,
};
use crate::position::OffsetMetadata;
use crate::record_queue::{Extractor, RecordQueue};
use crate::restore::{Restore, RestoreError, RestoreEvent, RestoreStore, RestoreTask, RestoredStore};
use crate::task::{INPUT_OFFSETS, StoreState, Task, failed, input_offsets};
use crate::worker::{Guarantee, Notice, Ports, Worker};

/// Wait before a question is asked again.
const RETRY_MS: i64 = 20;

/// A task on its way to running.
pub(super) struct Starting {
    partitions: Vec<TopicPartition>,
    owned: bool,
    stores: Stores,
    offsets: Offsets,
}

enum Stores {
    Waiting,
    Restoring,
    Ready(Vec<RestoredStore>),
}

enum Offsets {
    /// Ask at this time.
    Ask(i64),
    Asked(CallId),
    /// The bounds of the logs are asked for.
    Bounds(CallId, Vec<CommittedOffset>),
    /// The records are asked for at which partitions begin that are reset to a time.
    Times(CallId, Vec<CommittedOffset>, Vec<LogBounds>, Vec<TopicPartition>),
    Ready(Vec<(i64, OffsetMetadata)>),
}

impl Starting {
    pub(super) fn shift_back(&mut self, by: i64) {
        if let Offsets::Ask(at) = &mut self.offsets {
            *at = at.saturating_sub(by);
        }
    }

    pub(super) fn is_owned(&self) -> bool {
        self.owned
    }

    pub(super) fn partitions(&self) -> &[TopicPartition] {
        &self.partitions
    }

    /// The task reads other partitions: their positions are asked for anew.
    pub(super) fn change_partitions(&mut self, partitions: Vec<TopicPartition>, now: i64) {
        self.partitions = partitions;
        self.offsets = Offsets::Ask(now);
    }
}

impl<P: Ports> Worker<P> {
    /// Begins to start a task that was just assigned.
    pub(super) fn begin_start(&mut self, id: TaskId, partitions: Vec<TopicPartition>, now: i64) {
        self.begin_start_as(id, partitions, false, now);
    }

    /// Begins to start a task anew that this worker has had and keeps.
    pub(super) fn begin_restart(&mut self, id: TaskId, partitions: Vec<TopicPartition>, now: i64) {
        self.begin_start_as(id, partitions, true, now);
    }

    fn begin_start_as(&mut self, id: TaskId, partitions: Vec<TopicPartition>, owned: bool, now: i64) {
        let starting = Starting { partitions, owned, stores: Stores::Waiting, offsets: Offsets::Ask(now) };
        self.starting.insert(id, starting);
    }

    /// Goes on with all tasks that are starting.
    pub(super) fn start_tasks(&mut self, now: i64) -> Result<bool, WorkerError> {
        if !self.producer_ready {
            // S7: our own old transaction is settled before any offset or store is looked at.
            const WHAT: &str = "initialising transactions";
            match self.produce.init_transactions() {
                Progress::Pending => return Ok(false),
                Progress::Done(Ok(())) => {
                    self.producer_ready = true;
                    self.failing.remove(WHAT);
                }
                Progress::Done(Err(error)) => return self.bear(WHAT, error, now).map(|()| false),
            }
        }
        let ids: Vec<TaskId> = self.starting.keys().copied().collect();
        let mut worked = false;
        for id in ids {
            worked |= self.start_task(id, now)?;
        }
        Ok(worked)
    }

    fn start_task(&mut self, id: TaskId, now: i64) -> Result<bool, WorkerError> {
        // C4: what has failed is not tried again at once.
        if self.failed_tasks.held_until(id, now).is_some() {
            return Ok(false);
        }
        let Some(starting) = self.starting.get_mut(&id) else { return Ok(false) };
        let mut worked = false;
        if !starting.owned {
            // Another thread of this process may still be closing the task, or our own restore what was cancelled.
            if self.cancelling.contains(&id) || !self.task_offsets.try_own(id, self.worker) {
                return Ok(false);
            }
            starting.owned = true;
            self.notices.push_back(Notice::Acquired { generation: self.generation, task: id });
        }
        if matches!(starting.stores, Stores::Waiting)
            && let Some(stores) = self.stores_of(id)
            && let Some(starting) = self.starting.get_mut(&id)
        {
            starting.stores = Stores::Restoring;
            self.restore.submit(RestoreTask { task: id, stores });
            worked = true;
        }
        let Some(starting) = self.starting.get_mut(&id) else { return Ok(worked) };
        if let Offsets::Ask(at) = starting.offsets
            && at <= now
        {
            starting.offsets = Offsets::Asked(self.admin.call(Call::FetchOffsets(starting.partitions.clone())));
            worked = true;
        }
        let ready = matches!((&starting.stores, &starting.offsets), (Stores::Ready(_), Offsets::Ready(_)));
        if ready && self.sink_topics_are_known(id, now)? {
            self.run_task(id, now)?;
            worked = true;
        }
        Ok(worked)
    }

    /// The stores to restore; `None` while the committed positions that bound a restore are not known.
    fn stores_of(&self, id: TaskId) -> Option<Vec<RestoreStore>> {
        let part = self.subtopology(id)?;
        let starting = self.starting.get(&id)?;
        let position = |topic: &str| match &starting.offsets {
            Offsets::Ready(positions) => {
                let at = starting.partitions.iter().position(|partition| *partition.topic == *topic)?;
                positions.get(at).map(|(offset, _)| *offset)
            }
            _ => None,
        };
        let store = |index: &kafka_streams_topology::StoreIndex| {
            let spec = self.topology.stores().get(index.0 as usize)?.clone();
            let source = self.topology.source_changelog(*index).cloned();
            // S7: a source topic is restored up to the committed position; what follows is processed.
            let limit = match &source {
                Some(topic) => Some(position(topic)?),
                None => None,
            };
            let own = || kafka_streams_naming::changelog_topic(&self.config.application_id, &spec.name).into();
            let topic: Option<Arc<str>> = source.or_else(|| spec.logging.is_some().then(own));
            let changelog = topic.map(|topic| TopicPartition::new(topic, id.partition));
            let backends = self.backends.of(&spec);
            Some(RestoreStore { spec, changelog, limit, backends })
        };
        part.stores.iter().map(store).collect()
    }

    /// An answer that concerns a starting task, or nobody any more.
    pub(super) fn on_start_answer(&mut self, call: CallId, reply: Reply, now: i64) -> Result<(), WorkerError> {
        let asked_by = |starting: &Starting| match &starting.offsets {
            Offsets::Asked(asked) | Offsets::Bounds(asked, _) | Offsets::Times(asked, ..) => *asked == call,
            _ => false,
        };
        let found = self.starting.iter_mut().find(|(_, starting)| asked_by(starting));
        let Some((id, starting)) = found else { return Ok(()) };
        let id = *id;
        let what = format!("task {id}: asking for the committed offsets");
        match (std::mem::replace(&mut starting.offsets, Offsets::Ask(now + RETRY_MS)), reply) {
            (
                _,
                Reply::FetchOffsets(Err(error)) | Reply::ListOffsets(Err(error)) | Reply::OffsetsForTimes(Err(error)),
            ) => {
                return self.bear(&what, retriable_if_unknown(error), now);
            }
            (Offsets::Asked(_), Reply::FetchOffsets(Ok(committed))) => {
                let call = self.admin.call(Call::ListOffsets(starting.partitions.clone()));
                starting.offsets = Offsets::Bounds(call, committed);
            }
            (Offsets::Bounds(_, committed), Reply::ListOffsets(Ok(bounds))) => {
                let partitions = starting.partitions.clone();
                let by_time = self.reset_by_time(&partitions, &committed, &bounds, now);
                if by_time.is_empty() {
                    return self.found_positions(id, &committed, &bounds, &BTreeMap::new(), &what);
                }
                let asked = by_time.iter().map(|(partition, _)| partition.clone()).collect();
                let call = self.admin.call(Call::OffsetsForTimes(by_time));
                if let Some(starting) = self.starting.get_mut(&id) {
                    starting.offsets = Offsets::Times(call, committed, bounds, asked);
                }
            }
            (Offsets::Times(_, committed, bounds, asked), Reply::OffsetsForTimes(Ok(found))) => {
                return self.found_positions(id, &committed, &bounds, &asked.into_iter().zip(found).collect(), &what);
            }
            (_, other) => return Err(WorkerError::Bug(format!("task {id}: unexpected answer {other:?}"))),
        }
        self.failing.remove(&what);
        Ok(())
    }

    /// The partitions without a usable committed offset that begin at a time, in milliseconds.
    fn reset_by_time(
        &self,
        partitions: &[TopicPartition],
        committed: &[CommittedOffset],
        bounds: &[LogBounds],
        now: i64,
    ) -> Vec<(TopicPartition, i64)> {
        let time = |((partition, committed), bounds): ((&TopicPartition, &CommittedOffset), &LogBounds)| {
            let usable = committed.offset.is_some_and(|offset| (bounds.start..=bounds.end).contains(&offset));
            match self.offset_reset(&partition.topic) {
                OffsetReset::ByDuration(duration) if !usable => {
                    let back = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
                    Some((partition.clone(), now.saturating_sub(back).max(0)))
                }
                _ => None,
            }
        };
        partitions.iter().zip(committed).zip(bounds).filter_map(time).collect()
    }

    /// All is known that tells where to begin.
    fn found_positions(
        &mut self,
        id: TaskId,
        committed: &[CommittedOffset],
        bounds: &[LogBounds],
        times: &BTreeMap<TopicPartition, Option<i64>>,
        what: &str,
    ) -> Result<(), WorkerError> {
        let partitions = self.starting.get(&id).map(|starting| starting.partitions.clone()).unwrap_or_default();
        let positions = self.positions(id, &partitions, committed, bounds, times)?;
        if let Some(starting) = self.starting.get_mut(&id) {
            starting.offsets = Offsets::Ready(positions);
        }
        self.failing.remove(what);
        Ok(())
    }

    /// Where to begin: at the committed offset, or where `auto.offset.reset` says if there is none that is usable; `times`
    /// are the offsets of the times that it names.
    fn positions(
        &self,
        task: TaskId,
        partitions: &[TopicPartition],
        committed: &[CommittedOffset],
        bounds: &[LogBounds],
        times: &BTreeMap<TopicPartition, Option<i64>>,
    ) -> Result<Vec<(i64, OffsetMetadata)>, WorkerError> {
        let position = |((partition, committed), bounds): ((&TopicPartition, &CommittedOffset), &LogBounds)| {
            let reason = match committed.offset {
                Some(offset) if offset < bounds.start => {
                    format!("the committed offset {offset} lies before the log's start {}", bounds.start)
                }
                Some(offset) if offset > bounds.end => {
                    format!("the committed offset {offset} lies after the log's end {}", bounds.end)
                }
                Some(offset) => return Ok((offset, OffsetMetadata::decode(&committed.metadata))),
                None => "none is committed".to_owned(),
            };
            let reset = self.offset_reset(&partition.topic);
            let offset = match reset {
                OffsetReset::Earliest => bounds.start,
                OffsetReset::Latest => bounds.end,
                OffsetReset::ByDuration(_) => times.get(partition).copied().flatten().unwrap_or(bounds.end),
                OffsetReset::None => {
                    return Err(WorkerError::NoOffset { task, partition: partition.clone(), reason });
                }
            };
            if committed.offset.is_some() {
                tracing::warn!(%task, %partition, reason, offset, "the position is reset by auto.offset.reset");
            }
            Ok((offset, OffsetMetadata::decode(&committed.metadata)))
        };
        partitions.iter().zip(committed).zip(bounds).map(position).collect()
    }

    fn offset_reset(&self, topic: &str) -> OffsetReset {
        self.topology.offset_reset(topic, &self.config.application_id).unwrap_or(self.config.offset_reset)
    }

    pub(super) fn take_restored(&mut self) -> Result<bool, WorkerError> {
        let mut worked = false;
        while let Some(event) = self.restore.poll() {
            worked = true;
            match event {
                RestoreEvent::Completed { task, stores } => match self.starting.get_mut(&task) {
                    Some(starting) if matches!(starting.stores, Stores::Restoring) => {
                        starting.stores = Stores::Ready(stores);
                    }
                    // It came to its end while it was cancelled; meanwhile others may have worked on the task.
                    _ => {
                        drop(stores);
                        self.cancelled(task);
                    }
                },
                RestoreEvent::Failed { task, error } if self.starting.contains_key(&task) => {
                    return Err(match error {
                        RestoreError::Store { store, error } => WorkerError::Store { task, store, error },
                        RestoreError::Broker(error) => {
                            WorkerError::Broker { what: format!("task {task}: restoring its stores"), error }
                        }
                        missing @ RestoreError::NoChangelog { .. } => {
                            let error = BrokerError {
                                kind: BrokerErrorKind::UnknownTopic,
                                action: "restore".to_owned(),
                                message: missing.to_string(),
                            };
                            WorkerError::Broker { what: format!("task {task}: restoring its stores"), error }
                        }
                    });
                }
                RestoreEvent::Failed { task, .. } | RestoreEvent::Cancelled { task } => self.cancelled(task),
                news => {
                    if matches!(news, RestoreEvent::Batch { .. }) {
                        self.config.probe.at(CommitPoint::InRestore);
                    }
                    self.notices.push_back(Notice::Restore(news));
                }
            }
        }
        Ok(worked)
    }

    /// A restore that was cancelled has closed the task's stores: others may open them.
    fn cancelled(&mut self, task: TaskId) {
        if self.cancelling.remove(&task) {
            self.task_offsets.release(task, self.worker, None);
        }
    }

    /// Asks for the partition counts of the task's output topics; true once all are known.
    fn sink_topics_are_known(&mut self, id: TaskId, now: i64) -> Result<bool, WorkerError> {
        let part = self.subtopology(id);
        let topics = part.map(|part| part.sink_topics.clone()).unwrap_or_default();
        let mut known = true;
        for topic in topics {
            let topic = topic.decorated(&self.config.application_id);
            if self.known_partitions.contains_key(&topic) {
                continue;
            }
            let what = format!("looking up output topic {topic}");
            match self.produce.partitions(&topic) {
                Progress::Done(Ok(count)) => {
                    self.failing.remove(&what);
                    self.known_partitions.insert(topic, count);
                }
                Progress::Pending => known = false,
                Progress::Done(Err(error)) => {
                    self.bear(&what, retriable_if_unknown(error), now)?;
                    known = false;
                }
            }
        }
        Ok(known)
    }

    /// S5: a persistent store without a changelog must stand where the input stands; it cannot be brought there.
    fn check_inputs(
        &self,
        task: TaskId,
        stores: &[RestoredStore],
        partitions: &[TopicPartition],
        positions: &[(i64, OffsetMetadata)],
    ) -> Result<(), WorkerError> {
        let read = partitions.iter().zip(positions).filter(|(_, (_, metadata))| metadata.partition_time >= 0);
        let committed = input_offsets(read.map(|(partition, (offset, _))| (partition, *offset)));
        let part = self.subtopology(task);
        let indexes = part.map_or(&[][..], |part| &part.stores);
        for (store, index) in stores.iter().zip(indexes) {
            let inputs = store.position.extensions.iter().find(|(name, _)| name == INPUT_OFFSETS);
            if let Some((_, stored)) = inputs
                && *stored != *committed.as_bytes()
                && let Some(spec) = self.topology.stores().get(index.0 as usize)
            {
                let stored = String::from_utf8_lossy(stored).into_owned();
                return Err(WorkerError::StoreOutOfStep { task, store: spec.name.clone(), stored, committed });
            }
        }
        Ok(())
    }

    /// Makes the nodes, and lets the task run.
    fn run_task(&mut self, id: TaskId, now: i64) -> Result<(), WorkerError> {
        let Some(Starting { partitions, stores: Stores::Ready(stores), offsets: Offsets::Ready(positions), .. }) =
            self.starting.remove(&id)
        else {
            return Err(WorkerError::Bug(format!("task {id} is not ready")));
        };
        self.check_inputs(id, &stores, &partitions, &positions)?;
        self.in_hand = Some(id);
        let application = self.config.application_id.clone();
        let mut cx = TaskContext::new(id, application.clone(), self.config.handlers.clone())
            .with_app_configs(self.config.app_configs.clone())
            .with_state_dir(self.config.task_dir(id));
        cx.wall_clock = now;
        cx.output = (self.make_output)();
        cx.dsl_store_format = self.config.dsl_store_format;
        let (cache, known) = (&self.cache, &self.known_partitions);
        let mut ready = stores.iter();
        let (globals, shared) = (&self.global_stores, self.cache.for_shared_stores());
        let mut parts = |spec: &StoreSpec, changelog| match ready.next() {
            // The task's own stores come first.
            None => globals.parts(&spec.name, &shared),
            Some(store) => Ok(StoreParts::new(store.backend.clone(), changelog, cache.clone())),
        };
        let graph = self
            .topology
            .wire(id.subtopology, &application, &|topic| known.get(topic).copied(), &mut parts)
            .map_err(|failure| failed(&cx, failure))?;
        let mut queues = Vec::with_capacity(partitions.len());
        for (partition, (offset, metadata)) in partitions.into_iter().zip(positions) {
            let found = graph.source_of(&partition.topic);
            let Some((source, task_source)) = found.and_then(|at| Some((at, graph.sources.get(at)?))) else {
                return Err(WorkerError::Bug(format!("task {id} has no source for {partition}")));
            };
            let extractor = Extractor::of(task_source, self.config.timestamp_extractor);
            let slot = self.fetch.assign(&partition, offset).map_err(|error| WorkerError::Fetch {
                task: id,
                partition: partition.clone(),
                error,
            })?;
            cx.stream_time = cx.stream_time.max(metadata.partition_time);
            cx.processor_metadata.merge(&metadata.processor);
            queues.push(RecordQueue::new(partition, source, slot, extractor, offset, metadata.partition_time));
        }
        let states =
            stores.into_iter().map(|store| StoreState { acked: store.position.offset, position: store.position });
        self.next_incarnation = self.next_incarnation.wrapping_add(1);
        let group = PartitionGroup::new(queues);
        let mut task = Task::new(id, self.next_incarnation, graph, cx, group, states.collect());
        task.exactly_once = self.config.guarantee == Guarantee::ExactlyOnce;
        task.init(now)?;
        if task.has_changelogs() {
            self.task_offsets.runs(id);
        }
        self.in_hand = None;
        if self.failed_tasks.contains(id) {
            self.party.add_failed(id);
        }
        self.tasks.insert(id, task);
        self.tell_offset_sums();
        Ok(())
    }
}

/// A topic that was just made is not known everywhere at once.
pub(super) fn retriable_if_unknown(error: BrokerError) -> BrokerError {
    match error.kind {
        BrokerErrorKind::UnknownTopic => BrokerError { kind: BrokerErrorKind::Retriable, ..error },
        _ => error,
    }
}
