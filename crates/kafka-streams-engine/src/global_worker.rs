//! What keeps the global stores of an instance: it reads their topics to the end, and follows them from then on.
//!
//! ```text
//!  describe ─▶ bounds of the logs ─▶ stores opened (kept or wiped, S6) ─▶ read to the ends ─▶ ready ─▶ read on
//!                                                                          └──── commit: rows and input offsets ────┘
//! ```
//! Every record goes through the nodes of its sub-topology, in a restore as later, so that a store holds what its processor
//! makes of the topic. A batch of rows is committed with the input offsets behind it, as one; tasks see what is
//! committed. It reads committed records only (rule S8), belongs to no group and writes no topic.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kafka_streams_core::handler::{ErrorContext, Handlers, ProcessingExceptionHandler, Response};
use kafka_streams_core::{TaskContext, TaskId, TopicId, TopicPartition};
use kafka_streams_state::{StoreBackend, StoreError, StoreParts, StorePosition, StoreSpec, ThreadCache};
use kafka_streams_topology::{Subtopology, Topology};

use crate::config::WorkerConfig;
use crate::error::WorkerError;
use crate::global_stores::GlobalStores;
use crate::partition_group::PartitionGroup;
use crate::port::{
    Admin, BrokerError, BrokerErrorKind, Call, CallId, Fetch, FetchEvent, LogBounds, Reply, TopicDescription,
};
use crate::record_queue::{Extractor, RecordQueue};
use crate::restore::{RestoreEvent, open_store};
use crate::row_layout;
use crate::task::{Task, failed, input_offsets};
use crate::worker::Backends;

/// Wait before a question is asked again.
const RETRY_MS: i64 = 100;
/// Records taken from the fetch at a time.
const POLL_RECORDS: usize = 1000;
/// The longest sleep: what was fetched wakes the thread before.
const MAX_SLEEP_MS: i64 = 100;
/// Uncommitted rows are written at the latest when there are so many.
const MAX_ROWS: usize = 10_000;
/// Name of the extension of a store's position that holds its input offsets.
const OFFSETS: &str = "global-offsets";

/// What a global worker is made from.
pub struct GlobalSetup<F, A> {
    /// The topology.
    pub topology: Arc<Topology>,
    /// The configuration.
    pub config: WorkerConfig,
    /// Who opens the stores.
    pub backends: Backends,
    /// Where the tasks find the stores.
    pub stores: GlobalStores,
    /// Memory for the rows that are not committed; nothing is cached.
    pub cache: ThreadCache,
    /// Age of a store's last commit in milliseconds beyond which tombstones of its compacted topic may be gone
    /// (`delete.retention.ms`, rule S6).
    pub max_age_ms: i64,
    /// Reads all partitions of the topics, read-committed.
    pub fetch: F,
    /// Asks the cluster.
    pub admin: A,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobalTurn {
    /// Call again at once.
    Worked,
    /// Nothing to do before this time or a wake-up.
    IdleUntil(i64),
}

/// Keeps the global stores of an instance. Driven by [`run_once`](GlobalWorker::run_once); nothing in it waits.
pub struct GlobalWorker<F: Fetch, A: Admin> {
    setup: GlobalSetup<F, A>,
    stage: Stage,
    keepers: Vec<Keeper<F::Batch>>,
    failing_since: Option<i64>,
    events: VecDeque<RestoreEvent>,
}

enum Stage {
    /// Ask (again) at this time.
    Ask(i64),
    Described(CallId),
    Bounds(CallId, BTreeMap<Arc<str>, TopicDescription>, Vec<TopicPartition>),
    Reading,
}

/// One global store with the nodes that keep it.
struct Keeper<B> {
    task: Task<B>,
    backend: Arc<dyn StoreBackend>,
    spec: StoreSpec,
    topic_id: TopicId,
    /// Where each partition's restore ends; empty once it has.
    ends: BTreeMap<TopicPartition, i64>,
    restored: u64,
}

impl<F: Fetch, A: Admin> GlobalWorker<F, A> {
    /// A worker that has not begun.
    pub fn new(setup: GlobalSetup<F, A>) -> Self {
        GlobalWorker { setup, stage: Stage::Ask(0), keepers: Vec::new(), failing_since: None, events: VecDeque::new() }
    }

    /// Whether all stores have been brought to the ends that their topics had at the start. It stays so.
    pub fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Reading) && self.keepers.iter().all(|keeper| keeper.ends.is_empty())
    }

    /// The next news of the restore.
    pub fn poll_event(&mut self) -> Option<RestoreEvent> {
        self.events.pop_front()
    }

    /// One turn. `now` is the wall-clock time in milliseconds.
    ///
    /// # Errors
    /// The worker cannot go on.
    pub fn run_once(&mut self, now: i64) -> Result<GlobalTurn, WorkerError> {
        let mut worked = false;
        while let Some((call, reply)) = self.setup.admin.poll() {
            worked = true;
            self.on_reply(call, reply, now)?;
        }
        match self.stage {
            Stage::Ask(at) if at <= now => {
                let call = self.setup.admin.call(Call::DescribeTopics(self.topics()));
                self.stage = Stage::Described(call);
                worked = true;
            }
            Stage::Ask(at) if !worked => return Ok(GlobalTurn::IdleUntil(at)),
            Stage::Reading => worked |= self.read(now)?,
            _ => {}
        }
        Ok(if worked { GlobalTurn::Worked } else { GlobalTurn::IdleUntil(self.sleep_until(now)) })
    }

    /// Commits what was processed, and ends the nodes.
    ///
    /// # Errors
    /// A store cannot be written.
    pub fn close(&mut self, now: i64) -> Result<(), WorkerError> {
        let mut outcome = Ok(());
        for keeper in &mut self.keepers {
            outcome = outcome.and(keeper.commit(now));
            keeper.task.close();
        }
        self.keepers.clear();
        outcome
    }

    fn parts(&self) -> impl Iterator<Item = &Subtopology> {
        self.setup.topology.subtopologies().iter().filter(|part| part.global)
    }

    fn topics(&self) -> Vec<Arc<str>> {
        let topics = self.parts().flat_map(|part| &part.source_topics);
        topics.map(|topic| topic.decorated(&self.setup.config.application_id)).collect()
    }

    fn on_reply(&mut self, call: CallId, reply: Reply, now: i64) -> Result<(), WorkerError> {
        match (std::mem::replace(&mut self.stage, Stage::Ask(now + RETRY_MS)), reply) {
            (Stage::Described(asked), Reply::DescribeTopics(Ok(found))) if asked == call => {
                let topics = self.topics();
                let mut described = BTreeMap::new();
                for (topic, found) in topics.into_iter().zip(found) {
                    match found {
                        Some(found) if found.partitions > 0 => described.insert(topic, found),
                        _ => return self.bear(missing(&topic), now),
                    };
                }
                let partitions: Vec<TopicPartition> = described.iter().flat_map(partitions_of).collect();
                let call = self.setup.admin.call(Call::ListOffsets(partitions.clone()));
                self.stage = Stage::Bounds(call, described, partitions);
                Ok(())
            }
            (Stage::Bounds(asked, topics, partitions), Reply::ListOffsets(Ok(bounds))) if asked == call => {
                self.failing_since = None;
                self.begin(&topics, &partitions.into_iter().zip(bounds).collect(), now)
            }
            (
                Stage::Described(asked) | Stage::Bounds(asked, ..),
                Reply::DescribeTopics(Err(error)) | Reply::ListOffsets(Err(error)),
            ) if asked == call => self.bear(error, now),
            // An answer to nobody.
            (stage, _) => {
                self.stage = stage;
                Ok(())
            }
        }
    }

    /// Whether an error that should pass has lasted longer than `task.timeout.ms`.
    fn bear(&mut self, error: BrokerError, now: i64) -> Result<(), WorkerError> {
        let since = *self.failing_since.get_or_insert(now);
        let passes = matches!(error.kind, BrokerErrorKind::Retriable | BrokerErrorKind::UnknownTopic);
        if !passes || now - since > self.setup.config.task_timeout_ms {
            return Err(WorkerError::Broker { what: "reading global stores".to_owned(), error });
        }
        if since == now {
            tracing::warn!(%error, "global stores: will be tried again");
        }
        Ok(())
    }

    /// Opens the stores, and begins to read where they stand.
    fn begin(
        &mut self,
        topics: &BTreeMap<Arc<str>, TopicDescription>,
        bounds: &BTreeMap<TopicPartition, LogBounds>,
        now: i64,
    ) -> Result<(), WorkerError> {
        let parts: Vec<Subtopology> = self.parts().cloned().collect();
        for part in parts {
            let keeper = self.open(&part, topics, bounds, now)?;
            self.setup.stores.insert(keeper.spec.name.clone(), keeper.backend.clone());
            self.keepers.push(keeper);
        }
        self.stage = Stage::Reading;
        Ok(())
    }

    fn open(
        &mut self,
        part: &Subtopology,
        topics: &BTreeMap<Arc<str>, TopicDescription>,
        bounds: &BTreeMap<TopicPartition, LogBounds>,
        now: i64,
    ) -> Result<Keeper<F::Batch>, WorkerError> {
        let topology = self.setup.topology.clone();
        let config = self.setup.config.clone();
        let application = config.application_id.clone();
        let spec = part.stores.first().and_then(|index| topology.stores().get(index.0 as usize)).cloned();
        let topic = part.source_topics.first().map(|topic| topic.decorated(&application));
        let (Some(spec), Some(topic)) = (spec, topic) else {
            return Err(WorkerError::Bug(format!("global sub-topology {} has no store or no topic", part.id)));
        };
        let of_store = |error| WorkerError::Store { task: TaskId::GLOBAL, store: spec.name.clone(), error };
        let backend = open_store(TaskId::GLOBAL, &spec, &*self.setup.backends.of(&spec)).map_err(of_store)?;
        let topic_id = topics.get(&topic).map_or_else(TopicId::nil, |topic| topic.id);
        let bounds: BTreeMap<&TopicPartition, LogBounds> =
            bounds.iter().filter(|(partition, _)| partition.topic == topic).map(|(p, b)| (p, *b)).collect();
        let kept = |position: StorePosition| kept(&spec, &position, topic_id, &bounds, now, self.setup.max_age_ms);
        let offsets = match backend.position().map(kept) {
            Some(Ok(offsets)) => offsets,
            Some(Err(reason)) => {
                tracing::warn!(store = %spec.name, %topic, reason, "global store is wiped and read anew (S6)");
                backend.wipe().map_err(of_store)?;
                BTreeMap::new()
            }
            None => BTreeMap::new(),
        };
        let handlers = handlers_of(&config);
        let mut cx = TaskContext::new(TaskId::GLOBAL, application.clone(), handlers)
            .with_app_configs(config.app_configs.clone())
            .with_state_dir(config.task_dir(TaskId::GLOBAL));
        cx.wall_clock = now;
        let mut open =
            |_: &StoreSpec, changelog| Ok(StoreParts::new(backend.clone(), changelog, self.setup.cache.clone()));
        let graph =
            topology.wire(part.id, &application, &|_| None, &mut open).map_err(|failure| failed(&cx, failure))?;
        let mut queues = Vec::new();
        let mut ends = BTreeMap::new();
        for (partition, bounds) in bounds {
            let Some(source) = graph.source_of(&partition.topic) else { continue };
            let from = offsets.get(partition).copied().unwrap_or(bounds.start);
            let fetched = |error| WorkerError::Fetch { task: TaskId::GLOBAL, partition: partition.clone(), error };
            let slot = self.setup.fetch.assign(partition, from).map_err(fetched)?;
            queues.push(RecordQueue::new(partition.clone(), source, slot, Extractor::AsRecorded, from, -1));
            if from < bounds.end {
                ends.insert(partition.clone(), bounds.end);
                let (store, changelog) = (spec.name.clone(), partition.clone());
                let started = RestoreEvent::Started { task: TaskId::GLOBAL, store, changelog, from, end: bounds.end };
                self.events.push_back(started);
            }
        }
        let mut task = Task::new(TaskId::GLOBAL, 0, graph, cx, PartitionGroup::new(queues), Vec::new());
        task.init(now)?;
        Ok(Keeper { task, backend, spec, topic_id, ends, restored: 0 })
    }

    /// Takes and processes what was fetched, and commits it.
    fn read(&mut self, now: i64) -> Result<bool, WorkerError> {
        let mut worked = false;
        for at in 0..self.keepers.len() {
            worked |= self.fill(at, now)?;
            let Some(keeper) = self.keepers.get_mut(at) else { continue };
            let before = keeper.task.cx.counters.processed;
            worked |= keeper.process(now)?;
            keeper.restored += keeper.task.cx.counters.processed - before;
            keeper.task.punctuate_wall_clock(now)?;
            keeper.refuse_output();
            keeper.commit(now)?;
            self.events.extend(keeper.ended());
        }
        Ok(worked)
    }

    fn fill(&mut self, at: usize, now: i64) -> Result<bool, WorkerError> {
        let (mut worked, mut trouble) = (false, None);
        let Some(keeper) = self.keepers.get_mut(at) else { return Ok(false) };
        for queue in &mut keeper.task.group.queues {
            if queue.buffered() > 0 {
                continue;
            }
            match self.setup.fetch.poll(queue.slot, POLL_RECORDS) {
                Some(FetchEvent::Batch(batch)) => queue.push(batch, now),
                Some(FetchEvent::End { next_offset }) => queue.end(next_offset),
                Some(FetchEvent::OutOfRange) => {
                    let (name, partition) = (keeper.spec.name.clone(), queue.partition.clone());
                    let error = keeper.backend.wipe().err().unwrap_or_else(|| StoreError::Unreadable {
                        reason: format!(
                            "{partition} has no record at offset {} any more: the store was wiped, and is read anew by the \
                             next start",
                            queue.position()
                        ),
                    });
                    return Err(WorkerError::Store { task: TaskId::GLOBAL, store: name, error });
                }
                Some(FetchEvent::Failed(error)) => {
                    trouble = Some(error);
                    continue;
                }
                None => continue,
            }
            worked = true;
        }
        match trouble {
            Some(error) => self.bear(error, now)?,
            None if worked => self.failing_since = None,
            None => {}
        }
        Ok(worked)
    }

    fn sleep_until(&self, now: i64) -> i64 {
        let timers = self.keepers.iter().filter_map(|keeper| keeper.task.cx.timers.next_wall_clock());
        timers.min().unwrap_or(i64::MAX).clamp(now + 1, now + MAX_SLEEP_MS)
    }
}

impl<B: crate::port::FetchedBatch> Keeper<B> {
    /// Processes what is in the queues, in the order of their times as far as it is there.
    fn process(&mut self, now: i64) -> Result<bool, WorkerError> {
        let mut worked = false;
        loop {
            let clock = move || now;
            // -1: no waiting for partitions that are empty.
            let (processed, _) = self.task.process(&clock, MAX_ROWS, i64::MAX, -1)?;
            // A processor's wish for a commit is met after every turn.
            let asked = std::mem::take(&mut self.task.cx.commit_requested);
            worked |= processed > 0;
            if processed == 0 {
                return Ok(worked);
            }
            if asked || self.task.uncommitted().rows >= MAX_ROWS {
                self.commit(now)?;
            }
        }
    }

    /// Writes the rows with the input offsets behind them.
    fn commit(&mut self, now: i64) -> Result<(), WorkerError> {
        let moved = self.task.group.queues.iter().any(|queue| queue.consumed);
        if !moved && self.task.uncommitted().rows == 0 {
            return Ok(());
        }
        let queues = self.task.group.queues.iter();
        let offsets = input_offsets(queues.map(|queue| (&queue.partition, queue.position())));
        let position = StorePosition {
            topic_id: self.topic_id,
            partition: -1,
            offset: -1,
            leader_epoch: -1,
            committed_at: now,
            extensions: vec![(OFFSETS.to_owned(), offsets.into_bytes()), row_layout::extension(&self.spec)],
        };
        for store in &self.task.graph.stores {
            let of_store = |error| WorkerError::Store { task: TaskId::GLOBAL, store: store.spec.name.clone(), error };
            store.store.commit(&position).map_err(of_store)?;
        }
        self.task.committed();
        Ok(())
    }

    /// Global stores write no topic: neither what a processor forwards nor dead letters.
    fn refuse_output(&mut self) {
        if !self.task.cx.output.is_empty() {
            tracing::warn!(store = %self.spec.name, records = self.task.cx.output.len(), "records of a global store are not sent");
            self.task.cx.output.clear();
        }
    }

    /// The partitions whose restore has come to its end with this turn.
    fn ended(&mut self) -> Vec<RestoreEvent> {
        if self.ends.is_empty() {
            return Vec::new();
        }
        let queues = &self.task.group.queues;
        let done = |partition: &TopicPartition, end: i64| {
            queues.iter().any(|queue| queue.partition == *partition && queue.position() >= end)
        };
        let ended: Vec<TopicPartition> =
            self.ends.iter().filter(|(partition, end)| done(partition, **end)).map(|(p, _)| p.clone()).collect();
        let event = |partition: &TopicPartition| RestoreEvent::Ended {
            task: TaskId::GLOBAL,
            store: self.spec.name.clone(),
            changelog: partition.clone(),
            records: self.restored,
        };
        let events = ended.iter().map(event).collect();
        self.ends.retain(|partition, _| !ended.contains(partition));
        events
    }
}

/// Where reading goes on if the store can be kept (rule S6), by partition; else why it cannot.
fn kept(
    spec: &StoreSpec,
    position: &StorePosition,
    topic_id: TopicId,
    bounds: &BTreeMap<&TopicPartition, LogBounds>,
    now: i64,
    max_age_ms: i64,
) -> Result<BTreeMap<TopicPartition, i64>, &'static str> {
    if position.topic_id != topic_id {
        return Err("its topic was deleted and made anew");
    }
    if !row_layout::fits(position, spec) {
        return Err("its rows are laid out otherwise than it is declared now");
    }
    let text = position.extensions.iter().find(|(name, _)| name == OFFSETS).map(|(_, bytes)| bytes.as_slice());
    let Some(offsets) = text.and_then(parse_offsets) else { return Err("its input offsets are not known") };
    let mut behind = false;
    for (partition, offset) in &offsets {
        let Some(bounds) = bounds.get(partition) else { return Err("its topic has fewer partitions than before") };
        if *offset < bounds.start {
            return Err("records that it has not seen were deleted");
        }
        if *offset > bounds.end {
            return Err("its topic ends before its position");
        }
        behind |= *offset < bounds.end;
    }
    if behind && now.saturating_sub(position.committed_at) > max_age_ms {
        return Err("its last commit is older than delete.retention.ms: deletions may be missing");
    }
    Ok(offsets)
}

/// What [`input_offsets`] wrote.
fn parse_offsets(bytes: &[u8]) -> Option<BTreeMap<TopicPartition, i64>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let parse = |entry: &str| {
        let (partition, offset) = entry.rsplit_once('=')?;
        let (topic, partition) = partition.rsplit_once('-')?;
        Some((TopicPartition::new(topic, partition.parse().ok()?), offset.parse().ok()?))
    };
    text.split(',').filter(|entry| !entry.is_empty()).map(parse).collect()
}

fn partitions_of((topic, description): (&Arc<str>, &TopicDescription)) -> Vec<TopicPartition> {
    (0..description.partitions).map(|partition| TopicPartition::new(topic.clone(), partition)).collect()
}

fn missing(topic: &Arc<str>) -> BrokerError {
    BrokerError {
        kind: BrokerErrorKind::UnknownTopic,
        action: format!("find topic {topic} of a global store"),
        message: "it does not exist; create it before the application starts".to_owned(),
    }
}

/// Without `processing.exception.handler.global.enabled` an error of processing stops the instance, as on the JVM.
fn handlers_of(config: &WorkerConfig) -> Handlers {
    match config.global_processing_handler {
        true => config.handlers.clone(),
        false => Handlers { processing: Arc::new(Stop), ..config.handlers.clone() },
    }
}

struct Stop;

impl ProcessingExceptionHandler for Stop {
    fn handle(&self, _: &ErrorContext, _: &(dyn std::error::Error + 'static)) -> Response {
        Response::Fail
    }
}

impl<F: Fetch, A: Admin> std::fmt::Debug for GlobalWorker<F, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&Arc<str>> = self.keepers.iter().map(|keeper| &keeper.spec.name).collect();
        f.debug_struct("GlobalWorker").field("stores", &names).field("ready", &self.is_ready()).finish_non_exhaustive()
    }
}
