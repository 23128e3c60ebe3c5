//! Word count as a program of its own: reads lines, counts words, writes the counts.
//!
//! It uses the JVM's names, so that a JVM word count can be replaced by it, and the other way round, in place.

use clap::{Parser, ValueEnum};
use kafka_streams::prelude::*;
use word_count::topology;

/// Counts the words of the lines of one topic, and writes the counts to another.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Addresses of brokers, `host:port`, several separated by commas.
    #[arg(long)]
    bootstrap: String,
    /// The topic with the lines: values are UTF-8 text, keys do not matter.
    #[arg(long, default_value = "lines")]
    input: String,
    /// The topic for the counts: keys are words, values are 64-bit big-endian integers.
    #[arg(long, default_value = "counts")]
    output: String,
    /// The application's id: the group, and the prefix of its internal topics.
    #[arg(long, default_value = "word-count")]
    application_id: String,
    /// Where the stores lie on this machine; every instance needs one of its own.
    #[arg(long, default_value = "/tmp/kafka-streams-rust")]
    state_dir: String,
    /// What a failure may do to the counts.
    #[arg(long, value_enum, default_value_t = Guarantee::AtLeastOnce)]
    guarantee: Guarantee,
    /// Number of stream threads.
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// Any other setting by its JVM key: `--config commit.interval.ms=1000`. May be given several times.
    #[arg(long = "config", value_parser = key_and_value)]
    config: Vec<(String, String)>,
    /// Writes a line for each task that comes or goes to this file: time in ns, task, generation, acquired or released.
    #[arg(long)]
    task_log: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Guarantee {
    AtLeastOnce,
    ExactlyOnce,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let guarantee = match options.guarantee {
        Guarantee::AtLeastOnce => ProcessingGuarantee::AtLeastOnce,
        Guarantee::ExactlyOnce => ProcessingGuarantee::ExactlyOnceV2,
    };
    let config = StreamsConfig::new(&options.application_id, &options.bootstrap)
        .processing_guarantee(guarantee)
        .num_stream_threads(options.threads)
        .state_dir(&options.state_dir)
        .properties(options.config);
    let streams = KafkaStreams::new(topology(&options.input, &options.output)?, config)?;
    if let Some(path) = &options.task_log {
        streams.set_task_listener(std::sync::Arc::new(TaskLog::open(path)?));
    }
    streams.run_until(ctrl_c()).await?;
    Ok(())
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Appends to a file when tasks come and go; for checking that no task is in two places at once.
struct TaskLog(std::sync::Mutex<std::fs::File>);

impl TaskLog {
    fn open(path: &std::path::Path) -> std::io::Result<Self> {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        Ok(TaskLog(std::sync::Mutex::new(file)))
    }

    fn write(&self, task: TaskId, generation: i32, what: &str) {
        use std::io::Write;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        if let Ok(mut file) = self.0.lock() {
            let line = format!("{} {task} {generation} {what}\n", now.as_nanos());
            if let Err(error) = file.write_all(line.as_bytes()) {
                tracing::error!(%error, "the task log cannot be written");
            }
        }
    }
}

impl TaskListener for TaskLog {
    fn on_acquired(&self, task: TaskId, generation: i32) {
        self.write(task, generation, "acquired");
    }

    fn on_released(&self, task: TaskId, generation: i32) {
        self.write(task, generation, "released");
    }
}
