//! Table-table joins: what they do with updates, and laws that hold for any input.

use std::collections::BTreeMap;

use kafka_streams_dsl::{Consumed, Grouped, KTable, Materialized, StreamsBuilder};
use proptest::prelude::*;

use crate::support::Driver;
use crate::{build, error};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Inner,
    Left,
    Outer,
}

type Table = KTable<String, String>;

fn text(left: Option<String>, right: Option<String>) -> String {
    format!("{}|{}", left.unwrap_or("-".to_owned()), right.unwrap_or("-".to_owned()))
}

fn join(kind: Kind, left: &Table, right: &Table, stored: Option<Materialized<String, String>>) -> Table {
    let inner = |l, r| text(Some(l), Some(r));
    let left_or = |l, r| text(Some(l), r);
    match (kind, stored) {
        (Kind::Inner, None) => left.join(right, inner),
        (Kind::Inner, Some(stored)) => left.join_with(right, inner, stored),
        (Kind::Left, None) => left.left_join(right, left_or),
        (Kind::Left, Some(stored)) => left.left_join_with(right, left_or, stored),
        (Kind::Outer, None) => left.outer_join(right, text),
        (Kind::Outer, Some(stored)) => left.outer_join_with(right, text, stored),
    }
}

fn driver(kind: Kind) -> Driver {
    Driver::new(&build(|builder| {
        let (left, right) = (builder.table("left"), builder.table("right"));
        join(kind, &left, &right, None).to_stream().to("out");
    }))
}

#[test]
fn an_inner_join_has_the_keys_of_both() {
    let mut driver = driver(Kind::Inner);
    driver.pipe("left", Some("a"), Some("L1"), 5);
    assert_eq!(driver.read("out"), [""; 0]);
    driver.pipe("right", Some("a"), Some("R1"), 3);
    assert_eq!(driver.read("out"), ["a=L1|R1@5"], "the later of both times");
    driver.pipe("left", Some("a"), None, 7);
    driver.pipe("left", Some("a"), None, 8);
    assert_eq!(driver.read("out"), ["a=null@7"], "a deletion of nothing is none");
    driver.pipe("right", Some("a"), None, 9);
    assert_eq!(driver.read("out"), [""; 0]);
}

#[test]
fn a_left_join_has_the_keys_of_the_left() {
    let mut driver = driver(Kind::Left);
    driver.pipe("right", Some("a"), Some("R1"), 3);
    assert_eq!(driver.read("out"), [""; 0]);
    driver.pipe("left", Some("a"), Some("L1"), 1);
    driver.pipe("right", Some("a"), None, 2);
    driver.pipe("left", Some("a"), None, 4);
    assert_eq!(driver.read("out"), ["a=L1|R1@3", "a=L1|-@2", "a=null@4"]);
}

#[test]
fn an_outer_join_has_the_keys_of_either() {
    let mut driver = driver(Kind::Outer);
    driver.pipe("right", Some("a"), Some("R1"), 3);
    driver.pipe("left", Some("a"), Some("L1"), 1);
    driver.pipe("right", Some("a"), None, 2);
    driver.pipe("left", Some("a"), None, 4);
    assert_eq!(driver.read("out"), ["a=-|R1@3", "a=L1|R1@3", "a=L1|-@2", "a=null@4"]);
}

#[test]
fn tables_of_two_builders_are_not_joined() {
    let other = StreamsBuilder::new().table::<String, String>("other");
    let text = error(|builder| {
        builder.table::<String, String>("left").join(&other, |l, r| l + &r).to_stream().to("out");
    });
    assert!(text.contains("two builders"), "{text}");
}

#[test]
fn a_result_that_is_none_is_no_row() {
    let mut driver = Driver::new(&build(|builder| {
        let (left, right) = (builder.table::<String, String>("left"), builder.table::<String, String>("right"));
        let same: KTable<String, String> = left.join(&right, |l, r| (l == r).then_some(l));
        same.to_stream().to("out");
    }));
    driver.pipe("left", Some("a"), Some("x"), 1);
    driver.pipe("right", Some("a"), Some("x"), 2);
    driver.pipe("right", Some("a"), Some("y"), 3);
    assert_eq!(driver.read("out"), ["a=x@2", "a=null@3"]);
}

#[derive(Clone, Debug)]
struct Update {
    left: bool,
    key: String,
    value: Option<String>,
}

fn updates() -> impl Strategy<Value = Vec<Update>> {
    let update = (any::<bool>(), 0..3u8, proptest::option::weighted(0.7, 0..3u8)).prop_map(|(left, key, value)| {
        Update { left, key: format!("k{key}"), value: value.map(|value| format!("v{value}")) }
    });
    proptest::collection::vec(update, 0..40)
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Inner), Just(Kind::Left), Just(Kind::Outer)]
}

/// The join of the tables as they are in the end.
fn joined(kind: Kind, updates: &[Update]) -> BTreeMap<String, String> {
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    for update in updates {
        let table = if update.left { &mut left } else { &mut right };
        match &update.value {
            Some(value) => table.insert(update.key.clone(), value.clone()),
            None => table.remove(&update.key),
        };
    }
    let keys = left.keys().chain(right.keys()).cloned();
    let row = |key: String| {
        let (left, right) = (left.get(&key), right.get(&key));
        let wanted = match kind {
            Kind::Inner => left.is_some() && right.is_some(),
            Kind::Left => left.is_some(),
            Kind::Outer => true,
        };
        wanted.then(|| (key, text(left.cloned(), right.cloned())))
    };
    keys.filter_map(row).collect()
}

/// A table out of its changes.
fn table_of(changes: Vec<String>) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    for change in changes {
        let (key, value) = change.rsplit_once('@').unwrap().0.split_once('=').unwrap();
        match value {
            "null" => table.remove(key),
            value => table.insert(key.to_owned(), value.to_owned()),
        };
    }
    table
}

proptest! {
    #[test]
    fn a_join_is_what_the_tables_are_in_the_end(
        updates in updates(), kind in kinds(), stored: bool, caching: bool, bytes in prop_oneof![Just(0usize), Just(400), Just(1 << 20)],
    ) {
        let topology = build(|builder| {
            let source = |topic: &str| {
                let named = Materialized::named(topic);
                let stored = if caching { named } else { named.with_caching_disabled() };
                builder.table_with(topic, Consumed::default(), stored)
            };
            let stored = stored.then(|| match caching {
                true => Materialized::named("joined"),
                false => Materialized::named("joined").with_caching_disabled(),
            });
            let joined = join(kind, &source("left"), &source("right"), stored);
            joined.to_stream().to("out");
            // Old values are right if what goes out of a group is what came into it.
            joined
                .group_by(|key, value| (value, key.clone()), Grouped::named("by-value"))
                .count(Materialized::named("counts"))
                .to_stream()
                .to("counts");
            // A join of the join reads it through its view.
            join(Kind::Left, &joined, &joined.map_values(|v| v), None).to_stream().to("again");
        });
        let mut driver = Driver::with_cache(&topology, bytes);
        for (at, update) in updates.iter().enumerate() {
            let topic = if update.left { "left" } else { "right" };
            driver.pipe(topic, Some(&update.key), update.value.as_deref(), at as i64);
        }
        let expected = joined(kind, &updates);
        prop_assert_eq!(&table_of(driver.read("out")), &expected);
        let mut counts: BTreeMap<String, String> = BTreeMap::new();
        for value in expected.values() {
            let count = counts.entry(value.clone()).or_insert_with(|| "0".to_owned());
            *count = (count.parse::<i64>().unwrap() + 1).to_string();
        }
        let counted = table_of(driver.read("counts"));
        prop_assert_eq!(counted.into_iter().filter(|(_, count)| count != "0").collect::<BTreeMap<_, _>>(), counts);
        let again: BTreeMap<String, String> =
            expected.iter().map(|(key, value)| (key.clone(), format!("{value}|{value}"))).collect();
        prop_assert_eq!(table_of(driver.read("again")), again);
    }
}
