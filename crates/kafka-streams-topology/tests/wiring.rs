//! Topologies wired and run: records in, output out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod common;

use std::rc::Rc;
use std::sync::Arc;

use common::{CountStore, Counts, context, drain, feed, nullable_strings, pass, sink, source, strings, wire};
use kafka_streams_core::handler::{Handlers, LogAndContinue};
use kafka_streams_core::serde::{I64Serde, StringSerde};
use kafka_streams_core::{
    Context, FailureKind, Header, Headers, PartitionChoice, Processor, RawRecord, Record, Serde, SerdeError, Step,
    TaskContext, TaskId, murmur2,
};
use kafka_streams_topology::{
    Draft, RouteKind, SinkSpec, SourceSpec, StreamPartitioner, TopicName, Topology, TopologyBuilder,
};

struct CountWords {
    counts: Rc<CountStore>,
}

impl Processor for CountWords {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = i64;

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, i64>) -> Step {
        let count = self.counts.add(cx, &record.value);
        let word = record.value.clone();
        cx.forward(record.with_key(word).with_value(count))
    }
}

fn counting() -> Topology {
    let mut builder = TopologyBuilder::new();
    builder.add_source("words", &["words", "more-words"], StringSerde, StringSerde).unwrap();
    let counts = builder.add_state_store(Counts::named("counts"), &[]).unwrap();
    builder.add_processor_with_stores("count", counts, |counts| CountWords { counts }, &["words"]).unwrap();
    builder.add_sink("out", "counted", StringSerde, I64Serde, &["count"]).unwrap();
    builder.build().unwrap()
}

#[test]
fn records_run_through_source_processor_with_store_and_sink() {
    let graph = wire(&counting()).unwrap();
    let mut cx = context();
    assert_eq!(graph.lifecycles.len(), 1);
    graph.lifecycles[0].1.init(&mut cx).unwrap();
    for (topic, word) in [("words", "a"), ("more-words", "b"), ("words", "a")] {
        feed(&graph, &mut cx, topic, Some(b"k"), Some(word.as_bytes())).unwrap();
    }
    assert_eq!(
        drain(&graph, &mut cx.output),
        [
            "app-counts-changelog: a = 1 @7",
            "counted: a = 1 @7",
            "app-counts-changelog: b = 1 @7",
            "counted: b = 1 @7",
            "app-counts-changelog: a = 2 @7",
            "counted: a = 2 @7"
        ]
    );
}

#[test]
fn routes_sources_and_stores_are_named_as_on_the_broker() {
    let graph = wire(&counting()).unwrap();
    let routes: Vec<_> = graph.routes.iter().map(|route| (&*route.topic, route.kind.clone())).collect();
    assert_eq!(routes[0], ("counted", RouteKind::Sink { node: "out".into() }));
    assert_eq!(routes[1], ("app-counts-changelog", RouteKind::Changelog { store: 0 }));
    let sources: Vec<_> = graph.sources.iter().map(|source| (&*source.topic, &*source.node)).collect();
    assert_eq!(sources, [("words", "words"), ("more-words", "words")]);
    assert!(Rc::ptr_eq(&graph.sources[0].ingest, &graph.sources[1].ingest));
    assert_eq!(graph.stores[0].changelog.as_deref(), Some("app-counts-changelog"));
    assert!(!graph.stores[0].source_changelog);
}

#[test]
fn a_source_topic_as_changelog_is_read_and_never_written() {
    let mut draft = Draft::new();
    let read = source(&mut draft, "read", &["table"]);
    let table = draft.add_store(Counts::named("table")).unwrap();
    pass(&mut draft, "next", &[read], &[table.index()]);
    draft.use_source_as_changelog(table.index(), "table");
    let graph = wire(&draft.build().unwrap()).unwrap();
    assert!(graph.routes.is_empty());
    assert!(graph.stores[0].source_changelog);
    assert_eq!(graph.stores[0].changelog.as_deref(), Some("table"));
}

#[test]
fn internal_topics_get_the_application_id_in_front() {
    let mut draft = Draft::new();
    let read = source(&mut draft, "read", &["x-repartition"]);
    sink(&mut draft, "out", &[read], "y-repartition");
    let graph = wire(&draft.build().unwrap()).unwrap();
    assert_eq!((&*graph.sources[0].topic, &*graph.routes[0].topic), ("app-x-repartition", "app-y-repartition"));
}

#[test]
fn nulls_and_headers_travel() {
    let mut draft = Draft::new();
    let topics = [TopicName::external("in")];
    let spec = SourceSpec::new(topics, nullable_strings(), nullable_strings());
    let read = draft.add_source("read", spec).unwrap();
    let to = SinkSpec::new(TopicName::external("to"), nullable_strings(), nullable_strings());
    draft.add_sink("out", &[read], to).unwrap();
    let graph = wire(&draft.build().unwrap()).unwrap();
    let mut cx = context();
    cx.record.timestamp = 5;
    let headers: Headers = [Header { key: "h".into(), value: None }].into_iter().collect();
    let raw = RawRecord { offset: 0, timestamp: 5, key: None, value: None, headers: Some(&headers) };
    (graph.sources[0].ingest)(&mut cx, &raw).unwrap();
    let sent = cx.output.first().unwrap();
    assert_eq!((sent.key, sent.value, sent.partition), (None, None, PartitionChoice::Any));
    assert_eq!((sent.timestamp, sent.headers), (Some(5), &headers));
    cx.output.take();
    let raw = RawRecord { offset: 0, timestamp: 5, key: Some(b"k"), value: Some(b""), headers: None };
    (graph.sources[0].ingest)(&mut cx, &raw).unwrap();
    let sent = cx.output.first().unwrap();
    assert_eq!((sent.key, sent.value), (Some(&b"k"[..]), Some(&b""[..])));
    assert_eq!(sent.partition, PartitionChoice::ByHash(murmur2(b"k")));
}

#[test]
fn what_cannot_be_read_is_a_deserialization_failure_of_its_part() {
    let graph = wire(&counting()).unwrap();
    let mut cx = context();
    let inputs =
        [("key", None, Some(&b"v"[..])), ("value", Some(&b"k"[..]), None), ("value", Some(b"k"), Some(b"\xff"))];
    for (expected, key, value) in inputs {
        let failure = feed(&graph, &mut cx, "words", key, value).unwrap_err();
        assert!(matches!(failure.kind(), FailureKind::Deserialization { part, .. } if *part == expected), "{failure}");
    }
    assert!(cx.output.is_empty());
}

/// Writes texts shorter than four bytes.
struct Short;

impl Serde for Short {
    type Target = String;

    fn serialize(&self, _topic: &str, value: &String, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        out.extend_from_slice(value.as_bytes());
        if value.len() < 4 { Ok(()) } else { Err(SerdeError::invalid::<String>("too long")) }
    }

    fn deserialize(&self, _topic: &str, _bytes: &[u8]) -> Result<String, SerdeError> {
        Ok(String::new())
    }
}

fn writing(sink: SinkSpec<String, String>) -> Topology {
    let mut draft = Draft::new();
    let read = source(&mut draft, "read", &["in"]);
    draft.add_sink("out", &[read], sink).unwrap();
    draft.build().unwrap()
}

#[test]
fn what_cannot_be_written_leaves_no_trace_and_goes_to_the_production_handler() {
    let graph = wire(&writing(SinkSpec::new(TopicName::external("to"), Arc::new(Short), Arc::new(Short)))).unwrap();
    let mut cx = context();
    let failure = feed(&graph, &mut cx, "in", Some(b"k"), Some(b"much too long")).unwrap_err();
    assert!(matches!(failure.kind(), FailureKind::Serialization { topic, part: "value", .. } if &**topic == "to"));
    assert_eq!(failure.node().map(|node| &**node), Some("out"));
    assert!(failure.is_settled() && cx.output.is_empty());
    let handlers = Handlers { production: Arc::new(LogAndContinue), ..Handlers::default() };
    let mut cx = TaskContext::new(TaskId::new(0, 0), "app".into(), handlers);
    feed(&graph, &mut cx, "in", Some(b"much too long"), Some(b"v")).unwrap();
    feed(&graph, &mut cx, "in", Some(b"k"), Some(b"v")).unwrap();
    assert_eq!(drain(&graph, &mut cx.output), ["to: k = v @7"]);
    assert_eq!(cx.counters.dropped, 1);
}

fn partition_of(sink: SinkSpec<String, String>, value: &str) -> Result<PartitionChoice, String> {
    let graph = wire(&writing(sink)).unwrap();
    let mut cx = context();
    feed(&graph, &mut cx, "in", Some(b"key"), Some(value.as_bytes())).map_err(|failure| failure.to_string())?;
    Ok(cx.output.first().unwrap().partition)
}

#[test]
fn the_partition_is_the_partitioners_or_the_hash_of_the_key() {
    let plain = || SinkSpec::new(TopicName::external("to"), strings(), strings());
    // By length, of the four partitions that the task was wired with; an empty value leaves the choice open.
    let by_length = |topic: &str, _: &String, value: &String, partitions: i32| {
        assert_eq!((topic, partitions), ("to", 4));
        (!value.is_empty()).then_some(value.len() as i32)
    };
    let by_length: Arc<dyn StreamPartitioner<String, String>> = Arc::new(by_length);
    let chosen = || SinkSpec { partitioner: Some(by_length.clone()), ..plain() };
    assert_eq!(partition_of(plain(), "v"), Ok(PartitionChoice::ByHash(murmur2(b"key"))));
    assert_eq!(partition_of(chosen(), "vvv"), Ok(PartitionChoice::Explicit(3)));
    assert_eq!(partition_of(chosen(), ""), Ok(PartitionChoice::ByHash(murmur2(b"key"))));
    assert!(partition_of(chosen(), "vvvv").unwrap_err().contains("chose partition 4 of 4"));
    let first_byte = SinkSpec { key_hash: Some(|key| key.get(..1).unwrap_or_default()), ..plain() };
    assert_eq!(partition_of(first_byte, "v"), Ok(PartitionChoice::ByHash(murmur2(b"k"))));
}

#[test]
fn a_negative_timestamp_is_not_written() {
    let graph = wire(&writing(SinkSpec::new(TopicName::external("to"), strings(), strings()))).unwrap();
    let mut cx = context();
    cx.record.timestamp = -1;
    let raw = RawRecord { offset: 0, timestamp: -1, key: Some(b"k"), value: Some(b"v"), headers: None };
    assert!((graph.sources[0].ingest)(&mut cx, &raw).unwrap_err().to_string().contains("timestamp -1"));
    assert!(cx.output.is_empty());
}

#[test]
fn a_store_that_is_not_connected_is_told_when_the_task_is_made() {
    let mut builder = TopologyBuilder::new();
    builder.add_source("words", &["words"], StringSerde, StringSerde).unwrap();
    let counts = builder.add_state_store(Counts::named("counts"), &["one"]).unwrap();
    builder.add_processor_with_stores("one", counts, |counts| CountWords { counts }, &["words"]).unwrap();
    builder.add_processor("two", move |stores| Ok(CountWords { counts: stores.get(counts)? }), &["words"]).unwrap();
    let failure = wire(&builder.build().unwrap()).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "node two: node two uses store counts without being connected to it; connect them when the topology is built"
    );
}

#[test]
fn a_store_can_be_had_by_its_name() {
    let mut builder = TopologyBuilder::new();
    builder.add_source("words", &["words"], StringSerde, StringSerde).unwrap();
    builder.add_state_store(Counts::named("counts"), &[]).unwrap();
    let supplier = |stores: &kafka_streams_topology::ProcessorStores<'_>| {
        assert!(stores.named::<CountStore>("other").is_err());
        Ok(CountWords { counts: stores.named("counts")? })
    };
    builder.add_processor("count", supplier, &["words"]).unwrap();
    builder.connect_processor_and_state_stores("count", &["counts"]);
    let graph = wire(&builder.build().unwrap()).unwrap();
    let mut cx = context();
    feed(&graph, &mut cx, "words", Some(b"k"), Some(b"a")).unwrap();
    assert_eq!(drain(&graph, &mut cx.output), ["app-counts-changelog: a = 1 @7"]);
}

#[test]
fn children_get_a_record_in_the_order_of_their_attachment() {
    let mut draft = Draft::new();
    let read = source(&mut draft, "read", &["in"]);
    let left = pass(&mut draft, "z-left", &[read], &[]);
    let right = pass(&mut draft, "a-right", &[read], &[]);
    let merged = pass(&mut draft, "merged", &[right, left], &[]);
    for (name, parent) in [("s1", left), ("s2", right), ("s3", merged)] {
        sink(&mut draft, name, &[parent], name);
    }
    let graph = wire(&draft.build().unwrap()).unwrap();
    let mut cx = context();
    feed(&graph, &mut cx, "in", Some(b"k"), Some(b"v")).unwrap();
    assert_eq!(drain(&graph, &mut cx.output), ["s3: k = v @7", "s1: k = v @7", "s3: k = v @7", "s2: k = v @7"]);
}

#[test]
fn one_topology_makes_tasks_on_several_threads() {
    let topology = Arc::new(counting());
    let run = |topology: Arc<Topology>| {
        let graph = wire(&topology).unwrap();
        let mut cx = context();
        feed(&graph, &mut cx, "words", Some(b"k"), Some(b"a")).unwrap();
        drain(&graph, &mut cx.output).len()
    };
    let threads: Vec<_> = (0..3)
        .map(|_| {
            std::thread::spawn({
                let t = topology.clone();
                move || run(t)
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 2));
}

#[test]
fn dropping_a_long_chain_does_not_recurse() {
    let mut draft = Draft::new();
    let mut last = source(&mut draft, "read", &["in"]);
    for number in 0..100_000 {
        last = pass(&mut draft, &format!("n{number}"), &[last], &[]);
    }
    let topology = draft.build().unwrap();
    drop(wire(&topology).unwrap());
}
