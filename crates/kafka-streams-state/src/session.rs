//! Session stores: one value for each key and session, whose start and end are both part of the key.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use kafka_streams_core::{Change, Failure, Headers, Record, SerdeError, SharedSerde, Step, TaskContext, Timestamp};

use crate::cursor::{Range, StoreIterator, session_key};
use crate::format::session_key::{SessionKey, append_session};
use crate::key_value::FlushListener;
use crate::layer::Layers;
use crate::layer::segments::Segments;
use crate::store::delegate_state_store;
use crate::{Order, StoreError, Window, Windowed, WindowedIterator};

/// A store of one value for each key and session. The window of a session ends with its last record: `end` is the time of
/// that record, and part of the session.
///
/// A session is visible until the stream time that the store has seen, the latest end put, is a retention after its end.
/// What is put into a segment (half a retention, at least a minute) that has expired as a whole is dropped and counted;
/// rows go segment by segment.
///
/// As with [`KeyValueStore`](crate::KeyValueStore), nothing is borrowed between calls.
pub struct SessionStore<K, V> {
    pub(crate) layers: Layers,
    keys: SharedSerde<K>,
    values: SharedSerde<V>,
    row_key: Cell<Vec<u8>>,
    value_bytes: Cell<Vec<u8>>,
}

impl<K: 'static, V: 'static> SessionStore<K, V> {
    pub(crate) fn new(layers: Layers, keys: SharedSerde<K>, values: SharedSerde<V>) -> Self {
        SessionStore { layers, keys, values, row_key: Cell::default(), value_bytes: Cell::default() }
    }

    /// Sets the value of a session; `None` deletes it.
    ///
    /// # Errors
    /// Key or value cannot be serialized, the store fails, or, with caching on, what a node below failed with when the
    /// cache overflowed.
    pub fn put(&self, cx: &mut TaskContext, session: &Windowed<K>, value: Option<&V>) -> Step {
        self.with_row_key(&session.key, session.window, |row_key| {
            self.with_value(value, |value| self.layers.put(cx, row_key, value))
        })
    }

    /// Deletes a session.
    ///
    /// # Errors
    /// As [`put`](SessionStore::put).
    pub fn remove(&self, cx: &mut TaskContext, session: &Windowed<K>) -> Step {
        self.put(cx, session, None)
    }

    /// The value of the session of `key` from `start` to `end`.
    ///
    /// # Errors
    /// The row cannot be read, or is not of the declared type.
    pub fn fetch_session(&self, key: &K, start: Timestamp, end: Timestamp) -> Step<Option<V>> {
        self.with_row_key(key, Window { start, end }, |row_key| {
            self.layers.get(row_key, |value| self.read_value(value))?
        })
    }

    /// All sessions of `key`, ascending by end, then by start.
    pub fn fetch(&self, key: &K) -> WindowedIterator<'_, K, V>
    where
        K: Clone,
    {
        self.find_sessions(key, 0, Timestamp::MAX)
    }

    /// All sessions of `key`, descending by end, then by start.
    pub fn backward_fetch(&self, key: &K) -> WindowedIterator<'_, K, V>
    where
        K: Clone,
    {
        self.backward_find_sessions(key, 0, Timestamp::MAX)
    }

    /// The sessions of `key` that end at `earliest_end` or later and start at `latest_start` or earlier, ascending by end,
    /// then by start.
    pub fn find_sessions(&self, key: &K, earliest_end: Timestamp, latest_start: Timestamp) -> WindowedIterator<'_, K, V>
    where
        K: Clone,
    {
        self.find_in_order(key, earliest_end, latest_start, Order::Ascending)
    }

    /// As [`find_sessions`](SessionStore::find_sessions), descending.
    pub fn backward_find_sessions(
        &self,
        key: &K,
        earliest_end: Timestamp,
        latest_start: Timestamp,
    ) -> WindowedIterator<'_, K, V>
    where
        K: Clone,
    {
        self.find_in_order(key, earliest_end, latest_start, Order::Descending)
    }

    /// The sessions of all keys that end within `earliest_end..=latest_end`, in the order of their ends, then of their
    /// starts, then of their keys' bytes; also those that are not visible any more, as long as they have not
    /// [gone](SessionStore::emitted_until). Only for stores with a
    /// [time index](crate::TypedStoreBuilder::with_time_index).
    pub fn find_by_end(
        &self,
        earliest_end: Timestamp,
        latest_end: Timestamp,
    ) -> impl Iterator<Item = Step<(Windowed<K>, V)>> + '_ {
        crate::time_index::rows(&self.layers, earliest_end, latest_end).filter_map(|row_key| {
            let row = row_key.and_then(|row_key| {
                let key = session_key(&row_key).and_then(|session| self.deserialize_key(session));
                let key = key.map_err(|error| self.layers.failure(error))?;
                let value = self.layers.get_any(&row_key, |value| self.read_value(value))??;
                Ok(value.map(|value| (key, value)))
            });
            row.transpose()
        })
    }

    /// Lets the sessions that end before `time` go when they have expired: they were emitted. A store with a time index
    /// keeps its sessions until then.
    ///
    /// # Errors
    /// What was committed cannot be read.
    pub fn emitted_until(&self, time: Timestamp) -> Step {
        self.segments().map(|segments| segments.emitted_until(time))
    }

    /// The earliest session end that [`find_by_end`](SessionStore::find_by_end) finds on the JVM; 0 with a cache, which
    /// knows no expiry there.
    ///
    /// # Errors
    /// What was committed cannot be read.
    pub fn earliest_by_end(&self) -> Step<Timestamp> {
        self.segments().map(|segments| if self.layers.is_cached() { 0 } else { segments.earliest_by_time() })
    }

    /// The latest session end that was written below the cache; -1 before the first.
    ///
    /// # Errors
    /// The committed one cannot be read.
    pub fn observed_stream_time(&self) -> Step<Timestamp> {
        self.segments().map(Segments::observed)
    }

    /// [`KeyValueStore::set_flush_listener`](crate::KeyValueStore::set_flush_listener), with sessions as keys. The
    /// record's timestamp is the session's end (`SessionCacheFlushListener` of the JVM).
    pub fn set_flush_listener(&self, send_old_values: bool, listener: FlushListener<Windowed<K>, V>) -> bool {
        let (keys, values) = (self.keys.clone(), self.values.clone());
        let (name, topic) = (self.layers.name().clone(), self.layers.topic().clone());
        let keeps_headers = self.layers.keeps_headers();
        let listener = move |cx: &mut TaskContext, key: &[u8], new: Option<&[u8]>, old: Option<&[u8]>| {
            let failure = |error| Failure::store(&name, error);
            let read = |bytes: Option<&[u8]>| {
                let value = bytes.map(|bytes| values.deserialize(&topic, bytes)).transpose();
                value.map_err(|error| Failure::store(&name, StoreError::Serde { part: "value", error }))
            };
            let session = session_key(key).map_err(failure)?;
            let key = keys.deserialize(&topic, session.key);
            let key = key.map_err(|error| failure(StoreError::Serde { part: "key", error }))?;
            let key = Windowed::new(key, Window { start: session.start, end: session.end });
            let record = Record::new(key, Change { old: read(old)?, new: read(new)? }, session.end);
            // Where the store keeps headers, they are the session's: none.
            let headers = if keeps_headers(cx) { Headers::new() } else { cx.record.headers.clone() };
            listener(cx, record.with_headers(headers))
        };
        self.layers.set_listener(send_old_values, Rc::new(listener));
        self.layers.is_cached()
    }

    fn find_in_order(
        &self,
        key: &K,
        earliest_end: Timestamp,
        latest_start: Timestamp,
        order: Order,
    ) -> WindowedIterator<'_, K, V>
    where
        K: Clone,
    {
        let mut wanted = Vec::new();
        let bounds = self.write_key(key, &mut wanted).and_then(|()| {
            let segments = self.segments()?;
            let from = earliest_end.max(self.layers.earliest_readable(segments)).max(0);
            let to = segments.newest();
            let rule = segments.rule();
            Ok((from <= to).then(|| (from, rule.segment(from), rule.segment(to))))
        });
        let (from, low, high) = match bounds {
            Ok(Some(bounds)) => bounds,
            Ok(None) => return StoreIterator::over(&self.layers, Ok(Range::nothing()), order, |_, _| Ok(None)),
            Err(error) => return StoreIterator::over(&self.layers, Err(error), order, |_, _| Ok(None)),
        };
        let (key, key_bytes) = (key.clone(), wanted.clone());
        StoreIterator::over_sessions(&self.layers, &key_bytes, from, (low, high), order, move |row_key, value| {
            let session = session_key(row_key)?;
            // Keys differ in length: the bytes of a longer key can lie between two sessions of this one.
            if session.key != wanted || session.end < from || session.start > latest_start {
                return Ok(None);
            }
            let window = Window { start: session.start, end: session.end };
            Ok(Some((Windowed::new(key.clone(), window), self.deserialize_value(value)?)))
        })
    }

    fn segments(&self) -> Step<&Segments> {
        let segments = self.layers.segments().map_err(|error| self.layers.failure(error))?;
        segments.ok_or_else(|| Failure::bug("a session store without segments"))
    }

    /// Calls `f` with a row's key, in a buffer that is kept for the next call.
    #[inline]
    fn with_row_key<R>(&self, key: &K, window: Window, f: impl FnOnce(&[u8]) -> Step<R>) -> Step<R> {
        let segment = self.segments()?.rule().segment(window.end);
        let mut bytes = self.row_key.take();
        bytes.clear();
        bytes.extend_from_slice(&segment.to_be_bytes());
        self.write_key(key, &mut bytes)?;
        append_session(&mut bytes, window.start, window.end);
        let result = f(&bytes);
        self.row_key.set(bytes);
        result
    }

    #[inline]
    fn with_value<R>(&self, value: Option<&V>, f: impl FnOnce(Option<&[u8]>) -> Step<R>) -> Step<R> {
        let Some(value) = value.filter(|value| !self.values.is_null(value)) else { return f(None) };
        let mut bytes = self.value_bytes.take();
        bytes.clear();
        let serialized = self.values.serialize(self.layers.topic(), value, &mut bytes);
        serialized.map_err(|error| self.serde_failure("value", error))?;
        let result = f(Some(&bytes));
        self.value_bytes.set(bytes);
        result
    }

    #[inline]
    fn write_key(&self, key: &K, out: &mut Vec<u8>) -> Step {
        if self.keys.is_null(key) {
            let error = SerdeError::UnexpectedNull { type_name: std::any::type_name::<K>() };
            return Err(self.serde_failure("key", error));
        }
        self.keys.serialize(self.layers.topic(), key, out).map_err(|error| self.serde_failure("key", error))
    }

    #[inline]
    fn read_value(&self, bytes: Option<&[u8]>) -> Step<Option<V>> {
        let value = bytes.map(|bytes| self.deserialize_value(bytes)).transpose();
        value.map_err(|error| self.layers.failure(error))
    }

    fn deserialize_value(&self, bytes: &[u8]) -> Result<V, StoreError> {
        let value = self.values.deserialize(self.layers.topic(), bytes);
        value.map_err(|error| StoreError::Serde { part: "value", error })
    }

    fn deserialize_key(&self, session: SessionKey<'_>) -> Result<Windowed<K>, StoreError> {
        let key = self.keys.deserialize(self.layers.topic(), session.key);
        let key = key.map_err(|error| StoreError::Serde { part: "key", error })?;
        Ok(Windowed::new(key, Window { start: session.start, end: session.end }))
    }

    #[cold]
    fn serde_failure(&self, part: &'static str, error: SerdeError) -> Failure {
        self.layers.failure(StoreError::Serde { part, error })
    }
}

delegate_state_store!(SessionStore, layers);

impl<K, V> fmt::Debug for SessionStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionStore").field(&self.layers).finish()
    }
}
