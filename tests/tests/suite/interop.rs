//! Ours and JVM Kafka Streams in each other's place: the same names, topics and bytes, one after the other and side by
//! side in one group.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_streams_tests::{Broker, Isolation, Jvm, Program, WordCount, reference};

/// Who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ours,
    Jvm,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Ours => Side::Jvm,
            Side::Jvm => Side::Ours,
        }
    }

    /// Starts an instance, and waits until it is a member that runs.
    fn start(self, jvm: &Jvm, word_count: &WordCount) -> anyhow::Result<Program> {
        let mut program = match self {
            Side::Ours => word_count.start("ours")?,
            Side::Jvm => jvm.start_word_count(word_count, "jvm")?,
        };
        program.wait_for_log(match self {
            Side::Ours => "new=RUNNING",
            Side::Jvm => "READY",
        })?;
        Ok(program)
    }
}

/// One side counts half of the text and stops; the other one counts the rest.
async fn one_continues_the_other(first: Side, exactly_once: bool) -> anyhow::Result<()> {
    let (Some(broker), Some(jvm)) = (Broker::get(), Jvm::get()) else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(&broker, dir.path(), 2, exactly_once).await?;
    let text = reference::text(100_000, 21);
    let (before, after) = text.split_at(text.len() / 2);
    broker.write_lines(&word_count.input, before.iter().map(String::as_str))?;
    let program = first.start(&jvm, &word_count)?;
    word_count.expect_counts(&broker, &reference::count(before.iter().map(String::as_str)))?;
    stop(program, first)?;

    broker.write_lines(&word_count.input, after.iter().map(String::as_str))?;
    let program = first.other().start(&jvm, &word_count)?;
    let expected = reference::count(text.iter().map(String::as_str));
    word_count.expect_counts(&broker, &expected)?;
    stop(program, first.other())?;
    if exactly_once {
        reference::counts_only_grow(&broker.read(&word_count.output, Isolation::ReadCommitted)?)?;
    }
    changelog_holds(&broker, &word_count, &expected)
}

/// The changelog's bytes are those of either side: a word, and a count in 8 bytes; the timestamp is the record's.
fn changelog_holds(broker: &Broker, word_count: &WordCount, expected: &BTreeMap<String, i64>) -> anyhow::Result<()> {
    let changelog = format!("{}-word-counts-changelog", word_count.application_id);
    let records = broker.read(&changelog, Isolation::ReadCommitted)?;
    let found = reference::last_counts(&records)?;
    anyhow::ensure!(found == *expected, "the changelog holds {} words, expected {}", found.len(), expected.len());
    anyhow::ensure!(records.iter().all(|record| record.timestamp > 0), "a record of the changelog has no timestamp");
    Ok(())
}

/// One side runs, the other one joins under load, the first one stops: a rolling replacement.
async fn one_replaces_the_other(first: Side, settings: &[(&str, &str)]) -> anyhow::Result<()> {
    let (Some(broker), Some(jvm)) = (Broker::get(), Jvm::get()) else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let mut word_count = WordCount::new(&broker, dir.path(), 4, true).await?;
    for (key, value) in settings {
        word_count = word_count.with(key, value);
    }
    let mut all: Vec<String> = Vec::new();
    let mut feed = |seed: u64| -> anyhow::Result<()> {
        for part in 0..4 {
            let lines = reference::text(10_000, seed * 10 + part);
            broker.write_lines(&word_count.input, lines.iter().map(String::as_str))?;
            all.extend(lines);
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    };
    feed(31)?;
    let leaving = first.start(&jvm, &word_count)?;
    feed(32)?;
    let staying = first.other().start(&jvm, &word_count)?;
    broker.wait_until(|| both_have_tasks(&word_count), "both sides have tasks")?;
    feed(33)?;
    stop(leaving, first)?;
    feed(34)?;
    word_count.expect_counts(&broker, &reference::count(all.iter().map(String::as_str)))?;
    stop(staying, first.other())?;
    reference::counts_only_grow(&broker.read(&word_count.output, Isolation::ReadCommitted)?)
}

/// Ours runs some of the eight tasks, and not all of them; so the other side has the rest.
fn both_have_tasks(word_count: &WordCount) -> anyhow::Result<bool> {
    let mut running = std::collections::BTreeSet::new();
    for (_, task, _, what) in word_count.task_log("ours")? {
        if what == "acquired" {
            running.insert(task);
        } else {
            running.remove(&task);
        }
    }
    Ok((1..8).contains(&running.len()))
}

/// Stops a program. A JVM that was asked to end by a signal has no exit code of its own.
fn stop(program: Program, side: Side) -> anyhow::Result<()> {
    let status = program.stop()?;
    anyhow::ensure!(side == Side::Jvm || status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn the_jvm_continues_what_ours_counted_exactly_once() -> anyhow::Result<()> {
    one_continues_the_other(Side::Ours, true).await
}

#[tokio::test]
async fn ours_continues_what_the_jvm_counted_exactly_once() -> anyhow::Result<()> {
    one_continues_the_other(Side::Jvm, true).await
}

#[tokio::test]
async fn the_jvm_continues_what_ours_counted_at_least_once() -> anyhow::Result<()> {
    one_continues_the_other(Side::Ours, false).await
}

#[tokio::test]
async fn ours_continues_what_the_jvm_counted_at_least_once() -> anyhow::Result<()> {
    one_continues_the_other(Side::Jvm, false).await
}

#[tokio::test]
async fn ours_replaces_the_jvm_in_a_running_group() -> anyhow::Result<()> {
    one_replaces_the_other(Side::Jvm, &[]).await
}

#[tokio::test]
async fn ours_replaces_a_jvm_that_would_have_it_warm_up_first() -> anyhow::Result<()> {
    // The JVM leads, and gives an instance that lacks a single record of a store a warm-up replica instead of the task.
    one_replaces_the_other(Side::Jvm, &[("acceptable.recovery.lag", "0")]).await
}

#[tokio::test]
async fn the_jvm_replaces_ours_in_a_running_group() -> anyhow::Result<()> {
    one_replaces_the_other(Side::Ours, &[]).await
}

#[tokio::test]
async fn internal_topics_have_the_jvms_names_partitions_and_settings() -> anyhow::Result<()> {
    let (Some(broker), Some(jvm)) = (Broker::get(), Jvm::get()) else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let mut described = Vec::new();
    for side in [Side::Ours, Side::Jvm] {
        let word_count = WordCount::new(&broker, dir.path(), 3, false).await?;
        let program = side.start(&jvm, &word_count)?;
        stop(program, side)?;
        let prefix = format!("{}-", word_count.application_id);
        let topics: Vec<String> = broker.topics()?.into_iter().filter(|topic| topic.starts_with(&prefix)).collect();
        let mut arguments = vec![broker.bootstrap.as_str(), "describe"];
        arguments.extend(topics.iter().map(String::as_str));
        let text = jvm.run("tools.Topics", &arguments)?;
        // "topic NAME ID PARTITIONS KEY=VALUE…" without the application's name and the id.
        let line = |line: &str| {
            let mut fields: Vec<&str> = line.split(' ').collect();
            fields.remove(2);
            fields.join(" ").replace(&prefix, "")
        };
        described.push(text.lines().filter(|line| line.starts_with("topic ")).map(line).collect::<Vec<String>>());
    }
    anyhow::ensure!(described[0] == described[1], "ours: {:#?}\nthe JVM's: {:#?}", described[0], described[1]);
    anyhow::ensure!(described[0].len() == 2, "{:?}", described[0]);
    Ok(())
}
