//! S10: the process kills itself at each named point of the commit cycle, and the counts are right all the same.

use std::path::Path;

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

/// The word count as it usually is.
async fn crash_at(point: &str, after: u32, exactly_once: bool, return_to: Return) -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(&broker, dir.path(), 1, exactly_once).await?;
    let wish = ["--crash-at".to_owned(), point.to_owned(), "--after".to_owned(), after.to_string()];
    crash(&broker, &word_count, reference::text(60_000, 4), &wish, return_to)
}

/// A word count whose store spills when its cache is flushed: many words, a long commit interval, and a small share of
/// the smallest memory for each thread.
async fn crash_of_a_spill(point: &str, after: u32, exactly_once: bool, return_to: Return) -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let mut word_count = WordCount::new(&broker, dir.path(), 1, exactly_once).await?;
    word_count.threads = 4;
    let word_count = word_count.with("memory.budget.bytes", "8388608").with("commit.interval.ms", "1500");
    let words: Vec<String> = (0..20_000).map(|n| format!("s{n}")).collect();
    let text = words.chunks(10).map(|words| words.join(" ")).collect();
    let wish = ["--once-spilled", "--crash-at", point, "--after"].map(str::to_owned);
    let wish: Vec<String> = wish.into_iter().chain([after.to_string()]).collect();
    crash(&broker, &word_count, text, &wish, return_to)
}

fn crash(
    broker: &Broker,
    word_count: &WordCount,
    text: Vec<String>,
    wish: &[String],
    return_to: Return,
) -> anyhow::Result<()> {
    let exactly_once = word_count.exactly_once;
    broker.write_lines(&word_count.input, text.iter().map(String::as_str))?;
    let crashing = Path::new(env!("CARGO_BIN_EXE_crashing-word-count"));
    if wish.iter().any(|word| word == "InRestore") {
        // There must be something to restore first.
        let program = word_count.start("here")?;
        word_count.expect_counts(broker, &reference::count(text.iter().map(String::as_str)))?;
        anyhow::ensure!(program.stop()?.success());
        std::fs::remove_dir_all(word_count.state_dir("here"))?;
    }
    let mut all = text;
    let mut crashed = word_count.start_program(crashing, "here", wish)?;
    let status = word_count.feed_until_it_ends(broker, &mut crashed, &mut all)?;
    anyhow::ensure!(!status.success(), "the point was never reached: {wish:?}");

    let places: &[&str] = match return_to {
        Return::Here => &["here"],
        Return::Elsewhere => &["elsewhere"],
        Return::ElsewhereAndHere => &["elsewhere", "here"],
    };
    for (i, place) in places.iter().enumerate() {
        let program = word_count.start(place)?;
        let more = reference::text(5_000, 5 + i as u64);
        broker.write_lines(&word_count.input, more.iter().map(String::as_str))?;
        all.extend(more);
        if exactly_once {
            word_count.expect_counts(broker, &reference::count(all.iter().map(String::as_str)))?;
            anyhow::ensure!(program.stop()?.success());
        } else {
            at_least_once_lost_nothing(broker, word_count, &all)?;
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
    ($crash:ident; $($name:ident: $point:literal, after $after:literal;)*) => {$(
        mod $name {
            use super::{Return, $crash};

            #[tokio::test]
            async fn s10_exactly_once_and_the_task_returns_here() -> anyhow::Result<()> {
                $crash($point, $after, true, Return::Here).await
            }

            #[tokio::test]
            async fn s10_exactly_once_and_the_task_goes_elsewhere() -> anyhow::Result<()> {
                $crash($point, $after, true, Return::Elsewhere).await
            }

            #[tokio::test]
            async fn s10_exactly_once_and_the_task_goes_elsewhere_and_comes_back() -> anyhow::Result<()> {
                $crash($point, $after, true, Return::ElsewhereAndHere).await
            }

            #[tokio::test]
            async fn s10_at_least_once_and_the_task_returns_here() -> anyhow::Result<()> {
                $crash($point, $after, false, Return::Here).await
            }

            #[tokio::test]
            async fn s10_at_least_once_and_the_task_goes_elsewhere() -> anyhow::Result<()> {
                $crash($point, $after, false, Return::Elsewhere).await
            }

            #[tokio::test]
            async fn s10_at_least_once_and_the_task_goes_elsewhere_and_comes_back() -> anyhow::Result<()> {
                $crash($point, $after, false, Return::ElsewhereAndHere).await
            }
        }
    )*};
}

crash_table! {
    crash_at;
    before_the_flush: "BeforeFlush", after 1;
    after_the_flush: "AfterFlush", after 1;
    before_the_stores: "BeforeStores", after 1;
    after_the_stores: "AfterStores", after 1;
    after_the_first_commit: "AfterCommit", after 0;
    in_a_restore: "InRestore", after 0;
}

crash_table! {
    crash_of_a_spill;
    in_a_spill: "InSpill", after 1;
    before_the_commit_of_a_spill: "BeforeStores", after 0;
    after_the_commit_of_a_spill: "AfterStores", after 0;
}

/// Moments that only a transaction has.
macro_rules! crash_table_of_transactions {
    ($crash:ident; $($name:ident: $point:literal, after $after:literal;)*) => {$(
        mod $name {
            use super::{Return, $crash};

            #[tokio::test]
            async fn s10_exactly_once_and_the_task_returns_here() -> anyhow::Result<()> {
                $crash($point, $after, true, Return::Here).await
            }

            #[tokio::test]
            async fn s10_exactly_once_and_the_task_goes_elsewhere() -> anyhow::Result<()> {
                $crash($point, $after, true, Return::Elsewhere).await
            }

            #[tokio::test]
            async fn s10_exactly_once_and_the_task_goes_elsewhere_and_comes_back() -> anyhow::Result<()> {
                $crash($point, $after, true, Return::ElsewhereAndHere).await
            }
        }
    )*};
}

crash_table_of_transactions! {
    crash_at;
    after_the_offsets_were_sent: "AfterOffsets", after 1;
    after_the_end_of_the_transaction_was_sent: "AfterEndTxnSent", after 1;
}
