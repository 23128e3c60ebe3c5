//! Where things lie: the workspace's root and the build directory that everything made by a command goes to.

use std::path::{Path, PathBuf};

/// The two directories that every command starts from.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds both: the root beside this crate, the build directory as cargo does it (`CARGO_TARGET_DIR`, else `target` in the root).
    pub(crate) fn locate() -> std::io::Result<Self> {
        // Cargo sets the variable for the package that it runs: this one, or a test that calls us. The compile-time value serves a binary
        // that is started by hand.
        let started_by = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        let root = started_by
            .as_deref()
            .into_iter()
            .chain([Path::new(env!("CARGO_MANIFEST_DIR"))])
            .flat_map(Path::ancestors)
            .find(|directory| directory.join("xtask").is_dir() && directory.join("Cargo.toml").is_file())
            .unwrap_or(Path::new("."))
            .to_path_buf();
        let target = match std::env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
            Some(dir) => std::path::absolute(PathBuf::from(dir))?,
            None => root.join("target"),
        };
        Ok(Workspace { root, target })
    }

    /// The root of the workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's build directory; brokers, Java classes and results have sub-directories of their own in it.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Brokers: `VERSION/lib` and `VERSION/NAME/{data,config,…}`.
    pub(crate) fn kafka(&self) -> PathBuf {
        self.target.join("kafka")
    }

    /// The sources of the Java programs.
    pub(crate) fn jvm_sources(&self) -> PathBuf {
        self.root.join("tests/jvm")
    }

    /// The compiled Java programs and the jars they need: `classes` and `lib`.
    pub(crate) fn jvm(&self) -> PathBuf {
        self.target.join("jvm")
    }

    /// A path for people: relative to the root where it lies in it.
    pub(crate) fn show(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_where_the_workspace_is() {
        let workspace = Workspace::locate().unwrap();
        assert!(workspace.root().join("xtask/Cargo.toml").is_file());
        assert!(workspace.target().is_absolute());
    }
}
