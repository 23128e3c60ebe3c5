//! How the rows of a table are read by a node that is not the table's own, such as a join.
//!
//! A table without a store is read through the table that it is derived from (`KTableValueGetterSupplier` of the JVM).

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Failure, Step};
use kafka_streams_state::{TimestampedKeyValueStore, TimestampedWindowStore, ValueAndTimestamp, Windowed};
use kafka_streams_topology::{StoreIndex, Wiring};

use crate::lower::StoreSlot;

/// Reads the row of a key, in one task.
pub(crate) type Getter<K, V> = Rc<dyn Fn(&K) -> Step<Option<ValueAndTimestamp<V>>>>;

/// Makes a [`Getter`] in each task.
pub(crate) struct View<K, V>(Arc<dyn Readable<K, V>>);

trait Readable<K, V>: Send + Sync {
    /// The store that is read in the end; `None` before the topology is written.
    fn store(&self) -> Option<StoreIndex>;

    fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<K, V>>;
}

impl<K: 'static, V: 'static> View<K, V> {
    /// Reads a table's own store.
    pub(crate) fn of_store(slot: StoreSlot<TimestampedKeyValueStore<K, V>>) -> Self {
        View(Arc::new(slot))
    }

    /// Reads a table that is derived from another by `f`: its own store if it has one, else the other table.
    pub(crate) fn derived<V1: 'static>(
        parent: View<K, V1>,
        f: impl Fn(&K, V1) -> Option<V> + Send + Sync + 'static,
        slot: StoreSlot<TimestampedKeyValueStore<K, V>>,
    ) -> Self {
        View(Arc::new(Derived { parent, f: Arc::new(f), slot }))
    }

    /// The store that is read in the end; `None` before the topology is written.
    pub(crate) fn store(&self) -> Option<StoreIndex> {
        self.0.store()
    }

    /// The getter of one task.
    pub(crate) fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<K, V>> {
        self.0.open(wiring)
    }
}

impl<K: 'static, V: 'static> View<Windowed<K>, V> {
    /// Reads the store of a windowed table.
    pub(crate) fn of_window_store(slot: StoreSlot<TimestampedWindowStore<K, V>>) -> Self {
        View(Arc::new(slot))
    }
}

impl<K, V> Clone for View<K, V> {
    fn clone(&self) -> Self {
        View(self.0.clone())
    }
}

impl<K: 'static, V: 'static> Readable<K, V> for StoreSlot<TimestampedKeyValueStore<K, V>> {
    fn store(&self) -> Option<StoreIndex> {
        self.get().map(|store| store.index())
    }

    fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<K, V>> {
        let store = wiring.store(*self.get().ok_or_else(no_store)?)?;
        Ok(Rc::new(move |key| store.get(key)))
    }
}

impl<K: 'static, V: 'static> Readable<Windowed<K>, V> for StoreSlot<TimestampedWindowStore<K, V>> {
    fn store(&self) -> Option<StoreIndex> {
        self.get().map(|store| store.index())
    }

    fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<Windowed<K>, V>> {
        let store = wiring.store(*self.get().ok_or_else(no_store)?)?;
        Ok(Rc::new(move |windowed| store.fetch(&windowed.key, windowed.window.start)))
    }
}

struct Derived<K, V1, V, F> {
    parent: View<K, V1>,
    f: Arc<F>,
    slot: StoreSlot<TimestampedKeyValueStore<K, V>>,
}

impl<K, V1, V, F> Readable<K, V> for Derived<K, V1, V, F>
where
    K: 'static,
    V1: 'static,
    V: 'static,
    F: Fn(&K, V1) -> Option<V> + Send + Sync + 'static,
{
    fn store(&self) -> Option<StoreIndex> {
        self.slot.store().or_else(|| self.parent.store())
    }

    fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<K, V>> {
        if self.slot.get().is_some() {
            return self.slot.open(wiring);
        }
        let (parent, f) = (self.parent.open(wiring)?, self.f.clone());
        Ok(Rc::new(move |key| {
            let Some(ValueAndTimestamp { value, timestamp }) = parent(key)? else { return Ok(None) };
            Ok(f(key, value).map(|value| ValueAndTimestamp::new(value, timestamp)))
        }))
    }
}

fn no_store() -> Failure {
    Failure::bug("a table is read that has no store")
}
