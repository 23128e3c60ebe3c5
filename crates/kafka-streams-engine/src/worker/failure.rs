//! A task that fails ends its worker; what the process remembers of it for the next one (rule C4).

use kafka_streams_core::handler::ErrorContext;
use kafka_streams_core::{TaskId, TopicPartition};

use crate::error::WorkerError;
use crate::failed_tasks::FailedAt;
use crate::task::Task;
use crate::worker::{BatchOf, Mode, Ports, Worker};

impl<P: Ports> Worker<P> {
    /// Remembers which task has failed, and where.
    pub(super) fn note_failure(&mut self, error: &WorkerError, now: i64) {
        self.in_hand = None;
        let Some(task) = error.task() else { return };
        // On the way out, a second failure is none.
        if matches!(self.mode, Mode::Running | Mode::Closing { .. }) {
            let at = record_of(error).unwrap_or_else(|| self.stands_at(task));
            self.failed_tasks.note(task, at, now);
        }
    }

    /// A task's store could not take its commit (rule C5): its restore must not be repeated without a pause.
    pub(super) fn note_store_failure(&mut self, task: TaskId, now: i64) {
        self.failed_tasks.note(task, self.stands_at(task), now);
    }

    fn stands_at(&self, task: TaskId) -> FailedAt {
        FailedAt::Positions(self.tasks.get(&task).map(|task| task.positions()).unwrap_or_default())
    }

    /// Ends the probation of tasks that have committed what follows their failure.
    pub(super) fn end_probations(&mut self, now: i64) {
        let committed = self.tasks.values().filter(|task| self.party.is_failed(task.id) && !task.needs_commit());
        let past = |task: &&Task<BatchOf<P>>| {
            let positions = task.positions();
            let position =
                |partition: &TopicPartition| positions.iter().find(|(of, _)| of == partition).map(|(_, at)| *at);
            self.failed_tasks.is_past(task.id, position, now)
        };
        let ids: Vec<TaskId> = committed.filter(past).map(|task| task.id).collect();
        for id in ids {
            tracing::info!(task = %id, "the task is past its failure");
            self.party.remove_failed(id);
        }
    }

    /// Whether a task is on its way to running; those that are held back after a failure do not count.
    pub(super) fn is_starting(&self, now: i64) -> bool {
        self.starting.keys().any(|id| self.failed_tasks.held_until(*id, now).is_none())
    }
}

/// A worker that is dropped with a task in hand was dropped by a panic of the task's nodes.
impl<P: Ports> Drop for Worker<P> {
    fn drop(&mut self) {
        if let Some(task) = self.in_hand.take() {
            let context = self.tasks.get(&task).map(|task| task.cx.error_context(None));
            let at = context.and_then(|context| record_at(&context)).unwrap_or_else(|| self.stands_at(task));
            self.failed_tasks.note(task, at, (self.clock)());
        }
    }
}

/// The input record of a failure, if it is known.
fn record_of(error: &WorkerError) -> Option<FailedAt> {
    match error {
        WorkerError::Processing { context, .. } => record_at(context),
        _ => None,
    }
}

fn record_at(context: &ErrorContext) -> Option<FailedAt> {
    let topic = context.topic.clone().filter(|_| context.offset >= 0)?;
    Some(FailedAt::Record(TopicPartition::new(topic, context.partition), context.offset))
}
