//! Layer 1 of a store: entries that were written and not flushed, and entries that were read, by last use.
//!
//! Source: `NamedCache`, `ThreadCache` and `LRUCacheEntry` of the JVM: the same sizes, the same order of eviction, the
//! same order of flushing (rule S1), so that the same updates are thinned out.

use std::cell::Cell;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use kafka_streams_core::RecordContext;

use super::order::{Keyed, LazyOrder, SlotId};
use super::rows::{Key, Value};
use crate::budget::RowMemory;
use crate::{KeyRange, MemoryBudget, Order};

/// The cache of a stream thread: one bound for the dirty caches of all its stores. Clones are the same cache.
///
/// It also is the thread's share in the [`MemoryBudget`].
#[derive(Clone, Debug)]
pub struct ThreadCache(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    max_bytes: usize,
    bytes: Cell<usize>,
    memory: RowMemory,
    /// Whether the stores above are written by another thread.
    shared: bool,
}

impl ThreadCache {
    /// A cache of `max_bytes` bytes: `statestore.cache.max.bytes` divided by the number of stream threads. With 0 nothing
    /// is held back. Rows in memory have the default budget of one thread.
    pub fn new(max_bytes: usize) -> Self {
        ThreadCache::with_budget(max_bytes, &MemoryBudget::new(MemoryBudget::DEFAULT_TOTAL, 1))
    }

    /// A cache of `max_bytes` bytes, for a thread that shares `budget` with others.
    pub fn with_budget(max_bytes: usize, budget: &Arc<MemoryBudget>) -> Self {
        let memory = RowMemory::new(budget.clone());
        ThreadCache(Rc::new(Shared { max_bytes, bytes: Cell::new(0), memory, shared: false }))
    }

    /// For stores that another thread writes and this one only reads (global stores): nothing of them is kept in memory
    /// above the back-end, so what that thread has committed is seen at once. Writing to them is an error.
    pub fn for_shared_stores(&self) -> Self {
        let memory = self.0.memory.clone();
        ThreadCache(Rc::new(Shared { max_bytes: 0, bytes: Cell::new(0), memory, shared: true }))
    }

    pub(crate) fn is_for_shared_stores(&self) -> bool {
        self.0.shared
    }

    /// The bound, in bytes.
    pub fn max_bytes(&self) -> usize {
        self.0.max_bytes
    }

    /// What its entries take now, in bytes, as the JVM counts them.
    pub fn bytes(&self) -> usize {
        self.0.bytes.get()
    }

    /// Calls `probe` whenever a store of the thread has spilled rows, as a step outgrew its memory (rule S1).
    pub fn on_spill(&self, probe: impl Fn() + 'static) {
        self.0.memory.set_on_spill(Rc::new(probe));
    }

    pub(crate) fn memory(&self) -> &RowMemory {
        &self.0.memory
    }

    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.0.bytes.get() > self.0.max_bytes
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        self.0.bytes.get() + bytes <= self.0.max_bytes
    }

    /// Stops counting an evicted entry.
    pub(crate) fn release(&self, bytes: usize) {
        self.subtract(bytes);
    }

    fn add(&self, bytes: usize) {
        self.0.bytes.set(self.0.bytes.get() + bytes);
    }

    fn subtract(&self, bytes: usize) {
        self.0.bytes.set(self.0.bytes.get().saturating_sub(bytes));
    }
}

impl Default for ThreadCache {
    fn default() -> Self {
        ThreadCache::new(0)
    }
}

/// The dirty cache of one store.
#[derive(Debug)]
pub(crate) struct StoreCache {
    thread: ThreadCache,
    entries: Entries,
    free: Vec<SlotId>,
    index: HashTable<SlotId>,
    hasher: FixedState,
    by_use: Chain,
    by_write: Chain,
    dirty_order: LazyOrder,
    generation: u64,
}

#[derive(Debug, Default)]
struct Entries(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    key: Key,
    value: Value,
    present: bool,
    dirty: bool,
    /// Bytes as the JVM counts them.
    size: usize,
    context: RecordContext,
}

/// An update on its way out of the cache.
#[derive(Debug)]
pub(crate) struct DirtyEntry {
    pub(crate) key: Key,
    pub(crate) value: Option<Value>,
    pub(crate) context: RecordContext,
}

/// What [`evict`](StoreCache::evict) removed.
#[derive(Debug)]
pub(crate) enum Evicted {
    /// Nothing: the cache is empty.
    Nothing,
    /// An entry that is below as well.
    Clean,
    /// An update: it is to be flushed, and all others after it. Its bytes count until [`ThreadCache::release`] is called
    /// with them.
    Dirty(DirtyEntry, usize),
}

/// Bytes of an entry besides its key: the JVM's node with three references.
const NODE_SIZE: usize = 24;
/// Bytes of a value besides itself and the record's topic: dirty flag, timestamp, offset, partition.
const CONTEXT_SIZE: usize = 1 + 8 + 8 + 4;

impl StoreCache {
    pub(crate) fn new(thread: ThreadCache) -> Self {
        StoreCache {
            thread,
            entries: Entries::default(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: FixedState::default(),
            by_use: Chain::default(),
            by_write: Chain::default(),
            dirty_order: LazyOrder::default(),
            generation: 0,
        }
    }

    /// Changes when a slot may have been given to another entry.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The entry of `key`, which thereby becomes the most recently used.
    pub(crate) fn find(&mut self, key: &[u8]) -> Option<SlotId> {
        let slot = self.peek(self.hasher.hash_one(key), key)?;
        self.touch(slot);
        Some(slot)
    }

    #[inline]
    pub(crate) fn value(&self, slot: SlotId) -> Option<&[u8]> {
        let entry = &self.entries.0[slot as usize];
        entry.present.then_some(&entry.value[..])
    }

    /// What is known of a row, which is not used thereby: `Some(None)` is a deletion, `None` nothing.
    pub(crate) fn peek_value(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.peek(self.hasher.hash_one(key), key).map(|slot| self.value(slot))
    }

    /// Sets an entry that is to be flushed later, with the record that caused it.
    pub(crate) fn put(&mut self, key: &[u8], value: Option<&[u8]>, context: &RecordContext) {
        let hash = self.hasher.hash_one(key);
        match self.peek(hash, key) {
            Some(slot) => {
                self.touch(slot);
                self.write(slot, value, context);
            }
            None => {
                let slot = self.insert(hash, key);
                self.write(slot, value, context);
            }
        }
    }

    /// Sets the entry in a slot that [`find`](StoreCache::find) returned.
    pub(crate) fn write(&mut self, slot: SlotId, value: Option<&[u8]>, context: &RecordContext) {
        let entry = &mut self.entries.0[slot as usize];
        let before = entry.size;
        entry.set(value);
        entry.context.partition = context.partition;
        entry.context.offset = context.offset;
        entry.context.timestamp = context.timestamp;
        // Most updates of a key come from one topic: telling that is cheaper than counting references up and down.
        let same_topic = match (&entry.context.topic, &context.topic) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (old, new) => old.is_none() && new.is_none(),
        };
        if !same_topic {
            entry.context.topic.clone_from(&context.topic);
        }
        if !entry.context.headers.is_empty() || !context.headers.is_empty() {
            entry.context.headers = context.headers.clone();
        }
        entry.size = entry.count();
        self.thread.subtract(before);
        self.thread.add(entry.size);
        if entry.dirty {
            self.by_write.unlink(slot);
        } else {
            entry.dirty = true;
            self.dirty_order.push(&entry.key, slot);
        }
        self.by_write.push(slot);
    }

    /// Keeps what was read below.
    pub(crate) fn put_clean(&mut self, key: &[u8], value: &[u8]) {
        let slot = self.insert(self.hasher.hash_one(key), key);
        let entry = &mut self.entries.0[slot as usize];
        let before = entry.size;
        entry.set(Some(value));
        entry.size = entry.count();
        self.thread.subtract(before);
        self.thread.add(entry.size);
    }

    /// Keeps what was read below if that needs no flush; false if it was not kept.
    pub(crate) fn put_clean_if_room(&mut self, key: &[u8], value: &[u8]) -> bool {
        let size = key.len() + NODE_SIZE + value.len() + CONTEXT_SIZE;
        while !self.thread.has_room_for(size) {
            match self.by_use.oldest() {
                Some(eldest) if !self.entries.0[eldest as usize].dirty => self.remove(eldest),
                _ => return false,
            }
        }
        self.put_clean(key, value);
        true
    }

    /// Removes the entry that was not used for the longest time.
    pub(crate) fn evict(&mut self) -> Evicted {
        let Some(eldest) = self.by_use.oldest() else { return Evicted::Nothing };
        if !self.entries.0[eldest as usize].dirty {
            self.remove(eldest);
            return Evicted::Clean;
        }
        let size = std::mem::take(&mut self.entries.0[eldest as usize].size);
        let entry = self.entries.0[eldest as usize].take_dirty();
        self.by_write.unlink(eldest);
        // The order of keys still names the slot; the flush that follows at once clears it.
        self.remove_taken(eldest, &entry.key);
        Evicted::Dirty(entry, size)
    }

    /// Appends all updates to `out` in the order of their last write, and marks them clean.
    pub(crate) fn take_dirty(&mut self, out: &mut Vec<DirtyEntry>) {
        let mut next = self.by_write.oldest();
        while let Some(slot) = next {
            next = self.by_write.newer_than(slot);
            let entry = &mut self.entries.0[slot as usize];
            entry.dirty = false;
            let value = entry.present.then(|| entry.value.clone());
            out.push(DirtyEntry { key: entry.key.clone(), value, context: entry.context.clone() });
        }
        self.by_write.clear();
        self.dirty_order.clear();
    }

    /// Removes the entry of a deletion that was flushed.
    pub(crate) fn remove_flushed_deletion(&mut self, key: &[u8]) {
        if let Some(slot) = self.peek(self.hasher.hash_one(key), key) {
            let entry = &self.entries.0[slot as usize];
            if !entry.dirty && !entry.present {
                self.remove(slot);
            }
        }
    }

    pub(crate) fn has_dirty(&self) -> bool {
        self.by_write.oldest().is_some()
    }

    /// Makes [`dirty`](StoreCache::dirty) possible.
    pub(crate) fn settle(&mut self) {
        self.dirty_order.settle(&self.entries);
    }

    /// The updates within `range`, in `order`.
    pub(crate) fn dirty(
        &self,
        range: KeyRange<'_>,
        order: Order,
    ) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> + use<'_> {
        self.dirty_order.walk(&self.entries, range, order).map(|slot| {
            let entry = &self.entries.0[slot as usize];
            (&entry.key[..], entry.present.then_some(&entry.value[..]))
        })
    }

    /// Forgets all entries, flushed or not.
    pub(crate) fn clear(&mut self) {
        let mut next = self.by_use.oldest();
        while let Some(slot) = next {
            self.thread.subtract(self.entries.0[slot as usize].size);
            next = self.by_use.newer_than(slot);
        }
        self.entries.0.clear();
        self.free.clear();
        self.index.clear();
        self.by_use.clear();
        self.by_write.clear();
        self.dirty_order.clear();
        self.generation += 1;
    }

    #[inline]
    fn peek(&self, hash: u64, key: &[u8]) -> Option<SlotId> {
        self.index.find(hash, |slot| self.entries.key_of(*slot) == key).copied()
    }

    #[inline]
    fn touch(&mut self, slot: SlotId) {
        if self.by_use.newest() != Some(slot) {
            self.by_use.unlink(slot);
            self.by_use.push(slot);
        }
    }

    /// Adds a clean deletion for a key that has no entry; the caller sets it.
    fn insert(&mut self, hash: u64, key: &[u8]) -> SlotId {
        let mut entry = Entry {
            key: Key::from_slice(key),
            value: Value::new(),
            present: false,
            dirty: false,
            size: 0,
            context: RecordContext::none(-1),
        };
        entry.size = entry.count();
        self.thread.add(entry.size);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries.0[slot as usize] = entry;
                slot
            }
            None => {
                self.entries.0.push(entry);
                (self.entries.0.len() - 1) as SlotId
            }
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.index.insert_unique(hash, slot, |slot| hasher.hash_one(entries.key_of(*slot)));
        self.by_use.push(slot);
        slot
    }

    /// Removes a clean entry.
    fn remove(&mut self, slot: SlotId) {
        let key = std::mem::take(&mut self.entries.0[slot as usize].key);
        self.remove_taken(slot, &key);
    }

    fn remove_taken(&mut self, slot: SlotId, key: &[u8]) {
        if let Ok(found) = self.index.find_entry(self.hasher.hash_one(key), |candidate| *candidate == slot) {
            found.remove();
        }
        self.by_use.unlink(slot);
        let entry = &mut self.entries.0[slot as usize];
        self.thread.subtract(entry.size);
        entry.value = Value::new();
        entry.context = RecordContext::none(-1);
        entry.size = 0;
        self.free.push(slot);
        self.generation += 1;
    }
}

impl Drop for StoreCache {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Keyed for Entries {
    #[inline]
    fn key_of(&self, slot: SlotId) -> &[u8] {
        &self.0[slot as usize].key
    }
}

impl Entry {
    fn set(&mut self, value: Option<&[u8]>) {
        self.value.clear();
        self.value.extend_from_slice(value.unwrap_or_default());
        self.present = value.is_some();
    }

    /// Bytes as `LRUNode.size` of the JVM counts them; its strings count one byte a UTF-16 unit.
    fn count(&self) -> usize {
        let units = |text: &str| if text.is_ascii() { text.len() } else { text.encode_utf16().count() };
        let topic = self.context.topic.as_ref().map_or(0, |topic| units(topic));
        let headers = self.context.headers.iter();
        let headers: usize = headers.map(|h| units(&h.key) + h.value.as_ref().map_or(0, Vec::len)).sum();
        self.key.len() + NODE_SIZE + self.value.len() + CONTEXT_SIZE + topic + headers
    }

    fn take_dirty(&mut self) -> DirtyEntry {
        self.dirty = false;
        DirtyEntry {
            key: std::mem::take(&mut self.key),
            value: self.present.then(|| std::mem::take(&mut self.value)),
            context: std::mem::replace(&mut self.context, RecordContext::none(-1)),
        }
    }
}

/// A doubly linked list of slots. The links lie close together, apart from the entries: relinking a slot touches its
/// neighbours, which are anywhere.
#[derive(Debug)]
struct Chain {
    links: Vec<Link>,
    ends: Link,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    older: SlotId,
    newer: SlotId,
}

/// Neither slot: the end of a chain.
const END: SlotId = SlotId::MAX;

impl Default for Chain {
    fn default() -> Self {
        Chain { links: Vec::new(), ends: Link { older: END, newer: END } }
    }
}

impl Chain {
    fn oldest(&self) -> Option<SlotId> {
        (self.ends.older != END).then_some(self.ends.older)
    }

    fn newest(&self) -> Option<SlotId> {
        (self.ends.newer != END).then_some(self.ends.newer)
    }

    fn newer_than(&self, slot: SlotId) -> Option<SlotId> {
        let newer = self.links[slot as usize].newer;
        (newer != END).then_some(newer)
    }

    /// Links of slots that are in no chain may stay as they are: they are written when a slot is appended. To make them
    /// anew would cost as much as the whole cache, with every flush.
    fn clear(&mut self) {
        self.ends = Link { older: END, newer: END };
    }

    /// Appends a slot as the newest.
    fn push(&mut self, slot: SlotId) {
        let newest = std::mem::replace(&mut self.ends.newer, slot);
        if self.links.len() <= slot as usize {
            self.links.resize(slot as usize + 1, Link { older: END, newer: END });
        }
        self.links[slot as usize] = Link { older: newest, newer: END };
        match self.links.get_mut(newest as usize) {
            Some(link) => link.newer = slot,
            None => self.ends.older = slot,
        }
    }

    fn unlink(&mut self, slot: SlotId) {
        let Link { older, newer } = self.links[slot as usize];
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = newer,
            None => self.ends.older = newer,
        }
        match self.links.get_mut(newer as usize) {
            Some(link) => link.older = older,
            None => self.ends.newer = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_streams_core::Headers;

    use super::*;

    fn context(offset: i64) -> RecordContext {
        RecordContext { topic: Some("topic".into()), partition: 0, offset, ..RecordContext::none(10 * offset) }
    }

    fn keys(entries: &[DirtyEntry]) -> Vec<&[u8]> {
        entries.iter().map(|entry| &entry.key[..]).collect()
    }

    #[test]
    fn s1_sizes_are_counted_as_on_the_jvm() {
        // NamedCacheTest of the JVM: key + 24 for the node, value + 1 + 8 + 8 + 4, and the topic's characters.
        let thread = ThreadCache::new(1000);
        let mut cache = StoreCache::new(thread.clone());
        cache.put(b"key", Some(b"value"), &context(0));
        assert_eq!(thread.bytes(), 3 + 24 + 5 + 21 + 5);
        cache.put(b"key", None, &context(1));
        assert_eq!(thread.bytes(), 3 + 24 + 21 + 5);
        cache.put_clean(b"other", b"v");
        assert_eq!(thread.bytes(), 3 + 24 + 21 + 5 + 5 + 24 + 1 + 21);
        // ProcessorRecordContext.residentMemorySizeEstimate: UTF-16 units of header keys, bytes of their values; null topics
        // and null header values are nothing.
        let mut headers = Headers::new();
        headers.add("k\u{e4}\u{1F9C0}", Some(vec![1, 2]));
        headers.add("x", None);
        let context = RecordContext { headers, topic: None, ..context(2) };
        cache.put(b"other", Some(b"v"), &context);
        assert_eq!(thread.bytes(), 3 + 24 + 21 + 5 + 5 + 24 + 1 + 21 + 4 + 2 + 1);
        drop(cache);
        assert_eq!(thread.bytes(), 0);
    }

    #[test]
    fn s1_dirty_entries_come_out_in_the_order_of_their_last_write() {
        let mut cache = StoreCache::new(ThreadCache::new(1000));
        for (offset, key) in [b"b", b"a", b"c", b"b"].into_iter().enumerate() {
            cache.put(key, Some(b"v"), &context(offset as i64));
        }
        let mut dirty = Vec::new();
        cache.take_dirty(&mut dirty);
        assert_eq!(keys(&dirty), [b"a", b"c", b"b"]);
        assert_eq!(dirty.iter().map(|entry| entry.context.offset).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(!cache.has_dirty());
        assert!(cache.find(b"a").is_some(), "flushed entries stay, clean");
    }

    #[test]
    fn the_least_recently_used_entry_is_evicted_first() {
        let mut cache = StoreCache::new(ThreadCache::new(1000));
        cache.put_clean(b"clean", b"v");
        cache.put(b"a", Some(b"1"), &context(0));
        cache.put(b"b", Some(b"2"), &context(1));
        assert!(cache.find(b"a").is_some());
        assert!(matches!(cache.evict(), Evicted::Clean));
        let Evicted::Dirty(evicted, size) = cache.evict() else { panic!("dirty") };
        assert_eq!((&evicted.key[..], evicted.context.offset, size), (&b"b"[..], 1, 1 + 24 + 1 + 21 + 5));
        let mut rest = Vec::new();
        cache.take_dirty(&mut rest);
        assert_eq!(keys(&rest), [b"a"]);
        assert!(matches!(cache.evict(), Evicted::Clean));
        assert!(matches!(cache.evict(), Evicted::Nothing));
    }
}
