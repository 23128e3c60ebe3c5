//! `cargo xtask check`: rules of the house that the compiler does not know.

mod layering;
mod purity;
mod source;
mod tidy;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::progress::Step;
use crate::workspace::Workspace;

/// The checks, each read-only and done in a second or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Check {
    /// No crate depends on one above it; tokio, rdkafka and rocksdb stay above the line; the runtime names no extension
    Layering,
    /// The pure crates use no files, sockets, threads, clocks, randomness or async
    Purity,
    /// Every .rs file says what it is for; no machine's paths; no unfinished marks
    Tidy,
}

impl Check {
    /// Runs the check; the error lists everything that was found, one place a line.
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let step = Step::start(format!("checking {name}"));
        let found = match self {
            Check::Layering => layering::check(&layering::Graph::read(workspace)?),
            Check::Purity => purity::check(workspace)?,
            Check::Tidy => tidy::check(workspace)?,
        };
        if !found.is_empty() {
            bail!("{name}: {} found\n  {}", found.len(), found.join("\n  "));
        }
        step.done();
        Ok(())
    }

    /// Runs the given checks, or all when none is given; every one is run even if one before it failed.
    pub(crate) fn run_all(workspace: &Workspace, checks: &[Check]) -> Result<()> {
        let checks = if checks.is_empty() { Check::value_variants() } else { checks };
        let failures: Vec<String> =
            checks.iter().filter_map(|check| check.run(workspace).err()).map(|error| format!("{error:#}")).collect();
        if !failures.is_empty() {
            bail!("{}", failures.join("\n"));
        }
        Ok(())
    }
}
