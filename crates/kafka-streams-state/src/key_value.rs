//! Key-value stores: one value for each key.

use std::cell::Cell;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;

use kafka_streams_core::{Change, Record, SerdeError, SharedSerde, Step, TaskContext};

use crate::cursor::{Range, StoreIterator};
use crate::layer::Layers;
use crate::store::delegate_state_store;
use crate::{Order, StoreError};

/// A store of one value for each key.
///
/// All methods take `&self`, and nothing of the store is borrowed when they return or call back: a node below may use the
/// store that calls it. Writes take the task, for the changelog: `self.counts.put(cx, &key, Some(&count))?`.
///
/// Rows are ordered by the bytes of their keys, which for numbers is their order only if none is negative.
pub struct KeyValueStore<K, V> {
    pub(crate) layers: Layers,
    keys: SharedSerde<K>,
    values: SharedSerde<V>,
    key_bytes: Cell<Vec<u8>>,
    value_bytes: Cell<Vec<u8>>,
}

/// What a store's updates are handed to when they leave its cache. The record's key is the row's, its timestamp and
/// headers those of the record that caused the update.
pub type FlushListener<K, V> = Rc<dyn Fn(&mut TaskContext, Record<K, Change<V>>) -> Step>;

/// Iterates over rows; made by [`KeyValueStore::range`] and its siblings.
pub type KeyValueIterator<'s, K, V> = StoreIterator<'s, (K, V)>;

impl<K: 'static, V: 'static> KeyValueStore<K, V> {
    pub(crate) fn new(layers: Layers, keys: SharedSerde<K>, values: SharedSerde<V>) -> Self {
        KeyValueStore { layers, keys, values, key_bytes: Cell::default(), value_bytes: Cell::default() }
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// The row cannot be read, or is not of the declared type.
    pub fn get(&self, key: &K) -> Step<Option<V>> {
        self.with_key(key, |bytes| self.layers.get(bytes, |value| self.read_value(value))?)
    }

    /// Sets the value of `key`; `None` deletes it.
    ///
    /// # Errors
    /// Key or value cannot be serialized, the store fails, or, with caching on, what a node below failed with when the
    /// cache overflowed.
    pub fn put(&self, cx: &mut TaskContext, key: &K, value: Option<&V>) -> Step {
        self.with_key(key, |key| self.with_value(value, |value| self.layers.put(cx, key, value)))
    }

    /// Sets the value of `key` if it has none; returns the value that it has.
    ///
    /// # Errors
    /// As [`get`](KeyValueStore::get) and [`put`](KeyValueStore::put).
    pub fn put_if_absent(&self, cx: &mut TaskContext, key: &K, value: &V) -> Step<Option<V>> {
        self.with_key(key, |key| {
            let (place, old) = self.layers.read(cx, key, |bytes| self.read_value(bytes))?;
            let old = old?;
            if old.is_none() {
                self.with_value(Some(value), |value| self.layers.write(cx, place, key, value))?;
            }
            Ok(old)
        })
    }

    /// Deletes the value of `key` and returns it.
    ///
    /// # Errors
    /// As [`get`](KeyValueStore::get) and [`put`](KeyValueStore::put).
    pub fn delete(&self, cx: &mut TaskContext, key: &K) -> Step<Option<V>> {
        self.with_key(key, |key| {
            let (place, old) = self.layers.read(cx, key, |bytes| self.read_value(bytes))?;
            let old = old?;
            self.layers.write(cx, place, key, None)?;
            Ok(old)
        })
    }

    /// Turns the value of `key` into what `change` makes of it: read and written with one search and no allocation for
    /// small keys and values.
    ///
    /// Returns the update if it is to be forwarded now. It is not if it waits in the cache, from where it goes to the
    /// flush listener, or if it deletes what is not there. `old` is only filled where
    /// [`set_flush_listener`](KeyValueStore::set_flush_listener) asked for it.
    ///
    /// # Errors
    /// As [`get`](KeyValueStore::get) and [`put`](KeyValueStore::put), and what `change` failed with: nothing is written
    /// then.
    pub fn update(
        &self,
        cx: &mut TaskContext,
        key: &K,
        change: impl FnOnce(Option<V>) -> Step<Option<V>>,
    ) -> Step<Option<Change<V>>>
    where
        V: Clone,
    {
        self.with_key(key, |key| {
            let (place, old) = self.layers.read(cx, key, |bytes| self.read_value(bytes))?;
            let old = old?;
            let sent_old = if self.layers.sends_old_values() { old.clone() } else { None };
            let new = change(old)?;
            self.with_value(new.as_ref(), |value| self.layers.write(cx, place, key, value))?;
            Ok((!self.layers.is_cached()).then_some(Change { old: sent_old, new }))
        })
    }

    /// The rows whose keys lie in `range`, in the order of their bytes, ascending.
    pub fn range(&self, range: impl RangeBounds<K>) -> KeyValueIterator<'_, K, V> {
        self.iterate(self.bounds(&range), Order::Ascending)
    }

    /// The rows whose keys lie in `range`, in the order of their bytes, descending.
    pub fn reverse_range(&self, range: impl RangeBounds<K>) -> KeyValueIterator<'_, K, V> {
        self.iterate(self.bounds(&range), Order::Descending)
    }

    /// All rows, ascending.
    pub fn all(&self) -> KeyValueIterator<'_, K, V> {
        self.range(..)
    }

    /// All rows, descending.
    pub fn reverse_all(&self) -> KeyValueIterator<'_, K, V> {
        self.reverse_range(..)
    }

    /// The rows whose keys begin with these bytes, ascending.
    pub fn prefix_scan(&self, prefix: &[u8]) -> KeyValueIterator<'_, K, V> {
        self.iterate(
            Ok(Range { from: Some(prefix.to_vec()), to: end_of_prefix(prefix), of_key: None }),
            Order::Ascending,
        )
    }

    /// About how many rows there are; the database estimates.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn approximate_num_entries(&self) -> Step<u64> {
        self.layers.approximate_rows().map_err(|error| self.layers.failure(error))
    }

    /// Whether it was declared with caching, and there is a cache.
    pub fn has_caching(&self) -> bool {
        self.layers.has_caching()
    }

    /// Sends the updates that leave the cache to `listener`; with `send_old_values` also what the row was before.
    /// Returns whether the store has a cache: if not, [`update`](KeyValueStore::update) returns what is to be forwarded.
    pub fn set_flush_listener(&self, send_old_values: bool, listener: FlushListener<K, V>) -> bool {
        let (keys, values) = (self.keys.clone(), self.values.clone());
        let (name, topic) = (self.layers.name().clone(), self.layers.topic().clone());
        let listener = move |cx: &mut TaskContext, key: &[u8], new: Option<&[u8]>, old: Option<&[u8]>| {
            let name = &name;
            let failure =
                |part| move |error| kafka_streams_core::Failure::store(name, StoreError::Serde { part, error });
            let read = |bytes: Option<&[u8]>| bytes.map(|bytes| values.deserialize(&topic, bytes)).transpose();
            let key = keys.deserialize(&topic, key).map_err(failure("key"))?;
            let new = read(new).map_err(failure("value"))?;
            let old = read(old).map_err(failure("value"))?;
            let record = Record::new(key, Change { old, new }, cx.record.timestamp);
            listener(cx, record.with_headers(cx.record.headers.clone()))
        };
        self.layers.set_listener(send_old_values, Rc::new(listener));
        self.layers.is_cached()
    }

    fn iterate(&self, range: Step<Range>, order: Order) -> KeyValueIterator<'_, K, V> {
        StoreIterator::over(&self.layers, range, order, |key, value| {
            let topic = self.layers.topic();
            let serde = |part| move |error| StoreError::Serde { part, error };
            let key = self.keys.deserialize(topic, key).map_err(serde("key"))?;
            Ok(Some((key, self.values.deserialize(topic, value).map_err(serde("value"))?)))
        })
    }

    fn bounds(&self, range: &impl RangeBounds<K>) -> Step<Range> {
        let bytes = |key: &K, after: bool| {
            let mut bytes = Vec::new();
            self.write_key(key, &mut bytes)?;
            bytes.extend_from_slice(if after { &[0] } else { &[] });
            Ok::<_, kafka_streams_core::Failure>(Some(bytes))
        };
        let from = match range.start_bound() {
            Bound::Included(key) => bytes(key, false)?,
            Bound::Excluded(key) => bytes(key, true)?,
            Bound::Unbounded => None,
        };
        let to = match range.end_bound() {
            Bound::Included(key) => bytes(key, true)?,
            Bound::Excluded(key) => bytes(key, false)?,
            Bound::Unbounded => None,
        };
        Ok(Range { from, to, of_key: None })
    }

    /// Calls `f` with the key's bytes, in a buffer that is kept for the next call.
    #[inline]
    fn with_key<R>(&self, key: &K, f: impl FnOnce(&[u8]) -> Step<R>) -> Step<R> {
        let mut bytes = self.key_bytes.take();
        bytes.clear();
        self.write_key(key, &mut bytes)?;
        let result = f(&bytes);
        self.key_bytes.set(bytes);
        result
    }

    #[inline]
    fn with_value<R>(&self, value: Option<&V>, f: impl FnOnce(Option<&[u8]>) -> Step<R>) -> Step<R> {
        let Some(value) = value.filter(|value| !self.values.is_null(value)) else { return f(None) };
        let mut bytes = self.value_bytes.take();
        bytes.clear();
        let topic = self.layers.topic();
        self.values.serialize(topic, value, &mut bytes).map_err(|error| self.serde_failure("value", error))?;
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
        let value = bytes.map(|bytes| self.values.deserialize(self.layers.topic(), bytes)).transpose();
        value.map_err(|error| self.serde_failure("value", error))
    }

    #[cold]
    fn serde_failure(&self, part: &'static str, error: SerdeError) -> kafka_streams_core::Failure {
        self.layers.failure(StoreError::Serde { part, error })
    }
}

delegate_state_store!(KeyValueStore, layers);

impl<K, V> fmt::Debug for KeyValueStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyValueStore").field(&self.layers).finish()
    }
}

/// The least key that is above all keys with this prefix.
fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end)
}
