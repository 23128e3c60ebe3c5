//! The tasks of a process that have failed, and what follows from it: they are tried again ever more rarely, and in
//! transactions of their own until they are past what they failed at (rule C4).
//!
//! Shared by the workers of a process: a failure ends its worker, and the task may come to another one.
//!
//! ```text
//!  healthy ── fails ──▶ held back ── its time has come ──▶ on probation ── commits past the failure ──▶ healthy
//!                           ▲                                  │
//!                           └───────────── fails ──────────────┘   (for twice as long)
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_streams_core::{TaskId, TopicPartition};

/// How long a task is held back after its second failure; doubled with each that follows. After the first one it is tried
/// again at once, as what has failed may have passed.
const HOLD_MS: i64 = 500;
/// The longest that a task is held back.
const MAX_HOLD_MS: i64 = 60_000;
/// A failure at no certain record, such as one of a punctuation, may come again for so long.
const PROBATION_MS: i64 = 30_000;

/// The failed tasks of a process. Cheap to clone; all clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct FailedTasks(Arc<Mutex<BTreeMap<TaskId, FailedTask>>>);

#[derive(Debug)]
struct FailedTask {
    /// Failures since the task was healthy.
    failures: u32,
    /// The input positions from which on the task is past its failures.
    past: BTreeMap<TopicPartition, i64>,
    /// Earliest end of the probation.
    healthy_at: i64,
    held_until: i64,
}

/// Where a task has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FailedAt {
    /// At this input record: what follows it is past the failure.
    Record(TopicPartition, i64),
    /// At no certain record, when the task had come to these positions.
    Positions(Vec<(TopicPartition, i64)>),
}

impl FailedTasks {
    /// None has failed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a task has failed and is not past it.
    pub fn contains(&self, task: TaskId) -> bool {
        self.lock().contains_key(&task)
    }

    /// Until when a task must not be started, in milliseconds of the wall clock; `None` if it may be.
    pub fn held_until(&self, task: TaskId, now: i64) -> Option<i64> {
        let mut failed = self.lock();
        let entry = failed.get_mut(&task)?;
        // A clock that was set back must not hold the task for as long again.
        entry.held_until = entry.held_until.min(now.saturating_add(hold_ms(entry.failures)));
        Some(entry.held_until).filter(|until| *until > now)
    }

    /// Notes a failure.
    pub(crate) fn note(&self, task: TaskId, at: FailedAt, now: i64) {
        let mut failed = self.lock();
        let entry = failed.entry(task).or_insert_with(|| FailedTask {
            failures: 0,
            past: BTreeMap::new(),
            healthy_at: now,
            held_until: now,
        });
        entry.failures = entry.failures.saturating_add(1);
        let hold_ms = hold_ms(entry.failures);
        entry.held_until = now.saturating_add(hold_ms);
        let past = match at {
            FailedAt::Record(partition, offset) => vec![(partition, offset.saturating_add(1))],
            FailedAt::Positions(positions) => {
                entry.healthy_at = now.saturating_add(PROBATION_MS);
                positions
            }
        };
        for (partition, position) in past {
            let known = entry.past.entry(partition).or_insert(position);
            *known = position.max(*known);
        }
        let failures = entry.failures;
        drop(failed);
        tracing::warn!(
            %task, failures, hold_ms,
            "the task has failed; it is held back, and then runs without its neighbours until it is past the failure"
        );
    }

    /// Whether a failed task is healthy again with these positions committed; then it is forgotten.
    pub(crate) fn is_past(&self, task: TaskId, position: impl Fn(&TopicPartition) -> Option<i64>, now: i64) -> bool {
        let mut failed = self.lock();
        let Some(entry) = failed.get_mut(&task) else { return true };
        entry.healthy_at = entry.healthy_at.min(now.saturating_add(PROBATION_MS));
        let past = entry.past.iter().all(|(partition, past)| position(partition).is_none_or(|at| at >= *past));
        let healthy = past && now >= entry.healthy_at;
        if healthy {
            failed.remove(&task);
        }
        healthy
    }

    /// A panic elsewhere leaves a list that is still true entry by entry.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskId, FailedTask>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a task is held back after so many failures.
fn hold_ms(failures: u32) -> i64 {
    match failures.checked_sub(2) {
        Some(repeated) => HOLD_MS.saturating_mul(1 << repeated.min(16)).min(MAX_HOLD_MS),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: TaskId = TaskId::new(0, 0);

    fn input() -> TopicPartition {
        TopicPartition::new("in", 0)
    }

    #[test]
    fn a_task_is_held_back_for_longer_each_time_and_never_for_more_than_the_bound() {
        let failed = FailedTasks::new();
        assert_eq!((failed.held_until(TASK, 0), failed.contains(TASK)), (None, false));
        let mut holds = Vec::new();
        for _ in 0..40 {
            failed.note(TASK, FailedAt::Record(input(), 7), 1000);
            holds.push(failed.held_until(TASK, 1000).map_or(0, |until| until - 1000));
        }
        assert_eq!(holds[..4], [0, 500, 1000, 2000]);
        assert!(holds.is_sorted() && *holds.last().unwrap() == MAX_HOLD_MS);
        assert_eq!(failed.held_until(TASK, 1000 + MAX_HOLD_MS), None);
    }

    #[test]
    fn a_task_is_healthy_once_it_has_committed_what_follows_the_record() {
        let failed = FailedTasks::new();
        failed.note(TASK, FailedAt::Record(input(), 7), 1000);
        assert!(!failed.is_past(TASK, |_| Some(7), 2000));
        assert!(failed.contains(TASK));
        assert!(failed.is_past(TASK, |_| Some(8), 2000));
        assert!(!failed.contains(TASK));
    }

    #[test]
    fn after_a_failure_at_no_record_time_must_pass_as_well() {
        let failed = FailedTasks::new();
        failed.note(TASK, FailedAt::Positions(vec![(input(), 7)]), 1000);
        assert!(!failed.is_past(TASK, |_| Some(9), 2000));
        assert!(failed.is_past(TASK, |_| Some(9), 1000 + PROBATION_MS));
    }

    #[test]
    fn a_clock_that_is_set_back_holds_no_task_for_longer() {
        let failed = FailedTasks::new();
        for _ in 0..2 {
            failed.note(TASK, FailedAt::Record(input(), 7), 1_000_000);
        }
        assert_eq!(failed.held_until(TASK, 1000), Some(1500));
        assert_eq!(failed.held_until(TASK, 1500), None);
    }
}
