//! Sliding windows, sessions, suppression and emission on close, beside slow references that say what is right.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_streams_core::Headers;
use kafka_streams_core::serde::{I64Serde, StringSerde};
use kafka_streams_dsl::{
    BufferConfig, Consumed, EmitStrategy, Grouped, KGroupedStream, KTable, Materialized, SessionWindowedSerde,
    SessionWindows, SlidingWindows, StreamsBuilder, Suppressed, TimeWindowedSerde, TimeWindows, UnlimitedWindows,
    Windowed,
};
use kafka_streams_topology::Topology;
use proptest::prelude::*;
use support::{Driver, Written};

fn build(declare: impl FnOnce(&StreamsBuilder)) -> Topology {
    let builder = StreamsBuilder::new();
    declare(&builder);
    builder.build().unwrap()
}

fn error(declare: impl FnOnce(&StreamsBuilder)) -> String {
    let builder = StreamsBuilder::new();
    declare(&builder);
    builder.build().unwrap_err().to_string()
}

fn ms(milliseconds: i64) -> Duration {
    Duration::from_millis(milliseconds.unsigned_abs())
}

fn grouped(builder: &StreamsBuilder, topic: &str) -> KGroupedStream<String, i64> {
    builder.stream::<String, i64>(topic).group_by_key(Grouped::default())
}

/// A table whose changes are written to "out", with keys as text.
fn write(table: &KTable<Windowed<String>, i64>) {
    table.to_stream().map(|key, value| (key.to_string(), value)).to("out");
}

fn sums(caching: bool) -> Materialized<String, i64> {
    let store = Materialized::named("sums");
    if caching { store } else { store.with_caching_disabled() }
}

/// Pipes a number with the key `k`.
fn pipe(driver: &mut Driver, value: i64, timestamp: i64) {
    let (key, value) = (Some(b"k".to_vec()), Some(value.to_be_bytes().to_vec()));
    driver.pipe_raw("in", Written { key, value, timestamp, headers: Headers::new() }).unwrap();
}

/// What was written to "out": window and value.
fn out(driver: &mut Driver) -> Vec<(Span, Option<i64>)> {
    let records = driver.topics.remove("out").unwrap_or_default();
    let window = |key: &[u8]| {
        let text = std::str::from_utf8(key).unwrap().trim_start_matches("[k@").trim_end_matches(']').to_owned();
        let (start, end) = text.split_once('/').unwrap();
        (start.parse().unwrap(), end.parse().unwrap())
    };
    let number = |bytes: Vec<u8>| i64::from_be_bytes(bytes.try_into().unwrap());
    records.into_iter().map(|record| (window(&record.key.unwrap()), record.value.map(number))).collect()
}

type Span = (i64, i64);

/// What a table of the changes holds.
fn table(changes: Vec<(Span, Option<i64>)>) -> BTreeMap<Span, i64> {
    let mut table = BTreeMap::new();
    for (window, value) in changes {
        match value {
            Some(value) => table.insert(window, value),
            None => table.remove(&window),
        };
    }
    table
}

/// Values of which every sum tells what it was made of.
fn numbered(times: &[i64]) -> Vec<(i64, i64)> {
    times.iter().enumerate().map(|(at, time)| (1 << at, *time)).collect()
}

fn times(count: usize, span: i64) -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(0..span, 1..count)
}

/// The windows of a set of records: one that ends with each record, and one that begins behind it if there is something.
fn sliding_reference(records: &[(i64, i64)], difference: i64) -> BTreeMap<Span, i64> {
    let mut starts = BTreeSet::new();
    for (_, time) in records {
        starts.insert((time - difference).max(0));
        if records.iter().any(|(_, other)| *other > *time && *other <= time + 1 + difference) {
            starts.insert(time + 1);
        }
    }
    let content = |start: i64| records.iter().filter(move |(_, time)| *time >= start && *time <= start + difference);
    starts
        .into_iter()
        .map(|start| ((start, start + difference), content(start).map(|(value, _)| value).sum()))
        .collect()
}

fn session_reference(records: &[(i64, i64)], gap: i64) -> BTreeMap<Span, i64> {
    let mut sorted = records.to_vec();
    sorted.sort_by_key(|(_, time)| *time);
    let mut sessions: Vec<(Span, i64)> = Vec::new();
    for (value, time) in sorted {
        match sessions.last_mut() {
            Some((span, sum)) if time - span.1 <= gap => {
                span.1 = time;
                *sum += value;
            }
            _ => sessions.push(((time, time), value)),
        }
    }
    sessions.into_iter().collect()
}

/// The tumbling windows of records in this order, without those that come too late; and which of them have closed.
fn tumbling_reference(records: &[(i64, i64)], size: i64, grace: i64) -> (BTreeMap<Span, i64>, BTreeMap<Span, i64>) {
    let (mut windows, mut observed) = (BTreeMap::new(), -1);
    for (value, time) in records {
        observed = observed.max(*time);
        let start = time / size * size;
        if start + size > observed - grace {
            *windows.entry((start, start + size)).or_insert(0) += value;
        }
    }
    let closed = windows.iter().filter(|((_, end), _)| *end <= observed - grace);
    let closed = closed.map(|(window, sum)| (*window, *sum)).collect();
    (windows, closed)
}

proptest! {
    #[test]
    fn sliding_windows_hold_what_lies_in_them_in_whatever_order_it_comes(
        times in times(14, 60), difference in 1i64..20, caching: bool, cache_bytes in prop::sample::select(vec![0, 1 << 20]),
    ) {
        let windows = SlidingWindows::of_time_difference_and_grace(ms(difference), ms(1000));
        let topology = build(|builder| {
            let windowed = grouped(builder, "in").windowed_by(windows);
            write(&windowed.aggregate(|| 0, |_, value, sum| sum + value, sums(caching)));
        });
        let mut driver = Driver::with_cache(&topology, cache_bytes);
        let records = numbered(&times);
        for (value, time) in &records {
            pipe(&mut driver, *value, *time);
        }
        prop_assert_eq!(driver.dropped(), 0);
        prop_assert_eq!(table(out(&mut driver)), sliding_reference(&records, difference));
    }

    #[test]
    fn sessions_are_what_no_pause_divides_in_whatever_order_it_comes(
        times in times(20, 200), gap in 1i64..20, caching: bool, cache_bytes in prop::sample::select(vec![0, 1 << 20]),
    ) {
        let windows = SessionWindows::of_inactivity_gap_and_grace(ms(gap), ms(1000));
        let topology = build(|builder| {
            let windowed = grouped(builder, "in").windowed_by(windows);
            write(&windowed.reduce(|a, b| a + b, sums(caching)));
        });
        let mut driver = Driver::with_cache(&topology, cache_bytes);
        let records = numbered(&times);
        for (value, time) in &records {
            pipe(&mut driver, *value, *time);
        }
        prop_assert_eq!(table(out(&mut driver)), session_reference(&records, gap));
    }

    #[test]
    fn a_suppressed_window_comes_once_when_it_is_closed(
        times in times(30, 100), size in 1i64..15, grace in 0i64..20, caching: bool,
    ) {
        let windows = TimeWindows::of_size_and_grace(ms(size), ms(grace));
        let topology = build(|builder| {
            let sums = grouped(builder, "in").windowed_by(windows).reduce(|a, b| a + b, sums(caching));
            write(&sums.suppress(Suppressed::until_window_closes(BufferConfig::unbounded())));
        });
        let mut driver = Driver::new(&topology);
        let records = numbered(&times);
        for (at, (value, time)) in records.iter().enumerate() {
            pipe(&mut driver, *value, *time);
            // Nothing comes before it is due.
            let (_, closed) = tumbling_reference(&records[..=at], size, grace);
            let written = driver.topics.get("out").map_or(0, Vec::len);
            prop_assert_eq!(written, closed.len());
        }
        let (_, closed) = tumbling_reference(&records, size, grace);
        let changes = out(&mut driver);
        prop_assert_eq!(changes.len(), closed.len(), "each window once");
        prop_assert_eq!(table(changes), closed);
    }

    #[test]
    fn emission_on_close_gives_what_suppression_gives(
        times in times(30, 300_000), size in 1i64..30_000, advance in 1i64..4, grace in 0i64..20_000, caching: bool,
        in_memory: bool,
    ) {
        // The times span several segments of the store: no window may be lost when its segment expires.
        let windows = TimeWindows::of_size_and_grace(ms(size), ms(grace)).advance_by(ms((size / advance).max(1)));
        let records = numbered(&times);
        let run = |topology: &Topology| {
            let mut driver = Driver::new(topology);
            records.iter().for_each(|(value, time)| pipe(&mut driver, *value, *time));
            out(&mut driver)
        };
        let store = || if in_memory { sums(caching).in_memory() } else { sums(caching) };
        let on_close = run(&build(|builder| {
            let windowed = grouped(builder, "in").windowed_by(windows).emit_strategy(EmitStrategy::on_window_close());
            write(&windowed.reduce(|a, b| a + b, store()));
        }));
        let suppressed = run(&build(|builder| {
            let sums = grouped(builder, "in").windowed_by(windows).reduce(|a, b| a + b, store());
            write(&sums.suppress(Suppressed::until_window_closes(BufferConfig::unbounded())));
        }));
        prop_assert_eq!(on_close, suppressed);
    }

    #[test]
    fn sessions_are_emitted_once_when_they_are_closed(
        times in times(30, 600_000), gap in 1i64..60_000, grace in 0i64..30_000,
    ) {
        let windows = SessionWindows::of_inactivity_gap_and_grace(ms(gap), ms(grace));
        let records = numbered(&times);
        let run = |topology: &Topology| {
            let mut driver = Driver::new(topology);
            records.iter().for_each(|(value, time)| pipe(&mut driver, *value, *time));
            out(&mut driver)
        };
        let on_close = run(&build(|builder| {
            let windowed = grouped(builder, "in").windowed_by(windows).emit_strategy(EmitStrategy::on_window_close());
            write(&windowed.reduce(|a, b| a + b, sums(true)));
        }));
        let updates = run(&build(|builder| {
            write(&grouped(builder, "in").windowed_by(windows).reduce(|a, b| a + b, sums(false)));
        }));
        let observed = times.iter().max().unwrap();
        let closed: BTreeMap<_, _> =
            table(updates).into_iter().filter(|((_, end), _)| *end < observed - gap - grace).collect();
        // A late record may make a session longer that was emitted before: only the last result counts.
        let mut emitted = table(on_close);
        let within = |(start, end): &Span| closed.keys().any(|(s, e)| s <= start && end <= e);
        emitted.retain(|window, _| closed.contains_key(window) || !within(window));
        prop_assert_eq!(emitted, closed);
    }

    #[test]
    fn a_time_limit_holds_back_all_but_the_last_change(
        times in times(40, 100), limit in 0i64..30, max in 1u64..6,
    ) {
        // Beside a list: the change of a key keeps the place of its first, and leaves when it has waited or there is no room.
        let topology = build(|builder| {
            let limit = Suppressed::until_time_limit(ms(limit), BufferConfig::max_records(max));
            builder.table::<String, i64>("in").suppress(limit).to_stream().to("out");
        });
        let mut driver = Driver::new(&topology);
        let mut waiting: Vec<(i64, String, i64)> = Vec::new();
        let mut expected: Vec<(String, i64)> = Vec::new();
        let mut observed = -1;
        for (at, time) in times.iter().enumerate() {
            let (key, value) = (format!("k{}", time % 7), at as i64);
            let bytes = (Some(key.as_bytes().to_vec()), Some(value.to_be_bytes().to_vec()));
            let record = Written { key: bytes.0, value: bytes.1, timestamp: *time, headers: Headers::new() };
            driver.pipe_raw("in", record).unwrap();
            observed = observed.max(*time);
            match waiting.iter_mut().find(|entry| entry.1 == key) {
                Some(entry) => entry.2 = value,
                None => waiting.push((*time, key, value)),
            }
            waiting.sort();
            while waiting.len() as u64 > max || waiting.first().is_some_and(|entry| entry.0 <= observed - limit) {
                let (_, key, value) = waiting.remove(0);
                expected.push((key, value));
            }
        }
        let written = driver.topics.remove("out").unwrap_or_default();
        let number = |bytes: Vec<u8>| i64::from_be_bytes(bytes.try_into().unwrap());
        let written: Vec<_> = written
            .into_iter()
            .map(|record| (String::from_utf8(record.key.unwrap()).unwrap(), number(record.value.unwrap())))
            .collect();
        prop_assert_eq!(written, expected);
    }
}

#[test]
fn closed_windows_are_looked_for_once_a_second_of_the_machine() {
    let topology = build(|builder| {
        let windowed = grouped(builder, "in").windowed_by(TimeWindows::of_size_with_no_grace(ms(10)));
        write(&windowed.emit_strategy(EmitStrategy::on_window_close()).count(Materialized::named("n")));
    });
    let mut driver = Driver::new(&topology).with_close_interval(1000);
    pipe(&mut driver, 1, 5);
    pipe(&mut driver, 1, 15);
    assert_eq!(out(&mut driver), [], "the first record looked already");
    driver.advance_wall_clock(1000).unwrap();
    assert_eq!(out(&mut driver), [], "only a record looks");
    pipe(&mut driver, 1, 16);
    assert_eq!(out(&mut driver), [((0, 10), Some(1))]);
    driver.advance_wall_clock(1000).unwrap();
    pipe(&mut driver, 1, 35);
    assert_eq!(out(&mut driver), [((10, 20), Some(2))]);
}

#[test]
fn an_unlimited_window_counts_everything_from_its_start_on() {
    let topology = build(|builder| {
        let windowed = grouped(builder, "in").windowed_by(UnlimitedWindows::of().start_on(10));
        write(&windowed.count(Materialized::named("n")));
    });
    let mut driver = Driver::new(&topology);
    for time in [5, 10, 1_000_000_000_000, 11] {
        pipe(&mut driver, 1, time);
    }
    assert_eq!(table(out(&mut driver)), [((10, i64::MAX), 3)].into());
}

#[test]
fn streams_are_aggregated_together() {
    let declare = |builder: &StreamsBuilder| {
        let lengths = builder.stream::<String, String>("texts").group_by_key(Grouped::default());
        grouped(builder, "in")
            .cogroup(|_, n, sum: i64| sum + n)
            .cogroup(&lengths, |_, text, sum| sum + text.len() as i64)
    };
    let topology = build(|builder| {
        let both = declare(builder);
        both.aggregate(|| 100, Materialized::named("sums")).to_stream().to("plain");
        let sessions = SessionWindows::of_inactivity_gap_with_no_grace(ms(10));
        let serde = SessionWindowedSerde::new(StringSerde);
        let per_session = both.windowed_by(sessions).aggregate(|| 0, |_, a, b| a + b, Materialized::named("sessions"));
        let produced = kafka_streams_dsl::Produced::with(serde, kafka_streams_core::serde::OptionSerde(I64Serde));
        per_session.to_stream().to_with("sessions-out", produced);
    });
    let mut driver = Driver::new(&topology);
    pipe(&mut driver, 5, 0);
    driver.pipe("texts", Some("k"), Some("abc"), 4);
    assert_eq!(driver.read("plain"), ["k=105@0", "k=108@4"]);
    assert_eq!(driver.read("sessions-out").len(), 3, "a session, its end, and a longer one");
    assert_eq!(driver.changelog_topics(), ["app-sums-changelog", "app-sessions-changelog"]);
}

#[test]
fn a_buffer_that_is_full_sheds_its_oldest_or_stops() {
    let suppressed = |buffer| Suppressed::until_time_limit(ms(1000), buffer);
    let topology = |buffer: BufferConfig| {
        build(move |builder| {
            builder.table::<String, i64>("in").suppress(suppressed(buffer).with_name("sup")).to_stream().to("out");
        })
    };
    let pipe = |driver: &mut Driver, key: &str, value: i64, timestamp: i64| {
        let (key, value) = (Some(key.as_bytes().to_vec()), Some(value.to_be_bytes().to_vec()));
        driver.pipe_raw("in", Written { key, value, timestamp, headers: Headers::new() })
    };
    let shedding = topology(BufferConfig::max_records(1).shed_oldest_to("shed").into());
    let mut driver = Driver::new(&shedding);
    pipe(&mut driver, "a", 1, 0).unwrap();
    pipe(&mut driver, "b", 2, 1).unwrap();
    assert_eq!((driver.read("shed"), driver.read("out")), (vec!["a=1@0".to_owned()], vec![]));
    pipe(&mut driver, "b", 3, 2000).unwrap();
    assert_eq!((driver.read("shed"), driver.read("out")), (vec![], vec!["b=3@2000".to_owned()]));
    assert!(shedding.describe().contains("Sink: sup-shed (topic: shed)"));

    let mut driver = Driver::new(&topology(BufferConfig::max_records(1).shut_down_when_full().into()));
    pipe(&mut driver, "a", 1, 0).unwrap();
    let error = pipe(&mut driver, "b", 2, 1).unwrap_err().to_string();
    let expected = "sup buffer exceeded its max capacity. Currently [2/1] records and [";
    assert!(error.contains(expected), "{error}");
    assert!(error.contains(&format!("/{}] bytes.", i64::MAX)), "{error}");
}

#[test]
fn mistakes_with_windows_are_told() {
    let no_window = error(|builder| {
        let consumed = Consumed::with(TimeWindowedSerde::new(StringSerde, ms(10)), I64Serde);
        let table = builder.table_with("windows", consumed, Materialized::default());
        table.suppress(Suppressed::until_window_closes(BufferConfig::unbounded()).with_name("sup"));
    });
    assert!(no_window.contains("node sup waits for windows to close"), "{no_window}");
    let short = error(|builder| {
        let windowed = grouped(builder, "in").windowed_by(SlidingWindows::of_time_difference_with_no_grace(ms(10)));
        windowed.count(Materialized::named("n").with_retention(ms(19)));
    });
    assert!(short.contains("store n keeps windows for 19 ms"), "{short}");
    let short = error(|builder| {
        let windowed = grouped(builder, "in").windowed_by(SessionWindows::of_inactivity_gap_and_grace(ms(10), ms(5)));
        windowed.count(Materialized::named("n").with_retention(ms(14)));
    });
    assert!(short.contains("but they can change for 15 ms"), "{short}");
    let never = error(|builder| {
        let windowed = grouped(builder, "in").windowed_by(UnlimitedWindows::of());
        windowed.emit_strategy(EmitStrategy::on_window_close()).count_named("n", Materialized::default());
    });
    assert!(never.contains("node n emits when its windows close"), "{never}");
    let zero = error(|builder| {
        grouped(builder, "in")
            .windowed_by(SessionWindows::of_inactivity_gap_with_no_grace(ms(0)))
            .count(Materialized::default());
    });
    assert!(zero.contains("the gap must be at least 1 ms"), "{zero}");
}
