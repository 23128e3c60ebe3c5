//! Wrapped processors: what a wrapper sees, what it can do, and whom it leaves alone.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use kafka_streams_core::serde::{I64Serde, StringSerde};
use kafka_streams_core::{Context, Failure, Headers, Processor, Record, Step, TaskContext};
use kafka_streams_dsl::{Grouped, Materialized, Naming, StreamsBuilder};
use kafka_streams_state::{KeyValueStore, KeyValueStoreBuilder, Stores};
use kafka_streams_testing::{TestRecord, TopologyTestDriver};
use kafka_streams_topology::{
    ProcessorWrapper, TopicStore, TopologyBuilder, TopologyError, WrappedProcessor, WrappedRecord,
};

type Log = Arc<Mutex<Vec<String>>>;

fn lines(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

/// Logs the lives and records of all processors.
struct Tracing(Log);

struct Traced(String, Log);

impl Traced {
    fn log(&self, what: &str) {
        self.1.lock().unwrap().push(format!("{} {what}", self.0));
    }
}

impl ProcessorWrapper for Tracing {
    type Wrapped = Traced;
    type Stores = ();

    fn stores(&self, _: &str) -> Option<()> {
        Some(())
    }

    fn wrap(&self, processor: &str, (): ()) -> Traced {
        Traced(processor.to_owned(), self.0.clone())
    }
}

impl WrappedProcessor for Traced {
    fn init(&mut self, cx: &mut TaskContext) -> Step {
        self.log(&format!("starts in {}", cx.task_id()));
        Ok(())
    }

    fn process(&mut self, record: WrappedRecord<'_>, cx: &mut TaskContext) -> Step {
        let key = record.key().downcast_ref::<String>().cloned();
        self.log(&format!("gets {key:?}@{}", record.timestamp()));
        assert_eq!(cx.record.timestamp, record.timestamp());
        let result = record.process(cx);
        self.log(if result.is_ok() { "is done" } else { "has failed" });
        result
    }

    fn close(&mut self) {
        self.log("ends");
    }
}

fn counting(builder: StreamsBuilder) -> StreamsBuilder {
    let words = builder.stream::<String, String>("words").filter(|_, word| !word.is_empty());
    words.group_by(|_, word| word.clone(), Grouped::default()).count(Materialized::default()).to_stream().to("counts");
    builder
}

#[test]
fn the_processors_of_the_dsl_are_wrapped_by_name_and_do_what_they_did() {
    let log = Log::default();
    let plain = counting(StreamsBuilder::with_naming(Naming::Jvm)).build().unwrap();
    let wrapped = counting(StreamsBuilder::with_naming(Naming::Jvm).with_processor_wrapper(Tracing(log.clone())))
        .build()
        .unwrap();
    assert_eq!(wrapped.describe(), plain.describe());
    assert_eq!(wrapped.to_manifest().to_json(), plain.to_manifest().to_json());
    let records = [("a", "x", 1), ("b", "", 2), ("a", "x", 3)];
    let results = [&plain, &wrapped].map(|topology| {
        let driver = TopologyTestDriver::new(topology).unwrap();
        let input = driver.create_input_topic::<String, String>("words");
        for (key, word, timestamp) in records {
            input.pipe_input_at(key.to_owned(), word.to_owned(), timestamp).unwrap();
        }
        let topics = driver.produced_topic_names().unwrap();
        let read = |topic: &Arc<str>| std::iter::from_fn(|| driver.read_raw(topic).unwrap()).collect::<Vec<_>>();
        let records = topics.iter().map(|topic| (topic.clone(), read(topic))).collect::<Vec<_>>();
        driver.close().unwrap();
        records
    });
    assert_eq!(results[0], results[1], "every record of every topic");
    let lines = lines(&log);
    let names = ["KSTREAM-FILTER-0000000001", "KSTREAM-KEY-SELECT-0000000002", "KSTREAM-AGGREGATE-0000000004"];
    for name in names {
        assert!(lines.contains(&format!("{name} starts in 0_0")), "{lines:?}");
        assert!(lines.contains(&format!("{name} gets Some(\"{}\")@3", if name == names[2] { "x" } else { "a" })));
        assert_eq!(lines.iter().filter(|line| **line == format!("{name} ends")).count(), 1);
    }
    let selected = lines.iter().filter(|line| line.starts_with(names[1]) && line.contains("gets"));
    assert_eq!(selected.count(), 2, "the filter let two records pass");
    assert!(!lines.iter().any(|line| line.contains("-SINK-") || line.contains("-SOURCE-")), "{lines:?}");
}

/// Keeps the last value of each key that came to the processor, skips "drop", swallows failures and adds a header.
struct Guarding;

struct Guarded(Rc<KeyValueStore<String, String>>);

impl ProcessorWrapper for Guarding {
    type Wrapped = Guarded;
    type Stores = (KeyValueStoreBuilder<String, String>,);

    fn stores(&self, processor: &str) -> Option<Self::Stores> {
        let name = format!("{processor}-last");
        (processor != "plain").then(|| (Stores::persistent_key_value_store(name, StringSerde, StringSerde),))
    }

    fn wrap(&self, _: &str, (last,): (Rc<KeyValueStore<String, String>>,)) -> Guarded {
        Guarded(last)
    }
}

impl WrappedProcessor for Guarded {
    fn process(&mut self, mut record: WrappedRecord<'_>, cx: &mut TaskContext) -> Step {
        let (Some(key), Some(value)) = (record.key().downcast_ref(), record.value().downcast_ref::<String>()) else {
            return Err(Failure::processing("records of another type"));
        };
        self.0.put(cx, key, Some(value))?;
        if value == "drop" {
            return Ok(());
        }
        let mut headers = record.headers().clone();
        headers.add("guarded", None);
        record.set_headers(headers);
        match record.process(cx) {
            Err(failure) if !failure.is_settled() => Ok(()),
            result => result,
        }
    }
}

struct Strict;

impl Processor for Strict {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = String;

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
        if record.value == "bad" { Err(Failure::processing("bad")) } else { cx.forward(record) }
    }
}

fn strict_and_plain(wrapper: impl ProcessorWrapper) -> Result<TopologyBuilder, TopologyError> {
    let mut builder = TopologyBuilder::new().with_processor_wrapper(wrapper);
    builder
        .add_source("in", &["in"], StringSerde, StringSerde)?
        .add_processor("plain", |_| Ok(Strict), &["in"])?
        .add_processor("strict", |_| Ok(Strict), &["plain"])?
        .add_sink("out", "out", StringSerde, StringSerde, &["strict"])?;
    Ok(builder)
}

#[test]
fn a_wrapper_has_stores_drops_records_adds_headers_and_lets_errors_pass() {
    struct Renaming;
    impl Processor for Renaming {
        type KIn = String;
        type VIn = String;
        type KOut = String;
        type VOut = String;
        fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
            let value = if record.value == "worse" { "bad".to_owned() } else { record.value.clone() };
            cx.forward(record.with_value(value))
        }
    }
    let mut builder = TopologyBuilder::new().with_processor_wrapper(Guarding);
    builder.add_source("in", &["in"], StringSerde, StringSerde).unwrap();
    builder.add_processor("plain", |_| Ok(Renaming), &["in"]).unwrap();
    builder.add_processor("strict", |_| Ok(Strict), &["plain"]).unwrap();
    builder.add_sink("out", "out", StringSerde, StringSerde, &["strict"]).unwrap();
    let topology = builder.build().unwrap();
    assert!(topology.describe().contains("Processor: strict (stores: [strict-last])"), "{}", topology.describe());
    assert!(topology.describe().contains("Processor: plain (stores: [])"), "{}", topology.describe());
    let driver = TopologyTestDriver::new(&topology).unwrap();
    let input = driver.create_input_topic::<String, String>("in");
    for (value, timestamp) in [("good", 1), ("drop", 2), ("worse", 3), ("fine", 4)] {
        let record = TestRecord::new("k".to_owned(), value.to_owned()).with_timestamp(timestamp);
        input.pipe_record(&record.with_header("id", Some(vec![1]))).unwrap();
    }
    let out = driver.create_output_topic::<String, String>("out").read_records_to_list().unwrap();
    let mut headers = Headers::new();
    headers.add("id", Some(vec![1]));
    headers.add("guarded", None);
    let out: Vec<_> = out.into_iter().map(|record| (record.value, record.headers)).collect();
    assert_eq!(out, [("good".to_owned(), headers.clone()), ("fine".to_owned(), headers)]);
    let last = driver.key_value_store::<String, String>("strict-last").unwrap();
    assert_eq!(last.get(&"k".to_owned()).unwrap().as_deref(), Some("fine"));
    let log = driver.create_output_topic::<String, String>("test-driver-strict-last-changelog");
    let log: Vec<_> = log.read_records_to_list().unwrap().into_iter().map(|r| (r.value, r.timestamp)).collect();
    let logged = |value: &str, timestamp| (value.to_owned(), Some(timestamp));
    assert_eq!(log, [logged("good", 1), logged("drop", 2), logged("bad", 3), logged("fine", 4)]);
}

#[test]
fn an_error_of_an_unwrapped_processor_stands() {
    let driver = TopologyTestDriver::new(&strict_and_plain(Guarding).unwrap().build().unwrap()).unwrap();
    let input = driver.create_input_topic::<String, String>("in");
    assert!(input.pipe_input("k".to_owned(), "bad".to_owned()).is_err());
}

#[test]
fn keepers_of_global_and_read_only_stores_are_not_wrapped() {
    struct Keep(Rc<KeyValueStore<String, i64>>);
    impl Processor for Keep {
        type KIn = String;
        type VIn = i64;
        type KOut = ();
        type VOut = ();
        fn process(&mut self, record: Record<String, i64>, cx: &mut Context<'_, (), ()>) -> Step {
            self.0.put(cx, &record.key, Some(&record.value))
        }
    }
    let log = Log::default();
    let mut builder = strict_and_plain(Tracing(log.clone())).unwrap();
    let store = Stores::in_memory_key_value_store("names", StringSerde, I64Serde);
    let nodes = TopicStore { source: "read", topic: "names", processor: "keep" };
    builder.add_global_store(store, nodes, StringSerde, I64Serde, Keep).unwrap();
    let store = Stores::in_memory_key_value_store("ages", StringSerde, I64Serde);
    let nodes = TopicStore { source: "read-ages", topic: "ages", processor: "keep-ages" };
    builder.add_read_only_state_store(store, nodes, StringSerde, I64Serde, Keep).unwrap();
    let driver = TopologyTestDriver::new(&builder.build().unwrap()).unwrap();
    for topic in ["names", "ages"] {
        driver.create_input_topic::<String, i64>(topic).pipe_input("k".to_owned(), 1).unwrap();
    }
    let lines = lines(&log);
    assert_eq!(lines, ["plain starts in 0_0", "strict starts in 0_0"]);
}

#[test]
fn two_stores_of_one_name_are_refused() {
    struct Clumsy;
    impl ProcessorWrapper for Clumsy {
        type Wrapped = Guarded;
        type Stores = (KeyValueStoreBuilder<String, String>,);
        fn stores(&self, _: &str) -> Option<Self::Stores> {
            Some((Stores::persistent_key_value_store("last", StringSerde, StringSerde),))
        }
        fn wrap(&self, _: &str, (last,): (Rc<KeyValueStore<String, String>>,)) -> Guarded {
            Guarded(last)
        }
    }
    assert!(matches!(strict_and_plain(Clumsy), Err(TopologyError::DuplicateStore { .. })));
}
