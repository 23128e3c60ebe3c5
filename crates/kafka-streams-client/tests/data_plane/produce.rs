//! Writing to a real broker, without transactions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_streams_engine::port::{BrokerErrorKind, Produce, ProduceRecord, Progress, SendError};

use super::support::*;

#[test]
fn partitions_are_asked_for_without_waiting() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "count", 5);
    let missing: Arc<str> = unique("missing").into();
    let mut writer = Writer::new(&bootstrap, None);
    let begun = Instant::now();
    assert_eq!(writer.produce.partitions(&topic), Progress::Pending);
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
    let Writer { produce, bell, .. } = &mut writer;
    let mut ask = |topic: &Arc<str>| {
        bell.until("the number of partitions", || match produce.partitions(topic) {
            Progress::Pending => None,
            Progress::Done(result) => Some(result),
        })
    };
    assert_eq!(ask(&topic), Ok(5));
    for _ in 0..2 {
        let error = ask(&missing).unwrap_err();
        assert_eq!(error.kind, BrokerErrorKind::UnknownTopic, "{error}");
    }
    assert_eq!(ask(&topic), Ok(5));
}

#[test]
fn a_key_goes_where_the_jvm_puts_it() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "keys", 7);
    let mut writer = Writer::new(&bootstrap, None);
    let keys: Vec<String> = (0..50).map(|number| format!("key-{number}")).collect();
    for (tag, key) in keys.iter().enumerate() {
        let record = ProduceRecord { partition: None, key: Some(key.as_bytes()), ..plain(&topic, 0, "value") };
        writer.produce.send(record, tag as u64).unwrap();
    }
    writer.flush();
    for delivery in &writer.deliveries {
        // `BuiltInPartitioner.partitionForKey`
        let hash = kafka_streams_core::murmur2(keys[delivery.tag as usize].as_bytes());
        assert_eq!(delivery.partition, (hash & 0x7fff_ffff) as i32 % 7, "{delivery:?}");
    }
    assert_eq!(writer.deliveries.len(), keys.len());
}

#[test]
fn a_flush_does_not_wait_for_more_records() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "linger", 1);
    let mut properties = properties(&bootstrap);
    properties.set("linger.ms", "50000").set("message.timeout.ms", "120000");
    let mut writer = Writer::with(properties, None);
    for round in 0..3 {
        // The flush before ends a few milliseconds after its last record.
        std::thread::sleep(Duration::from_millis(50));
        let begun = Instant::now();
        writer.send(&topic, 0, "x");
        std::thread::sleep(Duration::from_millis(50));
        writer.poll();
        assert_eq!(writer.produce.in_flight(), 1, "round {round}: it lingers");
        writer.flush_all_written();
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }
}

#[test]
fn what_is_sent_during_a_flush_may_linger_when_it_is_over() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "flush-end", 1);
    let mut properties = properties(&bootstrap);
    properties.set("linger.ms", "50000");
    let mut writer = Writer::with(properties, None);
    // Finding the partition's leader takes some time that is not meant here.
    writer.send(&topic, 0, "first");
    writer.flush_all_written();
    writer.send(&topic, 0, "flushed");
    writer.produce.flush();
    // There is always something in flight, so that the flush never finds nothing.
    for _ in 0..300 {
        std::thread::sleep(Duration::from_millis(1));
        writer.send(&topic, 0, "lingers");
        writer.poll();
    }
    assert!(!writer.deliveries.is_empty());
    assert!(writer.produce.in_flight() > 100, "{}", writer.produce.in_flight());
}

#[test]
fn a_full_queue_takes_records_again_once_it_was_served() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "full", 1);
    let mut properties = properties(&bootstrap);
    properties.set("queue.buffering.max.messages", "10").set("linger.ms", "5");
    let mut writer = Writer::with(properties, None);
    let mut full = 0;
    for number in 0..100 {
        let value = number.to_string();
        while let Err(error) = writer.produce.send(plain(&topic, 0, &value), number) {
            assert_eq!(error, SendError::QueueFull);
            full += 1;
            let Writer { produce, bell, deliveries } = &mut writer;
            let before = deliveries.len();
            bell.until("room in the queue", || {
                produce.poll(&mut |delivery| deliveries.push(delivery));
                (deliveries.len() > before).then_some(())
            });
        }
    }
    writer.flush();
    assert!(full > 0, "the queue was never full");
    let tags: Vec<u64> = writer.deliveries.iter().map(|delivery| delivery.tag).collect();
    assert_eq!(tags, (0..100).collect::<Vec<_>>());
    let mut reader = Reader::new(&bootstrap, true);
    let slot = reader.assign(&topic, 0, 0);
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(values(&reader.read_to_end(slot).0), expected);
}

#[test]
fn records_that_are_refused_for_ever_say_so() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "refused", 1);
    let mut writer = Writer::new(&bootstrap, None);
    let refused = |writer: &mut Writer, record: ProduceRecord<'_>| match writer.produce.send(record, 0) {
        Err(SendError::Refused(error)) => error,
        other => panic!("{other:?}"),
    };
    let large = "x".repeat(3_000_000);
    let error = refused(&mut writer, plain(&topic, 0, &large));
    assert_eq!(error.kind, BrokerErrorKind::RecordRefused, "{error}");
    let error = refused(&mut writer, ProduceRecord { timestamp: Some(-1), ..plain(&topic, 0, "x") });
    assert_eq!(error.kind, BrokerErrorKind::RecordRefused, "{error}");
    let zero_byte: Arc<str> = "a\0b".into();
    let error = refused(&mut writer, plain(&zero_byte, 0, "x"));
    assert_eq!(error.kind, BrokerErrorKind::Fatal, "{error}");
    assert_eq!(writer.produce.in_flight(), 0);

    // A partition that the topic does not have is known after the first answer of the broker.
    writer.send(&topic, 0, "x");
    writer.flush_all_written();
    let error = refused(&mut writer, plain(&topic, 9, "x"));
    assert_eq!(error.kind, BrokerErrorKind::UnknownTopic, "{error}");
    assert!(error.action.contains(&format!("{topic}-9")), "{error}");
}

#[test]
fn a_record_that_the_broker_refuses_is_reported() {
    let Some(bootstrap) = bootstrap() else { return };
    let name = unique("compacted");
    let new = rdkafka::admin::NewTopic::new(&name, 1, rdkafka::admin::TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact");
    let created = block_on(admin(&bootstrap).create_topics([&new], &rdkafka::admin::AdminOptions::new())).unwrap();
    assert!(created.iter().all(Result::is_ok));
    let topic: Arc<str> = name.into();
    let mut writer = Writer::new(&bootstrap, None);
    writer.send(&topic, 0, "a compacted topic wants keys");
    writer.flush();
    let error = writer.deliveries[0].result.clone().unwrap_err();
    assert_eq!(error.kind, BrokerErrorKind::RecordRefused, "{error}");
    assert!(error.message.contains("INVALID_RECORD"), "{error}");
    assert!(error.action.contains(&format!("{topic}-0")), "{error}");
}

#[test]
fn a_record_of_the_first_millisecond_is_not_of_today() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "epoch", 1);
    let mut writer = Writer::new(&bootstrap, None);
    for timestamp in [Some(0), Some(1), Some(0), None, Some(i64::from(u32::MAX))] {
        writer.produce.send(ProduceRecord { timestamp, ..plain(&topic, 0, "x") }, 0).unwrap();
    }
    writer.flush_all_written();
    let mut reader = Reader::new(&bootstrap, true);
    let slot = reader.assign(&topic, 0, 0);
    let read: Vec<i64> = reader.take(slot, 5).iter().map(|record| record.1).collect();
    assert_eq!(read[..3], [0, 1, 0]);
    assert!(read[3] > 1_700_000_000_000, "now: {read:?}");
    assert_eq!(read[4], i64::from(u32::MAX));
}

#[test]
fn steps_of_transactions_are_refused_without_an_id() {
    let mut writer = Writer::new("127.0.0.1:1", None);
    let error = writer.produce.begin_transaction().unwrap_err();
    assert_eq!(error.kind, BrokerErrorKind::Fatal, "{error}");
    let Progress::Done(Err(error)) = writer.produce.init_transactions() else { panic!() };
    assert_eq!(error.kind, BrokerErrorKind::Fatal, "{error}");
}
