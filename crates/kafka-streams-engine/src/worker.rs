//! One worker: one seat in the group, one consumer, one producer, and the tasks that were assigned to it.
//!
//! ```text
//!            group ──▶ rebalance ──▶ start (restore, offsets, wiring) ──▶ tasks
//!            fetch ──▶ queues ──▶ nodes ──▶ output ──▶ producer
//!            commit: flush ▶ acknowledged ▶ offsets ▶ transaction ▶ stores        (recover: drop, abort, start anew)
//! ```
//! [`Worker::run_once`] is one turn of the loop. It never waits; its thread sleeps between turns.

mod clock;
mod commit;
mod failure;
mod input;
mod one_by_one;
mod output;
mod party;
mod rebalance;
mod recover;
mod start;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use kafka_streams_core::{Output, TaskId, TopicPartition};
use kafka_streams_group::{Event, Revoke};
use kafka_streams_state::{StoreBackends, StoreSpec, ThreadCache};
use kafka_streams_topology::{Subtopology, Topology};

use crate::commit_point::CommitPoint;
use crate::config::{Guarantee, WorkerConfig};
use crate::deadline::earliest;
use crate::error::WorkerError;
use crate::failed_tasks::FailedTasks;
use crate::global_stores::GlobalStores;
use crate::port::{Admin, Batching, BrokerError, BrokerErrorKind, Call, CallId, Fetch, Group, Produce, Reply};
use crate::restore::{Restore, RestoreEvent};
use crate::task::Task;
use crate::task_offsets::TaskOffsets;
use commit::Commit;
pub(crate) use commit::{MAX_FLUSH_PASSES, begin_transaction};
use one_by_one::OneByOne;
use party::Party;
use recover::{Attempts, Recovery, Trouble};
use start::Starting;

/// How often the group is told that this worker is alive; far below any `max.poll.interval.ms`.
const ALIVE_INTERVAL_MS: i64 = 100;
/// The longest sleep while a task is starting: what it waits for is asked again after this.
const START_SLEEP_MS: i64 = 20;
/// The longest sleep while tasks take turns.
const SPLIT_SLEEP_MS: i64 = 5;
/// An error that should pass and has not come again for so long has passed.
const PASSED_MS: i64 = 30_000;
/// An error that should pass is told in the log once it has lasted so long.
const TOLD_AFTER_MS: i64 = 1_000;
/// The longest sleep: a turn costs microseconds, and a lost wake-up would cost no more than this.
const MAX_SLEEP_MS: i64 = 100;

/// The worker's way to the outside world.
pub trait Ports {
    /// Reads input partitions.
    type Fetch: Fetch;
    /// Writes output and changelogs.
    type Produce: Produce;
    /// The seat in the group.
    type Group: Group;
    /// Asks the cluster.
    type Admin: Admin;
    /// Restores stores elsewhere.
    type Restore: Restore;
}

/// One of each port.
pub struct PortSet<P: Ports> {
    /// Reads input partitions.
    pub fetch: P::Fetch,
    /// The seat in the group.
    pub group: P::Group,
    /// Asks the cluster.
    pub admin: P::Admin,
    /// Restores stores elsewhere.
    pub restore: P::Restore,
    /// Makes a producer: at the start, after one was fenced, and to send records one by one for a while.
    pub make_producer: MakeProducer<P>,
}

/// Makes a producer that sends records as it is told; of the same transactional id every time.
pub type MakeProducer<P> = Box<dyn FnMut(Batching) -> Result<<P as Ports>::Produce, BrokerError>>;

/// Who opens the stores.
#[derive(Clone)]
pub struct Backends {
    /// Stores that outlive the process.
    pub persistent: Arc<dyn StoreBackends>,
    /// Stores that do not.
    pub in_memory: Arc<dyn StoreBackends>,
}

impl Backends {
    pub(crate) fn of(&self, spec: &StoreSpec) -> Arc<dyn StoreBackends> {
        if spec.persistent { self.persistent.clone() } else { self.in_memory.clone() }
    }
}

/// What a worker is made from besides its ports.
pub struct WorkerSetup {
    /// The topology.
    pub topology: Arc<Topology>,
    /// The configuration.
    pub config: WorkerConfig,
    /// Who opens the stores.
    pub backends: Backends,
    /// This thread's share of the record cache.
    pub cache: ThreadCache,
    /// Makes the output buffer of a task.
    pub make_output: Box<dyn Fn() -> Output>,
    /// The global stores of the process, which are restored before a task is made.
    pub global_stores: GlobalStores,
    /// The tasks of the process.
    pub task_offsets: TaskOffsets,
    /// Those of them that have failed.
    pub failed_tasks: FailedTasks,
    /// Tells the workers of the process apart.
    pub worker: u32,
    /// The wall clock in milliseconds, for looking at it within a turn.
    pub clock: Box<dyn Fn() -> i64>,
}

/// What the runtime may want to pass on to its listeners.
#[derive(Debug)]
pub enum Notice {
    /// A rebalance gave this worker these tasks.
    Assigned {
        /// The group's generation.
        generation: i32,
        /// All tasks of this worker.
        tasks: Vec<TaskId>,
    },
    /// A rebalance takes these tasks away; they are being committed.
    Revoking(Vec<TaskId>),
    /// A task's stores are open and its position known: it belongs to this worker.
    Acquired {
        /// The group's generation.
        generation: i32,
        /// The task.
        task: TaskId,
    },
    /// A task was closed; nothing of it is touched any more.
    Released {
        /// The group's generation.
        generation: i32,
        /// The task.
        task: TaskId,
    },
    /// News of a restore, other than its completion.
    Restore(RestoreEvent),
    /// All tasks are running.
    Running,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There is more to do: take another turn at once.
    Worked,
    /// Nothing to do before this time (wall clock, milliseconds) or a wake-up.
    IdleUntil(i64),
    /// The worker is closed.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Running,
    /// Commit, close the tasks, and leave.
    Closing {
        notify: bool,
    },
    /// Drop everything, and leave.
    Abandoning,
    /// The tasks are closed; waiting for the group to say goodbye.
    Leaving,
    Closed,
}

type BatchOf<P> = <<P as Ports>::Fetch as Fetch>::Batch;

/// A worker. Lives on one thread.
pub struct Worker<P: Ports> {
    topology: Arc<Topology>,
    config: WorkerConfig,
    backends: Backends,
    cache: ThreadCache,
    make_output: Box<dyn Fn() -> Output>,
    global_stores: GlobalStores,
    task_offsets: TaskOffsets,
    failed_tasks: FailedTasks,
    worker: u32,
    clock: Box<dyn Fn() -> i64>,
    fetch: P::Fetch,
    group: P::Group,
    admin: P::Admin,
    restore: P::Restore,
    make_producer: MakeProducer<P>,
    produce: P::Produce,
    /// Whether the producer may be used: at once, or after its transactions are initialised.
    producer_ready: bool,
    in_transaction: bool,
    tasks: BTreeMap<TaskId, Task<BatchOf<P>>>,
    starting: BTreeMap<TaskId, Starting>,
    /// Tasks whose restore was cancelled and still has their stores.
    cancelling: BTreeSet<TaskId>,
    /// The task that begins the next turn.
    next_task: Option<TaskId>,
    /// The task whose nodes are being called.
    in_hand: Option<TaskId>,
    party: Party,
    one_by_one: OneByOne,
    revoking: Vec<Revoke>,
    /// Tasks that stay and read other partitions than before, because a topic has come or grown: committed, then started
    /// anew.
    renewing: BTreeMap<TaskId, Vec<TopicPartition>>,
    /// The topics of the member's subscription.
    subscribed: BTreeSet<String>,
    commit: Commit,
    recovery: Option<Recovery>,
    attempts: Attempts,
    /// Trouble that deliveries or the fetch reported, to be seen to between records.
    trouble: Option<Trouble>,
    mode: Mode,
    generation: i32,
    next_incarnation: u32,
    /// The time of the last turn.
    last_turn_ms: i64,
    last_commit_ms: i64,
    last_alive_ms: i64,
    purge: Purge,
    /// Errors that should pass, by what they concern.
    failing: BTreeMap<String, Failing>,
    known_partitions: BTreeMap<Arc<str>, i32>,
    notices: VecDeque<Notice>,
    was_running: bool,
    /// The leader was asked to shut down the application and has not answered.
    shutdown_pending: bool,
    /// The membership machine has stopped: it will not say goodbye.
    seat_gone: bool,
    /// Dropped last: the stores of all tasks are closed by then.
    _ownership: Ownership,
}

/// Gives a worker's tasks back to the other threads of its process, however the worker ends.
struct Ownership {
    task_offsets: TaskOffsets,
    worker: u32,
}

impl Drop for Ownership {
    fn drop(&mut self) {
        self.task_offsets.release_all(self.worker);
    }
}

/// Since when, and when last, an error has come up.
#[derive(Clone, Copy, Debug)]
struct Failing {
    since: i64,
    last: i64,
    /// Whether it was told in the log.
    told: bool,
}

#[derive(Debug, Default)]
struct Purge {
    last_ms: i64,
    call: Option<CallId>,
    committed: BTreeMap<TopicPartition, i64>,
}

impl<P: Ports> Worker<P> {
    /// A worker that is about to join its group.
    ///
    /// # Errors
    /// The producer cannot be made.
    pub fn new(setup: WorkerSetup, ports: PortSet<P>, now: i64) -> Result<Self, WorkerError> {
        let PortSet { fetch, mut group, admin, restore, mut make_producer } = ports;
        let produce = make_producer(Batching::AsConfigured)
            .map_err(|error| WorkerError::Broker { what: "making a producer".to_owned(), error })?;
        let topics = setup.topology.source_topics();
        let subscribed: BTreeSet<String> =
            topics.map(|(topic, _)| topic.decorated(&setup.config.application_id).to_string()).collect();
        group.tell(Event::Subscribe { topics: subscribed.iter().cloned().collect() });
        group.tell(Event::TaskOffsetSums(setup.task_offsets.sums_for(setup.worker)));
        group.tell(Event::Start);
        let probe = setup.config.probe.clone();
        setup.cache.on_spill(move || probe.at(CommitPoint::InSpill));
        let ownership = Ownership { task_offsets: setup.task_offsets.clone(), worker: setup.worker };
        Ok(Worker {
            producer_ready: setup.config.guarantee == Guarantee::AtLeastOnce,
            topology: setup.topology,
            config: setup.config,
            backends: setup.backends,
            cache: setup.cache,
            make_output: setup.make_output,
            global_stores: setup.global_stores,
            task_offsets: setup.task_offsets,
            failed_tasks: setup.failed_tasks,
            worker: setup.worker,
            clock: setup.clock,
            fetch,
            group,
            admin,
            restore,
            make_producer,
            produce,
            in_transaction: false,
            tasks: BTreeMap::new(),
            starting: BTreeMap::new(),
            cancelling: BTreeSet::new(),
            next_task: None,
            in_hand: None,
            party: Party::default(),
            one_by_one: OneByOne::default(),
            revoking: Vec::new(),
            renewing: BTreeMap::new(),
            subscribed,
            commit: Commit::default(),
            recovery: None,
            attempts: Attempts::default(),
            trouble: None,
            mode: Mode::Running,
            generation: -1,
            next_incarnation: 0,
            last_turn_ms: now,
            last_commit_ms: now,
            last_alive_ms: i64::MIN,
            purge: Purge { last_ms: now, ..Purge::default() },
            failing: BTreeMap::new(),
            known_partitions: BTreeMap::new(),
            notices: VecDeque::new(),
            was_running: false,
            shutdown_pending: false,
            seat_gone: false,
            _ownership: ownership,
        })
    }

    #[cfg(test)]
    pub(crate) fn set_global_stores(&mut self, stores: GlobalStores) {
        self.global_stores = stores;
    }

    /// One turn. `now` is the wall-clock time in milliseconds.
    ///
    /// # Errors
    /// The worker cannot go on: call [`abandon`](Worker::abandon), and go on turning until it is closed.
    pub fn run_once(&mut self, now: i64) -> Result<Turn, WorkerError> {
        if self.mode == Mode::Closed {
            return Ok(Turn::Closed);
        }
        let turn = self.turn(now);
        if let Err(error) = &turn {
            self.note_failure(error, now);
        }
        turn
    }

    fn turn(&mut self, now: i64) -> Result<Turn, WorkerError> {
        self.follow_clock(now);
        self.tell_alive(now);
        let mut worked = self.follow_group(now)?;
        worked |= self.take_answers(now)?;
        worked |= self.take_restored()?;
        worked |= self.serve_producer()?;
        if let Some(trouble) = self.trouble.take() {
            self.begin_recovery(trouble, now)?;
        }
        let mut wake_at = None;
        if self.recovery.is_some() {
            worked |= self.recover(now)?;
        } else if matches!(self.mode, Mode::Running | Mode::Closing { .. }) {
            worked |= self.resume_batches(now)?;
            if self.mode == Mode::Running {
                worked |= self.start_tasks(now)?;
            }
            self.choose_party(now);
            if self.mode == Mode::Running && self.commit.is_idle() && self.producer_ready {
                worked |= self.fill_queues(now)?;
                let (processed, deadline) = self.process(now)?;
                worked |= processed;
                wake_at = deadline;
            }
            worked |= self.commit(now)?;
            self.purge(now);
        } else {
            self.finish_revocations();
        }
        self.close_if_done();
        self.note_running(now);
        Ok(match self.mode {
            Mode::Closed => Turn::Closed,
            _ if worked => Turn::Worked,
            _ => Turn::IdleUntil(self.sleep_until(now, wake_at)),
        })
    }

    /// Begins to close in good order: commit, close the tasks, leave. `notify` sends LeaveGroup, so that the tasks move
    /// at once; without it they stay with this member's id until `session.timeout.ms`, as the JVM does by default.
    pub fn close(&mut self, notify: bool) {
        if self.mode == Mode::Running {
            self.mode = Mode::Closing { notify };
        }
    }

    /// Begins to close without committing: after an error, or when closing in good order takes too long.
    pub fn abandon(&mut self, now: i64) {
        if !matches!(self.mode, Mode::Leaving | Mode::Closed) {
            self.mode = Mode::Abandoning;
            self.commit = Commit::default();
            let _ = self.begin_recovery(Trouble::Abandoned, now);
        }
    }

    /// As [`abandon`](Worker::abandon), but stays in the group until its leader has told all instances to shut down.
    pub fn abandon_and_request_shutdown(&mut self, now: i64) {
        self.abandon(now);
        self.shutdown_pending = true;
        self.group.tell(Event::RequestShutdown);
        self.rejoin("application shutdown requested".to_owned());
    }

    /// Makes the group rebalance.
    pub fn rejoin(&mut self, reason: String) {
        self.group.tell(Event::Rejoin { reason, at_once: true });
    }

    /// The next news for listeners.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// The tasks that run or are about to.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.tasks.keys().chain(self.starting.keys()).copied()
    }

    /// The sub-topology of a task; `None` for a task that this topology does not have.
    fn subtopology(&self, id: TaskId) -> Option<&Subtopology> {
        usize::try_from(id.subtopology).ok().and_then(|at| self.topology.subtopologies().get(at))
    }

    fn tell_alive(&mut self, now: i64) {
        if now >= self.last_alive_ms.saturating_add(ALIVE_INTERVAL_MS) {
            self.last_alive_ms = now;
            self.group.tell(Event::WorkerAlive);
        }
    }

    fn take_answers(&mut self, now: i64) -> Result<bool, WorkerError> {
        let mut worked = false;
        while let Some((call, reply)) = self.admin.poll() {
            worked = true;
            if self.purge.call == Some(call) {
                self.purge.call = None;
                if let Reply::DeleteRecords(Err(error)) = reply {
                    tracing::warn!(%error, "purging repartition topics failed, it will be tried again");
                }
            } else if self.commit.is_waiting_for(call) {
                self.on_offsets_committed(reply, now)?;
            } else {
                self.on_start_answer(call, reply, now)?;
            }
        }
        Ok(worked)
    }

    /// Deletes the records of repartition topics that are processed and committed.
    fn purge(&mut self, now: i64) {
        if now - self.purge.last_ms < self.config.repartition_purge_interval_ms || self.purge.call.is_some() {
            return;
        }
        self.purge.last_ms = now;
        let committed = std::mem::take(&mut self.purge.committed);
        if !committed.is_empty() {
            self.purge.call = Some(self.admin.call(Call::DeleteRecords(committed.into_iter().collect())));
        }
    }

    /// Whether an error that should pass has lasted longer than `task.timeout.ms`; to be called with every such error.
    fn bear(&mut self, what: &str, error: BrokerError, now: i64) -> Result<(), WorkerError> {
        let lasted = fails(&mut self.failing, what.to_owned(), now);
        if error.kind != BrokerErrorKind::Retriable || lasted > self.config.task_timeout_ms {
            return Err(WorkerError::Broker { what: what.to_owned(), error });
        }
        let failing = self.failing.get_mut(what);
        // What passes at once, as all does that waits for a topic that was just made, is nobody's concern.
        if let Some(failing) = failing.filter(|failing| lasted >= TOLD_AFTER_MS && !failing.told) {
            failing.told = true;
            tracing::warn!(what, %error, lasted_ms = lasted, "will be tried again");
        } else {
            tracing::debug!(what, %error, lasted_ms = lasted, "will be tried again");
        }
        Ok(())
    }

    fn note_running(&mut self, now: i64) {
        let settled = !self.is_starting(now) && self.recovery.is_none() && self.generation >= 0;
        let running = settled && self.mode == Mode::Running;
        if running && !self.was_running {
            self.notices.push_back(Notice::Running);
        }
        self.was_running = running;
    }

    fn sleep_until(&self, now: i64, wake_at: Option<i64>) -> i64 {
        let commit_at = match self.commit.is_idle() {
            true => self.last_commit_ms.saturating_add(self.config.commit_interval_ms),
            false => now + 1,
        };
        let busy = self.recovery.is_some() || !self.commit.is_idle() || !self.producer_ready;
        let latest = now
            + match () {
                () if busy => 1,
                () if self.party.is_split() => SPLIT_SLEEP_MS,
                () if self.starting.is_empty() => MAX_SLEEP_MS,
                () => START_SLEEP_MS,
            };
        let wanted = earliest(wake_at, Some(commit_at).filter(|at| *at > now)).unwrap_or(latest);
        wanted.clamp(now + 1, latest.max(now + 1))
    }
}

/// Notes that an error has come up; for how long it has by now, in milliseconds.
fn fails(failing: &mut BTreeMap<String, Failing>, what: String, now: i64) -> i64 {
    let entry = failing.entry(what).or_insert(Failing { since: now, last: now, told: false });
    if now - entry.last > PASSED_MS {
        (entry.since, entry.told) = (now, false);
    }
    entry.last = now;
    now - entry.since
}
