//! How the rows of a table are read by a node that is not the table's own, such as a join.
//!
//! A table without a store is read through the table that it is derived from (`KTableValueGetterSupplier` of the JVM).

use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Failure, Step, Timestamp};
use kafka_streams_state::{
    SessionStore, SuppressBuffer, TimestampedKeyValueStore, TimestampedWindowStore, ValueAndTimestamp,
    VersionedKeyValueStore, Window, Windowed,
};
use kafka_streams_topology::{StoreIndex, Wiring};

use crate::lower::StoreSlot;

/// Reads the row of a key, in one task.
pub(crate) type Getter<K, V> = Rc<dyn Fn(&K) -> Step<Option<ValueAndTimestamp<V>>>>;

/// Reads the row that a key had at a time, in one task.
pub(crate) type AsOfGetter<K, V> = Rc<dyn Fn(&K, Timestamp) -> Step<Option<ValueAndTimestamp<V>>>>;

/// Makes a [`Getter`] in each task.
pub(crate) struct View<K, V>(Arc<dyn Readable<K, V>>);

trait Readable<K, V>: Send + Sync {
    /// The stores that are read in the end; none before the topology is written.
    fn stores(&self) -> Vec<StoreIndex>;

    fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<K, V>>;

    /// Whether the rows are kept with their versions; false before the topology is written.
    fn keeps_versions(&self) -> bool {
        false
    }

    /// `None` if the rows are not kept with their versions.
    fn open_as_of(&self, _wiring: &Wiring<'_>) -> Step<Option<AsOfGetter<K, V>>> {
        Ok(None)
    }
}

impl<K: 'static, V: 'static> View<K, V> {
    /// Reads a table's own store.
    pub(crate) fn of_store(slot: StoreSlot<TimestampedKeyValueStore<K, V>>) -> Self {
        View(Arc::new(slot))
    }

    /// Reads a table's own store of versions.
    pub(crate) fn of_versioned_store(slot: StoreSlot<VersionedKeyValueStore<K, V>>) -> Self {
        View(Arc::new(slot))
    }

    /// Reads a table that is derived from another by `f`: its own store if it has one, else the other table.
    pub(crate) fn derived<V1: 'static>(
        parent: View<K, V1>,
        f: impl Fn(&K, V1) -> Step<Option<V>> + Send + Sync + 'static,
        slot: StoreSlot<TimestampedKeyValueStore<K, V>>,
    ) -> Self {
        View(Arc::new(Derived { parent, f: Arc::new(f), slot }))
    }

    /// Reads the join of two tables: its own store if it has one, else both tables. `f` gives the result of a key's rows,
    /// of which there may be none.
    pub(crate) fn joined<V1: 'static, V2: 'static>(
        left: View<K, V1>,
        right: View<K, V2>,
        f: impl Fn(&K, Option<V1>, Option<V2>) -> Option<V> + Send + Sync + 'static,
        slot: StoreSlot<TimestampedKeyValueStore<K, V>>,
    ) -> Self {
        View(Arc::new(Joined { left, right, f: Arc::new(f), slot }))
    }

    /// [`derived`](View::derived) by a function that `f` makes in each task, of which it may tell rows that are not there,
    /// too.
    pub(crate) fn transformed<V1: 'static, F>(
        parent: View<K, V1>,
        f: impl Fn(&Wiring<'_>) -> Step<F> + Send + Sync + 'static,
        slot: StoreSlot<TimestampedKeyValueStore<K, V>>,
    ) -> Self
    where
        F: Fn(&K, Option<ValueAndTimestamp<V1>>) -> Step<Option<ValueAndTimestamp<V>>> + 'static,
    {
        View(Arc::new(Transformed { parent, f, slot }))
    }

    /// The stores that are read in the end; none before the topology is written.
    pub(crate) fn stores(&self) -> Vec<StoreIndex> {
        self.0.stores()
    }

    /// The getter of one task.
    pub(crate) fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<K, V>> {
        self.0.open(wiring)
    }

    /// Whether the rows are kept with their versions; false before the topology is written.
    pub(crate) fn keeps_versions(&self) -> bool {
        self.0.keeps_versions()
    }

    /// The getter of one task of rows as they were at a time; `None` if they are not kept with their versions.
    pub(crate) fn open_as_of(&self, wiring: &Wiring<'_>) -> Step<Option<AsOfGetter<K, V>>> {
        self.0.open_as_of(wiring)
    }
}

impl<K: 'static, V: 'static> View<Windowed<K>, V> {
    /// Reads the store of a windowed table.
    pub(crate) fn of_window_store(slot: StoreSlot<TimestampedWindowStore<K, V>>) -> Self {
        View(Arc::new(slot))
    }
}

impl<K: 'static, V: 'static> View<Windowed<K>, V> {
    /// Reads the store of a table of sessions.
    pub(crate) fn of_session_store(slot: StoreSlot<SessionStore<K, V>>) -> Self {
        View(Arc::new(slot))
    }
}

impl<K: 'static, V: 'static> View<K, V> {
    /// Reads a table whose changes wait in a buffer: of a key that waits, the row before.
    pub(crate) fn suppressed(parent: View<K, V>, buffer: StoreSlot<SuppressBuffer<K, V>>) -> Self {
        View(Arc::new(Suppressed { parent, buffer }))
    }
}

impl<K, V> Clone for View<K, V> {
    fn clone(&self) -> Self {
        View(self.0.clone())
    }
}

impl<K: 'static, V: 'static> Readable<K, V> for StoreSlot<TimestampedKeyValueStore<K, V>> {
    fn stores(&self) -> Vec<StoreIndex> {
        self.get().into_iter().map(|store| store.index()).collect()
    }

    fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<K, V>> {
        let store = wiring.store(*self.get().ok_or_else(no_store)?)?;
        Ok(Rc::new(move |key| store.get(key)))
    }
}

impl<K: 'static, V: 'static> Readable<K, V> for StoreSlot<VersionedKeyValueStore<K, V>> {
    fn stores(&self) -> Vec<StoreIndex> {
        self.get().into_iter().map(|store| store.index()).collect()
    }

    fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<K, V>> {
        let store = wiring.store(*self.get().ok_or_else(no_store)?)?;
        Ok(Rc::new(move |key| Ok(store.get(key)?.map(|row| ValueAndTimestamp::new(row.value, row.timestamp)))))
    }

    fn keeps_versions(&self) -> bool {
        true
    }

    fn open_as_of(&self, wiring: &Wiring<'_>) -> Step<Option<AsOfGetter<K, V>>> {
        let store = wiring.store(*self.get().ok_or_else(no_store)?)?;
        Ok(Some(Rc::new(move |key, time| {
            Ok(store.get_as_of(key, time)?.map(|row| ValueAndTimestamp::new(row.value, row.timestamp)))
        })))
    }
}

impl<K: 'static, V: 'static> Readable<Windowed<K>, V> for StoreSlot<TimestampedWindowStore<K, V>> {
    fn stores(&self) -> Vec<StoreIndex> {
        self.get().into_iter().map(|store| store.index()).collect()
    }

    fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<Windowed<K>, V>> {
        let store = wiring.store(*self.get().ok_or_else(no_store)?)?;
        Ok(Rc::new(move |windowed| store.fetch(&windowed.key, windowed.window.start)))
    }
}

impl<K: 'static, V: 'static> Readable<Windowed<K>, V> for StoreSlot<SessionStore<K, V>> {
    fn stores(&self) -> Vec<StoreIndex> {
        self.get().into_iter().map(|store| store.index()).collect()
    }

    fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<Windowed<K>, V>> {
        let store = wiring.store(*self.get().ok_or_else(no_store)?)?;
        Ok(Rc::new(move |session| {
            let Window { start, end } = session.window;
            let value = store.fetch_session(&session.key, start, end)?;
            Ok(value.map(|value| ValueAndTimestamp::new(value, end)))
        }))
    }
}

struct Suppressed<K, V> {
    parent: View<K, V>,
    buffer: StoreSlot<SuppressBuffer<K, V>>,
}

/// The time of a row that is not known: nodes above a buffer say what the row was, and not since when.
const NO_TIME: i64 = -1;

impl<K: 'static, V: 'static> Readable<K, V> for Suppressed<K, V> {
    fn stores(&self) -> Vec<StoreIndex> {
        let buffer = self.buffer.get().map(|buffer| buffer.index());
        buffer.into_iter().chain(self.parent.stores()).collect()
    }

    fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<K, V>> {
        let buffer = wiring.store(*self.buffer.get().ok_or_else(no_store)?)?;
        let parent = self.parent.open(wiring)?;
        Ok(Rc::new(move |key| match buffer.prior_value(key)? {
            Some(prior) => Ok(prior.map(|value| ValueAndTimestamp::new(value, NO_TIME))),
            None => parent(key),
        }))
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
    F: Fn(&K, V1) -> Step<Option<V>> + Send + Sync + 'static,
{
    fn stores(&self) -> Vec<StoreIndex> {
        if self.slot.get().is_some() { self.slot.stores() } else { self.parent.stores() }
    }

    fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<K, V>> {
        if self.slot.get().is_some() {
            return self.slot.open(wiring);
        }
        let (parent, f) = (self.parent.open(wiring)?, self.f.clone());
        Ok(Rc::new(move |key| {
            let Some(ValueAndTimestamp { value, timestamp }) = parent(key)? else { return Ok(None) };
            Ok(f(key, value)?.map(|value| ValueAndTimestamp::new(value, timestamp)))
        }))
    }

    fn keeps_versions(&self) -> bool {
        self.slot.get().is_none() && self.parent.keeps_versions()
    }

    fn open_as_of(&self, wiring: &Wiring<'_>) -> Step<Option<AsOfGetter<K, V>>> {
        if self.slot.get().is_some() {
            return Ok(None);
        }
        let (Some(parent), f) = (self.parent.open_as_of(wiring)?, self.f.clone()) else { return Ok(None) };
        Ok(Some(Rc::new(move |key, time| {
            let Some(ValueAndTimestamp { value, timestamp }) = parent(key, time)? else { return Ok(None) };
            Ok(f(key, value)?.map(|value| ValueAndTimestamp::new(value, timestamp)))
        })))
    }
}

struct Transformed<K, V1, V, M> {
    parent: View<K, V1>,
    f: M,
    slot: StoreSlot<TimestampedKeyValueStore<K, V>>,
}

impl<K, V1, V, M, F> Readable<K, V> for Transformed<K, V1, V, M>
where
    K: 'static,
    V1: 'static,
    V: 'static,
    M: Fn(&Wiring<'_>) -> Step<F> + Send + Sync,
    F: Fn(&K, Option<ValueAndTimestamp<V1>>) -> Step<Option<ValueAndTimestamp<V>>> + 'static,
{
    fn stores(&self) -> Vec<StoreIndex> {
        if self.slot.get().is_some() { self.slot.stores() } else { self.parent.stores() }
    }

    fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<K, V>> {
        if self.slot.get().is_some() {
            return self.slot.open(wiring);
        }
        let (parent, f) = (self.parent.open(wiring)?, (self.f)(wiring)?);
        Ok(Rc::new(move |key| f(key, parent(key)?)))
    }

    fn keeps_versions(&self) -> bool {
        self.slot.get().is_none() && self.parent.keeps_versions()
    }

    fn open_as_of(&self, wiring: &Wiring<'_>) -> Step<Option<AsOfGetter<K, V>>> {
        if self.slot.get().is_some() {
            return Ok(None);
        }
        let Some(parent) = self.parent.open_as_of(wiring)? else { return Ok(None) };
        let f = (self.f)(wiring)?;
        Ok(Some(Rc::new(move |key, time| f(key, parent(key, time)?))))
    }
}

struct Joined<K, V1, V2, V, F> {
    left: View<K, V1>,
    right: View<K, V2>,
    f: Arc<F>,
    slot: StoreSlot<TimestampedKeyValueStore<K, V>>,
}

impl<K, V1, V2, V, F> Readable<K, V> for Joined<K, V1, V2, V, F>
where
    K: 'static,
    V1: 'static,
    V2: 'static,
    V: 'static,
    F: Fn(&K, Option<V1>, Option<V2>) -> Option<V> + Send + Sync + 'static,
{
    fn stores(&self) -> Vec<StoreIndex> {
        if self.slot.get().is_some() {
            return self.slot.stores();
        }
        let mut stores = self.left.stores();
        stores.extend(self.right.stores().into_iter().filter(|store| !self.left.stores().contains(store)));
        stores
    }

    fn open(&self, wiring: &Wiring<'_>) -> Step<Getter<K, V>> {
        if self.slot.get().is_some() {
            return self.slot.open(wiring);
        }
        let (left, right, f) = (self.left.open(wiring)?, self.right.open(wiring)?, self.f.clone());
        Ok(Rc::new(move |key| {
            let (left, right) = (left(key)?, right(key)?);
            let timestamp = left.iter().map(|row| row.timestamp).chain(right.iter().map(|row| row.timestamp)).max();
            let value = f(key, left.map(|row| row.value), right.map(|row| row.value));
            Ok(value.zip(timestamp).map(|(value, timestamp)| ValueAndTimestamp::new(value, timestamp)))
        }))
    }
}

fn no_store() -> Failure {
    Failure::bug("a table is read that has no store")
}
