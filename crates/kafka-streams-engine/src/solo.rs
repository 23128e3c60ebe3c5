//! A task run by hand: the record path, punctuations and the flush of a real task, without a group, a broker or a clock.
//!
//! What a test driver needs. It runs the same code as a worker does; only what a worker decides — when a record is taken,
//! when a commit comes, what time it is — is decided by the caller, and the output goes into a [`RecordLog`] at once.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::{
    DslStoreFormat, EmitIntervals, Failure, Headers, RawRecord, TaskContext, TaskId, Timestamp, TimestampExtractor,
    TopicId, TopicPartition,
};
use kafka_streams_group::GroupMember;
use kafka_streams_state::{StateStore, StoreError, StoreParts, StorePosition, StoreSpec, ThreadCache};
use kafka_streams_topology::{TaskSource, TaskStore, Topology};

use crate::config::Guarantee;
use crate::error::WorkerError;
use crate::partition_group::PartitionGroup;
use crate::port::{
    BrokerError, Delivery, FetchSlot, FetchedBatch, OffsetToCommit, Produce, ProduceRecord, Progress, SendError,
    TransactionStep,
};
use crate::record_queue::{Extractor, RecordQueue};
use crate::task::{Drained, StoreState, Task, failed};
use crate::worker::{Backends, MAX_FLUSH_PASSES};

/// What a [`SoloTask`] is made from.
pub struct SoloSetup {
    /// `application.id`.
    pub application_id: Arc<str>,
    /// The partition of all topics that the task reads.
    pub partition: i32,
    /// Number of partitions of every topic.
    pub partitions: i32,
    /// `default.timestamp.extractor`.
    pub timestamp_extractor: TimestampExtractor,
    /// The user's handlers.
    pub handlers: Handlers,
    /// Who opens the stores.
    pub backends: Backends,
    /// The record cache.
    pub cache: ThreadCache,
    /// How often results of closed windows are looked for.
    pub emit_intervals: EmitIntervals,
    /// The directory of the task; `None` if there is none.
    pub state_dir: Option<Arc<Path>>,
    /// The application's configuration, as processors see it.
    pub app_configs: Arc<BTreeMap<String, String>>,
    /// What the DSL's stores keep.
    pub dsl_store_format: DslStoreFormat,
}

/// Where a task's output goes, in the order in which it was sent.
pub trait RecordLog {
    /// Appends a record, whose partition is set, and returns its offset.
    fn append(&mut self, record: ProduceRecord<'_>) -> i64;
}

/// A record on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRecord {
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since the epoch; -1 if the record has none.
    pub timestamp: Timestamp,
    /// Key bytes; `None` is a null key.
    pub key: Option<Box<[u8]>>,
    /// Value bytes; `None` is a null value.
    pub value: Option<Box<[u8]>>,
    /// The headers.
    pub headers: Headers,
}

/// One task of a whole topology: all its sub-topologies, one partition of every topic.
pub struct SoloTask {
    task: Task<InputRecord>,
    deliveries: Vec<Delivery>,
    partitions: i32,
    timestamp_extractor: TimestampExtractor,
}

impl SoloTask {
    /// Opens the stores, makes the nodes and starts them. `now` is the wall-clock time in milliseconds.
    ///
    /// # Errors
    /// A store cannot be opened, or a processor failed to start.
    pub fn new(topology: &Topology, setup: SoloSetup, now: Timestamp) -> Result<Self, WorkerError> {
        let SoloSetup { application_id, partition, partitions, timestamp_extractor, handlers, backends, cache, .. } =
            setup;
        let id = TaskId::new(0, partition);
        let mut cx = TaskContext::new(id, application_id.clone(), handlers)
            .with_app_configs(setup.app_configs)
            .with_state_dir(setup.state_dir);
        cx.emit_intervals = setup.emit_intervals;
        cx.dsl_store_format = setup.dsl_store_format;
        let mut states = Vec::new();
        let mut open = |spec: &StoreSpec, changelog| {
            let opened = backends.of(spec).open(id, &spec.name);
            let backend = opened.map_err(|error| Failure::store(&spec.name, error))?;
            let position = backend.position().unwrap_or_else(|| nowhere(partition));
            states.push(StoreState { acked: position.offset, position });
            Ok(StoreParts::new(backend, changelog, cache.clone()))
        };
        let wired = topology.wire_whole(&application_id, &|_| Some(partitions), &mut open);
        let graph = wired.map_err(|failure| failed(&cx, failure))?;
        let named = graph.sources.iter().enumerate().filter(|(_, source)| source.pattern.is_none());
        let queues = named.map(|(at, source)| queue(&source.topic, partition, at, source, timestamp_extractor));
        let queues = queues.collect();
        let mut task = Task::new(id, 1, graph, cx, PartitionGroup::new(queues), states);
        task.init(now)?;
        Ok(SoloTask { task, deliveries: Vec::new(), partitions, timestamp_extractor })
    }

    /// The topics that the task reads, by their names on the broker; a topic's index is its queue's.
    pub fn input_topics(&self) -> impl Iterator<Item = &Arc<str>> {
        self.task.group.queues.iter().map(RecordQueue::topic)
    }

    /// The index of the queue of a topic, which is made if the topic is read because its name matches a pattern; `None`
    /// for one that is not read.
    pub fn input(&mut self, topic: &str) -> Option<usize> {
        let queues = &self.task.group.queues;
        if let Some(known) = queues.iter().position(|queue| **queue.topic() == *topic) {
            return Some(known);
        }
        let at = self.task.graph.source_of(topic)?;
        let source = self.task.graph.sources.get(at)?;
        let queue = queue(&topic.into(), self.task.id.partition, at, source, self.timestamp_extractor);
        self.task.group.queues.push(queue);
        Some(self.task.group.queues.len() - 1)
    }

    /// Puts a record into the queue of this index; false if there is no such queue.
    pub fn enqueue(&mut self, queue: usize, record: InputRecord, now: Timestamp) -> bool {
        let Some(of_topic) = self.task.group.queues.get_mut(queue) else { return false };
        of_topic.push(record, now);
        self.task.group.filled(queue);
        true
    }

    /// Processes a record of a global store's topic, whose queue has this index, at once: it waits for no other record,
    /// and does not move the stream time.
    ///
    /// # Errors
    /// As [`process`](SoloTask::process).
    pub fn put_global(&mut self, queue: usize, record: &InputRecord, now: Timestamp) -> Result<(), WorkerError> {
        self.task.process_global(queue, &record.record(0), now)
    }

    /// Processes the record with the lowest timestamp, and the punctuations on stream time that it makes due; whether
    /// there was one.
    ///
    /// # Errors
    /// What a node failed with, unless a handler chose to go on.
    pub fn process(&mut self, now: Timestamp) -> Result<bool, WorkerError> {
        // No partition is waited for: the caller has put in what there is.
        let (processed, _) = self.task.process(&|| now, 1, i64::MAX, -1)?;
        Ok(processed > 0)
    }

    /// Runs the punctuations that the wall clock makes due.
    ///
    /// # Errors
    /// As [`process`](SoloTask::process).
    pub fn punctuate_wall_clock(&mut self, now: Timestamp) -> Result<(), WorkerError> {
        self.task.punctuate_wall_clock(now)
    }

    /// Hands what was sent so far to `log`.
    ///
    /// # Errors
    /// A record that cannot be taken.
    pub fn drain(&mut self, log: &mut dyn RecordLog) -> Result<(), WorkerError> {
        let mut produce = ToLog { log, partitions: self.partitions, deliveries: &mut self.deliveries };
        match self.task.drain_if_any(&mut produce, &mut false, Guarantee::AtLeastOnce)? {
            Drained::All => {}
            other => return Err(WorkerError::Bug(format!("a log in memory did not take a record: {other:?}"))),
        }
        for delivery in self.deliveries.drain(..) {
            self.task.on_delivery(delivery)?;
        }
        Ok(())
    }

    /// Commits: flushes the caches until nothing is in flight, hands the output to `log`, and commits the stores.
    ///
    /// # Errors
    /// As [`process`](SoloTask::process), or a store that cannot be written.
    pub fn commit(&mut self, now: Timestamp, log: &mut dyn RecordLog) -> Result<(), WorkerError> {
        self.drain(log)?;
        let passes = if self.task.graph.stores.is_empty() { 0 } else { MAX_FLUSH_PASSES };
        for pass in 1..=passes {
            self.task.flush_stores(now)?;
            let sent = !self.task.cx.output.is_empty();
            self.drain(log)?;
            if !sent && pass > 1 {
                break;
            }
        }
        let id = self.task.id;
        let store_error = |(store, error): (Arc<str>, StoreError)| WorkerError::Store { task: id, store, error };
        self.task.commit_stores(now).map_err(store_error)?;
        self.task.committed();
        Ok(())
    }

    /// The topic of a record that waits.
    pub fn next_topic(&self) -> Option<&Arc<str>> {
        self.task.group.queues.iter().find(|queue| queue.head().is_some()).map(RecordQueue::topic)
    }

    /// Whether a processor asked for a commit since the last one.
    pub fn commit_requested(&self) -> bool {
        self.task.cx.commit_requested
    }

    /// The highest timestamp processed; -1 before the first record.
    pub fn stream_time(&self) -> Timestamp {
        self.task.cx.stream_time
    }

    /// Records dropped so far: null keys, late records, records that a handler skipped.
    pub fn dropped(&self) -> u64 {
        self.task.cx.counters.dropped
    }

    /// The stores, in the order of registration.
    pub fn stores(&self) -> impl Iterator<Item = &TaskStore> {
        self.task.graph.stores.iter()
    }

    /// The store of this name as its type; `None` if there is none, or if it has another type.
    pub fn store<S: StateStore + Any>(&self, name: &str) -> Option<Rc<S>> {
        let store = self.stores().find(|store| *store.spec.name == *name)?;
        store.typed.clone().downcast::<S>().ok()
    }

    /// What writes to a store need; their changelog records are sent with the next commit.
    pub fn context(&mut self) -> &mut TaskContext {
        self.task.wrote = true;
        &mut self.task.cx
    }

    /// Ends the nodes. What is not committed is dropped.
    pub fn close(&mut self) {
        self.task.close();
    }
}

impl fmt::Debug for SoloTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoloTask").field("id", &self.task.id).field("graph", &self.task.graph).finish_non_exhaustive()
    }
}

fn queue(
    topic: &Arc<str>,
    partition: i32,
    at: usize,
    source: &TaskSource,
    default: TimestampExtractor,
) -> RecordQueue<InputRecord> {
    let topic = TopicPartition::new(topic.clone(), partition);
    RecordQueue::new(topic, at, FetchSlot(at as u64), Extractor::of(source, default), 0, -1)
}

/// A record is a batch of its own: the next one may depend on what became of it.
impl FetchedBatch for InputRecord {
    fn len(&self) -> usize {
        1
    }

    fn record(&self, _index: usize) -> RawRecord<'_> {
        RawRecord {
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: (!self.headers.is_empty()).then_some(&self.headers),
        }
    }

    fn leader_epoch(&self, _index: usize) -> i32 {
        -1
    }
}

/// A producer whose broker is a log in memory, which answers at once.
struct ToLog<'a> {
    log: &'a mut dyn RecordLog,
    partitions: i32,
    deliveries: &'a mut Vec<Delivery>,
}

impl Produce for ToLog<'_> {
    fn partitions(&mut self, _topic: &Arc<str>) -> Progress<Result<i32, BrokerError>> {
        Progress::Done(Ok(self.partitions))
    }

    fn send(&mut self, record: ProduceRecord<'_>, tag: u64) -> Result<(), SendError> {
        let partition = record.partition.unwrap_or(0);
        let offset = self.log.append(ProduceRecord { partition: Some(partition), ..record });
        self.deliveries.push(Delivery { tag, partition, result: Ok(offset) });
        Ok(())
    }

    fn poll(&mut self, on_delivery: &mut dyn FnMut(Delivery)) {
        self.deliveries.drain(..).for_each(on_delivery);
    }

    fn in_flight(&self) -> usize {
        self.deliveries.len()
    }

    fn flush(&mut self) {}

    fn init_transactions(&mut self) -> TransactionStep {
        Progress::Done(Ok(()))
    }

    fn begin_transaction(&mut self) -> Result<(), BrokerError> {
        Ok(())
    }

    fn send_offsets(&mut self, _offsets: &[OffsetToCommit], _member: &GroupMember) -> TransactionStep {
        Progress::Done(Ok(()))
    }

    fn commit_transaction(&mut self) -> TransactionStep {
        Progress::Done(Ok(()))
    }

    fn abort_transaction(&mut self) -> TransactionStep {
        Progress::Done(Ok(()))
    }
}

/// The position of a store that was never committed.
fn nowhere(partition: i32) -> StorePosition {
    StorePosition {
        topic_id: TopicId::default(),
        partition,
        offset: -1,
        leader_epoch: -1,
        committed_at: -1,
        extensions: Vec::new(),
    }
}
