//! Stores of a task that is over are closed: nothing holds them, whatever the nodes of the task hold of each other.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::cell::RefCell;
use std::sync::Arc;

use kafka_streams_dsl::{Consumed, KTable, Materialized, StreamsBuilder};
use kafka_streams_state::{InMemoryBackend, StoreBackend, StoreParts, StoreSpec, ThreadCache};

#[test]
fn tables_that_are_joined_let_go_of_each_other() {
    // The node of either side reads the other side's store, whose cache tells the other node what leaves it.
    let builder = StreamsBuilder::new();
    let table = |topic: &str| -> KTable<String, String> {
        builder.table_with(topic, Consumed::default(), Materialized::named(format!("{topic}-rows")))
    };
    let (left, right) = (table("left"), table("right"));
    left.join(&right, |left: String, right| left + &right).to_stream().to("out");
    left.join(&left, |left: String, right| left + &right).to_stream().to("out");
    let topology = builder.build().unwrap();
    let stores = RefCell::new(Vec::new());
    let mut open = |_: &StoreSpec, changelog| {
        let backend: Arc<dyn StoreBackend> = Arc::new(InMemoryBackend::default());
        stores.borrow_mut().push(Arc::downgrade(&backend));
        Ok(StoreParts::new(backend, changelog, ThreadCache::new(10_000)))
    };
    let graph = topology.wire(0, "app", &|_| Some(1), &mut open).unwrap();
    assert_eq!(stores.borrow().len(), 2);
    assert!(stores.borrow().iter().all(|store| store.upgrade().is_some()));
    drop(graph);
    assert!(stores.borrow().iter().all(|store| store.upgrade().is_none()), "a store is still held");
}
