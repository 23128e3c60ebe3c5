//! Errors that a healthy broker does not make, on librdkafka's mock cluster.

use std::sync::Arc;

use kafka_streams_engine::port::BrokerErrorKind;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::support::*;

fn cluster(topic: &str) -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(topic, 2, 1).unwrap();
    cluster
}

#[test]
fn records_travel_without_a_real_broker() {
    let topic: Arc<str> = "mock".into();
    let cluster = cluster(&topic);
    let mut writer = Writer::new(&cluster.bootstrap_servers(), None);
    for number in 0..1000 {
        writer.send(&topic, number % 2, &number.to_string());
    }
    writer.flush_all_written();
    let mut reader = Reader::new(&cluster.bootstrap_servers(), false);
    for partition in 0..2 {
        let slot = reader.assign(&topic, partition, 0);
        let (records, end) = reader.read_to_end(slot);
        let expected: Vec<String> = (0..1000).filter(|n| n % 2 == partition).map(|n| n.to_string()).collect();
        assert_eq!((values(&records), end), (expected, 500));
    }
}

#[test]
fn trouble_that_passes_is_not_seen() {
    let topic: Arc<str> = "passing".into();
    let cluster = cluster(&topic);
    let mut writer = Writer::new(&cluster.bootstrap_servers(), None);
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
        ],
    );
    for number in 0..10 {
        writer.send(&topic, 0, &number.to_string());
    }
    writer.flush_all_written();
    cluster.request_errors(
        RDKafkaApiKey::Fetch,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION],
    );
    let mut reader = Reader::new(&cluster.bootstrap_servers(), false);
    let slot = reader.assign(&topic, 0, 0);
    assert_eq!(reader.read_to_end(slot).0.len(), 10);
}

#[test]
fn missing_rights_are_told() {
    let topic: Arc<str> = "rights".into();
    let cluster = cluster(&topic);
    let mut writer = Writer::new(&cluster.bootstrap_servers(), None);
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    writer.send(&topic, 0, "x");
    writer.flush();
    let error = writer.deliveries[0].result.clone().unwrap_err();
    assert_eq!(error.kind, BrokerErrorKind::Authorization, "{error}");
    assert!(error.message.starts_with("TOPIC_AUTHORIZATION_FAILED (29)"), "{error}");
}
