//! S5: persistent stores without a changelog, which nothing can bring back: they go on where they were, or it is an error.

use std::path::Path;

use kafka_streams_tests::{Broker, Isolation, Program, WordCount, reference};

/// A word count whose store has no changelog, and the lines that it was given.
struct Unlogged {
    broker: Broker,
    word_count: WordCount,
    lines: Vec<String>,
    _dir: tempfile::TempDir,
}

impl Unlogged {
    async fn new(exactly_once: bool) -> anyhow::Result<Option<Unlogged>> {
        let Some(broker) = Broker::get() else { return Ok(None) };
        let dir = tempfile::tempdir()?;
        let word_count = WordCount::new(&broker, dir.path(), 1, exactly_once).await?;
        Ok(Some(Unlogged { broker, word_count, lines: Vec::new(), _dir: dir }))
    }

    fn feed(&mut self, seed: u64) -> anyhow::Result<()> {
        let lines = reference::text(20_000, seed);
        self.broker.write_lines(&self.word_count.input, lines.iter().map(String::as_str))?;
        self.lines.extend(lines);
        Ok(())
    }

    fn start(&self, crash_at: &str) -> anyhow::Result<Program> {
        let crashing = Path::new(env!("CARGO_BIN_EXE_crashing-word-count"));
        // The first commit brings the words to the store's task; the second is that task's, too.
        let wish = ["--crash-at", crash_at, "--after", "1", "--unlogged"].map(str::to_owned);
        self.word_count.start_program(crashing, "one", &wish)
    }

    /// Runs until everything is counted, and stops.
    fn count(&self) -> anyhow::Result<()> {
        let program = self.start("Never")?;
        let expected = reference::count(self.lines.iter().map(String::as_str));
        match self.word_count.exactly_once {
            true => self.word_count.expect_counts(&self.broker, &expected)?,
            false => self.word_count.expect_at_least(&self.broker, &expected)?,
        }
        anyhow::ensure!(program.stop()?.success());
        anyhow::ensure!(!self.broker.topics()?.contains(&self.word_count.changelog()), "the store has a changelog");
        Ok(())
    }

    /// Runs until it ends by itself, with an error, which is the result, or until everything is counted.
    fn count_or_fail(&self) -> anyhow::Result<Option<String>> {
        let mut program = self.start("Never")?;
        let expected = reference::count(self.lines.iter().map(String::as_str));
        let mut ended = false;
        let mut done = || {
            ended = !program.is_running()?;
            let counts = self.broker.read(&self.word_count.output, Isolation::ReadCommitted)?;
            Ok(ended || reference::last_counts(&counts)? == expected)
        };
        self.broker.wait_until(&mut done, "everything is counted, or it is an error")?;
        if ended { program.failure().map(Some) } else { program.stop().map(|_| None) }
    }

    /// Runs until it kills itself at this point.
    fn crash_at(&mut self, point: &str) -> anyhow::Result<()> {
        let mut program = self.start(point)?;
        let status = self.word_count.feed_until_it_ends(&self.broker, &mut program, &mut self.lines)?;
        anyhow::ensure!(!status.success(), "{point} was never reached");
        Ok(())
    }
}

#[tokio::test]
async fn s5_a_store_without_a_changelog_goes_on_where_it_was_exactly_once() -> anyhow::Result<()> {
    let Some(mut unlogged) = Unlogged::new(true).await? else { return Ok(()) };
    unlogged.feed(131)?;
    unlogged.count()?;
    unlogged.feed(132)?;
    unlogged.count()?;
    // What a killed process had in a transaction is not in the store either.
    for (seed, point) in [(133, "AfterFlush"), (134, "AfterOffsets"), (135, "AfterStores"), (136, "AfterCommit")] {
        unlogged.feed(seed)?;
        unlogged.crash_at(point)?;
        unlogged.count()?;
    }
    reference::counts_only_grow(&unlogged.broker.read(&unlogged.word_count.output, Isolation::ReadCommitted)?)
}

#[tokio::test]
async fn s5_a_store_without_a_changelog_that_missed_a_transaction_is_an_error() -> anyhow::Result<()> {
    let Some(mut unlogged) = Unlogged::new(true).await? else { return Ok(()) };
    unlogged.feed(137)?;
    unlogged.count()?;
    let mut error = None;
    // The crash may come in a transaction in which the store's task did nothing.
    for seed in 150..160 {
        unlogged.feed(seed)?;
        unlogged.crash_at("BeforeStores")?;
        error = unlogged.count_or_fail()?;
        if error.is_some() {
            break;
        }
    }
    let error = error.ok_or_else(|| anyhow::anyhow!("the store never missed a transaction"))?;
    for part in ["word-counts", "1_0", "changelog", "logging"] {
        anyhow::ensure!(error.contains(part), "`{part}` is not in: {error}");
    }
    // Again, until somebody decides to do without.
    unlogged.start("Never")?.failure()?;
    std::fs::remove_dir_all(unlogged.word_count.state_dir("one"))?;
    unlogged.broker.write_lines(&unlogged.word_count.input, ["unseen"])?;
    let program = unlogged.start("Never")?;
    let seen = || {
        let counts = unlogged.broker.read(&unlogged.word_count.output, Isolation::ReadCommitted)?;
        Ok(reference::last_counts(&counts)?.get("unseen") == Some(&1))
    };
    unlogged.broker.wait_until(seen, "an empty store begins anew")?;
    anyhow::ensure!(program.stop()?.success());
    Ok(())
}

#[tokio::test]
async fn s5_a_store_without_a_changelog_loses_nothing_at_least_once() -> anyhow::Result<()> {
    let Some(mut unlogged) = Unlogged::new(false).await? else { return Ok(()) };
    for (seed, point) in [(139, "BeforeStores"), (140, "AfterStores"), (141, "AfterCommit")] {
        unlogged.feed(seed)?;
        unlogged.crash_at(point)?;
        unlogged.count()?;
    }
    Ok(())
}
