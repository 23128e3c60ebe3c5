//! Why a command could not do its work; exit code 4.

use std::path::PathBuf;

use kafka_streams_naming::ManifestError;

use crate::golden::shown;

/// An error of a command, as against a difference that it found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// The arguments are wrong, or only ask for help.
    #[error("{0}")]
    Arguments(#[from] clap::Error),
    /// There is no topology of this name.
    #[error("there is no topology named {name}; there are: {}", known.join(", "))]
    UnknownTopology {
        /// The name that was given.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A command that takes one topology was given no name, and there are several, or none.
    #[error("say which topology: {}", if known.is_empty() { "there is none".to_owned() } else { known.join(", ") })]
    WhichTopology {
        /// The names that there are.
        known: Vec<String>,
    },
    /// A topology cannot be built.
    #[error("topology {name} cannot be built: {reason}")]
    Topology {
        /// The topology.
        name: String,
        /// What its builder said.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {error}", shown(path))]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file holds no manifest.
    #[error("{}: {error}", shown(path))]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: ManifestError,
    },
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
    /// The settings to reach the cluster with are wrong.
    #[error("{0}")]
    Config(String),
    /// The cluster cannot be asked.
    #[error("cannot ask the cluster at {bootstrap}: {reason}")]
    Cluster {
        /// The addresses.
        bootstrap: String,
        /// What went wrong.
        reason: String,
    },
}
