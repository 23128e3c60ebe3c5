//! RocksDB by the suite of back-ends, and typed stores over it beside a model.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use kafka_streams_core::TaskId;
use kafka_streams_rocksdb::{RocksDbBackends, RocksDbOptions};
use kafka_streams_state::conformance::{
    ModelConfig, join_buffer_model, key_value_model, position, session_model, suite, versioned_model, window_model,
    with_headers_model,
};
use kafka_streams_state::{BatchSource, CommitBatch, StoreBackends, StoreError};
use proptest::prelude::*;
use tempfile::TempDir;

/// Back-ends over a directory of their own.
struct Temporary(RocksDbBackends, #[allow(dead_code, reason = "removes the directory when dropped")] TempDir);

fn temporary() -> Temporary {
    let dir = tempfile::tempdir().unwrap();
    Temporary(RocksDbBackends::new(dir.path().join("application"), RocksDbOptions::with_memory(4 << 20)), dir)
}

impl StoreBackends for Temporary {
    fn open(
        &self,
        task: TaskId,
        name: &str,
    ) -> Result<std::sync::Arc<dyn kafka_streams_state::StoreBackend>, StoreError> {
        self.0.open(task, name)
    }

    fn destroy(&self, task: TaskId, name: &str) -> Result<(), StoreError> {
        self.0.destroy(task, name)
    }

    fn is_persistent(&self) -> bool {
        self.0.is_persistent()
    }
}

#[test]
fn rocksdb_conforms() {
    suite(&mut || Box::new(temporary()));
}

fn script() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    prop::collection::vec(any::<(u8, u8, u8)>(), 0..100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn s1_a_key_value_store_answers_as_a_map_does(
        script in script(),
        cache_bytes in prop::sample::select(vec![0usize, 200, 100_000]),
        row_bytes in prop::sample::select(vec![0usize, 2_000, 1_000_000]),
        listens in any::<bool>(),
    ) {
        key_value_model(&temporary(), ModelConfig { cache_bytes, row_bytes, listens }, &script);
    }

    #[test]
    fn s2_a_window_store_answers_as_a_map_with_expiry_does(
        script in script(),
        cache_bytes in prop::sample::select(vec![0usize, 0, 300, 100_000]),
        row_bytes in prop::sample::select(vec![0usize, 2_000, 1_000_000]),
    ) {
        window_model(&temporary(), ModelConfig { cache_bytes, row_bytes, listens: false }, &script);
    }

    #[test]
    fn s2_a_session_store_answers_as_a_map_with_expiry_does(
        script in script(),
        cache_bytes in prop::sample::select(vec![0usize, 0, 300, 100_000]),
        row_bytes in prop::sample::select(vec![0usize, 2_000, 1_000_000]),
    ) {
        session_model(&temporary(), ModelConfig { cache_bytes, row_bytes, listens: false }, &script);
    }

    #[test]
    fn s2_a_versioned_store_answers_as_a_map_of_all_versions_does(
        script in script(),
        row_bytes in prop::sample::select(vec![0usize, 2_000, 1_000_000]),
    ) {
        versioned_model(&temporary(), ModelConfig { cache_bytes: 0, row_bytes, listens: false }, &script);
    }

    #[test]
    fn stores_with_headers_answer_as_maps_do_and_their_changelogs_bring_back_all(
        script in script(),
        cache_bytes in prop::sample::select(vec![0usize, 300, 100_000]),
        row_bytes in prop::sample::select(vec![0usize, 2_000, 1_000_000]),
    ) {
        with_headers_model(&temporary(), ModelConfig { cache_bytes, row_bytes, listens: false }, &script);
    }

    #[test]
    fn s9_the_buffer_of_a_join_answers_as_a_sorted_list_does(
        script in script(),
        row_bytes in prop::sample::select(vec![0usize, 2_000, 1_000_000]),
    ) {
        join_buffer_model(&temporary(), ModelConfig { cache_bytes: 0, row_bytes, listens: false }, &script);
    }
}

const TASK: TaskId = TaskId::new(0, 1);

fn commit_one(backends: &RocksDbBackends) {
    let store = backends.open(TASK, "store").unwrap();
    let (position, source) = (position(1), BatchSource::Processing);
    let rows = [(&b"key"[..], Some(&b"value"[..]))];
    let mut rows = rows.iter().copied();
    store.commit(CommitBatch { deleted_ranges: &[], rows: &mut rows, position: &position, source }).unwrap();
    store.sync().unwrap();
}

#[test]
fn s6_damaged_files_are_told_apart_and_can_be_removed() {
    let Temporary(backends, _dir) = temporary();
    commit_one(&backends);
    let files = std::fs::read_dir(backends.store_dir(TASK, "store")).unwrap();
    let manifest = files.map(|file| file.unwrap().path()).find(|path| path.to_string_lossy().contains("MANIFEST"));
    std::fs::write(manifest.unwrap(), b"this is no manifest, and it is long enough not to be taken for an empty one")
        .unwrap();
    let error = backends.open(TASK, "store").unwrap_err();
    assert!(matches!(error, StoreError::Unreadable { .. }), "{error}");
    backends.destroy(TASK, "store").unwrap();
    assert_eq!(backends.open(TASK, "store").unwrap().position(), None);
}

#[test]
fn a_store_that_is_open_elsewhere_is_an_error_of_the_system_not_damage() {
    let Temporary(backends, _dir) = temporary();
    let _open = backends.open(TASK, "store").unwrap();
    let error = backends.open(TASK, "store").unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
}

#[test]
fn files_that_were_being_removed_when_the_process_was_killed_are_no_store() {
    let Temporary(backends, _dir) = temporary();
    commit_one(&backends);
    let dir = backends.store_dir(TASK, "store");
    let trash = dir.with_file_name("store~removed");
    std::fs::rename(&dir, &trash).unwrap();
    assert_eq!(backends.open(TASK, "store").unwrap().position(), None);
    assert!(!trash.exists());
}
