//! Restoring stores from their changelogs, beside the running tasks (rules S4, S6, S7, S8, C8).
//!
//! ```text
//!  worker ── RestoreTask ─▶ open ─▶ ask the cluster ─▶ keep or wipe ─▶ read to the end ─▶ sync ── RestoreEvent ─▶ worker
//!                            S6          S7                S6               S4, C8
//! ```
//! The [`Restorer`] runs on a thread of its own; it owns the stores' back-ends until it hands them over.

mod machine;
mod rows;
mod tickets;

use std::sync::Arc;

use kafka_streams_core::{TaskId, TopicPartition};
use kafka_streams_state::{StoreBackend, StoreBackends, StoreError, StorePosition, StoreSpec};

use crate::port::BrokerError;

pub(crate) use machine::open_store;
pub use machine::{Restorer, RestorerConfig, StepResult};
pub use tickets::RestoreTickets;

/// The stores of a task that is about to start.
#[derive(Clone)]
pub struct RestoreTask {
    /// The task.
    pub task: TaskId,
    /// Its stores, in the order of their registration.
    pub stores: Vec<RestoreStore>,
}

/// A store to open and restore.
#[derive(Clone)]
pub struct RestoreStore {
    /// The store.
    pub spec: StoreSpec,
    /// Its changelog; `None` without one, then it is only opened.
    pub changelog: Option<TopicPartition>,
    /// Restoring never reads past this offset: the committed input position, for a source topic used as changelog.
    pub limit: Option<i64>,
    /// Who opens it.
    pub backends: Arc<dyn StoreBackends>,
}

/// A store that is ready for its task.
#[derive(Clone, Debug)]
pub struct RestoredStore {
    /// The committed base, at `position`.
    pub backend: Arc<dyn StoreBackend>,
    /// Where it stands.
    pub position: StorePosition,
}

/// News of a restore.
#[derive(Debug)]
pub enum RestoreEvent {
    /// Reading begins.
    Started {
        /// The task.
        task: TaskId,
        /// The store's name.
        store: Arc<str>,
        /// Its changelog.
        changelog: TopicPartition,
        /// The first offset to read.
        from: i64,
        /// The offset to stop before.
        end: i64,
    },
    /// A batch is in the store.
    Batch {
        /// The task.
        task: TaskId,
        /// The store's name.
        store: Arc<str>,
        /// Its changelog.
        changelog: TopicPartition,
        /// The last offset restored.
        offset: i64,
        /// Records in the batch.
        records: u64,
    },
    /// The store is restored.
    Ended {
        /// The task.
        task: TaskId,
        /// The store's name.
        store: Arc<str>,
        /// Its changelog.
        changelog: TopicPartition,
        /// Records restored in all.
        records: u64,
    },
    /// All stores of a task are ready, in the order of the [`RestoreTask`].
    Completed {
        /// The task.
        task: TaskId,
        /// Its stores.
        stores: Vec<RestoredStore>,
    },
    /// A restore was given up: the task's stores are closed.
    Cancelled {
        /// The task.
        task: TaskId,
    },
    /// The task cannot be restored.
    Failed {
        /// The task.
        task: TaskId,
        /// Why.
        error: RestoreError,
    },
}

impl RestoreEvent {
    /// The task that it is about.
    pub fn task(&self) -> TaskId {
        match self {
            RestoreEvent::Started { task, .. }
            | RestoreEvent::Batch { task, .. }
            | RestoreEvent::Ended { task, .. }
            | RestoreEvent::Completed { task, .. }
            | RestoreEvent::Cancelled { task }
            | RestoreEvent::Failed { task, .. } => *task,
        }
    }

    /// Whether nothing more comes of this order.
    pub fn is_last(&self) -> bool {
        matches!(self, RestoreEvent::Completed { .. } | RestoreEvent::Failed { .. } | RestoreEvent::Cancelled { .. })
    }
}

/// Why a task cannot be restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The store cannot be opened, written, or read.
    #[error("store {store}: {error}")]
    Store {
        /// The store's name.
        store: Arc<str>,
        /// What went wrong.
        error: StoreError,
    },
    /// The changelog does not exist or has too few partitions.
    #[error(
        "store {store}: its changelog {changelog} does not exist; internal topics are made when the group assigns tasks, \
         so it was deleted since"
    )]
    NoChangelog {
        /// The store's name.
        store: Arc<str>,
        /// The changelog.
        changelog: TopicPartition,
    },
    /// The broker refused, or errors that should pass did not within `task.timeout.ms`.
    #[error("restoring: {0}")]
    Broker(BrokerError),
}

/// The worker's end of a restore thread.
pub trait Restore {
    /// Begins to restore a task.
    fn submit(&mut self, task: RestoreTask);

    /// Ends the restore of a task that is given up; [`RestoreEvent::Cancelled`] tells when its stores are closed.
    fn cancel(&mut self, task: TaskId);

    /// The next event.
    fn poll(&mut self) -> Option<RestoreEvent>;
}
