//! What is around a processor that is wrapped, in one task.

use std::any::Any;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{
    Failure, Headers, Input, Lifecycle, Punctuation, Receive, Record, RecordContext, Step, TaskContext, Timestamp,
};

use crate::processor_wrapper::Wrapped;

/// What is around one processor in one task; made by a [`ProcessorWrapper`](crate::ProcessorWrapper). It lives on the
/// task's thread and need not be `Send`.
pub trait WrappedProcessor: 'static {
    /// Called before the processor is started, with the stores restored.
    ///
    /// # Errors
    /// Any error ends the task.
    fn init(&mut self, _cx: &mut TaskContext) -> Step {
        Ok(())
    }

    /// Takes one record, and hands it to the processor with [`WrappedRecord::process`]; a record that is not handed on is
    /// dropped.
    ///
    /// # Errors
    /// Any error; the processing exception handler decides what becomes of it. Errors of the processor come back from
    /// [`WrappedRecord::process`]. So do those of the nodes below it that a handler has let stand, and of stores: these
    /// are to be passed on, which [`Failure::is_settled`] tells of the former.
    fn process(&mut self, record: WrappedRecord<'_>, cx: &mut TaskContext) -> Step {
        record.process(cx)
    }

    /// Called after the processor has been closed, with the task committed or given up.
    fn close(&mut self) {}
}

/// A record on its way into a wrapped processor. While a wrapper has it, the changelogs of the wrapper's stores are stamped
/// with its time and headers.
pub struct WrappedRecord<'r> {
    record: &'r mut dyn AnyRecord,
    above: &'r RecordContext,
}

impl WrappedRecord<'_> {
    /// The key, for wrappers that know its type: `record.key().downcast_ref::<String>()`.
    pub fn key(&self) -> &dyn Any {
        self.record.key()
    }

    /// The value, for wrappers that know its type. Nodes of tables take `Change`s of values.
    pub fn value(&self) -> &dyn Any {
        self.record.value()
    }

    /// The timestamp in milliseconds.
    pub fn timestamp(&self) -> Timestamp {
        self.record.timestamp()
    }

    /// The headers.
    pub fn headers(&self) -> &Headers {
        self.record.headers()
    }

    /// Lets the processor have other headers.
    pub fn set_headers(&mut self, headers: Headers) {
        self.record.set_headers(headers);
    }

    /// Hands the record to the processor; returns when it, and the nodes below it, are done with the record.
    ///
    /// # Errors
    /// See [`WrappedProcessor::process`].
    pub fn process(self, cx: &mut TaskContext) -> Step {
        let own = std::mem::replace(&mut cx.record, self.above.clone());
        let result = self.record.hand_on(cx);
        cx.record = own;
        result
    }
}

impl fmt::Debug for WrappedRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (timestamp, headers) = (self.timestamp(), self.headers());
        f.debug_struct("WrappedRecord").field("timestamp", &timestamp).field("headers", headers).finish_non_exhaustive()
    }
}

/// A record without its types, and where it is going.
trait AnyRecord {
    fn key(&self) -> &dyn Any;
    fn value(&self) -> &dyn Any;
    fn timestamp(&self) -> Timestamp;
    fn headers(&self) -> &Headers;
    fn set_headers(&mut self, headers: Headers);
    fn hand_on(&mut self, cx: &mut TaskContext) -> Step;
}

/// `record` is there until it is handed on, which is once, as [`WrappedRecord::process`] takes it.
struct Pending<'n, K, V> {
    record: Option<Record<K, V>>,
    inner: &'n Input<K, V>,
}

impl<K: 'static, V: 'static> AnyRecord for Pending<'_, K, V> {
    fn key(&self) -> &dyn Any {
        self.record.as_ref().map_or(&() as &dyn Any, |record| &record.key)
    }

    fn value(&self) -> &dyn Any {
        self.record.as_ref().map_or(&() as &dyn Any, |record| &record.value)
    }

    fn timestamp(&self) -> Timestamp {
        self.record.as_ref().map_or(-1, |record| record.timestamp)
    }

    fn headers(&self) -> &Headers {
        static NONE: Headers = Headers::new();
        self.record.as_ref().map_or(&NONE, |record| &record.headers)
    }

    fn set_headers(&mut self, headers: Headers) {
        if let Some(record) = &mut self.record {
            record.headers = headers;
        }
    }

    fn hand_on(&mut self, cx: &mut TaskContext) -> Step {
        match self.record.take() {
            Some(record) => self.inner.receive(cx, record),
            None => Err(Failure::bug("a record was handed on twice")),
        }
    }
}

/// A wrapped processor as its parents hold it.
pub(crate) struct WrappedNode<K, V> {
    pub(crate) name: Arc<str>,
    pub(crate) wrapped: Wrapped,
    pub(crate) inner: Input<K, V>,
}

impl<K: 'static, V: 'static> Receive<K, V> for WrappedNode<K, V> {
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        // As with a processor: a call stack is a path through an acyclic graph, so no node is on it twice.
        let Ok(mut wrapped) = self.wrapped.try_borrow_mut() else {
            return Err(Failure::bug(format!("processor {} called from within itself", self.name)));
        };
        let own = RecordContext { timestamp: record.timestamp, headers: record.headers.clone(), ..cx.record.clone() };
        let above = std::mem::replace(&mut cx.record, own);
        let mut pending = Pending { record: Some(record), inner: &self.inner };
        let result = wrapped.process(WrappedRecord { record: &mut pending, above: &above }, cx);
        cx.record = above;
        result
    }
}

/// The life of a wrapped processor, and of what is around it.
pub(crate) struct WrappedLifecycle {
    pub(crate) name: Arc<str>,
    pub(crate) wrapped: Wrapped,
    pub(crate) inner: Option<Rc<dyn Lifecycle>>,
}

impl Lifecycle for WrappedLifecycle {
    fn init(&self, cx: &mut TaskContext) -> Step {
        if let Ok(mut wrapped) = self.wrapped.try_borrow_mut() {
            wrapped.init(cx).map_err(|failure| failure.at_node(&self.name))?;
        }
        self.inner.as_ref().map_or(Ok(()), |inner| inner.init(cx))
    }

    fn punctuate(&self, cx: &mut TaskContext, punctuation: Punctuation) -> Step {
        self.inner.as_ref().map_or(Ok(()), |inner| inner.punctuate(cx, punctuation))
    }

    fn close(&self) {
        if let Some(inner) = &self.inner {
            inner.close();
        }
        if let Ok(mut wrapped) = self.wrapped.try_borrow_mut() {
            wrapped.close();
        }
    }
}
