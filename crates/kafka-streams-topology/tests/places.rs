//! The Processor API tells where in the program a name was given that is illegal, or taken.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers as well")]

mod common;

use std::rc::Rc;

use common::{Counts, strings};
use kafka_streams_core::serde::StringSerde;
use kafka_streams_core::{Context, Processor, Record, RecordContext, Step};
use kafka_streams_state::{KeyValueStore, Stores};
use kafka_streams_topology::{SinkSpec, TopicName, TopicStore, TopologyBuilder, TopologyError};

struct Ignore;

impl Processor for Ignore {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = String;

    fn process(&mut self, _: Record<String, String>, _: &mut Context<'_, String, String>) -> Step {
        Ok(())
    }
}

type Names = Rc<KeyValueStore<String, String>>;

fn reading() -> TopologyBuilder {
    let mut builder = TopologyBuilder::new();
    builder.add_source("read", &["in"], StringSerde, StringSerde).unwrap();
    builder
}

/// The lines of this file that an error tells, in the order in which it tells them.
fn lines(error: &TopologyError) -> Vec<u32> {
    let places = match error {
        TopologyError::IllegalName { place, .. } => vec![place.unwrap()],
        TopologyError::DuplicateNode { places, .. } | TopologyError::DuplicateStore { places, .. } => {
            places.unwrap().to_vec()
        }
        other => panic!("{other}"),
    };
    assert!(places.iter().all(|place| place.file() == file!()), "{error}");
    let told = error.to_string();
    assert!(places.iter().all(|place| told.contains(&place.to_string())), "{told}");
    places.iter().map(|place| place.line()).collect()
}

#[test]
fn illegal_names_are_told_with_their_place() {
    let mut builder = reading();
    let at = line!();
    let refused = [
        builder.add_source("a b", &["x"], StringSerde, StringSerde).unwrap_err(),
        builder.add_source("x", &["a b"], StringSerde, StringSerde).unwrap_err(),
        builder.add_processor("a b", |_| Ok(Ignore), &["read"]).unwrap_err(),
        builder.add_processor_with_stores("a b", (), |()| Ignore, &["read"]).unwrap_err(),
        builder.add_sink("a b", "to", StringSerde, StringSerde, &["read"]).unwrap_err(),
        builder.add_sink_with("a b", SinkSpec::new(to(), strings(), strings()), &["read"]).unwrap_err(),
        builder.add_dynamic_sink("a b", topic_of, StringSerde, StringSerde, &["read"]).unwrap_err(),
        builder.add_state_store(Counts::named("a b"), &[]).unwrap_err(),
    ];
    for (refused, line) in refused.iter().zip(at + 2..) {
        assert_eq!(lines(refused), [line], "{refused}");
    }
}

#[test]
fn duplicate_names_are_told_with_both_places() {
    let mut builder = reading();
    let first = line!() + 1;
    builder.add_processor("node", |_| Ok(Ignore), &["read"]).unwrap();
    builder.add_state_store(Counts::named("counts"), &["node"]).unwrap();
    let again = line!();
    let nodes = [
        builder.add_source("node", &["x"], StringSerde, StringSerde).unwrap_err(),
        builder.add_processor("node", |_| Ok(Ignore), &["read"]).unwrap_err(),
        builder.add_sink("node", "to", StringSerde, StringSerde, &["read"]).unwrap_err(),
        builder.add_dynamic_sink("node", topic_of, StringSerde, StringSerde, &["read"]).unwrap_err(),
    ];
    for (refused, line) in nodes.iter().zip(again + 2..) {
        assert_eq!(lines(refused), [first, line], "{refused}");
    }
    let refused = builder.add_state_store(Counts::named("counts"), &["node"]).unwrap_err();
    assert_eq!(lines(&refused), [first + 1, line!() - 1]);
    assert!(refused.to_string().starts_with("there are two stores named counts, at "), "{refused}");
}

#[test]
fn a_refused_name_is_not_the_first_place() {
    let mut builder = reading();
    builder.add_processor("node", |_| Ok(Ignore), &["unknown"]).unwrap_err();
    builder.add_processor("node", |_| Ok(Ignore), &["read"]).unwrap();
    let refused = builder.add_processor("node", |_| Ok(Ignore), &["read"]).unwrap_err();
    assert_eq!(lines(&refused), [line!() - 2, line!() - 1]);
}

#[test]
fn stores_that_are_filled_from_a_topic_tell_their_places() {
    let store = || Stores::in_memory_key_value_store("names", StringSerde, StringSerde);
    let keep = |_: Names| Ignore;
    let nodes = TopicStore { source: "source", topic: "names", processor: "keep" };
    let mut builder = reading();
    builder.add_global_store(store(), nodes, StringSerde, StringSerde, keep).unwrap();
    let other = TopicStore { source: "other", topic: "others", processor: "keep" };
    let refused = builder.add_global_store(store(), other, StringSerde, StringSerde, keep).unwrap_err();
    assert_eq!(lines(&refused), [line!() - 3, line!() - 1]);
    let same = TopicStore { source: "same", topic: "others", processor: "same" };
    let refused = builder.add_global_store(store(), same, StringSerde, StringSerde, keep).unwrap_err();
    assert_eq!(lines(&refused), [line!() - 1, line!() - 1]);
    let refused = builder.add_read_only_state_store(store(), other, StringSerde, StringSerde, keep).unwrap_err();
    assert_eq!(lines(&refused), [line!() - 8, line!() - 1]);
}

fn to() -> TopicName {
    TopicName::external("to")
}

fn topic_of(_: &String, _: &String, _: &RecordContext) -> String {
    "to".to_owned()
}
