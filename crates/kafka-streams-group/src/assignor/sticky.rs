//! Active tasks stay where they are as far as the balance allows; the others go where their state is freshest.

use std::collections::{BTreeMap, BTreeSet};

use kafka_streams_core::TaskId;

use super::spread::{Bin, spread};
use super::{AssignorInput, AssignorOutput, ConsumerState, Lag, ProcessAssignment, ProcessState};
use crate::ProcessId;

/// Assigns every task as an active task to one process. Deterministic.
///
/// Stateful tasks are balanced by threads first, then the stateless ones so that all tasks together are balanced: no thread
/// needs to have two more than another. A process keeps the tasks that it runs as long as its share allows; a stateful task
/// that has to move, or that nobody runs, goes to the process with the smallest lag that still has room, and to the one with
/// the smallest load if none has state of it.
pub fn assign(input: &AssignorInput) -> AssignorOutput {
    let processes: Vec<&ProcessState> = input.processes.values().collect();
    let owners = owners(input);
    let mut assigned: Vec<ProcessAssignment> = processes.iter().map(|_| ProcessAssignment::default()).collect();

    for stateful in [true, false] {
        let tasks: BTreeSet<TaskId> =
            input.tasks.iter().filter(|(_, info)| info.stateful == stateful).map(|(task, _)| *task).collect();
        let bins: Vec<Bin> = processes
            .iter()
            .zip(&assigned)
            .enumerate()
            .map(|(index, (process, assigned))| Bin {
                threads: process.capacity(),
                load: assigned.active.len(),
                previous: by_turns(process, tasks.iter().copied().filter(|task| owners.get(task) == Some(&index))),
            })
            .collect();
        let lag = |task: TaskId, bin: usize| -> Option<Lag> {
            let lags = processes.get(bin).filter(|_| stateful).map(|process| &process.lags);
            lags.and_then(|lags| lags.get(&task)).copied()
        };
        for (assigned, placed) in assigned.iter_mut().zip(spread(&tasks, &bins, input.keep_previous, lag)) {
            assigned.active.extend(placed);
        }
    }
    let processes: BTreeMap<ProcessId, ProcessAssignment> = input.processes.keys().copied().zip(assigned).collect();
    AssignorOutput { processes, probing_rebalance: input.keep_previous }
}

/// The process (by its place in the order) that runs each task: the one that owns its partitions, otherwise one that says it
/// runs there.
fn owners(input: &AssignorInput) -> BTreeMap<TaskId, usize> {
    let mut owners = BTreeMap::new();
    for (index, process) in input.processes.values().enumerate() {
        for task in process.consumers.values().flat_map(|consumer| &consumer.active) {
            owners.entry(*task).or_insert(index);
        }
    }
    for (index, process) in input.processes.values().enumerate() {
        for (task, _) in process.lags.iter().filter(|(_, lag)| **lag == Lag::Latest) {
            owners.entry(*task).or_insert(index);
        }
    }
    owners
}

/// A process's tasks, one of each of its consumers by turns: if it may keep only the first few, each consumer keeps about as
/// many, and none has to be handed around within the process.
fn by_turns(process: &ProcessState, tasks: impl Iterator<Item = TaskId>) -> Vec<TaskId> {
    let mut turns: BTreeMap<usize, usize> = BTreeMap::new();
    let mut ordered: Vec<(usize, usize, TaskId)> = tasks
        .map(|task| {
            let runs = |consumer: &ConsumerState| consumer.active.contains(&task);
            let consumer = process.consumers.values().position(runs).unwrap_or(usize::MAX);
            let turn = turns.entry(consumer).or_default();
            *turn += 1;
            (*turn, consumer, task)
        })
        .collect();
    ordered.sort_unstable();
    ordered.into_iter().map(|(_, _, task)| task).collect()
}
