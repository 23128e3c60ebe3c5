//! Names that are pinned to an earlier version's stay, whatever is put into the topology.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

use std::collections::{BTreeMap, BTreeSet};

use kafka_streams_dsl::{
    Grouped, KStream, Materialized, Naming, Optimization, Produced, Repartitioned, StreamsBuilder,
};
use kafka_streams_naming::Manifest;
use kafka_streams_topology::Topology;
use proptest::prelude::*;

/// One call of an operator. `id` marks what it makes, so that it is found again in another version.
#[derive(Clone, Debug)]
struct Call {
    id: u32,
    operator: Operator,
    /// The index of the call that it is attached to, in the program's order.
    input: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Source(u8),
    Peek,
    PeekNamed,
    Filter,
    MapValues,
    SelectKey,
    Count,
    Reduce,
    Repartition,
    To(u8),
    Merge(usize),
}

/// A program: calls in the order in which they are written; the first one is a source.
fn build(program: &[Call], naming: Naming, pinned: Option<&Manifest>, optimizations: &[Optimization]) -> Topology {
    let mut builder = StreamsBuilder::with_naming(naming);
    if let Some(pinned) = pinned {
        builder = builder.with_pinned_names(pinned.clone());
    }
    let mut streams: Vec<KStream<String, String>> = Vec::new();
    for call in program {
        let input = streams.get(call.input).cloned();
        streams.push(apply(&builder, call, input, &streams));
    }
    builder.build_optimized(optimizations).unwrap()
}

fn apply(
    builder: &StreamsBuilder,
    call: &Call,
    input: Option<KStream<String, String>>,
    streams: &[KStream<String, String>],
) -> KStream<String, String> {
    let mark = [("id", call.id.to_string())];
    let Some(stream) = input.filter(|_| !matches!(call.operator, Operator::Source(_))) else {
        let topic = match call.operator {
            Operator::Source(topic) => format!("in-{topic}"),
            _ => "in".to_owned(),
        };
        return builder.stream(topic);
    };
    match call.operator {
        Operator::Source(_) => stream,
        Operator::Peek => stream.peek(|_, _| {}),
        Operator::PeekNamed => stream.peek_named(format!("peek-{}", call.id), |_, _| {}),
        Operator::Filter => stream.filter(|_, _| true),
        Operator::MapValues => stream.map_values(|value| value),
        Operator::SelectKey => stream.select_key(|key, _| key.clone()),
        Operator::Count => stream
            .group_by_key(Grouped::default())
            .count(Materialized::default().with_logging_enabled(mark))
            .to_stream()
            .map_values(|count| count.unwrap_or_default().to_string()),
        Operator::Reduce => stream
            .group_by_key(Grouped::default())
            .reduce(|_, new| new, Materialized::default().with_logging_enabled(mark))
            .to_stream()
            .map_values(Option::unwrap_or_default),
        Operator::Repartition => stream.repartition(Repartitioned::default()),
        Operator::To(topic) => {
            stream.to_with(format!("out-{topic}"), Produced::default());
            stream
        }
        Operator::Merge(other) => match streams.get(other % streams.len().max(1)) {
            Some(other) => stream.merge(other),
            None => stream,
        },
    }
}

/// The name of each store, by the mark of the call that made it.
fn stores(topology: &Topology) -> BTreeMap<String, String> {
    let marked = topology.stores().iter().map(|spec| {
        let mark = spec.logging.as_ref().and_then(|config| config.get("id")).cloned().unwrap_or_default();
        (mark, spec.name.to_string())
    });
    marked.collect()
}

fn changelogs(topology: &Topology) -> BTreeSet<String> {
    topology.stores().iter().map(|spec| spec.name.to_string()).collect()
}

fn repartition_topics(topology: &Topology) -> BTreeSet<String> {
    topology.repartition_topics().map(|(topic, _)| topic.name.to_string()).collect()
}

/// Puts a call on the edge above the call at `at`.
fn insert_above(program: &[Call], at: usize, operator: Operator) -> Vec<Call> {
    let moved = |index: usize| if index >= at { index + 1 } else { index };
    let mut longer = Vec::new();
    for (index, call) in program.iter().enumerate() {
        if index == at {
            longer.push(Call { id: 1000, operator, input: call.input });
        }
        let operator = match call.operator {
            // An index above the number of streams wraps around, which an insertion would shift.
            Operator::Merge(other) => Operator::Merge(moved(other % index.max(1))),
            other => other,
        };
        let input = if index == at { at } else { moved(call.input) };
        longer.push(Call { id: call.id, operator, input });
    }
    longer
}

fn operator() -> impl Strategy<Value = Operator> {
    prop_oneof![
        2 => stateless(),
        3 => prop_oneof![Just(Operator::Count), Just(Operator::Reduce), Just(Operator::Repartition)],
        1 => (0_u8..3).prop_map(Operator::Source),
        2 => (0_u8..3).prop_map(Operator::To),
        1 => (0_usize..8).prop_map(Operator::Merge),
    ]
}

fn attached() -> impl Strategy<Value = Operator> {
    operator().prop_map(|operator| match operator {
        Operator::Source(_) => Operator::Count,
        other => other,
    })
}

/// A call with an edge above it, if there is one.
fn edge(program: &[Call], at: prop::sample::Index) -> usize {
    let attached: Vec<usize> =
        (0..program.len()).filter(|at| !matches!(program[*at].operator, Operator::Source(_))).collect();
    if attached.is_empty() { program.len() } else { *at.get(&attached) }
}

fn stateless() -> impl Strategy<Value = Operator> {
    prop_oneof![
        Just(Operator::Peek),
        Just(Operator::PeekNamed),
        Just(Operator::Filter),
        Just(Operator::MapValues),
        Just(Operator::SelectKey),
    ]
}

fn program() -> impl Strategy<Value = Vec<Call>> {
    proptest::collection::vec((operator(), any::<prop::sample::Index>()), 1..14).prop_map(|calls| {
        let mut program = vec![Call { id: 0, operator: Operator::Source(0), input: 0 }];
        for (id, (operator, input)) in (1..).zip(calls) {
            let operator = match operator {
                Operator::Merge(other) => Operator::Merge(other % program.len()),
                other => other,
            };
            program.push(Call { id, operator, input: input.index(program.len()) });
        }
        program
    })
}

fn naming() -> impl Strategy<Value = Naming> {
    prop_oneof![Just(Naming::PerClass), Just(Naming::Jvm)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stateless_insertion_leaves_every_internal_topic_to_its_operator(
        before in program(), at in any::<prop::sample::Index>(), operator in stateless(), naming in naming(),
    ) {
        let at = edge(&before, at);
        let old = build(&before, naming, None, &[]);
        let after = insert_above(&before, at, operator);
        let new = build(&after, naming, Some(&old.to_manifest()), &[]);
        prop_assert_eq!(stores(&old), stores(&new));
        let kept = repartition_topics(&old);
        prop_assert!(kept.is_subset(&repartition_topics(&new)), "{:?} of {:?}", kept, repartition_topics(&new));
    }

    #[test]
    fn a_stateless_removal_leaves_every_store_to_its_operator(
        after in program(), at in any::<prop::sample::Index>(), operator in stateless(), naming in naming(),
    ) {
        let at = edge(&after, at);
        let old = build(&insert_above(&after, at, operator), naming, None, &[]);
        let new = build(&after, naming, Some(&old.to_manifest()), &[]);
        prop_assert_eq!(stores(&old), stores(&new));
    }

    #[test]
    fn any_insertion_leaves_every_changelog_in_use(
        before in program(), at in any::<prop::sample::Index>(), operator in attached(), naming in naming(),
    ) {
        let at = edge(&before, at);
        let old = build(&before, naming, None, &[]);
        let new = build(&insert_above(&before, at, operator), naming, Some(&old.to_manifest()), &[]);
        prop_assert!(changelogs(&old).is_subset(&changelogs(&new)), "{:?}, {:?}", changelogs(&old), changelogs(&new));
    }

    #[test]
    fn an_appended_branch_leaves_everything_as_it_was(
        before in program(), operators in proptest::collection::vec(operator(), 1..4), naming in naming(),
    ) {
        let old = build(&before, naming, None, &[]);
        let mut after = before.clone();
        for (id, operator) in (2000..).zip(operators) {
            let input = if id == 2000 { 0 } else { after.len() - 1 };
            after.push(Call { id, operator, input });
        }
        let new = build(&after, naming, Some(&old.to_manifest()), &[]);
        prop_assert!(changelogs(&old).is_subset(&changelogs(&new)));
        prop_assert!(repartition_topics(&old).is_subset(&repartition_topics(&new)));
    }

    #[test]
    fn the_same_topology_keeps_all_its_names(
        before in program(), at in any::<prop::sample::Index>(), operator in attached(), naming in naming(),
        optimized in any::<bool>(),
    ) {
        let at = edge(&before, at);
        let optimizations: &[Optimization] = if optimized { &Optimization::ALL } else { &[] };
        let first = build(&before, naming, None, optimizations).to_manifest();
        let after = insert_above(&before, at, operator);
        let second = build(&after, naming, Some(&first), optimizations).to_manifest();
        let third = build(&after, naming, Some(&second), optimizations).to_manifest();
        prop_assert_eq!(second, third);
    }
}

#[test]
fn moving_an_aggregation_past_another_renames_neither() {
    let topology = |first: &str, second: &str, pinned: Option<&Manifest>| {
        let mut builder = StreamsBuilder::new();
        if let Some(pinned) = pinned {
            builder = builder.with_pinned_names(pinned.clone());
        }
        for topic in [first, second] {
            let mark = [("id", topic)];
            builder
                .stream::<String, String>(topic)
                .group_by_key(Grouped::default())
                .count(Materialized::default().with_logging_enabled(mark));
        }
        builder.build().unwrap()
    };
    let old = topology("a", "b", None);
    let new = topology("b", "a", Some(&old.to_manifest()));
    assert_eq!(stores(&old), stores(&new));
    assert_ne!(stores(&old), stores(&topology("b", "a", None)));
}

#[test]
fn a_new_store_never_takes_the_name_of_one_that_was_removed() {
    let topology = |topics: &[&str], pinned: Option<&Manifest>| {
        let mut builder = StreamsBuilder::new();
        if let Some(pinned) = pinned {
            builder = builder.with_pinned_names(pinned.clone());
        }
        for topic in topics {
            let stream = builder.stream::<String, String>(*topic);
            stream.group_by_key(Grouped::default()).count(Materialized::default());
        }
        builder.build().unwrap()
    };
    let first = topology(&["a", "b"], None);
    let second = topology(&["a"], Some(&first.to_manifest()));
    let removed = "KSTREAM-AGGREGATE-STATE-STORE-0000000001";
    assert!(second.to_manifest().retired.contains(removed));
    let third = topology(&["a", "c"], Some(&second.to_manifest()));
    assert!(!changelogs(&third).contains(removed));
    assert!(changelogs(&third).contains("KSTREAM-AGGREGATE-STATE-STORE-0000000002"), "{:?}", changelogs(&third));
}

#[test]
fn a_pinned_topology_runs_under_its_pinned_names() {
    let topology = |peek: bool, pinned: Option<&Manifest>| {
        let mut builder = StreamsBuilder::with_naming(Naming::Jvm);
        if let Some(pinned) = pinned {
            builder = builder.with_pinned_names(pinned.clone());
        }
        let mut stream = builder.stream::<String, String>("in");
        if peek {
            stream = stream.peek(|_, _| {});
        }
        stream
            .select_key(|_, value| value.clone())
            .group_by_key(Grouped::default())
            .count(Materialized::default().in_memory())
            .to_stream()
            .to("out");
        builder.build().unwrap()
    };
    let old = topology(false, None);
    let new = topology(true, Some(&old.to_manifest()));
    assert_eq!(changelogs(&old), changelogs(&new));
    assert_eq!(repartition_topics(&old), repartition_topics(&new));
    assert_ne!(changelogs(&old), changelogs(&topology(true, None)));
    let described = new.describe();
    assert!(
        described
            .contains("Sink: KSTREAM-SINK-0000000005 (topic: KSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition)"),
        "{described}"
    );
}
