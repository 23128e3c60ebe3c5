//! What must hold of every assignment, whichever assignor made it.

use kafka_streams_core::TaskId;

use super::{AssignorInput, AssignorOutput};
use crate::ProcessId;

/// A rule that an assignment breaks (`TaskAssignor.AssignmentError` of the JVM, and the tasks left out).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Defect {
    /// A task runs twice.
    #[error("task {0} is active on two processes")]
    ActiveTwice(TaskId),
    /// A task runs and stands by at the same place.
    #[error("task {0} is active and standby on process {1}")]
    ActiveAndStandby(TaskId, ProcessId),
    /// A standby of a task without state.
    #[error("task {0} has no state, but a standby on process {1}")]
    StatelessStandby(TaskId, ProcessId),
    /// A process that is not in the group.
    #[error("process {0} is not in the group")]
    UnknownProcess(ProcessId),
    /// A process of the group that was left out.
    #[error("process {0} was left out")]
    MissingProcess(ProcessId),
    /// A task that does not exist.
    #[error("task {0} does not exist")]
    UnknownTask(TaskId),
    /// A task that nobody runs.
    #[error("task {0} is assigned to nobody")]
    MissingTask(TaskId),
}

/// Checks an assignment against what it was made from.
///
/// # Errors
/// The first rule that it breaks.
pub fn validate(input: &AssignorInput, output: &AssignorOutput) -> Result<(), Defect> {
    let mut active = std::collections::BTreeSet::new();
    for (process, assigned) in &output.processes {
        if !input.processes.contains_key(process) {
            return Err(Defect::UnknownProcess(*process));
        }
        for task in &assigned.active {
            if !input.tasks.contains_key(task) {
                return Err(Defect::UnknownTask(*task));
            }
            if !active.insert(*task) {
                return Err(Defect::ActiveTwice(*task));
            }
        }
        for task in assigned.standby.union(&assigned.warmup) {
            match input.tasks.get(task) {
                None => return Err(Defect::UnknownTask(*task)),
                Some(info) if !info.stateful => return Err(Defect::StatelessStandby(*task, *process)),
                Some(_) if assigned.active.contains(task) => return Err(Defect::ActiveAndStandby(*task, *process)),
                Some(_) => {}
            }
        }
    }
    if let Some(process) = input.processes.keys().find(|process| !output.processes.contains_key(process)) {
        return Err(Defect::MissingProcess(*process));
    }
    match input.tasks.keys().find(|task| !active.contains(task)) {
        Some(task) => Err(Defect::MissingTask(*task)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::assignor::{ProcessAssignment, ProcessState, TaskInfo};

    #[test]
    fn each_rule_is_checked() {
        let task = TaskId::new(0, 0);
        let (here, there) = (ProcessId::new(uuid::Uuid::from_u128(1)), ProcessId::new(uuid::Uuid::from_u128(2)));
        let group = |stateful| AssignorInput {
            tasks: BTreeMap::from([(task, TaskInfo { stateful })]),
            processes: BTreeMap::from([(here, ProcessState::default()), (there, ProcessState::default())]),
            keep_previous: false,
        };
        let gives = |active: &[TaskId], standby: &[TaskId]| ProcessAssignment {
            active: active.iter().copied().collect(),
            standby: standby.iter().copied().collect(),
            ..Default::default()
        };
        let check = |stateful, processes: &[(ProcessId, ProcessAssignment)]| {
            let output = AssignorOutput { processes: processes.iter().cloned().collect(), probing_rebalance: false };
            validate(&group(stateful), &output)
        };
        let stranger = ProcessId::new(uuid::Uuid::from_u128(3));
        assert_eq!(check(true, &[(here, gives(&[task], &[])), (there, gives(&[], &[task]))]), Ok(()));
        assert_eq!(
            check(true, &[(here, gives(&[task], &[])), (there, gives(&[task], &[]))]),
            Err(Defect::ActiveTwice(task))
        );
        assert_eq!(
            check(true, &[(here, gives(&[task], &[task])), (there, gives(&[], &[]))]),
            Err(Defect::ActiveAndStandby(task, here))
        );
        assert_eq!(
            check(false, &[(here, gives(&[task], &[])), (there, gives(&[], &[task]))]),
            Err(Defect::StatelessStandby(task, there))
        );
        assert_eq!(check(true, &[(stranger, gives(&[task], &[]))]), Err(Defect::UnknownProcess(stranger)));
        assert_eq!(check(true, &[(here, gives(&[task], &[]))]), Err(Defect::MissingProcess(there)));
        let other = TaskId::new(9, 9);
        assert_eq!(check(true, &[(here, gives(&[other], &[]))]), Err(Defect::UnknownTask(other)));
        assert_eq!(check(true, &[(here, gives(&[], &[])), (there, gives(&[], &[]))]), Err(Defect::MissingTask(task)));
    }
}
