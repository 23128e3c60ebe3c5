//! A thread for the producer's calls that wait, so that the stream thread never does.
//!
//! ```text
//!   stream thread                     Lane                           librdkafka
//!   commit_transaction() ── Step ──▶ queued ──▶ running ── commit ──▶
//!      ◀── Pending                                      ◀── answer ──
//!      ◀───── waker ─────────────── outcome ◀──┘
//!   commit_transaction() ──────────▶ taken
//!      ◀── Done
//! ```
//!
//! Initialising, committing and aborting go on in the background when their timeout is over, and could be called with
//! short timeouts again and again. Sending offsets does not: a call that times out takes its requests back, so that a
//! timeout shorter than the broker's answer never comes to an end. It may also wait for a coordinator that is gone; then a
//! connection is cut, after which it finds the new one (see `raw/sockets.rs`). And a flush ends with the call that asked
//! for it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kafka_streams_engine::port::Progress;
use rdkafka::bindings::rd_kafka_resp_err_t::*;

use super::Waker;
use super::raw::{Client, Failure, GroupMetadata, PartitionList};

/// A step is tried again this long before its error is told; the next call takes it up again.
const STEP_LIMIT: Duration = Duration::from_secs(10);

/// Longest wait inside of librdkafka for calls that can be taken up again. A lane that is closed ends after it.
const SLICE: Duration = Duration::from_millis(500);

/// Sending offsets waits this long before a connection is cut, and then as long again as it has waited.
const CUT_AFTER: Duration = Duration::from_secs(2);

/// As [`SLICE`] for a flush, which gives way to steps.
const FLUSH_SLICE: Duration = Duration::from_millis(5);

/// Pause before a call is repeated that failed with an error that passes.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The thread's stack. It makes a handful of calls.
const STACK_BYTES: usize = 256 * 1024;

/// A step of a transaction that waits for the broker.
pub(super) enum Step {
    Init,
    SendOffsets(PartitionList, GroupMetadata),
    Commit,
    Abort,
}

/// Which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepKind {
    Init,
    SendOffsets,
    Commit,
    Abort,
}

impl Step {
    fn kind(&self) -> StepKind {
        match self {
            Step::Init => StepKind::Init,
            Step::SendOffsets(..) => StepKind::SendOffsets,
            Step::Commit => StepKind::Commit,
            Step::Abort => StepKind::Abort,
        }
    }
}

/// The stream thread's side. The thread begins with the first use and ends by itself once this is dropped.
pub(super) struct Lane {
    shared: Arc<Shared>,
    started: bool,
}

struct Shared {
    client: Arc<Client>,
    waker: Waker,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queued: Option<Step>,
    running: Option<Running>,
    outcome: Option<(StepKind, Result<(), Failure>)>,
    flush: bool,
    closed: bool,
}

/// A call that waits.
struct Running {
    kind: StepKind,
    since: Instant,
    cut_at: Instant,
}

impl Running {
    fn new(kind: StepKind) -> Self {
        let since = Instant::now();
        Running { kind, since, cut_at: since + CUT_AFTER }
    }

    /// For how long it has waited, if a connection should be cut now; the next one is due later.
    fn take_due_cut(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self.kind != StepKind::SendOffsets || now < self.cut_at {
            return None;
        }
        let waited = now - self.since;
        self.cut_at = now + waited;
        Some(waited)
    }
}

impl Lane {
    pub(super) fn new(client: Arc<Client>, waker: Waker) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Lane { shared: Arc::new(Shared { client, waker, state, changed }), started: false }
    }

    /// How far the step of this kind is. It is made and begun if none is under way. The outcome of another kind's step
    /// that was left behind is dropped once it is there.
    pub(super) fn step(
        &mut self,
        kind: StepKind,
        make: impl FnOnce() -> Result<Step, Failure>,
    ) -> Progress<Result<(), Failure>> {
        if let Err(failure) = self.start() {
            return Progress::Done(Err(failure));
        }
        let mut state = self.shared.lock();
        if let Some((done, outcome)) = state.outcome.take() {
            if done == kind {
                return Progress::Done(outcome);
            }
            tracing::debug!("the outcome of {done:?} was left behind: {outcome:?}");
        }
        if let Some(waited) = state.running.as_mut().and_then(Running::take_due_cut)
            && self.shared.client.cut_a_connection()
        {
            tracing::warn!(
                ?waited,
                "offsets are not sent to the transaction: the group's coordinator does not answer, or has moved while \
                 librdkafka waits for it; a connection was closed, so that it asks for the coordinator again"
            );
        }
        if state.running.is_none() && state.queued.is_none() {
            match make() {
                Ok(step) => state.queued = Some(step),
                Err(failure) => return Progress::Done(Err(failure)),
            }
            self.shared.changed.notify_all();
        }
        Progress::Pending
    }

    /// Whether a step is under way.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.shared.lock();
        state.queued.is_some() || state.running.is_some()
    }

    /// Sends what waits without `linger.ms`, until nothing is in flight, a step comes, or [`Lane::end_flush`].
    pub(super) fn flush(&mut self) {
        if let Err(failure) = self.start() {
            tracing::warn!("records wait for linger.ms: {failure}");
            return;
        }
        self.shared.lock().flush = true;
        self.shared.changed.notify_all();
    }

    /// What was to be flushed is gone; what was sent since may linger.
    pub(super) fn end_flush(&mut self) {
        self.shared.lock().flush = false;
    }

    fn start(&mut self) -> Result<(), Failure> {
        if self.started {
            return Ok(());
        }
        let shared = self.shared.clone();
        thread::Builder::new()
            .name("kafka-producer".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || shared.work())
            .map_err(|error| {
            let text = format!("no thread for the producer: {error}");
            Failure::new(RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE as i32, text)
        })?;
        self.started = true;
        Ok(())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread.
    fn work(&self) {
        let mut state = self.lock();
        while !state.closed {
            if let Some(step) = state.queued.take() {
                state.running = Some(Running::new(step.kind()));
                drop(state);
                let outcome = self.run(&step);
                state = self.lock();
                state.running = None;
                state.outcome = Some((step.kind(), outcome));
                drop(state);
                (self.waker)();
                state = self.lock();
            } else if state.flush {
                drop(state);
                let done = self.client.flush(FLUSH_SLICE);
                state = self.lock();
                state.flush &= !done && state.queued.is_none();
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Makes the call until it succeeds, fails for good, or takes too long.
    fn run(&self, step: &Step) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            let outcome = match step {
                Step::Init => self.client.init_transactions(SLICE),
                Step::SendOffsets(offsets, member) => self.client.send_offsets(offsets, member, STEP_LIMIT),
                Step::Commit => self.client.commit_transaction(SLICE),
                Step::Abort => self.client.abort_transaction(SLICE),
            };
            match outcome {
                Err(failure) if may_pass(&failure) && begun.elapsed() < STEP_LIMIT => {
                    let state = self.lock();
                    let (state, _) =
                        self.changed.wait_timeout(state, RETRY_PAUSE).unwrap_or_else(PoisonError::into_inner);
                    if state.closed {
                        return Err(failure);
                    }
                }
                outcome => return outcome,
            }
        }
    }
}

/// Whether the same call may succeed a moment later. Not while another call was left unfinished: that one is to be taken
/// up again first.
fn may_pass(failure: &Failure) -> bool {
    failure.retriable && failure.code != RD_KAFKA_RESP_ERR__CONFLICT as i32
}
