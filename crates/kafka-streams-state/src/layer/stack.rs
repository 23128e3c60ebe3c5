//! The layers of one store, bytes to bytes: every read, write, flush and commit of the typed stores goes through here.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{
    DslStoreFormat, Failure, Headers, OutputRecord, PartitionChoice, RecordContext, RouteId, Step, TaskContext,
    Timestamp,
};

use super::cache::{DirtyEntry, Evicted, StoreCache};
use super::lru::Lru;
use super::merge::merge;
use super::order::SlotId;
use super::recent::Recent;
use super::rows::{Rows, Value};
use super::segments::{ExpiryRule, Segments};
use crate::budget::Reclaim;
use crate::format::value::ValueFormat;
use crate::format::window_key::{MAX_SEQUENCE, SEGMENT_SIZE};
use crate::{
    KeyRange, Order, StateStore, StoreBackend, StoreError, StoreParts, StorePosition, ThreadCache, Uncommitted,
};

/// What flushed updates are handed to: key, new value, old value; the record in hand is the one that caused the update.
pub(crate) type FlushListener = Rc<dyn Fn(&mut TaskContext, &[u8], Option<&[u8]>, Option<&[u8]>) -> Step>;

/// How the rows of a store look.
#[derive(Clone, Debug)]
pub(crate) struct RowFormat {
    /// What is before the values, which the changelog carries as the record's.
    pub(crate) value: ValueFormat,
    /// For window stores: how windows expire. Their row keys begin with a segment that the changelog does not carry.
    pub(crate) windows: Option<ExpiryRule>,
    /// Whether equal windows are kept side by side.
    pub(crate) retain_duplicates: bool,
    /// Which headers changelog records carry.
    pub(crate) logs_headers: LoggedHeaders,
    /// How many rows are kept: those that were used last. `None` keeps all.
    pub(crate) max_rows: Option<usize>,
}

/// Which headers changelog records carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoggedHeaders {
    None,
    /// Those of the row; of a deletion, those of the record in hand.
    OfRows,
    /// Of deletions those of the record in hand, if stores of the DSL keep headers.
    OfDeletions,
    /// Those of the record in hand: join stores and foreign-key subscriptions.
    All,
}

pub(crate) struct Layers {
    name: Arc<str>,
    topic: Arc<str>,
    format: RowFormat,
    caching: bool,
    thread: ThreadCache,
    cache: Option<RefCell<StoreCache>>,
    rows: Rc<RefCell<Rows>>,
    backend: Arc<dyn StoreBackend>,
    segments: Option<Segments>,
    lru: Option<Lru>,
    changelog: Option<RouteId>,
    listener: RefCell<Option<FlushListener>>,
    sends_old_values: Cell<bool>,
    flushing: Cell<Vec<DirtyEntry>>,
    row_sequence: Cell<i32>,
    log_sequence: Cell<i32>,
}

/// Where a row was found, so that it can be written without being searched again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Unknown,
    Cache { slot: SlotId, generation: u64 },
    Rows { slot: SlotId, generation: u64 },
}

/// A row as it is below the cache.
struct Below {
    place: Place,
    value: Option<Value>,
}

static NO_HEADERS: Headers = Headers::new();

impl Layers {
    pub(crate) fn new(name: Arc<str>, format: RowFormat, caching: bool, parts: StoreParts) -> Self {
        let StoreParts { backend, changelog, cache: thread, serde_topic } = parts;
        // As on the JVM, stores of duplicates are never cached: there is no last value to thin out to.
        // A cache without memory is no cache, also for a store that asks for one (`InternalTopologyBuilder.rewriteTopology`).
        let caching = caching && !format.retain_duplicates && thread.max_bytes() > 0;
        let cache = caching.then(|| RefCell::new(StoreCache::new(thread.clone())));
        // Rows of a time index have keys of another kind.
        let recent = format.windows.filter(|rule| !rule.indexed).map(|rule| Recent::new(rule.time));
        let rows = Rc::new(RefCell::new(Rows::new(backend.clone(), thread.memory().clone(), recent)));
        let reclaim: Rc<dyn Reclaim> = rows.clone();
        thread.memory().register(Rc::downgrade(&reclaim));
        Layers {
            topic: serde_topic.unwrap_or_else(|| name.clone()),
            name,
            segments: format.windows.map(|rule| Segments::new(if caching { rule.below_cache() } else { rule })),
            lru: format.max_rows.map(Lru::new),
            format,
            caching,
            thread,
            cache,
            rows,
            backend,
            changelog,
            listener: RefCell::default(),
            sends_old_values: Cell::new(false),
            flushing: Cell::default(),
            row_sequence: Cell::new(0),
            log_sequence: Cell::new(0),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The topic that serdes are told.
    pub(crate) fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// For a window store, its expiry, as of what was committed if nothing was put since.
    pub(crate) fn segments(&self) -> Result<Option<&Segments>, StoreError> {
        if let Some(segments) = &self.segments {
            segments.ensure_loaded(&*self.backend)?;
        }
        Ok(self.segments.as_ref())
    }

    /// Whether rows can be found by time.
    pub(crate) fn has_time_index(&self) -> bool {
        self.segments.as_ref().is_some_and(|segments| segments.rule().indexed)
    }

    /// Tells whether this store keeps headers, in a task that has such stores.
    pub(crate) fn keeps_headers(&self) -> impl Fn(&TaskContext) -> bool + 'static {
        let may = self.format.logs_headers == LoggedHeaders::OfDeletions;
        move |cx| may && keeps_headers(cx)
    }

    /// Whether it was declared with caching, and there is a cache.
    pub(crate) fn has_caching(&self) -> bool {
        self.caching
    }

    /// Whether updates are held back.
    pub(crate) fn is_cached(&self) -> bool {
        self.cache.is_some()
    }

    /// Whether someone below wants old values.
    #[inline]
    pub(crate) fn sends_old_values(&self) -> bool {
        self.sends_old_values.get()
    }

    pub(crate) fn set_listener(&self, sends_old_values: bool, listener: FlushListener) {
        self.sends_old_values.set(sends_old_values);
        *self.listener.borrow_mut() = Some(listener);
    }

    /// Reads a row, from the top layer that knows it.
    pub(crate) fn get<R>(&self, key: &[u8], read: impl FnOnce(Option<&[u8]>) -> R) -> Step<R> {
        if let Some(cache) = &self.cache {
            let mut entries = cache.borrow_mut();
            if let Some(slot) = entries.find(key) {
                return Ok(read(entries.value(slot)));
            }
            drop(entries);
            let found = self.read_below(key)?.value;
            if let Some(value) = &found
                && self.segments.is_none()
            {
                cache.borrow_mut().put_clean_if_room(key, value);
            }
            return Ok(read(found.as_deref()));
        }
        if !self.is_visible(key)? {
            return Ok(read(None));
        }
        if self.thread.is_for_shared_stores() {
            return self.get_shared(key, read);
        }
        let mut rows = self.rows.borrow_mut();
        let slot = rows.load(key).map_err(|error| self.failure(error))?;
        self.note_use(key, rows.value(slot).is_some())?;
        Ok(read(rows.value(slot)))
    }

    /// Reads a row below the cache, whether it is visible or not.
    pub(crate) fn get_below<R>(&self, key: &[u8], read: impl FnOnce(Option<&[u8]>) -> R) -> Step<R> {
        let mut rows = self.rows.borrow_mut();
        let slot = rows.load(key).map_err(|error| self.failure(error))?;
        Ok(read(rows.value(slot)))
    }

    /// Reads a row, whether it is visible or not, from the top layer that knows it; the cache does not count it as a use.
    pub(crate) fn get_any<R>(&self, key: &[u8], read: impl FnOnce(Option<&[u8]>) -> R) -> Step<R> {
        if let Some(cache) = &self.cache
            && let Some(value) = cache.borrow().peek_value(key)
        {
            return Ok(read(value));
        }
        self.get_below(key, read)
    }

    /// The keys in a time index that the rows which wait in the cache will get, ascending; of times within `from..=to`.
    pub(crate) fn waiting_index_keys(&self, rule: ExpiryRule, from: Timestamp, to: Timestamp) -> Vec<Vec<u8>> {
        let Some(cache) = &self.cache else { return Vec::new() };
        let mut entries = cache.borrow_mut();
        if !entries.has_dirty() {
            return Vec::new();
        }
        entries.settle();
        let dirty = entries.dirty(KeyRange::default(), Order::Ascending);
        let within = dirty.filter(|(key, _)| rule.time_of(key).is_some_and(|time| (from..=to).contains(&time)));
        let mut keys: Vec<Vec<u8>> = within.filter_map(|(key, _)| rule.index_key(key)).collect();
        keys.sort_unstable();
        keys
    }

    /// Reads a row of a store that another thread writes: as it was committed last.
    fn get_shared<R>(&self, key: &[u8], read: impl FnOnce(Option<&[u8]>) -> R) -> Step<R> {
        let mut found: Option<Value> = None;
        self.backend
            .get(key, &mut |value| found = Some(Value::from_slice(value)))
            .map_err(|error| self.failure(error))?;
        Ok(read(found.as_deref()))
    }

    fn check_writable(&self) -> Step {
        match self.thread.is_for_shared_stores() {
            true => Err(self.failure(StoreError::ReadOnly)),
            false => Ok(()),
        }
    }

    /// Reads a row that is about to be written with [`write`](Layers::write).
    #[inline]
    pub(crate) fn read<R>(
        &self,
        cx: &mut TaskContext,
        key: &[u8],
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Step<(Place, R)> {
        if self.cache.is_some() {
            return self.read_cached(cx, key, read);
        }
        if !self.is_visible(key)? {
            return Ok((Place::Unknown, read(None)));
        }
        let mut rows = self.rows.borrow_mut();
        let slot = rows.load(key).map_err(|error| self.failure(error))?;
        self.note_use(key, rows.value(slot).is_some())?;
        Ok((Place::Rows { slot, generation: rows.generation() }, read(rows.value(slot))))
    }

    fn read_cached<R>(
        &self,
        cx: &mut TaskContext,
        key: &[u8],
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Step<(Place, R)> {
        let Some(cache) = &self.cache else { return Err(Failure::bug("a cached read without a cache")) };
        let mut entries = cache.borrow_mut();
        if let Some(slot) = entries.find(key) {
            let place = Place::Cache { slot, generation: entries.generation() };
            return Ok((place, read(entries.value(slot))));
        }
        drop(entries);
        let found = self.read_below(key)?.value;
        if let Some(value) = &found
            && self.segments.is_none()
        {
            // The JVM keeps what it read before it writes, and that may already push others out.
            cache.borrow_mut().put_clean(key, value);
            self.evict_overflow(cx)?;
        }
        Ok((Place::Unknown, read(found.as_deref())))
    }

    /// Writes a row that [`read`](Layers::read) found at `place`; `None` deletes it.
    #[inline]
    pub(crate) fn write(&self, cx: &mut TaskContext, place: Place, key: &[u8], value: Option<&[u8]>) -> Step {
        match place {
            Place::Unknown => self.put(cx, key, value),
            Place::Rows { .. } => self.write_below(cx, place, key, value),
            Place::Cache { slot, generation } => {
                let Some(cache) = &self.cache else { return self.put(cx, key, value) };
                let mut entries = cache.borrow_mut();
                if entries.generation() != generation {
                    drop(entries);
                    return self.put(cx, key, value);
                }
                entries.write(slot, value, &cx.record);
                drop(entries);
                self.evict_overflow(cx)
            }
        }
    }

    /// Writes a row; `None` deletes it.
    pub(crate) fn put(&self, cx: &mut TaskContext, key: &[u8], value: Option<&[u8]>) -> Step {
        match &self.cache {
            Some(cache) => {
                if let Some(segments) = &self.segments
                    && let Some(time) = segments.rule().time_of(key)
                {
                    segments.note(time);
                }
                cache.borrow_mut().put(key, value, &cx.record);
                self.evict_overflow(cx)
            }
            None => self.write_below(cx, Place::Unknown, key, value),
        }
    }

    /// Writes a row of a store that retains duplicates: `key` gets its sequence numbers here, one for the row and one for
    /// the changelog, counted apart as on the JVM. A `None` is only logged.
    pub(crate) fn append(&self, cx: &mut TaskContext, key: &mut [u8], value: Option<&[u8]>) -> Step {
        self.check_writable()?;
        let next = |counter: &Cell<i32>| {
            counter.set(counter.get().wrapping_add(1) & MAX_SEQUENCE);
            counter.get().to_be_bytes()
        };
        let log_sequence = next(&self.log_sequence);
        if value.is_some() {
            set_sequence(key, next(&self.row_sequence));
            if self.admits(cx, key)? {
                self.rows.borrow_mut().put(key, value);
            }
        } else if self.segments.as_ref().is_some_and(|segments| segments.rule().exact) {
            // Nothing to keep, but the JVM's stores in memory learn the time from it, and forget what is too old by then.
            self.admits(cx, key)?;
        }
        set_sequence(key, log_sequence);
        self.log(cx, key, value);
        self.keep_bounds(cx)
    }

    /// The value of a row, whatever its segment: for stores that look after expiry themselves.
    pub(crate) fn raw_row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut rows = self.rows.borrow_mut();
        let slot = rows.load(key)?;
        Ok(rows.value(slot).map(<[u8]>::to_vec))
    }

    /// Sets a row without logging it.
    pub(crate) fn set_raw_row(&self, key: &[u8], value: Option<&[u8]>) {
        self.rows.borrow_mut().put(key, value);
    }

    /// Sends a record to the changelog that is no row; without a timestamp it gets the producer's.
    pub(crate) fn log_record(
        &self,
        cx: &mut TaskContext,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp: Option<Timestamp>,
    ) {
        let Some(route) = self.changelog else { return };
        let (partition, headers) = (PartitionChoice::Explicit(cx.task_id().partition), &NO_HEADERS);
        cx.output.send(OutputRecord { route, partition, timestamp, headers, key: Some(key), value });
    }

    /// Visits the rows of `range` through all layers until `visit` returns false. Of `range`, only those rows are asked for
    /// whose keys are `of_key` up to the time, if it is given.
    pub(crate) fn scan(
        &self,
        range: KeyRange<'_>,
        of_key: Option<&[u8]>,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let in_the_beginning = self.segments.as_ref().map_or(Timestamp::MAX, Segments::observed_in_the_beginning);
        let mut rows = self.rows.borrow_mut();
        let mut below = |visit: &mut dyn FnMut(&[u8], &[u8]) -> bool| match of_key {
            Some(of_key) if rows.scan_recent(of_key, range, order, in_the_beginning, visit) => Ok(()),
            _ => rows.scan(range, order, visit),
        };
        let Some(cache) = &self.cache else { return below(visit) };
        let mut entries = cache.borrow_mut();
        if !entries.has_dirty() {
            return below(visit);
        }
        entries.settle();
        let mut dirty = entries.dirty(range, order);
        merge(&mut dirty, order, below, visit)
    }

    /// About how many rows there are below the cache.
    pub(crate) fn approximate_rows(&self) -> Result<u64, StoreError> {
        Ok(self.backend.approximate_rows()? + self.rows.borrow().uncommitted().rows as u64)
    }

    /// An error of this store, for the node that used it.
    #[cold]
    pub(crate) fn failure(&self, error: StoreError) -> Failure {
        Failure::store(&self.name, error)
    }

    /// The earliest time of a window or session that a walk may see. With a cache that is as early as there are rows
    /// that have not expired before the store was opened: the JVM finds whatever its cache holds, expired or not, and late
    /// records are put together with that. What had expired before may be in the store and deleted all the same.
    pub(crate) fn earliest_readable(&self, segments: &Segments) -> Timestamp {
        if self.cache.is_some() { segments.earliest_alive() } else { segments.earliest_visible() }
    }

    /// Whether a row is of a window that has not expired; true for rows without a window.
    #[inline]
    fn is_visible(&self, key: &[u8]) -> Step<bool> {
        let Some(segments) = &self.segments else { return Ok(true) };
        segments.ensure_loaded(&*self.backend).map_err(|error| self.failure(error))?;
        Ok(segments.rule().time_of(key).is_some_and(|time| time >= segments.earliest_visible()))
    }

    /// Moves the stream time on to the row's window, and counts the record as dropped if that has expired.
    #[inline]
    fn admits(&self, cx: &mut TaskContext, key: &[u8]) -> Step<bool> {
        let Some(segments) = &self.segments else { return Ok(true) };
        segments.ensure_loaded(&*self.backend).map_err(|error| self.failure(error))?;
        let admitted = segments.rule().time_of(key).is_some_and(|time| segments.admit(time));
        if !admitted {
            cx.drop_record(&self.name, "the window's segment has expired");
        }
        Ok(admitted)
    }

    /// Reads a row below the cache, and copies it.
    fn read_below(&self, key: &[u8]) -> Step<Below> {
        if !self.is_visible(key)? {
            return Ok(Below { place: Place::Unknown, value: None });
        }
        let mut rows = self.rows.borrow_mut();
        let slot = rows.load(key).map_err(|error| self.failure(error))?;
        self.note_use(key, rows.value(slot).is_some())?;
        let place = Place::Rows { slot, generation: rows.generation() };
        Ok(Below { place, value: rows.value(slot).map(Value::from_slice) })
    }

    /// Writes a row below the cache, and its changelog record.
    #[inline]
    fn write_below(&self, cx: &mut TaskContext, place: Place, key: &[u8], value: Option<&[u8]>) -> Step {
        self.write_row(cx, place, key, value)?;
        self.bound_rows(cx, key, value.is_some())?;
        self.log(cx, key, value);
        self.keep_bounds(cx)
    }

    /// Writes a row below the cache.
    #[inline]
    fn write_row(&self, cx: &mut TaskContext, place: Place, key: &[u8], value: Option<&[u8]>) -> Step {
        self.check_writable()?;
        if self.admits(cx, key)? {
            let mut rows = self.rows.borrow_mut();
            match place {
                Place::Rows { slot, generation } if rows.generation() == generation => rows.write(slot, value),
                _ => rows.put(key, value),
            }
            if let Some(index) = self.segments.as_ref().and_then(|segments| segments.rule().index_key(key)) {
                rows.put(&index, value.map(|_| &[][..]));
            }
        }
        Ok(())
    }

    /// Notes that a row of a bounded store was used.
    #[inline]
    fn note_use(&self, key: &[u8], exists: bool) -> Step {
        match &self.lru {
            Some(lru) if exists => lru.touch(key, &*self.backend).map_err(|error| self.failure(error)),
            _ => Ok(()),
        }
    }

    /// Notes a write, and deletes what a bounded store has no room for any more, from the changelog, too.
    #[inline]
    fn bound_rows(&self, cx: &mut TaskContext, key: &[u8], exists: bool) -> Step {
        let Some(lru) = &self.lru else { return Ok(()) };
        let noted = if exists { lru.touch(key, &*self.backend) } else { lru.remove(key, &*self.backend) };
        noted.map_err(|error| self.failure(error))?;
        while let Some(eldest) = lru.evict() {
            self.rows.borrow_mut().put(&eldest, None);
            self.log(cx, &eldest, None);
        }
        Ok(())
    }

    /// Sees to it that uncommitted rows do not take more memory than they may (rule S1).
    #[inline]
    pub(crate) fn keep_bounds(&self, cx: &mut TaskContext) -> Step {
        if self.thread.memory().wants_commit() { self.make_room_for_uncommitted(cx) } else { Ok(()) }
    }

    /// Asks for an early commit; as that comes between records only, a step that goes on and on spills.
    #[cold]
    fn make_room_for_uncommitted(&self, cx: &mut TaskContext) -> Step {
        cx.commit_requested = true;
        self.rows.borrow_mut().spill_if_wanted().map_err(|error| self.failure(error))
    }

    /// Sends a row to the changelog, also if it has expired, as the JVM does.
    #[inline]
    fn log(&self, cx: &mut TaskContext, key: &[u8], value: Option<&[u8]>) {
        let Some(route) = self.changelog else { return };
        let key = if self.segments.is_some() { key.get(SEGMENT_SIZE..).unwrap_or_default() } else { key };
        let row = value.map(|bytes| self.format.value.split(bytes));
        let timestamp = row.as_ref().and_then(|row| row.timestamp).unwrap_or(cx.record.timestamp);
        let value = row.as_ref().map(|row| row.value);
        let partition = PartitionChoice::Explicit(cx.task_id().partition);
        let headers = match self.format.logs_headers {
            LoggedHeaders::OfRows => row.as_ref().map_or(&cx.record.headers, |row| &row.headers),
            LoggedHeaders::All => &cx.record.headers,
            LoggedHeaders::OfDeletions if value.is_none() && keeps_headers(cx) => &cx.record.headers,
            _ => &NO_HEADERS,
        };
        cx.output.send(OutputRecord { route, partition, timestamp: Some(timestamp), headers, key: Some(key), value });
    }

    /// Removes entries until the thread's cache is within its bound (`ThreadCache.maybeEvict` of the JVM).
    fn evict_overflow(&self, cx: &mut TaskContext) -> Step {
        let Some(cache) = &self.cache else { return Ok(()) };
        while self.thread.is_over() {
            let evicted = cache.borrow_mut().evict();
            match evicted {
                Evicted::Nothing => return Ok(()),
                Evicted::Clean => {}
                Evicted::Dirty(entry, size) => {
                    // As on the JVM the entry counts until it is flushed, so that caches of nodes below, which are put to
                    // meanwhile, overflow at the same records.
                    let flushed = self.flush_with(cx, Some(entry));
                    self.thread.release(size);
                    flushed?;
                }
            }
        }
        Ok(())
    }

    /// Flushes the evicted entry, and then all others in the order of their last write (rule S1).
    fn flush_with(&self, cx: &mut TaskContext, evicted: Option<DirtyEntry>) -> Step {
        let Some(cache) = &self.cache else { return Ok(()) };
        // A node below may put into this store while its entries are on their way: those puts are of the next flush.
        let mut entries = self.flushing.take();
        entries.extend(evicted);
        cache.borrow_mut().take_dirty(&mut entries);
        for entry in &mut entries {
            let context = std::mem::replace(&mut entry.context, RecordContext::none(-1));
            cx.with_record(context, |cx| self.flush_entry(cx, &entry.key, entry.value.as_deref()))?;
        }
        for entry in entries.drain(..) {
            if entry.value.is_none() {
                cache.borrow_mut().remove_flushed_deletion(&entry.key);
            }
        }
        self.flushing.set(entries);
        Ok(())
    }

    fn flush_entry(&self, cx: &mut TaskContext, key: &[u8], new: Option<&[u8]>) -> Step {
        let listener = self.listener.borrow().clone();
        let Some(listener) = listener else { return self.write_below(cx, Place::Unknown, key, new) };
        let sends_old_values = self.sends_old_values.get();
        let mut below = Below { place: Place::Unknown, value: None };
        if new.is_none() || sends_old_values {
            below = self.read_below(key)?;
            if new.is_none() && below.value.is_none() {
                // A window that has expired is nothing to those below, nor to the changelog, but a walk would find it.
                if self.segments.is_some() && self.get_below(key, |value| value.is_some())? {
                    self.write_row(cx, Place::Unknown, key, None)?;
                }
                return Ok(());
            }
        }
        self.write_below(cx, below.place, key, new)?;
        listener(cx, key, new, below.value.as_deref().filter(|_| sends_old_values))
    }
}

/// Whether the stores of the DSL keep headers.
fn keeps_headers(cx: &TaskContext) -> bool {
    cx.dsl_store_format == DslStoreFormat::Headers
}

impl StateStore for Layers {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn flush(&self, cx: &mut TaskContext) -> Step {
        self.flush_with(cx, None)
    }

    fn commit(&self, position: &StorePosition) -> Result<(), StoreError> {
        let expiry = self.segments.as_ref().map(Segments::expiry).unwrap_or_default();
        self.rows.borrow_mut().commit(&expiry, position)?;
        if let Some(segments) = &self.segments {
            segments.committed();
        }
        Ok(())
    }

    fn drop_uncommitted(&self) {
        if let Some(cache) = &self.cache {
            cache.borrow_mut().clear();
        }
        self.rows.borrow_mut().forget();
        if let Some(lru) = &self.lru {
            lru.forget();
        }
        if let Some(segments) = &self.segments {
            segments.forget();
        }
    }

    fn uncommitted(&self) -> Uncommitted {
        self.rows.borrow().uncommitted()
    }

    fn disconnect(&self) {
        // The nodes go when the borrow is over: they may come back here.
        let listener = self.listener.borrow_mut().take();
        drop(listener);
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Layers { name, format, caching, .. } = self;
        f.debug_struct("Layers")
            .field("name", name)
            .field("format", format)
            .field("caching", caching)
            .field("uncommitted", &self.uncommitted())
            .finish_non_exhaustive()
    }
}

/// Puts a sequence number into the last four bytes of a window key.
fn set_sequence(key: &mut [u8], sequence: [u8; 4]) {
    if let Some(place) = key.last_chunk_mut::<4>() {
        *place = sequence;
    }
}
