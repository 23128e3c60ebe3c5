//! The part of the suite for layer 3 of the stores: uncommitted rows that a back-end holds for a step too large for memory.

use super::{Rows, TASK, commit, commit_all, get, keys, open, position, scan};
use crate::{BatchSource, KeyRange, Order, StoreBackend, StoreBackends};

/// Runs the checks of a back-end that takes a spill; nothing for one that does not.
pub(super) fn suite(make: &mut dyn FnMut() -> Box<dyn StoreBackends>) {
    if !open(&*make()).can_spill() {
        return;
    }
    s1_spilled_rows_hide_committed_ones_from_their_own_step_only(&*make());
    s1_a_later_spill_hides_an_earlier_one(&*make());
    s1_scans_see_the_spill_in_range_and_order(&*make());
    s3_a_commit_takes_the_spill_along(&*make());
    s3_a_large_spill_is_committed_as_a_whole(&*make());
    s2_ranges_are_deleted_from_the_spill_as_well(&*make());
    s9_a_dropped_spill_leaves_no_trace(&*make());
    s6_a_spill_is_gone_when_the_store_is_opened(&*make());
    a_wiped_store_has_no_spill(&*make());
}

fn spill(store: &dyn StoreBackend, rows: &[(&[u8], Option<&[u8]>)]) {
    store.spill(&mut rows.iter().copied()).expect("the rows are spilled");
}

fn get_with_spill(store: &dyn StoreBackend, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = None;
    store.get_with_spill(key, &mut |bytes| value = Some(bytes.to_vec())).expect("the row is read");
    value
}

fn scan_with_spill(store: &dyn StoreBackend, from: Option<&[u8]>, to: Option<&[u8]>, order: Order) -> Rows {
    let mut rows = Rows::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        true
    };
    store.scan_with_spill(KeyRange { from, to }, order, visit).expect("the rows are read");
    rows
}

fn all(store: &dyn StoreBackend) -> Rows {
    scan(store, None, None, Order::Ascending)
}

fn all_with_spill(store: &dyn StoreBackend) -> Rows {
    scan_with_spill(store, None, None, Order::Ascending)
}

fn s1_spilled_rows_hide_committed_ones_from_their_own_step_only(backends: &dyn StoreBackends) {
    let store = open(backends);
    commit(&*store, &[(b"a", Some(b"1")), (b"b", Some(b"1")), (b"c", Some(b"1"))], 1);
    let before = all(&*store);
    spill(&*store, &[(b"", Some(b"empty")), (b"a", Some(b"2")), (b"b", None), (b"d", Some(b"")), (b"e", None)]);
    assert_eq!(get_with_spill(&*store, b"").as_deref(), Some(&b"empty"[..]), "an empty key is a key");
    assert_eq!(get_with_spill(&*store, b"a").as_deref(), Some(&b"2"[..]));
    assert_eq!(get_with_spill(&*store, b"b"), None, "a spilled deletion hides the committed row");
    assert_eq!(get_with_spill(&*store, b"c").as_deref(), Some(&b"1"[..]), "what is not in the spill is committed");
    assert_eq!(get_with_spill(&*store, b"d").as_deref(), Some(&b""[..]), "an empty value is a value");
    assert_eq!(get_with_spill(&*store, b"e"), None);
    assert_eq!(keys(&all_with_spill(&*store)), [&b""[..], b"a", b"c", b"d"]);
    assert_eq!(all(&*store), before, "others see what is committed");
    assert_eq!(get(&*store, b"a").as_deref(), Some(&b"1"[..]));
    assert_eq!(store.position(), Some(position(1)));
}

fn s1_a_later_spill_hides_an_earlier_one(backends: &dyn StoreBackends) {
    let store = open(backends);
    spill(&*store, &[(b"a", Some(b"1")), (b"b", Some(b"1")), (b"c", None)]);
    spill(&*store, &[(b"b", None), (b"c", Some(b"2"))]);
    spill(&*store, &[]);
    assert_eq!(all_with_spill(&*store), [(b"a".to_vec(), b"1".to_vec()), (b"c".to_vec(), b"2".to_vec())]);
    commit(&*store, &[(b"c", None), (b"d", Some(b"3"))], 1);
    assert_eq!(all(&*store), [(b"a".to_vec(), b"1".to_vec()), (b"d".to_vec(), b"3".to_vec())], "the batch is on top");
}

fn s1_scans_see_the_spill_in_range_and_order(backends: &dyn StoreBackends) {
    let store = open(backends);
    let key = |n: u8| [n];
    for n in (0..40).step_by(2) {
        commit(&*store, &[(&key(n), Some(b"committed"))], i64::from(n));
    }
    for n in (0..40).step_by(3) {
        spill(&*store, &[(&key(n), (n % 2 == 0).then_some(&b"spilled"[..]))]);
    }
    spill(&*store, &[(&key(20), None), (&key(35), Some(b"spilled"))]);
    let expected: Rows = (0..40u8)
        .filter_map(|n| match n {
            20 => None,
            35 => Some((vec![n], b"spilled".to_vec())),
            _ if n % 3 == 0 => (n % 2 == 0).then(|| (vec![n], b"spilled".to_vec())),
            _ => (n % 2 == 0).then(|| (vec![n], b"committed".to_vec())),
        })
        .collect();
    for (from, to) in [(None, None), (Some(5), None), (None, Some(36)), (Some(6), Some(20)), (Some(20), Some(21))] {
        let wanted = |key: &[u8]| from.is_none_or(|from| key[0] >= from) && to.is_none_or(|to| key[0] < to);
        let (from, to) = (from.map(key), to.map(key));
        let (from, to) = (from.as_ref().map(|key| &key[..]), to.as_ref().map(|key| &key[..]));
        let mut expected: Rows = expected.iter().filter(|(key, _)| wanted(key)).cloned().collect();
        assert_eq!(scan_with_spill(&*store, from, to, Order::Ascending), expected);
        expected.reverse();
        assert_eq!(scan_with_spill(&*store, from, to, Order::Descending), expected);
    }
    assert_eq!(scan_with_spill(&*store, Some(b"b"), Some(b"a"), Order::Ascending), [], "an empty range");
    for order in [Order::Ascending, Order::Descending] {
        let mut seen = 0;
        let visit = &mut |_: &[u8], _: &[u8]| {
            seen += 1;
            seen < 7
        };
        store.scan_with_spill(KeyRange::default(), order, visit).expect("the rows are read");
        assert_eq!(seen, 7, "a scan ends when it is told to");
    }
}

fn s3_a_commit_takes_the_spill_along(backends: &dyn StoreBackends) {
    let store = open(backends);
    commit(&*store, &[(b"a", Some(b"1")), (b"b", Some(b"1"))], 1);
    spill(&*store, &[(b"a", None), (b"c", Some(b"2")), (b"d", Some(b"2"))]);
    commit(&*store, &[(b"d", Some(b"3")), (b"e", Some(b"3"))], 2);
    let expected = [(b"b", b"1"), (b"c", b"2"), (b"d", b"3"), (b"e", b"3")];
    let expected: Rows = expected.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    assert_eq!((all(&*store), store.position()), (expected.clone(), Some(position(2))));
    assert_eq!(all_with_spill(&*store), expected, "nothing of the spill is left over");
    // The next commit finds an ordinary store.
    commit(&*store, &[(b"c", None)], 3);
    assert_eq!(keys(&all(&*store)), [b"b", b"d", b"e"]);
    spill(&*store, &[(b"b", None)]);
    commit(&*store, &[], 4);
    assert_eq!(keys(&all(&*store)), [b"d", b"e"], "a batch without rows takes the spill along, too");
    drop(store);
    if backends.is_persistent() {
        let store = open(backends);
        assert_eq!((keys(&all(&*store)), store.position()), (vec![&b"d"[..], b"e"], Some(position(4))));
    }
}

fn s3_a_large_spill_is_committed_as_a_whole(backends: &dyn StoreBackends) {
    const ROWS: u32 = 30_000;
    let store = open(backends);
    let value = [7; 100];
    for part in 0..3 {
        // Every part writes all keys, so that two thirds are overwritten, and deletes some.
        let keys: Vec<[u8; 4]> = (0..ROWS).map(u32::to_be_bytes).collect();
        let row = |n: u32| (n % 3 != part).then_some(&value[..=part as usize]);
        let rows = keys.iter().map(|key| (&key[..], row(u32::from_be_bytes(*key))));
        store.spill(&mut rows.into_iter()).expect("the rows are spilled");
    }
    assert_eq!(all(&*store), []);
    commit(&*store, &[], 1);
    let rows = all(&*store);
    assert_eq!(rows.len() as u32, ROWS / 3 * 2);
    assert!(rows.iter().all(|(_, value)| value.len() == 3));
}

fn s2_ranges_are_deleted_from_the_spill_as_well(backends: &dyn StoreBackends) {
    let store = open(backends);
    commit(&*store, &[(b"a", Some(b"1")), (b"b", Some(b"1"))], 1);
    spill(&*store, &[(b"a", Some(b"2")), (b"b", Some(b"2")), (b"bb", Some(b"2")), (b"c", Some(b"2"))]);
    let ranges = [(b"b".to_vec(), b"c".to_vec()), (b"x".to_vec(), b"x".to_vec())];
    commit_all(&*store, &ranges, &[(b"bc", Some(b"3"))], &position(2), BatchSource::Processing);
    assert_eq!(keys(&all(&*store)), [&b"a"[..], b"bc", b"c"]);
    assert_eq!(get(&*store, b"a").as_deref(), Some(&b"2"[..]));
}

fn s9_a_dropped_spill_leaves_no_trace(backends: &dyn StoreBackends) {
    let store = open(backends);
    store.drop_spill();
    commit(&*store, &[(b"a", Some(b"1"))], 1);
    spill(&*store, &[(b"a", None), (b"b", Some(b"2"))]);
    store.drop_spill();
    assert_eq!(keys(&all_with_spill(&*store)), [b"a"]);
    commit(&*store, &[(b"c", Some(b"3"))], 2);
    assert_eq!(keys(&all(&*store)), [b"a", b"c"], "a commit does not bring it back");
    spill(&*store, &[(b"d", Some(b"4"))]);
    assert_eq!(keys(&all_with_spill(&*store)), [b"a", b"c", b"d"], "nor does the next spill");
    commit(&*store, &[], 3);
    assert_eq!(keys(&all(&*store)), [b"a", b"c", b"d"]);
}

fn s6_a_spill_is_gone_when_the_store_is_opened(backends: &dyn StoreBackends) {
    let store = open(backends);
    commit(&*store, &[(b"a", Some(b"1"))], 1);
    spill(&*store, &[(b"a", None), (b"b", Some(b"2"))]);
    drop(store);
    let store = backends.open(TASK, "store").expect("a store with a spill opens");
    let (rows, offset): (&[&[u8]], _) = if backends.is_persistent() { (&[b"a"], Some(1)) } else { (&[], None) };
    assert_eq!((keys(&all(&*store)), keys(&all_with_spill(&*store))), (rows.to_vec(), rows.to_vec()));
    assert_eq!(store.position().map(|position| position.offset), offset);
    spill(&*store, &[(b"c", Some(b"3"))]);
    commit(&*store, &[], 2);
    assert!(keys(&all(&*store)).ends_with(&[b"c"]));
    assert_eq!(get(&*store, b"b"), None);
}

fn a_wiped_store_has_no_spill(backends: &dyn StoreBackends) {
    let store = open(backends);
    commit(&*store, &[(b"a", Some(b"1"))], 1);
    spill(&*store, &[(b"b", Some(b"2"))]);
    store.wipe().expect("wiped");
    assert_eq!((all_with_spill(&*store), store.position()), (vec![], None));
    commit(&*store, &[(b"c", Some(b"3"))], 2);
    assert_eq!(keys(&all(&*store)), [b"c"]);
}
