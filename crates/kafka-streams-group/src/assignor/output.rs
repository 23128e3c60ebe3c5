//! What an assignor decides.

use std::collections::{BTreeMap, BTreeSet};

use kafka_streams_core::TaskId;

use crate::ProcessId;

/// Tasks by process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssignorOutput {
    /// Every process of the input, with its tasks.
    pub processes: BTreeMap<ProcessId, ProcessAssignment>,
    /// Whether a better assignment can be had once copies have caught up, so that the group should rebalance after
    /// `probing.rebalance.interval.ms`.
    pub probing_rebalance: bool,
}

/// The tasks of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessAssignment {
    /// Active tasks.
    pub active: BTreeSet<TaskId>,
    /// Standby tasks. None are made in this version.
    pub standby: BTreeSet<TaskId>,
    /// Standby tasks that will become active here once they have caught up. None are made in this version.
    pub warmup: BTreeSet<TaskId>,
}

impl AssignorOutput {
    /// The process that runs `task` as an active task.
    pub fn owner(&self, task: TaskId) -> Option<ProcessId> {
        self.processes.iter().find(|(_, assigned)| assigned.active.contains(&task)).map(|(process, _)| *process)
    }
}
