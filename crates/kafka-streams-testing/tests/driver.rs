//! What a test can do with the driver, and what it is told when it asks for the wrong thing.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::rc::Rc;
use std::time::Duration;

use kafka_streams_core::handler::LogAndContinue;
use kafka_streams_core::serde::{I64Serde, StringSerde};
use kafka_streams_core::{Context, Processor, Punctuation, PunctuationType, Record, Step};
use kafka_streams_dsl::{Grouped, Materialized, Repartitioned, StreamsBuilder};
use kafka_streams_state::{KeyValueStore, Stores, TimestampedKeyValueStore, ValueAndTimestamp};
use kafka_streams_testing::{
    CommitMode, MockProcessorContext, TestDriverError, TestDriverSettings, TestRecord, TopologyTestDriver,
};
use kafka_streams_topology::Topology;

fn counting() -> Topology {
    let builder = StreamsBuilder::new();
    let clicks = builder.stream::<String, String>("clicks");
    clicks.group_by_key(Grouped::default()).count(Materialized::named("counts")).to_stream().to("counts");
    builder.build().unwrap()
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn records_keep_their_headers_and_the_input_topic_keeps_the_time() {
    let builder = StreamsBuilder::new();
    builder.stream::<String, String>("in").to("out");
    let driver = TopologyTestDriver::new(&builder.build().unwrap()).unwrap();
    let input = driver.create_input_topic::<String, String>("in").with_start_timestamp(100);
    let input = input.with_auto_advance(Duration::from_millis(5));
    let output = driver.create_output_topic::<String, String>("out");
    let with_header = TestRecord::new(text("a"), text("1")).with_header("h", Some(vec![7]));
    input.pipe_record(&with_header).unwrap();
    input.pipe_input(text("b"), text("2")).unwrap();
    input.advance_time(Duration::from_millis(90)).unwrap();
    input.pipe_input(text("c"), text("3")).unwrap();
    assert_eq!(output.queue_size().unwrap(), 3);
    assert_eq!(output.read_record().unwrap(), with_header.with_timestamp(100));
    let times: Vec<_> = output.read_records_to_list().unwrap().iter().map(|record| record.timestamp).collect();
    assert_eq!(times, [Some(105), Some(200)]);
    assert!(output.is_empty().unwrap());
    assert!(matches!(output.read_value(), Err(TestDriverError::NoMoreRecords { .. })));
    assert_eq!(driver.stream_time().unwrap(), 200);
}

#[test]
fn every_record_is_committed_unless_the_test_says_when() {
    let clicks = |driver: &TopologyTestDriver| {
        let clicks = driver.create_input_topic::<String, String>("clicks");
        clicks.pipe_key_values([(text("jane"), text("x")), (text("jane"), text("y"))]).unwrap();
    };
    let driver = TopologyTestDriver::new(&counting()).unwrap();
    clicks(&driver);
    let counts = driver.create_output_topic::<String, i64>("counts");
    assert_eq!(counts.read_values_to_list().unwrap(), [1, 2]);

    let settings = TestDriverSettings::default().with_commit_mode(CommitMode::Manual);
    let driver = TopologyTestDriver::with_settings(&counting(), settings).unwrap();
    clicks(&driver);
    let counts = driver.create_output_topic::<String, i64>("counts");
    assert!(counts.is_empty().unwrap(), "updates wait in the cache");
    driver.commit().unwrap();
    assert_eq!(counts.read_key_values_to_list().unwrap(), [(text("jane"), 2)]);
}

#[test]
fn internal_topics_can_be_read_by_their_full_names() {
    let settings = TestDriverSettings::default().with_application_id("shop");
    let driver = TopologyTestDriver::with_settings(&counting(), settings).unwrap();
    let clicks = driver.create_input_topic::<String, String>("clicks");
    clicks.pipe_input_at(text("jane"), text("x"), 7).unwrap();
    let names = driver.produced_topic_names().unwrap();
    assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["counts", "shop-counts-changelog"]);
    let changelog = driver.create_output_topic_with("shop-counts-changelog", StringSerde, I64Serde);
    assert_eq!(changelog.read_record().unwrap(), TestRecord::new(text("jane"), 1).with_timestamp(7));
}

#[test]
fn a_record_runs_through_repartition_topics_before_the_next_one() {
    let builder = StreamsBuilder::new();
    let lines = builder.stream::<String, String>("lines");
    let words = lines.flat_map(|_, line| line.split(' ').map(|word| (word.to_owned(), 1)).collect::<Vec<_>>());
    words.repartition(Repartitioned::named("words")).map_values(|one: i64| one * 10).to("out");
    let driver = TopologyTestDriver::new(&builder.build().unwrap()).unwrap();
    let lines = driver.create_input_topic::<String, String>("lines");
    lines.pipe_input(text("k"), text("b a")).unwrap();
    let out = driver.create_output_topic::<String, i64>("out");
    assert_eq!(out.read_key_values_to_list().unwrap(), [(text("b"), 10), (text("a"), 10)]);
}

#[test]
fn a_topology_that_feeds_itself_without_end_is_told() {
    let builder = StreamsBuilder::new();
    builder.stream::<String, i64>("loop").map_values(|value| value + 1).to("loop");
    let settings = TestDriverSettings::default().with_max_records_per_step(50);
    let driver = TopologyTestDriver::with_settings(&builder.build().unwrap(), settings).unwrap();
    let error = driver.create_input_topic::<String, i64>("loop").pipe_input(text("k"), 0).unwrap_err();
    assert!(matches!(&error, TestDriverError::NeverQuiet { records: 51, topic } if &**topic == "loop"), "{error}");
    assert!(error.to_string().contains("writes to topics that it reads"), "{error}");
}

#[test]
fn a_topology_that_feeds_itself_for_a_while_runs_to_its_end() {
    let builder = StreamsBuilder::new();
    builder.stream::<String, i64>("loop").filter(|_, value| *value > 0).map_values(|value| value - 1).to("loop");
    let driver = TopologyTestDriver::new(&builder.build().unwrap()).unwrap();
    driver.create_input_topic::<String, i64>("loop").pipe_input(text("k"), 3).unwrap();
    let out = driver.create_output_topic::<String, i64>("loop");
    assert_eq!(out.read_values_to_list().unwrap(), [2, 1, 0]);
}

#[test]
fn a_record_of_a_global_table_is_there_at_once_and_moves_no_stream_time() {
    let builder = StreamsBuilder::new();
    let names = builder.global_table::<String, String>("names");
    let clicks = builder.stream::<String, String>("clicks");
    clicks.join_global(&names, |key, _| key.clone(), |click, name| format!("{click} {name}")).to("out");
    clicks.to("names");
    let settings = TestDriverSettings::default().with_partitions(2);
    let driver = TopologyTestDriver::with_settings(&builder.build().unwrap(), settings).unwrap();
    let names = driver.create_input_topic::<String, String>("names");
    names.pipe_record(&TestRecord::new(text("jane"), text("Doe")).with_timestamp(900)).unwrap();
    assert_eq!(driver.stream_time().unwrap(), -1);
    let clicks = driver.create_input_topic::<String, String>("clicks");
    let click = |at| TestRecord::new(text("jane"), text("home")).with_timestamp(at);
    clicks.pipe_record(&click(5)).unwrap();
    // What the topology itself writes to the global topic is there with the next record.
    clicks.pipe_record(&click(7)).unwrap();
    let output = driver.create_output_topic::<String, String>("out");
    assert_eq!(output.read_values_to_list().unwrap(), ["home Doe", "home home"]);
    assert_eq!(driver.stream_time().unwrap(), 7);
}

#[test]
fn with_several_partitions_equal_keys_meet_in_one_task() {
    let settings = TestDriverSettings::default().with_partitions(4);
    let driver = TopologyTestDriver::with_settings(&counting(), settings).unwrap();
    let clicks = driver.create_input_topic::<String, String>("clicks");
    for user in ["a", "b", "c", "a"] {
        clicks.pipe_input(text(user), text("x")).unwrap();
    }
    let counts = driver.create_output_topic::<String, i64>("counts");
    assert_eq!(counts.read_key_values_to_map().unwrap()["a"], 2);
    let rows = |partition| {
        let store = driver.store_of_partition::<TimestampedKeyValueStore<String, i64>>("counts", partition).unwrap();
        store.all().count()
    };
    assert_eq!((0..4).map(rows).sum::<usize>(), 3);
    assert!((0..4).map(rows).filter(|rows| *rows > 0).count() > 1, "the keys are spread");
    let record = TestRecord::new(text("a"), text("x"));
    assert!(matches!(clicks.pipe_record_to(4, &record), Err(TestDriverError::UnknownPartition { .. })));
    clicks.pipe_record_to(3, &record).unwrap();
}

#[test]
fn stores_can_be_read_and_written() {
    let driver = TopologyTestDriver::new(&counting()).unwrap();
    let key = text("jane");
    driver
        .with_store("counts", |counts: &TimestampedKeyValueStore<String, i64>, cx| {
            counts.put(cx, &key, Some(&ValueAndTimestamp::new(41, 0)))
        })
        .unwrap()
        .unwrap();
    driver.create_input_topic::<String, String>("clicks").pipe_input_at(text("jane"), text("x"), 9).unwrap();
    let counts = driver.timestamped_key_value_store::<String, i64>("counts").unwrap();
    assert_eq!(counts.get(&key).unwrap(), Some(ValueAndTimestamp::new(42, 9)));
    let error = driver.key_value_store::<String, i64>("counts").unwrap_err();
    assert!(error.to_string().contains("the stores are counts"), "{error}");
}

#[test]
fn mistakes_of_the_test_are_named() {
    let driver = TopologyTestDriver::new(&counting()).unwrap();
    let error = driver.create_input_topic::<String, String>("clocks").pipe_input(text("k"), text("v")).unwrap_err();
    assert_eq!(error.to_string(), "topic clocks is not read by the topology; it reads clicks");
    driver.create_input_topic::<String, String>("clicks").pipe_input(text("k"), text("v")).unwrap();
    let wrong = driver.create_output_topic::<String, i32>("counts").read_value().unwrap_err();
    assert!(wrong.to_string().starts_with("cannot read the value of a record of topic counts"), "{wrong}");
}

#[test]
fn handlers_decide_about_records_that_cannot_be_read() {
    let builder = StreamsBuilder::new();
    builder.stream::<String, i64>("in").to("out");
    let topology = builder.build().unwrap();
    let pipe = |driver: &TopologyTestDriver| {
        driver.create_input_topic::<String, String>("in").pipe_input(text("k"), text("no number"))
    };
    let failing = TopologyTestDriver::new(&topology).unwrap();
    assert!(matches!(pipe(&failing), Err(TestDriverError::Task(_))));
    let settings = TestDriverSettings::default().with_deserialization_handler(LogAndContinue);
    let driver = TopologyTestDriver::with_settings(&topology, settings).unwrap();
    pipe(&driver).unwrap();
    assert_eq!(driver.dropped_records().unwrap(), 1);
}

/// Keeps the last value of each key, and sends it on every ten seconds.
struct Latest {
    last: Rc<KeyValueStore<String, i64>>,
}

impl Processor for Latest {
    type KIn = String;
    type VIn = i64;
    type KOut = String;
    type VOut = i64;

    fn init(&mut self, cx: &mut Context<'_, String, i64>) -> Step {
        cx.schedule(Duration::from_secs(10), PunctuationType::WallClockTime);
        Ok(())
    }

    fn process(&mut self, record: Record<String, i64>, cx: &mut Context<'_, String, i64>) -> Step {
        self.last.put(cx, &record.key, Some(&record.value))
    }

    fn punctuate(&mut self, _: Punctuation, cx: &mut Context<'_, String, i64>) -> Step {
        let rows = self.last.all().collect::<Step<Vec<_>>>()?;
        let now = cx.current_system_time_ms();
        rows.into_iter().try_for_each(|(key, value)| cx.forward(Record::new(key, value, now)))
    }
}

#[test]
fn the_wall_clock_moves_when_the_test_moves_it() {
    let builder = StreamsBuilder::new();
    let last = builder.add_state_store(Stores::persistent_key_value_store("last", StringSerde, I64Serde)).unwrap();
    builder.stream("in").process(last, |last| Latest { last }).to("out");
    let settings = TestDriverSettings::default().with_wall_clock(1_000);
    let driver = TopologyTestDriver::with_settings(&builder.build().unwrap(), settings).unwrap();
    let input = driver.create_input_topic::<String, i64>("in");
    let output = driver.create_output_topic::<String, i64>("out");
    input.pipe_key_values([(text("a"), 1), (text("a"), 2)]).unwrap();
    driver.advance_wall_clock_time(Duration::from_millis(9_999)).unwrap();
    assert!(output.is_empty().unwrap());
    driver.advance_wall_clock_time(Duration::from_millis(1)).unwrap();
    assert_eq!(output.read_record().unwrap(), TestRecord::new(text("a"), 2).with_timestamp(11_000));
    assert_eq!(driver.wall_clock_time().unwrap(), 11_000);
}

/// Sends even values to one child, others to another, and asks for a commit at every seventh.
struct Router;

impl Processor for Router {
    type KIn = String;
    type VIn = i64;
    type KOut = String;
    type VOut = i64;

    fn init(&mut self, cx: &mut Context<'_, String, i64>) -> Step {
        cx.schedule(Duration::from_millis(100), PunctuationType::StreamTime);
        Ok(())
    }

    fn process(&mut self, record: Record<String, i64>, cx: &mut Context<'_, String, i64>) -> Step {
        if record.value % 7 == 0 {
            cx.commit();
        }
        let place = cx.record_metadata().map_or(-1, |place| place.offset);
        let child = if record.value % 2 == 0 { "even" } else { "odd" };
        cx.forward_to(child, record.with_timestamp(place))
    }

    fn punctuate(&mut self, _: Punctuation, cx: &mut Context<'_, String, i64>) -> Step {
        cx.forward(Record::new(text("tick"), 0, cx.current_stream_time_ms()))
    }
}

#[test]
fn a_processor_can_be_tested_alone() {
    let mut context = MockProcessorContext::with_children(&["even", "odd"]);
    context.set_record_metadata("in", 0, 42);
    let mut router = Router;
    context.with(|cx| router.init(cx)).unwrap();
    context.with(|cx| router.process(Record::new(text("k"), 7, 0), cx)).unwrap();
    let forwarded = context.take_forwarded();
    assert_eq!((&*forwarded[0].child, forwarded[0].record.timestamp), ("odd", 42));
    assert!(context.take_commit_requested() && !context.take_commit_requested());
    context.set_current_stream_time_ms(250);
    context.punctuate(&mut router, PunctuationType::StreamTime, 250).unwrap();
    let forwarded = context.take_forwarded();
    assert_eq!(forwarded.iter().map(|captured| &*captured.child).collect::<Vec<_>>(), ["even", "odd"]);
    assert_eq!(forwarded[0].record.timestamp, 250);
}
