//! Windowed keys in a topic without a word about their serde: they are written as the aggregation knows them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

mod support;

use std::borrow::Cow;
use std::time::Duration;

use kafka_streams_core::serde::StringSerde;
use kafka_streams_core::{PartitionChoice, Serde, SerdeError, murmur2};
use kafka_streams_dsl::{
    BuildError, Consumed, Grouped, KStream, Materialized, Produced, SessionWindows, StreamsBuilder, TimeWindows,
    Windowed,
};

use crate::support::Driver;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn per_window(builder: &StreamsBuilder) -> KStream<Windowed<String>, Option<i64>> {
    let lines = builder.stream::<String, String>("in").group_by_key(Grouped::default());
    lines.windowed_by(TimeWindows::of_size_with_no_grace(ms(10))).count(Materialized::default()).to_stream()
}

fn run(builder: StreamsBuilder) -> Driver {
    let mut driver = Driver::new(&builder.build().unwrap());
    driver.pipe("in", Some("k"), Some("x"), 3);
    driver.pipe("in", Some("k"), Some("x"), 15);
    driver
}

fn keys(driver: &Driver, topic: &str) -> Vec<Vec<u8>> {
    driver.topics[topic].iter().map(|record| record.key.clone().unwrap()).collect()
}

#[test]
fn windows_of_time_are_written_as_produced_windowed_writes_them() {
    let builder = StreamsBuilder::new();
    let counts = per_window(&builder);
    counts.filter(|_, count| count.is_some()).to("out");
    counts.to_with("same", Produced::windowed());
    let driver = run(builder);
    assert_eq!(keys(&driver, "out"), [b"k\0\0\0\0\0\0\0\0", b"k\0\0\0\0\0\0\0\x0a"]);
    assert_eq!(driver.topics["out"], driver.topics["same"]);
    assert_eq!(driver.partitions["out"], [PartitionChoice::ByHash(murmur2(b"k")); 2]);
}

#[test]
fn sessions_are_written_with_both_of_their_ends() {
    let builder = StreamsBuilder::new();
    let lines = builder.stream::<String, String>("in").group_by_key(Grouped::default());
    let sessions = lines.windowed_by(SessionWindows::of_inactivity_gap_with_no_grace(ms(5)));
    sessions.count(Materialized::default()).to_stream().to("out");
    let driver = run(builder);
    // End, then start.
    let session = |time: u8| [b"k".as_slice(), &[0, 0, 0, 0, 0, 0, 0, time], &[0, 0, 0, 0, 0, 0, 0, time]].concat();
    assert_eq!(keys(&driver, "out"), [session(3), session(15)]);
    assert_eq!(driver.partitions["out"], [PartitionChoice::ByHash(murmur2(b"k")); 2]);
}

/// A type without a default serde.
#[derive(Clone, Debug, PartialEq)]
struct Customer(String);

struct CustomerSerde;

impl Serde for CustomerSerde {
    type Target = Customer;

    fn serialize(&self, topic: &str, value: &Customer, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        StringSerde.serialize(topic, &value.0, out)
    }

    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<Customer, SerdeError> {
        StringSerde.deserialize(topic, bytes).map(Customer)
    }

    fn id(&self) -> Cow<'static, str> {
        "customer".into()
    }
}

#[test]
fn the_key_itself_needs_no_default_serde() {
    let builder = StreamsBuilder::new();
    let orders = builder.stream_with("in", Consumed::with(CustomerSerde, StringSerde));
    let windows = TimeWindows::of_size_with_no_grace(ms(10));
    let grouped = orders.group_by_key(Grouped::with(CustomerSerde, StringSerde)).windowed_by(windows);
    grouped
        .count(Materialized::with(CustomerSerde, kafka_streams_core::serde::I64Serde))
        .to_stream()
        .map_values(|_| ())
        .to("out");
    let driver = run(builder);
    assert_eq!(keys(&driver, "out"), [b"k\0\0\0\0\0\0\0\0", b"k\0\0\0\0\0\0\0\x0a"]);
}

#[test]
fn windowed_keys_of_unknown_origin_are_an_error_with_its_place() {
    let builder = StreamsBuilder::new();
    let line = line!() + 1;
    per_window(&builder).map(|key, count| (key, count)).to("out");
    let error = builder.build().unwrap_err();
    let BuildError::UnknownKeySerde { topic, place } = &error else { panic!("{error}") };
    assert_eq!((topic.as_str(), place.file(), place.line()), ("out", file!(), line));
    assert!(error.to_string().contains("`Produced::windowed`"), "{error}");
}
