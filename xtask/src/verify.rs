//! `cargo xtask verify` changes nothing and says whether a change may land, short of the tests; `cargo xtask fix` mends what a tool can mend.

use anyhow::{Result, bail};

use crate::cargo::cargo;
use crate::check::Check;
use crate::interrupt::Interrupted;
use crate::setup::find_program;
use crate::workspace::Workspace;
use crate::{process, setup};

/// Lints of every target; a warning is an error.
const CLIPPY: &[&str] = &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];

/// Formatting, lints, documentation, dependencies and the rules of the house. All of them run, whichever fails.
pub(crate) fn verify(workspace: &Workspace) -> Result<()> {
    setup::ensure(workspace, &setup::BUILD)?;
    let mut failed = Vec::new();
    let mut run = |name: &str, result: Result<()>| match result {
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => {
            eprintln!("error: {error:#}");
            failed.push(name.to_owned());
            Ok(())
        }
        Ok(()) => Ok(()),
    };
    run("check", Check::run_all(workspace, &[]))?;
    run("fmt", process::run(&mut cargo(workspace, &["fmt", "--all", "--check"]), "cargo fmt"))?;
    run("clippy", process::run(&mut cargo(workspace, CLIPPY), "cargo clippy"))?;
    run("doc", doc(workspace))?;
    run("deny", deny(workspace))?;
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    eprintln!("verified");
    Ok(())
}

/// Formats and lets clippy apply what it is sure of.
pub(crate) fn fix(workspace: &Workspace) -> Result<()> {
    setup::ensure(workspace, &setup::BUILD)?;
    let clippy = ["clippy", "--fix", "--workspace", "--all-targets", "--allow-dirty", "--allow-staged"];
    process::run(&mut cargo(workspace, &clippy), "cargo clippy --fix")?;
    process::run(&mut cargo(workspace, &["fmt", "--all"]), "cargo fmt")
}

/// The API's documentation, without the dependencies'; a broken link is an error.
pub(crate) fn doc(workspace: &Workspace) -> Result<()> {
    let mut command = cargo(workspace, &["doc", "--workspace", "--no-deps"]);
    process::run(command.env("RUSTDOCFLAGS", "-D warnings"), "cargo doc")
}

/// Licences, bans and sources of the dependencies, by `deny.toml`.
fn deny(workspace: &Workspace) -> Result<()> {
    if find_program("cargo-deny").is_none() {
        eprintln!("skipped: cargo-deny is not installed (cargo install --locked cargo-deny)");
        return Ok(());
    }
    process::run(&mut cargo(workspace, &["deny", "check", "bans", "licenses", "sources"]), "cargo deny")
}
