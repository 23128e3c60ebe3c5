//! C8: a restore ends by position, whatever the changelog's end looks like. Each test writes the changelog itself, with
//! librdkafka, and has a word count restore from it.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_streams_tests::broker::PATIENCE;
use kafka_streams_tests::program::records_restored;
use kafka_streams_tests::{Broker, Isolation, Program, Record, WordCount};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// Longer than any test: a transaction of this limit ends only when the test ends it.
const NEVER: Duration = Duration::from_secs(600);

/// A changelog of one partition, and the word count that will restore from it.
struct Changelog {
    broker: Broker,
    word_count: WordCount,
    name: String,
    _dir: tempfile::TempDir,
}

impl Changelog {
    async fn new(settings: &[(&str, &str)]) -> anyhow::Result<Option<Changelog>> {
        let Some(broker) = Broker::get() else { return Ok(None) };
        let dir = tempfile::tempdir()?;
        let word_count = WordCount::new(&broker, dir.path(), 1, true).await?;
        let name = word_count.changelog();
        let settings = [&[("cleanup.policy", "compact")], settings].concat();
        broker.create_topic_with(&name, 1, &settings).await?;
        Ok(Some(Changelog { broker, word_count, name, _dir: dir }))
    }

    /// Writes counts outside of any transaction.
    fn write(&self, counts: &[(&str, i64)]) -> anyhow::Result<()> {
        let record = |(word, count): &(&str, i64)| Record::of(*word, count.to_be_bytes());
        self.broker.write(&self.name, counts.iter().map(record))
    }

    /// Writes counts in a transaction that stays open: until the producer ends it, or, if that is dead, for `limit`.
    fn open(&self, counts: &[(&str, i64)], limit: Duration) -> anyhow::Result<BaseProducer> {
        let producer: BaseProducer = self
            .broker
            .client()
            .set("transactional.id", self.broker.unique("writer"))
            .set("transaction.timeout.ms", limit.as_millis().to_string())
            .create()?;
        producer.init_transactions(PATIENCE)?;
        producer.begin_transaction()?;
        for (word, count) in counts {
            let value = count.to_be_bytes();
            let record: BaseRecord<'_, str, [u8]> = BaseRecord::to(&self.name).key(*word).payload(&value);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(PATIENCE)?;
        Ok(producer)
    }

    fn commit(&self, counts: &[(&str, i64)]) -> anyhow::Result<()> {
        Ok(self.open(counts, NEVER)?.commit_transaction(PATIENCE)?)
    }

    fn abort(&self, counts: &[(&str, i64)]) -> anyhow::Result<()> {
        Ok(self.open(counts, NEVER)?.abort_transaction(PATIENCE)?)
    }

    fn end(&self) -> anyhow::Result<i64> {
        Ok(self.broker.bounds(&self.name, 0)?.1)
    }

    /// The offsets of what a reader sees, committed or not.
    fn offsets(&self) -> anyhow::Result<Vec<i64>> {
        let records = self.broker.read(&self.name, Isolation::ReadUncommitted)?;
        Ok(records.into_iter().map(|record| record.offset).collect())
    }

    /// The word count starts, restores, and counts on from `restored`: each of its words and a new one are fed once.
    /// It is started a second time, and then restores nothing.
    fn counts_on_from(&self, restored: &[(&str, i64)]) -> anyhow::Result<()> {
        let program = self.word_count.start("one")?;
        self.is_counted_on(program, restored)
    }

    fn is_counted_on(&self, mut program: Program, restored: &[(&str, i64)]) -> anyhow::Result<()> {
        let mut expected: BTreeMap<String, i64> =
            restored.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect();
        let mut words: Vec<&str> = restored.iter().map(|(word, _)| *word).collect();
        words.push("new");
        for start in ["first", "second"] {
            program.wait_for_log("new=RUNNING")?;
            self.broker.write_lines(&self.word_count.input, [words.join(" ").as_str()])?;
            for word in &words {
                *expected.entry((*word).to_owned()).or_default() += 1;
            }
            self.word_count.expect_counts(&self.broker, &expected)?;
            let log = program.own_log()?;
            anyhow::ensure!(!log.contains("store is wiped"), "{start} start: {log}");
            anyhow::ensure!(program.stop()?.success());
            if start == "second" {
                // At most the last commit's marker is left to be read.
                anyhow::ensure!(records_restored(&log) == 0, "there was something to restore: {log}");
                break;
            }
            program = self.word_count.start("one")?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn c8_an_empty_log() -> anyhow::Result<()> {
    let Some(changelog) = Changelog::new(&[]).await? else { return Ok(()) };
    changelog.counts_on_from(&[])
}

#[tokio::test]
async fn c8_a_log_that_was_emptied() -> anyhow::Result<()> {
    let Some(changelog) = Changelog::new(&[("cleanup.policy", "compact,delete")]).await? else { return Ok(()) };
    changelog.write(&[("gone", 7), ("too", 8)])?;
    changelog.broker.delete_records(&changelog.name, 0, 2).await?;
    anyhow::ensure!(changelog.broker.bounds(&changelog.name, 0)? == (2, 2));
    changelog.counts_on_from(&[])
}

#[tokio::test]
async fn c8_only_control_batches() -> anyhow::Result<()> {
    let Some(changelog) = Changelog::new(&[("cleanup.policy", "compact,delete")]).await? else { return Ok(()) };
    changelog.commit(&[("gone", 7)])?;
    changelog.abort(&[("aborted", 8)])?;
    changelog.broker.delete_records(&changelog.name, 0, 1).await?;
    // The commit's marker, an aborted record, its marker.
    anyhow::ensure!(changelog.broker.bounds(&changelog.name, 0)? == (1, 4));
    anyhow::ensure!(changelog.broker.read(&changelog.name, Isolation::ReadCommitted)?.is_empty());
    changelog.counts_on_from(&[])
}

#[tokio::test]
async fn c8_an_aborted_tail() -> anyhow::Result<()> {
    let Some(changelog) = Changelog::new(&[]).await? else { return Ok(()) };
    changelog.commit(&[("a", 5), ("b", 6)])?;
    changelog.abort(&[("a", 100), ("aborted", 1)])?;
    changelog.abort(&[("b", 200)])?;
    changelog.counts_on_from(&[("a", 5), ("b", 6)])
}

#[tokio::test]
async fn c8_an_open_transaction_of_a_dead_writer() -> anyhow::Result<()> {
    let Some(changelog) = Changelog::new(&[]).await? else { return Ok(()) };
    changelog.write(&[("a", 5)])?;
    // Long enough for the word count to meet it, though it starts slowly.
    drop(changelog.open(&[("a", 100), ("dead", 1)], Duration::from_secs(15))?);
    let mut program = changelog.word_count.start("one")?;
    program.wait_for_log("waiting for an open transaction of a dead writer to end")?;
    let log = program.own_log()?;
    anyhow::ensure!(!log.contains("new=RUNNING") && !log.contains("store restored"), "it did not wait: {log}");
    changelog.is_counted_on(program, &[("a", 5)])
}

#[tokio::test]
async fn c8_a_committed_transaction_whose_marker_comes_late() -> anyhow::Result<()> {
    let Some(changelog) = Changelog::new(&[]).await? else { return Ok(()) };
    changelog.write(&[("a", 5)])?;
    let writer = changelog.open(&[("a", 50), ("b", 60)], NEVER)?;
    let end = changelog.end()?;
    let mut program = changelog.word_count.start("one")?;
    // The end of the restore is known, and the marker lies behind it.
    program.wait_for_log("waiting for an open transaction of a dead writer to end")?;
    let log = program.own_log()?;
    anyhow::ensure!(log.contains(&format!("end={end}")), "the restore should end at {end}: {log}");
    writer.commit_transaction(PATIENCE)?;
    changelog.is_counted_on(program, &[("a", 50), ("b", 60)])
}

#[tokio::test]
async fn c8_a_compacted_tail() -> anyhow::Result<()> {
    let quick = [("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.001"), ("min.compaction.lag.ms", "0")];
    let Some(changelog) = Changelog::new(&quick).await? else { return Ok(()) };
    changelog.commit(&[("a", 1), ("b", 2), ("once", 3), ("b", 4)])?;
    changelog.commit(&[("a", 5), ("b", 6)])?;
    let last = changelog.end()? - 2;
    // What follows is aborted or overwritten; a segment is closed, and its tail cleaned away, once there is a newer one.
    let kept = [1_i64, 2].map(|back| last + 1 - back);
    changelog.broker.wait_until(
        || {
            changelog.abort(&[("aborted", 9), ("a", 9)])?;
            let offsets = changelog.offsets()?;
            let tail = offsets.iter().filter(|offset| **offset > last).count();
            let written = usize::try_from(changelog.end()? - 1 - last)?;
            Ok(!offsets.contains(&0) && offsets.iter().any(|offset| kept.contains(offset)) && tail * 3 < written)
        },
        "the changelog is compacted",
    )?;
    changelog.counts_on_from(&[("a", 5), ("b", 6), ("once", 3)])
}
