//! The benchmark's Rust side: the JVM peer's arguments, workloads and line of output, so that one script runs either.

mod usage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use kafka_streams::prelude::*;

/// Runs one workload over an already loaded topic until every record went through, and prints one line:
/// workload guarantee records seconds rate cpu-seconds peak-RSS-MiB.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Addresses of brokers.
    bootstrap: String,
    /// What is done with the records.
    #[arg(value_enum)]
    workload: Workload,
    /// The loaded topic.
    input: String,
    /// The output topic, which exists.
    output: String,
    /// Number of records in the input topic.
    records: u64,
    /// At-least-once or exactly-once.
    #[arg(value_enum)]
    guarantee: Guarantee,
    /// Number of stream threads.
    threads: u32,
    /// Where the stores lie.
    state_dir: String,
    /// The application's id.
    application_id: String,
    /// Any other setting by its JVM key, `key=value`.
    #[arg(long = "config", value_parser = key_and_value)]
    config: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// Filter and map the values.
    Map,
    /// Group by key and count.
    Count,
    /// Select another key, group by it and count: one repartition topic.
    RekeyCount,
    /// Count in tumbling windows of one minute.
    Window,
    /// Join with itself, within five seconds before and after.
    Join,
    /// Join with the records of the topic `INPUT-table`, which is loaded as `INPUT` is, read as a table.
    Table,
    /// Rebuild the store of `count` from its changelog: run `count` first with the same application id, then this with
    /// an empty state directory.
    Restore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Guarantee {
    Alos,
    Eos,
}

/// What the records passing through leave behind.
#[derive(Default)]
struct Seen {
    records: AtomicU64,
    first_ns: AtomicU64,
}

impl Seen {
    fn note_first(&self, start: Instant) {
        if self.first_ns.load(Ordering::Relaxed) == 0 {
            let now = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let _ = self.first_ns.compare_exchange(0, now.max(1), Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

fn topology(options: &Options, seen: &Arc<Seen>, start: Instant) -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::with_naming(Naming::Jvm);
    let source = builder.stream::<Bytes, Bytes>(&options.input);
    let first = seen.clone();
    let input = source.peek(move |_, _| first.note_first(start));
    let output = options.output.as_str();
    match options.workload {
        Workload::Map => input
            .filter(|_, value| value.get(7) != Some(&13))
            .map_values(|value| {
                let mut copy = value.to_vec();
                if let Some(byte) = copy.get_mut(8) {
                    *byte ^= 1;
                }
                Bytes::from(copy)
            })
            .to(output),
        Workload::Count | Workload::Restore => {
            input.group_by_key(Grouped::default()).count(Materialized::named("counts")).to_stream().to(output);
        }
        Workload::RekeyCount => input
            .select_key(|_, value| value.slice(..value.len().min(8)))
            .group_by_key(Grouped::default())
            .count(Materialized::named("counts"))
            .to_stream()
            .to(output),
        Workload::Window => input
            .group_by_key(Grouped::default())
            .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_secs(60)))
            .count(Materialized::named("counts"))
            .to_stream()
            .select_key(|window, _| window.key.clone())
            .to(output),
        Workload::Join => {
            let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(5));
            let joined = StreamJoined::named("j").with_store_name("j");
            input.join_stream_with(&source.map_values(|value| value), |_, left, _| left, windows, joined).to(output);
        }
        Workload::Table => {
            let topic = format!("{}-table", options.input);
            let table = builder.table_with(topic, Consumed::<Bytes, Bytes>::default(), Materialized::named("t"));
            input.join(&table, |_, right| right).to(output);
        }
    }
    let counted = seen.clone();
    source.for_each(move |_, _| {
        counted.records.fetch_add(1, Ordering::Relaxed);
    });
    builder.build()
}

/// Measures how long stores are being restored, and how many records that takes.
struct RestoreWatch {
    start: Instant,
    records: AtomicU64,
    first_ns: AtomicU64,
    last_ns: AtomicU64,
}

impl RestoreWatch {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl StateRestoreListener for RestoreWatch {
    fn on_restore_start(&self, _changelog: &TopicPartition, _store: &str, _from: i64, _end: i64) {
        let _ = self.first_ns.compare_exchange(0, self.now_ns(), Ordering::Relaxed, Ordering::Relaxed);
    }

    fn on_batch_restored(&self, _changelog: &TopicPartition, _store: &str, _offset: i64, records: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
    }

    fn on_restore_end(&self, _changelog: &TopicPartition, _store: &str, _records: u64) {
        self.last_ns.store(self.now_ns(), Ordering::Relaxed);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let start = Instant::now();
    let seen = Arc::new(Seen::default());
    let topology = topology(&options, &seen, start)?;
    let guarantee = match options.guarantee {
        Guarantee::Alos => ProcessingGuarantee::AtLeastOnce,
        Guarantee::Eos => ProcessingGuarantee::ExactlyOnceV2,
    };
    let config = StreamsConfig::new(&options.application_id, &options.bootstrap)
        .processing_guarantee(guarantee)
        .num_stream_threads(options.threads)
        .state_dir(&options.state_dir)
        .replication_factor(1)
        .properties(options.config.clone());
    let streams = KafkaStreams::new(topology, config)?;
    let watch = Arc::new(RestoreWatch {
        start,
        records: AtomicU64::new(0),
        first_ns: AtomicU64::new(0),
        last_ns: AtomicU64::new(0),
    });
    streams.set_global_state_restore_listener(watch.clone());
    streams.start()?;
    let (records, seconds) = if options.workload == Workload::Restore {
        streams.wait_for_state(|state| state == State::Running).await;
        let spent = watch.last_ns.load(Ordering::Relaxed).saturating_sub(watch.first_ns.load(Ordering::Relaxed));
        (watch.records.load(Ordering::Relaxed), Duration::from_nanos(spent).as_secs_f64())
    } else {
        while seen.records.load(Ordering::Relaxed) < options.records && !streams.state().is_terminal() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        streams.close(Duration::from_secs(60));
        let first = Duration::from_nanos(seen.first_ns.load(Ordering::Relaxed));
        (options.records, (start.elapsed().saturating_sub(first)).as_secs_f64())
    };
    if let Some(failure) = streams.failure() {
        anyhow::bail!(failure);
    }
    usage::report(options.workload, options.guarantee, records, seconds);
    streams.close(Duration::from_secs(30));
    Ok(())
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}
