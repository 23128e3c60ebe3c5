//! The word count of the examples, with a wish to die: it kills itself at a named point of the commit cycle.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use clap::Parser;
use kafka_streams::engine::{CommitPoint, CommitProbe};
use kafka_streams::prelude::*;

/// Counts words until the named point is reached for the nth time; then the process ends as by kill -9.
#[derive(Parser)]
struct Options {
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    input: String,
    #[arg(long)]
    output: String,
    #[arg(long)]
    application_id: String,
    #[arg(long)]
    state_dir: String,
    #[arg(long)]
    guarantee: String,
    #[arg(long)]
    threads: u32,
    #[arg(long)]
    config: Vec<String>,
    #[arg(long)]
    task_log: Option<String>,
    /// Debug name of the point, such as `AfterFlush`.
    #[arg(long)]
    crash_at: String,
    /// How many times the point is passed before.
    #[arg(long, default_value_t = 0)]
    after: u32,
    /// The store has no changelog.
    #[arg(long)]
    unlogged: bool,
    /// The point counts only once rows were spilled.
    #[arg(long)]
    once_spilled: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_env_filter("info")
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let counts = Materialized::named("word-counts");
    let counts = if options.unlogged { counts.with_logging_disabled() } else { counts };
    let builder = StreamsBuilder::with_naming(Naming::Jvm);
    builder
        .stream::<Option<String>, String>(&options.input)
        .flat_map_values(|line| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
        .group_by(|_, word| word.clone(), Grouped::named("by-word"))
        .count(counts)
        .to_stream()
        .to(&options.output);
    let guarantee = match options.guarantee.as_str() {
        "exactly-once" => ProcessingGuarantee::ExactlyOnceV2,
        _ => ProcessingGuarantee::AtLeastOnce,
    };
    let settings = options.config.iter().filter_map(|text| text.split_once('='));
    let config = StreamsConfig::new(&options.application_id, &options.bootstrap)
        .processing_guarantee(guarantee)
        .num_stream_threads(options.threads)
        .state_dir(&options.state_dir)
        .properties(settings.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let streams = KafkaStreams::new(builder.build()?, config)?;
    let (passed, crash_at, after) = (AtomicU32::new(0), options.crash_at, options.after);
    let counts = AtomicBool::new(!options.once_spilled);
    streams.set_commit_probe(CommitProbe::new(move |point: CommitPoint| {
        if point == CommitPoint::InSpill {
            counts.store(true, Ordering::Relaxed);
        }
        if !counts.load(Ordering::Relaxed) {
            return;
        }
        if format!("{point:?}") == crash_at && passed.fetch_add(1, Ordering::Relaxed) >= after {
            #[expect(unsafe_code, reason = "the very end of this process")]
            // SAFETY: sends a signal to this process, which ends it at once.
            unsafe {
                libc::kill(libc::getpid(), libc::SIGKILL);
            }
        }
    }));
    streams.run_until(ctrl_c()).await?;
    Ok(())
}
