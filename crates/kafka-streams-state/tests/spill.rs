//! Rule S1 for steps that write more than their memory: layer 3 of the stores, through typed stores.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::serde::{I64Serde, StringSerde};
use kafka_streams_core::{TaskContext, TaskId};
use kafka_streams_state::conformance::position;
use kafka_streams_state::{
    CommitBatch, InMemoryBackends, KeyRange, KeyValueStore, MemoryBudget, Order, RowIterator, StateStore, StoreBackend,
    StoreBackends, StoreBuilder, StoreError, StoreParts, StorePosition, Stores, ThreadCache,
};

const TASK: TaskId = TaskId::new(0, 2);

fn task() -> TaskContext {
    TaskContext::new(TASK, "app".into(), Handlers::default())
}

/// A stream thread with a share of `row_bytes` bytes for rows.
struct Thread {
    budget: Arc<MemoryBudget>,
    cache: ThreadCache,
    spills: Rc<Cell<usize>>,
}

impl Thread {
    fn new(row_bytes: usize) -> Self {
        let budget = MemoryBudget::new(2 * row_bytes, 1);
        let cache = ThreadCache::with_budget(0, &budget);
        let spills = Rc::new(Cell::new(0));
        let counter = spills.clone();
        cache.on_spill(move || counter.set(counter.get() + 1));
        Thread { budget, cache, spills }
    }

    fn store(&self, name: &str) -> (Rc<KeyValueStore<String, i64>>, Arc<dyn StoreBackend>) {
        let backend = InMemoryBackends.open(TASK, name).unwrap();
        (self.store_over(name, &backend), backend)
    }

    fn store_over(&self, name: &str, backend: &Arc<dyn StoreBackend>) -> Rc<KeyValueStore<String, i64>> {
        let parts = StoreParts::new(backend.clone(), None, self.cache.clone());
        Stores::persistent_key_value_store(name, StringSerde, I64Serde).build(parts)
    }
}

fn key(n: usize) -> String {
    format!("key {n:06}")
}

fn committed(backend: &dyn StoreBackend) -> usize {
    let mut rows = 0;
    let visit = &mut |_: &[u8], _: &[u8]| {
        rows += 1;
        true
    };
    backend.scan(KeyRange::default(), Order::Ascending, visit).unwrap();
    rows
}

#[test]
fn s1_a_step_of_many_rows_keeps_to_its_memory_and_reads_what_it_wrote() {
    const ROWS: usize = 20_000;
    let thread = Thread::new(100_000);
    let mut cx = task();
    let (store, backend) = thread.store("store");
    for n in 0..ROWS {
        // In no order, so that the spills overlap.
        store.put(&mut cx, &key(n * 7919 % ROWS), Some(&(n as i64))).unwrap();
        assert!(store.uncommitted().bytes <= 100_000, "{} bytes", store.uncommitted().bytes);
        assert!(thread.budget.rows_used() <= 100_000, "{} bytes", thread.budget.rows_used());
    }
    for n in (0..ROWS).step_by(3) {
        assert!(store.delete(&mut cx, &key(n)).unwrap().is_some());
    }
    assert!(thread.spills.get() > 10, "{} spills", thread.spills.get());
    assert!(cx.commit_requested, "an early commit is asked for, for when the step is over");
    assert_eq!(committed(&*backend), 0, "nothing is committed");
    assert_eq!(store.get(&key(2 * 7919 % ROWS)).unwrap(), Some(2));
    assert_eq!(store.get(&key(3)).unwrap(), None);
    let up: Vec<_> = store.all().map(|row| row.unwrap()).collect();
    let mut down: Vec<_> = store.reverse_all().map(|row| row.unwrap()).collect();
    down.reverse();
    assert_eq!(up, down);
    let expected = (0..ROWS).filter(|n| n % 3 != 0).map(key);
    assert!(up.iter().map(|(key, _)| key.clone()).eq(expected));
    store.commit(&position(1)).unwrap();
    assert_eq!((store.uncommitted().rows, committed(&*backend)), (0, up.len()));
    assert_eq!(store.all().map(|row| row.unwrap()).collect::<Vec<_>>(), up);
}

#[test]
fn s1_a_walk_during_writes_sees_the_same_with_and_without_a_spill() {
    let walk = |row_bytes: usize| {
        let thread = Thread::new(row_bytes);
        let mut cx = task();
        let (store, _) = thread.store("store");
        for n in (0..2_000).step_by(2) {
            store.put(&mut cx, &key(n), Some(&0)).unwrap();
        }
        store.commit(&position(1)).unwrap();
        let mut seen = Vec::new();
        for (n, row) in store.all().enumerate() {
            let (key_seen, value) = row.unwrap();
            // Before and after the point that is reached: new rows, changed rows, deleted rows.
            store.put(&mut cx, &key(n * 31 % 2_000), Some(&(n as i64))).unwrap();
            store.put(&mut cx, &key(n * 17 % 2_000), None).unwrap();
            seen.push((key_seen, value));
        }
        for (n, row) in store.reverse_range(key(100)..=key(1_900)).enumerate() {
            store.put(&mut cx, &key(n * 13 % 2_000), (n % 2 == 0).then_some(&-1)).unwrap();
            seen.push(row.unwrap());
        }
        (seen, thread.spills.get())
    };
    let (expected, spills) = walk(100_000_000);
    assert_eq!(spills, 0);
    for row_bytes in [0, 5_000, 50_000] {
        let (seen, spills) = walk(row_bytes);
        assert!(spills > 1);
        assert_eq!(seen, expected, "with {row_bytes} bytes");
    }
}

#[test]
fn s1_a_store_with_few_rows_does_not_spill_for_one_with_many() {
    let thread = Thread::new(100_000);
    let mut cx = task();
    let (large, _) = thread.store("large");
    let (small, _) = thread.store("small");
    let mut rows = 0;
    while large.uncommitted().bytes < 74_000 {
        large.put(&mut cx, &key(rows), Some(&1)).unwrap();
        rows += 1;
    }
    assert_eq!(thread.spills.get(), 0);
    for n in 0..rows {
        small.put(&mut cx, &key(n), Some(&1)).unwrap();
        assert!(large.uncommitted().bytes + small.uncommitted().bytes <= 100_000);
    }
    assert!((1..10).contains(&thread.spills.get()), "{} spills", thread.spills.get());
}

#[test]
fn s9_a_dropped_step_leaves_nothing_of_its_spill() {
    let thread = Thread::new(10_000);
    let mut cx = task();
    let (store, backend) = thread.store("store");
    store.put(&mut cx, &key(0), Some(&1)).unwrap();
    store.commit(&position(1)).unwrap();
    let step = |store: &KeyValueStore<String, i64>, cx: &mut TaskContext| {
        for n in 0..1_000 {
            store.put(cx, &key(n), (n > 0).then_some(&2)).unwrap();
        }
    };
    step(&store, &mut cx);
    store.drop_uncommitted();
    assert_eq!(store.uncommitted().rows, 0);
    assert_eq!(store.all().map(|row| row.unwrap()).collect::<Vec<_>>(), [(key(0), 1)]);
    // A task that is torn down to its store handles and rebuilt (rule C3).
    step(&store, &mut cx);
    assert!(thread.spills.get() > 2);
    drop(store);
    let store = thread.store_over("store", &backend);
    assert_eq!(store.all().map(|row| row.unwrap()).collect::<Vec<_>>(), [(key(0), 1)]);
    store.put(&mut cx, &key(7), Some(&3)).unwrap();
    store.commit(&position(2)).unwrap();
    assert_eq!(committed(&*backend), 2, "a commit does not bring it back");
}

/// A disk that is full after a few rows of a spill.
#[derive(Debug)]
struct FullDisk(Arc<dyn StoreBackend>);

impl StoreBackend for FullDisk {
    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        self.0.get(key, read)
    }

    fn scan(
        &self,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.0.scan(range, order, visit)
    }

    fn position(&self) -> Option<StorePosition> {
        self.0.position()
    }

    fn commit(&self, batch: CommitBatch<'_>) -> Result<(), StoreError> {
        self.0.commit(batch)
    }

    fn can_spill(&self) -> bool {
        true
    }

    fn spill(&self, rows: RowIterator<'_, '_>) -> Result<(), StoreError> {
        self.0.spill(&mut rows.take(5))?;
        Err(StoreError::Io { action: "spill rows of a store", reason: "no space left on device".to_owned() })
    }

    fn get_with_spill(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        self.0.get_with_spill(key, read)
    }

    fn scan_with_spill(
        &self,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.0.scan_with_spill(range, order, visit)
    }

    fn drop_spill(&self) {
        self.0.drop_spill();
    }

    fn wipe(&self) -> Result<(), StoreError> {
        self.0.wipe()
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.0.sync()
    }
}

#[test]
fn s1_a_spill_that_fails_is_an_error_of_the_record_and_changes_nothing() {
    let thread = Thread::new(10_000);
    let mut cx = task();
    let inner = InMemoryBackends.open(TASK, "store").unwrap();
    let backend: Arc<dyn StoreBackend> = Arc::new(FullDisk(inner.clone()));
    let store = thread.store_over("store", &backend);
    let mut written = 0;
    let error = loop {
        match store.put(&mut cx, &key(written), Some(&(written as i64))) {
            Ok(()) => written += 1,
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("no space left") && error.contains("store"), "{error}");
    // If the handler lets the failed record go, what it has written so far counts, as on the JVM.
    let rows: Vec<_> = store.all().map(|row| row.unwrap()).collect();
    assert!(rows.iter().map(|(_, n)| *n).eq(0..=written as i64));
    // If it does not, nothing of it is left.
    store.drop_uncommitted();
    assert_eq!(store.all().count(), 0);
    store.commit(&position(1)).unwrap();
    assert_eq!(committed(&*inner), 0);
}

#[test]
fn s1_without_a_spill_of_the_back_end_the_rows_stay_in_memory() {
    #[derive(Debug)]
    struct Plain(Arc<dyn StoreBackend>);
    impl StoreBackend for Plain {
        fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
            self.0.get(key, read)
        }

        fn scan(
            &self,
            range: KeyRange<'_>,
            order: Order,
            visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
        ) -> Result<(), StoreError> {
            self.0.scan(range, order, visit)
        }

        fn position(&self) -> Option<StorePosition> {
            self.0.position()
        }

        fn commit(&self, batch: CommitBatch<'_>) -> Result<(), StoreError> {
            self.0.commit(batch)
        }

        fn wipe(&self) -> Result<(), StoreError> {
            self.0.wipe()
        }

        fn sync(&self) -> Result<(), StoreError> {
            self.0.sync()
        }
    }
    let thread = Thread::new(10_000);
    let mut cx = task();
    let inner = InMemoryBackends.open(TASK, "store").unwrap();
    let backend: Arc<dyn StoreBackend> = Arc::new(Plain(inner.clone()));
    let store = thread.store_over("store", &backend);
    for n in 0..1_000 {
        store.put(&mut cx, &key(n), Some(&1)).unwrap();
    }
    assert_eq!((thread.spills.get(), store.uncommitted().rows, store.all().count()), (0, 1_000, 1_000));
    store.commit(&position(1)).unwrap();
    assert_eq!(committed(&*inner), 1_000);
}
