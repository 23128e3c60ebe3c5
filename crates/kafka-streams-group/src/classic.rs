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

mod ownership;
mod received;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use kafka_streams_core::{TaskId, TopicPartition};

use self::ownership::Ownership;
use self::received::{NextRebalance, Received, ReceivedTasks};
use crate::backoff::Backoff;
use crate::codec::{ConsumerSubscription, LATEST_OFFSET, LATEST_VERSION, SubscriptionInfo, assignment_error};
use crate::{
    Action, Assigned, ClassicConfig, Error, Event, GroupError, GroupMember, HeartbeatRequest, JoinRefusal, JoinReply,
    JoinRequest, LeadError, LeaveRequest, LostReason, PROTOCOL_NAME, RequestId, RevocationId, Revoke, SyncRequest,
    WorkerEvent,
};

/// How much longer than the rebalance timeout JoinGroup and SyncGroup may take (`JOIN_GROUP_TIMEOUT_LAPSE` of the JVM).
const REBALANCE_LAPSE_MS: i64 = 5_000;

/// How long a leaving member waits for the answer to LeaveGroup, so that a shutdown does not hang on a dead broker.
const LEAVE_WAIT_MS: i64 = 5_000;

/// The longest reason that the broker takes (`JoinGroupRequest.maybeTruncateReason`).
const REASON_BYTES_MAX: usize = 255;

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
    /// newer than the last [`Assigned`] (OffsetCommit gets 27 until SyncGroup is through, transactions pass). All held tasks
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

    // From the worker.

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

    fn on_leave(&mut self, now_ms: i64, notify_coordinator: bool) {
        self.clear_membership();
        self.assigned = false;
        self.part(now_ms, notify_coordinator, "the application is closing", true);
    }

    fn want_rejoin(&mut self, now_ms: i64, reason: String, at_once: bool) {
        match self.state {
            State::Stable if at_once || !self.ownership.is_releasing() => self.wait(now_ms, reason),
            State::Stable => {
                self.follow_up.when_released = true;
                self.reason = reason;
            }
            State::Joining { .. } | State::Leading { .. } | State::Syncing { .. } => self.again = Some(reason),
            // The subscription is made when JoinGroup is sent, so it will have the news.
            _ => {}
        }
    }

    // From the network.

    fn on_coordinator(&mut self, now_ms: i64, request: RequestId, result: Result<(), GroupError>) {
        if !matches!(self.coordinator, Coordinator::Finding { request: expected, .. } if expected == request) {
            return;
        }
        match result {
            Ok(()) => {
                self.coordinator = Coordinator::Known;
                self.heartbeat_at = now_ms;
            }
            Err(error) => match Remedy::of(error) {
                Remedy::Stop => self.fail(now_ms, Error::Refused { request: "FindCoordinator", error }),
                _ => self.coordinator = Coordinator::Unknown { find_at: now_ms + self.find_backoff.next_ms() },
            },
        }
    }

    fn on_join_reply(&mut self, now_ms: i64, request: RequestId, result: Result<JoinReply, JoinRefusal>) {
        if !matches!(self.state, State::Joining { request: expected, .. } if expected == request) {
            return;
        }
        self.join_answered = true;
        let reply = match result {
            Ok(reply) => reply,
            Err(refusal) => return self.on_join_refused(now_ms, refusal),
        };
        let JoinReply { generation, member_id, leader, skip_assignment, members } = reply;
        let instance_id = self.config.instance_id.as_deref().map(Arc::from);
        let member = GroupMember::new(self.config.group_id.as_str(), member_id.as_str(), generation, instance_id);
        let Some(member) = member else {
            return self.fail(now_ms, Error::MalformedReply { member_id, generation });
        };
        self.find_backoff.reset();
        if self.member.is_none() {
            // Of an older membership the heartbeats, which went on, know better: the answer may have been on its way for
            // long while the coordinator's timer ran.
            self.contact_at = now_ms;
            self.heartbeat_at = now_ms + positive(self.config.heartbeat_interval_ms);
        }
        self.member_id = Some(member_id.as_str().into());
        self.member = Some(member);
        if leader == member_id && !skip_assignment {
            self.state = State::Leading { deadline: self.rebalance_deadline(now_ms) };
            self.actions.push_back(Action::Lead { generation, members });
        } else {
            self.send_sync(now_ms, Vec::new());
        }
    }

    fn on_join_refused(&mut self, now_ms: i64, refusal: JoinRefusal) {
        let had_id = self.member_id.is_some();
        match refusal.error {
            GroupError::MemberIdRequired if !had_id && !refusal.member_id.is_empty() => {
                self.member_id = Some(refusal.member_id.into());
                self.wait(now_ms, "joining with the member id that the coordinator gave");
            }
            GroupError::MemberIdRequired => {
                self.member_id = None;
                self.wait_longer(now_ms, "the coordinator gave no usable member id");
            }
            GroupError::UnknownMemberId if !had_id => self.wait_longer(now_ms, "unknown member without an id"),
            error => self.remedy(now_ms, "JoinGroup", error),
        }
    }

    fn on_sync_reply(&mut self, now_ms: i64, request: RequestId, result: Result<Vec<u8>, GroupError>) {
        let sent_at = match self.state {
            State::Syncing { request: expected, sent_at, .. } if expected == request => sent_at,
            _ => return,
        };
        match result {
            Ok(assignment) => {
                self.contact_at = self.contact_at.max(sent_at);
                self.on_assignment(now_ms, &assignment);
            }
            Err(GroupError::RebalanceInProgress) => self.wait(now_ms, "a new rebalance began before SyncGroup"),
            Err(error) => self.remedy(now_ms, "SyncGroup", error),
        }
    }

    fn on_heartbeat_reply(&mut self, now_ms: i64, request: RequestId, result: Result<(), GroupError>) {
        let Some(sent) = self.heartbeat.take_if(|sent| sent.request == request) else {
            return;
        };
        self.heartbeat_at = sent.sent_at + positive(self.config.heartbeat_interval_ms);
        // Before JoinGroup is answered the group may already be in the next generation, with us in it: a heartbeat for
        // the old one is refused then, which means nothing.
        let current = self.join_answered && self.member.as_ref().is_some_and(|m| m.generation() == sent.generation);
        match result {
            Ok(()) => self.on_contact(sent.sent_at),
            Err(GroupError::RebalanceInProgress) => {
                self.on_contact(sent.sent_at);
                if current && matches!(self.state, State::Stable | State::Leading { .. }) {
                    self.wait(now_ms, "the group is rebalancing");
                    if self.ownership.is_releasing() {
                        let at = now_ms + i64::from(self.config.release_wait_ms.max(0));
                        self.state = State::Waiting { at, until_released: true };
                    }
                }
            }
            Err(GroupError::IllegalGeneration) if !current => {}
            Err(error) => match Remedy::of(error) {
                Remedy::Retry => self.heartbeat_at = now_ms + positive(self.config.retry_backoff_ms),
                _ => self.remedy(now_ms, "Heartbeat", error),
            },
        }
    }

    fn on_leave_reply(&mut self, request: RequestId) {
        if let State::Leaving { request: expected, tell, .. } = self.state
            && expected == request
        {
            self.stop(tell);
        }
    }

    fn on_led(&mut self, now_ms: i64, generation: i32, result: Result<Vec<(String, Vec<u8>)>, LeadError>) {
        let current = self.member.as_ref().is_some_and(|member| member.generation() == generation);
        if !current || !matches!(self.state, State::Leading { .. }) {
            return;
        }
        match result {
            Ok(assignments) => self.send_sync(now_ms, assignments),
            Err(error) => self.wait_longer(now_ms, &error.to_string()),
        }
    }

    fn on_contact(&mut self, sent_at: i64) {
        self.contact_at = self.contact_at.max(sent_at);
        self.find_backoff.reset();
    }

    // An assignment.

    fn on_assignment(&mut self, now_ms: i64, assignment: &[u8]) {
        self.state = State::Stable;
        self.follow_up = FollowUp::default();
        self.told_rebalancing = false;
        match Received::read(assignment, self.used_version, self.config.user_endpoint.as_ref()) {
            Err(error) => return self.fail(now_ms, error),
            Ok(Received::Shutdown) => {
                self.join_backoff.reset();
                self.tell(WorkerEvent::ShutdownRequested);
            }
            // The worker keeps what it has; it stays claimed.
            Ok(Received::Nothing) => {
                self.follow_up.at = Some(now_ms + self.join_backoff.next_ms());
                self.reason = "the leader sent no assignment".to_owned();
            }
            Ok(Received::Tasks(tasks)) => {
                self.join_backoff.reset();
                self.take_over(now_ms, *tasks);
            }
        }
        if let Some(reason) = self.again.take() {
            self.want_rejoin(now_ms, reason, false);
        }
    }

    fn take_over(&mut self, now_ms: i64, received: ReceivedTasks) {
        let Some(member) = self.member.clone() else {
            return;
        };
        let ReceivedTasks { active, info, new_version, endpoint_missing, next } = received;
        let given_up = {
            let assigned: BTreeSet<&TopicPartition> = active.values().flatten().collect();
            self.claimed.iter().any(|partition| !assigned.contains(partition))
        };
        let id = RevocationId(self.last_revocation + 1);
        let changes = self.ownership.assign(active, id);
        let revoked = changes.revoked.iter().map(|(task, _)| *task).collect();
        if !changes.revoked.is_empty() {
            self.last_revocation = id.0;
            let generation = member.generation();
            self.tell(WorkerEvent::Revoke(Revoke { id, generation, tasks: changes.revoked }));
        }
        self.assigned = true;
        self.assigned_in = Some(member.generation());
        if let Some(version) = new_version {
            self.used_version = version;
        }
        let at_once = new_version.is_some() || endpoint_missing || next == NextRebalance::AtOnce;
        self.plan_follow_up(now_ms, given_up, at_once, next);
        self.tell(WorkerEvent::Assigned(Assigned {
            generation: member.generation(),
            member_id: member.member_id().to_owned(),
            active: changes.active,
            standby: info.standby_tasks.into_iter().collect(),
            added: changes.added,
            revoked,
            partitions_by_host: info.partitions_by_host,
            standby_partitions_by_host: info.standby_partitions_by_host,
            next_rebalance_ms: self.follow_up.at,
        }));
    }

    fn plan_follow_up(&mut self, now_ms: i64, given_up: bool, at_once: bool, next: NextRebalance) {
        if given_up || self.ownership.is_releasing() {
            // What was given up is free only after a JoinGroup that no longer claims it.
            self.follow_up.when_released = true;
            self.reason = "gave up tasks for other members".to_owned();
        } else if at_once {
            // The first follows at once; when it changes nothing, those after it wait, so that members that cannot agree
            // do not keep the group rebalancing without pause.
            let repeated = self.reason.starts_with(FOLLOW_UP_REASON);
            let wait = if repeated {
                self.follow_up_backoff.next_ms()
            } else {
                self.follow_up_backoff.reset();
                0
            };
            self.follow_up.at = Some(now_ms + wait);
            self.reason = FOLLOW_UP_REASON.to_owned();
            return;
        } else if let NextRebalance::At(at) = next {
            self.follow_up.at = Some(at.max(now_ms));
            self.reason = "the time for a probing rebalance has come".to_owned();
        } else {
            self.reason.clear();
        }
        self.follow_up_backoff.reset();
    }

    // Time.

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
        if matches!(self.coordinator, Coordinator::Unknown { find_at } if find_at <= now_ms) {
            let request = self.next_request();
            let deadline = now_ms + positive(self.config.request_timeout_ms);
            self.coordinator = Coordinator::Finding { request, deadline };
            self.actions.push_back(Action::FindCoordinator { request });
        }
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

    /// The worker is silent: what it holds must move to others, and what it still does cannot be known.
    fn park(&mut self, now_ms: i64) {
        let member_id = self.member_id.take();
        self.lose_membership(LostReason::WorkerSilent);
        self.state = State::Parked;
        if let Some(member_id) = member_id
            && self.config.instance_id.is_none()
            && matches!(self.coordinator, Coordinator::Known)
        {
            self.send_leave(now_ms, &member_id, "the worker was silent for max.poll.interval.ms");
        }
    }

    fn worker_deadline(&self) -> i64 {
        self.alive_at.saturating_add(positive(self.config.max_poll_interval_ms))
    }

    fn session_deadline(&self) -> i64 {
        self.contact_at.saturating_add(positive(self.config.session_timeout_ms))
    }

    fn heartbeat_deadline(&self, sent: &SentHeartbeat) -> i64 {
        sent.sent_at.saturating_add(positive(self.config.request_timeout_ms))
    }

    fn rebalance_deadline(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(positive(self.config.max_poll_interval_ms)).saturating_add(REBALANCE_LAPSE_MS)
    }

    // To the network.

    fn send_join(&mut self, now_ms: i64) {
        let Some(topics) = self.topics.clone() else {
            return;
        };
        self.unique_field = self.unique_field.wrapping_add(1);
        self.claimed = self.ownership.claims();
        let metadata = match self.subscription(topics) {
            Ok(metadata) => metadata,
            Err(error) => return self.fail(now_ms, error),
        };
        if self.assigned && !self.told_rebalancing {
            self.told_rebalancing = true;
            self.tell(WorkerEvent::Rebalancing);
        }
        let request = self.next_request();
        let join = JoinRequest {
            member_id: self.member_id.as_deref().unwrap_or_default().to_owned(),
            instance_id: self.config.instance_id.clone(),
            session_timeout_ms: self.config.session_timeout_ms,
            rebalance_timeout_ms: self.config.max_poll_interval_ms,
            protocols: vec![(PROTOCOL_NAME.to_owned(), metadata)],
            reason: cut(&self.reason, REASON_BYTES_MAX).to_owned(),
        };
        self.join_answered = false;
        self.again = None;
        self.state = State::Joining { request, deadline: self.rebalance_deadline(now_ms) };
        self.actions.push_back(Action::Join { request, join });
    }

    fn subscription(&self, topics: Vec<String>) -> Result<Vec<u8>, Error> {
        let info = SubscriptionInfo {
            version: self.used_version,
            latest_supported_version: LATEST_VERSION,
            process_id: self.config.process_id,
            user_endpoint: self.config.user_endpoint.as_ref().map(ToString::to_string),
            task_offset_sums: self.task_offset_sums.clone(),
            unique_field: self.unique_field,
            error_code: self.error_code,
            client_tags: self.config.client_tags.clone(),
        };
        let subscription = ConsumerSubscription {
            topics,
            user_data: Some(info.encode()?),
            owned_partitions: self.claimed.iter().cloned().collect(),
            generation: self.assigned_in,
            rack_id: self.config.rack_id.clone(),
        };
        subscription.encode()
    }

    fn send_sync(&mut self, now_ms: i64, assignments: Vec<(String, Vec<u8>)>) {
        let Some(member) = &self.member else {
            return;
        };
        let sync = SyncRequest {
            generation: member.generation(),
            member_id: member.member_id().to_owned(),
            instance_id: self.config.instance_id.clone(),
            assignments,
        };
        let request = self.next_request();
        self.state = State::Syncing { request, sent_at: now_ms, deadline: self.rebalance_deadline(now_ms) };
        self.actions.push_back(Action::Sync { request, sync });
    }

    fn send_heartbeat(&mut self, now_ms: i64) {
        let Some(member) = &self.member else {
            return;
        };
        let generation = member.generation();
        let heartbeat = HeartbeatRequest {
            generation,
            member_id: member.member_id().to_owned(),
            instance_id: self.config.instance_id.clone(),
        };
        let request = self.next_request();
        self.heartbeat = Some(SentHeartbeat { request, sent_at: now_ms, generation });
        self.actions.push_back(Action::Heartbeat { request, heartbeat });
    }

    fn send_leave(&mut self, now_ms: i64, member_id: &str, reason: &str) -> (RequestId, i64) {
        let request = self.next_request();
        let leave = LeaveRequest {
            member_id: member_id.to_owned(),
            instance_id: self.config.instance_id.clone(),
            reason: reason.to_owned(),
        };
        self.actions.push_back(Action::Leave { request, leave });
        (request, now_ms + LEAVE_WAIT_MS)
    }

    fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }

    // Changes of state.

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

    /// What follows from an error of JoinGroup, SyncGroup or Heartbeat.
    fn remedy(&mut self, now_ms: i64, request: &'static str, error: GroupError) {
        match Remedy::of(error) {
            Remedy::Retry => self.wait_longer(now_ms, &format!("{request} failed: {error}")),
            Remedy::FindCoordinator => {
                self.lose_coordinator(now_ms);
            }
            Remedy::RejoinWithId => {
                // The coordinator knows the member id, so it is kept: a new id would leave the old one behind as a member
                // that everybody waits for.
                self.lose_membership(LostReason::IllegalGeneration);
                self.wait_longer(now_ms, "the generation was no longer current");
            }
            Remedy::RejoinAsNew => {
                self.member_id = None;
                self.lose_membership(LostReason::UnknownMember);
                self.wait(now_ms, "the coordinator no longer knew the member");
            }
            Remedy::StopFenced => {
                self.lose_membership(LostReason::FencedInstance);
                self.member_id = None;
                self.fail(now_ms, Error::Refused { request, error });
            }
            Remedy::Stop => self.fail(now_ms, Error::Refused { request, error }),
        }
    }

    /// The connections are of no use any more. Membership and tasks stay: the session timer decides about those.
    fn lose_coordinator(&mut self, now_ms: i64) {
        match self.state {
            State::Idle | State::Stopped => return,
            State::Leaving { tell, .. } => return self.stop(tell),
            State::Joining { .. } | State::Leading { .. } | State::Syncing { .. } => {
                self.wait(now_ms, "the connection to the coordinator was lost in a rebalance");
            }
            State::Waiting { .. } | State::Stable | State::Parked => {}
        }
        self.heartbeat = None;
        self.actions.push_back(Action::Disconnect);
        self.coordinator = Coordinator::Unknown { find_at: now_ms + self.find_backoff.next_ms() };
    }

    /// Out of the group: the worker hears of it if it has anything to lose.
    fn lose_membership(&mut self, reason: LostReason) {
        self.clear_membership();
        if std::mem::take(&mut self.assigned) {
            self.tell(WorkerEvent::Lost { reason });
        }
    }

    fn clear_membership(&mut self) {
        self.member = None;
        self.heartbeat = None;
        self.join_answered = true;
        self.ownership.clear();
        self.assigned_in = None;
        self.told_rebalancing = false;
        self.follow_up = FollowUp::default();
        // Nothing runs here any more; saying so would draw the tasks back as if their state were complete.
        self.task_offset_sums.retain(|_, sum| *sum != LATEST_OFFSET);
    }

    fn fail(&mut self, now_ms: i64, error: Error) {
        self.lose_membership(LostReason::Fatal);
        self.tell(WorkerEvent::Fatal(error));
        // A static member's place is kept for its return, so it does not leave by itself (KIP-345).
        self.part(now_ms, self.config.instance_id.is_none(), "the member failed", false);
    }

    /// Ends the membership, telling the coordinator if that is wanted and possible, and the worker if `tell`.
    fn part(&mut self, now_ms: i64, notify_coordinator: bool, reason: &str, tell: bool) {
        match self.member_id.take() {
            Some(member_id)
                if notify_coordinator && matches!(self.coordinator, Coordinator::Known) && self.is_running() =>
            {
                let (request, deadline) = self.send_leave(now_ms, &member_id, reason);
                self.state = State::Leaving { request, deadline, tell };
            }
            _ => self.stop(tell),
        }
    }

    fn stop(&mut self, tell: bool) {
        self.state = State::Stopped;
        self.actions.push_back(Action::Disconnect);
        if tell {
            self.tell(WorkerEvent::Left);
        }
    }

    fn is_running(&self) -> bool {
        !matches!(self.state, State::Idle | State::Parked | State::Leaving { .. } | State::Stopped)
    }

    fn tell(&mut self, event: WorkerEvent) {
        self.actions.push_back(Action::Worker(event));
    }
}

const FOLLOW_UP_REASON: &str = "a follow-up rebalance was asked for";

/// What to do about an error code.
enum Remedy {
    Retry,
    FindCoordinator,
    RejoinWithId,
    RejoinAsNew,
    StopFenced,
    Stop,
}

impl Remedy {
    fn of(error: GroupError) -> Remedy {
        match error {
            GroupError::CoordinatorLoadInProgress
            | GroupError::RebalanceInProgress
            | GroupError::RequestTimedOut
            | GroupError::UnknownServerError => Remedy::Retry,
            GroupError::CoordinatorNotAvailable | GroupError::NotCoordinator => Remedy::FindCoordinator,
            GroupError::IllegalGeneration => Remedy::RejoinWithId,
            GroupError::UnknownMemberId => Remedy::RejoinAsNew,
            GroupError::FencedInstanceId => Remedy::StopFenced,
            GroupError::InconsistentGroupProtocol
            | GroupError::InvalidGroupId
            | GroupError::InvalidSessionTimeout
            | GroupError::GroupAuthorizationFailed
            | GroupError::UnsupportedVersion
            | GroupError::MemberIdRequired
            | GroupError::GroupMaxSizeReached
            | GroupError::Other(_) => Remedy::Stop,
        }
    }
}

/// At least one millisecond, so that a zero in a configuration cannot make the machine spin.
fn positive(ms: i32) -> i64 {
    i64::from(ms.max(1))
}

/// The longest prefix of at most `bytes` bytes.
fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}
