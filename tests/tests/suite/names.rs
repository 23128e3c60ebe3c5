//! The migration trap: a JVM application without names is replaced by one of ours that numbers in another way.

use kafka_streams::prelude::*;
use kafka_streams_tests::{Broker, Isolation, Jvm, WordCount, in_process, reference};

/// The word count of the JVM's program, without names.
fn unnamed(word_count: &WordCount, naming: Naming) -> anyhow::Result<Topology> {
    let builder = StreamsBuilder::with_naming(naming);
    builder
        .stream::<Option<String>, String>(word_count.input.as_str())
        .flat_map_values(|line| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
        .group_by(|_, word| word.clone(), Grouped::default())
        .count(Materialized::default())
        .to_stream()
        .to(word_count.output.as_str());
    Ok(builder.build()?)
}

#[tokio::test]
async fn a_jvm_application_without_names_is_continued_with_its_numbering_only() -> anyhow::Result<()> {
    let (Some(broker), Some(jvm)) = (Broker::get(), Jvm::get()) else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(&broker, dir.path(), 2, true).await?;
    let text = reference::text(40_000, 111);
    let (before, after) = text.split_at(text.len() / 2);
    broker.write_lines(&word_count.input, before.iter().map(String::as_str))?;
    let program = jvm.start_unnamed_word_count(&word_count, "jvm")?;
    word_count.expect_counts(&broker, &reference::count(before.iter().map(String::as_str)))?;
    // A JVM that was asked to end by a signal has no exit code of its own.
    program.stop()?;
    let prefix = format!("{}-", word_count.application_id);
    let internal = || -> anyhow::Result<Vec<String>> {
        Ok(broker.topics()?.into_iter().filter(|topic| topic.starts_with(&prefix)).collect())
    };
    let topics = internal()?;
    broker.write_lines(&word_count.input, after.iter().map(String::as_str))?;

    // Ours would begin to count anew, beside the JVM's state.
    let config = |name: &str| in_process::config(&broker, &word_count.application_id, &word_count.state_dir(name));
    let trapped = KafkaStreams::new(unnamed(&word_count, Naming::PerClass)?, config("trapped"))?;
    let error = in_process::failure_of(trapped).await?;
    anyhow::ensure!(topics.iter().any(|topic| error.contains(topic)), "{topics:?} are not in: {error}");
    for part in ["does not exist", "Naming::Jvm", "explicitly", "application.id"] {
        anyhow::ensure!(error.contains(part), "`{part}` is not in: {error}");
    }
    anyhow::ensure!(internal()? == topics, "topics were made all the same: {:?}", internal()?);

    let streams = KafkaStreams::new(unnamed(&word_count, Naming::Jvm)?, config("ours"))?;
    streams.start()?;
    word_count.expect_counts(&broker, &reference::count(text.iter().map(String::as_str)))?;
    in_process::close(&streams)?;
    anyhow::ensure!(internal()? == topics, "{:?} instead of {topics:?}", internal()?);
    reference::counts_only_grow(&broker.read(&word_count.output, Isolation::ReadCommitted)?)
}
