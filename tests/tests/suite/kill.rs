//! kill -9 at random moments under exactly-once, with two instances: nothing lost, nothing double.

use std::time::Duration;

use kafka_streams_tests::{Broker, Isolation, Program, WordCount, reference};

fn kills() -> u32 {
    std::env::var("KAFKA_STREAMS_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5)
}

#[tokio::test]
async fn exactly_once_survives_kills_at_random_moments() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(&broker, dir.path(), 4, true).await?;
    let kills = kills();
    let seed = u64::from(std::process::id());
    let mut moments = reference::Moments::new(seed);
    let mut all: Vec<String> = Vec::new();
    let names = ["first", "second"];
    let mut running: Vec<Option<Program>> = vec![Some(word_count.start(names[0])?), Some(word_count.start(names[1])?)];
    for kill in 0..kills {
        let lines = reference::text(20_000, u64::from(kill) + 1);
        broker.write_lines(&word_count.input, lines.iter().map(String::as_str))?;
        all.extend(lines);
        // Now in a commit, now in a rebalance, now in a restore: anywhere within the first seconds of a life.
        std::thread::sleep(Duration::from_millis(moments.below(1500)));
        let victim = usize::try_from(moments.below(2))?;
        if let Some(program) = running[victim].take() {
            program.kill()?;
        }
        running[victim] = Some(word_count.start(names[victim])?);
    }
    let expected = reference::count(all.iter().map(String::as_str));
    let counted = word_count.expect_counts_within(&broker, &expected, Duration::from_secs(120));
    let logs: Vec<String> = running.iter().flatten().map(|program| program.log().unwrap_or_default()).collect();
    counted.map_err(|error| error.context(format!("seed {seed}; last log:\n{}", tail(&logs[0]))))?;
    for program in running.into_iter().flatten() {
        anyhow::ensure!(program.stop()?.success());
    }
    reference::counts_only_grow(&broker.read(&word_count.output, Isolation::ReadCommitted)?)?;
    // S6: a store is wiped only for the reasons of the rule; a kill is none.
    for log in logs {
        anyhow::ensure!(!log.contains("store is wiped"), "a store was wiped:\n{}", tail(&log));
    }
    Ok(())
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
