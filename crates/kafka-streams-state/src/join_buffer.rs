//! The buffer of a stream-table join with a grace period: records in the order of their times, until the table has had the
//! time to know what it was then (`RocksDBTimeOrderedKeyValueBuffer` of the JVM).
//!
//! Rows, and changelog records: key i8 0 ‖ i64 time ‖ key ‖ i32 sequence number (big-endian); value as in
//! [`buffer_value`](crate::format::buffer_value), with time 0. Changelog records have no timestamp and no headers.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use kafka_streams_core::{Failure, RecordContext, SerdeError, SharedSerde, Step, TaskContext, Timestamp};

use crate::format::buffer_value::BufferValue;
use crate::format::window_key::MAX_SEQUENCE;
use crate::layer::Layers;
use crate::{KeyRange, Order, StateStore, StoreError, StorePosition, Uncommitted};

/// Records that wait in the order of their times, equal ones in the order of their keys' bytes.
///
/// As with [`KeyValueStore`](crate::KeyValueStore), nothing is borrowed between calls.
pub struct JoinBuffer<K, V> {
    layers: Layers,
    keys: SharedSerde<K>,
    values: SharedSerde<V>,
    loaded: Cell<bool>,
    /// The highest time of a record that was put; -1 before the first.
    observed: Cell<Timestamp>,
    sequence: Cell<i32>,
    /// No record that waits has a lower time; so that no walk goes over what was taken out and is not committed yet.
    earliest: Cell<Timestamp>,
}

/// A record that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRecord<K, V> {
    /// Its key.
    pub key: K,
    /// Its value.
    pub value: V,
    /// Where it came from, with its time and headers.
    pub context: RecordContext,
    row_key: Vec<u8>,
}

/// Bytes before the key: the prefix of rows by time, and the time.
const TIME_END: usize = 9;

impl<K: 'static, V: 'static> JoinBuffer<K, V> {
    pub(crate) fn new(layers: Layers, keys: SharedSerde<K>, values: SharedSerde<V>) -> Self {
        let (loaded, observed, sequence, earliest) = (Cell::new(false), Cell::new(-1), Cell::new(0), Cell::new(0));
        JoinBuffer { layers, keys, values, loaded, observed, sequence, earliest }
    }

    /// Lets the record in hand wait, with this key and value; false if it is more than `grace_ms` behind the highest time
    /// of a record that was put.
    ///
    /// # Errors
    /// The key is null, key or value cannot be serialized, or the store fails.
    pub fn put(&self, cx: &mut TaskContext, key: &K, value: &V, grace_ms: i64) -> Step<bool> {
        self.ensure_loaded()?;
        if self.keys.is_null(key) {
            return Err(self.serde_failure("key", SerdeError::UnexpectedNull { type_name: std::any::type_name::<K>() }));
        }
        let time = cx.record.timestamp;
        if self.observed.get().saturating_sub(grace_ms) > time {
            return Ok(false);
        }
        self.observed.set(self.observed.get().max(time));
        self.earliest.set(self.earliest.get().min(time));
        self.sequence.set(self.sequence.get().wrapping_add(1) & MAX_SEQUENCE);
        let mut row_key = prefix(time);
        let (topic, mut bytes) = (self.serde_topic(), Vec::new());
        self.keys.serialize(topic, key, &mut row_key).map_err(|error| self.serde_failure("key", error))?;
        row_key.extend_from_slice(&self.sequence.get().to_be_bytes());
        self.values.serialize(topic, value, &mut bytes).map_err(|error| self.serde_failure("value", error))?;
        let value = BufferValue { context: cx.record.clone(), prior: None, old: None, new: Some(bytes) };
        let mut row = Vec::new();
        value.write(0, &mut row);
        self.layers.set_raw_row(&row_key, Some(&row));
        self.layers.log_record(cx, &row_key, Some(&row), None);
        self.layers.keep_bounds(cx)?;
        Ok(true)
    }

    /// The first record whose grace is over, in the time of the records that were put.
    ///
    /// # Errors
    /// The rows cannot be read, or are not of the declared types.
    pub fn first_ready(&self, grace_ms: i64) -> Step<Option<WaitingRecord<K, V>>> {
        self.ensure_loaded()?;
        let end = self.observed.get().saturating_sub(grace_ms).saturating_add(1);
        if end <= self.earliest.get() {
            return Ok(None);
        }
        let (from, to) = (prefix(self.earliest.get()), prefix(end));
        let mut found = None;
        let range = KeyRange { from: Some(&from), to: Some(&to) };
        let scanned = self.layers.scan(range, None, Order::Ascending, &mut |key, value| {
            found = Some((key.to_vec(), BufferValue::read(value)));
            false
        });
        scanned.map_err(|error| self.layers.failure(error))?;
        let Some((row_key, value)) = found else {
            self.earliest.set(end);
            return Ok(None);
        };
        let (Some((_, value)), Some(key)) = (value, key_of(&row_key)) else { return Err(self.damaged()) };
        self.earliest.set(time_of(&row_key).unwrap_or_default());
        let topic = self.serde_topic();
        let key = self.keys.deserialize(topic, key).map_err(|error| self.serde_failure("key", error))?;
        let bytes = value.new.as_deref().unwrap_or_default();
        let read = self.values.deserialize(topic, bytes).map_err(|error| self.serde_failure("value", error))?;
        Ok(Some(WaitingRecord { key, value: read, context: value.context, row_key }))
    }

    /// Takes out a record that [`first_ready`](JoinBuffer::first_ready) has shown.
    ///
    /// # Errors
    /// The store fails.
    pub fn remove(&self, cx: &mut TaskContext, record: &WaitingRecord<K, V>) -> Step {
        self.layers.set_raw_row(&record.row_key, None);
        self.layers.log_record(cx, &record.row_key, None, None);
        self.layers.keep_bounds(cx)
    }

    /// Takes over what was committed; done at the first use, as a restore comes between making the store and using it.
    /// The name of the join, which the JVM tells the serdes of a buffer in place of a topic (`KStreamImpl`).
    fn serde_topic(&self) -> &str {
        let name = self.layers.name();
        name.strip_suffix("-Buffer").unwrap_or(name)
    }

    fn ensure_loaded(&self) -> Step {
        if self.loaded.get() { Ok(()) } else { self.load() }
    }

    /// The sequence goes on after the highest that waits, so that no record that waits is replaced.
    #[cold]
    fn load(&self) -> Step {
        let (mut observed, mut sequence, mut earliest) = (-1, 0, Timestamp::MAX);
        let scanned = self.layers.scan(KeyRange::default(), None, Order::Ascending, &mut |key, _| {
            if let Some(time) = time_of(key) {
                (observed, earliest) = (time.max(observed), time.min(earliest));
            }
            sequence = key.last_chunk::<4>().map_or(sequence, |bytes| i32::from_be_bytes(*bytes).max(sequence));
            true
        });
        scanned.map_err(|error| self.layers.failure(error))?;
        self.observed.set(observed);
        self.sequence.set(sequence);
        self.earliest.set(earliest);
        self.loaded.set(true);
        Ok(())
    }

    #[cold]
    fn damaged(&self) -> Failure {
        self.layers.failure(StoreError::Unreadable { reason: "a row of a join's buffer cannot be read".to_owned() })
    }

    #[cold]
    fn serde_failure(&self, part: &'static str, error: SerdeError) -> Failure {
        self.layers.failure(StoreError::Serde { part, error })
    }
}

/// The beginning of the keys of all rows of a time.
fn prefix(time: Timestamp) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&time.to_be_bytes());
    bytes
}

fn time_of(row_key: &[u8]) -> Option<Timestamp> {
    let bytes = row_key.get(1..TIME_END)?.first_chunk::<8>()?;
    Some(Timestamp::from_be_bytes(*bytes))
}

fn key_of(row_key: &[u8]) -> Option<&[u8]> {
    row_key.get(TIME_END..row_key.len().checked_sub(4)?)
}

impl<K: 'static, V: 'static> StateStore for JoinBuffer<K, V> {
    fn name(&self) -> &Arc<str> {
        StateStore::name(&self.layers)
    }

    fn flush(&self, cx: &mut TaskContext) -> Step {
        StateStore::flush(&self.layers, cx)
    }

    fn commit(&self, position: &StorePosition) -> Result<(), StoreError> {
        StateStore::commit(&self.layers, position)
    }

    fn drop_uncommitted(&self) {
        StateStore::drop_uncommitted(&self.layers);
        self.loaded.set(false);
    }

    fn uncommitted(&self) -> Uncommitted {
        StateStore::uncommitted(&self.layers)
    }
}

impl<K, V> fmt::Debug for JoinBuffer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinBuffer").field(&self.layers).finish()
    }
}
