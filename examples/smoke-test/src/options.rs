//! The options that both programs take, and running a topology with them.

use clap::{Parser, ValueEnum};
use kafka_streams::prelude::*;

/// Processes the records of one of Kafka's smoke tests until SIGTERM or Ctrl-C.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Options {
    /// Addresses of brokers, `host:port`, several separated by commas.
    #[arg(long)]
    bootstrap: String,
    /// The application's id: the group, and the prefix of its internal topics.
    #[arg(long, default_value = "SmokeTest")]
    application_id: String,
    /// Where the stores lie on this machine; every instance needs one of its own.
    #[arg(long)]
    state_dir: String,
    /// What a failure may do to the results.
    #[arg(long, value_enum, default_value_t = Guarantee::ExactlyOnce)]
    guarantee: Guarantee,
    /// Number of stream threads.
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// Any other setting by its JVM key: `--config commit.interval.ms=1000`. May be given several times.
    #[arg(long = "config", value_parser = key_and_value)]
    config: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Guarantee {
    AtLeastOnce,
    ExactlyOnce,
}

impl Options {
    /// Runs `topology`, with the settings that the test gives to the JVM's program, until SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// A contradiction in the settings, or what ended the application.
    pub async fn run(self, topology: Topology, settings: &[(&str, &str)]) -> Result<(), Box<dyn std::error::Error>> {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
            .with_writer(std::io::stderr)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init();
        let guarantee = match self.guarantee {
            Guarantee::AtLeastOnce => ProcessingGuarantee::AtLeastOnce,
            Guarantee::ExactlyOnce => ProcessingGuarantee::ExactlyOnceV2,
        };
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let config = StreamsConfig::new(&self.application_id, &self.bootstrap)
            .processing_guarantee(guarantee)
            .num_stream_threads(self.threads)
            .state_dir(&self.state_dir)
            .properties(settings.chain(self.config));
        KafkaStreams::new(topology, config)?.run_until(ctrl_c()).await?;
        Ok(())
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// The exit code for how a program ended, after its last words.
#[expect(clippy::print_stderr, reason = "the last words of a program")]
pub fn exit(result: Result<(), Box<dyn std::error::Error>>) -> std::process::ExitCode {
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
