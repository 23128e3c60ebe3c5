//! The processing side of Kafka's `RelationalSmokeTest`.

use std::process::ExitCode;

use clap::Parser;
use smoke_test::{Options, relational};

/// As the test's own application sets them.
const SETTINGS: [(&str, &str); 3] = [
    ("auto.offset.reset", "earliest"),
    ("commit.interval.ms", "1000"),
    ("windowstore.changelog.additional.retention.ms", "432000000"),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    smoke_test::exit(run(Options::parse()).await)
}

async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    options.run(relational::topology()?, &SETTINGS).await
}
