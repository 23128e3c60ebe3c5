//! Trouble with state: the directory, the disk, damaged files, and logs that have lost what a store or a position stands
//! for (rule S6). A clear error or the documented policy, and nothing that was committed is lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kafka_streams_tests::{Broker, Isolation, WordCount, reference};

/// A word count under exactly-once with one partition, and the lines that it was given.
struct Counting {
    broker: Broker,
    word_count: WordCount,
    lines: Vec<String>,
    _dir: tempfile::TempDir,
}

impl Counting {
    async fn new() -> anyhow::Result<Option<Counting>> {
        let Some(broker) = Broker::get() else { return Ok(None) };
        let dir = tempfile::tempdir()?;
        let word_count = WordCount::new(&broker, dir.path(), 1, true).await?;
        Ok(Some(Counting { broker, word_count, lines: Vec::new(), _dir: dir }))
    }

    fn feed(&mut self, lines: Vec<String>) -> anyhow::Result<()> {
        self.broker.write_lines(&self.word_count.input, lines.iter().map(String::as_str))?;
        self.lines.extend(lines);
        Ok(())
    }

    fn expected(&self) -> BTreeMap<String, i64> {
        reference::count(self.lines.iter().map(String::as_str))
    }

    /// Instance `name` counts what was fed, and stops; its log.
    fn count(&self, name: &str) -> anyhow::Result<String> {
        self.count_as(name, &self.expected())
    }

    fn count_as(&self, name: &str, expected: &BTreeMap<String, i64>) -> anyhow::Result<String> {
        let mut program = self.word_count.start(name)?;
        program.wait_for_log("new=RUNNING")?;
        if let Err(error) = self.word_count.expect_counts(&self.broker, expected) {
            anyhow::bail!("{error:#}; the log:\n{}", program.own_log()?);
        }
        let log = program.own_log()?;
        anyhow::ensure!(program.stop()?.success());
        Ok(log)
    }

    /// Nothing was written twice.
    fn counts_only_grow(&self) -> anyhow::Result<()> {
        reference::counts_only_grow(&self.broker.read(&self.word_count.output, Isolation::ReadCommitted)?)
    }

    /// The files of the store of instance `name`.
    fn store_files(&self, name: &str) -> anyhow::Result<Vec<PathBuf>> {
        let store =
            self.word_count.state_dir(name).join(&self.word_count.application_id).join("1_0/rocksdb/word-counts");
        Ok(std::fs::read_dir(store)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
    }

    /// Deletes the changelog's records before `offset`. The broker does that for topics only that are not just compacted.
    async fn truncate_changelog(&self, offset: i64) -> anyhow::Result<()> {
        let changelog = self.word_count.changelog();
        self.broker.set_topic(&changelog, &[("cleanup.policy", "compact,delete"), ("retention.ms", "-1")]).await?;
        self.broker.delete_records(&changelog, 0, offset).await?;
        anyhow::ensure!(self.broker.bounds(&changelog, 0)?.0 == offset, "the changelog does not begin at {offset}");
        Ok(())
    }

    fn changelog_end(&self) -> anyhow::Result<i64> {
        Ok(self.broker.bounds(&self.word_count.changelog(), 0)?.1)
    }
}

fn says(text: &str, parts: &[&str]) -> anyhow::Result<()> {
    for part in parts {
        anyhow::ensure!(text.contains(part), "`{part}` is not in: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_locked_state_directory_is_an_error_that_names_the_holder() -> anyhow::Result<()> {
    let Some(mut counting) = Counting::new().await? else { return Ok(()) };
    counting.feed(reference::text(2_000, 51))?;
    let mut first = counting.word_count.start("one")?;
    first.wait_for_log("new=RUNNING")?;
    let second =
        kafka_streams_tests::WordCount { dir: counting.word_count.dir.join("logs"), ..counting.word_count.clone() };
    std::fs::create_dir(&second.dir)?;
    std::os::unix::fs::symlink(counting.word_count.state_dir("one"), second.state_dir("one"))?;
    let error = second.start("one")?.failure()?;
    says(&error, &["in use by process", &first.pid().to_string(), "state.dir"])?;
    // The first one is not disturbed.
    counting.word_count.expect_counts(&counting.broker, &counting.expected())?;
    anyhow::ensure!(first.stop()?.success());
    Ok(())
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_made_is_an_error_that_names_it() -> anyhow::Result<()> {
    let Some(counting) = Counting::new().await? else { return Ok(()) };
    let path = counting.word_count.state_dir("one");
    std::fs::write(&path, "a file, no directory")?;
    let error = counting.word_count.start("one")?.failure()?;
    says(&error, &["cannot create", &path.display().to_string(), "check the rights"])
}

#[tokio::test]
async fn a_full_disk_is_an_error_that_names_the_store_and_nothing_is_lost() -> anyhow::Result<()> {
    let Some(mut counting) = Counting::new().await? else { return Ok(()) };
    counting.feed(reference::text(20_000, 52))?;
    counting.count("one")?;
    counting.feed(reference::text(1_500_000, 53))?;
    // Too little for any file of rows.
    let mut program = counting.word_count.start_with_file_size_limit("one", 60)?;
    let error = program.failure()?;
    says(&error, &["word-counts", "1_0", "File too large", "check the disk's space"])?;
    counting.count("one")?;
    counting.counts_only_grow()
}

#[tokio::test]
async fn c5_a_store_that_cannot_take_a_commit_is_restored_and_nothing_is_lost() -> anyhow::Result<()> {
    let Some(mut counting) = Counting::new().await? else { return Ok(()) };
    counting.feed(reference::text(300_000, 53))?;
    // Enough for the files that a restore writes, too little for the log of all commits.
    let mut program = counting.word_count.start_with_file_size_limit("one", 400)?;
    counting.word_count.expect_counts(&counting.broker, &counting.expected())?;
    says(&program.own_log()?, &["the store could not take its commit; the task is restored"])?;
    anyhow::ensure!(program.is_running()?, "{}", program.own_log()?);
    drop(program);
    counting.feed(reference::text(20_000, 62))?;
    counting.count("one")?;
    counting.counts_only_grow()
}

/// What is damaged of a store's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// The file that names the list of files.
    Current,
    /// The list of files.
    Manifest,
    /// Files of rows, from their beginning: found when they are read.
    RowsBegin,
    /// Files of rows, at their end: found when they are opened.
    RowsEnd,
    /// The write-ahead log.
    Log,
}

fn damage(path: &Path, what: Damage) -> anyhow::Result<bool> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let chosen = match what {
        Damage::Current => name == "CURRENT",
        Damage::Manifest => name.starts_with("MANIFEST-"),
        Damage::RowsBegin | Damage::RowsEnd => name.ends_with(".sst"),
        Damage::Log => name.ends_with(".log"),
    };
    let mut bytes = std::fs::read(path)?;
    if !chosen || bytes.is_empty() {
        return Ok(false);
    }
    let length = bytes.len();
    let range = match what {
        Damage::RowsBegin => 0..length / 2,
        Damage::RowsEnd => length / 2..length,
        Damage::Log => length / 3..length / 2,
        Damage::Current | Damage::Manifest => 0..length,
    };
    for byte in &mut bytes[range] {
        *byte ^= 0x5a;
    }
    std::fs::write(path, bytes)?;
    Ok(true)
}

async fn damaged(what: Damage) -> anyhow::Result<()> {
    let Some(mut counting) = Counting::new().await? else { return Ok(()) };
    counting.feed(reference::text(60_000, 54))?;
    if what == Damage::Log {
        // A store that is closed leaves no log behind.
        let program = counting.word_count.start("one")?;
        counting.word_count.expect_counts(&counting.broker, &counting.expected())?;
        program.kill()?;
    } else {
        counting.count("one")?;
    }
    if matches!(what, Damage::RowsBegin | Damage::RowsEnd) {
        // A restore leaves its rows in files of their own.
        std::fs::remove_dir_all(counting.word_count.state_dir("one"))?;
        counting.count("one")?;
    }
    let mut damaged = 0;
    for path in counting.store_files("one")? {
        damaged += usize::from(damage(&path, what)?);
    }
    anyhow::ensure!(damaged > 0, "there was nothing to damage: {:?}", counting.store_files("one")?);
    counting.feed(reference::text(60_000, 55))?;
    let log = counting.count("one")?;
    counting.counts_only_grow()?;
    // A damaged end of the log is a store of an earlier moment: S4 tells how to go on from there.
    if what != Damage::Log {
        says(&log, &["store is wiped and restored from its topic (S6)", "word-counts"])?;
    }
    Ok(())
}

#[tokio::test]
async fn s6_a_store_whose_current_file_is_damaged_is_wiped_and_restored() -> anyhow::Result<()> {
    damaged(Damage::Current).await
}

#[tokio::test]
async fn s6_a_store_whose_manifest_is_damaged_is_wiped_and_restored() -> anyhow::Result<()> {
    damaged(Damage::Manifest).await
}

#[tokio::test]
async fn s6_a_store_whose_rows_cannot_be_read_is_wiped_and_restored() -> anyhow::Result<()> {
    damaged(Damage::RowsBegin).await
}

#[tokio::test]
async fn s6_a_store_whose_files_cannot_be_opened_is_wiped_and_restored() -> anyhow::Result<()> {
    damaged(Damage::RowsEnd).await
}

#[tokio::test]
async fn a_store_whose_write_ahead_log_is_damaged_counts_right() -> anyhow::Result<()> {
    damaged(Damage::Log).await
}

#[tokio::test]
async fn s6_a_store_behind_the_changelogs_start_is_wiped_and_restored() -> anyhow::Result<()> {
    let Some(mut counting) = Counting::new().await? else { return Ok(()) };
    let text = reference::text(20_000, 56);
    counting.feed(text.clone())?;
    counting.count("old")?;
    // Every word comes again, counted elsewhere; then again, so that no word has its last record before `truncate_to`.
    counting.feed(text.clone())?;
    counting.count("new")?;
    let truncate_to = counting.changelog_end()?;
    counting.feed(text)?;
    counting.count("new")?;
    counting.truncate_changelog(truncate_to).await?;
    counting.feed(reference::text(20_000, 57))?;
    let log = counting.count("old")?;
    says(&log, &["store is wiped and restored from its topic (S6)", "begins after its position"])?;
    counting.counts_only_grow()
}

#[tokio::test]
async fn s6_a_store_that_may_have_missed_deletions_is_wiped_and_restored() -> anyhow::Result<()> {
    let Some(mut counting) = Counting::new().await? else { return Ok(()) };
    counting.feed(reference::text(20_000, 63))?;
    counting.count("old")?;
    counting.feed(reference::text(20_000, 64))?;
    counting.count("new")?;
    // The topic's own setting counts, not the application's.
    let changelog = counting.word_count.changelog();
    let settings = [("cleanup.policy", "compact"), ("delete.retention.ms", "1")];
    counting.broker.set_topic(&changelog, &settings).await?;
    counting.feed(reference::text(20_000, 65))?;
    let log = counting.count("old")?;
    says(&log, &["store is wiped and restored from its topic (S6)", "older than delete.retention.ms"])?;
    counting.counts_only_grow()
}

#[tokio::test]
async fn a_store_at_the_changelogs_start_is_kept() -> anyhow::Result<()> {
    let Some(mut counting) = Counting::new().await? else { return Ok(()) };
    counting.feed(reference::text(20_000, 58))?;
    counting.count("one")?;
    // All that is deleted is in the store; what stays are the last commit's markers, of which there may be several.
    let changelog = counting.broker.read(&counting.word_count.changelog(), Isolation::ReadCommitted)?;
    let last = changelog.last().map_or(-1, |record| record.offset);
    counting.truncate_changelog(last + 1).await?;
    counting.feed(reference::text(20_000, 59))?;
    let log = counting.count("one")?;
    anyhow::ensure!(!log.contains("store is wiped"), "{log}");
    counting.counts_only_grow()
}

#[tokio::test]
async fn s6_a_changelog_that_was_deleted_and_made_anew_begins_a_new_count() -> anyhow::Result<()> {
    let Some(mut counting) = Counting::new().await? else { return Ok(()) };
    counting.feed(reference::text(20_000, 60))?;
    counting.count("one")?;
    counting.broker.delete_topic(&counting.word_count.changelog()).await?;
    // The log is what a store is restored from: without it, the counts begin anew, here and everywhere.
    let more = reference::text(20_000, 61);
    let mut expected = counting.expected();
    expected.extend(reference::count(more.iter().map(String::as_str)));
    counting.feed(more)?;
    let log = counting.count_as("one", &expected)?;
    says(&log, &["store is wiped and restored from its topic (S6)", "deleted and made anew"])
}

#[tokio::test]
async fn a_committed_offset_before_the_logs_start_is_reset_as_configured() -> anyhow::Result<()> {
    let Some(mut counting) = Counting::new().await? else { return Ok(()) };
    counting.feed(vec!["one two".to_owned(), "two three".to_owned()])?;
    counting.count("one")?;
    let (lost, kept) = (vec!["lost words".to_owned()], vec!["one kept".to_owned()]);
    counting.broker.write_lines(&counting.word_count.input, lost.iter().map(String::as_str))?;
    let start = counting.broker.bounds(&counting.word_count.input, 0)?.1;
    counting.feed(kept)?;
    counting.broker.delete_records(&counting.word_count.input, 0, start).await?;

    let strict = counting.word_count.clone().with("auto.offset.reset", "none");
    let error = strict.start("one")?.failure()?;
    let input = counting.word_count.input.clone();
    says(&error, &["task 0_0", &input, "before the log's start", "auto.offset.reset is none"])?;
    let log = counting.count("one")?;
    says(&log, &["the position is reset by auto.offset.reset", "before the log's start"])?;
    counting.counts_only_grow()
}
