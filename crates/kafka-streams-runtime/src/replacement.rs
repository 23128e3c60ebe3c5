//! How soon a stream thread that failed is replaced: at once, unless it fails again and again.

use std::time::Duration;

use kafka_streams_engine::WorkerError;

/// Pause before the second replacement in a row; doubled with each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// A thread that has run for so long before it failed, in milliseconds, has not failed in a row.
const APART_MS: i64 = 60_000;

/// The replacements of one stream thread.
#[derive(Debug, Default)]
pub(crate) struct Replacements {
    in_a_row: u32,
    last_ms: i64,
}

impl Replacements {
    /// How long to wait before the replacement. The failure of a task needs no pause: the engine holds the task back, and
    /// its neighbours go on.
    pub(crate) fn pause(&mut self, error: &WorkerError, now_ms: i64) -> Duration {
        if error.task().is_some() {
            return Duration::ZERO;
        }
        if now_ms - self.last_ms > APART_MS {
            self.in_a_row = 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.last_ms = now_ms;
        match self.in_a_row.checked_sub(2) {
            Some(repeated) => FIRST_PAUSE.saturating_mul(1 << repeated.min(16)).min(MAX_PAUSE),
            None => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_while_failures_follow_each_other() {
        let error = WorkerError::Membership("refused".to_owned());
        let mut replacements = Replacements::default();
        let pauses: Vec<Duration> = (0..40).map(|i| replacements.pause(&error, 100_000 + i)).collect();
        assert_eq!(pauses[..4], [0, 100, 200, 400].map(Duration::from_millis));
        assert!(pauses.is_sorted() && pauses[39] == MAX_PAUSE);
        assert_eq!(replacements.pause(&error, 100_000 + 2 * APART_MS), Duration::ZERO);
    }
}
