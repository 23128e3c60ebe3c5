//! Within a process: which consumer (stream thread) gets which of its tasks.

use std::collections::{BTreeMap, BTreeSet};

use kafka_streams_core::TaskId;

use super::spread::{Bin, spread};
use super::{AssignorInput, ProcessAssignment, ProcessState};

/// The tasks of one consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerTasks {
    /// Active tasks.
    pub active: BTreeSet<TaskId>,
    /// Standby and warm-up tasks.
    pub standby: BTreeSet<TaskId>,
}

/// Distributes a process's tasks over its consumers, by member id.
///
/// As the JVM (`StreamsPartitionAssignor.assignTasksToThreads`) in three rounds over one running load: stateful active tasks,
/// standby tasks, stateless active tasks; consumers in the order of their member ids, previous tasks in the order of lag and
/// task id. Unlike there, stateless tasks stay with their consumer too, so that they are not handed around for nothing.
pub fn distribute(
    input: &AssignorInput,
    process: &ProcessState,
    assigned: &ProcessAssignment,
) -> BTreeMap<String, ConsumerTasks> {
    let is_stateful = |task: &TaskId| input.tasks.get(task).is_some_and(|info| info.stateful);
    let (stateful, stateless): (BTreeSet<TaskId>, BTreeSet<TaskId>) =
        assigned.active.iter().partition(|t| is_stateful(t));
    let standby: BTreeSet<TaskId> = assigned.standby.union(&assigned.warmup).copied().collect();

    let mut consumers: Vec<(&String, ConsumerTasks)> =
        process.consumers.keys().map(|id| (id, ConsumerTasks::default())).collect();
    for (tasks, are_active) in [(&stateful, true), (&standby, false), (&stateless, true)] {
        let bins: Vec<Bin> = process
            .consumers
            .values()
            .zip(&consumers)
            .map(|(state, (_, given))| {
                let has = |task: &&TaskId| state.active.contains(task) || state.reported.contains(task);
                let mut previous: Vec<TaskId> = tasks.iter().filter(has).copied().collect();
                previous.sort_by_key(|task| (!state.active.contains(task), process.lags.get(task).copied(), *task));
                Bin { threads: 1, load: given.active.len() + given.standby.len(), previous }
            })
            .collect();
        let no_preference = |_: TaskId, _: usize| None::<()>;
        for ((_, given), placed) in consumers.iter_mut().zip(spread(tasks, &bins, false, no_preference)) {
            if are_active { given.active.extend(placed) } else { given.standby.extend(placed) }
        }
    }
    consumers.into_iter().map(|(id, tasks)| (id.clone(), tasks)).collect()
}
