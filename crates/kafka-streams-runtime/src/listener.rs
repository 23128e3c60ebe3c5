//! What an application may be told while it runs, and what it may decide.

use std::sync::Arc;

use kafka_streams_core::TopicPartition;
use kafka_streams_engine::WorkerError;

use crate::State;

/// Called with the new and the old state of the instance, in order, by the thread that changed it.
pub type StateListener = Arc<dyn Fn(State, State) + Send + Sync>;

/// Follows the restoring of stores (`StateRestoreListener` of the JVM). Called by stream threads; should return soon.
pub trait StateRestoreListener: Send + Sync {
    /// Restoring begins with the record at `from` and ends before `end`.
    fn on_restore_start(&self, _changelog: &TopicPartition, _store: &str, _from: i64, _end: i64) {}

    /// `records` more are restored, the last at `offset`.
    fn on_batch_restored(&self, _changelog: &TopicPartition, _store: &str, _offset: i64, _records: u64) {}

    /// The store is restored, from `records` in all.
    fn on_restore_end(&self, _changelog: &TopicPartition, _store: &str, _records: u64) {}
}

/// Follows tasks as they come to this instance and leave it. Called by stream threads; should return soon.
pub trait TaskListener: Send + Sync {
    /// The task belongs to this instance from now on: its stores may be opened.
    fn on_acquired(&self, _task: kafka_streams_core::TaskId, _generation: i32) {}

    /// The task is committed or dropped, and closed: nothing of it is touched any more.
    fn on_released(&self, _task: kafka_streams_core::TaskId, _generation: i32) {}
}

/// What follows from an error that ended a stream thread (`StreamThreadExceptionResponse` of the JVM).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamThreadExceptionResponse {
    /// A new thread takes the place of the one that failed.
    ReplaceThread,
    /// The instance closes, in state [`State::Error`].
    #[default]
    ShutdownClient,
    /// All instances of the application close.
    ShutdownApplication,
}

/// Decides what follows from an error that ended a stream thread.
pub type UncaughtExceptionHandler = Arc<dyn Fn(&WorkerError) -> StreamThreadExceptionResponse + Send + Sync>;
