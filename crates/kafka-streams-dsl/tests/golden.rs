//! Names and wiring are those of Kafka Streams 4.3 on the JVM: the texts in `golden/` were printed there by
//! `Topology.describe()`, for the topologies that are written here with the same operators.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

use std::time::Duration;

use kafka_streams_core::serde::{I64Serde, OptionSerde, StringSerde};
use kafka_streams_core::{
    Context, FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, Processor, Record, RecordContext, Step,
};
use kafka_streams_dsl::{
    Branched, BufferConfig, Consumed, GlobalKTable, Grouped, Joined, KStream, KTable, Materialized, Naming,
    Optimization, Printed, Produced, Repartitioned, SessionWindows, SlidingWindows, StreamsBuilder, Suppressed,
    TimeWindowedSerde, TimeWindows, TopicNameExtractor, TransformContext, ValueTransformerWithKey,
};

/// Builds with the JVM's numbers and compares the text, which is the JVM's and not to be updated.
fn check(name: &str, optimizations: &[Optimization], declare: impl FnOnce(&StreamsBuilder)) {
    let builder = StreamsBuilder::with_naming(Naming::Jvm);
    declare(&builder);
    let text = builder.build_optimized(optimizations).unwrap().describe();
    let path = format!("{}/tests/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, golden, "{name}");
}

fn strings(builder: &StreamsBuilder, topic: &str) -> KStream<String, String> {
    builder.stream(topic)
}

fn unnamed<V: kafka_streams_core::DefaultSerde>() -> Materialized<String, V> {
    Materialized::default()
}

#[test]
fn count_has_a_generated_store() {
    check("count", &[], |builder| {
        strings(builder, "in").group_by_key(Grouped::default()).count(unnamed());
    });
}

#[test]
fn a_group_by_goes_through_a_topic_named_after_the_store() {
    check("group-by-count", &[], |builder| {
        let words = strings(builder, "in");
        words.group_by(|_, v| v.clone(), Grouped::default()).count(unnamed()).to_stream().to("out");
    });
}

#[test]
fn names_that_are_given_are_used() {
    check("group-by-count-named", &[], |builder| {
        strings(builder, "in")
            .group_by(|_, v| v.clone(), Grouped::named("grp"))
            .count_named("cnt", Materialized::named("store"))
            .to_stream_named("ts")
            .to_with("out", Produced::named("snk"));
    });
}

#[test]
fn count_with_an_unnamed_store_draws_one_number_more() {
    check("count-materialized-without-name", &[], |builder| {
        let grouped = strings(builder, "in").group_by_key(Grouped::default());
        grouped.count(Materialized::with(StringSerde, I64Serde));
    });
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn sessions_are_counted_as_all_else_is() {
    let sessions = SessionWindows::of_inactivity_gap_with_no_grace(SECOND);
    check("session-count", &[], |builder| {
        strings(builder, "in").group_by_key(Grouped::default()).windowed_by(sessions).count(unnamed());
    });
    check("session-count-materialized-without-name", &[], |builder| {
        let grouped = strings(builder, "in").group_by_key(Grouped::default());
        grouped.windowed_by(sessions).count(Materialized::with(StringSerde, I64Serde));
    });
}

#[test]
fn sliding_windows_draw_no_number_too_many() {
    check("sliding-count-materialized-without-name", &[], |builder| {
        let grouped = strings(builder, "in").group_by_key(Grouped::default());
        let windowed = grouped.windowed_by(SlidingWindows::of_time_difference_with_no_grace(SECOND));
        windowed.count(Materialized::with(StringSerde, I64Serde));
    });
}

#[test]
fn a_suppressed_table_has_a_buffer() {
    let declare = |builder: &StreamsBuilder, name: Option<&str>| {
        let grouped = strings(builder, "in").group_by_key(Grouped::default());
        let counts = grouped.windowed_by(TimeWindows::of_size_with_no_grace(SECOND)).count(unnamed());
        let suppressed = Suppressed::until_window_closes(BufferConfig::unbounded());
        let suppressed = name.into_iter().fold(suppressed, Suppressed::with_name);
        let serdes = Produced::with(TimeWindowedSerde::new(StringSerde, SECOND), OptionSerde(I64Serde));
        counts.suppress(suppressed).to_stream().to_with("out", serdes);
    };
    check("windowed-suppress", &[], |builder| declare(builder, None));
    check("suppress-named", &[], |builder| declare(builder, Some("sup")));
}

#[test]
fn streams_that_are_aggregated_together_share_a_store() {
    check("cogroup", &[], |builder| {
        let a = strings(builder, "a").group_by_key(Grouped::default());
        let b = strings(builder, "b").select_key(|k, _| k.clone()).group_by_key(Grouped::default());
        let both = a.cogroup(|_, v, all: String| all + &v).cogroup(&b, |_, v, all| all + &v);
        both.aggregate(String::new, unnamed()).to_stream().to("out");
    });
    check("cogroup-named", &[], |builder| {
        let a = strings(builder, "a").group_by_key(Grouped::default());
        let b = strings(builder, "b").select_key(|k, _| k.clone()).group_by_key(Grouped::named("gg"));
        let both = a.cogroup(|_, v, all: String| all + &v).cogroup(&b, |_, v, all| all + &v);
        both.aggregate_named("cg", String::new, Materialized::named("cgs")).to_stream().to("out");
    });
}

#[test]
fn a_reduction_after_a_new_key_is_repartitioned() {
    check("reduce-after-select-key", &[], |builder| {
        let keyed = strings(builder, "in").select_key(|_, v| v.clone());
        keyed.group_by_key(Grouped::default()).reduce(|a, b| a + &b, unnamed());
    });
}

#[test]
fn a_windowed_aggregation_is_named_as_one_without_windows() {
    check("windowed-aggregate", &[], |builder| {
        let keyed = strings(builder, "in").select_key(|_, v| v.clone());
        keyed
            .group_by_key(Grouped::default())
            .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_secs(1)))
            .aggregate(|| 0_i64, |_, _, n| n + 1, unnamed());
    });
}

#[test]
fn a_grouped_table_has_a_store_above_and_below_its_topic() {
    check("table-group-by-aggregate", &[], |builder| {
        let table: KTable<String, String> = builder.table("l");
        table
            .group_by(|k, v| (k.clone(), v), Grouped::default())
            .aggregate(String::new, |_, v, a| a + &v, |_, _, a| a, unnamed())
            .to_stream()
            .to("out");
    });
}

#[test]
fn a_grouped_table_takes_all_its_names() {
    check("table-group-by-reduce-named", &[], |builder| {
        let table: KTable<String, String> = builder.table("l");
        table
            .group_by(|k, v| (k.clone(), v), Grouped::named("g"))
            .reduce_named("red", |a, b| a + &b, |a, _| a, Materialized::named("rs"))
            .to_stream()
            .to("out");
    });
}

#[test]
fn a_stream_becomes_a_table_without_a_store_of_its_own() {
    check("to-table", &[], |builder| strings(builder, "l").to_table().to_stream().to("out"));
    check("to-table-repartitioned", &[], |builder| {
        strings(builder, "l").select_key(|_, v| v.clone()).to_table().to_stream().to("out");
    });
    check("to-table-repartitioned-named", &[], |builder| {
        let keyed = strings(builder, "l").select_key(|_, v| v.clone());
        keyed.to_table_with_named("tt", Materialized::<String, String>::named("ts")).to_stream().to("out");
    });
}

#[test]
fn an_explicit_repartition_draws_only_what_it_needs() {
    check("repartition", &[], |builder| strings(builder, "l").repartition(Repartitioned::default()).to("out"));
    check("repartition-named", &[], |builder| strings(builder, "l").repartition(Repartitioned::named("x")).to("out"));
}

fn two_aggregations(grouped: Grouped<String, String>) -> impl FnOnce(&StreamsBuilder) {
    move |builder| {
        let grouped = strings(builder, "a").select_key(|_, v| v.clone()).group_by_key(grouped);
        grouped.count(unnamed()).to_stream().to("o1");
        grouped.reduce(|a, b| a + &b, unnamed()).to_stream().to("o2");
    }
}

#[test]
fn aggregations_share_the_topic_of_a_named_grouping_only() {
    check("two-aggregations", &[], two_aggregations(Grouped::default()));
    check("two-aggregations-of-named-grouping", &[], two_aggregations(Grouped::named("gg")));
}

#[test]
fn repartition_topics_below_one_new_key_are_merged() {
    check("two-aggregations-optimized", &Optimization::ALL, two_aggregations(Grouped::default()));
    check("two-aggregations-of-named-grouping-optimized", &Optimization::ALL, two_aggregations(Grouped::named("gg")));
}

#[test]
fn a_table_can_use_its_topic_as_changelog() {
    let declare = |builder: &StreamsBuilder| {
        let table: KTable<String, String> = builder.table_with("t", Consumed::default(), Materialized::named("st"));
        table.to_stream().to("o");
    };
    check("table-reusing-source", &Optimization::ALL, declare);
    let builder = StreamsBuilder::with_naming(Naming::Jvm);
    declare(&builder);
    let topology = builder.build_optimized(&[Optimization::ReuseKtableSourceTopics]).unwrap();
    let changelog = topology.source_changelog(kafka_streams_topology::StoreIndex(0));
    assert_eq!(changelog.map(|topic| &**topic), Some("t"));
}

#[test]
fn a_join_repartitions_under_the_name_of_its_stream_or_its_own() {
    let unnamed = |builder: &StreamsBuilder| {
        let table: KTable<String, String> = builder.table("t");
        let keyed = strings(builder, "l").select_key(|_, v| v.clone());
        keyed.left_join(&table, |l, r| l + &r.unwrap_or_default()).to("out");
    };
    check("stream-table-join-repartitioned", &[], unnamed);
    check("stream-table-join-repartitioned-optimized", &Optimization::ALL, unnamed);
    check("stream-table-join-named", &[], |builder| {
        let table: KTable<String, String> =
            builder.table_with("t", Consumed::named("tt"), Materialized::named("tstore"));
        let stream: KStream<String, String> = builder.stream_with("l", Consumed::named("src"));
        let keyed = stream.select_key_named("sel", |_, v| v.clone());
        keyed.join_with(&table, |_, l, r| l + &r, Joined::named("jn")).to("out");
    });
    check("stream-table-join-with-grace", &[], |builder| {
        let stored = Materialized::named("vs").versioned(Duration::from_secs(600));
        let table: KTable<String, String> = builder.table_with("t", Consumed::default(), stored);
        let with_grace = Joined::default().with_grace_period(Duration::from_secs(10));
        strings(builder, "l").join_with(&table, |_, l, r| l + &r, with_grace).to("out");
    });
}

fn no_value(_: &String, _: &String) -> bool {
    true
}

#[test]
fn branches_begin_with_the_name_of_their_split() {
    check("split", &[], |builder| {
        let branches = strings(builder, "l")
            .split()
            .branch(no_value)
            .branch_with(no_value, Branched::named("b2"))
            .default_branch();
        branches["KSTREAM-BRANCH-00000000011"].to("out");
        assert_eq!(branches.len(), 3);
    });
    check("split-named", &[], |builder| {
        let split = strings(builder, "l").split_named("sp-");
        let branches = split
            .branch(no_value)
            .branch_with(no_value, Branched::named("b2"))
            .default_branch_with(Branched::named("def"));
        assert_eq!(branches.keys().collect::<Vec<_>>(), ["sp-1", "sp-b2", "sp-def"]);
    });
}

/// What it would print on the JVM.
struct Lambda;

impl TopicNameExtractor<String, String> for Lambda {
    fn extract(&self, _: &String, value: &String, _: &RecordContext) -> String {
        value.clone()
    }

    fn name(&self) -> &str {
        "<lambda toString>"
    }
}

struct Pass;

impl Processor for Pass {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = String;

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
        cx.forward(record)
    }
}

impl FixedKeyProcessor for Pass {
    type Key = String;
    type VIn = String;
    type VOut = String;

    fn process(
        &mut self,
        record: FixedKeyRecord<String, String>,
        cx: &mut FixedKeyContext<'_, '_, String, String>,
    ) -> Step {
        cx.forward(record)
    }
}

impl ValueTransformerWithKey for Pass {
    type Key = String;
    type VIn = String;
    type VOut = String;

    fn transform(&mut self, _: &String, row: Option<String>, _: &mut TransformContext<'_>) -> Step<Option<String>> {
        Ok(row)
    }
}

#[test]
fn stateless_operators_are_numbered_by_one_counter() {
    check("stateless-operators", &[], |builder| {
        let l = strings(builder, "l");
        l.filter(no_value)
            .filter_not(no_value)
            .map_values(|v| v)
            .flat_map_values(|v| [v])
            .map(|k, v| (k, v))
            .flat_map(|k, v| [(k, v)])
            .peek(|_, _| {})
            .merge(&l)
            .for_each(|_, _| {});
        l.print(Printed::to_writer(std::io::sink()));
        l.process((), |()| Pass).to("o2");
        l.process_values((), |()| Pass).to_dynamic(Lambda);
        l.to("o4");
    });
}

#[test]
fn both_joins_with_a_global_table_are_named_as_left_joins() {
    check("stream-global-table-join", &[], |builder| {
        let table: GlobalKTable<String, String> = builder.global_table("g");
        strings(builder, "l").join_global(&table, |_, v| v.clone(), |l, r| l + &r).to("out");
        let l2 = strings(builder, "l2");
        l2.left_join_global(&table, |_, v| v.clone(), |l, r| l + &r.unwrap_or_default()).to("out");
    });
}

#[test]
fn a_pattern_stands_without_brackets() {
    check("pattern-source", &[], |builder| builder.stream_matching::<String, String>("in-.*").to("o"));
}

#[test]
fn tables_are_derived_with_and_without_stores() {
    check("table-transformations", &[], |builder| {
        let table: KTable<String, String> = builder.table("l");
        table
            .filter(no_value)
            .map_values(|v| v)
            .filter_with(no_value, Materialized::named("fs"))
            .map_values_with(|_, v| v, Materialized::with(StringSerde, StringSerde))
            .transform_values_named("fn", (), |()| Pass)
            .to_stream()
            .to("out");
    });
}
