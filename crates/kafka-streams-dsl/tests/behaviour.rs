//! What a record does in topologies of the DSL, where no other implementation is needed to say what is right.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

mod support;

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_streams_core::serde::{I64Serde, OptionSerde, StringSerde};
use kafka_streams_core::{Context, Processor, Punctuation, PunctuationType, Record, Step};
use kafka_streams_dsl::{
    BuildError, Consumed, Grouped, IntoRow, KStream, KTable, Materialized, Naming, Produced, Repartitioned,
    StreamsBuilder, TimeWindowedSerde, TimeWindows,
};
use kafka_streams_state::{KeyValueStore, Stores};
use kafka_streams_topology::Topology;
use support::Driver;

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

fn word_count(caching: bool) -> Topology {
    build(|builder| {
        let counts = Materialized::named("word-counts");
        builder
            .stream::<Option<String>, String>("lines")
            .flat_map_values(|line| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
            .group_by(|_, word| word.clone(), Grouped::named("by-word"))
            .count(if caching { counts } else { counts.with_caching_disabled() })
            .to_stream()
            .to("counts");
    })
}

#[test]
fn words_are_counted_through_a_repartition_topic() {
    let mut driver = Driver::new(&word_count(true));
    driver.pipe("lines", None, Some("To be or not to be"), 5);
    driver.pipe("lines", Some("ignored"), Some("be"), 3);
    assert_eq!(driver.read("app-by-word-repartition").len(), 7);
    // The repartitioned words come one by one, each with a flush of its own. The late word keeps the time of its row.
    assert_eq!(driver.read("counts"), ["to=1@5", "be=1@5", "or=1@5", "not=1@5", "to=2@5", "be=2@5", "be=3@5"]);
    assert_eq!(driver.read("app-word-counts-changelog").len(), 7);
}

#[test]
fn without_caching_every_update_is_sent_on_at_once() {
    let topology = |caching: bool| {
        build(|builder| {
            let sums = Materialized::named("sums");
            builder
                .stream::<String, String>("in")
                .flat_map_values(|text| text.chars().map(|c| c.to_string()).collect::<Vec<_>>())
                .group_by_key(Grouped::default())
                .reduce(|a, b| a + &b, if caching { sums } else { sums.with_caching_disabled() })
                .to_stream()
                .to("out");
        })
    };
    for (caching, out) in [(false, vec!["k=a@1", "k=ab@1", "k=abc@1"]), (true, vec!["k=abc@1"])] {
        let mut driver = Driver::new(&topology(caching));
        driver.pipe("in", Some("k"), Some("abc"), 1);
        assert_eq!(driver.read("out"), out, "caching {caching}");
        assert_eq!(driver.read("app-sums-changelog").len(), out.len());
    }
}

#[test]
fn late_records_count_until_their_window_is_closed() {
    let topology = build(|builder| {
        builder
            .stream::<String, String>("in")
            .group_by_key(Grouped::default())
            .windowed_by(TimeWindows::of_size_and_grace(Duration::from_millis(10), Duration::from_millis(5)))
            .count(Materialized::named("per-window").with_caching_disabled())
            .to_stream()
            .to_with("out", Produced::windowed());
    });
    let mut driver = Driver::new(&topology);
    for (value, time) in [("a", 3), ("b", 14), ("late, within the grace", 4), ("c", 15), ("too late", 9), ("d", 11)] {
        driver.pipe("in", Some("k"), Some(value), time);
    }
    assert_eq!(driver.read("out"), ["k@0=1@3", "k@10=1@14", "k@0=2@4", "k@10=2@15", "k@10=3@15"]);
    assert_eq!(driver.dropped(), 1);
}

#[test]
fn windows_of_a_key_are_in_one_partition_of_the_output() {
    use kafka_streams_core::PartitionChoice;
    let topology = build(|builder| {
        let counts = builder
            .stream::<String, String>("in")
            .group_by_key(Grouped::default())
            .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_millis(10)))
            .count(Materialized::default());
        let changes = counts.filter(|_, _| true).to_stream();
        changes.to_with("out", Produced::windowed());
        // The stream knows that its keys are windowed, whatever is said of their serde.
        let keys = TimeWindowedSerde::new(StringSerde, Duration::from_millis(10));
        changes.to_with("out2", Produced::with(keys, OptionSerde(I64Serde)));
    });
    let mut driver = Driver::new(&topology);
    driver.pipe("in", Some("a"), Some("x"), 3);
    driver.pipe("in", Some("a"), Some("x"), 13);
    let keys: Vec<_> = driver.topics["out"].iter().map(|record| record.key.clone().unwrap()).collect();
    assert_eq!(keys, [b"a\0\0\0\0\0\0\0\0", b"a\0\0\0\0\0\0\0\x0a"]);
    let hash = kafka_streams_core::murmur2(b"a");
    assert_eq!(driver.partitions["out"], [PartitionChoice::ByHash(hash); 2]);
    assert_eq!(driver.partitions["out2"], [PartitionChoice::ByHash(hash); 2]);
}

#[test]
fn a_table_deletes_rows_and_drops_null_keys() {
    let topology = build(|builder| {
        let table: KTable<Option<String>, String> =
            builder.table_with("in", Consumed::default(), Materialized::named("rows").with_caching_disabled());
        table.map_values(|value| value.len() as i64).to_stream().to("out");
    });
    let mut driver = Driver::new(&topology);
    driver.pipe("in", Some("k"), Some("one"), 5);
    driver.pipe("in", None, Some("two"), 6);
    driver.pipe("in", Some("k"), None, 7);
    driver.pipe("in", Some("other"), None, 8);
    assert_eq!(driver.read("out"), ["k=3@5", "k=null@7", "other=null@8"]);
    assert_eq!(driver.dropped(), 1);
}

#[test]
fn a_filter_below_a_store_sends_no_needless_deletions() {
    let topology = |name: Option<&'static str>| {
        build(|builder| {
            let stored = name.map_or_else(Materialized::default, Materialized::named).with_caching_disabled();
            let table: KTable<String, String> = builder.table_with("in", Consumed::default(), stored);
            table.filter(|_, value| value.starts_with('x')).to_stream().to("out");
        })
    };
    let run = |topology: &Topology| {
        let mut driver = Driver::new(topology);
        for value in ["no", "x1", "no", "still not"] {
            driver.pipe("in", Some("k"), Some(value), 1);
        }
        driver.read("out")
    };
    assert_eq!(run(&topology(Some("stored"))), ["k=x1@1", "k=null@1"]);
    assert_eq!(run(&topology(None)), ["k=null@1", "k=x1@1", "k=null@1", "k=null@1"]);
}

#[test]
fn a_stream_of_nulls_and_values_becomes_a_table_of_values() {
    fn rows<V: IntoRow<i64>>(stream: &KStream<String, V>) -> KTable<String, i64> {
        stream.to_table_with(Materialized::named("rows").with_caching_disabled())
    }
    let with_nulls = build(|builder| rows(&builder.stream::<String, Option<i64>>("in")).to_stream().to("out"));
    let without = build(|builder| rows(&builder.stream::<String, i64>("in")).to_stream().to("out"));
    assert_eq!(with_nulls.describe(), without.describe());
    let mut driver = Driver::new(&with_nulls);
    let one = 1_i64.to_be_bytes();
    driver.pipe("in", Some("k"), Some(std::str::from_utf8(&one).unwrap()), 1);
    driver.pipe("in", Some("k"), None, 2);
    assert_eq!(driver.read("out"), ["k=1@1", "k=null@2"]);
}

#[test]
fn a_new_key_is_repartitioned_before_a_table_and_a_join() {
    let topology = build(|builder| {
        let names: KTable<String, String> = builder.table("names");
        let orders = builder.stream::<Option<String>, String>("orders").select_key(|_, order| {
            let (customer, _) = order.split_once(' ')?;
            Some(customer.to_owned())
        });
        let names = names.to_stream().select_key(|k, _| Some(k.clone())).flat_map_values(|v| v).to_table();
        let named = orders.left_join(&names, |order, name| format!("{order}: {}", name.unwrap_or("?".to_owned())));
        named.to("out");
    });
    let mut driver = Driver::new(&topology);
    driver.pipe("names", Some("c1"), Some("Ada"), 1);
    driver.pipe("orders", Some("x"), Some("c1 5"), 2);
    driver.pipe("orders", Some("x"), Some("c2 6"), 3);
    // A null key passes the repartition topic, because the join below takes it.
    driver.pipe("orders", Some("x"), Some("nobody"), 4);
    assert_eq!(driver.read("out"), ["c1=c1 5: Ada@2", "c2=c2 6: ?@3", "null=nobody: ?@4"]);
    assert_eq!(driver.dropped(), 0);
}

#[test]
fn a_repartition_topic_drops_null_keys() {
    let topology = build(|builder| {
        builder.stream::<Option<String>, String>("in").repartition(Repartitioned::named("r")).to("out");
    });
    let mut driver = Driver::new(&topology);
    driver.pipe("in", None, Some("lost"), 1);
    driver.pipe("in", Some("k"), Some("kept"), 2);
    assert_eq!(driver.read("out"), ["k=kept@2"]);
}

#[test]
fn merged_streams_and_streams_used_twice_keep_their_records() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let topology = build(|builder| {
        let (left, right) = (builder.stream::<String, String>("l"), builder.stream("r"));
        let both = left.merge(&right);
        both.to("o1");
        both.map_values(|value| value + "!").to("o2");
        let seen = seen.clone();
        both.for_each(move |key, value| seen.lock().unwrap().push(format!("{key}{value}")));
    });
    assert_eq!(topology.subtopologies().len(), 1);
    let mut driver = Driver::new(&topology);
    driver.pipe("l", Some("a"), Some("1"), 1);
    driver.pipe("r", Some("b"), Some("2"), 2);
    assert_eq!(driver.read("o1"), ["a=1@1", "b=2@2"]);
    assert_eq!(driver.read("o2"), ["a=1!@1", "b=2!@2"]);
    assert_eq!(*seen.lock().unwrap(), ["a1", "b2"]);
}

/// Adds numbers up, and tells the sums on a timer.
struct Totals {
    totals: Rc<KeyValueStore<String, i64>>,
    last: Rc<KeyValueStore<String, String>>,
    every: Duration,
    clock: PunctuationType,
}

impl Processor for Totals {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = i64;

    fn init(&mut self, cx: &mut Context<'_, String, i64>) -> Step {
        cx.schedule(self.every, self.clock);
        Ok(())
    }

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, i64>) -> Step {
        let number: i64 = record.value.parse()?;
        let total = self.totals.get(&record.key)?.unwrap_or(0) + number;
        self.totals.put(cx, &record.key, Some(&total))?;
        self.last.put(cx, &record.key, Some(&record.value))
    }

    fn punctuate(&mut self, _: Punctuation, cx: &mut Context<'_, String, i64>) -> Step {
        let time = cx.current_stream_time_ms();
        for row in self.totals.all() {
            let (key, total) = row?;
            cx.forward(Record::new(key, total, time))?;
        }
        Ok(())
    }
}

fn totals(clock: PunctuationType) -> Topology {
    let builder = StreamsBuilder::with_naming(Naming::Jvm);
    let totals = Stores::persistent_key_value_store("totals", StringSerde, I64Serde);
    let totals = builder.add_state_store(totals).unwrap();
    let last = builder.add_state_store(Stores::in_memory_key_value_store("last", StringSerde, StringSerde)).unwrap();
    let every = Duration::from_millis(10);
    builder
        .stream("in")
        .process_named("add", (totals, last), move |(totals, last)| Totals { totals, last, every, clock })
        .to("out");
    builder.build().unwrap()
}

#[test]
fn a_processor_has_its_stores_and_is_woken_by_stream_time() {
    let topology = totals(PunctuationType::StreamTime);
    // A processor with a name draws no number.
    assert!(
        topology.describe().contains("Processor: add (stores: [totals, last])")
            || topology.describe().contains("[last, totals]")
    );
    assert!(topology.describe().contains("Sink: KSTREAM-SINK-0000000001"), "{}", topology.describe());
    let mut driver = Driver::new(&topology);
    driver.pipe("in", Some("a"), Some("1"), 5);
    assert_eq!(driver.read("out"), ["a=1@5"]);
    driver.pipe("in", Some("a"), Some("2"), 9);
    assert_eq!(driver.read("out"), Vec::<String>::new());
    driver.pipe("in", Some("b"), Some("7"), 10);
    assert_eq!(driver.read("out"), ["a=3@10", "b=7@10"]);
    assert_eq!(driver.read("app-totals-changelog").len(), 3);
}

#[test]
fn a_processor_is_woken_by_the_wall_clock() {
    let mut driver = Driver::new(&totals(PunctuationType::WallClockTime));
    driver.pipe("in", Some("a"), Some("1"), 5);
    driver.advance_wall_clock(9).unwrap();
    assert_eq!(driver.read("out"), Vec::<String>::new());
    driver.advance_wall_clock(1).unwrap();
    assert_eq!(driver.read("out"), ["a=1@5"]);
}

#[test]
fn with_counters_by_class_a_new_operator_renumbers_only_its_class() {
    let names = |with_map: bool| {
        let topology = build(|builder| {
            let stream: KStream<String, String> = builder.stream("in");
            let stream = if with_map { stream.map_values(|v| v) } else { stream };
            stream
                .filter(|_, _| true)
                .select_key(|_, v| v.clone())
                .group_by_key(Grouped::default())
                .count(Materialized::default());
        });
        let names: Vec<String> = topology.nodes().iter().map(|node| node.name.to_string()).collect();
        names
    };
    let mut with_map = names(true);
    with_map.retain(|name| name != "KSTREAM-MAPVALUES-0000000000");
    assert_eq!(names(false), with_map);
    assert!(with_map.contains(&"KSTREAM-FILTER-0000000000".to_owned()));
    assert!(with_map.contains(&"KSTREAM-AGGREGATE-0000000000".to_owned()));
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let text = error(|builder| {
        builder.stream::<String, String>("a b").filter_named("", |_, _| true).to("out");
        builder
            .stream::<String, String>("in")
            .group_by_key(Grouped::default())
            .windowed_by(TimeWindows::of_size_with_no_grace(Duration::ZERO))
            .count(Materialized::named("c"));
    });
    assert!(text.starts_with("3 mistakes: (1) "), "{text}");
    for part in ["`a b` contains ' '", "the name is empty", "the size must be at least 1 ms"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn mistakes_that_only_the_whole_shows_are_reported_too() {
    let one = |builder: &StreamsBuilder| builder.stream::<String, String>(["a", "b"]).to("o1");
    let text = error(|builder| {
        one(builder);
        builder.stream::<String, String>("b").to("o2");
    });
    assert!(text.contains("topic b is read by two streams"), "{text}");
    let text = error(|builder| {
        one(builder);
        builder.stream::<String, i64>(["b", "a"]).to("o2");
    });
    assert!(text.contains("different types"), "{text}");
    let text = error(|builder| {
        let other = StreamsBuilder::new();
        builder.stream::<String, String>("a").merge(&other.stream("b")).to("o");
    });
    assert!(text.contains("two builders"), "{text}");
    let builder = StreamsBuilder::new();
    builder.stream::<String, String>("a").filter_named("f", |_, _| true).filter_named("f", |_, _| true).to("o");
    let error = builder.build().unwrap_err();
    let BuildError::DuplicateName { what: "node", name, first, second } = &error else { panic!("{error}") };
    assert_eq!((name.as_str(), first.file(), first.line()), ("f", file!(), second.line()));
    assert!(first.column() < second.column(), "{error}");
}

#[test]
fn names_that_break_the_rules_are_reported_with_their_places() {
    let builder = StreamsBuilder::new();
    let first = line!() + 1;
    let lines = builder.stream::<String, String>(["fine", "not fine"]);
    builder.table::<String, String>("ta/ble");
    builder.global_table::<String, String>("glo:bal");
    let grouped = lines.map_named("a b", |k, v| (k, v)).group_by_key(Grouped::named("c d"));
    grouped.count(Materialized::named("e f"));
    grouped.windowed_by(minutes()).count(Materialized::named("g h"));
    lines.to_table_with(Materialized::named(".."));
    lines.repartition(kafka_streams_dsl::Repartitioned::named("i j")).to("k l");
    lines.split_named("m n").no_default_branch();
    let BuildError::Several { errors } = builder.build().unwrap_err() else { panic!() };
    let mut told = Vec::new();
    for error in &errors {
        let BuildError::IllegalName { what, place, .. } = error else { panic!("{error}") };
        assert!(place.file().ends_with("behaviour.rs") && error.to_string().contains("behaviour.rs:"), "{error}");
        told.push((*what, place.line() - first));
    }
    assert_eq!(
        told,
        [
            ("topic", 0),
            ("topic", 1),
            ("topic", 2),
            ("node", 3),
            ("store", 4),
            ("repartition topic", 4),
            ("store", 5),
            ("store", 6),
            ("repartition topic", 7),
            ("topic", 7),
            ("node", 8),
        ]
    );
}

#[test]
fn names_that_are_given_twice_are_reported_with_both_places() {
    let builder = StreamsBuilder::new();
    let lines = builder.stream_with::<String, String>("lines", kafka_streams_dsl::Consumed::named("read"));
    let first = line!() + 1;
    lines.group_by_key(Grouped::default()).count(Materialized::named("counts"));
    lines.group_by_key(Grouped::default()).windowed_by(minutes()).count(Materialized::named("counts"));
    lines.repartition(kafka_streams_dsl::Repartitioned::named("spread")).to("a");
    lines.select_key(|_, v| v.clone()).group_by_key(Grouped::named("spread")).count(Materialized::named("other"));
    lines.map_named("read", |k, v| (k, v)).to("b");
    let BuildError::Several { errors } = builder.build().unwrap_err() else { panic!() };
    let mut told = Vec::new();
    for error in &errors {
        let BuildError::DuplicateName { what, name, first, second } = error else { panic!("{error}") };
        assert!(first.file().ends_with("behaviour.rs") && second.file().ends_with("behaviour.rs"), "{error}");
        told.push((*what, name.as_str(), first.line(), second.line()));
    }
    assert_eq!(
        told,
        [
            ("store", "counts", first, first + 1),
            ("repartition topic", "spread", first + 2, first + 3),
            ("node", "read", first - 2, first + 4),
        ]
    );
    // What a grouping, a node and a store call the same is no duplicate.
    let builder = StreamsBuilder::new();
    let words = builder.stream::<String, String>("words").group_by(|_, v| v.clone(), Grouped::named("same"));
    words.count(Materialized::named("same"));
    words.reduce(|_, new| new, Materialized::named("last"));
    assert!(builder.build().is_ok());
}

fn minutes() -> TimeWindows {
    TimeWindows::of_size_with_no_grace(Duration::from_secs(60))
}

#[test]
fn streams_of_one_topic_share_a_source() {
    let topology = build(|builder| {
        builder.stream::<String, String>(["a", "b"]).to("o1");
        builder.stream::<String, String>(["b", "a"]).to("o2");
    });
    assert_eq!(topology.nodes().len(), 3);
    let mut driver = Driver::new(&topology);
    driver.pipe("b", Some("k"), Some("v"), 1);
    assert_eq!((driver.read("o1"), driver.read("o2")), (vec!["k=v@1".to_owned()], vec!["k=v@1".to_owned()]));
}

#[test]
fn a_serde_that_was_given_goes_along_as_long_as_the_type_stays() {
    /// Strings in capitals.
    struct Loud;
    impl kafka_streams_core::Serde for Loud {
        type Target = String;

        fn serialize(&self, _: &str, value: &String, out: &mut Vec<u8>) -> Result<(), kafka_streams_core::SerdeError> {
            out.extend_from_slice(value.to_uppercase().as_bytes());
            Ok(())
        }

        fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<String, kafka_streams_core::SerdeError> {
            StringSerde.deserialize(topic, bytes)
        }
    }
    let topology = build(|builder| {
        let stream = builder.stream_with("in", Consumed::with(StringSerde, Loud));
        stream.filter(|_, _| true).to("kept");
        stream.map_values(|v| v).to("changed");
        stream.to_with("said", Produced::with(Loud, StringSerde));
    });
    let mut driver = Driver::new(&topology);
    driver.pipe("in", Some("k"), Some("v"), 1);
    assert_eq!(driver.read("kept"), ["k=V@1"]);
    assert_eq!(driver.read("changed"), ["k=v@1"]);
    assert_eq!(driver.read("said"), ["K=v@1"]);
}

#[test]
fn builders_and_streams_can_be_held_over_an_await_and_topologies_shared() {
    fn is_send<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    is_send::<StreamsBuilder>();
    is_send::<KStream<String, String>>();
    is_send::<KTable<String, String>>();
    is_shared::<Topology>();
}
