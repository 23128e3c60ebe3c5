//! Joins of records without a key (KIP-962): an outer side sends them on without a partner, an inner side drops them and
//! counts them. One test for each row of the KIP.

use std::time::Duration;

use kafka_streams_dsl::{
    GlobalKTable, Grouped, JoinWindows, Joined, KStream, KTable, Materialized, StreamJoined, StreamsBuilder,
};
use kafka_streams_topology::Topology;

use crate::build;
use crate::support::Driver;

type Text = Option<String>;
type Nullable = KStream<Text, Text>;
type Rows = KTable<Text, String>;

/// `left|right`, with `-` for what is not there.
fn pair(left: Option<Text>, right: Option<Text>) -> String {
    let text = |side: Option<Text>| side.flatten().unwrap_or("-".to_owned());
    format!("{}|{}", text(left), text(right))
}

#[derive(Clone, Copy)]
enum Kind {
    Inner,
    Left,
    Outer,
}

/// The join of the topics `left` and `right`, repartitioned before it if `by` selects another key.
fn streams(kind: Kind, by: Option<fn(&Text) -> Text>) -> Driver {
    let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_millis(10));
    Driver::new(&build(|builder| {
        let read = |topic: &str| {
            let stream: Nullable = builder.stream(topic);
            match by {
                Some(by) => stream.select_key(move |_, value| by(value)),
                None => stream,
            }
        };
        let (left, right, joined) = (read("left"), read("right"), StreamJoined::named("j"));
        match kind {
            Kind::Inner => left.join_stream_with(&right, |_, l, r| pair(Some(l), Some(r)), windows, joined),
            Kind::Left => left.left_join_stream_with(&right, |_, l, r| pair(Some(l), r), windows, joined),
            Kind::Outer => left.outer_join_stream_with(&right, |_, l, r| pair(l, r), windows, joined),
        }
        .to("out");
    }))
}

/// What is sent on and how many are dropped, of a record without key and one without key and value on each side.
fn without_keys(mut driver: Driver) -> (Vec<String>, u64) {
    driver.pipe("left", None, Some("l"), 1);
    driver.pipe("right", None, Some("r"), 2);
    driver.pipe("left", None, None, 3);
    driver.pipe("right", None, None, 4);
    (driver.read("out"), driver.dropped())
}

fn sent(records: &[&str]) -> Vec<String> {
    records.iter().map(|record| (*record).to_owned()).collect()
}

#[test]
fn an_inner_join_of_streams_drops_records_without_key() {
    assert_eq!(without_keys(streams(Kind::Inner, None)), (sent(&[]), 4));
}

#[test]
fn a_left_join_of_streams_sends_the_left_side_on() {
    assert_eq!(without_keys(streams(Kind::Left, None)), (sent(&["null=l|-@1"]), 3));
}

#[test]
fn an_outer_join_of_streams_sends_both_sides_on() {
    assert_eq!(without_keys(streams(Kind::Outer, None)), (sent(&["null=l|-@1", "null=-|r@2"]), 2));
}

#[test]
fn records_without_key_do_not_meet_each_other_and_do_not_wait() {
    let mut driver = streams(Kind::Outer, None);
    driver.pipe("left", None, Some("l"), 1);
    driver.pipe("right", None, Some("r"), 1);
    assert_eq!(driver.read("out"), ["null=l|-@1", "null=-|r@1"]);
    driver.pipe("right", Some("z"), Some("later"), 1_000);
    driver.pipe("right", Some("z"), Some("later"), 2_000);
    assert_eq!(driver.read("out"), ["z=-|later@1000"], "nothing of them was kept");
}

#[test]
fn the_repartition_topics_of_outer_joins_take_records_without_key() {
    let nothing: fn(&Text) -> Text = |_| None;
    let keyed = |kind| without_keys(streams(kind, Some(nothing)));
    assert_eq!(keyed(Kind::Inner), (sent(&[]), 0), "they are filtered before the topic");
    assert_eq!(keyed(Kind::Left), (sent(&["null=l|-@1"]), 3));
    assert_eq!(keyed(Kind::Outer), (sent(&["null=l|-@1", "null=-|r@2"]), 2));
}

fn stream_and_table(left: bool, repartitioned: bool) -> Driver {
    Driver::new(&build(|builder| {
        let mut orders: Nullable = builder.stream("left");
        if repartitioned {
            orders = orders.select_key(|key, _| key.clone());
        }
        let rows: Rows = builder.table("rows");
        let joined = Joined::named("j");
        match left {
            true => orders.left_join_with(&rows, |_, l, row| pair(Some(l), row.map(Some)), joined),
            false => orders.join_with(&rows, |_, l, row| pair(Some(l), Some(Some(row))), joined),
        }
        .to("out");
    }))
}

/// As [`without_keys`] of a stream and a table, whose records without key are no rows.
fn of_stream(mut driver: Driver) -> (Vec<String>, u64) {
    driver.pipe("rows", None, Some("row"), 0);
    driver.pipe("left", None, Some("l"), 1);
    driver.pipe("left", None, None, 2);
    (driver.read("out"), driver.dropped())
}

#[test]
fn a_left_join_of_a_stream_with_a_table_sends_the_record_on() {
    assert_eq!(of_stream(stream_and_table(true, false)), (sent(&["null=l|-@1"]), 2));
    assert_eq!(of_stream(stream_and_table(true, true)), (sent(&["null=l|-@1"]), 2), "through its repartition topic");
}

#[test]
fn an_inner_join_of_a_stream_with_a_table_drops_the_record() {
    assert_eq!(of_stream(stream_and_table(false, false)), (sent(&[]), 3));
    assert_eq!(of_stream(stream_and_table(false, true)), (sent(&[]), 1), "filtered before its repartition topic");
}

fn stream_and_global_table(left: bool) -> Topology {
    build(|builder| {
        let orders: Nullable = builder.stream("left");
        let rows: GlobalKTable<Text, String> = builder.global_table("rows");
        // The value selects the row, and `-` none.
        let select = |_: &Text, value: &Text| value.clone().filter(|value| value != "-");
        match left {
            true => orders.left_join_global_with(
                &rows,
                select,
                |_, l, row| pair(Some(l), row.map(Some)),
                Joined::named("j"),
            ),
            false => {
                orders.join_global_with(&rows, select, |_, l, row| pair(Some(l), Some(Some(row))), Joined::named("j"))
            }
        }
        .to("out");
    })
}

#[test]
fn a_join_with_a_global_table_goes_by_the_selected_key() {
    let of = |left| {
        let mut driver = Driver::new(&stream_and_global_table(left));
        driver.pipe("rows", Some("l"), Some("row"), 0);
        driver.pipe("left", None, Some("l"), 1);
        driver.pipe("left", Some("k"), Some("-"), 2);
        driver.pipe("left", Some("k"), None, 3);
        (driver.read("out"), driver.dropped())
    };
    assert_eq!(of(true), (sent(&["null=l|row@1", "k=-|-@2"]), 1), "the record's own key may be null, too");
    assert_eq!(of(false), (sent(&["null=l|row@1"]), 2));
}

/// The join of tables on the foreign key that the left row's value is; `-` is none.
fn foreign_key(left: bool) -> Driver {
    Driver::new(&build(|builder| {
        let orders: KTable<String, String> = builder.table("left");
        let rows: KTable<String, String> = builder.table("rows");
        let extract = |_: &String, value: &String| Some(value.clone()).filter(|value| value != "-");
        let result = |l: String, row: Option<String>| pair(Some(Some(l)), Some(row));
        let joined: KTable<String, String> = match left {
            true => orders.left_join_foreign_key(&rows, extract, result),
            false => orders.join_foreign_key(&rows, extract, move |l, row| result(l, Some(row))),
        };
        joined.to_stream().to("out");
    }))
}

#[test]
fn a_left_join_on_a_foreign_key_takes_rows_without_one() {
    let mut driver = foreign_key(true);
    driver.pipe("rows", Some("f"), Some("row"), 0);
    driver.pipe("left", Some("k"), Some("-"), 1);
    assert_eq!(driver.read("out"), ["k=-|-@1"]);
    driver.pipe("left", Some("k"), Some("f"), 2);
    driver.pipe("left", Some("k"), Some("-"), 3);
    assert_eq!(driver.read("out"), ["k=f|row@2", "k=-|-@3"]);
    assert_eq!(driver.dropped(), 0);
}

#[test]
fn an_inner_join_on_a_foreign_key_drops_rows_without_one() {
    let mut driver = foreign_key(false);
    driver.pipe("rows", Some("f"), Some("row"), 0);
    driver.pipe("left", Some("k"), Some("-"), 1);
    assert_eq!(driver.read("out"), [""; 0]);
    driver.pipe("left", Some("k"), Some("f"), 2);
    driver.pipe("left", Some("k"), Some("-"), 3);
    assert_eq!(driver.read("out"), ["k=f|row@2", "k=null@3"], "the result is taken back");
    assert_eq!(driver.dropped(), 2);
}

#[test]
fn a_repartition_topic_that_an_aggregation_shares_takes_records_without_key() {
    let mut driver = Driver::new(&build(aggregated_and_joined));
    driver.pipe("left", None, Some("l"), 1);
    assert_eq!(driver.read("joined"), ["null=l|-@1"]);
    assert_eq!(driver.read("counts"), [""; 0], "the aggregation drops it by itself");
}

fn aggregated_and_joined(builder: &StreamsBuilder) {
    let keyed = builder.stream("left").select_key(|key: &Text, _: &Text| key.clone());
    let keyed = keyed.repartition(Default::default());
    let rows: Rows = builder.table("rows");
    let joined = Joined::named("j");
    keyed.left_join_with(&rows, |_, l, row| pair(Some(l), row.map(Some)), joined).to("joined");
    keyed.group_by_key(Grouped::default()).count(Materialized::named("counts")).to_stream().to("counts");
}
