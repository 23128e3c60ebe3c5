//! Runs a case.

use std::time::Duration;

use kafka_streams_core::Headers;
use kafka_streams_testing::{TestDriverError, TestRecord, TopologyTestDriver};
use serde_json::Value as Json;

use crate::build;
use crate::config::Config;
use crate::fault::Fault;
use crate::jvm_error;
use crate::outcome::{self, Outcome, OutcomeError};
use crate::spec::{Case, Step};

/// Builds and runs a case.
///
/// # Errors
/// Only what the interpreter cannot do; errors that the JVM may have as well are part of the outcome.
pub fn run(case: &Case) -> Result<Outcome, Fault> {
    let mut outcome = Outcome::default();
    let built = Config::read(&case.config, case.wall_clock)
        .and_then(|config| build::topology(case, &config).map(|topology| (config, topology)));
    let (config, topology) = match built {
        Ok(built) => built,
        Err(fault) => {
            let Some(error) = jvm_error::of_fault(&fault) else { return Err(fault) };
            outcome.error = Some(OutcomeError { phase: "build", step: None, error, own: fault.to_string() });
            return Ok(outcome);
        }
    };
    outcome.describe = Some(topology.describe());
    let driver = match TopologyTestDriver::with_settings(&topology, config.settings) {
        Ok(driver) => driver,
        Err(error) => {
            outcome.error = Some(failed("start", None, &error));
            return Ok(outcome);
        }
    };
    outcome.internal_topics = Some(outcome::internal_topics(&topology));
    outcome.copartition = Some(outcome::copartition(&topology));
    for (at, input) in case.input.iter().enumerate() {
        if let Err(error) = step(&driver, input)? {
            outcome.error = Some(failed("input", Some(at), &error));
            break;
        }
    }
    match outcome::topics(&driver) {
        Ok(topics) => outcome.topics = Some(topics),
        Err(error) => return Fault::bad_case(error.to_string()),
    }
    Ok(outcome)
}

fn step(driver: &TopologyTestDriver, step: &Step) -> Result<Result<(), TestDriverError>, Fault> {
    let (topic, key, value, timestamp, headers) = match step {
        Step::Advance(step) => {
            let by = Duration::from_millis(u64::try_from(step.advance_wall_clock).unwrap_or_default());
            return Ok(driver.advance_wall_clock_time(by));
        }
        Step::Record(topic, key, value, timestamp) => (topic, key, value, *timestamp, &[][..]),
        Step::RecordWithHeaders(topic, key, value, timestamp, headers) => (topic, key, value, *timestamp, &**headers),
    };
    let mut list = Headers::new();
    for (name, value) in headers {
        list.add(name, bytes(value)?.map(Vec::from));
    }
    let record = TestRecord::new(bytes(key)?, bytes(value)?).with_timestamp(timestamp).with_headers(list);
    Ok(driver.pipe_raw(topic, None, record))
}

fn failed(phase: &'static str, step: Option<usize>, error: &TestDriverError) -> OutcomeError {
    OutcomeError { phase, step, error: jvm_error::of_driver(error), own: error.to_string() }
}

/// A string as UTF-8, a number as 8 bytes, null, or `{"hex": ..}`.
fn bytes(json: &Json) -> Result<Option<Box<[u8]>>, Fault> {
    match json {
        Json::Null => Ok(None),
        Json::String(text) => Ok(Some(text.as_bytes().into())),
        Json::Number(number) => Ok(number.as_i64().map(|number| number.to_be_bytes().into())),
        Json::Object(object) => match object.get("hex").and_then(Json::as_str).and_then(unhex) {
            Some(bytes) => Ok(Some(bytes)),
            None => Fault::bad_case(format!("{json} is no bytes")),
        },
        _ => Fault::bad_case(format!("{json} is no bytes")),
    }
}

fn unhex(text: &str) -> Option<Box<[u8]>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| (high << 4 | low) as u8).collect())
}
