//! `cargo xtask bench --latency`: time from a record's writing to its result's reading, with either program between the topics.

use std::fs::File;
use std::process::Stdio;

use anyhow::{Result, bail};
use serde::Serialize;

use super::{Guarantee, Run, Side, Stand, Workload, name, ratio, write_json};
use crate::process::{self, Group};
use crate::progress::Step;

/// A longer time than at-least-once's default commit interval of 30 s, which also bounds how long a count waits in the cache.
const WARM_UP_SECONDS: u64 = 35;
/// Distinct keys of the stream.
const KEYS: u64 = 1_000;
/// More than will ever come: the program is ended when the measurement is done.
const NO_END: u64 = 1_000_000_000_000;

/// What one measurement gave, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct LatencyRun {
    /// The program between the topics.
    pub(super) side: Side,
    /// From 0.
    pub(super) round: u32,
    /// The workload's name.
    pub(super) workload: String,
    /// `alos` or `eos`.
    pub(super) guarantee: String,
    /// Results that were read in time.
    pub(super) samples: u64,
    /// The median.
    pub(super) p50: f64,
    /// 95 of 100 are not slower.
    pub(super) p95: f64,
    /// 99 of 100 are not slower.
    pub(super) p99: f64,
    /// 999 of 1,000 are not slower.
    pub(super) p99_9: f64,
    /// The slowest.
    pub(super) max: f64,
}

impl LatencyRun {
    /// p50, p95, p99, p99.9, max.
    pub(super) fn quantiles(&self) -> [f64; 5] {
        [self.p50, self.p95, self.p99, self.p99_9, self.max]
    }

    /// Reads `rate=R/s samples=N p50=… p95=… p99=… p99.9=… max=… ms`; none for any other line.
    fn parse(run: &Run<'_>, round: u32, line: &str) -> Option<Self> {
        let field = |name: &str| {
            line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse::<f64>().ok())
        };
        Some(LatencyRun {
            side: run.side,
            round,
            workload: name(&run.workload),
            guarantee: name(&run.guarantee),
            samples: line.split_whitespace().find_map(|word| word.strip_prefix("samples=")?.parse().ok())?,
            p50: field("p50")?,
            p95: field("p95")?,
            p99: field("p99")?,
            p99_9: field("p99.9")?,
            max: field("max")?,
        })
    }
}

/// Measures `map` and `count`, those of them that were asked for.
pub(super) fn run(stand: &Stand<'_>) -> Result<()> {
    let mut runs = Vec::new();
    let workloads = stand.options.workloads.iter().filter(|w| matches!(w, Workload::Map | Workload::Count));
    for round in 0..stand.options.rounds {
        for workload in workloads.clone() {
            for guarantee in &stand.options.guarantees {
                for side in stand.order(round) {
                    runs.push(measure(stand, side, *workload, *guarantee, round)?);
                }
            }
        }
    }
    if runs.is_empty() {
        bail!("latency is measured for map and count only");
    }
    println!("{}", ratio::latency_table(&runs));
    write_json(stand, "latency", &runs)
}

fn measure(stand: &Stand<'_>, side: Side, workload: Workload, guarantee: Guarantee, round: u32) -> Result<LatencyRun> {
    let output = format!("latency-{}-{}-{}-{round}", name(&workload), name(&guarantee), name(&side));
    let input = format!("{output}-in");
    let run = Run {
        side,
        workload,
        guarantee,
        input: &input,
        output: &output,
        records: NO_END,
        application: &format!("app-{output}"),
    };
    let what = format!("round {}: latency of {} by {}", round + 1, run.what(), name(&side));
    let step = Step::start(&what);
    stand.topic(&input)?;
    stand.topic(&output)?;
    let log = stand.directory.join("run").join(format!("{}.log", run.application));
    let mut command = stand.command(&run)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
    let mut program = Group::spawn(&mut command, what.as_str())?;

    let options = stand.options;
    let mut probe = stand.programs.command("peer.Latency", &["-Xmx512m"]);
    probe.args([&stand.bootstrap, &input, &output, &options.rate.to_string(), &WARM_UP_SECONDS.to_string()]);
    probe.args([&options.latency_seconds.to_string(), &KEYS.to_string(), &options.value_bytes.to_string()]);
    let probing = Run { application: &format!("{}-probe", run.application), ..run };
    let printed = stand.capture(&mut probe, "peer.Latency", &probing)?;
    if let Some(status) = program.try_wait()? {
        bail!("{what}: the program ended by itself ({status}); the end of its log:\n{}", process::tail(&log, 25));
    }
    program.stop()?;
    let measured = printed.lines().rev().find_map(|line| LatencyRun::parse(&run, round, line));
    let Some(measured) = measured.filter(|measured| measured.samples > 0) else {
        bail!("{what}: nothing came through; the end of its log:\n{}", process::tail(&log, 25));
    };
    step.done();
    eprintln!("  p50 {} p99 {} max {} ms, {} samples", measured.p50, measured.p99, measured.max, measured.samples);
    stand.clean(&run)?;
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_peer_is_read() {
        let run = Run {
            side: Side::Rust,
            workload: Workload::Count,
            guarantee: Guarantee::Eos,
            input: "",
            output: "",
            records: 0,
            application: "",
        };
        let line = "rate=5000/s samples=299700 p50=63 p95=111 p99=122 p99.9=147 max=160 ms";
        let read = LatencyRun::parse(&run, 0, line).unwrap();
        assert_eq!(read.samples, 299_700);
        assert_eq!(read.quantiles().map(|value| value.round() as i64), [63, 111, 122, 147, 160]);
        assert_eq!(LatencyRun::parse(&run, 0, "produced 5"), None);
    }
}
