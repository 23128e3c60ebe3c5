//! From single runs to a table: medians of each side, and the ratios of the runs that stood side by side.

use comfy_table::{CellAlignment, Table, presets};

use super::Side;
use super::latency::LatencyRun;
use super::measurement::Measurement;

/// Least, middle and greatest of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    /// None of no numbers.
    pub(super) fn of(mut numbers: Vec<f64>) -> Option<Self> {
        numbers.sort_by(f64::total_cmp);
        let middle = numbers.len() / 2;
        let median = match numbers.len() % 2 {
            0 => f64::midpoint(*numbers.get(middle.checked_sub(1)?)?, *numbers.get(middle)?),
            _ => *numbers.get(middle)?,
        };
        Some(Spread { min: *numbers.first()?, median, max: *numbers.last()? })
    }

    /// The middle.
    pub(super) fn median(self) -> f64 {
        self.median
    }

    /// `2.7x (2.5-3.0)`.
    pub(super) fn as_ratio(self) -> String {
        format!("{:.2}x ({:.2}-{:.2})", self.median, self.min, self.max)
    }
}

/// The head of a column, its number of a run, and how many digits to show behind the point.
type Figure = (&'static str, fn(&Measurement) -> f64, usize);

/// The table of `cargo xtask bench`: a row for each workload and guarantee, for each figure both medians and the ratio Rust : JVM.
pub(super) fn throughput_table(runs: &[Measurement]) -> Table {
    let figures: [Figure; 3] = [
        ("k rec/s", |run| run.rate() / 1e3, 1),
        ("k rec/CPU s", |run| run.rate_per_cpu() / 1e3, 1),
        ("peak MiB", |run| run.peak_mib, 0),
    ];
    let mut table = plain_table();
    let mut header = vec!["workload".to_owned(), String::new()];
    for (figure, _, _) in &figures {
        header.extend([format!("{figure}\nJVM"), "\nRust".to_owned(), "\nratio (min-max)".to_owned()]);
    }
    table.set_header(header);
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for run in runs {
        if !rows.contains(&(run.workload.as_str(), run.guarantee.as_str())) {
            rows.push((&run.workload, &run.guarantee));
        }
    }
    for (workload, guarantee) in rows {
        let of = |side: Side| {
            runs.iter().filter(move |run| run.side == side && run.workload == workload && run.guarantee == guarantee)
        };
        let mut row = vec![workload.to_owned(), guarantee.to_owned()];
        for (_, figure, digits) in &figures {
            let median = |side| Spread::of(of(side).map(figure).collect());
            row.extend([Side::Jvm, Side::Rust].map(|side| cell(median(side).map(|spread| spread.median), *digits)));
            let pairs = of(Side::Jvm).filter_map(|jvm| {
                let rust = of(Side::Rust).find(|rust| rust.round == jvm.round)?;
                Some(figure(rust) / figure(jvm))
            });
            row.push(Spread::of(pairs.collect()).map_or_else(|| "-".to_owned(), Spread::as_ratio));
        }
        table.add_row(row);
    }
    align(&mut table, 2);
    table
}

/// The table of `cargo xtask bench --latency`: quantiles in ms, each side's median over the rounds, and the ratio of the p99.
pub(super) fn latency_table(runs: &[LatencyRun]) -> Table {
    let mut table = plain_table();
    table.set_header(["workload", "", "side", "p50", "p95", "p99", "p99.9", "max", "p99 Rust : JVM (min-max)"]);
    let mut rows: Vec<(&str, &str, Side)> = Vec::new();
    for run in runs {
        if !rows.contains(&(run.workload.as_str(), run.guarantee.as_str(), run.side)) {
            rows.push((&run.workload, &run.guarantee, run.side));
        }
    }
    rows.sort_by_key(|(workload, guarantee, side)| (*workload, *guarantee, *side == Side::Rust));
    for (workload, guarantee, side) in rows {
        let of = |side: Side| {
            runs.iter().filter(move |run| run.side == side && run.workload == workload && run.guarantee == guarantee)
        };
        let mut row = vec![workload.to_owned(), guarantee.to_owned(), super::name(&side)];
        for quantile in 0..5 {
            let values = of(side).filter_map(|run| run.quantiles().get(quantile).copied()).collect();
            row.push(cell(Spread::of(values).map(|spread| spread.median), 0));
        }
        let pairs = of(Side::Jvm).filter_map(|jvm| {
            let rust = of(Side::Rust).find(|rust| rust.round == jvm.round)?;
            Some(rust.p99 / jvm.p99.max(1.0))
        });
        let ratio = Spread::of(pairs.collect()).filter(|_| side == Side::Rust);
        row.push(ratio.map_or_else(String::new, Spread::as_ratio));
        table.add_row(row);
    }
    align(&mut table, 3);
    table
}

pub(super) fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// Numbers to the right, from this column on.
fn align(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(side: Side, round: u32, seconds: f64) -> Measurement {
        let line = format!("map alos records=1000 seconds={seconds} rate=0/s cpu={seconds}s rss=100MiB");
        Measurement::parse(side, round, &line).unwrap()
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 9.0]).unwrap(), Spread { min: 1.0, median: 3.0, max: 9.0 });
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // Round 0: Rust twice as fast; round 1, on a slower machine: four times.
        let runs = [run(Side::Jvm, 0, 2.0), run(Side::Rust, 0, 1.0), run(Side::Rust, 1, 2.0), run(Side::Jvm, 1, 8.0)];
        let table = throughput_table(&runs).to_string();
        assert!(table.contains("3.00x (2.00-4.00)"), "{table}");
        assert!(table.contains("1.00x (1.00-1.00)"), "{table}");
    }

    #[test]
    fn a_side_that_did_not_run_leaves_its_cells_empty() {
        let table = throughput_table(&[run(Side::Rust, 0, 1.0)]).to_string();
        assert!(table.lines().last().is_some_and(|row| row.contains(" - ")), "{table}");
    }
}
