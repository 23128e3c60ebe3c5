//! What processors of their own find in a driver: stores that keep headers, a directory, the configuration, dead letters.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use kafka_streams_core::handler::LogAndContinue;
use kafka_streams_core::serde::StringSerde;
use kafka_streams_core::{Context, Headers, Processor, Record, Step};
use kafka_streams_state::{Stores, TimestampedKeyValueStoreWithHeaders, ValueTimestampHeaders};
use kafka_streams_testing::{MockProcessorContext, TestDriverSettings, TestRecord, TopologyTestDriver};
use kafka_streams_topology::{Topology, TopologyBuilder};

/// Sends what a key had before, with the headers that came with it, and keeps what it has now; "-" deletes.
struct Before {
    rows: Rc<TimestampedKeyValueStoreWithHeaders<String, String>>,
}

impl Processor for Before {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = String;

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
        let before = self.rows.get(&record.key)?;
        let row = ValueTimestampHeaders::new(record.value.clone(), record.timestamp, record.headers.clone());
        self.rows.put(cx, &record.key, Some(&row).filter(|row| row.value != "-"))?;
        let Some(ValueTimestampHeaders { value, timestamp, headers }) = before else { return Ok(()) };
        cx.forward(record.with_value(value).with_timestamp(timestamp).with_headers(headers))
    }
}

fn topology(caching: bool) -> Topology {
    let mut builder = TopologyBuilder::new();
    let store = Stores::persistent_timestamped_key_value_store_with_headers("rows", StringSerde, StringSerde);
    let store = if caching { store.with_caching_enabled() } else { store };
    builder.add_source("in", &["in"], StringSerde, StringSerde).unwrap();
    let rows = builder.add_state_store(store, &[]).unwrap();
    builder.add_processor_with_stores("before", rows, |rows| Before { rows }, &["in"]).unwrap();
    builder.add_sink("out", "out", StringSerde, StringSerde, &["before"]).unwrap();
    builder.build().unwrap()
}

fn headers(id: u8) -> Headers {
    let mut headers = Headers::new();
    headers.add("id", Some(vec![id]));
    headers
}

#[test]
fn a_processor_finds_the_headers_of_an_earlier_record() {
    for caching in [false, true] {
        let driver = TopologyTestDriver::new(&topology(caching)).unwrap();
        let input = driver.create_input_topic::<String, String>("in");
        for (id, value, timestamp) in [(1, "one", 10), (2, "two", 20), (3, "-", 30)] {
            let record = TestRecord::new("k".to_owned(), value.to_owned());
            input.pipe_record(&record.with_timestamp(timestamp).with_headers(headers(id))).unwrap();
        }
        let output = driver.create_output_topic::<String, String>("out");
        let out = output.read_records_to_list().unwrap();
        let out: Vec<_> = out.into_iter().map(|r| (r.value, r.timestamp, r.headers)).collect();
        assert_eq!(out, [("one".to_owned(), Some(10), headers(1)), ("two".to_owned(), Some(20), headers(2))]);
        let changelog = driver.create_output_topic::<String, Option<String>>("test-driver-rows-changelog");
        let log: Vec<_> = changelog.read_records_to_list().unwrap();
        let log: Vec<_> = log.into_iter().map(|r| (r.value, r.timestamp, r.headers)).collect();
        let row = |id, value: &str, timestamp| (Some(value.to_owned()), Some(timestamp), headers(id));
        assert_eq!(log, [row(1, "one", 10), row(2, "two", 20), (None, Some(30), headers(3))]);
        let rows = driver.timestamped_key_value_store_with_headers::<String, String>("rows").unwrap();
        assert_eq!(rows.get(&"k".to_owned()).unwrap(), None);
    }
}

#[test]
fn the_manifest_tells_of_the_headers() {
    let manifest = topology(false).to_manifest().to_json();
    assert!(manifest.contains("\"headers\": true"), "{manifest}");
}

type Seen = Arc<Mutex<Option<PathBuf>>>;

/// Writes a file into the task's directory when it is started.
struct Noting(Seen);

impl Processor for Noting {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = String;

    fn init(&mut self, cx: &mut Context<'_, String, String>) -> Step {
        let directory = cx.state_dir().map(Path::to_owned);
        if let Some(directory) = &directory {
            std::fs::write(directory.join("note"), "here").unwrap();
        }
        *self.0.lock().unwrap() = directory;
        Ok(())
    }

    fn process(&mut self, _: Record<String, String>, _: &mut Context<'_, String, String>) -> Step {
        Ok(())
    }
}

fn noting(seen: &Seen) -> Topology {
    let (mut builder, seen) = (TopologyBuilder::new(), seen.clone());
    builder.add_source("in", &["in"], StringSerde, StringSerde).unwrap();
    builder.add_processor("noting", move |_| Ok(Noting(seen.clone())), &["in"]).unwrap();
    builder.build().unwrap()
}

#[test]
fn a_tasks_directory_goes_with_its_driver() {
    let seen = Seen::default();
    let driver = TopologyTestDriver::new(&noting(&seen)).unwrap();
    let directory = seen.lock().unwrap().clone().unwrap();
    assert!(directory.ends_with("test-driver/0_0"), "{}", directory.display());
    assert!(directory.join("note").exists());
    drop(driver);
    assert!(!directory.exists());
}

#[test]
fn a_directory_that_the_test_names_stays() {
    let (seen, state_dir) = (Seen::default(), tempfile::tempdir().unwrap());
    let settings = TestDriverSettings::default().with_application_id("app").with_partitions(2);
    let settings = settings.with_state_dir(state_dir.path());
    drop(TopologyTestDriver::with_settings(&noting(&seen), settings).unwrap());
    assert_eq!(*seen.lock().unwrap(), Some(state_dir.path().join("app/0_1")));
    assert!(state_dir.path().join("app/0_0/note").exists());
}

#[test]
fn a_mock_context_has_the_directory_that_it_is_given() {
    let seen = Seen::default();
    let mut noting = Noting(seen.clone());
    MockProcessorContext::new().with(|cx| noting.init(cx)).unwrap();
    assert_eq!(*seen.lock().unwrap(), None);
    let directory = tempfile::tempdir().unwrap();
    MockProcessorContext::new().with_state_dir(directory.path()).with(|cx| noting.init(cx)).unwrap();
    assert_eq!(seen.lock().unwrap().as_deref(), Some(directory.path()));
}

/// Sends the configured currency in place of a price, which has to be a number.
struct Currency;

impl Processor for Currency {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = String;

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
        record.value.parse::<u64>()?;
        let currency = cx.app_configs().get("pricing.currency").cloned().unwrap_or_default();
        cx.forward(record.with_value(currency))
    }
}

fn currency() -> Topology {
    let mut builder = TopologyBuilder::new();
    builder.add_source("in", &["in"], StringSerde, StringSerde).unwrap();
    builder.add_processor("currency", |_| Ok(Currency), &["in"]).unwrap();
    builder.add_sink("out", "out", StringSerde, StringSerde, &["currency"]).unwrap();
    builder.build().unwrap()
}

#[test]
fn a_processor_finds_the_configuration_of_its_application() {
    let settings = TestDriverSettings::default().with_app_config("pricing.currency", "EUR");
    let driver = TopologyTestDriver::with_settings(&currency(), settings).unwrap();
    driver.create_input_topic::<String, String>("in").pipe_input("k".to_owned(), "1".to_owned()).unwrap();
    let output = driver.create_output_topic::<String, String>("out");
    assert_eq!(output.read_value().unwrap(), "EUR");
}

#[test]
fn a_record_that_a_handler_gives_up_is_in_the_dead_letter_topic() {
    let settings = TestDriverSettings::default().with_dead_letter_topic("parked");
    let settings = settings.with_processing_handler(LogAndContinue);
    let driver = TopologyTestDriver::with_settings(&currency(), settings).unwrap();
    driver.create_input_topic::<String, String>("in").pipe_input("k".to_owned(), "free".to_owned()).unwrap();
    let parked = driver.create_output_topic::<String, String>("parked").read_record().unwrap();
    assert_eq!((parked.key.as_str(), parked.value.as_str()), ("k", "free"));
    let topic = parked.headers.last("__streams.errors.topic").and_then(|header| header.value.clone());
    assert_eq!(topic.as_deref(), Some(&b"in"[..]));
    assert!(driver.create_output_topic::<String, String>("out").is_empty().unwrap());
}
