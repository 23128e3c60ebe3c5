//! Asks a cluster for its topics and tells which of them are left over. Reads metadata only: nothing is changed.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use kafka_streams::runtime::StreamsError;
use kafka_streams::runtime::config::{PropertyMap, StreamsConfig};
use kafka_streams_naming::{Manifest, Verdict, detect_orphans, expected_internal_topics};

use crate::golden::read_manifest;
use crate::{Golden, GoldenError};

#[derive(Debug, Args)]
pub(crate) struct Orphans {
    /// The topology that runs; may be left out if there is one only
    name: Option<String>,
    /// Addresses of brokers, `host:port`, several separated by commas
    #[arg(long, required_unless_present = "config")]
    bootstrap: Option<String>,
    /// The application's id
    #[arg(long, required_unless_present = "config")]
    application_id: Option<String>,
    /// The program's configuration, or part of it, in a properties file: where the cluster is and how to log in. What is
    /// given as an option counts more
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The manifest of another version that runs at the same time, as during a rolling deploy; may be given several times
    #[arg(long = "also-running", value_name = "MANIFEST")]
    also_running: Vec<PathBuf>,
    /// The id of another application on the cluster, whose topics may look alike; may be given several times
    #[arg(long = "other-application", value_name = "ID")]
    other_applications: Vec<String>,
}

impl Orphans {
    pub(crate) fn run(&self, golden: &Golden, output: &mut dyn Write) -> Result<u8, GoldenError> {
        let name = golden.only(self.name.as_deref())?;
        let mut manifests = vec![golden.build(name)?.to_manifest()];
        for path in &self.also_running {
            manifests.push(read_manifest(path)?);
        }
        let config = self.config()?;
        let properties = config.to_properties();
        let id = properties.get("application.id").unwrap_or_default();
        let topics = topics(&config, properties.get("bootstrap.servers").unwrap_or_default())?;
        let manifests: Vec<&Manifest> = manifests.iter().collect();
        let others: Vec<&str> = self.other_applications.iter().map(String::as_str).collect();
        let orphans = detect_orphans(&manifests, id, topics.iter().map(String::as_str), &others);
        for orphan in &orphans {
            writeln!(output, "{orphan}")?;
        }
        let seen = topics.len();
        if !orphans.is_empty() {
            writeln!(output, "nothing was deleted: that is for you to do, once no version needs them")?;
            return Ok(Verdict::NeedsThought.exit_code());
        }
        writeln!(output, "no topic of application {id} is left over; {seen} topics can be seen")?;
        let expected = manifests.iter().flat_map(|manifest| expected_internal_topics(manifest, id)).collect::<Vec<_>>();
        if !expected.is_empty() && !expected.iter().any(|topic| topics.contains(topic)) {
            writeln!(
                output,
                "but those that it needs cannot be seen either: is the application id right, and may the user describe \
                 the topics?"
            )?;
        }
        Ok(Verdict::Same.exit_code())
    }

    /// The file's settings, and those of the options above them.
    fn config(&self) -> Result<StreamsConfig, GoldenError> {
        let wrong = |error: kafka_streams::runtime::config::ConfigError| GoldenError::Config(error.to_string());
        let mut properties = match &self.config {
            Some(path) => PropertyMap::read_file(path).map_err(wrong)?,
            None => PropertyMap::new(),
        };
        for (key, value) in [("bootstrap.servers", &self.bootstrap), ("application.id", &self.application_id)] {
            if let Some(value) = value {
                properties.insert(key, value);
            }
        }
        StreamsConfig::from_properties(properties).map_err(wrong)
    }
}

/// What the cluster's user may see, sorted. On a thread of its own, as the caller may be on a tokio runtime already.
fn topics(config: &StreamsConfig, bootstrap: &str) -> Result<Vec<String>, GoldenError> {
    let failed = |reason: String| GoldenError::Cluster { bootstrap: bootstrap.to_owned(), reason };
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(kafka_streams::visible_topics(config)))
    };
    let asked = std::thread::scope(|scope| scope.spawn(ask).join());
    let asked: std::io::Result<_> = asked.map_err(|_| failed("the Kafka client has panicked".to_owned()))?;
    asked?.map_err(|error| match error {
        // It is asked once: that an error passes by itself is of no use here.
        StreamsError::Broker(error) => failed(format!("{}: {}", error.action, error.message)),
        error => failed(error.to_string()),
    })
}
