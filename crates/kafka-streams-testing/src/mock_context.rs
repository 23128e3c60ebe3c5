//! A processor alone: a context that keeps what the processor forwards, without a topology around it.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::{
    Children, Context, Headers, Input, NodeId, Processor, Punctuation, PunctuationType, Record, Step, TaskContext,
    TaskId, Timestamp,
};

/// What a processor forwarded, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured<K, V> {
    /// The record.
    pub record: Record<K, V>,
    /// The child that got it: each of the children, if the processor forwarded to all.
    pub child: Arc<str>,
}

/// A context to test a processor with (`org.apache.kafka.streams.processor.api.MockProcessorContext`).
///
/// ```
/// use kafka_streams_core::{Context, Processor, Record, Step};
/// use kafka_streams_testing::MockProcessorContext;
///
/// struct Doubled;
///
/// impl Processor for Doubled {
///     type KIn = String;
///     type VIn = i64;
///     type KOut = String;
///     type VOut = i64;
///
///     fn process(&mut self, record: Record<String, i64>, cx: &mut Context<'_, String, i64>) -> Step {
///         cx.forward(record.map_value(|_, value| value * 2))
///     }
/// }
///
/// let mut context = MockProcessorContext::new();
/// let mut doubled = Doubled;
/// context.with(|cx| doubled.process(Record::new("jane".to_owned(), 21, 0), cx)).unwrap();
/// assert_eq!(context.take_forwarded()[0].record.value, 42);
/// ```
pub struct MockProcessorContext<K, V> {
    task: TaskContext,
    children: Children<K, V>,
    forwarded: Rc<RefCell<Vec<Captured<K, V>>>>,
}

impl<K: Clone + 'static, V: Clone + 'static> MockProcessorContext<K, V> {
    /// A context with one child, named `child`.
    pub fn new() -> Self {
        MockProcessorContext::with_children(&["child"])
    }

    /// A context with children of these names, for a processor that forwards to one of them.
    pub fn with_children(names: &[&str]) -> Self {
        let forwarded: Rc<RefCell<Vec<Captured<K, V>>>> = Rc::default();
        let child = |name: &&str| {
            let name: Arc<str> = (*name).into();
            let (to, child) = (forwarded.clone(), name.clone());
            let input: Input<K, V> = Rc::new(move |_: &mut TaskContext, record: Record<K, V>| -> Step {
                to.borrow_mut().push(Captured { record, child: child.clone() });
                Ok(())
            });
            (name, input)
        };
        let children = Children::new(names.iter().map(child));
        let mut task = TaskContext::new(TaskId::new(0, 0), "mock-processor-context".into(), Handlers::default());
        task.wall_clock = 0;
        MockProcessorContext { task, children, forwarded }
    }

    /// With this as the task's directory, for processors that keep files; there is none otherwise.
    #[must_use]
    pub fn with_state_dir(self, state_dir: impl AsRef<Path>) -> Self {
        MockProcessorContext { task: self.task.with_state_dir(Some(state_dir.as_ref().into())), ..self }
    }

    /// Calls the processor with the context: `context.with(|cx| processor.process(record, cx))`.
    pub fn with<R>(&mut self, call: impl FnOnce(&mut Context<'_, K, V>) -> R) -> R {
        call(&mut Context::new(&mut self.task, NodeId(0), &self.children))
    }

    /// Makes this the input record in hand, for processors that ask for it.
    pub fn set_record_metadata(&mut self, topic: impl Into<Arc<str>>, partition: i32, offset: i64) {
        self.task.record.topic = Some(topic.into());
        self.task.record.partition = partition;
        self.task.record.offset = offset;
    }

    /// Sets timestamp and headers of the record in hand, which stores stamp their changelog with.
    pub fn set_record_context(&mut self, timestamp: Timestamp, headers: Headers) {
        self.task.record.timestamp = timestamp;
        self.task.record.headers = headers;
    }

    /// Sets the stream time, in milliseconds.
    pub fn set_current_stream_time_ms(&mut self, stream_time: Timestamp) {
        self.task.stream_time = stream_time;
    }

    /// Sets the wall-clock time, in milliseconds since the epoch.
    pub fn set_current_system_time_ms(&mut self, wall_clock: Timestamp) {
        self.task.wall_clock = wall_clock;
    }

    /// Takes what was forwarded since the last call.
    pub fn take_forwarded(&self) -> Vec<Captured<K, V>> {
        std::mem::take(&mut *self.forwarded.borrow_mut())
    }

    /// Whether the processor asked for a commit since the last call.
    pub fn take_commit_requested(&mut self) -> bool {
        std::mem::take(&mut self.task.commit_requested)
    }

    /// The next punctuation that the processor scheduled on this clock and that is due at `now`; to be handed to
    /// [`Processor::punctuate`]. It is rescheduled as it would be in a task.
    pub fn take_due(&mut self, kind: PunctuationType, now: Timestamp) -> Option<Punctuation> {
        self.task.timers.due(kind, now).map(|(_, punctuation)| punctuation)
    }

    /// Runs all punctuations that are due at `now`.
    ///
    /// # Errors
    /// What the processor failed with.
    pub fn punctuate<P>(&mut self, processor: &mut P, kind: PunctuationType, now: Timestamp) -> Step
    where
        P: Processor<KOut = K, VOut = V>,
    {
        while let Some(punctuation) = self.take_due(kind, now) {
            self.task.record = kafka_streams_core::RecordContext::none(now);
            self.with(|cx| processor.punctuate(punctuation, cx))?;
        }
        Ok(())
    }
}

impl<K: Clone + 'static, V: Clone + 'static> Default for MockProcessorContext<K, V> {
    fn default() -> Self {
        MockProcessorContext::new()
    }
}

impl<K, V> fmt::Debug for MockProcessorContext<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockProcessorContext").field("task", &self.task).finish_non_exhaustive()
    }
}
