//! A versioned store in the place of the JVM's, and the other way round: one side writes the changelog, the other one
//! restores it, and answers with the row of any time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kafka_streams::prelude::*;
use kafka_streams_tests::reference::Moments;
use kafka_streams_tests::{Broker, Isolation, Jvm, Program, Record as Written, in_process};

const PARTITIONS: i32 = 2;
/// How far back the store can be asked. The rows lie within, in several of its segments.
const HISTORY_MS: i64 = 3_600_000;
const SPREAD_MS: i64 = 2_400_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ours,
    Jvm,
}

/// An instance of one of the sides.
enum Instance {
    Ours(KafkaStreams),
    Jvm(Program),
}

struct Application {
    broker: Broker,
    jvm: Jvm,
    rows: String,
    questions: String,
    answers: String,
    id: String,
    dir: tempfile::TempDir,
}

impl Application {
    async fn new() -> anyhow::Result<Option<Self>> {
        let (Some(broker), Some(jvm)) = (Broker::get(), Jvm::get()) else { return Ok(None) };
        let [rows, questions, answers, id] =
            ["rows", "questions", "answers", "versioned"].map(|what| broker.unique(what));
        for topic in [&rows, &questions, &answers] {
            broker.create_topic(topic, PARTITIONS).await?;
        }
        Ok(Some(Application { broker, jvm, rows, questions, answers, id, dir: tempfile::tempdir()? }))
    }

    /// Starts a side with this state directory, and waits until it runs.
    async fn start(&self, side: Side, place: &str) -> anyhow::Result<Instance> {
        match side {
            Side::Ours => {
                let config = in_process::config(&self.broker, &self.id, &self.dir.path().join(place));
                let streams = KafkaStreams::new(self.topology()?, config)?;
                streams.start()?;
                in_process::until_running(&streams).await?;
                Ok(Instance::Ours(streams))
            }
            Side::Jvm => {
                let dir = self.dir.path().join(place).display().to_string();
                let history = HISTORY_MS.to_string();
                let topics = [self.broker.bootstrap.as_str(), &self.rows, &self.questions, &self.answers];
                let arguments = [topics.as_slice(), &[&self.id, &dir, &history]].concat();
                let command = self.jvm.command_of("interop.Versioned", &arguments);
                let mut program = Program::start(command, &self.log())?;
                program.wait_for_log("READY")?;
                Ok(Instance::Jvm(program))
            }
        }
    }

    fn log(&self) -> std::path::PathBuf {
        Path::new(self.dir.path()).join("jvm.log")
    }

    /// The topology of `interop.Versioned`.
    fn topology(&self) -> anyhow::Result<Topology> {
        let builder = StreamsBuilder::with_naming(Naming::Jvm);
        let history = Duration::from_millis(u64::try_from(HISTORY_MS)?);
        let stored = Materialized::named("rows").versioned(history);
        let rows: KTable<String, String> = builder.table_with(self.rows.as_str(), Consumed::default(), stored);
        let answer = |_: &String, question: String, row: Option<String>| {
            format!("{question} {}", row.unwrap_or_else(|| "none".to_owned()))
        };
        let questions = builder.stream::<String, String>(self.questions.as_str());
        questions.left_join_with(&rows, answer, Joined::named("join")).to(self.answers.as_str());
        Ok(builder.build()?)
    }

    /// Waits until everything in a topic was processed and committed.
    fn until_committed(&self, topic: &str) -> anyhow::Result<()> {
        let committed = |partition| {
            let (_, end) = self.broker.bounds(topic, partition)?;
            anyhow::Ok(end == 0 || self.broker.committed(&self.id, topic, partition)? == Some(end))
        };
        let all = || (0..PARTITIONS).try_fold(true, |all, partition| Ok(all && committed(partition)?));
        self.broker.wait_until(all, "everything is committed")
    }

    fn put(&self, rows: Vec<Written>) -> anyhow::Result<()> {
        self.broker.write(&self.rows, rows)?;
        self.until_committed(&self.rows)
    }

    /// Asks, and compares all answers since the beginning with those of the reference.
    fn ask(&self, reference: &mut Reference) -> anyhow::Result<()> {
        self.broker.write(&self.questions, reference.next_questions())?;
        self.until_committed(&self.questions)?;
        let records = self.broker.read(&self.answers, Isolation::ReadCommitted)?;
        let values = records.into_iter().map(|record| Ok(String::from_utf8(record.value.unwrap_or_default())?));
        let mut found: Vec<String> = values.collect::<anyhow::Result<_>>()?;
        found.sort();
        reference.answers.sort();
        let first = found.iter().zip(&reference.answers).find(|(found, expected)| found != expected);
        let numbers = (found.len(), reference.answers.len());
        anyhow::ensure!(first.is_none() && numbers.0 == numbers.1, "{numbers:?} answers, first difference {first:?}");
        Ok(())
    }
}

impl Instance {
    fn stop(self) -> anyhow::Result<()> {
        match self {
            Instance::Ours(streams) => in_process::close(&streams),
            // A JVM that was asked to end by a signal has no exit code of its own.
            Instance::Jvm(program) => program.stop().map(drop),
        }
    }
}

/// Every version of every row, and what questions are to be answered.
struct Reference {
    moments: Moments,
    begin: i64,
    rows: BTreeMap<String, BTreeMap<i64, Option<String>>>,
    asked: usize,
    answers: Vec<String>,
}

impl Reference {
    fn new(seed: u64) -> anyhow::Result<Self> {
        let now = i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis())?;
        let begin = now - SPREAD_MS;
        Ok(Reference { moments: Moments::new(seed), begin, rows: BTreeMap::new(), asked: 0, answers: Vec::new() })
    }

    fn below(&mut self, limit: i64) -> i64 {
        i64::try_from(self.moments.below(u64::try_from(limit).unwrap_or(1))).unwrap_or_default()
    }

    /// Rows and deletions in any order of their times, no two of a key at the same.
    fn next_rows(&mut self) -> Vec<Written> {
        let mut written = Vec::new();
        while written.len() < 400 {
            let (key, time) = (format!("k{}", self.below(12)), self.begin + self.below(SPREAD_MS));
            let row = (self.below(6) > 0).then(|| format!("row-{time}"));
            if self.rows.get(&key).is_some_and(|versions| versions.contains_key(&time)) {
                continue;
            }
            self.rows.entry(key.clone()).or_default().insert(time, row.clone());
            written.push(Written {
                key: Some(key.into()),
                value: row.map(String::into_bytes),
                timestamp: Some(time),
                partition: None,
            });
        }
        written
    }

    /// Questions for times before the first version, between versions, at them and after the last.
    fn next_questions(&mut self) -> Vec<Written> {
        let mut written = Vec::new();
        for number in 0..300 {
            let key = format!("k{}", self.below(12));
            let versions: Vec<i64> = self.rows.get(&key).into_iter().flat_map(|rows| rows.keys().copied()).collect();
            let at = usize::try_from(self.below(400)).unwrap_or_default();
            let time = match versions.get(at % versions.len().max(1)) {
                Some(version) if number % 3 == 0 => *version - self.below(2),
                _ => self.begin + self.below(SPREAD_MS),
            };
            let question = format!("question-{:05} {key} {time}", self.asked);
            self.asked += 1;
            let row = self.rows.get(&key).and_then(|rows| rows.range(..=time).next_back());
            self.answers.push(format!("{question} {}", row.and_then(|(_, row)| row.as_deref()).unwrap_or("none")));
            let question = Some(question.into_bytes());
            written.push(Written { key: Some(key.into()), value: question, timestamp: Some(time), partition: None });
        }
        written
    }
}

/// One side keeps the table and stops; the other one has nothing but the changelog, answers, and goes on.
async fn one_restores_what_the_other_wrote(first: Side, second: Side) -> anyhow::Result<()> {
    let Some(application) = Application::new().await? else { return Ok(()) };
    let mut reference = Reference::new(if first == Side::Ours { 62 } else { 63 })?;
    let instance = application.start(first, "first").await?;
    application.put(reference.next_rows())?;
    application.ask(&mut reference)?;
    instance.stop()?;

    let instance = application.start(second, "second").await?;
    application.ask(&mut reference)?;
    application.put(reference.next_rows())?;
    application.ask(&mut reference)?;
    instance.stop()?;

    // Back again, from a changelog that both have written. Ours has its store of the first time and reads on from there; the
    // JVM's would not know its earlier segments (entry 65 of `docs/differences.md`), so it begins anew.
    let instance = application.start(first, if first == Side::Ours { "first" } else { "third" }).await?;
    application.ask(&mut reference)?;
    instance.stop()
}

#[tokio::test]
async fn the_jvm_restores_the_versions_that_ours_wrote() -> anyhow::Result<()> {
    one_restores_what_the_other_wrote(Side::Ours, Side::Jvm).await
}

#[tokio::test]
async fn ours_restores_the_versions_that_the_jvm_wrote() -> anyhow::Result<()> {
    one_restores_what_the_other_wrote(Side::Jvm, Side::Ours).await
}
