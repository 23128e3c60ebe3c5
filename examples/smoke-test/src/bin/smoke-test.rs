//! The processing side of Kafka's `StreamsSmokeTest`, as its `SmokeTestClient`.

use std::process::ExitCode;

use clap::Parser;
use smoke_test::{Options, streams};

/// As `SmokeTestClient` sets it: windows of two days must not expire while the test runs.
const SETTINGS: [(&str, &str); 1] = [("windowstore.changelog.additional.retention.ms", "259200000")];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    smoke_test::exit(run(Options::parse()).await)
}

async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    options.run(streams::topology()?, &SETTINGS).await
}
