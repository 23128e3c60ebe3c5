//! Window stores: one value for each key and window start, or several side by side for joins.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use kafka_streams_core::{Change, Failure, Record, SerdeError, SharedSerde, Step, TaskContext, Timestamp};

use crate::cursor::{Range, StoreIterator, is_of_index, window_key};
use crate::format::window_key::{WindowKey, append_suffix};
use crate::key_value::FlushListener;
use crate::layer::Layers;
use crate::layer::segments::Segments;
use crate::store::delegate_state_store;
use crate::{Order, StoreError, Window, Windowed};

/// A store of one value for each key and window start; as a store of duplicates, of all of them.
///
/// A window is visible until the stream time that the store has seen, the latest window start put, is a retention after
/// its start. What is put into a segment (half a retention, at least a minute) that has expired as a whole is dropped and
/// counted; rows go segment by segment.
///
/// As with [`KeyValueStore`](crate::KeyValueStore), nothing is borrowed between calls.
pub struct WindowStore<K, V> {
    pub(crate) layers: Layers,
    keys: SharedSerde<K>,
    values: SharedSerde<V>,
    window_size: i64,
    retain_duplicates: bool,
    row_key: Cell<Vec<u8>>,
    value_bytes: Cell<Vec<u8>>,
}

/// Window starts `from..=to`, and the segments `low..=high` in which they lie.
struct Span {
    from: Timestamp,
    to: Timestamp,
    low: i64,
    high: i64,
}

/// Iterates over the windows of one key: their starts and values.
pub type WindowStoreIterator<'s, V> = StoreIterator<'s, (Timestamp, V)>;
/// Iterates over the windows of all keys.
pub type WindowedIterator<'s, K, V> = StoreIterator<'s, (Windowed<K>, V)>;

impl<K: 'static, V: 'static> WindowStore<K, V> {
    pub(crate) fn new(
        layers: Layers,
        keys: SharedSerde<K>,
        values: SharedSerde<V>,
        window_size: i64,
        retain_duplicates: bool,
    ) -> Self {
        let (row_key, value_bytes) = (Cell::default(), Cell::default());
        WindowStore { layers, keys, values, window_size, retain_duplicates, row_key, value_bytes }
    }

    /// Size of a window in milliseconds.
    pub fn window_size(&self) -> i64 {
        self.window_size
    }

    /// Sets the value of `key` in the window that starts at `window_start`; `None` deletes it. A store of duplicates
    /// keeps the value beside those that it has, and ignores a `None`.
    ///
    /// # Errors
    /// Key or value cannot be serialized, the store fails, or, with caching on, what a node below failed with when the
    /// cache overflowed.
    pub fn put(&self, cx: &mut TaskContext, key: &K, value: Option<&V>, window_start: Timestamp) -> Step {
        self.with_row_key(key, window_start, |row_key| {
            self.with_value(value, |value| {
                if self.retain_duplicates {
                    self.layers.append(cx, row_key, value)
                } else {
                    self.layers.put(cx, row_key, value)
                }
            })
        })
    }

    /// Turns a value into what `change` makes of it; see [`KeyValueStore::update`](crate::KeyValueStore::update).
    /// Not for stores of duplicates.
    ///
    /// # Errors
    /// As [`put`](WindowStore::put) and [`fetch`](WindowStore::fetch), and what `change` failed with: nothing is written
    /// then.
    pub fn update(
        &self,
        cx: &mut TaskContext,
        key: &K,
        window_start: Timestamp,
        change: impl FnOnce(Option<V>) -> Step<Option<V>>,
    ) -> Step<Option<Change<V>>>
    where
        V: Clone,
    {
        self.with_row_key(key, window_start, |row_key| {
            let (place, old) = self.layers.read(cx, row_key, |bytes| self.read_value(bytes))?;
            let old = old?;
            let sent_old = if self.layers.sends_old_values() { old.clone() } else { None };
            let new = change(old)?;
            self.with_value(new.as_ref(), |value| self.layers.write(cx, place, row_key, value))?;
            Ok((!self.layers.is_cached()).then_some(Change { old: sent_old, new }))
        })
    }

    /// The value of `key` in the window that starts at `window_start`. In a store of duplicates, the first one.
    ///
    /// # Errors
    /// The row cannot be read, or is not of the declared type.
    pub fn fetch(&self, key: &K, window_start: Timestamp) -> Step<Option<V>> {
        if self.retain_duplicates {
            return Ok(self.fetch_range(key, window_start, window_start).next().transpose()?.map(|(_, value)| value));
        }
        self.with_row_key(key, window_start, |row_key| self.layers.get(row_key, |value| self.read_value(value))?)
    }

    /// The windows of `key` that start within `from..=to`, ascending by start.
    pub fn fetch_range(&self, key: &K, from: Timestamp, to: Timestamp) -> WindowStoreIterator<'_, V> {
        self.fetch_in_order(key, from, to, Order::Ascending)
    }

    /// The windows of `key` that start within `from..=to`, descending by start.
    pub fn backward_fetch_range(&self, key: &K, from: Timestamp, to: Timestamp) -> WindowStoreIterator<'_, V> {
        self.fetch_in_order(key, from, to, Order::Descending)
    }

    /// The windows of all keys that start within `from..=to`, ascending by segment, then by the bytes of key and start
    /// together.
    pub fn fetch_all(&self, from: Timestamp, to: Timestamp) -> WindowedIterator<'_, K, V> {
        self.fetch_all_in_order(from, to, Order::Ascending)
    }

    /// As [`fetch_all`](WindowStore::fetch_all), descending.
    pub fn backward_fetch_all(&self, from: Timestamp, to: Timestamp) -> WindowedIterator<'_, K, V> {
        self.fetch_all_in_order(from, to, Order::Descending)
    }

    /// All windows of all keys, in the order of [`fetch_all`](WindowStore::fetch_all).
    pub fn all(&self) -> WindowedIterator<'_, K, V> {
        self.fetch_all(0, Timestamp::MAX)
    }

    /// All windows of all keys, descending.
    pub fn backward_all(&self) -> WindowedIterator<'_, K, V> {
        self.backward_fetch_all(0, Timestamp::MAX)
    }

    /// The windows of all keys that start within `from..=to`, in the order of their starts, then of their keys' bytes;
    /// also those that are not visible any more, as long as they have not [gone](WindowStore::emitted_until). Only for
    /// stores with a [time index](crate::TypedStoreBuilder::with_time_index).
    pub fn fetch_by_time(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Step<(Windowed<K>, V)>> + '_ {
        crate::time_index::rows(&self.layers, from, to).filter_map(|row_key| {
            let row = row_key.and_then(|row_key| {
                let key = window_key(&row_key).and_then(|window| self.deserialize_key(window));
                let key = key.map_err(|error| self.layers.failure(error))?;
                let value = self.layers.get_any(&row_key, |value| self.read_value(value))??;
                Ok(value.map(|value| (key, value)))
            });
            row.transpose()
        })
    }

    /// Lets the windows that start before `time` go when they have expired: they were emitted. A store with a time index
    /// keeps its windows until then.
    ///
    /// # Errors
    /// What was committed cannot be read.
    pub fn emitted_until(&self, time: Timestamp) -> Step {
        self.segments().map(|segments| segments.emitted_until(time))
    }

    /// The earliest window start that [`fetch_by_time`](WindowStore::fetch_by_time) finds on the JVM; 0 with a cache, which
    /// knows no expiry there.
    ///
    /// # Errors
    /// What was committed cannot be read.
    pub fn earliest_by_time(&self) -> Step<Timestamp> {
        self.segments().map(|segments| if self.layers.is_cached() { 0 } else { segments.earliest_by_time() })
    }

    /// The latest window start that was written below the cache; -1 before the first.
    ///
    /// # Errors
    /// The committed one cannot be read.
    pub fn observed_stream_time(&self) -> Step<Timestamp> {
        self.segments().map(Segments::observed)
    }

    /// [`KeyValueStore::set_flush_listener`](crate::KeyValueStore::set_flush_listener), with windowed keys.
    pub fn set_flush_listener(&self, send_old_values: bool, listener: FlushListener<Windowed<K>, V>) -> bool {
        let (keys, values, size) = (self.keys.clone(), self.values.clone(), self.window_size);
        let (name, topic) = (self.layers.name().clone(), self.layers.topic().clone());
        let listener = move |cx: &mut TaskContext, key: &[u8], new: Option<&[u8]>, old: Option<&[u8]>| {
            let failure = |error| Failure::store(&name, error);
            let read = |bytes: Option<&[u8]>| {
                let value = bytes.map(|bytes| values.deserialize(&topic, bytes)).transpose();
                value.map_err(|error| Failure::store(&name, StoreError::Serde { part: "value", error }))
            };
            let window = window_key(key).map_err(failure)?;
            let key = keys.deserialize(&topic, window.key);
            let key = key.map_err(|error| failure(StoreError::Serde { part: "key", error }))?;
            let key = Windowed::new(key, Window::of_size(window.start, size));
            let record = Record::new(key, Change { old: read(old)?, new: read(new)? }, cx.record.timestamp);
            listener(cx, record.with_headers(cx.record.headers.clone()))
        };
        self.layers.set_listener(send_old_values, Rc::new(listener));
        self.layers.is_cached()
    }

    fn fetch_in_order(&self, key: &K, from: Timestamp, to: Timestamp, order: Order) -> WindowStoreIterator<'_, V> {
        let mut key_bytes = Vec::new();
        let bounds = self.write_key(key, &mut key_bytes).and_then(|()| self.visible(from, to));
        let Span { from, to, low, high } = match bounds {
            Ok(Some(span)) => span,
            Ok(None) => return StoreIterator::over(&self.layers, Ok(Range::nothing()), order, |_, _| Ok(None)),
            Err(error) => return StoreIterator::over(&self.layers, Err(error), order, |_, _| Ok(None)),
        };
        let wanted = key_bytes.clone();
        StoreIterator::over_windows(&self.layers, &key_bytes, (from, to), (low, high), order, move |key, value| {
            let window = window_key(key)?;
            // Keys differ in length: the bytes of a longer key can lie between two windows of this one.
            if window.key != wanted || window.start < from || window.start > to {
                return Ok(None);
            }
            Ok(Some((window.start, self.deserialize_value(value)?)))
        })
    }

    fn fetch_all_in_order(&self, from: Timestamp, to: Timestamp, order: Order) -> WindowedIterator<'_, K, V> {
        let (range, from, to) = match self.visible(from, to) {
            Ok(Some(span)) => (Ok(Range::of_segments(span.low, span.high)), span.from, span.to),
            Ok(None) => (Ok(Range::nothing()), 0, 0),
            Err(error) => (Err(error), 0, 0),
        };
        let has_index = self.layers.has_time_index();
        StoreIterator::over(&self.layers, range, order, move |key, value| {
            if has_index && is_of_index(key) {
                return Ok(None);
            }
            let window = window_key(key)?;
            if window.start < from || window.start > to {
                return Ok(None);
            }
            let key = self.deserialize_key(window)?;
            Ok(Some((key, self.deserialize_value(value)?)))
        })
    }

    /// What of the starts `from..=to` is visible; `None` if nothing is.
    fn visible(&self, from: Timestamp, to: Timestamp) -> Step<Option<Span>> {
        let segments = self.segments()?;
        let from = from.max(self.layers.earliest_readable(segments)).max(0);
        let to = to.min(segments.newest());
        let rule = segments.rule();
        Ok((from <= to).then(|| Span { from, to, low: rule.segment(from), high: rule.segment(to) }))
    }

    fn segments(&self) -> Step<&Segments> {
        let segments = self.layers.segments().map_err(|error| self.layers.failure(error))?;
        segments.ok_or_else(|| Failure::bug("a window store without segments"))
    }

    /// Calls `f` with a row's key, in a buffer that is kept for the next call. The sequence number is 0.
    #[inline]
    fn with_row_key<R>(&self, key: &K, start: Timestamp, f: impl FnOnce(&mut [u8]) -> Step<R>) -> Step<R> {
        let segment = self.segments()?.rule().segment(start);
        let mut bytes = self.row_key.take();
        bytes.clear();
        bytes.extend_from_slice(&segment.to_be_bytes());
        self.write_key(key, &mut bytes)?;
        append_suffix(&mut bytes, start, 0);
        let result = f(&mut bytes);
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

    fn deserialize_key(&self, window: WindowKey<'_>) -> Result<Windowed<K>, StoreError> {
        let key = self.keys.deserialize(self.layers.topic(), window.key);
        let key = key.map_err(|error| StoreError::Serde { part: "key", error })?;
        Ok(Windowed::new(key, Window::of_size(window.start, self.window_size)))
    }

    #[cold]
    fn serde_failure(&self, part: &'static str, error: SerdeError) -> Failure {
        self.layers.failure(StoreError::Serde { part, error })
    }
}

impl Range {
    pub(crate) fn nothing() -> Self {
        Range { from: Some(Vec::new()), to: Some(Vec::new()), of_key: None }
    }

    pub(crate) fn of_segments(low: i64, high: i64) -> Self {
        let bound = |segment: i64| Some(segment.to_be_bytes().to_vec());
        Range { from: bound(low), to: bound(high.saturating_add(1)), of_key: None }
    }
}

delegate_state_store!(WindowStore, layers);

impl<K, V> fmt::Debug for WindowStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WindowStore").field(&self.layers).finish()
    }
}
