//! `cargo xtask bench --driver`: the test driver beside the JVM's `TopologyTestDriver`, without a broker.

use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::ratio::{Spread, plain_table};
use super::{Bench, Side};
use crate::cargo::build_example;
use crate::jvm::Programs;
use crate::progress::Step;
use crate::workspace::Workspace;
use crate::{process, setup};

/// What the programs do with each record, by the names that they know.
const WORKLOADS: [&str; 4] = ["pass-through", "map", "count", "window"];

/// What a program prints.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct DriverRun {
    workload: String,
    records: u64,
    /// Records that came out.
    read: u64,
    seconds: f64,
}

/// Runs both programs in turn and prints a table of medians and ratios.
pub(super) fn run(workspace: &Workspace, options: &Bench) -> Result<()> {
    setup::ensure(workspace, &setup::JAVA)?;
    let rust = build_example(workspace, "kafka-streams-testing", "driver_throughput")?;
    let programs = Programs::build(workspace)?;
    let mut runs: Vec<(Side, DriverRun)> = Vec::new();
    for round in 0..options.rounds {
        for workload in WORKLOADS {
            let mut sides = options.sides.clone();
            if round % 2 == 1 {
                sides.reverse();
            }
            for side in sides {
                let mut command = match side {
                    Side::Jvm => programs.command("driver.DriverBench", &[super::PEER_HEAP]),
                    Side::Rust => Command::new(&rust),
                };
                command.args([workload, &options.records.to_string(), &options.keys.to_string()]);
                let what = format!("round {}: {workload} by {}", round + 1, super::name(&side));
                let step = Step::start(&what);
                let printed = process::capture(&mut command, &what)?;
                step.done();
                let line = printed.lines().last().unwrap_or_default();
                let run = serde_json::from_str(line).with_context(|| format!("{what} printed {line}"))?;
                runs.push((side, run));
            }
        }
    }
    println!("{}", table(&runs));
    Ok(())
}

fn table(runs: &[(Side, DriverRun)]) -> comfy_table::Table {
    let mut table = plain_table();
    table.set_header(["workload", "k rec/s\nJVM", "\nRust", "\nratio (min-max)"]);
    for workload in WORKLOADS {
        let rates = |side: Side| -> Vec<f64> {
            let of = runs.iter().filter(|(by, run)| *by == side && run.workload == workload);
            of.map(|(_, run)| run.records as f64 / run.seconds / 1e3).collect()
        };
        let (jvm, rust) = (rates(Side::Jvm), rates(Side::Rust));
        let ratios = jvm.iter().zip(&rust).map(|(jvm, rust)| rust / jvm).collect();
        let median = |rates| Spread::of(rates).map_or_else(String::new, |spread| format!("{:.0}", spread.median()));
        let ratio = Spread::of(ratios).map_or_else(String::new, Spread::as_ratio);
        table.add_row([workload.to_owned(), median(jvm), median(rust), ratio]);
    }
    table
}
