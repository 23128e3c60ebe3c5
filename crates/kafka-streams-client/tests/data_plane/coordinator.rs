//! A coordinator that leaves the cluster, on librdkafka's mock cluster.
#![allow(unsafe_code)] // `rdkafka` has no call that takes a broker out of the mock cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_streams_core::TopicPartition;
use kafka_streams_engine::port::{OffsetToCommit, Produce, Progress, TransactionStep};
use kafka_streams_group::GroupMember;
use rdkafka::bindings as rd;
use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCoordinator;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::types::RDKafkaRespErr;

use super::support::*;

/// Looks at a step every millisecond, as a worker does.
fn step(writer: &mut Writer, mut step: impl FnMut(&mut Writer) -> TransactionStep) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match step(writer) {
            Progress::Done(result) => return result.unwrap(),
            Progress::Pending => std::thread::sleep(Duration::from_millis(1)),
        }
        assert!(Instant::now() < deadline, "waited in vain for a step of a transaction");
    }
}

fn transaction(writer: &mut Writer, topic: &Arc<str>, offset: i64) {
    let member = GroupMember::new("group", "member", 1, None).unwrap();
    let partition = TopicPartition::new(topic.clone(), 0);
    let offsets = [OffsetToCommit { partition, offset, leader_epoch: -1, metadata: String::new() }];
    writer.produce.begin_transaction().unwrap();
    writer.send(topic, 0, "x");
    writer.flush_all_written();
    step(writer, |writer| writer.produce.send_offsets(&offsets, &member));
    step(writer, |writer| writer.produce.commit_transaction());
}

/// Transactions go on while the broker that coordinates `what` leaves the cluster.
fn leaves(topic: &'static str, what: fn() -> MockCoordinator) {
    let topic: Arc<str> = topic.into();
    let holder: BaseProducer = ClientConfig::new().set("test.mock.num.brokers", "2").create().unwrap();
    let cluster = holder.client().mock_cluster().unwrap();
    cluster.create_topic(&topic, 1, 1).unwrap();
    cluster.partition_leader(&topic, 0, Some(1)).unwrap();
    cluster.coordinator(group(), 1).unwrap();
    cluster.coordinator(transactions(), 1).unwrap();
    cluster.coordinator(what(), 2).unwrap();
    let bootstrap = cluster.bootstrap_servers();
    let properties = [("bootstrap.servers", &*bootstrap), ("topic.metadata.refresh.interval.ms", "100")];
    let mut writer = Writer::with(properties.into_iter().collect(), Some("writer"));
    writer.step(|produce| produce.init_transactions()).unwrap();
    transaction(&mut writer, &topic, 1);

    cluster.coordinator(what(), 1).unwrap();
    // SAFETY: the holder of the mock cluster is alive, and its handle is valid as long as it is.
    let left = unsafe {
        let cluster = rd::rd_kafka_handle_mock_cluster(holder.client().native_ptr());
        rd::rd_kafka_mock_broker_decommission(cluster, 2)
    };
    assert_eq!(left, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    // The client notices with its next metadata.
    for offset in 2..200 {
        transaction(&mut writer, &topic, offset);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn group() -> MockCoordinator {
    MockCoordinator::Group("group".to_owned())
}

fn transactions() -> MockCoordinator {
    MockCoordinator::Transaction("writer".to_owned())
}

#[test]
fn offsets_are_sent_to_the_new_group_coordinator_once_the_old_one_has_left() {
    leaves("group-moves", group);
}

#[test]
fn transactions_go_on_once_their_coordinator_has_left() {
    leaves("transactions-move", transactions);
}
