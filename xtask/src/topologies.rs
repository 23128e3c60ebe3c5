//! `cargo xtask golden` and the other commands over the examples' topologies, which the program `golden` knows: this one
//! stays free of the library, so that it is built in seconds.

use std::ffi::OsString;
use std::fmt;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cargo::cargo;
use crate::workspace::Workspace;
use crate::{process, setup};

/// What is handed on as it is.
#[derive(Debug, Args)]
pub(crate) struct HandedOn {
    /// Arguments of the command; `--help` tells them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// The command has ended with this exit code, and has said why.
#[derive(Debug)]
pub(crate) struct Ended(pub(crate) u8);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended with exit code {}", self.0)
    }
}

impl std::error::Error for Ended {}

/// Runs a command of `kafka-streams-golden` over the examples' topologies.
pub(crate) fn run(workspace: &Workspace, command: &str, handed_on: &HandedOn) -> Result<()> {
    let features: &[&str] = match command {
        "orphans" => {
            setup::ensure(workspace, &setup::BUILD)?;
            &["--features", "orphans"]
        }
        _ => &[],
    };
    let mut child = cargo(workspace, &["run", "--quiet", "--package", "golden"]);
    child.args(features).args(["--", command]).args(&handed_on.arguments);
    let status = child.status().context("cannot start cargo")?;
    match status.code().map(u8::try_from) {
        Some(Ok(0)) => Ok(()),
        Some(Ok(code)) => Err(Ended(code).into()),
        _ => bail!("`{command}` was ended by a signal"),
    }
}

/// The template of a user's workspace.
const TEMPLATE: &str = "docs/template";

/// The golden files of the examples and of the template of a user's workspace, which is built for that.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    run(workspace, "golden", &HandedOn { arguments: Vec::new() })?;
    // The template is a workspace of its own; with the same versions as ours nothing is compiled twice.
    let lock = workspace.root().join(TEMPLATE).join("Cargo.lock");
    std::fs::copy(workspace.root().join("Cargo.lock"), &lock)
        .with_context(|| format!("cannot write {}", lock.display()))?;
    let manifest = format!("{TEMPLATE}/Cargo.toml");
    let template = |arguments: &[&str], after: &[&str]| {
        let mut command = cargo(workspace, arguments);
        command.args(["--quiet", "--manifest-path", &manifest, "--package"]).args(after);
        process::run(&mut command, "the template of a user's workspace")
    };
    template(&["check"], &["app"])?;
    template(&["run"], &["xtask", "--", "golden"])
}
