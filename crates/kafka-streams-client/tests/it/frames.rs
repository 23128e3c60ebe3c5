//! Bytes that no broker should send.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::MetadataResponse;
use kafka_streams_client::Error;
use kafka_streams_client::network::{Cluster, ConnectionSettings};
use kafka_streams_engine::port::BrokerErrorKind;
use proptest::prelude::*;

use crate::fake_broker::{Asked, FakeBroker, Reaction};

/// The error of a Metadata request to which the broker reacts in this way.
async fn metadata_error(reaction: impl Fn(&Asked) -> Reaction + Send + Sync + 'static) -> Error {
    let broker = FakeBroker::start(move |asked| (asked.key == 3).then(|| reaction(asked))).await;
    broker.cluster().describe().await.unwrap_err()
}

fn well_formed(asked: &Asked) -> BytesMut {
    match asked.reply(&MetadataResponse::default()) {
        Reaction::Frame(frame) => BytesMut::from(&frame[..]),
        _ => unreachable!(),
    }
}

#[tokio::test]
async fn bytes_left_over_are_an_error() {
    let error = metadata_error(|asked| {
        let mut frame = well_formed(asked);
        frame.put_u16(0);
        Reaction::Frame(frame.freeze())
    })
    .await;
    assert!(error.to_string().ends_with("Metadata version 12 that cannot be read: 2 bytes are left over"), "{error}");
    assert_eq!(error.kind(), BrokerErrorKind::Fatal);
}

#[tokio::test]
async fn an_answer_cut_short_anywhere_is_an_error() {
    let length = Arc::new(AtomicUsize::new(usize::MAX));
    let mut cut = 0;
    while cut < length.load(Ordering::SeqCst) {
        let whole = length.clone();
        let error = metadata_error(move |asked| {
            let frame = well_formed(asked).freeze();
            whole.store(frame.len(), Ordering::SeqCst);
            Reaction::Frame(frame.slice(0..cut))
        })
        .await;
        assert!(matches!(error, Error::Malformed { .. } | Error::FrameSize { .. }), "cut at {cut}: {error:?}");
        cut += 1;
    }
    assert!(cut > 10);
}

#[tokio::test]
async fn an_impossible_length_is_an_error_and_hints_at_what_answers() {
    for (bytes, hint) in [
        (&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46][..], "speaks TLS"),
        (b"HTTP/1.1 400 Bad Request\r\n", "web server"),
        (&[0xff, 0xff, 0xff, 0xff], "no Kafka broker"),
        (&[0, 0, 0, 3, 1, 2, 3], "no Kafka broker"),
        (&[0x7f, 0xff, 0xff, 0xff, 1, 2, 3], "no Kafka broker"),
    ] {
        let bytes = Bytes::from_static(bytes);
        let error = metadata_error(move |_| Reaction::Raw(bytes.clone())).await;
        assert!(matches!(error, Error::FrameSize { .. }), "{error:?}");
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[tokio::test]
async fn a_hostile_array_length_is_an_error() {
    let error = metadata_error(|asked| {
        let mut frame = BytesMut::new();
        frame.put_i32(asked.correlation);
        frame.put_u8(0);
        // Throttle time, then 2^32 - 2 brokers.
        frame.put_i32(0);
        frame.put_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        Reaction::Frame(frame.freeze())
    })
    .await;
    assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_ends_the_connection() {
    let error = metadata_error(|asked| {
        let mut frame = well_formed(asked);
        frame[0..4].copy_from_slice(&(asked.correlation + 1).to_be_bytes());
        Reaction::Frame(frame.freeze())
    })
    .await;
    assert!(error.to_string().contains("which nobody waits for"), "{error}");
    assert_eq!(error.kind(), BrokerErrorKind::Retriable);
}

#[tokio::test]
async fn a_connection_that_ends_inside_a_frame_is_an_error() {
    let error = metadata_error(|_| Reaction::RawThenClose(Bytes::from_static(&[0, 0, 1, 0, 0, 0]))).await;
    assert!(error.to_string().contains("end of stream after 2 of 256 bytes"), "{error}");
    let error = metadata_error(|_| Reaction::Close).await;
    assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
    assert_eq!(error.kind(), BrokerErrorKind::Retriable);
}

#[tokio::test]
async fn a_closed_connection_is_replaced_at_the_next_request() {
    let asked_before = Arc::new(AtomicUsize::new(0));
    let broker = FakeBroker::start(move |asked| {
        (asked.key == 3 && asked_before.fetch_add(1, Ordering::SeqCst) == 0).then_some(Reaction::Close)
    })
    .await;
    let cluster = broker.cluster();
    assert!(cluster.describe().await.is_err());
    assert!(cluster.describe().await.is_ok());
    assert_eq!(broker.seen().last().unwrap().connection, 1);
}

#[tokio::test]
async fn no_answer_in_time_costs_the_connection() {
    let broker =
        FakeBroker::start(|asked| (asked.key == 3 && asked.connection == 0).then_some(Reaction::Silence)).await;
    let settings = ConnectionSettings { request_timeout: Duration::from_millis(50), ..broker.settings() };
    let cluster = Cluster::new(settings).unwrap();
    let error = cluster.describe().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} did not answer Metadata within 50 ms", broker.address),
        "and it is {:?}",
        error.kind()
    );
    assert!(error.is_retriable());
    cluster.describe().await.unwrap();
    assert_eq!(broker.seen().last().unwrap().connection, 1);
}

#[tokio::test]
async fn a_broker_that_accepts_and_says_nothing_does_not_hold_up_for_ever() {
    let broker = FakeBroker::start(|_| Some(Reaction::Silence)).await;
    let settings = ConnectionSettings { connect_timeout: Duration::from_millis(50), ..broker.settings() };
    let error = Cluster::new(settings).unwrap().describe().await.unwrap_err();
    assert!(error.to_string().contains("not done within 50 ms"), "{error}");
    assert!(error.is_retriable());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn garbage_with_the_right_correlation_id_is_an_error_or_an_answer(garbage in prop::collection::vec(any::<u8>(), 0..300)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let broker = FakeBroker::start(move |asked| {
                let mut frame = BytesMut::new();
                frame.put_i32(asked.correlation);
                frame.put_slice(&garbage);
                (asked.key == 3).then(|| Reaction::Frame(frame.freeze()))
            })
            .await;
            let _ = broker.cluster().describe().await;
        });
    }
}
