//! What can go wrong in a test driver: the topology's own failures, and what the test asked for in vain.

use std::path::PathBuf;
use std::sync::Arc;

use kafka_streams_core::SerdeError;
use kafka_streams_engine::WorkerError;

/// Why a driver could not do what the test asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestDriverError {
    /// The topology failed, as it would have on a broker: a node, a handler, a store.
    #[error(transparent)]
    Task(#[from] WorkerError),
    /// A record was piped into a topic that the topology does not read.
    #[error("topic {topic} is not read by the topology; it reads {}", known.join(", "))]
    UnknownTopic {
        /// The topic.
        topic: Arc<str>,
        /// The topics that the topology reads, sorted.
        known: Vec<String>,
    },
    /// A record was piped into a partition that its topic does not have.
    #[error("topic {topic} has {partitions} partitions (from 0), so there is no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// Number of partitions of every topic of this driver.
        partitions: i32,
    },
    /// The topology goes on feeding its own source topics.
    #[error(
        "after one record the topology has processed {records} more and is not quiet: it writes to topics that it \
         reads, the last one was {topic}; mend the loop, or raise `TestDriverSettings::with_max_records_per_step`"
    )]
    NeverQuiet {
        /// Number of records that were processed.
        records: usize,
        /// The topic of a record that is still waiting.
        topic: Arc<str>,
    },
    /// The directory of a task cannot be made.
    #[error("the task's directory {} cannot be made: {error}", path.display())]
    StateDirectory {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        error: std::io::Error,
    },
    /// Nothing is left to be read from an output topic.
    #[error("topic {topic} has no more records")]
    NoMoreRecords {
        /// The topic.
        topic: Arc<str>,
    },
    /// A key or value has no bytes, or bytes are no key or value of the type that the test names.
    #[error("cannot {action} the {part} of a record of topic {topic}: {error}")]
    Serde {
        /// `read` or `write`.
        action: &'static str,
        /// `key` or `value`.
        part: &'static str,
        /// The topic.
        topic: Arc<str>,
        /// What the serde said.
        error: SerdeError,
    },
    /// The topology has no store of this name and type.
    #[error("there is no store {store} of type {type_name}; the stores are {}", known.join(", "))]
    NoSuchStore {
        /// The name.
        store: String,
        /// The type that the test names.
        type_name: &'static str,
        /// The stores that there are.
        known: Vec<String>,
    },
    /// The driver was called from within the topology that it runs.
    #[error("the driver is in use: a processor must not call the driver that runs it")]
    InUse,
}
