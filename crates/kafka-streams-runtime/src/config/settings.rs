//! A checked configuration: typed, complete with defaults, and free of contradictions.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::{DslStoreFormat, TimestampExtractor};
use uuid::Uuid;

use super::broker_address::BrokerAddress;
use super::error::ConfigWarning;
use super::property_map::PropertyMap;
use super::security::Security;
use super::setting::{AutoOffsetReset, MaxTaskIdle, ProcessingGuarantee, TopologyOptimization};

/// What [`StreamsConfig::validate`](super::StreamsConfig::validate) makes: every setting with its value. Each field is
/// named by its key; `docs/configuration.md` has the defaults.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StreamsSettings {
    /// `application.id`.
    pub application_id: String,
    /// `application.server`.
    pub application_server: Option<BrokerAddress>,
    /// `bootstrap.servers`; never empty.
    pub bootstrap_servers: Vec<BrokerAddress>,
    /// `buffered.records.per.partition`, from 1.
    pub buffered_records_per_partition: usize,
    /// `client.id`; `None` when it is empty.
    pub client_id: Option<String>,
    /// `client.tag.*`, by tag.
    pub client_tags: BTreeMap<String, String>,
    /// `commit.interval.ms`: 30 seconds, or 100 milliseconds under exactly-once, unless set.
    pub commit_interval: Duration,
    /// `default.timestamp.extractor`.
    pub default_timestamp_extractor: TimestampExtractor,
    /// `deserialization.exception.handler`, `processing.exception.handler` and `production.exception.handler`.
    pub handlers: Handlers,
    /// `processing.exception.handler.global.enabled`.
    pub processing_exception_handler_global_enabled: bool,
    /// What was set, as processors see it: secrets left out.
    pub app_configs: Arc<BTreeMap<String, String>>,
    /// `dsl.store.format`.
    pub dsl_store_format: DslStoreFormat,
    /// `ensure.explicit.internal.resource.naming`.
    pub explicit_names: bool,
    /// `max.task.idle.ms`.
    pub max_task_idle: MaxTaskIdle,
    /// `memory.budget.bytes`, from 8 MiB.
    pub memory_budget_bytes: u64,
    /// `num.stream.threads`, from 1.
    pub num_stream_threads: usize,
    /// `poll.ms`.
    pub poll: Duration,
    /// `processing.guarantee`.
    pub processing_guarantee: ProcessingGuarantee,
    /// `repartition.purge.interval.ms`.
    pub repartition_purge_interval: Duration,
    /// `replication.factor`, from 1; `None` for the broker's default.
    pub replication_factor: Option<i16>,
    /// `state.cleanup.delay.ms`.
    pub state_cleanup_delay: Duration,
    /// `state.dir`.
    pub state_dir: PathBuf,
    /// `statestore.cache.max.bytes`, of all threads together; 0 turns caching off.
    pub statestore_cache_max_bytes: u64,
    /// `task.timeout.ms`.
    pub task_timeout: Duration,
    /// `topic.*`: settings of internal topics, by topic key. They go over the defaults of a topic's type and under what
    /// a store sets for its own changelog.
    pub topic_overrides: BTreeMap<String, String>,
    /// `topology.optimization`.
    pub topology_optimization: TopologyOptimization,
    /// `windowstore.changelog.additional.retention.ms`.
    pub windowstore_changelog_additional_retention: Duration,
    /// Group membership.
    pub group: GroupSettings,
    /// What the user should hear of; see [`StreamsSettings::log_warnings`].
    pub warnings: Vec<ConfigWarning>,
    pub(crate) clients: Clients,
}

/// Settings of a member of the group, from the main consumer's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupSettings {
    /// `session.timeout.ms`: the member is dead to the group when no heartbeat came for so long.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`, below the session timeout.
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`: how long a stream thread may be busy before its member leaves; not below the session
    /// timeout. It is also the group's rebalance timeout.
    pub max_poll_interval: Duration,
    /// `auto.offset.reset` of source topics.
    pub auto_offset_reset: AutoOffsetReset,
    /// `client.rack`.
    pub client_rack: Option<String>,
}

/// What a client of librdkafka is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientSettings {
    /// `client.id`, which is in the properties too.
    pub client_id: String,
    /// librdkafka's properties. Secrets are in clear; `Debug` hides them.
    pub librdkafka: PropertyMap,
}

/// What our own client, for group membership and administration, is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionSettings {
    /// The brokers to begin with; never empty.
    pub bootstrap: Vec<BrokerAddress>,
    /// How to secure connections.
    pub security: Security,
    /// `client.id` of requests.
    pub client_id: String,
    /// `request.timeout.ms`: how long an answer is waited for.
    pub request_timeout: Duration,
    /// `reconnect.backoff.ms`: the first wait before a broker is connected to again.
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`: the longest, not below the first.
    pub reconnect_backoff_max: Duration,
    /// `retry.backoff.ms`: the first wait before a request is sent again.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`: the longest, not below the first.
    pub retry_backoff_max: Duration,
    /// `socket.connection.setup.timeout.ms`: how long connecting, handshakes and login may take.
    pub connection_setup_timeout: Duration,
    /// `metadata.max.age.ms`: how often metadata is fetched anew.
    pub metadata_max_age: Duration,
}

/// The settings of all clients, still without the ids that name a process and a thread.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Clients {
    pub(crate) main_consumer: PropertyMap,
    pub(crate) restore_consumer: PropertyMap,
    pub(crate) global_consumer: PropertyMap,
    pub(crate) producer: PropertyMap,
    pub(crate) admin: PropertyMap,
    pub(crate) membership: ConnectionSettings,
    pub(crate) administration: ConnectionSettings,
}

impl StreamsSettings {
    /// The ids of all clients of a process. `process_id` is the one that is kept in the state directory.
    pub fn client_ids(&self, process_id: Uuid) -> ClientIds {
        let base = self.client_id.clone().unwrap_or_else(|| format!("{}-{process_id}", self.application_id));
        ClientIds { base, transactional: format!("{}-{process_id}", self.application_id) }
    }

    /// librdkafka's consumer of the source topics of a stream thread. Threads count from 1.
    pub fn main_consumer(&self, ids: &ClientIds, thread: usize) -> ClientSettings {
        client(&self.clients.main_consumer, ids.consumer(thread))
    }

    /// librdkafka's consumer of the changelogs of a stream thread's tasks: read-committed, with end-of-partition events.
    pub fn restore_consumer(&self, ids: &ClientIds, thread: usize) -> ClientSettings {
        client(&self.clients.restore_consumer, ids.restore_consumer(thread))
    }

    /// librdkafka's consumer of global stores' topics: read-committed, with end-of-partition events.
    pub fn global_consumer(&self, ids: &ClientIds) -> ClientSettings {
        client(&self.clients.global_consumer, ids.global_consumer())
    }

    /// librdkafka's producer of a stream thread; transactional under exactly-once.
    pub fn producer(&self, ids: &ClientIds, thread: usize) -> ClientSettings {
        let mut settings = client(&self.clients.producer, ids.producer(thread));
        if self.processing_guarantee == ProcessingGuarantee::ExactlyOnceV2 {
            settings.librdkafka.insert("transactional.id", ids.transactional_id(thread));
        }
        settings
    }

    /// librdkafka's admin client.
    pub fn admin(&self, ids: &ClientIds) -> ClientSettings {
        client(&self.clients.admin, ids.admin())
    }

    /// Our own client for the membership of a stream thread, with the main consumer's settings.
    pub fn membership(&self, ids: &ClientIds, thread: usize) -> ConnectionSettings {
        ConnectionSettings { client_id: ids.consumer(thread), ..self.clients.membership.clone() }
    }

    /// Our own client for administration, with the admin client's settings.
    pub fn administration(&self, ids: &ClientIds) -> ConnectionSettings {
        ConnectionSettings { client_id: ids.admin(), ..self.clients.administration.clone() }
    }

    /// Logs each warning once, at level WARN.
    pub fn log_warnings(&self) {
        for warning in &self.warnings {
            tracing::warn!(application_id = %self.application_id, key = %warning.key, "configuration: {warning}");
        }
    }
}

fn client(properties: &PropertyMap, client_id: String) -> ClientSettings {
    let mut librdkafka = properties.clone();
    librdkafka.insert("client.id", client_id.as_str());
    ClientSettings { client_id, librdkafka }
}

/// The names of a process's threads and clients, as the JVM forms them. Threads count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIds {
    base: String,
    transactional: String,
}

impl ClientIds {
    /// `client.id`, or `<application.id>-<process id>`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The name of a stream thread.
    pub fn stream_thread(&self, thread: usize) -> String {
        format!("{}-StreamThread-{thread}", self.base)
    }

    /// The name of a thread that restores stores.
    pub fn state_updater(&self, thread: usize) -> String {
        format!("{}-StateUpdater-{thread}", self.base)
    }

    /// The client id of a stream thread's consumer and of its membership.
    pub fn consumer(&self, thread: usize) -> String {
        format!("{}-consumer", self.stream_thread(thread))
    }

    /// The client id of a stream thread's restore consumer.
    pub fn restore_consumer(&self, thread: usize) -> String {
        format!("{}-restore-consumer", self.stream_thread(thread))
    }

    /// The client id of a stream thread's producer.
    pub fn producer(&self, thread: usize) -> String {
        format!("{}-producer", self.stream_thread(thread))
    }

    /// The client id of the admin client.
    pub fn admin(&self) -> String {
        format!("{}-admin", self.base)
    }

    /// The name of the global thread.
    pub fn global_thread(&self) -> String {
        format!("{}-GlobalStreamThread", self.base)
    }

    /// The client id of the global consumer.
    pub fn global_consumer(&self) -> String {
        format!("{}-global-consumer", self.base)
    }

    /// `<application.id>-<process id>-<thread>`: the transactional id of a stream thread's producer. It does not depend
    /// on `client.id`, which may change while a transaction of the old process is still open.
    pub fn transactional_id(&self, thread: usize) -> String {
        format!("{}-{thread}", self.transactional)
    }
}
