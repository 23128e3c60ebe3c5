//! Which topic the serdes of stores are told: the one that the store is restored from, as on the JVM
//! (`ProcessorContextUtils.changelogFor`), by which a schema registry finds schemas.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_streams_core::serde::StringSerde;
use kafka_streams_core::{Serde, SerdeError};
use kafka_streams_dsl::{
    Consumed, GlobalKTable, Grouped, JoinWindows, Joined, KStream, KTable, Materialized, Optimization, SessionWindows,
    StreamJoined, StreamsBuilder, Suppressed, TimeWindows,
};

use crate::support::Driver;

/// A serde that notes what it is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<BTreeSet<String>>>);

impl Told {
    fn topics(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().cloned().collect()
    }
}

impl Serde for Told {
    type Target = String;

    fn serialize(&self, topic: &str, value: &String, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        self.0.lock().unwrap().insert(topic.to_owned());
        StringSerde.serialize(topic, value, out)
    }

    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<String, SerdeError> {
        self.0.lock().unwrap().insert(topic.to_owned());
        StringSerde.deserialize(topic, bytes)
    }
}

type Rows = Materialized<String, String>;

/// The topics that the serdes of keys and of values are told, while records of one key come to the topic `in`.
fn told(declare: impl FnOnce(&StreamsBuilder, Rows)) -> [Vec<String>; 2] {
    let (keys, values) = (Told::default(), Told::default());
    let builder = StreamsBuilder::new();
    declare(&builder, Materialized::with(keys.clone(), values.clone()).with_name("rows"));
    pipe(&mut Driver::new(&builder.build().unwrap()));
    [keys.topics(), values.topics()]
}

fn pipe(driver: &mut Driver) {
    for (time, value) in [(1, "a"), (2, "b"), (1_000, "c")] {
        driver.pipe("in", Some("k"), Some(value), time);
    }
}

fn both(topics: &[&str]) -> [Vec<String>; 2] {
    let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
    [topics.clone(), topics]
}

/// What the serdes of a table of the topic `in` are told; they read the topic and the store.
fn told_of_table(optimize: &[Optimization], change: impl FnOnce(Rows) -> Rows) -> [Vec<String>; 2] {
    let (keys, values) = (Told::default(), Told::default());
    let builder = StreamsBuilder::new();
    let consumed = Consumed::with(keys.clone(), values.clone());
    builder.table_with("in", consumed, change(Materialized::named("rows")));
    pipe(&mut Driver::new(&builder.build_optimized(optimize).unwrap()));
    [keys.topics(), values.topics()]
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn the_serdes_of_a_store_are_told_its_changelog() {
    let expected = both(&["app-rows-changelog", "in"]);
    assert_eq!(told_of_table(&[], |rows| rows), expected);
    assert_eq!(told_of_table(&[], Materialized::with_caching_disabled), expected);
    assert_eq!(told_of_table(&[], |rows| rows.versioned(ms(60_000))), expected);
}

#[test]
fn without_logging_they_are_told_what_the_changelog_would_be() {
    assert_eq!(told_of_table(&[], Materialized::with_logging_disabled), both(&["app-rows-changelog", "in"]));
}

#[test]
fn the_serdes_of_a_table_that_is_restored_from_its_topic_are_told_that_topic() {
    assert_eq!(told_of_table(&Optimization::ALL, |rows| rows), both(&["in"]));
}

#[test]
fn the_serdes_of_a_global_table_are_told_its_topic_by_all_who_use_it() {
    let (keys, values) = (Told::default(), Told::default());
    let builder = StreamsBuilder::new();
    let consumed = Consumed::with(keys.clone(), values.clone());
    let rows: GlobalKTable<String, String> = builder.global_table_with("in", consumed, Materialized::named("rows"));
    let orders: KStream<String, String> = builder.stream("orders");
    orders.join_global(&rows, |key, _| key.clone(), |_, row| row).to("out");
    let mut driver = Driver::new(&builder.build().unwrap());
    pipe(&mut driver);
    driver.pipe("orders", Some("k"), Some("x"), 5);
    assert_eq!(driver.read("out"), ["k=c@5"]);
    assert_eq!([keys.topics(), values.topics()], both(&["in"]));
}

#[test]
fn the_serdes_of_windows_and_sessions_are_told_the_changelog() {
    let grouped = |builder: &StreamsBuilder| builder.stream::<String, String>("in").group_by_key(Grouped::default());
    let windows = |builder: &StreamsBuilder, rows: Rows| {
        let windowed = grouped(builder).windowed_by(TimeWindows::of_size_with_no_grace(ms(10)));
        windowed.reduce(|_, new| new, rows).to_stream().for_each(|_, _| {});
    };
    assert_eq!(told(windows), both(&["app-rows-changelog"]));
    let sessions = |builder: &StreamsBuilder, rows: Rows| {
        let windowed = grouped(builder).windowed_by(SessionWindows::of_inactivity_gap_with_no_grace(ms(10)));
        windowed.reduce(|_, new| new, rows).to_stream().for_each(|_, _| {});
    };
    assert_eq!(told(sessions), both(&["app-rows-changelog"]));
}

#[test]
fn the_serdes_of_a_join_of_streams_are_told_the_changelog_of_each_side() {
    let (keys, left, right) = (Told::default(), Told::default(), Told::default());
    let builder = StreamsBuilder::new();
    let (ins, others): (KStream<String, String>, KStream<String, String>) = (builder.stream("in"), builder.stream("x"));
    let joined = StreamJoined::with(keys.clone(), left.clone(), right.clone()).with_store_name("j");
    let windows = JoinWindows::of_time_difference_with_no_grace(ms(10));
    ins.join_stream_with(&others, |_, l, r| l + &r, windows, joined).to("out");
    let mut driver = Driver::new(&builder.build().unwrap());
    pipe(&mut driver);
    driver.pipe("x", Some("k"), Some("x"), 1_000);
    assert_eq!(driver.read("out"), ["k=cx@1000"]);
    let (this, other) = ("app-j-this-join-store-changelog", "app-j-other-join-store-changelog");
    assert_eq!((left.topics(), right.topics()), (vec![this.to_owned()], vec![other.to_owned()]));
    assert_eq!(keys.topics(), [other, this, "out"]);
}

#[test]
fn the_serdes_of_changes_that_wait_are_told_the_buffers_changelog() {
    let values = Told::default();
    let builder = StreamsBuilder::new();
    let rows: KTable<String, String> = builder.table("in");
    let limit = Suppressed::until_time_limit(ms(100), kafka_streams_dsl::BufferConfig::unbounded()).with_name("wait");
    rows.suppress_with(limit, values.clone()).to_stream().to("out");
    pipe(&mut Driver::new(&builder.build().unwrap()));
    assert_eq!(values.topics(), ["app-wait-store-changelog", "out"]);
}

#[test]
fn the_serdes_of_records_that_wait_for_a_join_are_told_the_joins_name() {
    let values = Told::default();
    let builder = StreamsBuilder::new();
    let versioned = Materialized::named("rows").versioned(ms(60_000));
    let rows: KTable<String, String> = builder.table_with("rows", Consumed::default(), versioned);
    let orders: KStream<String, String> = builder.stream("in");
    let joined = Joined::with(StringSerde, values.clone()).with_name("j").with_grace_period(ms(10));
    orders.left_join_with(&rows, |_, order, _| order, joined).to("out");
    let mut driver = Driver::new(&builder.build().unwrap());
    pipe(&mut driver);
    assert_eq!(driver.read("out").len(), 2);
    assert_eq!(values.topics(), ["j"], "as in `KStreamImpl` of the JVM");
}
