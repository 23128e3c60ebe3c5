//! Processors that leave keys alone: what they put out needs no new partitions.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::{
    Context, Headers, Processor, Punctuation, PunctuationType, Record, RecordMetadata, Step, TaskContext, Timestamp,
};

/// A record whose key cannot be changed (`FixedKeyRecord` of the JVM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedKeyRecord<K, V> {
    key: K,
    /// The value; `Option<V>` where it may be null.
    pub value: V,
    /// Event time in milliseconds, never negative inside a topology.
    pub timestamp: Timestamp,
    /// The headers, forwarded unchanged unless the processor changes them.
    pub headers: Headers,
}

impl<K, V> FixedKeyRecord<K, V> {
    fn of(record: Record<K, V>) -> Self {
        let Record { key, value, timestamp, headers } = record;
        FixedKeyRecord { key, value, timestamp, headers }
    }

    fn into_record(self) -> Record<K, V> {
        Record { key: self.key, value: self.value, timestamp: self.timestamp, headers: self.headers }
    }

    /// The key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The same record with another value.
    #[inline]
    pub fn with_value<V2>(self, value: V2) -> FixedKeyRecord<K, V2> {
        FixedKeyRecord { key: self.key, value, timestamp: self.timestamp, headers: self.headers }
    }

    /// Turns the value into another while the key can be read.
    #[inline]
    pub fn map_value<V2>(self, f: impl FnOnce(&K, V) -> V2) -> FixedKeyRecord<K, V2> {
        let value = f(&self.key, self.value);
        FixedKeyRecord { key: self.key, value, timestamp: self.timestamp, headers: self.headers }
    }

    /// The same record with another timestamp.
    #[inline]
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = timestamp;
        self
    }

    /// The same record with other headers.
    #[inline]
    #[must_use]
    pub fn with_headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }
}

/// A stateful operator of the user's that changes values and never keys (`FixedKeyProcessor` of the JVM). In everything
/// else it is a [`Processor`].
///
/// ```
/// use kafka_streams_core::{FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, Step};
///
/// /// Numbers the records.
/// struct Number(u64);
///
/// impl FixedKeyProcessor for Number {
///     type Key = String;
///     type VIn = String;
///     type VOut = (u64, String);
///
///     fn process(
///         &mut self,
///         record: FixedKeyRecord<String, String>,
///         cx: &mut FixedKeyContext<'_, '_, String, (u64, String)>,
///     ) -> Step {
///         self.0 += 1;
///         let number = self.0;
///         cx.forward(record.map_value(|_, value| (number, value)))
///     }
/// }
/// ```
pub trait FixedKeyProcessor: 'static {
    /// The key type of the records that come in and go out.
    type Key: Clone + 'static;
    /// The value type of the records that come in.
    type VIn: Clone + 'static;
    /// The value type of the records that go out.
    type VOut: Clone + 'static;

    /// Called once before the first record, with the stores restored: the place to schedule punctuations.
    ///
    /// # Errors
    /// Any error ends the task.
    fn init(&mut self, _cx: &mut FixedKeyContext<'_, '_, Self::Key, Self::VOut>) -> Step {
        Ok(())
    }

    /// Takes one record.
    ///
    /// # Errors
    /// Any error, by `?`; the processing exception handler decides what becomes of it.
    fn process(
        &mut self,
        record: FixedKeyRecord<Self::Key, Self::VIn>,
        cx: &mut FixedKeyContext<'_, '_, Self::Key, Self::VOut>,
    ) -> Step;

    /// A punctuation that was scheduled with [`FixedKeyContext::schedule`] is due.
    ///
    /// # Errors
    /// As [`process`](FixedKeyProcessor::process).
    fn punctuate(
        &mut self,
        _punctuation: Punctuation,
        _cx: &mut FixedKeyContext<'_, '_, Self::Key, Self::VOut>,
    ) -> Step {
        Ok(())
    }

    /// Called once at the end, with the task committed or given up.
    fn close(&mut self) {}
}

/// What a [`FixedKeyProcessor`] sees of its task: a [`Context`] that forwards no record with a key of the processor's own.
#[derive(Debug)]
pub struct FixedKeyContext<'c, 'a, K, V>(&'c mut Context<'a, K, V>);

impl<K: Clone + 'static, V: Clone + 'static> FixedKeyContext<'_, '_, K, V> {
    /// Sends a record to all nodes below; returns when they are done with it.
    ///
    /// # Errors
    /// As [`Context::forward`].
    pub fn forward(&mut self, record: FixedKeyRecord<K, V>) -> Step {
        self.0.forward(record.into_record())
    }

    /// Sends a record to the node named `child` only.
    ///
    /// # Errors
    /// As [`Context::forward_to`].
    pub fn forward_to(&mut self, child: &str, record: FixedKeyRecord<K, V>) -> Step {
        self.0.forward_to(child, record.into_record())
    }

    /// Calls [`FixedKeyProcessor::punctuate`] every `interval`, at least a millisecond, until cancelled.
    pub fn schedule(&mut self, interval: Duration, kind: PunctuationType) -> Punctuation {
        self.0.schedule(interval, kind)
    }

    /// Ends a punctuation.
    pub fn cancel(&mut self, punctuation: Punctuation) {
        self.0.cancel(punctuation);
    }

    /// Asks for a commit as soon as the record in hand is processed; returns at once.
    pub fn commit(&mut self) {
        self.0.commit();
    }

    /// Where the record in hand came from; `None` in a punctuation.
    pub fn record_metadata(&self) -> Option<RecordMetadata> {
        self.0.record_metadata()
    }

    /// The highest timestamp that the task has seen, in milliseconds; -1 before the first record.
    pub fn current_stream_time_ms(&self) -> Timestamp {
        self.0.current_stream_time_ms()
    }

    /// The time of the machine, in milliseconds since the epoch.
    pub fn current_system_time_ms(&self) -> Timestamp {
        self.0.current_system_time_ms()
    }
}

impl<K, V> Deref for FixedKeyContext<'_, '_, K, V> {
    type Target = TaskContext;

    fn deref(&self) -> &TaskContext {
        self.0
    }
}

impl<K, V> DerefMut for FixedKeyContext<'_, '_, K, V> {
    fn deref_mut(&mut self) -> &mut TaskContext {
        self.0
    }
}

/// A [`FixedKeyProcessor`] as a [`Processor`].
#[derive(Debug)]
pub struct KeepingKeys<P>(pub P);

impl<P: FixedKeyProcessor> Processor for KeepingKeys<P> {
    type KIn = P::Key;
    type VIn = P::VIn;
    type KOut = P::Key;
    type VOut = P::VOut;

    fn init(&mut self, cx: &mut Context<'_, P::Key, P::VOut>) -> Step {
        self.0.init(&mut FixedKeyContext(cx))
    }

    fn process(&mut self, record: Record<P::Key, P::VIn>, cx: &mut Context<'_, P::Key, P::VOut>) -> Step {
        self.0.process(FixedKeyRecord::of(record), &mut FixedKeyContext(cx))
    }

    fn punctuate(&mut self, punctuation: Punctuation, cx: &mut Context<'_, P::Key, P::VOut>) -> Step {
        self.0.punctuate(punctuation, &mut FixedKeyContext(cx))
    }

    fn close(&mut self) {
        self.0.close();
    }
}
