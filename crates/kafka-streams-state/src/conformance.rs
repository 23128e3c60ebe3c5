//! What every back-end must do, as functions to be called from the tests of its crate.
//!
//! [`suite`] holds the contract of [`StoreBackend`]; [`key_value_model`], [`window_model`], [`session_model`],
//! [`versioned_model`], [`join_buffer_model`] and [`with_headers_model`] run typed stores over the back-end beside a model, as a script of bytes
//! tells, which a property test makes and shrinks. All of them panic when the back-end is wrong.
#![allow(clippy::expect_used, clippy::panic, reason = "these functions are tests, called from tests")]

mod join_buffer_model;
mod model;
mod session_model;
mod spill;
mod versioned_model;
mod with_headers_model;

use std::sync::Arc;

use kafka_streams_core::{TaskId, TopicId};

pub use self::join_buffer_model::join_buffer_model;
pub use self::model::{ModelConfig, key_value_model, window_model};
pub use self::session_model::session_model;
pub use self::versioned_model::versioned_model;
pub use self::with_headers_model::with_headers_model;
use crate::{BatchSource, CommitBatch, KeyRange, Order, StoreBackend, StoreBackends, StorePosition};

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// Runs all checks. `make` returns back-ends over an empty place each time.
///
/// # Panics
/// A check fails.
pub fn suite(make: &mut dyn FnMut() -> Box<dyn StoreBackends>) {
    a_new_store_is_empty(&*make());
    committed_rows_are_read_back(&*make());
    scans_keep_to_their_range_and_order(&*make());
    a_scan_ends_when_it_is_told_to(&*make());
    ranges_are_deleted_before_rows_are_written(&*make());
    the_position_is_replaced_as_a_whole(&*make());
    a_batch_without_rows_moves_the_position(&*make());
    restored_batches_are_read_back(&*make());
    a_wiped_store_is_empty_and_usable(&*make());
    stores_do_not_see_each_other(&*make());
    what_is_committed_survives_closing_if_persistent(&*make());
    a_destroyed_store_is_empty(&*make());
    spill::suite(make);
}

/// The position used by the checks, at `offset`.
pub fn position(offset: i64) -> StorePosition {
    StorePosition {
        topic_id: TopicId::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        partition: 3,
        offset,
        leader_epoch: 7,
        committed_at: 1_700_000_000_000,
        extensions: Vec::new(),
    }
}

const TASK: TaskId = TaskId::new(0, 3);

fn open(backends: &dyn StoreBackends) -> Arc<dyn StoreBackend> {
    backends.open(TASK, "store").expect("the store opens")
}

fn commit(store: &dyn StoreBackend, rows: &[(&[u8], Option<&[u8]>)], offset: i64) {
    commit_all(store, &[], rows, &position(offset), BatchSource::Processing);
}

fn commit_all(
    store: &dyn StoreBackend,
    deleted_ranges: &[(Vec<u8>, Vec<u8>)],
    rows: &[(&[u8], Option<&[u8]>)],
    position: &StorePosition,
    source: BatchSource,
) {
    let mut rows = rows.iter().copied();
    store.commit(CommitBatch { deleted_ranges, rows: &mut rows, position, source }).expect("the batch is written");
}

fn get(store: &dyn StoreBackend, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = None;
    store.get(key, &mut |bytes| value = Some(bytes.to_vec())).expect("the row is read");
    value
}

fn scan(store: &dyn StoreBackend, from: Option<&[u8]>, to: Option<&[u8]>, order: Order) -> Rows {
    let mut rows = Rows::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        true
    };
    store.scan(KeyRange { from, to }, order, visit).expect("the rows are read");
    rows
}

fn keys(rows: &Rows) -> Vec<&[u8]> {
    rows.iter().map(|(key, _)| &key[..]).collect()
}

fn a_new_store_is_empty(backends: &dyn StoreBackends) {
    let store = open(backends);
    assert_eq!(store.position(), None, "a store that was never committed has no position");
    assert_eq!(get(&*store, b""), None);
    assert_eq!(scan(&*store, None, None, Order::Ascending), []);
    assert_eq!(scan(&*store, None, None, Order::Descending), []);
    assert_eq!(store.approximate_rows().expect("counted"), 0);
    store.sync().expect("synced");
}

fn committed_rows_are_read_back(backends: &dyn StoreBackends) {
    let store = open(backends);
    let large = vec![7; 100_000];
    commit(&*store, &[(b"", Some(b"empty")), (b"\0", Some(b"")), (b"a", Some(&large)), (b"\xff", Some(b"z"))], 1);
    assert_eq!(get(&*store, b"").as_deref(), Some(&b"empty"[..]), "an empty key is a key");
    assert_eq!(get(&*store, b"\0").as_deref(), Some(&b""[..]), "an empty value is a value");
    assert_eq!(get(&*store, b"a"), Some(large));
    assert_eq!(get(&*store, b"b"), None);
    commit(&*store, &[(b"", None), (b"\xff", Some(b"new")), (b"not there", None)], 2);
    assert_eq!(get(&*store, b""), None, "a row that is deleted is gone");
    assert_eq!(get(&*store, b"\xff").as_deref(), Some(&b"new"[..]));
}

fn scans_keep_to_their_range_and_order(backends: &dyn StoreBackends) {
    let store = open(backends);
    let all: [&[u8]; 6] = [b"", b"\0", b"a", b"aa", b"b", b"\xff\xff"];
    commit(&*store, &all.map(|key| (key, Some(key))), 1);
    let rows = scan(&*store, None, None, Order::Ascending);
    assert_eq!(keys(&rows), all, "ascending by unsigned bytes");
    assert!(rows.iter().all(|(key, value)| key == value));
    let mut descending = all;
    descending.reverse();
    assert_eq!(keys(&scan(&*store, None, None, Order::Descending)), descending);
    let inside = scan(&*store, Some(b"a"), Some(b"b"), Order::Ascending);
    assert_eq!(keys(&inside), [&b"a"[..], b"aa"], "from is inclusive, to exclusive");
    let inside = scan(&*store, Some(b"a"), Some(b"b"), Order::Descending);
    assert_eq!(keys(&inside), [&b"aa"[..], b"a"]);
    assert_eq!(keys(&scan(&*store, Some(b"a\0"), None, Order::Ascending)), [&b"aa"[..], b"b", b"\xff\xff"]);
    assert_eq!(keys(&scan(&*store, None, Some(b"aa"), Order::Descending)), [&b"a"[..], b"\0", b""]);
    for order in [Order::Ascending, Order::Descending] {
        assert_eq!(scan(&*store, Some(b"b"), Some(b"a"), order), [], "from above to is an empty range");
        assert_eq!(scan(&*store, Some(b"a"), Some(b"a"), order), []);
        assert_eq!(scan(&*store, Some(b""), Some(b""), order), []);
    }
}

fn a_scan_ends_when_it_is_told_to(backends: &dyn StoreBackends) {
    let store = open(backends);
    commit(&*store, &[(b"a", Some(b"1")), (b"b", Some(b"2")), (b"c", Some(b"3"))], 1);
    for order in [Order::Ascending, Order::Descending] {
        let mut seen = 0;
        let visit = &mut |_: &[u8], _: &[u8]| {
            seen += 1;
            seen < 2
        };
        store.scan(KeyRange::default(), order, visit).expect("the rows are read");
        assert_eq!(seen, 2);
    }
}

fn ranges_are_deleted_before_rows_are_written(backends: &dyn StoreBackends) {
    let store = open(backends);
    commit(&*store, &[(b"a", Some(b"1")), (b"b", Some(b"1")), (b"c", Some(b"1")), (b"d", Some(b"1"))], 1);
    let ranges = [(b"b".to_vec(), b"d".to_vec()), (b"x".to_vec(), b"x".to_vec())];
    commit_all(&*store, &ranges, &[(b"bb", Some(b"2"))], &position(2), BatchSource::Processing);
    let left = scan(&*store, None, None, Order::Ascending);
    assert_eq!(keys(&left), [&b"a"[..], b"bb", b"d"], "a range is half-open, and rows of the batch survive it");
    assert_eq!(get(&*store, b"c"), None);
    commit(&*store, &[(b"c", Some(b"3"))], 3);
    assert_eq!(get(&*store, b"c").as_deref(), Some(&b"3"[..]), "a later batch may write into a deleted range");
}

fn the_position_is_replaced_as_a_whole(backends: &dyn StoreBackends) {
    let store = open(backends);
    let first =
        StorePosition { extensions: vec![("input".to_owned(), vec![1, 2]), (String::new(), vec![])], ..position(5) };
    commit_all(&*store, &[], &[], &first, BatchSource::Processing);
    assert_eq!(store.position(), Some(first));
    let second = StorePosition {
        topic_id: TopicId::nil(),
        partition: i32::MAX,
        offset: -1,
        leader_epoch: -1,
        committed_at: 0,
        extensions: vec![],
    };
    commit_all(&*store, &[], &[], &second, BatchSource::Processing);
    assert_eq!(store.position(), Some(second));
}

fn a_batch_without_rows_moves_the_position(backends: &dyn StoreBackends) {
    let store = open(backends);
    commit(&*store, &[(b"a", Some(b"1"))], 1);
    commit(&*store, &[], i64::MAX);
    assert_eq!(store.position(), Some(position(i64::MAX)));
    assert_eq!(keys(&scan(&*store, None, None, Order::Ascending)), [b"a"]);
}

fn restored_batches_are_read_back(backends: &dyn StoreBackends) {
    let store = open(backends);
    for offset in 0..10u8 {
        let rows: [(&[u8], Option<&[u8]>); 2] = [(b"last", Some(&[offset])), (&[offset], Some(b"row"))];
        let mut sorted = rows;
        sorted.sort();
        commit_all(&*store, &[], &sorted, &position(i64::from(offset)), BatchSource::Restore);
    }
    store.sync().expect("synced");
    commit(&*store, &[(b"processed", Some(b"1"))], 10);
    assert_eq!(get(&*store, b"last"), Some(vec![9]));
    assert_eq!(scan(&*store, None, None, Order::Ascending).len(), 12);
    assert_eq!(store.position(), Some(position(10)));
}

fn a_wiped_store_is_empty_and_usable(backends: &dyn StoreBackends) {
    let store = open(backends);
    commit(&*store, &[(b"", Some(b"1")), (b"a", Some(b"1")), (b"\xff\xff\xff", Some(b"1"))], 1);
    store.wipe().expect("wiped");
    assert_eq!(store.position(), None);
    assert_eq!(scan(&*store, None, None, Order::Ascending), []);
    commit(&*store, &[(b"b", Some(b"2"))], 2);
    assert_eq!(keys(&scan(&*store, None, None, Order::Ascending)), [b"b"]);
    drop(store);
    if backends.is_persistent() {
        let store = open(backends);
        assert_eq!(keys(&scan(&*store, None, None, Order::Ascending)), [b"b"], "what was wiped stays away");
        assert_eq!(store.position(), Some(position(2)));
    }
}

fn stores_do_not_see_each_other(backends: &dyn StoreBackends) {
    let first = open(backends);
    let second = backends.open(TASK, "another").expect("opened");
    let third = backends.open(TaskId::new(0, 4), "store").expect("opened");
    commit(&*first, &[(b"a", Some(b"1"))], 1);
    assert_eq!((get(&*second, b"a"), get(&*third, b"a")), (None, None));
    assert_eq!((second.position(), third.position()), (None, None));
}

fn what_is_committed_survives_closing_if_persistent(backends: &dyn StoreBackends) {
    let store = open(backends);
    let wanted = StorePosition { extensions: vec![("x".to_owned(), vec![0, 255])], ..position(42) };
    commit(&*store, &[(b"a", Some(b"1")), (b"b", Some(b"2"))], 1);
    commit_all(&*store, &[(b"b".to_vec(), b"c".to_vec())], &[(b"a", Some(b"3"))], &wanted, BatchSource::Processing);
    drop(store);
    let store = open(backends);
    if backends.is_persistent() {
        assert_eq!(store.position(), Some(wanted));
        let rows = scan(&*store, None, None, Order::Ascending);
        assert_eq!(rows, [(b"a".to_vec(), b"3".to_vec())]);
    } else {
        assert_eq!(store.position(), None, "what does not outlive the process begins empty");
        assert_eq!(scan(&*store, None, None, Order::Ascending), []);
    }
}

fn a_destroyed_store_is_empty(backends: &dyn StoreBackends) {
    backends.destroy(TASK, "store").expect("destroying what is not there is no error");
    let store = open(backends);
    commit(&*store, &[(b"a", Some(b"1"))], 1);
    drop(store);
    backends.destroy(TASK, "store").expect("destroyed");
    let store = open(backends);
    assert_eq!(store.position(), None);
    assert_eq!(get(&*store, b"a"), None);
}
