//! Everything that can happen to a [`ClassicMember`](crate::ClassicMember).

use kafka_streams_core::TaskId;

use crate::{GroupError, RequestId, RevocationId};

/// What happened. From the worker (the stream thread), the network, the leader's driver, or the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    // From the worker.
    /// Begin: find the coordinator and join as soon as there are topics. Once only.
    Start,
    /// The source topics to subscribe to, in any order; a change makes a member rejoin. Needed before the first join.
    Subscribe {
        /// All source topics of the topology, repartition topics included.
        topics: Vec<String>,
    },
    /// The offset sums of the tasks known here, for the next subscription: -2 for a running active task that has
    /// changelogs, otherwise the sum of the last offsets known. Replaces the previous list.
    TaskOffsetSums(Vec<(TaskId, i64)>),
    /// The worker has committed and closed these tasks of a [`Revoke`](crate::WorkerEvent::Revoke). May come in parts.
    Released {
        /// Which `Revoke`.
        revocation: RevocationId,
        /// The tasks.
        tasks: Vec<TaskId>,
    },
    /// Rebalance the group (`enforceRebalance` of the JVM).
    Rejoin {
        /// Why, for the broker's log; cut to 255 bytes.
        reason: String,
        /// Do not wait for tasks that are being released; they are claimed again.
        at_once: bool,
    },
    /// The worker went round its loop. Must come at least every `max.poll.interval.ms`.
    WorkerAlive,
    /// Stop for good. The worker has committed and closed its tasks.
    Leave {
        /// Send LeaveGroup, so that the tasks move at once. The JVM's default for a dynamic member is not to, so that a
        /// quick restart gets its tasks back.
        notify_coordinator: bool,
    },
    /// Ask the leader to shut the whole application down: error code 4 goes into every subscription from now on.
    RequestShutdown,

    // From the network. An answer to any but the latest request of its kind is ignored.
    /// Answer to [`FindCoordinator`](crate::Action::FindCoordinator): the driver knows the coordinator and will connect.
    Coordinator {
        /// Which request.
        request: RequestId,
        /// Success, or the broker's error.
        result: Result<(), GroupError>,
    },
    /// Answer to [`Join`](crate::Action::Join).
    JoinReply {
        /// Which request.
        request: RequestId,
        /// The new generation, or the broker's error.
        result: Result<JoinReply, JoinRefusal>,
    },
    /// Answer to [`Sync`](crate::Action::Sync).
    SyncReply {
        /// Which request.
        request: RequestId,
        /// The bytes of this member's assignment, or the broker's error.
        result: Result<Vec<u8>, GroupError>,
    },
    /// Answer to [`Heartbeat`](crate::Action::Heartbeat).
    HeartbeatReply {
        /// Which request.
        request: RequestId,
        /// Success, or the broker's error.
        result: Result<(), GroupError>,
    },
    /// Answer to [`Leave`](crate::Action::Leave), whatever it says.
    LeaveReply {
        /// Which request.
        request: RequestId,
    },
    /// A connection to the coordinator broke or could not be made: no request in flight will be answered.
    ConnectionLost,
    /// The driver cannot talk to the cluster, and trying again does not help: credentials or certificates are refused, or
    /// the brokers are too old. The member stops.
    Unreachable {
        /// What went wrong, and with which broker: the user reads it.
        reason: String,
    },

    // From the leader's driver.
    /// Answer to [`Lead`](crate::Action::Lead). Ignored unless it is for the current generation.
    Led {
        /// The generation of the `Lead`.
        generation: i32,
        /// The bytes of every member's assignment, or why there are none.
        result: Result<Vec<(String, Vec<u8>)>, LeadError>,
    },

    /// [`next_deadline`](crate::ClassicMember::next_deadline) has come.
    Tick,
}

/// A successful answer to JoinGroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinReply {
    /// The group's new generation.
    pub generation: i32,
    /// The member id.
    pub member_id: String,
    /// The leader's member id; the member is the leader if it is its own.
    pub leader: String,
    /// For a static leader that returned: the assignment stays as it is (KIP-814).
    pub skip_assignment: bool,
    /// Member id and metadata of every member; empty for all but the leader.
    pub members: Vec<(String, Vec<u8>)>,
}

/// JoinGroup was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefusal {
    /// The broker's error.
    pub error: GroupError,
    /// The member id of the answer: the one to join with if the error is [`GroupError::MemberIdRequired`].
    pub member_id: String,
}

/// The leader's driver could not make an assignment (a broker did not answer, say). The member rejoins after a wait, which
/// makes the group rebalance again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not assign tasks: {reason}")]
pub struct LeadError {
    /// Why, for the broker's log.
    pub reason: String,
}
