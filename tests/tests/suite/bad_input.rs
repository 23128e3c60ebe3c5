//! Records that cannot be used, and topics that are not as they should be: a clear error or the policy that was chosen,
//! and nothing that was committed is lost.

use std::time::Duration;

use kafka_streams::prelude::*;
use kafka_streams_tests::broker::PATIENCE;
use kafka_streams_tests::{Broker, Isolation, Record as Written, WordCount, in_process, reference};

/// Topics, application id and state directory of one test.
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
        let (input, output) = (broker.unique("numbers"), broker.unique("tens"));
        broker.create_topic(&input, partitions).await?;
        broker.create_topic(&output, 1).await?;
        let id = broker.unique("ten-times");
        Ok(Some(Place { broker, input, output, id, dir: tempfile::tempdir()? }))
    }

    fn config(&self) -> StreamsConfig {
        in_process::config(&self.broker, &self.id, self.dir.path())
    }

    /// An application that writes ten times each number.
    fn ten_times(&self, config: StreamsConfig) -> anyhow::Result<KafkaStreams> {
        let builder = StreamsBuilder::new();
        builder.stream::<String, i64>(self.input.as_str()).map_values(|number| number * 10).to(self.output.as_str());
        Ok(KafkaStreams::new(builder.build()?, config)?)
    }

    /// What is in the output, committed, in order: keys and numbers.
    fn written(&self) -> anyhow::Result<Vec<(Option<String>, i64)>> {
        let records = self.broker.read(&self.output, Isolation::ReadCommitted)?;
        let row = |record: kafka_streams_tests::Seen| {
            let key = record.key.map(String::from_utf8).transpose()?;
            Ok((key, i64::from_be_bytes(record.value.unwrap_or_default().as_slice().try_into()?)))
        };
        records.into_iter().map(row).collect()
    }

    fn expect(&self, wanted: &[(&str, i64)]) -> anyhow::Result<()> {
        let wanted: Vec<_> = wanted.iter().map(|(key, number)| (Some((*key).to_owned()), *number)).collect();
        let mut found = Vec::new();
        let waited = self.broker.wait_until(
            || {
                found = self.written()?;
                Ok(found.len() >= wanted.len())
            },
            "the numbers are written",
        );
        anyhow::ensure!(found == wanted, "{found:?}, expected {wanted:?}");
        waited
    }
}

fn number(key: &str, number: i64) -> Written {
    Written { partition: Some(0), ..Written::of(key, number.to_be_bytes()) }
}

/// Checks that a text says all of these.
fn says(text: &str, parts: &[&str]) -> anyhow::Result<()> {
    for part in parts {
        anyhow::ensure!(text.contains(part), "`{part}` is not in: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn an_undecodable_record_stops_the_application_and_the_error_names_it() -> anyhow::Result<()> {
    let Some(place) = Place::new(1).await? else { return Ok(()) };
    place.broker.write(&place.input, [number("a", 1), Written::of("b", [1, 2, 3]), number("c", 3)])?;
    let error = in_process::failure_of(place.ten_times(place.config())?).await?;
    let topic = format!("topic {}", place.input);
    says(&error, &["task 0_0", &topic, "partition 0", "offset 1", "cannot deserialize the value"])?;
    anyhow::ensure!(
        !place.written()?.iter().any(|(_, number)| *number == 30),
        "what follows was processed all the same"
    );

    // Nothing is lost or double once the policy is another one.
    let streams = place.ten_times(place.config().deserialization_exception_handler(LogAndContinue))?;
    streams.start()?;
    place.expect(&[("a", 10), ("c", 30)])?;
    in_process::close(&streams)
}

#[tokio::test]
async fn an_undecodable_record_is_skipped_by_log_and_continue() -> anyhow::Result<()> {
    let Some(place) = Place::new(1).await? else { return Ok(()) };
    let bad = || Written::of("b", [1, 2, 3]);
    place.broker.write(&place.input, [bad(), number("a", 1), bad(), bad(), number("c", 3), bad()])?;
    let by_name = place.config().property(
        "deserialization.exception.handler",
        "org.apache.kafka.streams.errors.LogAndContinueExceptionHandler",
    );
    let streams = place.ten_times(by_name)?;
    streams.start()?;
    place.expect(&[("a", 10), ("c", 30)])?;
    // The position moves past the last record too, although nothing was written for it.
    let committed = || place.broker.committed(&place.id, &place.input, 0);
    place.broker.wait_until(|| Ok(committed()? == Some(6)), "the skipped record is committed")?;
    in_process::close(&streams)
}

#[tokio::test]
async fn a_null_where_the_type_has_none_is_an_error_that_says_what_to_do() -> anyhow::Result<()> {
    let Some(place) = Place::new(1).await? else { return Ok(()) };
    place.broker.write(&place.input, [Written { key: None, ..number("", 1) }])?;
    let error = in_process::failure_of(place.ten_times(place.config())?).await?;
    says(&error, &["offset 0", "cannot deserialize the key", "null found where", "Option<"])
}

#[tokio::test]
async fn a_null_key_is_dropped_where_a_key_is_needed() -> anyhow::Result<()> {
    let Some(place) = Place::new(1).await? else { return Ok(()) };
    let no_key = || Written { key: None, ..number("", 7) };
    place.broker.write(&place.input, [no_key(), number("a", 1), no_key(), number("a", 2)])?;
    let builder = StreamsBuilder::new();
    let numbers = builder.stream::<Option<String>, i64>(place.input.as_str());
    numbers.group_by_key(Grouped::default()).count(Materialized::named("counts")).to_stream().to(place.output.as_str());
    let streams = KafkaStreams::new(builder.build()?, place.config().statestore_cache_max_bytes(0))?;
    streams.start()?;
    place.expect(&[("a", 1), ("a", 2)])?;
    in_process::close(&streams)
}

#[tokio::test]
async fn a_negative_timestamp_stops_the_application_or_is_skipped_by_the_extractor() -> anyhow::Result<()> {
    let Some(place) = Place::new(1).await? else { return Ok(()) };
    place
        .broker
        .write(&place.input, [number("a", 1), Written { timestamp: Some(-5), ..number("b", 2) }, number("c", 3)])?;
    let stored = place.broker.read(&place.input, Isolation::ReadCommitted)?;
    anyhow::ensure!(stored.iter().map(|record| record.timestamp < 0).eq([false, true, false]), "{stored:?}");

    let error = in_process::failure_of(place.ten_times(place.config())?).await?;
    says(&error, &["task 0_0", &place.input, "offset 1", "timestamp", "negative"])?;
    let skipping = place
        .config()
        .property("default.timestamp.extractor", "org.apache.kafka.streams.processor.LogAndSkipOnInvalidTimestamp");
    let streams = place.ten_times(skipping)?;
    streams.start()?;
    place.expect(&[("a", 10), ("c", 30)])?;
    in_process::close(&streams)
}

/// An application that writes texts of given sizes to a topic that takes no more than 10,000 bytes, and reads a text of
/// 50,000 between others.
struct TooLarge {
    broker: Broker,
    input: String,
    output: String,
    id: String,
    dir: tempfile::TempDir,
}

impl TooLarge {
    async fn new() -> anyhow::Result<Option<TooLarge>> {
        Self::with(&[10, 50_000, 20]).await
    }

    async fn with(sizes: &[i64]) -> anyhow::Result<Option<TooLarge>> {
        let Some(broker) = Broker::get() else { return Ok(None) };
        let (input, output, id) = (broker.unique("sizes"), broker.unique("texts"), broker.unique("texts"));
        broker.create_topic(&input, 1).await?;
        broker.create_topic_with(&output, 1, &[("max.message.bytes", "10000")]).await?;
        broker.write(&input, sizes.iter().map(|size| number("a", *size)))?;
        Ok(Some(TooLarge { broker, input, output, id, dir: tempfile::tempdir()? }))
    }

    fn config(&self) -> StreamsConfig {
        in_process::config(&self.broker, &self.id, self.dir.path())
    }

    fn texts(&self, config: StreamsConfig) -> anyhow::Result<KafkaStreams> {
        let builder = StreamsBuilder::new();
        let text = |size: i64| "x".repeat(usize::try_from(size).unwrap_or_default());
        builder.stream::<String, i64>(self.input.as_str()).map_values(text).to(self.output.as_str());
        Ok(KafkaStreams::new(builder.build()?, config)?)
    }

    /// Waits until the others are written.
    fn expect_the_others(&self) -> anyhow::Result<()> {
        self.expect(&[10, 20])
    }

    /// Waits until texts of these sizes are written, in this order.
    fn expect(&self, sizes: &[usize]) -> anyhow::Result<()> {
        let lengths = || -> anyhow::Result<Vec<usize>> {
            let records = self.broker.read(&self.output, Isolation::ReadCommitted)?;
            Ok(records.iter().map(|record| record.value.as_deref().unwrap_or_default().len()).collect())
        };
        self.broker.wait_at_most(Duration::from_secs(20), &mut || Ok(lengths()? == sizes), "the texts are written")
    }
}

#[tokio::test]
async fn a_record_that_is_refused_before_it_is_sent_is_the_production_handlers_matter() -> anyhow::Result<()> {
    let Some(texts) = TooLarge::new().await? else { return Ok(()) };
    let config = || texts.config().property("producer.max.request.size", "10000");
    let error = in_process::failure_of(texts.texts(config())?).await?;
    says(&error, &["task 0_0", &texts.output, "refused"])?;
    let streams = texts.texts(config().production_exception_handler(LogAndContinue))?;
    streams.start()?;
    texts.expect_the_others()?;
    in_process::close(&streams)
}

#[tokio::test]
async fn a_record_that_the_broker_refuses_ends_an_exactly_once_application_whatever_the_handler() -> anyhow::Result<()>
{
    let Some(texts) = TooLarge::new().await? else { return Ok(()) };
    let error =
        in_process::failure_of(texts.texts(texts.config().production_exception_handler(LogAndContinue))?).await?;
    says(&error, &["task 0_0", &texts.output, "MSG_SIZE_TOO_LARGE", "refused"])
}

#[tokio::test]
async fn a_record_that_the_broker_refuses_is_skipped_without_its_neighbours_at_least_once() -> anyhow::Result<()> {
    let Some(texts) = TooLarge::new().await? else { return Ok(()) };
    let config = texts.config().processing_guarantee(ProcessingGuarantee::AtLeastOnce);
    let streams = texts.texts(config.production_exception_handler(LogAndContinue))?;
    streams.start()?;
    texts.expect_the_others()?;
    in_process::close(&streams)
}

#[tokio::test]
async fn records_that_are_only_too_large_together_are_written_one_by_one() -> anyhow::Result<()> {
    for guarantee in [ProcessingGuarantee::AtLeastOnce, ProcessingGuarantee::ExactlyOnceV2] {
        let Some(texts) = TooLarge::with(&[]).await? else { return Ok(()) };
        let sizes: Vec<usize> = (0..60).map(|i| 2_000 + i).collect();
        texts.broker.write(&texts.input, sizes.iter().map(|size| number("a", i64::try_from(*size).unwrap_or(0))))?;
        let streams = texts.texts(texts.config().processing_guarantee(guarantee))?;
        streams.start()?;
        texts.expect(&sizes)?;
        // Afterwards batches are made again, and the position moves on.
        texts.broker.write(&texts.input, [number("a", 1), number("a", 2)])?;
        texts.expect(&[&sizes[..], &[1, 2]].concat())?;
        let committed = || texts.broker.committed(&texts.id, &texts.input, 0);
        // Markers of transactions are no records of the input.
        texts.broker.wait_until(|| Ok(committed()? == Some(62)), "all is committed")?;
        in_process::close(&streams)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_missing_source_topic_is_an_error_that_names_it() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let mut word_count = WordCount::new(&broker, dir.path(), 1, true).await?;
    word_count.input = broker.unique("missing");
    let error = word_count.start("one")?.failure()?;
    says(&error, &["source topics do not exist", &word_count.input, "create them"])
}

#[tokio::test]
async fn a_source_topic_that_is_deleted_is_an_error_that_names_it() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(&broker, dir.path(), 2, true).await?.with("metadata.max.age.ms", "1000");
    broker.write_lines(&word_count.input, ["one two", "two"])?;
    let mut program = word_count.start("one")?;
    word_count.expect_counts(&broker, &reference::count(["one two", "two"]))?;
    broker.delete_topic(&word_count.input).await?;
    says(&program.failure()?, &["source topics do not exist", &word_count.input])
}

#[tokio::test]
async fn a_missing_output_topic_is_waited_for_until_the_task_timeout() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let mut word_count = WordCount::new(&broker, dir.path(), 1, true).await?.with("task.timeout.ms", "3000");
    word_count.output = broker.unique("missing");
    let text = reference::text(5_000, 41);
    broker.write_lines(&word_count.input, text.iter().map(String::as_str))?;
    let error = word_count.start("one")?.failure()?;
    says(&error, &["output topic", &word_count.output])?;

    let mut program = word_count.start("one")?;
    program.wait_for_log("looking up output topic")?;
    broker.create_topic(&word_count.output, 1).await?;
    word_count.expect_counts(&broker, &reference::count(text.iter().map(String::as_str)))?;
    anyhow::ensure!(program.stop()?.success());
    reference::counts_only_grow(&broker.read(&word_count.output, Isolation::ReadCommitted)?)
}

#[tokio::test]
async fn an_internal_topic_with_too_few_partitions_is_an_error_that_names_it() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(&broker, dir.path(), 3, true).await?;
    broker.create_topic(&word_count.changelog(), 2).await?;
    let error = word_count.start("one")?.failure()?;
    says(&error, &["internal topic", &word_count.changelog(), "exists with 2 partitions", "needs 3"])
}

#[tokio::test]
async fn a_source_topic_that_outgrows_its_changelog_is_an_error() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(&broker, dir.path(), 2, true).await?.with("metadata.max.age.ms", "1000");
    broker.write_lines(&word_count.input, ["one two", "two"])?;
    let mut program = word_count.start("one")?;
    word_count.expect_counts(&broker, &reference::count(["one two", "two"]))?;
    broker.grow_topic(&word_count.input, 3).await?;
    let parts = ["internal topic", &word_count.application_id, "exists with 2 partitions", "needs 3", "application"];
    says(&program.failure()?, &parts)?;
    // At the next start as well.
    says(&word_count.start("two")?.failure()?, &parts)
}

#[tokio::test]
async fn two_topologies_under_one_application_id_are_an_error() -> anyhow::Result<()> {
    let Some(place) = Place::new(2).await? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let mut word_count = WordCount::new(&place.broker, dir.path(), 2, true).await?;
    word_count.application_id = place.id.clone();
    let lines = ["one two", "two"];
    place.broker.write_lines(&word_count.input, lines)?;
    let mut program = word_count.start("one")?;
    word_count.expect_counts(&place.broker, &reference::count(lines))?;

    let other = place.ten_times(place.config())?;
    other.start()?;
    // Whoever is given a task of the other topology says so and ends.
    let ended = |program: &mut kafka_streams_tests::Program| -> anyhow::Result<bool> {
        Ok(!program.is_running()? || other.state() == State::Error)
    };
    place.broker.wait_at_most(
        Duration::from_secs(30),
        &mut || ended(&mut program),
        "one of the two ends with an error",
    )?;
    std::thread::sleep(Duration::from_millis(500));
    let text = match other.failure() {
        Some(failure) => failure,
        None => program.failure()?,
    };
    other.close(PATIENCE);
    says(&text, &["topology"])?;
    anyhow::ensure!(!text.contains("please report"), "a user's mistake is told as a defect of ours: {text}");
    // What was committed before is not lost.
    drop(program);
    let more = ["two three"];
    place.broker.write_lines(&word_count.input, more)?;
    let program = word_count.start("one")?;
    word_count.expect_counts(&place.broker, &reference::count(lines.into_iter().chain(more)))?;
    anyhow::ensure!(program.stop()?.success());
    Ok(())
}
