//! Instances that have global stores and nothing else, over a cluster of one topic that only exists here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kafka_streams_core::serde::StringSerde;
use kafka_streams_core::{Context, Processor, RawRecord, Record, Step, TopicId, TopicPartition};
use kafka_streams_dsl::{Consumed, StreamsBuilder};
use kafka_streams_engine::port::{
    Admin, Batching, BrokerError, BrokerErrorKind, Call, CallId, Delivery, Fetch, FetchEvent, FetchSlot, FetchedBatch,
    Group, LogBounds, OffsetToCommit, Produce, ProduceRecord, Progress, Reply, SendError, TopicDescription,
    TransactionStep,
};
use kafka_streams_group::{ClassicConfig, Event, GroupMember, WorkerEvent};
use kafka_streams_state::{KeyValueStore, Stores};

use super::*;
use crate::port::{ClusterAdmin, GroupLeader, Waker};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The topic `names` with one partition, and what was asked for besides it.
#[derive(Default)]
struct Names {
    rows: Mutex<Vec<(String, String)>>,
    wakers: Mutex<Vec<Waker>>,
    /// Consumers of stream threads, producers and members of the group that were made.
    others: AtomicUsize,
    is_gone: bool,
}

impl Names {
    fn write(&self, key: &str, value: &str) {
        self.rows.lock().unwrap().push((key.to_owned(), value.to_owned()));
        self.wakers.lock().unwrap().iter().for_each(|wake| wake());
    }

    fn len(&self) -> i64 {
        i64::try_from(self.rows.lock().unwrap().len()).unwrap()
    }

    fn refuse<T>(&self) -> Result<T, BrokerError> {
        self.others.fetch_add(1, Ordering::Relaxed);
        let (action, message) = ("make a client of a stream thread".to_owned(), "there are none".to_owned());
        Err(BrokerError { kind: BrokerErrorKind::Fatal, action, message })
    }
}

#[derive(Clone)]
struct TestClients(Arc<Names>);

impl Clients for TestClients {
    type Fetch = NamesFetch;
    type Produce = Nobody;
    type Group = Nobody;
    type Admin = NamesAdmin;

    fn main_consumer(&self, _: &str, _: Waker) -> Result<NamesFetch, BrokerError> {
        self.0.refuse()
    }

    fn restore_consumer(&self, _: &str, _: Waker) -> Result<NamesFetch, BrokerError> {
        self.0.refuse()
    }

    fn global_consumer(&self, waker: Waker) -> Result<NamesFetch, BrokerError> {
        self.0.wakers.lock().unwrap().push(waker);
        Ok(NamesFetch { names: self.0.clone(), position: 0 })
    }

    fn producer(&self, _: &str, _: Option<&str>, _: Batching, _: Waker) -> Result<Nobody, BrokerError> {
        self.0.refuse()
    }

    fn join_group(&self, _: &str, _: ClassicConfig, _: Arc<dyn GroupLeader>, _: Waker) -> Nobody {
        let _: Result<(), _> = self.0.refuse();
        Nobody
    }

    fn admin(&self, _: &str, waker: Waker) -> NamesAdmin {
        NamesAdmin { names: self.0.clone(), waker, asked: 0, answers: Vec::new() }
    }

    fn cluster(&self) -> Arc<dyn ClusterAdmin> {
        crate::leader::tests::Topics::of(&["names"])
    }
}

struct NamesFetch {
    names: Arc<Names>,
    position: usize,
}

struct Row(i64, (String, String));

impl FetchedBatch for Row {
    fn len(&self) -> usize {
        1
    }

    fn record(&self, _: usize) -> RawRecord<'_> {
        let Row(offset, (key, value)) = self;
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        RawRecord { offset: *offset, timestamp: 7, key, value, headers: None }
    }

    fn leader_epoch(&self, _: usize) -> i32 {
        -1
    }
}

impl Fetch for NamesFetch {
    type Batch = Row;

    fn assign(&mut self, partition: &TopicPartition, offset: i64) -> Result<FetchSlot, BrokerError> {
        assert_eq!((&*partition.topic, partition.partition), ("names", 0));
        self.position = usize::try_from(offset).unwrap();
        Ok(FetchSlot(1))
    }

    fn unassign(&mut self, _: FetchSlot) {}

    fn poll(&mut self, _: FetchSlot, _: usize) -> Option<FetchEvent<Row>> {
        let row = self.names.rows.lock().unwrap().get(self.position).cloned()?;
        self.position += 1;
        Some(FetchEvent::Batch(Row(i64::try_from(self.position).unwrap() - 1, row)))
    }
}

struct NamesAdmin {
    names: Arc<Names>,
    waker: Waker,
    asked: u64,
    answers: Vec<(CallId, Reply)>,
}

impl Admin for NamesAdmin {
    fn call(&mut self, call: Call) -> CallId {
        self.asked += 1;
        let reply = match call {
            Call::DescribeTopics(topics) => Reply::DescribeTopics(match self.names.is_gone {
                true => self.names.refuse(),
                false => Ok(vec![Some(TopicDescription { id: TopicId::nil(), partitions: 1 }); topics.len()]),
            }),
            Call::ListOffsets(partitions) => {
                Reply::ListOffsets(Ok(vec![LogBounds { start: 0, end: self.names.len() }; partitions.len()]))
            }
            other => panic!("a global store asks {other:?}"),
        };
        self.answers.push((CallId(self.asked), reply));
        (self.waker)();
        CallId(self.asked)
    }

    fn poll(&mut self) -> Option<(CallId, Reply)> {
        self.answers.pop()
    }
}

/// A producer, or a seat in a group, that is never used.
struct Nobody;

impl Produce for Nobody {
    fn partitions(&mut self, _: &Arc<str>) -> Progress<Result<i32, BrokerError>> {
        Progress::Pending
    }

    fn send(&mut self, _: ProduceRecord<'_>, _: u64) -> Result<(), SendError> {
        Err(SendError::QueueFull)
    }

    fn poll(&mut self, _: &mut dyn FnMut(Delivery)) {}

    fn in_flight(&self) -> usize {
        0
    }

    fn flush(&mut self) {}

    fn init_transactions(&mut self) -> TransactionStep {
        Progress::Pending
    }

    fn begin_transaction(&mut self) -> Result<(), BrokerError> {
        Ok(())
    }

    fn send_offsets(&mut self, _: &[OffsetToCommit], _: &GroupMember) -> TransactionStep {
        Progress::Pending
    }

    fn commit_transaction(&mut self) -> TransactionStep {
        Progress::Pending
    }

    fn abort_transaction(&mut self) -> TransactionStep {
        Progress::Pending
    }
}

impl Group for Nobody {
    fn poll(&mut self) -> Option<WorkerEvent> {
        None
    }

    fn tell(&mut self, _: Event) {}

    fn member(&self) -> Option<GroupMember> {
        None
    }
}

/// Keeps the names, and tells each.
struct Keep {
    names: Rc<KeyValueStore<String, String>>,
    told: mpsc::Sender<String>,
}

impl Processor for Keep {
    type KIn = String;
    type VIn = String;
    type KOut = ();
    type VOut = ();

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, (), ()>) -> Step {
        self.names.put(cx, &record.key, Some(&record.value))?;
        let _ = self.told.send(format!("{}={}", record.key, record.value));
        Ok(())
    }
}

fn instance(topology: Topology, names: &Arc<Names>) -> Result<KafkaStreams<TestClients>, StreamsError> {
    let config = StreamsConfig::new("app", "localhost:9092").num_stream_threads(3);
    let clients = TestClients(names.clone());
    let adapters = Adapters {
        clients: Box::new(move |_, _, _| Ok(clients)),
        persistent_stores: Box::new(|_, _| panic!("no store is persistent")),
    };
    KafkaStreams::new(topology, &config, adapters)
}

/// A global store in memory, and what its processor tells.
fn global_names() -> (Topology, mpsc::Receiver<String>) {
    let (told, heard) = mpsc::channel();
    let told = Mutex::new(told);
    let builder = StreamsBuilder::new();
    let store = Stores::in_memory_key_value_store("names", StringSerde, StringSerde);
    builder.add_global_store(store, "names", Consumed::default(), move |names| Keep {
        names,
        told: told.lock().unwrap().clone(),
    });
    (builder.build().unwrap(), heard)
}

fn wait_for(streams: &KafkaStreams<TestClients>, wanted: State) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let waiting = async { tokio::time::timeout(PATIENCE, streams.wait_for_state(|state| state == wanted)).await };
    assert_eq!(runtime.block_on(waiting).unwrap(), wanted);
}

#[test]
fn global_stores_alone_run_without_stream_threads_and_without_a_group() {
    let names = Arc::new(Names::default());
    names.write("a", "before");
    let (topology, heard) = global_names();
    let streams = instance(topology, &names).unwrap();
    let states = Arc::new(Mutex::new(Vec::new()));
    let seen = states.clone();
    streams.set_state_listener(move |new, _| seen.lock().unwrap().push(new));
    streams.start().unwrap();
    wait_for(&streams, State::Running);
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), "a=before");
    names.write("b", "later");
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), "b=later");
    assert_eq!(streams.thread_states(), []);
    assert!(streams.close(PATIENCE));
    assert_eq!(streams.state(), State::NotRunning);
    assert_eq!(
        *states.lock().unwrap(),
        [State::Rebalancing, State::Running, State::PendingShutdown, State::NotRunning]
    );
    assert_eq!(names.others.load(Ordering::Relaxed), 0, "no other client was made, and no group was joined");
}

#[test]
fn a_global_thread_that_fails_alone_ends_the_instance() {
    let names = Arc::new(Names { is_gone: true, ..Names::default() });
    let streams = instance(global_names().0, &names).unwrap();
    streams.start().unwrap();
    wait_for(&streams, State::Error);
    assert!(streams.failure().unwrap().starts_with("global thread: "), "{:?}", streams.failure());
    assert!(streams.close(PATIENCE));
    assert_eq!(streams.state(), State::Error);
}

#[test]
fn what_was_never_started_can_be_closed() {
    let streams = instance(global_names().0, &Arc::default()).unwrap();
    assert!(streams.close(PATIENCE));
    assert_eq!(streams.state(), State::NotRunning);
}

#[test]
fn a_topology_that_reads_nothing_is_refused() {
    let topology = StreamsBuilder::new().build().unwrap();
    let refused = instance(topology, &Arc::default()).err().unwrap();
    assert!(matches!(refused, StreamsError::NothingToRead), "{refused}");
}
