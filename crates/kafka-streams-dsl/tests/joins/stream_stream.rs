//! Stream-stream joins: what they do with records, and laws that hold for any input.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_streams_core::{Header, Headers};
use kafka_streams_dsl::{JoinWindows, KStream, Optimization, StreamJoined, StreamsBuilder, WindowStoreSupplier};
use proptest::prelude::*;

use crate::support::{Driver, Written};
use crate::{build, error, strings};

type Joined = StreamJoined<Option<String>, Option<String>, Option<String>>;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn windows(before: u64, after: u64, grace: u64) -> JoinWindows {
    JoinWindows::of_time_difference_and_grace(ms(before), ms(grace)).after(ms(after))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Inner,
    Left,
    Outer,
}

/// A join of nullable keys and values whose results are `left|right`, with `-` for a side that is not there.
fn declare(builder: &StreamsBuilder, kind: Kind, windows: JoinWindows, joined: Joined) {
    let (left, right): (KStream<Option<String>, Option<String>>, KStream<_, _>) =
        (builder.stream("left"), builder.stream("right"));
    let text = |side: Option<Option<String>>| side.flatten().unwrap_or("-".to_owned());
    let pair = move |left, right| format!("{}|{}", text(left), text(right));
    match kind {
        Kind::Inner => left.join_stream_with(&right, move |_, l, r| pair(Some(l), Some(r)), windows, joined),
        Kind::Left => left.left_join_stream_with(&right, move |_, l, r| pair(Some(l), r), windows, joined),
        Kind::Outer => left.outer_join_stream_with(&right, move |_, l, r| pair(l, r), windows, joined),
    }
    .to("out");
}

fn driver(kind: Kind, windows: JoinWindows) -> Driver {
    Driver::new(&build(|builder| declare(builder, kind, windows, StreamJoined::named("j"))))
}

#[test]
fn records_meet_within_the_windows() {
    let mut driver = driver(Kind::Inner, windows(10, 5, 100));
    driver.pipe("left", Some("a"), Some("L20"), 20);
    for time in [9, 10, 25, 26] {
        driver.pipe("right", Some("a"), Some(&format!("R{time}")), time);
    }
    driver.pipe("right", Some("b"), Some("R20"), 20);
    assert_eq!(driver.read("out"), ["a=L20|R10@20", "a=L20|R25@25"]);
    driver.pipe("left", Some("a"), Some("L21"), 21);
    assert_eq!(driver.read("out"), ["a=L21|R25@25", "a=L21|R26@26"], "in the order of the partners' times");
    driver.pipe("left", None, Some("x"), 21);
    driver.pipe("right", Some("a"), None, 21);
    assert_eq!(driver.read("out"), [""; 0], "neither null keys nor null values are joined");
    assert_eq!(driver.dropped(), 2);
}

#[test]
fn a_record_without_partner_is_sent_on_when_its_windows_are_closed() {
    let mut driver = driver(Kind::Left, windows(5, 5, 2));
    driver.pipe("left", Some("a"), Some("L0"), 0);
    driver.pipe("left", Some("b"), Some("L1"), 1);
    driver.pipe("right", Some("b"), Some("R3"), 3);
    driver.pipe("left", Some("c"), Some("L7"), 7);
    assert_eq!(driver.read("out"), ["b=L1|R3@3"], "0 + 5 + 2 is not past at 7");
    driver.pipe("right", Some("z"), Some("R8"), 8);
    assert_eq!(driver.read("out"), ["a=L0|-@0"], "records of both sides move the time on");
    driver.pipe("left", None, Some("null"), 8);
    assert_eq!(driver.read("out"), ["null=null|-@8"], "a null key has no partner");
    driver.pipe("left", Some("d"), Some("L1"), 1);
    assert_eq!(driver.read("out"), ["d=L1|-@1"], "what is late does not wait");
}

#[test]
fn an_outer_join_gives_either_side() {
    let mut driver = driver(Kind::Outer, windows(5, 5, 0));
    driver.pipe("left", Some("a"), Some("L0"), 0);
    driver.pipe("right", Some("b"), Some("R0"), 0);
    driver.pipe("right", Some("b"), Some("again"), 0);
    driver.pipe("left", Some("c"), Some("L20"), 20);
    assert_eq!(driver.read("out"), ["b=-|R0@0", "b=-|again@0", "a=L0|-@0"], "by time, right before left");
}

#[test]
fn stores_and_changelogs_have_the_jvms_bytes() {
    let mut driver = Driver::new(&build(|builder| {
        declare(builder, Kind::Left, windows(5000, 5000, 0), Joined::default().with_store_name("js"));
    }));
    let headers: Headers = [Header { key: "hk".to_owned(), value: Some(vec![1, 2]) }].into_iter().collect();
    let mut pipe = |topic: &str, key: &str, value: &str, timestamp: i64| {
        let (key, value) = (Some(key.as_bytes().to_vec()), Some(value.as_bytes().to_vec()));
        driver.pipe_raw(topic, Written { key, value, timestamp, headers: headers.clone() }).unwrap();
    };
    pipe("left", "A", "L1", 1000);
    pipe("left", "A", "L2", 1000);
    pipe("right", "A", "R1", 2000);
    pipe("left", "B", "Z", 50_000);
    // Written by Kafka Streams 4.3 for the same records.
    let hex = |bytes: &Option<Vec<u8>>| match bytes {
        Some(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        None => "null".to_owned(),
    };
    let mut read = |topic: &str| {
        let records = driver.topics.remove(topic).unwrap();
        let text =
            |r: &Written| format!("{} {} {} {}", hex(&r.key), hex(&r.value), r.timestamp, r.headers.iter().count());
        records.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(
        read("app-js-left-shared-join-store-changelog"),
        [
            "00000000000003e80141 010000000100000003014c31 1000 0",
            "00000000000003e80141 010000000200000003014c3100000003014c32 1000 0",
            "00000000000003e80141 null 2000 0",
            "000000000000c3500142 010000000100000002015a 50000 0",
        ]
    );
    assert_eq!(read("app-js-outer-other-join-store-changelog"), ["4100000000000007d000000001 5231 2000 1"]);
    assert_eq!(
        read("app-js-this-join-store-changelog"),
        [
            "4100000000000003e800000001 4c31 1000 1",
            "4100000000000003e800000002 4c32 1000 1",
            "42000000000000c35000000003 5a 50000 1",
        ]
    );
}

#[test]
fn results_without_partner_are_looked_for_once_in_an_interval() {
    let mut driver = driver(Kind::Left, windows(5, 5, 0));
    driver.set_emit_interval(1000);
    for (key, time) in [("a", 0), ("b", 20), ("c", 40)] {
        driver.pipe("left", Some(key), Some("L"), time);
    }
    assert_eq!(driver.read("out"), [""; 0], "the first record has looked, and found nothing");
    driver.advance_wall_clock(999).unwrap();
    driver.pipe("left", Some("d"), Some("L"), 60);
    assert_eq!(driver.read("out"), [""; 0]);
    driver.advance_wall_clock(1).unwrap();
    assert_eq!(driver.read("out"), [""; 0], "only a record looks");
    driver.pipe("right", Some("x"), Some("R"), 80);
    assert_eq!(driver.read("out"), ["a=L|-@0", "b=L|-@20", "c=L|-@40", "d=L|-@60"]);
}

#[test]
fn stores_are_named_and_configured_as_said() {
    let joined = || {
        let (this, other) = (WindowStoreSupplier::in_memory("ts", ms(25), ms(20), true), "os");
        Joined::named("j").with_this_store(this).with_other_store(WindowStoreSupplier::persistent(
            other,
            ms(25),
            ms(20),
            true,
        ))
    };
    let topology = build(|builder| declare(builder, Kind::Outer, windows(10, 10, 5), joined()));
    let names: Vec<_> = topology.stores().iter().map(|spec| (&*spec.name, spec.persistent)).collect();
    assert_eq!(names, [("ts", false), ("os", true), ("ts-outer-shared-join-store", false)]);
    let text = error(|builder| declare(builder, Kind::Inner, windows(10, 11, 5), joined()));
    assert!(text.contains("store ts does not fit its join") && text.contains("windows of 21 ms"), "{text}");
    let topology = build(|builder| {
        let joined = Joined::named("j").in_memory().with_logging_enabled([("cleanup.policy", "compact")]);
        declare(builder, Kind::Left, windows(10, 10, 5), joined);
    });
    let policies: Vec<_> = topology.stores().iter().map(|spec| spec.logging.clone().unwrap()).collect();
    assert_eq!(policies[0]["cleanup.policy"], "delete");
    assert_eq!(policies[2]["cleanup.policy"], "compact");
    assert!(topology.stores().iter().all(|spec| !spec.persistent && !spec.caching));
    let topology = build(|builder| {
        declare(builder, Kind::Left, windows(10, 10, 5), Joined::named("j").with_logging_disabled());
    });
    assert!(topology.stores().iter().all(|spec| spec.logging.is_none()));
}

/// A record of a side: key, time, and where it stands in the input, which is its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    left: bool,
    key: String,
    time: i64,
}

fn inputs() -> impl Strategy<Value = Vec<Sent>> {
    let sent = (any::<bool>(), 0..3u8, 0..30i64);
    let sent = proptest::collection::vec(sent, 0..60);
    // The time moves on, with records that are late by up to 30.
    sent.prop_map(|sent| {
        let record = |(at, (left, key, jitter)): (usize, (bool, u8, i64))| Sent {
            left,
            key: format!("k{key}"),
            time: at as i64 * 3 + jitter,
        };
        sent.into_iter().enumerate().map(record).collect()
    })
}

fn pipe(driver: &mut Driver, at: usize, sent: &Sent) {
    let topic = if sent.left { "left" } else { "right" };
    driver.pipe(topic, Some(&sent.key), Some(&at.to_string()), sent.time);
}

/// All pairs, found by comparing every record with all that were there before.
fn pairs(sent: &[Sent], windows: (i64, i64, i64)) -> Vec<String> {
    let (before, after, grace) = windows;
    let mut pairs = Vec::new();
    for (at, record) in sent.iter().enumerate() {
        let (before, after) = if record.left { (before, after) } else { (after, before) };
        let others = || sent[..at].iter().enumerate().filter(|(_, other)| other.left != record.left);
        let kept_from = others().map(|(_, other)| other.time).max().unwrap_or(0) - (before + after + grace) + 1;
        let within = record.time - before..=record.time + after;
        let mut partners: Vec<_> = others()
            .filter(|(_, other)| other.key == record.key && within.contains(&other.time) && other.time >= kept_from)
            .collect();
        partners.sort_by_key(|(at, other)| (other.time, *at));
        pairs.extend(partners.into_iter().map(|(partner, other)| {
            let (left, right) = if record.left { (at, partner) } else { (partner, at) };
            format!("{}={left}|{right}@{}", record.key, record.time.max(other.time))
        }));
    }
    pairs
}

proptest! {
    #[test]
    fn an_inner_join_gives_all_pairs_in_order(sent in inputs(), before in 0..20i64, after in 0..20i64, grace in 0..20i64) {
        let mut driver = driver(Kind::Inner, windows(before as u64, after as u64, grace as u64));
        sent.iter().enumerate().for_each(|(at, record)| pipe(&mut driver, at, record));
        prop_assert_eq!(driver.read("out"), pairs(&sent, (before, after, grace)));
    }

    #[test]
    fn an_outer_join_gives_all_pairs_and_each_record_that_has_none_once(
        sent in inputs(), before in 0..20i64, after in 0..20i64, grace in 0..20i64, outer: bool,
    ) {
        let kind = if outer { Kind::Outer } else { Kind::Left };
        let mut driver = driver(kind, windows(before as u64, after as u64, grace as u64));
        let mut joined = Vec::new();
        let mut alone: BTreeMap<usize, i64> = BTreeMap::new();
        let mut in_pairs = BTreeSet::new();
        let mut now = -1;
        for (at, record) in sent.iter().enumerate() {
            now = now.max(record.time);
            pipe(&mut driver, at, record);
            collect(driver.read("out"), now, &mut joined, &mut alone, &mut in_pairs)?;
        }
        let end = Sent { left: true, key: "end".to_owned(), time: 1_000 };
        pipe(&mut driver, sent.len(), &end);
        collect(driver.read("out"), 1_000, &mut joined, &mut alone, &mut in_pairs)?;
        prop_assert_eq!(joined, pairs(&sent, (before, after, grace)));
        for (at, record) in sent.iter().enumerate() {
            let sides = record.left || kind == Kind::Outer;
            prop_assert!(!sides || alone.contains_key(&at) || in_pairs.contains(&at), "{at} is lost");
            if let Some(now) = alone.get(&at) {
                prop_assert!(sides);
                let reach = if record.left { after } else { before };
                prop_assert!(record.time + reach < *now, "{at} was sent on too early, at {now}");
            }
        }
    }

    #[test]
    fn a_join_of_a_stream_with_itself_is_the_same_with_one_store(
        sent in inputs(), size in 0..20u64, grace in 2..20u64,
    ) {
        let topology = |optimizations: &[Optimization]| {
            let builder = StreamsBuilder::new();
            let stream = strings(&builder, "left");
            let windows = windows(size, size, grace);
            stream.join_stream(&stream, |l, r| format!("{l}|{r}"), windows).to("out");
            builder.build_optimized(optimizations).unwrap()
        };
        let (mut two, mut one) = (Driver::new(&topology(&[])), Driver::new(&topology(&Optimization::ALL)));
        // In the order of their times: with one store, a record that comes as late as can be is not joined with itself.
        let mut sent = sent;
        sent.sort_by_key(|record| record.time);
        for (at, record) in sent.iter().enumerate() {
            let record = Sent { left: true, ..record.clone() };
            pipe(&mut two, at, &record);
            pipe(&mut one, at, &record);
        }
        let sorted = |mut results: Vec<String>| { results.sort(); results };
        prop_assert_eq!(sorted(two.read("out")), sorted(one.read("out")));
        prop_assert_eq!(one.changelog_topics().len(), 1);
    }
}

/// Sorts results into pairs and records that were sent on alone, each of these once.
fn collect(
    results: Vec<String>,
    now: i64,
    joined: &mut Vec<String>,
    alone: &mut BTreeMap<usize, i64>,
    in_pairs: &mut BTreeSet<usize>,
) -> Result<(), TestCaseError> {
    for result in results {
        let (_, sides) = result.split_once('=').unwrap();
        let (left, right) = sides.split_once('@').unwrap().0.split_once('|').unwrap();
        let sides: Vec<usize> = [left, right].iter().filter_map(|side| side.parse().ok()).collect();
        if let [at] = sides[..] {
            prop_assert!(alone.insert(at, now).is_none(), "{at} was sent on twice");
        } else {
            in_pairs.extend(sides);
            joined.push(result);
        }
    }
    Ok(())
}
