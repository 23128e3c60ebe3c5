//! The Java side: builds the programs of `tests/jvm` and the broker's libraries with Maven, and runs programs from them.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::progress::Step;
use crate::workspace::Workspace;

/// The compiled Java programs.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    class_path: OsString,
}

impl Programs {
    /// Builds what changed since the last build; quick when nothing did.
    pub(crate) fn build(workspace: &Workspace) -> Result<Self> {
        let sources = workspace.jvm_sources();
        let out = workspace.jvm();
        let pom = sources.join("pom.xml");
        maven("building the Java programs", &pom, &[sources.join("src"), pom.clone()], &[], &out)?;
        let mut class_path = out.join("classes").into_os_string();
        class_path.push(":");
        class_path.push(out.join("lib").join("*"));
        Ok(Programs { class_path })
    }

    /// Java's class path of all programs: pass it to `java -cp`.
    pub(crate) fn class_path(&self) -> &OsString {
        &self.class_path
    }

    /// A command that runs the main class `class` with `options` for the virtual machine itself.
    pub(crate) fn command(&self, class: &str, options: &[&str]) -> Command {
        let mut command = Command::new(java());
        command.args(options).arg("-cp").arg(&self.class_path).arg(class);
        command
    }
}

/// The libraries of a broker of one Kafka version; quick when they are there.
pub(crate) fn broker_libraries(workspace: &Workspace, version: &str) -> Result<PathBuf> {
    libraries(workspace, "broker", &format!("Kafka {version}"), version, &workspace.kafka().join(version))
}

/// The libraries of Kafka's own smoke tests; quick when they are there.
pub(crate) fn smoke_libraries(workspace: &Workspace, version: &str) -> Result<PathBuf> {
    let out = workspace.target().join("smoke").join(version);
    libraries(workspace, "smoke", &format!("the smoke tests of Kafka {version}"), version, &out)
}

/// The jars that the project `tests/jvm/PROJECT` depends on.
fn libraries(workspace: &Workspace, project: &str, what: &str, version: &str, out: &Path) -> Result<PathBuf> {
    let pom = workspace.jvm_sources().join(project).join("pom.xml");
    let properties = [format!("-Dkafka.version={version}")];
    maven(&format!("fetching {what}"), &pom, std::slice::from_ref(&pom), &properties, out)
        .with_context(|| format!("{what} cannot be fetched from Maven Central"))?;
    Ok(out.join("lib"))
}

/// The `java` to run: the one of `JAVA_HOME`, else the one on the path.
pub(crate) fn java() -> PathBuf {
    std::env::var_os("JAVA_HOME")
        .map(|home| PathBuf::from(home).join("bin/java"))
        .filter(|java| java.is_file())
        .unwrap_or_else(|| PathBuf::from("java"))
}

/// Runs Maven, unless `out` holds a build of the very same inputs.
fn maven(what: &str, pom: &Path, inputs: &[PathBuf], properties: &[String], out: &Path) -> Result<()> {
    let mut hasher = DefaultHasher::new();
    properties.hash(&mut hasher);
    for input in inputs {
        fingerprint(input, &mut hasher).with_context(|| format!("cannot read {}", input.display()))?;
    }
    let stamp = out.join("built.stamp");
    let fingerprint = format!("{:016x}", hasher.finish());
    if out.join("lib").is_dir() && std::fs::read_to_string(&stamp).is_ok_and(|before| before == fingerprint) {
        return Ok(());
    }
    let step = Step::start(what);
    std::fs::create_dir_all(out)?;
    // Jars and classes of an older build must not stay on the class path.
    for stale in ["lib", "classes"] {
        let _ = std::fs::remove_dir_all(out.join(stale));
    }
    let mut command = Command::new("mvn");
    command.args(["--batch-mode", "--quiet", "-Dstyle.color=never", "-f"]).arg(pom).args(properties);
    let mut property = OsString::from("-Dout=");
    property.push(out);
    process::run_logged(command.arg(property).arg("process-classes"), "Maven", &out.join("maven.log"))?;
    std::fs::write(&stamp, fingerprint)?;
    step.done();
    Ok(())
}

fn fingerprint(path: &Path, hasher: &mut DefaultHasher) -> std::io::Result<()> {
    if path.is_dir() {
        let mut entries = std::fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            fingerprint(&entry.path(), hasher)?;
        }
    } else {
        path.file_name().hash(hasher);
        std::fs::read(path)?.hash(hasher);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(path: &Path) -> u64 {
        let mut hasher = DefaultHasher::new();
        fingerprint(path, &mut hasher).unwrap();
        hasher.finish()
    }

    #[test]
    fn a_changed_source_changes_the_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("p")).unwrap();
        let file = dir.path().join("p/A.java");
        std::fs::write(&file, "class A {}").unwrap();
        let before = digest(dir.path());
        assert_eq!(before, digest(dir.path()));
        std::fs::write(&file, "class A { }").unwrap();
        assert_ne!(before, digest(dir.path()));
    }
}
