//! Versioned stores beside a model that forgets nothing: the same script on both, and every answer compared.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use kafka_streams_core::serde::{I64Serde, VecSerde};
use kafka_streams_core::{TaskContext, Timestamp};

use super::model::{Key, key_bytes, parts, restored_into, rows_of, take_log, task};
use super::{ModelConfig, TASK, position};
use crate::{StateStore, StoreBackends, StoreBuilder, Stores, VersionedKeyValueStore, VersionedPut, VersionedRecord};

/// Several segments, of 2 s each.
const HISTORY_MS: Timestamp = 10_000;

/// Runs a versioned store beside a map of all versions. Each step of the script is (what, key, number).
///
/// # Panics
/// The store's answer is not the model's.
pub fn versioned_model(backends: &dyn StoreBackends, config: ModelConfig, script: &[(u8, u8, u8)]) {
    let history = Duration::from_millis(HISTORY_MS.unsigned_abs());
    let builder = Stores::persistent_versioned_key_value_store("store", history, VecSerde, I64Serde);
    let mut cx = task();
    let mut backend = backends.open(TASK, "store").expect("opened");
    let mut run = Run::new(builder.build(parts(config, &backend)), Versions::default());
    let (mut now, mut log, mut log_committed) = (20_000, Vec::new(), 0);
    for (number, (what, key, value)) in script.iter().enumerate() {
        let key = key_bytes(*key % 64);
        // Time goes on by up to half a second, sometimes by many segments; versions are late by up to 12 s. Rounded, so that
        // some have the same time.
        now += if what % 50 == 49 { 30_000 } else { i64::from(*value) * 2 };
        let late = if value % 3 == 0 { 0 } else { i64::from(*value) * 48 };
        let (time, number) = ((now - late) / 300 * 300, number as i64);
        match what % 8 {
            0..=3 => run.put(&mut cx, key, Some(number), time),
            4 => run.put(&mut cx, key, None, time),
            5 => {
                run.store.commit(&position(number)).expect("committed");
                run.committed = run.versions.clone();
                take_log(&mut cx, &mut log);
                log_committed = log.len();
            }
            6 => {
                cx.output.clear();
                log.truncate(log_committed);
                run.store.drop_uncommitted();
                run.versions = run.committed.clone();
            }
            _ if backends.is_persistent() => {
                cx.output.clear();
                log.truncate(log_committed);
                let committed = run.committed.clone();
                drop(run);
                drop(backend);
                backend = backends.open(TASK, "store").expect("opened again");
                run = Run::new(builder.build(parts(config, &backend)), committed);
            }
            _ => {}
        }
        run.compare(&key_bytes(0), time);
        run.compare(&key_bytes(*value % 64), now - i64::from(*what) * 50);
    }
    run.store.commit(&position(script.len() as i64)).expect("committed");
    take_log(&mut cx, &mut log);
    for key in run.versions.keys.keys() {
        (0..=now + 1_000).step_by(700).for_each(|time| run.compare(key, time));
    }
    let restored = backends.open(TASK, "restored").expect("opened");
    restored_into(&restored, &*builder.spec().restore_codec(), &log);
    let lowest = ((run.versions.observed - HISTORY_MS) / (HISTORY_MS / 3).max(2_000)).max(0);
    let alive = |rows: BTreeMap<Key, Vec<u8>>| -> BTreeMap<Key, Vec<u8>> {
        rows.into_iter().filter(|(key, _)| key[..] >= lowest.to_be_bytes()[..]).collect()
    };
    assert_eq!(alive(rows_of(&*restored)), alive(rows_of(&*backend)));
}

struct Run {
    store: Rc<VersionedKeyValueStore<Key, i64>>,
    versions: Versions,
    committed: Versions,
}

/// All versions that were put and had not expired then.
#[derive(Clone)]
struct Versions {
    keys: BTreeMap<Key, BTreeMap<Timestamp, Option<i64>>>,
    observed: Timestamp,
}

impl Default for Versions {
    fn default() -> Self {
        Versions { keys: BTreeMap::new(), observed: -1 }
    }
}

impl Run {
    fn new(store: Rc<VersionedKeyValueStore<Key, i64>>, versions: Versions) -> Self {
        Run { store, committed: versions.clone(), versions }
    }

    fn put(&mut self, cx: &mut TaskContext, key: Key, value: Option<i64>, time: Timestamp) {
        if value.is_none() && self.versions.replaces_latest(&key, time) {
            return;
        }
        let expected = self.versions.put(&key, value, time);
        assert_eq!(self.store.put(cx, &key, value.as_ref(), time).expect("put"), expected, "{key:?} at {time}");
    }

    fn compare(&self, key: &Key, time: Timestamp) {
        let Versions { observed, .. } = self.versions;
        assert_eq!(self.store.observed_stream_time().expect("read"), observed);
        assert_eq!(self.store.get(key).expect("read"), self.versions.get(key), "{key:?}");
        for time in [time - 1, time, time + 1, observed - HISTORY_MS] {
            let expected = self.versions.get_as_of(key, time);
            assert_eq!(self.store.get_as_of(key, time).expect("read"), expected, "{key:?} at {time} of {observed}");
        }
    }
}

impl Versions {
    fn put(&mut self, key: &Key, value: Option<i64>, time: Timestamp) -> VersionedPut {
        if time < self.observed - HISTORY_MS {
            return VersionedPut::Expired;
        }
        self.observed = self.observed.max(time);
        let versions = self.keys.entry(key.clone()).or_default();
        versions.insert(time, value);
        match versions.range(time + 1..).next() {
            Some((next, _)) => VersionedPut::ValidUntil(*next),
            None => VersionedPut::Latest,
        }
    }

    /// As on the JVM, a deletion at the very time of the latest value is known only as long as the value before it is; the
    /// script leaves it out.
    fn replaces_latest(&self, key: &Key, time: Timestamp) -> bool {
        let latest = self.keys.get(key).and_then(BTreeMap::last_key_value);
        latest.is_some_and(|(latest, value)| *latest == time && value.is_some())
    }

    fn get(&self, key: &Key) -> Option<VersionedRecord<i64>> {
        let (time, value) = self.keys.get(key)?.last_key_value()?;
        Some(VersionedRecord { value: (*value)?, timestamp: *time, valid_to: None })
    }

    fn get_as_of(&self, key: &Key, time: Timestamp) -> Option<VersionedRecord<i64>> {
        let versions = self.keys.get(key)?;
        let (from, value) = versions.range(..=time).next_back()?;
        let valid_to = versions.range(from + 1..).next().map(|(to, _)| *to);
        if time < self.observed - HISTORY_MS && valid_to.is_some() {
            return None;
        }
        Some(VersionedRecord { value: (*value)?, timestamp: *from, valid_to })
    }
}
