//! Rule S1 for stores that are flushed into each other: the caches of a thread share one bound.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::cell::RefCell;
use std::rc::Rc;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::serde::{I64Serde, StringSerde};
use kafka_streams_core::{TaskContext, TaskId};
use kafka_streams_state::{
    InMemoryBackends, KeyValueStore, StateStore, StoreBackends, StoreBuilder, StoreParts, Stores, ThreadCache,
};

const TASK: TaskId = TaskId::new(0, 2);

fn cached(name: &str, cache: &ThreadCache) -> Rc<KeyValueStore<String, i64>> {
    let backend = InMemoryBackends.open(TASK, name).unwrap();
    let parts = StoreParts::new(backend, None, cache.clone());
    Stores::persistent_key_value_store(name, StringSerde, I64Serde).with_caching_enabled().build(parts)
}

#[test]
fn s1_an_evicted_entry_counts_until_it_is_flushed() {
    // ThreadCache.maybeEvict of the JVM takes an entry off the thread's sum after the flush that evicting it began. So the
    // cache of a table that is computed from this one finds the sum exceeded, and passes on at once what it is given.
    let cache = ThreadCache::new(250);
    let mut cx = TaskContext::new(TASK, "app".into(), Handlers::default());
    let (upper, lower) = (cached("upper", &cache), cached("lower", &cache));
    let heard = Rc::new(RefCell::new(Vec::new()));
    let (to_lower, notes) = (lower.clone(), heard.clone());
    upper
        .set_flush_listener(false, Rc::new(move |cx, record| to_lower.put(cx, &record.key, record.value.new.as_ref())));
    lower.set_flush_listener(
        false,
        Rc::new(move |_, record| {
            notes.borrow_mut().push(record.key.chars().next().unwrap());
            Ok(())
        }),
    );
    let long = "l".repeat(101);
    upper.put(&mut cx, &long, Some(&1)).unwrap();
    upper.put(&mut cx, &"a".to_owned(), Some(&1)).unwrap();
    assert_eq!(cache.bytes(), (101 + 24 + 8 + 21) + (1 + 24 + 8 + 21));
    assert!(heard.borrow().is_empty());
    upper.put(&mut cx, &"b".to_owned(), Some(&1)).unwrap();
    assert_eq!(*heard.borrow(), ['l', 'a', 'b'], "the first leaves, and nothing rests in the cache below");
    assert_eq!(cache.bytes(), 2 * (1 + 24 + 8 + 21), "the others stay in the cache, clean");
    // With room in the thread's cache they wait below.
    upper.put(&mut cx, &"c".to_owned(), Some(&1)).unwrap();
    upper.flush(&mut cx).unwrap();
    assert_eq!(heard.borrow().len(), 3);
    lower.flush(&mut cx).unwrap();
    assert_eq!(heard.borrow().len(), 4);
}
