//! An application of global stores only: it runs without a group, follows its topic, and goes on after a restart.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use kafka_streams::core::serde::StringSerde;
use kafka_streams::prelude::*;
use kafka_streams_tests::{Broker, Record as Written, in_process};
use rdkafka::consumer::{BaseConsumer, Consumer as _};

type Told = Arc<Mutex<BTreeMap<String, u32>>>;

/// Keeps the names, and tells how often each was processed.
struct Keep {
    names: Rc<KeyValueStore<String, String>>,
    told: Told,
}

impl Processor for Keep {
    type KIn = String;
    type VIn = String;
    type KOut = ();
    type VOut = ();

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, (), ()>) -> Step {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner).entry(record.value.clone()).or_default() += 1;
        self.names.put(cx, &record.key, Some(&record.value))
    }
}

fn instance(
    broker: &Broker,
    id: &str,
    dir: &std::path::Path,
    topic: &str,
    told: &Told,
) -> anyhow::Result<KafkaStreams> {
    let builder = StreamsBuilder::new();
    let store = Stores::persistent_key_value_store("names", StringSerde, StringSerde);
    let told = told.clone();
    builder.add_global_store(store, topic, Consumed::default(), move |names| Keep { names, told: told.clone() });
    let config = in_process::config(broker, id, dir).num_stream_threads(2);
    Ok(KafkaStreams::new(builder.build()?, config)?)
}

fn has_group(broker: &Broker, id: &str) -> anyhow::Result<bool> {
    let consumer: BaseConsumer = broker.client().create()?;
    let groups = consumer.fetch_group_list(None, std::time::Duration::from_secs(20))?;
    Ok(groups.groups().iter().any(|group| group.name() == id))
}

#[tokio::test]
async fn global_stores_alone_are_kept_without_a_group() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let (topic, id, dir) = (broker.unique("names"), broker.unique("global-only"), tempfile::tempdir()?);
    broker.create_topic(&topic, 3).await?;
    let told = Told::default();
    let times = |name: &str| told.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied();
    let write = |key: &str, name: &str| broker.write(&topic, [Written::of(key, name)]);

    write("1", "before the start")?;
    let streams = instance(&broker, &id, dir.path(), &topic, &told)?;
    streams.start()?;
    in_process::until_running(&streams).await?;
    anyhow::ensure!(times("before the start") == Some(1), "it runs before its store is restored");
    write("2", "while it runs")?;
    broker.wait_until(|| Ok(times("while it runs") == Some(1)), "the topic is followed")?;
    anyhow::ensure!(streams.thread_states().is_empty(), "{:?}", streams.thread_states());
    anyhow::ensure!(!has_group(&broker, &id)?, "a group was joined");
    in_process::close(&streams)?;
    anyhow::ensure!(streams.state() == State::NotRunning, "{}", streams.state());
    drop(streams);

    write("3", "while it was closed")?;
    let streams = instance(&broker, &id, dir.path(), &topic, &told)?;
    streams.start()?;
    in_process::until_running(&streams).await?;
    anyhow::ensure!(times("while it was closed") == Some(1), "what was written meanwhile is read before it runs");
    in_process::close(&streams)?;
    let all = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
    anyhow::ensure!(all.values().all(|times| *times == 1) && all.len() == 3, "a store was read anew: {all:?}");
    Ok(())
}
