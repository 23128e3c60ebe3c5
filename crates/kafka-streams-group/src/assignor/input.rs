//! What an assignor knows: the tasks, the processes, and what each had before.

use std::collections::{BTreeMap, BTreeSet};

use kafka_streams_core::TaskId;

use crate::ProcessId;
use crate::codec::{LATEST_OFFSET, UNKNOWN_OFFSET_SUM};

/// The state of the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssignorInput {
    /// All tasks that exist.
    pub tasks: BTreeMap<TaskId, TaskInfo>,
    /// All processes with at least one consumer.
    pub processes: BTreeMap<ProcessId, ProcessState>,
    /// Keep every running task where it is, whatever the balance, and ask for a probing rebalance: for when the end offsets
    /// could not be read (`FallbackPriorTaskAssignor` of the JVM).
    pub keep_previous: bool,
}

/// One task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskInfo {
    /// Whether it has stores with changelogs, so that moving it costs a restore.
    pub stateful: bool,
}

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessState {
    /// Its consumers (stream threads) by member id; their number is the process's capacity.
    pub consumers: BTreeMap<String, ConsumerState>,
    /// How far its state of each task that it knows is behind; a task that is missing here has no state there.
    pub lags: BTreeMap<TaskId, Lag>,
    /// `client.tag.*`.
    pub client_tags: BTreeMap<String, String>,
    /// `client.rack` of the first consumer that has one.
    pub rack_id: Option<String>,
}

/// One consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerState {
    /// The active tasks that it runs, by the partitions that it owns.
    pub active: BTreeSet<TaskId>,
    /// The tasks for which it reported an offset sum: active, standby, or only on disk.
    pub reported: BTreeSet<TaskId>,
}

impl ProcessState {
    /// Number of its stream threads.
    pub fn capacity(&self) -> usize {
        self.consumers.len()
    }

    /// The tasks that it has state of without running them as active tasks.
    pub fn is_previous_standby(&self, task: TaskId) -> bool {
        self.lags.get(&task).is_some_and(|lag| *lag != Lag::Latest)
            && !self.consumers.values().any(|consumer| consumer.active.contains(&task))
    }
}

/// How far a process's state of a task is behind the changelogs' ends, in records; smaller is better.
///
/// Ordered as the JVM's numbers -3 (unknown), -2 (latest), 0, 1, ….
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lag {
    /// There is state, its lag is not known.
    Unknown,
    /// The task runs there.
    Latest,
    /// Records behind.
    Behind(u64),
}

impl Lag {
    /// The lag of a process that reported `offset_sum` for a task whose changelogs end at `end_offset_sum` (`None`: could not
    /// be read), as `ClientState.computeTaskLags` of the JVM.
    pub fn of(offset_sum: i64, end_offset_sum: Option<i64>) -> Lag {
        match (offset_sum, end_offset_sum) {
            (LATEST_OFFSET, _) => Lag::Latest,
            (UNKNOWN_OFFSET_SUM, _) | (_, None) => Lag::Unknown,
            // Past the end: the state belongs to another log, and everything will be restored.
            (sum, Some(end)) if end < sum => Lag::Behind(end.max(0).unsigned_abs()),
            (sum, Some(end)) => Lag::Behind(end.abs_diff(sum.max(0))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_are_those_of_the_jvm() {
        assert_eq!(Lag::of(-2, Some(100)), Lag::Latest);
        assert_eq!(Lag::of(-3, Some(100)), Lag::Unknown);
        assert_eq!(Lag::of(60, Some(100)), Lag::Behind(40));
        assert_eq!(Lag::of(200, Some(100)), Lag::Behind(100), "past the end counts as nothing there");
        assert_eq!(Lag::of(60, None), Lag::Unknown);
        assert!(Lag::Unknown < Lag::Latest && Lag::Latest < Lag::Behind(0));
        assert_eq!(Lag::of(i64::MIN, Some(i64::MAX)), Lag::Behind(i64::MAX as u64));
    }
}
