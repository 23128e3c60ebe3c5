//! `cargo xtask setup`: what a machine must have to build and test, looked for by name and installed with apt where that is possible.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::progress::Step;
use crate::workspace::Workspace;
use crate::{jvm, process};

/// Something that the machine must have.
pub(crate) struct Need {
    /// What it is and what for.
    what: &'static str,
    /// The Debian package that brings it.
    package: &'static str,
    /// Whether it is there. Starts no slow program, as every command asks first.
    present: fn() -> bool,
}

/// What cargo needs for the C and C++ libraries in the workspace.
pub(crate) static BUILD: [Need; 6] = [
    Need { what: "a C and C++ compiler", package: "build-essential", present: || on_path("cc") && on_path("c++") },
    Need { what: "make, for librdkafka", package: "make", present: || on_path("make") },
    Need { what: "pkg-config, to find libraries", package: "pkg-config", present: || on_path("pkg-config") },
    Need { what: "OpenSSL's headers, for librdkafka", package: "libssl-dev", present: || library("openssl") },
    Need { what: "zlib's headers, for librdkafka", package: "zlib1g-dev", present: || library("zlib") },
    Need { what: "libclang, for RocksDB's bindings", package: "libclang-dev", present: libclang },
];

/// What the real broker and the Java programs need.
pub(crate) static JAVA: [Need; 4] = [
    Need { what: "Java 17 or newer", package: JDK, present: || java_version().is_some_and(|version| version >= 17) },
    Need { what: "a Java compiler", package: JDK, present: || javac().is_some() },
    Need { what: "Maven, to fetch Kafka", package: "maven", present: || on_path("mvn") },
    Need {
        what: "the openssl program, for a test broker's certificates",
        package: "openssl",
        present: || on_path("openssl"),
    },
];

const JDK: &str = "openjdk-17-jdk-headless";
/// Newer Debian releases have no Java 17; theirs is newer, which does too.
const NEWER_JDK: &str = "default-jdk-headless";

/// The command: looks at everything, installs what lacks, says what there is.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    for need in BUILD.iter().chain(&JAVA) {
        eprintln!("{} {}", if (need.present)() { "found  " } else { "missing" }, need.what);
    }
    ensure(workspace, &BUILD)?;
    ensure(workspace, &JAVA)?;
    eprintln!("this machine has everything");
    Ok(())
}

/// Makes sure that `needs` are met; returns at once when they are.
pub(crate) fn ensure(workspace: &Workspace, needs: &[Need]) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let list = |missing: &[&Need]| missing.iter().map(|need| format!("  {}", need.what)).collect::<Vec<_>>().join("\n");
    let packages = packages(&missing);
    if !on_path("apt-get") {
        bail!("this machine lacks (Debian's packages: {}):\n{}", packages.join(" "), list(&missing));
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "this machine lacks:\n{}\nrun: sudo apt-get update && sudo apt-get install -y {}",
            list(&missing),
            packages.join(" ")
        );
    }
    install(workspace, packages)?;
    let still = self::missing(needs);
    if !still.is_empty() {
        bail!("installed, but still not found:\n{}", list(&still));
    }
    Ok(())
}

/// The path of a program, as a shell would find it.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

fn missing(needs: &[Need]) -> Vec<&Need> {
    needs.iter().filter(|need| !(need.present)()).collect()
}

fn packages(missing: &[&Need]) -> Vec<&'static str> {
    let mut packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    packages.dedup();
    packages
}

fn install(workspace: &Workspace, mut packages: Vec<&'static str>) -> Result<()> {
    let log = |name: &str| workspace.target().join("setup").join(name);
    let step = Step::start(format!("installing {}", packages.join(" ")));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    process::run_logged(apt().arg("update"), "apt-get update", &log("update.log"))?;
    let known = |package: &str| {
        let output = Command::new("apt-cache").args(["show", package]).output();
        output.is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
    };
    for package in &mut packages {
        if *package == JDK && !known(JDK) {
            *package = NEWER_JDK;
        }
    }
    process::run_logged(
        apt().args(["install", "--yes", "--no-install-recommends"]).args(&packages),
        "apt-get install",
        &log("install.log"),
    )
    .with_context(|| format!("cannot install {}", packages.join(" ")))?;
    step.done();
    Ok(())
}

fn on_path(program: &str) -> bool {
    find_program(program).is_some()
}

fn library(name: &str) -> bool {
    Command::new("pkg-config").args(["--exists", name]).status().is_ok_and(|status| status.success())
}

/// Whether a shared libclang lies where bindgen looks for it.
fn libclang() -> bool {
    let mut places: Vec<PathBuf> = std::env::var_os("LIBCLANG_PATH").map(PathBuf::from).into_iter().collect();
    places.extend(["/usr/lib64", "/usr/lib", "/usr/local/lib", "/opt/homebrew/opt/llvm/lib"].map(PathBuf::from));
    for entry in std::fs::read_dir("/usr/lib").into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("llvm-") {
            places.push(path.join("lib"));
        } else if name.contains("-linux-") {
            places.push(path);
        }
    }
    places.iter().any(|place| place.is_file() || has_libclang(place))
}

fn has_libclang(directory: &Path) -> bool {
    std::fs::read_dir(directory).into_iter().flatten().flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // `libclang-cpp` is another library; `libclang.so`, `libclang-14.so.1` and `libclang.dylib` are it.
        (name.starts_with("libclang.") || name.starts_with("libclang-1") || name.starts_with("libclang-2"))
            && (name.contains(".so") || name.ends_with(".dylib"))
    })
}

fn java_home() -> Option<PathBuf> {
    let java = jvm::java();
    let java = if java.is_absolute() { java } else { find_program("java")? };
    Some(java.canonicalize().ok()?.parent()?.parent()?.to_path_buf())
}

fn javac() -> Option<PathBuf> {
    java_home().map(|home| home.join("bin/javac")).filter(|path| path.is_file())
}

/// Java's major version, from the `release` file of its home: faster than to start it.
fn java_version() -> Option<u32> {
    major_version(&std::fs::read_to_string(java_home()?.join("release")).ok()?)
}

fn major_version(release: &str) -> Option<u32> {
    let version = release.lines().find_map(|line| line.strip_prefix("JAVA_VERSION="))?.trim_matches('"');
    version.split(['.', '-', '+']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_java_is_read_from_its_release_file() {
        assert_eq!(major_version("IMPLEMENTOR=\"X\"\nJAVA_VERSION=\"17.0.15\"\n"), Some(17));
        assert_eq!(major_version("JAVA_VERSION=\"21\"\n"), Some(21));
        assert_eq!(major_version("JAVA_VERSION=\"1.8.0_1\"\n"), Some(1));
    }

    #[test]
    fn a_package_is_named_once_however_many_needs_it_meets() {
        let absent = || false;
        let needs = [
            Need { what: "java", package: JDK, present: absent },
            Need { what: "javac", package: JDK, present: absent },
            Need { what: "sh", package: "dash", present: || on_path("sh") },
        ];
        assert_eq!(packages(&missing(&needs)), [JDK]);
    }

    #[test]
    fn libclang_is_not_mistaken_for_its_c_plus_plus_sibling() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("libclang-cpp.so.14"), "").unwrap();
        assert!(!has_libclang(dir.path()));
        std::fs::write(dir.path().join("libclang-14.so.1"), "").unwrap();
        assert!(has_libclang(dir.path()));
    }
}
