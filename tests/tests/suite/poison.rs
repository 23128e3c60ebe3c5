//! A record that always fails, with failed threads replaced: its task never passes it, and its neighbours do not notice
//! (rule C4).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kafka_streams::prelude::*;
use kafka_streams_tests::{Broker, Isolation, Record as Written, in_process};

/// Copies records, and fails at `poison` for as long as it is armed.
struct Failing {
    armed: Arc<AtomicBool>,
}

impl Processor for Failing {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = String;

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
        if record.key == "poison" && self.armed.load(Ordering::Relaxed) {
            return Err(Failure::processing("this record is poison"));
        }
        cx.forward(record)
    }
}

/// An application with one thread and two tasks, one of which meets poison as its second record.
struct Poisoned {
    broker: Broker,
    input: String,
    output: String,
    id: String,
    dir: tempfile::TempDir,
    armed: Arc<AtomicBool>,
    failures: Arc<AtomicU32>,
}

impl Poisoned {
    async fn new() -> anyhow::Result<Option<Poisoned>> {
        let Some(broker) = Broker::get() else { return Ok(None) };
        let (input, output, id) = (broker.unique("texts"), broker.unique("copies"), broker.unique("poisoned"));
        broker.create_topic(&input, 2).await?;
        broker.create_topic(&output, 1).await?;
        let (armed, failures) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let poisoned = Poisoned { broker, input, output, id, dir: tempfile::tempdir()?, armed, failures };
        poisoned.write(0, ["before", "poison", "behind"].map(str::to_owned))?;
        Ok(Some(poisoned))
    }

    fn start(&self, guarantee: ProcessingGuarantee) -> anyhow::Result<KafkaStreams> {
        let (builder, armed, failures) = (StreamsBuilder::new(), self.armed.clone(), self.failures.clone());
        let texts = builder.stream::<String, String>(self.input.as_str());
        texts.process((), move |()| Failing { armed: armed.clone() }).to(self.output.as_str());
        let config = in_process::config(&self.broker, &self.id, self.dir.path()).processing_guarantee(guarantee);
        let streams = KafkaStreams::new(builder.build()?, config)?;
        streams.set_uncaught_exception_handler(Arc::new(move |_| {
            failures.fetch_add(1, Ordering::Relaxed);
            StreamThreadExceptionResponse::ReplaceThread
        }));
        streams.start()?;
        Ok(streams)
    }

    fn write(&self, partition: i32, keys: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
        let record = |key: String| Written { partition: Some(partition), ..Written::of(key, "x") };
        self.broker.write(&self.input, keys.into_iter().map(record))
    }

    /// How often each key is in the committed output.
    fn written(&self) -> anyhow::Result<BTreeMap<String, u32>> {
        let mut keys = BTreeMap::new();
        for record in self.broker.read(&self.output, Isolation::ReadCommitted)? {
            *keys.entry(String::from_utf8(record.key.unwrap_or_default())?).or_default() += 1;
        }
        Ok(keys)
    }

    fn expect_all(&self, keys: &[String], what: &str) -> anyhow::Result<()> {
        let all = || {
            let written = self.written()?;
            Ok(keys.iter().all(|key| written.contains_key(key)))
        };
        self.broker.wait_until(all, what)
    }

    fn expect_once(&self) -> anyhow::Result<()> {
        let written = self.written()?;
        anyhow::ensure!(written.values().all(|count| *count == 1), "written more than once: {written:?}");
        Ok(())
    }
}

async fn neighbours_go_on(guarantee: ProcessingGuarantee) -> anyhow::Result<()> {
    let Some(poisoned) = Poisoned::new().await? else { return Ok(()) };
    let streams = poisoned.start(guarantee)?;
    let mut keys = Vec::new();
    let begun = Instant::now();
    // Long enough for some failures, whose pauses grow.
    while begun.elapsed() < Duration::from_secs(8) || poisoned.failures.load(Ordering::Relaxed) < 3 {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "it does not fail again and again");
        let more: Vec<String> = (keys.len()..keys.len() + 10).map(|number| format!("n{number}")).collect();
        poisoned.write(1, more.iter().cloned())?;
        keys.extend(more);
        std::thread::sleep(Duration::from_millis(200));
    }
    poisoned.expect_all(&keys, "the neighbour's records are written")?;
    let failures = poisoned.failures.load(Ordering::Relaxed);
    anyhow::ensure!(failures < 20, "{failures} failures: it is tried too often");
    let committed = poisoned.broker.committed(&poisoned.id, &poisoned.input, 0)?;
    anyhow::ensure!(committed.is_none_or(|offset| offset <= 1), "the poison was passed: {committed:?} is committed");
    anyhow::ensure!(!poisoned.written()?.contains_key("behind"), "what follows the poison was written");

    // Mended, its task comes back with the others; nothing is lost or double.
    poisoned.armed.store(false, Ordering::Relaxed);
    keys.extend(["before", "poison", "behind"].map(str::to_owned));
    poisoned.expect_all(&keys, "the poisoned task's records are written")?;
    if guarantee == ProcessingGuarantee::ExactlyOnceV2 {
        poisoned.expect_once()?;
    }
    in_process::close(&streams)
}

#[tokio::test]
async fn c4_a_poison_record_does_not_stop_its_neighbours_exactly_once() -> anyhow::Result<()> {
    neighbours_go_on(ProcessingGuarantee::ExactlyOnceV2).await
}

#[tokio::test]
async fn c4_a_poison_record_does_not_stop_its_neighbours_at_least_once() -> anyhow::Result<()> {
    neighbours_go_on(ProcessingGuarantee::AtLeastOnce).await
}
