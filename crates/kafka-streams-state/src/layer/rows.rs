//! Layers 2 to 4 of a store: uncommitted rows, and clean copies of spilled and committed ones, over the back-end.
//!
//! All rows in memory are found by one hash index; a row is uncommitted or clean by a mark, so a commit moves nothing, nor
//! does a spill. Clean rows are given up in the order of a clock (second chance) when the thread's share of memory is used
//! up.

use std::cell::RefCell;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use kafka_streams_core::Timestamp;
use smallvec::SmallVec;

use super::merge::merge;
use super::order::{Keyed, LazyOrder, SlotId};
use super::recent::Recent;
use crate::budget::{Reclaim, RowMemory};
use crate::{BatchSource, CommitBatch, KeyRange, Order, StoreBackend, StoreError, StorePosition, Uncommitted};

/// Keys up to 32 bytes lie within their slot.
pub(crate) type Key = SmallVec<[u8; 32]>;
/// Values up to 24 bytes lie within their slot.
pub(crate) type Value = SmallVec<[u8; 24]>;

pub(crate) struct Rows {
    backend: Arc<dyn StoreBackend>,
    memory: RowMemory,
    slots: Slots,
    free: Vec<SlotId>,
    index: HashTable<SlotId>,
    hasher: FixedState,
    dirty: LazyOrder,
    dirty_bytes: usize,
    clean: usize,
    hand: usize,
    generation: u64,
    /// Whether the back-end has uncommitted rows, and about how many.
    has_spill: bool,
    spilled: usize,
    /// For windows and sessions that are found by their keys alone.
    recent: Option<Recent>,
}

#[derive(Default)]
struct Slots(Vec<Slot>);

struct Slot {
    key: Key,
    value: Value,
    present: bool,
    state: State,
    used: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Clean,
    Dirty,
}

/// What a commit changes besides the rows.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    /// Ranges to delete first.
    pub(crate) deleted_ranges: Vec<(Vec<u8>, Vec<u8>)>,
    /// Uncommitted rows below this key have expired and are not written.
    pub(crate) floor: Option<Vec<u8>>,
    /// A row that sorts behind all others.
    pub(crate) last_row: Option<(Vec<u8>, Vec<u8>)>,
}

/// Memory of a row besides keys and values that do not fit into it: slot, index and order.
const ROW_OVERHEAD: usize = size_of::<Slot>() + 48;

impl Rows {
    pub(crate) fn new(backend: Arc<dyn StoreBackend>, memory: RowMemory, recent: Option<Recent>) -> Self {
        Rows {
            backend,
            memory,
            slots: Slots::default(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: FixedState::default(),
            dirty: LazyOrder::default(),
            dirty_bytes: 0,
            clean: 0,
            hand: 0,
            generation: 0,
            has_spill: false,
            spilled: 0,
            recent,
        }
    }

    /// Changes when a slot may have been given to another row.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The slot of `key`, read from the back-end if it is not in memory. A missing row has a slot, too.
    pub(crate) fn load(&mut self, key: &[u8]) -> Result<SlotId, StoreError> {
        let hash = self.hasher.hash_one(key);
        if let Some(slot) = self.find(hash, key) {
            self.slots.0[slot as usize].used = true;
            return Ok(slot);
        }
        let mut value = Value::new();
        let mut present = false;
        let read = &mut |bytes: &[u8]| {
            value = Value::from_slice(bytes);
            present = true;
        };
        if self.has_spill {
            self.backend.get_with_spill(key, read)?
        } else {
            self.backend.get(key, read)?
        }
        Ok(self.insert(hash, key, value, present))
    }

    /// The value in a slot.
    #[inline]
    pub(crate) fn value(&self, slot: SlotId) -> Option<&[u8]> {
        let slot = &self.slots.0[slot as usize];
        slot.present.then_some(&slot.value[..])
    }

    /// Sets a row; `None` deletes it.
    pub(crate) fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        let hash = self.hasher.hash_one(key);
        let slot = match self.find(hash, key) {
            Some(slot) => slot,
            None => self.insert(hash, key, Value::new(), false),
        };
        self.write(slot, value);
    }

    /// Sets the row in a slot; `None` deletes it.
    #[inline]
    pub(crate) fn write(&mut self, id: SlotId, value: Option<&[u8]>) {
        let slot = &mut self.slots.0[id as usize];
        let before = slot.bytes();
        slot.value.clear();
        slot.value.extend_from_slice(value.unwrap_or_default());
        slot.present = value.is_some();
        slot.used = true;
        let after = slot.bytes();
        if before != after {
            self.memory.subtract(before);
            self.memory.add(after);
        }
        if slot.state == State::Dirty {
            if before != after {
                self.memory.subtract_uncommitted(before);
                self.memory.add_uncommitted(after);
                self.dirty_bytes = self.dirty_bytes.saturating_sub(before) + after;
            }
        } else {
            slot.state = State::Dirty;
            self.clean -= 1;
            self.dirty.push(&slot.key, id);
            self.dirty_bytes += after;
            self.memory.add_uncommitted(after);
        }
    }

    /// Visits the rows of `range`, uncommitted ones before committed ones of the same key.
    pub(crate) fn scan(
        &mut self,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let below = |visit: &mut dyn FnMut(&[u8], &[u8]) -> bool| match self.has_spill {
            true => self.backend.scan_with_spill(range, order, visit),
            false => self.backend.scan(range, order, visit),
        };
        if self.dirty.len() == 0 {
            return below(visit);
        }
        self.dirty.settle(&self.slots);
        let slots = &self.slots;
        let mut dirty = self.dirty.walk(slots, range, order).map(|slot| slots.row(slot));
        merge(&mut dirty, order, below, visit)
    }

    /// As [`scan`](Rows::scan), of rows whose keys begin with `of_key` and go on with a time later than `after`: from
    /// memory, if that has all of them, given that the back-end had nothing later than `after` in the beginning. False if
    /// it has not.
    pub(crate) fn scan_recent(
        &mut self,
        of_key: &[u8],
        range: KeyRange<'_>,
        order: Order,
        after: Timestamp,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> bool {
        let Some(recent) = &mut self.recent else { return false };
        let time = range.from.and_then(|from| from.get(of_key.len()..)?.first_chunk().copied());
        if time.is_none_or(|time| Timestamp::from_be_bytes(time) <= after.max(recent.given_up_until())) {
            return false;
        }
        if !recent.is_indexed() {
            recent.begin();
            for id in self.slots.used() {
                self.memory.add(recent.add(id, &self.slots));
            }
        }
        for slot in recent.walk(of_key, range, order, &self.slots) {
            if let (key, Some(value)) = self.slots.row(slot)
                && !visit(key, value)
            {
                break;
            }
        }
        true
    }

    pub(crate) fn uncommitted(&self) -> Uncommitted {
        Uncommitted { rows: self.dirty.len() + self.spilled, bytes: self.dirty_bytes }
    }

    /// Hands the uncommitted rows to the back-end as its spill, if the thread's uncommitted rows take too much memory. They
    /// stay uncommitted, and nothing changes on error.
    pub(crate) fn spill_if_wanted(&mut self) -> Result<(), StoreError> {
        if !self.memory.wants_spill(self.dirty_bytes) || !self.backend.can_spill() {
            return Ok(());
        }
        self.dirty.sort(&self.slots);
        let slots = &self.slots;
        // Before the attempt: one that fails may have left rows behind, to be forgotten with the others.
        self.has_spill = true;
        self.backend.spill(&mut self.dirty.sorted().map(|slot| slots.row(slot)))?;
        self.spilled += self.dirty.len();
        let mut spilled = self.take_clean();
        spilled.clear();
        self.dirty = spilled; // keeps its memory
        self.make_room();
        self.memory.spilled();
        Ok(())
    }

    /// Writes what is uncommitted, spilled rows included, as one batch; afterwards it is clean. Nothing changes on error.
    pub(crate) fn commit(&mut self, expiry: &Expiry, position: &StorePosition) -> Result<(), StoreError> {
        let floor = expiry.floor.as_deref().unwrap_or_default();
        self.dirty.sort(&self.slots);
        let slots = &self.slots;
        let last_row = expiry.last_row.iter().map(|(key, value)| (&key[..], Some(&value[..])));
        let alive = self.dirty.sorted().map(|slot| slots.row(slot)).filter(|(key, _)| *key >= floor);
        self.backend.commit(CommitBatch {
            deleted_ranges: &expiry.deleted_ranges,
            rows: &mut alive.chain(last_row),
            position,
            source: BatchSource::Processing,
        })?;
        (self.has_spill, self.spilled) = (false, 0);
        let mut committed = self.take_clean();
        let expired = committed.sorted().take_while(|id| self.slots.key_of(*id) < floor).count();
        for id in committed.sorted().take(expired) {
            self.remove(id);
        }
        committed.clear();
        self.dirty = committed; // keeps its memory
        self.make_room();
        self.memory.publish();
        Ok(())
    }

    /// Marks the uncommitted rows in memory as clean and returns them, sorted.
    fn take_clean(&mut self) -> LazyOrder {
        let dirty = std::mem::take(&mut self.dirty);
        self.clean += dirty.len();
        self.memory.subtract_uncommitted(self.dirty_bytes);
        self.dirty_bytes = 0;
        for id in dirty.sorted() {
            self.slots.0[id as usize].state = State::Clean;
        }
        dirty
    }

    /// Forgets all rows in memory, uncommitted and clean, and the spill.
    pub(crate) fn forget(&mut self) {
        if self.has_spill {
            self.backend.drop_spill();
            (self.has_spill, self.spilled) = (false, 0);
        }
        let bytes: usize = self.slots.0.iter().filter(|slot| slot.state != State::Free).map(Slot::bytes).sum();
        self.memory.subtract(bytes + self.recent.as_mut().map_or(0, Recent::forget));
        self.memory.subtract_uncommitted(self.dirty_bytes);
        self.slots.0.clear();
        self.free.clear();
        self.index.clear();
        self.dirty.clear();
        self.dirty_bytes = 0;
        self.clean = 0;
        self.hand = 0;
        self.generation += 1;
    }

    #[inline]
    fn find(&self, hash: u64, key: &[u8]) -> Option<SlotId> {
        self.index.find(hash, |slot| self.slots.key_of(*slot) == key).copied()
    }

    /// Adds a clean row for a key that has none.
    fn insert(&mut self, hash: u64, key: &[u8], value: Value, present: bool) -> SlotId {
        self.make_room();
        let slot = Slot { key: Key::from_slice(key), value, present, state: State::Clean, used: true };
        self.memory.add(slot.bytes());
        self.clean += 1;
        let id = match self.free.pop() {
            Some(id) => {
                self.slots.0[id as usize] = slot;
                id
            }
            None => {
                self.slots.0.push(slot);
                (self.slots.0.len() - 1) as SlotId
            }
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, id, |slot| hasher.hash_one(slots.key_of(*slot)));
        if let Some(recent) = &mut self.recent {
            self.memory.add(recent.add(id, slots));
        }
        id
    }

    /// Gives up clean rows until the thread's share is kept.
    #[inline]
    fn make_room(&mut self) {
        if self.memory.excess() > 0 {
            self.evict(self.memory.excess());
            if self.memory.excess() > 0 {
                let memory = self.memory.clone();
                memory.reclaim_from_others();
            }
        }
    }

    /// Gives up clean rows of `bytes` bytes, if it is not mostly uncommitted rows that would have to be stepped over.
    #[cold]
    fn evict(&mut self, bytes: usize) -> usize {
        let mut freed = 0;
        let mut steps = 2 * self.slots.0.len();
        while freed < bytes && steps > 0 && self.clean > self.dirty.len() / 8 {
            steps -= 1;
            self.hand = if self.hand + 1 < self.slots.0.len() { self.hand + 1 } else { 0 };
            let Some(slot) = self.slots.0.get_mut(self.hand) else { break };
            match slot.state {
                State::Clean if slot.used => slot.used = false,
                State::Clean => {
                    freed += slot.bytes();
                    self.remove(self.hand as SlotId);
                }
                State::Free | State::Dirty => {}
            }
        }
        freed
    }

    /// Removes a clean row from memory.
    fn remove(&mut self, id: SlotId) {
        let hash = self.hasher.hash_one(self.slots.key_of(id));
        if let Ok(entry) = self.index.find_entry(hash, |slot| *slot == id) {
            entry.remove();
        }
        if let Some(recent) = &mut self.recent {
            self.memory.subtract(recent.give_up(id, &self.slots));
        }
        let slot = &mut self.slots.0[id as usize];
        self.memory.subtract(slot.bytes());
        *slot = Slot { key: Key::new(), value: Value::new(), present: false, state: State::Free, used: false };
        self.clean -= 1;
        self.free.push(id);
        self.generation += 1;
    }
}

impl Reclaim for RefCell<Rows> {
    fn reclaim(&self, bytes: usize) -> usize {
        self.try_borrow_mut().map_or(0, |mut rows| rows.evict(bytes))
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.forget();
        self.memory.publish();
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("uncommitted", &self.uncommitted()).field("clean", &self.clean).finish()
    }
}

impl Keyed for Slots {
    #[inline]
    fn key_of(&self, slot: SlotId) -> &[u8] {
        &self.0[slot as usize].key
    }
}

impl Slots {
    /// The slots that have a row.
    fn used(&self) -> impl Iterator<Item = SlotId> {
        self.0.iter().zip(0..).filter(|(slot, _)| slot.state != State::Free).map(|(_, id)| id)
    }

    #[inline]
    fn row(&self, slot: SlotId) -> (&[u8], Option<&[u8]>) {
        let slot = &self.0[slot as usize];
        (&slot.key, slot.present.then_some(&slot.value[..]))
    }
}

impl Slot {
    #[inline]
    fn bytes(&self) -> usize {
        let outside = |spilled: bool, capacity: usize| if spilled { capacity } else { 0 };
        ROW_OVERHEAD
            + outside(self.key.spilled(), self.key.capacity())
            + outside(self.value.spilled(), self.value.capacity())
    }
}
