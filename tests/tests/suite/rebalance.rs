//! A second instance joins and leaves under load: no task is in two places at once, and nothing is lost or double.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_streams_tests::{Broker, Isolation, WordCount, reference};

#[tokio::test]
async fn tasks_move_without_overlap_when_an_instance_joins_and_leaves() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(&broker, dir.path(), 4, true).await?;
    let mut all: Vec<String> = Vec::new();
    let mut feed = |seed: u64| -> anyhow::Result<()> {
        for part in 0..5 {
            let lines = reference::text(20_000, seed * 10 + part);
            broker.write_lines(&word_count.input, lines.iter().map(String::as_str))?;
            all.extend(lines);
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    };
    let mut first = word_count.start("first")?;
    feed(1)?;
    first.wait_for_log("RUNNING")?;
    let mut second = word_count.start("second")?;
    feed(2)?;
    second.wait_for_log("new=RUNNING")?;
    broker.wait_until(|| Ok(!word_count.task_log("second")?.is_empty()), "the second instance gets tasks")?;
    feed(3)?;
    anyhow::ensure!(second.stop()?.success());
    feed(4)?;
    word_count.expect_counts(&broker, &reference::count(all.iter().map(String::as_str)))?;
    anyhow::ensure!(first.stop()?.success());
    reference::counts_only_grow(&broker.read(&word_count.output, Isolation::ReadCommitted)?)?;
    no_overlap(&[word_count.task_log("first")?, word_count.task_log("second")?])
}

/// Each task's intervals between acquired and released, of all processes, do not overlap.
fn no_overlap(logs: &[Vec<(u128, String, i32, String)>]) -> anyhow::Result<()> {
    let mut events: Vec<(u128, &str, bool, usize)> = Vec::new();
    for (process, log) in logs.iter().enumerate() {
        events.extend(log.iter().map(|(time, task, _, what)| (*time, task.as_str(), what == "acquired", process)));
    }
    events.sort();
    let mut holders: BTreeMap<&str, usize> = BTreeMap::new();
    for (time, task, acquired, process) in events {
        if acquired {
            let other = holders.insert(task, process);
            anyhow::ensure!(
                other.is_none(),
                "task {task} is acquired by process {process} at {time} while {other:?} has it"
            );
        } else {
            holders.remove(task);
        }
    }
    Ok(())
}
