//! Several members, a coordinator, a virtual clock and much bad luck, all from one seed.
//!
//! Two promises are checked. Always: no task is held by two workers at once, and what a worker holds is what its last
//! assignment says. In the end, when the bad luck has stopped: every task is held, the load is balanced, and nobody goes on
//! rebalancing.
//!
//! A failure names its seed; `SEED=n cargo test -p kafka-streams-group --test simulation one_seed -- --nocapture` plays it
//! again. `SEEDS=n` plays more than the usual number.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail anywhere")]

mod support;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kafka_streams_core::{TaskId, TopicPartition};
use kafka_streams_group::codec::LATEST_OFFSET;
use kafka_streams_group::leader::{self, GroupView, TaskSpec};
use kafka_streams_group::{
    Action, ClassicConfig, ClassicMember, Event, GroupError, HeartbeatRequest, JoinRequest, LeadError, Phase,
    ProcessId, RequestId, SyncRequest, WorkerEvent,
};
use support::coordinator::{Coordinator, Reply, Token};
use support::random::Random;

const START: i64 = 1_700_000_000_000;
const CHURN_MS: i64 = 300_000;
/// Sessions, a rebalance timeout and a few rebalances fit into this.
const SETTLE_MS: i64 = 240_000;
const NODES_MAX: usize = 6;
const WORKER_ROUND_MS: i64 = 500;

#[derive(Debug)]
enum Request {
    FindCoordinator,
    Join(JoinRequest),
    Sync(SyncRequest),
    Heartbeat(HeartbeatRequest),
    Leave(String),
}

#[derive(Debug)]
enum Happening {
    /// A request reaches the broker.
    Arrives {
        node: usize,
        connection: u64,
        id: RequestId,
        request: Request,
    },
    /// Something reaches a member, if its connection still is the one.
    Reaches {
        node: usize,
        connection: u64,
        event: Event,
    },
    /// The leader's driver is done.
    Led {
        node: usize,
        event: Event,
    },
    /// A worker goes round its loop.
    Round {
        node: usize,
    },
    /// The coordinator is to be found again.
    CoordinatorBack,
    Misfortune,
}

struct Node {
    member: ClassicMember,
    process: ProcessId,
    alive: bool,
    leaving: bool,
    connection: u64,
    /// Requests of one member arrive in the order in which they were sent.
    last_arrival: i64,
    cut_off_until: i64,
    worker: Worker,
}

#[derive(Default)]
struct Worker {
    inbox: VecDeque<WorkerEvent>,
    held: BTreeSet<TaskId>,
    generation: i32,
    stalled_until: i64,
    /// The time when the revocation at the front of the inbox will be done.
    done_at: Option<i64>,
}

struct World {
    seed: u64,
    now: i64,
    random: Random,
    queue: BTreeMap<(i64, u64), Happening>,
    serial: u64,
    coordinator: Coordinator,
    coordinator_is_there: bool,
    tokens: BTreeMap<Token, (usize, u64, RequestId)>,
    nodes: Vec<Node>,
    tasks: Vec<TaskSpec>,
    churn: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let partitions = random.between(1, 12) as i32;
        let stateless = random.between(0, 6) as i32;
        let task = |subtopology, n| TaskSpec {
            id: TaskId::new(subtopology, n),
            source_partitions: vec![TopicPartition::new(format!("in-{subtopology}"), n)],
            stateful: subtopology == 0,
            changelog_end_offset_sum: (subtopology == 0).then_some(1_000),
        };
        let tasks = (0..partitions).map(|n| task(0, n)).chain((0..stateless).map(|n| task(1, n))).collect();
        let mut world = World {
            seed,
            now: START,
            random,
            queue: BTreeMap::new(),
            serial: 0,
            coordinator: Coordinator::new(),
            coordinator_is_there: true,
            tokens: BTreeMap::new(),
            nodes: Vec::new(),
            tasks,
            churn: true,
        };
        for _ in 0..world.random.between(1, 3) {
            world.add_node();
        }
        world.after(1_000, Happening::Misfortune);
        world
    }

    fn after(&mut self, ms: i64, happening: Happening) {
        self.serial += 1;
        self.queue.insert((self.now + ms, self.serial), happening);
    }

    fn run(&mut self) {
        while self.now < START + CHURN_MS {
            self.step();
        }
        self.churn = false;
        while self.now < START + CHURN_MS + SETTLE_MS {
            self.step();
        }
        let rebalances = self.coordinator.rebalances;
        while self.now < START + CHURN_MS + SETTLE_MS + 60_000 {
            self.step();
        }
        self.check_settled(rebalances);
    }

    /// Jumps to the next thing that happens.
    fn step(&mut self) {
        let deadlines = self.nodes.iter().filter(|node| node.alive).filter_map(|node| node.member.next_deadline());
        let broker = self.coordinator.next_deadline().filter(|_| self.coordinator_is_there);
        let next = self.queue.keys().next().map(|(at, _)| *at);
        let at = deadlines.chain(broker).chain(next).min().expect("workers go round for ever");
        assert!(at >= self.now, "{}", self.tell("time went back"));
        self.now = at;
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= at) {
            let happening = entry.remove();
            self.happen(happening);
        }
        if self.coordinator_is_there {
            self.coordinator.tick(at);
        }
        for node in 0..self.nodes.len() {
            if self.nodes[node].alive && self.nodes[node].member.next_deadline().is_some_and(|due| due <= at) {
                self.event(node, Event::Tick);
                let next = self.nodes[node].member.next_deadline();
                assert!(next.is_none_or(|due| due > at), "{}", self.tell("a deadline was not dealt with"));
            }
        }
        self.answer();
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives { node, connection, id, request } => self.arrive(node, connection, id, request),
            Happening::Reaches { node, connection, event } => {
                if self.nodes[node].alive && self.nodes[node].connection == connection {
                    self.event(node, event);
                }
            }
            Happening::Led { node, event } => self.event(node, event),
            Happening::Round { node } => self.round(node),
            Happening::CoordinatorBack => {
                self.coordinator.move_to_another_broker(self.now);
                self.coordinator_is_there = true;
            }
            Happening::Misfortune => self.misfortune(),
        }
        self.answer();
    }

    // Members.

    fn add_node(&mut self) {
        let number = self.nodes.len();
        // Two members to a process, so that threads matter as well.
        let process = ProcessId::new(uuid::Uuid::from_u128(number as u128 / 2 + 1));
        let mut config = ClassicConfig::new("app", process);
        config.session_timeout_ms = 10_000;
        config.max_poll_interval_ms = 30_000;
        config.heartbeat_interval_ms = 1_000;
        config.request_timeout_ms = 5_000;
        config.release_wait_ms = 3_000;
        config.jitter_seed = self.random.next();
        self.nodes.push(Node {
            member: ClassicMember::new(config, self.now),
            process,
            alive: true,
            leaving: false,
            connection: 0,
            last_arrival: self.now,
            cut_off_until: 0,
            worker: Worker::default(),
        });
        self.event(number, Event::Subscribe { topics: vec!["in-0".to_owned(), "in-1".to_owned()] });
        self.event(number, Event::Start);
        self.after(0, Happening::Round { node: number });
    }

    fn event(&mut self, node: usize, event: Event) {
        if !self.nodes[node].alive {
            return;
        }
        self.nodes[node].member.handle(self.now, event);
        while let Some(action) = self.nodes[node].member.poll_action() {
            self.act(node, action);
        }
    }

    fn act(&mut self, node: usize, action: Action) {
        match action {
            Action::FindCoordinator { request } => self.send(node, request, Request::FindCoordinator),
            Action::Join { request, join } => self.send(node, request, Request::Join(join)),
            Action::Sync { request, sync } => self.send(node, request, Request::Sync(sync)),
            Action::Heartbeat { request, heartbeat } => self.send(node, request, Request::Heartbeat(heartbeat)),
            Action::Leave { request, leave } => self.send(node, request, Request::Leave(leave.member_id)),
            Action::Disconnect => self.nodes[node].connection += 1,
            Action::Lead { generation, members } => {
                let view = GroupView::decode(&members);
                assert_eq!(view.rejected().count(), 0);
                let result = if self.churn && self.random.one_in(10) {
                    Err(LeadError { reason: "bad luck".to_owned() })
                } else {
                    let process = self.nodes[node].process;
                    let group = leader::assign(&view, &self.tasks, process, self.now).expect("an assignment");
                    Ok(group.members)
                };
                let delay = self.random.between(0, 500);
                self.after(delay, Happening::Led { node, event: Event::Led { generation, result } });
            }
            Action::Worker(event) => self.tell_worker(node, event),
        }
    }

    // The network.

    fn send(&mut self, node: usize, id: RequestId, request: Request) {
        let latency = self.random.between(1, 50);
        let arrival = (self.now + latency).max(self.nodes[node].last_arrival);
        self.nodes[node].last_arrival = arrival;
        let connection = self.nodes[node].connection;
        let arrives = Happening::Arrives { node, connection, id, request };
        self.after(arrival - self.now, arrives);
    }

    /// A request may arrive although its sender has gone: only the answer has nowhere to go then.
    fn arrive(&mut self, node: usize, connection: u64, id: RequestId, request: Request) {
        let cut_off = self.nodes[node].cut_off_until > self.now;
        if cut_off || (!self.coordinator_is_there && !matches!(request, Request::FindCoordinator)) {
            return self.reach(node, connection, Event::ConnectionLost);
        }
        let token = self.serial;
        let now = self.now;
        match request {
            Request::FindCoordinator => {
                let there = self.coordinator_is_there;
                let result = if there { Ok(()) } else { Err(GroupError::CoordinatorNotAvailable) };
                self.reach(node, connection, Event::Coordinator { request: id, result });
            }
            Request::Join(join) => {
                self.tokens.insert(token, (node, connection, id));
                self.coordinator.join(now, token, &join);
            }
            Request::Sync(sync) => {
                self.tokens.insert(token, (node, connection, id));
                self.coordinator.sync(now, token, sync);
            }
            Request::Heartbeat(heartbeat) => {
                let result = self.coordinator.heartbeat(now, &heartbeat);
                self.reach(node, connection, Event::HeartbeatReply { request: id, result });
            }
            Request::Leave(member_id) => {
                self.coordinator.leave(now, &member_id);
                self.reach(node, connection, Event::LeaveReply { request: id });
            }
        }
        self.serial += 1;
    }

    fn answer(&mut self) {
        for (token, reply) in std::mem::take(&mut self.coordinator.replies) {
            if let Some((node, connection, request)) = self.tokens.remove(&token) {
                let event = match reply {
                    Reply::Join(result) => Event::JoinReply { request, result },
                    Reply::Sync(result) => Event::SyncReply { request, result },
                };
                self.reach(node, connection, event);
            }
        }
    }

    /// On its way to a member; now and then the connection breaks instead.
    fn reach(&mut self, node: usize, connection: u64, event: Event) {
        let latency = self.random.between(1, 50);
        let lost = self.churn && self.random.one_in(60);
        let event = if lost { Event::ConnectionLost } else { event };
        self.after(latency, Happening::Reaches { node, connection, event });
    }

    // Workers.

    fn tell_worker(&mut self, node: usize, event: WorkerEvent) {
        let worker = &mut self.nodes[node].worker;
        match event {
            WorkerEvent::Lost { .. } => {
                // From here on the worker cannot commit, whatever it does until it reads this.
                *worker = Worker { stalled_until: worker.stalled_until, ..Worker::default() };
                self.sums(node);
            }
            WorkerEvent::Left => self.nodes[node].alive = false,
            WorkerEvent::Fatal(error) => panic!("{}", self.tell(&format!("member {node} failed: {error}"))),
            event => worker.inbox.push_back(event),
        }
    }

    fn round(&mut self, node: usize) {
        if !self.nodes[node].alive {
            return;
        }
        self.after(WORKER_ROUND_MS, Happening::Round { node });
        if self.nodes[node].worker.stalled_until > self.now {
            return;
        }
        self.event(node, Event::WorkerAlive);
        while let Some(event) = self.nodes[node].worker.inbox.front().cloned() {
            match event {
                WorkerEvent::Revoke(revoke) => {
                    let (now, takes) = (self.now, self.random.between(0, 6_000));
                    let worker = &mut self.nodes[node].worker;
                    if *worker.done_at.get_or_insert(now + takes) > now {
                        return;
                    }
                    worker.done_at = None;
                    let tasks: Vec<TaskId> = revoke.tasks.iter().map(|(task, _)| *task).collect();
                    let held = tasks.iter().all(|task| worker.held.remove(task));
                    assert!(held, "{}", self.tell(&format!("member {node} was to release what it does not hold")));
                    self.nodes[node].worker.inbox.pop_front();
                    self.sums(node);
                    self.event(node, Event::Released { revocation: revoke.id, tasks });
                }
                WorkerEvent::Assigned(assigned) => {
                    self.nodes[node].worker.inbox.pop_front();
                    self.nodes[node].worker.generation = assigned.generation;
                    for task in &assigned.added {
                        self.open(node, *task);
                    }
                    let active: BTreeSet<TaskId> = assigned.active.iter().map(|(task, _)| *task).collect();
                    let holds = &self.nodes[node].worker.held;
                    assert_eq!(*holds, active, "{}", self.tell(&format!("member {node} holds something else")));
                    self.sums(node);
                }
                _ => {
                    self.nodes[node].worker.inbox.pop_front();
                }
            }
        }
    }

    fn open(&mut self, node: usize, task: TaskId) {
        let holder = self.nodes.iter().position(|other| other.alive && other.worker.held.contains(&task));
        assert_eq!(holder, None, "{}", self.tell(&format!("member {node} opens {task}, which is held")));
        let member = &self.nodes[node].member;
        assert!(member.membership().is_some(), "{}", self.tell("a task is opened by someone who is no member"));
        self.nodes[node].worker.held.insert(task);
    }

    fn sums(&mut self, node: usize) {
        let held = self.nodes[node].worker.held.iter().filter(|task| task.subtopology == 0);
        let sums = held.map(|task| (*task, LATEST_OFFSET)).collect();
        self.event(node, Event::TaskOffsetSums(sums));
    }

    // Bad luck.

    fn misfortune(&mut self) {
        if !self.churn {
            return;
        }
        let next = self.random.between(500, 20_000);
        self.after(next, Happening::Misfortune);
        let living: Vec<usize> =
            (0..self.nodes.len()).filter(|n| self.nodes[*n].alive && !self.nodes[*n].leaving).collect();
        let chosen = living[self.random.next() as usize % living.len()];
        match self.random.next() % 9 {
            0 | 1 if living.len() < NODES_MAX => self.add_node(),
            2 if living.len() > 1 => {
                self.nodes[chosen].alive = false;
            }
            3 if living.len() > 1 => {
                // In good order: the worker closes its tasks, then the member leaves.
                self.nodes[chosen].worker = Worker::default();
                self.nodes[chosen].leaving = true;
                let notify_coordinator = self.random.one_in(2);
                self.event(chosen, Event::Leave { notify_coordinator });
            }
            4 if self.coordinator_is_there => {
                self.coordinator_is_there = false;
                let outage = self.random.between(0, 15_000);
                self.after(outage, Happening::CoordinatorBack);
                for node in living {
                    let connection = self.nodes[node].connection;
                    self.reach(node, connection, Event::ConnectionLost);
                }
            }
            5 => {
                let connection = self.nodes[chosen].connection;
                self.reach(chosen, connection, Event::ConnectionLost);
            }
            6 => {
                self.nodes[chosen].cut_off_until = self.now + self.random.between(100, 25_000);
                let connection = self.nodes[chosen].connection;
                self.reach(chosen, connection, Event::ConnectionLost);
            }
            7 => self.nodes[chosen].worker.stalled_until = self.now + self.random.between(1_000, 50_000),
            _ => {
                let at_once = self.random.one_in(2);
                self.event(chosen, Event::Rejoin { reason: "bad luck".to_owned(), at_once });
            }
        }
    }

    // Promises.

    fn check_settled(&self, rebalances_before: u32) {
        let living: Vec<&Node> = self.nodes.iter().filter(|node| node.alive).collect();
        for node in &living {
            assert_eq!(node.member.phase(), Phase::Stable, "{}", self.tell("a member has not settled"));
            assert!(node.worker.inbox.is_empty());
        }
        for task in &self.tasks {
            let holders = living.iter().filter(|node| node.worker.held.contains(&task.id)).count();
            assert_eq!(holders, 1, "{}", self.tell(&format!("task {} is held by {holders}", task.id)));
        }
        let loads = || living.iter().map(|node| node.worker.held.len());
        let difference = loads().max().unwrap_or(0) - loads().min().unwrap_or(0);
        assert!(difference <= 1, "{}", self.tell("the load is not balanced"));
        assert_eq!(self.coordinator.rebalances, rebalances_before, "{}", self.tell("the group does not come to rest"));
    }

    fn tell(&self, what: &str) -> String {
        let nodes = self.nodes.iter().enumerate().filter(|(_, node)| node.alive);
        let nodes: Vec<String> =
            nodes.map(|(n, node)| format!("{n}: {:?} {:?}", node.member.phase(), node.worker.held)).collect();
        format!(
            "seed {} at {} ms: {what}\n  {}\n  {}",
            self.seed,
            self.now - START,
            self.coordinator.describe(),
            nodes.join("\n  ")
        )
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn through_churn_no_task_is_held_twice_and_in_the_end_all_are_held() {
    for seed in 0..number_from("SEEDS").unwrap_or(300) {
        World::new(seed).run();
    }
}

#[test]
fn one_seed() {
    World::new(number_from("SEED").unwrap_or(1)).run();
}
