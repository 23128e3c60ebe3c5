//! The changelogs of stores with headers, record by record, beside those that Kafka Streams 4.3 writes.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::rc::Rc;
use std::time::Duration;

use kafka_streams_core::serde::{BytesSerde, OptionSerde, StringSerde};
use kafka_streams_core::{Context, Headers, Processor, Record, Step};
use kafka_streams_state::{
    AggregationWithHeaders, SessionStoreWithHeaders, Stores, TimestampedKeyValueStoreWithHeaders,
    TimestampedWindowStoreWithHeaders, ValueTimestampHeaders, Window, Windowed,
};
use kafka_streams_testing::{TestRecord, TopologyTestDriver};
use kafka_streams_topology::{Topology, TopologyBuilder};

/// What a topology of the same stores and the same processor wrote in `TopologyTestDriver` of Kafka Streams 4.3.0, with
/// and without caching, on disk and in memory: store, key, value, timestamp, headers.
const JVM: &str = "\
rows 6b 6f6e65 @16 own=6f6e65 null=null
rows 6b 6e6f6e65 @17
rows 6b null @13 in=2d
rows 6b null @14 in=2d
rows 6c 74776f @30 own=74776f null=null
windows 6b000000000000000a00000000 6f6e65 @16 own=6f6e65 null=null
windows 6b000000000000000a00000000 6e6f6e65 @17
windows 6b000000000000000a00000000 null @13 in=2d
windows 6b000000000000000a00000000 null @14 in=2d
windows 6c000000000000001400000000 74776f @30 own=74776f null=null
sessions 6b0000000000000013000000000000000a 6f6e65 @11 own=6f6e65 null=null
sessions 6b0000000000000013000000000000000a 6e6f6e65 @12
sessions 6b0000000000000013000000000000000a null @13 in=2d
sessions 6b0000000000000013000000000000000a null @14 in=2d
sessions 6c000000000000001d0000000000000014 74776f @25 own=74776f null=null
";

/// Puts each value into all three stores, with headers of its own unless it is "none", and 5 ms later; "-" deletes.
struct Keep {
    rows: Rc<TimestampedKeyValueStoreWithHeaders<String, String>>,
    windows: Rc<TimestampedWindowStoreWithHeaders<String, String>>,
    sessions: Rc<SessionStoreWithHeaders<String, String>>,
}

impl Processor for Keep {
    type KIn = String;
    type VIn = String;
    type KOut = ();
    type VOut = ();

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, (), ()>) -> Step {
        let Record { key, value, timestamp, .. } = record;
        let mut headers = Headers::new();
        if value != "none" {
            headers.add("own", Some(value.clone().into_bytes()));
            headers.add("null", None);
        }
        let start = timestamp / 10 * 10;
        let session = Windowed::new(key.clone(), Window { start, end: start + 9 });
        if value == "-" {
            self.rows.delete(cx, &key)?;
            self.windows.put(cx, &key, None, start)?;
            return self.sessions.remove(cx, &session);
        }
        let row = ValueTimestampHeaders::new(value.clone(), timestamp + 5, headers.clone());
        self.rows.put(cx, &key, Some(&row))?;
        self.windows.put(cx, &key, Some(&row), start)?;
        self.sessions.put(cx, &session, Some(&AggregationWithHeaders::new(value, headers)))
    }
}

/// The stores by the names of the JVM's program.
macro_rules! topology {
    ($caching:expr, $key_value:ident, $window:ident, $session:ident) => {{
        let (hour, size) = (Duration::from_secs(3_600), Duration::from_millis(10));
        let rows = Stores::$key_value("rows", StringSerde, StringSerde);
        let windows = Stores::$window("windows", hour, size, false, StringSerde, StringSerde);
        let sessions = Stores::$session("sessions", hour, StringSerde, StringSerde);
        let (rows, windows, sessions) = match $caching {
            true => (rows.with_caching_enabled(), windows.with_caching_enabled(), sessions.with_caching_enabled()),
            false => (rows, windows, sessions),
        };
        let mut builder = TopologyBuilder::new();
        builder.add_source("in", &["in"], StringSerde, StringSerde).unwrap();
        let rows = builder.add_state_store(rows, &[]).unwrap();
        let windows = builder.add_state_store(windows, &[]).unwrap();
        let sessions = builder.add_state_store(sessions, &[]).unwrap();
        let make = |(rows, windows, sessions)| Keep { rows, windows, sessions };
        builder.add_processor_with_stores("keep", (rows, windows, sessions), make, &["in"]).unwrap();
        builder.build().unwrap()
    }};
}

fn persistent(caching: bool) -> Topology {
    topology!(
        caching,
        persistent_timestamped_key_value_store_with_headers,
        persistent_timestamped_window_store_with_headers,
        persistent_session_store_with_headers
    )
}

fn in_memory() -> Topology {
    topology!(
        false,
        in_memory_timestamped_key_value_store_with_headers,
        in_memory_timestamped_window_store_with_headers,
        in_memory_session_store_with_headers
    )
}

#[test]
fn changelogs_are_those_of_the_jvm() {
    for topology in [persistent(false), persistent(true), in_memory()] {
        let driver = TopologyTestDriver::new(&topology).unwrap();
        let input = driver.create_input_topic::<String, String>("in");
        for (key, value, timestamp) in
            [("k", "one", 11), ("k", "none", 12), ("k", "-", 13), ("k", "-", 14), ("l", "two", 25)]
        {
            let record = TestRecord::new(key.to_owned(), value.to_owned()).with_timestamp(timestamp);
            input.pipe_record(&record.with_header("in", Some(value.as_bytes().to_vec()))).unwrap();
        }
        let mut written = String::new();
        for store in ["rows", "windows", "sessions"] {
            let topic = format!("test-driver-{store}-changelog");
            let topic = driver.create_output_topic_with(topic, BytesSerde, OptionSerde(BytesSerde));
            for TestRecord { key, value, timestamp, headers } in topic.read_records_to_list().unwrap() {
                let value = value.map_or("null".to_owned(), |value| hex(&value));
                written += &format!("{store} {} {value} @{}", hex(&key), timestamp.unwrap());
                for header in &headers {
                    let value = header.value.as_deref().map_or("null".to_owned(), hex);
                    written += &format!(" {}={value}", header.key);
                }
                written.push('\n');
            }
        }
        assert_eq!(written, JVM);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
