//! Restarts: the same application goes on where it stopped, with its state directory and without.

use kafka_streams_tests::program::records_restored;
use kafka_streams_tests::{Broker, Isolation, WordCount, reference};

async fn restart(wipe: bool, exactly_once: bool) -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(&broker, dir.path(), 2, exactly_once).await?;
    let text = reference::text(200_000, 3);
    let (before, after) = text.split_at(text.len() / 2);
    broker.write_lines(&word_count.input, before.iter().map(String::as_str))?;
    let program = word_count.start("one")?;
    word_count.expect_counts(&broker, &reference::count(before.iter().map(String::as_str)))?;
    anyhow::ensure!(program.stop()?.success());

    if wipe {
        std::fs::remove_dir_all(word_count.state_dir("one"))?;
    }
    broker.write_lines(&word_count.input, after.iter().map(String::as_str))?;
    let mut program = word_count.start("one")?;
    word_count.expect_counts(&broker, &reference::count(text.iter().map(String::as_str)))?;
    program.wait_for_log("RUNNING")?;
    let log = program.log()?;
    anyhow::ensure!(program.stop()?.success());

    let changelog = format!("{}-word-counts-changelog", word_count.application_id);
    let in_changelog = broker.read(&changelog, Isolation::ReadCommitted)?.len() as u64;
    let total = records_restored(&log);
    if wipe {
        anyhow::ensure!(total > 0 && total <= in_changelog, "{total} records restored of {in_changelog}");
    } else {
        anyhow::ensure!(total == 0, "{total} records restored, although everything was committed before the stop");
    }
    if exactly_once {
        reference::counts_only_grow(&broker.read(&word_count.output, Isolation::ReadCommitted)?)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_restart_with_its_state_directory_restores_nothing_exactly_once() -> anyhow::Result<()> {
    restart(false, true).await
}

#[tokio::test]
async fn a_restart_with_its_state_directory_restores_nothing_at_least_once() -> anyhow::Result<()> {
    restart(false, false).await
}

#[tokio::test]
async fn a_restart_without_its_state_directory_restores_everything_exactly_once() -> anyhow::Result<()> {
    restart(true, true).await
}

#[tokio::test]
async fn a_restart_without_its_state_directory_restores_everything_at_least_once() -> anyhow::Result<()> {
    restart(true, false).await
}
