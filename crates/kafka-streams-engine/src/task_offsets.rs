//! What a process knows of its tasks' stores: who works on which task, and how far the others are.
//!
//! Shared by the workers of a process, so that each can tell the group's leader what lies on this disk, and so that a
//! task's directory has one user at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_streams_core::TaskId;

/// The offset sum that stands for "runs here as an active task" (`LATEST_OFFSET` of the JVM).
pub const LATEST_OFFSET: i64 = -2;

/// The tasks of a process. Cheap to clone; all clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct TaskOffsets(Arc<Mutex<BTreeMap<TaskId, Entry>>>);

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    owner: Option<u32>,
    running: bool,
    /// The sum of the last known offsets; `None` for a task of which nothing lies on disk.
    sum: Option<i64>,
}

impl TaskOffsets {
    /// No task known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes what lies on disk of a task that nobody works on.
    pub fn found_on_disk(&self, task: TaskId, sum: i64) {
        self.lock().entry(task).or_default().sum = Some(sum);
    }

    /// Makes `worker` the one that may open the task's stores; false while another one has them.
    pub fn try_own(&self, task: TaskId, worker: u32) -> bool {
        let mut tasks = self.lock();
        let entry = tasks.entry(task).or_default();
        let free = entry.owner.is_none_or(|owner| owner == worker);
        if free {
            entry.owner = Some(worker);
        }
        free
    }

    /// Whether a worker has this task.
    pub fn is_owned(&self, task: TaskId) -> bool {
        self.lock().get(&task).is_some_and(|entry| entry.owner.is_some())
    }

    /// Notes that a task with changelogs runs in its owner.
    pub fn runs(&self, task: TaskId) {
        self.lock().entry(task).or_default().running = true;
    }

    /// Gives a task back: its stores are closed, at this sum of offsets if it has any.
    pub fn release(&self, task: TaskId, worker: u32, sum: Option<i64>) {
        let mut tasks = self.lock();
        if let Some(entry) = tasks.get_mut(&task)
            && entry.owner == Some(worker)
        {
            *entry = Entry { owner: None, running: false, sum: sum.or(entry.sum) };
        }
    }

    /// Gives back all tasks of a worker that has ended; their offsets stay those known before.
    pub fn release_all(&self, worker: u32) {
        for entry in self.lock().values_mut().filter(|entry| entry.owner == Some(worker)) {
            (entry.owner, entry.running) = (None, false);
        }
    }

    /// Claims a task that nobody works on, runs `remove` on its directory, and forgets it; false if it is in use.
    pub fn remove_unowned<E>(&self, task: TaskId, remove: impl FnOnce() -> Result<(), E>) -> Result<bool, E> {
        let mut tasks = self.lock();
        if tasks.get(&task).is_some_and(|entry| entry.owner.is_some()) {
            return Ok(false);
        }
        remove()?;
        tasks.remove(&task);
        Ok(true)
    }

    /// What `worker` tells the group: its own running tasks, and what lies here unused.
    pub fn sums_for(&self, worker: u32) -> Vec<(TaskId, i64)> {
        let tasks = self.lock();
        let sum = |(task, entry): (&TaskId, &Entry)| match entry.owner {
            Some(owner) if owner != worker => None,
            Some(_) if entry.running => Some((*task, LATEST_OFFSET)),
            _ => Some((*task, entry.sum?)),
        };
        tasks.iter().filter_map(sum).collect()
    }

    /// A panic elsewhere leaves a list that is still true entry by entry.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_has_one_owner_and_the_others_do_not_speak_of_it() {
        let (task, idle) = (TaskId::new(0, 0), TaskId::new(0, 1));
        let offsets = TaskOffsets::new();
        offsets.found_on_disk(task, 7);
        offsets.found_on_disk(idle, 9);
        assert!(offsets.try_own(task, 1));
        assert!(!offsets.try_own(task, 2));
        offsets.runs(task);
        assert_eq!(offsets.sums_for(1), [(task, LATEST_OFFSET), (idle, 9)]);
        assert_eq!(offsets.sums_for(2), [(idle, 9)]);
        assert_eq!(offsets.remove_unowned(task, || Ok::<_, ()>(())), Ok(false));
        offsets.release(task, 1, Some(12));
        assert_eq!(offsets.sums_for(2), [(task, 12), (idle, 9)]);
        assert_eq!(offsets.remove_unowned(task, || Ok::<_, ()>(())), Ok(true));
    }
}
