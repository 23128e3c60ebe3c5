//! Operators with state over several tasks while instances come, go and come back: the result is that of a plain
//! computation over the same changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_streams::prelude::*;
use kafka_streams_tests::reference::Moments;
use kafka_streams_tests::{Broker, Isolation, Record as Written, in_process};

pub(crate) const PARTITIONS: i32 = 4;

/// An application of two instances, the topics that it reads, and the one that it writes.
pub(crate) struct Pair {
    pub(crate) broker: Broker,
    pub(crate) left: String,
    pub(crate) right: String,
    pub(crate) output: String,
    id: String,
    dir: tempfile::TempDir,
    pub(crate) restored: Arc<Restored>,
}

/// How many records of each store's changelog were restored, by all instances.
#[derive(Default)]
pub(crate) struct Restored(Mutex<BTreeMap<String, u64>>);

impl Restored {
    pub(crate) fn of(&self, store: &str) -> u64 {
        self.0.lock().ok().and_then(|stores| stores.get(store).copied()).unwrap_or_default()
    }
}

impl StateRestoreListener for Restored {
    fn on_restore_end(&self, _changelog: &TopicPartition, store: &str, records: u64) {
        if let Ok(mut stores) = self.0.lock() {
            *stores.entry(store.to_owned()).or_default() += records;
        }
    }
}

/// A table's rows.
type Rows = BTreeMap<String, String>;

impl Pair {
    pub(crate) async fn new(settings: &[(&str, &str)]) -> anyhow::Result<Option<Pair>> {
        let Some(broker) = Broker::get() else { return Ok(None) };
        let [left, right, output, id] = ["left", "right", "output", "pair"].map(|what| broker.unique(what));
        for topic in [&left, &right, &output] {
            broker.create_topic_with(topic, PARTITIONS, settings).await?;
        }
        let (dir, restored) = (tempfile::tempdir()?, Arc::default());
        Ok(Some(Pair { broker, left, right, output, id, dir, restored }))
    }

    /// An instance with a directory of this name, not started.
    pub(crate) fn instance(&self, name: &str, topology: Topology) -> anyhow::Result<KafkaStreams> {
        let config = in_process::config(&self.broker, &self.id, &self.dir.path().join(name));
        let streams = KafkaStreams::new(topology, config)?;
        streams.set_global_state_restore_listener(self.restored.clone());
        Ok(streams)
    }

    pub(crate) fn start(&self, name: &str, topology: Topology) -> anyhow::Result<KafkaStreams> {
        let streams = self.instance(name, topology)?;
        streams.start()?;
        Ok(streams)
    }

    /// Waits until everything in both topics was processed and committed.
    pub(crate) fn until_committed(&self) -> anyhow::Result<()> {
        let is_committed = |topic: &str, partition| {
            let (_, end) = self.broker.bounds(topic, partition)?;
            anyhow::Ok(end == 0 || self.broker.committed(&self.id, topic, partition)? == Some(end))
        };
        self.broker.wait_until(
            || {
                for partition in 0..PARTITIONS {
                    if !is_committed(&self.left, partition)? || !is_committed(&self.right, partition)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            },
            "everything is committed",
        )
    }

    /// Runs an instance, a second one beside it, that one alone, both again, and the first one alone, and feeds before
    /// and in each of these times. Returns the instance that runs at last.
    pub(crate) async fn come_and_go(
        &self,
        topology: impl Fn() -> anyhow::Result<Topology>,
        mut feed: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<KafkaStreams> {
        feed()?;
        let first = self.start("first", topology()?)?;
        in_process::until_running(&first).await?;
        feed()?;
        let second = self.start("second", topology()?)?;
        self.broker.wait_until(|| self.has_tasks("second"), "the second instance gets tasks")?;
        feed()?;
        in_process::until_running(&second).await?;
        in_process::close(&first)?;
        drop(first);
        feed()?;
        let first = self.start("first", topology()?)?;
        in_process::until_running(&first).await?;
        feed()?;
        in_process::close(&second)?;
        feed()?;
        Ok(first)
    }

    /// An instance that was given tasks with stores has folders for them.
    fn has_tasks(&self, name: &str) -> anyhow::Result<bool> {
        let Ok(folders) = std::fs::read_dir(self.dir.path().join(name).join(&self.id)) else { return Ok(false) };
        let names = folders.map(|folder| Ok(folder?.file_name().to_string_lossy().into_owned()));
        let names: Vec<String> = names.collect::<std::io::Result<_>>()?;
        Ok(names.iter().any(|name| name.contains('_')))
    }

    /// The committed output: every record's key and value, in the order of each partition.
    pub(crate) fn written(&self) -> anyhow::Result<Vec<(String, Option<String>)>> {
        let records = self.broker.read(&self.output, Isolation::ReadCommitted)?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes);
        let row = |record: kafka_streams_tests::Seen| {
            Ok((text(record.key.unwrap_or_default())?, record.value.map(text).transpose()?))
        };
        records.into_iter().map(row).collect()
    }

    /// Waits until as much was written as is expected, and checks that it is that, each once, in whatever order.
    pub(crate) fn expect_written(&self, expected: &[(String, Option<String>)]) -> anyhow::Result<()> {
        let mut found = Vec::new();
        let waited = self.broker.wait_until(
            || {
                found = self.written()?;
                Ok(found.len() >= expected.len())
            },
            "everything is written",
        );
        found.sort();
        let first = found.iter().zip(expected).find(|(found, expected)| found != expected);
        anyhow::ensure!(found == expected, "{} results, expected {}; first {first:?}", found.len(), expected.len());
        waited
    }

    /// Waits until the output's last values make up this table.
    fn expect_table(&self, expected: &Rows) -> anyhow::Result<()> {
        let mut found = Rows::new();
        let waited = self.broker.wait_until(
            || {
                found = Rows::new();
                for (key, value) in self.written()? {
                    match value {
                        Some(value) => found.insert(key, value),
                        None => found.remove(&key),
                    };
                }
                Ok(found == *expected)
            },
            "the table is right",
        );
        let wrong = expected.keys().chain(found.keys()).find(|key| found.get(*key) != expected.get(*key));
        waited.map_err(|error| {
            let rows = wrong.map(|key| (key, found.get(key), expected.get(key)));
            error.context(format!("{} rows of {}, and of them {rows:?}", found.len(), expected.len()))
        })
    }

    fn write(&self, topic: &str, rows: impl IntoIterator<Item = (String, Option<String>)>) -> anyhow::Result<()> {
        let record = |(key, value): (String, Option<String>)| Written {
            key: Some(key.into_bytes()),
            value: value.map(String::into_bytes),
            ..Written::default()
        };
        self.broker.write(topic, rows.into_iter().map(record))
    }
}

/// Changes of a table, one after the other: some rows are written again and again, some deleted.
fn change(moments: &mut Moments, rows: &mut Rows, key: String, value: String) -> (String, Option<String>) {
    if moments.below(6) == 0 {
        rows.remove(&key);
        return (key, None);
    }
    rows.insert(key.clone(), value.clone());
    (key, Some(value))
}

const REUSE: [Optimization; 1] = [Optimization::ReuseKtableSourceTopics];

#[tokio::test]
async fn tables_are_joined_on_a_foreign_key_while_instances_come_and_go() -> anyhow::Result<()> {
    let Some(pair) = Pair::new(&[("cleanup.policy", "compact")]).await? else { return Ok(()) };
    let topology = || {
        let builder = StreamsBuilder::new();
        let orders = builder.table::<String, String>(pair.left.as_str());
        let customers = builder.table::<String, String>(pair.right.as_str());
        let customer_of = |_: &String, order: &String| order.split_once(' ').map(|(customer, _)| customer.to_owned());
        let joined: KTable<String, String> =
            orders.join_foreign_key(&customers, customer_of, |order, name| format!("{order} {name}"));
        joined.to_stream().to(pair.output.as_str());
        Ok(builder.build()?)
    };
    let (mut moments, mut orders, mut customers) = (Moments::new(171), Rows::new(), Rows::new());
    let feed = || {
        for _ in 0..60 {
            let key = format!("order-{}", moments.below(80));
            let value = format!("c{} {}", moments.below(12), moments.below(1000));
            pair.write(&pair.left, [change(&mut moments, &mut orders, key, value)])?;
            if moments.below(3) == 0 {
                let key = format!("c{}", moments.below(12));
                let value = format!("name-{}", moments.below(1000));
                pair.write(&pair.right, [change(&mut moments, &mut customers, key, value)])?;
            }
        }
        Ok(())
    };
    let last = pair.come_and_go(topology, feed).await?;
    let joined = orders.iter().filter_map(|(id, order)| {
        let name = customers.get(order.split_once(' ')?.0)?;
        Some((id.clone(), format!("{order} {name}")))
    });
    pair.expect_table(&joined.collect())?;
    in_process::close(&last)
}

#[tokio::test]
async fn tables_over_source_topics_as_changelogs_are_joined_while_instances_come_and_go() -> anyhow::Result<()> {
    let Some(pair) = Pair::new(&[("cleanup.policy", "compact")]).await? else { return Ok(()) };
    let topology = || {
        let builder = StreamsBuilder::new();
        let left = builder.table::<String, String>(pair.left.as_str());
        let right = builder.table::<String, String>(pair.right.as_str());
        let side = |row: Option<String>| row.unwrap_or_else(|| "nothing".to_owned());
        let joined: KTable<String, String> =
            left.outer_join(&right, move |left, right| format!("{} {}", side(left), side(right)));
        joined.to_stream().to(pair.output.as_str());
        Ok(builder.build_optimized(&REUSE)?)
    };
    let (mut moments, mut left, mut right) = (Moments::new(172), Rows::new(), Rows::new());
    let feed = || {
        for _ in 0..60 {
            let (key, value) = (format!("k{}", moments.below(40)), moments.below(1000).to_string());
            match moments.below(2) {
                0 => pair.write(&pair.left, [change(&mut moments, &mut left, key, value)])?,
                _ => pair.write(&pair.right, [change(&mut moments, &mut right, key, value)])?,
            }
        }
        Ok(())
    };
    let last = pair.come_and_go(topology, feed).await?;
    let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let side = |rows: &Rows, key: &String| rows.get(key).cloned().unwrap_or_else(|| "nothing".to_owned());
    let row = |key: &String| (key.clone(), format!("{} {}", side(&left, key), side(&right, key)));
    pair.expect_table(&keys.into_iter().map(row).collect())?;
    in_process::close(&last)?;
    let prefix = format!("{}-", pair.id);
    let internal: Vec<String> = pair.broker.topics()?.into_iter().filter(|topic| topic.starts_with(&prefix)).collect();
    anyhow::ensure!(internal.is_empty(), "the source topics are not the changelogs: {internal:?}");
    Ok(())
}

#[tokio::test]
async fn streams_are_joined_exactly_once_while_instances_come_and_go() -> anyhow::Result<()> {
    let Some(pair) = Pair::new(&[]).await? else { return Ok(()) };
    let topology = || {
        let builder = StreamsBuilder::new();
        let left = builder.stream::<String, String>(pair.left.as_str());
        let right = builder.stream::<String, String>(pair.right.as_str());
        let hour = Duration::from_secs(3600);
        let windows = JoinWindows::of_time_difference_and_grace(hour, hour);
        left.join_stream(&right, |left, right| format!("{left} {right}"), windows).to(pair.output.as_str());
        Ok(builder.build()?)
    };
    let (mut moments, mut number) = (Moments::new(173), 0);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let feed = || {
        for _ in 0..60 {
            number += 1;
            let (key, value) = (format!("k{}", moments.below(30)), format!("v{number}"));
            let (topic, side) = if moments.below(2) == 0 { (&pair.left, &mut left) } else { (&pair.right, &mut right) };
            pair.write(topic, [(key.clone(), Some(value.clone()))])?;
            side.push((key, value));
        }
        Ok(())
    };
    let last = pair.come_and_go(topology, feed).await?;
    let pairs = left.iter().flat_map(|(key, left)| {
        let matching = right.iter().filter(move |(other, _)| other == key);
        matching.map(move |(_, right)| (key.clone(), Some(format!("{left} {right}"))))
    });
    let mut expected: Vec<_> = pairs.collect();
    expected.sort();
    let joined = pair.expect_written(&expected);
    in_process::close(&last)?;
    joined
}
