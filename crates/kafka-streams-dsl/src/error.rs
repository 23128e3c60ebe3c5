//! What can be wrong with what was said to a builder: the user's mistakes, reported by `build()` all at once.

use std::panic::Location;
use std::sync::Arc;

use kafka_streams_naming::{NameError, UnnamedResource};
use kafka_streams_topology::TopologyError;

/// A topology that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is more than one mistake.
    #[error("{} mistakes:{}", errors.len(), list(errors))]
    Several {
        /// The mistakes, in the order in which they were made.
        errors: Vec<BuildError>,
    },
    /// The topology refused a node, a store or a topic.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// Two calls of `stream` share topics, but not all of them.
    #[error("topic {topic} is read by two streams that read different sets of topics; read it in one `stream` only")]
    OverlappingTopics {
        /// The topic.
        topic: String,
    },
    /// Two calls of `stream` read one topic in different ways.
    #[error("topic {topic} is read twice with different {what}; read it once and use the stream twice")]
    ReadDifferently {
        /// The topic.
        topic: String,
        /// `types` or `offset resets`.
        what: &'static str,
    },
    /// Streams or tables of two builders were put together.
    #[error("node {node} puts together streams or tables of two builders; make all of them with one builder")]
    TwoBuilders {
        /// The node.
        node: String,
    },
    /// One name was given twice.
    #[error("{what} {name} is named at {first} and again at {second}; give one of them another name")]
    DuplicateName {
        /// `node`, `store` or `repartition topic`.
        what: &'static str,
        /// The name.
        name: String,
        /// Where it was given first: file, line and column.
        first: &'static Location<'static>,
        /// Where it was given again.
        second: &'static Location<'static>,
    },
    /// A name that was given breaks a rule of names.
    #[error("the name of the {what} at {place} is not legal: {error}")]
    IllegalName {
        /// `node`, `store`, `repartition topic` or `topic`.
        what: &'static str,
        /// Which rule it breaks.
        error: NameError,
        /// Where it was given: file, line and column.
        place: &'static Location<'static>,
    },
    /// Stores or repartition topics have no name of their own, which the builder was told to insist on.
    #[error(
        "explicit names are required, but these were generated: {}",
        resources.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Unnamed {
        /// What has no name.
        resources: Vec<UnnamedResource>,
    },
    /// The windows of an aggregation cannot be.
    #[error("windows of {size_ms} ms every {advance_ms} ms with a grace of {grace_ms} ms: {rule}")]
    IllegalWindows {
        /// Size in milliseconds.
        size_ms: i64,
        /// From one window's start to the next one's, in milliseconds.
        advance_ms: i64,
        /// Grace in milliseconds.
        grace_ms: i64,
        /// What is wrong.
        rule: &'static str,
    },
    /// A join on a foreign key does not know how the rows of a table are written.
    #[error(
        "node {node} needs the serde of the {side} table's values, which is not known; name it by \
         `with_value_serde`"
    )]
    UnknownValueSerde {
        /// The node.
        node: String,
        /// `left` or `right`.
        side: &'static str,
    },
    /// A stream of windowed keys is written that did not come from an aggregation, or whose keys were changed since.
    #[error(
        "the serde of the windowed keys that are written to {topic} at {place} is not known; name it, by \
         `Produced::windowed` for windows of time, or `Produced::with` and `SessionWindowedSerde` for sessions"
    )]
    UnknownKeySerde {
        /// The topic.
        topic: String,
        /// Where it is written: file, line and column.
        place: &'static Location<'static>,
    },
    /// A window store that was named for a join does not fit its windows.
    #[error(
        "store {store} does not fit its join: it must keep duplicates, and have windows of {window_size_ms} ms and a \
         retention of {retention_ms} ms (windows and grace)"
    )]
    JoinStoreMismatch {
        /// The store.
        store: String,
        /// The window size that it must have, in milliseconds.
        window_size_ms: i64,
        /// The retention that it must have, in milliseconds.
        retention_ms: i64,
    },
    /// Results are to be sent when their window closes, and there is no window.
    #[error(
        "node {node} waits for windows to close, but what leads to it is not all windowed; suppress the table of a windowed \
         aggregation, or use a time limit"
    )]
    NoWindow {
        /// The node.
        node: String,
    },
    /// A table is said to be versioned that cannot be.
    #[error("{of} cannot be versioned: only tables of topics and streams can, those of `table` and `to_table`")]
    CannotBeVersioned {
        /// The table's store, or its node if it has none.
        of: String,
    },
    /// Changes of a versioned table are to wait.
    #[error(
        "node {node} suppresses changes of a versioned table, which may be out of order: aggregate it first, or name a \
         store in between that is not versioned"
    )]
    SuppressesVersions {
        /// The node.
        node: String,
    },
    /// A join with a grace period needs a table that keeps its versions.
    #[error(
        "join {node} has a grace period, for which its table must be versioned (`Materialized::versioned`), and nothing \
         may stand between that table and the join which has a store of its own or puts tables together"
    )]
    GraceWithoutVersions {
        /// The join.
        node: String,
    },
    /// A join has a longer grace period than its table has a history.
    #[error(
        "join {node} has a grace period of {grace_ms} ms, but store {store} of its table keeps the history for \
         {history_retention_ms} ms only; give it a longer one"
    )]
    HistoryTooShort {
        /// The join.
        node: String,
        /// The table's store.
        store: Arc<str>,
        /// The grace period in milliseconds.
        grace_ms: i64,
        /// What the store keeps, in milliseconds.
        history_retention_ms: i64,
    },
    /// Results are to be emitted when their window closes, and it never does.
    #[error("node {node} emits when its windows close, but unlimited windows never close; emit on update")]
    NeverEmits {
        /// The node.
        node: String,
    },
    /// A window store forgets its windows while they can still change.
    #[error(
        "store {store} keeps windows for {retention_ms} ms, but they can change for {needed_ms} ms (size and grace); \
         give it a longer retention"
    )]
    RetentionTooShort {
        /// The store.
        store: String,
        /// Its retention in milliseconds.
        retention_ms: i64,
        /// Size and grace of its windows in milliseconds.
        needed_ms: i64,
    },
}

impl BuildError {
    /// One error out of at least one; `None` out of none.
    pub(crate) fn of(mut errors: Vec<BuildError>) -> Option<BuildError> {
        match errors.len() {
            0 | 1 => errors.pop(),
            _ => Some(BuildError::Several { errors }),
        }
    }
}

fn list(errors: &[BuildError]) -> String {
    errors.iter().enumerate().map(|(at, error)| format!(" ({}) {error}", at + 1)).collect()
}
