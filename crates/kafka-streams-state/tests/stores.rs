//! What typed stores write to their changelogs and forward, and when.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::serde::{I64Serde, StringSerde};
use kafka_streams_core::{Change, Headers, PartitionChoice, RecordContext, RouteId, TaskContext, TaskId, TopicId};
use kafka_streams_state::{
    InMemoryBackends, KeyRange, MemoryBudget, Order, StateStore, StoreBackend, StoreBackends, StoreBuilder, StoreError,
    StoreParts, StorePosition, Stores, ThreadCache, ValueAndTimestamp, Window, Windowed,
};

const TASK: TaskId = TaskId::new(0, 2);

fn task() -> TaskContext {
    TaskContext::new(TASK, "app".into(), Handlers::default())
}

/// The record in hand: its offset is a tenth of its timestamp.
fn at(cx: &mut TaskContext, timestamp: i64) {
    let topic = Some(Arc::from("input"));
    cx.record = RecordContext { topic, partition: 0, offset: timestamp / 10, ..RecordContext::none(timestamp) };
}

fn backend() -> Arc<dyn StoreBackend> {
    InMemoryBackends.open(TASK, "store").unwrap()
}

fn parts(cache: &ThreadCache) -> StoreParts {
    StoreParts::new(backend(), Some(RouteId(4)), cache.clone())
}

fn position(offset: i64) -> StorePosition {
    let extensions = Vec::new();
    StorePosition { topic_id: TopicId::nil(), partition: 2, offset, leader_epoch: 0, committed_at: 0, extensions }
}

/// Takes all output records, as `key=value@timestamp` in hex.
fn changelog(cx: &mut TaskContext) -> Vec<String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut records = Vec::new();
    while let Some(record) = cx.output.first() {
        assert_eq!((record.route, record.partition), (RouteId(4), PartitionChoice::Explicit(2)));
        let value = record.value.map_or("null".to_owned(), hex);
        let headers = if record.headers.is_empty() { "" } else { " headers" };
        records.push(format!("{}={value}@{}{headers}", hex(record.key.unwrap()), record.timestamp.unwrap()));
        cx.output.take();
    }
    records
}

#[test]
fn a_count_is_logged_as_on_the_jvm() {
    // "count (timestamped KV)" as Kafka Streams 4.3 wrote it.
    let store = Stores::persistent_timestamped_key_value_store("cnt", StringSerde, I64Serde);
    let store = store.build(parts(&ThreadCache::new(0)));
    let mut cx = task();
    for timestamp in [1000, 2000, 1500] {
        at(&mut cx, timestamp);
        cx.record.headers.add("hk", Some(vec![1, 2]));
        let updated = store.update(&mut cx, &"A".to_owned(), timestamp, |old| {
            let (count, time) = old.map_or((0, timestamp), |old| (old.value, old.timestamp.max(timestamp)));
            Ok(Some(ValueAndTimestamp::new(count + 1, time)))
        });
        assert!(updated.unwrap().unwrap().change.old.is_none(), "nobody asked for old values");
    }
    at(&mut cx, 1700);
    assert_eq!(store.delete(&mut cx, &"A".to_owned()).unwrap(), Some(ValueAndTimestamp::new(3, 2000)));
    let expected = ["41=0000000000000001@1000", "41=0000000000000002@2000", "41=0000000000000003@2000", "41=null@1700"];
    assert_eq!(changelog(&mut cx), expected);
}

#[test]
fn a_window_count_is_logged_as_on_the_jvm() {
    // "tumbling window count 10s" as Kafka Streams 4.3 wrote it.
    let (size, retention) = (Duration::from_secs(10), Duration::from_secs(86_400));
    let store = Stores::persistent_timestamped_window_store("wcnt", retention, size, false, StringSerde, I64Serde);
    let store = store.build(parts(&ThreadCache::new(0)));
    let mut cx = task();
    at(&mut cx, 12_345);
    let one = |_: Option<ValueAndTimestamp<i64>>| Ok(Some(ValueAndTimestamp::new(1, 12_345)));
    let updated = store.update(&mut cx, &"A".to_owned(), 10_000, 12_345, one).unwrap().unwrap();
    assert_eq!((updated.change.new, updated.timestamp), (Some(1), 12_345));
    assert_eq!(changelog(&mut cx), ["41000000000000271000000000=0000000000000001@12345"]);
}

#[test]
fn duplicates_are_numbered_and_logged_as_on_the_jvm() {
    // The changelog of a join's window store ("stream-stream left join") as Kafka Streams 4.3 wrote it.
    let minute = Duration::from_secs(60);
    let builder = Stores::persistent_window_store("join", minute, minute, true, StringSerde, StringSerde);
    let store = builder.with_caching_enabled().with_record_headers_logged().build(parts(&ThreadCache::new(1000)));
    let mut cx = task();
    for (key, value, timestamp) in [("A", Some("L1"), 1000), ("A", Some("L2"), 1000), ("B", Some("Z"), 50_000)] {
        at(&mut cx, timestamp);
        cx.record.headers.add("hk", Some(vec![1, 2]));
        store.put(&mut cx, &key.to_owned(), value.map(str::to_owned).as_ref(), timestamp).unwrap();
    }
    let expected = [
        "4100000000000003e800000001=4c31@1000 headers",
        "4100000000000003e800000002=4c32@1000 headers",
        "42000000000000c35000000003=5a@50000 headers",
    ];
    assert_eq!(changelog(&mut cx), expected, "logged at once: stores of duplicates are never cached");
    let rows = store.fetch_range(&"A".to_owned(), 0, 5000).map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(rows, [(1000, "L1".to_owned()), (1000, "L2".to_owned())]);
    store.put(&mut cx, &"A".to_owned(), None, 1000).unwrap();
    assert_eq!(changelog(&mut cx), ["4100000000000003e800000004=null@50000 headers"], "a null is only logged");
    assert_eq!(store.fetch_range(&"A".to_owned(), 0, 5000).count(), 2);
}

type Heard = Rc<RefCell<Vec<(String, Change<i64>, i64, i64)>>>;

/// A cached counter, and what it forwarded: key, change, record timestamp, offset of the record in hand.
fn cached(
    cache: &ThreadCache,
    send_old: bool,
) -> (Rc<kafka_streams_state::TimestampedKeyValueStore<String, i64>>, Heard) {
    let builder = Stores::persistent_timestamped_key_value_store("store", StringSerde, I64Serde);
    let store = builder.with_caching_enabled().build(parts(cache));
    let heard = Heard::default();
    let hears = heard.clone();
    store.set_flush_listener(
        send_old,
        Rc::new(move |cx, record| {
            hears.borrow_mut().push((record.key, record.value, record.timestamp, cx.record.offset));
            Ok(())
        }),
    );
    (store, heard)
}

fn put(
    store: &kafka_streams_state::TimestampedKeyValueStore<String, i64>,
    cx: &mut TaskContext,
    key: &str,
    value: Option<i64>,
    timestamp: i64,
) {
    at(cx, timestamp);
    let value = value.map(|value| ValueAndTimestamp::new(value, timestamp));
    store.put(cx, &key.to_owned(), value.as_ref()).unwrap();
}

fn change(old: Option<i64>, new: Option<i64>) -> Change<i64> {
    Change { old, new }
}

#[test]
fn s1_a_full_cache_flushes_the_evicted_entry_first_and_the_others_by_last_write() {
    // Each entry takes 1 + 24 + 16 + 21 + 5 = 67 bytes: three fit.
    let cache = ThreadCache::new(3 * 67);
    let (store, heard) = cached(&cache, true);
    let mut cx = task();
    put(&store, &mut cx, "a", Some(1), 10);
    put(&store, &mut cx, "b", Some(2), 20);
    put(&store, &mut cx, "c", Some(3), 30);
    put(&store, &mut cx, "b", Some(4), 40);
    store.get(&"a".to_owned()).unwrap();
    assert_eq!(cache.bytes(), 3 * 67);
    assert!(changelog(&mut cx).is_empty() && heard.borrow().is_empty(), "all is held back");
    put(&store, &mut cx, "d", Some(5), 50);
    let record = |key: &str, new, timestamp: i64| (key.to_owned(), change(None, Some(new)), timestamp, timestamp / 10);
    let expected = [record("c", 3, 30), record("a", 1, 10), record("b", 4, 40), record("d", 5, 50)];
    assert_eq!(*heard.borrow(), expected, "c was not used for the longest time; then a, b, d as they were written");
    assert_eq!(cx.record.offset, 5, "the record in hand is back");
    assert_eq!(changelog(&mut cx).len(), 4);
    assert_eq!(cache.bytes(), 3 * 67, "flushed entries stay, clean");
    put(&store, &mut cx, "a", Some(6), 60);
    store.flush(&mut cx).unwrap();
    assert_eq!(heard.borrow()[4..], [("a".to_owned(), change(Some(1), Some(6)), 60, 6)], "old values are from below");
}

#[test]
fn s1_flushing_nothing_over_nothing_leaves_no_trace() {
    let (store, heard) = cached(&ThreadCache::new(10_000), false);
    let mut cx = task();
    at(&mut cx, 10);
    assert_eq!(store.update(&mut cx, &"a".to_owned(), 10, |_| Ok(None)).unwrap(), None);
    store.flush(&mut cx).unwrap();
    assert!(heard.borrow().is_empty() && changelog(&mut cx).is_empty());
    let (store, heard) = cached(&ThreadCache::new(10_000), false);
    let mut cx = task();
    put(&store, &mut cx, "a", Some(1), 10);
    store.flush(&mut cx).unwrap();
    put(&store, &mut cx, "a", None, 20);
    store.flush(&mut cx).unwrap();
    let expected = [("a".to_owned(), change(None, Some(1)), 10, 1), ("a".to_owned(), change(None, None), 20, 2)];
    assert_eq!(*heard.borrow(), expected, "a deletion of what is there is told, without old values if nobody asked");
    assert_eq!(changelog(&mut cx), ["61=0000000000000001@10", "61=null@20"]);
}

#[test]
fn with_a_cache_of_no_bytes_a_store_is_not_cached_even_if_it_asks_for_it() {
    // The JVM strips the caches (`InternalTopologyBuilder.rewriteTopology`), so a deletion of nothing is told, too.
    let (store, _) = cached(&ThreadCache::new(0), false);
    let mut cx = task();
    at(&mut cx, 10);
    let updated = store.update(&mut cx, &"a".to_owned(), 10, |_| Ok(None)).unwrap().unwrap();
    assert_eq!((updated.change, updated.timestamp), (Change { old: None, new: None }, 10));
    assert_eq!(changelog(&mut cx), ["61=null@10"]);
}

#[test]
fn a_cached_window_store_forwards_windowed_keys() {
    let minute = Duration::from_secs(60);
    let builder = Stores::persistent_timestamped_window_store("w", 3 * minute, minute, false, StringSerde, I64Serde);
    let store = builder.with_caching_enabled().build(parts(&ThreadCache::new(10_000)));
    let heard = Rc::new(RefCell::new(Vec::new()));
    let hears = heard.clone();
    let listener = move |_: &mut TaskContext, record: kafka_streams_core::Record<Windowed<String>, Change<i64>>| {
        hears.borrow_mut().push((record.key, record.value, record.timestamp));
        Ok(())
    };
    assert!(store.set_flush_listener(true, Rc::new(listener)));
    let mut cx = task();
    for timestamp in [61_000, 62_000] {
        at(&mut cx, timestamp);
        let add = |old: Option<ValueAndTimestamp<i64>>| {
            Ok(Some(ValueAndTimestamp::new(old.map_or(0, |old| old.value) + 1, timestamp)))
        };
        assert_eq!(store.update(&mut cx, &"k".to_owned(), 60_000, timestamp, add).unwrap(), None);
    }
    assert_eq!(store.fetch(&"k".to_owned(), 60_000).unwrap(), Some(ValueAndTimestamp::new(2, 62_000)));
    let windows = store.fetch_range(&"k".to_owned(), 0, i64::MAX).map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(windows, [(60_000, ValueAndTimestamp::new(2, 62_000))], "seen before it is flushed");
    store.flush(&mut cx).unwrap();
    let key = Windowed::new("k".to_owned(), Window { start: 60_000, end: 120_000 });
    assert_eq!(*heard.borrow(), [(key, change(None, Some(2)), 62_000)]);
}

#[test]
fn a_store_can_be_written_while_it_is_walked_and_updated() {
    let store = Stores::persistent_key_value_store("store", StringSerde, I64Serde).build(parts(&ThreadCache::new(0)));
    let mut cx = task();
    for n in 0..200 {
        store.put(&mut cx, &format!("{n:03}"), Some(&n)).unwrap();
    }
    for row in store.all() {
        let (key, n) = row.unwrap();
        store.put(&mut cx, &key, (n % 2 == 0).then_some(&-n)).unwrap();
    }
    assert_eq!(store.all().count(), 100);
    let outer = store.update(&mut cx, &"a".to_owned(), |_| {
        let mut inner = task();
        store.put(&mut inner, &"b".to_owned(), Some(&1))?;
        store.update(&mut inner, &"a".to_owned(), |_| Ok(Some(7)))?;
        store.drop_uncommitted();
        Ok(Some(8))
    });
    assert_eq!(outer.unwrap().unwrap().new, Some(8));
    assert_eq!(store.get(&"a".to_owned()).unwrap(), Some(8));
    assert_eq!(store.get(&"b".to_owned()).unwrap(), None);
}

#[test]
fn s2_expiry_is_part_of_the_batch_and_comes_back_when_it_is_dropped() {
    let (size, retention) = (Duration::from_secs(1), Duration::from_secs(120));
    let builder = Stores::persistent_window_store("w", retention, size, false, StringSerde, I64Serde);
    let backend = backend();
    let parts = |backend: &Arc<dyn StoreBackend>| StoreParts::new(backend.clone(), None, ThreadCache::new(0));
    let store = builder.build(parts(&backend));
    let rows = || {
        let mut rows = 0;
        let visit = &mut |_: &[u8], _: &[u8]| {
            rows += 1;
            true
        };
        backend.scan(KeyRange::default(), Order::Ascending, visit).unwrap();
        rows
    };
    let mut cx = task();
    let key = "k".to_owned();
    store.put(&mut cx, &key, Some(&1), 1_000).unwrap();
    store.commit(&position(1)).unwrap();
    assert_eq!(rows(), 2, "the window and the stream time");
    store.put(&mut cx, &key, Some(&2), 500_000).unwrap();
    store.put(&mut cx, &key, Some(&3), 2_000).unwrap();
    assert_eq!(cx.counters.dropped, 1);
    assert_eq!(store.fetch(&key, 1_000).unwrap(), None, "expired");
    assert_eq!(rows(), 2, "but only in the batch to come");
    store.drop_uncommitted();
    assert_eq!(store.fetch(&key, 1_000).unwrap(), Some(1), "and back with the transaction");
    assert_eq!(store.observed_stream_time().unwrap(), 1_000);
    store.put(&mut cx, &key, Some(&4), 3_000).unwrap();
    store.put(&mut cx, &key, Some(&2), 500_000).unwrap();
    store.commit(&position(2)).unwrap();
    assert_eq!(rows(), 2, "both old windows are gone from the files");
    let again = builder.build(parts(&backend));
    assert_eq!(again.fetch(&key, 1_000).unwrap(), None, "expired for good");
    assert_eq!(again.fetch(&key, 500_000).unwrap(), Some(2));
    assert_eq!(again.observed_stream_time().unwrap(), 500_000);
}

#[test]
fn in_memory_windows_expire_to_the_millisecond() {
    let (size, retention) = (Duration::from_millis(10), Duration::from_millis(100));
    let store = Stores::in_memory_window_store("w", retention, size, false, StringSerde, I64Serde);
    let store = store.build(parts(&ThreadCache::new(0)));
    let mut cx = task();
    store.put(&mut cx, &"k".to_owned(), Some(&1), 1_000).unwrap();
    store.put(&mut cx, &"k".to_owned(), Some(&2), 900).unwrap();
    store.put(&mut cx, &"k".to_owned(), Some(&3), 901).unwrap();
    assert_eq!(cx.counters.dropped, 1);
    assert_eq!(changelog(&mut cx).len(), 3, "the changelog has it all the same, as on the JVM");
    assert_eq!(store.all().map(|row| row.unwrap().1).collect::<Vec<_>>(), [3, 1]);
}

#[test]
fn a_thread_full_of_uncommitted_rows_asks_for_a_commit() {
    let budget = MemoryBudget::new(40_000, 1);
    let cache = ThreadCache::with_budget(0, &budget);
    let store = Stores::persistent_key_value_store("store", StringSerde, I64Serde).build(parts(&cache));
    let mut cx = task();
    let mut n = 0;
    while !cx.commit_requested {
        store.put(&mut cx, &format!("{n}"), Some(&n)).unwrap();
        n += 1;
        assert!(n < 1_000);
    }
    assert!(n > 30, "{n} rows of 20,000 bytes");
    store.commit(&position(1)).unwrap();
    for key in 0..1_000 {
        store.get(&format!("{key}")).unwrap();
    }
    store.commit(&position(2)).unwrap();
    assert!(budget.rows_used() <= 20_000 && budget.rows_used() > 10_000, "{} bytes", budget.rows_used());
    drop((store, cache));
    assert_eq!(budget.rows_used(), 0);
}

#[test]
fn a_stored_value_of_another_type_is_told_with_its_store() {
    let backend = backend();
    let parts = || StoreParts::new(backend.clone(), None, ThreadCache::new(0));
    let mut cx = task();
    let strings = Stores::persistent_key_value_store("store", StringSerde, StringSerde).build(parts());
    strings.put(&mut cx, &"k".to_owned(), Some(&"text".to_owned())).unwrap();
    strings.commit(&position(1)).unwrap();
    let numbers = Stores::persistent_key_value_store("store", StringSerde, I64Serde).build(parts());
    let error = numbers.get(&"k".to_owned()).unwrap_err().to_string();
    assert!(error.contains("store store") && error.contains("was the type or serde changed"), "{error}");
    assert!(numbers.all().next().unwrap().is_err());
}

#[test]
fn a_retention_shorter_than_the_window_is_refused() {
    let second = Duration::from_secs(1);
    let spec = |retention| Stores::in_memory_window_store("w", retention, second, false, StringSerde, I64Serde).spec();
    assert!(matches!(spec(second / 2).validate(), Err(StoreError::Declaration { .. })));
    assert!(spec(second).validate().is_ok());
}

#[test]
fn headers_of_the_record_in_hand_reach_the_flush_listener() {
    let (store, _) = cached(&ThreadCache::new(1_000), false);
    let headers = Rc::new(RefCell::new(Headers::new()));
    let heard = headers.clone();
    store.set_flush_listener(
        false,
        Rc::new(move |_, record| {
            *heard.borrow_mut() = record.headers;
            Ok(())
        }),
    );
    let mut cx = task();
    at(&mut cx, 10);
    cx.record.headers.add("h", None);
    store.put(&mut cx, &"k".to_owned(), Some(&ValueAndTimestamp::new(1, 10))).unwrap();
    at(&mut cx, 20);
    store.flush(&mut cx).unwrap();
    assert!(headers.borrow().last("h").is_some());
    assert!(cx.output.first().unwrap().headers.is_empty(), "but not the changelog");
}
