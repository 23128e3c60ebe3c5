//! S1: the same input through the JVM and through ours, with a cache of a few KiB that overflows again and again and no
//! commit before the end: the output, the changelogs and what the functions were called with are the same, in order.

use std::sync::{Arc, Mutex};

use kafka_streams::prelude::*;
use kafka_streams_tests::broker::PATIENCE;
use kafka_streams_tests::reference::Moments;
use kafka_streams_tests::{Broker, Isolation, Jvm, Program, Record as Written, Seen, in_process};

/// Small enough to overflow with every few records.
const CACHE_BYTES: u64 = 3000;

/// What a topology's functions were called with.
type Calls = Arc<Mutex<Vec<String>>>;

fn say(calls: &Calls, text: String) {
    if let Ok(mut calls) = calls.lock() {
        calls.push(text);
    }
}

/// The topologies of `interop.Cached`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Chain,
    Totals,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Shape::Chain => "chain",
            Shape::Totals => "totals",
        }
    }

    /// One for each task, so that every task has a cache of its own and their pace does not matter.
    fn threads(self) -> usize {
        match self {
            Shape::Chain => 1,
            Shape::Totals => 2,
        }
    }

    fn changelogs(self) -> &'static [&'static str] {
        match self {
            Shape::Chain => &["sums-changelog", "texts-changelog", "even-changelog"],
            Shape::Totals => &["balances-changelog", "totals-changelog", "by-bank-repartition"],
        }
    }

    fn topology(self, input: &str, output: &str, calls: &Calls) -> anyhow::Result<Topology> {
        let builder = StreamsBuilder::with_naming(Naming::Jvm);
        match self {
            Shape::Chain => chain(&builder, input, output, calls),
            Shape::Totals => totals(&builder, input, output, calls),
        }
        Ok(builder.build()?)
    }
}

fn chain(builder: &StreamsBuilder, input: &str, output: &str, calls: &Calls) {
    let calls = calls.clone();
    builder
        .stream::<String, i64>(input)
        .peek(move |key, value| say(&calls, format!("see {key} {value}")))
        .group_by_key(Grouped::default())
        .aggregate(|| 0_i64, |_, value, sum| sum + value, Materialized::named("sums"))
        .map_values_with(|_, sum| format!("sum {sum}"), Materialized::named("texts"))
        .filter_with(|_, text| text.len() % 2 == 0, Materialized::named("even"))
        .to_stream()
        .to(output);
}

fn totals(builder: &StreamsBuilder, input: &str, output: &str, calls: &Calls) {
    let (added, subtracted) = (calls.clone(), calls.clone());
    let balances = Materialized::named("balances").with_caching_disabled();
    builder
        .table_with::<String, i64>(input, Consumed::default(), balances)
        .group_by(|account, balance| (account[..1].to_owned(), balance), Grouped::named("by-bank"))
        .aggregate(
            || 0_i64,
            move |key, value, sum| {
                say(&added, format!("add {key} {value} {sum}"));
                sum + value
            },
            move |key, value, sum| {
                say(&subtracted, format!("subtract {key} {value} {sum}"));
                sum - value
            },
            Materialized::named("totals"),
        )
        .to_stream()
        .to(output);
}

/// Changes of accounts with a few keys that come often and many that come rarely, some of them deletions of a table's rows.
fn input(shape: Shape, records: u32) -> Vec<Written> {
    let mut moments = Moments::new(17);
    let mut record = |number: u32| {
        let letter = char::from(b'a' + u8::try_from(moments.below(26)).unwrap_or_default());
        let account = match moments.below(3) {
            0 => format!("{letter}{}", moments.below(40)),
            _ => format!("{letter}{}", moments.below(2)),
        };
        let value = i64::try_from(moments.below(1000)).unwrap_or_default().to_be_bytes().to_vec();
        let deleted = shape == Shape::Totals && moments.below(5) == 0;
        Written {
            partition: Some(0),
            key: Some(account.into_bytes()),
            value: (!deleted).then_some(value),
            // Now and then one is late: the latest time wins in an aggregate.
            timestamp: Some(1_000_000 + i64::from(number) * 10 - i64::try_from(moments.below(50)).unwrap_or_default()),
        }
    };
    (0..records).map(&mut record).collect()
}

/// How many calls the functions will get.
fn calls_of(shape: Shape, input: &[Written]) -> usize {
    let mut rows = std::collections::BTreeSet::new();
    let calls = input.iter().map(|record| match (shape, &record.value) {
        (Shape::Chain, _) => 1,
        (Shape::Totals, Some(_)) if rows.insert(record.key.clone()) => 1,
        (Shape::Totals, Some(_)) => 2,
        (Shape::Totals, None) => usize::from(rows.remove(&record.key)),
    });
    calls.sum()
}

/// Everything that one side wrote: key, value and time of each record, topic by topic.
type Wrote = Vec<(String, Vec<(Option<Vec<u8>>, Option<Vec<u8>>, i64)>)>;

fn wrote(broker: &Broker, shape: Shape, application_id: &str, output: &str) -> anyhow::Result<Wrote> {
    let internal = shape.changelogs().iter().map(|topic| (*topic, format!("{application_id}-{topic}")));
    let topics = internal.chain([("output", output.to_owned())]);
    let read = |(what, topic): (&str, String)| {
        let records = broker.read(&topic, Isolation::ReadCommitted)?;
        let records = records.into_iter().map(|Seen { key, value, timestamp, .. }| (key, value, timestamp));
        Ok((what.to_owned(), records.collect()))
    };
    topics.map(read).collect()
}

async fn both_sides_write_the_same(shape: Shape) -> anyhow::Result<()> {
    let (Some(broker), Some(jvm)) = (Broker::get(), Jvm::get()) else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let topic = broker.unique("changes");
    broker.create_topic(&topic, 1).await?;
    let records = input(shape, 3000);
    let calls = calls_of(shape, &records);
    broker.write(&topic, records)?;

    let (jvm_id, jvm_output) = (broker.unique("cached"), broker.unique("jvm"));
    broker.create_topic(&jvm_output, 1).await?;
    let command = jvm.command_of(
        "interop.Cached",
        &[
            shape.name(),
            &broker.bootstrap,
            &topic,
            &jvm_output,
            &jvm_id,
            &dir.path().join("jvm").display().to_string(),
            &CACHE_BYTES.to_string(),
            &shape.threads().to_string(),
            &calls.to_string(),
        ],
    );
    let mut program = Program::start(command, &dir.path().join("jvm.log"))?;
    let status = program.wait(PATIENCE)?;
    anyhow::ensure!(status.success(), "{}", program.log()?);
    let log = program.log()?;
    let is_call = |line: &&str| ["see ", "add ", "subtract "].iter().any(|call| line.starts_with(call));
    let jvm_calls: Vec<&str> = log.lines().filter(is_call).collect();

    let (id, output, made) = (broker.unique("cached"), broker.unique("ours"), Calls::default());
    broker.create_topic(&output, 1).await?;
    let config = in_process::config(&broker, &id, &dir.path().join("ours"))
        .processing_guarantee(ProcessingGuarantee::AtLeastOnce)
        .commit_interval(std::time::Duration::from_secs(3600))
        .statestore_cache_max_bytes(CACHE_BYTES)
        .num_stream_threads(u32::try_from(shape.threads())?);
    let streams = KafkaStreams::new(shape.topology(&topic, &output, &made)?, config)?;
    streams.start()?;
    let number = || made.lock().map_or(0, |made| made.len());
    broker.wait_until(|| Ok(number() >= calls), "everything is processed")?;
    in_process::close(&streams)?;

    let made = made.lock().map_err(|_| anyhow::anyhow!("a function has panicked"))?;
    let first = made.iter().zip(&jvm_calls).position(|(ours, jvms)| ours != jvms);
    anyhow::ensure!(
        first.is_none() && made.len() == jvm_calls.len(),
        "{} calls, the JVM has {}; they differ at {first:?}: {:?}, {:?}",
        made.len(),
        jvm_calls.len(),
        first.and_then(|at| made.get(at)),
        first.and_then(|at| jvm_calls.get(at))
    );
    let (ours, jvms) = (wrote(&broker, shape, &id, &output)?, wrote(&broker, shape, &jvm_id, &jvm_output)?);
    for ((what, ours), (_, jvms)) in ours.iter().zip(&jvms) {
        let first = ours.iter().zip(jvms).position(|(ours, jvms)| ours != jvms);
        anyhow::ensure!(
            first.is_none() && ours.len() == jvms.len(),
            "{what}: {} records, the JVM's has {}; they differ at {first:?}: {:?}, {:?}",
            ours.len(),
            jvms.len(),
            first.and_then(|at| ours.get(at)),
            first.and_then(|at| jvms.get(at))
        );
        anyhow::ensure!(ours.len() > 100, "{what} is too short to say anything: {} records", ours.len());
    }
    // Else the cache has never overflowed, or was never used.
    let changes = ours.first().map_or(0, |(_, records)| records.len());
    anyhow::ensure!(shape == Shape::Totals || (500..2900).contains(&changes), "{changes} records of 3000");
    Ok(())
}

#[tokio::test]
async fn s1_a_chain_of_overflowing_caches_writes_what_the_jvm_writes() -> anyhow::Result<()> {
    both_sides_write_the_same(Shape::Chain).await
}

#[tokio::test]
async fn s1_adder_and_subtractor_above_an_overflowing_cache_see_what_the_jvms_see() -> anyhow::Result<()> {
    both_sides_write_the_same(Shape::Totals).await
}
