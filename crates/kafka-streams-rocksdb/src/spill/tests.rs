//! Rule S3 at every point of a spill and of its commit: what a kill would leave there is opened and looked at.

use std::path::Path;

use kafka_streams_core::TaskId;
use kafka_streams_state::conformance::position;
use kafka_streams_state::{BatchSource, CommitBatch, KeyRange, Order, StoreBackend, StoreBackends};

use super::Stage;
use crate::backend::RocksDbBackend;
use crate::options::Shared;
use crate::{RocksDbBackends, RocksDbOptions};

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

const ROWS: u32 = 3_000;

fn backend(dir: &Path) -> RocksDbBackend {
    RocksDbBackend::open(dir, &Shared::new(RocksDbOptions::with_memory(4 << 20))).unwrap()
}

fn key(n: u32) -> [u8; 4] {
    n.to_be_bytes()
}

fn rows(store: &dyn StoreBackend) -> Rows {
    let mut rows = Rows::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        true
    };
    store.scan(KeyRange::default(), Order::Ascending, visit).unwrap();
    let mut down = Rows::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        down.push((key.to_vec(), value.to_vec()));
        true
    };
    store.scan(KeyRange::default(), Order::Descending, visit).unwrap();
    down.reverse();
    assert_eq!(rows, down);
    for n in (0..ROWS).step_by(97) {
        let mut value = None;
        store.get(&key(n), &mut |bytes| value = Some(bytes.to_vec())).unwrap();
        assert_eq!(value, rows.iter().find(|row| row.0 == key(n)).map(|row| row.1.clone()));
    }
    rows
}

/// The first batch: every key, with the value `old`.
fn commit_old(store: &RocksDbBackend) {
    let keys: Vec<_> = (0..ROWS).map(key).collect();
    let mut rows = keys.iter().map(|key| (&key[..], Some(&b"old"[..])));
    let (position, source) = (position(1), BatchSource::Processing);
    store.commit(CommitBatch { deleted_ranges: &[], rows: &mut rows, position: &position, source }).unwrap();
}

/// The second batch's spill: every third key is deleted, the others get a new value.
fn spill_new(store: &RocksDbBackend) {
    let keys: Vec<_> = (0..ROWS).map(key).collect();
    for part in keys.chunks(1_000) {
        let value = |key: &[u8; 4]| (!u32::from_be_bytes(*key).is_multiple_of(3)).then_some(&b"new"[..]);
        store.spill(&mut part.iter().map(|key| (&key[..], value(key)))).unwrap();
    }
}

/// The second batch: a range that has expired, and two rows that were still in memory.
fn with_batch<R>(f: impl FnOnce(CommitBatch<'_>) -> R) -> R {
    let (first, last) = (key(4), key(ROWS));
    let rows = [(&first[..], None), (&last[..], Some(&b"last"[..]))];
    let mut rows = rows.iter().copied();
    let ranges = [(key(100).to_vec(), key(200).to_vec())];
    let (position, source) = (position(2), BatchSource::Processing);
    f(CommitBatch { deleted_ranges: &ranges, rows: &mut rows, position: &position, source })
}

fn old_rows() -> Rows {
    (0..ROWS).map(|n| (key(n).to_vec(), b"old".to_vec())).collect()
}

fn new_rows() -> Rows {
    let kept = (0..ROWS).filter(|n| n % 3 != 0 && *n != 4 && !(100..200).contains(n));
    let mut rows: Rows = kept.map(|n| (key(n).to_vec(), b"new".to_vec())).collect();
    rows.push((key(ROWS).to_vec(), b"last".to_vec()));
    rows
}

/// Opens a copy of the files as they are now, which is what a kill would leave, and expects the state after batch `n`,
/// without a spill.
fn assert_survives(dir: &Path, n: i64, point: &str) {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    for life in 1..=2 {
        let store = backend(copy.path());
        assert_eq!(store.position().unwrap().offset, n, "{point}, life {life}");
        assert!(rows(&store) == if n == 1 { old_rows() } else { new_rows() }, "{point}, life {life}");
        assert_eq!(*store.stage(), Stage::None, "{point}, life {life}");
        // It is an ordinary store afterwards.
        let mut none = std::iter::empty();
        let (position, source) = (position(n), BatchSource::Processing);
        store.commit(CommitBatch { deleted_ranges: &[], rows: &mut none, position: &position, source }).unwrap();
    }
}

#[test]
fn s3_a_kill_at_any_point_of_a_spill_and_its_commit_leaves_the_old_or_the_new_state() {
    let dir = tempfile::tempdir().unwrap();
    let store = backend(dir.path());
    commit_old(&store);
    assert_survives(dir.path(), 1, "before the spill");
    spill_new(&store);
    assert_survives(dir.path(), 1, "in the spill");
    store.flush().unwrap();
    assert_survives(dir.path(), 1, "after the flush before the promise");
    assert_eq!(rows(&store), old_rows());

    with_batch(|batch| store.promise(batch)).unwrap();
    assert_eq!((rows(&store), store.position().unwrap().offset), (new_rows(), 2), "promised is committed");
    assert_survives(dir.path(), 2, "after the promise");
    // Part of the merge, and part of that in files.
    for n in (0..ROWS / 2).filter(|n| n % 3 != 0 && *n != 4 && !(100..200).contains(n)) {
        store.db.put_opt(key(n), b"new", &store.without_log).unwrap();
        if n == 500 {
            store.flush().unwrap();
            assert_survives(dir.path(), 2, "within the merge, flushed");
        }
    }
    assert_survives(dir.path(), 2, "within the merge");
    assert_eq!(rows(&store), new_rows());
    store.merge_pending().unwrap();
    assert_survives(dir.path(), 2, "after the merge");
    store.flush().unwrap();
    assert_survives(dir.path(), 2, "after the flush of the merge");
    store.forget_promise().unwrap();
    assert_survives(dir.path(), 2, "after the promise was forgotten");
    store.set_stage(Stage::Leftover);
    assert_eq!(rows(&store), new_rows());
    store.remove_leftover().unwrap();
    assert_survives(dir.path(), 2, "after the spill was removed");
    assert_eq!(rows(&store), new_rows());
}

#[test]
fn s3_a_promise_without_a_spill_has_been_kept() {
    // As a crash of the machine can leave it: the column family's removal is in the files, the end of the promise was only
    // in the log.
    let dir = tempfile::tempdir().unwrap();
    let store = backend(dir.path());
    commit_old(&store);
    spill_new(&store);
    store.flush().unwrap();
    with_batch(|batch| store.promise(batch)).unwrap();
    store.merge_pending().unwrap();
    store.flush().unwrap();
    store.set_stage(Stage::Leftover);
    store.remove_leftover().unwrap();
    assert_survives(dir.path(), 2, "a promise without a spill");
}

#[test]
fn what_comes_before_the_merge_finds_the_promised_state() {
    let promised = || {
        let dir = tempfile::tempdir().unwrap();
        let store = backend(dir.path());
        commit_old(&store);
        spill_new(&store);
        store.flush().unwrap();
        with_batch(|batch| store.promise(batch)).unwrap();
        (store, dir)
    };
    let (store, _dir) = promised();
    store.drop_spill();
    assert_eq!(rows(&store), new_rows(), "what is promised is committed and cannot be dropped");
    let last = key(ROWS);
    let deletion = [(&last[..], None)];
    let mut row = deletion.iter().copied();
    let (at, source) = (position(3), BatchSource::Processing);
    store.commit(CommitBatch { deleted_ranges: &[], rows: &mut row, position: &at, source }).unwrap();
    let mut expected = new_rows();
    expected.pop();
    assert_eq!((rows(&store), *store.stage()), (expected, Stage::None), "the next commit");

    let (store, _dir) = promised();
    store.spill(&mut deletion.iter().copied()).unwrap();
    assert_eq!((rows(&store), *store.stage()), (new_rows(), Stage::Filled), "the next spill");

    let (store, dir) = promised();
    store.wipe().unwrap();
    assert_eq!((rows(&store), store.position()), (vec![], None), "a wipe");
    drop(store);
    let store = backend(dir.path());
    assert_eq!((rows(&store), store.position(), *store.stage()), (vec![], None, Stage::None));
}

#[test]
fn a_store_that_never_spilled_has_no_pending_column_family() {
    let dir = tempfile::tempdir().unwrap();
    let backends = RocksDbBackends::new(dir.path(), RocksDbOptions::with_memory(4 << 20));
    let task = TaskId::new(0, 0);
    drop(backends.open(task, "store").unwrap());
    let options = rocksdb::Options::default();
    let names = super::Database::list_cf(&options, backends.store_dir(task, "store")).unwrap();
    assert_eq!(names, ["default", "meta"], "the format of earlier releases");
}

#[test]
fn s3_a_reader_beside_the_commit_of_a_spill_sees_the_old_or_the_new_state() {
    const BATCHES: i64 = 20;
    let dir = tempfile::tempdir().unwrap();
    let store = backend(dir.path());
    // Large values, so that a merge takes several batches and flushes of its own.
    let commit = |batch: i64| {
        let keys: Vec<_> = (0..ROWS).map(key).collect();
        let value = batch.to_be_bytes().repeat(100);
        let (spilled, left) = keys.split_at(ROWS as usize - 10);
        store.spill(&mut spilled.iter().map(|key| (&key[..], Some(&value[..])))).unwrap();
        let mut rows = left.iter().map(|key| (&key[..], Some(&value[..])));
        let (position, source) = (position(batch), BatchSource::Processing);
        store.commit(CommitBatch { deleted_ranges: &[], rows: &mut rows, position: &position, source }).unwrap();
    };
    commit(1);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = std::collections::BTreeSet::new();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for order in [Order::Ascending, Order::Descending] {
                    let (mut rows, mut batches) = (0, std::collections::BTreeSet::new());
                    let visit = &mut |_: &[u8], value: &[u8]| {
                        rows += 1;
                        batches.insert(i64::from_be_bytes(value[..8].try_into().unwrap()));
                        true
                    };
                    store.scan(KeyRange::default(), order, visit).unwrap();
                    assert_eq!((rows, batches.len()), (ROWS, 1), "batches {batches:?}");
                    // A row that is read later is never older.
                    let mut value = 0;
                    store
                        .get(&key(17), &mut |bytes| value = i64::from_be_bytes(bytes[..8].try_into().unwrap()))
                        .unwrap();
                    assert!(batches.iter().all(|batch| value >= *batch));
                    seen.extend(batches);
                }
            }
            seen.len()
        });
        for batch in 2..=BATCHES {
            commit(batch);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().unwrap() > 1);
    });
}
