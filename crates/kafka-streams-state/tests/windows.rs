//! What session stores, suppress buffers and bounded maps write to their changelogs and forward, and what a restore makes of it.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::serde::{I64Serde, StringSerde};
use kafka_streams_core::{Change, Headers, RawRecord, RecordContext, RouteId, TaskContext, TaskId};
use kafka_streams_state::conformance::position;
use kafka_streams_state::{
    BatchSource, CommitBatch, InMemoryBackends, StateStore, StoreBackend, StoreBackends, StoreBuilder, StoreParts,
    Stores, SuppressBuffer, SuppressBufferBuilder, ThreadCache, Window, Windowed,
};
use proptest::prelude::*;

const TASK: TaskId = TaskId::new(0, 2);

fn task() -> TaskContext {
    TaskContext::new(TASK, "app".into(), Handlers::default())
}

fn context(timestamp: i64) -> RecordContext {
    RecordContext {
        topic: Some(Arc::from("in")),
        partition: 0,
        offset: timestamp / 10,
        ..RecordContext::none(timestamp)
    }
}

fn backend() -> Arc<dyn StoreBackend> {
    InMemoryBackends.open(TASK, "store").unwrap()
}

fn parts(backend: &Arc<dyn StoreBackend>, cache: &ThreadCache) -> StoreParts {
    StoreParts::new(backend.clone(), Some(RouteId(4)), cache.clone())
}

type Logged = (Vec<u8>, Option<Vec<u8>>, Option<i64>, Headers);

fn take(cx: &mut TaskContext) -> Vec<Logged> {
    let mut records = Vec::new();
    while let Some(record) = cx.output.first() {
        let value = record.value.map(<[u8]>::to_vec);
        records.push((record.key.unwrap().to_vec(), value, record.timestamp, record.headers.clone()));
        cx.output.take();
    }
    records
}

fn text(records: &[Logged]) -> Vec<String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let line = |(key, value, timestamp, _): &Logged| {
        let value = value.as_deref().map_or("null".to_owned(), hex);
        format!("{}={value}@{}", hex(key), timestamp.map_or("none".to_owned(), |timestamp| timestamp.to_string()))
    };
    records.iter().map(line).collect()
}

fn session(start: i64, end: i64) -> Windowed<String> {
    Windowed::new("A".to_owned(), Window { start, end })
}

#[test]
fn a_session_is_logged_as_on_the_jvm() {
    // "session count gap 10s" as Kafka Streams 4.3 wrote it.
    let builder = Stores::persistent_session_store("scnt", Duration::from_secs(10), StringSerde, I64Serde);
    let store = builder.build(parts(&backend(), &ThreadCache::new(0)));
    let mut cx = task();
    cx.record = context(12_345);
    store.put(&mut cx, &session(12_345, 12_345), Some(&1)).unwrap();
    cx.record = context(13_345);
    store.remove(&mut cx, &session(12_345, 12_345)).unwrap();
    store.put(&mut cx, &session(12_345, 13_345), Some(&2)).unwrap();
    let expected = [
        "4100000000000030390000000000003039=0000000000000001@12345",
        "4100000000000030390000000000003039=null@13345",
        "4100000000000034210000000000003039=0000000000000002@13345",
    ];
    assert_eq!(text(&take(&mut cx)), expected);
    assert_eq!(store.fetch_session(&"A".to_owned(), 12_345, 13_345).unwrap(), Some(2));
}

#[test]
fn s1_cached_sessions_leave_in_the_order_of_their_last_write_and_gone_ones_leave_no_trace() {
    let builder = Stores::persistent_session_store("s", Duration::from_secs(10), StringSerde, I64Serde);
    let store = builder.with_caching_enabled().build(parts(&backend(), &ThreadCache::new(10_000)));
    type Heard = Rc<RefCell<Vec<(Window, Change<i64>, i64)>>>;
    let heard: Heard = Rc::default();
    let listener = heard.clone();
    store.set_flush_listener(
        true,
        Rc::new(move |_, record| {
            listener.borrow_mut().push((record.key.window, record.value, record.timestamp));
            Ok(())
        }),
    );
    let mut cx = task();
    cx.record = context(5);
    store.put(&mut cx, &session(1, 1), Some(&1)).unwrap();
    store.put(&mut cx, &session(5, 5), Some(&1)).unwrap();
    store.remove(&mut cx, &session(1, 1)).unwrap();
    store.remove(&mut cx, &session(5, 5)).unwrap();
    store.put(&mut cx, &session(1, 5), Some(&2)).unwrap();
    store.flush(&mut cx).unwrap();
    assert_eq!(text(&take(&mut cx)), ["4100000000000000050000000000000001=0000000000000002@5"]);
    assert_eq!(*heard.borrow(), [(Window { start: 1, end: 5 }, Change { old: None, new: Some(2) }, 5)]);
    heard.borrow_mut().clear();
    cx.record = context(9);
    store.remove(&mut cx, &session(1, 5)).unwrap();
    store.put(&mut cx, &session(1, 9), Some(&3)).unwrap();
    store.flush(&mut cx).unwrap();
    let gone = (Window { start: 1, end: 5 }, Change { old: Some(2), new: None }, 5);
    let grown = (Window { start: 1, end: 9 }, Change { old: None, new: Some(3) }, 9);
    assert_eq!(*heard.borrow(), [gone, grown], "the timestamp is the session's end");
}

fn suppress(backend: &Arc<dyn StoreBackend>) -> Rc<SuppressBuffer<String, i64>> {
    let logging = Some(BTreeMap::new());
    let builder = SuppressBufferBuilder::new("s", Arc::new(StringSerde), Arc::new(I64Serde), logging);
    builder.build(parts(backend, &ThreadCache::new(0)))
}

fn change(old: Option<i64>, new: Option<i64>) -> Change<i64> {
    Change { old, new }
}

#[test]
fn a_buffered_key_keeps_its_place_and_its_prior_value() {
    let buffer = suppress(&backend());
    let a = "a".to_owned();
    buffer.put(10, &a, &change(Some(1), Some(2)), context(10)).unwrap();
    buffer.put(11, &"b".to_owned(), &change(None, Some(5)), context(11)).unwrap();
    buffer.put(12, &a, &change(Some(2), Some(3)), context(12)).unwrap();
    assert_eq!((buffer.num_records().unwrap(), buffer.min_time().unwrap()), (2, Some(10)));
    assert_eq!(buffer.prior_value(&a).unwrap(), Some(Some(1)));
    assert_eq!(buffer.prior_value(&"c".to_owned()).unwrap(), None);
    let first = buffer.first().unwrap().unwrap();
    assert_eq!((first.key, first.change, first.context), (a, change(Some(2), Some(3)), context(12)));
    buffer.remove_first().unwrap();
    assert_eq!(buffer.min_time().unwrap(), Some(11));
    buffer.remove_first().unwrap();
    buffer.remove_first().unwrap();
    assert_eq!((buffer.num_records().unwrap(), buffer.bytes().unwrap(), buffer.first().unwrap()), (0, 0, None));
}

#[test]
fn what_changed_is_logged_once_in_javas_order_and_without_a_time() {
    let (backend, mut cx) = (backend(), task());
    let buffer = suppress(&backend);
    for (at, key) in ["c", "b", "a"].into_iter().enumerate() {
        buffer.put(at as i64, &key.to_owned(), &change(None, Some(1)), context(0)).unwrap();
    }
    buffer.remove_first().unwrap();
    buffer.flush(&mut cx).unwrap();
    let logged = take(&mut cx);
    assert_eq!(logged.iter().map(|record| &record.0[..]).collect::<Vec<_>>(), [b"a", b"b", b"c"]);
    assert_eq!(logged[2].1, None, "gone before it was logged");
    assert!(logged[2].3.is_empty());
    assert_eq!(logged[0].2, None);
    assert_eq!(logged[0].3.last("v").unwrap().value, Some(vec![3]));
    buffer.flush(&mut cx).unwrap();
    assert_eq!(take(&mut cx), []);
}

#[test]
fn a_bounded_map_keeps_what_was_used_last_and_logs_what_it_gives_up() {
    let backend = backend();
    let builder = Stores::lru_map("lru", 2, StringSerde, I64Serde);
    let store = builder.build(parts(&backend, &ThreadCache::new(0)));
    let mut cx = task();
    let put = |cx: &mut TaskContext, key: &str, value| store.put(cx, &key.to_owned(), Some(&value)).unwrap();
    put(&mut cx, "a", 1);
    put(&mut cx, "b", 2);
    assert_eq!(store.get(&"a".to_owned()).unwrap(), Some(1));
    put(&mut cx, "c", 3);
    let expected = ["61=0000000000000001@-1", "62=0000000000000002@-1", "62=null@-1", "63=0000000000000003@-1"];
    assert_eq!(text(&take(&mut cx)), expected);
    assert_eq!(store.all().map(|row| row.unwrap().0).collect::<Vec<_>>(), ["a", "c"]);
    store.commit(&position(3)).unwrap();
    put(&mut cx, "d", 4);
    store.drop_uncommitted();
    assert_eq!(store.all().map(|row| row.unwrap().0).collect::<Vec<_>>(), ["a", "c"]);
    put(&mut cx, "c", 5);
    put(&mut cx, "d", 6);
    assert_eq!(store.all().map(|row| row.unwrap().0).collect::<Vec<_>>(), ["c", "d"]);
}

proptest! {
    /// Beside a list of changes: the order, the sizes, commits, aborts, and a restore from the changelog.
    #[test]
    fn s9_a_buffer_answers_as_a_list_does_and_comes_back_from_its_changelog(
        script in prop::collection::vec((0u8..12, 0u8..6, any::<i8>()), 0..120),
    ) {
        type Entry = (i64, String, Option<i64>, Change<i64>);
        let (mut cx, backend) = (task(), backend());
        let mut buffer = suppress(&backend);
        let (mut entries, mut committed): (Vec<Entry>, Vec<Entry>) = Default::default();
        let (mut log, mut log_committed): (Vec<Logged>, usize) = Default::default();
        for (number, (what, key, value)) in script.iter().enumerate() {
            let key = format!("k{key}");
            match what {
                0..=6 => {
                    let time = i64::from(*value);
                    let (old, new) = ((*value % 3 == 0).then_some(7), (*value % 5 != 0).then_some(time));
                    buffer.put(time, &key, &change(old, new), context(number as i64)).unwrap();
                    match entries.iter_mut().find(|entry| entry.1 == key) {
                        Some(entry) => entry.3 = change(old, new),
                        None => entries.push((time, key, old, change(old, new))),
                    }
                    entries.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
                }
                7 | 8 => {
                    let first = buffer.first().unwrap().map(|first| (first.key, first.change));
                    prop_assert_eq!(first, entries.first().map(|entry| (entry.1.clone(), entry.3.clone())));
                    buffer.remove_first().unwrap();
                    if !entries.is_empty() {
                        entries.remove(0);
                    }
                }
                9 => {
                    buffer.flush(&mut cx).unwrap();
                    log.extend(take(&mut cx));
                    buffer.commit(&position(number as i64)).unwrap();
                    prop_assert_eq!(buffer.uncommitted().rows, 0);
                    committed = entries.clone();
                    log_committed = log.len();
                }
                10 => {
                    buffer.drop_uncommitted();
                    entries = committed.clone();
                    log.truncate(log_committed);
                }
                _ => {
                    log.truncate(log_committed);
                    let restored = restore(&buffer, &log);
                    prop_assert_eq!(rows_of(&*restored), rows_of(&*backend), "a restore gives what was committed");
                    buffer = suppress(&backend);
                    entries = committed.clone();
                }
            }
            prop_assert_eq!(buffer.num_records().unwrap(), entries.len());
            prop_assert_eq!(buffer.min_time().unwrap(), entries.first().map(|entry| entry.0));
            for (_, key, prior, _) in &entries {
                prop_assert_eq!(buffer.prior_value(key).unwrap(), Some(*prior));
            }
        }
        let bytes = buffer.bytes().unwrap();
        while buffer.first().unwrap().is_some() {
            buffer.remove_first().unwrap();
        }
        prop_assert_eq!(buffer.bytes().unwrap(), 0);
        prop_assert_eq!(bytes == 0, entries.is_empty());
    }
}

fn restore(buffer: &SuppressBuffer<String, i64>, log: &[Logged]) -> Arc<dyn StoreBackend> {
    assert_eq!(&**buffer.name(), "s");
    let spec = SuppressBufferBuilder::<String, i64>::new("s", Arc::new(StringSerde), Arc::new(I64Serde), None).spec();
    let (codec, backend) = (spec.restore_codec(), backend());
    for (offset, (key, value, _, headers)) in log.iter().enumerate() {
        let (key, value, headers) = (Some(&key[..]), value.as_deref(), Some(headers));
        let record = RawRecord { offset: offset as i64, timestamp: 0, key, value, headers };
        let row = &mut |key: &[u8], value: Option<&[u8]>| {
            let rows = [(key, value)];
            let (mut rows, position) = (rows.iter().copied(), position(offset as i64));
            let (rows, source) = (&mut rows, BatchSource::Restore);
            backend.commit(CommitBatch { deleted_ranges: &[], rows, position: &position, source })
        };
        codec.rows(&record, row).unwrap();
    }
    backend
}

fn rows_of(backend: &dyn StoreBackend) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        true
    };
    backend.scan(Default::default(), Default::default(), visit).unwrap();
    rows
}
