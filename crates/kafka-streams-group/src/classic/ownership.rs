//! Which active tasks the worker holds, and which of them it is giving up.

use std::collections::{BTreeMap, BTreeSet};

use kafka_streams_core::{TaskId, TopicPartition};

use crate::RevocationId;

/// The tasks that the worker was told to run and has not released yet. Everything in here is claimed in a JoinGroup, so
/// that the leader gives it to nobody else (rule C2).
#[derive(Debug, Default)]
pub(super) struct Ownership {
    held: BTreeMap<TaskId, Holding>,
}

#[derive(Debug)]
struct Holding {
    partitions: Vec<TopicPartition>,
    /// The `Revoke` that asked for it, while it is not answered.
    releasing: Option<RevocationId>,
}

/// What a new assignment changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// To be released, and not asked for before.
    pub(super) revoked: Vec<(TaskId, Vec<TopicPartition>)>,
    /// To be opened: new here, or given back while being released.
    pub(super) added: Vec<TaskId>,
    /// All tasks to run.
    pub(super) active: Vec<(TaskId, Vec<TopicPartition>)>,
}

impl Ownership {
    /// The partitions to claim, sorted.
    pub(super) fn claims(&self) -> BTreeSet<TopicPartition> {
        self.held.values().flat_map(|holding| holding.partitions.iter().cloned()).collect()
    }

    /// Whether a `Revoke` is unanswered.
    pub(super) fn is_releasing(&self) -> bool {
        self.held.values().any(|holding| holding.releasing.is_some())
    }

    /// Takes a new assignment over; what it takes away will be asked for as `id`.
    ///
    /// A task that keeps its id but reads other partitions now is given up first, like any other, and comes back with the
    /// next assignment: the worker never changes a running task.
    pub(super) fn assign(&mut self, assigned: BTreeMap<TaskId, Vec<TopicPartition>>, id: RevocationId) -> Changes {
        let mut changes = Changes::default();
        for (task, holding) in &mut self.held {
            let kept = assigned.get(task).is_some_and(|partitions| *partitions == holding.partitions);
            match (kept, holding.releasing) {
                (true, None) => {}
                // The worker closes it when it comes to the `Revoke`, then opens it again.
                (true, Some(_)) => {
                    holding.releasing = None;
                    changes.added.push(*task);
                }
                (false, None) => {
                    holding.releasing = Some(id);
                    changes.revoked.push((*task, holding.partitions.clone()));
                }
                (false, Some(_)) => {}
            }
        }
        for (task, partitions) in assigned {
            self.held.entry(task).or_insert_with(|| {
                changes.added.push(task);
                Holding { partitions, releasing: None }
            });
        }
        changes.added.sort_unstable();
        let running = self.held.iter().filter(|(_, holding)| holding.releasing.is_none());
        changes.active = running.map(|(task, holding)| (*task, holding.partitions.clone())).collect();
        changes
    }

    /// The worker gave these up. Tasks that were not asked for under this id, or were given back since, stay.
    pub(super) fn release(&mut self, id: RevocationId, tasks: &[TaskId]) {
        for task in tasks {
            if self.held.get(task).is_some_and(|holding| holding.releasing == Some(id)) {
                self.held.remove(task);
            }
        }
    }

    /// Nothing is held any more.
    pub(super) fn clear(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks<const N: usize>(ids: [i32; N]) -> BTreeMap<TaskId, Vec<TopicPartition>> {
        ids.into_iter().map(|n| (TaskId::new(0, n), vec![TopicPartition::new("in", n)])).collect()
    }

    fn ids<const N: usize>(ids: [i32; N]) -> Vec<TaskId> {
        ids.into_iter().map(|n| TaskId::new(0, n)).collect()
    }

    #[test]
    fn what_is_taken_away_stays_claimed_until_released() {
        let mut ownership = Ownership::default();
        assert_eq!(ownership.assign(tasks([0, 1]), RevocationId(1)).added, ids([0, 1]));
        let changes = ownership.assign(tasks([1, 2]), RevocationId(2));
        assert_eq!(changes.revoked.iter().map(|(task, _)| *task).collect::<Vec<_>>(), ids([0]));
        assert_eq!(changes.added, ids([2]));
        assert_eq!(changes.active.iter().map(|(task, _)| *task).collect::<Vec<_>>(), ids([1, 2]));
        assert_eq!(ownership.claims().len(), 3);
        ownership.release(RevocationId(2), &ids([0]));
        assert_eq!(ownership.claims().len(), 2);
        assert!(!ownership.is_releasing());
    }

    #[test]
    fn a_task_given_back_while_it_is_released_is_opened_again_and_its_late_release_ignored() {
        let mut ownership = Ownership::default();
        ownership.assign(tasks([0]), RevocationId(1));
        ownership.assign(tasks([]), RevocationId(2));
        assert_eq!(ownership.assign(tasks([0]), RevocationId(3)).added, ids([0]));
        let changes = ownership.assign(tasks([]), RevocationId(4));
        assert_eq!(changes.revoked.len(), 1);
        ownership.release(RevocationId(2), &ids([0]));
        assert!(ownership.is_releasing(), "the release of the first Revoke says nothing about the second");
        ownership.release(RevocationId(4), &ids([0]));
        assert!(ownership.claims().is_empty());
    }

    #[test]
    fn a_task_whose_partitions_change_is_given_up_first() {
        let mut ownership = Ownership::default();
        ownership.assign(tasks([0]), RevocationId(1));
        let grown =
            BTreeMap::from([(TaskId::new(0, 0), vec![TopicPartition::new("in", 0), TopicPartition::new("more", 0)])]);
        let changes = ownership.assign(grown, RevocationId(2));
        assert_eq!(changes.revoked.len(), 1);
        assert!(changes.active.is_empty() && changes.added.is_empty());
    }
}
