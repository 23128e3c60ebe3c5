//! The client against a real broker: `KAFKA_STREAMS_TEST_BOOTSTRAP`, and an older one, `KAFKA_STREAMS_TEST_OLDER_BOOTSTRAP`.
//! Without them these tests pass by doing nothing.

use std::sync::Arc;
use std::time::Duration;

use kafka_streams_client::Error;
use kafka_streams_client::admin::{KafkaAdmin, PolledAdmin};
use kafka_streams_client::network::{Address, Cluster, ConnectionSettings};
use kafka_streams_core::{TaskId, TopicPartition};
use kafka_streams_engine::port::{
    Admin, BrokerErrorKind, Call, CommittedOffset, Group, LogBounds, OffsetToCommit, Reply, TopicDescription,
};
use kafka_streams_group::{ClassicConfig, Event, GroupMember, WorkerEvent};
use kafka_streams_runtime::port::{ClusterAdmin, CreateTopicError, LogEdge, NewTopic};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::fake_broker::PATIENCE;
use crate::fake_coordinator::{TwoTasks, Worker, process};

/// Clusters to run against.
fn bootstraps() -> Vec<String> {
    ["KAFKA_STREAMS_TEST_BOOTSTRAP", "KAFKA_STREAMS_TEST_OLDER_BOOTSTRAP"]
        .iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .collect()
}

pub(crate) fn address(text: &str) -> Address {
    let (host, port) = text.rsplit_once(':').unwrap();
    Address::new(host, port.parse().unwrap())
}

fn cluster(bootstrap: &str) -> Cluster {
    Cluster::new(ConnectionSettings::new(vec![address(bootstrap)], "client-test")).unwrap()
}

/// A name that no other run has.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{}", Uuid::from_u128(u128::from(std::process::id()) << 64 | nanoseconds()).simple())
}

fn nanoseconds() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
}

fn topic(name: &str, partitions: i32, settings: &[(&str, &str)]) -> NewTopic {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    NewTopic { name: name.into(), partitions: Some(partitions), replication_factor: None, settings }
}

async fn created(cluster: &Cluster, name: &str, partitions: i32) -> Arc<str> {
    cluster.create_topics(&[topic(name, partitions, &[])], false).await.unwrap().remove(0).unwrap();
    let name: Arc<str> = name.into();
    // What the controller decided reaches the brokers a little later.
    let visible = async {
        loop {
            let described = cluster.describe_topics(std::slice::from_ref(&name)).await;
            let led = |layout: &kafka_streams_runtime::port::TopicLayout| {
                layout.partitions.len() == partitions as usize && layout.partitions.iter().all(|p| p.leader.is_some())
            };
            if matches!(described.as_deref(), Ok([Some(layout)]) if led(layout)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, visible).await.unwrap();
    name
}

fn produce(bootstrap: &str, topic: &str, partition: i32, records: usize) {
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    for record in 0..records {
        producer.send(BaseRecord::to(topic).partition(partition).key("k").payload(&record.to_string())).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_created_described_and_refused() {
    for bootstrap in bootstraps() {
        let cluster = cluster(&bootstrap);
        let described = cluster.describe().await.unwrap();
        assert!(!described.brokers.is_empty() && described.controller.is_some());
        let name = unique("created");
        let wanted = topic(&name, 3, &[("cleanup.policy", "compact"), ("message.timestamp.type", "CreateTime")]);
        let validated = cluster.create_topics(std::slice::from_ref(&wanted), true).await.unwrap().remove(0).unwrap();
        assert_eq!(validated.partitions, 3);
        let wrong = topic("in valid/name", 1, &[]);
        let outcomes = cluster.create_topics(&[wanted.clone(), wrong], false).await.unwrap();
        let made = outcomes[0].as_ref().unwrap();
        assert_eq!((made.partitions, made.replication_factor, made.id.is_nil()), (3, 1, false));
        let CreateTopicError::Failed(error) = outcomes[1].as_ref().unwrap_err() else { panic!() };
        assert!(error.message.starts_with("INVALID_TOPIC_EXCEPTION (17): "), "{error}");
        assert_eq!(error.action, "create topic in valid/name");
        let again = cluster.create_topics(&[wanted], false).await.unwrap().remove(0);
        assert!(matches!(again, Err(CreateTopicError::Exists(exists)) if *exists == *name));

        // The same through the runtime's port, from outside of the tokio runtime.
        let admin = KafkaAdmin::new(cluster.clone(), Handle::current());
        let topics: Vec<Arc<str>> = vec!["no-such-topic".into(), name.as_str().into()];
        let id = made.id;
        let described = tokio::time::timeout(PATIENCE, async {
            loop {
                let described = admin.describe_topics(&topics).await.unwrap();
                if described[1].as_ref().is_some_and(|topic| topic.partitions.len() == 3) {
                    return described;
                }
            }
        });
        let described = described.await.unwrap();
        assert_eq!(described[0], None);
        assert_eq!(described[1].as_ref().unwrap().id, id);
        assert!(admin.list_topics().await.unwrap().iter().any(|topic| *topic.name == *name));
        let settings = admin.topic_settings(&topics[1..]).await.unwrap().remove(0).settings;
        assert_eq!(settings.get("cleanup.policy"), Some(&Some("compact".to_owned())));
        assert!(settings.contains_key("retention.ms"));
        let error = admin.topic_settings(&topics[..1]).await.unwrap_err();
        assert_eq!(error.kind, BrokerErrorKind::UnknownTopic, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_of_logs_are_listed_and_records_deleted() {
    for bootstrap in bootstraps() {
        let cluster = cluster(&bootstrap);
        let name = created(&cluster, &unique("listed"), 2).await;
        produce(&bootstrap, &name, 1, 10);
        let partitions = [TopicPartition::new(name.clone(), 1), TopicPartition::new(name.clone(), 0)];
        assert_eq!(cluster.list_offsets(&partitions, LogEdge::End).await.unwrap(), [10, 0]);
        cluster.delete_records(&[(partitions[0].clone(), 4)]).await.unwrap();
        assert_eq!(cluster.list_offsets(&partitions, LogEdge::Start).await.unwrap(), [4, 0]);
        let error = cluster.delete_records(&[(partitions[0].clone(), 11)]).await.unwrap_err();
        assert_eq!(error.code(), Some(1), "{error}");
        let ends = cluster.offset_for_leader_epoch(&[(partitions[0].clone(), 0), (partitions[1].clone(), 77)]).await;
        // Epoch 77 is in the future of a fresh topic.
        assert_eq!(ends.unwrap(), [Some(10), None]);
        let nowhere = [TopicPartition::new("no-such-topic", 0)];
        let error = cluster.list_offsets(&nowhere, LogEdge::End).await.unwrap_err();
        assert_eq!(error.kind(), BrokerErrorKind::UnknownTopic, "{error}");
        let error = cluster.list_offsets(&[TopicPartition::new(name, 9)], LogEdge::End).await.unwrap_err();
        assert_eq!(error.kind(), BrokerErrorKind::UnknownTopic, "{error}");
    }
}

/// Waits for the answer to one call; a retriable error, as from a group's coordinator that is just being made, is asked
/// again.
async fn answer(admin: &mut PolledAdmin, woken: &Notify, call: Call) -> Reply {
    let answered = async {
        loop {
            let id = admin.call(call.clone());
            let (answered, reply) = loop {
                match admin.poll() {
                    Some(answer) => break answer,
                    None => woken.notified().await,
                }
            };
            assert_eq!(answered, id);
            match reply {
                Reply::FetchOffsets(Err(error)) if error.kind == BrokerErrorKind::Retriable => {}
                reply => return reply,
            }
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workers_questions_are_answered() {
    for bootstrap in bootstraps() {
        let cluster = cluster(&bootstrap);
        let name = created(&cluster, &unique("asked"), 1).await;
        produce(&bootstrap, &name, 0, 5);
        let woken = Arc::new(Notify::new());
        let waker = Arc::new({
            let woken = woken.clone();
            move || woken.notify_one()
        });
        let mut admin = PolledAdmin::new(cluster, &unique("group"), Handle::current(), waker);
        let partition = TopicPartition::new(name.clone(), 0);
        let none = CommittedOffset { offset: None, metadata: String::new() };
        let reply = answer(&mut admin, &woken, Call::FetchOffsets(vec![partition.clone()])).await;
        assert_eq!(reply, Reply::FetchOffsets(Ok(vec![none])));
        let reply = answer(&mut admin, &woken, Call::DeleteRecords(vec![(partition.clone(), 2)])).await;
        assert_eq!(reply, Reply::DeleteRecords(Ok(())));
        let reply = answer(&mut admin, &woken, Call::ListOffsets(vec![partition.clone()])).await;
        assert_eq!(reply, Reply::ListOffsets(Ok(vec![LogBounds { start: 2, end: 5 }])));
        let reply = answer(&mut admin, &woken, Call::EpochEnd(vec![(partition.clone(), 0)])).await;
        assert_eq!(reply, Reply::EpochEnd(Ok(vec![Some(5)])));
        let reply = answer(&mut admin, &woken, Call::DeleteRetention(name.clone())).await;
        assert_eq!(reply, Reply::DeleteRetention(Ok(Some(24 * 60 * 60 * 1000))));
        let reply = answer(&mut admin, &woken, Call::DescribeTopics(vec![name, "no-such-topic".into()])).await;
        let Reply::DescribeTopics(Ok(topics)) = reply else { panic!("{reply:?}") };
        assert!(matches!(topics[0], Some(TopicDescription { id, partitions: 1 }) if !id.is_nil()));
        assert_eq!(topics[1], None);
    }
}

fn offset(partition: &TopicPartition, offset: i64) -> Vec<OffsetToCommit> {
    let metadata = format!("at {offset}");
    vec![OffsetToCommit { partition: partition.clone(), offset, leader_epoch: 0, metadata }]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_share_the_tasks_and_commit_under_their_generation() {
    for bootstrap in bootstraps() {
        let cluster = cluster(&bootstrap);
        let group = unique("members");
        let config =
            |number| ClassicConfig { heartbeat_interval_ms: 100, ..ClassicConfig::new(&group, process(number)) };
        let leader = TwoTasks::new(None);
        let mut first = Worker::new(cluster.clone(), config(1), leader.clone());
        first.start();
        let (zero, one) = (TaskId::new(0, 0), TaskId::new(0, 1));
        assert_eq!(first.next_assignment().await, [zero, one]);
        let seat = first.seat.member().unwrap();
        let partition = TopicPartition::new("lines", 0);

        // Offsets of a topic that does not exist are refused, so the test makes one of this name.
        let made = cluster.create_topics(&[topic("lines", 2, &[])], false).await.unwrap().remove(0);
        assert!(matches!(made, Ok(_) | Err(CreateTopicError::Exists(_))), "{made:?}");
        let committed = async {
            loop {
                match cluster.commit_offsets(&seat, &offset(&partition, 5)).await {
                    Err(error) if error.kind() == BrokerErrorKind::UnknownTopic => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    outcome => return outcome,
                }
            }
        };
        tokio::time::timeout(PATIENCE, committed).await.unwrap().unwrap();

        let mut second = Worker::new(cluster.clone(), config(2), leader.clone());
        second.start();
        // Cooperative: the first gives a task up, then the second gets it.
        let shared = async {
            let (mut ours, mut theirs) = (vec![zero, one], Vec::new());
            while ours.len() != 1 || theirs.len() != 1 {
                tokio::select! {
                    tasks = first.next_assignment() => ours = tasks,
                    tasks = second.next_assignment() => theirs = tasks,
                }
            }
            assert_ne!(ours, theirs);
        };
        tokio::time::timeout(PATIENCE, shared).await.unwrap();
        let newer = first.seat.member().unwrap();
        assert!(newer.generation() > seat.generation());
        let error = cluster.commit_offsets(&seat, &offset(&partition, 6)).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), (Some(22), BrokerErrorKind::Rejoin), "{error}");
        let stranger = GroupMember::new(group.as_str(), "nobody", newer.generation(), None).unwrap();
        let error = cluster.commit_offsets(&stranger, &offset(&partition, 6)).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), (Some(25), BrokerErrorKind::Rejoin), "{error}");
        cluster.commit_offsets(&newer, &offset(&partition, 7)).await.unwrap();
        let offsets = cluster.committed_offsets(&group, std::slice::from_ref(&partition), true).await.unwrap();
        assert_eq!(offsets, [CommittedOffset { offset: Some(7), metadata: "at 7".to_owned() }]);

        second.seat.tell(Event::Leave { notify_coordinator: true });
        let left = async { while second.next().await != WorkerEvent::Left {} };
        tokio::time::timeout(PATIENCE, left).await.unwrap();
        let back = async { while first.next_assignment().await.len() != 2 {} };
        tokio::time::timeout(PATIENCE, back).await.unwrap();
        first.seat.tell(Event::Leave { notify_coordinator: true });
        let left = async { while first.next().await != WorkerEvent::Left {} };
        tokio::time::timeout(PATIENCE, left).await.unwrap();
        let error = cluster.commit_offsets(&newer, &offset(&partition, 8)).await.unwrap_err();
        assert_eq!(error.kind(), BrokerErrorKind::Rejoin, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_share_one_connection() {
    for bootstrap in bootstraps() {
        let cluster = cluster(&bootstrap);
        let many: Vec<_> = (0..200)
            .map(|_| {
                let cluster = cluster.clone();
                tokio::spawn(async move { cluster.describe().await.map(drop) })
            })
            .collect();
        for call in many {
            let outcome: Result<(), Error> = call.await.unwrap();
            outcome.unwrap();
        }
    }
}
