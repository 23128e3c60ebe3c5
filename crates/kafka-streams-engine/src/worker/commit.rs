//! The commit cycle: flush until nothing is in flight, offsets, transaction, stores (rules C1, C2, C5, C6, S4, S5).
//!
//! ```text
//!  exactly-once:  flush ─▶ acknowledged ─▶ offsets into the transaction ─▶ commit it ─▶ stores ─▶ done
//!  at-least-once: flush ─▶ acknowledged ─▶ stores ─▶ offsets through the group ─▶ done
//! ```

use kafka_streams_state::Uncommitted;

use crate::commit_point::CommitPoint;
use crate::config::Guarantee;
use crate::error::WorkerError;
use crate::port::{Admin, BrokerError, BrokerErrorKind, Call, CallId, Group, OffsetToCommit, Produce, Progress, Reply};
use crate::task::Task;
use crate::worker::recover::{Attempts, Trouble};
use crate::worker::{Mode, Ports, Worker};

/// Flushing a store may fill the cache of one that was flushed before it; a chain of stores is flushed through after as
/// many passes as it is long, and a pass that sends nothing ends it.
pub(crate) const MAX_FLUSH_PASSES: u32 = 64;
/// Wait before offsets are committed again.
const RETRY_MS: i64 = 50;

/// The commit in progress, if any.
#[derive(Debug, Default)]
pub(super) struct Commit {
    stage: Stage,
    offsets: Vec<OffsetToCommit>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    /// Empty the caches, pass by pass, handing the output to the producer after each.
    Flush {
        passes: u32,
        flushed: bool,
    },
    /// Wait until everything is acknowledged.
    Acknowledged,
    SendOffsets,
    CommitTransaction,
    CommitOffsets {
        call: Option<CallId>,
        retry_at: i64,
    },
}

impl Commit {
    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    pub(super) fn shift_back(&mut self, by: i64) {
        if let Stage::CommitOffsets { retry_at, .. } = &mut self.stage {
            *retry_at = retry_at.saturating_sub(by);
        }
    }

    pub(super) fn is_waiting_for(&self, call: CallId) -> bool {
        matches!(self.stage, Stage::CommitOffsets { call: Some(asked), .. } if asked == call)
    }
}

impl<P: Ports> Worker<P> {
    /// Begins a commit if one is due, and goes on with the one in progress as far as it can.
    pub(super) fn commit(&mut self, now: i64) -> Result<bool, WorkerError> {
        let mut worked = false;
        if self.commit.is_idle() {
            if !self.commit_is_due(now) {
                self.finish_revocations();
                return Ok(false);
            }
            if !self.party().any(Task::needs_commit) {
                for task in self.party_mut() {
                    task.cx.commit_requested = false;
                }
                self.last_commit_ms = now;
                self.finish_revocations();
                return Ok(false);
            }
            self.config.probe.at(CommitPoint::BeforeFlush);
            self.commit.stage = Stage::Flush { passes: 0, flushed: false };
        }
        while let Some(next) = self.step_commit(now)? {
            self.commit.stage = next;
            worked = true;
            if next == Stage::Idle {
                self.finish_revocations();
                break;
            }
        }
        Ok(worked)
    }

    fn commit_is_due(&self, now: i64) -> bool {
        if !self.producer_ready || self.tasks.is_empty() {
            return false;
        }
        let wanted = !self.revoking.is_empty()
            || !self.renewing.is_empty()
            || matches!(self.mode, Mode::Closing { .. })
            || now - self.last_commit_ms >= self.config.commit_interval_ms;
        wanted
            || self.party().any(|task| task.cx.commit_requested)
            || self.too_much_uncommitted()
            || self.slice_is_over(now)
    }

    /// A commit holds up the thread, so it is bounded by rows as well as by bytes.
    fn too_much_uncommitted(&self) -> bool {
        let sum = self.tasks.values().fold(Uncommitted::default(), |sum, task| {
            let more = task.uncommitted();
            Uncommitted { rows: sum.rows + more.rows, bytes: sum.bytes + more.bytes }
        });
        sum.rows >= self.config.max_uncommitted_rows || sum.bytes >= self.config.max_uncommitted_bytes
    }

    /// One stage; `None` if it has to be waited for.
    fn step_commit(&mut self, now: i64) -> Result<Option<Stage>, WorkerError> {
        match self.commit.stage {
            Stage::Idle => Ok(None),
            Stage::Flush { passes, flushed: false } => {
                let (party, in_hand) = (&self.party, &mut self.in_hand);
                for task in self.tasks.values_mut().filter(|task| party.has(task.id)) {
                    *in_hand = Some(task.id);
                    task.flush_stores(now)?;
                }
                *in_hand = None;
                Ok(Some(Stage::Flush { passes: passes + 1, flushed: true }))
            }
            Stage::Flush { passes, flushed: true } => {
                let mut sent = false;
                let ids: Vec<_> = self.party().map(|task| task.id).collect();
                for id in ids {
                    sent |= self.tasks.get(&id).is_some_and(|task| !task.cx.output.is_empty());
                    if !self.drain(id, now)? {
                        return Ok(None);
                    }
                }
                let again = (sent || passes < 2) && passes < MAX_FLUSH_PASSES;
                Ok(Some(if again { Stage::Flush { passes, flushed: false } } else { Stage::Acknowledged }))
            }
            Stage::Acknowledged => {
                if self.produce.in_flight() > 0 {
                    self.produce.flush();
                    return Ok(None);
                }
                self.config.probe.at(CommitPoint::AfterFlush);
                // C1: every task that took part contributes an offset.
                self.commit.offsets = self.party().flat_map(Task::offsets_to_commit).collect();
                match self.config.guarantee {
                    Guarantee::ExactlyOnce => {
                        let begun = begin_transaction(&mut self.produce, &mut self.in_transaction);
                        let progress = Progress::Done(begun);
                        self.transaction_step("beginning a transaction", progress, Stage::SendOffsets, now)
                    }
                    Guarantee::AtLeastOnce => {
                        // S5: after the changelog's acknowledgement, before the offsets.
                        self.config.probe.at(CommitPoint::BeforeStores);
                        self.commit_stores(now);
                        self.config.probe.at(CommitPoint::AfterStores);
                        Ok(Some(Stage::CommitOffsets { call: None, retry_at: now }))
                    }
                }
            }
            Stage::SendOffsets => {
                // C6: never without a seat; it will be given or taken away by an event.
                let Some(member) = self.group.member() else { return Ok(None) };
                let progress = self.produce.send_offsets(&self.commit.offsets, &member);
                if progress == Progress::Done(Ok(())) {
                    self.config.probe.at(CommitPoint::AfterOffsets);
                }
                self.transaction_step("sending offsets to the transaction", progress, Stage::CommitTransaction, now)
            }
            Stage::CommitTransaction => {
                let progress = self.produce.commit_transaction();
                if progress == Progress::Pending {
                    self.config.probe.at(CommitPoint::AfterEndTxnSent);
                }
                if progress == Progress::Done(Ok(())) {
                    // S5: only now, with the answer in hand.
                    self.in_transaction = false;
                    self.config.probe.at(CommitPoint::BeforeStores);
                    self.commit_stores(now);
                    self.config.probe.at(CommitPoint::AfterStores);
                    self.committed(now);
                }
                self.transaction_step("committing the transaction", progress, Stage::Idle, now)
            }
            Stage::CommitOffsets { call: Some(_), .. } => Ok(None),
            Stage::CommitOffsets { call: None, retry_at } if retry_at > now => Ok(None),
            Stage::CommitOffsets { call: None, .. } => {
                let Some(member) = self.group.member() else { return Ok(None) };
                let call = self.admin.call(Call::CommitOffsets(member, self.commit.offsets.clone()));
                Ok(Some(Stage::CommitOffsets { call: Some(call), retry_at: now }))
            }
        }
    }

    fn transaction_step(
        &mut self,
        what: &'static str,
        progress: Progress<Result<(), BrokerError>>,
        next: Stage,
        now: i64,
    ) -> Result<Option<Stage>, WorkerError> {
        match progress {
            Progress::Pending => Ok(None),
            Progress::Done(Ok(())) => {
                self.failing.remove(what);
                Ok(Some(next))
            }
            Progress::Done(Err(error)) => match error.kind {
                BrokerErrorKind::Retriable => self.bear(what, error, now).map(|()| None),
                BrokerErrorKind::Fenced => self.fall(Trouble::Fenced { reason: format!("{what}: {error}") }, now),
                // S9: aborted or of unknown outcome, both are safe: drop the layers and start from what is committed.
                BrokerErrorKind::AbortRequired | BrokerErrorKind::Rejoin => {
                    self.fall(Trouble::StartAnew { reason: format!("{what}: {error}") }, now)
                }
                _ => Err(WorkerError::Broker { what: what.to_owned(), error }),
            },
        }
    }

    fn fall(&mut self, trouble: Trouble, now: i64) -> Result<Option<Stage>, WorkerError> {
        self.begin_recovery(trouble, now)?;
        Ok(None)
    }

    /// The answer to the offset commit of at-least-once.
    pub(super) fn on_offsets_committed(&mut self, reply: Reply, now: i64) -> Result<(), WorkerError> {
        const WHAT: &str = "committing offsets";
        let Reply::CommitOffsets(result) = reply else { return Ok(()) };
        match result {
            Ok(()) => {
                self.failing.remove(WHAT);
                self.committed(now);
                self.commit.stage = Stage::Idle;
                self.finish_revocations();
                Ok(())
            }
            // The seat moved on; with the next one, or with its loss, the commit is tried again or dropped.
            Err(error) if matches!(error.kind, BrokerErrorKind::Retriable | BrokerErrorKind::Rejoin) => {
                let error = BrokerError { kind: BrokerErrorKind::Retriable, ..error };
                self.commit.stage = Stage::CommitOffsets { call: None, retry_at: now + RETRY_MS };
                self.bear(WHAT, error, now)
            }
            Err(error) => Err(WorkerError::Broker { what: WHAT.to_owned(), error }),
        }
    }

    /// C5: a store that cannot take its batch is closed with its task, and the tail is restored.
    fn commit_stores(&mut self, now: i64) {
        let mut failed = Vec::new();
        for task in self.party_mut() {
            let id = task.id;
            if let Err((store, error)) = task.commit_stores(now) {
                tracing::error!(task = %id, %store, %error, "the store could not take its commit; the task is restored");
                failed.push(id);
            }
        }
        for id in failed {
            self.note_store_failure(id, now);
            if let Some(task) = self.tasks.get_mut(&id) {
                task.committed();
            }
            let partitions = self.close_task(id, true);
            self.begin_restart(id, partitions, now);
        }
    }

    fn committed(&mut self, now: i64) {
        let offsets = std::mem::take(&mut self.commit.offsets);
        self.one_by_one.committed(&offsets);
        for task in self.party_mut() {
            task.committed();
        }
        self.attempts = Attempts::default();
        let prefix = format!("{}-", self.config.application_id);
        for offset in offsets {
            let topic = &offset.partition.topic;
            if topic.starts_with(&prefix) && topic.ends_with("-repartition") {
                self.purge.committed.insert(offset.partition, offset.offset);
            }
        }
        self.last_commit_ms = now;
        self.config.probe.at(CommitPoint::AfterCommit);
    }
}

pub(crate) fn begin_transaction<Q: Produce>(produce: &mut Q, in_transaction: &mut bool) -> Result<(), BrokerError> {
    if !*in_transaction {
        produce.begin_transaction()?;
        *in_transaction = true;
    }
    Ok(())
}
