//! Who takes part in the present transaction (rule C4): all healthy tasks together, or one task that has failed, alone.
//!
//! The two take turns, and whoever gives way commits before: a step that fails again then drops nothing of anybody else.
//! Under at-least-once it is the same, with offset commits in place of transactions.

use std::collections::BTreeSet;

use kafka_streams_core::TaskId;

use crate::task::Task;
use crate::worker::{BatchOf, Mode, Ports, Worker};

/// How long the healthy tasks may go on while a failed one waits for its turn.
const HEALTHY_SLICE_MS: i64 = 100;
/// How long a failed task may go on while others wait. What it does may be for nothing, so that it gets less.
const ALONE_SLICE_MS: i64 = 50;

/// The tasks that run now, and those that run apart from the others.
#[derive(Debug, Default)]
pub(super) struct Party {
    /// The failed task whose turn it is; `None` if it is the healthy ones'.
    alone: Option<TaskId>,
    /// The failed tasks of this worker that run.
    failed: BTreeSet<TaskId>,
    /// The failed task that had its turn last.
    last_alone: Option<TaskId>,
    since: i64,
}

impl Party {
    /// Whether a task takes part in the present transaction.
    pub(super) fn has(&self, task: TaskId) -> bool {
        match self.alone {
            Some(alone) => alone == task,
            None => !self.failed.contains(&task),
        }
    }

    /// Whether there are tasks that run apart from the others.
    pub(super) fn is_split(&self) -> bool {
        self.alone.is_some() || !self.failed.is_empty()
    }

    pub(super) fn add_failed(&mut self, task: TaskId) {
        self.failed.insert(task);
    }

    pub(super) fn is_failed(&self, task: TaskId) -> bool {
        self.failed.contains(&task)
    }

    /// Forgets a task that was closed, or that is healthy again.
    pub(super) fn remove_failed(&mut self, task: TaskId) {
        self.failed.remove(&task);
    }

    pub(super) fn shift_back(&mut self, by: i64) {
        self.since = self.since.saturating_sub(by);
    }
}

impl<P: Ports> Worker<P> {
    /// The tasks that take part in the present transaction.
    pub(super) fn party(&self) -> impl Iterator<Item = &Task<BatchOf<P>>> {
        self.tasks.values().filter(|task| self.party.has(task.id))
    }

    pub(super) fn party_mut(&mut self) -> impl Iterator<Item = &mut Task<BatchOf<P>>> {
        let party = &self.party;
        self.tasks.values_mut().filter(|task| party.has(task.id))
    }

    /// Lets those who wait have their turn, if nothing of those who had it is uncommitted.
    pub(super) fn choose_party(&mut self, now: i64) {
        if !self.party.is_split() || !self.commit.is_idle() || self.party().any(Task::needs_commit) {
            return;
        }
        self.end_probations(now);
        let waiting = |id: &TaskId| self.waits(*id, now);
        let healthy = || self.tasks.keys().any(|id| !self.party.failed.contains(id) && waiting(id));
        let alone = match self.party.alone {
            Some(_) if healthy() => None,
            _ => {
                let failed = &self.party.failed;
                let after = failed.iter().filter(|id| Some(**id) > self.party.last_alone);
                after.chain(failed).find(|id| waiting(id)).copied()
            }
        };
        if alone != self.party.alone {
            self.party.alone = alone;
            self.party.last_alone = alone.or(self.party.last_alone);
            self.party.since = now;
        }
    }

    /// Whether those whose turn it is must commit now, so that others have theirs.
    pub(super) fn slice_is_over(&self, now: i64) -> bool {
        if !self.party.is_split() || !self.tasks.keys().any(|id| !self.party.has(*id) && self.waits(*id, now)) {
            return false;
        }
        let lasted = now - self.party.since;
        match self.party.alone {
            // One that has nothing left to do keeps nobody waiting.
            Some(alone) => lasted >= ALONE_SLICE_MS || !self.has_work(alone, now),
            None => lasted >= HEALTHY_SLICE_MS,
        }
    }

    /// Whether a task wants its turn.
    fn waits(&self, id: TaskId, now: i64) -> bool {
        let open = self.tasks.get(&id).is_some_and(Task::needs_commit);
        open || (self.mode == Mode::Running && self.has_work(id, now))
    }

    fn has_work(&self, id: TaskId, now: i64) -> bool {
        self.tasks.get(&id).is_some_and(|task| task.has_work(now))
    }
}
