//! A user's mistakes: what `Draft` and `TopologyBuilder` refuse, and what they say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod common;

use common::{Counts, Text, pass, sink, source, store, strings};
use kafka_streams_core::serde::{I64Serde, StringSerde};
use kafka_streams_core::{Context, NodeId, Processor, Record, Step};
use kafka_streams_state::StoreKind;
use kafka_streams_topology::{Draft, SinkSpec, SourceSpec, StoreIndex, TopicName, TopologyBuilder, TopologyError};

fn read() -> (Draft, NodeId) {
    let mut draft = Draft::new();
    let id = source(&mut draft, "read", &["in"]);
    (draft, id)
}

fn add_source(draft: &mut Draft, name: &str, topics: &[&str]) -> Result<NodeId, TopologyError> {
    let topics = topics.iter().map(|topic| TopicName::external(*topic));
    draft.add_source(name, SourceSpec::new(topics, strings(), strings()))
}

fn add_processor(draft: &mut Draft, name: &str, parents: &[NodeId]) -> Result<NodeId, TopologyError> {
    draft.add_processor::<Text, Text>(name, parents, &[], |_, _| Ok(()))
}

#[test]
fn names_must_be_legal_and_free() {
    let (mut draft, read) = read();
    for name in ["", ".", "..", "a b", "a/b", &"x".repeat(250)] {
        let refused = add_processor(&mut draft, name, &[read]).unwrap_err();
        assert!(matches!(refused, TopologyError::IllegalName { what: "node", .. }), "{name}");
        let refused = draft.add_store(Counts::named(name)).unwrap_err();
        assert!(matches!(refused, TopologyError::IllegalName { what: "store", .. }), "{name}");
        let refused = add_source(&mut draft, "free", &[name]).unwrap_err();
        assert!(matches!(refused, TopologyError::IllegalName { what: "topic", .. }), "{name}");
    }
    let refused = add_processor(&mut draft, "read", &[read]).unwrap_err();
    assert_eq!(refused, TopologyError::DuplicateNode { name: "read".into(), places: None });
    draft.add_store(Counts::named("counts")).unwrap();
    let refused = draft.add_store(Counts::named("counts")).unwrap_err();
    assert_eq!(refused, TopologyError::DuplicateStore { name: "counts".into(), places: None });
}

#[test]
fn an_error_leaves_the_draft_as_it_was() {
    let (mut draft, read) = read();
    assert!(add_processor(&mut draft, "next", &[NodeId(9)]).is_err());
    assert!(draft.add_processor::<Text, Text>("next", &[read], &[StoreIndex(3)], |_, _| Ok(())).is_err());
    assert!(add_source(&mut draft, "other", &["other", "in"]).is_err());
    assert!(add_source(&mut draft, "other", &["other"]).is_ok());
    assert!(add_processor(&mut draft, "next", &[read]).is_ok());
    assert_eq!(draft.build().unwrap().nodes().len(), 3);
}

#[test]
fn parents_must_exist_and_send() {
    let (mut draft, read) = read();
    let refused = add_processor(&mut draft, "lost", &[]).unwrap_err();
    assert_eq!(refused, TopologyError::NoParents { node: "lost".into() });
    let refused = add_processor(&mut draft, "lost", &[NodeId(7)]).unwrap_err();
    assert_eq!(refused.to_string(), "lost refers to node number 7, which does not exist; add it first");
    let out = sink(&mut draft, "out", &[read], "to");
    let refused = add_processor(&mut draft, "below", &[out]).unwrap_err();
    assert_eq!(refused, TopologyError::ParentIsSink { parent: "out".into(), child: "below".into() });
}

#[test]
fn a_topic_is_read_by_one_source() {
    let (mut draft, _) = read();
    let refused = add_source(&mut draft, "again", &["in"]).unwrap_err();
    let (topic, first, second) = ("in".into(), "read".into(), "again".into());
    assert_eq!(refused, TopologyError::TopicReadTwice { topic, first, second });
    let refused = add_source(&mut draft, "twice", &["a", "a"]).unwrap_err();
    assert!(matches!(refused, TopologyError::TopicReadTwice { .. }));
    let refused = add_source(&mut draft, "none", &[]).unwrap_err();
    assert_eq!(refused, TopologyError::NoTopics { node: "none".into() });
}

#[test]
fn a_wrong_edge_is_told_with_both_nodes_and_both_types() {
    let (mut draft, read) = read();
    let sink = SinkSpec::new(TopicName::external("to"), strings(), common::longs());
    draft.add_sink("out", &[read], sink).unwrap();
    assert_eq!(
        draft.build().unwrap_err().to_string(),
        "read sends <alloc::string::String, alloc::string::String>, but out below it takes <alloc::string::String, \
         i64>; make key and value types equal"
    );
}

#[test]
fn nothing_can_be_attached_to_a_node_that_sends_nothing() {
    let (mut draft, read) = read();
    let last = draft.add_processor::<Text, ()>("last", &[read], &[], |_, _| Ok(())).unwrap();
    add_processor(&mut draft, "below", &[last]).unwrap();
    let refused = draft.build().unwrap_err().to_string();
    assert!(refused.starts_with("last sends nothing, but below below it takes <"), "{refused}");
}

#[test]
fn stores_must_be_declared_well_and_connected_to_processors() {
    let (mut draft, read) = read();
    let out = sink(&mut draft, "out", &[read], "to");
    let counts = store(&mut draft, "counts");
    for node in [read, out] {
        let refused = draft.connect_store(node, counts).unwrap_err();
        assert!(matches!(refused, TopologyError::StoreOnSourceOrSink { .. }));
    }
    let next = pass(&mut draft, "next", &[read], &[]);
    let refused = draft.connect_store(next, StoreIndex(5)).unwrap_err();
    assert_eq!(refused, TopologyError::UnknownStore { store: "number 5".into(), by: "next".into() });
    let mut short = Counts::named("short");
    short.0.kind = StoreKind::Window { window_size_ms: 10, retention_ms: 5, retain_duplicates: false };
    let refused = draft.add_store(short).unwrap_err().to_string();
    assert!(refused.contains("short") && refused.contains("retention"), "{refused}");
    assert_eq!(draft.build().unwrap_err(), TopologyError::StoreNotConnected { store: "counts".into() });
}

#[test]
fn internal_topics_are_declared_once() {
    let (mut draft, read) = read();
    let to = TopicName::internal("x-repartition");
    draft.add_sink("out", &[read], SinkSpec::new(to, strings(), strings())).unwrap();
    draft.add_repartition_topic("y-repartition", Some(2)).unwrap();
    draft.add_repartition_topic("y-repartition", Some(2)).unwrap();
    let refused = draft.add_repartition_topic("y-repartition", None).unwrap_err();
    assert!(matches!(refused, TopologyError::RepartitionTopicConflict { first: Some(2), second: None, .. }));
    let refused = draft.add_repartition_topic("z-repartition", Some(0)).unwrap_err();
    assert_eq!(refused, TopologyError::IllegalPartitions { topic: "z-repartition".into(), partitions: 0 });
    let (node, topic) = ("out".into(), "x-repartition".into());
    assert_eq!(draft.build().unwrap_err(), TopologyError::UndeclaredInternalTopic { node, topic });
}

#[test]
fn only_sources_are_copartitioned_and_only_what_is_read_is_a_changelog() {
    let (mut draft, read) = read();
    let next = pass(&mut draft, "next", &[read], &[]);
    draft.copartition(&[read, next]);
    assert_eq!(draft.build().unwrap_err(), TopologyError::CopartitionedNoSource { node: "next".into() });

    let (mut draft, read) = self::read();
    let table = store(&mut draft, "table");
    pass(&mut draft, "next", &[read], &[table]);
    draft.use_source_as_changelog(table, "elsewhere");
    let (store, topic) = ("table".into(), "elsewhere".into());
    assert_eq!(draft.build().unwrap_err(), TopologyError::ChangelogNotRead { store, topic });
}

#[test]
fn the_processor_api_tells_unknown_names() {
    struct Drop;

    impl Processor for Drop {
        type KIn = String;
        type VIn = i64;
        type KOut = String;
        type VOut = i64;

        fn process(&mut self, _: Record<String, i64>, _: &mut Context<'_, String, i64>) -> Step {
            Ok(())
        }
    }

    let mut builder = TopologyBuilder::new();
    let refused = builder.add_processor("p", |_| Ok(Drop), &["read"]).unwrap_err();
    assert_eq!(refused, TopologyError::UnknownNode { node: "read".into(), by: "p".into() });
    builder.add_source("read", &["in"], StringSerde, StringSerde).unwrap();
    builder.add_processor("p", |_| Ok(Drop), &["read"]).unwrap();
    let refused = builder.build().unwrap_err();
    assert!(matches!(refused, TopologyError::TypeMismatch { .. }), "{refused}");

    let mut builder = TopologyBuilder::new();
    builder.add_source("read", &["in"], StringSerde, I64Serde).unwrap();
    builder.add_processor("p", |_| Ok(Drop), &["read"]).unwrap();
    builder.connect_processor_and_state_stores("p", &["counts"]);
    let refused = builder.build().unwrap_err();
    assert_eq!(refused, TopologyError::UnknownStore { store: "counts".into(), by: "p".into() });

    let mut builder = TopologyBuilder::new();
    builder.add_source("read", &["in"], StringSerde, I64Serde).unwrap();
    builder.add_state_store(Counts::named("counts"), &["p"]).unwrap();
    let refused = builder.build().unwrap_err();
    assert!(matches!(refused, TopologyError::UnknownNode { .. }), "{refused}");
}
