//! Session stores beside a model: the same script on both, and every answer compared.

use std::rc::Rc;
use std::time::Duration;

use kafka_streams_core::TaskContext;
use kafka_streams_core::serde::{I64Serde, VecSerde};

use super::model::{Key, Model, key_bytes, parts, restored_windows, rows_of, set, take_raw, task};
use super::{ModelConfig, TASK, position};
use crate::{SessionStore, StateStore, StoreBackends, StoreBuilder, Stores, Window, Windowed};

/// Runs a session store beside a map, without a time index and with one. Each step of the script is (what, key, number).
/// With a cache, nothing expires: when an update leaves it is another model's business.
///
/// # Panics
/// The store's answer is not the model's.
pub fn session_model(backends: &dyn StoreBackends, config: ModelConfig, script: &[(u8, u8, u8)]) {
    run(backends, config, script, false);
    backends.destroy(TASK, "store").expect("destroyed");
    run(backends, ModelConfig { cache_bytes: 0, ..config }, script, true);
}

fn run(backends: &dyn StoreBackends, config: ModelConfig, script: &[(u8, u8, u8)], indexed: bool) {
    let cached = config.cache_bytes > 0;
    let retention = if cached { 10_000_000_000 } else { 150_000 };
    let builder =
        Stores::persistent_session_store("store", Duration::from_millis(retention as u64), VecSerde, I64Serde);
    let builder = if cached { builder.with_caching_enabled() } else { builder };
    let builder = if indexed { builder.with_time_index() } else { builder };
    let mut cx = task();
    let mut backend = backends.open(TASK, "store").expect("opened");
    let mut run = Run::new(builder.build(parts(config, &backend)), retention, indexed);
    let (mut now, mut log, mut log_committed) = (0, Vec::new(), 0);
    for (number, (what, key, value)) in script.iter().enumerate() {
        let key = key_bytes(*key);
        // Time goes on by up to half a minute, sometimes by minutes, and sessions are up to four minutes late.
        now += if what % 50 == 49 { 400_000 } else { i64::from(*value) * 120 };
        let end = (now - i64::from(*what) * 1_000).max(0) / 1_000 * 1_000;
        let start = (end - i64::from(value % 5) * 7_000).max(0);
        let number = number as i64;
        match what % 12 {
            0..=4 => run.put(&mut cx, key, Window { start, end }, Some(number)),
            5 => run.put(&mut cx, key, Window { start, end }, None),
            6 => {
                let expected = run.visible().get(&(key.clone(), end, start)).copied();
                assert_eq!(run.store.fetch_session(&key, start, end).expect("read"), expected);
            }
            7 => run.compare_find(&key, start, end),
            8 if indexed => run.compare_by_end(start, end),
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
            11 if backends.is_persistent() => {
                cx.output.clear();
                log.truncate(log_committed);
                let committed = run.committed.clone();
                drop(run);
                drop(backend);
                backend = backends.open(TASK, "store").expect("opened again");
                run = Run::new(builder.build(parts(config, &backend)), retention, indexed);
                (run.rows, run.observed) = committed.clone();
                run.committed = committed;
            }
            _ => {}
        }
        if !cached {
            assert_eq!(run.store.observed_stream_time().expect("read"), run.observed);
        }
        run.compare_find(&key_bytes(0), 0, i64::MAX);
    }
    run.commit(&mut cx, script.len() as i64);
    take_raw(&mut cx, &mut log);
    run.compare_by_end(0, i64::MAX);
    let lowest = if indexed { 0 } else { ((run.observed - retention) / (retention / 2)).max(0) };
    assert_eq!(restored_windows(&*builder.spec().restore_codec(), &log, lowest), rows_of(&*backend));
}

struct Run {
    store: Rc<SessionStore<Key, i64>>,
    retention: i64,
    indexed: bool,
    /// By segment, key, end and start.
    rows: Model<(i64, Key, i64, i64)>,
    observed: i64,
    committed: (Model<(i64, Key, i64, i64)>, i64),
}

impl Run {
    fn new(store: Rc<SessionStore<Key, i64>>, retention: i64, indexed: bool) -> Self {
        Run { store, retention, indexed, rows: Model::new(), observed: -1, committed: (Model::new(), -1) }
    }

    fn put(&mut self, cx: &mut TaskContext, key: Key, window: Window, value: Option<i64>) {
        let dropped = cx.counters.dropped;
        self.store.put(cx, &Windowed::new(key.clone(), window), value.as_ref()).expect("put");
        self.observed = self.observed.max(window.end);
        let interval = self.retention / 2;
        let lowest = (self.observed - self.retention) / interval;
        let alive = window.end / interval >= lowest;
        assert_eq!(cx.counters.dropped - dropped, u64::from(!alive), "expired puts are counted");
        if alive {
            set(&mut self.rows, (window.end / interval, key, window.end, window.start), value);
        }
        if !self.indexed {
            self.rows.retain(|(segment, ..), _| *segment >= lowest);
        }
    }

    fn commit(&mut self, cx: &mut TaskContext, offset: i64) {
        self.store.flush(cx).expect("flushed");
        self.store.commit(&position(offset)).expect("committed");
        self.committed = (self.rows.clone(), self.observed);
    }

    fn earliest(&self) -> i64 {
        self.observed - self.retention + 1
    }

    /// By key, end and start.
    fn visible(&self) -> Model<(Key, i64, i64)> {
        let visible = self.rows.iter().filter(|((_, _, end, _), _)| *end >= self.earliest());
        visible.map(|((_, key, end, start), value)| ((key.clone(), *end, *start), *value)).collect()
    }

    fn compare_find(&self, key: &Key, earliest_end: i64, latest_start: i64) {
        let visible = self.visible();
        let wanted =
            visible.iter().filter(|((k, end, start), _)| k == key && *end >= earliest_end && *start <= latest_start);
        let expected: Vec<_> = wanted.map(|((_, end, start), value)| (*start, *end, *value)).collect();
        let flat = |row: kafka_streams_core::Step<(Windowed<Key>, i64)>| {
            let (session, value) = row.expect("read");
            assert_eq!(session.key, *key);
            (session.window.start, session.window.end, value)
        };
        let up: Vec<_> = self.store.find_sessions(key, earliest_end, latest_start).map(flat).collect();
        assert_eq!(up, expected, "{key:?} from {earliest_end} to {latest_start}");
        let mut down: Vec<_> = self.store.backward_find_sessions(key, earliest_end, latest_start).map(flat).collect();
        down.reverse();
        assert_eq!(down, expected);
    }

    /// By time, also what is not visible any more.
    fn compare_by_end(&self, from: i64, to: i64) {
        if !self.indexed {
            return;
        }
        let wanted = self.rows.iter().filter(|((_, _, end, _), _)| *end >= from && *end <= to);
        let mut expected: Vec<_> =
            wanted.map(|((_, key, end, start), value)| (*end, *start, key.clone(), *value)).collect();
        expected.sort();
        let flat = |row: kafka_streams_core::Step<(Windowed<Key>, i64)>| {
            let (session, value) = row.expect("read");
            (session.window.end, session.window.start, session.key, value)
        };
        assert_eq!(self.store.find_by_end(from, to).map(flat).collect::<Vec<_>>(), expected, "from {from} to {to}");
    }
}
