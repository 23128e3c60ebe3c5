//! Throughput of the test driver: `driver_throughput WORKLOAD RECORDS KEYS`. A tenth of the records comes first, to warm up. Prints
//! records per second. The program beside it is `tests/jvm/src/main/java/driver/DriverBench.java`.
#![allow(clippy::print_stdout, reason = "a command-line tool")]

use std::error::Error;
use std::time::{Duration, Instant};

use kafka_streams_core::serde::VecSerde;
use kafka_streams_dsl::{Grouped, Materialized, Produced, StreamsBuilder, TimeWindows};
use kafka_streams_testing::{TestDriverError, TestInputTopic, TestOutputTopic, TopologyTestDriver};

const WINDOW: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: driver_throughput pass-through|map|count|window RECORDS KEYS";
    let workload = arguments.next().ok_or(usage)?;
    let records: usize = arguments.next().ok_or(usage)?.parse()?;
    let keys: usize = arguments.next().ok_or(usage)?.parse()?;
    let driver = TopologyTestDriver::new(&topology(&workload)?.build()?)?;
    let input = driver.create_input_topic::<String, String>("in");
    let output = driver.create_output_topic_with("out", VecSerde, VecSerde);
    pipe(&input, &output, records / 10, keys)?;
    let start = Instant::now();
    let read = pipe(&input, &output, records, keys)?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{{\"workload\":\"{workload}\",\"records\":{records},\"read\":{read},\"seconds\":{seconds:.4}}}");
    Ok(())
}

fn topology(workload: &str) -> Result<StreamsBuilder, String> {
    let builder = StreamsBuilder::new();
    let input = builder.stream::<String, String>("in");
    match workload {
        "pass-through" => input.to("out"),
        "map" => input.filter(|_, value| !value.is_empty()).map_values(|value| value + "!").to("out"),
        "count" => {
            let counts = input.group_by_key(Grouped::default()).count(Materialized::named("counts"));
            counts.to_stream().to("out");
        }
        "window" => {
            let windows =
                input.group_by_key(Grouped::default()).windowed_by(TimeWindows::of_size_with_no_grace(WINDOW));
            let counts = windows.count(Materialized::named("counts"));
            counts.to_stream().to_with("out", Produced::windowed());
        }
        other => return Err(format!("there is no workload {other}")),
    }
    Ok(builder)
}

/// A record at a time, and what came out is taken now and then, so that it does not fill the memory.
fn pipe(
    input: &TestInputTopic<String, String>,
    output: &TestOutputTopic<Vec<u8>, Vec<u8>>,
    records: usize,
    keys: usize,
) -> Result<usize, TestDriverError> {
    let mut read = 0;
    for i in 0..records {
        input.pipe_input_at(format!("key-{}", i % keys), format!("value-{i}"), 1_700_000_000_000 + i as i64)?;
        if i % 1000 == 999 {
            read += drain(output)?;
        }
    }
    Ok(read + drain(output)?)
}

fn drain(output: &TestOutputTopic<Vec<u8>, Vec<u8>>) -> Result<usize, TestDriverError> {
    let mut read = 0;
    while !output.is_empty()? {
        output.read_record()?;
        read += 1;
    }
    Ok(read)
}
