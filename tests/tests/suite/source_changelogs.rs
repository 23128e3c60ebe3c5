//! Source topics that serve as changelogs (`reuse.ktable.source.topics`): the restore ends at the committed position, and
//! what follows is processed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use kafka_streams::prelude::*;
use kafka_streams_tests::broker::PATIENCE;
use kafka_streams_tests::{Broker, Isolation, Record as Written, Seen, in_process};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

/// An application that copies a table's changes, and the topics that it reads and writes.
struct Place {
    broker: Broker,
    users: String,
    copies: String,
    id: String,
    dir: tempfile::TempDir,
}

/// What was restored, as a listener is told: from where to where, and how many records in all.
#[derive(Default)]
struct Restored {
    ranges: Mutex<Vec<(TopicPartition, i64, i64)>>,
    records: AtomicU64,
}

impl Restored {
    /// Checks that exactly this was restored from partition 0 of the table's topic.
    fn is(&self, place: &Place, ranges: &[(i64, i64)], records: u64) -> anyhow::Result<()> {
        let topic = TopicPartition::new(place.users.as_str(), 0);
        let wanted: Vec<_> = ranges.iter().map(|(from, end)| (topic.clone(), *from, *end)).collect();
        let found = self.ranges.lock().map_err(|_| anyhow::anyhow!("a listener has panicked"))?;
        anyhow::ensure!(*found == wanted, "restored {found:?}, expected {wanted:?}");
        let found = self.records.load(Ordering::Relaxed);
        anyhow::ensure!(found == records, "restored {found} records, expected {records}");
        Ok(())
    }
}

impl StateRestoreListener for Restored {
    fn on_restore_start(&self, changelog: &TopicPartition, _store: &str, from: i64, end: i64) {
        if let Ok(mut ranges) = self.ranges.lock() {
            ranges.push((changelog.clone(), from, end));
        }
    }

    fn on_restore_end(&self, _changelog: &TopicPartition, _store: &str, records: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
    }
}

impl Place {
    async fn new(partitions: i32) -> anyhow::Result<Option<Place>> {
        let Some(broker) = Broker::get() else { return Ok(None) };
        let (users, copies, id) = (broker.unique("users"), broker.unique("copies"), broker.unique("table"));
        broker.create_topic_with(&users, partitions, &[("cleanup.policy", "compact")]).await?;
        broker.create_topic(&copies, partitions).await?;
        Ok(Some(Place { broker, users, copies, id, dir: tempfile::tempdir()? }))
    }

    fn copying(&self, instance: &str, listener: &Arc<Restored>) -> anyhow::Result<KafkaStreams> {
        let builder = StreamsBuilder::new();
        let store = Materialized::named("users");
        let users = builder.table_with::<String, String>(self.users.as_str(), Consumed::default(), store);
        users.to_stream().to(self.copies.as_str());
        let config = in_process::config(&self.broker, &self.id, &self.dir.path().join(instance));
        let topology = builder.build_optimized(&[Optimization::ReuseKtableSourceTopics])?;
        let streams = KafkaStreams::new(topology, config.statestore_cache_max_bytes(0))?;
        streams.set_global_state_restore_listener(listener.clone());
        Ok(streams)
    }

    fn copies(&self) -> anyhow::Result<Vec<(String, String)>> {
        let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default());
        let row = |record: Seen| Ok((text(record.key)?, text(record.value)?));
        self.broker.read(&self.copies, Isolation::ReadCommitted)?.into_iter().map(row).collect()
    }

    /// Waits until these rows, and no others, are copied, in this order.
    fn expect(&self, wanted: &[(String, String)]) -> anyhow::Result<()> {
        let mut found = Vec::new();
        let waited = self.broker.wait_until(
            || {
                found = self.copies()?;
                Ok(found.len() >= wanted.len())
            },
            "the rows are copied",
        );
        anyhow::ensure!(found == wanted, "{found:?}, expected {wanted:?}");
        waited
    }

    /// Commits a position for the group, which has no members.
    fn commit(&self, offset: i64) -> anyhow::Result<()> {
        let consumer: BaseConsumer = self.broker.client().set("group.id", &self.id).create()?;
        let mut position = TopicPartitionList::new();
        position.add_partition_offset(&self.users, 0, Offset::Offset(offset))?;
        Ok(consumer.commit(&position, CommitMode::Sync)?)
    }
}

fn row(number: usize, version: u32) -> (String, String) {
    (format!("user-{number}"), format!("version {version} of {number}"))
}

#[tokio::test]
async fn c8_an_end_within_a_batch() -> anyhow::Result<()> {
    let Some(place) = Place::new(1).await? else { return Ok(()) };
    let rows: Vec<_> = (0..10).map(|number| row(number, 1)).collect();
    // One batch: nothing is sent before all are there.
    let producer: BaseProducer = place.broker.client().set("linger.ms", "60000").create()?;
    for (user, text) in &rows {
        let record = BaseRecord::to(&place.users).partition(0).key(user).payload(text);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(PATIENCE)?;
    place.commit(5)?;

    let restored = Arc::new(Restored::default());
    let streams = place.copying("one", &restored)?;
    streams.start()?;
    place.expect(&rows[5..])?;
    in_process::close(&streams)?;
    drop(streams);
    restored.is(&place, &[(0, 5)], 5)?;

    // It goes on from there, and so does another one.
    let restored = Arc::new(Restored::default());
    let streams = place.copying("one", &restored)?;
    streams.start()?;
    let changed: Vec<_> = (3..7).map(|number| row(number, 2)).collect();
    place.broker.write(&place.users, changed.iter().map(|(user, text)| Written::of(user.as_str(), text.as_str())))?;
    place.expect(&[&rows[5..], &changed].concat())?;
    in_process::close(&streams)?;
    drop(streams);
    restored.is(&place, &[], 0)?;

    let restored = Arc::new(Restored::default());
    let streams = place.copying("two", &restored)?;
    streams.start()?;
    in_process::until_running(&streams).await?;
    place.expect(&[&rows[5..], &changed].concat())?;
    in_process::close(&streams)?;
    drop(streams);
    restored.is(&place, &[(0, 14)], 14)
}
