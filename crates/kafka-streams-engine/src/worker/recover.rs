//! Recovery: when the outcome of anything is in doubt, the uncommitted layers are dropped and the tasks start anew from
//! what is committed (rules S9, C3, C4).

use crate::config::Guarantee;
use crate::error::WorkerError;
use crate::port::{BrokerErrorKind, Produce, Progress};
use crate::worker::{Commit, Mode, Ports, Worker};

/// What went wrong for all tasks of the worker at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Abort, and start the tasks anew with the same producer.
    StartAnew { reason: String },
    /// The producer is done for: make a new one, and start the tasks anew.
    Fenced { reason: String },
    /// The tasks are lost: abort and drop them.
    Lost { reason: String },
    /// The worker is being closed after an error.
    Abandoned,
}

/// A recovery in progress.
#[derive(Debug)]
pub(super) struct Recovery {
    keep_tasks: bool,
    stage: Stage,
    since: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Abort,
    /// At-least-once: what is in flight ends up in the changelogs, and must be there before their ends are asked for (S4).
    Settle,
    NewProducer,
    Rebuild,
}

impl Recovery {
    /// Whether the tasks are started anew afterwards; otherwise they are lost.
    pub(super) fn keeps_tasks(&self) -> bool {
        self.keep_tasks
    }
}

/// How long an abort may take; a transaction that is not aborted by then is aborted by the broker, or by the next
/// producer of this id.
const ABORT_TIMEOUT_MS: i64 = 10_000;

impl<P: Ports> Worker<P> {
    /// Stops all processing; [`recover`](Worker::recover) does the rest over the next turns.
    pub(super) fn begin_recovery(&mut self, trouble: Trouble, now: i64) -> Result<(), WorkerError> {
        let (keep_tasks, new_producer, reason) = match trouble {
            Trouble::StartAnew { reason } => (true, false, reason),
            Trouble::Fenced { reason } => (true, true, reason),
            Trouble::Lost { reason } => (false, false, reason),
            Trouble::Abandoned => (false, false, "the worker is closed without a commit".to_owned()),
        };
        tracing::warn!(worker = self.worker, reason, "what is not committed is dropped");
        self.commit = Commit::default();
        let stage = match (self.config.guarantee, new_producer) {
            (_, true) => Stage::NewProducer,
            (Guarantee::ExactlyOnce, false) if self.in_transaction => Stage::Abort,
            (Guarantee::ExactlyOnce, false) => Stage::Rebuild,
            (Guarantee::AtLeastOnce, false) => Stage::Settle,
        };
        let earlier = self.recovery.take();
        let keep_tasks = keep_tasks && earlier.is_none_or(|earlier| earlier.keep_tasks);
        self.recovery = Some(Recovery { keep_tasks, stage, since: now });
        // C3: nothing of what advanced since the last commit may be seen by anyone, from now on.
        for task in self.tasks.values_mut() {
            task.close();
        }
        Ok(())
    }

    pub(super) fn recover(&mut self, now: i64) -> Result<bool, WorkerError> {
        let Some(recovery) = &mut self.recovery else { return Ok(false) };
        match recovery.stage {
            Stage::Abort => match self.produce.abort_transaction() {
                Progress::Pending if now - recovery.since < ABORT_TIMEOUT_MS => return Ok(false),
                Progress::Done(Ok(())) => {
                    self.in_transaction = false;
                    recovery.stage = Stage::Rebuild;
                }
                Progress::Done(Err(error))
                    if error.kind == BrokerErrorKind::Retriable && now - recovery.since < ABORT_TIMEOUT_MS =>
                {
                    return Ok(false);
                }
                Progress::Pending | Progress::Done(Err(_)) => recovery.stage = Stage::NewProducer,
            },
            Stage::Settle if self.produce.in_flight() == 0 => recovery.stage = Stage::Rebuild,
            Stage::Settle if now - recovery.since < ABORT_TIMEOUT_MS => {
                self.produce.flush();
                return Ok(false);
            }
            Stage::Settle => recovery.stage = Stage::NewProducer,
            Stage::NewProducer if self.mode == Mode::Abandoning => recovery.stage = Stage::Rebuild,
            Stage::NewProducer => match (self.make_producer)() {
                Ok(producer) => {
                    self.produce = producer;
                    self.producer_ready = self.config.guarantee == Guarantee::AtLeastOnce;
                    self.in_transaction = false;
                    recovery.stage = Stage::Rebuild;
                }
                Err(error) => return self.bear("making a new producer", error, now).map(|()| false),
            },
            Stage::Rebuild => {
                let keep_tasks = recovery.keep_tasks;
                self.recovery = None;
                self.rebuild(keep_tasks, now);
            }
        }
        Ok(true)
    }

    /// Closes all tasks and, if they are still ours, begins to start them from what is committed.
    fn rebuild(&mut self, keep_tasks: bool, now: i64) {
        let ids: Vec<_> = self.tasks.keys().copied().collect();
        for id in ids {
            let partitions = self.close_task(id, keep_tasks);
            if keep_tasks {
                self.begin_restart(id, partitions, now);
            }
        }
        if !keep_tasks {
            let starting: Vec<_> = self.starting.keys().copied().collect();
            for id in starting {
                self.cancel_start(id);
            }
            self.revoking.clear();
            if self.mode == Mode::Running {
                self.generation = -1;
            }
        }
        self.tell_offset_sums();
        self.last_commit_ms = now;
    }
}
