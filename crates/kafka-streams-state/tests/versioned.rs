//! Versioned stores: what is found at which time, and what their changelogs say. The tests of the back-ends have a model.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::serde::StringSerde;
use kafka_streams_core::{RouteId, TaskContext, TaskId};
use kafka_streams_state::{
    InMemoryBackend, StateStore, StoreBackend, StoreBuilder, StoreParts, Stores, ThreadCache, VersionedKeyValueStore,
    VersionedKeyValueStoreBuilder, VersionedPut, VersionedRecord, conformance,
};

type Store = VersionedKeyValueStore<String, String>;

/// Short enough for several segments (2 s each) to come and go.
const HISTORY_MS: i64 = 10_000;

fn builder() -> VersionedKeyValueStoreBuilder<String, String> {
    let history = Duration::from_millis(HISTORY_MS as u64);
    Stores::persistent_versioned_key_value_store("v", history, StringSerde, StringSerde)
}

fn store(backend: &Arc<dyn StoreBackend>) -> Rc<Store> {
    let (backend, cache) = (backend.clone(), ThreadCache::new(0));
    builder().build(StoreParts::new(backend, Some(RouteId(0)), cache))
}

fn context() -> TaskContext {
    TaskContext::new(TaskId::new(0, 0), "app".into(), Handlers::default())
}

fn version(value: &str, timestamp: i64, valid_to: Option<i64>) -> Option<VersionedRecord<String>> {
    Some(VersionedRecord { value: value.to_owned(), timestamp, valid_to })
}

#[test]
fn a_value_is_found_at_the_times_in_which_it_was_valid() {
    let backend: Arc<dyn StoreBackend> = Arc::new(InMemoryBackend::default());
    let (store, mut cx, key) = (store(&backend), context(), "k".to_owned());
    let mut put =
        |value: Option<&str>, time| store.put(&mut cx, &key, value.map(str::to_owned).as_ref(), time).unwrap();
    assert_eq!(put(Some("a"), 1000), VersionedPut::Latest);
    assert_eq!(put(Some("c"), 5000), VersionedPut::Latest);
    assert_eq!(put(Some("b"), 3000), VersionedPut::ValidUntil(5000), "a late version");
    assert_eq!(put(None, 4000), VersionedPut::ValidUntil(5000), "a late deletion");
    let at = |time| store.get_as_of(&key, time).unwrap();
    assert_eq!(at(999), None);
    assert_eq!(at(1000), version("a", 1000, Some(3000)));
    assert_eq!(at(3999), version("b", 3000, Some(4000)));
    assert_eq!(at(4999), None);
    assert_eq!(at(i64::MAX), version("c", 5000, None));
    assert_eq!(store.get(&key).unwrap(), version("c", 5000, None));
    assert_eq!(store.delete(&mut cx, &key, 6000).unwrap(), version("c", 5000, None));
    assert_eq!(store.get(&key).unwrap(), None);
    assert_eq!(store.get_as_of(&key, 5999).unwrap(), version("c", 5000, Some(6000)));
}

#[test]
fn what_is_older_than_the_history_is_not_put_but_logged() {
    let backend: Arc<dyn StoreBackend> = Arc::new(InMemoryBackend::default());
    let (store, mut cx) = (store(&backend), context());
    let (old, new) = ("old".to_owned(), "new".to_owned());
    store.put(&mut cx, &old, Some(&old), 1000).unwrap();
    store.put(&mut cx, &new, Some(&new), 20_000).unwrap();
    assert_eq!(store.put(&mut cx, &old, Some(&new), 9_999).unwrap(), VersionedPut::Expired);
    assert_eq!(store.put(&mut cx, &new, Some(&old), 10_000).unwrap(), VersionedPut::ValidUntil(20_000));
    assert_eq!(store.get_as_of(&old, 5000).unwrap(), version("old", 1000, None), "the latest never expires");
    assert_eq!(store.get_as_of(&new, 9_999).unwrap(), None);
    assert_eq!((cx.output.len(), cx.counters.dropped), (4, 1));
}

#[test]
fn s9_dropping_what_is_uncommitted_brings_the_history_back() {
    let backend: Arc<dyn StoreBackend> = Arc::new(InMemoryBackend::default());
    let (store, mut cx, key) = (store(&backend), context(), "k".to_owned());
    store.put(&mut cx, &key, Some(&"a".to_owned()), 1000).unwrap();
    store.commit(&conformance::position(0)).unwrap();
    store.put(&mut cx, &key, Some(&"b".to_owned()), 90_000).unwrap();
    store.drop_uncommitted();
    assert_eq!(store.get(&key).unwrap(), version("a", 1000, None));
    assert_eq!(store.observed_stream_time().unwrap(), 1000);
    assert_eq!(store.put(&mut cx, &key, Some(&"z".to_owned()), 500).unwrap(), VersionedPut::ValidUntil(1000));
}
