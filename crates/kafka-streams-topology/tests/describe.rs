//! `describe()` against the texts that the JVM printed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod common;

use std::collections::BTreeMap;

use common::{Counts, pass, sink, source, store, strings};
use kafka_streams_core::serde::StringSerde;
use kafka_streams_core::{Context, NodeId, Processor, Record, Step};
use kafka_streams_topology::{Draft, SinkSpec, SourceSpec, TopicName, Topology, TopologyBuilder};
use proptest::prelude::*;

const GOLDEN: &str = include_str!("golden/jvm-describe.txt");

#[test]
fn a_count_is_described_as_the_jvm_does() {
    let mut draft = Draft::new();
    let read = source(&mut draft, "KSTREAM-SOURCE-0000000000", &["in"]);
    let counts = store(&mut draft, "KSTREAM-AGGREGATE-STATE-STORE-0000000001");
    pass(&mut draft, "KSTREAM-AGGREGATE-0000000002", &[read], &[counts]);
    check("count-groupByKey", &draft.build().unwrap());
}

#[test]
fn an_outer_stream_stream_join_is_described_as_the_jvm_does() {
    let mut draft = Draft::new();
    let left = source(&mut draft, "KSTREAM-SOURCE-0000000000", &["l"]);
    let right = source(&mut draft, "KSTREAM-SOURCE-0000000001", &["r"]);
    let this = store(&mut draft, "KSTREAM-OUTERTHIS-0000000004-store");
    let other = store(&mut draft, "KSTREAM-OUTEROTHER-0000000005-store");
    let shared = store(&mut draft, "KSTREAM-OUTERSHARED-0000000004-store");
    let windowed_left = pass(&mut draft, "KSTREAM-WINDOWED-0000000002", &[left], &[this]);
    let windowed_right = pass(&mut draft, "KSTREAM-WINDOWED-0000000003", &[right], &[other]);
    let join_this = pass(&mut draft, "KSTREAM-OUTERTHIS-0000000004", &[windowed_left], &[other, shared]);
    let join_other = pass(&mut draft, "KSTREAM-OUTEROTHER-0000000005", &[windowed_right], &[this, shared]);
    let merge = pass(&mut draft, "KSTREAM-MERGE-0000000006", &[join_this, join_other], &[]);
    sink(&mut draft, "KSTREAM-SINK-0000000007", &[merge], "out");
    check("stream-stream outer", &draft.build().unwrap());
}

#[test]
fn the_processor_api_is_described_as_the_jvm_does() {
    struct Nothing;

    impl Processor for Nothing {
        type KIn = String;
        type VIn = String;
        type KOut = String;
        type VOut = String;

        fn process(&mut self, _: Record<String, String>, _: &mut Context<'_, String, String>) -> Step {
            Ok(())
        }
    }

    let mut builder = TopologyBuilder::new();
    builder.add_source("src", &["in1", "in2"], StringSerde, StringSerde).unwrap();
    builder.add_processor("p", |_| Ok(Nothing), &["src"]).unwrap();
    builder.add_state_store(Counts::named("kv"), &["p"]).unwrap();
    builder.add_sink("snk", "out", StringSerde, StringSerde, &["p"]).unwrap();
    // Printed by the JVM's Kafka Streams 4.3.0; note the order of the topics.
    let golden = "Topologies:\n   Sub-topology: 0\n    Source: src (topics: [in2, in1])\n      --> p\n    \
                  Processor: p (stores: [kv])\n      --> snk\n      <-- src\n    Sink: snk (topic: out)\n      \
                  <-- p\n\n";
    assert_eq!(builder.build().unwrap().describe(), golden);
}

#[test]
fn an_empty_topology_has_a_text() {
    assert_eq!(Draft::new().build().unwrap().describe(), "Topologies:\n ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Only the order of the sub-topologies' first nodes shows in the text.
    #[test]
    fn every_golden_text_is_the_same_for_every_order_of_insertion(seed in any::<u64>()) {
        for (title, text) in golden() {
            let described = rebuild(text, seed).describe();
            prop_assert_eq!(described, text, "{}", title);
        }
    }
}

fn check(title: &str, topology: &Topology) {
    let text = golden().into_iter().find(|(golden, _)| *golden == title).unwrap().1;
    assert_eq!(topology.describe(), text, "{title}");
}

/// Titles and texts, each text with the empty line at its end.
fn golden() -> Vec<(&'static str, &'static str)> {
    let samples: Vec<_> = GOLDEN.split("#### ").skip(1).map(|sample| sample.split_once('\n').unwrap()).collect();
    assert!(samples.len() > 40);
    samples
}

/// One node of a text.
struct Parsed {
    kind: String,
    name: String,
    listed: Vec<String>,
    parents: Vec<String>,
    part: usize,
}

fn parse(text: &str) -> Vec<Parsed> {
    let list = |text: &str| -> Vec<String> {
        text.split(", ").filter(|name| !name.is_empty() && *name != "none").map(str::to_owned).collect()
    };
    let mut nodes: Vec<Parsed> = Vec::new();
    let mut parts = 0;
    for line in text.lines().map(str::trim) {
        if line.starts_with("Sub-topology:") {
            parts += 1;
        } else if let Some(parents) = line.strip_prefix("<-- ") {
            nodes.last_mut().unwrap().parents = list(parents);
        } else if let Some((head, listed)) = line.split_once(" (") {
            let (kind, name) = head.split_once(": ").unwrap();
            let listed = listed.split_once(": ").unwrap().1.trim_end_matches(')');
            let listed = list(listed.trim_matches(['[', ']']));
            nodes.push(Parsed { kind: kind.into(), name: name.into(), listed, parents: vec![], part: parts });
        }
    }
    nodes
}

/// A topology with this text, its nodes added in an order drawn from `seed`: parents before children, and the first
/// node of each sub-topology before all others.
fn rebuild(text: &str, seed: u64) -> Topology {
    let mut draft = Draft::new();
    let mut waiting = parse(text);
    let mut ids: BTreeMap<String, NodeId> = BTreeMap::new();
    let mut stores = BTreeMap::new();
    let mut random = seed;
    let mut begun = 0;
    while !waiting.is_empty() {
        let parts = waiting.iter().map(|node| node.part).max().unwrap();
        let fits: Vec<usize> = (0..waiting.len())
            .filter(|at| waiting[*at].parents.iter().all(|parent| ids.contains_key(parent)))
            .filter(|at| begun >= parts || waiting[*at].part == begun + 1)
            .collect();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let node = waiting.remove(fits[(random >> 33) as usize % fits.len()]);
        begun = begun.max(node.part);
        let parents: Vec<NodeId> = node.parents.iter().map(|parent| ids[parent]).collect();
        // Sets print in an order of their own, whatever the order of insertion, but for names in one bucket. (The only
        // two of the golden texts were added in the order of the alphabet.)
        let mut listed: Vec<&str> = node.listed.iter().map(String::as_str).collect();
        listed.sort_unstable();
        let id = match node.kind.as_str() {
            "Source" => source(&mut draft, &node.name, &listed),
            "Sink" => sink(&mut draft, &node.name, &parents, listed[0]),
            _ => {
                let mut indexes = Vec::new();
                for name in listed {
                    indexes.push(*stores.entry(name.to_owned()).or_insert_with(|| store(&mut draft, name)));
                }
                pass(&mut draft, &node.name, &parents, &indexes)
            }
        };
        ids.insert(node.name, id);
    }
    draft.build().unwrap()
}

#[test]
fn subtopologies_are_numbered_by_their_first_nodes_and_joined_by_stores() {
    let mut draft = Draft::new();
    let first = source(&mut draft, "first", &["a"]);
    let second = source(&mut draft, "second", &["b"]);
    let third = draft.add_source("third", SourceSpec::new([TopicName::external("c")], strings(), strings())).unwrap();
    let shared = store(&mut draft, "shared");
    pass(&mut draft, "one", &[second], &[]);
    pass(&mut draft, "two", &[third], &[shared]);
    pass(&mut draft, "three", &[first], &[shared]);
    draft.add_sink("out", &[first], SinkSpec::new(TopicName::external("b2"), strings(), strings())).unwrap();
    let topology = draft.build().unwrap();
    let parts: Vec<(i32, Vec<u32>)> =
        topology.subtopologies().iter().map(|part| (part.id, part.nodes.iter().map(|node| node.0).collect())).collect();
    assert_eq!(parts, [(0, vec![0, 2, 4, 5, 6]), (1, vec![1, 3])]);
    assert_eq!(topology.subtopologies()[0].stores, [shared]);
    assert_eq!(topology.subtopologies()[0].sink_topics, [TopicName::external("b2")]);
}
