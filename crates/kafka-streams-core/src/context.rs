//! What the nodes of a task share: handed down the call stack as `&mut`, so that there is no lock on a record's path.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use crate::handler::{ErrorContext, Handlers, Response, SourceRecord};
use crate::{
    Children, DeadLetter, Failure, FailureKind, Headers, NodeId, Output, OutputRecord, PartitionChoice,
    ProcessorMetadata, Punctuation, PunctuationType, RawRecord, Record, Step, TaskId, Timers, Timestamp,
};

/// Where the record in hand came from, and its time: what a cached update keeps until it is flushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordContext {
    /// The input topic; `None` in a punctuation.
    pub topic: Option<Arc<str>>,
    /// The input partition; -1 in a punctuation.
    pub partition: i32,
    /// The input offset; -1 in a punctuation.
    pub offset: i64,
    /// Timestamp in milliseconds of the record in hand.
    pub timestamp: Timestamp,
    /// Headers of the record in hand.
    pub headers: Headers,
}

impl RecordContext {
    /// The context of a punctuation or of a start: no record.
    pub fn none(timestamp: Timestamp) -> Self {
        RecordContext { topic: None, partition: -1, offset: -1, timestamp, headers: Headers::new() }
    }
}

/// Topic, partition and offset of the input record (`RecordMetadata` of the JVM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The input topic.
    pub topic: Arc<str>,
    /// The input partition.
    pub partition: i32,
    /// The input offset.
    pub offset: i64,
}

/// Counts of a task that only grow; read by the runtime between records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCounters {
    /// Input records processed.
    pub processed: u64,
    /// Records dropped: null keys, late records, records that a handler skipped.
    pub dropped: u64,
    /// Punctuations run.
    pub punctuated: u64,
}

/// What the stores of the DSL's operators keep besides keys, values and times (`dsl.store.format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DslStoreFormat {
    /// Nothing.
    #[default]
    Default,
    /// Records' headers, in stores on disk. In Kafka Streams 4.3, whose bytes these are, the DSL's operators put rows
    /// without headers. What is seen of it: deletions in changelogs carry the headers of the record that has caused them,
    /// and results of sessions from a cache carry none.
    Headers,
}

/// How often results that wait for windows to close are looked for: bounds the cost of looking, measured by the wall
/// clock, in milliseconds (`__emit.interval.ms.kstreams.…__` of the JVM). 0 looks at every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmitIntervals {
    /// Of left and outer stream-stream joins: records that found no partner.
    pub outer_join_ms: i64,
    /// Of windowed aggregations that emit when their windows close.
    pub window_close_ms: i64,
    /// Whether a window that has expired before it was looked for is lost, as on the JVM, and not emitted late. Only for
    /// comparing results with it.
    pub lose_expired: bool,
}

impl Default for EmitIntervals {
    /// A second each, as on the JVM; nothing is lost.
    fn default() -> Self {
        EmitIntervals { outer_join_ms: 1000, window_close_ms: 1000, lose_expired: false }
    }
}

/// The state that a task's nodes share.
#[derive(Debug)]
pub struct TaskContext {
    task: TaskId,
    application_id: Arc<str>,
    handlers: Handlers,
    app_configs: Arc<BTreeMap<String, String>>,
    state_dir: Option<Arc<Path>>,
    /// The input record's bytes, while it is processed, if there is a topic for dead letters.
    source: Option<SourceRecord>,
    /// What a handler has sent with its decision to stop.
    pub last_letters: Vec<DeadLetter>,
    /// The record in hand.
    pub record: RecordContext,
    /// The highest timestamp of the records that this task has processed; -1 before the first.
    pub stream_time: Timestamp,
    /// The wall-clock time of this step, in milliseconds since the epoch.
    pub wall_clock: Timestamp,
    /// What was sent and not yet handed to the producer.
    pub output: Output,
    /// The scheduled punctuations.
    pub timers: Timers,
    /// Whether a processor asked for a commit.
    pub commit_requested: bool,
    /// What the task's processors keep with its committed offsets.
    pub processor_metadata: ProcessorMetadata,
    /// What the task counts.
    pub counters: TaskCounters,
    /// How often results of closed windows are looked for.
    pub emit_intervals: EmitIntervals,
    /// What the DSL's stores keep.
    pub dsl_store_format: DslStoreFormat,
    /// Whether the update in hand of a table that keeps versions is older than the table's row. Set by such a table while
    /// it sends the update on; only nodes whose input is such a table look at it (`Change.isLatest` of the JVM).
    pub update_out_of_order: bool,
}

impl TaskContext {
    /// The context of a task that has not started.
    pub fn new(task: TaskId, application_id: Arc<str>, handlers: Handlers) -> Self {
        TaskContext {
            task,
            application_id,
            handlers,
            app_configs: Arc::default(),
            state_dir: None,
            source: None,
            last_letters: Vec::new(),
            record: RecordContext::none(-1),
            stream_time: -1,
            wall_clock: -1,
            output: Output::default(),
            timers: Timers::default(),
            commit_requested: false,
            processor_metadata: ProcessorMetadata::default(),
            counters: TaskCounters::default(),
            emit_intervals: EmitIntervals::default(),
            dsl_store_format: DslStoreFormat::default(),
            update_out_of_order: false,
        }
    }

    /// The same, with the application's configuration for [`app_configs`](TaskContext::app_configs).
    #[must_use]
    pub fn with_app_configs(self, app_configs: Arc<BTreeMap<String, String>>) -> Self {
        TaskContext { app_configs, ..self }
    }

    /// The same, with the task's directory for [`state_dir`](TaskContext::state_dir).
    #[must_use]
    pub fn with_state_dir(self, state_dir: Option<Arc<Path>>) -> Self {
        TaskContext { state_dir, ..self }
    }

    /// The directory of this task below `state.dir` (`ProcessorContext.stateDir` of the JVM). It is there if the task has
    /// a store on disk; a processor that writes files of its own makes it otherwise, as with `std::fs::create_dir_all`.
    ///
    /// Nothing that lies in it is restored when the task moves, and it is removed with everything in it when nobody has had
    /// the task for `state.cleanup.delay.ms`. Names that begin with `rocksdb` are the library's. `None` where there is no
    /// task, as in a context for the test of one processor.
    ///
    /// ```
    /// use kafka_streams_core::{Context, Processor, Record, Step};
    ///
    /// /// Looks names up in a file that is beside the task's stores.
    /// struct Names(Vec<String>);
    ///
    /// impl Processor for Names {
    ///     type KIn = String;
    ///     type VIn = i64;
    ///     type KOut = String;
    ///     type VOut = i64;
    ///
    ///     fn init(&mut self, cx: &mut Context<'_, String, i64>) -> Step {
    ///         let file = cx.state_dir().map(|directory| directory.join("names.txt"));
    ///         let text = file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
    ///         self.0 = text.lines().map(str::to_owned).collect();
    ///         Ok(())
    ///     }
    ///
    ///     fn process(&mut self, record: Record<String, i64>, cx: &mut Context<'_, String, i64>) -> Step {
    ///         if self.0.contains(&record.key) { cx.forward(record) } else { Ok(()) }
    ///     }
    /// }
    /// ```
    pub fn state_dir(&self) -> Option<&Path> {
        self.state_dir.as_deref()
    }

    /// The application's configuration, as it was set: names of Kafka Streams, secrets left out.
    pub fn app_configs(&self) -> &BTreeMap<String, String> {
        &self.app_configs
    }

    /// The entries of the application's configuration whose names begin with `prefix`, by the rest of their names.
    pub fn app_configs_with_prefix<'c>(&'c self, prefix: &'c str) -> impl Iterator<Item = (&'c str, &'c str)> {
        let entries = self.app_configs.iter();
        entries.filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    /// Keeps the bytes of an input record for the handlers, if there is a topic for dead letters; to be called before
    /// the record is processed, and with `None` before a punctuation.
    #[inline]
    pub fn keep_source(&mut self, raw: Option<&RawRecord<'_>>) {
        if self.handlers.dead_letter_topic.is_some() {
            self.source = raw.map(source_record);
        }
    }

    /// The task that this is the context of.
    pub fn task_id(&self) -> TaskId {
        self.task
    }

    /// The application's id.
    pub fn application_id(&self) -> &Arc<str> {
        &self.application_id
    }

    /// The user's handlers.
    pub fn handlers(&self) -> &Handlers {
        &self.handlers
    }

    /// Runs `f` with another record in hand, and puts the present one back.
    pub fn with_record<R>(&mut self, record: RecordContext, f: impl FnOnce(&mut Self) -> R) -> R {
        let present = std::mem::replace(&mut self.record, record);
        let result = f(self);
        self.record = present;
        result
    }

    /// Counts a record as dropped; the first of a kind is worth a log line, all of them would be a flood.
    #[cold]
    pub fn drop_record(&mut self, node: &str, reason: &'static str) {
        self.counters.dropped += 1;
        if self.counters.dropped.is_power_of_two() {
            let context = self.error_context(None);
            tracing::warn!(node, reason, dropped = self.counters.dropped, %context, "record dropped");
        }
    }

    /// The coordinates of the record in hand, for handlers and log lines.
    pub fn error_context(&self, node: Option<&Arc<str>>) -> ErrorContext {
        ErrorContext {
            task: self.task,
            node: node.cloned(),
            topic: self.record.topic.clone(),
            partition: self.record.partition,
            offset: self.record.offset,
            timestamp: self.record.timestamp,
            source: self.source.clone().map(Arc::new),
            dead_letter_topic: self.handlers.dead_letter_topic.clone(),
        }
    }

    /// [`error_context`](TaskContext::error_context) of a record whose bytes are at hand.
    pub fn error_context_of(&self, node: Option<&Arc<str>>, raw: &RawRecord<'_>) -> ErrorContext {
        ErrorContext { source: Some(Arc::new(source_record(raw))), ..self.error_context(node) }
    }

    /// Does what a handler has decided: sends its dead letters, and counts a record that is skipped. Whether it is.
    ///
    /// With the decision to stop the letters go to [`last_letters`](TaskContext::last_letters).
    #[cold]
    pub fn obey(&mut self, response: Response) -> bool {
        let (goes_on, letters) = response.into_parts();
        match goes_on {
            true => {
                self.counters.dropped += 1;
                letters.iter().for_each(|letter| self.send_letter(letter));
            }
            false => self.last_letters.extend(letters),
        }
        goes_on
    }

    fn send_letter(&mut self, letter: &DeadLetter) {
        let route = self.output.dynamic_route(&letter.topic);
        self.output.send(OutputRecord {
            route,
            partition: letter
                .partition
                .map_or(PartitionChoice::by_key(letter.key.as_deref()), PartitionChoice::Explicit),
            timestamp: letter.timestamp,
            headers: &letter.headers,
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
        });
    }

    /// Asks the user's handler about a failure of `node`: `Ok` if the record is to be skipped.
    ///
    /// # Errors
    /// The failure itself, settled, if it stands.
    #[cold]
    pub fn on_failure(&mut self, node: &Arc<str>, failure: Failure) -> Step {
        if failure.is_settled() {
            return Err(failure);
        }
        let failure = failure.at_node(node);
        let context = self.error_context(failure.node());
        let response = match failure.kind() {
            FailureKind::Processing(error) => self.handlers.processing.clone().handle(&context, &**error),
            FailureKind::Serialization { topic, error, .. } => {
                self.handlers.production.clone().handle(&context, topic, error)
            }
            _ => Response::Fail,
        };
        match self.obey(response) {
            true => Ok(()),
            false => Err(failure.settled()),
        }
    }
}

fn source_record(raw: &RawRecord<'_>) -> SourceRecord {
    let bytes = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    SourceRecord {
        key: bytes(raw.key),
        value: bytes(raw.value),
        headers: raw.headers.cloned().unwrap_or_else(Headers::new),
    }
}

/// What a processor sees of its task, and its way to the nodes below it.
///
/// Dereferences to [`TaskContext`], which the stores take: `self.counts.put(cx, &key, Some(&value))?`.
#[derive(Debug)]
pub struct Context<'a, K, V> {
    task: &'a mut TaskContext,
    node: NodeId,
    children: &'a Children<K, V>,
}

impl<'a, K: Clone + 'static, V: Clone + 'static> Context<'a, K, V> {
    /// The context of `node` for one call.
    pub fn new(task: &'a mut TaskContext, node: NodeId, children: &'a Children<K, V>) -> Self {
        Context { task, node, children }
    }

    /// Sends a record to all nodes below; returns when they are done with it.
    ///
    /// # Errors
    /// What a node below failed with, unless a handler chose to skip it. Pass it on with `?`.
    pub fn forward(&mut self, record: Record<K, V>) -> Step {
        self.children.forward(self.task, record)
    }

    /// Sends a record to the node named `child` only.
    ///
    /// # Errors
    /// As [`forward`](Context::forward), or there is no such node below this one.
    pub fn forward_to(&mut self, child: &str, record: Record<K, V>) -> Step {
        self.children.forward_to(self.task, child, record)
    }

    /// Calls [`Processor::punctuate`](crate::Processor::punctuate) every `interval`, at least a millisecond, until
    /// cancelled.
    pub fn schedule(&mut self, interval: std::time::Duration, kind: PunctuationType) -> Punctuation {
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        self.task.timers.schedule(self.node, kind, interval_ms, self.task.wall_clock)
    }

    /// Ends a punctuation.
    pub fn cancel(&mut self, punctuation: Punctuation) {
        self.task.timers.cancel(punctuation);
    }

    /// Asks for a commit as soon as the record in hand is processed; returns at once.
    pub fn commit(&mut self) {
        self.task.commit_requested = true;
    }

    /// Where the record in hand came from; `None` in a punctuation.
    pub fn record_metadata(&self) -> Option<RecordMetadata> {
        let topic = self.task.record.topic.clone()?;
        Some(RecordMetadata { topic, partition: self.task.record.partition, offset: self.task.record.offset })
    }

    /// The highest timestamp that the task has seen, in milliseconds; -1 before the first record.
    pub fn current_stream_time_ms(&self) -> Timestamp {
        self.task.stream_time
    }

    /// The time of the machine, in milliseconds since the epoch.
    pub fn current_system_time_ms(&self) -> Timestamp {
        self.task.wall_clock
    }
}

impl<K, V> Deref for Context<'_, K, V> {
    type Target = TaskContext;

    fn deref(&self) -> &TaskContext {
        self.task
    }
}

impl<K, V> DerefMut for Context<'_, K, V> {
    fn deref_mut(&mut self) -> &mut TaskContext {
        self.task
    }
}
