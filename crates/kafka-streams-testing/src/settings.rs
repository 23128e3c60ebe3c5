//! What a driver runs a topology with.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use kafka_streams_core::handler::{
    DeserializationExceptionHandler, Handlers, ProcessingExceptionHandler, ProductionExceptionHandler,
};
use kafka_streams_core::{DslStoreFormat, EmitIntervals, Timestamp, TimestampExtractor};
use kafka_streams_engine::Backends;
use kafka_streams_state::{InMemoryBackends, StoreBackends};

/// Who decides when the driver commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommitMode {
    /// The driver commits after every record and every step of the wall clock, as `TopologyTestDriver` of the JVM does: a
    /// cache then thins out only the updates that one record causes.
    #[default]
    EveryRecord,
    /// Nothing is flushed or committed before the test calls [`commit`](crate::TopologyTestDriver::commit), or a
    /// processor asks for it.
    Manual,
}

/// The settings of a [`TopologyTestDriver`](crate::TopologyTestDriver).
///
/// ```
/// use kafka_streams_testing::{CommitMode, TestDriverSettings};
///
/// let settings = TestDriverSettings::default().with_wall_clock(1_700_000_000_000).with_commit_mode(CommitMode::Manual);
/// ```
#[derive(Clone)]
pub struct TestDriverSettings {
    pub(crate) application_id: Arc<str>,
    pub(crate) wall_clock: Timestamp,
    pub(crate) partitions: i32,
    pub(crate) commit_mode: CommitMode,
    pub(crate) cache_bytes: usize,
    pub(crate) timestamp_extractor: TimestampExtractor,
    pub(crate) handlers: Handlers,
    pub(crate) backends: Backends,
    pub(crate) max_records_per_step: usize,
    pub(crate) emit_intervals: EmitIntervals,
    pub(crate) dsl_store_format: DslStoreFormat,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) app_configs: Arc<BTreeMap<String, String>>,
}

/// `statestore.cache.max.bytes` by default, on the JVM and here.
const CACHE_BYTES: usize = 10 * 1024 * 1024;
/// More records than a test of one record writes, and few enough that a loop is found in well under a second.
const MAX_RECORDS_PER_STEP: usize = 100_000;

impl TestDriverSettings {
    /// `application.id`, which the names of internal topics begin with; `test-driver` by default.
    #[must_use]
    pub fn with_application_id(self, application_id: impl Into<Arc<str>>) -> Self {
        TestDriverSettings { application_id: application_id.into(), ..self }
    }

    /// The wall-clock time at the start, in milliseconds since the epoch; 0 by default. It moves only with
    /// [`advance_wall_clock_time`](crate::TopologyTestDriver::advance_wall_clock_time).
    #[must_use]
    pub fn with_wall_clock(self, wall_clock: Timestamp) -> Self {
        TestDriverSettings { wall_clock, ..self }
    }

    /// The number of partitions of every topic, at least 1; 1 by default. Each partition number is a task of its own, with
    /// its own stores and its own stream time, and records of output topics are partitioned as on a broker.
    #[must_use]
    pub fn with_partitions(self, partitions: i32) -> Self {
        TestDriverSettings { partitions: partitions.max(1), ..self }
    }

    /// Who decides when the driver commits; [`CommitMode::EveryRecord`] by default.
    #[must_use]
    pub fn with_commit_mode(self, commit_mode: CommitMode) -> Self {
        TestDriverSettings { commit_mode, ..self }
    }

    /// `statestore.cache.max.bytes`; 10 MiB by default, 0 turns caching off.
    #[must_use]
    pub fn with_cache_bytes(self, cache_bytes: usize) -> Self {
        TestDriverSettings { cache_bytes, ..self }
    }

    /// `default.timestamp.extractor`.
    #[must_use]
    pub fn with_timestamp_extractor(self, timestamp_extractor: TimestampExtractor) -> Self {
        TestDriverSettings { timestamp_extractor, ..self }
    }

    /// `deserialization.exception.handler`.
    #[must_use]
    pub fn with_deserialization_handler(mut self, handler: impl DeserializationExceptionHandler + 'static) -> Self {
        self.handlers.deserialization = Arc::new(handler);
        self
    }

    /// `processing.exception.handler`.
    #[must_use]
    pub fn with_processing_handler(mut self, handler: impl ProcessingExceptionHandler + 'static) -> Self {
        self.handlers.processing = Arc::new(handler);
        self
    }

    /// `production.exception.handler`.
    #[must_use]
    pub fn with_production_handler(mut self, handler: impl ProductionExceptionHandler + 'static) -> Self {
        self.handlers.production = Arc::new(handler);
        self
    }

    /// `errors.dead.letter.queue.topic.name`: where handlers send the records that they give up.
    #[must_use]
    pub fn with_dead_letter_topic(mut self, topic: impl Into<Arc<str>>) -> Self {
        self.handlers.dead_letter_topic = Some(topic.into());
        self
    }

    /// An entry of the application's configuration, as processors find it in `app_configs` of their context. It sets
    /// nothing of the driver's.
    ///
    /// ```
    /// use kafka_streams_testing::TestDriverSettings;
    ///
    /// let settings = TestDriverSettings::default().with_app_config("pricing.currency", "EUR");
    /// ```
    #[must_use]
    pub fn with_app_config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.app_configs).insert(name.into(), value.into());
        self
    }

    /// Who opens persistent stores, such as RocksDB's; by default they live in memory, too.
    #[must_use]
    pub fn with_persistent_stores(mut self, backends: Arc<dyn StoreBackends>) -> Self {
        self.backends.persistent = backends;
        self
    }

    /// How many records the topology may process after one record of the test, or one step of its clock, before the
    /// driver takes it for a loop; 100,000 by default.
    #[must_use]
    pub fn with_max_records_per_step(self, max_records_per_step: usize) -> Self {
        TestDriverSettings { max_records_per_step, ..self }
    }

    /// How often results of closed windows are looked for; 0 by default, which is at every record, where an application
    /// looks every second (`__emit.interval.ms.kstreams.…__` of the JVM, whose driver sets them to 0 as well).
    #[must_use]
    pub fn with_emit_intervals(self, emit_intervals: EmitIntervals) -> Self {
        TestDriverSettings { emit_intervals, ..self }
    }

    /// `state.dir`: each task has the directory `APPLICATION/TASK` in it, such as `test-driver/0_0`, which the driver makes.
    /// By default it is a temporary one, which goes with the driver.
    #[must_use]
    pub fn with_state_dir(self, state_dir: impl Into<PathBuf>) -> Self {
        TestDriverSettings { state_dir: Some(state_dir.into()), ..self }
    }

    /// What the stores of the DSL's operators keep (`dsl.store.format`).
    #[must_use]
    pub fn with_dsl_store_format(self, dsl_store_format: DslStoreFormat) -> Self {
        TestDriverSettings { dsl_store_format, ..self }
    }
}

impl Default for TestDriverSettings {
    fn default() -> Self {
        let in_memory: Arc<dyn StoreBackends> = Arc::new(InMemoryBackends);
        TestDriverSettings {
            application_id: "test-driver".into(),
            wall_clock: 0,
            partitions: 1,
            commit_mode: CommitMode::default(),
            cache_bytes: CACHE_BYTES,
            timestamp_extractor: TimestampExtractor::default(),
            handlers: Handlers::default(),
            backends: Backends { persistent: in_memory.clone(), in_memory },
            max_records_per_step: MAX_RECORDS_PER_STEP,
            emit_intervals: EmitIntervals { outer_join_ms: 0, window_close_ms: 0, lose_expired: false },
            dsl_store_format: DslStoreFormat::default(),
            state_dir: None,
            app_configs: Arc::default(),
        }
    }
}

impl fmt::Debug for TestDriverSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestDriverSettings")
            .field("application_id", &self.application_id)
            .field("wall_clock", &self.wall_clock)
            .field("partitions", &self.partitions)
            .field("commit_mode", &self.commit_mode)
            .finish_non_exhaustive()
    }
}
