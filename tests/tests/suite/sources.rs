//! Global tables, sources by pattern, and dead letters on a real broker: with two instances and a restart.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kafka_streams::prelude::*;
use kafka_streams_tests::{Broker, Isolation, Record as Written, in_process};

/// Values of the committed records of a topic, sorted.
fn values(broker: &Broker, topic: &str) -> anyhow::Result<Vec<String>> {
    let records = broker.read(topic, Isolation::ReadCommitted)?;
    let text = |record: kafka_streams_tests::Seen| String::from_utf8(record.value.unwrap_or_default());
    let mut values = records.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
    values.sort();
    Ok(values)
}

fn expect(broker: &Broker, topic: &str, wanted: &[String]) -> anyhow::Result<()> {
    let mut wanted = wanted.to_vec();
    wanted.sort();
    let mut found = Vec::new();
    let waited = broker.wait_until(
        || {
            found = values(broker, topic)?;
            Ok(found.len() >= wanted.len())
        },
        "all is written",
    );
    anyhow::ensure!(found == wanted, "{found:?}, expected {wanted:?}");
    waited
}

/// Orders are the ids of products; they are joined with a global table of the products' names.
fn orders(broker: &Broker, id: &str, topics: [&str; 3], dir: &Path, in_memory: bool) -> anyhow::Result<KafkaStreams> {
    let [products, orders, output] = topics;
    let builder = StreamsBuilder::new();
    let stored = Materialized::named("products");
    let stored = if in_memory { stored.in_memory() } else { stored };
    let products: GlobalKTable<String, String> = builder.global_table_with(products, Consumed::default(), stored);
    let orders: KStream<String, String> = builder.stream(orders);
    orders
        .left_join_global(&products, |_, id| id.clone(), |id, name| format!("{id}={}", name.unwrap_or_default()))
        .to(output);
    Ok(KafkaStreams::new(builder.build()?, in_process::config(broker, id, dir))?)
}

#[tokio::test]
async fn every_instance_has_all_of_a_global_table_and_keeps_it_over_a_restart() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let (products, input, output) = (broker.unique("products"), broker.unique("orders"), broker.unique("named"));
    broker.create_topic(&products, 3).await?;
    broker.create_topic(&input, 2).await?;
    broker.create_topic(&output, 1).await?;
    let (id, dirs) = (broker.unique("global"), [tempfile::tempdir()?, tempfile::tempdir()?]);
    let start = |at: usize| {
        let topics = [products.as_str(), input.as_str(), output.as_str()];
        let streams = orders(&broker, &id, topics, dirs[at].path(), at == 1)?;
        streams.start()?;
        anyhow::Ok(streams)
    };
    let product = |number: i32, name: &str| Written::of(format!("p{number}"), name);
    broker.write(&products, (0..300).map(|number| product(number, "first")))?;
    let first = start(0)?;
    let second = start(1)?;
    in_process::until_running(&first).await?;
    in_process::until_running(&second).await?;
    let order = |number: i32| Written { partition: Some(number % 2), ..Written::of("k", format!("p{number}")) };
    // Both instances run a task, and each finds products of all partitions.
    broker.write(&input, (0..300).chain([1000]).map(order))?;
    let mut wanted: Vec<String> = (0..300).map(|number| format!("p{number}=first")).collect();
    wanted.push("p1000=".to_owned());
    expect(&broker, &output, &wanted)?;

    in_process::close(&first)?;
    in_process::close(&second)?;
    drop((first, second));
    broker.write(&products, [product(7, "second"), Written { value: None, ..product(8, "") }])?;
    let again = start(0)?;
    in_process::until_running(&again).await?;
    broker.write(&input, [order(7), order(8), order(9)])?;
    wanted.extend(["p7=second".to_owned(), "p8=".to_owned(), "p9=first".to_owned()]);
    expect(&broker, &output, &wanted)?;
    in_process::close(&again)
}

#[tokio::test]
async fn a_global_table_without_a_topic_is_an_error_that_names_it() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let (missing, input, output) = (broker.unique("missing"), broker.unique("orders"), broker.unique("named"));
    broker.create_topic(&input, 1).await?;
    broker.create_topic(&output, 1).await?;
    let dir = tempfile::tempdir()?;
    let builder = StreamsBuilder::new();
    let products: GlobalKTable<String, String> = builder.global_table(missing.as_str());
    let orders: KStream<String, String> = builder.stream(input.as_str());
    orders.join_global(&products, |_, id| id.clone(), |_, name| name).to(output.as_str());
    let config = in_process::config(&broker, &broker.unique("global"), dir.path()).task_timeout(Duration::from_secs(2));
    let error = in_process::failure_of(KafkaStreams::new(builder.build()?, config)?).await?;
    anyhow::ensure!(error.contains(&missing) && error.contains("create it"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_pattern_takes_in_topics_that_are_made_later_and_goes_on_after_a_restart() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let (prefix, output, id) = (broker.unique("region"), broker.unique("all"), broker.unique("pattern"));
    let topic = |name: &str| format!("{prefix}-{name}");
    broker.create_topic(&topic("eu"), 2).await?;
    broker.create_topic(&output, 1).await?;
    let dirs = [tempfile::tempdir()?, tempfile::tempdir()?];
    let start = |at: usize| {
        let builder = StreamsBuilder::new();
        let all: KStream<Option<String>, String> = builder.stream_matching(&format!("{prefix}-.*"));
        all.to(output.as_str());
        let config = in_process::config(&broker, &id, dirs[at].path()).property("metadata.max.age.ms", "1000");
        let streams = KafkaStreams::new(builder.build()?, config)?;
        streams.start()?;
        anyhow::Ok(streams)
    };
    let (first, second) = (start(0)?, start(1)?);
    in_process::until_running(&first).await?;
    in_process::until_running(&second).await?;
    let lines = |name: &str| (0..10).map(|n| format!("{name}{n}")).collect::<Vec<_>>();
    broker.write_lines(&topic("eu"), lines("eu").iter().map(String::as_str))?;
    let mut wanted = lines("eu");
    expect(&broker, &output, &wanted)?;
    // One with fewer, one with more partitions: running tasks get more to read, and there is a new task.
    for (name, partitions) in [("us", 1), ("asia", 3)] {
        broker.create_topic(&topic(name), partitions).await?;
        broker.write_lines(&topic(name), lines(name).iter().map(String::as_str))?;
        wanted.extend(lines(name));
        expect(&broker, &output, &wanted)?;
    }
    in_process::close(&first)?;
    broker.write_lines(&topic("us"), ["alone"])?;
    wanted.push("alone".to_owned());
    expect(&broker, &output, &wanted)?;
    in_process::close(&second)?;
    drop((first, second));

    // While nobody runs there is another one, and more in those that are known.
    broker.create_topic(&topic("africa"), 2).await?;
    broker.write_lines(&topic("africa"), lines("africa").iter().map(String::as_str))?;
    broker.write_lines(&topic("eu"), ["last"])?;
    wanted.extend(lines("africa").into_iter().chain(["last".to_owned()]));
    let again = start(0)?;
    expect(&broker, &output, &wanted)?;
    in_process::close(&again)
}

#[tokio::test]
async fn dead_letters_are_written_once_with_what_happened_by_two_instances_and_after_a_restart() -> anyhow::Result<()> {
    use rdkafka::Message;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::message::Headers as _;

    let Some(broker) = Broker::get() else { return Ok(()) };
    let (input, output, dead) = (broker.unique("lines"), broker.unique("numbers"), broker.unique("dead"));
    broker.create_topic(&input, 2).await?;
    broker.create_topic(&output, 1).await?;
    broker.create_topic(&dead, 1).await?;
    let (id, dirs) = (broker.unique("letters"), [tempfile::tempdir()?, tempfile::tempdir()?]);
    let start = |at: usize| {
        let builder = StreamsBuilder::new();
        let lines: KStream<String, String> = builder.stream(input.as_str());
        lines.try_map_values(|line| Ok(line.parse::<i64>()?.to_string())).to(output.as_str());
        let config = in_process::config(&broker, &id, dirs[at].path())
            .deserialization_exception_handler(LogAndContinue)
            .processing_exception_handler(LogAndContinue)
            .errors_dead_letter_queue_topic_name(dead.as_str());
        let streams = KafkaStreams::new(builder.build()?, config)?;
        streams.start()?;
        anyhow::Ok(streams)
    };
    let at = |partition: i32, record: Written| Written { partition: Some(partition), ..record };
    let both = [start(0)?, start(1)?];
    for streams in &both {
        in_process::until_running(streams).await?;
    }
    let unreadable = Written::of("bytes", [0xff, 0xfe]);
    broker.write(&input, [Written::of("a", "1"), Written::of("b", "two")].map(|record| at(0, record)))?;
    broker.write(&input, [unreadable, Written::of("c", "3")].map(|record| at(1, record)))?;
    expect(&broker, &output, &["1".to_owned(), "3".to_owned()])?;
    broker.wait_until(|| Ok(broker.read(&dead, Isolation::ReadCommitted)?.len() == 2), "two dead letters")?;
    for streams in &both {
        in_process::close(streams)?;
    }
    drop(both);
    // Another life goes on behind what was put aside.
    let again = start(0)?;
    broker.write(&input, [at(0, Written::of("d", "four")), at(1, Written::of("e", "5"))])?;
    expect(&broker, &output, &["1".to_owned(), "3".to_owned(), "5".to_owned()])?;
    broker.wait_until(|| Ok(broker.read(&dead, Isolation::ReadCommitted)?.len() >= 3), "one dead letter more")?;
    in_process::close(&again)?;
    anyhow::ensure!(broker.read(&dead, Isolation::ReadCommitted)?.len() == 3, "a dead letter was written twice");

    let consumer: BaseConsumer =
        broker.client().set("group.id", "reader").set("auto.offset.reset", "earliest").create()?;
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(&dead, 0, rdkafka::Offset::Beginning)?;
    consumer.assign(&list)?;
    let mut letters = Vec::new();
    broker.wait_until(
        || {
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                let message = message?.detach();
                let headers = message.headers().map(|headers| {
                    let text = |value: Option<&[u8]>| value.map(|v| String::from_utf8_lossy(v).into_owned());
                    headers.iter().map(|h| (h.key.to_owned(), text(h.value).unwrap_or_default())).collect()
                });
                let headers: BTreeMap<String, String> = headers.unwrap_or_default();
                letters.push((message.key().map(<[u8]>::to_vec), message.payload().map(<[u8]>::to_vec), headers));
            }
            Ok(letters.len() == 3)
        },
        "all are read",
    )?;
    // Those of the two partitions may be in either order.
    letters.sort();
    let wanted = [("b", &b"two"[..], "0", "1"), ("bytes", &[0xff, 0xfe][..], "1", "0"), ("d", &b"four"[..], "0", "2")];
    for ((key, value, headers), (wanted_key, wanted_value, partition, offset)) in letters.iter().zip(wanted) {
        anyhow::ensure!(key.as_deref() == Some(wanted_key.as_bytes()) && value.as_deref() == Some(wanted_value));
        let said = |name: &str| headers.get(name).map(String::as_str).unwrap_or_default();
        anyhow::ensure!(said("__streams.errors.topic") == input, "{headers:?}");
        let place = (said("__streams.errors.partition"), said("__streams.errors.offset"));
        anyhow::ensure!(place == (partition, offset), "{headers:?}");
        for name in ["exception", "message", "stacktrace"] {
            anyhow::ensure!(!said(&format!("__streams.errors.{name}")).is_empty(), "{name}: {headers:?}");
        }
    }
    Ok(())
}
