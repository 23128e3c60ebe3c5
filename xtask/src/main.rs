//! `cargo xtask`: set-up, demo, tests, benchmarks and checks of the workspace.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool: results to stdout, the rest to stderr"
)]

mod bench;
mod cargo;
mod check;
mod demo;
mod interrupt;
mod jvm;
mod kafka;
mod oracle;
mod process;
mod progress;
mod setup;
mod smoke;
mod test;
mod topologies;
mod verify;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use workspace::Workspace;

/// Set-up, demo, tests, benchmarks and checks of Kafka Streams for Rust
///
/// Everything that a command makes lies in cargo's build directory. Results go to standard output, progress to standard error.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look for what building and testing need; install it with apt as root, else print the command that does
    Setup,
    /// Start, stop and list real Kafka brokers on this machine
    #[command(subcommand)]
    Kafka(kafka::KafkaCommand),
    /// Count the words of a text, exactly-once, on a real broker, with a live table; Ctrl-C stops everything
    Demo(demo::Demo),
    /// Run every test: rules of the house, units, properties, documentation, and the suite on real brokers
    Test(test::Test),
    /// Measure our programs and the JVM's side by side on the same broker and topic
    Bench(bench::Bench),
    /// Compare this library with the JVM's, case by case: names, topics, and every record of every topic
    Oracle(oracle::Oracle),
    /// Run Kafka's own smoke tests of Kafka Streams against our programs on a real broker
    Smoke(smoke::Smoke),
    /// Hold the sources against the rules that the compiler does not know; without a name: all of them
    Check {
        /// The checks to run
        checks: Vec<check::Check>,
    },
    /// Compare the examples' topologies with their golden files; `--bless` accepts what is different
    #[command(disable_help_flag = true)]
    Golden(topologies::HandedOn),
    /// Compare two manifests: `diff OLD NEW`
    #[command(disable_help_flag = true)]
    Diff(topologies::HandedOn),
    /// Print the examples' topologies as Kafka Streams describes them
    #[command(disable_help_flag = true)]
    Describe(topologies::HandedOn),
    /// Print the manifest of an example's topology
    #[command(disable_help_flag = true)]
    Manifest(topologies::HandedOn),
    /// Draw an example's topology: `graph NAME --svg`, `--mermaid` or `--dot`
    #[command(disable_help_flag = true)]
    Graph(topologies::HandedOn),
    /// Tell topics of an example that are left over on a cluster; it is only read
    #[command(disable_help_flag = true)]
    Orphans(topologies::HandedOn),
    /// Everything read-only that a change must pass beside the tests: check, fmt, clippy, doc, deny
    Verify,
    /// Mend what tools can mend: clippy --fix, fmt
    Fix,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<interrupt::Interrupted>() => {
            eprintln!("interrupted");
            ExitCode::from(interrupt::EXIT_CODE)
        }
        Err(error) if error.is::<topologies::Ended>() => {
            // The command has said why.
            ExitCode::from(error.downcast_ref::<topologies::Ended>().map_or(1, |ended| ended.0))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    interrupt::install()?;
    let workspace = Workspace::locate()?;
    match &cli.command {
        Command::Setup => setup::run(&workspace),
        Command::Kafka(command) => kafka::run(&workspace, command),
        Command::Demo(options) => demo::run(&workspace, options),
        Command::Bench(options) => bench::run(&workspace, options),
        Command::Smoke(options) => smoke::run(&workspace, options),
        Command::Test(options) => test::run(&workspace, options),
        Command::Oracle(options) => oracle::run(&workspace, options),
        Command::Golden(handed_on) => topologies::run(&workspace, "golden", handed_on),
        Command::Diff(handed_on) => topologies::run(&workspace, "diff", handed_on),
        Command::Describe(handed_on) => topologies::run(&workspace, "describe", handed_on),
        Command::Manifest(handed_on) => topologies::run(&workspace, "manifest", handed_on),
        Command::Graph(handed_on) => topologies::run(&workspace, "graph", handed_on),
        Command::Orphans(handed_on) => topologies::run(&workspace, "orphans", handed_on),
        Command::Verify => verify::verify(&workspace),
        Command::Fix => verify::fix(&workspace),
        Command::Check { checks } => check::Check::run_all(&workspace, checks),
    }
}
