//! Buffers of joins beside a sorted list: the same script on both, and every answer compared.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::serde::{I64Serde, VecSerde};
use kafka_streams_core::{RecordContext, TaskContext, Timestamp};

use super::model::{Key, key_bytes, parts, restored_into, rows_of, take_log, task};
use super::{ModelConfig, TASK, position};
use crate::{JoinBuffer, StateStore, StoreBackends, StoreBuilder, StoreKind, TypedStoreBuilder};

const GRACE_MS: Timestamp = 1_000;

/// Runs a buffer beside a sorted list, and lets records go when their grace is over. Each step of the script is (what, key,
/// number).
///
/// # Panics
/// The buffer's answer is not the model's.
pub fn join_buffer_model(backends: &dyn StoreBackends, config: ModelConfig, script: &[(u8, u8, u8)]) {
    let builder: TypedStoreBuilder<JoinBuffer<Key, i64>> =
        TypedStoreBuilder::new("store", StoreKind::KeyValue, true, Arc::new(VecSerde), Arc::new(I64Serde));
    let mut cx = task();
    let mut backend = backends.open(TASK, "store").expect("opened");
    let mut run = Run::new(builder.build(parts(config, &backend)), Waiting::default());
    let (mut now, mut log, mut log_committed) = (5_000, Vec::new(), 0);
    for (number, (what, key, value)) in script.iter().enumerate() {
        now += i64::from(value % 16) * 20;
        let number = number as i64;
        match what % 8 {
            0..=4 => run.put(&mut cx, key_bytes(*key), number, now - i64::from(*key) * 10),
            5 => {
                run.store.commit(&position(number)).expect("committed");
                run.committed = run.waiting.clone();
                take_log(&mut cx, &mut log);
                log_committed = log.len();
            }
            6 => {
                cx.output.clear();
                log.truncate(log_committed);
                run.store.drop_uncommitted();
                run.waiting = run.committed.clone();
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
        // A record may stay although its grace is over, as one whose join has failed does.
        if value % 4 > 0 {
            run.take_ready(&mut cx);
        }
    }
    run.store.commit(&position(script.len() as i64)).expect("committed");
    take_log(&mut cx, &mut log);
    assert_eq!(rows_of(&*backend).len(), run.waiting.records.len());
    let restored = backends.open(TASK, "restored").expect("opened");
    restored_into(&restored, &*builder.spec().restore_codec(), &log);
    assert_eq!(rows_of(&*restored), rows_of(&*backend));
}

struct Run {
    store: Rc<JoinBuffer<Key, i64>>,
    waiting: Waiting,
    committed: Waiting,
}

#[derive(Clone)]
struct Waiting {
    /// By time, and then as the keys' bytes and numbers together say.
    records: BTreeMap<(Timestamp, Vec<u8>), (Key, i64)>,
    observed: Timestamp,
    sequence: i32,
}

impl Default for Waiting {
    fn default() -> Self {
        Waiting { records: BTreeMap::new(), observed: -1, sequence: 0 }
    }
}

impl Run {
    /// After a restart the highest number that waits is what counts.
    fn new(store: Rc<JoinBuffer<Key, i64>>, waiting: Waiting) -> Self {
        Run { store, committed: waiting.clone(), waiting }
    }

    fn put(&mut self, cx: &mut TaskContext, key: Key, value: i64, time: Timestamp) {
        let Waiting { records, observed, sequence } = &mut self.waiting;
        let waits = time >= *observed - GRACE_MS;
        cx.record = RecordContext { timestamp: time, ..RecordContext::none(time) };
        assert_eq!(self.store.put(cx, &key, &value, GRACE_MS).expect("put"), waits, "at {time} of {observed}");
        if waits {
            (*observed, *sequence) = (time.max(*observed), *sequence + 1);
            records.insert((time, [&key[..], &sequence.to_be_bytes()].concat()), (key, value));
        }
    }

    fn take_ready(&mut self, cx: &mut TaskContext) {
        loop {
            let first = self.waiting.records.first_entry();
            let expected = first.filter(|first| first.key().0 <= self.waiting.observed - GRACE_MS);
            let found = self.store.first_ready(GRACE_MS).expect("read");
            let Some(expected) = expected else {
                assert_eq!(found, None);
                return;
            };
            let found = found.expect("a record whose grace is over");
            let ((time, _), (key, value)) = expected.remove_entry();
            assert_eq!((found.context.timestamp, &found.key, found.value), (time, &key, value));
            self.store.remove(cx, &found).expect("removed");
        }
    }
}
