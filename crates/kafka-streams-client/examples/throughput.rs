//! How much the data plane reads and writes per second, and per second of CPU time.
//!
//! ```text
//! cargo run --release -p kafka-streams-client --example throughput -- load BOOTSTRAP TOPIC 2000000
//! cargo run --release -p kafka-streams-client --example throughput -- read BOOTSTRAP TOPIC 2000000
//! cargo run --release -p kafka-streams-client --example throughput -- copy BOOTSTRAP TOPIC 2000000 TARGET
//! ```
//!
//! The topics exist and have four partitions. `load` writes records of 100 bytes, `read` reads as many, `copy` reads and
//! writes them. More settings of librdkafka: `KEY=VALUE` at the end. CPU time and memory are those of the whole process,
//! and come from `/proc`, so that this runs on Linux only.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic)] // A tool for the terminal of a developer.

use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use kafka_streams_client::data_plane::{FetchSettings, ProduceSettings, Properties, RdFetch, RdProduce, Waker};
use kafka_streams_core::{Headers, TopicPartition};
use kafka_streams_engine::port::{Fetch, FetchEvent, FetchSlot, FetchedBatch, Produce, ProduceRecord, SendError};

const PARTITIONS: i32 = 4;
const RECORD_BYTES: usize = 100;
const BATCH_RECORDS: usize = 1000;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let extra: Vec<String> = arguments.extract_if(.., |argument| argument.contains('=')).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut properties: Properties =
        extra.iter().filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let Some(bootstrap) = arguments.get(1) else { panic!("see the first lines of this file") };
    properties.set("bootstrap.servers", *bootstrap);
    let bench = Bench { properties, thread: thread::current() };
    match arguments[..] {
        ["load", _, topic, count] => bench.load(topic, count.parse().unwrap()),
        ["read", _, topic, count] => bench.read(topic, count.parse().unwrap()),
        ["copy", _, topic, count, target] => bench.copy(topic, count.parse().unwrap(), target),
        _ => panic!("see the first lines of this file"),
    }
}

struct Bench {
    properties: Properties,
    thread: Thread,
}

impl Bench {
    fn load(&self, topic: &str, count: u64) {
        let (mut produce, topic) = (self.produce(), Arc::<str>::from(topic));
        let value = [b'x'; RECORD_BYTES];
        let meter = Meter::start();
        for number in 0..count {
            let partition = Some((number % PARTITIONS as u64) as i32);
            send(&mut produce, record(&topic, partition, &value), number);
        }
        drain(&mut produce);
        meter.report("load", count);
    }

    fn read(&self, topic: &str, count: u64) {
        let (mut fetch, slots) = self.fetch(topic);
        let (mut records, mut bytes, mut meter) = (0, 0, None);
        while records < count {
            let mut idle = true;
            for slot in &slots {
                if let Some(FetchEvent::Batch(batch)) = fetch.poll(*slot, BATCH_RECORDS) {
                    meter.get_or_insert_with(Meter::start);
                    idle = false;
                    records += batch.len() as u64;
                    for index in 0..batch.len() {
                        let record = batch.record(index);
                        bytes += record.value.map_or(0, <[u8]>::len) + usize::from(record.timestamp < 0);
                    }
                }
            }
            if idle {
                thread::park_timeout(Duration::from_millis(100));
            }
        }
        meter.unwrap().report(&format!("read {bytes} bytes"), records);
    }

    fn copy(&self, topic: &str, count: u64, target: &str) {
        let (mut fetch, slots) = self.fetch(topic);
        let (mut produce, target) = (self.produce(), Arc::<str>::from(target));
        let (mut records, mut meter) = (0, None);
        while records < count {
            let mut idle = true;
            for (partition, slot) in slots.iter().enumerate() {
                if let Some(FetchEvent::Batch(batch)) = fetch.poll(*slot, BATCH_RECORDS) {
                    meter.get_or_insert_with(Meter::start);
                    idle = false;
                    for index in 0..batch.len() {
                        let value = batch.record(index).value.unwrap_or_default();
                        send(&mut produce, record(&target, Some(partition as i32), value), records);
                        records += 1;
                    }
                }
            }
            produce.poll(&mut |delivery| assert!(delivery.result.is_ok(), "{delivery:?}"));
            if idle {
                thread::park_timeout(Duration::from_millis(100));
            }
        }
        drain(&mut produce);
        meter.unwrap().report("copy", records);
    }

    fn fetch(&self, topic: &str) -> (RdFetch, Vec<FetchSlot>) {
        let settings = FetchSettings::new(self.properties.clone(), "throughput", true);
        let mut fetch = RdFetch::new(&settings, self.waker()).unwrap();
        let slots = (0..PARTITIONS).map(|p| fetch.assign(&TopicPartition::new(topic, p), 0).unwrap()).collect();
        (fetch, slots)
    }

    fn produce(&self) -> RdProduce {
        RdProduce::new(&ProduceSettings::new(self.properties.clone(), None), self.waker()).unwrap()
    }

    fn waker(&self) -> Waker {
        let thread = self.thread.clone();
        Arc::new(move || thread.unpark())
    }
}

fn record<'a>(topic: &'a Arc<str>, partition: Option<i32>, value: &'a [u8]) -> ProduceRecord<'a> {
    const NONE: &Headers = &Headers::new();
    ProduceRecord { topic, partition, timestamp: Some(1_700_000_000_000), headers: NONE, key: None, value: Some(value) }
}

fn send(produce: &mut RdProduce, record: ProduceRecord<'_>, tag: u64) {
    while let Err(error) = produce.send(record, tag) {
        assert_eq!(error, SendError::QueueFull);
        thread::park_timeout(Duration::from_millis(100));
        produce.poll(&mut |delivery| assert!(delivery.result.is_ok(), "{delivery:?}"));
    }
}

fn drain(produce: &mut RdProduce) {
    produce.flush();
    while produce.in_flight() > 0 {
        thread::park_timeout(Duration::from_millis(100));
        produce.poll(&mut |delivery| assert!(delivery.result.is_ok(), "{delivery:?}"));
    }
}

/// Wall clock and CPU clock.
struct Meter {
    begun: Instant,
    cpu_seconds: f64,
}

impl Meter {
    fn start() -> Self {
        Meter { begun: Instant::now(), cpu_seconds: cpu_seconds() }
    }

    fn report(&self, what: &str, records: u64) {
        let (wall, cpu) = (self.begun.elapsed().as_secs_f64(), cpu_seconds() - self.cpu_seconds);
        let (per_second, per_cpu_second) = (records as f64 / wall / 1e6, records as f64 / cpu / 1e6);
        println!(
            "{what}: {records} records in {wall:.2} s ({per_second:.2} M/s), \
             {cpu:.2} CPU s ({per_cpu_second:.2} M per CPU s), {} peak",
            peak_memory()
        );
    }
}

/// User and system time of this process; `/proc` counts in hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap());
    ticks.sum::<f64>() / 100.0
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.split_whitespace().collect::<Vec<_>>().join(" ")
}
