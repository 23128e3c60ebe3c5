//! What a worker needs to know of the application's configuration.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::{DslStoreFormat, TaskId, TimestampExtractor};
use kafka_streams_topology::OffsetReset;

use crate::commit_point::CommitProbe;

/// The configuration of a worker; the same for all workers of an application. Times are in milliseconds.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// `application.id`, also the group's id.
    pub application_id: Arc<str>,
    /// `processing.guarantee`.
    pub guarantee: Guarantee,
    /// `commit.interval.ms`: a commit is begun when this much has passed since the last one ended.
    pub commit_interval_ms: i64,
    /// `max.task.idle.ms`: how long a task waits for an empty input partition to catch up; -1 does not wait at all.
    pub max_task_idle_ms: i64,
    /// `buffered.records.per.partition`: an input partition with more records in its queue is not polled.
    pub buffered_records_per_partition: usize,
    /// `task.timeout.ms`: how long errors that should pass are borne before the worker gives up.
    pub task_timeout_ms: i64,
    /// `repartition.purge.interval.ms`.
    pub repartition_purge_interval_ms: i64,
    /// `auto.offset.reset` for input topics that do not say otherwise.
    pub offset_reset: OffsetReset,
    /// `default.timestamp.extractor` for input topics that do not say otherwise.
    pub timestamp_extractor: TimestampExtractor,
    /// A commit is begun early when this many rows of all stores are uncommitted: a commit holds up the thread.
    pub max_uncommitted_rows: usize,
    /// A commit is begun early when the uncommitted rows take this many bytes.
    pub max_uncommitted_bytes: usize,
    /// The user's handlers.
    pub handlers: Handlers,
    /// `processing.exception.handler.global.enabled`: whether the processing handler is asked about global stores.
    pub global_processing_handler: bool,
    /// `dsl.store.format`.
    pub dsl_store_format: DslStoreFormat,
    /// The configuration as processors see it: names of Kafka Streams, secrets left out.
    pub app_configs: Arc<BTreeMap<String, String>>,
    /// The application's directory, in which each task has its own; `None` if there is none. The worker only names it.
    pub state_dir: Option<Arc<Path>>,
    /// Called at the points of the commit cycle; for tests.
    pub probe: CommitProbe,
}

impl WorkerConfig {
    /// The directory of a task.
    pub(crate) fn task_dir(&self, task: TaskId) -> Option<Arc<Path>> {
        self.state_dir.as_ref().map(|directory| directory.join(task.to_string()).into())
    }
}

/// `processing.guarantee`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guarantee {
    /// Every record has an effect; after a failure some have it twice.
    #[default]
    AtLeastOnce,
    /// Every record has its effect once, seen by read-committed consumers.
    ExactlyOnce,
}
