//! One member of a group, on its own task: carries out what its machine wants, and tells it what happened.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_streams_engine::port::Group;
use kafka_streams_group::{Action, ClassicConfig, ClassicMember, Event, GroupMember, Phase, WorkerEvent};
use kafka_streams_runtime::port::{GroupLeader, MemberBytes, Waker};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::request::{self, Route, Slot};
use super::seat::Seat;
use crate::network::{Address, Cluster};

/// A worker's seat in its group: the engine's `Group` port.
///
/// Dropping it ends the membership. A LeaveGroup that was asked for ([`Event::Leave`]) is still sent, for as long as the
/// machine allows it; without it the member vanishes in silence, and the coordinator gives its tasks to others when the
/// session runs out.
pub struct MemberHandle {
    seat: Arc<Seat>,
    events: mpsc::UnboundedSender<Event>,
}

impl MemberHandle {
    /// Makes a member and starts its task on `runtime`. The member is idle until it is told [`Event::Start`].
    ///
    /// `leader` is called when the member leads, `waker` when there is an event to poll.
    pub fn spawn(
        cluster: Cluster,
        config: ClassicConfig,
        leader: Arc<dyn GroupLeader>,
        runtime: &Handle,
        waker: Waker,
    ) -> MemberHandle {
        let seat = Arc::new(Seat::new(waker));
        let (events, received) = mpsc::unbounded_channel();
        let task = MemberTask {
            cluster,
            group_id: Arc::from(config.group_id.as_str()),
            wait_limit: milliseconds(config.max_poll_interval_ms) + MACHINES_SHARE,
            request_limit: milliseconds(config.request_timeout_ms) + MACHINES_SHARE,
            started: Instant::now(),
            machine: ClassicMember::new(config, 0),
            leader,
            seat: seat.clone(),
            coordinator: None,
            waiting_slot: Slot::default(),
            heartbeat_slot: Slot::default(),
            requests: JoinSet::new(),
            leading: JoinSet::new(),
        };
        runtime.spawn(task.run(received));
        MemberHandle { seat, events }
    }
}

impl Group for MemberHandle {
    fn poll(&mut self) -> Option<WorkerEvent> {
        self.seat.poll()
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::WorkerAlive => self.seat.worker_alive(),
            // The task ends only when the member has stopped, and ignores everything then.
            event => drop(self.events.send(event)),
        }
    }

    fn member(&self) -> Option<GroupMember> {
        self.seat.member()
    }
}

/// By how much our own time limits exceed those of the machine, which come first.
const MACHINES_SHARE: Duration = Duration::from_secs(15);

struct MemberTask {
    cluster: Cluster,
    group_id: Arc<str>,
    /// For JoinGroup and SyncGroup.
    wait_limit: Duration,
    /// For all other requests.
    request_limit: Duration,
    /// Time 0 of the machine.
    started: Instant,
    machine: ClassicMember,
    leader: Arc<dyn GroupLeader>,
    seat: Arc<Seat>,
    /// Of the last FindCoordinator.
    coordinator: Option<Address>,
    /// The connection for JoinGroup and SyncGroup.
    waiting_slot: Slot,
    /// The connection for Heartbeat and LeaveGroup.
    heartbeat_slot: Slot,
    /// Requests in flight.
    requests: JoinSet<(Event, Option<Address>)>,
    /// The leader's work, at most one.
    leading: JoinSet<Event>,
}

impl MemberTask {
    async fn run(mut self, mut received: mpsc::UnboundedReceiver<Event>) {
        let mut abandoned = false;
        loop {
            self.carry_out_actions();
            let phase = self.machine.phase();
            let leaving = phase == Phase::Leaving;
            if phase == Phase::Stopped || (abandoned && !leaving) {
                return;
            }
            let parked = phase == Phase::Parked;
            self.seat.set_parked(parked);
            let deadline = self.machine.next_deadline().map(|deadline_ms| {
                let deadline = Duration::from_millis(u64::try_from(deadline_ms).unwrap_or(0));
                tokio::time::Instant::from_std(self.started + deadline)
            });
            let event = tokio::select! {
                event = received.recv(), if !abandoned => {
                    abandoned = event.is_none();
                    event
                }
                Some(done) = self.requests.join_next() => done.ok().map(|done| self.answered(done)),
                Some(led) = self.leading.join_next() => led.ok(),
                () = sleep_until(deadline) => Some(Event::Tick),
                () = self.seat.heard(), if parked => None,
            };
            // Before `Tick`, so that a worker that was heard of in time is not taken to be silent.
            if self.seat.take_alive() {
                self.tell(Event::WorkerAlive);
            }
            if let Some(event) = event {
                self.tell(event);
            }
        }
    }

    fn tell(&mut self, event: Event) {
        let now_ms = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.machine.handle(now_ms, event);
    }

    /// A request was answered, or failed.
    fn answered(&mut self, (event, coordinator): (Event, Option<Address>)) -> Event {
        match &event {
            Event::ConnectionLost => self.disconnect(),
            Event::Coordinator { result: Ok(()), .. } if self.coordinator != coordinator => {
                self.disconnect();
                self.coordinator = coordinator;
            }
            _ => {}
        }
        event
    }

    /// Drops the connections and what is in flight on them.
    fn disconnect(&mut self) {
        self.requests = JoinSet::new();
        self.waiting_slot = Slot::default();
        self.heartbeat_slot = Slot::default();
    }

    fn carry_out_actions(&mut self) {
        let mut news = Vec::new();
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Worker(event) => news.push(event),
                Action::Disconnect => self.disconnect(),
                Action::Lead { generation, members } => self.lead(generation, members),
                Action::FindCoordinator { request } => {
                    self.requests.spawn(request::find_coordinator(
                        self.cluster.clone(),
                        self.group_id.clone(),
                        request,
                    ));
                }
                Action::Join { request, join } => {
                    // The group moves on: what was being led is of no use any more.
                    self.leading = JoinSet::new();
                    let slot = self.waiting_slot.clone();
                    self.send(slot, self.wait_limit, |route| request::join(route, request, join));
                }
                Action::Sync { request, sync } => {
                    let slot = self.waiting_slot.clone();
                    self.send(slot, self.wait_limit, |route| request::sync(route, request, sync));
                }
                Action::Heartbeat { request, heartbeat } => {
                    let slot = self.heartbeat_slot.clone();
                    self.send(slot, self.request_limit, |route| request::heartbeat(route, request, heartbeat));
                }
                Action::Leave { request, leave } => {
                    self.leading = JoinSet::new();
                    let slot = self.heartbeat_slot.clone();
                    self.send(slot, self.request_limit, |route| request::leave(route, request, leave));
                }
            }
        }
        self.seat.publish(news, self.machine.membership());
    }

    fn send<F>(&mut self, slot: Slot, limit: Duration, make: impl FnOnce(Route) -> F)
    where
        F: Future<Output = Event> + Send + 'static,
    {
        let Some(coordinator) = self.coordinator.clone() else {
            // The machine sends nothing before it has a coordinator; if it does, it has lost it.
            self.requests.spawn(async { (Event::ConnectionLost, None) });
            return;
        };
        let (cluster, group_id) = (self.cluster.clone(), self.group_id.clone());
        let answered = make(Route { cluster, group_id, coordinator, slot, limit });
        self.requests.spawn(async move { (answered.await, None) });
    }

    fn lead(&mut self, generation: i32, members: Vec<MemberBytes>) {
        let leader = self.leader.clone();
        // Replaces, and so stops, the work for an older generation.
        self.leading = JoinSet::new();
        self.leading.spawn(async move {
            let result = leader.lead(generation, members).await;
            Event::Led { generation, result }
        });
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn milliseconds(milliseconds: i32) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}
