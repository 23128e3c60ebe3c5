//! The topologies of a workspace and where their golden files lie.

use std::error::Error;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use kafka_streams_naming::Manifest;
use kafka_streams_topology::Topology;

use crate::GoldenError;
use crate::command::Command;

/// What a command exits with if it could not do its work.
const FAILED: u8 = 4;

type BuildTopology = Box<dyn Fn(Option<&Manifest>) -> Result<Topology, Box<dyn Error>>>;

/// The topologies that are checked against golden files. In a workspace's `xtask`:
///
/// ```
/// use kafka_streams_dsl::{BuildError, Grouped, Materialized, StreamsBuilder};
/// use kafka_streams_golden::Golden;
/// use kafka_streams_topology::Topology;
///
/// /// In the crate of the program, which uses it, too.
/// fn word_count() -> Result<Topology, BuildError> {
///     let builder = StreamsBuilder::new();
///     let words = builder.stream::<String, String>("words");
///     words.group_by_key(Grouped::default()).count(Materialized::named("counts")).to_stream().to("counts");
///     builder.build()
/// }
///
/// fn main() -> std::process::ExitCode {
///     # return std::process::ExitCode::SUCCESS;
///     Golden::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../golden")).topology("word-count", word_count).main()
/// }
/// ```
pub struct Golden {
    directory: PathBuf,
    topologies: Vec<(String, BuildTopology)>,
}

impl Golden {
    /// No topologies yet; `directory` is where the golden files lie, `<name>.json` each. Best an absolute path, so that it
    /// does not matter from where a command is called.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Golden { directory: directory.into(), topologies: Vec::new() }
    }

    /// Adds a topology under this name.
    #[must_use]
    pub fn topology<E: Into<Box<dyn Error>>>(
        self,
        name: impl Into<String>,
        build: impl Fn() -> Result<Topology, E> + 'static,
    ) -> Self {
        self.add(name, Box::new(move |_| build().map_err(Into::into)))
    }

    /// Adds a topology whose names are pinned to those of its golden file: `build` is given the manifest in it, or `None`
    /// before there is one. The program must pin its names to the same file.
    ///
    /// ```
    /// # use kafka_streams_dsl::{BuildError, Grouped, Materialized, StreamsBuilder};
    /// # use kafka_streams_golden::Golden;
    /// use kafka_streams_naming::Manifest;
    /// # use kafka_streams_topology::Topology;
    ///
    /// fn word_count(previous: Option<&Manifest>) -> Result<Topology, BuildError> {
    ///     let mut builder = StreamsBuilder::new();
    ///     if let Some(previous) = previous {
    ///         builder = builder.with_pinned_names(previous.clone());
    ///     }
    ///     let words = builder.stream::<String, String>("words");
    ///     words.group_by_key(Grouped::default()).count(Materialized::default()).to_stream().to("counts");
    ///     builder.build()
    /// }
    ///
    /// let golden = Golden::new("golden").pinned_topology("word-count", word_count);
    /// ```
    #[must_use]
    pub fn pinned_topology<E: Into<Box<dyn Error>>>(
        self,
        name: impl Into<String>,
        build: impl Fn(Option<&Manifest>) -> Result<Topology, E> + 'static,
    ) -> Self {
        self.add(name, Box::new(move |previous| build(previous).map_err(Into::into)))
    }

    /// Does what the program's arguments say, prints to standard output, and errors to standard error.
    pub fn main(self) -> ExitCode {
        let mut output = std::io::stdout().lock();
        match self.run(std::env::args_os().skip(1), &mut output) {
            Ok(code) => ExitCode::from(code),
            Err(GoldenError::Arguments(error)) if !error.use_stderr() => {
                // The help that was asked for; if it cannot be printed, nobody is there to be told.
                let _ = error.print();
                ExitCode::SUCCESS
            }
            Err(GoldenError::Arguments(error)) => {
                // It has its own words, and its own "error:".
                let _ = error.print();
                ExitCode::from(FAILED)
            }
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "error: {error}");
                ExitCode::from(FAILED)
            }
        }
    }

    /// Does what `arguments` say (without the program's name) and writes to `output`; the exit code, 0 to 3.
    ///
    /// # Errors
    /// The command could not do its work, which is exit code 4.
    pub fn run(
        &self,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        output: &mut dyn Write,
    ) -> Result<u8, GoldenError> {
        Command::parse(arguments)?.run(self, output)
    }

    fn add(mut self, name: impl Into<String>, build: BuildTopology) -> Self {
        self.topologies.push((name.into(), build));
        self
    }

    /// The names of the topologies that are meant: all of them if none is given.
    pub(crate) fn chosen<'g>(&'g self, names: &'g [String]) -> Result<Vec<&'g str>, GoldenError> {
        let known = || self.topologies.iter().map(|(name, _)| name.as_str());
        match names.iter().find(|name| !known().any(|known| known == name.as_str())) {
            Some(name) => {
                Err(GoldenError::UnknownTopology { name: name.clone(), known: known().map(str::to_owned).collect() })
            }
            None if names.is_empty() => Ok(known().collect()),
            None => Ok(names.iter().map(String::as_str).collect()),
        }
    }

    /// The topology that is meant where there can be one only.
    pub(crate) fn only<'g>(&'g self, name: Option<&'g str>) -> Result<&'g str, GoldenError> {
        let names: Vec<String> = name.into_iter().map(str::to_owned).collect();
        self.chosen(&names)?;
        match (name, self.topologies.as_slice()) {
            (Some(name), _) => Ok(name),
            (None, [(only, _)]) => Ok(only),
            (None, all) => {
                Err(GoldenError::WhichTopology { known: all.iter().map(|(name, _)| name.clone()).collect() })
            }
        }
    }

    /// Builds a topology, its names pinned to its golden file if it wants that.
    pub(crate) fn build(&self, name: &str) -> Result<Topology, GoldenError> {
        let previous = self.read_golden(name)?;
        let failed = |reason: String| GoldenError::Topology { name: name.to_owned(), reason };
        let Some((_, build)) = self.topologies.iter().find(|(known, _)| known == name) else {
            return Err(failed("there is none of this name".to_owned()));
        };
        build(previous.as_ref()).map_err(|error| failed(error.to_string()))
    }

    pub(crate) fn golden_file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    /// The manifest of a topology's golden file. `None` if there is none, or an empty one, with which a program begins
    /// that includes the file.
    pub(crate) fn read_golden(&self, name: &str) -> Result<Option<Manifest>, GoldenError> {
        let path = self.golden_file(name);
        match path.metadata() {
            Ok(file) if file.is_file() && file.len() == 0 => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            _ => read_manifest(&path).map(Some),
        }
    }
}

impl std::fmt::Debug for Golden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.topologies.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Golden").field("directory", &self.directory).field("topologies", &names).finish()
    }
}

/// A path as people read it: from the working directory if it lies there, without `..` on the way.
pub(crate) fn shown(path: &Path) -> String {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match (part, plain.components().next_back()) {
            (Component::ParentDir, Some(Component::Normal(_))) => drop(plain.pop()),
            _ => plain.push(part),
        }
    }
    let here = std::env::current_dir().ok();
    let relative = here.as_deref().and_then(|here| plain.strip_prefix(here).ok());
    relative.unwrap_or(&plain).display().to_string()
}

pub(crate) fn read_manifest(path: &Path) -> Result<Manifest, GoldenError> {
    let text = std::fs::read_to_string(path).map_err(|error| GoldenError::File {
        action: "read",
        path: path.to_owned(),
        error,
    })?;
    Manifest::from_json(&text).map_err(|error| GoldenError::Manifest { path: path.to_owned(), error })
}

pub(crate) fn write_file(path: &Path, text: &str) -> Result<(), GoldenError> {
    let failed = |error| GoldenError::File { action: "write", path: path.to_owned(), error };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}
