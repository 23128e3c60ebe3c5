//! The life of an instance: asked to stop at any moment, growing with its source topic, cleaned up, and what follows
//! from an error of a stream thread.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kafka_streams::prelude::*;
use kafka_streams_tests::{Broker, Isolation, Record as Written, WordCount, in_process, reference};

/// How long a program that is asked to stop may take.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn sigterm_stops_a_running_program_soon_and_well() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(&broker, dir.path(), 2, true).await?;
    let text = reference::text(300_000, 91);
    broker.write_lines(&word_count.input, text.iter().map(String::as_str))?;
    let mut program = word_count.start("one")?;
    program.wait_for_log("new=RUNNING")?;
    // In the midst of its work.
    anyhow::ensure!(program.stop_within(SOON)?.success());
    let left = Instant::now();
    let program = word_count.start("two")?;
    broker.wait_until(|| Ok(!word_count.task_log("two")?.is_empty()), "another instance gets the tasks")?;
    anyhow::ensure!(left.elapsed() < SOON, "the tasks were handed on only after {:?}", left.elapsed());
    word_count.expect_counts(&broker, &reference::count(text.iter().map(String::as_str)))?;
    anyhow::ensure!(program.stop()?.success());
    reference::counts_only_grow(&broker.read(&word_count.output, Isolation::ReadCommitted)?)
}

#[tokio::test]
async fn sigterm_stops_a_starting_program_soon_and_well() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(&broker, dir.path(), 2, true).await?;
    for after_ms in [0, 10, 30, 100, 300, 1000] {
        let mut program = word_count.start(&format!("after-{after_ms}"))?;
        program.wait_for_log("new=REBALANCING")?;
        std::thread::sleep(Duration::from_millis(after_ms));
        let began = Instant::now();
        let status = program.stop_within(SOON)?;
        anyhow::ensure!(status.success(), "{status} {after_ms} ms after the start:\n{}", program.log()?);
        anyhow::ensure!(began.elapsed() < SOON);
    }
    Ok(())
}

#[tokio::test]
async fn sigterm_stops_a_restoring_program_soon_and_well() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(&broker, dir.path(), 1, true).await?;
    let lines = ["one two", "two"];
    broker.write_lines(&word_count.input, lines)?;
    let program = word_count.start("one")?;
    word_count.expect_counts(&broker, &reference::count(lines))?;
    anyhow::ensure!(program.stop()?.success());

    // More to restore than a moment is enough for.
    let many = (0..1_000_000_u32).map(|i| Written::of(format!("other-{i}"), 1_i64.to_be_bytes()));
    broker.write(&word_count.changelog(), many)?;
    std::fs::remove_dir_all(word_count.state_dir("one"))?;
    let mut program = word_count.start("one")?;
    program.wait_for_log("restoring a store")?;
    let status = program.stop_within(SOON)?;
    let log = program.own_log()?;
    anyhow::ensure!(status.success(), "{status}: {log}");
    anyhow::ensure!(!log.contains("store restored"), "the restore was over before the program was asked to stop");

    // The next start goes on from there.
    broker.write_lines(&word_count.input, ["two three"])?;
    let program = word_count.start("one")?;
    word_count.expect_counts(&broker, &reference::count(["one two", "two", "two three"]))?;
    anyhow::ensure!(program.stop()?.success());
    reference::counts_only_grow(&broker.read(&word_count.output, Isolation::ReadCommitted)?)
}

/// Topics, application id and state directories of one test.
struct Place {
    broker: Broker,
    input: String,
    output: String,
    id: String,
    dir: tempfile::TempDir,
}

impl Place {
    async fn new(partitions: i32) -> anyhow::Result<Option<Place>> {
        let Some(broker) = Broker::get() else { return Ok(None) };
        let (input, output, id) = (broker.unique("texts"), broker.unique("copies"), broker.unique("copy"));
        broker.create_topic(&input, partitions).await?;
        broker.create_topic(&output, 1).await?;
        Ok(Some(Place { broker, input, output, id, dir: tempfile::tempdir()? }))
    }

    fn config(&self, instance: &str) -> StreamsConfig {
        in_process::config(&self.broker, &self.id, &self.dir.path().join(instance))
    }

    fn write(&self, partition: i32, texts: &[&str]) -> anyhow::Result<()> {
        let record = |text: &&str| Written { partition: Some(partition), ..Written::of("key", *text) };
        self.broker.write(&self.input, texts.iter().map(record))
    }

    /// The committed output.
    fn copies(&self) -> anyhow::Result<Vec<String>> {
        let records = self.broker.read(&self.output, Isolation::ReadCommitted)?;
        records.into_iter().map(|record| Ok(String::from_utf8(record.value.unwrap_or_default())?)).collect()
    }

    /// Waits until each of these is in the output, once.
    fn expect(&self, wanted: &[&str]) -> anyhow::Result<()> {
        let mut found = Vec::new();
        let waited = self.broker.wait_until(
            || {
                found = self.copies()?;
                Ok(found.len() >= wanted.len())
            },
            "everything is copied",
        );
        let (all, once): (BTreeSet<&str>, usize) = (found.iter().map(String::as_str).collect(), found.len());
        anyhow::ensure!(
            all == wanted.iter().copied().collect() && once == wanted.len(),
            "{found:?}, expected {wanted:?}"
        );
        waited
    }

    /// An instance that copies, and fails at the text `poison` as often as `poison` says.
    fn copying(&self, config: StreamsConfig, poison: &Arc<AtomicU32>) -> anyhow::Result<KafkaStreams> {
        let (builder, poison) = (StreamsBuilder::new(), poison.clone());
        let texts = builder.stream::<String, String>(self.input.as_str());
        texts.process((), move |()| Copying { poison: poison.clone() }).to(self.output.as_str());
        Ok(KafkaStreams::new(builder.build()?, config)?)
    }

    /// Two instances that share the poison and a policy, both running.
    async fn two(
        &self,
        poison: &Arc<AtomicU32>,
        policy: StreamThreadExceptionResponse,
    ) -> anyhow::Result<[KafkaStreams; 2]> {
        let instance = |name| -> anyhow::Result<KafkaStreams> {
            let streams = self.copying(self.config(name), poison)?;
            streams.set_uncaught_exception_handler(Arc::new(move |_| policy));
            streams.start()?;
            Ok(streams)
        };
        let both = [instance("one")?, instance("two")?];
        for streams in &both {
            in_process::until_running(streams).await?;
        }
        Ok(both)
    }
}

struct Copying {
    poison: Arc<AtomicU32>,
}

impl Processor for Copying {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = String;

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
        let take = |left: u32| left.checked_sub(1);
        if record.value == "poison" && self.poison.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
            return Err(Failure::processing("poisoned"));
        }
        cx.forward(record)
    }
}

#[tokio::test]
async fn a_source_topic_that_grows_is_read_from_its_new_partitions_too() -> anyhow::Result<()> {
    let Some(place) = Place::new(1).await? else { return Ok(()) };
    let config = place.config("one").metadata_max_age(Duration::from_secs(1));
    let streams = place.copying(config, &Arc::default())?;
    streams.start()?;
    place.write(0, &["a"])?;
    place.expect(&["a"])?;
    place.broker.grow_topic(&place.input, 3).await?;
    place.broker.wait_until(|| Ok(place.broker.partitions(&place.input)? == Some(3)), "the topic has grown")?;
    // Also what is written before anybody has noticed.
    place.write(2, &["b"])?;
    place.write(1, &["c"])?;
    place.write(0, &["d"])?;
    place.expect(&["a", "b", "c", "d"])?;
    in_process::close(&streams)
}

#[tokio::test]
async fn clean_up_removes_the_stores_of_this_machine_and_nothing_else() -> anyhow::Result<()> {
    let Some(place) = Place::new(1).await? else { return Ok(()) };
    let instance = || -> anyhow::Result<KafkaStreams> {
        let builder = StreamsBuilder::new();
        let texts = builder.stream::<String, String>(place.input.as_str());
        let counts =
            texts.group_by_key(Grouped::default()).count(Materialized::named("counts").with_caching_disabled());
        counts.to_stream().map_values(|count| format!("{count:?}")).to(place.output.as_str());
        Ok(KafkaStreams::new(builder.build()?, place.config("one"))?)
    };
    let streams = instance()?;
    streams.start()?;
    place.write(0, &["a", "b"])?;
    place.expect(&["Some(1)", "Some(2)"])?;
    let refused = streams.clean_up().map_err(|error| error.to_string());
    anyhow::ensure!(refused.as_ref().is_err_and(|error| error.contains("cannot clean up in state")), "{refused:?}");
    let task = place.dir.path().join("one").join(&place.id).join("0_0");
    anyhow::ensure!(task.is_dir(), "{} is not there", task.display());
    in_process::close(&streams)?;
    let changelog = format!("{}-counts-changelog", place.id);
    let before = (place.broker.bounds(&changelog, 0)?, place.broker.committed(&place.id, &place.input, 0)?);
    anyhow::ensure!(before.1 == Some(2), "{before:?}");
    streams.clean_up()?;
    anyhow::ensure!(!task.exists(), "{} is still there", task.display());
    let after = (place.broker.bounds(&changelog, 0)?, place.broker.committed(&place.id, &place.input, 0)?);
    anyhow::ensure!(before == after, "{before:?} before, {after:?} after");

    // So that the next start restores, and goes on counting. A fresh instance may clean up as well, while the closed one
    // is still there and may do so no more.
    let fresh = instance()?;
    fresh.clean_up()?;
    let refused = streams.clean_up().map_err(|error| error.to_string());
    anyhow::ensure!(refused.as_ref().is_err_and(|error| error.contains("in use by process")), "{refused:?}");
    fresh.start()?;
    place.write(0, &["c"])?;
    place.expect(&["Some(1)", "Some(2)", "Some(3)"])?;
    in_process::close(&fresh)
}

#[tokio::test]
async fn replace_thread_puts_a_new_thread_in_the_place_of_the_failed_one() -> anyhow::Result<()> {
    let Some(place) = Place::new(2).await? else { return Ok(()) };
    let poison = Arc::new(AtomicU32::new(2));
    let both = place.two(&poison, StreamThreadExceptionResponse::ReplaceThread).await?;
    place.write(0, &["a", "poison", "b"])?;
    place.write(1, &["c"])?;
    place.expect(&["a", "poison", "b", "c"])?;
    anyhow::ensure!(poison.load(Ordering::SeqCst) == 0, "the poison had no effect");
    for streams in &both {
        in_process::until_running(streams).await?;
        anyhow::ensure!(streams.failure().is_none(), "{:?}", streams.failure());
        anyhow::ensure!(streams.thread_states() == [ThreadState::Running], "{:?}", streams.thread_states());
    }
    both.iter().try_for_each(in_process::close)
}

#[tokio::test]
async fn shutdown_client_ends_one_instance_and_another_takes_over() -> anyhow::Result<()> {
    let Some(place) = Place::new(2).await? else { return Ok(()) };
    let both = place.two(&Arc::new(AtomicU32::new(1)), StreamThreadExceptionResponse::ShutdownClient).await?;
    place.write(0, &["a", "poison", "b"])?;
    place.write(1, &["c"])?;
    place.expect(&["a", "poison", "b", "c"])?;
    let failed = || both.iter().filter(|streams| streams.state() == State::Error).count();
    place.broker.wait_until(|| Ok(failed() == 1), "the failed instance is in state ERROR")?;
    for streams in &both {
        match streams.state() {
            State::Error => {
                let failure = streams.failure().unwrap_or_default();
                let parts = ["task 0_0", place.input.as_str(), "partition 0", "offset 1", "poisoned"];
                anyhow::ensure!(parts.iter().all(|part| failure.contains(part)), "{failure}");
            }
            _ => in_process::until_running(streams).await?,
        }
    }
    both.iter().try_for_each(in_process::close)
}

#[tokio::test]
async fn shutdown_application_ends_all_instances_and_loses_nothing() -> anyhow::Result<()> {
    let Some(place) = Place::new(2).await? else { return Ok(()) };
    let both = place.two(&Arc::new(AtomicU32::new(1)), StreamThreadExceptionResponse::ShutdownApplication).await?;
    place.write(1, &["c"])?;
    place.write(0, &["a", "poison", "b"])?;
    for streams in &both {
        in_process::wait_for(streams, State::Error).await?;
    }
    let reasons: Vec<String> = both.iter().map(|streams| streams.failure().unwrap_or_default()).collect();
    anyhow::ensure!(reasons.iter().any(|reason| reason.contains("poisoned")), "{reasons:?}");
    anyhow::ensure!(reasons.iter().any(|reason| reason.contains("asked all instances to shut down")), "{reasons:?}");
    drop(both);
    let streams = place.copying(place.config("one"), &Arc::default())?;
    streams.start()?;
    place.expect(&["a", "poison", "b", "c"])?;
    in_process::close(&streams)
}

#[tokio::test]
async fn a_panic_of_the_users_code_ends_the_instance_as_an_error_and_loses_nothing() -> anyhow::Result<()> {
    let Some(place) = Place::new(1).await? else { return Ok(()) };
    place.write(0, &["a", "poison", "b"])?;
    let builder = StreamsBuilder::new();
    let texts = builder.stream::<String, String>(place.input.as_str());
    let picky = |text: String| {
        assert!(text != "poison", "this text is poison");
        text
    };
    texts.map_values(picky).to(place.output.as_str());
    let streams = KafkaStreams::new(builder.build()?, place.config("one"))?;
    let error = in_process::failure_of(streams).await?;
    anyhow::ensure!(error.contains("this text is poison"), "{error}");
    let streams = place.copying(place.config("one"), &Arc::default())?;
    streams.start()?;
    place.expect(&["a", "poison", "b"])?;
    in_process::close(&streams)
}
