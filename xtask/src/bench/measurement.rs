//! The line that either program prints at its end.

use std::fmt;

use serde::Serialize;

use super::Side;

/// What one run measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Measurement {
    /// The program.
    pub(super) side: Side,
    /// From 0.
    pub(super) round: u32,
    /// The workload's name.
    pub(super) workload: String,
    /// `alos` or `eos`.
    pub(super) guarantee: String,
    /// Records processed; for `restore`, records of the changelog.
    pub(super) records: u64,
    /// From the first record to the end of the clean stop; for `restore`, of the restore.
    pub(super) seconds: f64,
    /// CPU seconds of the whole process.
    pub(super) cpu_seconds: f64,
    /// The process's peak of resident memory.
    pub(super) peak_mib: f64,
}

impl Measurement {
    /// Reads `WORKLOAD GUARANTEE records=N seconds=S rate=R/s cpu=Cs rss=MMiB`; none for any other line. The rate is worked out anew.
    pub(super) fn parse(side: Side, round: u32, line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (workload, guarantee) = (words.next()?, words.next()?);
        let fields: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
        let field = |name: &str, unit: &str| -> Option<&str> {
            let (_, value) = fields.iter().find(|(key, _)| *key == name)?;
            value.strip_suffix(unit)
        };
        // Java prints numbers in the language of the machine.
        let number = |text: &str| text.replace(',', ".").parse::<f64>().ok().filter(|number| number.is_finite());
        Some(Measurement {
            side,
            round,
            workload: workload.to_owned(),
            guarantee: guarantee.to_owned(),
            records: field("records", "")?.parse().ok()?,
            seconds: number(field("seconds", "")?)?,
            cpu_seconds: number(field("cpu", "s")?)?,
            peak_mib: number(field("rss", "MiB")?)?,
        })
    }

    /// Records a second.
    pub(super) fn rate(&self) -> f64 {
        per(self.records, self.seconds)
    }

    /// Records a second of CPU time.
    pub(super) fn rate_per_cpu(&self) -> f64 {
        per(self.records, self.cpu_seconds)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of records are far below 2^52")]
fn per(records: u64, seconds: f64) -> f64 {
    // A run of no time at all measured nothing; the division must only not give infinity.
    records as f64 / seconds.max(0.001)
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} records/s, {:.0} records per CPU second, {:.0} MiB at most ({:.1} s, {:.1} CPU s)",
            self.rate(),
            self.rate_per_cpu(),
            self.peak_mib,
            self.seconds,
            self.cpu_seconds
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_peer_is_read() {
        let line = "rekey-count eos records=2000000 seconds=26.24 rate=76222/s cpu=41.60s rss=1057MiB";
        let measurement = Measurement::parse(Side::Jvm, 1, line).unwrap();
        assert_eq!(measurement.workload, "rekey-count");
        assert_eq!(measurement.records, 2_000_000);
        assert!((measurement.rate() - 76_219.5).abs() < 1.0);
        assert!((measurement.rate_per_cpu() - 48_076.9).abs() < 1.0);
    }

    #[test]
    fn any_other_line_is_not() {
        for line in
            ["", "loaded 5 records into x", "map alos records=5 seconds=1.0 cpu=xs rss=1MiB", "map alos records=5"]
        {
            assert_eq!(Measurement::parse(Side::Rust, 0, line), None, "{line}");
        }
    }
}
