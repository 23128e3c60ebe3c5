//! Transactions on a real broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_streams_core::TopicPartition;
use kafka_streams_engine::port::{BrokerErrorKind, OffsetToCommit, Produce, Progress, SendError};
use kafka_streams_group::GroupMember;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::member::LiveMember;
use super::support::*;

fn offset(topic: &Arc<str>, offset: i64, metadata: &str) -> OffsetToCommit {
    let partition = TopicPartition::new(topic.clone(), 0);
    OffsetToCommit { partition, offset, leader_epoch: 0, metadata: metadata.to_owned() }
}

/// The group's offset of partition 0, once no transaction is open on it.
fn committed(bootstrap: &str, group: &str, topic: &str) -> (Offset, String) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    let list = consumer.committed_offsets(list, PATIENCE).unwrap();
    let partition = list.find_partition(topic, 0).unwrap();
    (partition.offset(), partition.metadata().to_owned())
}

#[test]
fn offsets_and_records_are_committed_together() {
    let Some(bootstrap) = bootstrap() else { return };
    let (input, output) = (topic(&bootstrap, "input", 1), topic(&bootstrap, "output", 1));
    let group = unique("group");
    let member = LiveMember::new(&bootstrap, &group).join();
    let mut writer = Writer::transactional(&bootstrap, &unique("together"));
    for round in 1..=3 {
        writer.produce.begin_transaction().unwrap();
        writer.send(&output, 0, &round.to_string());
        writer.flush_all_written();
        let offsets = [offset(&input, round * 10, "AgAAAAAAAAAA")];
        writer.step(|produce| produce.send_offsets(&offsets, &member)).unwrap();
        writer.step(|produce| produce.commit_transaction()).unwrap();
        assert_eq!(committed(&bootstrap, &group, &input), (Offset::Offset(round * 10), "AgAAAAAAAAAA".to_owned()));
    }
    writer.produce.begin_transaction().unwrap();
    writer.send(&output, 0, "aborted");
    writer.flush_all_written();
    writer.step(|produce| produce.send_offsets(&[offset(&input, 99, "")], &member)).unwrap();
    writer.step(|produce| produce.abort_transaction()).unwrap();
    assert_eq!(committed(&bootstrap, &group, &input).0, Offset::Offset(30));
    let mut reader = Reader::new(&bootstrap, true);
    let slot = reader.assign(&output, 0, 0);
    assert_eq!(values(&reader.take(slot, 3)), ["1", "2", "3"]);
}

#[test]
fn a_stale_generation_aborts_the_transaction_and_the_producer_goes_on() {
    let Some(bootstrap) = bootstrap() else { return };
    let (input, output) = (topic(&bootstrap, "stale-in", 1), topic(&bootstrap, "stale-out", 1));
    let group = unique("group");
    let mut live = LiveMember::new(&bootstrap, &group);
    let old = live.join();
    let new = live.join();
    assert!(new.generation() > old.generation());
    let stranger = GroupMember::new(group.as_str(), "nobody", new.generation(), None).unwrap();
    let mut writer = Writer::transactional(&bootstrap, &unique("stale"));
    for (member, name) in [(&old, "ILLEGAL_GENERATION"), (&stranger, "UNKNOWN_MEMBER_ID")] {
        writer.produce.begin_transaction().unwrap();
        writer.send(&output, 0, "fenced");
        writer.flush_all_written();
        let error = writer.step(|produce| produce.send_offsets(&[offset(&input, 1, "")], member)).unwrap_err();
        assert_eq!(error.kind, BrokerErrorKind::Rejoin, "{error}");
        assert!(error.message.contains(name), "{error}");
        assert!(error.action.contains(&group), "{error}");
        // Whatever is tried now, the transaction is lost.
        let Err(SendError::Refused(error)) = writer.produce.send(plain(&output, 0, "more"), 0) else { panic!() };
        assert_eq!(error.kind, BrokerErrorKind::AbortRequired, "{error}");
        writer.step(|produce| produce.abort_transaction()).unwrap();
    }
    writer.produce.begin_transaction().unwrap();
    writer.send(&output, 0, "good");
    writer.flush_all_written();
    writer.step(|produce| produce.send_offsets(&[offset(&input, 2, "")], &new)).unwrap();
    writer.step(|produce| produce.commit_transaction()).unwrap();
    assert_eq!(committed(&bootstrap, &group, &input).0, Offset::Offset(2));
    let mut reader = Reader::new(&bootstrap, true);
    let slot = reader.assign(&output, 0, 0);
    assert_eq!(values(&reader.take(slot, 1)), ["good"]);
}

#[test]
fn a_second_producer_of_the_same_id_fences_the_first() {
    let Some(bootstrap) = bootstrap() else { return };
    let (output, id) = (topic(&bootstrap, "fenced", 1), unique("fenced"));
    let mut first = Writer::transactional(&bootstrap, &id);
    first.transaction(&output, 0, &["a"], true);
    first.produce.begin_transaction().unwrap();
    first.send(&output, 0, "zombie");
    first.flush_all_written();

    let mut second = Writer::transactional(&bootstrap, &id);
    second.transaction(&output, 0, &["b"], true);

    let error = first.step(|produce| produce.commit_transaction()).unwrap_err();
    assert_eq!(error.kind, BrokerErrorKind::Fenced, "{error}");
    assert!(error.action.contains(&id), "{error}");
    let error = first.step(|produce| produce.abort_transaction()).unwrap_err();
    assert_eq!(error.kind, BrokerErrorKind::Fenced, "{error}");
    let error = first.produce.begin_transaction().unwrap_err();
    assert_eq!(error.kind, BrokerErrorKind::Fenced, "{error}");
    let Err(SendError::Refused(error)) = first.produce.send(plain(&output, 0, "zombie"), 0) else { panic!() };
    assert_eq!(error.kind, BrokerErrorKind::Fenced, "{error}");

    let mut reader = Reader::new(&bootstrap, true);
    let slot = reader.assign(&output, 0, 0);
    assert_eq!(values(&reader.take(slot, 2)), ["a", "b"]);
}

#[test]
fn records_of_a_fenced_producer_are_given_up() {
    let Some(bootstrap) = bootstrap() else { return };
    let (output, id) = (topic(&bootstrap, "fenced-send", 1), unique("fenced-send"));
    let mut first = Writer::transactional(&bootstrap, &id);
    first.produce.begin_transaction().unwrap();
    first.send(&output, 0, "zombie");
    first.flush_all_written();
    drop(Writer::transactional(&bootstrap, &id));
    for _ in 0..5 {
        first.send(&output, 0, "zombie");
    }
    first.flush();
    assert_eq!(first.deliveries.len(), 5);
    for delivery in &first.deliveries {
        let error = delivery.result.clone().unwrap_err();
        assert_eq!(error.kind, BrokerErrorKind::Fenced, "{error}");
    }
}

#[test]
fn an_abort_gives_up_what_is_in_flight_and_needs_no_poll() {
    let Some(bootstrap) = bootstrap() else { return };
    let output = topic(&bootstrap, "abort", 1);
    let mut properties = properties(&bootstrap);
    properties.set("linger.ms", "50000");
    let mut writer = Writer::with(properties, Some(&unique("abort")));
    writer.step(|produce| produce.init_transactions()).unwrap();
    writer.produce.begin_transaction().unwrap();
    for _ in 0..100 {
        writer.send(&output, 0, "lingers");
    }
    writer.step(|produce| produce.abort_transaction()).unwrap();
    assert_eq!(writer.produce.in_flight(), 100, "until they were told");
    writer.poll();
    assert_eq!((writer.produce.in_flight(), writer.deliveries.len()), (0, 100));
    for delivery in writer.deliveries.drain(..) {
        let error = delivery.result.unwrap_err();
        assert_eq!(error.kind, BrokerErrorKind::Retriable, "{error}");
    }
    assert_eq!(writer.produce.abort_transaction(), Progress::Done(Ok(())), "nothing is left to abort");
    writer.transaction(&output, 0, &["next"], true);
    let mut reader = Reader::new(&bootstrap, true);
    let slot = reader.assign(&output, 0, 0);
    assert_eq!(values(&reader.take(slot, 1)), ["next"]);
}

#[test]
fn no_step_makes_the_stream_thread_wait() {
    let Some(bootstrap) = bootstrap() else { return };
    let (input, output) = (topic(&bootstrap, "wait-in", 1), topic(&bootstrap, "wait-out", 4));
    let member = LiveMember::new(&bootstrap, &unique("group")).join();
    let mut writer = Writer::new(&bootstrap, Some(&unique("wait")));
    let mut longest = Duration::ZERO;
    let mut timed = |writer: &mut Writer, step: &mut dyn FnMut(&mut Writer) -> bool| {
        let bell = writer.bell.clone();
        bell.until("a step", || {
            let begun = Instant::now();
            let done = step(writer);
            longest = longest.max(begun.elapsed());
            done.then_some(())
        });
    };
    let done = |step| matches!(step, Progress::Done(Ok(())));
    timed(&mut writer, &mut |w| done(w.produce.init_transactions()));
    let begun = Instant::now();
    for round in 0..20 {
        timed(&mut writer, &mut |w| w.produce.begin_transaction().is_ok());
        for partition in 0..4 {
            writer.send(&output, partition, "x");
        }
        writer.produce.flush();
        timed(&mut writer, &mut |w| {
            w.poll();
            w.produce.in_flight() == 0
        });
        let offsets = [offset(&input, round, "")];
        timed(&mut writer, &mut |w| done(w.produce.send_offsets(&offsets, &member)));
        timed(&mut writer, &mut |w| done(w.produce.commit_transaction()));
    }
    println!("20 transactions in {:?}, longest call {longest:?}", begun.elapsed());
    // The machine may be busy: a call that waited for a broker 60 times would still show.
    assert!(longest < Duration::from_millis(100), "{longest:?}");
}

#[test]
fn an_unreachable_broker_keeps_a_step_pending_and_a_producer_can_be_dropped() {
    let mut writer = Writer::new("127.0.0.1:1", Some("unreachable"));
    assert_eq!(writer.produce.init_transactions(), Progress::Pending);
    let begun = Instant::now();
    assert_eq!(writer.produce.init_transactions(), Progress::Pending);
    let error = writer.produce.begin_transaction().unwrap_err();
    assert_eq!(error.kind, BrokerErrorKind::Fatal, "{error}");
    drop(writer);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
