//! Joins of a stream with a versioned table, at once and after a grace period, beside a slow reference; and what is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_streams_dsl::{
    BufferConfig, Consumed, Grouped, Joined, KTable, Materialized, StreamsBuilder, Suppressed, TimeWindows,
};
use kafka_streams_topology::Topology;
use proptest::prelude::*;

use crate::support::Driver;
use crate::{build, error, strings};

fn ms(milliseconds: i64) -> Duration {
    Duration::from_millis(milliseconds.unsigned_abs())
}

fn versioned(builder: &StreamsBuilder, history_ms: i64) -> KTable<String, String> {
    builder.table_with("table", Consumed::default(), Materialized::named("rows").versioned(ms(history_ms)))
}

fn joined(grace_ms: Option<i64>) -> Joined<String, String> {
    let joined = Joined::named("join");
    grace_ms.map_or(joined.clone(), |grace_ms| joined.with_grace_period(ms(grace_ms)))
}

fn joins(history_ms: i64, grace_ms: Option<i64>) -> Topology {
    build(|builder| {
        let (table, stream) = (versioned(builder, history_ms), strings(builder, "stream"));
        let pair = |_: &String, at: String, row: Option<String>| format!("{at}|{}", row.unwrap_or("-".to_owned()));
        stream.left_join_with(&table, pair, joined(grace_ms)).to("out");
    })
}

#[derive(Clone, Debug)]
struct Sent {
    to_table: bool,
    key: String,
    deletes: bool,
    time: i64,
}

/// Time moves on, with records that are late by up to 3 s. No two have the same time: what a deletion at the very time of a
/// row does is told by the store's own tests.
fn inputs() -> impl Strategy<Value = Vec<Sent>> {
    let sent = |(at, (to_table, key, deletes, jitter)): (usize, (bool, u8, bool, i64))| {
        let time = (at as i64 * 3 + jitter) * 100 + at as i64;
        Sent { to_table, key: format!("k{key}"), deletes, time }
    };
    prop::collection::vec((any::<bool>(), 0..3u8, prop::bool::weighted(0.2), 0..30i64), 0..80)
        .prop_map(move |records| records.into_iter().enumerate().map(sent).collect())
}

/// What the joins give: the rows of a key by time, and the records that wait.
#[derive(Default)]
struct Reference {
    rows: BTreeMap<String, BTreeMap<i64, Option<usize>>>,
    waiting: Vec<(i64, String, usize)>,
    observed: i64,
    out: Vec<String>,
}

impl Reference {
    fn join(&mut self, (time, key, at): (i64, String, usize)) {
        let row = self.rows.get(&key).and_then(|rows| rows.range(..=time).next_back());
        let row = row.and_then(|(_, row)| *row).map_or("-".to_owned(), |row| row.to_string());
        self.out.push(format!("{key}={at}|{row}@{time}"));
    }

    fn take(&mut self, at: usize, sent: &Sent, grace_ms: Option<i64>) {
        let record = (sent.time, sent.key.clone(), at);
        let grace_ms = match grace_ms {
            _ if sent.to_table => {
                let row = (!sent.deletes).then_some(at);
                self.rows.entry(sent.key.clone()).or_default().insert(sent.time, row);
                return;
            }
            None => return self.join(record),
            Some(grace_ms) if sent.time < self.observed - grace_ms => return self.join(record),
            Some(grace_ms) => grace_ms,
        };
        self.observed = self.observed.max(sent.time);
        self.waiting.push(record);
        self.waiting.sort();
        while self.waiting.first().is_some_and(|(time, ..)| *time <= self.observed - grace_ms) {
            let ready = self.waiting.remove(0);
            self.join(ready);
        }
    }
}

proptest! {
    #[test]
    fn a_record_meets_the_row_of_its_time_at_once_or_when_its_grace_is_over(
        sent in inputs(), grace_ms in prop::option::weighted(0.8, 0..4_000i64), cached: bool,
    ) {
        let topology = joins(100_000, grace_ms);
        let mut driver = Driver::with_cache(&topology, if cached { 10_000 } else { 0 });
        let mut reference = Reference { observed: -1, ..Reference::default() };
        for (at, sent) in sent.iter().enumerate() {
            let (value, topic) = (at.to_string(), if sent.to_table { "table" } else { "stream" });
            let value = (!sent.to_table || !sent.deletes).then_some(value.as_str());
            driver.pipe(topic, Some(&sent.key), value, sent.time);
            reference.take(at, sent, grace_ms);
            prop_assert_eq!(driver.read("out"), std::mem::take(&mut reference.out));
        }
    }
}

#[test]
fn a_record_meets_the_row_of_its_time_behind_filters_and_transformations_too() {
    let topology = build(|builder| {
        let table = versioned(builder, 10_000).filter(|_, row| row != "hidden").map_values(|row| row.to_uppercase());
        strings(builder, "stream").left_join(&table, |at, row| format!("{at}|{row:?}")).to("out");
    });
    let mut driver = Driver::new(&topology);
    for (row, time) in [("early", 1_000), ("hidden", 2_000), ("late", 3_000)] {
        driver.pipe("table", Some("k"), Some(row), time);
    }
    [1_500, 2_500, 3_500].iter().for_each(|time| driver.pipe("stream", Some("k"), Some("s"), *time));
    let expected = ["k=s|Some(\"EARLY\")@1500", "k=s|None@2500", "k=s|Some(\"LATE\")@3500"];
    assert_eq!(driver.read("out"), expected);
}

#[test]
fn a_grace_period_needs_a_table_whose_history_is_as_long() {
    let with = |table: fn(&StreamsBuilder) -> KTable<String, String>| {
        error(|builder| {
            let table = table(builder);
            strings(builder, "stream").join_with(&table, |_, l, r| l + &r, joined(Some(5_000))).to("out");
        })
    };
    let not_versioned = with(|builder| builder.table("table"));
    assert!(not_versioned.starts_with("join join has a grace period, for which its table must be versioned"));
    assert_eq!(
        with(|builder| versioned(builder, 1_000).filter_with(|_, _| true, Materialized::named("own"))),
        not_versioned
    );
    assert_eq!(
        with(|builder| versioned(builder, 9_000).join(&builder.table("t2"), |l, r: String| l + &r)),
        not_versioned
    );
    let short = with(|builder| versioned(builder, 4_999));
    assert_eq!(
        short,
        "join join has a grace period of 5000 ms, but store rows of its table keeps the history for 4999 ms only; give it a \
         longer one"
    );
    joins(5_000, Some(5_000));
}

#[test]
fn changes_of_a_versioned_table_are_not_suppressed() {
    let limit = || Suppressed::until_time_limit(ms(10), BufferConfig::unbounded()).with_name("calm");
    let refused = error(|builder| drop(versioned(builder, 1_000).suppress(limit())));
    assert!(refused.starts_with("node calm suppresses changes of a versioned table"), "{refused}");
    assert_eq!(error(|builder| drop(versioned(builder, 1_000).filter(|_, _| true).suppress(limit()))), refused);
    build(|builder| {
        drop(
            versioned(builder, 1_000)
                .group_by(|k, v| (k.clone(), v.clone()), Grouped::default())
                .count(Materialized::default())
                .suppress(limit()),
        )
    });
    build(|builder| {
        drop(versioned(builder, 1_000).filter_with(|_, _| true, Materialized::named("own")).suppress(limit()))
    });
}

#[test]
fn only_tables_of_topics_and_streams_are_versioned() {
    let history = || Materialized::named("rows").versioned(ms(1_000));
    let refused = [
        error(|builder| drop(strings(builder, "in").group_by_key(Grouped::default()).count(history()))),
        error(|builder| drop(builder.table::<String, String>("in").map_values_with(|_, v| v.len() as i64, history()))),
        error(|builder| {
            let minutes = TimeWindows::of_size_with_no_grace(ms(60_000));
            strings(builder, "in").group_by_key(Grouped::default()).windowed_by(minutes).count(history());
        }),
        error(|builder| {
            let unnamed = Materialized::default().versioned(ms(1_000));
            builder.table::<String, String>("in").map_values_with(|_, v| v.len() as i64, unnamed);
        }),
    ];
    refused.iter().for_each(|refused| assert!(refused.contains("only tables of topics and streams can"), "{refused}"));
    let topology =
        build(|builder| drop(strings(builder, "in").to_table_with(Materialized::named("rows").versioned(ms(1_000)))));
    assert_eq!(
        topology.stores().iter().map(|spec| spec.kind.facts().history_retention_ms).collect::<Vec<_>>(),
        [Some(1_000)]
    );
}
