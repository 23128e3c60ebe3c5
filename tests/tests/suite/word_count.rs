//! Word count over a text of a megabyte: the counts equal an independent count.

use kafka_streams_tests::{Broker, Isolation, WordCount, reference};

async fn word_count_is_right(partitions: i32, threads: u32, exactly_once: bool) -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let mut word_count = WordCount::new(&broker, dir.path(), partitions, exactly_once).await?;
    word_count.threads = threads;
    let text = reference::text(1 << 20, 1);
    broker.write_lines(&word_count.input, text.iter().map(String::as_str))?;
    let program = word_count.start("one")?;
    word_count.expect_counts(&broker, &reference::count(text.iter().map(String::as_str)))?;
    let status = program.stop()?;
    anyhow::ensure!(status.success(), "{status}");
    if exactly_once {
        reference::counts_only_grow(&broker.read(&word_count.output, Isolation::ReadCommitted)?)?;
    }
    Ok(())
}

#[tokio::test]
async fn one_partition_one_thread_at_least_once() -> anyhow::Result<()> {
    word_count_is_right(1, 1, false).await
}

#[tokio::test]
async fn one_partition_one_thread_exactly_once() -> anyhow::Result<()> {
    word_count_is_right(1, 1, true).await
}

#[tokio::test]
async fn four_partitions_one_thread_at_least_once() -> anyhow::Result<()> {
    word_count_is_right(4, 1, false).await
}

#[tokio::test]
async fn four_partitions_one_thread_exactly_once() -> anyhow::Result<()> {
    word_count_is_right(4, 1, true).await
}

#[tokio::test]
async fn four_partitions_three_threads_at_least_once() -> anyhow::Result<()> {
    word_count_is_right(4, 3, false).await
}

#[tokio::test]
async fn four_partitions_three_threads_exactly_once() -> anyhow::Result<()> {
    word_count_is_right(4, 3, true).await
}

#[tokio::test]
async fn one_partition_three_threads_exactly_once() -> anyhow::Result<()> {
    word_count_is_right(1, 3, true).await
}

#[tokio::test]
async fn kafka_3_9_runs_the_word_count_too() -> anyhow::Result<()> {
    let Some(broker) = Broker::older() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(&broker, dir.path(), 2, true).await?;
    let text = reference::text(100_000, 2);
    broker.write_lines(&word_count.input, text.iter().map(String::as_str))?;
    let program = word_count.start("one")?;
    word_count.expect_counts(&broker, &reference::count(text.iter().map(String::as_str)))?;
    anyhow::ensure!(program.stop()?.success());
    Ok(())
}
