//! Which rows of a bounded store were not used for the longest time (`MemoryLRUCache` of the JVM).

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::rows::Key;
use crate::backend::StoreBackend;
use crate::{KeyRange, Order, StoreError};

/// The order of use of a store's rows.
#[derive(Debug)]
pub(crate) struct Lru {
    max_rows: usize,
    used: RefCell<Used>,
}

#[derive(Debug, Default)]
struct Used {
    loaded: bool,
    clock: u64,
    by_use: BTreeMap<u64, Key>,
    times: BTreeMap<Key, u64>,
}

impl Lru {
    /// For a store of up to so many rows.
    pub(crate) fn new(max_rows: usize) -> Self {
        Lru { max_rows, used: RefCell::default() }
    }

    /// Notes a use of a row that exists.
    pub(crate) fn touch(&self, key: &[u8], backend: &dyn StoreBackend) -> Result<(), StoreError> {
        self.used.borrow_mut().loaded(backend)?.touch(key);
        Ok(())
    }

    /// Notes that a row was deleted.
    pub(crate) fn remove(&self, key: &[u8], backend: &dyn StoreBackend) -> Result<(), StoreError> {
        self.used.borrow_mut().loaded(backend)?.remove(key);
        Ok(())
    }

    /// Removes the row that was not used for the longest time, if there are too many.
    pub(crate) fn evict(&self) -> Option<Key> {
        let mut used = self.used.borrow_mut();
        if used.times.len() <= self.max_rows {
            return None;
        }
        let (_, key) = used.by_use.pop_first()?;
        used.times.remove(&key);
        Some(key)
    }

    /// Forgets the order: the rows are those of the last commit again.
    pub(crate) fn forget(&self) {
        *self.used.borrow_mut() = Used::default();
    }
}

impl Used {
    /// Takes over what was committed, in the order of its keys; done at the first use, as a restore comes before.
    fn loaded(&mut self, backend: &dyn StoreBackend) -> Result<&mut Self, StoreError> {
        if !self.loaded {
            backend.scan(KeyRange::default(), Order::Ascending, &mut |key, _| {
                self.touch(key);
                true
            })?;
            self.loaded = true;
        }
        Ok(self)
    }

    fn touch(&mut self, key: &[u8]) {
        self.remove(key);
        self.clock += 1;
        self.by_use.insert(self.clock, Key::from_slice(key));
        self.times.insert(Key::from_slice(key), self.clock);
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(time) = self.times.remove(&Key::from_slice(key)) {
            self.by_use.remove(&time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InMemoryBackend;

    #[test]
    fn the_row_that_was_not_used_for_the_longest_time_goes() {
        let (lru, backend) = (Lru::new(2), InMemoryBackend::default());
        for key in [b"a", b"b", b"a", b"c"] {
            lru.touch(key, &backend).unwrap();
        }
        assert_eq!(lru.evict().as_deref(), Some(&b"b"[..]));
        assert_eq!(lru.evict(), None);
        lru.remove(b"a", &backend).unwrap();
        lru.touch(b"d", &backend).unwrap();
        assert_eq!(lru.evict(), None);
    }
}
