//! `kafka-streams-oracle`: runs cases and prints which passed, which failed and why.
#![allow(clippy::print_stdout, reason = "a command-line tool")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use kafka_streams_oracle::suite::{self, Verdict};

/// Compare this library with JVM Kafka Streams, case by case
#[derive(Debug, Parser)]
#[command(name = "kafka-streams-oracle")]
struct Cli {
    /// Files or directories of cases; by default those of this repository
    paths: Vec<PathBuf>,
    /// Only cases whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Show every difference of a case, and not just the first
    #[arg(long)]
    all: bool,
    /// List what is missing by operation, and not every case
    #[arg(long)]
    summary: bool,
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let mut paths = cli.paths;
    if paths.is_empty() {
        paths.push(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/cases")));
    }
    let (mut passed, mut failed) = (0, 0);
    let mut not_built: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in &paths {
        for sample in suite::load(path)? {
            let name = sample.name().to_owned();
            if cli.only.as_ref().is_some_and(|only| !name.contains(only)) {
                continue;
            }
            match sample.judge() {
                Verdict::Passed => passed += 1,
                Verdict::NotBuilt(what) => not_built.entry(what).or_default().push(name),
                Verdict::Broken(why) => {
                    failed += 1;
                    println!("FAILED  {name}: {why}");
                }
                Verdict::Failed(differences) => {
                    failed += 1;
                    let shown = if cli.all { differences.len() } else { 1 };
                    for difference in differences.iter().take(shown) {
                        println!("FAILED  {name}: {}: {}", difference.field, difference.text);
                    }
                }
            }
        }
    }
    let missing: usize = not_built.values().map(Vec::len).sum();
    for (what, names) in &not_built {
        match cli.summary {
            true => println!("MISSING {what}: {} cases", names.len()),
            false => names.iter().for_each(|name| println!("MISSING {name}: {what}")),
        }
    }
    println!("{passed} passed, {failed} failed, {missing} need what is not built yet");
    Ok(if failed + missing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
