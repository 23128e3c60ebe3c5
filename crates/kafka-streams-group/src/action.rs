//! Everything that a [`ClassicMember`](crate::ClassicMember) wants done.

use std::collections::BTreeMap;

use kafka_streams_core::{TaskId, TopicPartition};

use crate::{Error, HostInfo};

/// What to do. For the network, the leader's driver, or the worker (the stream thread).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    // To the network. Everything is answered by the event of the same name, or by `ConnectionLost`.
    /// Ask any broker for the group's coordinator, and use it for all that follows.
    FindCoordinator {
        /// To be returned with the answer.
        request: RequestId,
    },
    /// Send JoinGroup on the first connection, where it may wait for other members.
    Join {
        /// To be returned with the answer.
        request: RequestId,
        /// Its content.
        join: JoinRequest,
    },
    /// Send SyncGroup on the first connection, where it may wait for the leader.
    Sync {
        /// To be returned with the answer.
        request: RequestId,
        /// Its content.
        sync: SyncRequest,
    },
    /// Send Heartbeat on the second connection.
    Heartbeat {
        /// To be returned with the answer.
        request: RequestId,
        /// Its content.
        heartbeat: HeartbeatRequest,
    },
    /// Send LeaveGroup on the second connection (the first may be waiting for a JoinGroup that this one ends).
    Leave {
        /// To be returned with the answer.
        request: RequestId,
        /// Its content.
        leave: LeaveRequest,
    },
    /// Drop the connections to the coordinator and all requests in flight; do not report `ConnectionLost` for it.
    Disconnect,

    // To the leader's driver.
    /// This member leads: compute everybody's assignment (see [`leader`](crate::leader)) and answer with
    /// [`Led`](crate::Event::Led). A later `Lead` replaces an unanswered one.
    Lead {
        /// The generation, to be returned with the answer.
        generation: i32,
        /// Member id and metadata of every member.
        members: Vec<(String, Vec<u8>)>,
    },

    // To the worker.
    /// Something that the worker must know, in this order.
    Worker(WorkerEvent),
}

/// What the worker is told. It handles these strictly in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEvent {
    /// A rebalance begins (JoinGroup is about to be sent): processing goes on, but a commit made before the next `Assigned`
    /// or `Lost` may be refused with 22 or 27, since the group's generation moves on.
    Rebalancing,
    /// Commit and close these tasks, then answer [`Released`](crate::Event::Released). Their partitions stay claimed until
    /// then (rule C2).
    Revoke(Revoke),
    /// A new generation: the tasks to run from now on. Tasks in `active` that are not in `added` go on undisturbed.
    Assigned(Assigned),
    /// The member is out of the group, and its tasks may already run elsewhere: drop all active tasks and their uncommitted
    /// state at once, never commit. Standby tasks may stay until the next `Assigned`. Unanswered `Revoke`s are void.
    Lost {
        /// Why.
        reason: LostReason,
    },
    /// A member asked that the whole application shut down (assignment error 4): close the tasks in good order, then
    /// [`Leave`](crate::Event::Leave). Until then the member keeps its tasks and its membership.
    ShutdownRequested,
    /// The member cannot go on and has stopped. Preceded by `Lost` if there was an assignment.
    Fatal(Error),
    /// The answer to [`Leave`](crate::Event::Leave): the member has stopped.
    Left,
}

/// Tasks to give up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoke {
    /// To be returned with `Released`.
    pub id: RevocationId,
    /// The generation that takes the tasks away; the one to commit with.
    pub generation: i32,
    /// The tasks with their partitions, in the order of their ids.
    pub tasks: Vec<(TaskId, Vec<TopicPartition>)>,
}

/// A member's part of a new generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The generation.
    pub generation: i32,
    /// The member id in it.
    pub member_id: String,
    /// All active tasks with their source partitions (sorted by topic and number), in the order of their ids. Tasks that
    /// are being given up are not in it.
    pub active: Vec<(TaskId, Vec<TopicPartition>)>,
    /// All standby tasks with their source partitions, in the order of their ids.
    pub standby: Vec<(TaskId, Vec<TopicPartition>)>,
    /// Those of `active` that the worker has to open.
    pub added: Vec<TaskId>,
    /// The tasks of the `Revoke` just before, if there was one.
    pub revoked: Vec<TaskId>,
    /// Source partitions of the active tasks of every process that has an endpoint.
    pub partitions_by_host: BTreeMap<HostInfo, Vec<TopicPartition>>,
    /// Source partitions of the standby tasks of every process that has an endpoint.
    pub standby_partitions_by_host: BTreeMap<HostInfo, Vec<TopicPartition>>,
    /// When this member will start the next rebalance by itself, in milliseconds since 1970; `None`: not planned.
    pub next_rebalance_ms: Option<i64>,
}

/// Why a membership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostReason {
    /// No heartbeat was answered for `session.timeout.ms`.
    SessionExpired,
    /// The group went on without this member (22).
    IllegalGeneration,
    /// The coordinator does not know this member (25).
    UnknownMember,
    /// Another process has this `group.instance.id` (82). `Fatal` follows.
    FencedInstance,
    /// The worker was silent for `max.poll.interval.ms`; the member rejoins when it is heard again.
    WorkerSilent,
    /// The member stops for the error of the `Fatal` that follows.
    Fatal,
}

/// Numbers the requests of one member. Answers are matched by it, so that late ones cannot be mistaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

impl RequestId {
    /// A request of this number. The machine makes its own; this one is for those who test what talks to it.
    pub const fn new(number: u64) -> Self {
        RequestId(number)
    }
}

/// Numbers the `Revoke`s of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationId(pub(crate) u64);

impl RevocationId {
    /// A revocation of this number. The machine makes its own; this one is for those who test what talks to it.
    pub const fn new(number: u64) -> Self {
        RevocationId(number)
    }
}

/// The content of JoinGroup. Group id and protocol type ([`PROTOCOL_TYPE`](crate::PROTOCOL_TYPE)) are constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    /// The member id; empty for a member that has none yet.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// `session.timeout.ms`.
    pub session_timeout_ms: i32,
    /// How long the coordinator waits for members to join: `max.poll.interval.ms`.
    pub rebalance_timeout_ms: i32,
    /// Name ([`PROTOCOL_NAME`](crate::PROTOCOL_NAME)) and metadata of the one protocol.
    pub protocols: Vec<(String, Vec<u8>)>,
    /// Why, for the broker's log (KIP-800), at most 255 bytes.
    pub reason: String,
}

/// The content of SyncGroup. Group id, protocol type and protocol name are constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRequest {
    /// The generation of the JoinGroup answer.
    pub generation: i32,
    /// The member id.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// Member id and assignment of every member if this one leads, otherwise empty.
    pub assignments: Vec<(String, Vec<u8>)>,
}

/// The content of Heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatRequest {
    /// The generation of the last JoinGroup answer.
    pub generation: i32,
    /// The member id.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
}

/// The content of LeaveGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveRequest {
    /// The member id.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// Why, for the broker's log (KIP-800).
    pub reason: String,
}
