//! The broker of the suite: topics made, written and read with librdkafka, apart from the code under test.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

/// Nothing on one machine takes longer than this.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A broker, by its address.
#[derive(Clone, Debug)]
pub struct Broker {
    /// `host:port` of the plaintext listener.
    pub bootstrap: String,
}

/// What a reader gets to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Records of committed transactions only.
    ReadCommitted,
    /// Everything.
    ReadUncommitted,
}

/// A record as a reader saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

impl Broker {
    /// The broker that `cargo xtask test` started; `None` with a note outside of it.
    pub fn get() -> Option<Broker> {
        Self::from_env("KAFKA_STREAMS_TEST_BOOTSTRAP")
    }

    /// The broker of the oldest version that is tested.
    pub fn older() -> Option<Broker> {
        Self::from_env("KAFKA_STREAMS_TEST_OLDER_BOOTSTRAP")
    }

    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn from_env(name: &str) -> Option<Broker> {
        match std::env::var(name) {
            Ok(bootstrap) if !bootstrap.is_empty() => Some(Broker { bootstrap }),
            _ => {
                eprintln!("skipped: {name} is not set; run `cargo xtask test`");
                None
            }
        }
    }

    /// A name that no other test has.
    pub fn unique(&self, what: &str) -> String {
        let id = uuid::Uuid::new_v4().simple().to_string();
        format!("{what}-{}", &id[..8])
    }

    /// Creates a topic.
    pub async fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        self.create_topic_with(name, partitions, &[]).await
    }

    /// Creates a topic with settings of its own.
    pub async fn create_topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        topic.config.extend_from_slice(settings);
        let results = self.admin()?.create_topics([&topic], &AdminOptions::new()).await?;
        for result in results {
            result.map_err(|(topic, code)| anyhow::anyhow!("creating {topic}: {code}"))?;
        }
        self.wait_until(|| Ok(self.partitions(name)? == Some(partitions)), "topic shows up")
    }

    /// Deletes a topic, and waits until it is gone.
    pub async fn delete_topic(&self, name: &str) -> Result<()> {
        for result in self.admin()?.delete_topics(&[name], &AdminOptions::new()).await? {
            result.map_err(|(topic, code)| anyhow::anyhow!("deleting {topic}: {code}"))?;
        }
        self.wait_until(|| Ok(self.partitions(name)?.is_none()), "topic disappears")
    }

    /// Adds partitions to a topic.
    pub async fn grow_topic(&self, name: &str, partitions: usize) -> Result<()> {
        let grown = rdkafka::admin::NewPartitions::new(name, partitions);
        for result in self.admin()?.create_partitions([&grown], &AdminOptions::new()).await? {
            result.map_err(|(topic, code)| anyhow::anyhow!("growing {topic}: {code}"))?;
        }
        Ok(())
    }

    /// Deletes the records of a partition before `offset`.
    pub async fn delete_records(&self, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        for deleted in self.admin()?.delete_records(&list, &AdminOptions::new()).await?.elements() {
            deleted.error().with_context(|| format!("deleting records of {topic}"))?;
        }
        Ok(())
    }

    /// Sets the settings of a topic to these and no others.
    pub async fn set_topic(&self, topic: &str, settings: &[(&str, &str)]) -> Result<()> {
        let resource = ResourceSpecifier::Topic(topic);
        let wanted = settings.iter().fold(AlterConfig::new(resource), |wanted, (key, value)| wanted.set(key, value));
        for result in self.admin()?.alter_configs([&wanted], &AdminOptions::new()).await? {
            result.map_err(|(_, code)| anyhow::anyhow!("setting {settings:?} of {topic}: {code}"))?;
        }
        Ok(())
    }

    /// Number of partitions of a topic; `None` if there is none of this name.
    pub fn partitions(&self, topic: &str) -> Result<Option<i32>> {
        let consumer: BaseConsumer = self.client().create()?;
        let metadata = consumer.fetch_metadata(None, PATIENCE)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(found.map(|found| i32::try_from(found.partitions().len()).unwrap_or(i32::MAX)))
    }

    /// The names of all topics.
    pub fn topics(&self) -> Result<Vec<String>> {
        let consumer: BaseConsumer = self.client().create()?;
        let metadata = consumer.fetch_metadata(None, PATIENCE)?;
        Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// Start and end of a partition's log; what open transactions have written counts.
    pub fn bounds(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        let consumer: BaseConsumer = self.client().set("isolation.level", "read_uncommitted").create()?;
        Ok(consumer.fetch_watermarks(topic, partition, PATIENCE)?)
    }

    /// The offset that a group has committed for a partition.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Result<Option<i64>> {
        let consumer: BaseConsumer = self.client().set("group.id", group).create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let committed = consumer.committed_offsets(list, PATIENCE)?;
        Ok(match committed.elements().first().map(|element| element.offset()) {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        })
    }

    /// Writes records with keys, values and timestamps, to the partition of the key's hash.
    pub fn write(&self, topic: &str, records: impl IntoIterator<Item = Record>) -> Result<()> {
        let producer: BaseProducer =
            self.client().set("linger.ms", "5").set("partitioner", "murmur2_random").create()?;
        for record in records {
            let mut out: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
            out.key = record.key.as_deref();
            out.payload = record.value.as_deref();
            out.timestamp = record.timestamp;
            out.partition = record.partition;
            while let Err((error, again)) = producer.send(out) {
                if error != rdkafka::error::KafkaError::MessageProduction(rdkafka::types::RDKafkaErrorCode::QueueFull) {
                    bail!("writing to {topic}: {error}");
                }
                producer.poll(Duration::from_millis(10));
                out = again;
            }
        }
        producer.flush(PATIENCE).with_context(|| format!("writing to {topic}"))
    }

    /// Writes lines without keys, spread over the partitions.
    pub fn write_lines<'a>(&self, topic: &str, lines: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let partitions = self.partitions(topic)?.context("topic exists")?;
        let line = |(i, line): (usize, &str)| Record {
            partition: Some(i32::try_from(i).unwrap_or_default() % partitions),
            ..Record::of_value(line.as_bytes())
        };
        self.write(topic, lines.into_iter().enumerate().map(line).collect::<Vec<_>>())
    }

    /// Everything in a topic now, partition by partition in the order of offsets.
    pub fn read(&self, topic: &str, isolation: Isolation) -> Result<Vec<Seen>> {
        let level = match isolation {
            Isolation::ReadCommitted => "read_committed",
            Isolation::ReadUncommitted => "read_uncommitted",
        };
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", level)
            .create()?;
        let partitions = self.partitions(topic)?.with_context(|| format!("topic {topic} exists"))?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        let (mut seen, mut ended) = (Vec::new(), std::collections::BTreeSet::new());
        let deadline = Instant::now() + PATIENCE;
        while ended.len() < usize::try_from(partitions)? {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => seen.push(Seen {
                    partition: message.partition(),
                    offset: message.offset(),
                    timestamp: message.timestamp().to_millis().unwrap_or(-1),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                }),
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                Some(Err(error)) => bail!("reading {topic}: {error}"),
                None if Instant::now() > deadline => bail!("reading {topic} takes longer than {PATIENCE:?}"),
                None => {}
            }
        }
        seen.sort_by_key(|record| (record.partition, record.offset));
        Ok(seen)
    }

    /// Asks again and again, for a minute at most.
    pub fn wait_until(&self, mut done: impl FnMut() -> Result<bool>, what: &str) -> Result<()> {
        self.wait_at_most(PATIENCE, &mut done, what)
    }

    /// Asks again and again.
    pub fn wait_at_most(&self, limit: Duration, done: &mut dyn FnMut() -> Result<bool>, what: &str) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !done()? {
            if Instant::now() > deadline {
                bail!("waited {limit:?} in vain: {what}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.client().create()?)
    }

    /// Settings of a client of this broker.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }
}

/// A record to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its partition; by the hash of its key if `None`.
    pub partition: Option<i32>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its timestamp in milliseconds; the time of writing if `None`.
    pub timestamp: Option<i64>,
}

impl Record {
    /// A record without a key.
    pub fn of_value(value: impl Into<Vec<u8>>) -> Self {
        Record { value: Some(value.into()), ..Record::default() }
    }

    /// A record with a key.
    pub fn of(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Record { key: Some(key.into()), ..Record::of_value(value) }
    }
}
