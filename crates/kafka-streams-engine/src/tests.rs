//! The worker over a cluster in memory: the commit cycle and its rules, by their ids.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use kafka_streams_core::handler::{Handlers, LogAndContinue};
use kafka_streams_core::serde::{I64Serde, StringSerde};
use kafka_streams_core::{
    Context, DslStoreFormat, Output, Processor, Punctuation, PunctuationType, Record, Step, TaskId, TimestampExtractor,
    TopicPartition,
};
use kafka_streams_dsl::{Grouped, Materialized, StreamsBuilder};
use kafka_streams_group::{Assigned, Event, LostReason, WorkerEvent};
use kafka_streams_state::{
    InMemoryBackend, KeyValueStore, StoreBackend, StoreBackends, StoreError, StorePosition, StoreSpec, Stores,
    ThreadCache,
};
use kafka_streams_topology::{OffsetReset, Topology};

use crate::doubles::{FakeGroup, FakePorts, NOW, Row, Shared};
use crate::port::BrokerErrorKind;
use crate::restore::{RestoreEvent, RestoreStore, RestoreTask, StepResult};
use crate::{
    Backends, FailedTasks, Guarantee, PortSet, TaskOffsets, Turn, Worker, WorkerConfig, WorkerError, WorkerSetup,
};

mod failures;
mod rules;
mod sources;

const CHANGELOG: &str = "app-counts-changelog";

/// Stores in memory that survive their task, as files would; so many of their next commits of processing fail.
#[derive(Clone, Debug, Default)]
struct Lasting(Arc<std::sync::Mutex<Opened>>, Arc<AtomicU32>);

type Opened = BTreeMap<(TaskId, String), Arc<InMemoryBackend>>;

impl StoreBackends for Lasting {
    fn open(&self, task: TaskId, name: &str) -> Result<Arc<dyn StoreBackend>, StoreError> {
        let inner = self.0.lock().unwrap().entry((task, name.to_owned())).or_default().clone();
        Ok(Arc::new(rules::Fragile { inner, failures: self.1.clone() }))
    }

    fn destroy(&self, task: TaskId, name: &str) -> Result<(), StoreError> {
        self.0.lock().unwrap().remove(&(task, name.to_owned()));
        Ok(())
    }

    fn is_persistent(&self) -> bool {
        true
    }
}

struct Bench {
    cluster: Shared,
    group: FakeGroup,
    stores: Lasting,
    worker: Worker<FakePorts>,
    config: WorkerConfig,
    now: i64,
    topology: Arc<Topology>,
    guarantee: Guarantee,
    handlers: Handlers,
    failed_tasks: FailedTasks,
}

fn counting() -> Topology {
    let builder = StreamsBuilder::new();
    builder
        .stream::<String, String>("in")
        .group_by_key(Grouped::default())
        .count(Materialized::named("counts").with_caching_disabled())
        .to_stream()
        .to("out");
    builder.build().unwrap()
}

impl Bench {
    fn new(guarantee: Guarantee) -> Self {
        let cluster = Shared::default();
        cluster.create("in", 1);
        cluster.create("out", 1);
        cluster.create(CHANGELOG, 1);
        Self::over(cluster, Lasting::default(), guarantee, Handlers::default())
    }

    fn over(cluster: Shared, stores: Lasting, guarantee: Guarantee, handlers: Handlers) -> Self {
        Self::with_topology(counting(), cluster, stores, guarantee, handlers)
    }

    fn with_topology(
        topology: Topology,
        cluster: Shared,
        stores: Lasting,
        guarantee: Guarantee,
        handlers: Handlers,
    ) -> Self {
        cluster.tick(NOW);
        Self::in_process(Arc::new(topology), cluster, stores, guarantee, handlers, FailedTasks::new())
    }

    /// The worker that takes the place of this one in its process, as after an error.
    fn replaced(mut self) -> Self {
        self.worker.abandon(self.now);
        for _ in 0..1000 {
            if matches!(self.worker.run_once(self.now), Ok(Turn::Closed)) {
                break;
            }
        }
        self.succeeded()
    }

    /// As [`replaced`](Bench::replaced), of a worker that was dropped as it was.
    fn succeeded(self) -> Self {
        let Bench { cluster, stores, topology, guarantee, handlers, failed_tasks, worker, now, .. } = self;
        drop(worker);
        cluster.tick(now);
        Self::in_process(topology, cluster, stores, guarantee, handlers, failed_tasks)
    }

    fn in_process(
        topology: Arc<Topology>,
        cluster: Shared,
        stores: Lasting,
        guarantee: Guarantee,
        handlers: Handlers,
        failed_tasks: FailedTasks,
    ) -> Self {
        let group = FakeGroup { cluster: cluster.clone(), ..FakeGroup::default() };
        let config = WorkerConfig {
            application_id: "app".into(),
            guarantee,
            commit_interval_ms: 100,
            max_task_idle_ms: 0,
            buffered_records_per_partition: 10,
            task_timeout_ms: 1000,
            repartition_purge_interval_ms: 30_000,
            offset_reset: OffsetReset::Earliest,
            timestamp_extractor: TimestampExtractor::default(),
            max_uncommitted_rows: 1000,
            max_uncommitted_bytes: 1 << 20,
            handlers: handlers.clone(),
            probe: crate::CommitProbe::default(),
            global_processing_handler: false,
            dsl_store_format: DslStoreFormat::default(),
            app_configs: Arc::default(),
            state_dir: None,
        };
        let clock = cluster.clone();
        let setup = WorkerSetup {
            topology: topology.clone(),
            config: config.clone(),
            backends: Backends { persistent: Arc::new(stores.clone()), in_memory: Arc::new(stores.clone()) },
            cache: ThreadCache::new(10_000),
            make_output: Box::new(Output::default),
            global_stores: crate::GlobalStores::new(),
            task_offsets: TaskOffsets::new(),
            failed_tasks: failed_tasks.clone(),
            worker: 1,
            clock: Box::new(move || clock.now()),
        };
        let now = cluster.now();
        let producers = cluster.clone();
        let ports = PortSet {
            fetch: cluster.fetch(),
            group: group.clone(),
            admin: cluster.admin(),
            restore: cluster.restore(),
            make_producer: Box::new(move |batching| {
                Ok(producers.producer(guarantee == Guarantee::ExactlyOnce, batching))
            }),
        };
        let worker = Worker::new(setup, ports, now).unwrap();
        Bench { cluster, group, stores, worker, config, now, topology, guarantee, handlers, failed_tasks }
    }

    fn assign(&self) {
        self.assign_partitions(1);
    }

    /// Assigns the tasks of the first partitions of the input.
    fn assign_partitions(&self, partitions: i32) {
        let task = |partition| (TaskId::new(0, partition), vec![TopicPartition::new("in", partition)]);
        let active: Vec<_> = (0..partitions).map(task).collect();
        self.tell(WorkerEvent::Assigned(Assigned {
            generation: 1,
            member_id: "member".to_owned(),
            added: active.iter().map(|(id, _)| *id).collect(),
            active,
            standby: vec![],
            revoked: vec![],
            partitions_by_host: BTreeMap::new(),
            standby_partitions_by_host: BTreeMap::new(),
            next_rebalance_ms: None,
        }));
    }

    fn tell(&self, event: WorkerEvent) {
        self.group.events.borrow_mut().push_back(event);
    }

    /// Turns until nothing happens any more at this time; bounded.
    fn settle(&mut self) -> Result<Turn, WorkerError> {
        for _ in 0..10_000 {
            self.cluster.tick(self.now);
            match self.worker.run_once(self.now)? {
                Turn::Worked => {}
                Turn::IdleUntil(at) if at <= self.now + 1 => self.now += 1,
                turn => return Ok(turn),
            }
        }
        panic!("the worker does not come to rest");
    }

    /// Lets the commit interval pass.
    fn commit(&mut self) -> Result<Turn, WorkerError> {
        self.now += 100;
        self.settle()
    }

    fn send(&self, keys: &[&str]) {
        self.cluster.write("in", 0, keys.iter().map(|key| row(key, b"x", 5)));
    }

    fn counts(&self) -> BTreeMap<String, i64> {
        let number = |value: Option<Vec<u8>>| i64::from_be_bytes(value.unwrap().try_into().unwrap());
        let rows = self.cluster.read_committed("out").into_iter();
        rows.map(|(key, value, _)| (String::from_utf8(key.unwrap()).unwrap(), number(value))).collect()
    }

    fn position(&self) -> Option<StorePosition> {
        self.stores.open(TaskId::new(0, 0), "counts").unwrap().position()
    }
}

fn row(key: &str, value: &[u8], timestamp: i64) -> Row {
    (Some(key.as_bytes().to_vec()), Some(value.to_vec()), timestamp)
}

fn counted(counts: &[(&str, i64)]) -> BTreeMap<String, i64> {
    counts.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect()
}

#[test]
fn s5_under_exactly_once_nothing_is_seen_or_stored_before_the_transaction_is_committed() {
    let mut bench = Bench::new(Guarantee::ExactlyOnce);
    bench.assign();
    bench.send(&["a", "b", "a"]);
    bench.settle().unwrap();
    assert_eq!(bench.counts(), counted(&[]));
    let before = bench.position().map(|position| position.offset);
    assert_eq!(before, Some(-1));
    bench.commit().unwrap();
    assert_eq!(bench.counts(), counted(&[("a", 2), ("b", 1)]));
    assert_eq!(bench.cluster.offset("in", 0), Some(3));
    // S4: N is the highest acknowledged offset of the changelog.
    assert_eq!(bench.position().map(|position| position.offset), Some(2));
}

#[test]
fn at_least_once_commits_stores_and_offsets_after_the_acknowledgement() {
    let mut bench = Bench::new(Guarantee::AtLeastOnce);
    bench.assign();
    bench.send(&["a", "a"]);
    bench.settle().unwrap();
    assert_eq!(bench.cluster.offset("in", 0), None);
    bench.commit().unwrap();
    assert_eq!(bench.cluster.offset("in", 0), Some(2));
    assert_eq!(bench.position().map(|position| position.offset), Some(1));
}

#[test]
fn s9_a_refused_commit_drops_the_layers_and_the_records_are_processed_again() {
    for (step, kind) in [
        ("send_offsets", BrokerErrorKind::Rejoin),
        ("send_offsets", BrokerErrorKind::AbortRequired),
        ("commit", BrokerErrorKind::AbortRequired),
        ("commit", BrokerErrorKind::Fenced),
        ("send_offsets", BrokerErrorKind::Fenced),
    ] {
        let mut bench = Bench::new(Guarantee::ExactlyOnce);
        bench.assign();
        bench.send(&["a", "b", "a"]);
        bench.settle().unwrap();
        bench.cluster.fail_next(step, kind);
        bench.commit().unwrap();
        assert_eq!(bench.cluster.offset("in", 0), None, "{step} {kind:?}");
        bench.commit().unwrap();
        assert_eq!(bench.counts(), counted(&[("a", 2), ("b", 1)]), "{step} {kind:?}");
        assert_eq!(bench.cluster.offset("in", 0), Some(3));
    }
}

#[test]
fn retriable_errors_are_borne_for_the_task_timeout_and_no_longer() {
    for step in ["send_offsets", "commit"] {
        let mut bench = Bench::new(Guarantee::ExactlyOnce);
        bench.assign();
        bench.send(&["a"]);
        bench.settle().unwrap();
        bench.cluster.fail_next(step, BrokerErrorKind::Retriable);
        bench.cluster.fail_next(step, BrokerErrorKind::Retriable);
        bench.commit().unwrap();
        assert_eq!(bench.counts(), counted(&[("a", 1)]), "{step}");
    }
    let mut bench = Bench::new(Guarantee::AtLeastOnce);
    bench.assign();
    bench.send(&["a"]);
    bench.settle().unwrap();
    for _ in 0..100 {
        bench.cluster.fail_next("commit_offsets", BrokerErrorKind::Retriable);
    }
    let error = bench.commit().unwrap_err();
    assert!(matches!(error, WorkerError::Broker { .. }), "{error}");
}

#[test]
fn c2_revoked_tasks_are_committed_before_they_are_released() {
    let mut bench = Bench::new(Guarantee::ExactlyOnce);
    bench.assign();
    bench.send(&["a", "b"]);
    bench.settle().unwrap();
    bench.worker.close(true);
    assert_eq!(bench.settle().unwrap(), Turn::Closed);
    assert_eq!(bench.counts(), counted(&[("a", 1), ("b", 1)]));
    assert!(matches!(bench.cluster.0.borrow().told.last(), Some(Event::Leave { notify_coordinator: true })));
}

#[test]
fn a_lost_seat_aborts_and_commits_nothing() {
    let mut bench = Bench::new(Guarantee::ExactlyOnce);
    bench.assign();
    bench.send(&["a"]);
    bench.settle().unwrap();
    bench.tell(WorkerEvent::Lost { reason: LostReason::SessionExpired });
    bench.commit().unwrap();
    assert_eq!(bench.counts(), counted(&[]));
    assert_eq!((bench.worker.tasks().count(), bench.cluster.offset("in", 0)), (0, None));
    bench.assign();
    bench.settle().unwrap();
    bench.commit().unwrap();
    assert_eq!(bench.counts(), counted(&[("a", 1)]));
}

#[test]
fn a_new_worker_goes_on_from_store_and_offsets_and_reads_only_the_changelogs_tail() {
    let mut bench = Bench::new(Guarantee::ExactlyOnce);
    bench.assign();
    bench.send(&["a", "a"]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    bench.send(&["a"]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    let (cluster, stores) = (bench.cluster.clone(), bench.stores.clone());
    drop(bench);
    for stores in [stores, Lasting::default()] {
        let mut bench = Bench::over(cluster.clone(), stores, Guarantee::ExactlyOnce, Handlers::default());
        bench.assign();
        bench.send(&["a"]);
        bench.settle().unwrap();
        bench.commit().unwrap();
    }
    let last = cluster.read_committed("out").last().cloned().unwrap();
    assert_eq!(last.1, Some(5_i64.to_be_bytes().to_vec()));
}

#[test]
fn an_undecodable_record_goes_to_the_handler() {
    let bad = (Some(vec![0xff]), Some(b"x".to_vec()), 5);
    let mut bench = Bench::new(Guarantee::ExactlyOnce);
    bench.assign();
    bench.cluster.write("in", 0, [row("a", b"x", 1), bad.clone()]);
    let error = bench.settle().unwrap_err().to_string();
    assert!(error.contains("topic in, partition 0, offset 1"), "{error}");
    assert_eq!(bench.cluster.offset("in", 0), None);

    let handlers = Handlers { deserialization: Arc::new(LogAndContinue), ..Handlers::default() };
    let (cluster, stores) = (bench.cluster.clone(), bench.stores.clone());
    let mut bench = Bench::over(cluster, stores, Guarantee::ExactlyOnce, handlers);
    bench.assign();
    bench.send(&["a"]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    assert_eq!(bench.counts(), counted(&[("a", 2)]));
}

#[test]
fn a_negative_timestamp_is_an_error_with_its_coordinates() {
    let mut bench = Bench::new(Guarantee::AtLeastOnce);
    bench.assign();
    bench.cluster.write("in", 0, [row("a", b"x", -1)]);
    let error = bench.settle().unwrap_err().to_string();
    assert!(error.contains("timestamp -1 is negative") && error.contains("offset 0"), "{error}");
}

#[test]
fn an_offset_before_the_logs_start_follows_auto_offset_reset() {
    let mut bench = Bench::new(Guarantee::AtLeastOnce);
    bench.assign();
    bench.send(&["a", "b"]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    bench.send(&["c", "d", "e"]);
    bench.cluster.delete_before("in", 4);
    let (cluster, stores) = (bench.cluster.clone(), bench.stores.clone());
    let mut bench = Bench::over(cluster, stores, Guarantee::AtLeastOnce, Handlers::default());
    bench.assign();
    bench.settle().unwrap();
    bench.commit().unwrap();
    assert_eq!(bench.counts(), counted(&[("a", 1), ("b", 1), ("e", 1)]));
}

#[test]
fn s5_a_store_without_a_changelog_that_lacks_a_committed_transaction_is_an_error() {
    let cluster = Shared::default();
    cluster.create("in", 1);
    cluster.create("out", 1);
    let unlogged = || {
        let builder = StreamsBuilder::new();
        let counts = Materialized::named("counts").with_caching_disabled().with_logging_disabled();
        builder.stream::<String, String>("in").group_by_key(Grouped::default()).count(counts).to_stream().to("out");
        builder.build().unwrap()
    };
    let over = |stores: Lasting| {
        Bench::with_topology(unlogged(), cluster.clone(), stores, Guarantee::ExactlyOnce, Handlers::default())
    };
    let stores = Lasting::default();
    let mut bench = over(stores.clone());
    for _ in 0..2 {
        bench.assign();
        bench.send(&["a"]);
        bench.settle().unwrap();
        bench.commit().unwrap();
        bench = over(stores.clone());
    }
    // As if a kill had come before the last batch: the store still says where it stood then.
    let store = stores.open(TaskId::new(0, 0), "counts").unwrap();
    let mut position = store.position().unwrap();
    position.extensions = vec![("input-offsets".to_owned(), b"in-0=1".to_vec())];
    let mut none = std::iter::empty();
    let source = kafka_streams_state::BatchSource::Processing;
    let batch = kafka_streams_state::CommitBatch { deleted_ranges: &[], rows: &mut none, position: &position, source };
    store.commit(batch).unwrap();
    bench.assign();
    let error = bench.settle().unwrap_err().to_string();
    assert!(error.contains("in-0=1") && error.contains("in-0=2"), "{error}");
}

/// Every 50 ms: notes the time in a cached store if it has one, else only asks for a commit.
struct Clockwork {
    store: Option<Rc<KeyValueStore<String, i64>>>,
}

impl Processor for Clockwork {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = String;

    fn init(&mut self, cx: &mut Context<'_, String, String>) -> Step {
        cx.schedule(Duration::from_millis(50), PunctuationType::WallClockTime);
        Ok(())
    }

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
        cx.forward(record)
    }

    fn punctuate(&mut self, _punctuation: Punctuation, cx: &mut Context<'_, String, String>) -> Step {
        match &self.store {
            Some(store) => store.put(cx, &"time".to_owned(), Some(&1)),
            None => {
                cx.commit();
                Ok(())
            }
        }
    }
}

fn clockwork(with_store: bool) -> Bench {
    let cluster = Shared::default();
    for topic in ["in", "out", CHANGELOG] {
        cluster.create(topic, 1);
    }
    let builder = StreamsBuilder::new();
    let words = builder.stream::<String, String>("in");
    if with_store {
        let store = Stores::persistent_key_value_store("counts", StringSerde, I64Serde).with_caching_enabled();
        let store = builder.add_state_store(store).unwrap();
        words.process(store, |store| Clockwork { store: Some(store) }).to("out");
    } else {
        words.process((), |()| Clockwork { store: None }).to("out");
    }
    let topology = builder.build().unwrap();
    Bench::with_topology(topology, cluster, Lasting::default(), Guarantee::ExactlyOnce, Handlers::default())
}

#[test]
fn a_commit_that_is_asked_for_with_nothing_to_commit_does_not_stop_the_task() {
    let mut bench = clockwork(false);
    bench.assign();
    bench.settle().unwrap();
    bench.now += 60;
    bench.settle().unwrap();
    bench.send(&["a"]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    assert_eq!(bench.cluster.read_committed("out").len(), 1);
}

#[test]
fn what_a_punctuation_put_into_a_cache_is_committed_before_the_task_is_closed() {
    let mut bench = clockwork(true);
    bench.assign();
    bench.settle().unwrap();
    bench.now += 60;
    bench.settle().unwrap();
    assert_eq!(bench.cluster.read_committed(CHANGELOG).len(), 0);
    bench.worker.close(true);
    assert_eq!(bench.settle().unwrap(), Turn::Closed);
    assert_eq!(bench.cluster.read_committed(CHANGELOG).len(), 1);
}

#[test]
fn a_worker_closes_however_fast_records_come_in() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let mut bench = Bench::new(guarantee);
        bench.assign();
        bench.settle().unwrap();
        bench.send(&["a"]);
        bench.worker.run_once(bench.now).unwrap();
        bench.worker.close(true);
        let mut turns = 0;
        while bench.worker.run_once(bench.now).unwrap() != Turn::Closed {
            bench.send(&["a"]);
            turns += 1;
            assert!(turns < 50, "{guarantee:?}");
        }
    }
}

/// Restores the store of `counting` from a changelog; the records read, and the offset it stands at.
fn restore(cluster: &Shared, stores: &Lasting) -> (u64, i64) {
    restore_at(NOW, cluster, stores)
}

fn restore_at(now: i64, cluster: &Shared, stores: &Lasting) -> (u64, i64) {
    restore_as(counting().stores()[0].clone(), now, cluster, stores)
}

fn restore_as(spec: StoreSpec, now: i64, cluster: &Shared, stores: &Lasting) -> (u64, i64) {
    let mut restorer = cluster.restorer();
    let source = RestoreStore {
        spec,
        changelog: Some(TopicPartition::new(CHANGELOG, 0)),
        limit: None,
        backends: Arc::new(stores.clone()),
    };
    restorer.submit(RestoreTask { task: TaskId::new(0, 0), stores: vec![source] });
    let mut records = 0;
    for _ in 0..1000 {
        let step = restorer.step(now);
        while let Some(event) = restorer.poll_event() {
            match event {
                RestoreEvent::Batch { records: more, .. } => records += more,
                RestoreEvent::Completed { stores, .. } => return (records, stores[0].position.offset),
                RestoreEvent::Failed { error, .. } => panic!("{error}"),
                _ => {}
            }
        }
        if step == StepResult::IdleUntil(Some(now + 1000)) {
            return (records, i64::MIN);
        }
    }
    panic!("the restore does not end");
}

fn changelog() -> Shared {
    let cluster = Shared::default();
    cluster.create(CHANGELOG, 1);
    cluster
}

fn count(key: &str) -> Row {
    row(key, &7_i64.to_be_bytes(), 5)
}

#[test]
fn c8_an_empty_log_is_restored_at_once() {
    assert_eq!(restore(&changelog(), &Lasting::default()), (0, -1));
}

#[test]
fn c8_a_restore_ends_behind_markers_and_aborted_records() {
    let cluster = changelog();
    let committed = cluster.write_open(CHANGELOG, [count("a"), count("b")]);
    cluster.end(committed, true);
    let aborted = cluster.write_open(CHANGELOG, [count("c")]);
    cluster.end(aborted, false);
    let stores = Lasting::default();
    // Offsets: a, b, marker, c (aborted), marker.
    assert_eq!(restore(&cluster, &stores), (2, 4));
    assert_eq!(restore(&cluster, &stores), (0, 4));
}

#[test]
fn c8_only_markers_are_restored_by_position() {
    let cluster = changelog();
    let aborted = cluster.write_open(CHANGELOG, [count("a")]);
    cluster.end(aborted, false);
    assert_eq!(restore(&cluster, &Lasting::default()), (0, 1));
}

#[test]
fn c8_a_dead_writers_open_transaction_is_waited_out() {
    let cluster = changelog();
    cluster.write(CHANGELOG, 0, [count("a")]);
    let open = cluster.write_open(CHANGELOG, [count("b")]);
    let stores = Lasting::default();
    assert_eq!(restore(&cluster, &stores).1, i64::MIN, "must wait");
    cluster.end(open, true);
    assert_eq!(restore(&cluster, &stores).1, 2);
}

#[test]
fn s6_a_store_is_wiped_only_if_its_changelog_says_so() {
    let cluster = changelog();
    cluster.write(CHANGELOG, 0, [count("a"), count("b")]);
    let stores = Lasting::default();
    assert_eq!(restore(&cluster, &stores), (2, 1));
    cluster.write(CHANGELOG, 0, [count("c")]);
    assert_eq!(restore(&cluster, &stores), (1, 2), "only the tail");
    cluster.write(CHANGELOG, 0, [count("d"), count("e")]);
    cluster.delete_before(CHANGELOG, 4);
    assert_eq!(restore(&cluster, &stores), (1, 4), "begins after the store's position");
    cluster.recreate(CHANGELOG);
    cluster.write(CHANGELOG, 0, (0..9).map(|_| count("z")));
    assert_eq!(restore(&cluster, &stores), (9, 8), "another topic of the same name");
    cluster.recreate(CHANGELOG);
    assert_eq!(restore(&cluster, &stores), (0, -1));
    assert_eq!(cluster.end_offset(CHANGELOG), 0);
}

#[test]
fn s6_a_store_is_wiped_if_it_is_older_than_its_changelog_keeps_tombstones() {
    const DAY: i64 = 86_400_000;
    let cluster = changelog();
    cluster.write(CHANGELOG, 0, [count("a"), count("b")]);
    let stores = Lasting::default();
    assert_eq!(restore(&cluster, &stores), (2, 1));
    assert_eq!(restore_at(NOW + 9 * DAY, &cluster, &stores), (0, 1), "old, but nothing to read");
    cluster.write(CHANGELOG, 0, [count("c")]);
    assert_eq!(restore_at(NOW + DAY, &cluster, &stores), (1, 2), "by the application's setting, a day");
    cluster.write(CHANGELOG, 0, [count("d")]);
    cluster.set_delete_retention(CHANGELOG, 1000);
    assert_eq!(restore_at(NOW + DAY + 1001, &cluster, &stores), (4, 3), "by the topic's own, a second");
    cluster.write(CHANGELOG, 0, [count("e")]);
    cluster.set_delete_retention(CHANGELOG, 3 * DAY);
    assert_eq!(restore_at(NOW + 3 * DAY, &cluster, &stores), (1, 4), "by the topic's own, three days");
}

#[test]
fn s6_a_store_is_wiped_if_its_rows_lie_otherwise_than_it_is_declared() {
    let cluster = changelog();
    cluster.write(CHANGELOG, 0, [count("a"), count("b")]);
    let stores = Lasting::default();
    let spec = counting().stores()[0].clone();
    assert_eq!(restore_as(spec.clone(), NOW, &cluster, &stores), (2, 1));
    assert_eq!(restore_as(spec.clone(), NOW, &cluster, &stores), (0, 1), "as it was");
    for changed in [
        StoreSpec { timestamped: !spec.timestamped, ..spec.clone() },
        StoreSpec { headers: true, ..spec.clone() },
        StoreSpec { caching: !spec.caching, ..spec.clone() },
    ] {
        let restored = if changed.row_layout() == spec.row_layout() { 0 } else { 2 };
        assert_eq!(restore_as(changed.clone(), NOW, &cluster, &stores), (restored, 1), "{}", changed.row_layout());
        restore_as(spec.clone(), NOW, &cluster, &stores);
    }
}

#[test]
fn s6_a_store_without_a_changelog_says_so_if_its_rows_lie_otherwise() {
    let (cluster, stores) = (changelog(), Lasting::default());
    let open = |spec: &StoreSpec| {
        let mut restorer = cluster.restorer();
        let (spec, backends) = (spec.clone(), Arc::new(stores.clone()));
        let store = RestoreStore { spec, changelog: None, limit: None, backends };
        restorer.submit(RestoreTask { task: TaskId::new(0, 0), stores: vec![store] });
        restorer.step(NOW);
        loop {
            match restorer.poll_event() {
                Some(RestoreEvent::Completed { stores, .. }) => return Ok(stores[0].position.clone()),
                Some(RestoreEvent::Failed { error, .. }) => return Err(error.to_string()),
                Some(_) => {}
                None => drop(restorer.step(NOW)),
            }
        }
    };
    let spec = counting().stores()[0].clone();
    let position = open(&spec).unwrap();
    let store = stores.open(TaskId::new(0, 0), &spec.name).unwrap();
    let mut none = std::iter::empty();
    let source = kafka_streams_state::BatchSource::Processing;
    let batch = kafka_streams_state::CommitBatch { deleted_ranges: &[], rows: &mut none, position: &position, source };
    store.commit(batch).unwrap();
    assert_eq!(open(&spec).unwrap(), position);
    let error = open(&StoreSpec { headers: true, ..spec.clone() }).unwrap_err();
    assert!(error.contains(&*spec.name) && error.contains("no changelog"), "{error}");
}
