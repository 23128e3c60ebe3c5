//! A simulation: workers of one application over a cluster in memory and a virtual clock, with delays, faults, crashes and
//! rebalances at random, and the rules of stores and commits checked all the while (rules S3–S10, C1–C8).
//!
//! ```text
//!   Coordinator ◀── requests ── Seat (the real ClassicMember) ◀── Worker ──▶ doubles: Fetch, Produce, Admin, Restore
//!        └── answers, late ────────▶                              │
//!                                                               Disk: one user per store, counted by handle
//! ```
//! Everything follows from the seed; a failure names it, and `SIM_SEED=n` runs it alone.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::serde::{I64Serde, StringSerde};
use kafka_streams_core::{
    Context, DslStoreFormat, Failure, Output, Processor, Punctuation, PunctuationType, Record, Step, TaskId,
    TimestampExtractor, TopicPartition,
};
use kafka_streams_dsl::{Grouped, Materialized, StreamsBuilder};
use kafka_streams_group::codec::{AssignmentInfo, ConsumerAssignment, ConsumerSubscription};
use kafka_streams_group::{
    Action, ClassicConfig, ClassicMember, Event, GroupError, GroupMember, JoinRefusal, JoinReply, ProcessId, RequestId,
    WorkerEvent,
};
use kafka_streams_state::{
    CommitBatch, InMemoryBackend, KeyRange, KeyValueStore, MemoryBudget, RowIterator, StoreBackend, StoreBackends,
    StoreError, StorePosition, Stores, ThreadCache,
};
use kafka_streams_topology::{OffsetReset, Topology};

use crate::doubles::{Chaos, Chunks, FakeAdmin, FakeFetch, FakeProduce, Row, Shared};
use crate::port::Group;
use crate::restore::{Restore, RestoreEvent, RestoreTask, RestoreTickets, Restorer, RestorerConfig, StepResult};
use crate::worker::Ports;
use crate::{
    Backends, CommitProbe, FailedTasks, Guarantee, PortSet, TaskOffsets, Turn, Worker, WorkerConfig, WorkerError,
    WorkerSetup,
};

const PARTITIONS: i32 = 2;
const REPARTITION: &str = "app-words-repartition";
const COUNTS: &str = "app-counts-changelog";
const TICKS: &str = "app-ticks-changelog";
/// A word that cannot be processed for as long as it is poisonous.
const POISON: &str = "poison";
const WORDS: [&str; 5] = ["ant", "bee", "cat", "dog", "eel"];

/// Counts the moments of the wall clock, whether or not there are records (rule C1: a task that only writes).
struct Ticker {
    ticks: Rc<KeyValueStore<String, i64>>,
    poisonous: Arc<AtomicBool>,
}

impl Processor for Ticker {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = i64;

    fn init(&mut self, cx: &mut Context<'_, String, i64>) -> Step {
        cx.schedule(Duration::from_millis(70), PunctuationType::WallClockTime);
        Ok(())
    }

    fn process(&mut self, record: Record<String, String>, _cx: &mut Context<'_, String, i64>) -> Step {
        match record.value == POISON && self.poisonous.load(Ordering::Relaxed) {
            true => Err(Failure::processing(POISON)),
            false => Ok(()),
        }
    }

    fn punctuate(&mut self, _punctuation: Punctuation, cx: &mut Context<'_, String, i64>) -> Step {
        if cx.current_system_time_ms() > START + TICKING_MS {
            return Ok(());
        }
        let key = format!("task {}", cx.task_id());
        let count = self.ticks.get(&key)?.unwrap_or_default() + 1;
        self.ticks.put(cx, &key, Some(&count))?;
        cx.forward(Record::new(key, count, cx.current_system_time_ms()))
    }
}

/// Two parts, joined by a repartition topic; the second one counts the words, the first one its ticks.
fn topology(cached: bool, poisonous: Arc<AtomicBool>) -> Topology {
    let counts = Materialized::named("counts");
    let counts = if cached { counts.with_caching_enabled() } else { counts.with_caching_disabled() };
    let ticks = Stores::persistent_key_value_store("ticks", StringSerde, I64Serde);
    let ticks = if cached { ticks.with_caching_enabled() } else { ticks.with_caching_disabled() };
    let builder = StreamsBuilder::new();
    let ticks = builder.add_state_store(ticks).unwrap();
    let words = builder.stream::<String, String>("in");
    words.process(ticks, move |ticks| Ticker { ticks, poisonous: poisonous.clone() }).to("out");
    words.group_by(|_, word| word.clone(), Grouped::named("words")).count(counts).to_stream().to("out");
    builder.build().unwrap()
}

fn all_tasks() -> Vec<TaskId> {
    (0..2).flat_map(|part| (0..PARTITIONS).map(move |partition| TaskId::new(part, partition))).collect()
}

fn input_of(task: TaskId) -> TopicPartition {
    TopicPartition::new(if task.subtopology == 0 { "in" } else { REPARTITION }, task.partition)
}

fn task_of(partition: &TopicPartition) -> TaskId {
    TaskId::new(if &*partition.topic == "in" { 0 } else { 1 }, partition.partition)
}

// The disk of a process.

type Key = (TaskId, String);

/// Stores that survive their worker, one user at a time.
#[derive(Clone)]
struct Disk(Arc<Mutex<DiskState>>, Arc<Mutex<Faults>>);

#[derive(Default)]
struct DiskState {
    stores: BTreeMap<Key, Arc<InMemoryBackend>>,
    open: BTreeMap<Key, Weak<Handle>>,
}

/// Store faults, drawn apart from the cluster's since back-ends are `Send`.
struct Faults(Chaos);

struct Handle {
    inner: Arc<InMemoryBackend>,
    faults: Arc<Mutex<Faults>>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl StoreBackends for Disk {
    fn open(&self, task: TaskId, name: &str) -> Result<Arc<dyn StoreBackend>, StoreError> {
        let mut state = self.0.lock().unwrap();
        let key = (task, name.to_owned());
        let used = state.open.get(&key).is_some_and(|handle| handle.strong_count() > 0);
        assert!(!used, "store {name} of task {task} is opened while it is open: two owners");
        let inner = state.stores.entry(key.clone()).or_default().clone();
        // S6: what a killed process has spilled is not there any more.
        inner.drop_spill();
        let handle = Arc::new(Handle { inner, faults: self.1.clone() });
        state.open.insert(key, Arc::downgrade(&handle));
        Ok(handle)
    }

    fn destroy(&self, task: TaskId, name: &str) -> Result<(), StoreError> {
        self.0.lock().unwrap().stores.remove(&(task, name.to_owned()));
        Ok(())
    }

    fn is_persistent(&self) -> bool {
        true
    }
}

impl StoreBackend for Handle {
    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        self.inner.get(key, read)
    }

    fn scan(
        &self,
        range: KeyRange<'_>,
        order: kafka_streams_state::Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.inner.scan(range, order, visit)
    }

    fn position(&self) -> Option<StorePosition> {
        self.inner.position()
    }

    fn commit(&self, batch: CommitBatch<'_>) -> Result<(), StoreError> {
        let processing = batch.source == kafka_streams_state::BatchSource::Processing;
        if processing && self.faults.lock().unwrap().0.fault("store commit", 60) {
            return Err(StoreError::Io { action: "write a batch", reason: "injected".to_owned() });
        }
        self.inner.commit(batch)
    }

    fn can_spill(&self) -> bool {
        true
    }

    fn spill(&self, rows: RowIterator<'_, '_>) -> Result<(), StoreError> {
        self.inner.spill(rows)
    }

    fn get_with_spill(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        self.inner.get_with_spill(key, read)
    }

    fn scan_with_spill(
        &self,
        range: KeyRange<'_>,
        order: kafka_streams_state::Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.inner.scan_with_spill(range, order, visit)
    }

    fn drop_spill(&self) {
        self.inner.drop_spill();
    }

    fn wipe(&self) -> Result<(), StoreError> {
        self.inner.wipe()
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.inner.sync()
    }
}

// The group.

/// A worker's seat: the real machine, whose requests go to the coordinator.
struct Seat {
    machine: ClassicMember,
    events: VecDeque<WorkerEvent>,
    requests: VecDeque<Action>,
    member: Option<GroupMember>,
}

impl Seat {
    fn handle(&mut self, now: i64, event: Event) {
        self.machine.handle(now, event);
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Worker(event) => self.events.push_back(event),
                Action::Disconnect => self.requests.clear(),
                request => self.requests.push_back(request),
            }
        }
        self.member = self.machine.membership().cloned();
    }
}

struct SimGroup {
    cluster: Shared,
    seat: Rc<RefCell<Seat>>,
}

impl Group for SimGroup {
    fn poll(&mut self) -> Option<WorkerEvent> {
        self.seat.borrow_mut().events.pop_front()
    }

    fn tell(&mut self, event: Event) {
        self.seat.borrow_mut().handle(self.cluster.now(), event);
    }

    fn member(&self) -> Option<GroupMember> {
        self.seat.borrow().member.clone()
    }
}

/// The broker's side of the group, which also decides who gets what.
#[derive(Default)]
struct Coordinator {
    generation: i32,
    members: BTreeMap<String, Membership>,
    preparing: Option<i64>,
    next_member: u64,
    /// Member ids that were given out and have not joined.
    invited: BTreeSet<String>,
    /// Who is to run what: an index into the members in their order.
    target: BTreeMap<TaskId, usize>,
}

struct Membership {
    seat: Rc<RefCell<Seat>>,
    /// The JoinGroup that waits.
    joining: Option<RequestId>,
    claims: BTreeSet<TaskId>,
    /// Knows the generation.
    current: bool,
    assignment: Vec<u8>,
}

/// How long members may take to join again.
const REBALANCE_MS: i64 = 400;

impl Coordinator {
    fn prepare(&mut self, now: i64) {
        if self.preparing.is_none() && !self.members.is_empty() {
            self.preparing = Some(now + REBALANCE_MS);
        }
    }

    fn remove(&mut self, id: &str, now: i64) {
        if self.members.remove(id).is_some() {
            self.prepare(now);
        }
    }

    /// Throws out a member: its session expired.
    fn expel(&mut self, seat: &Rc<RefCell<Seat>>, now: i64) {
        let found = self.members.iter().find(|(_, member)| Rc::ptr_eq(&member.seat, seat)).map(|(id, _)| id.clone());
        if let Some(id) = found {
            self.remove(&id, now);
        }
    }

    fn on_request(&mut self, cluster: &Shared, seat: &Rc<RefCell<Seat>>, action: Action) {
        let now = cluster.now();
        let answer = match action {
            Action::FindCoordinator { request } => Some(Event::Coordinator { request, result: Ok(()) }),
            Action::Join { request, join } => {
                let id = join.member_id.clone();
                let refusal = if id.is_empty() {
                    self.next_member += 1;
                    let member_id = format!("m{}", self.next_member);
                    self.invited.insert(member_id.clone());
                    Some(JoinRefusal { error: GroupError::MemberIdRequired, member_id })
                } else if !self.invited.remove(&id) && !self.members.contains_key(&id) {
                    Some(JoinRefusal { error: GroupError::UnknownMemberId, member_id: String::new() })
                } else {
                    None
                };
                if let Some(refusal) = refusal {
                    seat.borrow_mut().handle(now, Event::JoinReply { request, result: Err(refusal) });
                    return;
                }
                let subscription = ConsumerSubscription::decode(&join.protocols[0].1).unwrap();
                let claims = subscription.owned_partitions.iter().map(task_of).collect();
                let member = Membership {
                    seat: seat.clone(),
                    joining: Some(request),
                    claims,
                    current: false,
                    assignment: vec![],
                };
                self.members.insert(id, member);
                self.prepare(now);
                None
            }
            Action::Sync { request, sync } => {
                let result = match self.members.get(&sync.member_id) {
                    None => Err(GroupError::UnknownMemberId),
                    Some(_) if sync.generation != self.generation => Err(GroupError::IllegalGeneration),
                    Some(_) if self.preparing.is_some() => Err(GroupError::RebalanceInProgress),
                    // The leader did not know this member.
                    Some(_) if cluster.0.borrow_mut().chaos.fault("no assignment", 40) => Ok(Vec::new()),
                    Some(member) => Ok(member.assignment.clone()),
                };
                Some(Event::SyncReply { request, result })
            }
            Action::Heartbeat { request, heartbeat } => {
                let result = match self.members.get(&heartbeat.member_id) {
                    None => Err(GroupError::UnknownMemberId),
                    Some(_) if heartbeat.generation != self.generation => Err(GroupError::IllegalGeneration),
                    Some(_) if self.preparing.is_some() => Err(GroupError::RebalanceInProgress),
                    Some(_) => Ok(()),
                };
                Some(Event::HeartbeatReply { request, result })
            }
            Action::Leave { request, leave } => {
                self.remove(&leave.member_id, now);
                Some(Event::LeaveReply { request })
            }
            _ => None,
        };
        if let Some(answer) = answer {
            seat.borrow_mut().handle(now, answer);
        }
    }

    /// Ends the rebalance once all have joined, or those that have not took too long.
    fn advance(&mut self, cluster: &Shared) {
        let now = cluster.now();
        let Some(deadline) = self.preparing else { return };
        if now >= deadline {
            self.members.retain(|_, member| member.joining.is_some());
        }
        if self.members.values().any(|member| member.joining.is_none()) {
            return;
        }
        self.preparing = None;
        self.generation += 1;
        let claimed: Vec<(String, BTreeSet<TaskId>)> =
            self.members.iter().map(|(id, member)| (id.clone(), member.claims.clone())).collect();
        for (at, (id, member)) in self.members.iter_mut().enumerate() {
            let wanted = self.target.iter().filter(|(_, index)| **index % claimed.len() == at).map(|(task, _)| *task);
            let free = |task: &TaskId| !claimed.iter().any(|(other, claims)| other != id && claims.contains(task));
            let mut tasks: Vec<(TopicPartition, TaskId)> = wanted.filter(free).map(|t| (input_of(t), t)).collect();
            tasks.sort();
            let info = AssignmentInfo {
                active_tasks: tasks.iter().map(|(_, task)| *task).collect(),
                ..AssignmentInfo::empty(11, 11)
            };
            let partitions = tasks.into_iter().map(|(partition, _)| partition).collect();
            let user_data = Some(info.encode().unwrap());
            member.assignment = ConsumerAssignment { partitions, user_data }.encode().unwrap();
            member.current = true;
        }
        for (id, member) in &mut self.members {
            let reply = JoinReply {
                generation: self.generation,
                member_id: id.clone(),
                leader: "somebody else".to_owned(),
                skip_assignment: false,
                members: vec![],
            };
            let Some(request) = member.joining.take() else { continue };
            member.seat.borrow_mut().handle(now, Event::JoinReply { request, result: Ok(reply) });
        }
    }

    fn publish(&self, cluster: &Shared) {
        let members = self.members.keys().map(|id| (id.clone(), self.generation)).collect();
        cluster.0.borrow_mut().members = Some(members);
    }
}

// The restore thread.

/// A restorer that hears of its orders late, as one on a thread of its own does.
struct SimRestore {
    cluster: Shared,
    restorer: Restorer<FakeFetch, FakeAdmin>,
    orders: VecDeque<Order>,
    /// Which order each event belongs to.
    events: VecDeque<(u64, RestoreEvent)>,
    /// The orders that the worker waits for, and those that the restorer has.
    tickets: RestoreTickets,
    begun: BTreeMap<TaskId, u64>,
}

enum Order {
    Submit(u64, RestoreTask),
    Cancel(TaskId),
}

impl SimRestore {
    fn collect(&mut self) {
        while let Some(event) = self.restorer.poll_event() {
            if let Some(order) = self.begun.get(&event.task()) {
                self.events.push_back((*order, event));
            }
        }
    }

    fn work(&mut self) {
        let now = self.cluster.now();
        while let Some(order) = self.orders.pop_front() {
            match order {
                Order::Submit(number, task) => {
                    self.begun.insert(task.task, number);
                    self.restorer.submit(task);
                }
                Order::Cancel(task) => self.restorer.cancel(task),
            }
            self.collect();
        }
        for _ in 0..4 {
            let step = self.restorer.step(now);
            self.collect();
            if step != StepResult::Worked {
                break;
            }
        }
    }
}

impl Restore for SimRestore {
    fn submit(&mut self, task: RestoreTask) {
        let ticket = self.tickets.submit(task.task);
        self.orders.push_back(Order::Submit(ticket, task));
    }

    fn cancel(&mut self, task: TaskId) {
        if self.tickets.cancel(task) {
            self.orders.push_back(Order::Cancel(task));
        }
    }

    fn poll(&mut self) -> Option<RestoreEvent> {
        if let Some(event) = self.tickets.poll_idle() {
            return Some(event);
        }
        if !self.cluster.0.borrow_mut().chaos.delay(2) {
            self.work();
        }
        if self.cluster.0.borrow_mut().chaos.delay(2) {
            return None;
        }
        while let Some((order, event)) = self.events.pop_front() {
            if self.tickets.accept(order, &event) {
                return Some(event);
            }
        }
        None
    }
}

struct SimPorts;

impl Ports for SimPorts {
    type Fetch = FakeFetch;
    type Produce = FakeProduce;
    type Group = SimGroup;
    type Admin = FakeAdmin;
    type Restore = SimRestore;
}

// The whole.

/// What a seed decides once.
#[derive(Clone, Copy, Debug)]
struct Plan {
    guarantee: Guarantee,
    cached: bool,
    /// Both workers are threads of one process.
    together: bool,
    /// Memory for rows in bytes: with 0 every row is spilled, with a little those of a flush are.
    row_bytes: usize,
    /// The first record of the input's partition 0 fails whenever it is processed, until the run settles.
    poison: bool,
    faults: u64,
    steps: u64,
}

/// What the workers of a process share.
#[derive(Clone, Default)]
struct Process {
    task_offsets: TaskOffsets,
    failed_tasks: FailedTasks,
}

/// A worker and what it lives in.
struct Node {
    number: u32,
    worker: Worker<SimPorts>,
    seat: Rc<RefCell<Seat>>,
    disk: Disk,
    process: Process,
    transactional_id: Arc<str>,
    /// Set when the worker failed or is being closed: until when it may take.
    closing: Option<i64>,
    wake_at: i64,
    /// The thread does not run before this time: what it does then, it does as a ghost.
    stalled_until: i64,
    /// The group cannot be reached before this time; all else can.
    cut_until: i64,
}

struct Simulation {
    plan: Plan,
    chaos: Chaos,
    cluster: Shared,
    coordinator: Coordinator,
    nodes: Vec<Node>,
    now: i64,
    written: u64,
    next_id: u64,
    log: String,
    deaths: BTreeMap<String, u64>,
    poisonous: Arc<AtomicBool>,
}

const START: i64 = 1_000_000;
/// How long the tickers tick.
const TICKING_MS: i64 = 2_500;

impl Simulation {
    fn new(seed: u64, plan: Plan) -> Self {
        let cluster = Shared::default();
        for topic in ["in", REPARTITION, COUNTS, TICKS, "out"] {
            cluster.create(topic, PARTITIONS);
        }
        cluster.tick(START);
        {
            let mut inner = cluster.0.borrow_mut();
            inner.chaos = Chaos::new(seed);
            inner.chaos.delays = true;
            inner.chaos.faults = plan.faults;
        }
        let mut simulation = Simulation {
            plan,
            chaos: Chaos::new(seed ^ 0xfeed),
            cluster,
            coordinator: Coordinator::default(),
            nodes: Vec::new(),
            now: START,
            written: 0,
            next_id: 0,
            log: String::new(),
            deaths: BTreeMap::new(),
            poisonous: Arc::new(AtomicBool::new(plan.poison)),
        };
        if plan.poison {
            let key = Some(b"k0".to_vec());
            simulation.cluster.write("in", 0, [(key, Some(POISON.as_bytes().to_vec()), START)]);
        }
        simulation.chaos.faults = plan.faults;
        simulation.choose_target();
        for number in 1..=2 {
            let (disk, process) = match simulation.nodes.first() {
                Some(node) if plan.together => (node.disk.clone(), node.process.clone()),
                _ => (simulation.disk(), Process::default()),
            };
            let node = simulation.node(number, disk, process, None);
            simulation.nodes.push(node);
        }
        simulation
    }

    fn disk(&mut self) -> Disk {
        let mut chaos = Chaos::new(self.chaos.below(1 << 40));
        chaos.faults = self.plan.faults;
        Disk(Arc::default(), Arc::new(Mutex::new(Faults(chaos))))
    }

    fn node(&mut self, number: u32, disk: Disk, process: Process, id: Option<Arc<str>>) -> Node {
        self.next_id += 1;
        let transactional_id = id.unwrap_or_else(|| format!("app-{}", self.next_id).into());
        let mut config = ClassicConfig::new("app", ProcessId::new(uuid(self.next_id)));
        config.heartbeat_interval_ms = 20;
        config.session_timeout_ms = 100_000;
        config.request_timeout_ms = 10_000;
        config.retry_backoff_ms = 3;
        config.retry_backoff_max_ms = 20;
        config.release_wait_ms = 5;
        let machine = ClassicMember::new(config, self.now);
        let seat =
            Rc::new(RefCell::new(Seat { machine, events: VecDeque::new(), requests: VecDeque::new(), member: None }));
        let group = SimGroup { cluster: self.cluster.clone(), seat: seat.clone() };
        let restorer_config = RestorerConfig { task_timeout_ms: 20_000, max_age_ms: 86_400_000 };
        let restorer = Restorer::new(self.cluster.fetch(), self.cluster.admin(), restorer_config);
        let restore = SimRestore {
            cluster: self.cluster.clone(),
            restorer,
            orders: VecDeque::new(),
            events: VecDeque::new(),
            tickets: RestoreTickets::default(),
            begun: BTreeMap::new(),
        };
        let exactly_once = self.plan.guarantee == Guarantee::ExactlyOnce;
        let clock = self.cluster.clone();
        let (producers, id) = (self.cluster.clone(), exactly_once.then(|| transactional_id.clone()));
        let ports = PortSet {
            fetch: self.cluster.fetch(),
            group,
            admin: self.cluster.admin(),
            restore,
            make_producer: Box::new(move |batching| Ok(producers.producer_of(id.clone(), batching))),
        };
        let config = WorkerConfig {
            application_id: "app".into(),
            guarantee: self.plan.guarantee,
            commit_interval_ms: 100,
            max_task_idle_ms: 0,
            buffered_records_per_partition: 10,
            task_timeout_ms: 20_000,
            repartition_purge_interval_ms: 30_000,
            offset_reset: OffsetReset::Earliest,
            timestamp_extractor: TimestampExtractor::default(),
            max_uncommitted_rows: 1000,
            max_uncommitted_bytes: 1 << 20,
            handlers: Handlers::default(),
            probe: CommitProbe::default(),
            global_processing_handler: false,
            dsl_store_format: DslStoreFormat::default(),
            app_configs: Arc::default(),
            state_dir: None,
        };
        let setup = WorkerSetup {
            topology: Arc::new(topology(self.plan.cached, self.poisonous.clone())),
            config,
            backends: Backends { persistent: Arc::new(disk.clone()), in_memory: Arc::new(disk.clone()) },
            cache: ThreadCache::with_budget(
                if self.plan.cached { 400 } else { 0 },
                &MemoryBudget::new(2 * self.plan.row_bytes, 1),
            ),
            make_output: {
                let bound = self.plan.row_bytes / 4;
                Box::new(move || Output::bounded(bound, Box::<Chunks>::default()))
            },
            task_offsets: process.task_offsets.clone(),
            failed_tasks: process.failed_tasks.clone(),
            global_stores: crate::GlobalStores::new(),
            worker: number,
            clock: Box::new(move || clock.now()),
        };
        let worker = Worker::new(setup, ports, self.now).unwrap();
        Node {
            number,
            worker,
            seat,
            disk,
            process,
            transactional_id,
            closing: None,
            wake_at: 0,
            stalled_until: 0,
            cut_until: 0,
        }
    }

    fn note(&mut self, text: String) {
        let _ = writeln!(self.log, "{} {text}", self.now - START);
    }

    fn choose_target(&mut self) {
        self.coordinator.target = all_tasks().into_iter().map(|task| (task, self.chaos.below(2) as usize)).collect();
    }

    fn write_input(&mut self) {
        for _ in 0..=self.chaos.below(6) {
            let word = WORDS[self.chaos.below(WORDS.len() as u64) as usize];
            let partition = self.chaos.below(PARTITIONS as u64) as i32;
            self.written += 1;
            let key = format!("k{}", self.written).into_bytes();
            self.cluster.write("in", partition, [(Some(key), Some(word.as_bytes().to_vec()), self.now)]);
        }
    }

    fn step(&mut self) {
        self.now += self.chaos.below(4) as i64;
        self.cluster.tick(self.now);
        match self.chaos.below(60) {
            0..4 => self.write_input(),
            4..14 => self.network(),
            _ => {}
        }
        let at = self.chaos.below(self.nodes.len() as u64) as usize;
        if self.chaos.faults > 0 {
            self.disturb(at);
        }
        self.turn(at);
    }

    fn disturb(&mut self, at: usize) {
        // At-least-once has nothing against ghosts, on the JVM neither.
        let lost_is_safe = self.plan.guarantee == Guarantee::ExactlyOnce;
        if self.chaos.fault("rebalance", 200) {
            self.choose_target();
            self.coordinator.prepare(self.now);
            self.note(format!("rebalance to {:?}", self.coordinator.target));
        }
        if lost_is_safe && self.chaos.fault("lost", 800) {
            let seat = self.nodes[at].seat.clone();
            self.coordinator.expel(&seat, self.now);
            self.note(format!("worker {} is expelled", self.nodes[at].number));
        }
        if lost_is_safe && self.chaos.fault("stall", 400) {
            self.nodes[at].stalled_until = self.now + self.chaos.below(700) as i64;
            if self.chaos.one_in(2) {
                let seat = self.nodes[at].seat.clone();
                self.coordinator.expel(&seat, self.now);
            }
            self.note(format!("worker {} stalls", self.nodes[at].number));
        }
        if lost_is_safe && self.chaos.fault("cut", 400) {
            self.nodes[at].cut_until = self.now + self.chaos.below(500) as i64;
            if self.chaos.one_in(2) {
                let seat = self.nodes[at].seat.clone();
                self.coordinator.expel(&seat, self.now);
            }
            self.note(format!("worker {} is cut off from its group", self.nodes[at].number));
        }
        if self.chaos.fault("connection lost", 1000) {
            self.nodes[at].seat.borrow_mut().handle(self.now, Event::ConnectionLost);
        }
        if self.chaos.fault("rejoin", 1000) {
            self.nodes[at].worker.rejoin("for no reason".to_owned());
        }
        if self.chaos.fault("abandon", 3000) && self.nodes[at].closing.is_none() {
            self.note(format!("worker {} is abandoned", self.nodes[at].number));
            self.nodes[at].worker.abandon(self.now);
            self.nodes[at].closing = Some(self.now + 60_000);
        }
        if self.chaos.fault("crash", 1500) {
            self.note(format!("worker {} crashes", self.nodes[at].number));
            let empty = self.chaos.one_in(3);
            self.replace(at, true, empty);
        }
        if self.chaos.fault("close", 1500) && self.nodes[at].closing.is_none() {
            self.note(format!("worker {} closes", self.nodes[at].number));
            let notify = self.chaos.one_in(2);
            self.nodes[at].worker.close(notify);
            self.nodes[at].closing = Some(self.now + 60_000);
        }
    }

    /// Puts a new worker in the place of one that is closed, or that crashed.
    fn replace(&mut self, at: usize, crashed: bool, empty: bool) {
        let node = self.nodes.remove(at);
        let (number, seat) = (node.number, node.seat.clone());
        let (mut disk, mut process, mut id) =
            (node.disk.clone(), node.process.clone(), Some(node.transactional_id.clone()));
        drop(node);
        self.coordinator.expel(&seat, self.now);
        if self.plan.together {
            // A thread that crashes takes the process with it, and with it the other worker.
            if crashed {
                let other = self.nodes.remove(0);
                self.coordinator.expel(&other.seat, self.now);
                process = Process::default();
                let (other_number, other_id) = (other.number, other.transactional_id.clone());
                drop(other);
                let other = self.node(other_number, disk.clone(), process.clone(), Some(other_id));
                self.nodes.push(other);
            }
        } else {
            if crashed || !self.plan.poison {
                process = Process::default();
            }
            if empty {
                disk = self.disk();
                id = None;
            }
        }
        let node = self.node(number, disk, process, id);
        self.nodes.push(node);
        self.nodes.sort_by_key(|node| node.number);
    }

    /// Carries some requests to the coordinator and its answers back.
    fn network(&mut self) {
        for at in 0..self.nodes.len() {
            if self.nodes[at].cut_until > self.now {
                continue;
            }
            let seat = self.nodes[at].seat.clone();
            if seat.borrow().machine.next_deadline().is_some_and(|at| at <= self.now) {
                seat.borrow_mut().handle(self.now, Event::Tick);
            }
            while !self.chaos.one_in(3) {
                let request = seat.borrow_mut().requests.pop_front();
                let Some(request) = request else { break };
                self.coordinator.on_request(&self.cluster, &seat, request);
            }
        }
        self.coordinator.advance(&self.cluster);
        self.coordinator.publish(&self.cluster);
    }

    fn turn(&mut self, at: usize) {
        let now = self.now;
        let node = &mut self.nodes[at];
        if node.stalled_until > now || (node.wake_at > now && !self.chaos.one_in(10)) {
            return;
        }
        let turn = node.worker.run_once(now);
        while let Some(notice) = node.worker.poll_notice() {
            if !matches!(notice, crate::Notice::Restore(_)) {
                let _ = writeln!(self.log, "{} worker {}: {notice:?}", now - START, node.number);
            }
        }
        match turn {
            Ok(Turn::Worked) => node.wake_at = now,
            Ok(Turn::IdleUntil(until)) => {
                assert!(until > now, "a sleep into the past");
                node.wake_at = until;
            }
            Ok(Turn::Closed) => self.replace(at, false, false),
            Err(error) => {
                let number = node.number;
                self.on_error(at, &error);
                self.note(format!("worker {number} failed: {error}"));
            }
        }
        if let Some(node) = self.nodes.get(at)
            && node.closing.is_some_and(|until| until < now)
        {
            panic!("worker {} does not close", node.number);
        }
    }

    /// A worker may fail for an error that does not pass; it is abandoned then.
    fn on_error(&mut self, at: usize, error: &WorkerError) {
        let text = error.to_string();
        *self.deaths.entry(text.clone()).or_default() += 1;
        let poison = self.plan.poison && text.contains(POISON);
        let expected = poison || text.contains("does not pass by itself");
        let node = &mut self.nodes[at];
        assert!(
            expected || node.closing.is_some(),
            "worker {} failed for something that it can recover from: {text}",
            node.number
        );
        if node.closing.is_none() {
            node.closing = Some(self.now + 60_000);
        }
        node.worker.abandon(self.now);
    }

    // What must hold.

    /// S4: the rows of every store are what the decided records of its changelog up to N say, and nothing else.
    fn check_stores(&self) {
        if self.plan.guarantee != Guarantee::ExactlyOnce {
            return;
        }
        for node in &self.nodes {
            let state = node.disk.0.lock().unwrap();
            for ((task, name), store) in &state.stores {
                let Some(position) = store.position() else { continue };
                // What a ghost has written and will have to abort may lie below N.
                let records = self.cluster.read_decided(changelog_of(name), task.partition);
                let told = records.into_iter().filter(|(offset, _)| *offset <= position.offset);
                assert_eq!(
                    rows_of(&**store),
                    fold(name, told.map(|(_, row)| row)),
                    "S4: store {name} of task {task}, N = {}",
                    position.offset
                );
            }
        }
    }

    /// C4: while one task fails again and again, all others go on, and it does not pass its record.
    fn outlive_poison(&mut self) {
        let poisoned = TaskId::new(0, 0);
        let end = self.now + 60_000;
        let neighbours = || all_tasks().into_iter().filter(|task| *task != poisoned);
        while neighbours().any(|task| self.left_of(task) > 0) {
            assert!(self.now < end, "neighbours do not go on");
            self.now += 1 + self.chaos.below(4) as i64;
            self.cluster.tick(self.now);
            self.network();
            let at = self.chaos.below(self.nodes.len() as u64) as usize;
            self.turn(at);
        }
        assert_eq!(self.cluster.offset("in", 0).unwrap_or(0), 0, "the record that fails was passed");
        let failures: u64 = self.deaths.values().sum();
        assert!((1..60).contains(&failures), "{failures} failures");
        self.poisonous.store(false, Ordering::Relaxed);
    }

    /// Records of a task's input that are not committed.
    fn left_of(&self, task: TaskId) -> usize {
        let input = input_of(task);
        let committed = self.cluster.offset(&input.topic, input.partition).unwrap_or(0);
        self.cluster.read_partition(&input.topic, input.partition, committed).0.len()
    }

    fn is_held(&self, task: TaskId) -> bool {
        self.nodes.iter().any(|node| node.process.failed_tasks.held_until(task, self.now).is_some())
    }

    fn settle(&mut self) {
        self.chaos.faults = 0;
        self.cluster.0.borrow_mut().chaos.faults = 0;
        for node in &self.nodes {
            node.disk.1.lock().unwrap().0.faults = 0;
        }
        let (mut version, mut since) = (self.cluster.version(), self.now);
        let end = self.now + 200_000;
        while self.now < end {
            self.now += 1 + self.chaos.below(4) as i64;
            self.cluster.tick(self.now);
            self.network();
            for at in 0..self.nodes.len() {
                self.turn(at.min(self.nodes.len() - 1));
            }
            let running: usize = self.nodes.iter().map(|node| node.worker.tasks().count()).sum();
            let held = all_tasks().into_iter().any(|task| self.is_held(task));
            if self.cluster.version() != version || running != all_tasks().len() || held {
                (version, since) = (self.cluster.version(), self.now);
            }
            if self.now - since > 3_000 && self.cluster.open_transactions() == 0 {
                return;
            }
        }
        let tasks: Vec<Vec<TaskId>> = self.nodes.iter().map(|node| node.worker.tasks().collect()).collect();
        panic!("does not settle: tasks {tasks:?}, open transactions {}", self.cluster.open_transactions());
    }

    fn check_end(&self) {
        let mut owned: Vec<TaskId> = self.nodes.iter().flat_map(|node| node.worker.tasks()).collect();
        owned.sort();
        assert_eq!(owned, all_tasks(), "every task runs once");
        for task in all_tasks() {
            let input = input_of(task);
            assert_eq!(self.left_of(task), 0, "{input}: records that are not processed");
        }
        let mut expected: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        for (_, word, _) in self.cluster.read_committed("in") {
            *expected.entry(word.unwrap()).or_default() += 1;
        }
        let mut seen: BTreeMap<Vec<u8>, Vec<i64>> = BTreeMap::new();
        for (key, value, _) in self.cluster.read_committed("out") {
            seen.entry(key.unwrap()).or_default().push(i64::from_be_bytes(value.unwrap().try_into().unwrap()));
        }
        let last: BTreeMap<Vec<u8>, i64> =
            seen.iter().map(|(key, counts)| (key.clone(), *counts.last().unwrap())).collect();
        let exact = self.plan.guarantee == Guarantee::ExactlyOnce || self.plan.faults == 0 && !self.plan.poison;
        if exact {
            let words = last.iter().filter(|(key, _)| !key.starts_with(b"task"));
            let words: BTreeMap<_, _> = words.map(|(key, count)| (key.clone(), *count)).collect();
            assert_eq!(words, expected, "the last counts");
        } else {
            for (word, count) in &expected {
                let got = last.get(word).copied().unwrap_or(0);
                assert!(got >= *count, "{}: {got} of {count}", String::from_utf8_lossy(word));
            }
        }
        for (word, counts) in &seen {
            let word = String::from_utf8_lossy(word);
            if exact && (!self.plan.cached || word.starts_with("task")) {
                let steps: Vec<i64> = (1..=counts.len() as i64).collect();
                assert_eq!(*counts, steps, "{word}: counts rise by one");
            } else if exact {
                assert!(counts.is_sorted(), "{word}: counts rise: {counts:?}");
            }
        }
        self.check_stores();
        for node in &self.nodes {
            for task in node.worker.tasks() {
                let name = if task.subtopology == 0 { "ticks" } else { "counts" };
                let state = node.disk.0.lock().unwrap();
                let Some(store) = state.stores.get(&(task, name.to_owned())) else {
                    panic!("task {task} has no store")
                };
                let told = self.cluster.read_partition(changelog_of(name), task.partition, 0).0;
                let n = store.position().map_or(-1, |position| position.offset);
                assert!(told.last().is_none_or(|(offset, _)| *offset <= n), "task {task}: N = {n} is behind");
                assert_eq!(rows_of(&**store), fold(name, told.into_iter().map(|(_, row)| row)), "store of task {task}");
            }
        }
    }
}

fn uuid(n: u64) -> kafka_streams_core::TopicId {
    kafka_streams_core::TopicId::from_u128(u128::from(n))
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn changelog_of(store: &str) -> &'static str {
    if store == "ticks" { TICKS } else { COUNTS }
}

/// Rows of a store: value behind its timestamp.
fn rows_of(store: &dyn StoreBackend) -> Rows {
    let mut rows = Rows::new();
    store
        .scan(KeyRange::default(), kafka_streams_state::Order::Ascending, &mut |key, value| {
            rows.insert(key.to_vec(), value.to_vec());
            true
        })
        .unwrap();
    rows
}

/// What the records of a changelog come to. Rows of the counts have a timestamp before the value.
fn fold(store: &str, records: impl Iterator<Item = Row>) -> Rows {
    let mut rows = Rows::new();
    for (key, value, timestamp) in records {
        match value {
            Some(value) if store == "ticks" => rows.insert(key.unwrap(), value),
            Some(value) => rows.insert(key.unwrap(), [&timestamp.to_be_bytes()[..], &value].concat()),
            None => rows.remove(&key.unwrap()),
        };
    }
    rows
}

fn run(seed: u64, plan: Plan) -> BTreeMap<String, u64> {
    let mut simulation = Simulation::new(seed, plan);
    let failure = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for step in 0..plan.steps {
            simulation.step();
            if step % 8 == 0 {
                simulation.check_stores();
            }
        }
        if plan.poison {
            simulation.outlive_poison();
        }
        simulation.settle();
        simulation.check_end();
    }));
    if let Err(failure) = failure {
        let text = failure.downcast_ref::<String>().cloned();
        let text = text.or_else(|| failure.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
        let mut tail: Vec<String> = simulation.log.lines().rev().take(40).map(str::to_owned).collect();
        tail.reverse();
        let injected = simulation.cluster.0.borrow().chaos.injected.clone();
        let now = simulation.now - START;
        std::mem::forget(simulation);
        panic!("seed {seed} at {now} ms: {text}\n{plan:?}\ninjected {injected:?}\n{}", tail.join("\n"));
    }
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (what, count) in &simulation.cluster.0.borrow().chaos.injected {
        *counts.entry((*what).to_owned()).or_default() += count;
    }
    for (what, count) in &simulation.chaos.injected {
        *counts.entry((*what).to_owned()).or_default() += count;
    }
    for node in &simulation.nodes {
        for (what, count) in &node.disk.1.lock().unwrap().0.injected {
            *counts.entry((*what).to_owned()).or_default() += count;
        }
    }
    counts.insert("records".to_owned(), simulation.written);
    counts.insert("deaths".to_owned(), simulation.deaths.values().sum());
    counts
}

/// Runs seeds 0..`seeds`, or the one of `SIM_SEED`; `SIM_SEEDS` sets another number.
fn run_all(seeds: u64, plan: impl Fn(u64) -> Plan) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SIM_SEED") {
        run(seed, plan(seed));
        return;
    }
    let mut total: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..number("SIM_SEEDS").unwrap_or(seeds) {
        for (what, count) in run(seed, plan(seed)) {
            *total.entry(what).or_default() += count;
        }
    }
    // A harness whose faults do not happen shows nothing.
    if plan(0).faults > 0 {
        assert!(
            total.get("step fenced").copied().unwrap_or(0) > 0 || plan(0).guarantee == Guarantee::AtLeastOnce,
            "{total:?}"
        );
    }
    if number("SIM_SEEDS").is_some() {
        eprintln!("{:?}: {total:?}", plan(0));
    }
}

fn plan(guarantee: Guarantee, faults: u64) -> impl Fn(u64) -> Plan {
    let row_bytes = [MemoryBudget::DEFAULT_TOTAL, 0, 1_500];
    move |seed| Plan {
        guarantee,
        cached: seed % 2 == 1,
        together: seed % 4 >= 2,
        row_bytes: row_bytes[seed as usize % row_bytes.len()],
        poison: false,
        faults,
        steps: 1500,
    }
}

#[test]
fn without_faults_every_record_counts_once_exactly_once() {
    run_all(20, plan(Guarantee::ExactlyOnce, 0));
}

#[test]
fn without_faults_every_record_counts_once_at_least_once() {
    run_all(20, plan(Guarantee::AtLeastOnce, 0));
}

#[test]
fn exactly_once_survives_faults_crashes_and_rebalances() {
    run_all(200, plan(Guarantee::ExactlyOnce, 1));
}

#[test]
fn exactly_once_survives_many_faults() {
    run_all(150, plan(Guarantee::ExactlyOnce, 4));
}

#[test]
fn at_least_once_loses_nothing() {
    run_all(100, plan(Guarantee::AtLeastOnce, 1));
}

#[test]
fn c4_a_poison_record_stops_nobody_but_its_task() {
    for guarantee in [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce] {
        run_all(40, move |seed| Plan { poison: true, ..plan(guarantee, 0)(seed) });
    }
}

#[test]
fn c4_exactly_once_survives_faults_with_a_poison_record() {
    run_all(60, |seed| Plan { poison: true, ..plan(Guarantee::ExactlyOnce, 1)(seed) });
}
