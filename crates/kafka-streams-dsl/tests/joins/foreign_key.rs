//! Joins of tables on a foreign key.

use std::collections::BTreeMap;

use kafka_streams_core::{Header, Headers, PartitionChoice};
use kafka_streams_dsl::{Consumed, KTable, Materialized, StreamsBuilder, TableJoined};
use kafka_streams_topology::Topology;
use proptest::prelude::*;

use crate::support::{Driver, Written};
use crate::{build, error};

type Strings = KTable<String, String>;

/// The left rows' first character is their foreign key, if it is a letter.
#[expect(clippy::ptr_arg, reason = "the shape of a foreign key's function")]
fn foreign_key(_: &String, value: &String) -> Option<String> {
    let first = value.get(..1)?;
    first.starts_with(char::is_alphabetic).then(|| first.to_owned())
}

fn text(left: String, right: Option<String>) -> String {
    format!("{left}+{}", right.unwrap_or("null".to_owned()))
}

fn tables(builder: &StreamsBuilder) -> (Strings, Strings) {
    let stored = |name: &str| Materialized::named(name).with_caching_disabled();
    (
        builder.table_with("l", Consumed::default(), stored("ls")),
        builder.table_with("r", Consumed::default(), stored("rs")),
    )
}

fn topology(left: bool, stored: bool) -> Topology {
    build(|builder| {
        let (l, r) = tables(builder);
        let materialized = match stored {
            true => Materialized::named("results").with_caching_disabled(),
            false => Materialized::default(),
        };
        let joined = TableJoined::named("fk");
        let joined: Strings = match left {
            true => l.left_join_foreign_key_with(&r, foreign_key, text, joined, materialized),
            false => {
                l.join_foreign_key_with(&r, foreign_key, |left, right| text(left, Some(right)), joined, materialized)
            }
        };
        joined.to_stream().to("out");
    })
}

fn hex(bytes: &Option<Vec<u8>>) -> String {
    match bytes {
        Some(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        None => "null".to_owned(),
    }
}

fn pipe(driver: &mut Driver, topic: &str, key: &str, value: Option<&str>, timestamp: i64) {
    let headers: Headers = [Header { key: "hk".to_owned(), value: Some(vec![1, 2]) }].into_iter().collect();
    let (key, value) = (Some(key.as_bytes().to_vec()), value.map(|value| value.as_bytes().to_vec()));
    driver.pipe_raw(topic, Written { key, value, timestamp, headers }).unwrap();
}

fn read(driver: &mut Driver, topic: &str) -> Vec<String> {
    let records = driver.topics.remove(topic).unwrap_or_default();
    let text = |r: &Written| format!("{} {} {} {}", hex(&r.key), hex(&r.value), r.timestamp, r.headers.iter().count());
    records.iter().map(text).collect()
}

#[test]
fn topics_and_stores_have_the_jvms_bytes() {
    let mut driver = Driver::new(&topology(false, false));
    pipe(&mut driver, "r", "F", Some("right"), 500);
    pipe(&mut driver, "l", "K1", Some("Fv1"), 1000);
    pipe(&mut driver, "l", "K1", Some("Gv2"), 2000);
    pipe(&mut driver, "l", "K1", None, 3000);
    // Written by Kafka Streams 4.3 for the same records; each with the header of its input record.
    assert_eq!(
        read(&mut driver, "app-fk-subscription-registration-topic"),
        [
            "46 01034ddd3dcb1a9878d93d2e35c7545635d94b3100000000 1000 1",
            "46 0100d5744350bf78b70df76102640ac1569a4b3100000000 2000 1",
            "47 0102d5744350bf78b70df76102640ac1569a4b3100000000 2000 1",
            "47 81014b3100000000 3000 1",
        ]
    );
    assert_eq!(
        read(&mut driver, "app-fk-subscription-response-topic"),
        [
            "4b31 004ddd3dcb1a9878d93d2e35c7545635d97269676874 1000 1",
            "4b31 00d5744350bf78b70df76102640ac1569a 2000 1",
            "4b31 80 3000 1",
        ]
    );
    assert_eq!(
        read(&mut driver, "app-fk-subscription-store-changelog"),
        [
            "00000001464b31 01034ddd3dcb1a9878d93d2e35c7545635d94b3100000000 1000 1",
            "00000001464b31 null 2000 1",
            "00000001474b31 0102d5744350bf78b70df76102640ac1569a4b3100000000 2000 1",
            "00000001474b31 null 3000 1",
        ]
    );
    assert_eq!(driver.read("out"), ["K1=Fv1+right@1000", "K1=null@2000", "K1=null@3000"]);
}

#[test]
fn a_left_join_asks_also_without_a_foreign_key() {
    let mut driver = Driver::new(&topology(true, false));
    pipe(&mut driver, "l", "K1", Some("none".trim_start_matches(char::is_alphabetic)), 900);
    pipe(&mut driver, "l", "K1", Some("1"), 1000);
    assert_eq!(driver.read("out"), ["K1=+null@900", "K1=1+null@1000"]);
    let partitions = driver.partitions.get("app-fk-subscription-registration-topic").unwrap();
    assert_eq!(partitions, &[PartitionChoice::Any, PartitionChoice::Any], "a null key goes anywhere");
    let back = driver.partitions.get("app-fk-subscription-response-topic").unwrap();
    assert_eq!(
        back,
        &[PartitionChoice::Explicit(0), PartitionChoice::Explicit(0)],
        "and is answered where it came from"
    );
}

#[test]
fn partitioners_of_the_tables_are_those_of_the_topics() {
    let topology = build(|builder| {
        let (l, r) = tables(builder);
        let joined = TableJoined::named("fk")
            .with_partitioner(|_: &str, key: &String, _: &(), _: i32| i32::try_from(key.len()).ok())
            .with_other_partitioner(|_: &str, _: &String, _: &(), _: i32| Some(0));
        let results: Strings = l.join_foreign_key_with(&r, foreign_key, |l, r| l + &r, joined, Materialized::default());
        results.to_stream().to("out");
    });
    let mut driver = Driver::new(&topology);
    pipe(&mut driver, "r", "F", Some("right"), 1);
    driver.pipe("l", Some(""), Some("Fx"), 1);
    assert_eq!(driver.partitions["app-fk-subscription-registration-topic"], [PartitionChoice::Explicit(0)]);
    assert_eq!(driver.partitions["app-fk-subscription-response-topic"], [PartitionChoice::Explicit(0)]);
    assert_eq!(driver.read("out"), ["=Fxright@1"]);
}

#[test]
fn a_row_without_a_known_serde_is_a_mistake() {
    let text = error(|builder| {
        let (l, r) = tables(builder);
        let results: Strings =
            l.map_values(|v| v).join_foreign_key(&r, |_, v: &String| v.clone(), |l: String, r: String| l + &r);
        results.to_stream().to("out");
    });
    assert!(text.contains("serde of the left table's values"), "{text}");
}

proptest! {
    #[test]
    fn the_result_is_the_join_of_the_tables_as_they_are_in_the_end(
        updates in proptest::collection::vec((any::<bool>(), 0..3u8, proptest::option::weighted(0.75, (0..4u8, 0..2u8))), 0..40),
        left: bool,
        stored: bool,
    ) {
        let mut driver = Driver::new(&topology(left, stored));
        let (mut rows, mut foreign) = (BTreeMap::new(), BTreeMap::new());
        for (at, (is_left, key, value)) in updates.into_iter().enumerate() {
            let letter = |n: u8| ["A", "B", "C", "1"][usize::from(n)].to_owned();
            let (topic, key, table) = match is_left {
                true => ("l", format!("K{key}"), &mut rows),
                false => ("r", letter(key), &mut foreign),
            };
            let value = value.map(|(foreign, n)| format!("{}{n}", letter(foreign)));
            pipe(&mut driver, topic, &key, value.as_deref(), at as i64);
            match value {
                Some(value) => table.insert(key, value),
                None => table.remove(&key),
            };
        }
        let mut results = BTreeMap::new();
        for change in driver.read("out") {
            let (key, value) = change.rsplit_once('@').unwrap().0.split_once('=').unwrap();
            match value {
                "null" => results.remove(key),
                value => results.insert(key.to_owned(), value.to_owned()),
            };
        }
        let row = |(key, value): (&String, &String)| {
            let right = foreign_key(key, value).and_then(|foreign_key| foreign.get(&foreign_key)).cloned();
            (left || right.is_some()).then(|| (key.clone(), text(value.clone(), right)))
        };
        prop_assert_eq!(results, rows.iter().filter_map(row).collect::<BTreeMap<_, _>>());
    }
}
