//! Asks a cluster for its topics and tells which of them are left over. Reads metadata only: nothing is changed.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use kafka_streams_client::network::{Address, Cluster, ConnectionSettings};
use kafka_streams_naming::{Manifest, Verdict, detect_orphans};

use crate::golden::read_manifest;
use crate::{Golden, GoldenError};

/// Kafka's port where none is given.
const DEFAULT_PORT: u16 = 9092;

#[derive(Debug, Args)]
pub(crate) struct Orphans {
    /// The topology that runs; may be left out if there is one only
    name: Option<String>,
    /// Addresses of brokers, `host:port`, several separated by commas
    #[arg(long)]
    bootstrap: String,
    /// The application's id
    #[arg(long)]
    application_id: String,
    /// The manifest of another version that runs at the same time, as during a rolling deploy; may be given several times
    #[arg(long = "also-running", value_name = "MANIFEST")]
    also_running: Vec<PathBuf>,
    /// The id of another application on the cluster, whose topics may look alike; may be given several times
    #[arg(long = "other-application", value_name = "ID")]
    other_applications: Vec<String>,
}

impl Orphans {
    pub(crate) fn run(&self, golden: &Golden, output: &mut dyn Write) -> Result<u8, GoldenError> {
        let names: Vec<String> = self.name.iter().cloned().collect();
        let chosen = golden.chosen(&names)?;
        let [name] = chosen[..] else {
            let known = chosen.into_iter().map(str::to_owned).collect();
            return Err(GoldenError::UnknownTopology { name: String::new(), known });
        };
        let mut manifests = vec![golden.build(name)?.to_manifest()];
        for path in &self.also_running {
            manifests.push(read_manifest(path)?);
        }
        let topics = self.topics()?;
        let manifests: Vec<&Manifest> = manifests.iter().collect();
        let others: Vec<&str> = self.other_applications.iter().map(String::as_str).collect();
        let orphans = detect_orphans(&manifests, &self.application_id, topics.iter().map(String::as_str), &others);
        for orphan in &orphans {
            writeln!(output, "{orphan}")?;
        }
        let verdict = match orphans.is_empty() {
            true => Verdict::Same,
            false => {
                writeln!(output, "nothing was deleted: that is for you to do, once no version needs them")?;
                Verdict::NeedsThought
            }
        };
        Ok(verdict.exit_code())
    }

    fn topics(&self) -> Result<Vec<String>, GoldenError> {
        let failed = |reason: String| GoldenError::Cluster { bootstrap: self.bootstrap.clone(), reason };
        let settings = ConnectionSettings::new(addresses(&self.bootstrap), "kafka-streams-golden");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let topics = runtime.block_on(async { Cluster::new(settings)?.list_topics().await });
        let topics = topics.map_err(|error| failed(error.to_string()))?;
        Ok(topics.into_iter().map(|topic| topic.name.to_string()).collect())
    }
}

fn addresses(bootstrap: &str) -> Vec<Address> {
    let address = |text: &str| match text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) => Address::new(host, port),
        None => Address::new(text, DEFAULT_PORT),
    };
    bootstrap.split(',').map(str::trim).filter(|text| !text.is_empty()).map(address).collect()
}
