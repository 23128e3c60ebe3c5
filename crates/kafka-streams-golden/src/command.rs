//! The commands and what they do.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kafka_streams_naming::{Diff, diff, render};

use crate::check::Check;
use crate::golden::{read_manifest, shown, write_file};
use crate::{Golden, GoldenError};

/// Compares topologies with what runs
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", no_binary_name = true)]
pub(crate) struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Compare topologies with their golden files; any difference fails, and is told by class
    Golden(Check),
    /// Compare two manifests
    Diff(Compare),
    /// Print a topology as Kafka Streams describes it
    Describe {
        /// The topologies; without a name: all of them
        names: Vec<String>,
    },
    /// Print the manifest of a topology
    Manifest {
        /// The topology; may be left out if there is one only
        name: Option<String>,
    },
    /// Draw a topology
    Graph(Graph),
    /// Tell topics of an application that no version expects any more; needs the right to describe topics only
    #[cfg(feature = "orphans")]
    Orphans(crate::orphans::Orphans),
}

#[derive(Debug, Args)]
struct Compare {
    /// The manifest of what runs
    old: PathBuf,
    /// The manifest of what is to run
    new: PathBuf,
    /// How differences are written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Args)]
struct Graph {
    /// The topology; may be left out if there is one only
    name: Option<String>,
    /// As an SVG image (the default)
    #[arg(long, group = "language")]
    svg: bool,
    /// As a Mermaid flowchart
    #[arg(long, group = "language")]
    mermaid: bool,
    /// In the DOT language of Graphviz
    #[arg(long, group = "language")]
    dot: bool,
    /// Write to this file in place of standard output
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// Workflow commands of GitHub Actions, which show up in a pull request
    Github,
}

impl Command {
    pub(crate) fn parse(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, GoldenError> {
        Ok(Command::try_parse_from(arguments.into_iter().map(Into::into))?)
    }

    pub(crate) fn run(&self, golden: &Golden, output: &mut dyn Write) -> Result<u8, GoldenError> {
        match &self.action {
            Action::Golden(check) => check.run(golden, output),
            Action::Diff(compare) => compare.run(output),
            Action::Describe { names } => {
                for name in golden.chosen(names)? {
                    write!(output, "{}", golden.build(name)?.describe())?;
                }
                Ok(0)
            }
            Action::Manifest { name } => {
                let name = golden.only(name.as_deref())?;
                write!(output, "{}", golden.build(name)?.to_manifest().to_json())?;
                Ok(0)
            }
            Action::Graph(graph) => graph.run(golden, output),
            #[cfg(feature = "orphans")]
            Action::Orphans(orphans) => orphans.run(golden, output),
        }
    }
}

impl Compare {
    fn run(&self, output: &mut dyn Write) -> Result<u8, GoldenError> {
        let diff = diff(&read_manifest(&self.old)?, &read_manifest(&self.new)?);
        write!(output, "{}", self.format.write(&diff, &shown(&self.new)))?;
        Ok(diff.verdict.exit_code())
    }
}

impl Graph {
    fn run(&self, golden: &Golden, output: &mut dyn Write) -> Result<u8, GoldenError> {
        let name = golden.only(self.name.as_deref())?;
        let manifest = golden.build(name)?.to_manifest();
        let text = match (self.mermaid, self.dot) {
            (true, _) => render::mermaid(&manifest),
            (_, true) => render::dot(&manifest),
            _ => render::svg(&manifest),
        };
        match &self.output {
            Some(path) => write_file(path, &text)?,
            None => write!(output, "{text}")?,
        }
        Ok(0)
    }
}

impl Format {
    fn write(self, diff: &Diff, file: &str) -> String {
        match self {
            Format::Text => diff.to_string(),
            Format::Json => diff.to_json(),
            Format::Github => diff.to_github_annotations(file),
        }
    }
}
