//! Which broker is asked, and what happens when it was the wrong one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    BrokerId, FindCoordinatorResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use kafka_streams_client::Error;
use kafka_streams_client::network::{Address, Cluster, ConnectionSettings};
use kafka_streams_core::TopicPartition;
use kafka_streams_engine::port::{BrokerErrorKind, OffsetToCommit};
use kafka_streams_group::GroupMember;
use kafka_streams_runtime::port::LogEdge;

use crate::fake_broker::{Asked, FakeBroker, Reaction, coordinator_is, metadata, text};

const METADATA: i16 = 3;
const LIST_OFFSETS: i16 = 2;
const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 9;
const FIND_COORDINATOR: i16 = 10;

/// Metadata with the topic `t`, whose partitions 0.. have these leaders.
fn with_topic(metadata: MetadataResponse, leaders: &[i32]) -> MetadataResponse {
    let partition = |(partition, leader): (i32, &i32)| {
        MetadataResponsePartition::default()
            .with_partition_index(partition)
            .with_leader_id(BrokerId(*leader))
            .with_leader_epoch(7)
    };
    let topic = MetadataResponseTopic::default()
        .with_name(Some(TopicName(text("t"))))
        .with_partitions((0..).zip(leaders).map(partition).collect());
    metadata.with_topics(vec![topic])
}

/// Answers ListOffsets with `offset` or an error for every partition asked for.
fn offsets(asked: &Asked, offset: i64, code: i16) -> Reaction {
    let request: ListOffsetsRequest = asked.read();
    let topic = |topic: kafka_protocol::messages::list_offsets_request::ListOffsetsTopic| {
        let partition = |partition: &kafka_protocol::messages::list_offsets_request::ListOffsetsPartition| {
            assert_eq!(partition.current_leader_epoch, 7);
            ListOffsetsPartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
                .with_offset(offset + i64::from(partition.partition_index))
        };
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(topic.partitions.iter().map(partition).collect())
    };
    asked.reply(&ListOffsetsResponse::default().with_topics(request.topics.into_iter().map(topic).collect()))
}

fn partitions(numbers: &[i32]) -> Vec<TopicPartition> {
    numbers.iter().map(|partition| TopicPartition::new("t", *partition)).collect()
}

/// A port where nobody listens.
async fn dead_address() -> Address {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    Address::new("127.0.0.1", listener.local_addr().unwrap().port())
}

#[tokio::test]
async fn a_dead_bootstrap_server_is_passed_over() {
    let broker = FakeBroker::start(|_| None).await;
    let bootstrap = vec![dead_address().await, broker.address.clone()];
    let cluster = Cluster::new(ConnectionSettings::new(bootstrap, "test")).unwrap();
    let described = cluster.describe().await.unwrap();
    assert_eq!(described.brokers.len(), 1);
    assert_eq!(described.controller, Some(1));
}

#[tokio::test]
async fn without_any_broker_the_error_names_the_bootstrap_servers() {
    let dead = dead_address().await;
    let cluster = Cluster::new(ConnectionSettings::new(vec![dead.clone()], "test")).unwrap();
    let error = cluster.describe().await.unwrap_err();
    assert!(matches!(&error, Error::NoBroker { bootstrap, .. } if *bootstrap == dead.to_string()), "{error:?}");
    assert!(error.is_retriable());
    // The second try waits for the back-off, and fails in the same way.
    assert!(cluster.describe().await.unwrap_err().is_retriable());
    assert!(Cluster::new(ConnectionSettings::new(Vec::new(), "test")).is_err());
}

#[tokio::test]
async fn who_waits_for_an_attempt_to_connect_shares_its_failure() {
    let broker = FakeBroker::start(|asked| (asked.key == 18).then_some(Reaction::Silence)).await;
    let impatient = ConnectionSettings { connect_timeout: Duration::from_millis(200), ..broker.settings() };
    let cluster = Cluster::new(impatient).unwrap();
    let calls = (0..20).map(|_| {
        let cluster = cluster.clone();
        tokio::spawn(async move { cluster.describe().await.map(drop) })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(call.await.unwrap().unwrap_err().is_retriable());
    }
    assert_eq!(broker.versions(18).len(), 1);
}

#[tokio::test]
async fn every_leader_is_asked_and_the_answers_keep_the_order() {
    let second_address: Arc<Mutex<Option<Address>>> = Arc::default();
    let second = FakeBroker::start(|asked| (asked.key == LIST_OFFSETS).then(|| offsets(asked, 200, 0))).await;
    *second_address.lock().unwrap() = Some(second.address.clone());
    let first = FakeBroker::start(move |asked| match asked.key {
        LIST_OFFSETS => Some(offsets(asked, 100, 0)),
        METADATA => {
            let address = second_address.lock().unwrap().clone().unwrap();
            // Broker 1 is left out on purpose: only the addresses of leaders matter.
            Some(asked.reply(&with_topic(metadata(&[(2, &address)]), &[2, 2, -1])))
        }
        _ => None,
    })
    .await;
    let cluster = first.cluster();
    assert_eq!(cluster.list_offsets(&partitions(&[1, 0]), LogEdge::End).await.unwrap(), [201, 200]);
    assert_eq!(cluster.list_offsets(&[], LogEdge::End).await.unwrap(), [0_i64; 0]);
    let error = cluster.list_offsets(&partitions(&[2]), LogEdge::End).await.unwrap_err();
    assert!(error.to_string().contains("of t-2: UNKNOWN_TOPIC_OR_PARTITION (3)"), "{error}");
}

/// Two brokers that tell the same metadata, and who leads `t-0` as the counter of metadata requests says.
async fn two_brokers(
    leader: impl Fn(usize) -> i32 + Send + Sync + 'static,
    reaction: impl Fn(i32, &Asked) -> Option<Reaction> + Send + Sync + 'static,
) -> [FakeBroker; 2] {
    let addresses: Arc<Mutex<Vec<Address>>> = Arc::default();
    let (leader, reaction) = (Arc::new(leader), Arc::new(reaction));
    let told = Arc::new(AtomicUsize::new(0));
    let start = |id| {
        let (addresses, leader, reaction, told) = (addresses.clone(), leader.clone(), reaction.clone(), told.clone());
        FakeBroker::start(move |asked| match asked.key {
            METADATA => {
                let addresses = addresses.lock().unwrap();
                let metadata = metadata(&[(1, &addresses[0]), (2, &addresses[1])]);
                Some(asked.reply(&with_topic(metadata, &[leader(told.fetch_add(1, Ordering::SeqCst))])))
            }
            _ => reaction(id, asked),
        })
    };
    let brokers = [start(1).await, start(2).await];
    addresses.lock().unwrap().extend(brokers.iter().map(|broker| broker.address.clone()));
    brokers
}

#[tokio::test]
async fn a_leader_that_moved_is_looked_up_once_more() {
    for gone in [false, true] {
        let leader = |told| if told == 0 { 1 } else { 2 };
        let [first, second] = two_brokers(leader, move |id, asked| match (asked.key, id) {
            (LIST_OFFSETS, 1) if gone => Some(Reaction::Close),
            (LIST_OFFSETS, 1) => Some(offsets(asked, 100, 6)),
            (LIST_OFFSETS, _) => Some(offsets(asked, 200, 0)),
            _ => None,
        })
        .await;
        let listed = first.cluster().list_offsets(&partitions(&[0]), LogEdge::Start).await;
        assert_eq!(listed.unwrap(), [200]);
        assert_eq!((first.versions(LIST_OFFSETS), second.versions(LIST_OFFSETS)), (vec![8], vec![8]));
    }
}

#[tokio::test]
async fn a_leader_that_denies_twice_is_an_error() {
    let [first, _second] =
        two_brokers(|_| 1, |_, asked| (asked.key == LIST_OFFSETS).then(|| offsets(asked, 0, 6))).await;
    let error = first.cluster().list_offsets(&partitions(&[0]), LogEdge::End).await.unwrap_err();
    assert_eq!(error.to_string(), "find the end of t-0: NOT_LEADER_OR_FOLLOWER (6)");
    assert!(error.is_retriable());
    assert_eq!(first.versions(LIST_OFFSETS).len(), 2);
}

#[tokio::test]
async fn an_unknown_topic_is_told_as_such() {
    let broker = FakeBroker::start(|asked| {
        (asked.key == METADATA).then(|| {
            let unknown = MetadataResponseTopic::default().with_name(Some(TopicName(text("t")))).with_error_code(3);
            asked.reply(&MetadataResponse::default().with_topics(vec![unknown]))
        })
    })
    .await;
    let cluster = broker.cluster();
    let error = cluster.list_offsets(&partitions(&[0]), LogEdge::End).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::UnknownTopic);
    assert_eq!(cluster.describe_topics(&["t".into()]).await.unwrap(), [None]);
}

/// Answers OffsetCommit with one code for every partition.
fn committed(asked: &Asked, code: i16) -> Reaction {
    let request: OffsetCommitRequest = asked.read();
    let topic = |topic: &kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic| {
        let partition = |partition: &kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        };
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(topic.partitions.iter().map(partition).collect())
    };
    asked.reply(&OffsetCommitResponse::default().with_topics(request.topics.iter().map(topic).collect()))
}

/// Answers OffsetFetch with this offset and code for every partition.
fn fetched(asked: &Asked, offset: i64, code: i16) -> Reaction {
    let request: OffsetFetchRequest = asked.read();
    assert!(request.require_stable);
    let group = &request.groups[0];
    let topic = |topic: &kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics| {
        let partition = |partition: &i32| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(*partition)
                .with_committed_offset(offset)
                .with_metadata(Some(text("m")))
                .with_error_code(code)
        };
        OffsetFetchResponseTopics::default()
            .with_name(topic.name.clone())
            .with_partitions(topic.partition_indexes.iter().map(partition).collect())
    };
    let group = OffsetFetchResponseGroup::default()
        .with_group_id(group.group_id.clone())
        .with_topics(group.topics.iter().flatten().map(topic).collect());
    asked.reply(&OffsetFetchResponse::default().with_groups(vec![group]))
}

fn seat() -> GroupMember {
    GroupMember::new("g", "m-1", 3, None).unwrap()
}

fn to_commit() -> Vec<OffsetToCommit> {
    let partition = TopicPartition::new("t", 0);
    vec![OffsetToCommit { partition, offset: 5, leader_epoch: 1, metadata: "meta".to_owned() }]
}

/// The group's coordinator moves from `old` to `new` when `old` has been asked once.
async fn moving_coordinator(old: FakeBroker, new: &FakeBroker) -> (Cluster, FakeBroker, FakeBroker) {
    let (old_address, new_address) = (old.address.clone(), new.address.clone());
    let found = AtomicUsize::new(0);
    let front = FakeBroker::start(move |asked| {
        (asked.key == FIND_COORDINATOR).then(|| {
            let first = found.fetch_add(1, Ordering::SeqCst) == 0;
            coordinator_is(asked, if first { &old_address } else { &new_address })
        })
    })
    .await;
    (front.cluster(), front, old)
}

#[tokio::test]
async fn a_coordinator_that_moved_is_looked_up_once_more() {
    for gone in [false, true] {
        let old = FakeBroker::start(move |asked| match asked.key {
            OFFSET_COMMIT | OFFSET_FETCH if gone => Some(Reaction::Close),
            OFFSET_COMMIT => Some(committed(asked, 16)),
            OFFSET_FETCH => Some(fetched(asked, -1, 16)),
            _ => None,
        })
        .await;
        let new = FakeBroker::start(|asked| match asked.key {
            OFFSET_COMMIT => {
                let request: OffsetCommitRequest = asked.read();
                assert_eq!((request.generation_id_or_member_epoch, request.member_id.as_str()), (3, "m-1"));
                Some(committed(asked, 0))
            }
            OFFSET_FETCH => Some(fetched(asked, 5, 0)),
            _ => None,
        })
        .await;
        let (cluster, front, old) = moving_coordinator(old, &new).await;
        cluster.commit_offsets(&seat(), &to_commit()).await.unwrap();
        assert_eq!(old.versions(OFFSET_COMMIT).len(), 1);
        let offsets = cluster.committed_offsets("g", &partitions(&[0]), true).await.unwrap();
        assert_eq!((offsets[0].offset, offsets[0].metadata.as_str()), (Some(5), "m"));
        assert_eq!(front.versions(FIND_COORDINATOR), [6, 6]);
    }
}

#[tokio::test]
async fn errors_of_a_commit_tell_what_follows() {
    for (code, kind) in [
        (22, BrokerErrorKind::Rejoin),
        (25, BrokerErrorKind::Rejoin),
        (27, BrokerErrorKind::Retriable),
        (14, BrokerErrorKind::Retriable),
        (16, BrokerErrorKind::Retriable),
        (30, BrokerErrorKind::Authorization),
        (12, BrokerErrorKind::Fatal),
    ] {
        let broker = FakeBroker::start(move |asked| (asked.key == OFFSET_COMMIT).then(|| committed(asked, code))).await;
        let error = broker.cluster().commit_offsets(&seat(), &to_commit()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().starts_with("commit offsets of group g for t-0: "), "{error}");
    }
}

#[tokio::test]
async fn offsets_of_open_transactions_are_a_retriable_error() {
    let broker = FakeBroker::start(|asked| (asked.key == OFFSET_FETCH).then(|| fetched(asked, -1, 88))).await;
    let error = broker.cluster().committed_offsets("g", &partitions(&[0]), true).await.unwrap_err();
    assert_eq!(error.to_string(), "fetch offsets of group g for t-0: UNSTABLE_OFFSET_COMMIT (88)");
    assert!(error.is_retriable());
}

#[tokio::test]
async fn an_answer_that_leaves_a_partition_out_is_an_error() {
    let broker = FakeBroker::start(|asked| match asked.key {
        OFFSET_COMMIT => Some(asked.reply(&OffsetCommitResponse::default())),
        OFFSET_FETCH => {
            let group = OffsetFetchResponseGroup::default().with_group_id(kafka_protocol::messages::GroupId(text("g")));
            Some(asked.reply(&OffsetFetchResponse::default().with_groups(vec![group])))
        }
        _ => None,
    })
    .await;
    let cluster = broker.cluster();
    assert!(cluster.commit_offsets(&seat(), &to_commit()).await.unwrap_err().to_string().contains("leaves it out"));
    let error = cluster.committed_offsets("g", &partitions(&[0]), true).await.unwrap_err();
    assert!(
        error.to_string().contains("for t-0: UNKNOWN_SERVER_ERROR (-1): the broker's answer leaves it out"),
        "{error}"
    );
}

#[tokio::test]
async fn no_coordinator_is_a_retriable_error() {
    let broker = FakeBroker::start(|asked| {
        (asked.key == FIND_COORDINATOR).then(|| {
            let none =
                Coordinator::default().with_key(text("g")).with_node_id(BrokerId(-1)).with_port(-1).with_error_code(15);
            asked.reply(&FindCoordinatorResponse::default().with_coordinators(vec![none]))
        })
    })
    .await;
    let error = broker.cluster().commit_offsets(&seat(), &to_commit()).await.unwrap_err();
    assert!(error.is_retriable());
    assert!(error.to_string().contains("find the coordinator of group g: COORDINATOR_NOT_AVAILABLE (15)"), "{error}");
}

#[tokio::test]
async fn requests_share_a_connection_without_waiting_for_each_other() {
    let broker = FakeBroker::start(|_| None).await;
    let cluster = ConnectionSettings { request_timeout: Duration::from_secs(5), ..broker.settings() };
    let cluster = Cluster::new(cluster).unwrap();
    let calls = (0..50).map(|_| {
        let cluster = cluster.clone();
        tokio::spawn(async move { cluster.describe().await.map(drop) })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert!(broker.seen().iter().all(|seen| seen.connection == 0));
    assert_eq!(broker.versions(METADATA).len(), 50);
}
