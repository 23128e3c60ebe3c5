//! Applications within the test's own process, for what needs code of the test's own: processors, handlers, listeners.

use std::future::pending;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kafka_streams::prelude::*;
use tracing_subscriber::fmt::TestWriter;

use crate::Broker;
use crate::broker::PATIENCE;

/// The configuration of an exactly-once application that notices things soon. Its warnings are shown if the test fails.
pub fn config(broker: &Broker, application_id: &str, state_dir: &Path) -> StreamsConfig {
    let log = tracing_subscriber::fmt().with_env_filter("warn,rdkafka=off").with_ansi(false);
    let _ = log.with_writer(|| Kept).try_init();
    StreamsConfig::new(application_id, &broker.bootstrap)
        .processing_guarantee(ProcessingGuarantee::ExactlyOnceV2)
        .commit_interval(Duration::from_millis(100))
        .state_dir(state_dir)
        .property("session.timeout.ms", "6000")
        .property("heartbeat.interval.ms", "500")
}

/// How many warnings of this process have all these parts in one line.
pub fn warnings(parts: &[&str]) -> usize {
    let log = WARNINGS.lock().unwrap_or_else(PoisonError::into_inner);
    log.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
}

/// Everything that was logged so far, by all tests of the process.
static WARNINGS: Mutex<String> = Mutex::new(String::new());

/// Keeps what is logged, and shows it if the test fails.
struct Kept;

impl Write for Kept {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        WARNINGS.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(line));
        TestWriter::new().write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs an instance until it fails by itself; what it says then.
///
/// # Errors
/// It ends without an error, or does not end.
pub async fn failure_of(streams: KafkaStreams) -> Result<String> {
    match tokio::time::timeout(PATIENCE, streams.run_until(pending())).await {
        Ok(Err(error)) => Ok(error.to_string()),
        Ok(Ok(())) => bail!("the application has ended without an error"),
        Err(_) => bail!("the application still runs after {PATIENCE:?}"),
    }
}

/// Waits until an instance runs.
///
/// # Errors
/// It fails, or takes too long.
pub async fn until_running(streams: &KafkaStreams) -> Result<()> {
    wait_for(streams, State::Running).await
}

/// Waits until an instance is in this state.
///
/// # Errors
/// It ends in another one, or takes too long.
pub async fn wait_for(streams: &KafkaStreams, wanted: State) -> Result<()> {
    let state = tokio::time::timeout(PATIENCE, streams.wait_for_state(|state| state == wanted)).await;
    let state = state.with_context(|| format!("the application is {} after {PATIENCE:?}", streams.state()))?;
    if state != wanted {
        bail!("the application is {state}, not {wanted}: {}", streams.failure().unwrap_or_default());
    }
    Ok(())
}

/// Closes an instance in good order.
///
/// # Errors
/// It takes too long.
pub fn close(streams: &KafkaStreams) -> Result<()> {
    match streams.close(PATIENCE) {
        true => Ok(()),
        false => bail!("the application did not close within {PATIENCE:?}"),
    }
}
