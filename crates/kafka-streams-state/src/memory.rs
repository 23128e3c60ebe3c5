//! The committed base in memory: an ordered map and its position. Always rebuilt from the changelog (rule S6).
//!
//! A spill is a second map beside it, which bounds nothing: all rows of such a store are in memory anyway. It is there so
//! that the uncommitted rows of such a store do not count against the share of the thread's other stores.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kafka_streams_core::TaskId;

use crate::layer::merge::merge;
use crate::{CommitBatch, KeyRange, Order, RowIterator, StoreBackend, StoreBackends, StoreError, StorePosition};

/// Opens stores that live in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct InMemoryBackends;

impl StoreBackends for InMemoryBackends {
    fn open(&self, _task: TaskId, _name: &str) -> Result<Arc<dyn StoreBackend>, StoreError> {
        Ok(Arc::new(InMemoryBackend::default()))
    }

    fn destroy(&self, _task: TaskId, _name: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn is_persistent(&self) -> bool {
        false
    }
}

/// One store in memory.
#[derive(Default)]
pub struct InMemoryBackend(RwLock<Committed>);

#[derive(Default)]
struct Committed {
    rows: BTreeMap<Box<[u8]>, Box<[u8]>>,
    position: Option<StorePosition>,
    /// Uncommitted rows; `None` hides the row of that key.
    spill: Spill,
}

type Spill = BTreeMap<Box<[u8]>, Option<Box<[u8]>>>;

impl InMemoryBackend {
    // A panic of another thread cannot leave a batch half written: nothing of the user's runs under the lock.
    fn read(&self) -> RwLockReadGuard<'_, Committed> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Committed> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoreBackend for InMemoryBackend {
    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        if let Some(value) = self.read().rows.get(key) {
            read(value);
        }
        Ok(())
    }

    fn scan(
        &self,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        if range.is_empty() { Ok(()) } else { self.read().scan(range, order, visit) }
    }

    fn approximate_rows(&self) -> Result<u64, StoreError> {
        Ok(self.read().rows.len() as u64)
    }

    fn position(&self) -> Option<StorePosition> {
        self.read().position.clone()
    }

    fn commit(&self, batch: CommitBatch<'_>) -> Result<(), StoreError> {
        let mut committed = self.write();
        let mut spill = std::mem::take(&mut committed.spill);
        for (from, to) in batch.deleted_ranges {
            delete_range(&mut committed.rows, from, to);
            delete_range(&mut spill, from, to);
        }
        for (key, value) in &spill {
            committed.set(key, value.as_deref());
        }
        for (key, value) in batch.rows {
            committed.set(key, value);
        }
        committed.position = Some(batch.position.clone());
        Ok(())
    }

    fn can_spill(&self) -> bool {
        true
    }

    fn spill(&self, rows: RowIterator<'_, '_>) -> Result<(), StoreError> {
        self.write().spill.extend(rows.map(|(key, value)| (key.into(), value.map(Into::into))));
        Ok(())
    }

    fn get_with_spill(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        let committed = self.read();
        let value = match committed.spill.get(key) {
            Some(spilled) => spilled.as_deref(),
            None => committed.rows.get(key).map(|value| &**value),
        };
        if let Some(value) = value {
            read(value);
        }
        Ok(())
    }

    fn scan_with_spill(
        &self,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        let committed = self.read();
        let mut spilled = committed.spill.range::<[u8], _>(bounds(range));
        let mut spilled = std::iter::from_fn(|| {
            let next = if order == Order::Ascending { spilled.next() } else { spilled.next_back() };
            next.map(|(key, value)| (&**key, value.as_deref()))
        });
        merge(&mut spilled, order, |visit| committed.scan(range, order, visit), visit)
    }

    fn drop_spill(&self) {
        self.write().spill.clear();
    }

    fn wipe(&self) -> Result<(), StoreError> {
        *self.write() = Committed::default();
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Committed {
    /// Visits the rows of a range that is not empty.
    fn scan(
        &self,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let mut rows = self.rows.range::<[u8], _>(bounds(range));
        let next = || match order {
            Order::Ascending => rows.next(),
            Order::Descending => rows.next_back(),
        };
        std::iter::from_fn(next).all(|(key, value)| visit(key, value));
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: Option<&[u8]>) {
        match (self.rows.get_mut(key), value) {
            (Some(old), Some(new)) if old.len() == new.len() => old.copy_from_slice(new),
            (Some(old), Some(new)) => *old = new.into(),
            (None, Some(new)) => {
                self.rows.insert(key.into(), new.into());
            }
            (_, None) => {
                self.rows.remove(key);
            }
        }
    }
}

fn delete_range<V>(rows: &mut BTreeMap<Box<[u8]>, V>, from: &[u8], to: &[u8]) {
    if from < to {
        let mut kept = rows.split_off::<[u8]>(from);
        rows.append(&mut kept.split_off::<[u8]>(to));
    }
}

impl fmt::Debug for InMemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let committed = self.read();
        f.debug_struct("InMemoryBackend")
            .field("rows", &committed.rows.len())
            .field("position", &committed.position)
            .field("spilled", &committed.spill.len())
            .finish()
    }
}

fn bounds(range: KeyRange<'_>) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (range.from.map_or(Bound::Unbounded, Bound::Included), range.to.map_or(Bound::Unbounded, Bound::Excluded))
}
