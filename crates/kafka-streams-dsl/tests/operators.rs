//! What operators do with records that neither join nor aggregate: branches, print, chosen topics and partitions, functions
//! that may fail, processors, transformed tables, and global tables.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

mod support;

use std::io::Write;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_streams_core::handler::{Handlers, LogAndContinue};
use kafka_streams_core::serde::{I64Serde, StringSerde};
use kafka_streams_core::{
    Context, FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, PartitionChoice, Processor, Punctuation,
    PunctuationType, Record, RecordContext, Step,
};
use kafka_streams_dsl::{
    Branched, Consumed, ConsumerRecord, GlobalKTable, Grouped, KStream, KTable, Materialized, Naming, Printed,
    ProcessorSupplier, Produced, StreamsBuilder, TransformContext, ValueTransformerWithKey,
};
use kafka_streams_state::{KeyValueStore, KeyValueStoreBuilder, Stores};
use support::Driver;

fn strings(builder: &StreamsBuilder, topic: &str) -> KStream<String, String> {
    builder.stream(topic)
}

fn pipe(driver: &mut Driver, topic: &str, rows: &[(&str, &str)]) {
    rows.iter().enumerate().for_each(|(at, (key, value))| driver.pipe(topic, Some(key), Some(value), at as i64));
}

#[test]
fn a_record_goes_to_the_first_branch_that_takes_it() {
    let builder = StreamsBuilder::new();
    let branches = strings(&builder, "in")
        .split_named("by-")
        .branch(|_, v| v.starts_with('a'))
        .branch_with_function(|_, v| v.ends_with('z'), |b| b.map_values(|v| v.to_uppercase()))
        .branch_with(|_, v| v == "taken", Branched::with_consumer(|b| b.to("taken")).with_name("x"))
        .default_branch_with(Branched::named("rest"));
    assert_eq!(branches.keys().collect::<Vec<_>>(), ["by-1", "by-2", "by-rest"]);
    branches.iter().for_each(|(name, branch)| branch.to(name.as_str()));
    let mut driver = Driver::new(&builder.build().unwrap());
    pipe(&mut driver, "in", &[("k", "az"), ("k", "bz"), ("k", "taken"), ("k", "other")]);
    assert_eq!(driver.read("by-1"), ["k=az@0"]);
    assert_eq!(driver.read("by-2"), ["k=BZ@1"]);
    assert_eq!(driver.read("taken"), ["k=taken@2"]);
    assert_eq!(driver.read("by-rest"), ["k=other@3"]);
}

#[test]
fn what_no_branch_takes_is_dropped_without_a_default() {
    let builder = StreamsBuilder::new();
    let branches = strings(&builder, "in").split_named("s-").branch(|_, v| v == "a").no_default_branch();
    branches["s-1"].to("out");
    let mut driver = Driver::new(&builder.build().unwrap());
    pipe(&mut driver, "in", &[("k", "a"), ("k", "b")]);
    assert_eq!(driver.read("out"), ["k=a@0"]);
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn print_writes_the_jvms_lines() {
    let builder = StreamsBuilder::with_naming(Naming::Jvm);
    let page = Page::default();
    let stream = strings(&builder, "in");
    stream.print(Printed::to_writer(page.clone()));
    stream.print(Printed::to_writer(page.clone()).with_label("seen"));
    stream
        .print(Printed::with_key_value_mapper(page.clone(), |key, value| format!("{value} of {key}")).with_name("pr"));
    let mut driver = Driver::new(&builder.build().unwrap());
    pipe(&mut driver, "in", &[("k", "v")]);
    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text, "[KSTREAM-SOURCE-0000000000]: k, v\n[seen]: k, v\n[KSTREAM-SOURCE-0000000000]: v of k\n");
}

#[test]
fn a_function_that_fails_is_asked_about_and_has_no_result() {
    let builder = StreamsBuilder::new();
    let lines = strings(&builder, "in");
    let number = |v: &str| -> Step<i64> { Ok(v.parse::<i64>()?) };
    lines.try_map_values(move |v| number(&v)).to("map-values");
    lines.try_map(move |k, v| Ok((k, number(&v)?))).to("map");
    lines.try_filter(move |_, v| Ok(number(v)? > 1)).to("filter");
    lines.try_flat_map(move |k, v| Ok([(k.clone(), number(&v)?), (k, 0)])).to("flat-map");
    lines.try_flat_map_values(move |v| Ok(0..number(&v)?)).to("flat-map-values");
    lines.try_select_key(move |_, v| number(v)).map(|k, _| ("k".to_owned(), k)).to("select-key");
    lines.try_peek(move |_, v| number(v).map(drop)).to("peek");
    lines.try_for_each(move |_, v| number(&v).map(drop));
    let handlers = Handlers { processing: Arc::new(LogAndContinue), ..Handlers::default() };
    let mut driver = Driver::with_handlers(&builder.build().unwrap(), 0, handlers);
    pipe(&mut driver, "in", &[("k", "1"), ("k", "no"), ("k", "2")]);
    assert_eq!(driver.read("map-values"), ["k=1@0", "k=2@2"]);
    assert_eq!(driver.read("map"), ["k=1@0", "k=2@2"]);
    assert_eq!(driver.read("filter"), ["k=2@2"]);
    assert_eq!(driver.read("flat-map"), ["k=1@0", "k=0@0", "k=2@2", "k=0@2"]);
    assert_eq!(driver.read("flat-map-values"), ["k=0@0", "k=0@2", "k=1@2"]);
    assert_eq!(driver.read("select-key"), ["k=1@0", "k=2@2"]);
    assert_eq!(driver.read("peek"), ["k=1@0", "k=2@2"]);
    assert_eq!(driver.dropped(), 8);
}

#[test]
fn a_change_of_a_table_that_fails_is_asked_about_and_has_no_result() {
    let builder = StreamsBuilder::new();
    let table = builder.table::<String, String>("in");
    let number = |v: &str| -> Step<i64> { Ok(v.parse::<i64>()?) };
    table.try_map_values(move |v| number(&v)).to_stream().to("map");
    table.try_map_values_with(move |_, v| number(&v), Materialized::named("numbers")).to_stream().to("stored");
    table.try_filter(move |_, v| Ok(number(v)? > 1)).to_stream().to("filter");
    let handlers = Handlers { processing: Arc::new(LogAndContinue), ..Handlers::default() };
    let mut driver = Driver::with_handlers(&builder.build().unwrap(), 0, handlers);
    pipe(&mut driver, "in", &[("k", "1"), ("k", "no"), ("k", "2")]);
    assert_eq!(driver.read("map"), ["k=1@0", "k=2@2"]);
    assert_eq!(driver.read("stored"), ["k=1@0", "k=2@2"]);
    assert_eq!(driver.read("filter"), ["k=null@0", "k=2@2"]);
    assert_eq!(driver.dropped(), 3);
}

#[test]
fn a_partitioner_may_choose_one_several_or_no_partitions() {
    let builder = StreamsBuilder::new();
    let choose = |_: &str, _: &String, v: &String, _: i32| match v.as_str() {
        "all" => Some(vec![0, 0]),
        "none" => Some(vec![]),
        _ => None,
    };
    strings(&builder, "in").to_with("out", Produced::default().with_partitioner(choose));
    let mut driver = Driver::new(&builder.build().unwrap());
    pipe(&mut driver, "in", &[("k", "all"), ("k", "none"), ("k", "hash")]);
    assert_eq!(driver.read("out"), ["k=all@0", "k=hash@2"], "a partition is in the choice once");
    let partitions = &driver.partitions["out"];
    assert_eq!(partitions[0], PartitionChoice::Explicit(0));
    assert_eq!(partitions[1], PartitionChoice::by_key(Some(b"k")));
}

#[test]
fn a_topic_is_chosen_by_record_and_source() {
    let builder = StreamsBuilder::new();
    let both: KStream<String, String> = builder.stream(["a", "b"]);
    let choose = |k: &String, v: &String, from: &RecordContext| format!("{}-{k}-{v}", from.topic.as_deref().unwrap());
    both.to_dynamic(choose);
    let mut driver = Driver::new(&builder.build().unwrap());
    pipe(&mut driver, "a", &[("k", "v")]);
    pipe(&mut driver, "b", &[("k", "v")]);
    assert_eq!((driver.read("a-k-v"), driver.read("b-k-v")), (vec!["k=v@0".to_owned()], vec!["k=v@0".to_owned()]));
}

/// Counts the records of a key, in a store.
struct Count(Rc<KeyValueStore<String, i64>>);

impl FixedKeyProcessor for Count {
    type Key = String;
    type VIn = String;
    type VOut = i64;

    fn process(
        &mut self,
        record: FixedKeyRecord<String, String>,
        cx: &mut FixedKeyContext<'_, '_, String, i64>,
    ) -> Step {
        let count = self.0.get(record.key())?.unwrap_or(0) + 1;
        self.0.put(cx, record.key(), Some(&count))?;
        cx.forward(record.with_value(count))
    }
}

impl Processor for Count {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = i64;

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, i64>) -> Step {
        let count = self.0.get(&record.key)?.unwrap_or(0) + 1;
        self.0.put(cx, &record.key, Some(&count))?;
        cx.forward(record.with_value(count))
    }
}

struct Counting;

impl ProcessorSupplier for Counting {
    type Processor = Count;
    type Stores = (KeyValueStoreBuilder<String, i64>,);

    fn stores(&self) -> Self::Stores {
        (Stores::in_memory_key_value_store("supplied", StringSerde, I64Serde),)
    }

    fn get(&self, (counts,): (Rc<KeyValueStore<String, i64>>,)) -> Count {
        Count(counts)
    }
}

#[test]
fn a_processor_that_keeps_keys_needs_no_repartition_and_others_do() {
    let build = |keeps: bool| {
        let builder = StreamsBuilder::new();
        let counts =
            builder.add_state_store(Stores::in_memory_key_value_store("counts", StringSerde, I64Serde)).unwrap();
        let stream = strings(&builder, "in");
        let counted = if keeps { stream.process_values(counts, Count) } else { stream.process(counts, Count) };
        counted.group_by_key(Grouped::named("g")).count(Materialized::named("c")).to_stream().to("out");
        builder.build().unwrap()
    };
    assert_eq!((build(true).subtopologies().len(), build(false).subtopologies().len()), (1, 2));
    let mut driver = Driver::new(&build(true));
    pipe(&mut driver, "in", &[("k", "a"), ("k", "b")]);
    assert_eq!(driver.read("out"), ["k=1@0", "k=2@1"]);
}

#[test]
fn a_supplier_brings_its_stores_and_others_use_them_by_name() {
    let builder = StreamsBuilder::new();
    strings(&builder, "in").process_supplied(Counting).to("out");
    strings(&builder, "in")
        .process_with_stores(&["supplied"], |stores| Ok(Count(stores.named("supplied")?)))
        .to("out2");
    let topology = builder.build().unwrap();
    let mut driver = Driver::new(&topology);
    pipe(&mut driver, "in", &[("k", "a"), ("k", "b")]);
    assert_eq!(driver.read("out"), ["k=1@0", "k=3@1"]);
    assert_eq!(driver.read("out2"), ["k=2@0", "k=4@1"]);
    assert_eq!(driver.changelog_topics(), ["app-supplied-changelog"]);
}

/// Appends how many rows it has seen, and how many punctuations.
struct Seen {
    rows: i64,
    punctuations: i64,
}

impl ValueTransformerWithKey for Seen {
    type Key = String;
    type VIn = String;
    type VOut = String;

    fn init(&mut self, cx: &mut TransformContext<'_>) -> Step {
        cx.schedule(Duration::from_millis(100), PunctuationType::WallClockTime);
        Ok(())
    }

    fn transform(&mut self, _: &String, row: Option<String>, _: &mut TransformContext<'_>) -> Step<Option<String>> {
        self.rows += 1;
        Ok(row.map(|row| format!("{row}{}+{}", self.rows, self.punctuations)))
    }

    fn punctuate(&mut self, _: Punctuation, _: &mut TransformContext<'_>) -> Step {
        self.punctuations += 1;
        Ok(())
    }
}

fn seen() -> Seen {
    Seen { rows: 0, punctuations: 0 }
}

#[test]
fn a_transformed_table_sends_its_rows_and_its_deletions() {
    for stored in [false, true] {
        let builder = StreamsBuilder::new();
        let table: KTable<String, String> = builder.table("in");
        let transformed = match stored {
            true => table.transform_values_with((), |()| seen(), Materialized::named("stored")),
            false => table.transform_values((), |()| seen()),
        };
        transformed.to_stream().to("out");
        let mut driver = Driver::new(&builder.build().unwrap());
        pipe(&mut driver, "in", &[("k", "a")]);
        driver.advance_wall_clock(100).unwrap();
        pipe(&mut driver, "in", &[("k", "b")]);
        driver.pipe("in", Some("k"), None, 5);
        assert_eq!(driver.read("out"), ["k=a1+0@0", "k=b2+1@0", "k=null@5"], "{stored}");
        let logged = driver.read("app-stored-changelog");
        assert_eq!(logged.len(), if stored { 3 } else { 0 });
    }
}

#[test]
fn a_transformed_table_without_a_store_is_read_through_a_transformer_of_the_readers_own() {
    let builder = StreamsBuilder::new();
    let table: KTable<String, String> = builder.table("table");
    let transformed = table.transform_values((), |()| seen());
    strings(&builder, "in").left_join(&transformed, |l, r| format!("{l}:{}", r.unwrap_or_default())).to("out");
    let mut driver = Driver::new(&builder.build().unwrap());
    pipe(&mut driver, "table", &[("k", "a")]);
    pipe(&mut driver, "in", &[("k", "x"), ("k", "y"), ("other", "z")]);
    assert_eq!(driver.read("out"), ["k=x:a1+0@0", "k=y:a2+0@1", "other=z:@2"]);
}

#[test]
fn a_table_becomes_a_stream_under_another_key() {
    let builder = StreamsBuilder::new();
    let table: KTable<String, String> = builder.table("in");
    table.to_stream_with_key(|k, v| format!("{k}{}", v.as_deref().unwrap_or("-"))).to("out");
    let mut driver = Driver::new(&builder.build().unwrap());
    pipe(&mut driver, "in", &[("k", "a")]);
    driver.pipe("in", Some("k"), None, 1);
    assert_eq!(driver.read("out"), ["ka=a@0", "k-=null@1"]);
}

#[test]
fn the_time_of_a_tables_row_is_what_its_extractor_says_also_of_a_deletion() {
    let builder = StreamsBuilder::new();
    let length =
        |record: &ConsumerRecord<'_, String, String>, _: i64| record.value.map_or(record.offset, |v| v.len() as i64);
    let consumed = Consumed::default().with_custom_timestamp_extractor(length);
    let table: KTable<String, String> = builder.table_with("in", consumed, Materialized::default());
    table.to_stream().to("out");
    let mut driver = Driver::new(&builder.build().unwrap());
    driver.pipe("in", Some("k"), Some("four"), 77);
    driver.pipe("in", Some("k"), None, 78);
    assert_eq!(driver.read("out"), ["k=four@4", "k=null@1"]);
}

#[test]
fn a_global_table_is_joined_by_any_key_and_gives_no_results_itself() {
    let builder = StreamsBuilder::new();
    let table: GlobalKTable<Option<String>, String> = builder.global_table("g");
    let stream: KStream<String, Option<String>> = builder.stream("in");
    let by_value = |_: &String, v: &Option<String>| v.clone().filter(|v| v != "null key");
    let text = |l: Option<String>, r: &str| format!("{}:{r}", l.unwrap_or_default());
    stream.join_global(&table, by_value, move |l, r: String| text(l, &r)).to("inner");
    stream
        .left_join_global(&table, by_value, move |l, r: Option<String>| text(l, r.as_deref().unwrap_or("-")))
        .to("left");
    let mut driver = Driver::new(&builder.build().unwrap());
    driver.pipe("in", Some("k"), Some("p"), 0);
    driver.pipe("g", Some("p"), Some("pen"), 1);
    driver.pipe("in", Some("k"), Some("p"), 2);
    driver.pipe("in", Some("k"), Some("null key"), 3);
    driver.pipe("in", Some("k"), None, 4);
    driver.pipe("g", Some("p"), None, 5);
    driver.pipe("in", Some("k"), Some("p"), 6);
    assert_eq!(driver.read("inner"), ["k=p:pen@2"]);
    assert_eq!(driver.read("left"), ["k=p:-@0", "k=p:pen@2", "k=null key:-@3", "k=p:-@6"]);
    assert_eq!(driver.dropped(), 3, "null value twice, null key once");
}

#[test]
fn every_processor_reads_a_global_store_by_name() {
    struct Keep(Rc<KeyValueStore<String, String>>);
    impl Processor for Keep {
        type KIn = String;
        type VIn = String;
        type KOut = ();
        type VOut = ();
        fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, (), ()>) -> Step {
            self.0.put(cx, &record.key, Some(&record.value.to_uppercase()))
        }
    }
    struct Read(Rc<KeyValueStore<String, String>>);
    impl Processor for Read {
        type KIn = String;
        type VIn = String;
        type KOut = String;
        type VOut = String;
        fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
            let found = self.0.get(&record.value)?.unwrap_or_default();
            cx.forward(record.with_value(found))
        }
    }
    let builder = StreamsBuilder::new();
    let names = Stores::in_memory_key_value_store("names", StringSerde, StringSerde);
    builder.add_global_store(names, "g", Consumed::default(), Keep);
    strings(&builder, "in").process_with_stores(&[], |stores| Ok(Read(stores.named("names")?))).to("out");
    let mut driver = Driver::new(&builder.build().unwrap());
    pipe(&mut driver, "g", &[("p", "pen")]);
    pipe(&mut driver, "in", &[("k", "p")]);
    assert_eq!(driver.read("out"), ["k=PEN@0"]);
}

#[test]
fn sources_that_overlap_are_refused_with_both_names() {
    let error = |declare: &dyn Fn(&StreamsBuilder)| {
        let builder = StreamsBuilder::new();
        declare(&builder);
        builder.build().unwrap_err().to_string()
    };
    let text = error(&|builder| {
        strings(builder, "orders-eu").to("o");
        builder.stream_matching::<String, String>("orders-.*").to("o");
    });
    assert!(text.contains("orders-eu") && text.contains("orders-.*"), "{text}");
    let text = error(&|builder| builder.stream_matching::<String, String>("orders-(").to("o"));
    assert!(text.contains("orders-("), "{text}");
    let text = error(&|builder| {
        let _: GlobalKTable<String, String> = builder.global_table("g");
        strings(builder, "g").to("o");
    });
    assert!(text.contains("topic g"), "{text}");
}

#[test]
fn streams_of_one_pattern_share_one_source() {
    let builder = StreamsBuilder::new();
    builder.stream_matching::<String, String>("in-.*").to("a");
    builder.stream_matching::<String, String>("in-.*").to("b");
    let topology = builder.build().unwrap();
    assert_eq!(topology.subtopologies().len(), 1);
    let mut driver = Driver::new(&topology);
    pipe(&mut driver, "in-x", &[("k", "v")]);
    assert_eq!((driver.read("a").len(), driver.read("b").len()), (1, 1));
}
