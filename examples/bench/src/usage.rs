//! What the process has used, and the line that reports it.

use crate::{Guarantee, Workload};
use clap::ValueEnum;

/// Prints the peer's line.
#[expect(clippy::print_stdout, reason = "the line is this program's result")]
pub(crate) fn report(workload: Workload, guarantee: Guarantee, records: u64, seconds: f64) {
    let name = |value: Option<clap::builder::PossibleValue>| value.map(|v| v.get_name().to_owned()).unwrap_or_default();
    println!(
        "{} {} records={records} seconds={seconds:.2} rate={:.0}/s cpu={:.2}s rss={}MiB",
        name(workload.to_possible_value()),
        name(guarantee.to_possible_value()),
        records as f64 / seconds,
        cpu_seconds(),
        peak_rss_mib(),
    );
}

/// User and system time of all threads so far, from `/proc/self/stat` (fields 14 and 15, in ticks of 10 ms).
fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in parentheses, which may hold spaces.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS_PER_SECOND
}

/// The highest resident memory so far (`VmHWM`), in MiB.
fn peak_rss_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    let kib: u64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default();
    kib / 1024
}
