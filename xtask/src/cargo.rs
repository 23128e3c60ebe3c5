//! Cargo as a child process, with our build directory.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::workspace::Workspace;

/// A cargo command over the workspace.
pub(crate) fn cargo(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(workspace.root()).env("CARGO_TARGET_DIR", workspace.target());
    // Cargo sets these for us as its child; they would make other packages look changed.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    command
}

/// Builds one binary and gives its path; `release` takes that profile instead of dev.
pub(crate) fn build_binary(workspace: &Workspace, package: &str, release: bool) -> Result<PathBuf> {
    build_binary_of(workspace, package, package, release)
}

/// As [`build_binary`], for a package with several.
pub(crate) fn build_binary_of(workspace: &Workspace, package: &str, binary: &str, release: bool) -> Result<PathBuf> {
    let mut arguments = vec!["build", "--package", package, "--bin", binary];
    if release {
        arguments.push("--release");
    }
    process::run(&mut cargo(workspace, &arguments), &format!("building {binary}"))?;
    Ok(workspace.target().join(if release { "release" } else { "debug" }).join(binary))
}

/// Builds an example in the release profile and gives its path.
pub(crate) fn build_example(workspace: &Workspace, package: &str, example: &str) -> Result<PathBuf> {
    let arguments = ["build", "--release", "--package", package, "--example", example];
    process::run(&mut cargo(workspace, &arguments), &format!("building {example}"))?;
    Ok(workspace.target().join("release/examples").join(example))
}
