//! librdkafka's log lines and passing errors, on their way to `tracing`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::raw::Failure;

/// The target of all that librdkafka says.
const TARGET: &str = "kafka_streams_client::librdkafka";

/// A passing error is told at most this often for each code; a broker that is down would fill the log otherwise.
const ONCE_PER: Duration = Duration::from_secs(30);

/// A log line. `level` is syslog's: 0 is the worst, 7 is debug.
pub(super) fn line(level: i32, client: &str, facility: &str, text: &str) {
    match level {
        ..=3 => tracing::error!(target: TARGET, client, facility, "{text}"),
        4 => tracing::warn!(target: TARGET, client, facility, "{text}"),
        5 | 6 => tracing::info!(target: TARGET, client, facility, "{text}"),
        _ => tracing::debug!(target: TARGET, client, facility, "{text}"),
    }
}

/// Errors that librdkafka overcomes by itself, such as a broken connection.
#[derive(Default)]
pub(super) struct PassingErrors {
    /// By code: when it was told last, and how often it came since.
    told: BTreeMap<i32, (Instant, u64)>,
}

impl PassingErrors {
    /// Tells an error, or counts it if its like was told a short while ago.
    pub(super) fn report(&mut self, failure: &Failure) {
        if let Some(untold) = self.due(failure.code, Instant::now()) {
            tracing::warn!(target: TARGET, untold, "{failure}; librdkafka goes on by itself");
        }
    }

    /// Number of errors of this code that were not told, if the next one is to be told now.
    fn due(&mut self, code: i32, now: Instant) -> Option<u64> {
        match self.told.get_mut(&code) {
            Some((told, untold)) if now.saturating_duration_since(*told) < ONCE_PER => {
                *untold += 1;
                None
            }
            _ => Some(self.told.insert(code, (now, 0)).map_or(0, |(_, untold)| untold)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_once_in_a_while_with_the_number_left_out() {
        let (mut errors, start) = (PassingErrors::default(), Instant::now());
        assert_eq!(errors.due(-195, start), Some(0));
        assert_eq!(errors.due(-195, start + Duration::from_secs(1)), None);
        assert_eq!(errors.due(-187, start + Duration::from_secs(2)), Some(0), "another code");
        assert_eq!(errors.due(-195, start + Duration::from_secs(29)), None);
        assert_eq!(errors.due(-195, start + Duration::from_secs(30)), Some(2));
    }
}
