//! A member of a classic group as a machine: events in, actions out, no I/O and no clock.
//!
//! ```text
//!            Start                    JoinGroup                 answer: leader
//!   Idle ───────────▶ Waiting ──────────────────▶ Joining ─────────────────────▶ Leading
//!                      ▲  ▲ ▲                       │  answer: follower             │ Led
//!    WorkerAlive       │  │ │ refused, lost          ▼                               ▼
//!   Parked ────────────┘  │ └─────────────────── Syncing ◀───────────────────────────┘
//!     ▲                   │ 27, follow-up,         │ assignment
//!     │ worker silent     │ Rejoin                 ▼
//!     └────────────────── └────────────────────  Stable
//!
//!   Leave: any ──▶ Leaving ──▶ Stopped            fatal error: any ──▶ Stopped
//! ```
//!
//! Heartbeats go on in all states of a member, `Waiting`, `Joining` and `Leading` included, so that the death of the
//! coordinator is noticed while a JoinGroup is waiting there.
//!
//! What is held by the worker is claimed in every JoinGroup (cooperative protocol); see [`Revoke`] for how it is given up.

mod coordinator;
mod heartbeat;
mod join;
mod leave;
mod ownership;
mod received;
mod remedy;
mod sync;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use kafka_streams_core::{TaskId, TopicPartition};

use self::ownership::Ownership;
use crate::backoff::Backoff;
use crate::codec::{LATEST_VERSION, assignment_error};
use crate::{Action, ClassicConfig, Event, GroupMember, LostReason, RequestId, WorkerEvent};

/// How much longer than the rebalance timeout JoinGroup and SyncGroup may take (`JOIN_GROUP_TIMEOUT_LAPSE` of the JVM).
const REBALANCE_LAPSE_MS: i64 = 5_000;

/// One member of a classic group: what a stream thread's group consumer is on the JVM.
///
/// The driver calls [`handle`](Self::handle) for everything that happens, then [`poll_action`](Self::poll_action) until
/// there is nothing more to do, then sleeps until [`next_deadline`](Self::next_deadline) or the next event. At the deadline
/// it hands in [`Event::Tick`]. Times are milliseconds of one clock that never goes back and that was set to Unix time when
/// the program started (the leader's follow-up times are Unix times; nothing else depends on it).
#[derive(Debug)]
pub struct ClassicMember {
    config: ClassicConfig,
    state: State,
    actions: VecDeque<Action>,
    last_request: u64,
    last_revocation: u64,

    coordinator: Coordinator,
    find_backoff: Backoff,
    join_backoff: Backoff,
    follow_up_backoff: Backoff,
    heartbeat: Option<SentHeartbeat>,
    heartbeat_at: i64,
    /// When the last request was sent that proves that the coordinator's session timer was started again.
    contact_at: i64,
    alive_at: i64,

    /// The id to join with; survives the loss of a membership where the coordinator may still know it.
    member_id: Option<Arc<str>>,
    member: Option<GroupMember>,
    /// Whether the last JoinGroup was answered. While it is not, the group may have moved on with us in it.
    join_answered: bool,
    /// What the last JoinGroup claimed.
    claimed: BTreeSet<TopicPartition>,
    ownership: Ownership,
    /// Generation in which `ownership` was assigned.
    assigned_in: Option<i32>,
    /// The worker has an assignment, so it has to hear of a loss.
    assigned: bool,
    /// The worker knows of the rebalance that goes on.
    told_rebalancing: bool,
    follow_up: FollowUp,
    /// A rejoin was asked for while one was going on, too late to be part of it.
    again: Option<String>,
    reason: String,

    topics: Option<Vec<String>>,
    task_offset_sums: BTreeMap<TaskId, i64>,
    used_version: i32,
    unique_field: i8,
    error_code: i32,
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not started.
    Idle,
    /// Wants to join: looking for the coordinator, waiting between tries, or for the worker to release tasks.
    Waiting,
    /// JoinGroup is on its way.
    Joining,
    /// The leader's driver is at work.
    Leading,
    /// SyncGroup is on its way.
    Syncing,
    /// Has an assignment.
    Stable,
    /// Left because the worker is silent; rejoins when it is heard.
    Parked,
    /// LeaveGroup is on its way.
    Leaving,
    /// Left or failed; every event is ignored.
    Stopped,
}

#[derive(Debug)]
enum State {
    Idle,
    Waiting { at: i64, until_released: bool },
    Joining { request: RequestId, deadline: i64 },
    Leading { deadline: i64 },
    Syncing { request: RequestId, sent_at: i64, deadline: i64 },
    Stable,
    Parked,
    Leaving { request: RequestId, deadline: i64, tell: bool },
    Stopped,
}

#[derive(Debug)]
enum Coordinator {
    Unknown { find_at: i64 },
    Finding { request: RequestId, deadline: i64 },
    Known,
}

#[derive(Debug)]
struct SentHeartbeat {
    request: RequestId,
    sent_at: i64,
    generation: i32,
}

/// The next rebalance that a stable member will start by itself.
#[derive(Debug, Default)]
struct FollowUp {
    at: Option<i64>,
    when_released: bool,
}

impl ClassicMember {
    /// A member that has not started.
    pub fn new(config: ClassicConfig, now_ms: i64) -> Self {
        let backoff =
            |salt| Backoff::new(config.retry_backoff_ms, config.retry_backoff_max_ms, config.jitter_seed ^ salt);
        ClassicMember {
            state: State::Idle,
            actions: VecDeque::new(),
            last_request: 0,
            last_revocation: 0,
            coordinator: Coordinator::Unknown { find_at: now_ms },
            find_backoff: backoff(1),
            join_backoff: backoff(2),
            follow_up_backoff: backoff(3),
            heartbeat: None,
            heartbeat_at: now_ms,
            contact_at: now_ms,
            alive_at: now_ms,
            member_id: None,
            member: None,
            join_answered: true,
            claimed: BTreeSet::new(),
            ownership: Ownership::default(),
            assigned_in: None,
            assigned: false,
            told_rebalancing: false,
            follow_up: FollowUp::default(),
            again: None,
            reason: String::new(),
            topics: None,
            task_offset_sums: BTreeMap::new(),
            used_version: LATEST_VERSION,
            unique_field: 0,
            error_code: assignment_error::NONE,
            config,
        }
    }

    /// Takes in one event. `now_ms` must not be smaller than in an earlier call.
    pub fn handle(&mut self, now_ms: i64, event: Event) {
        if matches!(self.state, State::Stopped) {
            return;
        }
        match event {
            Event::Start => self.on_start(now_ms),
            Event::Subscribe { topics } => self.on_subscribe(now_ms, topics),
            Event::TaskOffsetSums(sums) => self.task_offset_sums = sums.into_iter().collect(),
            Event::Released { revocation, tasks } => self.ownership.release(revocation, &tasks),
            Event::Rejoin { reason, at_once } => self.want_rejoin(now_ms, reason, at_once),
            Event::WorkerAlive => self.on_worker_alive(now_ms),
            Event::Leave { notify_coordinator } => self.on_leave(now_ms, notify_coordinator),
            Event::RequestShutdown => {
                self.error_code = assignment_error::SHUTDOWN_REQUESTED;
                self.want_rejoin(now_ms, "asking the application to shut down".to_owned(), true);
            }
            Event::Coordinator { request, result } => self.on_coordinator(now_ms, request, result),
            Event::JoinReply { request, result } => self.on_join_reply(now_ms, request, result),
            Event::SyncReply { request, result } => self.on_sync_reply(now_ms, request, result),
            Event::HeartbeatReply { request, result } => self.on_heartbeat_reply(now_ms, request, result),
            Event::LeaveReply { request } => self.on_leave_reply(request),
            Event::ConnectionLost => self.lose_coordinator(now_ms),
            Event::Unreachable { reason } => self.on_unreachable(now_ms, reason),
            Event::Led { generation, result } => self.on_led(now_ms, generation, result),
            Event::Tick => {}
        }
        self.advance(now_ms);
    }

    /// The next thing to do, in order; `None` when all is done for now.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Event::Tick`] is due; `None`: only an event can change anything. Changes with every event.
    pub fn next_deadline(&self) -> Option<i64> {
        match self.state {
            State::Idle | State::Parked | State::Stopped => return None,
            State::Leaving { deadline, .. } => return Some(deadline),
            _ => {}
        }
        let known = matches!(self.coordinator, Coordinator::Known);
        let coordinator = match self.coordinator {
            Coordinator::Unknown { find_at } => Some(find_at),
            Coordinator::Finding { deadline, .. } => Some(deadline),
            Coordinator::Known => None,
        };
        let state = match self.state {
            State::Waiting { at, .. } => (known && self.topics.is_some()).then_some(at),
            State::Joining { deadline, .. } | State::Leading { deadline } | State::Syncing { deadline, .. } => {
                Some(deadline)
            }
            State::Stable => self.follow_up.at,
            _ => None,
        };
        let heartbeat = match &self.heartbeat {
            Some(sent) => Some(self.heartbeat_deadline(sent)),
            None => (known && self.member.is_some()).then_some(self.heartbeat_at),
        };
        let session = self.member.is_some().then(|| self.session_deadline());
        [Some(self.worker_deadline()), session, coordinator, state, heartbeat].into_iter().flatten().min()
    }

    /// Who to commit as: member id and generation of the last answered JoinGroup. `None` before the first one, after
    /// [`Lost`](WorkerEvent::Lost) and after leaving: then nothing may be committed.
    ///
    /// During a rebalance it may be older (JoinGroup not answered yet: the broker answers 22 once the others are through) or
    /// newer than the last `Assigned` (OffsetCommit gets 27 until SyncGroup is through, transactions pass). All held tasks
    /// are still this member's, so that such a commit may be tried again later; see [`phase`](Self::phase).
    pub fn membership(&self) -> Option<&GroupMember> {
        self.member.as_ref()
    }

    /// Where the member stands. Commits are sure to be taken in [`Phase::Stable`] only.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Idle => Phase::Idle,
            State::Waiting { .. } => Phase::Waiting,
            State::Joining { .. } => Phase::Joining,
            State::Leading { .. } => Phase::Leading,
            State::Syncing { .. } => Phase::Syncing,
            State::Stable => Phase::Stable,
            State::Parked => Phase::Parked,
            State::Leaving { .. } => Phase::Leaving,
            State::Stopped => Phase::Stopped,
        }
    }

    fn on_start(&mut self, now_ms: i64) {
        if matches!(self.state, State::Idle) {
            self.alive_at = now_ms;
            self.coordinator = Coordinator::Unknown { find_at: now_ms };
            self.wait(now_ms, "first join");
        }
    }

    fn on_subscribe(&mut self, now_ms: i64, mut topics: Vec<String>) {
        topics.sort_unstable();
        topics.dedup();
        let changed = self.topics.as_ref().is_some_and(|before| *before != topics);
        self.topics = Some(topics);
        if changed {
            self.want_rejoin(now_ms, "the subscribed topics changed".to_owned(), false);
        }
    }

    fn on_worker_alive(&mut self, now_ms: i64) {
        self.alive_at = now_ms;
        if matches!(self.state, State::Parked) {
            self.wait(now_ms, "the worker is back");
        }
    }

    /// Does whatever is due.
    fn advance(&mut self, now_ms: i64) {
        match self.state {
            State::Idle | State::Parked | State::Stopped => return,
            State::Leaving { deadline, tell, .. } => {
                if deadline <= now_ms {
                    self.stop(tell);
                }
                return;
            }
            _ => {}
        }
        if self.worker_deadline() <= now_ms {
            return self.park(now_ms);
        }
        if self.member.is_some() && self.session_deadline() <= now_ms {
            self.lose_membership(LostReason::SessionExpired);
            self.lose_coordinator(now_ms);
            self.wait(now_ms, "the session expired");
        }
        self.give_up_waiting(now_ms);
        if matches!(self.state, State::Stable) {
            let released = self.follow_up.when_released && !self.ownership.is_releasing();
            if released || self.follow_up.at.is_some_and(|at| at <= now_ms) {
                let reason = std::mem::take(&mut self.reason);
                self.wait(now_ms, reason);
            }
        }
        self.find_coordinator(now_ms);
        if matches!(self.coordinator, Coordinator::Known) {
            if let State::Waiting { at, until_released } = self.state
                && (at <= now_ms || (until_released && !self.ownership.is_releasing()))
            {
                self.send_join(now_ms);
            }
            if self.heartbeat.is_none() && self.heartbeat_at <= now_ms {
                self.send_heartbeat(now_ms);
            }
        }
    }

    /// Requests that were not answered in time.
    fn give_up_waiting(&mut self, now_ms: i64) {
        if matches!(self.coordinator, Coordinator::Finding { deadline, .. } if deadline <= now_ms) {
            self.coordinator = Coordinator::Unknown { find_at: now_ms + self.find_backoff.next_ms() };
        }
        if self.heartbeat.as_ref().is_some_and(|sent| self.heartbeat_deadline(sent) <= now_ms) {
            self.lose_coordinator(now_ms);
        }
        match self.state {
            State::Joining { deadline, .. } | State::Syncing { deadline, .. } if deadline <= now_ms => {
                self.lose_coordinator(now_ms);
            }
            State::Leading { deadline } if deadline <= now_ms => {
                self.wait_longer(now_ms, "the leader's driver did not finish in time");
            }
            _ => {}
        }
    }

    fn worker_deadline(&self) -> i64 {
        self.alive_at.saturating_add(positive(self.config.max_poll_interval_ms))
    }

    fn rebalance_deadline(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(positive(self.config.max_poll_interval_ms)).saturating_add(REBALANCE_LAPSE_MS)
    }

    fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }

    /// Wants to join as soon as the coordinator is known.
    fn wait(&mut self, now_ms: i64, reason: impl Into<String>) {
        self.reason = reason.into();
        self.state = State::Waiting { at: now_ms, until_released: false };
    }

    /// Wants to join after the next, longer wait.
    fn wait_longer(&mut self, now_ms: i64, reason: &str) {
        let at = now_ms + self.join_backoff.next_ms();
        self.wait(at, reason);
    }

    fn tell(&mut self, event: WorkerEvent) {
        self.actions.push_back(Action::Worker(event));
    }
}

/// At least one millisecond, so that a zero in a configuration cannot make the machine spin.
fn positive(ms: i32) -> i64 {
    i64::from(ms.max(1))
}
