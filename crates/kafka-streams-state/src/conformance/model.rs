//! Typed stores beside a model: the same script on both, and every answer compared.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::serde::{I64Serde, VecSerde};
use kafka_streams_core::{RawRecord, RecordContext, RouteId, TaskContext};

use super::{TASK, position};
use crate::{
    BatchSource, CommitBatch, KeyValueStore, MemoryBudget, RestoreCodec, StateStore, StoreBackend, StoreBackends,
    StoreBuilder, StoreParts, Stores, ThreadCache, WindowStore,
};

/// How the stores of a model run are set up.
#[derive(Clone, Copy, Debug)]
pub struct ModelConfig {
    /// Size of the dirty cache in bytes; 0 is none. A small one overflows often.
    pub cache_bytes: usize,
    /// Memory for rows in bytes. A small one gives up clean rows often.
    pub row_bytes: usize,
    /// Whether a node below listens to flushed updates, with their old values.
    pub listens: bool,
}

pub(super) type Key = Vec<u8>;
pub(super) type Model<K> = BTreeMap<K, i64>;

/// Runs a key-value store beside a map. Each step of the script is (what, key, number).
///
/// # Panics
/// The store's answer is not the model's.
pub fn key_value_model(backends: &dyn StoreBackends, config: ModelConfig, script: &[(u8, u8, u8)]) {
    let builder = Stores::persistent_key_value_store("store", VecSerde, I64Serde);
    let builder = if config.cache_bytes > 0 { builder.with_caching_enabled() } else { builder };
    let mut cx = task();
    let mut backend = backends.open(TASK, "store").expect("opened");
    let mut run = KeyValueRun::new(&builder, config, &backend);
    let mut offset = 0;
    for (number, (what, key, value)) in script.iter().enumerate() {
        cx.record = RecordContext { topic: Some("input".into()), partition: 0, offset: number as i64, ..cx.record };
        cx.record.timestamp = number as i64;
        let key = key_bytes(*key);
        let value = i64::from(*value);
        match what % 16 {
            0..=3 => run.put(&mut cx, key, Some(value)),
            4 => run.put(&mut cx, key, None),
            5..=7 => run.update(&mut cx, key, value),
            8 => run.put_if_absent(&mut cx, key, value),
            9 => run.delete(&mut cx, key),
            10 => assert_eq!(run.store.get(&key).expect("read"), run.visible.get(&key).copied(), "get {key:?}"),
            11 => run.compare_range(&key, &key_bytes(value as u8)),
            12 => run.flush(&mut cx),
            13 => {
                run.flush(&mut cx);
                offset += 1;
                run.commit(offset);
            }
            14 => {
                cx.output.clear();
                run.drop_uncommitted();
            }
            _ if backends.is_persistent() => {
                cx.output.clear();
                let (committed, log) = (run.committed.clone(), run.log_committed.clone());
                drop(run);
                drop(backend);
                backend = backends.open(TASK, "store").expect("opened again");
                assert_eq!(backend.position().map(|p| p.offset), (offset > 0).then_some(offset), "position");
                run = KeyValueRun::new(&builder, config, &backend);
                (run.visible, run.committed) = (committed.clone(), committed);
                (run.log, run.log_committed) = (log.clone(), log);
            }
            _ => {}
        }
        run.compare_all();
    }
    run.flush(&mut cx);
    run.commit(offset + 1);
    run.compare_all();
    compare_restored(&*builder.spec().restore_codec(), &run.log, &*backend);
    drop(run);
    drop(backend);
}

struct KeyValueRun {
    store: Rc<KeyValueStore<Key, i64>>,
    visible: Model<Key>,
    committed: Model<Key>,
    /// What somebody would have who only reads the changelog.
    log: Model<Key>,
    log_committed: Model<Key>,
    /// What a node below would have.
    heard: Rc<RefCell<Model<Key>>>,
    listens: bool,
}

impl KeyValueRun {
    fn new(
        builder: &impl StoreBuilder<Store = KeyValueStore<Key, i64>>,
        config: ModelConfig,
        backend: &Arc<dyn StoreBackend>,
    ) -> Self {
        let store = builder.build(parts(config, backend));
        let heard: Rc<RefCell<Model<Key>>> = Rc::default();
        if config.listens {
            let heard = heard.clone();
            let cached = store.set_flush_listener(
                true,
                Rc::new(move |_, record| {
                    let mut heard = heard.borrow_mut();
                    // What was forwarded before the last restart of the task is not known here.
                    if let Some(before) = heard.get(&record.key) {
                        assert_eq!(record.value.old, Some(*before), "the old value of {:?}", record.key);
                    }
                    assert!(record.value.old.is_some() || record.value.new.is_some(), "nothing came of nothing");
                    set(&mut heard, record.key, record.value.new);
                    Ok(())
                }),
            );
            assert_eq!(cached, config.cache_bytes > 0);
        }
        let empty = Model::new;
        KeyValueRun {
            store,
            visible: empty(),
            committed: empty(),
            log: empty(),
            log_committed: empty(),
            heard,
            listens: config.listens && config.cache_bytes > 0,
        }
    }

    fn put(&mut self, cx: &mut TaskContext, key: Key, value: Option<i64>) {
        self.store.put(cx, &key, value.as_ref()).expect("put");
        set(&mut self.visible, key, value);
    }

    fn update(&mut self, cx: &mut TaskContext, key: Key, add: i64) {
        let expected = self.visible.get(&key).copied();
        let new = expected.map_or(Some(add), |old| (add % 5 != 0).then_some(old + add));
        let update = self.store.update(cx, &key, |old| {
            assert_eq!(old, expected, "the value before an update of {key:?}");
            Ok(new)
        });
        if let Some(change) = update.expect("updated") {
            assert_eq!(change.new, new);
            assert!(change.old.is_none() || change.old == expected);
        }
        set(&mut self.visible, key, new);
    }

    fn put_if_absent(&mut self, cx: &mut TaskContext, key: Key, value: i64) {
        let before = self.store.put_if_absent(cx, &key, &value).expect("put");
        assert_eq!(before, self.visible.get(&key).copied());
        self.visible.entry(key).or_insert(value);
    }

    fn delete(&mut self, cx: &mut TaskContext, key: Key) {
        let before = self.store.delete(cx, &key).expect("deleted");
        assert_eq!(before, self.visible.remove(&key));
    }

    fn flush(&mut self, cx: &mut TaskContext) {
        self.store.flush(cx).expect("flushed");
        take_output(cx, |key, value| set(&mut self.log, key.to_vec(), value));
        assert_eq!(self.log, self.visible, "after a flush the changelog tells all");
        if self.listens {
            for (key, value) in &*self.heard.borrow() {
                assert_eq!(self.visible.get(key), Some(value), "after a flush the node below knows");
            }
        }
    }

    fn commit(&mut self, offset: i64) {
        self.store.commit(&position(offset)).expect("committed");
        assert_eq!(self.store.uncommitted().rows, 0);
        self.committed = self.visible.clone();
        self.log_committed = self.log.clone();
    }

    fn drop_uncommitted(&mut self) {
        self.store.drop_uncommitted();
        assert_eq!(self.store.uncommitted().rows, 0);
        self.visible = self.committed.clone();
        self.log = self.log_committed.clone();
        self.heard.borrow_mut().clear();
    }

    fn compare_range(&self, from: &Key, to: &Key) {
        let expected: Vec<(Key, i64)> = if from <= to {
            self.visible.range::<Key, _>(from..=to).map(|(k, v)| (k.clone(), *v)).collect()
        } else {
            vec![]
        };
        let up: Vec<_> = self.store.range(from.clone()..=to.clone()).map(|row| row.expect("read")).collect();
        assert_eq!(up, expected, "range {from:?}..={to:?}");
        let exclusive = (Bound::Excluded(from), Bound::Excluded(to));
        let inner: Vec<_> = self.store.range(exclusive).map(|row| row.expect("read")).collect();
        let expected_inner: Vec<_> = expected.into_iter().filter(|(k, _)| k != from && k != to).collect();
        assert_eq!(inner, expected_inner);
        let prefixed = self.store.prefix_scan(from).map(|row| row.expect("read").0);
        let expected = self.visible.keys().filter(|key| key.starts_with(from)).cloned();
        assert_eq!(prefixed.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "prefix {from:?}");
    }

    fn compare_all(&self) {
        let all: Vec<_> = self.store.all().map(|row| row.expect("read")).collect();
        let expected: Vec<_> = self.visible.iter().map(|(k, v)| (k.clone(), *v)).collect();
        assert_eq!(all, expected);
        let mut down: Vec<_> = self.store.reverse_all().map(|row| row.expect("read")).collect();
        down.reverse();
        assert_eq!(down, expected);
    }
}

/// Runs a window store beside a map. Each step of the script is (what, key, number). With a cache, nothing expires: when
/// an update leaves it is another model's business.
///
/// # Panics
/// The store's answer is not the model's.
pub fn window_model(backends: &dyn StoreBackends, config: ModelConfig, script: &[(u8, u8, u8)]) {
    let cached = config.cache_bytes > 0;
    let retention = if cached { 10_000_000_000 } else { 150_000 };
    let (size, kept) = (Duration::from_secs(10), Duration::from_millis(retention as u64));
    let builder = Stores::persistent_window_store("store", kept, size, false, VecSerde, I64Serde);
    let builder = if cached { builder.with_caching_enabled() } else { builder };
    let mut cx = task();
    let mut backend = backends.open(TASK, "store").expect("opened");
    let mut run = WindowRun::new(builder.build(parts(config, &backend)), retention);
    // So that the second segment begins soon.
    let mut now = retention / 2 - 100_000;
    let mut log = Vec::new();
    let mut log_committed = 0;
    for (number, (what, key, value)) in script.iter().enumerate() {
        let key = key_bytes(*key);
        // Time goes on by up to half a minute, sometimes by minutes, and windows are up to four minutes late.
        now += if what % 50 == 49 { 400_000 } else { i64::from(*value) * 120 };
        let start = (now - i64::from(*what) * 1_000).max(0) / 10_000 * 10_000;
        let number = number as i64;
        match what % 12 {
            0..=4 => run.put(&mut cx, key, start, Some(number)),
            5 => run.put(&mut cx, key, start, None),
            6 => {
                let expected = run.visible().get(&(key.clone(), start)).copied();
                assert_eq!(run.store.fetch(&key, start).expect("read"), expected, "fetch {key:?} at {start}");
            }
            7 => run.compare_fetch(&key, start, now),
            8 => run.compare_all(start, now),
            9 => {
                run.commit(&mut cx, number);
                take_raw(&mut cx, &mut log);
                log_committed = log.len();
            }
            10 => {
                cx.output.clear();
                log.truncate(log_committed);
                run.store.drop_uncommitted();
                (run.rows, run.observed) = run.committed.clone();
            }
            _ if backends.is_persistent() => {
                cx.output.clear();
                log.truncate(log_committed);
                let committed = run.committed.clone();
                drop(run);
                drop(backend);
                backend = backends.open(TASK, "store").expect("opened again");
                run = WindowRun::new(builder.build(parts(config, &backend)), retention);
                (run.rows, run.observed) = committed.clone();
                run.committed = committed;
            }
            _ => {}
        }
        if !cached {
            assert_eq!(run.store.observed_stream_time().expect("read"), run.observed);
        }
        run.compare_all(0, i64::MAX);
    }
    run.commit(&mut cx, script.len() as i64);
    take_raw(&mut cx, &mut log);
    run.compare_all(0, i64::MAX);
    let lowest = ((run.observed - retention) / (retention / 2)).max(0);
    assert_eq!(restored_windows(&*builder.spec().restore_codec(), &log, lowest), rows_of(&*backend));
}

struct WindowRun {
    store: Rc<WindowStore<Key, i64>>,
    retention: i64,
    rows: Model<(i64, Key, i64)>,
    observed: i64,
    committed: (Model<(i64, Key, i64)>, i64),
}

impl WindowRun {
    fn new(store: Rc<WindowStore<Key, i64>>, retention: i64) -> Self {
        WindowRun { store, retention, rows: Model::new(), observed: -1, committed: (Model::new(), -1) }
    }

    fn put(&mut self, cx: &mut TaskContext, key: Key, start: i64, value: Option<i64>) {
        let dropped = cx.counters.dropped;
        self.store.put(cx, &key, value.as_ref(), start).expect("put");
        self.observed = self.observed.max(start);
        let interval = self.retention / 2;
        let lowest = (self.observed - self.retention) / interval;
        let alive = start / interval >= lowest;
        assert_eq!(cx.counters.dropped - dropped, u64::from(!alive), "expired puts are counted");
        if alive {
            set(&mut self.rows, (start / interval, key, start), value);
        }
        self.rows.retain(|(segment, _, _), _| *segment >= lowest);
    }

    fn commit(&mut self, cx: &mut TaskContext, offset: i64) {
        self.store.flush(cx).expect("flushed");
        self.store.commit(&position(offset)).expect("committed");
        self.committed = (self.rows.clone(), self.observed);
    }

    fn earliest(&self) -> i64 {
        self.observed - self.retention + 1
    }

    fn visible(&self) -> Model<(Key, i64)> {
        let visible = self.rows.iter().filter(|((_, _, start), _)| *start >= self.earliest());
        visible.map(|((_, key, start), value)| ((key.clone(), *start), *value)).collect()
    }

    fn compare_fetch(&self, key: &Key, from: i64, to: i64) {
        let visible = self.visible();
        let range = (key.clone(), from)..=(key.clone(), to.max(from));
        let expected: Vec<_> = visible.range(range).map(|((_, start), value)| (*start, *value)).collect();
        let up: Vec<_> = self.store.fetch_range(key, from, to.max(from)).map(|row| row.expect("read")).collect();
        assert_eq!(up, expected, "fetch {key:?} from {from} to {to}");
        let down = self.store.backward_fetch_range(key, from, to.max(from));
        let mut down: Vec<_> = down.map(|row| row.expect("read")).collect();
        down.reverse();
        assert_eq!(down, expected);
    }

    fn compare_all(&self, from: i64, to: i64) {
        let wanted = |start: i64| start >= from.max(self.earliest()) && start <= to;
        let mut expected: Vec<_> = self.rows.iter().filter(|((_, _, start), _)| wanted(*start)).collect();
        // Within a segment rows go by the bytes of key and start together.
        expected.sort_by_key(|((segment, key, start), _)| (*segment, [&key[..], &start.to_be_bytes()].concat()));
        let expected: Vec<_> =
            expected.into_iter().map(|((_, key, start), value)| (key.clone(), *start, *value)).collect();
        let flat = |row: kafka_streams_core::Step<(crate::Windowed<Key>, i64)>| {
            let (windowed, value) = row.expect("read");
            assert_eq!(windowed.window.end, windowed.window.start + 10_000);
            (windowed.key, windowed.window.start, value)
        };
        assert_eq!(self.store.fetch_all(from, to).map(flat).collect::<Vec<_>>(), expected, "from {from} to {to}");
        let mut down: Vec<_> = self.store.backward_fetch_all(from, to).map(flat).collect();
        down.reverse();
        assert_eq!(down, expected);
    }
}

/// What a restore in small batches leaves of the segments that are alive at its end.
pub(super) fn restored_windows(codec: &dyn RestoreCodec, log: &[RawRow], lowest: i64) -> BTreeMap<Key, Vec<u8>> {
    let mut restored = BTreeMap::new();
    for batch in log.chunks(5) {
        let mut rows = Vec::new();
        for (key, value) in batch {
            let (key, value) = (Some(&key[..]), value.as_deref());
            let record = RawRecord { offset: 0, timestamp: 0, key, value, headers: None };
            let row = &mut |key: &[u8], value: Option<&[u8]>| {
                rows.push((key.to_vec(), value.map(<[u8]>::to_vec)));
                Ok(())
            };
            codec.rows(&record, row).expect("a record of this store");
        }
        for (from, to) in codec.take_deleted_ranges() {
            restored.retain(|key, _| *key < from || *key >= to);
        }
        for (key, value) in rows {
            match value {
                Some(value) => restored.insert(key, value),
                None => restored.remove(&key),
            };
        }
    }
    restored.retain(|key, _| key[..] >= lowest.to_be_bytes()[..]);
    restored
}

pub(super) fn rows_of(backend: &dyn StoreBackend) -> BTreeMap<Key, Vec<u8>> {
    let mut rows = BTreeMap::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        rows.insert(key.to_vec(), value.to_vec());
        true
    };
    backend.scan(crate::KeyRange::default(), crate::Order::Ascending, visit).expect("read");
    rows
}

pub(super) fn task() -> TaskContext {
    TaskContext::new(TASK, "application".into(), Handlers::default())
}

pub(super) fn parts(config: ModelConfig, backend: &Arc<dyn StoreBackend>) -> StoreParts {
    let budget = MemoryBudget::new(2 * config.row_bytes, 1);
    let cache = ThreadCache::with_budget(config.cache_bytes, &budget);
    StoreParts::new(backend.clone(), Some(RouteId(0)), cache)
}

/// Keys of different lengths, many of them prefixes of others.
pub(super) fn key_bytes(key: u8) -> Key {
    match key % 4 {
        0 => vec![key / 16],
        1 => vec![key / 16, 0],
        2 => vec![key / 16; 5],
        _ => [&[key / 16; 3][..], &[key; 40]].concat(),
    }
}

pub(super) fn set<K: Ord>(model: &mut Model<K>, key: K, value: Option<i64>) {
    match value {
        Some(value) => model.insert(key, value),
        None => model.remove(&key),
    };
}

fn take_output(cx: &mut TaskContext, mut record: impl FnMut(&[u8], Option<i64>)) {
    while let Some(first) = cx.output.first() {
        let value = first.value.map(|bytes| i64::from_be_bytes(bytes.try_into().expect("eight bytes")));
        record(first.key.expect("a key"), value);
        cx.output.take();
    }
}

pub(super) type RawRow = (Vec<u8>, Option<Vec<u8>>);

pub(super) fn take_raw(cx: &mut TaskContext, log: &mut Vec<RawRow>) {
    while let Some(first) = cx.output.first() {
        log.push((first.key.expect("a key").to_vec(), first.value.map(<[u8]>::to_vec)));
        cx.output.take();
    }
}

/// A record of a changelog: key, value and time, which is -1 if it has none.
pub(super) type LogRecord = (Vec<u8>, Option<Vec<u8>>, i64);

pub(super) fn take_log(cx: &mut TaskContext, log: &mut Vec<LogRecord>) {
    while let Some(first) = cx.output.first() {
        let (key, value) = (first.key.expect("a key").to_vec(), first.value.map(<[u8]>::to_vec));
        log.push((key, value, first.timestamp.unwrap_or(-1)));
        cx.output.take();
    }
}

/// Restores a store from its changelog in small batches, as a restore thread does.
pub(super) fn restored_into(backend: &Arc<dyn StoreBackend>, codec: &dyn RestoreCodec, log: &[LogRecord]) {
    codec.resume(backend).expect("read");
    for (number, batch) in log.chunks(5).enumerate() {
        let mut rows = BTreeMap::new();
        for (key, value, timestamp) in batch {
            let (key, value) = (Some(&key[..]), value.as_deref());
            let record = RawRecord { offset: 0, timestamp: *timestamp, key, value, headers: None };
            let row = &mut |key: &[u8], value: Option<&[u8]>| {
                rows.insert(key.to_vec(), value.map(<[u8]>::to_vec));
                Ok(())
            };
            codec.rows(&record, row).expect("a record of this store");
        }
        let deleted_ranges = codec.take_deleted_ranges();
        let mut rows = rows.iter().map(|(key, value)| (&key[..], value.as_deref()));
        let (position, source) = (position(number as i64), BatchSource::Restore);
        let batch = CommitBatch { deleted_ranges: &deleted_ranges, rows: &mut rows, position: &position, source };
        backend.commit(batch).expect("written");
    }
}

/// A restore from the changelog gives the rows that processing left.
fn compare_restored(codec: &dyn RestoreCodec, log: &Model<Key>, backend: &dyn StoreBackend) {
    let mut restored = BTreeMap::new();
    for (key, value) in log {
        let value = value.to_be_bytes();
        let record = RawRecord { offset: 0, timestamp: 0, key: Some(key), value: Some(&value), headers: None };
        let row = &mut |key: &[u8], value: Option<&[u8]>| {
            restored.insert(key.to_vec(), value.unwrap_or_default().to_vec());
            Ok(())
        };
        codec.rows(&record, row).expect("a record of this store");
    }
    assert_eq!(restored, rows_of(backend));
}
