//! Why a worker stops: what, where, and whose trouble it is.

use std::sync::Arc;

use kafka_streams_core::handler::ErrorContext;
use kafka_streams_core::{Failure, OverflowError, TaskId, TopicPartition};
use kafka_streams_state::StoreError;

use crate::port::BrokerError;

/// The end of a worker. Nothing that it had not committed counts; what follows is decided by the uncaught exception
/// handler.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// A record could not be processed, and the handlers did not choose to skip it.
    #[error("{context}: {failure}")]
    Processing {
        /// Where it happened.
        context: ErrorContext,
        /// What happened.
        failure: Failure,
    },
    /// An output record was refused, and the production exception handler did not choose to skip it.
    #[error("task {task}: cannot write to topic {topic}: {error}")]
    Production {
        /// The task that wrote.
        task: TaskId,
        /// The output topic.
        topic: Arc<str>,
        /// What the broker said.
        error: BrokerError,
    },
    /// An input partition could not be read.
    #[error("task {task}: cannot read {partition}: {error}")]
    Fetch {
        /// The task that reads it.
        task: TaskId,
        /// The input partition.
        partition: TopicPartition,
        /// What the broker said.
        error: BrokerError,
    },
    /// An input partition has no committed offset, or one outside of the log, and `auto.offset.reset` is `none`.
    #[error(
        "task {task}: {partition} has no usable committed offset ({reason}) and auto.offset.reset is none; \
         commit an offset, or set auto.offset.reset to earliest or latest"
    )]
    NoOffset {
        /// The task that reads it.
        task: TaskId,
        /// The input partition.
        partition: TopicPartition,
        /// What was found.
        reason: String,
    },
    /// Records that a step has sent beyond its memory did not come back from the file in which they waited.
    #[error(
        "task {task}: {error}; look at the disk of the state directory, or give the application more memory.budget.bytes"
    )]
    Output {
        /// The task that sent them.
        task: TaskId,
        /// What went wrong.
        error: OverflowError,
    },
    /// A store could not be opened, restored or written.
    #[error("task {task}: store {store}: {error}")]
    Store {
        /// The store's task.
        task: TaskId,
        /// The store's name.
        store: Arc<str>,
        /// What went wrong.
        error: StoreError,
    },
    /// The broker refused, or errors that should pass did not pass within `task.timeout.ms`.
    #[error("{what}: {error}")]
    Broker {
        /// What the worker was about to do, with its task where there is one.
        what: String,
        /// What the broker said last.
        error: BrokerError,
    },
    /// A persistent store without a changelog does not stand where the task's input does (rule S5): a crash came between
    /// the transaction's commit and the store's, and nothing can bring back what the store lacks.
    #[error(
        "task {task}: store {store} has no changelog, and stands at input offsets {stored} where the group has {committed}; \
         turn logging on, or remove the store's files to begin it empty"
    )]
    StoreOutOfStep {
        /// The store's task.
        task: TaskId,
        /// The store's name.
        store: Arc<str>,
        /// The input offsets of the store's last commit.
        stored: String,
        /// The committed input offsets.
        committed: String,
    },
    /// The group assigned a task that the topology does not have.
    #[error(
        "task {task} (reading {topics}) is not in this topology: an instance with another topology is in the group of this \
         application id; give different applications different ids, and stop the old version before a new one that \
         changes sub-topologies"
    )]
    ForeignTask {
        /// The task.
        task: TaskId,
        /// The topics that it is to read.
        topics: String,
    },
    /// Membership ended for good.
    #[error("group membership: {0}")]
    Membership(String),
    /// The tasks were started anew from what is committed again and again, and never came to a commit.
    #[error(
        "nothing could be committed for {lasted_ms} ms (task.timeout.ms), in {attempts} attempts that each began anew; \
         the last one ended because of: {reason}"
    )]
    NoProgress {
        /// How often the tasks were started anew.
        attempts: u32,
        /// Since the first time, in milliseconds.
        lasted_ms: i64,
        /// Why they were the last time, with what the broker said.
        reason: String,
    },
    /// Another instance asked the whole application to stop.
    #[error("another instance of the application has asked all instances to shut down")]
    ShutdownRequested,
    /// The user's code, or this library, panicked.
    #[error("panicked: {0}; return an error instead, so that it is known which record it was")]
    Panic(String),
    /// A mistake of this library.
    #[error("internal error, please report it: {0}")]
    Bug(String),
}

impl WorkerError {
    /// The task that has failed, if it is the trouble of one.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            WorkerError::Processing { context, .. } => Some(context.task),
            WorkerError::Production { task, .. }
            | WorkerError::Fetch { task, .. }
            | WorkerError::NoOffset { task, .. }
            | WorkerError::Output { task, .. }
            | WorkerError::Store { task, .. }
            | WorkerError::StoreOutOfStep { task, .. } => Some(*task),
            _ => None,
        }
    }
}
