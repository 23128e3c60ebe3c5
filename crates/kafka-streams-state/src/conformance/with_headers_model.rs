//! Stores with headers beside a model, and what their changelogs bring back.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use kafka_streams_core::serde::{I64Serde, VecSerde};
use kafka_streams_core::{Header, Headers, RawRecord, TaskContext};

use super::model::{Key, key_bytes, parts, rows_of, task};
use super::{ModelConfig, TASK, position};
use crate::{
    AggregationWithHeaders, SessionStoreWithHeaders, StateStore, StoreBackends, StoreBuilder, StoreSpec, Stores,
    TimestampedKeyValueStoreWithHeaders, TimestampedWindowStoreWithHeaders, TypedStoreBuilder, ValueTimestampHeaders,
    Window, Windowed,
};

/// A key and the start of a window, or the end of a session.
type Place = (Key, i64);
type Row = ValueTimestampHeaders<i64>;
type Log = Vec<(Vec<u8>, Option<Vec<u8>>, i64, Headers)>;

/// Nothing expires: when it does is another model's business.
const RETENTION: Duration = Duration::from_secs(1_000_000);
const SIZE_MS: i64 = 10_000;

/// Runs a key-value, a window and a session store with headers beside maps. Each step of the script is (what, key,
/// number).
///
/// # Panics
/// A store's answer is not the model's.
pub fn with_headers_model(backends: &dyn StoreBackends, config: ModelConfig, script: &[(u8, u8, u8)]) {
    let model = |run: &dyn Fn()| {
        run();
        backends.destroy(TASK, "store").expect("destroyed");
    };
    model(&|| {
        let builder = Stores::persistent_timestamped_key_value_store_with_headers("store", VecSerde, I64Serde);
        run::<TimestampedKeyValueStoreWithHeaders<Key, i64>>(backends, config, script, builder);
    });
    model(&|| {
        let size = Duration::from_millis(SIZE_MS.unsigned_abs());
        let builder = Stores::persistent_timestamped_window_store_with_headers(
            "store", RETENTION, size, false, VecSerde, I64Serde,
        );
        run::<TimestampedWindowStoreWithHeaders<Key, i64>>(backends, config, script, builder);
    });
    model(&|| {
        let builder = Stores::persistent_session_store_with_headers("store", RETENTION, VecSerde, I64Serde);
        run::<SessionStoreWithHeaders<Key, i64>>(backends, config, script, builder);
    });
}

/// A store, as the model sees it.
trait Modelled: crate::TypedStore + Sized {
    /// Where a step of the script writes, and what.
    fn adapt(place: Place, row: Row) -> (Place, Row) {
        (place, row)
    }

    fn set(&self, cx: &mut TaskContext, place: &Place, row: Option<&Row>);
    fn read(&self, place: &Place) -> Option<Row>;
    fn read_all(&self) -> BTreeMap<Place, Row>;
}

impl Modelled for TimestampedKeyValueStoreWithHeaders<Key, i64> {
    fn adapt((key, _): Place, row: Row) -> (Place, Row) {
        ((key, 0), row)
    }

    fn set(&self, cx: &mut TaskContext, (key, _): &Place, row: Option<&Row>) {
        self.put(cx, key, row).expect("put");
    }

    fn read(&self, (key, _): &Place) -> Option<Row> {
        self.get(key).expect("read")
    }

    fn read_all(&self) -> BTreeMap<Place, Row> {
        self.all().map(|row| row.expect("read")).map(|(key, row)| ((key, 0), row)).collect()
    }
}

impl Modelled for TimestampedWindowStoreWithHeaders<Key, i64> {
    fn set(&self, cx: &mut TaskContext, (key, start): &Place, row: Option<&Row>) {
        self.put(cx, key, row, *start).expect("put");
    }

    fn read(&self, (key, start): &Place) -> Option<Row> {
        self.fetch(key, *start).expect("read")
    }

    fn read_all(&self) -> BTreeMap<Place, Row> {
        self.all().map(|row| row.expect("read")).map(|(key, row)| ((key.key, key.window.start), row)).collect()
    }
}

impl Modelled for SessionStoreWithHeaders<Key, i64> {
    /// Sessions have no timestamps.
    fn adapt(place: Place, row: Row) -> (Place, Row) {
        (place, Row { timestamp: 0, ..row })
    }

    fn set(&self, cx: &mut TaskContext, place: &Place, row: Option<&Row>) {
        let row = row.map(|row| AggregationWithHeaders::new(row.value, row.headers.clone()));
        self.put(cx, &session(place), row.as_ref()).expect("put");
    }

    fn read(&self, place: &Place) -> Option<Row> {
        let Windowed { key, window } = session(place);
        self.fetch_session(&key, window.start, window.end).expect("read").map(row_of)
    }

    fn read_all(&self) -> BTreeMap<Place, Row> {
        let of_key = |key: u8| self.fetch(&key_bytes(key)).map(|row| row.expect("read")).collect::<Vec<_>>();
        let rows = (0..=u8::MAX).flat_map(of_key);
        rows.map(|(session, row)| ((session.key, session.window.end), row_of(row))).collect()
    }
}

fn session((key, end): &Place) -> Windowed<Key> {
    Windowed::new(key.clone(), Window { start: (end - SIZE_MS).max(0), end: *end })
}

fn row_of(row: AggregationWithHeaders<i64>) -> Row {
    Row::new(row.aggregation, 0, row.headers)
}

fn run<S: Modelled>(
    backends: &dyn StoreBackends,
    config: ModelConfig,
    script: &[(u8, u8, u8)],
    builder: TypedStoreBuilder<S>,
) {
    let builder = if config.cache_bytes > 0 { builder.with_caching_enabled() } else { builder };
    let mut cx = task();
    let mut backend = backends.open(TASK, "store").expect("opened");
    let mut store = builder.build(parts(config, &backend));
    let (mut rows, mut committed) = (BTreeMap::new(), BTreeMap::new());
    let (mut log, mut log_committed) = (Log::new(), 0);
    for (number, (what, key, value)) in script.iter().enumerate() {
        let number = number as i64;
        (cx.record.timestamp, cx.record.headers) = (number, headers_of(*value));
        let row = Row::new(number, number - i64::from(*value), headers_of(what.wrapping_add(*value)));
        let (place, row) = S::adapt((key_bytes(*key), i64::from(value % 20) * SIZE_MS), row);
        match what % 8 {
            0..=3 => {
                store.set(&mut cx, &place, Some(&row));
                rows.insert(place, row);
            }
            4 => {
                store.set(&mut cx, &place, None);
                rows.remove(&place);
            }
            5 => {
                commit(&store, &mut cx, number, &mut log);
                (committed, log_committed) = (rows.clone(), log.len());
            }
            6 => {
                cx.output.clear();
                log.truncate(log_committed);
                store.drop_uncommitted();
                rows = committed.clone();
            }
            _ if backends.is_persistent() => {
                cx.output.clear();
                log.truncate(log_committed);
                drop(store);
                drop(backend);
                backend = backends.open(TASK, "store").expect("opened again");
                store = builder.build(parts(config, &backend));
                rows = committed.clone();
            }
            _ => assert_eq!(store.read(&place), rows.get(&place).cloned(), "{place:?}"),
        }
        if number % 8 == 0 {
            assert_eq!(store.read_all(), rows);
        }
    }
    commit(&store, &mut cx, script.len() as i64, &mut log);
    assert_eq!(store.read_all(), rows);
    assert_eq!(restored(&builder.spec(), &log), rows_of(&*backend), "a restore gives the rows that processing left");
    check_headers(&log, script, config);
}

/// None, one, or several headers, some of them null.
fn headers_of(seed: u8) -> Headers {
    let header = |at: u8| Header { key: format!("h{at}"), value: (at != 0).then(|| vec![at; usize::from(seed)]) };
    (0..seed % 4).map(header).collect()
}

fn commit<S: StateStore>(store: &Rc<S>, cx: &mut TaskContext, offset: i64, log: &mut Log) {
    store.flush(cx).expect("flushed");
    store.commit(&position(offset)).expect("committed");
    while let Some(record) = cx.output.first() {
        let (key, value) = (record.key.expect("a key").to_vec(), record.value.map(<[u8]>::to_vec));
        log.push((key, value, record.timestamp.expect("a timestamp"), record.headers.clone()));
        cx.output.take();
    }
}

fn restored(spec: &StoreSpec, log: &Log) -> BTreeMap<Key, Vec<u8>> {
    let codec = spec.restore_codec();
    let mut rows = BTreeMap::new();
    for (key, value, timestamp, headers) in log {
        let headers = (!headers.is_empty()).then_some(headers);
        let record = RawRecord { offset: 0, timestamp: *timestamp, key: Some(key), value: value.as_deref(), headers };
        let row = &mut |key: &[u8], value: Option<&[u8]>| {
            match value {
                Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                None => rows.remove(key),
            };
            Ok(())
        };
        codec.rows(&record, row).expect("a record of this store");
    }
    rows
}

/// A value is logged with its own headers, and a deletion with those of the record that has caused it.
fn check_headers(log: &Log, script: &[(u8, u8, u8)], config: ModelConfig) {
    for (_, value, timestamp, headers) in log {
        let step = match value {
            Some(value) => i64::from_be_bytes(value[..].try_into().expect("a number alone")),
            // From a cache comes the last of several deletions.
            None => *timestamp,
        };
        let Some((what, _, number)) = usize::try_from(step).ok().and_then(|step| script.get(step)) else {
            panic!("a record of no step, with a cache of {} bytes", config.cache_bytes)
        };
        let seed = if value.is_some() { what.wrapping_add(*number) } else { *number };
        assert_eq!(*headers, headers_of(seed), "step {step}");
    }
}
