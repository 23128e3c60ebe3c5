//! The committed base in memory: an ordered map and its position. Always rebuilt from the changelog (rule S6).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kafka_streams_core::TaskId;

use crate::{CommitBatch, KeyRange, Order, StoreBackend, StoreBackends, StoreError, StorePosition};

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
}

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
        if range.is_empty() {
            return Ok(());
        }
        let committed = self.read();
        let mut rows = committed.rows.range::<[u8], _>(bounds(range));
        let next = || match order {
            Order::Ascending => rows.next(),
            Order::Descending => rows.next_back(),
        };
        std::iter::from_fn(next).all(|(key, value)| visit(key, value));
        Ok(())
    }

    fn approximate_rows(&self) -> Result<u64, StoreError> {
        Ok(self.read().rows.len() as u64)
    }

    fn position(&self) -> Option<StorePosition> {
        self.read().position.clone()
    }

    fn commit(&self, batch: CommitBatch<'_>) -> Result<(), StoreError> {
        let mut committed = self.write();
        for (from, to) in batch.deleted_ranges {
            let range = KeyRange { from: Some(from), to: Some(to) };
            if !range.is_empty() {
                let mut kept = committed.rows.split_off::<[u8]>(from);
                committed.rows.append(&mut kept.split_off::<[u8]>(to));
            }
        }
        for (key, value) in batch.rows {
            match (committed.rows.get_mut(key), value) {
                (Some(old), Some(new)) if old.len() == new.len() => old.copy_from_slice(new),
                (Some(old), Some(new)) => *old = new.into(),
                (None, Some(new)) => {
                    committed.rows.insert(key.into(), new.into());
                }
                (_, None) => {
                    committed.rows.remove(key);
                }
            }
        }
        committed.position = Some(batch.position.clone());
        Ok(())
    }

    fn wipe(&self) -> Result<(), StoreError> {
        *self.write() = Committed::default();
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl fmt::Debug for InMemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let committed = self.read();
        f.debug_struct("InMemoryBackend")
            .field("rows", &committed.rows.len())
            .field("position", &committed.position)
            .finish()
    }
}

fn bounds(range: KeyRange<'_>) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (range.from.map_or(Bound::Unbounded, Bound::Included), range.to.map_or(Bound::Unbounded, Bound::Excluded))
}
