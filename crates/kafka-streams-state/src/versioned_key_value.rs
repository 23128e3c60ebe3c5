//! Versioned key-value stores: of each key the values that it had, and when (KIP-889).

use std::cell::Cell;
use std::fmt;

use kafka_streams_core::{Failure, SerdeError, SharedSerde, Step, TaskContext, Timestamp};

use crate::layer::Layers;
use crate::layer::segments::Segments;
use crate::store::delegate_state_store;
use crate::version_history::{History, Placed, RawVersion, VersionRows};
use crate::{StoreError, VersionedRecord};

/// A store of the values of each key with the times from which they were valid, for as long as the history retention says
/// (milliseconds of the stream time that the store has seen). The latest value of a key is kept for ever.
///
/// A version that is older than the history retention is not put. Never cached; every put is logged, with the version's
/// time as the record's.
///
/// As with [`KeyValueStore`](crate::KeyValueStore), nothing is borrowed between calls.
pub struct VersionedKeyValueStore<K, V> {
    pub(crate) layers: Layers,
    keys: SharedSerde<K>,
    values: SharedSerde<V>,
    key_bytes: Cell<Vec<u8>>,
}

/// What became of a version that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionedPut {
    /// It is older than the history retention, and was not put.
    Expired,
    /// It is the latest version of its key.
    Latest,
    /// It is valid until this time, where another version begins.
    ValidUntil(Timestamp),
}

impl<K: 'static, V: 'static> VersionedKeyValueStore<K, V> {
    pub(crate) fn new(layers: Layers, keys: SharedSerde<K>, values: SharedSerde<V>) -> Self {
        VersionedKeyValueStore { layers, keys, values, key_bytes: Cell::default() }
    }

    /// Sets the value that `key` has from `timestamp` on, until the time of its next version; `None` is a deletion. A
    /// version of the same time is replaced.
    ///
    /// # Errors
    /// Key or value cannot be serialized, or the store fails.
    pub fn put(&self, cx: &mut TaskContext, key: &K, value: Option<&V>, timestamp: Timestamp) -> Step<VersionedPut> {
        let mut bytes = Vec::new();
        let value = match value.filter(|value| !self.values.is_null(value)) {
            Some(value) => {
                let written = self.values.serialize(self.layers.topic(), value, &mut bytes);
                written.map_err(|error| self.serde_failure("value", error))?;
                Some(&*bytes)
            }
            None => None,
        };
        self.with_key(key, |key| self.put_bytes(cx, key, value, timestamp))
    }

    /// Deletes `key` from `timestamp` on, until the time of its next version; returns the version that it had then.
    ///
    /// # Errors
    /// As [`put`](VersionedKeyValueStore::put) and [`get_as_of`](VersionedKeyValueStore::get_as_of).
    pub fn delete(&self, cx: &mut TaskContext, key: &K, timestamp: Timestamp) -> Step<Option<VersionedRecord<V>>> {
        let expired = timestamp < self.segments()?.observed().saturating_sub(self.segments()?.rule().retention_ms);
        let before = if expired { None } else { self.get_as_of(key, timestamp)? };
        self.put(cx, key, None, timestamp)?;
        Ok(before)
    }

    /// The latest version of `key`; `None` if it has none, or if the latest is a deletion.
    ///
    /// # Errors
    /// The rows cannot be read, or are not of the declared type.
    pub fn get(&self, key: &K) -> Step<Option<VersionedRecord<V>>> {
        self.with_key(key, |key| self.history(|history| history.get(key))).and_then(|version| self.read(version))
    }

    /// The version that `key` had at a time; `None` if it had none, or if that is longer ago than the history retention
    /// and the latest version is not that old.
    ///
    /// # Errors
    /// The rows cannot be read, or are not of the declared type.
    pub fn get_as_of(&self, key: &K, timestamp: Timestamp) -> Step<Option<VersionedRecord<V>>> {
        let found = self.with_key(key, |key| self.history(|history| history.get_as_of(key, timestamp)));
        found.and_then(|version| self.read(version))
    }

    /// The highest time of a version that was put; -1 before the first.
    ///
    /// # Errors
    /// The committed one cannot be read.
    pub fn observed_stream_time(&self) -> Step<Timestamp> {
        self.segments().map(Segments::observed)
    }

    fn put_bytes(&self, cx: &mut TaskContext, key: &[u8], value: Option<&[u8]>, time: Timestamp) -> Step<VersionedPut> {
        let segments = self.segments()?;
        let placed = if self.history(|history| Ok(history.has_expired(time)))? {
            cx.drop_record(self.layers.name(), "the version is older than the history retention");
            Placed::Nowhere
        } else {
            segments.admit(time);
            self.history(|history| history.put(key, value, time))?
        };
        self.layers.log_record(cx, key, value, Some(time));
        self.layers.keep_bounds(cx)?;
        Ok(match placed {
            Placed::Nowhere => VersionedPut::Expired,
            Placed::Latest => VersionedPut::Latest,
            Placed::Until(time) => VersionedPut::ValidUntil(time),
        })
    }

    fn history<T>(&self, f: impl FnOnce(&mut History<'_, &Layers>) -> Result<T, StoreError>) -> Step<T> {
        let segments = self.segments()?;
        let mut rows = &self.layers;
        let mut history = History { rule: segments.rule(), observed: segments.observed(), rows: &mut rows };
        f(&mut history).map_err(|error| self.layers.failure(error))
    }

    fn segments(&self) -> Step<&Segments> {
        let segments = self.layers.segments().map_err(|error| self.layers.failure(error))?;
        segments.ok_or_else(|| Failure::bug("a versioned store without segments"))
    }

    /// Calls `f` with the key's bytes, in a buffer that is kept for the next call.
    fn with_key<R>(&self, key: &K, f: impl FnOnce(&[u8]) -> Step<R>) -> Step<R> {
        if self.keys.is_null(key) {
            let error = SerdeError::UnexpectedNull { type_name: std::any::type_name::<K>() };
            return Err(self.serde_failure("key", error));
        }
        let mut bytes = self.key_bytes.take();
        bytes.clear();
        let written = self.keys.serialize(self.layers.topic(), key, &mut bytes);
        written.map_err(|error| self.serde_failure("key", error))?;
        let result = f(&bytes);
        self.key_bytes.set(bytes);
        result
    }

    fn read(&self, version: Option<RawVersion>) -> Step<Option<VersionedRecord<V>>> {
        let Some(RawVersion { value, from, to }) = version else { return Ok(None) };
        let value = self.values.deserialize(self.layers.topic(), &value);
        let value = value.map_err(|error| self.serde_failure("value", error))?;
        Ok(Some(VersionedRecord { value, timestamp: from, valid_to: to }))
    }

    #[cold]
    fn serde_failure(&self, part: &'static str, error: SerdeError) -> Failure {
        self.layers.failure(StoreError::Serde { part, error })
    }
}

impl VersionRows for &Layers {
    fn row(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.raw_row(key)
    }

    fn set_row(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        self.set_raw_row(key, value);
        Ok(())
    }
}

delegate_state_store!(VersionedKeyValueStore, layers);

impl<K, V> fmt::Debug for VersionedKeyValueStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VersionedKeyValueStore").field(&self.layers).finish()
    }
}
