//! `cargo xtask test`: everything, from the rules of the house to the suite on real brokers, which it starts and always stops.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use clap::Args;

use crate::cargo::{build_binary, cargo};
use crate::check::Check;
use crate::interrupt::Interrupted;
use crate::jvm::Programs;
use crate::kafka::{BrokerSpec, KafkaVersion, RunningBroker};
use crate::process::Group;
use crate::progress::seconds;
use crate::workspace::Workspace;
use crate::{process, setup, topologies};

/// The package whose tests need a broker.
const SUITE: &str = "kafka-streams-tests";

/// The suite on real brokers takes far less; a test that hangs must not hold a machine for ever.
const LIMIT: Duration = Duration::from_secs(45 * 60);

/// Options of `test`.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Run only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How often the kill test kills an instance (kill -9) in one run
    #[arg(long, value_name = "N", default_value_t = 50)]
    kills: u32,
    /// Leave out what needs a real broker, and Java with it
    #[arg(long)]
    no_broker: bool,
}

/// Runs every phase; a failed one does not keep the later ones from running, except where they need it.
pub(crate) fn run(workspace: &Workspace, options: &Test) -> Result<()> {
    let xtask = keep_xtask(workspace)?;
    setup::ensure(workspace, &setup::BUILD)?;
    if !options.no_broker {
        setup::ensure(workspace, &setup::JAVA)?;
    }
    let mut phases = Phases::default();
    if options.filter.is_none() {
        phases.run("rules of the house", || Check::run_all(workspace, &[]))?;
    }
    // Every call of cargo selects the same packages: it then unifies features once, and nothing is compiled twice.
    let packages: &[&str] = if options.no_broker { &["--workspace", "--exclude", SUITE] } else { &["--workspace"] };
    let test = |targets: &[&str]| {
        let mut command = cargo(workspace, &["test", "--no-fail-fast"]);
        command.args(packages).args(targets);
        command
    };
    let run = |targets: &[&str]| process::run(test(targets).args(&options.filter), "cargo test");
    phases.run("build", || process::run(&mut test(&["--no-run"]), "cargo test --no-run"))?;
    if phases.failed("build") {
        return phases.finish();
    }
    if options.filter.is_none() {
        phases.run("golden files and the template", || topologies::check(workspace))?;
    }
    if options.no_broker {
        phases.run("unit, property and integration tests", || run(&["--tests", "--examples"]))?;
        phases.run("documentation tests", || run(&["--doc"]))?;
    } else {
        phases.run("unit and property tests", || run(&["--lib", "--bins", "--examples"]))?;
        phases.run("documentation tests", || run(&["--doc"]))?;
        phases.run("integration tests on real brokers", || {
            on_brokers(workspace, options, &xtask, test(&["--test", "*"]))
        })?;
    }
    phases.finish()
}

/// A copy of this program, for tests that start brokers of their own: the build may put another file in its place, as every
/// workspace with an `xtask` of its own does that is built into the same target directory.
fn keep_xtask(workspace: &Workspace) -> Result<PathBuf> {
    let directory = workspace.target().join("test");
    std::fs::create_dir_all(&directory)?;
    let copy = directory.join("xtask");
    // Not over a copy that may be running.
    let _ = std::fs::remove_file(&copy);
    std::fs::copy(std::env::current_exe()?, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
    Ok(copy)
}

/// Runs `tests` with everything around it that a test may need, named by environment variables (see docs/development.md).
fn on_brokers(workspace: &Workspace, options: &Test, xtask: &Path, mut tests: Command) -> Result<()> {
    let word_count = build_binary(workspace, "word-count", false)?;
    let programs = Programs::build(workspace)?;
    // Both are stopped at the end of this function, however it ends.
    let newest = start(workspace, "test", KafkaVersion::default(), true)?;
    let older = start(workspace, "test-older", KafkaVersion::older(), false)?;
    tests
        .args(&options.filter)
        .env("KAFKA_STREAMS_TEST_BOOTSTRAP", &newest.state().bootstrap)
        .env("KAFKA_STREAMS_TEST_BROKER_FILE", newest.state().file(workspace))
        .env("KAFKA_STREAMS_TEST_OLDER_BOOTSTRAP", &older.state().bootstrap)
        .env("KAFKA_STREAMS_TEST_JVM", programs.class_path())
        .env("KAFKA_STREAMS_TEST_WORD_COUNT", &word_count)
        .env("KAFKA_STREAMS_TEST_XTASK", xtask)
        .env("KAFKA_STREAMS_TEST_KILLS", options.kills.to_string())
        .stdin(Stdio::null());
    let status = Group::spawn(&mut tests, "cargo test")?.wait_at_most(LIMIT)?;
    process::expect_success(status, "cargo test")
}

fn start(workspace: &Workspace, name: &str, version: KafkaVersion, secured: bool) -> Result<RunningBroker> {
    RunningBroker::start_afresh(workspace, &BrokerSpec { name: name.to_owned(), version, secured, fresh: true })
}

/// What was run, how long it took, and how it ended.
#[derive(Default)]
struct Phases(Vec<Phase>);

struct Phase {
    name: &'static str,
    took: Duration,
    error: Option<Error>,
}

impl Phases {
    /// Runs a phase and notes a failure; only an interruption ends everything.
    fn run(&mut self, name: &'static str, body: impl FnOnce() -> Result<()>) -> Result<()> {
        eprintln!("\n== {name}");
        let began = Instant::now();
        let result = body();
        if let Err(error) = result {
            if error.is::<Interrupted>() {
                return Err(error);
            }
            eprintln!("error: {error:#}");
            self.0.push(Phase { name, took: began.elapsed(), error: Some(error) });
        } else {
            self.0.push(Phase { name, took: began.elapsed(), error: None });
        }
        Ok(())
    }

    fn failed(&self, name: &str) -> bool {
        self.0.iter().any(|phase| phase.name == name && phase.error.is_some())
    }

    /// Prints the summary; an error names the phases that failed.
    fn finish(self) -> Result<()> {
        eprintln!("\n== summary");
        for phase in &self.0 {
            let verdict = if phase.error.is_none() { "ok    " } else { "FAILED" };
            eprintln!("{verdict}  {:<38} {:>12}", phase.name, seconds(phase.took));
        }
        let failed: Vec<&str> = self.0.iter().filter(|phase| phase.error.is_some()).map(|phase| phase.name).collect();
        if !failed.is_empty() {
            anyhow::bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_phase_fails_the_whole_but_later_phases_run() {
        let mut phases = Phases::default();
        let mut ran = false;
        phases.run("first", || anyhow::bail!("broken")).unwrap();
        phases
            .run("second", || {
                ran = true;
                Ok(())
            })
            .unwrap();
        assert!(ran && phases.failed("first"));
        assert_eq!(phases.finish().unwrap_err().to_string(), "failed: first");
    }

    #[test]
    fn an_interruption_ends_everything() {
        let mut phases = Phases::default();
        assert!(phases.run("first", || Err(Interrupted.into())).unwrap_err().is::<Interrupted>());
    }
}
