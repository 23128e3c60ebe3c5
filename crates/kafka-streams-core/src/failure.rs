//! Why a step of a task did not succeed. One pointer wide, so that a successful step costs nothing.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::SerdeError;

/// The failure of a step of a task.
///
/// A user's processor returns it by `?` on any error of its own, which becomes [`FailureKind::Processing`] and goes to
/// the processing exception handler. (Like `anyhow::Error` it is therefore no [`std::error::Error`] itself.)
pub struct Failure(Box<Inner>);

struct Inner {
    kind: FailureKind,
    node: Option<Arc<str>>,
    settled: bool,
}

/// What kind of failure it was, and so whose trouble it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FailureKind {
    /// The user's code returned an error.
    #[error("{0}")]
    Processing(Box<dyn Error + Send + Sync>),
    /// A key or value could not be turned into bytes for a topic.
    #[error("cannot serialize the {part} for topic {topic}: {error}")]
    Serialization {
        /// The output topic.
        topic: Arc<str>,
        /// `key` or `value`.
        part: &'static str,
        /// What the serde said.
        error: SerdeError,
    },
    /// A fetched key or value could not be read.
    #[error("cannot deserialize the {part}: {error}")]
    Deserialization {
        /// `key` or `value`.
        part: &'static str,
        /// What the serde said.
        error: SerdeError,
    },
    /// A record has a negative timestamp.
    #[error(
        "the timestamp {timestamp} is negative: the producer wrote none, or the topic comes from Kafka before 0.10; \
         choose another timestamp extractor"
    )]
    InvalidTimestamp {
        /// The timestamp that the extractor returned.
        timestamp: i64,
    },
    /// A state store failed: its disk is full, its files are damaged, or its bytes cannot be read.
    #[error("store {store}: {error}")]
    Store {
        /// The store's name.
        store: Arc<str>,
        /// What the store said.
        error: Box<dyn Error + Send + Sync>,
    },
    /// Something that cannot happen if this library has no mistake.
    #[error("internal error, please report it: {0}")]
    Bug(String),
}

impl Failure {
    /// A failure of this kind.
    #[cold]
    pub fn new(kind: FailureKind) -> Self {
        Failure(Box::new(Inner { kind, node: None, settled: false }))
    }

    /// A failure of a state store.
    #[cold]
    pub fn store(store: &Arc<str>, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Failure::new(FailureKind::Store { store: store.clone(), error: error.into() })
    }

    /// A mistake of this library.
    #[cold]
    pub fn bug(text: impl Into<String>) -> Self {
        Failure::new(FailureKind::Bug(text.into()))
    }

    /// A failure of the user's code, described in words.
    #[cold]
    pub fn processing(text: impl Into<String>) -> Self {
        Failure::new(FailureKind::Processing(text.into().into()))
    }

    /// What happened.
    pub fn kind(&self) -> &FailureKind {
        &self.0.kind
    }

    /// What happened, by value.
    pub fn into_kind(self) -> FailureKind {
        self.0.kind
    }

    /// The name of the node in which it happened, where known.
    pub fn node(&self) -> Option<&Arc<str>> {
        self.0.node.as_ref()
    }

    /// Whether a handler has already decided that this failure stands.
    pub fn is_settled(&self) -> bool {
        self.0.settled
    }

    /// Notes the node unless a node further down was noted before.
    #[must_use]
    pub fn at_node(mut self, node: &Arc<str>) -> Self {
        self.0.node.get_or_insert_with(|| node.clone());
        self
    }

    /// Notes that no handler needs to be asked again.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.0.settled = true;
        self
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    #[cold]
    fn from(error: E) -> Self {
        Failure::new(FailureKind::Processing(Box::new(error)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.node {
            Some(node) => write!(f, "node {node}: {}", self.0.kind),
            None => self.0.kind.fmt(f),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("node", &self.0.node).field("kind", &self.0.kind).finish()
    }
}

/// The result of a step of a task.
pub type Step<T = ()> = Result<T, Failure>;
