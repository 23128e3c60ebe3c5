//! Which versions are spoken.

use kafka_protocol::messages::ApiVersionsResponse;
use kafka_streams_client::OLDEST_BROKER;
use kafka_streams_engine::port::BrokerErrorKind;

use crate::fake_broker::{FakeBroker, api_versions, ranges_with};

#[tokio::test]
async fn versions_are_asked_for_once_per_connection() {
    let broker = FakeBroker::start(|_| None).await;
    let cluster = broker.cluster();
    assert_eq!(cluster.describe().await.unwrap().cluster_id.as_deref(), Some("fake"));
    cluster.describe().await.unwrap();
    assert_eq!(broker.versions(18), [3]);
    assert_eq!(broker.versions(3), [12, 12]);
    assert!(broker.seen().iter().all(|seen| seen.connection == 0));
}

#[tokio::test]
async fn an_older_broker_is_spoken_to_in_its_own_version() {
    let broker = FakeBroker::start(|asked| {
        (asked.key == 18).then(|| asked.reply_as(&api_versions(&ranges_with(&[(3, 0, 11)])), asked.version, 0))
    })
    .await;
    broker.cluster().describe().await.unwrap();
    assert_eq!(broker.versions(3), [11]);
}

#[tokio::test]
async fn a_broker_that_is_too_old_is_refused_with_the_oldest_supported_version() {
    // Kafka 2.8: FindCoordinator 3, OffsetFetch 7.
    let broker = FakeBroker::start(|asked| {
        let ranges = ranges_with(&[(10, 0, 3), (9, 0, 7), (13, 0, 4), (11, 0, 7)]);
        (asked.key == 18).then(|| asked.reply_as(&api_versions(&ranges), asked.version, 0))
    })
    .await;
    let error = broker.cluster().describe().await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Unsupported);
    let text = error.to_string();
    assert!(text.contains("FindCoordinator version 0 to 3"), "{text}");
    assert!(text.ends_with(&format!("the oldest supported broker is Apache Kafka {OLDEST_BROKER}")), "{text}");
    assert_eq!(broker.versions(3), [0_i16; 0]);
}

#[tokio::test]
async fn a_broker_that_does_not_know_apiversions_3_is_asked_with_0() {
    let broker = FakeBroker::start(|asked| {
        (asked.key == 18).then(|| match asked.version {
            0 => asked.reply_as(&api_versions(&ranges_with(&[])), 0, 0),
            _ => asked.reply_as(&ApiVersionsResponse::default().with_error_code(35), 0, 0),
        })
    })
    .await;
    broker.cluster().describe().await.unwrap();
    assert_eq!(broker.versions(18), [3, 0]);
}

#[tokio::test]
async fn a_broker_that_refuses_to_tell_its_versions_is_an_error() {
    let broker = FakeBroker::start(|asked| {
        let refused = ApiVersionsResponse::default().with_error_code(42);
        (asked.key == 18).then(|| asked.reply_as(&refused, asked.version, 0))
    })
    .await;
    let error = broker.cluster().describe().await.unwrap_err();
    assert!(error.to_string().contains("INVALID_REQUEST (42)"), "{error}");
}
