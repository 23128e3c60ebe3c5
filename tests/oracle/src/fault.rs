//! Why a case did not run to its end: an error that the JVM has as well, or something that the interpreter cannot do.

use kafka_streams_dsl::BuildError;
use kafka_streams_topology::TopologyError;

/// What ended the building of a case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The library has no such operation yet, or the interpreter does not call it yet.
    #[error("not built yet: {0}")]
    NotBuilt(String),
    /// The case is not one of the language.
    #[error("not a case of the oracle's language: {0}")]
    BadCase(String),
    /// The configuration is refused.
    #[error("configuration: {0}")]
    Config(String),
    /// The builder of the DSL refused.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The Processor API refused.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

impl Fault {
    /// An operation that does not exist yet.
    pub fn not_built<T>(what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::NotBuilt(what.into()))
    }

    /// A mistake in a case.
    pub fn bad_case<T>(what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::BadCase(what.into()))
    }
}
