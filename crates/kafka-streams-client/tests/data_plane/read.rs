//! Reading from a real broker.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use kafka_streams_core::{Headers, TopicPartition};
use kafka_streams_engine::port::{BrokerErrorKind, Fetch, FetchEvent, FetchedBatch, Produce, ProduceRecord};
use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};

use super::support::*;

#[test]
fn what_was_written_is_read_back_in_order() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "order", 1);
    let mut writer = Writer::new(&bootstrap, None);
    let mut headers = Headers::new();
    headers.add("a", Some(b"1".to_vec()));
    headers.add("a", None);
    headers.add("\u{fc}", Some(Vec::new()));
    let none = Headers::new();
    type Written<'a> = (Option<i64>, &'a Headers, Option<&'a [u8]>, Option<&'a [u8]>);
    let written: Vec<Written<'_>> = vec![
        (Some(1_700_000_000_000), &headers, Some(b"key"), Some(b"value")),
        (Some(5), &none, None, Some(b"no key")),
        (Some(7), &none, Some(b"no value"), None),
        (Some(6), &none, Some(b""), Some(b"")),
        (Some(9), &headers, None, None),
        (None, &none, Some(b"now"), None),
    ];
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
    for (tag, (timestamp, headers, key, value)) in written.iter().enumerate() {
        let (timestamp, key, value) = (*timestamp, *key, *value);
        let record = ProduceRecord { topic: &topic, partition: Some(0), timestamp, headers, key, value };
        writer.produce.send(record, tag as u64).unwrap();
    }
    assert_eq!(writer.produce.in_flight(), written.len());
    writer.flush();
    let delivered: Vec<_> = writer.deliveries.iter().map(|d| (d.tag, d.partition, d.result.clone())).collect();
    let expected: Vec<_> = (0..written.len() as u64).map(|tag| (tag, 0, Ok(tag as i64))).collect();
    assert_eq!(delivered, expected);

    let mut reader = Reader::new(&bootstrap, false);
    let slot = reader.assign(&topic, 0, 0);
    let (records, end) = reader.read_to_end(slot);
    assert_eq!(end, written.len() as i64);
    for (offset, (read, (timestamp, headers, key, value))) in records.iter().zip(&written).enumerate() {
        let now = timestamp.is_none();
        assert!(!now || read.1 >= before, "{read:?}");
        let expected = (
            offset as i64,
            timestamp.unwrap_or(read.1),
            key.map(<[u8]>::to_vec),
            value.map(<[u8]>::to_vec),
            (*headers).clone(),
        );
        assert_eq!(*read, expected);
    }
    assert_eq!(records.len(), written.len());
}

#[test]
fn a_batch_has_no_more_records_than_asked_for_and_outlives_its_reader() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "bounds", 1);
    let mut writer = Writer::new(&bootstrap, None);
    let mut headers = Headers::new();
    headers.add("late", Some(vec![1]));
    for number in 0..10 {
        let value = number.to_string();
        let mut record = plain(&topic, 0, &value);
        if number == 7 {
            record.headers = &headers;
        }
        writer.produce.send(record, 0).unwrap();
    }
    writer.flush_all_written();
    let mut reader = Reader::new(&bootstrap, false);
    let slot = reader.assign(&topic, 0, 2);
    let mut batches = Vec::new();
    // The bound may change from poll to poll.
    for max in [3, 2, 1, 100] {
        let Reader { fetch, bell } = &mut reader;
        let FetchEvent::Batch(batch) = bell.until("a batch", || fetch.poll(slot, max)) else { panic!() };
        assert!(batch.len() <= max);
        assert!(batch.leader_epoch(0) >= 0);
        batches.push(batch);
    }
    drop(reader);
    let records: Vec<Read> = batches.iter().flat_map(|batch| (0..batch.len()).map(|i| read(batch, i))).collect();
    assert_eq!(values(&records), ["2", "3", "4", "5", "6", "7", "8", "9"]);
    let with_headers: Vec<i64> = records.iter().filter(|r| !r.4.is_empty()).map(|r| r.0).collect();
    assert_eq!(with_headers, [7]);
}

#[test]
fn the_end_comes_with_the_last_record() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "end", 1);
    let mut writer = Writer::new(&bootstrap, None);
    // librdkafka's own event would come after this time.
    let mut slow = properties(&bootstrap);
    slow.set("fetch.wait.max.ms", "20000").set("socket.timeout.ms", "60000");
    let mut reader = Reader::with(slow, true);
    writer.send(&topic, 0, "a");
    writer.flush_all_written();
    let begun = Instant::now();
    let slot = reader.assign(&topic, 0, 0);
    assert_eq!(reader.read_to_end(slot).1, 1);
    writer.send(&topic, 0, "b");
    writer.flush_all_written();
    assert_eq!(reader.read_to_end(slot).1, 2);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn an_end_is_told_once_and_again_after_more_records() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "ends", 1);
    let mut writer = Writer::new(&bootstrap, None);
    let mut reader = Reader::new(&bootstrap, false);
    let slot = reader.assign(&topic, 0, 0);
    assert_eq!(reader.next(slot), Told::End(0), "an empty log has an end");
    for round in 1..=3 {
        writer.send(&topic, 0, "x");
        writer.flush_all_written();
        assert!(matches!(reader.next(slot), Told::Records(_)));
        assert_eq!(reader.next(slot), Told::End(round));
        // Longer than librdkafka takes for its own event, which would be a second one.
        std::thread::sleep(Duration::from_millis(300));
        assert!(reader.fetch.poll(slot, 10).is_none());
    }
}

#[test]
fn the_end_lies_behind_markers_and_aborted_records() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "markers", 1);
    let mut writer = Writer::transactional(&bootstrap, &unique("markers"));
    let mut reader = Reader::new(&bootstrap, true);
    let slot = reader.assign(&topic, 0, 0);
    assert_eq!(reader.next(slot), Told::End(0));
    writer.transaction(&topic, 0, &["a", "b"], true);
    let (records, end) = reader.read_to_end(slot);
    assert_eq!(
        (values(&records), end),
        (vec!["a".to_owned(), "b".to_owned()], 3),
        "the marker of the commit has offset 2"
    );
    writer.transaction(&topic, 0, &["x", "y"], false);
    let (records, end) = reader.read_to_end(slot);
    assert_eq!((records, end), (vec![], 6), "two aborted records and their marker");
    writer.transaction(&topic, 0, &["c"], true);
    writer.transaction(&topic, 0, &["z"], false);

    // The same log from its beginning, in one go.
    let mut again = Reader::new(&bootstrap, true);
    let slot = again.assign(&topic, 0, 0);
    let (mut records, mut end) = again.read_to_end(slot);
    while end < 10 {
        let (more, next) = again.read_to_end(slot);
        records.extend(more);
        end = next;
    }
    assert_eq!((values(&records), end), (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], 10));
    assert_eq!(records.iter().map(|record| record.0).collect::<Vec<_>>(), [0, 1, 6]);
}

#[test]
fn an_open_transaction_holds_up_those_who_read_committed() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "open", 1);
    let mut writer = Writer::transactional(&bootstrap, &unique("open"));
    writer.transaction(&topic, 0, &["a"], true);
    writer.produce.begin_transaction().unwrap();
    writer.send(&topic, 0, "b");
    writer.flush_all_written();
    let mut plain_writer = Writer::new(&bootstrap, None);
    plain_writer.send(&topic, 0, "c");
    plain_writer.flush_all_written();

    let mut committed = Reader::new(&bootstrap, true);
    let slot = committed.assign(&topic, 0, 0);
    let (records, end) = committed.read_to_end(slot);
    assert_eq!((values(&records), end), (vec!["a".to_owned()], 2), "the last stable offset");

    let mut uncommitted = Reader::new(&bootstrap, false);
    let every = uncommitted.assign(&topic, 0, 0);
    let (records, end) = uncommitted.read_to_end(every);
    assert_eq!((values(&records), end), (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], 4));

    writer.step(|produce| produce.commit_transaction()).unwrap();
    assert_eq!(values(&committed.take(slot, 2)), ["b", "c"]);
    assert_eq!(committed.next(slot), Told::End(5));
}

#[test]
fn a_position_outside_of_the_log_is_told() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "range", 2);
    let mut writer = Writer::new(&bootstrap, None);
    for number in 0..10 {
        writer.send(&topic, 0, &number.to_string());
    }
    writer.send(&topic, 1, "neighbour");
    writer.flush_all_written();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 0, Offset::Offset(6)).unwrap();
    block_on(admin(&bootstrap).delete_records(&offsets, &AdminOptions::new())).unwrap();

    let mut reader = Reader::new(&bootstrap, true);
    let neighbour = reader.assign(&topic, 1, 0);
    for outside in [3, 11] {
        let slot = reader.assign(&topic, 0, outside);
        assert_eq!(reader.next(slot), Told::OutOfRange, "{outside}");
        reader.fetch.unassign(slot);
    }
    let slot = reader.assign(&topic, 0, 6);
    assert_eq!(values(&reader.take(slot, 4)), ["6", "7", "8", "9"]);
    assert_eq!(values(&reader.take(neighbour, 1)), ["neighbour"]);
}

#[test]
fn an_assignment_tells_nothing_of_the_one_before() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "epochs", 2);
    let mut writer = Writer::new(&bootstrap, None);
    for number in 0..100 {
        writer.send(&topic, 0, &number.to_string());
        writer.send(&topic, 1, &number.to_string());
    }
    writer.flush_all_written();
    let mut reader = Reader::new(&bootstrap, true);
    let neighbour = reader.assign(&topic, 1, 0);
    let first = reader.fetch.poll(neighbour, 10);
    assert!(first.is_none(), "nothing waits for the broker: {first:?}");
    let mut slots = vec![reader.assign(&topic, 0, 0)];
    let mut read_of_neighbour = Vec::new();
    for round in 0..20 {
        // Now with, now without something left in the queue.
        if round % 2 == 0 {
            let slot = *slots.last().unwrap();
            let Told::Records(records) = reader.next(slot) else { panic!() };
            assert_eq!(records[0].0, (round * 5) % 100);
        }
        if let Some(FetchEvent::Batch(batch)) = reader.fetch.poll(neighbour, 7) {
            read_of_neighbour.extend((0..batch.len()).map(|index| batch.record(index).offset));
        }
        let old = *slots.last().unwrap();
        reader.fetch.unassign(old);
        let next = (round + 1) * 5;
        let new = reader.assign(&topic, 0, next % 100);
        assert!(!slots.contains(&new));
        slots.push(new);
        for old in &slots[..slots.len() - 1] {
            assert!(reader.fetch.poll(*old, 10).is_none());
        }
    }
    let slot = *slots.last().unwrap();
    assert_eq!(reader.read_to_end(slot).1, 100);
    while read_of_neighbour.len() < 100 {
        if let Told::Records(records) = reader.next(neighbour) {
            read_of_neighbour.extend(records.iter().map(|record| record.0));
        }
    }
    assert_eq!(read_of_neighbour, (0..100).collect::<Vec<_>>(), "assigning one partition leaves another alone");
    reader.fetch.unassign(slot);
    reader.fetch.unassign(slot);
}

#[test]
fn mistakes_are_refused_at_once() {
    let Some(bootstrap) = bootstrap() else { return };
    let topic = topic(&bootstrap, "mistakes", 1);
    let mut reader = Reader::new(&bootstrap, true);
    for (name, offset) in [(topic.clone(), -1), (Arc::from("a\0b"), 0)] {
        let error = reader.fetch.assign(&TopicPartition::new(name, 0), offset).unwrap_err();
        assert_eq!(error.kind, BrokerErrorKind::Fatal, "{error}");
    }
    let slot = reader.assign(&topic, 0, 0);
    let error = reader.fetch.assign(&TopicPartition::new(topic.clone(), 0), 0).unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
    assert_eq!(reader.next(slot), Told::End(0), "the first assignment goes on");
}

#[test]
fn a_topic_that_does_not_exist_is_told() {
    let Some(bootstrap) = bootstrap() else { return };
    let mut properties = properties(&bootstrap);
    properties.set("topic.metadata.propagation.max.ms", "100");
    let mut reader = Reader::with(properties, true);
    let topic: Arc<str> = unique("missing").into();
    let slot = reader.assign(&topic, 0, 0);
    let Told::Failed(error) = reader.next(slot) else { panic!() };
    assert_eq!(error.kind, BrokerErrorKind::UnknownTopic, "{error}");
    assert!(error.action.contains(&*topic), "{error}");
}
