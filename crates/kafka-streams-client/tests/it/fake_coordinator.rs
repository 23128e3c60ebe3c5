//! A group coordinator for one member, and the worker and leader that go with it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI16, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{
    HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_streams_client::group_plane::MemberHandle;
use kafka_streams_client::network::Cluster;
use kafka_streams_core::{TaskId, TopicPartition};
use kafka_streams_engine::port::Group;
use kafka_streams_group::leader::{GroupView, TaskSpec, assign};
use kafka_streams_group::{ClassicConfig, Event, LeadError, ProcessId, WorkerEvent};
use kafka_streams_runtime::port::{BoxFuture, GroupLeader, MemberBytes, Waker};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::fake_broker::{Asked, PATIENCE, Reaction, text};

pub(crate) const FIND_COORDINATOR: i16 = 10;
pub(crate) const JOIN: i16 = 11;
pub(crate) const HEARTBEAT: i16 = 12;
pub(crate) const LEAVE: i16 = 13;
pub(crate) const SYNC: i16 = 14;

/// The group's state, as the coordinator keeps it.
#[derive(Default)]
pub(crate) struct Coordinator {
    generation: AtomicI32,
    /// What heartbeats are answered with.
    pub(crate) heartbeat_code: AtomicI16,
}

impl Coordinator {
    /// Does what a coordinator does; `None` for what is not its business.
    pub(crate) fn react(&self, asked: &Asked) -> Option<Reaction> {
        match asked.key {
            JOIN => Some(self.join(asked)),
            SYNC => {
                let request: SyncGroupRequest = asked.read();
                let own = request.assignments.into_iter().find(|assignment| assignment.member_id == request.member_id);
                let assignment = own.map(|own| own.assignment).unwrap_or_default();
                Some(asked.reply(&SyncGroupResponse::default().with_assignment(assignment)))
            }
            HEARTBEAT => {
                let code = self.heartbeat_code.load(Ordering::SeqCst);
                Some(asked.reply(&HeartbeatResponse::default().with_error_code(code)))
            }
            LEAVE => Some(asked.reply(&LeaveGroupResponse::default())),
            _ => None,
        }
    }

    fn join(&self, asked: &Asked) -> Reaction {
        let request: JoinGroupRequest = asked.read();
        if request.member_id.is_empty() {
            let told = JoinGroupResponse::default().with_error_code(79).with_generation_id(-1);
            return asked.reply(&told.with_member_id(text("m-1")));
        }
        let own = JoinGroupResponseMember::default()
            .with_member_id(request.member_id.clone())
            .with_metadata(request.protocols[0].metadata.clone());
        let reply = JoinGroupResponse::default()
            .with_generation_id(self.generation.fetch_add(1, Ordering::SeqCst) + 1)
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("stream")))
            .with_leader(request.member_id.clone())
            .with_member_id(request.member_id)
            .with_members(vec![own]);
        asked.reply(&reply)
    }
}

/// Assigns the tasks 0_0 and 0_1 of the topic `lines`.
pub(crate) struct TwoTasks {
    /// Waited for before each assignment, if there is one.
    pub(crate) gate: Option<Arc<Notify>>,
    /// Generations that were led, with the number of members.
    pub(crate) led: Mutex<BTreeMap<i32, usize>>,
}

impl TwoTasks {
    pub(crate) fn new(gate: Option<Arc<Notify>>) -> Arc<TwoTasks> {
        Arc::new(TwoTasks { gate, led: Mutex::default() })
    }
}

impl GroupLeader for TwoTasks {
    fn lead(&self, generation: i32, members: Vec<MemberBytes>) -> BoxFuture<'_, Result<Vec<MemberBytes>, LeadError>> {
        Box::pin(async move {
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            let task = |partition| TaskSpec {
                id: TaskId::new(0, partition),
                source_partitions: vec![TopicPartition::new("lines", partition)],
                stateful: false,
                changelog_end_offset_sum: Some(0),
            };
            self.led.lock().unwrap().insert(generation, members.len());
            let view = GroupView::decode(&members);
            let assigned = assign(&view, &[task(0), task(1)], process(1), 0);
            assigned.map(|assigned| assigned.members).map_err(|error| LeadError { reason: error.to_string() })
        })
    }
}

pub(crate) fn process(number: u128) -> ProcessId {
    ProcessId::new(Uuid::from_u128(number))
}

/// A worker with its seat; it waits for the waker, as a stream thread does.
pub(crate) struct Worker {
    pub(crate) seat: MemberHandle,
    woken: Arc<Notify>,
}

impl Worker {
    pub(crate) fn new(cluster: Cluster, config: ClassicConfig, leader: Arc<dyn GroupLeader>) -> Worker {
        let woken = Arc::new(Notify::new());
        let waker: Waker = Arc::new({
            let woken = woken.clone();
            move || woken.notify_one()
        });
        Worker { seat: MemberHandle::spawn(cluster, config, leader, &Handle::current(), waker), woken }
    }

    /// Starts the member, subscribed to `lines`.
    pub(crate) fn start(&mut self) {
        self.seat.tell(Event::Subscribe { topics: vec!["lines".to_owned()] });
        self.seat.tell(Event::Start);
    }

    /// The next event; the worker is alive while it waits.
    pub(crate) async fn next(&mut self) -> WorkerEvent {
        let next = async {
            loop {
                self.seat.tell(Event::WorkerAlive);
                if let Some(event) = self.seat.poll() {
                    return event;
                }
                self.woken.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("the worker waited for an event in vain")
    }

    /// The tasks of the next `Assigned`; tasks to be revoked are released at once.
    pub(crate) async fn next_assignment(&mut self) -> Vec<TaskId> {
        loop {
            match self.next().await {
                WorkerEvent::Rebalancing => {}
                WorkerEvent::Assigned(assigned) => return assigned.active.into_iter().map(|(task, _)| task).collect(),
                WorkerEvent::Revoke(revoke) => {
                    let tasks = revoke.tasks.into_iter().map(|(task, _)| task).collect();
                    self.seat.tell(Event::Released { revocation: revoke.id, tasks });
                }
                other => panic!("expected an assignment, not {other:?}"),
            }
        }
    }
}

/// A member's configuration with short intervals.
pub(crate) fn config(group: &str) -> ClassicConfig {
    ClassicConfig { heartbeat_interval_ms: 20, session_timeout_ms: 10_000, ..ClassicConfig::new(group, process(1)) }
}

/// Whether `done` comes true before patience ends.
pub(crate) async fn comes_true(mut done: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.expect("waited in vain");
}
