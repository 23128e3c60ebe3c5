//! Recovery: when the outcome of anything is in doubt, the uncommitted layers are dropped and the tasks start anew from
//! what is committed (rules S9, C3, C4).

use crate::config::Guarantee;
use crate::error::WorkerError;
use crate::port::{BrokerErrorKind, Produce, Progress};
use crate::worker::{Commit, Mode, PASSED_MS, Ports, Worker};

/// What went wrong for all tasks of the worker at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Abort, and start the tasks anew with the same producer.
    StartAnew { reason: String },
    /// As `StartAnew`; then send the records one by one.
    BatchRefused { reason: String },
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
    /// When the tasks may be started: a cause that does not pass must not be met again and again without a pause.
    rebuild_at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Abort,
    /// At-least-once: what is in flight ends up in the changelogs, and must be there before their ends are asked for (S4).
    Settle,
    NewProducer,
    Rebuild,
}

/// Recoveries since the last commit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempts {
    count: u32,
    since: i64,
    last: i64,
}

impl Attempts {
    /// Notes another one; for how long they have gone on by now. Attempts that are so far apart have nothing to do with
    /// each other.
    fn note(&mut self, now: i64, apart_ms: i64) -> i64 {
        if self.count == 0 || now - self.last > apart_ms {
            *self = Attempts { count: 0, since: now, last: now };
        }
        self.count = self.count.saturating_add(1);
        self.last = now;
        now - self.since
    }

    /// The pause before the present one: none before the first.
    fn pause_ms(&self) -> i64 {
        match self.count.checked_sub(2) {
            Some(repeated) => FIRST_PAUSE_MS.saturating_mul(1 << repeated.min(16)).min(MAX_PAUSE_MS),
            None => 0,
        }
    }

    pub(super) fn shift_back(&mut self, by: i64) {
        self.since = self.since.saturating_sub(by);
        self.last = self.last.saturating_sub(by);
    }
}

impl Recovery {
    pub(super) fn shift_back(&mut self, by: i64) {
        self.since = self.since.saturating_sub(by);
        self.rebuild_at = self.rebuild_at.saturating_sub(by);
    }

    /// Whether the tasks are started anew afterwards; otherwise they are lost.
    pub(super) fn keeps_tasks(&self) -> bool {
        self.keep_tasks
    }
}

/// How long an abort may take; a transaction that is not aborted by then is aborted by the broker, or by the next
/// producer of this id.
const ABORT_TIMEOUT_MS: i64 = 10_000;
/// Pause before the second of several recoveries without a commit between them; doubled with each that follows.
const FIRST_PAUSE_MS: i64 = 50;
/// The longest pause.
const MAX_PAUSE_MS: i64 = 10_000;
/// Fewer recoveries than this are borne, however long they take: each may have waited for a transaction's timeout.
const MIN_ATTEMPTS: u32 = 10;

impl<P: Ports> Worker<P> {
    /// Stops all processing; [`recover`](Worker::recover) does the rest over the next turns.
    pub(super) fn begin_recovery(&mut self, trouble: Trouble, now: i64) -> Result<(), WorkerError> {
        let (keep_tasks, new_producer, reason) = match trouble {
            Trouble::StartAnew { reason } => (true, false, reason),
            Trouble::BatchRefused { reason } => {
                self.send_one_by_one();
                (true, false, reason)
            }
            Trouble::Fenced { reason } => (true, true, reason),
            Trouble::Lost { reason } => (false, false, reason),
            Trouble::Abandoned => (false, false, "the worker is closed without a commit".to_owned()),
        };
        tracing::warn!(worker = self.worker, reason, "what is not committed is dropped");
        let mut rebuild_at = now;
        if keep_tasks {
            let lasted_ms = self.attempts.note(now, self.config.task_timeout_ms.max(PASSED_MS));
            let attempts = self.attempts.count;
            if lasted_ms > self.config.task_timeout_ms && attempts >= MIN_ATTEMPTS {
                return Err(WorkerError::NoProgress { attempts, lasted_ms, reason });
            }
            rebuild_at = now.saturating_add(self.attempts.pause_ms());
        }
        self.commit = Commit::default();
        let stage = match (self.config.guarantee, new_producer) {
            (_, true) => Stage::NewProducer,
            (Guarantee::ExactlyOnce, false) if self.in_transaction => Stage::Abort,
            (Guarantee::ExactlyOnce, false) => Stage::Rebuild,
            (Guarantee::AtLeastOnce, false) => Stage::Settle,
        };
        let earlier = self.recovery.take();
        let keep_tasks = keep_tasks && earlier.is_none_or(|earlier| earlier.keep_tasks);
        self.recovery = Some(Recovery { keep_tasks, stage, since: now, rebuild_at });
        // C3: nothing of what advanced since the last commit may be seen by anyone, from now on.
        let at_least_once = self.config.guarantee == Guarantee::AtLeastOnce;
        for task in self.tasks.values_mut() {
            if at_least_once {
                task.send_last_letters(&mut self.produce);
            }
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
            Stage::NewProducer => {
                if !self.replace_producer(now)? {
                    return Ok(false);
                }
                if let Some(recovery) = &mut self.recovery {
                    recovery.stage = Stage::Rebuild;
                }
            }
            // Known only now, perhaps: a refusal may be told behind the failure of its transaction.
            Stage::Rebuild if self.one_by_one.wants_producer() && recovery.keep_tasks => {
                recovery.stage = Stage::NewProducer;
            }
            // Whoever waits for these tasks does not wait for a pause.
            Stage::Rebuild if now < recovery.rebuild_at && self.revoking.is_empty() && self.mode == Mode::Running => {
                return Ok(false);
            }
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
            let partitions = self.renewing.remove(&id).unwrap_or(partitions);
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
            self.renewing.clear();
            if self.mode == Mode::Running {
                self.generation = -1;
            }
        }
        self.tell_offset_sums();
        self.last_commit_ms = now;
    }
}
