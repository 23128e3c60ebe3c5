//! What stores with headers write to their changelogs, and what a restore makes of it.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::serde::{OptionSerde, StringSerde};
use kafka_streams_core::{Headers, RawRecord, RecordContext, RouteId, TaskContext, TaskId};
use kafka_streams_state::{
    AggregationWithHeaders, InMemoryBackends, KeyRange, Order, StateStore, StoreBackend, StoreBackends, StoreBuilder,
    StoreParts, StorePosition, StoreSpec, Stores, ThreadCache, TypedStore, TypedStoreBuilder, ValueTimestampHeaders,
    Window, Windowed,
};

const TASK: TaskId = TaskId::new(0, 2);
/// The headers h1="v1" and n=null, and behind them the timestamp 1000 and the value "v", written by Kafka Streams 4.3.
const GOLDEN: &[u8] = b"\x14\x04\x04h1\x04v1\x02n\x01\0\0\0\0\0\0\x03\xe8v";
const HEADERS_SIZE: usize = 11;

type Record = (Vec<u8>, Option<Vec<u8>>, i64, Headers);

fn headers() -> Headers {
    let mut headers = Headers::new();
    headers.add("h1", Some(b"v1".to_vec()));
    headers.add("n", None);
    headers
}

/// A record in hand with a timestamp of 1700 and the header "hand".
fn task() -> TaskContext {
    let mut cx = TaskContext::new(TASK, "app".into(), Handlers::default());
    cx.record = RecordContext::none(1700);
    cx.record.headers = hand();
    cx
}

fn hand() -> Headers {
    let mut headers = Headers::new();
    headers.add("hand", Some(vec![1]));
    headers
}

struct Opened<S> {
    store: std::rc::Rc<S>,
    backend: Arc<dyn StoreBackend>,
    spec: StoreSpec,
    cx: TaskContext,
}

fn open<S: TypedStore>(builder: TypedStoreBuilder<S>, cache_bytes: usize) -> Opened<S> {
    let builder = if cache_bytes > 0 { builder.with_caching_enabled() } else { builder };
    let backend = InMemoryBackends.open(TASK, "store").unwrap();
    let cache = ThreadCache::new(cache_bytes);
    let store = builder.build(StoreParts::new(backend.clone(), Some(RouteId(4)), cache));
    Opened { store, backend, spec: builder.spec(), cx: task() }
}

impl<S: StateStore> Opened<S> {
    fn changelog(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        while let Some(record) = self.cx.output.first() {
            let bytes = |bytes: &[u8]| bytes.to_vec();
            let (key, timestamp) = (record.key.map(bytes).unwrap(), record.timestamp.unwrap());
            records.push((key, record.value.map(bytes), timestamp, record.headers.clone()));
            self.cx.output.take();
        }
        records
    }

    /// The values of the rows that are committed, without that of the stream time.
    fn rows(&mut self) -> Vec<Vec<u8>> {
        self.store.flush(&mut self.cx).unwrap();
        self.store.commit(&kafka_streams_state::conformance::position(1)).unwrap();
        let mut rows = Vec::new();
        let visit = &mut |_: &[u8], value: &[u8]| {
            rows.push(value.to_vec());
            true
        };
        self.backend.scan(KeyRange::default(), Order::Ascending, visit).unwrap();
        rows.retain(|row| row.len() != 8);
        rows
    }

    /// The first row that a restore makes of a record.
    fn restored(&self, (key, value, timestamp, headers): &Record) -> Option<Vec<u8>> {
        let record = RawRecord {
            offset: 0,
            timestamp: *timestamp,
            key: Some(key),
            value: value.as_deref(),
            headers: Some(headers),
        };
        let mut rows = Vec::new();
        let row = &mut |_: &[u8], value: Option<&[u8]>| {
            rows.push(value.map(<[u8]>::to_vec));
            Ok(())
        };
        self.spec.restore_codec().rows(&record, row).unwrap();
        rows.remove(0)
    }
}

fn row(headers: Headers) -> ValueTimestampHeaders<String> {
    ValueTimestampHeaders::new("v".to_owned(), 1000, headers)
}

#[test]
fn a_key_value_store_logs_the_headers_of_its_rows_and_keeps_them() {
    for cache_bytes in [0, 10_000] {
        let builder = Stores::persistent_timestamped_key_value_store_with_headers("store", StringSerde, StringSerde);
        let mut opened = open(builder, cache_bytes);
        let key = "k".to_owned();
        opened.store.put(&mut opened.cx, &key, Some(&row(headers()))).unwrap();
        assert_eq!(opened.store.get(&key).unwrap(), Some(row(headers())));
        assert_eq!(opened.rows(), [GOLDEN]);
        let logged = opened.changelog();
        assert_eq!(logged, [(b"k".to_vec(), Some(b"v".to_vec()), 1000, headers())]);
        assert_eq!(opened.restored(&logged[0]).as_deref(), Some(GOLDEN));
        assert_eq!(opened.store.delete(&mut opened.cx, &key).unwrap(), Some(row(headers())));
        assert!(opened.rows().is_empty());
        let logged = opened.changelog();
        assert_eq!(logged, [(b"k".to_vec(), None, 1700, hand())], "a deletion has those of the record in hand");
        assert_eq!(opened.restored(&logged[0]), None);
    }
}

#[test]
fn rows_without_headers_have_one_byte_more_than_rows_with_a_timestamp() {
    let builder = Stores::in_memory_timestamped_key_value_store_with_headers("store", StringSerde, StringSerde);
    let mut opened = open(builder, 0);
    opened.store.put(&mut opened.cx, &"k".to_owned(), Some(&row(Headers::new()))).unwrap();
    assert_eq!(opened.rows(), [b"\0\0\0\0\0\0\0\x03\xe8v"]);
    let logged = opened.changelog();
    assert_eq!(logged[0].3, Headers::new(), "and not those of the record in hand");
    assert_eq!(opened.restored(&logged[0]).as_deref(), Some(&b"\0\0\0\0\0\0\0\x03\xe8v"[..]));
}

#[test]
fn a_value_that_is_null_deletes() {
    let values = OptionSerde(StringSerde);
    let builder = Stores::persistent_timestamped_key_value_store_with_headers("store", StringSerde, values);
    let mut opened = open(builder, 0);
    let nothing = ValueTimestampHeaders::new(None, 1000, headers());
    opened.store.put(&mut opened.cx, &"k".to_owned(), Some(&nothing)).unwrap();
    assert_eq!(opened.changelog(), [(b"k".to_vec(), None, 1700, hand())]);
}

#[test]
fn a_window_store_logs_the_headers_of_its_rows_and_keeps_them() {
    let (hour, minute) = (Duration::from_secs(3_600), Duration::from_secs(60));
    for (cache_bytes, duplicates) in [(0, false), (10_000, false), (0, true)] {
        let builder = Stores::persistent_timestamped_window_store_with_headers(
            "store",
            hour,
            minute,
            duplicates,
            StringSerde,
            StringSerde,
        );
        let mut opened = open(builder, cache_bytes);
        let key = "k".to_owned();
        opened.store.put(&mut opened.cx, &key, Some(&row(headers())), 60_000).unwrap();
        assert_eq!(opened.store.fetch(&key, 60_000).unwrap(), Some(row(headers())));
        assert_eq!(opened.rows(), [GOLDEN]);
        let sequence = u8::from(duplicates);
        let store_key = [&b"k\0\0\0\0\0\0\xea\x60\0\0\0"[..], &[sequence]].concat();
        let logged = opened.changelog();
        assert_eq!(logged, [(store_key.clone(), Some(b"v".to_vec()), 1000, headers())]);
        assert_eq!(opened.restored(&logged[0]).as_deref(), Some(GOLDEN));
        if !duplicates {
            opened.store.put(&mut opened.cx, &key, None, 60_000).unwrap();
            assert!(opened.rows().is_empty());
            assert_eq!(opened.changelog(), [(store_key, None, 1700, hand())]);
        }
    }
}

#[test]
fn a_session_store_logs_the_time_of_the_record_in_hand_and_the_headers_of_its_rows() {
    for cache_bytes in [0, 10_000] {
        let hour = Duration::from_secs(3_600);
        let builder = Stores::persistent_session_store_with_headers("store", hour, StringSerde, StringSerde);
        let mut opened = open(builder, cache_bytes);
        let session = Windowed::new("k".to_owned(), Window { start: 1000, end: 5000 });
        let aggregate = AggregationWithHeaders::new("a".to_owned(), headers());
        opened.store.put(&mut opened.cx, &session, Some(&aggregate)).unwrap();
        assert_eq!(opened.store.fetch_session(&session.key, 1000, 5000).unwrap(), Some(aggregate));
        let golden = [&GOLDEN[..HEADERS_SIZE], b"a"].concat();
        assert_eq!(opened.rows(), [&golden[..]]);
        let store_key = b"k\0\0\0\0\0\0\x13\x88\0\0\0\0\0\0\x03\xe8".to_vec();
        let logged = opened.changelog();
        assert_eq!(logged, [(store_key.clone(), Some(b"a".to_vec()), 1700, headers())]);
        assert_eq!(opened.restored(&logged[0]), Some(golden));
        opened.store.remove(&mut opened.cx, &session).unwrap();
        assert!(opened.rows().is_empty());
        assert_eq!(opened.changelog(), [(store_key, None, 1700, hand())]);
    }
}

#[test]
fn a_damaged_row_is_an_error_that_names_the_store() {
    let builder = Stores::persistent_timestamped_key_value_store_with_headers("store", StringSerde, StringSerde);
    let opened = open(builder, 0);
    let position: StorePosition = kafka_streams_state::conformance::position(1);
    let rows = [(&b"k"[..], Some(&b"\x14\x04"[..]))];
    let mut rows = rows.iter().copied();
    let (deleted_ranges, source) = (&[][..], kafka_streams_state::BatchSource::Processing);
    let batch = kafka_streams_state::CommitBatch { deleted_ranges, rows: &mut rows, position: &position, source };
    opened.backend.commit(batch).unwrap();
    let error = opened.store.get(&"k".to_owned()).unwrap_err();
    assert!(error.to_string().contains("store"), "{error}");
}
