//! Names and wiring: the texts in `../golden/` were printed by `Topology.describe()` of Kafka Streams 4.3 on the JVM.

use std::time::Duration;

use kafka_streams_core::serde::StringSerde;
use kafka_streams_dsl::{
    JoinWindows, KStream, KTable, Materialized, Naming, Optimization, StreamJoined, StreamsBuilder, TableJoined,
};

use crate::strings;

/// Builds with the JVM's numbers and compares the text, which is the JVM's and not to be updated.
fn check(name: &str, optimizations: &[Optimization], declare: impl FnOnce(&StreamsBuilder)) {
    let builder = StreamsBuilder::with_naming(Naming::Jvm);
    declare(&builder);
    let text = builder.build_optimized(optimizations).unwrap().describe();
    let path = format!("{}/tests/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, golden, "{name}");
}

fn windows() -> JoinWindows {
    JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(5))
}

type Joined = StreamJoined<String, String, String>;

fn named() -> Joined {
    StreamJoined::default().with_name("j").with_store_name("js")
}

type Strings = KStream<String, String>;

fn joined(join: impl FnOnce(&Strings, &Strings) -> Strings) -> impl FnOnce(&StreamsBuilder) {
    move |builder| {
        let (left, right) = (strings(builder, "l"), strings(builder, "r"));
        join(&left, &right).to("out");
    }
}

#[test]
fn a_stream_stream_join_is_written_as_on_the_jvm() {
    let inner =
        |joined: Joined| move |l: &Strings, r: &Strings| l.join_stream_with(r, |_, l, r| l + &r, windows(), joined);
    check("stream-stream-join", &[], joined(inner(Joined::default())));
    check("stream-stream-join-named", &[], joined(inner(named())));
    let left = |joined: Joined| {
        move |l: &Strings, r: &Strings| {
            l.left_join_stream_with(r, |_, l, r| l + &r.unwrap_or_default(), windows(), joined)
        }
    };
    check("stream-stream-left-join", &[], joined(left(Joined::default())));
    check("stream-stream-left-join-named", &[], joined(left(named())));
    let outer = |joined: Joined| {
        move |l: &Strings, r: &Strings| {
            let f = |_: &String, l: Option<String>, r: Option<String>| l.or(r).unwrap_or_default();
            l.outer_join_stream_with(r, f, windows(), joined)
        }
    };
    check("stream-stream-outer-join", &[], joined(outer(Joined::default())));
    check("stream-stream-outer-join-named", &[], joined(outer(named())));
}

#[test]
fn a_stream_stream_join_repartitions_both_sides() {
    let declare = |joined: Joined| {
        move |builder: &StreamsBuilder| {
            let left = strings(builder, "l").select_key(|_, v| v.clone());
            let right = strings(builder, "r").map(|k, v| (v, k));
            left.join_stream_with(&right, |_, l, r| l + &r, windows(), joined).to("out");
        }
    };
    check("stream-stream-join-repartitioned", &[], declare(Joined::default()));
    check("stream-stream-join-repartitioned-named", &[], declare(named()));
}

#[test]
fn a_join_of_a_stream_with_itself_can_do_with_one_store() {
    let declare = |builder: &StreamsBuilder| {
        let stream = strings(builder, "l");
        stream.join_stream(&stream, |l, r| l + &r, windows()).to("out");
    };
    check("self-join", &[], declare);
    check("self-join-optimized", &[Optimization::SingleStoreSelfJoin], declare);
    check("self-join-optimized", &Optimization::ALL, declare);
}

type Table = KTable<String, String>;

fn tables(join: impl FnOnce(&Table, &Table) -> Table) -> impl FnOnce(&StreamsBuilder) {
    move |builder| {
        let (left, right) = (builder.table("l"), builder.table("r"));
        join(&left, &right).to_stream().to("out");
    }
}

#[test]
fn a_table_table_join_is_written_as_on_the_jvm() {
    check("table-table-join", &[], tables(|l, r| l.join(r, |l, r| l + &r)));
    check("table-table-left-join", &[], tables(|l, r| l.left_join(r, |l, r| l + &r.unwrap_or_default())));
    check("table-table-outer-join", &[], tables(|l, r| l.outer_join(r, |l, r| l.or(r).unwrap_or_default())));
    let named = |l: &Table, r: &Table| l.join_with_named("tj", r, |l, r| l + &r, Materialized::named("tjs"));
    check("table-table-join-named", &[], tables(named));
    let unnamed = |l: &Table, r: &Table| l.join_with(r, |l, r| l + &r, Materialized::with(StringSerde, StringSerde));
    check("table-table-join-materialized-without-name", &[], tables(unnamed));
}

#[test]
fn a_foreign_key_join_is_written_as_on_the_jvm() {
    let declare = |joined: TableJoined<String, String>, stored: Materialized<String, String>| {
        tables(move |l, r| l.join_foreign_key_with(r, |_, v| v.clone(), |l, r| l + &r, joined, stored))
    };
    check("foreign-key-join", &[], declare(TableJoined::default(), Materialized::default()));
    check("foreign-key-join-named", &[], declare(TableJoined::named("fk"), Materialized::named("fkstore")));
}
