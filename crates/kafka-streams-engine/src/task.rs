//! A running task: its queues, its nodes, its stores, and how far each of them is.

use std::sync::Arc;

use kafka_streams_core::handler::Response;
use kafka_streams_core::{
    Failure, FailureKind, NoSuchPartition, PartitionChoice, PunctuationType, RawRecord, RecordContext, RouteId,
    TaskContext, TaskId, Timestamp, TopicPartition,
};
use kafka_streams_state::{StoreError, StorePosition, Uncommitted};
use kafka_streams_topology::{RouteKind, TaskGraph};

use crate::config::Guarantee;
use crate::error::WorkerError;
use crate::partition_group::{Choice, PartitionGroup};
use crate::port::{
    BrokerError, BrokerErrorKind, Delivery, FetchedBatch, OffsetToCommit, Produce, ProduceRecord, Progress, SendError,
};
use crate::position::OffsetMetadata;
use crate::row_layout;
use crate::worker::begin_transaction;

/// Output records of a task that may wait before it stops taking input.
const OUTPUT_RECORDS: usize = 2000;

/// Records between two looks at the clock: a look costs as much as a small record's hop from node to node.
const CLOCK_RECORDS: usize = 16;

/// Tag of records whose delivery nobody waits for: no task has this incarnation.
const LAST_LETTER_TAG: u64 = u64::MAX;

/// A task that processes.
pub(crate) struct Task<B> {
    pub(crate) id: TaskId,
    /// Tells this incarnation from earlier ones of the same task, in the tags of sent records.
    pub(crate) incarnation: u32,
    pub(crate) graph: TaskGraph,
    pub(crate) cx: TaskContext,
    pub(crate) group: PartitionGroup<B>,
    pub(crate) stores: Vec<StoreState>,
    /// Number of partitions of each route's topic; 0 while not known.
    route_partitions: Vec<i32>,
    /// Which queue's topic and partition `cx.record` holds.
    in_hand: Option<usize>,
    /// Whether anything was sent, or may have been put into a cache, since the last commit (rule C1).
    pub(crate) wrote: bool,
    closed: bool,
    pub(crate) exactly_once: bool,
}

/// How far a store is.
pub(crate) struct StoreState {
    pub(crate) position: StorePosition,
    /// The highest acknowledged offset of its changelog (rule S4).
    pub(crate) acked: i64,
}

/// Whether a task's output is all in the producer's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    All,
    /// The producer is full, or a topic's partitions are not known yet.
    Blocked,
    /// The producer takes nothing any more, from any task (rule C4): its transaction failed, or it is fenced.
    Broken(BrokerError),
    /// The partitions of a topic cannot be had for now.
    Failing(Arc<str>, BrokerError),
}

impl<B: FetchedBatch> Task<B> {
    pub(crate) fn new(
        id: TaskId,
        incarnation: u32,
        graph: TaskGraph,
        cx: TaskContext,
        group: PartitionGroup<B>,
        stores: Vec<StoreState>,
    ) -> Self {
        let route_partitions = vec![0; graph.routes.len()];
        Task {
            id,
            incarnation,
            graph,
            cx,
            group,
            stores,
            route_partitions,
            in_hand: None,
            wrote: false,
            closed: false,
            exactly_once: false,
        }
    }

    /// Starts the nodes; the stores are restored.
    pub(crate) fn init(&mut self, now: Timestamp) -> Result<(), WorkerError> {
        self.cx.wall_clock = now;
        self.cx.record = RecordContext::none(self.cx.stream_time);
        for (_, node) in &self.graph.lifecycles {
            node.init(&mut self.cx).map_err(|failure| failed(&self.cx, failure))?;
        }
        Ok(())
    }

    /// Processes up to `max` records, and for no longer than `patience_ms`, so that slow records hold up neither the other
    /// tasks nor a commit; returns how many, and when an idle task wants to be looked at again.
    pub(crate) fn process(
        &mut self,
        clock: &dyn Fn() -> Timestamp,
        max: usize,
        patience_ms: i64,
        max_task_idle_ms: i64,
    ) -> Result<(usize, Option<Timestamp>), WorkerError> {
        let start = clock();
        let mut now = start;
        self.cx.wall_clock = now;
        for queue in &mut self.group.queues {
            self.cx.counters.dropped += std::mem::take(&mut queue.skipped);
        }
        let mut processed = 0;
        while processed < max && self.cx.output.len() < OUTPUT_RECORDS && !self.cx.commit_requested {
            if processed % CLOCK_RECORDS == CLOCK_RECORDS - 1 {
                now = clock();
                self.cx.wall_clock = now;
                if now - start >= patience_ms {
                    break;
                }
            }
            match self.group.choose(now, max_task_idle_ms) {
                Choice::Queue(index) => {
                    self.process_head(index)?;
                    self.group.taken(index);
                }
                Choice::Wait(until) => return Ok((processed, until)),
                Choice::Empty => break,
            }
            processed += 1;
        }
        Ok((processed, None))
    }

    fn process_head(&mut self, index: usize) -> Result<(), WorkerError> {
        let Some(queue) = self.group.queues.get_mut(index) else { return Ok(()) };
        let (Some(head), Some(record)) = (queue.head(), queue.head_record()) else { return Ok(()) };
        let cx = &mut self.cx;
        if self.in_hand != Some(index) {
            cx.record.topic = Some(queue.topic().clone());
            cx.record.partition = queue.partition.partition;
            self.in_hand = Some(index);
        }
        (cx.record.offset, cx.record.timestamp) = (record.offset, head.timestamp);
        set_headers(cx, &record);
        cx.keep_source(Some(&record));
        if head.valid {
            let stream_time = cx.stream_time;
            cx.stream_time = cx.stream_time.max(head.timestamp);
            let result = match self.graph.sources.get(queue.source) {
                Some(source) => (source.ingest)(cx, &record),
                None => Err(Failure::bug(format!("there is no source {}", queue.source))),
            };
            if let Err(failure) = result {
                on_input_failure(cx, failure, &record)?;
                // A record that cannot be read tells nothing, not even the time.
                cx.stream_time = stream_time;
                queue.skip(cx.wall_clock);
                return Ok(());
            }
        } else {
            let failure = Failure::new(FailureKind::InvalidTimestamp { timestamp: head.timestamp });
            return Err(failed(cx, failure));
        }
        cx.counters.processed += 1;
        queue.advance(cx.wall_clock);
        let stream_time = cx.stream_time;
        self.punctuate(PunctuationType::StreamTime, stream_time)
    }

    /// Processes a record of a global store in a task that holds the store itself, as a test driver's does: at once, and
    /// without moving the stream time, of which the threads of global stores know nothing.
    pub(crate) fn process_global(
        &mut self,
        index: usize,
        record: &RawRecord<'_>,
        now: Timestamp,
    ) -> Result<(), WorkerError> {
        let Some(queue) = self.group.queues.get(index) else { return Ok(()) };
        let cx = &mut self.cx;
        cx.wall_clock = now;
        cx.record.topic = Some(queue.topic().clone());
        cx.record.partition = queue.partition.partition;
        self.in_hand = Some(index);
        (cx.record.offset, cx.record.timestamp) = (record.offset, record.timestamp);
        set_headers(cx, record);
        cx.keep_source(Some(record));
        let result = match self.graph.sources.get(queue.source) {
            Some(source) => (source.ingest)(cx, record),
            None => Err(Failure::bug(format!("there is no source {}", queue.source))),
        };
        result.or_else(|failure| on_input_failure(cx, failure, record))
    }

    /// Fires what is due on the wall clock.
    pub(crate) fn punctuate_wall_clock(&mut self, now: Timestamp) -> Result<(), WorkerError> {
        self.cx.wall_clock = now;
        self.punctuate(PunctuationType::WallClockTime, now)
    }

    #[inline]
    fn punctuate(&mut self, kind: PunctuationType, time: Timestamp) -> Result<(), WorkerError> {
        while let Some((id, punctuation)) = self.cx.timers.due(kind, time) {
            let Some((_, node)) = self.graph.lifecycles.iter().find(|(node, _)| *node == id) else { continue };
            self.in_hand = None;
            self.wrote = true;
            self.cx.record = RecordContext::none(time);
            self.cx.keep_source(None);
            self.cx.counters.punctuated += 1;
            node.punctuate(&mut self.cx, punctuation).map_err(|failure| failed(&self.cx, failure))?;
        }
        Ok(())
    }

    /// Empties the dirty caches of all stores, in the order of their registration.
    pub(crate) fn flush_stores(&mut self, now: Timestamp) -> Result<(), WorkerError> {
        self.cx.wall_clock = now;
        self.cx.keep_source(None);
        for store in &self.graph.stores {
            store.store.flush(&mut self.cx).map_err(|failure| failed(&self.cx, failure))?;
        }
        Ok(())
    }

    /// Hands the output to the producer, in order.
    fn drain<P: Produce>(&mut self, produce: &mut P) -> Result<Drained, WorkerError> {
        loop {
            self.cx.output.refill().map_err(|error| WorkerError::Output { task: self.id, error })?;
            let Some(record) = self.cx.output.first() else { return Ok(Drained::All) };
            let id = record.route;
            let Some((topic, is_changelog)) = self.target(id) else {
                return Err(WorkerError::Bug(format!("task {} has no route {}", self.id, id.0)));
            };
            let mut partitions = self.known_partitions(id);
            if partitions == 0 && !is_changelog {
                match produce.partitions(topic) {
                    Progress::Done(Ok(count)) => partitions = count,
                    Progress::Pending => return Ok(Drained::Blocked),
                    Progress::Done(Err(error)) if error.kind == BrokerErrorKind::Authorization => {
                        return Err(self.cannot_write(&topic.clone(), error));
                    }
                    Progress::Done(Err(error)) => return Ok(Drained::Failing(topic.clone(), error)),
                }
                self.learn_partitions(id, partitions);
                continue;
            }
            if matches!(record.partition, PartitionChoice::Waiting(_)) {
                let topic = topic.clone();
                self.settle_first(&topic, partitions)?;
                continue;
            }
            let out = ProduceRecord {
                topic,
                partition: record.partition.resolve(partitions),
                timestamp: record.timestamp,
                headers: record.headers,
                key: record.key,
                value: record.value,
            };
            let tag = u64::from(self.incarnation) << 32 | u64::from(record.route.0);
            match produce.send(out, tag) {
                Ok(()) => self.wrote = true,
                Err(SendError::QueueFull) => return Ok(Drained::Blocked),
                Err(SendError::Refused(error)) if concerns_all(&error) => return Ok(Drained::Broken(error)),
                Err(SendError::Refused(error)) => {
                    let topic = topic.clone();
                    self.cx.output.take();
                    self.on_refused(&topic, is_changelog, error)?;
                    continue;
                }
            }
            self.cx.output.take();
        }
    }

    /// Where a route leads, and whether it is a changelog.
    fn target(&self, route: RouteId) -> Option<(&Arc<str>, bool)> {
        match route.is_dynamic() {
            true => self.cx.output.dynamic_topic(route).map(|topic| (topic, false)),
            false => {
                let route = self.graph.routes.get(route.0 as usize)?;
                Some((&route.topic, matches!(route.kind, RouteKind::Changelog { .. })))
            }
        }
    }

    fn known_partitions(&self, route: RouteId) -> i32 {
        match route.is_dynamic() {
            true => self.cx.output.dynamic_partitions(route),
            false => self.route_partitions.get(route.0 as usize).copied().unwrap_or(0),
        }
    }

    fn learn_partitions(&mut self, route: RouteId, partitions: i32) {
        // Zero would be asked for again and again.
        let partitions = partitions.max(1);
        match route.is_dynamic() {
            true => self.cx.output.set_dynamic_partitions(route, partitions),
            false => {
                if let Some(known) = self.route_partitions.get_mut(route.0 as usize) {
                    *known = partitions;
                }
            }
        }
    }

    /// Lets the first record's partitioner choose, now that the number of partitions is known.
    fn settle_first(&mut self, topic: &Arc<str>, partitions: i32) -> Result<(), WorkerError> {
        let Err(NoSuchPartition(chosen)) = self.cx.output.settle_first(partitions) else { return Ok(()) };
        self.cx.output.take();
        let error = BrokerError {
            kind: BrokerErrorKind::RecordRefused,
            action: format!("choose a partition of topic {topic}"),
            message: format!("the partitioner chose partition {chosen} of {partitions} (from 0)"),
        };
        self.on_refused(topic, false, error)
    }

    /// Sends the dead letters of a handler that has decided to stop. What does not go at once is lost: the task ends.
    pub(crate) fn send_last_letters<P: Produce>(&mut self, produce: &mut P) {
        for letter in std::mem::take(&mut self.cx.last_letters) {
            let partitions = match produce.partitions(&letter.topic) {
                Progress::Done(Ok(partitions)) => partitions,
                _ => 0,
            };
            let by_key = (partitions > 0).then(|| PartitionChoice::by_key(letter.key.as_deref()).resolve(partitions));
            let out = ProduceRecord {
                topic: &letter.topic,
                partition: letter.partition.or(by_key.flatten()),
                timestamp: letter.timestamp,
                headers: &letter.headers,
                key: letter.key.as_deref(),
                value: letter.value.as_deref(),
            };
            // Of no task that runs: its delivery is nobody's concern.
            if let Err(error) = produce.send(out, LAST_LETTER_TAG) {
                tracing::warn!(task = %self.id, topic = %letter.topic, ?error, "a dead letter was not sent");
            }
        }
    }

    /// Hands the output to the producer if there is any, within a transaction where one is due.
    pub(crate) fn drain_if_any<P: Produce>(
        &mut self,
        produce: &mut P,
        in_transaction: &mut bool,
        guarantee: Guarantee,
    ) -> Result<Drained, WorkerError> {
        if self.cx.output.is_empty() {
            return Ok(Drained::All);
        }
        if guarantee == Guarantee::ExactlyOnce
            && let Err(error) = begin_transaction(produce, in_transaction)
        {
            return Ok(Drained::Broken(error));
        }
        self.drain(produce)
    }

    /// Notes an acknowledgement, or asks the production exception handler about a refusal.
    pub(crate) fn on_delivery(&mut self, delivery: Delivery) -> Result<(), WorkerError> {
        let id = RouteId((delivery.tag & 0xffff_ffff) as u32);
        let Some((topic, is_changelog)) = self.target(id) else { return Ok(()) };
        match delivery.result {
            Ok(offset) => {
                let kind = self.graph.routes.get(id.0 as usize).map(|route| &route.kind);
                if let Some(RouteKind::Changelog { store }) = kind
                    && let Some(store) = self.stores.get_mut(*store)
                {
                    store.acked = store.acked.max(offset);
                }
                Ok(())
            }
            Err(error) => {
                // A refusal after the sending has failed the whole transaction: to skip the record would repeat it for ever.
                let (must_fail, topic) = (self.exactly_once || is_changelog, topic.clone());
                self.on_refused(&topic, must_fail, error)
            }
        }
    }

    fn on_refused(&mut self, topic: &Arc<str>, must_fail: bool, error: BrokerError) -> Result<(), WorkerError> {
        let context = self.cx.error_context(None);
        // A store without its changelog record would be a store that cannot be restored.
        let response = match must_fail {
            true => Response::Fail,
            false => self.cx.handlers().production.clone().handle(&context, topic, &error),
        };
        match self.cx.obey(response) {
            true => Ok(()),
            false => Err(self.cannot_write(topic, error)),
        }
    }

    fn cannot_write(&self, topic: &Arc<str>, error: BrokerError) -> WorkerError {
        WorkerError::Production { task: self.id, topic: topic.clone(), error }
    }

    /// Whether there is something that the task could do now.
    pub(crate) fn has_work(&self, now: Timestamp) -> bool {
        self.group.queues.iter().any(|queue| queue.head().is_some())
            || !self.cx.output.is_empty()
            || self.cx.timers.next_wall_clock().is_some_and(|at| at <= now)
    }

    /// How far each input partition was processed.
    pub(crate) fn positions(&self) -> Vec<(TopicPartition, i64)> {
        self.group.queues.iter().map(|queue| (queue.partition.clone(), queue.position())).collect()
    }

    /// Whether there is anything to commit.
    pub(crate) fn needs_commit(&self) -> bool {
        let changed = self.wrote || self.cx.processor_metadata.is_changed();
        changed || !self.cx.output.is_empty() || self.group.queues.iter().any(|queue| queue.consumed)
    }

    /// The input positions that the next commit carries: of every partition that was read, or of all if the task only
    /// wrote (rule C1), or if its processors have set metadata.
    pub(crate) fn offsets_to_commit(&self) -> Vec<OffsetToCommit> {
        let read = self.group.queues.iter().any(|queue| queue.consumed);
        let changed = self.cx.processor_metadata.is_changed();
        let queues = self.group.queues.iter().filter(|queue| queue.consumed || (self.wrote && !read) || changed);
        let processor = self.cx.processor_metadata.values();
        let offset = |queue: &crate::record_queue::RecordQueue<B>| OffsetToCommit {
            partition: queue.partition.clone(),
            offset: queue.position(),
            leader_epoch: queue.leader_epoch,
            metadata: OffsetMetadata { partition_time: queue.partition_time, processor: processor.clone() }.encode(),
        };
        queues.map(offset).collect()
    }

    /// Notes that the offsets of [`offsets_to_commit`](Task::offsets_to_commit) are committed.
    pub(crate) fn committed(&mut self) {
        self.wrote = false;
        self.cx.commit_requested = false;
        self.cx.processor_metadata.committed();
        for queue in &mut self.group.queues {
            queue.consumed = false;
        }
    }

    /// Writes the uncommitted rows of all stores, each with its changelog's highest acknowledged offset (rules S3–S5).
    pub(crate) fn commit_stores(&mut self, now: Timestamp) -> Result<(), (Arc<str>, StoreError)> {
        for (store, state) in self.graph.stores.iter().zip(&mut self.stores) {
            if store.source_changelog
                && let Some(topic) = &store.changelog
            {
                // S4: a source topic is as far in the store as it is processed, and its position is committed with this.
                let queue = self.group.queues.iter().find(|queue| queue.topic() == topic);
                state.acked = queue.map_or(state.acked, |queue| state.acked.max(queue.position() - 1));
            }
            let uncommitted = store.store.uncommitted();
            let inputs = (self.exactly_once && store.changelog.is_none()).then(|| {
                let read = self.group.queues.iter().filter(|queue| queue.partition_time >= 0);
                let offsets = read.map(|queue| (&queue.partition, queue.position()));
                vec![
                    (INPUT_OFFSETS.to_owned(), input_offsets(offsets).into_bytes()),
                    row_layout::extension(&store.spec),
                ]
            });
            let inputs_moved = inputs.as_ref().is_some_and(|inputs| *inputs != state.position.extensions);
            if uncommitted.rows == 0 && state.acked <= state.position.offset && !inputs_moved {
                continue;
            }
            if let Some(inputs) = inputs {
                state.position.extensions = inputs;
            }
            if state.acked > state.position.offset {
                state.position.offset = state.acked;
                // The producer does not tell the epoch of what it wrote.
                state.position.leader_epoch = -1;
            }
            state.position.committed_at = now;
            store.store.commit(&state.position).map_err(|error| (store.spec.name.clone(), error))?;
        }
        Ok(())
    }

    /// What a commit of this task's stores would write now.
    pub(crate) fn uncommitted(&self) -> Uncommitted {
        self.graph.stores.iter().fold(Uncommitted::default(), |sum, store| {
            let more = store.store.uncommitted();
            Uncommitted { rows: sum.rows + more.rows, bytes: sum.bytes + more.bytes }
        })
    }

    /// The sum over the task's changelogs of what is to be read next, as the leader is told of a task that does not run
    /// (`ProcessorStateManager.changelogOffsets` of the JVM).
    pub(crate) fn offset_sum(&self) -> i64 {
        self.stores.iter().map(|store| store.position.next_offset()).fold(0, i64::saturating_add)
    }

    pub(crate) fn has_changelogs(&self) -> bool {
        self.graph.stores.iter().any(|store| store.changelog.is_some())
    }

    /// Ends the task's nodes. What is not committed is dropped (rule S9).
    pub(crate) fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        for (_, node) in &self.graph.lifecycles {
            node.close();
        }
        for store in &self.graph.stores {
            store.store.drop_uncommitted();
        }
        self.cx.output.clear();
    }
}

/// Name of the extension of a store's position that holds the task's input offsets (rule S5).
pub(crate) const INPUT_OFFSETS: &str = "input-offsets";

/// Input offsets of the partitions that were read, as text: `topic-partition=offset`, separated by commas, in the order of the partitions.
pub(crate) fn input_offsets<'a>(offsets: impl Iterator<Item = (&'a TopicPartition, i64)>) -> String {
    let mut texts: Vec<String> = offsets.map(|(partition, offset)| format!("{partition}={offset}")).collect();
    texts.sort();
    texts.join(",")
}

/// Whether an error of one record means that the producer takes no more records of any task.
fn concerns_all(error: &BrokerError) -> bool {
    matches!(error.kind, BrokerErrorKind::AbortRequired | BrokerErrorKind::Fenced | BrokerErrorKind::Rejoin)
}

#[inline]
pub(crate) fn set_headers(cx: &mut TaskContext, record: &RawRecord<'_>) {
    match record.headers {
        Some(headers) => cx.record.headers = headers.clone(),
        None if cx.record.headers.is_empty() => {}
        None => cx.record.headers = kafka_streams_core::Headers::new(),
    }
}

/// A record failed on its way in or below. Records that cannot be read go to the deserialization exception handler.
#[cold]
pub(crate) fn on_input_failure(
    cx: &mut TaskContext,
    failure: Failure,
    record: &RawRecord<'_>,
) -> Result<(), WorkerError> {
    if let FailureKind::Deserialization { error, .. } = failure.kind()
        && !failure.is_settled()
    {
        let context = cx.error_context_of(failure.node(), record);
        let response = cx.handlers().deserialization.clone().handle(&context, error);
        if cx.obey(response) {
            return Ok(());
        }
    }
    Err(failed(cx, failure))
}

#[cold]
pub(crate) fn failed(cx: &TaskContext, failure: Failure) -> WorkerError {
    WorkerError::Processing { context: cx.error_context(failure.node()), failure }
}
