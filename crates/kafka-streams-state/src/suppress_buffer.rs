//! The buffer of a suppressed table: the last change of each key, in the order of their times, until it is sent on.
//!
//! It lives in memory, as on the JVM (`InMemoryTimeOrderedKeyValueChangeBuffer`); the committed base holds the changes
//! as of the last commit a second time, so that an aborted transaction leaves no trace.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{
    Change, Failure, Headers, OutputRecord, PartitionChoice, RecordContext, RouteId, SerdeError, SharedSerde, Step,
    TaskContext, Timestamp,
};

use crate::format::buffer_value::BufferValue;
use crate::java_hash_order::Buckets;
use crate::{
    BatchSource, CommitBatch, KeyRange, Order, StateStore, StoreBackend, StoreBuilder, StoreError, StoreFacts,
    StoreKind, StoreParts, StorePosition, StoreSpec, Uncommitted,
};

/// Changes that wait, one for each key.
///
/// As with [`KeyValueStore`](crate::KeyValueStore), nothing is borrowed between calls: a node below may read the buffer
/// while a change is sent to it.
pub struct SuppressBuffer<K, V> {
    name: Arc<str>,
    /// The topic that serdes are told.
    topic: Arc<str>,
    keys: SharedSerde<K>,
    values: SharedSerde<V>,
    backend: Arc<dyn StoreBackend>,
    changelog: Option<RouteId>,
    headers: Headers,
    loaded: Cell<bool>,
    entries: RefCell<Entries>,
}

/// A change that waits, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffered<K, V> {
    /// The key.
    pub key: K,
    /// The last change; its old value is what the row was before that change.
    pub change: Change<V>,
    /// The record that caused the change, with its timestamp and headers.
    pub context: RecordContext,
}

#[derive(Debug, Default)]
struct Entries {
    by_time: BTreeMap<(Timestamp, Arc<[u8]>), BufferValue>,
    times: BTreeMap<Arc<[u8]>, Timestamp>,
    bytes: usize,
    /// Keys that were put or taken out since the last flush, in that order.
    to_log: Vec<Arc<[u8]>>,
    to_log_set: BTreeSet<Arc<[u8]>>,
    buckets: Buckets,
    /// Keys that were put or taken out since the last commit.
    to_commit: BTreeSet<Arc<[u8]>>,
}

impl<K: 'static, V: 'static> SuppressBuffer<K, V> {
    /// Lets a change wait. A key that already waits keeps its place, and what its row was in the beginning.
    ///
    /// # Errors
    /// Key or value cannot be serialized, or what was committed cannot be read.
    pub fn put(&self, time: Timestamp, key: &K, change: &Change<V>, context: RecordContext) -> Step {
        self.ensure_loaded()?;
        let key = self.key_bytes(key)?;
        let (old, new) = (self.value_bytes(change.old.as_ref())?, self.value_bytes(change.new.as_ref())?);
        let mut entries = self.entries.borrow_mut();
        let prior = match entries.find(&key) {
            Some(before) => before.prior.clone(),
            None => old.clone(),
        };
        entries.put(time, &key, BufferValue { context, prior, old, new });
        entries.touch(&key);
        Ok(())
    }

    /// The time of the change that waits in front; `None` if none waits.
    ///
    /// # Errors
    /// What was committed cannot be read.
    pub fn min_time(&self) -> Step<Option<Timestamp>> {
        self.ensure_loaded()?;
        Ok(self.entries.borrow().by_time.first_key_value().map(|((time, _), _)| *time))
    }

    /// The change that waits in front.
    ///
    /// # Errors
    /// Its bytes are not of the declared types, or what was committed cannot be read.
    pub fn first(&self) -> Step<Option<Buffered<K, V>>> {
        self.ensure_loaded()?;
        let entries = self.entries.borrow();
        let Some(((_, key), value)) = entries.by_time.first_key_value() else { return Ok(None) };
        let read = |bytes: &Option<Vec<u8>>| {
            let value = bytes.as_ref().map(|bytes| self.values.deserialize(&self.topic, bytes)).transpose();
            value.map_err(|error| self.serde_failure("value", error))
        };
        let key = self.keys.deserialize(&self.topic, key).map_err(|error| self.serde_failure("key", error))?;
        let change = Change { old: read(&value.old)?, new: read(&value.new)? };
        Ok(Some(Buffered { key, change, context: value.context.clone() }))
    }

    /// Takes out the change that waits in front.
    ///
    /// # Errors
    /// What was committed cannot be read.
    pub fn remove_first(&self) -> Step {
        self.ensure_loaded()?;
        let mut entries = self.entries.borrow_mut();
        let Some((_, key)) = entries.by_time.keys().next().cloned() else { return Ok(()) };
        entries.remove(&key);
        entries.touch(&key);
        Ok(())
    }

    /// What the row of a key is to those below, who have not seen the change that waits: `None` if none waits.
    ///
    /// # Errors
    /// The key cannot be serialized, the value is not of the declared type, or what was committed cannot be read.
    pub fn prior_value(&self, key: &K) -> Step<Option<Option<V>>> {
        self.ensure_loaded()?;
        let key = self.key_bytes(key)?;
        let entries = self.entries.borrow();
        let Some(value) = entries.find(&key) else { return Ok(None) };
        let prior = value.prior.as_ref().map(|bytes| self.values.deserialize(&self.topic, bytes)).transpose();
        prior.map(Some).map_err(|error| self.serde_failure("value", error))
    }

    /// Number of changes that wait.
    ///
    /// # Errors
    /// What was committed cannot be read.
    pub fn num_records(&self) -> Step<usize> {
        self.ensure_loaded()?;
        Ok(self.entries.borrow().times.len())
    }

    /// What the changes take, in bytes, as the JVM counts them.
    ///
    /// # Errors
    /// What was committed cannot be read.
    pub fn bytes(&self) -> Step<usize> {
        self.ensure_loaded()?;
        Ok(self.entries.borrow().bytes)
    }

    /// Takes over what was committed; done at the first use, as a restore comes between making the store and using it.
    #[inline]
    fn ensure_loaded(&self) -> Step {
        if self.loaded.get() { Ok(()) } else { self.load().map_err(|error| Failure::store(&self.name, error)) }
    }

    #[cold]
    fn load(&self) -> Result<(), StoreError> {
        let mut entries = self.entries.borrow_mut();
        let buckets = entries.buckets;
        *entries = Entries { buckets, ..Entries::default() };
        let mut damaged = false;
        self.backend.scan(KeyRange::default(), Order::Ascending, &mut |key, value| {
            match BufferValue::read(value) {
                Some((time, value)) => entries.put(time, &Arc::from(key), value),
                None => damaged = true,
            }
            !damaged
        })?;
        if damaged {
            return Err(StoreError::Unreadable { reason: "a row of a suppress buffer cannot be read".to_owned() });
        }
        self.loaded.set(true);
        Ok(())
    }

    fn key_bytes(&self, key: &K) -> Step<Arc<[u8]>> {
        let mut bytes = Vec::new();
        self.keys.serialize(&self.topic, key, &mut bytes).map_err(|error| self.serde_failure("key", error))?;
        Ok(bytes.into())
    }

    fn value_bytes(&self, value: Option<&V>) -> Step<Option<Vec<u8>>> {
        let Some(value) = value.filter(|value| !self.values.is_null(value)) else { return Ok(None) };
        let mut bytes = Vec::new();
        self.values.serialize(&self.topic, value, &mut bytes).map_err(|error| self.serde_failure("value", error))?;
        Ok(Some(bytes))
    }

    #[cold]
    fn serde_failure(&self, part: &'static str, error: SerdeError) -> Failure {
        Failure::store(&self.name, StoreError::Serde { part, error })
    }
}

impl Entries {
    fn find(&self, key: &Arc<[u8]>) -> Option<&BufferValue> {
        let time = self.times.get(key)?;
        self.by_time.get(&(*time, key.clone()))
    }

    fn put(&mut self, time: Timestamp, key: &Arc<[u8]>, value: BufferValue) {
        let time = *self.times.entry(key.clone()).or_insert(time);
        self.bytes += value.size(key);
        if let Some(before) = self.by_time.insert((time, key.clone()), value) {
            self.bytes = self.bytes.saturating_sub(before.size(key));
        }
    }

    fn remove(&mut self, key: &Arc<[u8]>) {
        let Some(time) = self.times.remove(key) else { return };
        if let Some(value) = self.by_time.remove(&(time, key.clone())) {
            self.bytes = self.bytes.saturating_sub(value.size(key));
        }
    }

    /// Notes that a key is to be logged and committed.
    fn touch(&mut self, key: &Arc<[u8]>) {
        self.to_commit.insert(key.clone());
        if self.to_log_set.insert(key.clone()) {
            self.to_log.push(key.clone());
            self.buckets.hold(self.to_log.len());
        }
    }

    /// The keys to be logged, in the order of the JVM's set.
    fn take_keys_to_log(&mut self) -> Vec<Arc<[u8]>> {
        self.to_log_set.clear();
        let mut keys = std::mem::take(&mut self.to_log);
        keys.sort_by_key(|key| self.buckets.of(key));
        keys
    }

    /// A row in bytes; `None` if the key does not wait any more.
    fn row(&self, key: &Arc<[u8]>, out: &mut Vec<u8>) -> bool {
        out.clear();
        let Some(time) = self.times.get(key) else { return false };
        let Some(value) = self.by_time.get(&(*time, key.clone())) else { return false };
        value.write(*time, out);
        true
    }
}

static NO_HEADERS: Headers = Headers::new();

impl<K: 'static, V: 'static> StateStore for SuppressBuffer<K, V> {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Logs what has changed since the last flush.
    fn flush(&self, cx: &mut TaskContext) -> Step {
        let mut entries = self.entries.borrow_mut();
        let keys = entries.take_keys_to_log();
        let Some(route) = self.changelog else { return Ok(()) };
        let mut row = Vec::new();
        for key in keys {
            let waits = entries.row(&key, &mut row);
            let (value, headers) = if waits { (Some(&row[..]), &self.headers) } else { (None, &NO_HEADERS) };
            let partition = PartitionChoice::Explicit(cx.task_id().partition);
            // The record's time is that of the producer, as on the JVM.
            cx.output.send(OutputRecord { route, partition, timestamp: None, headers, key: Some(&key), value });
        }
        Ok(())
    }

    fn commit(&self, position: &StorePosition) -> Result<(), StoreError> {
        let mut entries = self.entries.borrow_mut();
        let keys = std::mem::take(&mut entries.to_commit);
        let mut row = Vec::new();
        let rows: Vec<_> =
            keys.iter().map(|key| (key.clone(), entries.row(key, &mut row).then(|| row.clone()))).collect();
        let mut rows = rows.iter().map(|(key, row)| (&key[..], row.as_deref()));
        let source = BatchSource::Processing;
        let result = self.backend.commit(CommitBatch { deleted_ranges: &[], rows: &mut rows, position, source });
        if result.is_err() {
            entries.to_commit = keys;
        }
        result
    }

    fn drop_uncommitted(&self) {
        let mut entries = self.entries.borrow_mut();
        let buckets = entries.buckets;
        *entries = Entries { buckets, ..Entries::default() };
        self.loaded.set(false);
    }

    fn uncommitted(&self) -> Uncommitted {
        let entries = self.entries.borrow();
        Uncommitted { rows: entries.to_commit.len(), bytes: entries.to_commit.iter().map(|key| key.len()).sum() }
    }
}

impl<K, V> fmt::Debug for SuppressBuffer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SuppressBuffer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Makes [`SuppressBuffer`]s.
pub struct SuppressBufferBuilder<K, V> {
    name: Arc<str>,
    keys: SharedSerde<K>,
    values: SharedSerde<V>,
    logging: Option<BTreeMap<String, String>>,
}

impl<K: 'static, V: 'static> SuppressBufferBuilder<K, V> {
    /// A buffer of this name; `logging` is the configuration of its changelog topic, `None` is no changelog.
    pub fn new(
        name: impl Into<Arc<str>>,
        keys: SharedSerde<K>,
        values: SharedSerde<V>,
        logging: Option<BTreeMap<String, String>>,
    ) -> Self {
        SuppressBufferBuilder { name: name.into(), keys, values, logging }
    }
}

impl<K: 'static, V: 'static> StoreBuilder for SuppressBufferBuilder<K, V> {
    type Store = SuppressBuffer<K, V>;

    fn spec(&self) -> StoreSpec {
        StoreSpec {
            name: self.name.clone(),
            kind: StoreKind::SuppressBuffer,
            timestamped: false,
            headers: false,
            persistent: false,
            caching: false,
            logging: self.logging.clone(),
            time_index: false,
        }
    }

    fn facts(&self) -> StoreFacts {
        StoreFacts { key_serde: Some(self.keys.id()), value_serde: Some(self.values.id()), grace_ms: None }
    }

    fn set_name(&mut self, name: Arc<str>) {
        self.name = name;
    }

    fn build(&self, parts: StoreParts) -> Rc<Self::Store> {
        let mut headers = Headers::new();
        headers.add("v", Some(vec![3]));
        Rc::new(SuppressBuffer {
            name: self.name.clone(),
            topic: parts.serde_topic.unwrap_or_else(|| self.name.clone()),
            keys: self.keys.clone(),
            values: self.values.clone(),
            backend: parts.backend,
            changelog: parts.changelog,
            headers,
            loaded: Cell::new(false),
            entries: RefCell::default(),
        })
    }
}

impl<K, V> fmt::Debug for SuppressBufferBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SuppressBufferBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
