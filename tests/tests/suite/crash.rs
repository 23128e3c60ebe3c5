//! S10: the process kills itself at each named point of the commit cycle, and the counts are right all the same.

use std::path::Path;
use std::time::Duration;

use kafka_streams_tests::{Broker, Isolation, WordCount, reference};

/// Where the task comes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    /// In the same state directory.
    Here,
    /// In another one.
    Elsewhere,
    /// In another one, and then in the first one again.
    ElsewhereAndHere,
}

async fn crash_at(point: &str, after: u32, exactly_once: bool, return_to: Return) -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(&broker, dir.path(), 1, exactly_once).await?;
    let text = reference::text(60_000, 4);
    broker.write_lines(&word_count.input, text.iter().map(String::as_str))?;
    let crashing = Path::new(env!("CARGO_BIN_EXE_crashing-word-count"));
    let wish = ["--crash-at".to_owned(), point.to_owned(), "--after".to_owned(), after.to_string()];
    if point == "InRestore" {
        // There must be something to restore first.
        let program = word_count.start("here")?;
        word_count.expect_counts(&broker, &reference::count(text.iter().map(String::as_str)))?;
        anyhow::ensure!(program.stop()?.success());
        std::fs::remove_dir_all(word_count.state_dir("here"))?;
    }
    let mut crashed = word_count.start_program(crashing, "here", &wish)?;
    let status = crashed.wait(Duration::from_secs(60))?;
    anyhow::ensure!(!status.success(), "{point} was never reached");

    let places: &[&str] = match return_to {
        Return::Here => &["here"],
        Return::Elsewhere => &["elsewhere"],
        Return::ElsewhereAndHere => &["elsewhere", "here"],
    };
    let mut all = text.clone();
    for (i, place) in places.iter().enumerate() {
        let program = word_count.start(place)?;
        let more = reference::text(5_000, 5 + i as u64);
        broker.write_lines(&word_count.input, more.iter().map(String::as_str))?;
        all.extend(more);
        if exactly_once {
            word_count.expect_counts(&broker, &reference::count(all.iter().map(String::as_str)))?;
            anyhow::ensure!(program.stop()?.success());
        } else {
            at_least_once_lost_nothing(&broker, &word_count, &all)?;
            anyhow::ensure!(program.stop()?.success());
        }
    }
    if exactly_once {
        reference::counts_only_grow(&broker.read(&word_count.output, Isolation::ReadCommitted)?)?;
    }
    Ok(())
}

/// At-least-once may count twice what was in flight, and never less.
fn at_least_once_lost_nothing(broker: &Broker, word_count: &WordCount, lines: &[String]) -> anyhow::Result<()> {
    let expected = reference::count(lines.iter().map(String::as_str));
    broker.wait_until(
        || {
            let found = reference::last_counts(&broker.read(&word_count.output, Isolation::ReadCommitted)?)?;
            Ok(expected.iter().all(|(word, count)| found.get(word).is_some_and(|found| found >= count)))
        },
        "no count is too low",
    )
}

macro_rules! crash_table {
    ($($name:ident: $point:literal, after $after:literal;)*) => {$(
        mod $name {
            use super::{Return, crash_at};

            #[tokio::test]
            async fn s10_exactly_once_and_the_task_returns_here() -> anyhow::Result<()> {
                crash_at($point, $after, true, Return::Here).await
            }

            #[tokio::test]
            async fn s10_exactly_once_and_the_task_goes_elsewhere() -> anyhow::Result<()> {
                crash_at($point, $after, true, Return::Elsewhere).await
            }

            #[tokio::test]
            async fn s10_exactly_once_and_the_task_goes_elsewhere_and_comes_back() -> anyhow::Result<()> {
                crash_at($point, $after, true, Return::ElsewhereAndHere).await
            }

            #[tokio::test]
            async fn s10_at_least_once_and_the_task_returns_here() -> anyhow::Result<()> {
                crash_at($point, $after, false, Return::Here).await
            }

            #[tokio::test]
            async fn s10_at_least_once_and_the_task_goes_elsewhere() -> anyhow::Result<()> {
                crash_at($point, $after, false, Return::Elsewhere).await
            }

            #[tokio::test]
            async fn s10_at_least_once_and_the_task_goes_elsewhere_and_comes_back() -> anyhow::Result<()> {
                crash_at($point, $after, false, Return::ElsewhereAndHere).await
            }
        }
    )*};
}

crash_table! {
    before_the_flush: "BeforeFlush", after 1;
    after_the_flush: "AfterFlush", after 1;
    before_the_stores: "BeforeStores", after 1;
    after_the_stores: "AfterStores", after 1;
    after_the_first_commit: "AfterCommit", after 0;
    in_a_restore: "InRestore", after 0;
}

/// Moments that only a transaction has.
macro_rules! crash_table_of_transactions {
    ($($name:ident: $point:literal, after $after:literal;)*) => {$(
        mod $name {
            use super::{Return, crash_at};

            #[tokio::test]
            async fn s10_exactly_once_and_the_task_returns_here() -> anyhow::Result<()> {
                crash_at($point, $after, true, Return::Here).await
            }

            #[tokio::test]
            async fn s10_exactly_once_and_the_task_goes_elsewhere() -> anyhow::Result<()> {
                crash_at($point, $after, true, Return::Elsewhere).await
            }

            #[tokio::test]
            async fn s10_exactly_once_and_the_task_goes_elsewhere_and_comes_back() -> anyhow::Result<()> {
                crash_at($point, $after, true, Return::ElsewhereAndHere).await
            }
        }
    )*};
}

crash_table_of_transactions! {
    after_the_offsets_were_sent: "AfterOffsets", after 1;
    after_the_end_of_the_transaction_was_sent: "AfterEndTxnSent", after 1;
}
